"""Dense autoencoders: a bottleneck between two stacks of layers, mean squared error over columns.

Letters of the shape comments: B rows of C columns.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    Arrays,
    Detector,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
)
from tapwatch.detect.detectors.descent import DescentParameters, descend
from tapwatch.detect.detectors.layers import (
    encode,
    forward,
    initial,
    layer_arrays,
    one_thread,
    padded,
    paired,
    take_layers,
    widened,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tapwatch.detect.detectors.layers import Layers


class AutoencoderParameters(DescentParameters):
    """What may be set of an autoencoder."""

    hidden: Annotated[
        list[Annotated[int, Field(ge=1, le=65_536)]] | None, Field(min_length=1, max_length=16)
    ] = None
    """Widths of the hidden layers; by default they follow the number of columns."""
    activation: Literal["relu", "tanh"] = "relu"
    """What the hidden layers end in."""
    output: Literal["linear", "sigmoid"] = "linear"
    """What the last layer ends in: "sigmoid" where columns lie between 0 and 1, as min-max and
    classes of height 1 have them."""


class Autoencoder(Detector):
    """Learns to reproduce benign rows through a bottleneck; what it cannot reproduce is unusual.

    The error of a row is the mean over columns of the squared difference between the row and its
    reconstruction, both in preprocessed space.

    What sets a threshold is the tail of the benign errors, and that is made of rare kinds of rows,
    which an ordinary fit hardly sees. So rare kinds are drawn more often (`balance`; rows are of
    one kind where they agree after rounding to whole preprocessed units), and what is minimised is
    a higher moment of the row errors (`moment`), which is led by the worst rows.
    """

    parameters_type = AutoencoderParameters
    has_latent = True
    #: Hidden widths as fractions of the number of columns.
    fractions: ClassVar[tuple[float, ...]]

    def __init__(self, parameters: AutoencoderParameters, layers: "Layers") -> None:
        self.parameters = parameters
        self.n_columns = int(layers[0][0].shape[1])
        self._layers = layers
        self._wide = widened(layers)
        self._curves = parameters.activation, parameters.output

    @classmethod
    def widths(cls, parameters: AutoencoderParameters, n_columns: int) -> list[int]:
        """Layer widths from input to output."""
        hidden = parameters.hidden or [max(1, int(n_columns * f)) for f in cls.fractions]
        return [n_columns, *hidden, n_columns]

    @classmethod
    def fit(
        cls,
        rows: Rows,
        validation: Rows,
        parameters: Parameters,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Self:
        """Fit with AdamW; keep the weights of the epoch with the lowest validation loss."""
        import torch

        assert isinstance(parameters, AutoencoderParameters)
        curves = parameters.activation, parameters.output
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            widths = cls.widths(parameters, rows.shape[1])
            weights = [w.to(device).requires_grad_() for w in initial(widths, generator)]
            layers = paired(weights)

            def row_loss(batch: "Tensor", _generator: Any) -> "Tensor":
                return (forward(batch, layers, *curves) - batch).square().mean(1)  # (B,)

            kept = descend(
                weights,
                row_loss,
                torch.from_numpy(rows),
                torch.from_numpy(validation if len(validation) else rows),
                parameters,
                generator,
                progress,
                cls.name,
            )
        return cls(parameters, paired(kept))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights and biases, float32, by layer."""
        return layer_arrays(self._layers)

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the weights after checking each shape."""
        assert isinstance(parameters, AutoencoderParameters)
        layers, names = take_layers(arrays, cls.widths(parameters, n_columns))
        refuse_others(arrays, names)
        return cls(parameters, layers)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            squared = self._residual(rows).square_()
            return squared.mean(1).numpy()[: len(rows)].astype(np.float64)

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            squared = self._residual(rows).square_().numpy()
        return by_column(squared[: len(rows)], column_of)

    def _latent(self, rows: Rows) -> Rows:
        import torch

        n_encoder = (len(self._layers) + 1) // 2
        with torch.inference_mode():
            wide = encode(padded(rows), self._wide[:n_encoder], self._curves[0])
            code: Rows = wide.numpy()
        return code[: len(rows), : len(self._layers[n_encoder - 1][1])].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            reconstruction: Rows = forward(padded(rows), self._wide, *self._curves).numpy()
        return reconstruction[: len(rows), : self.n_columns]

    def _residual(self, rows: Rows) -> "Tensor":
        """Reconstruction minus row, (max(B, MIN_ROWS), C)."""
        filled = padded(rows)
        return forward(filled, self._wide, *self._curves)[:, : self.n_columns].sub(filled)

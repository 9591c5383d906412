"""Dense autoencoders: rectified hidden layers, linear output, mean squared error over columns.

Letters of the shape comments: B rows of C columns.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    CHUNK_ROWS,
    Arrays,
    Detector,
    Epoch,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
)
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

#: Steps of an epoch, at least and at most; between them it is one pass over the rows.
_EPOCH_STEPS: Final = (200, 2000)
_GRADIENT_NORM: Final = 1.0  # rows of the heavy tail shall not throw the weights about
_LEAST_ERROR: Final = 1e-12
_IMPROVEMENT: Final = 1e-3  # relative; less is noise


class AutoencoderParameters(Parameters):
    """What may be set of an autoencoder."""

    hidden: Annotated[
        list[Annotated[int, Field(ge=1, le=65_536)]] | None, Field(min_length=1, max_length=16)
    ] = None
    """Widths of the hidden layers; by default they follow the number of columns."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Passes over the training rows, at most; of few rows several passes make one epoch."""
    batch_rows: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Rows of a gradient step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 4e-3
    """First step size of AdamW; falls to 0 over the epochs along a cosine."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Of AdamW: holds the weights small, and with them what lies far from every benign row."""
    patience: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Epochs without improvement on the validation rows that end the fit."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.75
    """0 draws rows as often as they occur; 1 draws each kind of row equally often."""
    moment: Annotated[float, Field(ge=1, le=8)] = 2.0
    """Power mean of the row errors that is made small; above 1 the worst rows count more."""


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
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            widths = cls.widths(parameters, rows.shape[1])
            weights = [w.to(device).requires_grad_() for w in initial(widths, generator)]
            best = _descend(
                weights,
                torch.from_numpy(rows),
                torch.from_numpy(validation if len(validation) else rows),
                parameters,
                generator,
                progress,
            )
        return cls(parameters, paired(best))

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
            code: Rows = encode(padded(rows), self._wide[:n_encoder]).numpy()
        return code[: len(rows), : len(self._layers[n_encoder - 1][1])].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            reconstruction: Rows = forward(padded(rows), self._wide).numpy()
        return reconstruction[: len(rows), : self.n_columns]

    def _residual(self, rows: Rows) -> "Tensor":
        """Reconstruction minus row, (max(B, MIN_ROWS), C)."""
        filled = padded(rows)
        return forward(filled, self._wide)[:, : self.n_columns].sub(filled)


def _descend(
    weights: list["Tensor"],
    rows: "Tensor",
    validation: "Tensor",
    parameters: AutoencoderParameters,
    generator: Any,
    progress: Progress,
) -> list["Tensor"]:
    """Run the epochs; return the weights of the best one, on the CPU."""
    import torch

    decay = parameters.weight_decay
    optimiser = torch.optim.AdamW(weights, lr=parameters.learning_rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, parameters.epochs)
    chances = _chances(rows, parameters.balance)
    best = [w.detach().cpu().clone() for w in weights]
    best_loss, stale = float("inf"), 0
    for number in range(1, parameters.epochs + 1):
        train_loss = _epoch(weights, rows, chances, parameters, optimiser, generator)
        schedule.step()
        loss = _validation_loss(weights, validation, parameters.moment)
        is_best = loss < best_loss * (1 - _IMPROVEMENT)
        if is_best:
            best_loss, stale = loss, 0
            best = [w.detach().cpu().clone() for w in weights]
        else:
            stale += 1
        progress(Epoch(number, parameters.epochs, train_loss, loss, is_best))
        if stale >= parameters.patience:
            break
    return best


def _chances(rows: "Tensor", balance: float) -> "Tensor":
    """Running sum of the chance of each row to be drawn, float64 (n_rows,)."""
    import torch

    kinds = np.empty(tuple(rows.shape), np.int8)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS].numpy()
        kinds[start : start + CHUNK_ROWS] = np.clip(np.round(part), -127, 127)
    _, kind, count = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    return torch.from_numpy(np.cumsum(count[kind.ravel()] ** -float(balance)))


def _epoch(
    weights: list["Tensor"],
    rows: "Tensor",
    chances: "Tensor",
    parameters: AutoencoderParameters,
    optimiser: Any,
    generator: Any,
) -> float:
    """Take the steps of one epoch; the mean loss on the way."""
    import torch

    layers = paired(weights)
    least, most = _EPOCH_STEPS
    n_steps = min(max(len(rows) // parameters.batch_rows, least), most)
    total = 0.0
    for _ in range(n_steps):
        drawn = torch.rand(parameters.batch_rows, generator=generator, dtype=torch.float64)
        index = torch.searchsorted(chances, drawn * chances[-1], right=True)
        batch = rows[index.clamp_(max=len(rows) - 1)].to(weights[0].device)  # (B, C)
        loss = _power_mean((forward(batch, layers) - batch).square().mean(1), parameters.moment)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, _GRADIENT_NORM)
        optimiser.step()
        total += loss.item()
    return total / n_steps


def _power_mean(errors: "Tensor", moment: float) -> "Tensor":
    """(mean of errors ** moment) ** (1 / moment), without leaving float32's range on the way."""
    import torch

    # An error of exactly 0 has no slope under a root.
    errors = errors + _LEAST_ERROR
    # Dividing by a power of 2 loses nothing; without it the 8th power of 1e-6 would be 0.
    _, exponent = torch.frexp(errors.detach().max())
    unit = torch.ldexp(torch.ones_like(errors[0]), exponent).detach()
    return (errors / unit).pow(moment).mean().pow(1 / moment) * unit


def _validation_loss(weights: list["Tensor"], rows: "Tensor", moment: float) -> float:
    import torch

    layers = paired(weights)
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), CHUNK_ROWS):
            batch = rows[start : start + CHUNK_ROWS].to(weights[0].device)
            errors = (forward(batch, layers) - batch).square().mean(1).double()
            total += (errors + _LEAST_ERROR).pow(moment).sum().item()
    return float((total / len(rows)) ** (1 / moment))

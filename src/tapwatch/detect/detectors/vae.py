"""`vae`: a variational autoencoder, scored without chance through the mean of its code.

Letters of the shape comments: B rows of C columns, codes of L dimensions.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

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

#: A log-variance beyond it is taken as this: its exponential has to stay within float32.
_LOG_VARIANCE: Final = 30.0

Width = Annotated[int, Field(ge=1, le=65_536)]


class VaeParameters(DescentParameters):
    """What may be set of a variational autoencoder."""

    hidden: Annotated[list[Width] | None, Field(min_length=1, max_length=16)] = None
    """Widths of the encoder's hidden layers, those of the decoder the other way round; by default
    one of half the columns."""
    latent: Width | None = None
    """Dimensions of the code; by default a quarter of the columns."""
    activation: Literal["relu", "tanh"] = "relu"
    """What the hidden layers end in."""
    output: Literal["linear", "sigmoid"] = "linear"
    """What the last layer ends in: "sigmoid" where columns lie between 0 and 1."""
    beta: Annotated[float, Field(ge=0, le=1e6)] = 1 / 256
    """Weight of the divergence of the code against the squared error of all columns. 1 is the
    textbook; with it codes tend to say nothing, and every row is expected to be the mean row."""
    score: Literal["reconstruction", "absolute", "elbo"] = "reconstruction"
    """Error of a row: mean over columns of the squared difference, of the absolute one, or of the
    squared one and `beta` times the divergence (the loss itself)."""
    moment: Annotated[float, Field(ge=1, le=8)] = 1.0
    """Power mean of the row losses that is made small; 1 is the textbook."""


class Vae(Detector):
    """Learns a cloud for the code of each row, near a standard normal one, and to reproduce rows.

    The encoder gives mean m and log-variance v of the code; the decoder gets m + exp(v / 2) e, with
    e standard normal in training and 0 in scoring, so that the score of a row is no matter of
    chance. What is made small is, over C and for each row,

        sum (x - decoded)^2 + beta * KL,    KL = -1/2 sum (1 + v - m^2 - exp v)

    which at beta = 1 is the evidence lower bound, its sign turned, of columns with noise of
    variance 1/2. Kingma and Welling 2014 (arXiv 1312.6114), appendix B; Higgins et al. 2017 for
    beta. Programs that sum the squared errors over the B rows of a batch but average the divergence
    have in effect beta = 1 / B.

    Of the error "elbo" the divergence is no sum over columns: it is shared out in proportion to
    their squared errors, so that the shares are those of the reconstruction.
    """

    name = "vae"
    parameters_type = VaeParameters
    has_latent = True

    def __init__(self, parameters: VaeParameters, encoder: "Layers", decoder: "Layers") -> None:
        self.parameters = parameters
        self.n_columns = int(encoder[0][0].shape[1])
        self._encoder, self._decoder = encoder, decoder
        self._n_latent = int(decoder[0][0].shape[1])
        *hidden, head = encoder
        # Mean and log-variance apart, for each must have room of its own to be widened.
        mean = [tuple(part[: self._n_latent] for part in head)]
        spread = [tuple(part[self._n_latent :] for part in head)]
        self._to_mean = widened([*hidden, *mean])  # type: ignore[list-item]
        self._to_spread = widened([*hidden, *spread])[-1:]  # type: ignore[list-item]
        self._from_code = widened(_with_inputs(decoder, len(self._to_mean[-1][1])))
        self._options = parameters
        self._curves = parameters.activation, parameters.output

    @classmethod
    def widths(cls, parameters: VaeParameters, n_columns: int) -> tuple[list[int], list[int]]:
        """Widths of encoder and decoder; the encoder ends in means and log-variances."""
        hidden = parameters.hidden or [max(1, n_columns // 2)]
        latent = parameters.latent or max(1, n_columns // 4)
        return [n_columns, *hidden, 2 * latent], [latent, *reversed(hidden), n_columns]

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
        """Fit with AdamW; the loss of the validation rows is told through the mean."""
        import torch

        assert isinstance(parameters, VaeParameters)
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            to_code, from_code = cls.widths(parameters, rows.shape[1])
            first = [*initial(to_code, generator), *initial(from_code, generator)]
            weights = [w.to(device).requires_grad_() for w in first]
            n_encoder = 2 * (len(to_code) - 1)
            encoder, decoder = paired(weights[:n_encoder]), paired(weights[n_encoder:])
            kept = descend(
                weights,
                lambda batch, chance: _loss(batch, encoder, decoder, parameters, chance),
                torch.from_numpy(rows),
                torch.from_numpy(validation if len(validation) else rows),
                parameters,
                generator,
                progress,
                cls.name,
            )
        return cls(parameters, paired(kept[:n_encoder]), paired(kept[n_encoder:]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights and biases, float32; the encoder's last layer gives means, then log-variances."""
        return layer_arrays(self._encoder, "encoder") | layer_arrays(self._decoder, "decoder")

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the weights after checking each shape."""
        assert isinstance(parameters, VaeParameters)
        to_code, from_code = cls.widths(parameters, n_columns)
        encoder, encoder_names = take_layers(arrays, to_code, "encoder")
        decoder, decoder_names = take_layers(arrays, from_code, "decoder")
        refuse_others(arrays, encoder_names | decoder_names)
        return cls(parameters, encoder, decoder)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            filled = padded(rows)
            hidden, mean, decoded = self._pass(filled)
            residual = decoded[:, : self.n_columns].sub(filled)
            if self._options.score == "absolute":
                error = residual.abs_().mean(1)
            else:
                error = residual.square_().mean(1)
            if self._options.score == "elbo":
                spread = encode(hidden, self._to_spread, "linear")
                weight = self._options.beta / self.n_columns
                # The columns that were added are means and log-variances of 0: they add nothing.
                error += weight * divergence(mean, spread)
            return error.numpy()[: len(rows)].astype(np.float64)

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            filled = padded(rows)
            residual = self._pass(filled)[2][:, : self.n_columns].sub(filled)
            is_absolute = self._options.score == "absolute"
            parts = (residual.abs_() if is_absolute else residual.square_()).numpy()
        return by_column(parts[: len(rows)], column_of)

    def _latent(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            mean: Rows = self._pass(padded(rows))[1].numpy()
        return mean[: len(rows), : self._n_latent].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            decoded: Rows = self._pass(padded(rows))[2].numpy()
        return decoded[: len(rows), : self.n_columns]

    def _pass(self, filled: "Tensor") -> tuple["Tensor", "Tensor", "Tensor"]:
        """Hidden values, means of the code, and what is decoded of them; all widened."""
        activation, output = self._curves
        hidden = encode(filled, self._to_mean[:-1], activation)
        mean = encode(hidden, self._to_mean[-1:], "linear")
        return hidden, mean, forward(mean, self._from_code, activation, output)


def divergence(mean: "Tensor", log_variance: "Tensor") -> "Tensor":
    """Kullback-Leibler divergence of the code from a standard normal one, (B,)."""
    spread = log_variance.clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
    return -0.5 * (1 + spread - mean.square() - spread.exp()).sum(1)


def _loss(
    batch: "Tensor",
    encoder: "Layers",
    decoder: "Layers",
    parameters: VaeParameters,
    generator: Any,
) -> "Tensor":
    """Loss of each row, (B,); with a generator the code is drawn."""
    import torch

    *hidden, head = encoder
    code = encode(encode(batch, hidden, parameters.activation), [head], "linear")  # (B, 2 L)
    mean, log_variance = code.chunk(2, dim=1)
    drawn = mean
    if generator is not None:
        chance = torch.randn(tuple(mean.shape), generator=generator).to(mean.device)
        spread = log_variance.clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
        drawn = mean + (0.5 * spread).exp() * chance
    decoded = forward(drawn, decoder, parameters.activation, parameters.output)
    squared = (decoded - batch).square().mean(1)
    return squared + parameters.beta / batch.shape[1] * divergence(mean, log_variance)


def _with_inputs(layers: "Layers", n_inputs: int) -> "Layers":
    """Layers that take more inputs, those that are added weighing nothing."""
    import torch

    (weight, bias), *others = layers
    wide = torch.zeros(weight.shape[0], n_inputs)
    wide[:, : weight.shape[1]] = weight
    return [(wide, bias), *others]

"""`aegmm`: an autoencoder and a mixture of normal densities over what it makes of a row.

Deep autoencoding Gaussian mixture model, DAGMM (Zong et al., ICLR 2018). Letters of the shape
comments: B rows of C columns, L latent dimensions, D features, K components.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.ablation import USUAL_ARRAYS, Usual, drops
from tapwatch.detect.detector import (
    CHUNK_ROWS,
    Arrays,
    Detector,
    Epoch,
    Parameters,
    Progress,
    Rows,
    refuse_others,
    silent,
)
from tapwatch.detect.detectors.descent import not_finite, on_cpu, running_chances
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
from tapwatch.detect.detectors.mixture import ARRAYS, Mixture, batch_energy, fit_mixture

if TYPE_CHECKING:
    from torch import Tensor

    from tapwatch.detect.detectors.layers import Layers

#: A row of next to nothing is measured as if it were this long, in preprocessed units.
_LEAST_LENGTH: Final = 0.01
#: Steps of an epoch, at least and at most; between them it is one pass over the rows.
_EPOCH_STEPS: Final = (100, 2000)
_VALIDATION_ROWS: Final = 16_384  # that tell when to stop; they are one batch
_GRADIENT_NORM: Final = 1.0  # rows of the heavy tail shall not throw the weights about
_IMPROVEMENT: Final = 1e-3  # less is noise


class AegmmParameters(Parameters):
    """What may be set of an `aegmm`."""

    # A list: what comes out of JSON is checked strictly, and JSON has no tuples.
    hidden: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(max_length=16)] = Field(
        default_factory=lambda: [60, 30, 10]
    )
    """Widths of the encoder's hidden layers; the decoder has them in reverse."""
    latent: Annotated[int, Field(ge=1, le=64)] = 6
    """Width of the bottleneck."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of the hidden layers."""
    absolute: bool = True
    """Whether the mixture is also over the root mean square of the reconstruction error; the
    paper's is not, and of two rows far out it cannot tell which is further."""
    components: Annotated[int, Field(ge=1, le=256)] = 16
    """Normal densities in the mixture."""
    estimator: Annotated[int, Field(ge=1, le=65_536)] = 10
    """Width of the hidden layer of the net that says which component a row is of."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of that layer that is left out at random in each step."""
    energy_weight: Annotated[float, Field(ge=0, le=1e6)] = 1e-3
    """Lambda 1, of the energy, against the squared error summed over columns; the paper has .1."""
    covariance_weight: Annotated[float, Field(ge=0, le=1e6)] = 1e-4
    """Lambda 2, which keeps the variances from shrinking to nothing; the paper has .005."""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-6
    """Added to each variance of a batch, and as a share to those of the mixture that is kept."""
    refine: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Steps of expectation-maximisation on all training rows at the end; the paper has none."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Passes over the training rows; of few rows several passes make one epoch."""
    batch_rows: Annotated[int, Field(ge=2, le=65_536)] = 1024
    """Rows of a gradient step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 4e-3
    """First step size of Adam; falls to 0 over the epochs along a cosine."""
    patience: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Epochs without improvement on the validation rows that end the fit."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.75
    """0 draws rows as often as they occur, as the paper does; 1 each kind of row equally often."""

    @property
    def n_features(self) -> int:
        """What the mixture is over: the code and two or three measures of the reconstruction."""
        return self.latent + 2 + self.absolute


class Aegmm(Detector):
    """The energy of a row under a mixture of normal densities over D features of it.

    The features are the bottleneck of an autoencoder and measures of its reconstruction: the
    relative Euclidean distance |x - x'| / |x|, the cosine similarity and, if wanted, the root mean
    square of x - x'. A small net says which component a row is of; what is minimised is the squared
    error of the reconstruction plus the energy of the batch under the mixture of its own
    memberships, plus a penalty on variances that vanish. The mixture that is kept is that of all
    training rows, refined by expectation-maximisation.

    The energy is minus a logarithm of a density and may be below 0. The score is what it is above
    the least energy that there can be, that of a row on the means of all components at once:
    another zero, the same order.
    """

    name = "aegmm"
    parameters_type = AegmmParameters
    has_latent = True
    #: Outputs of the encoder for each latent dimension.
    code_outputs: ClassVar[int] = 1
    parameters: AegmmParameters

    def __init__(
        self,
        parameters: AegmmParameters,
        encoder: "Layers",
        decoder: "Layers",
        mixture: Mixture,
        usual: Usual,
    ) -> None:
        self.parameters = parameters
        self.n_columns = int(encoder[0][0].shape[1])
        self.mixture = mixture
        self._usual = usual
        self._encoder, self._decoder = encoder, decoder
        self._wide_encoder, self._wide_decoder = widened(encoder), widened(decoder)

    @classmethod
    def widths(cls, parameters: AegmmParameters, n_columns: int) -> tuple[list[int], list[int]]:
        """Layer widths of encoder and decoder."""
        hidden, latent = parameters.hidden, parameters.latent
        encoder = [n_columns, *hidden, latent * cls.code_outputs]
        return encoder, [latent, *reversed(hidden), n_columns]

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
        """Fit the nets together with Adam, then the mixture over all rows."""
        import torch

        assert isinstance(parameters, AegmmParameters)
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            nets = _Nets(cls, parameters, rows.shape[1], generator, device)
            held = torch.from_numpy(_judging(validation, rows, parameters))
            nets.descend(torch.from_numpy(rows), held, progress)
            features, membership = nets.measure(rows)
            mixture = fit_mixture(features, membership, parameters.epsilon, parameters.refine)
        return cls(parameters, nets.encoder, nets.decoder, mixture, Usual.fit(rows))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights and biases, float32, and the mixture, float64."""
        encoder = layer_arrays(self._encoder, "encoder")
        decoder = layer_arrays(self._decoder, "decoder")
        return encoder | decoder | self.mixture.arrays() | self._usual.arrays()

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the weights and the mixture after checking each."""
        assert isinstance(parameters, AegmmParameters)
        encoder_widths, decoder_widths = cls.widths(parameters, n_columns)
        encoder, encoder_names = take_layers(arrays, encoder_widths, "encoder")
        decoder, decoder_names = take_layers(arrays, decoder_widths, "decoder")
        mixture = Mixture.from_arrays(parameters.components, parameters.n_features, arrays)
        usual = Usual.from_arrays(n_columns, arrays)
        refuse_others(arrays, encoder_names | decoder_names | frozenset(ARRAYS) | USUAL_ARRAYS)
        return cls(parameters, encoder, decoder, mixture, usual)

    @classmethod
    def code_of(cls, encoded: "Tensor", latent: int) -> "Tensor":
        """Latent place (B, L) of what the encoder gave."""
        return encoded[:, :latent]

    @classmethod
    def batch_code(
        cls, encoded: "Tensor", parameters: AegmmParameters, generator: Any
    ) -> tuple["Tensor", "Tensor | float"]:
        """Latent place of each row of a batch, and what that adds to the loss."""
        return cls.code_of(encoded, parameters.latent), 0.0

    def _passed(self, rows: Rows) -> tuple["Tensor", "Tensor", "Tensor"]:
        """Padded rows, their latent places, their reconstructions."""
        filled = padded(rows)
        latent, activation = self.parameters.latent, self.parameters.activation
        code = self.code_of(forward(filled, self._wide_encoder, activation), latent).contiguous()
        rebuilt = forward(code, self._wide_decoder, activation)
        return filled, code, rebuilt[:, : self.n_columns]

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            features = features_of(*self._passed(rows), self.parameters.absolute).numpy()
        return self.mixture.excess(features[: len(rows)])

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        return drops(self._score, rows, column_of, self._usual)

    def _latent(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            code: Rows = self._passed(rows)[1].numpy()
        return code[: len(rows)].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            rebuilt: Rows = self._passed(rows)[2].numpy()
        return rebuilt[: len(rows)].copy()


def features_of(rows: "Tensor", code: "Tensor", rebuilt: "Tensor", absolute: bool) -> "Tensor":
    """What the mixture is over, float64 (B, D): the code, then measures of the reconstruction."""
    import torch

    length = rows.square().sum(1).double().sqrt().clamp_min(_LEAST_LENGTH)
    # The root of 0 has no slope.
    away = ((rebuilt - rows).square().sum(1).double() + 1e-18).sqrt()
    rebuilt_length = (rebuilt.square().sum(1).double() + 1e-18).sqrt().clamp_min(_LEAST_LENGTH)
    cosine = (rows * rebuilt).sum(1).double() / (length * rebuilt_length)
    measures = [away / length, cosine] + [away / rows.shape[1] ** 0.5] * absolute
    return torch.cat([code.double(), torch.stack(measures, 1)], 1)


def _judging(validation: Rows, rows: Rows, parameters: AegmmParameters) -> Rows:
    """Rows that tell when to stop: those of validation, if they can make the mixture.

    The densities of few rows, or of rows that are all alike, have no spread, so that the penalty
    is all that is left, and it grows with every step that tells rows better: the first epoch would
    be the best. Then the training rows tell.
    """
    held = validation[:_VALIDATION_ROWS]
    least = parameters.components * (parameters.n_features + 1)
    if len(held) < least or len(np.unique(held, axis=0)) < least:
        held = rows[:_VALIDATION_ROWS]
    return held


class _Nets:
    """The three nets while they are fitted: encoder, decoder, estimator of memberships."""

    def __init__(
        self,
        kind: type[Aegmm],
        parameters: AegmmParameters,
        n_columns: int,
        generator: Any,
        device: str,
    ) -> None:
        self.kind, self.parameters, self.generator = kind, parameters, generator
        encoder, decoder = kind.widths(parameters, n_columns)
        estimator = [parameters.n_features, parameters.estimator, parameters.components]
        self._sizes = [2 * (len(widths) - 1) for widths in (encoder, decoder, estimator)]
        drawn = [w for widths in (encoder, decoder, estimator) for w in initial(widths, generator)]
        self._weights = [w.to(device).requires_grad_() for w in drawn]
        self._part()

    def _part(self) -> None:
        n_encoder, n_decoder, _ = self._sizes
        self.encoder = paired(self._weights[:n_encoder])
        self.decoder = paired(self._weights[n_encoder:][:n_decoder])
        self.estimator = paired(self._weights[n_encoder + n_decoder :])

    def descend(self, rows: "Tensor", validation: "Tensor", progress: Progress) -> None:
        """Run the epochs; the weights of the best one are left, on the CPU.

        Raises
        ------
        ConfigError
            No epoch had a finite loss.
        """
        import torch

        parameters = self.parameters
        optimiser = torch.optim.Adam(self._weights, lr=parameters.learning_rate, fused=True)
        chances = running_chances(rows, parameters.balance)
        best, best_loss, stale = on_cpu(self._weights), float("inf"), 0
        for number in range(1, parameters.epochs + 1):
            turn = math.cos(math.pi * (number - 1) / parameters.epochs)
            optimiser.param_groups[0]["lr"] = parameters.learning_rate * (1 + turn) / 2
            train_loss = self._epoch(rows, chances, optimiser)
            with torch.inference_mode():
                value = self._loss(validation.to(self._weights[0].device), None)
            loss = float("inf") if value is None else float(value)
            is_best = loss < best_loss - _IMPROVEMENT * abs(loss)
            if is_best:
                best, best_loss, stale = on_cpu(self._weights), loss, 0
            else:
                stale += 1
            progress(Epoch(number, parameters.epochs, train_loss, loss, is_best))
            if stale >= parameters.patience:
                break
        if not math.isfinite(best_loss):
            raise not_finite(self.kind.name)
        self._weights = best
        self._part()

    def _epoch(self, rows: "Tensor", chances: "Tensor", optimiser: Any) -> float:
        """Take the steps of one epoch; the mean loss of those that could be taken.

        A batch whose loss is not finite, or has none, teaches nothing; the next one may.
        """
        import torch

        least, most = _EPOCH_STEPS
        n_rows = self.parameters.batch_rows
        total, n_taken = 0.0, 0
        for _ in range(min(max(len(rows) // n_rows, least), most)):
            drawn = torch.rand(n_rows, generator=self.generator, dtype=torch.float64)
            index = torch.searchsorted(chances, drawn * chances[-1], right=True)
            batch = rows[index.clamp_(max=len(rows) - 1)].to(self._weights[0].device)
            loss = self._loss(batch, self.generator)
            if loss is None or not bool(torch.isfinite(loss)):
                continue
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._weights, _GRADIENT_NORM)
            optimiser.step()
            total += loss.item()
            n_taken += 1
        return total / n_taken if n_taken else float("inf")

    def _loss(self, batch: "Tensor", generator: Any) -> "Tensor | None":
        """Loss of a batch, equation 7 of the paper; without a generator nothing is drawn."""
        parameters = self.parameters
        encoded = forward(batch, self.encoder, parameters.activation)
        code, more = self.kind.batch_code(encoded, parameters, generator)
        rebuilt = forward(code, self.decoder, parameters.activation)
        features = features_of(batch, code, rebuilt, parameters.absolute)
        memberships = self._membership(features, generator)
        energy = batch_energy(features, memberships, parameters.epsilon)
        if energy is None:
            return None
        squared = (rebuilt - batch).square().sum(1).double().mean()
        weighted = parameters.energy_weight * energy[0] + parameters.covariance_weight * energy[1]
        return squared + weighted + more

    def _membership(self, features: "Tensor", generator: Any) -> "Tensor":
        """Chance of each component, float64 (B, K)."""
        import torch

        hidden = encode(features.float(), self.estimator[:1], "tanh")
        dropout = self.parameters.dropout
        if generator is not None and dropout:
            drawn = torch.rand(hidden.shape, generator=generator)
            hidden = hidden * (drawn >= dropout).to(hidden) / (1 - dropout)
        return torch.softmax(forward(hidden, self.estimator[1:]).double(), 1)

    def measure(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features (n_rows, D) and memberships (n_rows, K) of all rows."""
        import torch

        parameters = self.parameters
        features, membership = [], []
        with torch.inference_mode():
            for start in range(0, len(rows), CHUNK_ROWS):
                part = torch.from_numpy(rows[start : start + CHUNK_ROWS])
                encoded = forward(part, self.encoder, parameters.activation)
                code = self.kind.code_of(encoded, parameters.latent)
                rebuilt = forward(code, self.decoder, parameters.activation)
                measured = features_of(part, code, rebuilt, parameters.absolute)
                features.append(measured.numpy())
                membership.append(self._membership(measured, None).numpy())
        return np.concatenate(features), np.concatenate(membership)

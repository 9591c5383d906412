"""`memory_ae`: how far the code of a row is from those in a memory that goes with the time."""

from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    CHUNK_ROWS,
    Arrays,
    Epoch,
    OnlineDetector,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
    take_array,
)
from tapwatch.detect.detectors.layers import one_thread
from tapwatch.detect.detectors.plain import plain_rows
from tapwatch.errors import ArtifactError

_ARRAYS: Final = frozenset({"weight", "bias", "codes", "rows", "at", "used", "beta"})
#: Steps of an epoch, at least and at most, where there are more rows than one batch.
_EPOCH_STEPS: Final = (200, 2000)
#: Where no beta is given: so many of the validation rows are near enough to be remembered.
_BETA_QUANTILE: Final = 0.9
#: Where there are no such rows, or all are remembered: so many of the kinds that are remembered are
#: as near to another.
_KINDS_QUANTILE: Final = 0.5
#: A row's kind is drawn with this power of its number of rows: rare kinds are remembered too.
_BALANCE: Final = 0.25
#: Codes that are compared with one another at most, to find a beta without validation rows.
_COMPARED: Final = 1024
#: Steps are counted up to here: far from where they would overflow.
_LAST_STEP: Final = 2**62


class MemoryAeParameters(Parameters):
    """What may be set of the memory and its encoder."""

    memory: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Rows that are remembered."""
    code: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Units of a code; by default twice the inputs, as published."""
    neighbours: Annotated[int, Field(ge=1, le=64)] = 3
    """Nearest codes that an error is made of."""
    discount: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of each neighbour as a share of the one before it; at 0 only the nearest counts."""
    beta: Annotated[float, Field(ge=0)] | None = None
    """Error up to which a row is remembered; by default one that 90 % of the validation rows do
    not exceed. Where that is 0, and where there are none and all training rows are remembered, it
    is that of half of the kinds of rows, each against the others."""
    novelty: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Error from which on a row is remembered, as a share of beta: what is known already shall
    not push out what is not. 0 is as published."""
    renewal: Literal["oldest", "unused"] = "oldest"
    """Whose place a row takes: of the row that has been in the memory for longest, as published,
    or of the one that no row has come near to for longest; copies of other
    rows go first then, and none is taken in."""
    standardise: Literal["no", "memory"] = "no"
    """Whether inputs are brought to mean 0 and deviation 1 of the memory's rows, over and over, as
    published; what is constant in the memory is then not looked at."""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.001
    """Standard deviation of what is added to the encoder's training rows."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Passes over the training rows; where there are more rows than one batch, 200 to 2000 steps
    each."""
    batch_rows: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Rows of a gradient step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Step size of Adam."""


class MemoryAe(OnlineDetector):
    """Distance to the nearest codes in a memory (MemStream, Bhatia et al. 2022).

    The encoder, one layer with a hyperbolic tangent, is that of a denoising autoencoder; it stays
    as it was trained. The error is the L1 distance to the nearest code, or a discounted mean of the
    distances to several. A row that is near enough (`beta`) takes the place of another (`renewal`).

    What keeps an attacker from filling the memory: rows that are flagged are not learnt, nor those
    whose error is above beta, nor those that the memory holds already (`novelty`), so that a flood
    of one row does not push everything else out. Who moves in small steps is followed.

    What is expected is the nearest row in the memory. Shares: each unit of the code gives its part
    of the distance to the inputs, by what each of them does to its sum before the hyperbolic
    tangent; parts against the distance are 0.
    """

    name = "memory_ae"
    parameters_type = MemoryAeParameters
    has_latent = True
    block_rows = 256

    parameters: MemoryAeParameters

    def __init__(
        self, parameters: MemoryAeParameters, n_columns: int, arrays: dict[str, NDArray[Any]]
    ) -> None:
        self.parameters = parameters
        self.n_columns = n_columns
        self._arrays = arrays
        self._turned = np.ascontiguousarray(arrays["codes"].T)  # (H, N)
        mean, inverse = np.zeros(n_columns), np.ones(n_columns)
        if parameters.standardise == "memory":
            _standardise(arrays["rows"], mean, inverse)
        weight = np.ascontiguousarray(arrays["weight"].T, np.float64)  # (C, H)
        self._encoder = (weight, arrays["bias"].astype(np.float64), mean, inverse)

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
        """Choose what is remembered first, train the encoder, find beta."""
        assert isinstance(parameters, MemoryAeParameters)
        n_columns = rows.shape[1]
        remembered = _chosen(rows, parameters.memory, np.random.default_rng(seed))
        mean, inverse = np.zeros(n_columns), np.ones(n_columns)
        if parameters.standardise == "memory":
            _standardise(remembered, mean, inverse)
        weight, bias = _train(rows, validation, (mean, inverse), parameters, seed, device, progress)
        empty = np.zeros((len(remembered), len(bias)), np.float32)
        arrays: dict[str, NDArray[Any]] = {"weight": weight, "bias": bias, "codes": empty}
        arrays["rows"] = remembered
        arrays |= {"at": np.zeros(1, np.int64), "beta": np.zeros(1)}
        arrays["used"] = np.zeros(len(remembered), np.int64)
        model = cls(parameters, n_columns, arrays)
        arrays["codes"] = model.latent(remembered)
        kinds = np.sort(np.unique(remembered, axis=0, return_index=True)[1])
        if parameters.renewal == "unused":
            arrays["used"][kinds] = 1  # so that copies are the first to go
        beta = parameters.beta
        if beta is None and (len(validation) or len(rows) > len(remembered)):
            judged = validation if len(validation) else rows
            sample = judged[:: max(1, len(judged) // CHUNK_ROWS)]
            errors = cls(parameters, n_columns, arrays).score(sample)
            # At 0 nothing that differs from the memory could ever enter it.
            beta = float(np.quantile(errors, _BETA_QUANTILE)) or None
        if beta is None:
            beta = float(np.quantile(_apart(arrays["codes"][kinds]), _KINDS_QUANTILE))
        arrays["beta"][0] = beta
        return cls(parameters, n_columns, arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The encoder, what is remembered, which place is next, when each was used, beta."""
        return self._arrays | {"codes": np.ascontiguousarray(self._turned.T)}

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the arrays after checking each shape."""
        assert isinstance(parameters, MemoryAeParameters)
        width = parameters.code or 2 * n_columns
        shape = arrays["rows"].shape if "rows" in arrays else (0,)
        n_places = min(max(shape[0] if shape else 0, 1), parameters.memory)
        shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "rows": ((n_places, n_columns), np.float32),  # first: the next is as long
            "codes": ((n_places, width), np.float32),
            "weight": ((width, n_columns), np.float32),
            "bias": ((width,), np.float32),
            "at": ((1,), np.int64),
            "used": ((n_places,), np.int64),
            "beta": ((1,), np.float64),
        }
        taken = {
            key: take_array(arrays, key, shape, dtype).copy()
            for key, (shape, dtype) in shapes.items()
        }
        refuse_others(arrays, _ARRAYS)
        if not 0 <= taken["at"][0] < n_places:
            raise ArtifactError(f"array at: {taken['at'][0]}: want a place below {n_places}")
        if taken["used"].min() < 0 or taken["used"].max() > _LAST_STEP:
            raise ArtifactError(f"array used: holds a step that is not in 0 to {_LAST_STEP}")
        return cls(parameters, n_columns, taken)

    def copy(self) -> Self:
        """Give one that learns for itself."""
        held = {key: array.copy() for key, array in self.arrays().items()}
        return type(self)(self.parameters, self.n_columns, held)

    def learn(self, rows: Rows) -> None:
        """Remember those that are near enough, each judged by the memory as it is by then."""
        self.stream(rows)

    def stream(self, rows: Rows) -> tuple[NDArray[np.float64], int]:
        """Score and learn row by row, as published: a row is scored by all that came before it.

        Returns
        -------
        error : float64 (n_rows,)
        n_remembered : int
        """
        mode = 2 if self.parameters.standardise == "memory" else 1
        error, _, n_remembered = self._pass(rows, mode)
        return error, n_remembered

    def _pass(self, rows: Rows, mode: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
        from tapwatch.detect.detectors.memory_kernel import pass_rows

        given, held = self.parameters, self._arrays
        beta = float(held["beta"][0])
        keeps = given.renewal == "unused"
        rule = (given.neighbours, given.discount, given.novelty * beta, beta, mode, keeps)
        said = np.empty(len(rows)), np.empty(len(rows), np.int64)
        at, n_remembered = pass_rows(
            plain_rows(rows),
            self._encoder,
            self._turned,
            held["rows"],
            held["used"],
            rule,
            said,
            int(held["at"][0]),
        )
        if mode:
            held["at"][0] = at
        return *said, n_remembered

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        return self._pass(rows, 0)[0]

    def _latent(self, rows: Rows) -> Rows:
        from tapwatch.detect.detectors.memory_kernel import encode_rows

        codes = np.empty((len(rows), len(self._turned)), np.float32)
        encode_rows(plain_rows(rows), self._encoder, codes)
        return codes

    def _expected(self, rows: Rows) -> Rows:
        expected: Rows = self._arrays["rows"][self._pass(rows, 0)[1]]
        return expected

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        from tapwatch.detect.detectors.memory_kernel import share_rows

        weight, _, _, inverse = self._encoder  # (C, H)
        nearest = self._pass(rows, 0)[1]
        moved = (rows.astype(np.float64) - self._arrays["rows"][nearest]) * inverse  # (B, C)
        distance = np.abs(self._latent(rows) - self._turned.T[nearest]).astype(np.float64)  # (B, H)
        parts = np.empty(rows.shape)
        share_rows(moved, distance, weight, parts)
        return np.maximum(by_column(parts, column_of), 0)


def _standardise(rows: Rows, mean: NDArray[np.float64], inverse: NDArray[np.float64]) -> None:
    from tapwatch.detect.detectors.memory_kernel import standardise

    standardise(plain_rows(rows), mean, inverse)


def _apart(codes: Rows) -> NDArray[np.float64]:
    """L1 distance of each code (n, H) to the nearest other one; 0 where there is no other."""
    codes = codes[:: -(-len(codes) // _COMPARED)]
    nearest = np.zeros(len(codes))
    for place, code in enumerate(codes if len(codes) > 1 else codes[:0]):
        distance = np.abs(codes - code).sum(axis=1, dtype=np.float64)
        distance[place] = np.inf
        nearest[place] = distance.min()
    return nearest


def _chosen(rows: Rows, most: int, random: np.random.Generator) -> Rows:
    """Rows to begin with, in their order: all, or a draw in which rare kinds are not lost."""
    if len(rows) <= most:
        return np.array(rows, np.float32, order="C")
    kinds = np.clip(np.round(rows), -127, 127).astype(np.int8)
    _, kind, count = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    chance = count[kind.ravel()].astype(np.float64) ** (_BALANCE - 1)
    drawn = random.choice(len(rows), most, replace=False, p=chance / chance.sum())
    return np.ascontiguousarray(rows[np.sort(drawn)])


def _train(
    rows: Rows,
    validation: Rows,
    standard: tuple[NDArray[np.float64], NDArray[np.float64]],
    parameters: MemoryAeParameters,
    seed: int,
    device: str,
    progress: Progress,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (H, C) and bias (H,) of the encoder."""
    import torch

    with one_thread():
        generator = torch.Generator().manual_seed(seed)
        n_columns = rows.shape[1]
        width = parameters.code or 2 * n_columns
        weights = []
        for shape, n_in in (((width, n_columns), n_columns), ((width,), n_columns),
                            ((n_columns, width), width), ((n_columns,), width)):  # fmt: skip
            drawn = torch.empty(shape).uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
            weights.append(drawn.to(device).requires_grad_())
        optimiser = torch.optim.Adam(weights, lr=parameters.learning_rate)

        def loss_of(batch: Rows, noise: float) -> "torch.Tensor":
            clean = torch.from_numpy(((batch - standard[0]) * standard[1]).astype(np.float32))
            noisy = clean + noise * torch.randn(clean.shape, generator=generator)
            code = torch.tanh(torch.addmm(weights[1], noisy.to(device), weights[0].t()))
            again = torch.addmm(weights[3], code, weights[2].t())
            return (again - clean.to(device)).square().mean()

        n_batch = min(parameters.batch_rows, len(rows))
        steps = 1
        if len(rows) > n_batch:
            steps = min(max(len(rows) // n_batch, _EPOCH_STEPS[0]), _EPOCH_STEPS[1])
        for number in range(1, parameters.epochs + 1):
            total = 0.0
            for _ in range(steps):
                batch = rows
                if len(rows) > n_batch:
                    batch = rows[torch.randint(len(rows), (n_batch,), generator=generator).numpy()]
                loss = loss_of(batch, parameters.noise)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                total += loss.item()
            with torch.inference_mode():
                held = validation[:CHUNK_ROWS]
                judged = loss_of(held, 0.0).item() if len(held) else total / steps
            progress(Epoch(number, parameters.epochs, total / steps, judged, is_best=True))
        return weights[0].detach().cpu().numpy(), weights[1].detach().cpu().numpy()

"""`lstm_ae`: an autoencoder of the last rows of an entity, both halves a long short-term memory.

Letters of the shape comments: B blocks of N rows of C columns, U units.
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
    take_array,
)
from tapwatch.detect.detectors.descent import DescentParameters, descend
from tapwatch.detect.detectors.layers import MIN_WIDTH, activate, one_thread, padded
from tapwatch.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    #: One tensor for each of `_NAMES`.
    Weights = tuple[Tensor, ...]

#: Of a memory: weights of what it reads and of its own state, and bias; each for four gates, which
#: are input, forget, output and candidate. Then the layer that makes rows of the decoder's state.
_NAMES: Final = (
    "encoder.input",  # (4 U, C)
    "encoder.state",  # (4 U, U)
    "encoder.bias",  # (4 U,)
    "decoder.input",  # (4 U, U)
    "decoder.state",  # (4 U, U)
    "decoder.bias",  # (4 U,)
    "output.weight",  # (C, U)
    "output.bias",  # (C,)
)
_GATES: Final = 4


class LstmAeParameters(DescentParameters):
    """What may be set of an autoencoder of sequences."""

    sequence_rows: Annotated[int, Field(ge=1, le=256)] = 8
    """Rows of a block, N: the row itself and those of its entity before it."""
    units: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Units of either memory, and so the width of the code; by default half the columns."""
    error: Literal["last", "mean"] = "last"
    """Error of a block: that of the row itself, or the mean over all its rows."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    """Passes over the training rows, at most; of few rows several passes make one epoch."""


class LstmAe(Detector):
    """Learns to reproduce the last rows of an entity from one code of them.

    The encoder reads the rows from the oldest to the newest; its state after the newest is the
    code. The decoder reads the code at each step, begins with a state of nothing, and gives the
    rows from the newest to the oldest. Rows that the entity has not had, NaN in front, are passed
    over by the encoder and count nothing. Long short-term memory: Hochreiter and Schmidhuber 1997;
    as an autoencoder, newest row first: Srivastava et al. 2015 (arXiv 1502.04681).

    The error is the mean over columns of the squared difference between the newest row and its
    reconstruction; or the mean of that over all rows of the block. The fit makes the latter small
    in both cases, so that the code tells of the whole block.
    """

    name = "lstm_ae"
    parameters_type = LstmAeParameters
    has_latent = True

    def __init__(self, parameters: LstmAeParameters, n_columns: int, weights: "Weights") -> None:
        self.parameters = parameters
        self.n_columns = n_columns
        self._n_rows = parameters.sequence_rows
        self._decoded_rows = parameters.sequence_rows if parameters.error == "mean" else 1
        self._n_units = int(weights[1].shape[1])
        self._weights = weights
        self._wide = _widened(weights, self._n_units)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one block, (N, n_columns)."""
        return (self._n_rows, self.n_columns)

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
        """Fit with AdamW to blocks (n, N, n_columns).

        Raises
        ------
        ConfigError
            The rows are no blocks of N: nobody knows whose they are.
        """
        import torch

        assert isinstance(parameters, LstmAeParameters)
        if rows.ndim != 3 or rows.shape[1] != parameters.sequence_rows:
            want = f"blocks of {parameters.sequence_rows} rows of one entity for {cls.name}"
            raise ConfigError("training rows", f"of shape {rows.shape}", want)
        n_columns = rows.shape[2]
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            first = _initial(_shapes(parameters, n_columns), generator)
            weights = [w.to(device).requires_grad_() for w in first]
            kept = descend(
                weights,
                lambda batch, _: _loss(batch, tuple(weights)),
                torch.from_numpy(rows),
                torch.from_numpy(validation if len(validation) else rows),
                parameters,
                generator,
                progress,
                cls.name,
            )
        return cls(parameters, n_columns, tuple(kept))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights and biases, float32."""
        return {name: w.numpy() for name, w in zip(_NAMES, self._weights, strict=True)}

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the weights after checking each shape."""
        import torch

        assert isinstance(parameters, LstmAeParameters)
        shapes = _shapes(parameters, n_columns)
        taken = [
            take_array(arrays, name, shape, np.float32)
            for name, shape in zip(_NAMES, shapes, strict=True)
        ]
        refuse_others(arrays, frozenset(_NAMES))
        # Copies: loaded arrays may be read-only, which torch does not know.
        return cls(parameters, n_columns, tuple(torch.from_numpy(array.copy()) for array in taken))

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        squared, n_real = self._squared(rows)
        error: NDArray[np.float64] = squared.mean(axis=2).astype(np.float64).sum(axis=0) / n_real
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        squared, _ = self._squared(rows)
        return by_column(squared.sum(axis=0), column_of)

    def _latent(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            code: Rows = self._encode(rows, _absent(rows)).numpy()
        return code[: len(rows), : self._n_units].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            code = self._encode(rows, _absent(rows))
            newest: Rows = _decoded(code, 1, self._wide)[0].numpy()
        return newest[: len(rows), : self.n_columns]

    def _encode(self, rows: Rows, absent: NDArray[np.bool_]) -> "Tensor":
        steps = []
        for k in range(self._n_rows):
            step = rows[:, k]
            if absent[:, k].any():  # never of the newest row
                step = np.where(absent[:, k, None], np.float32(0), step)
            steps.append(padded(step))
        return _encoded(steps, padded((~absent).astype(np.float32)), self._wide)

    def _squared(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared differences, newest first, (1 or N, B, C), 0 where absent; and real rows (B,)."""
        import torch

        absent = _absent(rows)
        squared = np.zeros((self._decoded_rows, len(rows), self.n_columns), np.float32)
        with torch.inference_mode():
            code = self._encode(rows, absent)
            for back, decoded in enumerate(_decoded(code, self._decoded_rows, self._wide)):
                at = self._n_rows - 1 - back
                step = decoded.numpy()[: len(rows), : self.n_columns]
                real = ~absent[:, at]
                squared[back, real] = (step[real] - rows[real, at]) ** 2
        return squared, (~absent[:, self._n_rows - self._decoded_rows :]).sum(axis=1)


def _absent(rows: Rows) -> NDArray[np.bool_]:
    """Which rows of each block the entity has not had, (B, N): NaN from the first on."""
    absent = np.logical_and.accumulate(np.isnan(rows).all(axis=2), axis=1)
    # The row itself is there: if all of it is NaN then a feature is broken, and so is the score.
    absent[:, -1] = False
    return absent


def _shapes(parameters: LstmAeParameters, n_columns: int) -> list[tuple[int, ...]]:
    """Shapes of the weights, as `_NAMES` has them."""
    units = parameters.units or max(1, n_columns // 2)
    gates = _GATES * units
    return [
        *((gates, n_columns), (gates, units), (gates,)),
        *((gates, units), (gates, units), (gates,)),
        *((n_columns, units), (n_columns,)),
    ]


def _initial(shapes: list[tuple[int, ...]], generator: Any) -> list["Tensor"]:
    """Uniform within one over the root of the units; what is known is kept at first.

    A forget gate that begins at 1: Jozefowicz et al. 2015.
    """
    import torch

    units = shapes[1][1]
    bound = units**-0.5
    weights = [torch.empty(s).uniform_(-bound, bound, generator=generator) for s in shapes]
    for name, weight in zip(_NAMES, weights, strict=True):
        if name in ("encoder.bias", "decoder.bias"):
            weight[units : 2 * units] += 1
    return weights


def _widened(weights: "Weights", units: int) -> "Weights":
    """The same with at least MIN_WIDTH units and columns; those that are added stay 0."""
    import torch

    room = max(MIN_WIDTH, units)
    wide = []
    for name, weight in zip(_NAMES, weights, strict=True):
        n_gates = 1 if name.startswith("output") else _GATES
        n_out = max(MIN_WIDTH, len(weight)) if n_gates == 1 else room
        shape = list(weight.shape[1:])
        if name != "encoder.input" and shape:
            shape = [room]
        filled = torch.zeros(n_gates, n_out, *shape)
        parts = weight.view(n_gates, -1, *weight.shape[1:])
        filled[(slice(None), slice(parts.shape[1]), *map(slice, parts.shape[2:]))] = parts
        wide.append(filled.view(n_gates * n_out, *shape))
    return tuple(wide)


def _stepped(gates: "Tensor", memory: "Tensor | None") -> tuple["Tensor", "Tensor"]:
    """State and memory, (B, U) each, after gates (B, 4 U); at first there is no memory."""
    units = gates.shape[1] // _GATES
    opened = activate(gates[:, : 3 * units], "sigmoid")
    candidate = gates[:, 3 * units :].tanh()
    taken = opened[:, :units] * candidate
    if memory is not None:
        taken = taken + opened[:, units : 2 * units] * memory
    return opened[:, 2 * units :] * taken.tanh(), taken


def _encoded(steps: list["Tensor"], is_real: "Tensor", weights: "Weights") -> "Tensor":
    """Read rows, N times (B, C), 0 where `is_real` (B, N) is 0, and give the code, (B, U)."""
    import torch

    into, own, bias = weights[:3]
    state = memory = None
    for k, step in enumerate(steps):
        gates = torch.addmm(bias, step, into.t())
        if state is not None:
            gates = torch.addmm(gates, state, own.t())
        state, memory = _stepped(gates, memory)
        # What is absent stands in front: until the first real row nothing is remembered.
        here = is_real[:, k : k + 1]
        state, memory = state * here, memory * here
    assert state is not None
    return state


def _decoded(code: "Tensor", n_rows: int, weights: "Weights") -> list["Tensor"]:
    """Rows, n_rows times (B, C), the newest first."""
    import torch

    into, own, bias, out, out_bias = weights[3:]
    read = torch.addmm(bias, code, into.t())
    state, memory = _stepped(read, None)
    rows = [torch.addmm(out_bias, state, out.t())]
    for _ in range(1, n_rows):
        state, memory = _stepped(torch.addmm(read, state, own.t()), memory)
        rows.append(torch.addmm(out_bias, state, out.t()))
    return rows


def _loss(batch: "Tensor", weights: "Weights") -> "Tensor":
    """Mean over real rows and columns of the squared difference, (B,), of blocks (B, N, C)."""
    import torch

    is_real = (~batch.isnan().all(2)).to(batch.dtype)  # (B, N)
    filled = batch.nan_to_num(0.0)
    steps = list(filled.unbind(1))
    rows = _decoded(_encoded(steps, is_real, weights), len(steps), weights)
    total = torch.zeros_like(is_real[:, 0])
    for back, row in enumerate(rows):
        at = len(steps) - 1 - back
        total = total + (row - steps[at]).square().mean(1) * is_real[:, at]
    return total / is_real.sum(1)

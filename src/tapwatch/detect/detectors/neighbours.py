"""`neighbours`: distance of a row from the nearest of a memory of benign rows.

Letters of the shape comments: B rows of C columns, R rows in memory.
"""

from typing import Annotated, Any, Final, Self

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
    take_array,
)
from tapwatch.detect.detectors.layers import MIN_ROWS, forward, one_thread, padded, widened
from tapwatch.errors import ArtifactError

#: Rows compared with the memory at once: their distances from all of it stay in the cache.
_BLOCK_ROWS: Final = 256
#: Fewer where the memory is large: so many distances are held at most, 64 MiB of them.
_DISTANCES: Final = 1 << 24


class NeighboursParameters(Parameters):
    """What may be set of the memory."""

    references: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    """Rows that are kept, at most."""
    balance: Annotated[float, Field(ge=0, le=1)] = 1.0
    """1 keeps about as many rows of each kind, less more of the common ones; 0 a plain sample. Rows
    are of one kind where they agree after rounding to whole preprocessed units."""


class Neighbours(Detector):
    """A row far from every benign row that was kept is unusual.

    The error is the root of the mean over columns of the squared difference between the row and
    the nearest row in memory, in preprocessed space. Rare kinds of rows are kept as well as common
    ones: a sample in proportion would hold a thousand times the commonest row, and the rare but
    benign ones would all lie far from it.
    """

    name = "neighbours"
    parameters_type = NeighboursParameters

    def __init__(
        self, parameters: NeighboursParameters, references: Rows, squared: NDArray[np.float32]
    ) -> None:
        import torch

        self.parameters = parameters
        self.n_columns = references.shape[1]
        self._references = references  # (R, C)
        self._squared = squared  # (R,) length of each, squared
        memory = torch.from_numpy(references.copy())
        # |r|^2 - 2 r x: what of the squared distance differs between the rows in memory.
        self._wide = widened([(memory.mul(-2.0), torch.from_numpy(squared.copy()))])

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
        """Draw the rows that are kept, in the order of the rows."""
        assert isinstance(parameters, NeighboursParameters)
        random = np.random.default_rng(seed)
        n = min(parameters.references, len(rows))
        weight = kind_counts(rows) ** -parameters.balance
        kept = random.choice(len(rows), n, replace=False, p=weight / weight.sum())
        references = np.ascontiguousarray(rows[np.sort(kept)])
        squared = (references.astype(np.float64) ** 2).sum(axis=1)
        model = cls(parameters, references, squared.astype(np.float32))
        judged = float(model.score(validation).mean()) if len(validation) else 0.0
        progress(Epoch(1, 1, judged, judged, is_best=True))
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The rows in memory (R, C), and their squared lengths (R,), float32."""
        return {"references": self._references, "squared": self._squared}

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the rows in memory after checking them."""
        assert isinstance(parameters, NeighboursParameters)
        shape = arrays["references"].shape if "references" in arrays else (1, n_columns)
        if len(shape) != 2 or not 1 <= shape[0] <= parameters.references:
            raise ArtifactError(
                f"array references: {shape}: want 1 to {parameters.references} rows"
            )
        references = take_array(arrays, "references", (shape[0], n_columns), np.float32)
        squared = take_array(arrays, "squared", (shape[0],), np.float32)
        refuse_others(arrays, frozenset({"references", "squared"}))
        return cls(parameters, references, squared)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        squared = self._away(rows).astype(np.float64) ** 2
        error: NDArray[np.float64] = np.sqrt(squared.mean(axis=1))
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        return by_column(self._away(rows).astype(np.float64) ** 2, column_of)

    def _expected(self, rows: Rows) -> Rows:
        return self._references[self._nearest(rows)]

    def _away(self, rows: Rows) -> Rows:
        return np.ascontiguousarray(rows) - self._expected(rows)

    def _nearest(self, rows: Rows) -> NDArray[np.int64]:
        """Place of the nearest row in memory, the first of several, (B,)."""
        import torch

        nearest = np.empty(len(rows), np.int64)
        at_once = max(MIN_ROWS, min(_BLOCK_ROWS, _DISTANCES // len(self._references)))
        with one_thread(), torch.inference_mode():
            for start in range(0, len(rows), at_once):
                block = padded(rows[start : start + at_once])
                farness = forward(block, self._wide, "linear")[:, : len(self._references)]
                found = farness.argmin(1).numpy()
                nearest[start : start + at_once] = found[: len(rows) - start]
        return nearest


def kind_counts(rows: Rows) -> NDArray[np.float64]:
    """Rows of the kind that each row is of, (n_rows,)."""
    kinds = np.empty(rows.shape, np.int8)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS]
        kinds[start : start + CHUNK_ROWS] = np.clip(np.round(part), -127, 127)
    _, kind, count = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    return count[kind.ravel()].astype(np.float64)

"""The one face that every detector has, and what all of them share: checks and bounded chunks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tapwatch.errors import ArtifactError, ConfigError

#: Rows that a detector works on at once, whatever it is given: bounds its scratch memory.
CHUNK_ROWS: Final = 4096

#: (n_rows, n_columns) preprocessed. For a model of sequences (n_rows, N, n_columns): the last N
#: rows of the row's entity, the row itself last; in front, what the entity has not had is NaN.
Rows = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]


class Parameters(BaseModel):
    """Hyper-parameters of a detector; `--set KEY=VALUE` and the bundle both pass through here."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Epoch:
    """How far a fit has come."""

    number: int  # 1-based
    of: int  # at most
    train_loss: float
    validation_loss: float
    is_best: bool


#: Told after every epoch.
Progress = Callable[[Epoch], None]


def silent(_epoch: Epoch) -> None:
    """Report nothing."""


class Detector(ABC):
    """Says how unusual a preprocessed row is; higher is more unusual.

    A row's results never depend on the other rows of the call: batch size is no part of a score.
    """

    name: ClassVar[str]
    parameters_type: ClassVar[type[Parameters]]
    #: Whether there is a latent space to look into, `latent`.
    has_latent: ClassVar[bool] = False
    #: Whether what a fit learns depends on the seed.
    is_seeded: ClassVar[bool] = True

    parameters: Parameters
    n_columns: int

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row: (n_columns,), or (N, n_columns) for a model of sequences."""
        return (self.n_columns,)

    @property
    def most_error(self) -> float:
        """No finite row has a larger error, whatever is learnt; infinity where that is not known.

        A threshold stays below it: one that no error can exceed would flag nothing.
        """
        return math.inf

    @classmethod
    @abstractmethod
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
        """Learn what benign rows look like.

        Parameters
        ----------
        rows : float32 (n_rows, n_columns)
            Preprocessed benign rows to learn from.
        validation : float32 (n_validation, n_columns)
            Benign rows that tell when to stop; not learnt from.
        parameters : Parameters
            Of the detector's own class.
        seed : int
            Same rows, parameters and seed give the same detector, bit for bit.
        device : str
            "cpu" or "cuda".
        progress : callable
            Told after every epoch.
        """

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything learnt, as plain arrays."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Build the detector that `arrays()` came from.

        Raises
        ------
        ArtifactError
            An array is missing, superfluous, or of another shape or dtype.
        """

    @abstractmethod
    def _score(self, rows: Rows) -> NDArray[np.float64]:
        """Error of at most CHUNK_ROWS rows."""

    @abstractmethod
    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Parts >= 0 of the error of at most CHUNK_ROWS rows, (n_rows, max(column_of) + 1)."""

    @abstractmethod
    def _expected(self, rows: Rows) -> Rows:
        """Expected values of at most CHUNK_ROWS rows."""

    def score(self, rows: Rows) -> NDArray[np.float64]:
        """Error per row.

        Parameters
        ----------
        rows : float32 (n_rows, n_columns)
            Preprocessed; left as they are.

        Returns
        -------
        error : float64 (n_rows,)

        Raises
        ------
        ArtifactError
            The number of columns is not the detector's.
        """
        parts = [self._score(part) for part in self._chunks(rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def contributions(
        self, rows: Rows, column_of: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Share of each column in the error; a row sums to 1.

        Where the error is a sum over inputs it is the part of that column's inputs; elsewhere the
        drop of the error when the column is set to its benign median.

        Parameters
        ----------
        rows : float32 (n_rows, n_columns)
            Preprocessed; left as they are.
        column_of : int64 (n_columns,), optional
            The column that each input is of, from 0 without gaps: a class has several inputs. By
            default each input is a column.

        Returns
        -------
        share : float64 (n_rows, max(column_of) + 1)
        """
        if column_of is None:
            column_of = np.arange(self.n_columns)
        parts = [shares_of(self._contributions(part, column_of)) for part in self._chunks(rows)]
        n_shares = int(column_of.max()) + 1
        return np.concatenate(parts) if parts else np.zeros((0, n_shares))

    def latent(self, rows: Rows) -> Rows:
        """Where the encoder puts rows in the latent space, float32 (n_rows, n_latent).

        Raises
        ------
        ConfigError
            The detector has no encoder.
        """
        parts = [self._latent(part) for part in self._chunks(rows)]
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    def _latent(self, rows: Rows) -> Rows:
        """Codes of at most CHUNK_ROWS rows; who has an encoder says so, and overrides this."""
        raise ConfigError("detector", self.name, "one with a latent space")

    def expected(self, rows: Rows) -> Rows:
        """What the detector would have expected, (n_rows, n_columns), in preprocessed space."""
        parts = [self._expected(part) for part in self._chunks(rows)]
        return np.concatenate(parts) if parts else np.zeros((0, self.n_columns), np.float32)

    def _chunks(self, rows: Rows) -> Iterator[Rows]:
        if rows.shape[1:] != self.row_shape or rows.ndim < 2:
            want = ", ".join(map(str, self.row_shape))
            raise ArtifactError(
                f"detector {self.name}: rows of shape {rows.shape}: want (n, {want})"
            )
        for start in range(0, len(rows), CHUNK_ROWS):
            yield rows[start : start + CHUNK_ROWS]


class OnlineDetector(Detector):
    """One that goes on learning from the rows that it scores and that are not flagged.

    Rows are scored in blocks of `block_rows`, counted from the first row on: all rows of a block
    are scored by what had been learnt before it, and those of them that were not flagged are then
    learnt. So scores do not depend on how the rows are batched.
    """

    block_rows: ClassVar[int]

    @abstractmethod
    def copy(self) -> Self:
        """Give one that learns for itself: a bundle may be shared by threads."""

    @abstractmethod
    def learn(self, rows: Rows) -> None:
        """Learn from rows (n_rows, n_columns) that were not flagged, at most `block_rows`."""


def tell_once(model: Detector, rows: Rows, validation: Rows, progress: Progress) -> None:
    """Tell of a fit that has no epochs: mean errors of rows, and of validation rows if any."""
    loss = float(model.score(rows).mean())
    judged = float(model.score(validation).mean()) if len(validation) else loss
    progress(Epoch(1, 1, loss, judged, is_best=True))


def by_column(
    parts: NDArray[np.floating[Any]], column_of: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum parts of an error, (n_rows, n_inputs), over the inputs of each column."""
    sums = np.zeros((int(column_of.max()) + 1, len(parts)))
    np.add.at(sums, column_of, parts.T.astype(np.float64))
    return sums.T


def shares_of(parts: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Turn parts >= 0 of an error, (n_rows, n_columns), into shares; nothing is shared evenly."""
    # Row after row in memory, or the order of the sums would depend on the number of rows.
    parts = np.ascontiguousarray(parts, np.float64)
    total = parts.sum(axis=1, keepdims=True)
    even = np.full_like(parts, 1.0 / parts.shape[1])
    shares: NDArray[np.float64] = np.divide(parts, total, out=even, where=total > 0)
    return shares


def take_array(
    arrays: Arrays, key: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> NDArray[Any]:
    """Return arrays[key] after checking that it is what is wanted and finite.

    Raises
    ------
    ArtifactError
        Naming the key, what was found and what is wanted.
    """
    if key not in arrays:
        raise ArtifactError(f"array {key}: absent: want {dtype.__name__} {shape}")
    array = arrays[key]
    if array.shape != shape or array.dtype != dtype:
        raise ArtifactError(
            f"array {key}: {array.dtype} {array.shape}: want {dtype.__name__} {shape}"
        )
    if not np.isfinite(array).all():
        raise ArtifactError(f"array {key}: holds NaN or infinity: want finite values")
    return array


def refuse_others(arrays: Arrays, wanted: frozenset[str]) -> None:
    """Raise ArtifactError where there are arrays that nobody asked for."""
    if others := sorted(set(arrays) - wanted):
        raise ArtifactError(f"array {others[0]}: not known: want only {', '.join(sorted(wanted))}")

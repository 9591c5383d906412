"""Shares by ablation, for errors that are no sum over columns.

A column's part is what the error falls by when the column is set to what benign rows usually have
there, all its inputs together. Parts below 0, of columns that made the row look more ordinary, are
0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import CHUNK_ROWS, Arrays, Rows, take_array

#: Names of the arrays that a detector stores for `Usual`.
USUAL_ARRAYS: Final = frozenset({"usual.median", "usual.words"})


@dataclass(frozen=True, slots=True)
class Usual:
    """What benign rows usually have, by input.

    The median by input would leave a column of classes without a word where none is had by half
    of the rows. So inputs that are 0 or one other value, as those of classes are, also keep their
    mean: of the inputs of one column, the one with the largest belongs to the most frequent word,
    and as each row has exactly one word, their sum is its height.
    """

    median: NDArray[np.float32]  # (n_columns,)
    words: NDArray[np.float64]  # (n_columns,) mean of inputs that are 0 or one height, else 0

    @classmethod
    def fit(cls, rows: Rows) -> Self:
        """Look at benign rows (n_rows, n_columns), a column at a time."""
        median = np.empty(rows.shape[1], np.float32)
        words = np.zeros(rows.shape[1])
        for k in range(rows.shape[1]):
            column = np.ascontiguousarray(rows[:, k])
            median[k] = np.median(column)
            height = column.max()
            if height > 0 and ((column == 0) | (column == height)).all():
                words[k] = column.mean(dtype=np.float64)
        return cls(median, words)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Both, as a detector stores them among its own."""
        return {"usual.median": self.median, "usual.words": self.words}

    @classmethod
    def from_arrays(cls, n_columns: int, arrays: Arrays) -> Self:
        """Take both; raises ArtifactError where one is absent or not as wanted."""
        return cls(
            take_array(arrays, "usual.median", (n_columns,), np.float32),
            take_array(arrays, "usual.words", (n_columns,), np.float64),
        )

    def row(self, column_of: NDArray[np.int64]) -> NDArray[np.float32]:
        """One row (n_columns,) of what is usual, with one word in each column of classes."""
        row = self.median.copy()
        for column in np.flatnonzero(np.bincount(column_of) > 1):
            inputs = np.flatnonzero(column_of == column)
            words = self.words[inputs]
            if words.any():
                row[inputs] = 0
                row[inputs[words.argmax()]] = words.sum()
        return row

    def expected(self, n_rows: int) -> Rows:
        """What is usual, for each of n_rows rows, (n_rows, n_columns).

        That is the median of an input; of one that is 0 or one height, as those of words are, its
        mean, unless that is 0. Whoever reads classes out of it takes the largest input of each: the
        most frequent word.
        """
        row = np.where(self.words > 0, self.words, self.median).astype(np.float32)
        return np.tile(row, (n_rows, 1))


def drops(
    score: Callable[[Rows], NDArray[np.float64]],
    rows: Rows,
    column_of: NDArray[np.int64],
    usual: Usual,
) -> NDArray[np.float64]:
    """What the error falls by when a column is set to what is usual.

    Parameters
    ----------
    score : callable
        Error of at most CHUNK_ROWS rows, whatever the company of a row.
    rows : float32 (n_rows, n_columns)
        At most CHUNK_ROWS; left as they are.
    column_of : int64 (n_columns,)
        The column that each input is of.
    usual : Usual

    Returns
    -------
    parts : float64 (n_rows, max(column_of) + 1)
        Not negative.

    Notes
    -----
    A row that has what is usual in a column already is not scored again for it. As many changed
    rows are scored at once as go into a chunk: that, not the number of columns, bounds the memory.
    """
    parts = np.zeros((len(rows), int(column_of.max()) + 1))
    if not len(rows):
        return parts
    before, row = score(rows), usual.row(column_of)
    other = np.zeros(parts.shape, np.bool_)
    np.logical_or.at(other.T, column_of, (rows != row).T)
    at, column = np.nonzero(other)
    for start in range(0, len(at), CHUNK_ROWS):
        which = slice(start, start + CHUNK_ROWS)
        changed = np.where(column_of == column[which, None], row, rows[at[which]])
        parts[at[which], column[which]] = before[at[which]] - score(changed)
    return np.maximum(parts, 0)

"""Which rows are the same, bit for bit; 0 and -0 are the same."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.evaluation.protocol import Flags, Values

_BLOCK_ROWS: Final = 65_536
_SHIFT: Final = np.uint64(32)


def row_keys(values: Values) -> NDArray[np.uint64]:
    """A number for each row (n, n_columns): equal rows have equal ones.

    Two different rows share one with a probability of about 2 ** -64: the bits of each column are
    mixed, and multiplied with odd numbers that are drawn once for all.
    """
    odd = np.random.default_rng(0).integers(0, 1 << 63, (2, values.shape[1]), np.uint64)
    odd = (odd << np.uint64(1)) | np.uint64(1)
    keys = np.empty(len(values), np.uint64)
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS] + np.float32(0)  # -0 + 0 is 0
        bits = np.ascontiguousarray(block).view(np.uint32).astype(np.uint64)
        mixed = (bits + odd[0]) * odd[1]
        mixed = (mixed ^ (mixed >> _SHIFT)) * odd[0]
        keys[start : start + len(block)] = mixed.sum(axis=1, dtype=np.uint64)
    return keys


def first_of_each(values: Values) -> NDArray[np.intp]:
    """Places of the rows that no earlier row equals, ascending."""
    return np.sort(np.unique(row_keys(values), return_index=True)[1])


def stands_in(values: Values, others: Values) -> Flags:
    """Which rows equal one of the others."""
    return np.isin(row_keys(values), row_keys(others))

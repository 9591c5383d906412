"""Sequences in a Parquet file: a column is a list of its last N values, newest last."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tapwatch.errors import ConfigError
from tapwatch.features.sequences.layout import check_length
from tapwatch.tables import Column

#: Which of the values of a list are real: so many, from its end. Others are 0, or no word.
LENGTH_COLUMN: Final = "sequence_length"


def check_sequence(n: int, kind: str) -> None:
    """Refuse sequences that a file of this format cannot hold.

    Raises
    ------
    ConfigError
        The length is out of bounds, or the file is CSV.
    """
    check_length(n)
    if kind != "parquet":
        raise ConfigError("--sequence", n, "-o FILE.parquet", "CSV has no lists")


def list_type(column: Column, n: int) -> pa.DataType:
    """Type of a column whose values are lists."""
    plain = {"int64": pa.int64(), "float64": pa.float64()}[column.dtype]
    return pa.list_(pa.string() if column.categories else plain, n)


def list_array(column: Column, values: NDArray[Any], lengths: NDArray[Any]) -> pa.Array:
    """Values of one column, float64 (n_rows, N), as lists.

    A class that is not there, in front of the first row of an entity, is null.
    """
    n = values.shape[1]
    numbers = values.astype(np.dtype(column.dtype))
    if column.categories:
        is_absent = np.arange(n) < n - lengths[:, None]
        indices = pa.array(numbers.ravel().astype(np.int32), mask=is_absent.ravel())
        return pa.FixedSizeListArray.from_arrays(pa.array(column.categories).take(indices), n)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), n)

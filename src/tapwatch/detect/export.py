"""Rows as a Wireshark export would give them: for models that were trained on one."""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import Schema

#: The column whose class decides what an export gives.
LABEL: Final = "protocol"
_ANY: Final = ("*",)


@lru_cache(maxsize=16)
def _given(schema: Schema) -> tuple[int, NDArray[np.bool_], NDArray[np.float64]]:
    """Place of the label, which columns a row of each label gives, what stands in the others."""
    place = schema.names.index(LABEL) if LABEL in schema.names else -1
    labels = schema.columns[place].categories if place >= 0 else ()
    given = np.zeros((max(len(labels), 1), len(schema.columns)), np.bool_)
    for k, column in enumerate(schema.columns):
        if column.export == _ANY:
            given[:, k] = True
        else:
            given[[labels.index(word) for word in column.export if word in labels], k] = True
    return place, given, np.array([column.absent for column in schema.columns], np.float64)


def as_export(schema: Schema, values: NDArray[Any]) -> NDArray[Any]:
    """What is left of rows when they go through a Wireshark export.

    Parameters
    ----------
    schema : Schema
        Its columns say what an export gives (`Column.export`) and what stands elsewhere.
    values : float32 or float64 (n_rows, n_columns)

    Returns
    -------
    values : of the same shape and dtype
        A value that no export gives, or not on a row of this protocol label, is `Column.absent`.
    """
    place, given, absent = _given(schema)
    if place < 0:
        rows = np.zeros(len(values), np.intp)
    else:
        rows = np.clip(values[:, place], 0, len(given) - 1).astype(np.intp)
    return np.where(given[rows], values, absent.astype(values.dtype))

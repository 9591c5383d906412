"""Rows as a Wireshark export would give them: for models that were trained on one."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import Schema

#: The column whose class decides what an export gives.
LABEL: Final = "protocol"
_ANY: Final = ("*",)
#: What no column that an export gives depends on: the borders of flows. Conversations, which the
#: TCP analysis is of, are ended by no timeout.
_NOT_GIVEN: Final = "flows."

#: Place of the label, which columns a row of each label gives, what stands in the others.
Given = tuple[int, NDArray[np.bool_], NDArray[np.float64]]
_Value = TypeVar("_Value")


def settings_given(settings: Mapping[str, _Value]) -> dict[str, _Value]:
    """Those keys of the configuration that values in an export depend on."""
    return {key: value for key, value in settings.items() if not key.startswith(_NOT_GIVEN)}


def given_of(schema: Schema) -> Given:
    """What an export gives of the columns of a schema."""
    place = schema.names.index(LABEL) if LABEL in schema.names else -1
    labels = schema.columns[place].categories if place >= 0 else ()
    given = np.zeros((max(len(labels), 1), len(schema.columns)), np.bool_)
    for k, column in enumerate(schema.columns):
        if column.export == _ANY:
            given[:, k] = True
        else:
            given[[labels.index(word) for word in column.export if word in labels], k] = True
    return place, given, np.array([column.absent for column in schema.columns], np.float64)


def as_export(schema: Schema, values: NDArray[Any], given: Given | None = None) -> NDArray[Any]:
    """What is left of rows when they go through a Wireshark export.

    Parameters
    ----------
    schema : Schema
        Its columns say what an export gives (`Column.export`) and what stands elsewhere.
    values : float32 or float64 (n_rows, n_columns)
    given : optional
        `given_of` the schema, for those who ask often.

    Returns
    -------
    values : of the same shape and dtype
        A value that no export gives, or not on a row of this protocol label, is `Column.absent`.
    """
    place, by_label, absent = given_of(schema) if given is None else given
    if place < 0:
        rows = np.zeros(len(values), np.intp)
    else:
        rows = np.clip(values[:, place], 0, len(by_label) - 1).astype(np.intp)
    return np.where(by_label[rows], values, absent.astype(values.dtype))

"""How the columns of a view become a schema that a model can be bound to."""

import hashlib
import json
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from tapwatch.tables import Column, Schema


def make_schema(view: str, version: int, columns: Sequence[Column]) -> Schema:
    """Bind columns into a schema with its digest.

    Parameters
    ----------
    view : str
        Name of the view.
    version : int
        Goes up when a column comes, goes, moves, or changes what its values are.
    columns : sequence of Column
        In the order of the matrix.

    Returns
    -------
    schema : Schema
        `digest` is the SHA-256 of the canonical JSON of what values depend on: view, version, and
        name, unit, dtype, formula, classes and what an export gives of each column. Prose (source,
        meaning) may change freely.

    Raises
    ------
    ValueError
        Two columns have the same name.
    """
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"view {view}: column names occur twice: {', '.join(twice)}")
    bound = {
        "view": view,
        "version": version,
        "columns": [_bound(column) for column in columns],
    }
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Schema(view, version, tuple(columns), hashlib.sha256(text.encode()).hexdigest())


def _bound(column: Column) -> list[Any]:
    bound: list[Any] = [column.name, column.unit, column.dtype, column.formula]
    if column.categories:
        bound.append({"categories": column.categories})
    if column.export:
        bound.append({"export": column.export, "absent": column.absent})
    return bound


def position_type(name: str, module: str, columns: Sequence[Column]) -> Any:
    """Make the named tuple type that says where each column is; kernels take it as a constant.

    Numba stores the type by its name in the cache, so it has to be the global `name` of `module`.
    """
    return namedtuple(name, [column.name for column in columns], module=module)

"""Room 4: packets and ended flows become rows of numbers, under a versioned schema.

`SCHEMAS` and `schema_of` come without numba; the kernels are imported when `VIEWS` is asked for,
pyarrow when `tapwatch.features.table` writes.
"""

from typing import TYPE_CHECKING, Any

from tapwatch.features.catalog import SCHEMAS, schema_of
from tapwatch.features.view import View

if TYPE_CHECKING:
    from tapwatch.features.views import VIEWS

__all__ = ["SCHEMAS", "VIEWS", "View", "schema_of"]


def __getattr__(name: str) -> Any:
    if name != "VIEWS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tapwatch.features.views import VIEWS

    return VIEWS

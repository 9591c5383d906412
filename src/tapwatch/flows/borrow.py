"""Arrays without reference counts, for kernels.

Numba counts references to each array that it takes out of a tuple or hands to a helper, with an
atomic addition each time; for the flow kernel that is as much work as everything else. A kernel's
arguments outlive the call, so inside it the counting protects nothing.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit
from numba.extending import intrinsic

from tapwatch.flows.layout import Table

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def borrow(array: Any) -> Any:
        """Give the array itself."""
        return array

else:

    @intrinsic
    def borrow(_context: Any, array: Any) -> Any:
        """Give the same array without its owner; valid as long as an owner lives elsewhere."""

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            value = arguments[0]
            # The first two members of Numba's array are the memory's owner and the parent object.
            for member in range(2):
                null = ir.Constant(value.type.elements[member], None)
                value = builder.insert_value(value, null, member)
            return value

        return array(array), generate


@njit
def borrow_table(table: Table) -> Table:
    """Give the same table with all arrays borrowed."""
    return Table(
        borrow(table.rows),
        borrow(table.row_words),
        borrow(table.nodes),
        borrow(table.slots),
        borrow(table.buckets),
        borrow(table.parameters),
    )

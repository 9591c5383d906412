"""Asking the memory for a row before it is needed.

A table of many megabytes is not in the cache, and a kernel that walks over packets knows early
which rows it will touch.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import config
from numba.core import cgutils, types
from numba.extending import intrinsic

_CACHE_LINE_BYTES = 64

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def prefetch(array: Any, index: int) -> None:
        """Do nothing."""

else:

    @intrinsic
    def prefetch(_context: Any, array: Any, index: Any) -> Any:
        """Fetch the cache lines of the record array[index], to be written; changes nothing else.

        Bounds: none are needed, for the processor ignores an address that is not there.
        """
        n_lines = -(-array.dtype.size // _CACHE_LINE_BYTES)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = signature.args[0]
            view = context.make_array(kind)(context, builder, arguments[0])
            record = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
                context, builder, kind, view, [arguments[1]], wraparound=False
            )
            byte, integer = ir.IntType(8), ir.IntType(32)
            first = builder.bitcast(record, byte.as_pointer())
            function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module,
                ir.FunctionType(ir.VoidType(), [first.type, integer, integer, integer]),
                "llvm.prefetch.p0",
            )
            how = [integer(1), integer(3), integer(1)]  # write; keep in all levels; data
            for line in range(n_lines):
                builder.call(
                    function,
                    [builder.gep(first, [ir.IntType(64)(line * _CACHE_LINE_BYTES)]), *how],
                )
            return context.get_dummy_value()

        return types.void(array, index), generate

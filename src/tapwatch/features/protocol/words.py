"""Numbers in a payload, and how the helpers of the label kernel are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def helper(function: _Function) -> _Function:
    """Compile a function that only compiled functions call, and that creates no array.

    It needs no reference counts then: its caller holds the arrays.
    """
    compiled: Any = njit(_nrt=False)  # type: ignore[call-overload]
    return compiled(function)  # type: ignore[no-any-return]


def entry(function: _Function) -> _Function:
    """Compile an entry point that, as its helpers, creates no array."""
    compiled: Any = njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
    return compiled(function)  # type: ignore[no-any-return]


# None of these checks a bound: the caller has, and says where.


@helper
def be8(data: NDArray[np.uint8], at: int) -> int:
    """One byte."""
    # The index unsigned, or Numba looks for negative ones; the value signed and wide, or NumPy
    # (NUMBA_DISABLE_JIT=1) shifts a uint8 to 0.
    return int(np.int64(data[np.uintp(at)]))


@helper
def be16(data: NDArray[np.uint8], at: int) -> int:
    """Two bytes."""
    return be8(data, at) << 8 | be8(data, at + 1)


@helper
def be24(data: NDArray[np.uint8], at: int) -> int:
    """Three bytes."""
    return be16(data, at) << 8 | be8(data, at + 2)


@helper
def be32(data: NDArray[np.uint8], at: int) -> int:
    """Four bytes."""
    return be16(data, at) << 16 | be16(data, at + 2)


@helper
def le16(data: NDArray[np.uint8], at: int) -> int:
    """Two bytes, least significant first."""
    return be8(data, at) | be8(data, at + 1) << 8


@helper
def le32(data: NDArray[np.uint8], at: int) -> int:
    """Four bytes, least significant first."""
    return le16(data, at) | le16(data, at + 2) << 16


@helper
def number(data: NDArray[np.uint8], at: int, n_bytes: int, is_little: int) -> int:
    """One to four bytes, in either order."""
    value = 0
    for k in range(n_bytes):
        place = n_bytes - 1 - k if is_little else k
        value = value << 8 | be8(data, at + place)
    return value

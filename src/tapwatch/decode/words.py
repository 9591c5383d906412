"""Numbers in network byte order, and how the helpers of the kernel are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def helper(function: _Function) -> _Function:
    """Compile a function that only compiled functions call, and that creates no array.

    It needs no reference counts then: its caller holds the arrays. Left to itself, Numba counts at
    every call and every return, atomically, which took half the time of the whole room.
    """
    compiled: Any = njit(_nrt=False)  # type: ignore[call-overload]
    return compiled(function)  # type: ignore[no-any-return]


# None of these checks a bound: the caller has, and says where.


@helper
def be8(data: NDArray[np.uint8], at: int) -> int:
    """One byte."""
    # The index unsigned, or Numba looks for negative ones. The value signed and wide, or Numba
    # makes float64 of uint64 and int64 mixed, and NumPy (NUMBA_DISABLE_JIT=1) shifts a uint8 to 0.
    return int(np.int64(data[np.uintp(at)]))


@helper
def be16(data: NDArray[np.uint8], at: int) -> int:
    """Two bytes."""
    return be8(data, at) << 8 | be8(data, at + 1)


@helper
def be32(data: NDArray[np.uint8], at: int) -> int:
    """Four bytes, an IPv4 address."""
    return be16(data, at) << 16 | be16(data, at + 2)


@helper
def be48(data: NDArray[np.uint8], at: int) -> int:
    """Six bytes, a MAC address."""
    return be16(data, at) << 32 | be32(data, at + 2)


@helper
def be64(data: NDArray[np.uint8], at: int) -> np.uint64:
    """Eight bytes, half an IPv6 address; the only one that does not fit int64."""
    return np.uint64(be32(data, at)) << np.uint64(32) | np.uint64(be32(data, at + 4))


@helper
def le16(data: NDArray[np.uint8], at: int) -> int:
    """Two bytes, least significant first: radio headers, and what a PC wrote in its own order."""
    return be8(data, at) | be8(data, at + 1) << 8


@helper
def le32(data: NDArray[np.uint8], at: int) -> int:
    """Four bytes, least significant first."""
    return le16(data, at) | le16(data, at + 2) << 16

"""Arithmetic of the kernels that cannot overflow, divide by zero or leave what float32 can hold."""

from typing import Any, Final

import numpy as np
from numba import config, njit

#: The largest float32. No real packet or flow comes near it; what does is held here.
_LARGEST = float(np.finfo(np.float32).max)


@njit
def finite(value):  # type: ignore[no-untyped-def]
    # Every comparison with NaN is false, so that NaN ends as 0.
    if -_LARGEST <= value <= _LARGEST:
        return value
    if value > 0.0:
        return _LARGEST
    return -_LARGEST if value < 0.0 else 0.0


@njit
def elapsed_ns(first_ns, last_ns):  # type: ignore[no-untyped-def]
    """Nanoseconds from first to last, 0 where last is the earlier one."""
    if last_ns <= first_ns:
        return 0.0
    # The difference of int64 is exact, unless it would not fit: then both are subtracted as floats.
    if first_ns < 0 <= last_ns:
        return float(last_ns) - float(first_ns)
    return float(last_ns - first_ns)


@njit
def ratio(amount, of):  # type: ignore[no-untyped-def]
    """`amount / of`, 0 where there is nothing to divide by."""
    if of > 0:
        return finite(float(amount) / float(of))
    return 0.0


# Stafford's variant 13 of the 64-bit finaliser, as in SplitMix64 (Steele, Lea, Flood 2014).
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_S1: Final = np.uint64(30)
_S2: Final = np.uint64(27)
_S3: Final = np.uint64(31)

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _product(a: Any, b: Any) -> Any:
        # NumPy warns where machine code wraps.
        return np.uint64(int(a) * int(b) & 0xFFFF_FFFF_FFFF_FFFF)

else:

    @njit
    def _product(a: Any, b: Any) -> Any:
        return a * b


@njit
def mix(x):  # type: ignore[no-untyped-def]
    """Spread every bit of a uint64 over all 64: two multiplications, a bijection."""
    x = _product(x ^ (x >> _S1), _M1)
    x = _product(x ^ (x >> _S2), _M2)
    return x ^ (x >> _S3)

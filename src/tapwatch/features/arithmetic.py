"""Arithmetic of the kernels that cannot overflow, divide by zero or leave what float32 can hold."""

import numpy as np
from numba import njit

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

"""The logistic function for kernels: the same bits alone and in a vector, and fast in both."""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Beyond this the function is 0 or 1 to 17 digits.
_FAR: Final = 40.0
_LOG2_E: Final = math.log2(math.e)
#: ln 2 as a sum: the first part has so few digits that a small multiple of it is exact.
_LN2_HIGH: Final = float(np.float32(math.log(2)))
_LN2_LOW: Final = math.log(2) - _LN2_HIGH
#: Adding it leaves the nearest whole number in the low bits of a float64.
_SHIFTER: Final = 1.5 * 2.0**52
_MANTISSA_BITS: Final = 52
_EXPONENT_BIAS: Final = 1023
#: Coefficients of the exponential's series, of x to the power of 2 and more.
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = (1 / math.factorial(k) for k in range(2, 10))


def vectorised(function: _Function) -> _Function:
    """Compile a function that only kernels call, that creates no array, and that is vectorised.

    It divides as NumPy does: a check for 0 is a branch, and with a branch nothing is vectorised.
    """
    compiled: Any = njit(_nrt=False, error_model="numpy")  # type: ignore[call-overload]
    return compiled(function)  # type: ignore[no-any-return]


@vectorised
def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), to 1e-11; a library's exponential differs between scalar and vector.

    -x is k ln 2 + r with |r| <= ln(2) / 2; exp(r) by its series, 2 ** k by writing k into the bits
    of the exponent. What comes of NaN is some number: callers keep NaN out of rows or see it
    elsewhere.
    """
    t = min(max(-x, -_FAR), _FAR)
    shifted = t * _LOG2_E + _SHIFTER
    k = shifted - _SHIFTER
    r = (t - k * _LN2_HIGH) - k * _LN2_LOW
    p = _C9 * r + _C8
    p = p * r + _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + 1.0
    p = p * r + 1.0
    bits = np.int64(np.float64(shifted).view(np.int64) + _EXPONENT_BIAS) << _MANTISSA_BITS
    return 1.0 / (1.0 + p * np.int64(bits).view(np.float64))

"""Errors are told, compared and stored with six significant digits, everywhere.

Two machines (or two builds of a matrix library) agree on a float32 error to about seven digits.
With the rounding in one place, a verdict is what a reader of the alert would work out from it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = 6

_LEAST: Final = 1e-290  # smaller ones have no power of ten to be scaled by

# Exact or correctly rounded powers; numpy's vectorised power is neither.
_POWERS: Final = np.array([float(f"1e{k}") for k in range(309)])


def significant(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Round each value to six significant digits; NaN, infinity and 0 stay what they are.

    Examples
    --------
    >>> significant(np.array([0.123456789, 98765432.1, 0.0]))
    array([1.23457e-01, 9.87654e+07, 0.00000e+00])
    """
    values = np.asarray(values, np.float64)
    if len(values) and values.min() > _LEAST and values.max() < 1e5:  # NaN compares false
        # The ordinary case takes half the steps below, and gives the same.
        place = (DIGITS - 1 - np.floor(np.log10(values))).astype(np.int64)
        power = _POWERS[place]
        ordinary: NDArray[np.float64] = np.rint(values * power) / power
        return ordinary
    magnitude = np.abs(values)
    usable = (magnitude > _LEAST) & np.isfinite(values)
    exponent = np.floor(np.log10(np.where(usable, magnitude, 1.0))).astype(np.int64)
    shift = DIGITS - 1 - exponent
    power = _POWERS[np.abs(shift)]
    # Divide by a power of ten rather than multiply by its inverse: the inverse is not exact.
    up = np.where(usable & (shift >= 0), values, 0.0)
    down = np.where(usable & (shift < 0), values, 0.0)
    rounded = np.rint(up * power) / power + np.rint(down / power) * power
    return np.where(usable, rounded, values)

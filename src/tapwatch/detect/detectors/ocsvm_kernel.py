"""Distances to support vectors. Apart from `ocsvm`, since importing numba takes its time.

In float64 and row by row: a product of matrices would be as quick, but would add in another order
for another number of rows, and lose digits where distances are small.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: exp(-45) is nothing beside 1, in float64 and over a million vectors too.
_NOTHING: Final = -45.0


@njit
def _weigh(row: Any, support: Any, log_weight: Any, gamma: float, weight: Any) -> float:
    """Logarithm of the sum of weights; `weight` (S,) becomes the share of each vector in it."""
    weight[:] = 0.0
    # Vectors inside: their sums are apart from each other, so that many are taken at once.
    for c in range(support.shape[0]):
        x = np.float64(row[c])
        for j in range(support.shape[1]):
            away = x - support[c, j]
            weight[j] += away * away
    largest = -np.inf
    for j in range(len(weight)):
        weight[j] = log_weight[j] - gamma * weight[j]
        largest = max(largest, weight[j])
    total = 0.0
    for j in range(len(weight)):
        # NaN compares false: it goes on into the total.
        weight[j] = 0.0 if weight[j] - largest < _NOTHING else np.exp(weight[j] - largest)
        total += weight[j]
    for j in range(len(weight)):
        weight[j] /= total
    return float(largest + np.log(total))


@njit(nogil=True, cache=True)
def log_sums(
    rows: NDArray[np.float32],
    support: NDArray[np.float64],
    log_weight: NDArray[np.float64],
    gamma: float,
    out: NDArray[np.float64],
) -> None:
    """Write log(sum of weight * exp(-gamma * squared distance)) of each row to `out`, (n_rows,).

    `support` is (n_columns, S): a column's values of all support vectors one after the other.
    """
    weight = np.empty(support.shape[1])
    for i in range(len(rows)):
        out[i] = _weigh(rows[i], support, log_weight, gamma, weight)


@njit(nogil=True, cache=True)
def nearby(
    rows: NDArray[np.float32],
    support: NDArray[np.float64],
    log_weight: NDArray[np.float64],
    gamma: float,
    vectors: NDArray[np.float32],
    mean: NDArray[np.float64],
    squared: NDArray[np.float64],
) -> None:
    """Write, (n_rows, n_columns), the mean of the support vectors, and of their squared distance.

    Each vector weighs what it adds to the sum of `log_sums`; `vectors` is (S, n_columns).
    """
    weight = np.empty(support.shape[1])
    for i in range(len(rows)):
        _weigh(rows[i], support, log_weight, gamma, weight)
        mean[i] = 0.0
        squared[i] = 0.0
        for j in range(len(weight)):
            share = weight[j]
            # Most vectors are too far away to count. NaN counts: it has to be seen.
            if share == 0.0:
                continue
            for c in range(len(support)):
                away = np.float64(rows[i, c]) - vectors[j, c]
                mean[i, c] += share * vectors[j, c]
                squared[i, c] += share * (away * away)

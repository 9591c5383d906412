"""Kernel of the watch for drift: beside a model, each call of NumPy costs as much as its work."""

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def mean_rows(rows: Any, edges: Any, ranks: Any, start: Any, means: Any) -> None:
    """Mean rank, and share above `start`, of each row of errors.

    Parameters
    ----------
    rows : float64 (n, m)
        Errors; what is no number says nothing of the traffic: it is in the middle, and in no tail.
    edges : float64 (k,)
        Ascending.
    ranks : float64 (k + 1,)
        Of errors above so many of the edges.
    start : float
    means : float64 (2, n)
        Written: both means, summed in the order of the errors.
    """
    n, m = rows.shape
    for i in range(n):
        rank = 0.0
        n_tail = 0
        for j in range(m):
            error = rows[i, j]
            if not np.isfinite(error):
                rank += 0.5
                continue
            # All edges are looked at: there is nothing to guess wrong for the processor.
            n_below = 0
            for k in range(len(edges)):
                n_below += error > edges[k]
            # Bounds: n_below <= len(edges), which is the last place of `ranks`.
            rank += ranks[n_below]
            n_tail += error > start
        means[0, i] = rank / m
        means[1, i] = n_tail / m

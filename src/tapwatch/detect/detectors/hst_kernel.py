"""Kernels of `hst`: masses of rows in the half-spaces of complete binary trees.

A tree of height h stands in an array as a heap does: node i has the children 2 i + 1 and 2 i + 2,
and the first 2 ** h - 1 nodes are split. A row goes left where its value is below the threshold.

Letters of the shapes: T trees; S nodes that are split and A nodes in all, of each tree; C columns.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Every index below is of a range, or of a child of a node above S, which is below A = 2 S + 1;
# `feature` holds columns below C, which `Hst` has checked.


@njit(nogil=True, cache=True)
def score_rows(
    rows: NDArray[np.float32],
    work: tuple[NDArray[np.float64], NDArray[np.float64]],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    mass: NDArray[np.int64],
    limit: float,
    most: float,
    error: NDArray[np.float64],
) -> None:
    """Write 1 minus the share that a row has of the largest possible mass.

    Parameters
    ----------
    rows : float32 (n_rows, C)
    work : (low (C,), inverse of the width (C,))
        Bring values to 0..1.
    feature, threshold : (T, S)
    mass : int64 (T, A)
        Rows of the last full window that came through each node.
    limit : float
        A node of less mass ends the way down.
    most : float
        The largest possible sum.
    error : float64 (n_rows,)
        Written; NaN for a row that is not finite.
    """
    low, inverse = work
    x = np.empty(rows.shape[1])
    for i in range(len(rows)):
        is_finite = True
        for c in range(rows.shape[1]):
            x[c] = (np.float64(rows[i, c]) - low[c]) * inverse[c]
            is_finite &= math.isfinite(x[c])
        if not is_finite:
            error[i] = np.nan
            continue
        total = 0.0
        for t in range(len(feature)):
            node, depth_weight = 0, 1.0
            while True:
                here = np.float64(mass[t, node])
                total += here * depth_weight
                if here < limit or node >= feature.shape[1]:
                    break
                goes_right = x[feature[t, node]] >= threshold[t, node]
                node = 2 * node + 1 + int(goes_right)
                depth_weight *= 2.0
        error[i] = 1.0 - total / most


@njit(nogil=True, cache=True)
def learn_rows(
    rows: NDArray[np.float32],
    work: tuple[NDArray[np.float64], NDArray[np.float64]],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    mass: NDArray[np.int64],
    coming: NDArray[np.int64],
    window: int,
    seen: int,
) -> int:
    """Count rows in the window that is being filled; a full one takes the place of `mass`.

    Parameters
    ----------
    rows, work, feature, threshold, mass
        As of `score_rows`; rows are finite.
    coming : int64 (T, A)
        Masses of the window that is being filled; changed.
    window : int
        Rows of a window.
    seen : int
        Rows in the window that is being filled.

    Returns
    -------
    seen : int
    """
    low, inverse = work
    x = np.empty(rows.shape[1])
    for i in range(len(rows)):
        for c in range(rows.shape[1]):
            x[c] = (np.float64(rows[i, c]) - low[c]) * inverse[c]
        for t in range(len(feature)):
            node = 0
            coming[t, node] += 1
            while node < feature.shape[1]:
                goes_right = x[feature[t, node]] >= threshold[t, node]
                node = 2 * node + 1 + int(goes_right)
                coming[t, node] += 1
        seen += 1
        if seen == window:
            mass[:] = coming
            coming[:] = 0
            seen = 0
    return seen

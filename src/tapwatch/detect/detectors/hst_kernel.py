"""Kernels of `hst`: masses of rows in the half-spaces of complete binary trees.

A tree of height h stands in an array as a heap does: node i has the children 2 i + 1 and 2 i + 2,
and the first 2 ** h - 1 nodes are split. A row goes left where its value is below the threshold.

Letters of the shapes: T trees; S nodes that are split and A nodes in all, of each tree; C columns.
"""

import math
from typing import Any

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


@njit
def _mass_turned(
    x: Any,
    usual: Any,
    column_of: Any,
    column: int,
    tree: Any,
    limit: float,
    node: int,
    depth_weight: float,
) -> float:
    """What is added from `node` on, where one column is as usual."""
    feature, threshold, mass = tree
    total = 0.0
    while True:
        here = np.float64(mass[node])
        total += here * depth_weight
        if here < limit or node >= len(feature):
            return total
        asked = feature[node]
        value = usual[asked] if column_of[asked] == column else x[asked]
        node = 2 * node + 1 + int(value >= threshold[node])
        depth_weight *= 2.0


@njit(nogil=True, cache=True)
def mass_gains(
    rows: NDArray[np.float32],
    usual_row: NDArray[np.float32],
    column_of: NDArray[np.int64],
    work: tuple[NDArray[np.float64], NDArray[np.float64]],
    trees: tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]],
    limit: float,
    gain: NDArray[np.float64],
) -> None:
    """Write by what the sum of `score_rows` grows when a column is set to what is usual.

    The way down changes where the row is first asked for the column and goes to another side than
    the usual value would. From there a tree is walked again; for other columns nothing changes.

    Parameters
    ----------
    rows, work, limit
        As of `score_rows`.
    trees : (feature (T, S), threshold (T, S), mass (T, A))
        As of `score_rows`.
    usual_row : float32 (C,)
    column_of : int64 (C,)
        The column that each input is of.
    gain : float64 (n_rows, max(column_of) + 1)
        Written; NaN for a row that is not finite.
    """
    low, inverse = work
    feature, threshold, mass = trees
    x, usual = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    for c in range(rows.shape[1]):
        usual[c] = (np.float64(usual_row[c]) - low[c]) * inverse[c]
    gain[:] = 0.0
    turned_in = np.empty(gain.shape[1], np.int64)
    for i in range(len(rows)):
        is_finite = True
        for c in range(rows.shape[1]):
            x[c] = (np.float64(rows[i, c]) - low[c]) * inverse[c]
            is_finite &= math.isfinite(x[c])
        if not is_finite:
            gain[i] = np.nan
            continue
        turned_in[:] = -1
        for t in range(len(feature)):
            tree = (feature[t], threshold[t], mass[t])
            # No column is -1: the whole way of the row as it is.
            rest = _mass_turned(x, usual, column_of, -1, tree, limit, 0, 1.0)
            node, depth_weight = 0, 1.0
            while True:
                here = np.float64(mass[t, node])
                rest -= here * depth_weight  # what the row's own way adds below this node
                if here < limit or node >= feature.shape[1]:
                    break
                asked = feature[t, node]
                goes_right = x[asked] >= threshold[t, node]
                column = column_of[asked]
                depth_weight *= 2.0
                below = 2 * node + 1
                if goes_right != (usual[asked] >= threshold[t, node]) and turned_in[column] != t:
                    turned_in[column] = t
                    other = below + int(not goes_right)
                    gain[i, column] -= rest
                    gain[i, column] += _mass_turned(
                        x, usual, column_of, column, tree, limit, other, depth_weight
                    )
                node = below + int(goes_right)


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

"""Walks down isolation trees. Apart from `iforest`, since importing numba takes its time.

Nodes of all trees lie one after the other, those of a tree in the order in which one walks down it
on the left first: the left child of a node is the one after it.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: One node: 24 bytes, so that a step down a tree touches one line of the cache.
NODE: Final = np.dtype(
    [
        ("path", np.float64),  # of a leaf: length of the path to it and on from it
        ("threshold", np.float32),  # to the left up to it
        ("feature", np.int32),  # the input that is asked for, -1 for a leaf
        ("right", np.int64),  # right child, counted from the first node of the first tree
    ]
)


@njit
def _leaf(row: Any, node: int, nodes: Any) -> int:
    # Ends: both children of a node come after it, and the last node of a tree is a leaf. Bounds:
    # `feature` and `right` were checked when the arrays were taken.
    while nodes[node]["feature"] >= 0:
        at = nodes[node]
        node = node + 1 if row[at["feature"]] <= at["threshold"] else at["right"]
    return node


@njit(nogil=True, cache=True)
def path_sums(
    rows: NDArray[np.float32],
    start: NDArray[np.int64],
    nodes: NDArray[Any],
    total: NDArray[np.float64],
) -> None:
    """Write the sum of the path lengths of each row over all trees to `total`, (n_rows,)."""
    total[:] = 0.0
    # Trees outside: one fits into the first cache, all of them do not.
    for t in range(len(start)):
        for i in range(len(rows)):
            total[i] += nodes[_leaf(rows[i], start[t], nodes)]["path"]


@njit
def _leaf_turned(row: Any, usual: Any, column_of: Any, column: int, node: int, nodes: Any) -> int:
    """The leaf from `node` on, where one column is as usual."""
    while nodes[node]["feature"] >= 0:
        at = nodes[node]
        asked = at["feature"]
        value = usual[asked] if column_of[asked] == column else row[asked]
        node = node + 1 if value <= at["threshold"] else at["right"]
    return node


@njit(nogil=True, cache=True)
def path_gains(
    rows: NDArray[np.float32],
    usual: NDArray[np.float32],
    column_of: NDArray[np.int64],
    start: NDArray[np.int64],
    nodes: NDArray[Any],
    gain: NDArray[np.float64],
) -> None:
    """Write to `gain`, (n_rows, n_parts), by what the paths grow when a column is set to `usual`.

    The way changes where the row is first asked for the column and goes to another side than the
    usual value would. From there a tree is walked again; for other columns the way is the same.
    """
    gain[:] = 0.0
    turned_in = np.full(gain.shape[1], -1, np.int64)
    for i in range(len(rows)):
        row = rows[i]
        turned_in[:] = -1
        for t in range(len(start)):
            path = nodes[_leaf(row, start[t], nodes)]["path"]
            node = start[t]
            while nodes[node]["feature"] >= 0:
                at = nodes[node]
                asked = at["feature"]
                goes_left = row[asked] <= at["threshold"]
                column = column_of[asked]
                if goes_left != (usual[asked] <= at["threshold"]) and turned_in[column] != t:
                    turned_in[column] = t
                    other = at["right"] if goes_left else node + 1
                    other = _leaf_turned(row, usual, column_of, column, other, nodes)
                    gain[i, column] += nodes[other]["path"] - path
                node = node + 1 if goes_left else at["right"]

"""Which inputs of `kitnet` go to which autoencoder: those that vary together."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import CHUNK_ROWS, Rows

#: Distances are told apart to so many decimals: last bits of a sum shall not decide who goes where.
_DECIMALS: Final = 6


def groups_of(rows: Rows, most: int, *, as_published: bool) -> list[list[int]]:
    """Sort inputs into groups by how they vary over the rows.

    Parameters
    ----------
    rows : float32 (n_rows, n_columns)
    most : int
        Inputs of a group, at most.
    as_published : bool
        Single linkage, and the tree cut wherever a branch is too large, which leaves many inputs
        alone. Else average linkage, and branches that stand side by side in the tree share a group
        as long as they fit.

    Returns
    -------
    groups : list of lists of inputs
        Each input once. Those that are constant vary with nothing, and come last.

    Notes
    -----
    The distance is 1 minus the correlation (Mirsky et al. 2018, section V-B).
    """
    from scipy.cluster.hierarchy import linkage, to_tree
    from scipy.spatial.distance import squareform

    distance, varies = _distances(rows)
    moving, still = np.flatnonzero(varies).tolist(), np.flatnonzero(~varies).tolist()
    groups: list[list[int]] = []
    if len(moving) > 1:
        condensed = squareform(distance[np.ix_(moving, moving)], checks=False)
        tree = to_tree(linkage(condensed, "single" if as_published else "average"))
        branches = [[moving[leaf] for leaf in branch] for branch in _cut(tree, most)]
        groups = branches if as_published else _packed(branches, most)
    elif moving:
        groups = [moving]
    groups += [still[k : k + most] for k in range(0, len(still), most)]
    return [sorted(group) for group in groups]


def _distances(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """1 - correlation of all pairs of inputs, and which inputs vary."""
    varies = rows.min(axis=0) < rows.max(axis=0)
    mean = rows.mean(axis=0, dtype=np.float64)
    products = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS].astype(np.float64) - mean
        products += part.T @ part
    deviation = np.sqrt(np.where(varies, products.diagonal(), 1.0))
    correlation = products / deviation / deviation[:, None]
    distance = np.clip(1 - correlation, 0, 2).round(_DECIMALS)
    np.fill_diagonal(distance, 0)
    return (distance + distance.T) / 2, varies


def _cut(tree: Any, most: int) -> list[list[int]]:
    """Leaves of the largest branches that have at most `most`, from left to right."""
    branches, stack = [], [tree]
    while stack:  # a chain of inputs may be deeper than Python's own stack
        node = stack.pop()
        if node.get_count() <= most:
            branches.append(node.pre_order())
        else:
            stack += [node.get_right(), node.get_left()]
    return branches


def _packed(branches: list[list[int]], most: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for branch in branches:
        if groups and len(groups[-1]) + len(branch) <= most:
            groups[-1] += branch
        else:
            groups.append(list(branch))
    return groups

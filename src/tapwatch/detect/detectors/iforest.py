"""`iforest`: an isolation forest; rows that few cuts set apart are unusual (Liu et al. 2008)."""

import math
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.ablation import USUAL_ARRAYS, Usual
from tapwatch.detect.detector import (
    Arrays,
    Detector,
    Parameters,
    Progress,
    Rows,
    refuse_others,
    silent,
    take_array,
    tell_once,
)
from tapwatch.errors import ArtifactError

_ARRAYS: Final = frozenset({"start", "feature", "threshold", "right", "path", "unit"})
_LEAF: Final = -1


class IforestParameters(Parameters):
    """What may be set of an isolation forest."""

    trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Trees that are grown."""
    sample_rows: Annotated[int, Field(ge=2, le=1 << 20)] = 2048
    """Rows that a tree is grown from, drawn for each tree by itself. The paper has 256; words and
    values that most samples of 256 lack are asked for by few trees."""


class Iforest(Detector):
    """How few random cuts set a row apart from a sample of benign rows.

    The error is 2 ** (-mean path length / expected path length), between 0 and 1, higher where a
    row is set apart sooner: scikit-learn's `score_samples` with the sign turned. A column that was
    constant in training is never cut, so it says nothing.

    Shares are by ablation, and what is expected is what benign rows usually have.
    """

    name = "iforest"
    parameters_type = IforestParameters

    def __init__(
        self, parameters: IforestParameters, arrays: dict[str, NDArray[Any]], usual: Usual
    ) -> None:
        self.parameters = parameters
        self.n_columns = len(usual.median)
        self._arrays = arrays
        self._usual = usual
        self._nodes: NDArray[Any] | None = None

    @property
    def most_error(self) -> float:
        """That of a row that ended in the nearest leaf of every tree."""
        path = np.where(self._arrays["feature"] == _LEAF, self._arrays["path"], np.inf)
        shortest = np.minimum.reduceat(path, self._arrays["start"]).sum()
        return float(self._unusual(np.array([shortest]))[0])

    @classmethod
    def fit(
        cls,
        rows: Rows,
        validation: Rows,
        parameters: Parameters,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Self:
        """Grow the trees with scikit-learn; the device does not matter."""
        from sklearn.ensemble import IsolationForest

        assert isinstance(parameters, IforestParameters)
        n_drawn = min(parameters.sample_rows, len(rows))
        forest = IsolationForest(
            n_estimators=parameters.trees, max_samples=n_drawn, random_state=seed, n_jobs=1
        ).fit(rows)
        trees = [_flat(estimator.tree_) for estimator in forest.estimators_]
        start = np.cumsum([0] + [len(tree["feature"]) for tree in trees])[:-1]
        for tree, first in zip(trees, start, strict=True):
            tree["right"] += np.int32(first)
        arrays = {key: np.concatenate([tree[key] for tree in trees]) for key in trees[0]}
        arrays["start"] = start.astype(np.int64)
        arrays["unit"] = average_path(np.array([n_drawn])) * len(trees)
        model = cls(parameters, arrays, Usual.fit(rows))
        # Of the training rows a sample: all would take longer than the fit.
        tell_once(model, rows[:: max(1, len(rows) // 10_000)], validation, progress)
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nodes of all trees one after the other, where trees start, what is usual."""
        return self._arrays | self._usual.arrays()

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the trees after checking that each way down them ends in a leaf."""
        assert isinstance(parameters, IforestParameters)
        shape = arrays["feature"].shape if "feature" in arrays else (0,)
        n_nodes = shape[0] if len(shape) == 1 else 0
        taken = {
            "start": take_array(arrays, "start", (parameters.trees,), np.int64),
            "feature": take_array(arrays, "feature", (n_nodes,), np.int32),
            "threshold": take_array(arrays, "threshold", (n_nodes,), np.float32),
            "right": take_array(arrays, "right", (n_nodes,), np.int32),
            "path": take_array(arrays, "path", (n_nodes,), np.float64),
            "unit": take_array(arrays, "unit", (1,), np.float64),
        }
        usual = Usual.from_arrays(n_columns, arrays)
        refuse_others(arrays, _ARRAYS | USUAL_ARRAYS)
        _check_trees(taken, n_columns, parameters.sample_rows)
        return cls(parameters, taken, usual)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        error = self._unusual(self._totals(rows))
        # A comparison with NaN is false: without this such a row would pass as one of the right.
        error[np.isnan(rows).any(axis=1)] = np.nan
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """As `ablation.drops` gives them, but walking no tree that cannot change its mind."""
        from tapwatch.detect.detectors.iforest_kernel import path_gains

        nodes = self._packed()

        gain = np.empty((len(rows), int(column_of.max()) + 1))
        usual = self._usual.row(column_of)
        path_gains(np.ascontiguousarray(rows), usual, column_of, self._arrays["start"], nodes, gain)
        total = self._totals(rows)[:, None]
        return np.maximum(self._unusual(total) - self._unusual(total + gain), 0)

    def _expected(self, rows: Rows) -> Rows:
        return self._usual.expected(len(rows))

    def _totals(self, rows: Rows) -> NDArray[np.float64]:
        """Path lengths of rows, summed over trees, (n_rows,)."""
        from tapwatch.detect.detectors.iforest_kernel import path_sums

        total = np.empty(len(rows))
        path_sums(np.ascontiguousarray(rows), self._arrays["start"], self._packed(), total)
        return total

    def _packed(self) -> NDArray[Any]:
        """Nodes as the kernels want them, packed at the first use: that needs numba."""
        if self._nodes is None:
            from tapwatch.detect.detectors.iforest_kernel import NODE

            nodes = np.empty(len(self._arrays["feature"]), NODE)
            for key in NODE.fields or ():
                nodes[key] = self._arrays[key]
            self._nodes = nodes
        return self._nodes

    def _unusual(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Error by the sum of path lengths."""
        unit = float(self._arrays["unit"][0])
        # Trees of a single row have no path at all; scikit-learn calls that 1/2 as well.
        error: NDArray[np.float64] = np.exp2(-(total / unit if unit else np.ones_like(total)))
        return error


def average_path(n_rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Mean path length of unsuccessful searches in a tree of n rows (Liu et al., equation 1)."""
    n = np.maximum(n_rows, 3).astype(np.float64)
    long = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(n_rows <= 1, 0.0, np.where(n_rows == 2, 1.0, long))


def _flat(tree: Any) -> dict[str, NDArray[Any]]:
    """Nodes of one of scikit-learn's trees, renumbered so that a left child follows its parent."""
    order, depth = [], []
    waiting = [(0, 0)]
    while waiting:
        node, at = waiting.pop()
        order.append(node)
        depth.append(at)
        if tree.children_left[node] >= 0:
            waiting.append((tree.children_right[node], at + 1))
            waiting.append((tree.children_left[node], at + 1))
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    is_leaf = tree.children_left[order] < 0
    threshold = tree.threshold[order].astype(np.float32)
    # A float32 is at most a threshold exactly if it is at most the float32 next below it.
    above = threshold > tree.threshold[order]
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    path = np.array(depth) + average_path(tree.n_node_samples[order])
    return {
        "feature": np.where(is_leaf, _LEAF, tree.feature[order]).astype(np.int32),
        "threshold": np.where(is_leaf, 0, threshold).astype(np.float32),
        "right": np.where(is_leaf, 0, place[tree.children_right[order]]).astype(np.int32),
        "path": np.where(is_leaf, path, 0.0),
    }


def _check_trees(arrays: Arrays, n_columns: int, sample_rows: int) -> None:
    """Raise ArtifactError where a walk could leave its tree, or its row, or take long."""
    start, feature, right = arrays["start"], arrays["feature"], arrays["right"]
    n_nodes = len(feature)
    # Between 0 and n_nodes no difference can overflow.
    is_place = bool(((start >= 0) & (start < n_nodes)).all())
    if not is_place or start[0] != 0 or (np.diff(start) < 1).any():
        raise ArtifactError("array start: want where each tree begins, from 0 on, rising")
    most = 2 * sample_rows - 1
    if (largest := np.diff(start, append=n_nodes).max()) > most:
        raise ArtifactError(
            f"array start: a tree of {largest} nodes: want at most {most} of {sample_rows} rows"
        )
    if ((feature < _LEAF) | (feature >= n_columns)).any():
        raise ArtifactError(f"array feature: want -1 for a leaf, or below {n_columns}")
    end = np.append(start[1:], n_nodes)
    node = np.arange(n_nodes)
    last = np.repeat(end, np.diff(np.append(start, n_nodes)))
    inner = feature != _LEAF
    if (inner & ((node + 1 >= last) | (right <= node + 1) | (right >= last))).any():
        raise ArtifactError("array right: want nodes of the same tree, after the left child")
    level, deepest = start, math.ceil(math.log2(sample_rows))
    for _ in range(deepest):
        level = level[inner[level]]
        level = np.unique(np.concatenate([level + 1, right[level]]))
    if inner[level].any():
        raise ArtifactError(f"array right: a way of more than {deepest} steps: want no longer ones")
    if (arrays["path"] < 0).any() or arrays["unit"][0] < 0:
        raise ArtifactError("array path: want lengths that are not negative")

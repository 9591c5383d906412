"""`hst`: half-space trees, built by river, which count how many rows lie where a row lies."""

from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.ablation import USUAL_ARRAYS, Usual
from tapwatch.detect.detector import (
    Arrays,
    OnlineDetector,
    Parameters,
    Progress,
    Rows,
    refuse_others,
    silent,
    take_array,
    tell_once,
)
from tapwatch.detect.detectors.plain import plain_rows
from tapwatch.errors import ArtifactError

_ARRAYS: Final = frozenset({"feature", "threshold", "mass", "coming", "seen", "low", "width"})
_STATE: Final = ("mass", "coming", "seen")
#: The space that is split is wider than what was seen by this share on each side, and a column that
#: was constant counts as one preprocessed unit wide: what lies beyond has to fall elsewhere.
_MARGIN: Final = 0.5
_LEAST_WIDTH: Final = 1.0
#: river's: a node with less than this share of the window ends the way down.
_LIMIT: Final = 0.1


class HstParameters(Parameters):
    """What may be set of the trees."""

    trees: Annotated[int, Field(ge=1, le=1000)] = 50
    """Trees."""
    height: Annotated[int, Field(ge=1, le=16)] = 10
    """Splits from the root to a leaf; each more doubles a tree."""
    window: Annotated[int, Field(ge=2, le=1 << 24)] = 1000
    """Rows that are counted before their masses take the place of those before."""


class Hst(OnlineDetector):
    """Mass of the half-spaces that a row lies in (Tan, Ting and Liu 2011), as river computes it.

    river draws the trees: a random column and a random cut of what is left of its range, over and
    over, before any row is seen. Rows are counted on their way down. When a window is full, its
    counts are what the next rows are scored by: the error is 1 minus the sum over all nodes on the
    way of mass times 2 ** depth, over the largest such sum; a way ends at a node that less than a
    tenth of the window came through. Errors are river's to 1e-6.

    In the fit the training rows are counted, over again from the first one until a window is full.
    Learning counts rows as they come. Dense crowds of anomalies that are learnt look ordinary one
    window later: only the threshold keeps them out.

    Shares are by ablation, and what is expected is what benign rows usually have.
    """

    name = "hst"
    parameters_type = HstParameters
    block_rows = 256

    parameters: HstParameters

    def __init__(
        self, parameters: HstParameters, arrays: dict[str, NDArray[Any]], usual: Usual
    ) -> None:
        self.parameters = parameters
        self.n_columns = len(arrays["low"])
        self._arrays = arrays
        self._usual = usual
        self._work = (arrays["low"], 1 / arrays["width"])

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
        """Let river draw the trees, then count rows; the device does not matter."""
        assert isinstance(parameters, HstParameters)
        feature, threshold = _drawn(parameters, rows.shape[1], seed)
        low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
        width = np.maximum(high - low, _LEAST_WIDTH)
        masses = (parameters.trees, 2 * feature.shape[1] + 1)
        arrays: dict[str, NDArray[Any]] = {
            "feature": feature,
            "threshold": threshold,
            "mass": np.zeros(masses, np.int64),
            "coming": np.zeros(masses, np.int64),
            "seen": np.zeros(1, np.int64),
            "low": low - _MARGIN * width,
            "width": (1 + 2 * _MARGIN) * width,
        }
        model = cls(parameters, arrays, Usual.fit(rows))
        model.learn(rows)
        missing = parameters.window - len(rows)
        if missing > 0:
            model.learn(rows[np.arange(missing) % len(rows)])
        tell_once(model, rows[-parameters.window :], validation, progress)
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Trees, masses of the last window and of the one being filled, range, what is usual."""
        return self._arrays | self._usual.arrays()

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the trees after checking that they are complete and split columns there are."""
        assert isinstance(parameters, HstParameters)
        n_trees, n_split = parameters.trees, 2**parameters.height - 1
        shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "feature": ((n_trees, n_split), np.int32),
            "threshold": ((n_trees, n_split), np.float64),
            "mass": ((n_trees, 2 * n_split + 1), np.int64),
            "coming": ((n_trees, 2 * n_split + 1), np.int64),
            "seen": ((1,), np.int64),
            "low": ((n_columns,), np.float64),
            "width": ((n_columns,), np.float64),
        }
        taken = {key: take_array(arrays, key, *want).copy() for key, want in shapes.items()}
        usual = Usual.from_arrays(n_columns, arrays)
        refuse_others(arrays, _ARRAYS | USUAL_ARRAYS)
        feature, seen, window = taken["feature"], int(taken["seen"][0]), parameters.window
        if not ((feature >= 0) & (feature < n_columns)).all():
            raise ArtifactError(f"array feature: want columns from 0 to {n_columns - 1}")
        if not (taken["width"] > 0).all():
            raise ArtifactError("array width: want widths above 0")
        if not 0 <= seen < window:
            raise ArtifactError(f"array seen: {seen}: want at least 0 and below {window}")
        for key, n_rows in (("mass", window), ("coming", seen)):
            if not ((taken[key] >= 0) & (taken[key] <= n_rows)).all():
                raise ArtifactError(f"array {key}: want counts of at most {n_rows} rows")
        return cls(parameters, taken, usual)

    def copy(self) -> Self:
        """Give one that learns for itself; the trees, which nothing changes, are shared."""
        own = {key: self._arrays[key].copy() for key in _STATE}
        return type(self)(self.parameters, self._arrays | own, self._usual)

    def learn(self, rows: Rows) -> None:
        """Count rows; at the end of a window its masses hold."""
        from tapwatch.detect.detectors.hst_kernel import learn_rows

        held = self._arrays
        held["seen"][0] = learn_rows(
            plain_rows(rows),
            self._work,
            held["feature"],
            held["threshold"],
            held["mass"],
            held["coming"],
            self.parameters.window,
            int(held["seen"][0]),
        )

    @property
    def most_error(self) -> float:
        """That of a row that nobody was near."""
        return 1.0

    @property
    def _most(self) -> float:
        """The largest possible sum of masses."""
        given = self.parameters
        return float(given.trees * given.window * (2 ** (given.height + 1) - 1))

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        from tapwatch.detect.detectors.hst_kernel import score_rows

        held, window = self._arrays, self.parameters.window
        error = np.empty(len(rows))
        score_rows(
            plain_rows(rows),
            self._work,
            held["feature"],
            held["threshold"],
            held["mass"],
            _LIMIT * window,
            self._most,
            error,
        )
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """As `ablation.drops` gives them, but walking no tree that cannot change its mind."""
        from tapwatch.detect.detectors.hst_kernel import mass_gains

        held, window = self._arrays, self.parameters.window
        gain = np.empty((len(rows), int(column_of.max()) + 1))
        mass_gains(
            plain_rows(rows),
            self._usual.row(column_of),
            column_of,
            self._work,
            (held["feature"], held["threshold"], held["mass"]),
            _LIMIT * window,
            gain,
        )
        return np.maximum(gain / self._most, 0)

    def _expected(self, rows: Rows) -> Rows:
        return self._usual.expected(len(rows))


def _drawn(
    parameters: HstParameters, n_columns: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Columns and thresholds of river's trees over 0..1, each (T, S), as heaps."""
    from river.anomaly import HalfSpaceTrees

    forest = HalfSpaceTrees(parameters.trees, parameters.height, parameters.window, seed=seed)
    # river draws its trees at the first row, whatever that holds.
    forest.learn_one(dict.fromkeys(range(n_columns), 0.5))  # type: ignore[no-untyped-call]
    n_split = 2**parameters.height - 1
    feature = np.empty((parameters.trees, n_split), np.int32)
    threshold = np.empty((parameters.trees, n_split))
    for t, root in enumerate(forest.trees):
        level = [root]
        for first in (2**depth - 1 for depth in range(parameters.height)):
            for k, node in enumerate(level):
                feature[t, first + k] = node.feature
                threshold[t, first + k] = node.threshold
            level = [child for node in level for child in node.children]
    return feature, threshold

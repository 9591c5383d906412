"""From feature rows to scores, in micro-batches, with counts of what was seen."""

import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.bundle import Bundle
from tapwatch.detect.detector import Rows
from tapwatch.detect.online import Learner
from tapwatch.detect.significance import significant
from tapwatch.errors import ArtifactError
from tapwatch.tables import FeatureBatch, Histogram, Scores, Tally

#: Upper bounds, four a decade, three significant digits so that the labels are stable text.
ERROR_EDGES: Final = tuple(float(f"{edge:.3g}") for edge in np.logspace(-4, 2, 25))
RATIO_EDGES: Final = tuple(float(f"{edge:.3g}") for edge in np.logspace(-1, 2, 13))

_LEAST_THRESHOLD: Final = 1e-30

_LABELS: Final = ("view", "detector", "bundle")

#: observed, expected and share of flagged rows, each float64 (n_flagged, n_columns).
_Reasons = dict[str, NDArray[np.float64]]


class Scorer:
    """Scores the rows of one view with one bundle.

    A row is flagged when its error, at six significant digits, is above the threshold. A score
    that is not finite says that the model or a feature is broken, not that the traffic is unusual:
    such a row is not flagged, has p-value 1, keeps its NaN or infinity in `error`, stays out of the
    histograms, and is counted in `nonfinite_scores_total`, which wants an alert rule of its own.

    Parameters
    ----------
    bundle : Bundle
    max_rows : int
        Rows scored at once. Scores do not depend on it.
    learn : bool
        Whether an online detector goes on learning from rows that are not flagged; see `online`.

    Notes
    -----
    `score` belongs to one thread; `tallies` may be called by any other meanwhile.
    """

    def __init__(self, bundle: Bundle, max_rows: int = 1024, *, learn: bool = True) -> None:
        import torch

        # Cores are shared out as workers; a scoring thread that forks more only gets in their way,
        # and would add in an order that depends on their number.
        torch.set_num_threads(1)
        self.bundle = bundle
        self.view = bundle.view
        self.detector = bundle.detector.name
        self._max_rows = max_rows
        self._learner = Learner(bundle.detector, may_learn=learn)
        self._lock = threading.Lock()
        self._counts = _Counts(bundle)

    def score(self, batch: FeatureBatch) -> Scores:
        """Score all rows of a batch.

        Raises
        ------
        ArtifactError
            The batch is of another schema than the bundle.
        """
        bundle = self.bundle
        if batch.schema.digest != bundle.schema.digest:
            raise ArtifactError(
                f"bundle {bundle.name}: rows of {batch.schema.view}/{batch.schema.version}:"
                f"{batch.schema.digest[:8]}: want {bundle.view}/{bundle.schema.version}:"
                f"{bundle.schema.digest[:8]}"
            )
        values = bundle.as_trained(batch.values)
        error = np.empty(len(batch))
        flagged = np.empty(len(batch), np.bool_)
        reasons = []
        for part in self._learner.parts(len(batch), self._max_rows):
            rows = bundle.preprocess.apply(values[part])
            error[part] = significant(self._learner.detector.score(rows))
            # NaN compares false; infinity has to be kept out by hand.
            flagged[part] = (error[part] > bundle.threshold) & (error[part] < np.inf)
            if flagged[part].any():
                # By what scored the row: after the next part it may have learnt.
                chosen = flagged[part]
                reasons.append(self._reasons(rows[chosen], values[part][chosen]))
            self._learner.take(rows, np.isfinite(error[part]) & ~flagged[part])

        told = _joined(reasons, len(bundle.preprocess.columns))
        finite = np.isfinite(error)
        p_value = np.ones(len(error))
        with self._lock:
            p_value[finite] = self._counts.add(error[finite], len(error), told["share"])
            self._counts.learnt = self._learner.learnt_rows
        return Scores(
            view=self.view,
            detector=self.detector,
            bundle=bundle.name,
            schema=bundle.schema,
            columns=bundle.preprocess.columns,
            rows=batch.rows,
            error=error,
            threshold=bundle.threshold,
            p_value=p_value,
            flagged=flagged,
            **told,
        )

    def _reasons(self, rows: Rows, values: NDArray[Any]) -> _Reasons:
        """Contributions of the flagged rows only: explaining costs more than scoring."""
        preprocess, detector = self.bundle.preprocess, self._learner.detector
        return {
            "observed": preprocess.observed(values),
            "expected": preprocess.to_units(detector.expected(rows)),
            "share": detector.contributions(rows, preprocess.column_of),
        }

    def tallies(self) -> list[Tally]:
        """Counts of this bundle, for the window."""
        labels = (self.view, self.detector, self.bundle.name)
        with self._lock:
            return self._counts.tallies(labels, is_frozen=self._learner.is_frozen)


def _joined(parts: list[_Reasons], n_columns: int) -> _Reasons:
    """Reasons of all parts, each (n_flagged, n_columns)."""
    nothing = np.zeros((0, n_columns))
    return {
        name: np.concatenate([nothing, *(part[name] for part in parts)])
        for name in ("observed", "expected", "share")
    }


class _Counts:
    """What has been scored so far.

    Calibration errors and the edges of both histograms, in units of the error, are merged into one
    list of bounds: a single search places a score among all of them. What that place means for the
    histograms is worked out when somebody asks.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        # A threshold of 0 would divide by nothing: every error above it is far beyond it.
        self._unit = max(bundle.threshold, _LEAST_THRESHOLD)
        edges = (np.array(ERROR_EDGES), np.array(RATIO_EDGES) * self._unit)
        self._bounds = np.unique(np.concatenate([bundle.calibration.error, *edges]))
        # Place k holds the scores s with below[k] < s <= bounds[k].
        below = np.concatenate([[-np.inf], self._bounds])
        above = np.concatenate([self._bounds, [np.inf]])
        self._p_value = bundle.calibration.p_value(above)
        self._error_bucket, self._ratio_bucket = (
            np.searchsorted(edge, below, side="right") for edge in edges
        )
        self._placed = np.zeros(len(above), np.int64)
        self._rows = 0
        self._nonfinite = 0
        self.learnt = 0
        self._error_sum = 0.0
        self._reasons = np.zeros(len(bundle.preprocess.columns), np.int64)

    def add(
        self, finite_error: NDArray[np.float64], n_rows: int, share: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Count rows, and return the p-values of those with a finite error.

        `share` is of the rows that were flagged. A score on a bound belongs below it, as `le` of
        Prometheus has it, and as p-values count errors that are at least the score.
        """
        place = np.searchsorted(self._bounds, finite_error, side="left")
        self._placed += np.bincount(place, minlength=len(self._placed))
        self._rows += n_rows
        self._nonfinite += n_rows - len(finite_error)
        self._error_sum += float(finite_error.sum())
        if len(share):
            self._reasons += np.bincount(share.argmax(axis=1), minlength=len(self._reasons))
        p_value: NDArray[np.float64] = self._p_value[place]
        return p_value

    def tallies(self, labels: tuple[str, str, str], *, is_frozen: bool) -> list[Tally]:
        """A copy of the counts, as families of metrics."""
        bundle = self._bundle

        def counter(name: str, text: str, value: float) -> Tally:
            return Tally(name, "counter", text, _LABELS, {labels: float(value)})

        reasons: Mapping[tuple[str, ...], float] = {
            (*labels, column): float(n)
            for column, n in zip(bundle.preprocess.columns, self._reasons, strict=True)
        }
        return [
            counter("scored_rows_total", "Rows that were scored.", self._rows),
            counter(
                "nonfinite_scores_total",
                "Scores that were NaN or infinite; such rows are never flagged.",
                self._nonfinite,
            ),
            counter(
                "learnt_rows_total",
                "Rows that were not flagged and that an online detector learnt.",
                self.learnt,
            ),
            Tally(
                "model_frozen",
                "gauge",
                "1 where the model stays as it was trained, 0 where it goes on learning.",
                _LABELS,
                {labels: float(is_frozen)},
            ),
            Tally(
                "reconstruction_error",
                "histogram",
                "Error of scored rows.",
                _LABELS,
                {labels: self._histogram(ERROR_EDGES, self._error_bucket, 1.0)},
            ),
            Tally(
                "error_threshold_ratio",
                "histogram",
                "Error of scored rows over the threshold.",
                _LABELS,
                {labels: self._histogram(RATIO_EDGES, self._ratio_bucket, self._unit)},
            ),
            Tally(
                "threshold",
                "gauge",
                "Error above which a row is flagged.",
                _LABELS,
                {labels: bundle.threshold},
            ),
            Tally(
                "contribution_rows_total",
                "counter",
                "Flagged rows by the column with the largest share of the error.",
                (*_LABELS, "column"),
                reasons,
            ),
            Tally(
                "model_info",
                "gauge",
                "The bundle that is loaded; always 1.",
                (*_LABELS, "sha256_8"),
                {(*labels, bundle.digest[:8]): 1.0},
            ),
        ]

    def _histogram(
        self, edges: tuple[float, ...], buckets: NDArray[np.int64], unit: float
    ) -> Histogram:
        counts = np.zeros(len(edges) + 1, np.int64)
        np.add.at(counts, buckets, self._placed)
        return Histogram(edges, counts, self._error_sum / unit)

"""From feature rows to scores, in micro-batches, with counts of what was seen."""

import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import DetectConfig
from tapwatch.detect.bundle import Bundle
from tapwatch.detect.detector import Rows
from tapwatch.detect.judge import Judge, families
from tapwatch.detect.online import Learner
from tapwatch.detect.recalibrate import Standard
from tapwatch.detect.sequences import inputs_of, newest, with_absent
from tapwatch.detect.significance import significant
from tapwatch.errors import ArtifactError
from tapwatch.tables import Drift, FeatureBatch, Histogram, Scores, Tally

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
    config : DetectConfig, optional
        What is done about drift; by default nothing.

    Notes
    -----
    `score` belongs to one thread; `tallies` may be called by any other meanwhile.
    """

    def __init__(
        self,
        bundle: Bundle,
        max_rows: int = 1024,
        *,
        learn: bool = True,
        config: DetectConfig | None = None,
    ) -> None:
        import torch

        # Cores are shared out as workers; a scoring thread that forks more only gets in their way,
        # and would add in an order that depends on their number.
        torch.set_num_threads(1)
        self.bundle = bundle
        self.view = bundle.view
        self.detector = bundle.detector.name
        #: Rows of the blocks that it wants; 0 where it takes single rows.
        self.sequence_rows = bundle.sequence_rows
        self._max_rows = max_rows
        self._learner = Learner(bundle.detector, may_learn=learn)
        self._judge = Judge(
            bundle.manifest.threshold,
            bundle.calibration,
            config or DetectConfig(drift="off"),
            bundle.detector.most_error,
        )
        self._seen = 0  # rows of earlier batches
        self._labels = (self.view, self.detector, bundle.name)
        self._lock = threading.Lock()
        self._counts = _Counts(bundle, self._judge.in_force)
        self._counts.judge = self._judge.counts()

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
        values = with_absent(bundle.as_trained(batch.values), batch.lengths)
        error = np.empty(len(batch))
        flagged = np.empty(len(batch), np.bool_)
        threshold = np.empty(len(batch))
        stretches: list[tuple[slice, Standard]] = []  # rows judged by one standard
        reasons = []
        for part in self._learner.parts(len(batch), self._max_rows):
            rows = inputs_of(bundle.preprocess, values[part])
            error[part] = significant(self._learner.detector.score(rows))
            for rows_of, standard in self._judge.judge(error[part]):
                threshold[part][rows_of] = standard.value
                _stretch(stretches, part.start + rows_of.stop, standard)
            # NaN compares false; infinity has to be kept out by hand.
            flagged[part] = (error[part] > threshold[part]) & (error[part] < np.inf)
            if flagged[part].any():
                # By what scored the row: after the next part it may have learnt.
                chosen = flagged[part]
                reasons.append(self._reasons(rows[chosen], values[part][chosen]))
            self._learner.take(rows, np.isfinite(error[part]) & ~flagged[part])

        told = _joined(reasons, len(bundle.preprocess.columns))
        p_value = np.ones(len(error))
        with self._lock:
            for rows_of, standard in stretches:
                p_value[rows_of] = self._counts.add(error[rows_of], standard)
            self._counts.add_flagged(told["share"])
            self._counts.learnt = self._learner.learnt_rows
            self._counts.judge = self._judge.counts()
            self._counts.threshold = self._judge.in_force.value
        drifts = self._drifts(batch.rows)
        return Scores(
            view=self.view,
            detector=self.detector,
            bundle=bundle.name,
            schema=bundle.schema,
            columns=bundle.preprocess.columns,
            rows=batch.rows,
            error=error,
            threshold=threshold,
            p_value=p_value,
            flagged=flagged,
            drifts=drifts,
            **told,
        )

    def _drifts(self, rows: NDArray[Any]) -> tuple[Drift, ...]:
        """What the judge has to tell of rows (ROW) of this batch."""
        drifts = []
        for event in self._judge.events:
            row = event.rows - self._seen - 1
            drifts.append(
                Drift(
                    row=row,
                    timestamp_ns=int(rows["last_ts_ns"][row]),
                    view=self.view,
                    detector=self.detector,
                    bundle=self.bundle.name,
                    kind=event.kind,
                    what=event.what,
                    rows=event.rows,
                    before=event.before,
                    after=event.after,
                    threshold=event.threshold,
                    warnings=event.warnings,
                )
            )
        self._judge.events.clear()
        self._seen += len(rows)
        return tuple(drifts)

    def _reasons(self, rows: Rows, values: NDArray[Any]) -> _Reasons:
        """Contributions of the flagged rows only: explaining costs more than scoring."""
        preprocess, detector = self.bundle.preprocess, self._learner.detector
        return {
            "observed": preprocess.observed(newest(values)),
            "expected": preprocess.to_units(detector.expected(rows)),
            "share": detector.contributions(rows, preprocess.column_of),
        }

    def tallies(self) -> list[Tally]:
        """Counts of this bundle, for the window."""
        with self._lock:
            return self._counts.tallies(self._labels, is_frozen=self._learner.is_frozen)

    @property
    def title(self) -> str:
        """View, detector and bundle: what tells it from others in the summary."""
        return "/".join(self._labels)

    @property
    def drift(self) -> dict[str, Any]:
        """What has been counted of drift, and the threshold in force, for the summary."""
        return self._judge.counts()


def _stretch(stretches: list[tuple[slice, Standard]], stop: int, standard: Standard) -> None:
    """Lengthen the last stretch up to row `stop`, or begin another one."""
    if stretches and stretches[-1][1] is standard:
        stretches[-1] = slice(stretches[-1][0].start, stop), standard
    else:
        start = stretches[-1][0].stop if stretches else 0
        stretches.append((slice(start, stop), standard))


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

    def __init__(self, bundle: Bundle, standard: Standard) -> None:
        self._bundle = bundle
        self._rows = 0
        self._nonfinite = 0
        self._flagged = 0
        self.learnt = 0
        self.threshold = standard.value
        self.judge: dict[str, Any] = {}
        self._error_sum = self._ratio_sum = 0.0
        self._error_counts = np.zeros(len(ERROR_EDGES) + 1, np.int64)
        self._ratio_counts = np.zeros(len(RATIO_EDGES) + 1, np.int64)
        self._reasons = np.zeros(len(bundle.preprocess.columns), np.int64)
        self._judge_by(standard)

    def _judge_by(self, standard: Standard) -> None:
        """Place the scores to come by another standard."""
        self._standard = standard
        # A threshold of 0 would divide by nothing: every error above it is far beyond it.
        self._unit = max(standard.value, _LEAST_THRESHOLD)
        edges = (np.array(ERROR_EDGES), np.array(RATIO_EDGES) * self._unit)
        self._bounds = np.unique(np.concatenate([standard.calibration.error, *edges]))
        # Place k holds the scores s with below[k] < s <= bounds[k].
        below = np.concatenate([[-np.inf], self._bounds])
        above = np.concatenate([self._bounds, [np.inf]])
        self._p_value = standard.calibration.p_value(above)
        self._error_bucket, self._ratio_bucket = (
            np.searchsorted(edge, below, side="right") for edge in edges
        )
        self._placed = np.zeros(len(above), np.int64)

    def _settle(self) -> None:
        """Put what was placed into the histograms."""
        np.add.at(self._error_counts, self._error_bucket, self._placed)
        np.add.at(self._ratio_counts, self._ratio_bucket, self._placed)
        self._placed[:] = 0

    def add(self, error: NDArray[np.float64], standard: Standard) -> NDArray[np.float64]:
        """Count rows that were judged by one standard, and return their p-values, (n_rows,).

        A score on a bound belongs below it, as `le` of Prometheus has it, and as p-values count
        errors that are at least the score.
        """
        if standard is not self._standard:
            self._settle()
            self._judge_by(standard)
        finite = np.isfinite(error)
        place = np.searchsorted(self._bounds, error[finite], side="left")
        self._placed += np.bincount(place, minlength=len(self._placed))
        self._rows += len(error)
        self._nonfinite += len(error) - len(place)
        total = float(error[finite].sum())
        self._error_sum += total
        self._ratio_sum += total / self._unit
        p_value = np.ones(len(error))
        p_value[finite] = self._p_value[place]
        return p_value

    def add_flagged(self, share: NDArray[np.float64]) -> None:
        """Count flagged rows by their reasons, (n_flagged, n_columns)."""
        self._flagged += len(share)
        if len(share):
            self._reasons += np.bincount(share.argmax(axis=1), minlength=len(self._reasons))

    def tallies(self, labels: tuple[str, str, str], *, is_frozen: bool) -> list[Tally]:
        """A copy of the counts, as families of metrics."""
        self._settle()

        def counter(name: str, text: str, value: float) -> Tally:
            return Tally(name, "counter", text, _LABELS, {labels: float(value)})

        return [
            counter("scored_rows_total", "Rows that were scored.", self._rows),
            counter(
                "nonfinite_scores_total",
                "Scores that were NaN or infinite; such rows are never flagged.",
                self._nonfinite,
            ),
            counter("flagged_rows_total", "Rows above the threshold.", self._flagged),
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
                {labels: Histogram(ERROR_EDGES, self._error_counts.copy(), self._error_sum)},
            ),
            Tally(
                "error_threshold_ratio",
                "histogram",
                "Error of scored rows over the threshold.",
                _LABELS,
                {labels: Histogram(RATIO_EDGES, self._ratio_counts.copy(), self._ratio_sum)},
            ),
            Tally(
                "threshold",
                "gauge",
                "Error above which a row is flagged.",
                _LABELS,
                {labels: self.threshold},
            ),
            *self._about(labels),
            *families(self.judge, _LABELS, labels),
        ]

    def _about(self, labels: tuple[str, str, str]) -> list[Tally]:
        """What has labels beside those of the bundle."""
        bundle = self._bundle
        reasons: Mapping[tuple[str, ...], float] = {
            (*labels, column): float(n)
            for column, n in zip(bundle.preprocess.columns, self._reasons, strict=True)
        }
        return [
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

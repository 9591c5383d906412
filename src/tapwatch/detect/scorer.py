"""From feature rows to scores, in micro-batches, with counts of what was seen."""

import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.bundle import Bundle
from tapwatch.detect.significance import significant
from tapwatch.errors import ArtifactError
from tapwatch.tables import FeatureBatch, Histogram, Scores, Tally

#: Upper bounds, four a decade, three significant digits so that the labels are stable text.
ERROR_EDGES: Final = tuple(float(f"{edge:.3g}") for edge in np.logspace(-4, 2, 25))
RATIO_EDGES: Final = tuple(float(f"{edge:.3g}") for edge in np.logspace(-1, 2, 13))

_LEAST_THRESHOLD: Final = 1e-30

_LABELS: Final = ("view", "detector", "bundle")


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

    Notes
    -----
    `score` belongs to one thread; `tallies` may be called by any other meanwhile.
    """

    def __init__(self, bundle: Bundle, max_rows: int = 1024) -> None:
        import torch

        # Cores are shared out as workers; a scoring thread that forks more only gets in their way,
        # and would add in an order that depends on their number.
        torch.set_num_threads(1)
        self.bundle = bundle
        self.view = bundle.view
        self.detector = bundle.detector.name
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._counts = _Counts(bundle.preprocess.columns)

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
        error = np.empty(len(batch))
        flagged_rows = []
        for start in range(0, len(batch), self._max_rows):
            rows = bundle.preprocess.apply(batch.values[start : start + self._max_rows])
            part = significant(bundle.detector.score(rows))
            error[start : start + self._max_rows] = part
            flagged_rows.append(rows[_above(part, bundle.threshold)])

        finite = np.isfinite(error)
        flagged = _above(error, bundle.threshold)
        p_value = np.ones(len(error))
        p_value[finite] = bundle.calibration.p_value(error[finite])
        reasons = self._reasons(flagged_rows, batch.values[flagged])
        with self._lock:
            self._counts.add(error[finite], len(error), bundle.threshold, reasons["share"])
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
            **reasons,
        )

    def _reasons(
        self, parts: list[NDArray[np.float32]], values: NDArray[Any]
    ) -> dict[str, NDArray[np.float64]]:
        """Contributions of the flagged rows only: explaining costs more than scoring."""
        preprocess, detector = self.bundle.preprocess, self.bundle.detector
        shape = (0, len(preprocess.columns))
        rows = np.concatenate(parts) if parts else np.zeros(shape, np.float32)
        return {
            "observed": preprocess.observed(values),
            "expected": preprocess.to_units(detector.expected(rows)),
            "share": detector.contributions(rows),
        }

    def tallies(self) -> list[Tally]:
        """Counts of this bundle, for the window."""
        labels = (self.view, self.detector, self.bundle.name)
        with self._lock:
            return self._counts.tallies(labels, self.bundle)


def _above(error: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    # NaN compares false; infinity has to be kept out by hand.
    above: NDArray[np.bool_] = (error > threshold) & np.isfinite(error)
    return above


class _Counts:
    """What has been scored so far."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._rows = 0
        self._nonfinite = 0
        self._error = _Buckets(ERROR_EDGES)
        self._ratio = _Buckets(RATIO_EDGES)
        self._reasons = np.zeros(len(columns), np.int64)

    def add(
        self,
        finite_error: NDArray[np.float64],
        n_rows: int,
        threshold: float,
        share: NDArray[np.float64],
    ) -> None:
        """Count rows; `share` is of those that were flagged."""
        self._rows += n_rows
        self._nonfinite += n_rows - len(finite_error)
        self._error.add(finite_error)
        # A threshold of 0 would divide by nothing: every error above it is far beyond it.
        self._ratio.add(finite_error / max(threshold, _LEAST_THRESHOLD))
        if len(share):
            self._reasons += np.bincount(share.argmax(axis=1), minlength=len(self._columns))

    def tallies(self, labels: tuple[str, str, str], bundle: Bundle) -> list[Tally]:
        """A copy of the counts, as families of metrics."""

        def counter(name: str, text: str, value: float) -> Tally:
            return Tally(name, "counter", text, _LABELS, {labels: float(value)})

        reasons: Mapping[tuple[str, ...], float] = {
            (*labels, column): float(n)
            for column, n in zip(self._columns, self._reasons, strict=True)
        }
        return [
            counter("scored_rows_total", "Rows that were scored.", self._rows),
            counter(
                "nonfinite_scores_total",
                "Scores that were NaN or infinite; such rows are never flagged.",
                self._nonfinite,
            ),
            Tally(
                "reconstruction_error",
                "histogram",
                "Error of scored rows.",
                _LABELS,
                {labels: self._error.snapshot()},
            ),
            Tally(
                "error_threshold_ratio",
                "histogram",
                "Error of scored rows over the threshold.",
                _LABELS,
                {labels: self._ratio.snapshot()},
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


class _Buckets:
    """A histogram that counts whole arrays at once."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._bounds = np.array(edges)
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self._total = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values; a value on an edge belongs below it, as Prometheus has it (`le`)."""
        buckets = np.searchsorted(self._bounds, values, side="left")
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._total += float(values.sum())

    def snapshot(self) -> Histogram:
        """The counts so far."""
        return Histogram(self._edges, self._counts.copy(), self._total)

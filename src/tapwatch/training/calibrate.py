"""Errors of held-out benign rows, and the threshold that follows from them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import CHUNK_ROWS, Detector
from tapwatch.detect.preprocess import Preprocess
from tapwatch.detect.sequences import inputs_of
from tapwatch.detect.significance import significant
from tapwatch.training.datasets import Part
from tapwatch.training.reservoir import Exposure


@dataclass(frozen=True, slots=True)
class Held:
    """What calibration needs of the held-out rows."""

    errors: NDArray[np.float64]  # (n,) six significant digits
    hours: float  # time that the rows span

    @property
    def rows_per_hour(self) -> float:
        """Rate of rows; 0 where they span no time."""
        return len(self.errors) / self.hours if self.hours > 0 else 0.0


def score_rows(
    values: NDArray[np.float32], preprocess: Preprocess, detector: Detector
) -> NDArray[np.float64]:
    """Errors of rows (n, n_schema_columns), or blocks of them, as the scorer would tell them."""
    parts = [
        detector.score(inputs_of(preprocess, values[start : start + CHUNK_ROWS]))
        for start in range(0, len(values), CHUNK_ROWS)
    ]
    return significant(np.concatenate(parts)) if parts else np.zeros(0)


def measure(inputs: Iterable[Iterable[Part]], preprocess: Preprocess, detector: Detector) -> Held:
    """Score all held-out rows as they come; only their errors are kept, 8 bytes a row."""
    errors, hours = [np.zeros(0)], 0.0
    for parts in inputs:
        exposure = Exposure()
        for part in parts:
            errors.append(score_rows(part.values, preprocess, detector))
            exposure.add(part.time_ns)
        hours += exposure.hours
    return Held(np.concatenate(errors), hours)


def measure_tail(
    values: NDArray[np.float32],
    time_ns: NDArray[np.int64],
    share_kept: float,
    preprocess: Preprocess,
    detector: Detector,
) -> Held:
    """Score rows that were sampled: each stands for 1 / share_kept rows of the same time."""
    exposure = Exposure()
    exposure.add(time_ns)
    # The rate must be that of all rows: fewer hours for the fewer rows say just that.
    return Held(score_rows(values, preprocess, detector), exposure.hours * share_kept)

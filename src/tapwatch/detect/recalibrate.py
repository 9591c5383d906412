"""A threshold that follows benign drift, at most so far, and never without saying so.

recalibrate   After an alarm the next M rows that are not far outside calibrate the threshold again,
              by the bundle's own method and share. Rows above ten times the bundle's threshold are
              never learnt from, and where they are many, or most rows would be alerts by the
              threshold in force, nothing moves: that is no drift but an attack or a broken model.
dspot         Peaks over threshold with drift (Siffer and others 2017, DSPOT), on the logarithm of
              the error, where a drift of scale is a shift. Every 2,048 rows the mean of the last
              ones that were not flagged moves the threshold, and the law of the peaks above that
              mean is fitted anew from time to time. Flagged rows move nothing.

Neither moves the threshold by more than a factor from the bundle's own, however often it moves.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.pot import LEAST_PEAKS, TAIL_SHARE, Tail, fit_excess
from tapwatch.detect.threshold import Calibration, calibrate, summarise
from tapwatch.errors import ArtifactError

#: Rows of a recalibration, where nobody says: ten for each that may be flagged, within limits.
LEAST_ROWS: Final = 8192
MOST_ROWS: Final = 262_144
_ROWS_PER_ALERT: Final = 10

#: Times the bundle's threshold: rows above are never learnt from.
FAR: Final = 10.0
#: Share of far rows, and of rows above the threshold in force, that stop a recalibration.
_MOST_FAR: Final = 0.01
_MOST_FLAGGED: Final = 0.5

_LEAST_ERROR: Final = 1e-30

#: DSPOT: rows of a step, steps that the moving mean is over, steps whose peaks are remembered,
#: steps between two fits, and peaks that are fitted at most.
STEP_ROWS: Final = 2048
_DEPTH: Final = 4
_MEMORY: Final = 64
_FIT_EVERY: Final = 4
_MOST_PEAKS: Final = 2048


class Outcome(StrEnum):
    """What became of a recalibration."""

    MOVED = "moved"
    LIMITED = "limited"  # moved, but no further than allowed
    FAR_ROWS = "far_rows"  # refused: too many rows far outside
    MOST_FLAGGED = "most_flagged"  # refused: most rows would be alerts


@dataclass(frozen=True, slots=True)
class Standard:
    """What rows are judged by: flagged above `value`, p-values among `calibration`."""

    value: float
    calibration: Calibration


def rows_wanted(part: ThresholdPart, given: int) -> int:
    """Rows of a recalibration: those given, or ten for each that the bundle's share may flag."""
    if given:
        return given
    share = max(part.alpha, _ROWS_PER_ALERT / MOST_ROWS)
    return min(max(LEAST_ROWS, int(np.ceil(_ROWS_PER_ALERT / share))), MOST_ROWS)


class Collector:
    """Gathers errors that look benign until there are enough for a threshold.

    Parameters
    ----------
    part : ThresholdPart
        How the bundle came to its own threshold.
    n_rows : int
        Rows wanted.
    factor : float
        The threshold stays within the bundle's own times and divided by this.

    Raises
    ------
    ArtifactError
        The bundle's threshold or rates are such that nothing can be calibrated by them.
    """

    def __init__(self, part: ThresholdPart, n_rows: int, factor: float) -> None:
        _check(part)
        if part.risk is None and 0 < part.rows_per_hour <= part.budget_per_hour:
            raise ArtifactError(
                f"threshold.budget_per_hour = {part.budget_per_hour:g}: want less than "
                f"rows_per_hour, {part.rows_per_hour:g}, else nothing can be recalibrated"
            )
        self._part = part
        self._n_rows = n_rows
        self._limits = part.value / factor, part.value * factor
        self.far_rows = 0  # ever
        self._clear()

    def _clear(self) -> None:
        self._errors: list[NDArray[np.float64]] = []
        self._taken = self._far = 0

    def take(
        self, errors: NDArray[np.float64], in_force: Standard
    ) -> tuple[Standard, Outcome] | None:
        """Take the errors of one block of rows; what follows when there are enough.

        After an outcome it begins anew; a refused one leaves what is in force.
        """
        sound = errors[np.isfinite(errors)]
        near = sound[sound <= FAR * self._part.value]
        self._far += len(sound) - len(near)
        self.far_rows += len(sound) - len(near)
        self._errors.append(near)
        self._taken += len(near)
        if self._far > _MOST_FAR * self._n_rows:
            self._clear()
            return in_force, Outcome.FAR_ROWS
        if self._taken < self._n_rows:
            return None
        gathered = np.concatenate(self._errors)[: self._n_rows]
        self._clear()
        if np.count_nonzero(gathered > in_force.value) > _MOST_FLAGGED * len(gathered):
            return in_force, Outcome.MOST_FLAGGED
        return self._calibrated(gathered)

    def _calibrated(self, errors: NDArray[np.float64]) -> tuple[Standard, Outcome]:
        part = self._part
        value = calibrate(
            errors,
            part.rows_per_hour,
            part.budget_per_hour,
            method=part.method,
            factor=part.factor,
            beyond=part.beyond,
            risk=part.risk,
        ).value
        low, high = self._limits
        kept = min(max(value, low), high)
        outcome = Outcome.MOVED if kept == value else Outcome.LIMITED
        return Standard(kept, summarise(errors)), outcome


@dataclass(frozen=True, slots=True)
class _Step:
    """What is remembered of one step of DSPOT: logarithms of rows that were not flagged."""

    rows: int
    total: float  # sum of the logarithms
    peaks: NDArray[np.float64]  # excesses above the start of the tail, over the mean in force


class Dspot:
    """Peaks over threshold with drift, on the logarithm of the error.

    Parameters
    ----------
    part : ThresholdPart
    calibration : Calibration
        Gives the first mean, start and peaks.
    factor : float
        The threshold stays within the bundle's own times and divided by this.

    Raises
    ------
    ArtifactError
        The bundle's threshold is not above 0.
    """

    def __init__(self, part: ThresholdPart, calibration: Calibration, factor: float) -> None:
        _check(part)
        self._risk = part.alpha
        self._limits = part.value / factor, part.value * factor
        log = _log(calibration.error)
        count = -np.diff(calibration.exceed)
        self._mean = float((log * count).sum() / calibration.n)
        above = calibration.exceed[1:]
        self._start = float(log[int(np.argmax(above <= TAIL_SHARE * calibration.n))]) - self._mean
        excess = np.repeat(log, count) - self._mean - self._start
        peaks = excess[excess > 0][-_MOST_PEAKS:]
        self._steps = deque([_Step(calibration.n, self._mean * calibration.n, peaks)])
        self._since_fit = 0
        # The bundle's threshold, as it lies over the mean, until there is a law that says more.
        self._height = float(_log(np.array([part.value]))[0]) - self._mean
        self.fit()

    def fit(self) -> None:
        """Fit the law of the peaks; too few of them leave the height as it is."""
        peaks = np.concatenate([step.peaks for step in self._steps])
        rows = sum(step.rows for step in self._steps)
        n_peaks = len(peaks)
        if n_peaks < LEAST_PEAKS or not 0 < self._risk < n_peaks / rows:
            return
        shape, scale = fit_excess(peaks[-_MOST_PEAKS:])
        self._height = Tail(self._start, scale, shape, n_peaks, rows).quantile(self._risk)

    @property
    def value(self) -> float:
        """The threshold from here on."""
        low, high = self._limits
        # An exponent beyond the limits would overflow for nothing.
        at = np.clip(self._mean + self._height, np.log(low) - 1, np.log(high) + 1)
        return float(min(max(float(np.exp(at)), low), high))

    def take(self, errors: NDArray[np.float64], in_force: float) -> None:
        """Take the errors of one step, judged by `in_force`."""
        log = _log(errors[np.isfinite(errors) & (errors <= in_force)])
        over = log - self._mean - self._start
        self._steps.append(_Step(len(log), float(log.sum()), over[over > 0]))
        if len(self._steps) > _MEMORY:
            self._steps.popleft()
        last = list(self._steps)[-_DEPTH:]
        rows = sum(step.rows for step in last)
        if rows:
            self._mean = sum(step.total for step in last) / rows
        self._since_fit += 1
        if self._since_fit == _FIT_EVERY:
            self._since_fit = 0
            self.fit()


def _check(part: ThresholdPart) -> None:
    if not part.value > 0:
        raise ArtifactError(
            f"threshold.value = {part.value!r}: want more than 0 where the threshold may move: "
            "limits are multiples of it"
        )


def _log(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    log: NDArray[np.float64] = np.log(np.maximum(errors, _LEAST_ERROR))
    return log

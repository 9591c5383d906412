"""A threshold that follows benign drift, at most so far, and never without saying so.

recalibrate   After an alarm the next M rows that are not far outside calibrate the threshold again,
              by the bundle's own method and share. Rows above ten times the bundle's threshold are
              never learnt from, and where they are many, or most rows would be alerts by the
              threshold in force, nothing moves: that is no drift but an attack or a broken model.
dspot         The drift of DSPOT (Siffer and others 2017): every 2,048 rows the threshold is put at
              its height over the mean of the last 8,192 ones that were not flagged, on the
              logarithm of the error, where a drift of scale is a shift. Flagged rows move nothing.
              The height is the bundle's. DSPOT fits it anew to the peaks that come by, which holds
              no budget on rows that stay as they are: without the flagged rows the tail loses its
              end, with them cut to the threshold it loses their length, and both lower the
              threshold with every fit; with their length an attack makes the tail.

Neither moves the threshold by more than a factor from the bundle's own, however often it moves. A
recalibration moves it up no further than ordinary rows have moved, and half as much again: a few
rows in a hundred that lie just below the guards would else be the tail that they are measured by.
Where a detector has a highest error, none of them moves the threshold up to it.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.drift import quantile_of
from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.threshold import Calibration, below, calibrate, stretched, summarise
from tapwatch.errors import ArtifactError, ConfigError

#: Rows of a recalibration, where nobody says: ten for each that may be flagged, within limits.
LEAST_ROWS: Final = 8192
MOST_ROWS: Final = 262_144
_ROWS_PER_ALERT: Final = 10

#: Times the bundle's threshold: rows above are never learnt from.
FAR: Final = 10.0
#: Share of far rows, and of rows above the threshold in force, that stop a recalibration.
_MOST_FAR: Final = 0.01
_MOST_FLAGGED: Final = 0.5
#: Rows that are looked at, times those wanted, until it begins anew: rows may have no finite error.
_MOST_SEEN: Final = 4

#: Shares of rows above the two errors that stand for ordinary rows, and how much further than the
#: further of them the threshold may go. Who sends fewer than a quarter of the rows decides neither.
_BODY: Final = (0.5, 0.25)
TAIL_MORE: Final = 1.5

#: Smaller errors count as this, and no smaller threshold may move.
LEAST_ERROR: Final = 1e-30
#: No larger one either: its multiples would be no numbers.
_MOST_VALUE: Final = 1e30

#: DSPOT: rows of a step, and steps that the moving mean is over.
STEP_ROWS: Final = 2048
_DEPTH: Final = 4


class Outcome(StrEnum):
    """What became of a recalibration."""

    MOVED = "moved"
    LIMITED = "limited"  # moved, but no further than allowed
    FAR_ROWS = "far_rows"  # refused: too many rows far outside
    MOST_FLAGGED = "most_flagged"  # refused: most rows would be alerts
    NOT_FINITE = "not_finite"  # refused: most rows have an error that is no number, or infinite


@dataclass(frozen=True, slots=True)
class Standard:
    """What rows are judged by: flagged above `value`, p-values among `calibration`."""

    value: float
    calibration: Calibration


def rows_wanted(part: ThresholdPart, given: int) -> int:
    """Rows of a recalibration: those given, or ten for each that the bundle's share may flag.

    Raises
    ------
    ConfigError
        Those given are too few to hold one row that may be flagged.
    """
    if given:
        least = MOST_ROWS if part.alpha * MOST_ROWS < 1 else math.ceil(1 / part.alpha - 1e-6)
        if part.alpha > 0 and given < least:
            raise ConfigError(
                "detect.recalibrate_rows",
                given,
                f"0, or {least:,} or more",
                f"a bundle may flag one row in {1 / part.alpha:.3g}, which fewer rows do not show",
            )
        return given
    share = max(part.alpha, _ROWS_PER_ALERT / MOST_ROWS)
    return min(max(LEAST_ROWS, int(np.ceil(_ROWS_PER_ALERT / share))), MOST_ROWS)


class Collector:
    """Gathers errors that look benign until there are enough for a threshold.

    Parameters
    ----------
    part : ThresholdPart
        How the bundle came to its own threshold.
    calibration : Calibration
        The bundle's own: says how far ordinary rows have moved.
    n_rows : int
        Rows wanted.
    factor : float
        The threshold stays within the bundle's own times and divided by this.
    most_error : float
        The highest error of the detector.

    Attributes
    ----------
    far_rows : int
        Rows ever that were too far out to be learnt from.
    warnings : tuple of str
        What there is to say of the last threshold that was found.

    Raises
    ------
    ArtifactError
        The bundle's threshold or rates are such that nothing can be calibrated by them.
    """

    def __init__(
        self,
        part: ThresholdPart,
        calibration: Calibration,
        n_rows: int,
        factor: float,
        most_error: float = math.inf,
    ) -> None:
        _check(part)
        if part.risk is None and 0 < part.rows_per_hour <= part.budget_per_hour:
            raise ArtifactError(
                f"threshold.budget_per_hour = {part.budget_per_hour:g}: want less than "
                f"rows_per_hour, {part.rows_per_hour:g}, else nothing can be recalibrated"
            )
        self._part = part
        self._n_rows = n_rows
        self._most_error = most_error
        self._limits = _limits(part, calibration, factor, most_error)
        self._body = _body_of(calibration)
        self.far_rows = 0
        self.warnings: tuple[str, ...] = ()
        self._clear()

    def _clear(self) -> None:
        self._errors: list[NDArray[np.float64]] = []
        self._taken = self._far = self._seen = 0

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
        self._seen += len(errors)
        if len(near):
            self._errors.append(near)
            self._taken += len(near)
        if self._far > _MOST_FAR * self._n_rows:
            self._clear()
            return in_force, Outcome.FAR_ROWS
        if self._taken < self._n_rows:
            if self._seen < _MOST_SEEN * self._n_rows:
                return None
            self._clear()
            return in_force, Outcome.NOT_FINITE
        gathered = np.concatenate(self._errors)[: self._n_rows]
        self._clear()
        if np.count_nonzero(gathered > in_force.value) > _MOST_FLAGGED * len(gathered):
            return in_force, Outcome.MOST_FLAGGED
        return self._calibrated(gathered)

    def _calibrated(self, errors: NDArray[np.float64]) -> tuple[Standard, Outcome]:
        part = self._part
        found = calibrate(
            errors,
            part.rows_per_hour,
            part.budget_per_hour,
            method=part.method,
            factor=part.factor,
            beyond=part.beyond,
            risk=part.risk,
            most_error=self._most_error,
        )
        value, self.warnings = found.value, found.warnings
        calibration = summarise(errors)
        low, high = self._limits
        kept = min(max(value, low), high, part.value * TAIL_MORE * self._moved(calibration))
        outcome = Outcome.MOVED if kept == value else Outcome.LIMITED
        return Standard(kept, calibration), outcome

    def _moved(self, calibration: Calibration) -> float:
        """How many times larger ordinary errors are than the bundle's; at least 1."""
        before, after = self._body, _body_of(calibration)
        is_told = before >= LEAST_ERROR
        with np.errstate(over="ignore"):  # no bound, then, but the factor
            ratio = np.divide(after, before, out=np.ones_like(before), where=is_told)
        return float(max(ratio.max(), 1.0))


def _body_of(calibration: Calibration) -> NDArray[np.float64]:
    return np.array([quantile_of(calibration, share) for share in _BODY])


class Dspot:
    """A threshold that keeps its height over the moving mean of the logarithm of the error.

    Parameters
    ----------
    part : ThresholdPart
    calibration : Calibration
        Gives the first mean, and so the height.
    factor : float
        The threshold stays within the bundle's own times and divided by this.
    most_error : float
        The highest error of the detector.

    Raises
    ------
    ArtifactError
        The bundle's threshold is too small or too large to be moved.
    """

    def __init__(
        self,
        part: ThresholdPart,
        calibration: Calibration,
        factor: float,
        most_error: float = math.inf,
    ) -> None:
        _check(part)
        self._limits = _limits(part, calibration, factor, most_error)
        # The mean of the rows that would not have been flagged: as it is of those to come.
        is_below = calibration.error <= part.value
        log = _log(calibration.error[is_below])
        count = -np.diff(calibration.exceed)[is_below]
        line = float(_log(np.array([part.value]))[0])
        self._mean = float((log * count).sum() / count.sum()) if count.any() else line
        self._height = line - self._mean
        self._last = deque[tuple[int, float]](maxlen=_DEPTH)  # rows of a step, and their sum

    @property
    def value(self) -> float:
        """The threshold from here on."""
        return self._wanted()[0]

    @property
    def is_limited(self) -> bool:
        """Whether the threshold would lie further out, if it were allowed to."""
        return self._wanted()[1]

    def _wanted(self) -> tuple[float, bool]:
        low, high = self._limits
        if low == high:
            return low, False  # it may not move at all: there is no limit to come to
        at = self._mean + self._height
        # Beyond the limits there is no need for an exponent, which might overflow.
        if at < np.log(low):
            return low, True
        if at > np.log(high):
            return high, True
        return float(min(max(np.exp(at), low), high)), False

    def take(self, errors: NDArray[np.float64], in_force: float) -> None:
        """Take the errors of one step, judged by `in_force`."""
        log = _log(errors[np.isfinite(errors) & (errors <= in_force)])
        self._last.append((len(log), float(log.sum())))
        rows = sum(n for n, _ in self._last)
        if rows:
            self._mean = sum(total for _, total in self._last) / rows


def _check(part: ThresholdPart) -> None:
    if not LEAST_ERROR <= part.value <= _MOST_VALUE:
        raise ArtifactError(
            f"threshold.value = {part.value!r}: want {LEAST_ERROR:g} or more, and {_MOST_VALUE:g} "
            "or less, where the threshold may move: how far is a multiple of it"
        )


def _limits(
    part: ThresholdPart, calibration: Calibration, factor: float, most_error: float
) -> tuple[float, float]:
    """The lowest and the highest threshold that the bundle's may become."""
    high = stretched(part.value, factor, most_error)
    if calibration.error[-1] < most_error:
        high = min(high, below(most_error))
    return min(part.value / factor, high), high


def _log(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    log: NDArray[np.float64] = np.log(np.maximum(errors, LEAST_ERROR))
    return log

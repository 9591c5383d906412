"""Whether errors are those that the threshold was calibrated for: river's ADWIN watches them.

Errors are taken in units of 256 rows, counted from the first one, so that batches do not show.
Two means over each 32 rows, both between 0 and 1 as ADWIN's bound wants them (Bifet, Gavalda 2007),
go to a window each:

level   the mean rank of the errors among those of the calibration: the share of these that lie
        below; .5 where rows are as they were
tail    the share of rows above the error that one calibration row in fifty exceeds

The level moves when ordinary rows change; the tail also when only a few of them do. Ranks do not
ask what scale the errors of a detector have. An alarm says that the later part of the window has
another mean than the earlier one, up or down.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.threshold import Calibration

Signal = Literal["level", "tail"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)

#: Rows whose errors are looked at together: an alarm comes at the end of a unit.
UNIT_ROWS: Final = 256
#: Rows of one mean. ADWIN's bound shrinks with the number of means: of 256 rows it would take tens
#: of thousands of rows to tell a tail that has doubled, while single rows cost as much as a model.
_MEAN_ROWS: Final = 32
#: Share of the calibration errors that lie above the start of the tail.
_TAIL: Final = 0.02
#: ADWIN looks for a change at the end of a unit, once it has four of them.
_CLOCK: Final = UNIT_ROWS // _MEAN_ROWS
_GRACE: Final = 4 * _CLOCK


@dataclass(frozen=True, slots=True)
class Alarm:
    """One signal has another mean than before."""

    signal: Signal
    before: float  # mean of the window as it was
    after: float  # and of what is left of it


class DriftWatch:
    """Two ADWIN windows over means of errors.

    Parameters
    ----------
    calibration : Calibration
        Says what rank an error has, and where the tail begins.
    delta : float
        Chance of a false alarm that ADWIN allows, where rows are independent of each other.
    """

    def __init__(self, calibration: Calibration, delta: float) -> None:
        self._delta = delta
        self.begin(calibration)

    def begin(self, calibration: Calibration) -> None:
        """Forget what was seen, and measure by another calibration."""
        self._calibration = calibration
        self._start = quantile_of(calibration, _TAIL)
        self._windows: dict[Signal, Any] = {}

    def take(self, units: NDArray[np.float64]) -> tuple[int, list[Alarm]]:
        """Take units of errors (n_units, UNIT_ROWS) up to the first alarm.

        Returns
        -------
        n_taken : int
            How many units, the one that gave the alarm included.
        alarms : list of Alarm
            At the end of that unit; at most one of each signal.
        """
        if not self._windows:
            self._windows = {signal: _adwin(self._delta) for signal in SIGNALS}
        rows = units.reshape(-1, _MEAN_ROWS)
        means = np.stack([self._levels(rows), self._tails(rows)]).reshape(2, -1, _CLOCK)
        for k, unit in enumerate(means.transpose(1, 0, 2).tolist()):
            alarms = [
                alarm
                for signal, values in zip(SIGNALS, unit, strict=True)
                if (alarm := self._update(signal, values)) is not None
            ]
            if alarms:
                return k + 1, alarms
        return len(units), []

    def mean(self, signal: Signal) -> float:
        """Mean over what the window holds; before the first unit that of the calibration."""
        window = self._windows.get(signal)
        if window is None or window.width == 0:
            return 0.5 if signal == "level" else _TAIL
        return float(window.estimation)

    def _update(self, signal: Signal, values: list[float]) -> Alarm | None:
        before = self.mean(signal)
        window = self._windows[signal]
        for value in values:
            window.update(value)
        # It looks at the last of them only.
        return Alarm(signal, before, self.mean(signal)) if window.drift_detected else None

    def _levels(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        error, exceed = self._calibration.error, self._calibration.exceed
        # Of errors that tie with calibration errors half of those lie below.
        place = np.searchsorted(error, rows, side="left")
        ties = (place < len(error)) & (error[np.minimum(place, len(error) - 1)] == rows)
        above = exceed[place] + exceed[place + ties]
        # What is no number says nothing of the traffic.
        rank = np.where(np.isfinite(rows), 1 - above / (2 * self._calibration.n), 0.5)
        means: NDArray[np.float64] = rank.mean(axis=1)
        return means

    def _tails(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        is_above = (rows > self._start) & (rows < np.inf)
        means: NDArray[np.float64] = is_above.mean(axis=1)
        return means


def quantile_of(calibration: Calibration, share: float) -> float:
    """The smallest calibration error that at most `share` of them exceed."""
    above = calibration.exceed[1:]  # errors above error[j]
    return float(calibration.error[int(np.argmax(above <= share * calibration.n))])


def _adwin(delta: float) -> Any:
    # Costs seconds to import: only who has a unit of rows to look at pays.
    from river.drift import ADWIN

    adwin: Any = ADWIN
    return adwin(delta=delta, clock=_CLOCK, grace_period=_GRACE)

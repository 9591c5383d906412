"""Whether errors are those that the threshold was calibrated for: river's ADWIN watches them.

Errors are taken in units of 256 rows, counted from the first one, so that batches do not show.
Two means over each 32 rows, both between 0 and 1 as ADWIN's bound wants them (Bifet, Gavalda 2007),
go to a window each:

level   the mean rank of the errors among those of the calibration, which are put into 16 bins of as
        many errors: the share that lies in bins below, and half of that in the same bin; .5
        where rows are as they were
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
#: As river has them: buckets of one size, and means on either side of a cut.
_MAX_BUCKETS: Final = 5
_LEAST_SIDE: Final = 5
#: Of the rank, as many calibration errors in each.
_BINS: Final = 16


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
        self._scale = _Scale(calibration)
        self._windows: dict[Signal, _Window] = {}

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
            self._windows = {signal: _Window(self._delta) for signal in SIGNALS}
        means = self._scale.means(units.reshape(-1, _MEAN_ROWS)).reshape(2, -1, _CLOCK).tolist()
        for k in range(len(units)):
            alarms = []
            for signal, values in zip(SIGNALS, means, strict=True):
                before = self._windows[signal].changed_from(values[k])
                if before is not None:
                    alarms.append(Alarm(signal, before, self.mean(signal)))
            if alarms:
                return k + 1, alarms
        return len(units), []

    def mean(self, signal: Signal) -> float:
        """Mean over what the window holds; before the first unit that of the calibration."""
        window = self._windows.get(signal)
        mean = None if window is None else window.mean
        if mean is None:
            return 0.5 if signal == "level" else _TAIL
        return mean


class _Scale:
    """What an error counts for: its rank, and whether it lies in the tail."""

    def __init__(self, calibration: Calibration) -> None:
        error, exceed = calibration.error, calibration.exceed
        self._start = quantile_of(calibration, _TAIL)
        above = np.linspace(calibration.n, 0, _BINS + 1)[1:]
        # The last error of each bin: the smallest that so many exceed, or fewer.
        ends = np.unique(np.searchsorted(-exceed[1:], -above, side="left"))
        n_above = np.concatenate([[calibration.n], exceed[1 + ends], [0]])
        self._edges = error[ends]
        self._ranks = 1 - (n_above[:-1] + n_above[1:]) / (2 * calibration.n)
        # Loads the kernel, or compiles it, before there are rows that would have to wait.
        self.means(np.zeros((0, _MEAN_ROWS)))

    def means(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Both signals, (2, n), of rows (n, _MEAN_ROWS)."""
        # Not with the module: who watches nothing has no need of it.
        from tapwatch.detect.drift_kernel import mean_rows

        means = np.empty((2, len(rows)))
        mean_rows(rows, self._edges, self._ranks, self._start, means)
        return means


class _Window:
    """ADWIN as river has it, without what its package of detectors loads besides."""

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._begin()

    def _begin(self) -> None:
        self._window = _windowing()(self._delta, _CLOCK, _MAX_BUCKETS, _LEAST_SIDE, _GRACE)
        self._is_over = False

    @property
    def mean(self) -> float | None:
        """Mean of what the window holds; None of nothing."""
        width = self._window.get_width()
        return float(self._window.get_total() / width) if width else None

    def changed_from(self, values: list[float]) -> float | None:
        """Take the values of one unit; the mean as it was, where what is left has another one."""
        if self._is_over:
            self._begin()
        window = self._window
        total, width = window.get_total(), window.get_width()
        for value in values:
            # It looks at the last of them only.
            self._is_over = window.update(value)
        return total / width if self._is_over else None


def quantile_of(calibration: Calibration, share: float) -> float:
    """The smallest calibration error that at most `share` of them exceed."""
    above = calibration.exceed[1:]  # errors above error[j]
    return float(calibration.error[int(np.argmax(above <= share * calibration.n))])


def _windowing() -> Any:
    # Its package imports pandas and scikit-learn, for seconds and a hundred megabytes: only where
    # the class is not found by itself.
    module: Any
    try:
        from river._river_rust import drift as module
    except ImportError:
        from river.drift import adwin as module
    return module.AdaptiveWindowing

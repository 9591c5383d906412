"""Whether errors are those that the threshold was calibrated for: river's ADWIN watches them.

Errors are taken in blocks of 256 rows, counted from the first one, so that batches do not show.
Two means over each block, both between 0 and 1 as ADWIN's bound wants them (Bifet, Gavalda 2007),
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

BLOCK_ROWS: Final = 256
#: Share of the calibration errors that lie above the start of the tail.
_TAIL: Final = 0.02
#: ADWIN looks for a change every fourth block, once it has ten.
_CLOCK: Final = 4
_GRACE: Final = 10


@dataclass(frozen=True, slots=True)
class Alarm:
    """One signal has another mean than before."""

    signal: Signal
    before: float  # mean of the window as it was
    after: float  # and of what is left of it


class DriftWatch:
    """Two ADWIN windows over blocks of errors.

    Parameters
    ----------
    calibration : Calibration
        Says what rank an error has, and where the tail begins.
    delta : float
        Chance of a false alarm that ADWIN allows, where blocks are independent of each other.
    """

    def __init__(self, calibration: Calibration, delta: float) -> None:
        self._delta = delta
        self.begin(calibration)

    def begin(self, calibration: Calibration) -> None:
        """Forget what was seen, and measure by another calibration."""
        self._calibration = calibration
        self._start = quantile_of(calibration, _TAIL)
        self._windows = {signal: _adwin(self._delta) for signal in SIGNALS}

    def take(self, blocks: NDArray[np.float64]) -> tuple[int, list[Alarm]]:
        """Take blocks (n_blocks, BLOCK_ROWS) up to the first alarm.

        Returns
        -------
        n_taken : int
            How many blocks, the one that gave the alarm included.
        alarms : list of Alarm
            Of that block; at most one of each signal.
        """
        values = np.stack([self._levels(blocks), self._tails(blocks)], axis=1).tolist()
        for k, pair in enumerate(values):
            alarms = [
                alarm
                for signal, value in zip(SIGNALS, pair, strict=True)
                if (alarm := self._update(signal, value)) is not None
            ]
            if alarms:
                return k + 1, alarms
        return len(blocks), []

    def mean(self, signal: Signal) -> float:
        """Mean over what the window holds; before the first block that of the calibration."""
        window = self._windows[signal]
        if window.width == 0:
            return 0.5 if signal == "level" else _TAIL
        return float(window.estimation)

    def _update(self, signal: Signal, value: float) -> Alarm | None:
        before = self.mean(signal)
        window = self._windows[signal]
        window.update(value)
        return Alarm(signal, before, self.mean(signal)) if window.drift_detected else None

    def _levels(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        error, exceed = self._calibration.error, self._calibration.exceed
        # Of errors that tie with calibration errors half of those lie below.
        above = exceed[np.searchsorted(error, blocks, side="left")]
        above = above + exceed[np.searchsorted(error, blocks, side="right")]
        # What is no number says nothing of the traffic.
        rank = np.where(np.isfinite(blocks), 1 - above / (2 * self._calibration.n), 0.5)
        means: NDArray[np.float64] = rank.mean(axis=1)
        return means

    def _tails(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        is_above = (blocks > self._start) & (blocks < np.inf)
        means: NDArray[np.float64] = is_above.mean(axis=1)
        return means


def quantile_of(calibration: Calibration, share: float) -> float:
    """The smallest calibration error that at most `share` of them exceed."""
    above = calibration.exceed[1:]  # errors above error[j]
    return float(calibration.error[int(np.argmax(above <= share * calibration.n))])


def _adwin(delta: float) -> Any:
    # Costs a second to import; a run that does not watch does not pay.
    from river.drift import ADWIN

    adwin: Any = ADWIN
    return adwin(delta=delta, clock=_CLOCK, grace_period=_GRACE)

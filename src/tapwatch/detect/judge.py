"""The threshold in force, row by row: the bundle's own, or one that follows drift.

Rows are counted from the first one that a scorer sees. What a unit of rows changes holds from the
row after it, so neither a verdict nor an event depends on how rows came in batches.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import DetectConfig
from tapwatch.detect.drift import SIGNALS, UNIT_ROWS, Alarm, DriftWatch
from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.recalibrate import (
    STEP_ROWS,
    Collector,
    Dspot,
    Outcome,
    Standard,
    rows_wanted,
)
from tapwatch.detect.significance import significant
from tapwatch.detect.threshold import Calibration
from tapwatch.tables import Tally

#: After the event of one signal, the next is told so many rows later at the soonest; metrics
#: count all of them.
TOLD_EVERY: Final = 64 * UNIT_ROWS
#: A threshold that follows all the time is told of when it has moved by this factor.
_TOLD_RATIO: Final = 1.5

_ALARMS_HELP: Final = "Alarms of the watch for drift, by what has drifted."
_MEANS_HELP: Final = (
    "Means of the watch for drift: the rank among calibration errors (level; .5 as calibrated), "
    "and the share of rows above all but two percent of them (tail; .02)."
)
_OUTCOMES_HELP: Final = "Thresholds found again, or not, by what came of it."


@dataclass(frozen=True, slots=True)
class Event:
    """What is told of drift, at the end of a unit."""

    rows: int  # judged by then, since the beginning
    kind: Literal["drift", "recalibration"]
    what: str
    before: float
    after: float
    threshold: float
    warnings: tuple[str, ...] = ()  # of the calibration


class Judge:
    """Says which standard holds for which rows, and watches their errors.

    Parameters
    ----------
    part : ThresholdPart
        The bundle's threshold, and how it came to it.
    calibration : Calibration
    config : DetectConfig
        `drift` says what is done, `drift_delta` and `recalibrate_*` how.
    most_error : float
        The highest error of the detector: no threshold moves up to it.

    Attributes
    ----------
    in_force : Standard
        What the next row is judged by.
    events : list of Event
        Not fetched yet.

    Raises
    ------
    ArtifactError
        The threshold may move, and the bundle's does not say how far.
    ConfigError
        `recalibrate_rows` are too few for the share of rows that the bundle may flag.
    """

    def __init__(
        self,
        part: ThresholdPart,
        calibration: Calibration,
        config: DetectConfig,
        most_error: float = math.inf,
    ) -> None:
        self.in_force = Standard(part.value, calibration)
        self.events: list[Event] = []
        self._watch: DriftWatch | None = None
        self._collector: Collector | None = None
        self._dspot: Dspot | None = None
        if config.drift != "off":
            self._watch = DriftWatch(calibration, config.drift_delta)
        if config.drift == "recalibrate":
            n_rows = rows_wanted(part, config.recalibrate_rows)
            self._collector = Collector(
                part, calibration, n_rows, config.recalibrate_factor, most_error
            )
        if config.drift == "dspot":
            self._dspot = Dspot(part, calibration, config.recalibrate_factor, most_error)
        # Rows that are taken together: what changes the standard changes it at their end.
        self._unit = STEP_ROWS if self._dspot else UNIT_ROWS
        self._pending: list[NDArray[np.float64]] = []  # of a unit that is not full
        self._n_pending = 0
        self._units_done = 0
        self._is_collecting = False
        self._is_again = False  # an alarm came while rows were gathered: gather once more
        self._is_refusal_told = False
        self._is_limited = False  # dspot has the threshold where it may go no further
        self._alarms: dict[str, int] = dict.fromkeys(SIGNALS, 0)
        self._told_at: dict[str, int] = {}
        self._told_threshold = part.value
        self._outcomes = dict.fromkeys(Outcome, 0)

    def judge(self, errors: NDArray[np.float64]) -> Iterator[tuple[slice, Standard]]:
        """Yield stretches of the next rows, in order, with the standard of each.

        Parameters
        ----------
        errors : float64 (n_rows,)
        """
        start = 0
        while start < len(errors):
            standard = self.in_force
            stop = start + self._take(errors[start:])
            yield slice(start, stop), standard
            start = stop

    def _take(self, errors: NDArray[np.float64]) -> int:
        """Take rows up to the end of the unit that changes the standard; how many that is."""
        if self._watch is None:
            return len(errors)
        standard, taken = self.in_force, 0
        while n_units := (self._n_pending + len(errors) - taken) // self._unit:
            if self._is_collecting or self._dspot:
                n_units = 1  # each of them may change the standard
            more = errors[taken : taken + n_units * self._unit - self._n_pending]
            units = np.concatenate([*self._pending, more]).reshape(n_units, self._unit)
            n_done = self._take_units(self._watch, units)
            taken += n_done * self._unit - self._n_pending
            self._pending, self._n_pending = [], 0
            if self.in_force is not standard:
                return taken
        if taken < len(errors):
            self._pending.append(errors[taken:].copy())
            self._n_pending += len(errors) - taken
        return len(errors)

    def _take_units(self, watch: DriftWatch, units: NDArray[np.float64]) -> int:
        """Take whole units up to the first alarm; how many that is, at least one."""
        if self._dspot is not None:
            self._units_done += 1
            step = units.reshape(-1, UNIT_ROWS)
            while len(step):
                n_done, alarms = watch.take(step)
                self._hear(alarms)
                step = step[n_done:]
            self._follow(self._dspot, units[0])
            return 1
        was_collecting = self._is_collecting
        n_done, alarms = watch.take(units)
        self._units_done += n_done
        self._hear(alarms)
        if self._collector is not None:
            if was_collecting:
                self._is_again |= bool(alarms)
                self._collect(self._collector, watch, units[0])
            else:
                self._is_collecting = bool(alarms)
        return n_done

    def _hear(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            self._alarms[alarm.signal] += 1
            if self._is_due(alarm.signal):
                self._told_at[alarm.signal] = self._units_done * self._unit
                self._tell("drift", alarm.signal, alarm.before, alarm.after)

    def _is_due(self, what: str) -> bool:
        """Whether it is long enough ago that this was told."""
        return self._units_done * self._unit - self._told_at.get(what, -TOLD_EVERY) >= TOLD_EVERY

    def _collect(
        self, collector: Collector, watch: DriftWatch, errors: NDArray[np.float64]
    ) -> None:
        result = collector.take(errors, self.in_force)
        if result is None:
            return
        standard, outcome = result
        self._outcomes[outcome] += 1
        before, self.in_force = self.in_force, standard
        if standard is before:
            # It is tried again with the rows that follow; to say so once is enough.
            if not self._is_refusal_told:
                self._tell("recalibration", outcome, before.value, before.value)
            self._is_refusal_told = True
            return
        warnings = collector.warnings
        self._tell("recalibration", outcome, before.value, standard.value, warnings)
        self._is_collecting, self._is_again = self._is_again, False
        self._is_refusal_told = False
        watch.begin(standard.calibration)

    def _follow(self, dspot: Dspot, errors: NDArray[np.float64]) -> None:
        dspot.take(errors, self.in_force.value)
        value = float(significant(np.array([dspot.value]))[0])
        reached = dspot.is_limited and not self._is_limited
        self._is_limited = dspot.is_limited
        if value == self.in_force.value and not reached:
            return
        self.in_force = Standard(value, self.in_force.calibration)
        outcome = Outcome.LIMITED if dspot.is_limited else Outcome.MOVED
        self._outcomes[outcome] += 1
        told = self._told_threshold
        is_far = not told / _TOLD_RATIO < value < told * _TOLD_RATIO
        if is_far or (reached and self._is_due(outcome)):
            self._tell("recalibration", outcome, told, value)
            self._told_threshold = value
            self._told_at[outcome] = self._units_done * self._unit

    def _tell(
        self,
        kind: Literal["drift", "recalibration"],
        what: str,
        before: float,
        after: float,
        warnings: tuple[str, ...] = (),
    ) -> None:
        rows = self._units_done * self._unit
        self.events.append(Event(rows, kind, what, before, after, self.in_force.value, warnings))

    def counts(self) -> dict[str, Any]:
        """What has been counted so far, in words of the summary."""
        watch, collector = self._watch, self._collector
        return {
            "threshold": self.in_force.value,
            "alarms": dict(self._alarms),
            "recalibrations": {outcome.value: n for outcome, n in self._outcomes.items()},
            "far_rows": 0 if collector is None else collector.far_rows,
            "recalibrating": self._is_collecting,
            "means": {s: None if watch is None else watch.mean(s) for s in SIGNALS},
        }


def families(
    counts: Mapping[str, Any], names: tuple[str, ...], labels: tuple[str, ...]
) -> list[Tally]:
    """What `Judge.counts` told, as families of metrics; all labels are there from the start."""

    def family(
        name: str, kind: Literal["counter", "gauge"], text: str, values: Mapping[str, float]
    ) -> Tally:
        label = {"drift_events_total": "signal", "drift_mean": "signal"}.get(name, "result")
        series = {(*labels, key): float(value) for key, value in values.items()}
        return Tally(name, kind, text, (*names, label), series)

    means = {key: mean for key, mean in counts["means"].items() if mean is not None}
    return [
        family("drift_events_total", "counter", _ALARMS_HELP, counts["alarms"]),
        family("drift_mean", "gauge", _MEANS_HELP, means),
        family("recalibrations_total", "counter", _OUTCOMES_HELP, counts["recalibrations"]),
        Tally(
            "recalibration_far_rows_total",
            "counter",
            "Rows too far outside to calibrate a threshold by.",
            names,
            {labels: float(counts["far_rows"])},
        ),
        Tally(
            "recalibrating",
            "gauge",
            "1 while rows are gathered for another threshold.",
            names,
            {labels: float(counts["recalibrating"])},
        ),
    ]

"""What a run says at its end: the most unusual alerts, the ledger, and what was lost."""

import heapq
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tapwatch.cli import say
from tapwatch.errors import SinkError, TapwatchError

if TYPE_CHECKING:
    from tapwatch.alerts.sinks import LineSink
    from tapwatch.tables import Alert, Drift
    from tapwatch.telemetry.interval import Interval

#: Alerts kept for the table at the end; the most unusual ones.
_SHOWN_MOST = 1000
#: Late packets beyond this share are no reordering: the clock is wrong.
_LATE_SHARE = 0.1
_LOSSES_EVERY_S = 60.0


class Worst:
    """A sink that keeps the most unusual alerts, in bounded memory."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alert]] = []
        self._serial = count(0, -1)
        self.taken = 0

    def write(self, told: Sequence["Alert | Drift"]) -> None:
        """Take alerts; the least unusual give way."""
        alerts = alerts_of(told)
        self.taken += len(alerts)
        for alert in alerts:
            ratio = alert.error / max(alert.threshold, sys.float_info.min)
            item = (ratio, next(self._serial), alert)
            if len(self._heap) < _SHOWN_MOST:
                heapq.heappush(self._heap, item)
            else:
                heapq.heappushpop(self._heap, item)

    @property
    def alerts(self) -> list["Alert"]:
        """What was kept, most unusual first."""
        return [alert for _, _, alert in sorted(self._heap, reverse=True, key=lambda i: i[:2])]


def alerts_of(told: Sequence["Alert | Drift"]) -> list["Alert"]:
    """Alerts alone, without events of drift."""
    from tapwatch.tables import Alert

    return [alert for alert in told if isinstance(alert, Alert)]


class DriftLines:
    """A sink that says on stderr that errors have drifted, or that a threshold was looked at."""

    def __init__(self, told: Callable[[str], None], *, quiet: bool) -> None:
        self._told = told
        self._quiet = quiet  # moves of a threshold are said all the same

    def write(self, told: Sequence["Alert | Drift"]) -> None:
        """Say events, a line each."""
        from tapwatch.tables import Drift

        for event in told:
            if isinstance(event, Drift) and not (self._quiet and event.kind == "drift"):
                self._told(drift_line(event))


#: Why a threshold was not found again.
_WHY_HELD: Final = {
    "far_rows": "too many rows far outside",
    "most_flagged": "most rows are flagged",
    "not_finite": "most rows have no finite error",
}


def drift_line(event: "Drift") -> str:
    """An event of drift in words."""
    from tapwatch.alerts.eve import timestamp

    who = f"bundle {event.bundle} ({event.view} {event.detector})"
    at = f"at {timestamp(event.timestamp_ns)}, after {event.rows:,} rows"
    if event.kind == "drift":
        what = "mean rank of its errors" if event.what == "level" else "share of errors in the tail"
        return f"drift: {who}: the {what} went from {event.before:.3g} to {event.after:.3g} {at}"
    if event.what in ("moved", "limited"):
        end = ", as far as it may" if event.what == "limited" else ""
        told = "".join(f"; {warning}" for warning in event.warnings)
        moved = f"moved from {event.before:.6g} to {event.after:.6g}{end} {at}"
        return f"threshold: {who}: {moved}{told}"
    return f"threshold: {who}: stays at {event.threshold:.6g}: {_WHY_HELD[event.what]} {at}"


def silent(_text: str) -> None:
    """Say nothing."""


class SummaryFile:
    """Where `--summary` goes. What is in the way there is told last, and loses nothing else."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.fault: SinkError | None = None

    def write(self, summary: dict[str, Any]) -> None:
        """Write the ledger as JSON, or note why that was not possible."""
        if self._path is None:
            return
        try:
            self._path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            self.fault = SinkError(
                f"{self._path}: the summary could not be written: {error.strerror}"
            )


class Losses:
    """Says that alerts cannot be written: the first time at once, then once a minute."""

    def __init__(self, sink: "LineSink | None", told: Callable[[str], None]) -> None:
        self._sink = sink
        self._told = told
        self._n_said = 0
        self._interval: Interval | None = None

    def step(self) -> None:
        """Called after every batch."""
        sink = self._sink
        if sink is None or sink.reader_gone:
            return
        if sink.trouble is None and sink.lost == self._n_said:
            return
        if self._interval is None:
            from tapwatch.telemetry.interval import Interval

            self._interval = Interval(_LOSSES_EVERY_S)
        elif not self._interval.due():
            return
        self._n_said = sink.lost
        self._told(
            f"warning: {sink.name}: {sink.last_error}: "
            f"{sink.lost:,} alerts are lost, {sink.waiting:,} wait"
        )


def raise_first(faults: Iterable[TapwatchError | None]) -> None:
    """Raise the first fault; say the others, so that none hides another."""
    found = [fault for fault in faults if fault is not None]
    for fault in found[1:]:
        say(str(fault))
    if found:
        raise found[0]


def fault_of(act: Callable[[], None]) -> TapwatchError | None:
    """What an act raises, if it does."""
    try:
        act()
    except TapwatchError as fault:
        return fault
    return None


def report(
    summary: dict[str, Any], alerts: list["Alert"], problems: list[str], quiet: bool
) -> None:
    """Alerts and ledger for people; what was lost is said even where little else is."""
    for problem in problems:
        say(f"warning: {problem}")
    late, packets = summary["flows"]["late_packets"], summary["flows"]["packets"]
    if late > packets * _LATE_SHARE:
        say(
            f"warning: {late:,} of {packets:,} packets are older than one before them: "
            "a time stamp that lies far ahead stops the clock, and with it every timeout"
        )
    if quiet:
        return
    from rich.console import Console

    from tapwatch.alerts.console import render
    from tapwatch.cli.ledger import render_ledger

    console = Console(stderr=True)
    render(alerts, console)
    render_ledger(summary, console)

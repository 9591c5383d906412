"""What a run says at its end: the most unusual alerts, the ledger, and what was lost."""

import heapq
import json
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapwatch.cli import say
from tapwatch.errors import SinkError

if TYPE_CHECKING:
    from tapwatch.tables import Alert

#: Alerts kept for the table at the end; the most unusual ones.
_SHOWN_MOST = 1000
#: Late packets beyond this share are no reordering: the clock is wrong.
_LATE_SHARE = 0.1


class Worst:
    """A sink that keeps the most unusual alerts, in bounded memory."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alert]] = []
        self._serial = count(0, -1)
        self.taken = 0

    def write(self, alerts: Sequence["Alert"]) -> None:
        """Take alerts; the least unusual give way."""
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


def silent(_text: str) -> None:
    """Say nothing."""


def write_summary(summary: dict[str, Any], path: Path | None) -> None:
    """Write the ledger as JSON.

    Raises
    ------
    SinkError
        The file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: the summary could not be written: {error.strerror}") from error


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

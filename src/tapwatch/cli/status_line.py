"""What a live run says meanwhile: a line that is written over on a terminal, else one a minute."""

import sys
from collections.abc import Callable
from typing import Final

from tapwatch.capture import Source
from tapwatch.cli import say
from tapwatch.telemetry.interval import Interval

_TERMINAL_EVERY_S: Final = 0.5
_PLAIN_EVERY_S: Final = 60.0
_CLEAR_LINE: Final = "\r\x1b[K"


class StatusLine:
    """Packets a second, drops and alerts of a live run, on stderr.

    Parameters
    ----------
    alerts : callable
        How many there were so far.
    quiet : bool
        Say nothing now and then; what happens to the interface is said all the same.
    """

    def __init__(self, alerts: Callable[[], int], *, quiet: bool) -> None:
        self._alerts = alerts
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._interval = Interval(_TERMINAL_EVERY_S if self._is_terminal else _PLAIN_EVERY_S)
        self._packets = 0

    def step(self, source: Source) -> None:
        """Called after every batch; says something when it is time."""
        if self._quiet or not self._interval.due():
            return
        counts = source.counts
        rate = (counts.packets - self._packets) / self._interval.passed_s
        self._packets = counts.packets
        text = (
            f"{counts.packets:,} packets, {rate:,.0f}/s; {counts.dropped:,} dropped; "
            f"{self._alerts():,} alerts"
        )
        if self._is_terminal:
            print(_CLEAR_LINE + text, end="", file=sys.stderr, flush=True)
        else:
            say(text)

    def say(self, text: str) -> None:
        """Say a line of its own."""
        self.clear()
        say(text)

    def clear(self) -> None:
        """Take the line from the terminal: something else is about to be printed."""
        if self._is_terminal and not self._quiet:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)

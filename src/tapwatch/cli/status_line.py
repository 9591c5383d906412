"""What a live run says meanwhile: a line that is written over on a terminal, else one a minute.

Packets that the kernel drops are told at once, and then at most once a minute.
"""

import sys
from collections.abc import Callable
from typing import Final

from tapwatch.capture import Source
from tapwatch.capture.source import CaptureCounts
from tapwatch.cli import say
from tapwatch.telemetry.interval import Interval

_TERMINAL_EVERY_S: Final = 0.5
_PLAIN_EVERY_S: Final = 60.0
_DROPS_EVERY_S: Final = 60.0
_CLEAR_LINE: Final = "\r\x1b[K"


class StatusLine:
    """Packets a second, drops and alerts of a live run, on stderr.

    Parameters
    ----------
    alerts : callable
        How many there were so far.
    quiet : bool
        Say nothing now and then; losses and what happens to the interface are said all the same.
    """

    def __init__(self, alerts: Callable[[], int], *, quiet: bool) -> None:
        self._alerts = alerts
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._packets = self._dropped = 0
        self._drops_interval: Interval | None = None
        self._interval: Interval | None = None  # from the first step on: the wire is watched

    def step(self, source: Source) -> None:
        """Called after every batch; says something when it is time."""
        counts = source.counts
        if counts.dropped > self._dropped:
            self._say_drops(counts)
        if self._interval is None:
            self._interval = Interval(_TERMINAL_EVERY_S if self._is_terminal else _PLAIN_EVERY_S)
        if self._quiet or not self._interval.due():
            return
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

    def _say_drops(self, counts: CaptureCounts) -> None:
        if self._drops_interval is not None and not self._drops_interval.due():
            return
        more = counts.dropped - self._dropped
        self._drops_interval, self._dropped = Interval(_DROPS_EVERY_S), counts.dropped
        self.say(
            f"warning: {more:,} packets were dropped by the kernel, {counts.dropped:,} in all: the "
            "ring was full (capture.ring_blocks)"
        )

    def say(self, text: str) -> None:
        """Say a line of its own."""
        self.clear()
        say(text)

    def clear(self) -> None:
        """Take the line from the terminal: something else is about to be printed."""
        if self._is_terminal and not self._quiet:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)

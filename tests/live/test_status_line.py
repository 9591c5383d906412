"""What a live run says meanwhile: losses at once, rates of the time that was watched."""

from types import SimpleNamespace

import pytest

from tapwatch.capture.source import CaptureCounts
from tapwatch.cli.status_line import StatusLine
from tapwatch.telemetry import interval


@pytest.fixture
def clock(monkeypatch):
    """The clock of all intervals."""
    clock = SimpleNamespace(at_s=1000.0)
    monkeypatch.setattr(interval, "time", SimpleNamespace(monotonic=lambda: clock.at_s))
    return clock


@pytest.mark.parametrize("quiet", [False, True])
def test_the_first_drop_is_told_at_once_and_then_one_line_a_minute(clock, capsys, quiet):
    """Each line says how many came since the one before, and how many in all."""
    line = StatusLine(lambda: 0, quiet=quiet)
    source, told = SimpleNamespace(counts=CaptureCounts()), []

    for after_s, dropped in ((1, 0), (1, 7), (1, 8), (50, 9), (10, 1009), (60, 1009), (1, 1010)):
        clock.at_s += after_s
        source.counts.dropped = dropped
        line.step(source)
        told.append([t for t in capsys.readouterr().err.splitlines() if "warning" in t])

    text = "tapwatch: warning: {} packets were dropped by the kernel, {} in all: the ring was full "
    whole = text + "(capture.ring_blocks)"
    first, second, third = whole.format(7, 7), whole.format("1,002", "1,009"), whole.format(1, 1010)
    assert told == [[], [first], [], [], [second], [], [third.replace("1010", "1,010")]]


def test_the_rate_is_that_of_the_time_that_was_watched(clock, capsys):
    """What went before the first packet could come is no part of it."""
    line = StatusLine(lambda: 3, quiet=False)
    source = SimpleNamespace(counts=CaptureCounts())
    clock.at_s += 98

    line.step(source)
    early = capsys.readouterr().err
    clock.at_s += 60
    source.counts.packets = 6000
    line.step(source)

    assert early == ""
    assert capsys.readouterr().err == "tapwatch: 6,000 packets, 100/s; 0 dropped; 3 alerts\n"

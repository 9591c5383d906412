"""Readers of alerts that stall, come late or leave: the tap never waits, a replay does."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tapwatch.alerts import LineSink, eve, open_sink
from tapwatch.alerts.sinks import Lost
from tapwatch.errors import SinkError
from tests.alerts import made

pytestmark = pytest.mark.timeout(60)

ALERTS = [made.alert(alert_id=f"{i:016x}") for i in range(400)]
LINES = [eve.line(alert) for alert in ALERTS]
#: More than a pipe holds.
assert sum(map(len, LINES)) > 5 * 65_536


@pytest.fixture
def fifo(tmp_path):
    """A named pipe."""
    path = tmp_path / "alerts.fifo"
    os.mkfifo(path)
    return path


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch):
    monkeypatch.setattr("tapwatch.alerts.sinks._LAST_WAIT_S", 0.5)


class Reader:
    """Opens the reading end of a FIFO without waiting for a writer."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> str:
        """What is there."""
        pieces = []
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.fd, 1 << 20):
                pieces.append(piece)
        return b"".join(pieces).decode()

    def close(self) -> None:
        """Leave."""
        os.close(self.fd)


def reasons(sink) -> dict[str, int]:
    """What was lost, by reason, where it is not 0."""
    [tally] = [tally for tally in sink.tallies() if tally.name == "alerts_dropped_total"]
    return {reason: n for (_, reason), n in tally.values.items() if n}


def test_a_reader_that_stalls_costs_the_oldest_alerts_that_wait(fifo):
    """Nobody waits; the queue is bounded; every line that comes out is whole, in order."""
    reader = Reader(fifo)
    sink = LineSink(fifo, append=True, tolerant=True, max_queued=50)
    for alert in ALERTS:
        sink.write([alert])

    lost = sink.lost
    assert reasons(sink) == {"slow_reader": lost}
    assert lost > 100
    assert (sink.waiting, sink.trouble) == (50, None)
    text = reader.read()
    sink.flush()
    text += reader.read()
    sink.flush()
    text += reader.read()
    sink.close()
    reader.close()

    written = text.splitlines(keepends=True)
    # The line that was half in the pipe stays the first one that waits.
    assert written == LINES[: len(written) - 49] + LINES[-49:]
    assert (sink.written, sink.lost) == (len(written), lost) == (400 - lost, lost)


def test_a_fifo_that_nobody_reads_is_no_reason_to_wait(fifo):
    """It opens at once, alerts wait, and go to the first reader that comes."""
    sink = open_sink(str(fifo), append=True, tolerant=True)
    sink.write(ALERTS[:3])
    assert (sink.waiting, sink.last_error) == (3, "nobody reads it")

    reader = Reader(fifo)
    sink.write(ALERTS[3:4])

    assert reader.read() == "".join(LINES[:4])
    sink.close()
    assert (sink.written, sink.lost) == (4, 0)
    reader.close()


def test_a_fifo_that_never_finds_a_reader_loses_all_that_was_for_it(fifo):
    """With its reason, after a short wait at the end."""
    sink = open_sink(str(fifo), append=True, tolerant=True)
    sink.write(ALERTS[:3])
    began_s = time.monotonic()

    sink.close()

    assert 0.4 < time.monotonic() - began_s < 10
    assert reasons(sink) == {Lost.SLOW_READER: 3}


def test_the_next_reader_of_a_fifo_begins_with_a_whole_line(fifo):
    """A reader that left in the middle of a line leaves nothing of it to the next."""
    first = Reader(fifo)
    sink = LineSink(fifo, append=True, tolerant=True)
    sink.write(ALERTS)
    os.read(first.fd, len(LINES[0]) + 100)
    first.close()
    sink.flush()
    n_written = sink.written

    second = Reader(fifo)
    sink.flush()
    text = second.read()
    while sink.waiting:
        sink.flush()
        text += second.read()

    assert text == "".join(LINES[n_written:])
    sink.close()
    second.close()


def test_the_end_waits_a_moment_for_a_slow_reader(fifo):
    """What the reader takes in that time is not lost."""
    reader = Reader(fifo)
    sink = LineSink(fifo, append=True, tolerant=True)
    sink.write(ALERTS)
    waiting = sink.waiting
    assert waiting > 100
    pieces = []

    def read() -> None:
        time.sleep(0.2)
        while sum(map(len, pieces)) < sum(map(len, LINES)):
            pieces.append(reader.read())

    thread = threading.Thread(target=read)
    thread.start()
    sink.close()
    thread.join()
    reader.close()

    assert "".join(pieces) == "".join(LINES)
    assert sink.lost == 0


def test_a_replay_waits_for_its_reader_until_it_is_stopped(fifo):
    """Then for a moment only; the error says how many were lost, and why."""
    reader = Reader(fifo)
    stop_s = time.monotonic() + 1
    sink = LineSink(fifo, stopped=lambda: time.monotonic() > stop_s)

    sink.write(ALERTS)
    waited_s = time.monotonic() - (stop_s - 1)
    with pytest.raises(SinkError, match=r"could not be written: its reader does not keep up"):
        sink.close()
    reader.close()

    assert 1.4 < waited_s < 10
    assert reasons(sink) == {Lost.SLOW_READER: sink.lost}
    assert sink.lost + sink.written == 400


@pytest.mark.parametrize("comes", [True, False])
def test_a_replay_begins_when_somebody_reads_its_fifo(fifo, comes):
    """Or when it is told to stop."""
    began_s, reader = time.monotonic(), []

    def stopped() -> bool:
        if time.monotonic() - began_s > 0.5 and not reader:
            if not comes:
                return True
            reader.append(Reader(fifo))
        return False

    sink = LineSink(fifo, stopped=stopped)
    assert time.monotonic() - began_s > 0.5
    if comes:
        sink.write(ALERTS[:2])
        sink.close()
        assert reader[0].read() == "".join(LINES[:2])
        reader[0].close()
    else:
        sink.close()


PROGRAM = """
import sys
from tapwatch.alerts import sinks
from tests.alerts import made
sinks._LAST_WAIT_S = 0.5
sink = sinks.open_sink("-", tolerant=True)
sink.write([made.alert()] * 1000)
print("waiting", file=sys.stderr, flush=True)
sys.stdin.read(1)
sink.close()
print(sink.written, sink.lost, file=sys.stderr)
"""


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_standard_output_that_stalls_holds_up_nobody(kind):
    """And keeps its flags: others may write to it too."""
    if kind == "pipe":
        reader, writer = os.pipe()
    elif kind == "socket":
        reader, writer = (end.detach() for end in socket.socketpair())
    else:
        reader, writer = os.openpty()
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": f"{root}/src:{root}"},
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )

    assert process.stderr.readline() == "waiting\n"
    assert os.get_blocking(writer)
    os.close(writer)
    _, said = process.communicate("x")

    written, lost = map(int, said.split())
    assert (written + lost, process.returncode) == (1000, 0)
    assert 0 < written < 1000
    os.set_blocking(reader, False)
    there = os.read(reader, 1 << 20)
    line = eve.line(made.alert())
    if kind == "terminal":
        line = line.replace("\n", "\r\n")
    assert (line * 1000).startswith(there.decode())
    os.close(reader)

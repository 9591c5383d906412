"""Alerts on their way to a file: whole lines, full disks, rotated logs, readers that leave."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapwatch.alerts import LineSink, eve, open_sink
from tapwatch.errors import SinkError
from tests.alerts import made

ALERTS = [made.alert(alert_id=f"{i:016x}") for i in range(40)]
LINES = [eve.line(alert) for alert in ALERTS]


def count(sink, name, *labels):
    """One number of the sink's tallies."""
    [tally] = [tally for tally in sink.tallies() if tally.name == name]
    return tally.values[labels]


class Disk:
    """Stands in for os.write: takes `room` bytes, then is full."""

    def __init__(self, monkeypatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr("tapwatch.alerts.sinks.os.write", self.write)

    def write(self, fd, data) -> int:
        """Write what there is room for; ENOSPC when there is none."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n = self._write(fd, data[: self.room])
        self.room -= n
        return n


def test_a_replay_begins_its_file_anew(tmp_path):
    """What was in the file is gone; every alert is on its line as soon as it is handed over."""
    path = tmp_path / "alerts.jsonl"
    path.write_text("of another run\n")
    sink = open_sink(str(path))

    sink.write(ALERTS[:2])

    assert path.read_text() == "".join(LINES[:2])
    sink.write(ALERTS[2:])
    sink.close()
    assert path.read_text() == "".join(LINES)
    assert (sink.written, sink.lost) == (40, 0)


def test_a_file_without_alerts_is_empty_and_there(tmp_path):
    """No alert is a result too."""
    path = tmp_path / "alerts.jsonl"

    open_sink(str(path)).close()

    assert path.read_text() == ""


def test_the_daemon_appends(tmp_path):
    """A restart keeps what was told before."""
    path = tmp_path / "alerts.jsonl"
    path.write_text(LINES[0])
    sink = open_sink(str(path), append=True)

    sink.write(ALERTS[1:2])
    sink.close()

    assert path.read_text() == LINES[0] + LINES[1]


def test_follows_log_rotation(tmp_path):
    """When the file has been moved away, the next alert goes to one of the old name."""
    path, moved = tmp_path / "alerts.jsonl", tmp_path / "alerts.jsonl.1"
    sink = open_sink(str(path), append=True)
    sink.write(ALERTS[:1])
    path.rename(moved)

    sink.write(ALERTS[1:2])
    sink.close()

    assert (moved.read_text(), path.read_text()) == (LINES[0], LINES[1])


def test_reopens_when_told_to(tmp_path):
    """SIGHUP makes the file appear at once, before there is an alert for it."""
    path = tmp_path / "alerts.jsonl"
    sink = open_sink(str(path), append=True)
    path.unlink()

    sink.reopen()

    assert path.exists()
    sink.close()


def test_a_reopen_that_fails_keeps_the_open_file(tmp_path):
    """A directory that is gone is counted, and what was open stays so."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "alerts.jsonl"
    sink = LineSink(path, append=True, tolerant=True)
    path.unlink()
    folder.rmdir()

    sink.reopen()
    sink.write(ALERTS[:3])

    assert count(sink, "alert_sink_deliveries_total", "file", "failed") == 2
    assert count(sink, "alert_sink_queue_depth", "file") == 3
    folder.mkdir()
    sink.close()
    assert path.read_text() == "".join(LINES[:3])


def test_a_path_that_cannot_be_opened_is_refused(tmp_path):
    """The message names the path and the reason, before any work is done."""
    with pytest.raises(SinkError, match=r"no/alerts.jsonl: cannot be opened: No such file"):
        open_sink(str(tmp_path / "no" / "alerts.jsonl"))


def test_a_full_device_ends_a_replay_with_the_count():
    """Everything goes on to the end; then the error says how many of how many."""
    sink = open_sink("/dev/full")
    sink.write(ALERTS[:30])
    sink.write(ALERTS[30:])

    with pytest.raises(SinkError) as caught:
        sink.close()

    assert str(caught.value) == (
        "/dev/full: 40 of 40 alerts could not be written: No space left on device"
    )
    assert caught.value.exit_code == 1
    assert count(sink, "alerts_dropped_total", "file", "disk_full") == 40


@pytest.mark.parametrize("cut", [0, 1, len(LINES[0]) - 1])
def test_a_disk_that_fills_up_holds_whole_lines_only(tmp_path, monkeypatch, cut):
    """28 alerts and a piece of the next found room: the piece is taken back."""
    path = tmp_path / "alerts.jsonl"
    sink = open_sink(str(path))
    Disk(monkeypatch, sum(map(len, LINES[:28])) + cut)
    sink.write(ALERTS[:25])
    sink.write(ALERTS[25:])

    with pytest.raises(SinkError, match=r"alerts.jsonl: 12 of 40 alerts could not be written"):
        sink.close()

    assert path.read_text() == "".join(LINES[:28])
    assert (sink.written, sink.lost) == (28, 12)


@pytest.mark.parametrize("cut", [0, 1, len(LINES[0]) - 1])
def test_writes_again_when_there_is_room(tmp_path, monkeypatch, cut):
    """A line that was cut is completed where it was cut, and nothing is lost."""
    path = tmp_path / "alerts.jsonl"
    sink = LineSink(path, append=True, tolerant=True)
    disk = Disk(monkeypatch, len(LINES[0]) + cut)
    sink.write(ALERTS[:3])
    assert count(sink, "alert_sink_deliveries_total", "file", "failed") == 1
    assert count(sink, "alert_sink_queue_depth", "file") == 2
    disk.room = 10**6

    sink.write(ALERTS[3:])
    sink.close()

    assert path.read_text() == "".join(LINES)
    assert count(sink, "alert_sink_deliveries_total", "file", "ok") == 40
    assert sink.lost == 0


def test_a_line_cut_before_log_rotation_is_whole_in_the_next_file(tmp_path, monkeypatch):
    """The piece in the old file is taken back."""
    path, moved = tmp_path / "alerts.jsonl", tmp_path / "alerts.jsonl.1"
    sink = LineSink(path, append=True, tolerant=True)
    disk = Disk(monkeypatch, len(LINES[0]) + 10)
    sink.write(ALERTS[:2])
    path.rename(moved)
    disk.room = 10**6

    sink.flush()
    sink.close()

    assert (moved.read_text(), path.read_text()) == (LINES[0], LINES[1])


@pytest.mark.parametrize("left", [b"", b"something else\n", None])
def test_a_line_cut_before_the_file_was_emptied_begins_anew(tmp_path, monkeypatch, left):
    """As logrotate's copytruncate does: no half of a line stands alone in what comes after."""
    path = tmp_path / "alerts.jsonl"
    sink = LineSink(path, append=True, tolerant=True)
    disk = Disk(monkeypatch, len(LINES[0]) + 10)
    sink.write(ALERTS[:2])
    assert path.read_text() == LINES[0] + LINES[1][:10]
    disk.room = 0 if left is None else 10**6
    path.write_bytes(left or b"")

    sink.flush()
    sink.close()

    written = "" if left is None else left.decode() + LINES[1]
    assert path.read_text() == written
    assert sink.lost == (left is None)


def test_the_daemon_loses_the_oldest_and_counts_them(tmp_path, monkeypatch):
    """The queue is bounded; the half-written first line is kept, so that it can be completed."""
    path = tmp_path / "alerts.jsonl"
    sink = LineSink(path, append=True, tolerant=True, max_queued=5)
    disk = Disk(monkeypatch, 10)
    sink.write(ALERTS[:20])
    sink.write(ALERTS[20:])
    assert count(sink, "alerts_dropped_total", "file", "disk_full") == 35
    disk.room = 10**6

    sink.close()

    assert path.read_text() == LINES[0] + "".join(LINES[36:])
    assert (sink.written, sink.lost) == (5, 35)


def test_a_tolerant_sink_does_not_raise():
    """The daemon goes on; the loss is in the counters."""
    sink = open_sink("/dev/full", tolerant=True)
    sink.write(ALERTS)

    sink.close()

    assert sink.lost == 40


def test_tells_when_it_last_succeeded(tmp_path):
    """0 before the first alert, the time of day after it."""
    sink = open_sink(str(tmp_path / "alerts.jsonl"))
    assert count(sink, "alert_sink_last_success_timestamp_seconds", "file") == 0

    sink.write(ALERTS[:1])

    assert count(sink, "alert_sink_last_success_timestamp_seconds", "file") > 1.7e9
    sink.close()


PROGRAM = """
import sys
from tapwatch.alerts import open_sink
from tests.alerts import made
sink = open_sink("-")
for _ in range({rounds}):
    sink.write([made.alert()] * 100)
sink.close()
print("lost", sink.lost, sink.reader_gone, file=sys.stderr)
"""


def _run(rounds: int, **streams) -> subprocess.Popen:
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}/src:{root}"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(rounds=rounds)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **streams,
    )


def test_standard_output_takes_alerts():
    """`-` is standard output, and carries nothing else."""
    process = _run(2, stdout=subprocess.PIPE)

    out, err = process.communicate(timeout=60)

    assert out == eve.line(made.alert()) * 200
    assert (process.returncode, err) == (0, "lost 0 False\n")


def test_a_reader_that_leaves_ends_it_quietly():
    """`| head` is no fault: no message, exit 0, and the rest is counted."""
    process = _run(50, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()

    err = process.stderr.read()

    assert process.wait(timeout=60) == 0
    process.stderr.close()
    word, lost, gone = err.split()
    assert (word, gone) == ("lost", "True")
    assert 0 < int(lost) < 5000


def test_a_full_disk_behind_standard_output_is_an_error():
    """Only a reader that leaves is forgiven."""
    with open("/dev/full", "w") as full:
        process = _run(1, stdout=full)

        _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "standard output: 100 of 100 alerts could not be written: No space left" in err


def test_a_slow_non_blocking_reader_loses_nothing():
    """A pipe that is full for the moment makes a replay wait."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = _run(20, stdout=writer)
    os.close(writer)

    with open(reader) as pipe:
        text = pipe.read(1)
        time.sleep(1)  # the pipe is full long before
        text += pipe.read()

    _, err = process.communicate(timeout=60)
    assert text == eve.line(made.alert()) * 2000
    assert err == "lost 0 False\n"

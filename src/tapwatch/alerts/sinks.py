"""Where alerts go: one JSON object a line, to a file or to standard output.

A sink never stops the corridor. What cannot be written stays in a bounded queue and is tried again
at the next flush; what finds no room there is lost, and counted. At the end a strict sink (replay)
raises if anything was lost, a tolerant one (the daemon) leaves it at the counters.
"""

import contextlib
import errno
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from tapwatch.alerts import eve
from tapwatch.errors import SinkError
from tapwatch.tables import Alert, Tally

_MAX_QUEUED: Final = 10_000
#: Lines that are handed to the kernel at once.
_MAX_TOGETHER: Final = 512


class Lost(StrEnum):
    """Why an alert was not written."""

    DISK_FULL = "disk_full"
    CLOSED_PIPE = "closed_pipe"
    IO_ERROR = "io_error"

    @classmethod
    def of(cls, error: OSError) -> "Lost":
        """The reason behind an error of the system."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return cls.DISK_FULL
        return cls.CLOSED_PIPE if error.errno == errno.EPIPE else cls.IO_ERROR


class LineSink:
    """Alerts as JSON lines, written whenever the corridor settles.

    Lines are whole or absent: a line that was written in part is completed when there is room
    again, and cut off at the end when there is none.

    Parameters
    ----------
    path : Path or None
        None for standard output, which ends quietly when its reader has gone.
    append : bool
        Add to what is there, and follow the path when log rotation has moved the file away.
    tolerant : bool
        Count what is lost, and do not raise.
    max_queued : int
        Lines kept for another try; beyond that the oldest are lost.

    Raises
    ------
    SinkError
        The file cannot be opened.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        append: bool = False,
        tolerant: bool = False,
        max_queued: int = _MAX_QUEUED,
    ) -> None:
        self._path = path
        self._append = append and path is not None  # a stream has no path to follow
        self._tolerant = tolerant
        self._max_queued = max_queued
        self._label = "stdout" if path is None else "file"
        self._queue: deque[bytes] = deque()
        self._head_written = 0  # bytes of the first queued line that are in the file
        self._error: OSError | None = None
        self._taken = 0
        self._written = 0
        self._failed_writes = 0
        self._lost = dict.fromkeys(Lost, 0)
        self._last_success_s = 0.0
        self._reader_gone = False
        self._is_emptied = append
        self._fd = -1
        self._open()

    @property
    def written(self) -> int:
        """Alerts that are in the file."""
        return self._written

    @property
    def lost(self) -> int:
        """Alerts given up."""
        return sum(self._lost.values())

    @property
    def reader_gone(self) -> bool:
        """True when nobody reads our standard output any more."""
        return self._reader_gone

    def write(self, alerts: Sequence[Alert]) -> None:
        """Take alerts, in order, and write what can be written."""
        self._taken += len(alerts)
        if self._reader_gone:
            self._lost[Lost.CLOSED_PIPE] += len(alerts)
            return
        self._queue.extend(eve.line(alert).encode("ascii") for alert in alerts)
        self.flush()

    def flush(self) -> None:
        """Try to write what is queued; never raises for what the disk or the reader does."""
        if self._reader_gone:
            return
        try:
            if self._append and self._moved_away():
                self._reopen()
            while self._queue:
                self._write_some()
                self._last_success_s = time.time()
        except OSError as error:
            self._failed_writes += 1
            self._error = error
            if self._path is None and error.errno == errno.EPIPE:
                self._end_quietly()
            self._shed(self._max_queued, Lost.of(error))

    def reopen(self) -> None:
        """Open the path anew: what SIGHUP asks for after log rotation."""
        if self._path is None:
            return
        try:
            self._reopen()
        except OSError as error:
            self._failed_writes += 1
            self._error = error

    def close(self) -> None:
        """Write what is left and close.

        Raises
        ------
        SinkError
            Alerts were lost, and the sink is a strict one.
        """
        if self._fd < 0:
            return
        self.flush()
        self._empty_once()
        if self._error is not None:
            self._cut_half_line()
            self._shed(0, Lost.of(self._error))
        try:
            if self._path is not None:
                os.close(self._fd)
        except OSError as error:  # a network file system tells of a full disk only here
            self._error = error
            self._failed_writes += 1
        self._fd = -1
        if self.lost and not self._tolerant and not self._reader_gone:
            name = self._path or "standard output"
            assert self._error is not None
            raise SinkError(
                f"{name}: {self.lost} of {self._taken} alerts could not be written: "
                f"{self._error.strerror}"
            )

    def tallies(self) -> list[Tally]:
        """What was written and what was lost; every combination is there from the start."""
        deliveries = {"ok": self._written, "failed": self._failed_writes}
        return [
            Tally(
                "alert_sink_deliveries_total",
                "counter",
                "Alerts written (ok), and attempts to write that failed (failed).",
                ("sink", "result"),
                {(self._label, result): count for result, count in deliveries.items()},
            ),
            Tally(
                "alerts_dropped_total",
                "counter",
                "Alerts given up because a sink did not take them.",
                ("sink", "reason"),
                {(self._label, reason.value): count for reason, count in self._lost.items()},
            ),
            Tally(
                "alert_sink_queue_depth",
                "gauge",
                "Alerts that wait for a sink.",
                ("sink",),
                {(self._label,): len(self._queue)},
            ),
            Tally(
                "alert_sink_last_success_timestamp_seconds",
                "gauge",
                "When a sink last took an alert; 0 if it never did.",
                ("sink",),
                {(self._label,): self._last_success_s},
            ),
        ]

    def _open(self) -> None:
        try:
            self._fd = self._open_path()
        except OSError as error:
            name = self._path or "standard output"
            raise SinkError(f"{name}: cannot be opened: {error.strerror}") from error

    def _open_path(self) -> int:
        if self._path is None:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "it is closed")
            sys.stdout.flush()  # what Python holds goes first
            return sys.stdout.fileno()
        how = os.O_APPEND if self._append else 0
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)

    def _moved_away(self) -> bool:
        assert self._path is not None
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        fd = self._open_path()
        self._cut_half_line()
        os.close(self._fd)
        self._fd = fd

    def _write_some(self) -> None:
        """Hand one piece to the kernel and drop from the queue what it took."""
        self._empty_once()
        lines = [self._queue[i] for i in range(min(len(self._queue), _MAX_TOGETHER))]
        try:
            n = self._head_written + os.write(self._fd, b"".join(lines)[self._head_written :])
        except BlockingIOError:
            # Somebody set our pipe to non-blocking; a replay waits for its reader all the same.
            if self._tolerant:
                raise
            select.select([], [self._fd], [])
            return
        for whole in lines:
            if n < len(whole):
                break
            n -= len(whole)
            self._queue.popleft()
            self._written += 1
        self._head_written = n

    def _empty_once(self) -> None:
        # As late as can be: a run that cannot start leaves the alerts of the last one.
        if not self._is_emptied and self._path is not None and not self._reader_gone:
            with contextlib.suppress(OSError):  # a pipe or a device
                os.ftruncate(self._fd, 0)
        self._is_emptied = True

    def _cut_half_line(self) -> None:
        """Take back what is in the file of the first queued line, where the file allows it."""
        if not self._head_written:
            return
        try:
            size = os.fstat(self._fd).st_size
            os.ftruncate(self._fd, size - self._head_written)
        except OSError:
            pass  # a pipe or a device: what is out is out
        self._head_written = 0

    def _shed(self, room: int, reason: Lost) -> None:
        """Lose the oldest lines until at most `room` are queued."""
        excess = len(self._queue) - room
        if excess <= 0:
            return
        # The line that is half written stays the first one, so that it can be completed.
        head = self._queue.popleft() if self._head_written and room else None
        for _ in range(excess):
            self._queue.popleft()
        if head is not None:
            self._queue.appendleft(head)
        self._lost[reason] += excess

    def _end_quietly(self) -> None:
        self._reader_gone = True
        self._head_written = 0
        self._shed(0, Lost.CLOSED_PIPE)
        # Python flushes standard output at its end; let that go nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._fd)
        os.close(nowhere)


def open_sink(target: str, *, append: bool = False, tolerant: bool = False) -> LineSink:
    """Open the sink that an operator names: a path, or `-` for standard output."""
    return LineSink(None if target == "-" else Path(target), append=append, tolerant=tolerant)

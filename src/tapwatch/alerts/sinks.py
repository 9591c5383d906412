"""Where alerts go: one JSON object a line, to a file or to standard output.

A tolerant sink (the daemon's) never stops the corridor. What cannot be written, or finds a reader
that does not keep up, stays in a bounded queue and is tried again at the next flush; what finds no
room there is lost, and counted. A strict sink (replay's) waits for its reader until it is told to
stop, and raises at the end if anything was lost.
"""

import contextlib
import errno
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from tapwatch.alerts import eve, outlet
from tapwatch.errors import SinkError
from tapwatch.tables import Alert, Drift, Tally

_MAX_QUEUED: Final = 10_000
#: Lines that are handed to the kernel at once.
_MAX_TOGETHER: Final = 512
#: At the end, a reader that does not keep up is given so long to take what is left.
_LAST_WAIT_S: Final = 5.0
#: Between two looks at whether somebody wants an end.
_NAP_S: Final = 0.1


def _never() -> bool:
    return False


#: In a line that is an alert; strings from the wire cannot hold a bare quote.
_ALERT: Final = b'"event_type":"alert"'


class Lost(StrEnum):
    """Why an alert was not written."""

    DISK_FULL = "disk_full"
    CLOSED_PIPE = "closed_pipe"
    SLOW_READER = "slow_reader"
    IO_ERROR = "io_error"

    @classmethod
    def of(cls, error: OSError) -> "Lost":
        """The reason behind an error of the system."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return cls.DISK_FULL
        if isinstance(error, BlockingIOError):
            return cls.SLOW_READER
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
        Count what is lost, and do not raise; never wait for a reader, but for a few seconds at the
        end.
    max_queued : int
        Lines kept for another try; beyond that the oldest are lost.
    stopped : callable
        True when somebody wants an end: a strict sink then waits for its reader a few seconds only.

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
        stopped: Callable[[], bool] = _never,
    ) -> None:
        self._path = path
        self._append = append and path is not None  # a stream has no path to follow
        self._tolerant = tolerant
        self._max_queued = max_queued
        self._stopped = stopped
        self._deadline_s: float | None = None  # of waiting, once somebody wants an end
        self._label = "stdout" if path is None else "file"
        self._queue: deque[bytes] = deque()
        self._head_written = 0  # bytes of the first queued line that are in the file
        self._left_bytes = -1  # size of the file when that piece had been written
        self._error: OSError | None = None  # the last one
        self._is_failing = False  # the last attempt ended with it
        self._taken = 0
        self._written = 0
        self._failed_writes = 0
        self._lost = dict.fromkeys(Lost, 0)
        self._last_success_s = 0.0
        self._reader_gone = False
        self._is_emptied = append
        self._fd = -1  # also while a FIFO has no reader
        self._is_closed = False
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
    def waiting(self) -> int:
        """Alerts that are not written yet."""
        return _alerts_among(self._queue.copy())

    @property
    def name(self) -> str:
        """The path, or what stands for it."""
        return str(self._path or "standard output")

    @property
    def trouble(self) -> str | None:
        """Why the last attempt to write failed; None if it did not, or there was only no room."""
        if self._error is None or not self._is_failing or self._is_slow:
            return None
        return self.last_error

    @property
    def last_error(self) -> str:
        """What was in the way when something last was."""
        return "" if self._error is None else str(self._error.strerror)

    @property
    def reader_gone(self) -> bool:
        """True when nobody reads our standard output any more."""
        return self._reader_gone

    def write(self, alerts: Sequence[Alert | Drift]) -> None:
        """Take alerts and events of drift, in order, and write what can be written."""
        lines = [eve.line(alert).encode("ascii") for alert in alerts]
        self._taken += _alerts_among(lines)
        if self._reader_gone:
            self._lost[Lost.CLOSED_PIPE] += _alerts_among(lines)
            return
        self._queue.extend(lines)
        self.flush()

    def flush(self) -> None:
        """Try to write what is queued; never raises for what the disk or the reader does."""
        self._try()
        if not self._tolerant:
            self._insist(self._stopped)

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
        if self._is_closed:
            return
        self._is_closed = True
        self.flush()
        self._insist(lambda: True)
        self._empty_once()
        if self._error is not None:
            self._cut_half_line()
            self._shed(0, Lost.of(self._error))
        try:
            self._close_descriptor()
        except OSError as error:  # a network file system tells of a full disk only here
            self._error = error
            self._failed_writes += 1
        if self.lost and not self._tolerant and not self._reader_gone:
            raise SinkError(
                f"{self.name}: {self.lost} of {self._taken} alerts could not be written: "
                f"{self.last_error}"
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
                {(self._label,): self.waiting},
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
            self._reopen()
            # A replay into a FIFO begins when somebody reads it.
            while self._fd < 0 and not self._tolerant and not self._stopped():
                time.sleep(_NAP_S)
                self._reopen()
        except OSError as error:
            raise SinkError(f"{self.name}: cannot be opened: {error.strerror}") from error

    def _reopen(self) -> None:
        """Open the path, or standard output; a FIFO without a reader leaves us without one."""
        try:
            if self._path is None:
                fd = outlet.own_standard_output()
            else:
                fd = outlet.open_path(self._path, append=self._append)
        except BlockingIOError as error:
            self._error, fd = error, -1
        self._cut_half_line()
        self._close_descriptor()
        self._fd = fd

    def _close_descriptor(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def _is_slow(self) -> bool:
        """True if a reader that has no room, or is not there yet, is all that is in the way."""
        return self._is_failing and isinstance(self._error, BlockingIOError)

    def _try(self) -> None:
        """Write what is queued as far as it goes; shed what is too much after that."""
        if self._reader_gone:
            return
        try:
            if self._fd < 0 or (self._append and self._moved_away()):
                self._reopen()
            self._is_failing = False
            while self._queue:
                self._write_some()
                self._last_success_s = time.time()
        except OSError as error:
            self._is_failing, self._error = True, error
            if self._is_slow:
                if self._tolerant:
                    self._shed(self._max_queued, Lost.SLOW_READER)
                return
            self._failed_writes += 1
            if error.errno == errno.EPIPE:
                self._lose_reader()
            self._shed(self._max_queued, Lost.of(error))

    def _insist(self, is_over: Callable[[], bool]) -> None:
        """Wait for a slow reader until all is written; once `is_over`, for a few seconds only."""
        while self._queue and self._is_slow and not self._reader_gone:
            if is_over():
                if self._deadline_s is None:
                    self._deadline_s = time.monotonic() + _LAST_WAIT_S
                if time.monotonic() >= self._deadline_s:
                    self._shed(self._max_queued, Lost.SLOW_READER)
                    return
            if self._fd < 0:
                time.sleep(_NAP_S)
            else:
                outlet.wait(self._fd, _NAP_S)
            self._try()

    def _moved_away(self) -> bool:
        assert self._path is not None
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _write_some(self) -> None:
        """Hand one piece to the kernel and drop from the queue what it took."""
        self._empty_once()
        if self._fd < 0:
            raise BlockingIOError(errno.EAGAIN, self.last_error)
        if self._head_written and not self._is_as_we_left_it():
            self._head_written = 0  # emptied by log rotation, say: the line begins anew
        lines = [self._queue[i] for i in range(min(len(self._queue), _MAX_TOGETHER))]
        n = self._head_written
        n += outlet.write(self._fd, b"".join(lines)[self._head_written :])
        for whole in lines:
            if n < len(whole):
                break
            n -= len(whole)
            self._queue.popleft()
            self._written += _alerts_among([whole])
        self._head_written = n
        if n:
            self._left_bytes = outlet.regular_size(self._fd)

    def _is_as_we_left_it(self) -> bool:
        return outlet.regular_size(self._fd) == self._left_bytes

    def _empty_once(self) -> None:
        # As late as can be: a run that cannot start leaves the alerts of the last one.
        if not self._is_emptied and self._path is not None and not self._reader_gone:
            with contextlib.suppress(OSError):  # a pipe or a device
                os.ftruncate(self._fd, 0)
        self._is_emptied = True

    def _cut_half_line(self) -> None:
        """Take back what is in the file of the first queued line, where the file allows it."""
        if self._head_written and self._left_bytes >= 0 and self._is_as_we_left_it():
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._left_bytes - self._head_written)
        self._head_written = 0  # of a pipe or a device: what is out is out

    def _shed(self, room: int, reason: Lost) -> None:
        """Lose the oldest lines until at most `room` are queued."""
        excess = len(self._queue) - room
        if excess <= 0:
            return
        # The line that is half written stays the first one, so that it can be completed.
        head = self._queue.popleft() if self._head_written and room else None
        lost = [self._queue.popleft() for _ in range(excess)]
        if head is not None:
            self._queue.appendleft(head)
        self._lost[reason] += _alerts_among(lost)

    def _lose_reader(self) -> None:
        """A reader of standard output ends us quietly; a FIFO is opened anew for the next one."""
        self._head_written = 0
        if self._path is not None:
            self._close_descriptor()
            return
        self._reader_gone = True
        self._shed(0, Lost.CLOSED_PIPE)
        # Python flushes standard output at its end; let that go nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def open_sink(
    target: str,
    *,
    append: bool = False,
    tolerant: bool = False,
    stopped: Callable[[], bool] = _never,
) -> LineSink:
    """Open the sink that an operator names: a path, or `-` for standard output."""
    path = None if target == "-" else Path(target)
    return LineSink(path, append=append, tolerant=tolerant, stopped=stopped)


def _alerts_among(lines: Iterable[bytes]) -> int:
    """How many of the lines are alerts; events of drift go with them, but are not counted."""
    return sum(_ALERT in line for line in lines)

"""The signals that end a run. Imports nothing heavy: a command listens before it loads the rest."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """SIGTERM and SIGINT ask for a drain: what was read is scored, reported and summed up.

    A second signal means at once: the process ends with 128 + the signal's number, and no summary.
    SIGHUP is what a terminal sends when it goes away, often twice: it asks for a drain too, and
    never for an end at once; a process that was started to ignore it (nohup) still does.
    Use as a context manager around the run; the handlers that were there come back at the end.

    Parameters
    ----------
    drains : bool
        False while there is nothing to drain, and nothing to clean up: a signal then ends the
        command where it is. Set it when the run begins.
    survives_hangup : bool
        SIGHUP ends nothing; `take_hangup` tells of it.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self, *, drains: bool = True, survives_hangup: bool = False) -> None:
        self.received: signal.Signals | None = None
        self.drains = drains
        self._survives_hangup = survives_hangup
        self._was_hung_up = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __call__(self) -> bool:
        """True from the first signal on."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """130 where the user interrupted; 0 after SIGTERM or SIGHUP, which are ordinary ends."""
        return 130 if self.received == signal.SIGINT else 0

    def take_hangup(self) -> bool:
        """True once after a SIGHUP that was survived."""
        was, self._was_hung_up = self._was_hung_up, False
        return was

    def wait(self, seconds: float) -> None:
        """Sleep that long, or until a signal."""
        until_s = time.monotonic() + seconds
        while not self() and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            ignored = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
            if not ignored or self._survives_hangup:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            if self._survives_hangup:
                self._was_hung_up = True
                return
            if self.received is not None:
                return
        if self.received is not None:
            os._exit(128 + number)
        self.received = signal.Signals(number)
        if not self.drains:
            if _is_import(frame):
                # Out of libraries that are loaded no exception comes back: where they call Python
                # from C++ the process would abort with a traceback, or the exception is lost.
                os._exit(self.exit_code)
            raise SystemExit(self.exit_code)


def _is_import(frame: FrameType | None) -> bool:
    """Whether a module is being imported there, or further out."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False

"""Process life: signals that ask the corridor to stop, and how the process says goodbye."""

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """SIGTERM and SIGINT ask for a drain: what was read is scored, reported and summed up.

    A second signal means at once: the process ends with 128 + the signal's number, and no summary.
    Use as a context manager around the run; the handlers that were there come back at the end.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __call__(self) -> bool:
        """True from the first signal on."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """130 where the user interrupted; 0 after SIGTERM, which is an ordinary end."""
        return 130 if self.received == signal.SIGINT else 0

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
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

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = signal.Signals(number)

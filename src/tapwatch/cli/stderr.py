"""What is said on standard error must not end or hold up what is done.

Nobody may be there to read: the descriptor is closed, the terminal has gone, the disk is full.
"""

import contextlib
import io
import os
import select
import sys
from typing import Any, Final

#: What a pipe takes whole when it says that it takes something.
_PIECE_BYTES: Final = select.PIPE_BUF
_FD: Final = 2


class _Stderr(io.FileIO):
    """Standard error that takes everything, and gives up what it cannot get rid of."""

    def __init__(self) -> None:
        super().__init__(_FD, "w", closefd=False)
        self.patience_s: float | None = None  # to wait for a reader; None: as long as it takes

    def write(self, data: Any, /) -> int:
        """Write what can be written; tell that all was."""
        if self.patience_s is not None:
            data = memoryview(data)[:_PIECE_BYTES]
            if not self._has_room(self.patience_s):
                self.patience_s = 0.0  # once is enough
                return len(data)
        with contextlib.suppress(OSError):
            return super().write(data) or len(data)
        return len(data)

    @staticmethod
    def _has_room(seconds: float) -> bool:
        poll = select.poll()
        poll.register(_FD, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))


def install() -> None:
    """Put ours in the place of Python's, unless something else is there.

    Standard streams that are closed are opened to nowhere first: else the next file that is opened
    would be one of them, and get what is meant for it.
    """
    if sys.stderr is not sys.__stderr__:
        return
    for fd in range(_FD + 1):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is fd
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    ours = io.BufferedWriter(_Stderr(), _PIECE_BYTES)
    sys.stderr = io.TextIOWrapper(ours, encoding, "backslashreplace", line_buffering=True)


def wait_for_reader(seconds: float | None) -> None:
    """Wait that long for who reads standard error, then leave things out; None: always wait."""
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(raw, _Stderr):
        raw.patience_s = seconds

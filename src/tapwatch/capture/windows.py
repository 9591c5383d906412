"""The bytes of one capture file as a window that moves forward.

A window is one buffer after another, each beginning with what the last one could not finish. Files
are read and not mapped: a mapped file that another process cuts short kills whoever looks at it.
"""

import os
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture.compressed import Unpacked
from tapwatch.capture.delivery import read_only
from tapwatch.capture.source import Damage, never

#: Of a file's beginning, what must be the same after every read. A writer may come back to fields
#: of the file header; the packets behind it are another recording's if they change.
_BEGINNING: Final = slice(32, 4096)


class Window(Protocol):
    """Bytes data[:hi], the first of which is byte `base` of the (unpacked) file."""

    data: NDArray[np.uint8]  # read-only
    hi: int
    base: int
    is_last: bool  # nothing follows data[:hi]

    @property
    def damage(self) -> tuple[Damage, str] | None:
        """Why nothing follows, where it is not the end of the file."""

    def advance(self, keep: int, need: int) -> int:
        """Go on to a buffer with more bytes, if there are more; the old one is left as it is.

        Parameters
        ----------
        keep : int
            Offset in `data` of the first byte that is still wanted.
        need : int
            Bytes wanted from there. There are less only if `is_last` is set, or a pipe has paused.

        Returns
        -------
        int
            Where the byte at `keep` is now.
        """

    def consumed(self, offset: int) -> int:
        """Bytes of the file on disk that were used up, with the walk at `offset`."""

    def close(self) -> None:
        """Let go of the file; arrays that point into it stay good."""


class FileWindow:
    """A plain file, read into buffers of `block_bytes`; it ends where it did when it was opened.

    Parameters
    ----------
    fd : int
        Open for reading. Closed with the window, or as soon as all is read.
    block_bytes : int
        Bytes of a buffer, where no record needs more.

    Raises
    ------
    OSError
        The system gives nothing of the file.
    """

    def __init__(self, fd: int, block_bytes: int) -> None:
        self._fd = fd
        self._block_bytes = block_bytes
        self._size = os.fstat(fd).st_size
        self._beginning = self._look_at_beginning()
        self._damage: tuple[Damage, str] | None = None
        self.data = read_only(np.zeros(0, np.uint8))
        self.hi = 0
        self.base = 0
        self.is_last = False
        self.advance(0, 0)

    @property
    def damage(self) -> tuple[Damage, str] | None:
        """See Window."""
        return self._damage

    def advance(self, keep: int, need: int) -> int:
        """See Window; the bytes before `keep` are forgotten."""
        carried = self.data[keep : self.hi]
        end = self.base + self.hi
        n_bytes = min(max(self._block_bytes, need, len(carried) + 1), self._size - self.base - keep)
        # A buffer of its own each time: frames of the last one may still be looked at.
        buffer = np.empty(n_bytes, np.uint8)
        buffer[: len(carried)] = carried
        n_read = self._read(buffer[len(carried) :], end)
        self.data = read_only(buffer)
        self.base += keep
        self.hi = len(carried) + n_read
        self.is_last = self._damage is not None or self.base + self.hi >= self._size
        if self.is_last:
            self.close()  # thousands of small files may be open together
        return 0

    def consumed(self, offset: int) -> int:
        """See Window."""
        return self.base + offset

    def close(self) -> None:
        """See Window."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _read(self, room: NDArray[np.uint8], place: int) -> int:
        """Fill the room from `place` on; how much of it is good."""
        n = 0
        try:
            while n < len(room) and (more := os.preadv(self._fd, [room[n:].data], place + n)):
                n += more
            is_same = self._look_at_beginning() == self._beginning
        except OSError as error:
            self._damage = (Damage.UNREADABLE, f"cannot be read further ({error.strerror})")
            return n
        if n < len(room):
            self._damage = (Damage.CUT_SHORT, "became shorter while it was read")
        elif not is_same:
            self._damage = (Damage.CORRUPT, "was overwritten while it was read")
        return n if is_same else 0

    def _look_at_beginning(self) -> bytes:
        return os.pread(self._fd, min(self._size, _BEGINNING.stop), 0)[_BEGINNING]


class StreamWindow:
    """A pipe or a compressed file, unpacked into buffers of `block_bytes`."""

    def __init__(self, fd: int, block_bytes: int, stopped: Callable[[], bool] = never) -> None:
        self._block_bytes = block_bytes
        self._unpacked = Unpacked(fd, stopped)
        self._pieces: Iterator[bytes] = iter(self._unpacked)
        self._rest = memoryview(b"")  # of a piece that did not fit
        self.data = read_only(np.zeros(0, np.uint8))
        self.hi = 0
        self.base = 0
        self.is_last = False
        self.advance(0, 0)

    @property
    def damage(self) -> tuple[Damage, str] | None:
        """See Window."""
        return self._unpacked.damage if self.is_last else None

    @property
    def kind(self) -> str:
        """How the file is packed: plain, gzip, xz, zstd."""
        return self._unpacked.kind

    def advance(self, keep: int, need: int) -> int:
        """See Window; the bytes before `keep` are forgotten."""
        carried = self.data[keep : self.hi]
        # A buffer of its own each time: frames of the last one may still be looked at.
        buffer = np.empty(max(self._block_bytes, need, len(carried) + 1), np.uint8)
        n = len(carried)
        buffer[:n] = carried
        while n < len(buffer):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    self.is_last = True
                    break
                if not piece and n >= max(need, len(carried) + 1):
                    break  # the pipe has paused: what is there need not wait
                self._rest = memoryview(piece)
            taken = min(len(self._rest), len(buffer) - n)
            buffer[n : n + taken] = np.frombuffer(self._rest[:taken], np.uint8)
            self._rest = self._rest[taken:]
            n += taken
        self.data = read_only(buffer)
        self.base += keep
        self.hi = n
        return 0

    def consumed(self, offset: int) -> int:
        """See Window."""
        return self._unpacked.consumed_bytes

    def close(self) -> None:
        """See Window."""
        self._unpacked.close()

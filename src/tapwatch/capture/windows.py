"""The bytes of one capture file as a window that moves forward.

A mapped file is one array from beginning to end, of which ever more may be read; a stream is one
buffer after another, each beginning with what the last one could not finish.
"""

import errno
import mmap
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture.compressed import Unpacked
from tapwatch.capture.delivery import read_only
from tapwatch.capture.source import Damage, never

#: Pages are asked for ahead of the walk, in steps that grow: a look at a file reads little of it.
_MAPPED_FIRST_BYTES: Final = 1 << 16
_MAPPED_STEP_BYTES: Final = 4 << 20
_MAPPED_KEPT_BYTES: Final = 16 << 20  # pages this far behind the walk are given back
_MADV_POPULATE_READ: Final = 22  # Linux 5.14; Python has no name for it


class Window(Protocol):
    """Bytes data[:hi], the first of which is byte `base` of the (unpacked) file."""

    data: NDArray[np.uint8]  # read-only
    hi: int
    base: int
    is_last: bool  # nothing follows data[:hi]
    in_place: bool  # `advance` moves only `hi`: frames found before it stay good

    @property
    def damage(self) -> tuple[Damage, str] | None:
        """Why nothing follows, where it is not the end of the file."""

    def advance(self, keep: int, need: int) -> int:
        """Let more bytes be read, if there are more.

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


class MappedWindow:
    """A plain file, mapped; nothing is copied, and pages far behind are given back.

    The descriptor stays the caller's, and may be closed at once: the mapping has its own.
    """

    in_place = True

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        self.data = np.frombuffer(self._map, np.uint8)
        self.hi = 0
        self.base = 0
        self.is_last = False
        self._damage: tuple[Damage, str] | None = None
        self._released = 0
        self._step = _MAPPED_FIRST_BYTES
        self._can_populate = True
        self.advance(0, 0)

    @property
    def damage(self) -> tuple[Damage, str] | None:
        """See Window."""
        return self._damage

    def advance(self, keep: int, need: int) -> int:
        """See Window."""
        lo = self.hi
        # A file that shrank while it is read would kill the process at the first missing page.
        size = min(len(self.data), self._map.size())
        self.hi = max(lo, min(size, max(lo + self._step, keep + need)))
        self._step = min(2 * self._step, _MAPPED_STEP_BYTES)
        self.is_last = self.hi >= size
        if self.is_last and size < len(self.data):
            self._damage = (Damage.CUT_SHORT, "became shorter while it was read")
        elif not self._populate(lo, self.hi):
            self.hi, self.is_last = lo, True
            self._damage = (Damage.UNREADABLE, f"cannot be read beyond byte {lo}")
        self._release(keep - _MAPPED_KEPT_BYTES)
        return keep

    def consumed(self, offset: int) -> int:
        """See Window."""
        return offset

    def close(self) -> None:
        """See Window; the mapping goes with the last array that points into it."""

    def _populate(self, lo: int, hi: int) -> bool:
        """Map pages at one go: cheaper than a fault for each, and a bad disk is an error here."""
        lo -= lo % mmap.PAGESIZE
        if not self._can_populate or hi <= lo:
            return True
        try:
            self._map.madvise(_MADV_POPULATE_READ, lo, hi - lo)
        except OSError as error:
            self._can_populate = False
            return error.errno not in (errno.EFAULT, errno.EIO)
        return True

    def _release(self, until: int) -> None:
        until -= until % _MAPPED_STEP_BYTES
        if until > self._released:
            # Whoever still looks at these pages gets them back from the page cache.
            self._map.madvise(mmap.MADV_DONTNEED, self._released, until - self._released)
            self._released = until


class StreamWindow:
    """A pipe or a compressed file, unpacked into buffers of `block_bytes`."""

    in_place = False

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

"""Memory that ends, or begins, at a page that cannot even be read.

A read beyond an array is silent in compiled code, unless nothing is there: then it ends the process
by SIGSEGV, which whoever started it sees.
"""

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_NO_ACCESS = 0


def _forbid(address: int, n_bytes: int) -> None:
    if _LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(n_bytes), _NO_ACCESS):
        raise OSError(ctypes.get_errno(), "mprotect")


class Arena:
    """Rooms of one size in a row, a forbidden page before, between and behind them."""

    def __init__(self, n_rooms: int, room_bytes: int = PAGE) -> None:
        self.room_bytes = -(-room_bytes // PAGE) * PAGE
        self._stride = self.room_bytes + PAGE
        # Private: children of one fuzzing run must not write into each other's rooms.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, n_rooms * self._stride + PAGE, flags)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for k in range(n_rooms + 1):
            _forbid(base + k * self._stride, PAGE)
        #: All of it; the forbidden pages are a part of the array, but not to be touched.
        self.data = np.frombuffer(self._memory, np.uint8)

    def place(self, pieces: Sequence[bytes], *, at_end: bool) -> list[int]:
        """Put one piece in each room, at its end or its beginning; returns where each begins."""
        assert all(len(piece) <= self.room_bytes for piece in pieces), "a piece beyond its room"
        starts = []
        for k, piece in enumerate(pieces):
            start = PAGE + k * self._stride + (self.room_bytes - len(piece)) * at_end
            self.data[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
            starts.append(start)
        return starts


class _Pages:
    """Pages with a forbidden one behind, given back when nothing points into them."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = -(-max(1, n_bytes) // PAGE) * PAGE
        protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = _LIBC.mmap(None, self.n_bytes + PAGE, protection, flags, -1, 0)
        if self.address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        _forbid(self.address + self.n_bytes, PAGE)

    def __del__(self) -> None:
        _LIBC.munmap(self.address, self.n_bytes + PAGE)


def room_at_guard(n_bytes: int) -> NDArray[np.uint8]:
    """An array whose last byte is the last one that may be touched."""
    if n_bytes == 0:
        return np.zeros(0, np.uint8)
    pages = _Pages(n_bytes)
    room = (ctypes.c_uint8 * n_bytes).from_address(pages.address + pages.n_bytes - n_bytes)
    room.pages = pages  # type: ignore[attr-defined]  # lives as long as the array does
    return np.frombuffer(room, np.uint8)


def ending_at_guard(piece: bytes) -> NDArray[np.uint8]:
    """A copy whose last byte is the last one that may be read; read-only."""
    data = room_at_guard(len(piece))
    data[:] = np.frombuffer(piece, np.uint8)
    data.flags.writeable = False
    return data


class GuardedNumpy:
    """Stand-in for numpy in a module whose buffers shall end at a guard."""

    def __getattr__(self, name: str) -> Any:
        """All else is numpy's."""
        return getattr(np, name)

    @staticmethod
    def empty(shape: Any, dtype: Any = float) -> NDArray[Any]:
        """Bytes in a row end at a guard."""
        if dtype is np.uint8 and isinstance(shape, int):
            return room_at_guard(shape)
        return np.empty(shape, dtype)


class GuardedWindow:
    """A file's bytes as a capture window: what has not been asked for cannot be read.

    Parameters
    ----------
    content : bytes
        The (unpacked) file.
    step_bytes : int
        Bytes that come with each advance, beyond those that are needed.
    """

    damage = None

    def __init__(self, content: bytes, step_bytes: int) -> None:
        self._content = content
        self._step = step_bytes
        self.base = self._end = 0
        self.data = np.zeros(0, np.uint8)
        self.hi = 0
        self.is_last = False

    def advance(self, keep: int, need: int) -> int:
        """See tapwatch.capture.windows.Window."""
        self.base += keep
        self._end = min(len(self._content), max(self._end, self.base + need) + self._step)
        self.data = ending_at_guard(self._content[self.base : self._end])
        self.hi = len(self.data)
        self.is_last = self._end == len(self._content)
        return 0

    def consumed(self, _offset: int) -> int:
        """See Window."""
        return self._end

    def close(self) -> None:
        """See Window."""

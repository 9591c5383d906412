"""Descriptors that alerts go out by, opened and written without waiting for who reads them.

Where the other side has no room, or is not there yet, that is a BlockingIOError; who wants to wait
does so with `wait`, and can be asked to stop meanwhile.
"""

import contextlib
import errno
import os
import select
import stat
import sys
from pathlib import Path
from typing import Final

#: What a pipe takes whole when it says that it takes something (POSIX: at least 512 bytes).
_PIECE_BYTES: Final = getattr(select, "PIPE_BUF", 512)


def open_path(path: Path, *, append: bool) -> int:
    """Open a file for writing, or make it.

    Raises
    ------
    BlockingIOError
        It is a FIFO that nobody reads.
    OSError
        It cannot be opened.
    """
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, how | (os.O_APPEND if append else 0), 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):
            raise BlockingIOError(errno.EAGAIN, "nobody reads it") from error
        raise


def own_standard_output() -> int:
    """A descriptor of our own for standard output, one that does not block if that can be had.

    Who started us may share the open pipe or terminal with other programs, and a flag that we set
    on it would be theirs too; so Linux is asked to open it once more. A socket cannot be.

    Raises
    ------
    OSError
        Standard output is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    sys.stdout.flush()  # what Python holds goes first
    fd = sys.stdout.fileno()
    if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
        how = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", how)
    return os.dup(fd)


def write(fd: int, data: bytes) -> int:
    """Write what there is room for.

    Returns
    -------
    n : int
        Bytes that were taken, at least one.

    Raises
    ------
    BlockingIOError
        There is no room.
    OSError
        The write failed.
    """
    if os.get_blocking(fd) and not stat.S_ISREG(os.fstat(fd).st_mode):
        if not wait(fd, 0):
            raise BlockingIOError(errno.EAGAIN, _SLOW)
        data = data[:_PIECE_BYTES]
    try:
        return os.write(fd, data)
    except BlockingIOError as error:
        raise BlockingIOError(errno.EAGAIN, _SLOW) from error


_SLOW: Final = "its reader does not keep up"


def wait(fd: int, seconds: float) -> bool:
    """Wait for room; False if there is none after so long. What failed has room: a write tells."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def regular_size(fd: int) -> int:
    """Bytes in a regular file; -1 for anything else."""
    status = os.fstat(fd)
    return status.st_size if stat.S_ISREG(status.st_mode) else -1

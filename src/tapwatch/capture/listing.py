"""Which files are meant by what the operator names: files, folders of them, standard input."""

import os
import re
import resource
import stat
from collections.abc import Sequence
from typing import Final

from tapwatch.errors import CaptureError

STDIN: Final = "-"
_OTHER_FILES: Final = 256  # that a process has open beside its captures

#: Names that promise a capture: `tcpdump -C` counts behind them, packers append to them.
_CAPTURE_NAME: Final = re.compile(
    r"\.(pcap|pcapng|pcapn|ntar|cap|dmp|snoop|btsnoop|erf|enc|lcap)\d*"
    r"(\.(gz|z|xz|lzma|zst|zstd|bz2|lz4|zip|7z))?$",
    re.IGNORECASE,
)


def is_named_as_capture(path: str) -> bool:
    """Whether the name says that a capture is in it, packed or not."""
    return _CAPTURE_NAME.search(path) is not None


def is_regular(path: str) -> bool:
    """Whether it can be opened a second time and gives the same."""
    try:
        return path != STDIN and stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # opening it says what is wrong


def expand(paths: Sequence[str]) -> list[tuple[str, bool]]:
    """Files to open, and whether each may turn out not to be a capture."""
    if not paths or list(paths).count(STDIN) > 1:
        raise CaptureError(
            f"found {list(paths)}: want at least one capture, standard input at most once"
        )
    files: list[tuple[str, bool]] = []
    for path in paths:
        if path == STDIN or not os.path.isdir(path):
            files.append((path, False))
            continue
        try:
            entries = sorted(entry.path for entry in os.scandir(path) if _may_be_read(entry))
        except OSError as error:
            raise CaptureError(f"{path}: cannot be listed ({error.strerror})") from error
        if not entries:
            raise CaptureError(
                f"{path}: found a directory without files: want at least one capture"
            )
        files += [(entry, True) for entry in entries]
    return files


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """A file; or the name of a capture that leads nowhere, so that opening it says so."""
    is_dangling = entry.is_symlink() and not os.path.exists(entry.path)
    return entry.is_file() or (is_dangling and is_named_as_capture(entry.name))


def allow_open_files(n_files: int) -> None:
    """Raise the process's limit of open files, as far as it may: overlapping files are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def size_of(paths: Sequence[str]) -> int:
    """Bytes of all files; 0 where one is a pipe."""
    if not all(is_regular(path) for path in paths):
        return 0
    return sum(os.stat(path).st_size for path in paths if os.path.exists(path))

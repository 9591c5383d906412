"""Truth files: which episodes a labelled capture holds.

    episode,kind,start_ns,end_ns,src,dst,dst_port,proto,note

`*` stands where a field does not apply. A row that cannot be understood is refused, with its line:
an evaluation against half a truth would be worse than none.
"""

import csv
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tapwatch.errors import CaptureError

HEADER: Final = (
    *("episode", "kind", "start_ns", "end_ns"),
    *("src", "dst", "dst_port", "proto", "note"),
)
_ANY: Final = "*"
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class TruthError(CaptureError):
    """A truth or alerts file that cannot be understood: where, what was found, what is wanted."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One thing that happened. None stands for what does not apply."""

    name: str
    kind: str
    start_ns: int  # of its first packet
    end_ns: int
    src: str | None
    dst: str | None
    dst_port: int | None
    proto: str | None
    note: str = ""

    @property
    def addresses(self) -> frozenset[str]:
        """The ends that are known."""
        return frozenset(end for end in (self.src, self.dst) if end is not None)


def read_truth(path: Path) -> list[Episode]:
    """Read a truth file, in the order of the file.

    Raises
    ------
    TruthError
        The file cannot be read, has no episodes, or a row cannot be understood.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            episodes = list(_episodes(path, file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"{path}: cannot be read: {error}") from error
    if not episodes:
        raise TruthError(f"{path}: want at least one episode below the header")
    return episodes


def normal_address(text: str) -> str:
    """One spelling for each address (RFC 5952 for IPv6, lower case for MAC).

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> normal_address("2001:DB8:0:0::1"), normal_address("10.0.0.1")
    ('2001:db8::1', '10.0.0.1')
    """
    lower = text.lower()
    return lower if _MAC.fullmatch(lower) else str(ipaddress.ip_address(text))


def _episodes(path: Path, lines: Iterator[str]) -> Iterator[Episode]:
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    if tuple(header) != HEADER:
        raise TruthError(f"{path}:1: header is {','.join(header)!r}: want {','.join(HEADER)!r}")
    lines_of: dict[str, int] = {}
    for cells in reader:
        if not cells:
            continue
        where = f"{path}:{reader.line_num}"
        if len(cells) != len(HEADER):
            raise TruthError(f"{where}: {len(cells)} fields: want {len(HEADER)}")
        episode = _episode(where, dict(zip(HEADER, cells, strict=True)))
        if episode.name in lines_of:
            raise TruthError(
                f"{where}: episode = {episode.name!r}: want a name of its own "
                f"(line {lines_of[episode.name]} has it)"
            )
        lines_of[episode.name] = reader.line_num
        yield episode


def _episode(where: str, row: dict[str, str]) -> Episode:
    for key in ("episode", "kind"):
        if not row[key].strip():
            raise TruthError(f"{where}: {key} = {row[key]!r}: want a name")
    start_ns, end_ns = (_whole(where, key, row[key], 1 << 63) for key in ("start_ns", "end_ns"))
    if end_ns < start_ns:
        raise TruthError(f"{where}: end_ns = {end_ns}: want at least start_ns, which is {start_ns}")
    port = row["dst_port"]
    return Episode(
        name=row["episode"],
        kind=row["kind"],
        start_ns=start_ns,
        end_ns=end_ns,
        src=_address(where, "src", row["src"]),
        dst=_address(where, "dst", row["dst"]),
        dst_port=None if port == _ANY else _whole(where, "dst_port", port, 1 << 16),
        proto=None if row["proto"] == _ANY else row["proto"].lower(),
        note=row["note"],
    )


def _whole(where: str, key: str, text: str, below: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < below:
        return int(text)
    want = "a port from 0 to 65535, or *" if key == "dst_port" else "nanoseconds since 1970"
    raise TruthError(f"{where}: {key} = {text!r}: want {want}")


def _address(where: str, key: str, text: str) -> str | None:
    if text == _ANY:
        return None
    try:
        return normal_address(text)
    except ValueError:
        raise TruthError(
            f"{where}: {key} = {text!r}: want an IPv4, IPv6 or MAC address, or *"
        ) from None

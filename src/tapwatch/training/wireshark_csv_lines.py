"""The lines of a Wireshark CSV: found by their header, split and bounded, whatever they hold."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

#: The longest line that is read; the Info of a packet is cut by Wireshark long before.
LINE_CHARS: Final = 65_536
_HEADER_BYTES: Final = 4096
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"))

#: What we call a column -> how Wireshark and tshark head it, lower case, without "_ws.col.".
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        "time",
        "rel_time",
        "abs_time",
        "cls_time",
        "frame.time_relative",
        "frame.time_epoch",
        "frame.time",
    ),
    "source": ("source", "src", "def_src", "unres_src"),
    "destination": ("destination", "dst", "def_dst", "unres_dst"),
    "protocol": ("protocol",),
    "length": ("length", "packet_length", "frame.len"),
    "info": ("info",),
}
FIELDS: Final = tuple(_NAMES)


@dataclass(frozen=True, slots=True)
class Header:
    """How the lines of one file are laid out."""

    encoding: str
    delimiter: str
    n_fields: int
    places: tuple[int, ...]  # of FIELDS, in their order

    @property
    def info_is_last(self) -> bool:
        """Whether what a stray delimiter cuts off can only be of Info."""
        return self.places[FIELDS.index("info")] == self.n_fields - 1


def _place_of(field: str, names: list[str]) -> int:
    for name in _NAMES[field]:
        if name in names:
            return names.index(name)
    return -1


def find_header(path: Path) -> Header | None:
    """Read the first line; None where the file is no such export.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
    lines = start.decode(encoding, errors="replace").splitlines()
    for delimiter in ",\t;" if lines else "":
        names = [
            name.strip().lower().removeprefix("_ws.col.")
            for name in split_line(lines[0], delimiter)
        ]
        places = tuple(_place_of(field, names) for field in FIELDS)
        if min(places) >= 0:
            return Header(encoding, delimiter, len(names), places)
    return None


def split_line(line: str, delimiter: str) -> list[str]:
    """The fields of one line; none where it cannot be split."""
    try:
        return next(csv.reader((line,), delimiter=delimiter), [])
    except csv.Error:
        return []


def read_lines(path: Path, header: Header, counts: dict[str, int]) -> Iterator[list[str]]:
    """Yield FIELDS of each line behind the header.

    Parameters
    ----------
    counts : dict
        Lines that are left out, by reason: `line_too_long`, `wrong_number_of_fields`,
        `repeated_header`.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open(encoding=header.encoding, errors="replace") as file:
        head: list[str] | None = None
        for line in _bounded(file, counts):
            fields = split_line(line, header.delimiter)
            if len(fields) > header.n_fields and header.info_is_last:
                rest = header.delimiter.join(fields[header.n_fields - 1 :])
                fields[header.n_fields - 1 :] = [rest]
            if len(fields) != header.n_fields:
                counts["wrong_number_of_fields"] += 1
                continue
            chosen = [fields[place] for place in header.places]
            if head is None:
                head = chosen
            elif chosen == head:
                counts["repeated_header"] += 1
            else:
                yield chosen


def _bounded(file: TextIO, counts: dict[str, int]) -> Iterator[str]:
    """Yield lines without their end; one that is too long is passed over in pieces."""
    is_rest = False
    while line := file.readline(LINE_CHARS):
        is_whole = line.endswith("\n")
        if is_rest or (not is_whole and len(line) == LINE_CHARS):
            counts["line_too_long"] += not is_rest
            is_rest = not is_whole
        elif line.strip():
            yield line.rstrip("\r\n")

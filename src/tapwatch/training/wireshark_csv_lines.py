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
#: How much of a field is kept: an address or a number is far shorter, and the marks, numbers and
#: options of Info stand at its beginning.
_FIELD_CHARS: Final = 128
_INFO_CHARS: Final = 2048
#: Of the names, so many make it an export; what it lacks can then be told.
_ENOUGH_NAMES: Final = 4
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
    places: tuple[int, ...]  # of FIELDS, in their order; -1 where there is no such column

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns that are not there, as Wireshark heads them."""
        pairs = zip(FIELDS, self.places, strict=True)
        return tuple(field.capitalize() for field, place in pairs if place < 0)

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
    """Read the first line; None where the file is no such export, not even a part of one.

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
        if sum(place >= 0 for place in places) >= _ENOUGH_NAMES:
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
        `repeated_header`; and those of which a field was cut: `field_too_long`.

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
            if len(line) > _FIELD_CHARS:
                chosen = _cut(chosen, counts)
            if head is None:
                head = chosen
            elif chosen == head:
                counts["repeated_header"] += 1
            else:
                yield chosen


def _cut(fields: list[str], counts: dict[str, int]) -> list[str]:
    info = FIELDS.index("info")
    limits = [_INFO_CHARS if k == info else _FIELD_CHARS for k in range(len(fields))]
    kept = [text[:limit] for text, limit in zip(fields, limits, strict=True)]
    counts["field_too_long"] += kept != fields
    return kept


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

"""A list of packets that Wireshark or tshark exported as CSV, as rows of the packet view.

A line gives what its columns Time, Source, Destination, Protocol, Length and Info hold; the schema
says which columns of the view that fills (`Column.export`), and the rest is `Column.absent`. The
values are those that `detect.export.as_export` leaves of the rows of the capture itself.

Times are seconds (since the first frame, or since 1970), or date and time of day; those of a zone
other than UTC are taken for UTC. A frame that is older than one before it has no deltas.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features import schema_of
from tapwatch.tables import Schema
from tapwatch.training.tables import PART_ROWS, Table, TablePart
from tapwatch.training.wireshark_csv_info import NUMBERS, READERS, Columns, read_marks
from tapwatch.training.wireshark_csv_lines import FIELDS, Header, find_header, read_lines
from tapwatch.training.wireshark_csv_pairs import LastMet
from tapwatch.training.wireshark_csv_seq import Expected, Line

KIND: Final = "wireshark_csv"

#: Rows left out or mended, by reason.
COUNTS: Final = {
    "line_too_long": "a line of more than 65,536 characters; left out",
    "field_too_long": "Info of more than 2,048 characters, or another of more than 128; cut",
    "wrong_number_of_fields": "not as many fields as the header has; left out",
    "repeated_header": "the header once more; left out",
    "time_unreadable": "Time is neither a number nor a date and time; left out",
    "length_unreadable": "Length is no number of at most ten digits; left out",
    "clock_back": "older than a frame before it; its deltas are 0",
    "label_unknown": "Protocol is none of the labels; its class is the first one",
    "info_unread": "Info does not say what it should for its protocol, or ports by name; that is 0",
    "pair_forgotten": "pairs of addresses that had to give way to others",
}

#: Text that a part may hold, so that its memory is bounded whatever the lines are.
_PART_CHARS: Final = 1 << 24

_SECONDS: Final = r"^\s*(?P<sign>-?)(?P<whole>\d{1,10})(?:[.,](?P<fraction>\d{1,9})\d{0,9})?\s*$"
_DATE: Final = (
    r"^\s*(?P<date>(?:\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2} [ \d]?\d, \d{4})[ T]\d{2}:\d{2}:\d{2})"
    r"(?:[.,](?P<fraction>\d{1,9}))?\s*[A-Za-z ]*(?:[+-]\d{2}:?\d{2})?\s*$"
)
_IPV4: Final = r"^\d{1,3}(?:\.\d{1,3}){3}$"
_IPV6: Final = r"^(?:[0-9A-Fa-f]{0,4}:){2,8}[0-9A-Fa-f.]*(?:%\w+)?$"
_SEVEN_COLONS: Final = r"^(?:[^:]*:){7}[^:]*$"
_V4_GROUP: Final = r"^(?:22[4-9]|23\d)\."
_V6_GROUP: Final = r"^[Ff][Ff][0-9A-Fa-f]{2}:"
#: The difference of any two such times fits int64 in ns.
_LARGEST_S: Final = (1 << 62) // 10**9 - 1
_ENDS: Final = ("source", "destination")
_LENGTH: Final = r"^\s*\d{1,10}\s*$"


def recognise(path: Path) -> bool:
    """Whether the file begins with the header of such an export.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    return find_header(path) is not None


def open_table(path: Path, schema: Schema | None = None) -> Table:
    """Make an export into a table of the packet view.

    Parameters
    ----------
    path : Path
    schema : Schema, optional
        Of the view that is wanted; only the packet view can be filled.

    Raises
    ------
    CaptureError
        The file cannot be read, has not the columns, or a time that cannot be read in its first
        line.
    ConfigError
        Another view is wanted.
    """
    packet = schema_of("packet")
    if schema is not None and schema.view != packet.view:
        hint = f"{path} is a list of packets that Wireshark exported"
        raise ConfigError("--view", schema.view, packet.view, hint)
    try:
        header = find_header(path)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    if header is None:
        want = "a header with Time, Source, Destination, Protocol, Length and Info"
        raise CaptureError(f"{path}: not a list of packets exported by Wireshark: want {want}")
    if header.missing:
        names = ", ".join(header.missing)
        want = "all six of Time, Source, Destination, Protocol, Length and Info"
        raise CaptureError(f"{path}: an export of Wireshark without column {names}: want {want}")
    counts = dict.fromkeys(COUNTS, 0)
    return Table(
        path=path,
        kind=KIND,
        schema=packet,
        given=tuple(column.name for column in packet.columns if column.export),
        withheld={
            column.name: "a Wireshark export does not hold it"
            for column in packet.columns
            if not column.export
        },
        is_live=True,
        parts=partial(_parts, path, header, packet, counts),
        counts=counts,
    )


def _parts(
    path: Path, header: Header, schema: Schema, counts: dict[str, int]
) -> Iterator[TablePart]:
    counts.update(dict.fromkeys(COUNTS, 0))
    reader = _Reader(schema, counts)
    try:
        lines = read_lines(path, header, counts)
        while chunk := _chunk(lines):
            part = reader.read(path, chunk)
            if len(part.values):
                yield part
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error


def _chunk(lines: Iterator[list[str]]) -> list[list[str]]:
    chunk: list[list[str]] = []
    n_chars = 0
    for fields in islice(lines, PART_ROWS):
        chunk.append(fields)
        n_chars += sum(map(len, fields))
        if n_chars >= _PART_CHARS:
            break
    return chunk


class _Reader:
    """Turns lines into rows; knows the frames before."""

    def __init__(self, schema: Schema, counts: dict[str, int]) -> None:
        self._schema = schema
        self._counts = counts
        self._labels = {
            word: index
            for index, word in enumerate(schema.columns[schema.names.index("protocol")].categories)
        }
        self._clock_ns: int | None = None
        self._pairs = LastMet()
        self._expected = Expected()

    def read(self, path: Path, lines: list[list[str]]) -> TablePart:
        """Make rows of some lines."""
        fields = [pa.array(column, pa.string()) for column in zip(*lines, strict=True)]
        time_ns, has_time = _times(fields[FIELDS.index("time")])
        if self._clock_ns is None and not has_time.any():
            found = lines[0][FIELDS.index("time")][:64]
            want = "seconds, or a date and time (View, Time Display Format)"
            raise CaptureError(f"{path}: Time = {found!r}: want {want}")
        has_length = np.asarray(pc.match_substring_regex(fields[FIELDS.index("length")], _LENGTH))
        self._counts["time_unreadable"] += int(np.count_nonzero(~has_time))
        self._counts["length_unreadable"] += int(np.count_nonzero(has_time & ~has_length))
        is_row = has_time & has_length
        time_ns = time_ns[is_row]
        if not is_row.all():
            kept = pa.array(is_row)
            fields = [field.filter(kept) for field in fields]
        values = self._values(time_ns, dict(zip(FIELDS, fields, strict=True)))
        return TablePart(values, time_ns, ())

    def _values(
        self, time_ns: NDArray[np.int64], fields: dict[str, pa.Array]
    ) -> NDArray[np.float32]:
        columns: Columns = {
            "frame_len": np.asarray(pc.cast(pc.utf8_trim_whitespace(fields["length"]), pa.int64())),
            **self._time_columns(time_ns, fields),
            **_address_columns(fields),
        }
        labels = fields["protocol"].dictionary_encode()
        words = [word.strip() for word in labels.dictionary.to_pylist()]
        which = np.asarray(labels.indices)
        known = np.array([self._labels.get(word, -1) for word in words] or [-1])
        columns["protocol"] = np.maximum(known, 0)[which]
        self._counts["label_unknown"] += int(np.count_nonzero(known[which] < 0))
        info, marks = read_marks(fields["info"])
        columns |= marks
        for index, word in enumerate(words):
            if word in READERS:
                self._read_info(word, np.flatnonzero(which == index), info, columns)
        is_other = np.array([word not in READERS for word in words] or [False])[which]
        columns["tcp_seq_advance"] = self._advances(fields, columns, is_other)
        is_arp = np.isin(which, [k for k, word in enumerate(words) if word == "ARP"])
        columns["eth_dst_broadcast"] &= is_arp
        return self._matrix(columns, len(time_ns))

    def _read_info(
        self, label: str, places: NDArray[np.intp], info: pa.Array, columns: Columns
    ) -> None:
        found, is_read = READERS[label](info.take(pa.array(places)))
        self._counts["info_unread"] += int(np.count_nonzero(~is_read))
        for name, some in found.items():
            if name not in columns:
                columns[name] = np.zeros(len(info), np.float64)
            columns[name][places] = some

    def _advances(
        self, fields: dict[str, pa.Array], columns: Columns, is_other: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Sequence numbers against those expected; any other protocol may be one over TCP."""
        advances = np.zeros(len(is_other), np.int64)
        if "seq" not in columns:
            columns |= dict.fromkeys(NUMBERS, advances - 1)
        seq = np.where(is_other, -1, columns["seq"]).astype(np.int64)
        places = np.flatnonzero(is_other | (seq >= 0))
        syn, fin = (columns.get(f"tcp_flags_{name}", advances) != 0 for name in ("syn", "fin"))
        is_start = syn & (columns.get("tcp_flags_ack", advances) == 0)
        numbers = (
            columns["src_port"].astype(np.int64),
            columns["dst_port"].astype(np.int64),
            seq,
            seq + columns.get("tcp_len", advances).astype(np.int64) + (syn | fin),
            is_start & columns["tcp_analysis_reused_ports"],
            columns["tcp_analysis_zero_window_probe"],
        )
        ends = (fields[name].take(pa.array(places)).to_pylist() for name in _ENDS)
        told = zip(*ends, *(some[places].tolist() for some in numbers), strict=True)
        advances[places] = self._expected.advances(Line(*one) for one in told)
        return advances

    def _time_columns(self, time_ns: NDArray[np.int64], fields: dict[str, pa.Array]) -> Columns:
        if len(time_ns) == 0:
            return {}
        before_ns = int(time_ns[0]) if self._clock_ns is None else self._clock_ns
        clock_ns = np.maximum.accumulate(np.maximum(time_ns, before_ns))
        self._counts["clock_back"] += int(np.count_nonzero(time_ns < clock_ns))
        self._clock_ns = int(clock_ns[-1])
        either_ns, this_way_ns = self._pairs.gaps(fields["source"], fields["destination"], clock_ns)
        self._counts["pair_forgotten"] = self._pairs.forgotten
        return {
            "frame_time_delta": np.diff(clock_ns, prepend=before_ns) / 1e9,
            "pair_time_delta_s": either_ns / 1e9,
            "pair_direction_time_delta_s": this_way_ns / 1e9,
        }

    def _matrix(self, columns: Columns, n_rows: int) -> NDArray[np.float32]:
        absent = [column.absent for column in self._schema.columns]
        values = np.tile(np.array(absent, np.float32), (n_rows, 1))
        for k, column in enumerate(self._schema.columns):
            if column.export and column.name in columns:
                values[:, k] = columns[column.name]
        return values


def _address_columns(fields: dict[str, pa.Array]) -> Columns:
    source, destination = fields["source"], fields["destination"]
    to_v4 = _matches(destination, _IPV4) & _matches(destination, _V4_GROUP)
    to_v6 = _is_ipv6(destination) & _matches(destination, _V6_GROUP)
    return {
        "ip": _matches(source, _IPV4),
        "ipv6": _is_ipv6(source),
        "ip_dst_multicast": to_v4 | to_v6,
        "eth_dst_broadcast": _matches(destination, r"^(?:Broadcast|(?:[Ff]{2}:){5}[Ff]{2})$"),
    }


def _matches(texts: pa.Array, pattern: str) -> NDArray[np.bool_]:
    return np.asarray(pc.match_substring_regex(texts, pattern))


def _is_ipv6(texts: pa.Array) -> NDArray[np.bool_]:
    # A MAC address has five colons and no two in a row.
    is_long = _matches(texts, _SEVEN_COLONS) | _matches(texts, "::")
    return _matches(texts, _IPV6) & is_long


def _times(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times in ns, and which could be read."""
    parts = pc.extract_regex(texts, _SECONDS)
    whole = pc.struct_field(parts, "whole")
    seconds = np.asarray(pc.fill_null(pc.cast(whole, pa.int64()), 0))
    is_read = np.asarray(pc.is_valid(whole)) & (seconds <= _LARGEST_S)
    seconds = np.where(is_read, seconds, 0)
    time_ns = seconds * 10**9 + _fraction_ns(pc.struct_field(parts, "fraction"))
    is_negative = np.asarray(pc.fill_null(pc.equal(pc.struct_field(parts, "sign"), "-"), False))
    time_ns = np.where(is_negative, -time_ns, time_ns)
    if is_read.all():
        return time_ns, is_read
    places = np.flatnonzero(~is_read)
    time_ns[places], is_read[places] = _dates(texts.take(pa.array(places)))
    return time_ns, is_read


def _fraction_ns(digits: pa.Array) -> NDArray[np.int64]:
    padded = pc.utf8_rpad(pc.fill_null(digits, ""), 9, padding="0")
    return np.asarray(pc.cast(padded, pa.int64()))


def _dates(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    parts = pc.extract_regex(texts, _DATE)
    days = pc.fill_null(pc.struct_field(parts, "date"), "").dictionary_encode()
    seconds = np.array([_epoch_s(text) for text in days.dictionary.to_pylist()] or [-1])
    found = seconds[np.asarray(days.indices)]
    fraction_ns = _fraction_ns(pc.struct_field(parts, "fraction"))
    return np.where(found < 0, 0, found * 10**9 + fraction_ns), found >= 0


def _epoch_s(text: str) -> int:
    """Seconds since 1970 of "2024-02-29 12:00:00" or "Feb 29, 2024 12:00:00"; -1 of others."""
    for pattern in ("%Y-%m-%d %H:%M:%S", "%b %d, %Y %H:%M:%S"):
        try:
            moment = datetime.strptime(text.replace("T", " "), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        return seconds if 0 <= (seconds := int(moment.timestamp())) <= _LARGEST_S else -1
    return -1

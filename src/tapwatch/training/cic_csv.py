"""Published tables of CICFlowMeter as rows of the flow view, by name and never by position.

What a build computed otherwise than live flows do is withheld with the reason; see
`cic_csv_defects`. It may be kept, under names that say so: then the table has a schema of its own,
and a bundle made of it does not fit live flows.

What no column shows: these builds cut a flow 120 s after its start and know no silence that ends
one, the two data sets' builds end it at the first FIN, and all but the corrected one leave out
flows of one packet.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features.flow.classes import HAS_PORTS, PORT_CLASS, PROTOCOL_CLASS
from tapwatch.features.flow.columns import FLOW_COLUMNS, FLOW_SCHEMA
from tapwatch.features.schema import make_schema
from tapwatch.tables import Column, Schema
from tapwatch.training.cic_csv_defects import DEFECTS, PREFIX
from tapwatch.training.cic_csv_lines import Block, line_feeds, read_blocks
from tapwatch.training.cic_csv_names import (
    DST_PORT,
    LABEL,
    PROTOCOL,
    SRC_IP,
    SRC_PORT,
    TIMESTAMP,
    Build,
    Header,
    read_header,
)
from tapwatch.training.cic_csv_times import UNREADABLE, read_times
from tapwatch.training.tables import PART_ROWS, Table, TablePart

KIND: Final = "cic_csv"

#: Rows left out or mended, by reason.
COUNTS: Final = {
    "line_too_long": "a line of more than 65,536 bytes; left out",
    "wrong_number_of_fields": "not as many fields as the header has; left out",
    "repeated_header": "the header once more; left out",
    "empty_line": "nothing, or nothing but commas; left out",
    "quoted": "a number in quotation marks, which these tables do not have; left out",
    "unreadable_number": "a cell that is no number; left out",
    "not_finite": "NaN, Infinity or an empty cell, other than in a rate of duration 0; left out",
    "negative_time": "a negative duration or gap: packets out of order; left out",
    "negative_amount": "a negative count or length: an overflow; left out",
    "port_or_protocol": "a port or protocol number that there is not; left out",
    "lumped": "everything between two hosts that is neither TCP nor UDP, as one flow; left out",
    "ipv6_milliseconds": "IPv6: times in milliseconds where microseconds belong; left out",
    "rate_of_duration_0": "Infinity, NaN or -1 for a rate without a duration; 0, as live",
    "window_of_no_tcp": "an initial window where there is no segment; -1, as live",
    "time_afternoon": "a 12-hour clock says 1 to 7; taken as afternoon",
    "time_unreadable": "a time stamp that is none; that of the row before it",
}

_HEADER_BYTES: Final = 16_384
_RATES: Final = ("flow_byts_s", "flow_pkts_s", "fwd_pkts_s", "bwd_pkts_s")
#: Initial window -> packets of its direction.
_WINDOWS: Final = {"init_fwd_win_byts": "tot_fwd_pkts", "init_bwd_win_byts": "tot_bwd_pkts"}
_AT_LEAST_MINUS_1: Final = (*_WINDOWS, "icmp_code", "icmp_type")
_CLASSES: Final = {"protocol": PROTOCOL, "src_port_class": SRC_PORT, "dst_port_class": DST_PORT}
_TCP: Final = 6
_MAX_PORT: Final = 65_535
_MAX_PROTOCOL: Final = 255
_LARGEST: Final = float(np.finfo(np.float32).max)


def recognise(path: Path) -> bool:
    """Whether the file begins with the header of a build that is known.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    return _find_header(path) is not None


def build_of(path: Path) -> Build | None:
    """Which build wrote the file, by its header; None where it is no such table.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    header = _find_header(path)
    return header.build if header else None


def open_table(path: Path, schema: Schema | None = None, *, keep_defective: bool = False) -> Table:
    """Make a published table into a table of the flow view.

    Parameters
    ----------
    path : Path
    schema : Schema, optional
        Of the view that is wanted; only the flow view can be filled.
    keep_defective : bool
        Keep the columns that the build computed otherwise, as `defective_` and their name, and the
        rows of everything that is neither TCP nor UDP.

    Raises
    ------
    CaptureError
        The file cannot be read, or is no such table.
    ConfigError
        Another view is wanted.
    """
    if schema is not None and schema.view != FLOW_SCHEMA.view:
        hint = f"{path} is a table of flows that CICFlowMeter wrote"
        raise ConfigError("--view", schema.view, FLOW_SCHEMA.view, hint)
    try:
        header = _find_header(path)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    if header is None:
        want = "its column names in the first line, separated by commas"
        raise CaptureError(f"{path}: not a table of CICFlowMeter: want {want}")
    defects = {
        name: f"{header.build}: {why}"
        for name, why in DEFECTS[header.build].items()
        if name in header.places
    }
    given = [name for name in header.places if name in FLOW_SCHEMA.names and name not in defects]
    given += [name for name, source in _CLASSES.items() if source in header.places]
    filled = _schema_with(defects, header.build) if keep_defective and defects else FLOW_SCHEMA
    kept = [name for name in filled.names if name.startswith(PREFIX)]
    counts = dict.fromkeys(COUNTS, 0)
    return Table(
        path=path,
        kind=KIND,
        schema=filled,
        given=tuple(name for name in filled.names if name in {*given, *kept}),
        withheld={
            name: defects.get(name, f"{header.build}: no such column in the file")
            for name in FLOW_SCHEMA.names
            if name not in given
        },
        is_live=filled is FLOW_SCHEMA,
        parts=partial(_parts, path, header, filled, counts),
        counts=counts,
    )


def _find_header(path: Path) -> Header | None:
    with path.open("rb") as file:
        line, end, _ = line_feeds(file.read(_HEADER_BYTES)).partition(b"\n")
    return read_header(line) if end else None


def _schema_with(defects: dict[str, str], build: Build) -> Schema:
    """The flow schema and, behind it, the defective columns as they stand in the file."""
    kept = (
        Column(
            PREFIX + column.name,
            column.unit,
            column.dtype,
            f"as {build} wrote it: {defects[column.name]}",
            f"{build} {column.original}",
            column.meaning,
        )
        for column in FLOW_COLUMNS
        if column.name in defects
    )
    return make_schema(FLOW_SCHEMA.view, FLOW_SCHEMA.version, (*FLOW_COLUMNS, *kept))


def _parts(
    path: Path, header: Header, schema: Schema, counts: dict[str, int]
) -> Iterator[TablePart]:
    counts.update(dict.fromkeys(COUNTS, 0))
    reader = _Reader(header, schema, counts)
    try:
        for block in read_blocks(path, header, counts):
            part = reader.read(block)
            for low in range(0, len(part.values), PART_ROWS):
                piece = slice(low, low + PART_ROWS)
                yield TablePart(part.values[piece], part.time_ns[piece], part.labels[piece])
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error


class _Reader:
    """Turns blocks into parts; knows the time and number of the row before."""

    def __init__(self, header: Header, schema: Schema, counts: dict[str, int]) -> None:
        self._header = header
        self._counts = counts
        self._keeps_all = schema is not FLOW_SCHEMA
        defects = DEFECTS[header.build]
        #: Place in the matrix -> name in the block.
        self._sources = {
            place: name.removeprefix(PREFIX)
            for place, name in enumerate(schema.names)
            if (name in header.places and name not in defects) or name.startswith(PREFIX)
        }
        self._checked = sorted(name for name in self._sources.values() if name not in defects)
        self._times = {column.name for column in FLOW_COLUMNS if column.unit == "us"}
        self._names = schema.names
        self._last_ns = 0
        self._n_rows = 0

    def read(self, block: Block) -> TablePart:
        """Give the rows of a block that can be used."""
        keep = self._mend_and_judge(block)
        n_rows = int(np.count_nonzero(keep))
        values = np.zeros((n_rows, len(self._names)), np.float32)
        for place, name in self._sources.items():
            values[:, place] = block.numbers[name][keep]
        self._fill_classes(block, keep, values)
        return TablePart(values, self._time_of(block, keep), self._labels_of(block, keep))

    def _mend_and_judge(self, block: Block) -> NDArray[np.bool_]:
        numbers = block.numbers
        keep = np.ones(block.n_rows, np.bool_)

        def leave_out(reason: str, which: NDArray[np.bool_]) -> None:
            nonlocal keep
            self._counts[reason] += int(np.count_nonzero(which & keep))
            keep &= ~which

        leave_out(
            "empty_line", _all(np.isnan(column) for column in numbers.values()) & ~block.unreadable
        )
        leave_out("quoted", block.quoted)
        leave_out("unreadable_number", block.unreadable)
        mended = self._mend(block)
        wanted = [numbers[name] for name in self._sources.values()]
        wanted += [numbers[name] for name in (PROTOCOL, SRC_PORT, DST_PORT) if name in numbers]
        # A comparison with NaN is false.
        leave_out("not_finite", ~_all(np.abs(column) <= _LARGEST for column in wanted))
        checked = [(name, numbers[name]) for name in self._checked]
        leave_out("negative_time", _any(v < 0 for name, v in checked if name in self._times))
        leave_out(
            "negative_amount",
            _any(v < (-1 if name in _AT_LEAST_MINUS_1 else 0) for name, v in checked),
        )
        leave_out("port_or_protocol", self._is_no_number(numbers))
        if not self._keeps_all and self._header.build is not Build.FIXED:
            # Both stand for what has no ports; where a file has no protocols, ports tell it.
            what = PROTOCOL if PROTOCOL in numbers else DST_PORT
            if what in numbers:
                leave_out("lumped", numbers[what] == 0)
        if SRC_IP in block.texts:
            leave_out("ipv6_milliseconds", _has_colon(block.texts[SRC_IP]))
        for reason, which in mended.items():
            self._counts[reason] += int(np.count_nonzero(which & keep))
        return keep

    def _mend(self, block: Block) -> dict[str, NDArray[np.bool_]]:
        """Write what live rows have where a build wrote something else; tell where that was."""
        numbers, nowhere = block.numbers, np.zeros(block.n_rows, np.bool_)
        no_duration = numbers["flow_duration"] == 0
        mended = {"rate_of_duration_0": nowhere, "window_of_no_tcp": nowhere}

        def mend(reason: str, name: str, where: NDArray[np.bool_], value: float) -> None:
            wrong = where & (numbers[name] != value)
            numbers[name] = np.where(wrong, value, numbers[name])
            mended[reason] = mended[reason] | wrong

        for name in _RATES:
            if name in self._checked:
                mend("rate_of_duration_0", name, no_duration, 0.0)
        for name, packets in _WINDOWS.items():
            if name in self._checked:
                is_absent = numbers[packets] == 0 if packets in numbers else nowhere
                if PROTOCOL in numbers:
                    is_absent = is_absent | (numbers[PROTOCOL] != _TCP)
                mend("window_of_no_tcp", name, is_absent, -1.0)
        return mended

    @staticmethod
    def _is_no_number(numbers: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        limits = {PROTOCOL: _MAX_PROTOCOL, SRC_PORT: _MAX_PORT, DST_PORT: _MAX_PORT}
        wrong = np.zeros(len(numbers["flow_duration"]), np.bool_)
        for name, most in limits.items():
            if name in numbers:
                column = numbers[name]
                wrong |= ~((column >= 0) & (column <= most) & (column == np.floor(column)))
        return wrong

    def _fill_classes(
        self, block: Block, keep: NDArray[np.bool_], values: NDArray[np.float32]
    ) -> None:
        # Bounds: `_is_no_number` has left out what the tables have no entry for.
        has_ports = np.ones(len(values), np.bool_)
        if PROTOCOL in block.numbers:
            protocols = block.numbers[PROTOCOL][keep].astype(np.int64)
            values[:, self._names.index("protocol")] = PROTOCOL_CLASS[protocols]
            has_ports = HAS_PORTS[protocols] != 0
        for name in ("src_port_class", "dst_port_class"):
            if _CLASSES[name] in block.numbers:
                ports = block.numbers[_CLASSES[name]][keep].astype(np.int64)
                values[:, self._names.index(name)] = np.where(has_ports, PORT_CLASS[ports], 0)

    def _time_of(self, block: Block, keep: NDArray[np.bool_]) -> NDArray[np.int64]:
        """When a row's last packet came, as for live rows; else its ordinal, a second each."""
        n_rows = int(np.count_nonzero(keep))
        first = self._n_rows + 1
        self._n_rows += n_rows
        if TIMESTAMP not in block.texts:
            return np.arange(first, first + n_rows, dtype=np.int64) * 10**9
        times, moved = read_times(block.texts[TIMESTAMP])
        times, moved = times[keep], moved[keep]
        readable = times != UNREADABLE
        self._counts["time_afternoon"] += int(np.count_nonzero(moved))
        self._counts["time_unreadable"] += int(np.count_nonzero(~readable))
        latest = np.maximum.accumulate(np.where(readable, np.arange(n_rows), -1))
        times = np.where(latest >= 0, times[latest], self._last_ns)
        if n_rows:
            self._last_ns = int(times[-1])
        # Bounds: a duration beyond a day is no duration of a flow, and must not leave 64 bits.
        lasts_us = np.minimum(block.numbers["flow_duration"][keep], 86_400e6)
        return times + (lasts_us * 1000).astype(np.int64)

    def _labels_of(self, block: Block, keep: NDArray[np.bool_]) -> tuple[str, ...]:
        if LABEL not in block.texts:
            return ()
        coded = pc.dictionary_encode(block.texts[LABEL])
        words = np.array([word.decode().strip() for word in coded.dictionary.to_pylist()], object)
        return tuple(words[coded.indices.to_numpy(zero_copy_only=False)[keep]].tolist())


def _has_colon(texts: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring(texts, ":").to_numpy(zero_copy_only=False)
    return found


def _all(conditions: Iterator[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.logical_and.reduce(list(conditions))
    return result


def _any(conditions: Iterator[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.logical_or.reduce(list(conditions))
    return result

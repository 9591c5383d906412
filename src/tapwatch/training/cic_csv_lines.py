"""Lines of a CIC CSV as columns of numbers, a block at a time, whatever the file holds."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from tapwatch.training.cic_csv_names import LABEL, SRC_IP, TIMESTAMP, Header

#: Bytes that are read at once, and the longest line; a line of the data sets has some 500.
BLOCK_BYTES: Final = 4 << 20
LINE_BYTES: Final = 1 << 16

#: A NaN with something in brackets, as C reads it and so does Arrow, but not Python.
_NAN: Final = re.compile(rb"[+-]?nan\(\w*\)", re.IGNORECASE)

TEXTS: Final = (TIMESTAMP, SRC_IP, LABEL)


class Block:
    """Some rows: numbers, NaN where a cell is empty, and texts as bytes."""

    def __init__(
        self,
        table: pa.Table,
        numbers: Sequence[str],
        unreadable: NDArray[np.bool_],
        quoted: NDArray[np.bool_],
    ) -> None:
        self.n_rows = table.num_rows
        self.unreadable = unreadable  # rows with a cell that is no number
        self.quoted = quoted  # those of them whose cell has quotation marks
        self.numbers = {name: _to_numpy(table[name]) for name in numbers}
        self.texts = {
            name: table[name].combine_chunks() for name in TEXTS if name in table.schema.names
        }


def _to_numpy(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = column.to_numpy().astype(np.float64, copy=False)
    return numbers


def read_blocks(path: Path, header: Header, counts: dict[str, int]) -> Iterator[Block]:
    """Yield the rows behind the header.

    Parameters
    ----------
    counts : dict
        Lines that are left out, by reason: `line_too_long`, `wrong_number_of_fields`,
        `repeated_header`, `empty_line`.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    is_first = True
    for block in _whole_lines(path, counts):
        if is_first:
            _, _, block = block.partition(b"\n")
            is_first = False
        if header.line in block:
            lines = block.split(b"\n")
            kept = [line for line in lines if line.strip() != header.line]
            counts["repeated_header"] += len(lines) - len(kept)
            block = b"\n".join(kept)
        if block:
            yield _parse(block, header, counts)


def _whole_lines(path: Path, counts: dict[str, int]) -> Iterator[bytes]:
    """Yield the file in pieces that end with a line; what is too long for a line is left out."""
    rest, held, is_too_long = b"", b"", False
    with path.open("rb") as file:
        while chunk := file.read(BLOCK_BYTES):
            chunk = held + chunk
            held = b"\r" if chunk.endswith(b"\r") else b""  # a line feed may follow
            chunk = line_feeds(chunk.removesuffix(held))
            if is_too_long:
                _, found, chunk = chunk.partition(b"\n")
                is_too_long = not found
            whole, end, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > LINE_BYTES:
                counts["line_too_long"] += 1
                rest, is_too_long = b"", True
            if end:
                yield _plain(_short_lines(whole, counts) + end)
    if rest or (held and not is_too_long):
        yield _plain(rest + b"\n")


def line_feeds(lines: bytes) -> bytes:
    """Make each end of a line, be it that of Windows or of old Macs, a line feed."""
    return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _short_lines(block: bytes, counts: dict[str, int]) -> bytes:
    lines = block.split(b"\n")
    if max(map(len, lines)) <= LINE_BYTES:
        return block
    kept = [line for line in lines if len(line) <= LINE_BYTES]
    counts["line_too_long"] += len(lines) - len(kept)
    return b"\n".join(kept)


def _plain(lines: bytes) -> bytes:
    lines = lines.replace(b"\0", b"?")
    if lines.isascii():
        return lines
    return b"\n".join(map(_utf8, lines.split(b"\n")))


def _utf8(line: bytes) -> bytes:
    # Labels of CIC-IDS2017 hold a dash as Windows writes it.
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace").encode()
    return line


def _parse(block: bytes, header: Header, counts: dict[str, int]) -> Block:
    n_bad = 0

    def pass_over(row: pa_csv.InvalidRow) -> str:
        nonlocal n_bad
        n_bad += 1
        return "skip"

    names = {place: name for name, place in header.places.items()}
    numbers = [name for name in header.places if name not in TEXTS]
    texts = {name: pa.binary() for name in header.places if name in TEXTS}

    def read(numeric: pa.DataType) -> pa.Table:
        nonlocal n_bad
        n_bad = 0
        return pa_csv.read_csv(
            io.BytesIO(block),
            # One block of Arrow's is a whole one of ours.
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(block) + 1,
                column_names=[names.get(k, f"unused {k}") for k in range(header.n_fields)],
            ),
            pa_csv.ParseOptions(quote_char=False, invalid_row_handler=pass_over),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(numbers, numeric) | texts,
                include_columns=list(header.places),
                null_values=[""],
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )

    try:
        table = read(pa.float64())
        unreadable = quoted = np.zeros(table.num_rows, np.bool_)
    except pa.ArrowInvalid:
        table, unreadable, quoted = _convert(read(pa.binary()), numbers)
    counts["wrong_number_of_fields"] += n_bad
    counts["empty_line"] += block.count(b"\n") - table.num_rows - n_bad
    return Block(table, numbers, unreadable, quoted)


def _convert(
    table: pa.Table, numbers: Sequence[str]
) -> tuple[pa.Table, NDArray[np.bool_], NDArray[np.bool_]]:
    """Turn texts into numbers column by column, for a block with a cell that is none."""
    unreadable = np.zeros(table.num_rows, np.bool_)
    quoted = np.zeros(table.num_rows, np.bool_)
    for name in numbers:
        try:
            values = _numbers_of(table[name])
        except pa.ArrowInvalid:
            values = _cell_by_cell(table[name], unreadable, quoted)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, values)
    return table, unreadable, quoted


def _numbers_of(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pc.ascii_trim(cells.cast(pa.string()), characters=" \t")
    return pc.if_else(pc.equal(texts, ""), None, texts).cast(pa.float64())


def _cell_by_cell(
    cells: pa.ChunkedArray, unreadable: NDArray[np.bool_], quoted: NDArray[np.bool_]
) -> pa.Array:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells.to_pylist()):
        text = (cell or b"").strip()
        if not text or _NAN.fullmatch(text):
            continue
        try:
            values[row] = float(text if b"_" not in text else b"no number")
        except ValueError:
            unreadable[row] = True
            quoted[row] |= b'"' in text
    return pa.array(values)

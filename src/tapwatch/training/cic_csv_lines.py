"""Lines of a CIC CSV as columns of numbers, a block at a time, whatever the file holds."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from tapwatch.training.cic_csv_names import LABEL, SRC_IP, TIMESTAMP, Header

#: Bytes that are read at once, and the longest line; a line of the data sets has some 500.
BLOCK_BYTES: Final = 4 << 20
LINE_BYTES: Final = 1 << 16

TEXTS: Final = (TIMESTAMP, SRC_IP, LABEL)


class Block:
    """Some rows: numbers, NaN where a cell is empty, and texts as bytes."""

    def __init__(
        self, table: pa.Table, numbers: Sequence[str], unreadable: NDArray[np.bool_]
    ) -> None:
        self.n_rows = table.num_rows
        self.unreadable = unreadable  # rows with a cell that is no number
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
    rest, is_too_long = b"", False
    with path.open("rb") as file:
        while chunk := file.read(BLOCK_BYTES):
            if is_too_long:
                _, found, chunk = chunk.partition(b"\n")
                is_too_long = not found
            whole, end, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > LINE_BYTES:
                counts["line_too_long"] += 1
                rest, is_too_long = b"", True
            if end:
                yield _plain(whole + end)
    if rest:
        yield _plain(rest + b"\n")


def _plain(lines: bytes) -> bytes:
    # A line ends with a line feed and nothing else, or lines would be counted wrong.
    lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\0", b"?")
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
        unreadable = np.zeros(table.num_rows, np.bool_)
    except pa.ArrowInvalid:
        table, unreadable = _convert(read(pa.binary()), numbers)
    counts["wrong_number_of_fields"] += n_bad
    counts["empty_line"] += block.count(b"\n") - table.num_rows - n_bad
    return Block(table, numbers, unreadable)


def _convert(table: pa.Table, numbers: Sequence[str]) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Turn texts into numbers cell by cell: the slow way, for a block with a cell that is none."""
    unreadable = np.zeros(table.num_rows, np.bool_)
    for name in numbers:
        values = np.full(table.num_rows, np.nan)
        for row, cell in enumerate(table[name].to_pylist()):
            if not (cell and cell.strip()):
                continue
            try:
                values[row] = float(cell if b"_" not in cell else b"no number")
            except ValueError:
                unreadable[row] = True
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values))
    return table, unreadable

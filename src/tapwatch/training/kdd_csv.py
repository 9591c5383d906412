"""Rows of the `kdd` view from the files of KDD Cup 1999 and NSL-KDD, plain or gzip.

    kddcup.data*         41 columns and a label with a dot behind it
    KDDTrain*, KDDTest*  41 columns, the label, and a difficulty, which is passed over
    unlabelled           41 columns

Files are known by their content. A line of column names may come first. Columns are known by
position: that is how these files are. `num_outbound_cmds` is 0 in all of them. What is no row is
left out and counted, by reason.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.features.kdd.columns import KDD_AT, KDD_COLUMNS, KDD_SCHEMA, RATES
from tapwatch.features.kdd.services import FLAGS, PROTOCOLS
from tapwatch.tables import Schema
from tapwatch.training.tables import PART_ROWS, Table, TablePart

KIND: Final = "kdd_csv"

#: What is counted, and what it means.
COUNTS: Final = {
    "line_malformed": "another number of fields than the first row; left out",
    "number_unreadable": "a field that is no number, or too large a one; row left out",
    "number_out_of_range": "a negative number, or a rate above 1; row left out",
    "protocol_unknown": "a protocol other than tcp, udp and icmp; row left out",
    "service_unknown": "a service that is none of the 70; taken as other",
    "flag_unknown": "a flag that is none of the 11; taken as OTH",
    "file_truncated": "the compressed file ends in the middle, or is damaged; what came before "
    "is there",
}

_N_COLUMNS: Final = len(KDD_COLUMNS)
_FIELDS: Final = (_N_COLUMNS, _N_COLUMNS + 1, _N_COLUMNS + 2)
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf"  # UTF-8's byte order mark
#: What pyarrow takes for a number, but for NaN and infinity.
_NUMBER: Final = re.compile(rb"[ \t]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*")
_DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile)
_HEAD_BYTES: Final = 16_384
_BLOCK_BYTES: Final = 1 << 22
_SECOND_NS: Final = 1_000_000_000
#: Class -> the word that stands for one that is not known, and its count.
_CATCH_ALL: Final = {"service": ("other", "service_unknown"), "flag": ("OTH", "flag_unknown")}


def recognise(path: Path) -> bool:
    """Whether the first row of the file is one of these files'; a directory is none.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    return not path.is_dir() and _fields_of(path) > 0


def open_table(path: Path, schema: Schema | None = None) -> Table:
    """Make such a file into a table of the kdd view.

    Raises
    ------
    CaptureError
        The file cannot be read, or is none of these.
    ConfigError
        Another view is wanted.
    """
    if schema is not None and schema.view != KDD_SCHEMA.view:
        hint = f"{path} holds connections of KDD'99 or NSL-KDD"
        raise ConfigError("--view", schema.view, KDD_SCHEMA.view, hint)
    try:
        n_fields = _fields_of(path)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not n_fields:
        want = "rows of 41 columns, or 42 with a label, or 43 with a difficulty"
        raise CaptureError(f"{path}: not a file of KDD'99 or NSL-KDD: want {want}")
    counts = dict.fromkeys(COUNTS, 0)
    return Table(
        path=path,
        kind=KIND,
        schema=KDD_SCHEMA,
        given=KDD_SCHEMA.names,
        withheld={},
        is_live=True,
        parts=partial(_parts, path, n_fields, counts),
        counts=counts,
    )


def _open(path: Path) -> BufferedReader:
    with path.open("rb") as file:
        is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return gzip.open(path) if is_gzip else path.open("rb")  # type: ignore[return-value]


def _fields_of(path: Path) -> int:
    """Number of fields of a row; 0 where the file is no such table."""
    with _open(path) as file:
        try:
            head = file.read(_HEAD_BYTES)
        except _DAMAGE:
            return 0
    lines = head.removeprefix(_MARK).splitlines()[:3]
    lines = [line for line in lines if line.strip() and not _is_header(line)]
    fields = [field.strip() for field in lines[0].split(b",")] if lines else []
    is_row = (
        len(fields) in _FIELDS
        and fields[KDD_AT.protocol_type].decode("latin-1") in PROTOCOLS
        and fields[KDD_AT.flag].decode("latin-1") in FLAGS
        and _NUMBER.fullmatch(fields[KDD_AT.duration]) is not None
    )
    return len(fields) if is_row else 0


def _is_header(line: bytes) -> bool:
    return line.lstrip(b"\"' ").lower().startswith(b"duration")


def _parts(path: Path, n_fields: int, counts: dict[str, int]) -> Iterator[TablePart]:
    counts.update(dict.fromkeys(COUNTS, 0))
    n_rows = 0
    try:
        for block in _blocks(path, counts):
            values, labels = _rows(block, n_fields, counts)
            for lo in range(0, len(values), PART_ROWS):
                part = values[lo : lo + PART_ROWS]
                ordinals = np.arange(n_rows, n_rows + len(part), dtype=np.int64)
                yield TablePart(part, ordinals * _SECOND_NS, labels[lo : lo + PART_ROWS])
                n_rows += len(part)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror or error}") from error


def _blocks(path: Path, counts: dict[str, int]) -> Iterator[bytes]:
    """Yield whole lines, some megabytes at once; a line that is longer than a block is left out."""
    rest, is_first, is_inside = b"", True, False
    with _open(path) as file:
        while True:
            fresh = _read(file, counts)
            text = rest + fresh
            if is_inside:  # a line that is left out
                text = text.partition(b"\n")[2]
                is_inside = bool(fresh) and b"\n" not in fresh
            if is_first:
                text = text.removeprefix(_MARK).lstrip(b"\r\n")
            end = text.rfind(b"\n") + 1 if fresh else len(text)
            block, rest = text[:end], text[end:]
            if is_first and _is_header(block.partition(b"\n")[0]):
                block = block.partition(b"\n")[2]
            is_first = is_first and not end
            if block:
                yield block
            if not fresh:
                return
            if len(rest) > _BLOCK_BYTES:
                counts["line_malformed"] += 1
                rest, is_inside = b"", True


def _read(file: BufferedReader, counts: dict[str, int]) -> bytes:
    """Read a block; of a compressed file that is cut short, all that can be had."""
    pieces: list[bytes] = []
    n_bytes = 0
    try:
        while n_bytes < _BLOCK_BYTES and (piece := file.read1(_BLOCK_BYTES)):
            pieces.append(piece)
            n_bytes += len(piece)
    except _DAMAGE:
        counts["file_truncated"] = 1
    return b"".join(pieces)


def _rows(
    block: bytes, n_fields: int, counts: dict[str, int]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    import pyarrow as pa

    if not block.isascii():  # pyarrow cannot tell us of a line that is no UTF-8
        block = _readable(block, n_fields, counts)
    malformed = {"line_malformed": 0}
    try:
        table = _parse(block, n_fields, malformed)
        counts["line_malformed"] += malformed["line_malformed"]
    except pa.ArrowInvalid:
        # Some field of the block is no number: such lines are sought one by one.
        block = _readable(block, n_fields, counts)
        if not block:  # pyarrow has no tables without lines
            return np.empty((0, _N_COLUMNS), np.float32), ()
        table = _parse(block, n_fields, {"line_malformed": 0})
    values = np.empty((table.num_rows, _N_COLUMNS), np.float32)
    is_good = np.ones(table.num_rows, np.bool_)
    for at, column in enumerate(KDD_COLUMNS):
        if column.categories:
            values[:, at] = _indices(table.column(at), column.name, column.categories, counts)
        else:
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinity
                values[:, at] = table.column(at).to_numpy()
    is_finite = np.isfinite(values).all(axis=1)
    counts["number_unreadable"] += int(np.count_nonzero(~is_finite))
    is_known = values[:, KDD_AT.protocol_type] >= 0
    counts["protocol_unknown"] += int(np.count_nonzero(is_finite & ~is_known))
    with np.errstate(invalid="ignore"):
        is_within = (values >= 0).all(axis=1) & (values[:, RATES] <= 1).all(axis=1)
    counts["number_out_of_range"] += int(np.count_nonzero(is_finite & is_known & ~is_within))
    is_good = is_finite & is_known & is_within
    return values[is_good], _labels(table, is_good)


def _parse(block: bytes, n_fields: int, counts: dict[str, int]) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    def leave_out(_row: Any) -> str:
        counts["line_malformed"] += 1
        return "skip"

    names = [str(at) for at in range(n_fields)]
    kinds = dict.fromkeys(names[:_N_COLUMNS], pa.float64()) | {
        str(at): pa.binary() for at, column in enumerate(KDD_COLUMNS) if column.categories
    }
    kinds |= dict.fromkeys(names[_N_COLUMNS:], pa.binary())
    return csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(use_threads=False, column_names=names, block_size=4 * _BLOCK_BYTES),
        csv.ParseOptions(quote_char=False, invalid_row_handler=leave_out),
        csv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
    )


def _readable(block: bytes, n_fields: int, counts: dict[str, int]) -> bytes:
    """Lines of which every field that shall be a number is one."""
    numbers = [at for at, column in enumerate(KDD_COLUMNS) if not column.categories]
    kept = []
    for line in block.splitlines():
        fields = line.split(b",")
        if not line:
            continue
        if len(fields) != n_fields:
            counts["line_malformed"] += 1
        elif all(_NUMBER.fullmatch(fields[at]) for at in numbers):
            kept.append(line)
        else:
            counts["number_unreadable"] += 1
    return b"\n".join(kept)


def _indices(
    words: Any, name: str, categories: tuple[str, ...], counts: dict[str, int]
) -> NDArray[np.float32]:
    """Index of each word; of one that is not known that of the catch-all, -1 without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array([word.encode() for word in categories])
    stripped = {word: word.as_py().strip() for word in pc.unique(words)}
    if any(word.as_py() != text for word, text in stripped.items()):
        words = pa.array([word.strip() for word in words.to_pylist()], pa.binary())
    found = pc.fill_null(pc.index_in(words, value_set=known), -1).to_numpy()
    indices: NDArray[np.float32] = found.astype(np.float32)
    if name in _CATCH_ALL:
        word, reason = _CATCH_ALL[name]
        is_unknown = indices < 0
        counts[reason] += int(np.count_nonzero(is_unknown))
        indices[is_unknown] = categories.index(word)
    return indices


def _labels(table: Any, is_good: NDArray[np.bool_]) -> tuple[str, ...]:
    if table.num_columns == _N_COLUMNS:
        return ()
    coded = table.column(_N_COLUMNS).combine_chunks().dictionary_encode()
    texts = [
        text.decode("utf-8", "replace").strip().removesuffix(".")
        for text in coded.dictionary.to_pylist()
    ]
    return tuple(texts[code] for code in coded.indices.to_numpy()[is_good].tolist())

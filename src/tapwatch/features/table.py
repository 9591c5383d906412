"""Rows as a Parquet or CSV file that loses nothing: int64 and float64, identity columns first.

What is written depends on the rows alone: they are cut into groups by their number, never by the
batches in which they came.
"""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from tapwatch.errors import ConfigError, SinkError
from tapwatch.features.identity import IDENTITY, identity_of
from tapwatch.features.sequences.table import LENGTH_COLUMN, check_sequence, list_array, list_type
from tapwatch.features.sorter import Sorter, whole
from tapwatch.tables import ROW, Column, EndReason, FeatureBatch, Names, Schema

#: Rows of a Parquet row group.
GROUP_ROWS: Final = 32_768

#: Rows of a CSV file that are put into text at once; the text does not show it.
_TEXT_ROWS: Final = 4096

_REASONS: Final = pa.array([reason.name.lower() for reason in EndReason])


def format_of(target: str) -> Literal["parquet", "csv"]:
    """Which format a target asks for: FILE.parquet, FILE.csv, or `-` for CSV on standard output.

    Raises
    ------
    ConfigError
        The name ends in neither.
    """
    if target == "-" or target.endswith(".csv"):
        return "csv"
    if target.endswith(".parquet"):
        return "parquet"
    raise ConfigError("-o", target, "FILE.parquet, FILE.csv, or - for CSV on standard output")


class TableWriter:
    """Writes the rows of one view to a file or to standard output, in bounded memory.

    A file appears under its name when `close` has written all of it, not before. Rows of `flow`
    are ordered by (last_ts_ns, flow_id), those of `packet` are by frame as they come. Sequences are
    written as they come, for that is the order that they are made of.

    Parameters
    ----------
    target : str
        FILE.parquet, FILE.csv, or `-` for CSV on standard output.
    schema : Schema
    describe : callable (ROW (n,)) -> Names
        Puts addresses, protocols and flows into words.
    original_names : bool
        Head columns with the field's own spelling where ours differs.
    longest_silence_s : float
        Longest time for which a flow is held open without packets.
    max_held_rows : int
        Rows of flows that may wait for earlier ones; see `Sorter`.
    settings : mapping, optional
        Configuration that the values depend on; put on record in Parquet's metadata.
    sequence : int
        Rows of a block where batches are sequences, else 0.

    Raises
    ------
    ConfigError
        The target's ending is unknown, or it cannot hold sequences.
    SinkError
        The target cannot be written; nothing is left under its name.
    BrokenPipeError
        Whoever reads standard output has left.
    """

    def __init__(
        self,
        target: str,
        schema: Schema,
        describe: Callable[[NDArray[Any]], Names],
        *,
        original_names: bool = False,
        longest_silence_s: float = 60.0,
        max_held_rows: int = 262_144,
        settings: Mapping[str, object] | None = None,
        sequence: int = 0,
    ) -> None:
        self.n_rows = 0
        self._target = target
        self._schema = schema
        self._describe = describe
        self._sorter: Sorter | None = None
        n_columns = len(schema.columns)
        if schema.view == "flow" and not sequence:
            silence_ns = round(longest_silence_s * 1e9)
            self._sorter = Sorter(self._gather, n_columns, silence_ns, max_held_rows)
        kind = format_of(target)
        if sequence:
            check_sequence(sequence, kind)
        group_rows = GROUP_ROWS if kind == "parquet" else _TEXT_ROWS
        shape: tuple[int, ...] = (group_rows, n_columns)
        if sequence:
            # As much memory as without.
            group_rows = max(group_rows // sequence, 1)
            shape = (group_rows, sequence, n_columns)
        self._sequence = sequence
        self._rows = np.zeros(group_rows, ROW)
        self._values = np.zeros(shape, np.float64)
        self._lengths = np.zeros(group_rows, np.int64)
        self._n_gathered = 0
        arrow_schema = _arrow_schema(schema, original_names, settings or {}, sequence)
        self._out = _open_output(target, arrow_schema, kind)

    @property
    def n_out_of_order(self) -> int:
        """Rows that came too late for their place in the order."""
        return self._sorter.n_out_of_order if self._sorter else 0

    def write(self, batch: FeatureBatch) -> None:
        """Take the rows of one batch, in the order in which they came out; float64."""
        self.n_rows += len(batch)
        if self._sorter:
            self._sorter.add(batch.rows, batch.values)
        else:
            self._gather(batch.rows, batch.values, batch.lengths)

    def close(self) -> None:
        """Write what is held and give the file its name."""
        if self._sorter:
            self._sorter.finish()
        if self._n_gathered:
            self._write_group()
        with _told(self._target, self.n_rows):
            self._out.finish()

    def abort(self) -> None:
        """Leave no file behind."""
        self._out.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.abort()

    def _gather(
        self, rows: NDArray[Any], values: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> None:
        while len(rows):
            n_taken = min(len(rows), len(self._rows) - self._n_gathered)
            end = self._n_gathered + n_taken
            whole(self._rows)[self._n_gathered : end] = whole(rows)[:n_taken]
            self._values[self._n_gathered : end] = values[:n_taken]
            if lengths is not None:
                self._lengths[self._n_gathered : end] = lengths[:n_taken]
                lengths = lengths[n_taken:]
            self._n_gathered = end
            rows, values = rows[n_taken:], values[n_taken:]
            if end == len(self._rows):
                self._write_group()

    def _write_group(self) -> None:
        rows = self._rows[: self._n_gathered]
        values = self._values[: self._n_gathered]
        lengths = self._lengths[: self._n_gathered]
        columns = _identity_arrays(self._schema.view, rows, self._describe)
        if self._sequence:
            columns.append(pa.array(lengths))
        for k, column in enumerate(self._schema.columns):
            if self._sequence:
                columns.append(list_array(column, values[..., k], lengths))
            else:
                columns.append(_column_array(column, values[:, k]))
        with _told(self._target, self.n_rows):
            self._out.write(columns)
        self._n_gathered = 0


@contextmanager
def _told(target: str, n_rows: int) -> Iterator[None]:
    """Turn a failure of the machine to write into our error, with what is lost."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if target == "-" else target
        reason = error.strerror or str(error)
        raise SinkError(f"{name}: cannot be written: {reason} ({n_rows} rows are lost)") from error


def _identity_arrays(
    view: str, rows: NDArray[Any], describe: Callable[[NDArray[Any]], Names]
) -> list[pa.Array]:
    names = describe(rows)
    words = {
        "src": pa.array(names.src, pa.string()),
        "dst": pa.array(names.dst, pa.string()),
        "proto": pa.array(names.proto, pa.string()),
        "community_id": pa.array(names.community_id, pa.string()),
        "end_reason": _REASONS.take(pa.array(rows["end_reason"].astype(np.int64))),
    }
    return [
        words[name].dictionary_encode() if name in words else pa.array(rows[name].astype(np.int64))
        for name in identity_of(view)
    ]


def _column_array(column: Column, numbers: NDArray[Any]) -> pa.Array:
    # An int64 column holds whole numbers below 2^53: the way through float64 is exact.
    array = pa.array(numbers.astype(np.dtype(column.dtype)))
    if column.categories:
        indices, words = array.cast(pa.int32()), pa.array(column.categories)
        array = pa.DictionaryArray.from_arrays(indices, words)
    return array


def _arrow_schema(
    schema: Schema, original_names: bool, settings: Mapping[str, object], sequence: int
) -> pa.Schema:
    types = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    fields = [(name, types[IDENTITY[name][0]]) for name in identity_of(schema.view)]
    if sequence:
        fields.append((LENGTH_COLUMN, pa.int64()))
    for column in schema.columns:
        name = column.original if original_names and column.original else column.name
        own = types["dictionary" if column.categories else column.dtype]
        fields.append((name, list_type(column, sequence) if sequence else own))
    metadata = {
        "tapwatch.view": schema.view,
        "tapwatch.schema_version": str(schema.version),
        "tapwatch.schema_digest": schema.digest,
        "tapwatch.configuration": json.dumps(settings, sort_keys=True),
    }
    return pa.schema(fields, metadata=metadata)


class _Output(ABC):
    """A file that gets its name at the end, or standard output, which has to be left open."""

    def __init__(self, target: str, schema: pa.Schema) -> None:
        self.schema = schema
        self._final = None if target == "-" else Path(target).resolve()
        if self._final is None:
            if sys.stdout is None:
                raise SinkError("standard output: cannot be opened: it is closed")
            self.stream: BinaryIO = sys.stdout.buffer
        else:
            self._part = self._final.with_name(f".{self._final.name}.{os.getpid()}.part")
            self.stream = open(self._part, "wb")  # noqa: SIM115

    @abstractmethod
    def write(self, columns: list[pa.Array]) -> None:
        """Write one group of rows."""

    def finish(self) -> None:
        """Nothing more will be written: give the file its name."""
        self.stream.flush()
        if self._final is not None:
            self.stream.close()
            self._part.replace(self._final)
            self._final = None

    def discard(self) -> None:
        """Remove an unfinished file."""
        if self._final is not None:
            self._final = None
            # What a full disk did not take is given up here, so its complaint is of no use.
            with suppress(OSError):
                self.stream.close()
            self._part.unlink(missing_ok=True)


class _CsvOutput(_Output):
    def __init__(self, target: str, schema: pa.Schema) -> None:
        super().__init__(target, schema)
        self._options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
        self.stream.write((",".join(schema.names) + "\n").encode())

    def write(self, columns: list[pa.Array]) -> None:
        plain = [
            column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            for column in columns
        ]
        # By position: two columns may share an original name.
        table = pa.table(plain, names=[str(i) for i in range(len(plain))])
        text = pa.BufferOutputStream()
        pa.csv.write_csv(table, text, self._options)
        self.stream.write(text.getvalue())


class _ParquetOutput(_Output):
    def __init__(self, target: str, schema: pa.Schema) -> None:
        super().__init__(target, schema)
        words = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        self._writer = pa.parquet.ParquetWriter(
            self.stream, schema, compression="zstd", use_dictionary=words
        )

    def write(self, columns: list[pa.Array]) -> None:
        table = pa.table(columns, schema=self.schema)
        self._writer.write_table(table, row_group_size=GROUP_ROWS)

    def finish(self) -> None:
        self._writer.close()
        super().finish()

    def discard(self) -> None:
        with suppress(OSError):
            self._writer.close()
        super().discard()


def _open_output(target: str, schema: pa.Schema, kind: Literal["parquet", "csv"]) -> _Output:
    with _told(target, 0):
        return _ParquetOutput(target, schema) if kind == "parquet" else _CsvOutput(target, schema)

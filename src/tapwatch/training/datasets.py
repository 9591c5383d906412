"""Where rows come from: captures, run through the same corridor as a replay, our own Parquet, or
published tables.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.detect.export import as_export
from tapwatch.detect.sequences import with_absent
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.features.settings import settings_of
from tapwatch.tables import Column, FeatureBatch, Schema
from tapwatch.training.identity import (
    check_entities,
    check_identity,
    entity_columns,
    read_identity,
)
from tapwatch.training.published import Note, Published, rows_of
from tapwatch.training.tables import Table

#: Key of a Parquet file's metadata that holds the digest of the schema.
DIGEST_KEY: Final = b"tapwatch.schema_digest"
#: And the one that holds the configuration that its values depend on, as JSON.
CONFIGURATION_KEY: Final = b"tapwatch.configuration"

_PARQUET_MAGIC: Final = b"PAR1"
_PARQUET_ROWS: Final = 65_536

#: Told how far the reading is: bytes done, bytes in all (0 where unknown).
ReadProgress = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, all columns of the schema."""

    values: NDArray[np.float32]  # (n_rows, n_columns); of blocks see `read_rows`
    time_ns: NDArray[np.int64]  # (n_rows,) of each row's last packet


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files to read: a directory stands for the files in it, sorted by name.

    Raises
    ------
    CaptureError
        A path does not exist, or a directory is empty.
    ConfigError
        Standard input: its content could not be put on record.
    """
    files: list[Path] = []
    for path in paths:
        if str(path) == "-":
            want = "a file or a directory"
            raise ConfigError("INPUT", "-", want, "a bundle records the SHA-256 of what made it")
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file())
            if not inside:
                raise CaptureError(f"{path}: no files in it: want captures or tables")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise CaptureError(f"{path}: absent: want a capture or a table")
    return files


def check_filter(filter: str | None, files: Sequence[Path], tables: Collection[Path] = ()) -> None:
    """Raise ConfigError where a filter is given for what is no capture."""
    if filter is None:
        return
    for path in files:
        if path in tables or _is_parquet(path):
            want = "no value with tables as input"
            raise ConfigError("--filter", filter, want, f"{path} holds rows and no packets")


def describe_input(path: Path, used_for: Literal["training", "calibration"]) -> dict[str, Any]:
    """Name, size and SHA-256 of a file, for the record.

    Raises
    ------
    CaptureError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    return {"name": path.name, "bytes": size, "sha256": digest, "used_for": used_for}


def read_rows(
    files: Sequence[Path],
    schema: Schema,
    config: Config,
    *,
    published: Published | None = None,
    benign: Collection[str] = (),
    workers: int = 1,
    filter: str | None = None,
    sequence_rows: int = 0,
    warn: Callable[[str], None] = lambda _: None,
    note: Note = lambda _: None,
    progress: ReadProgress = no_progress,
) -> Iterator[Iterator[Part]]:
    """Yield the rows of each input in turn: all captures as one source, each table alone.

    Parameters
    ----------
    files : sequence of Path
    schema : Schema
    config : Config
    published : Published, optional
        The published tables among the files; without it there are none.
    benign : collection of str
        Labels of the rows to take where a published table has labels.
    workers : int
    filter : str, optional
        Packets of captures to use.
    sequence_rows : int
        N: give blocks (n_rows, N, n_columns) of the last N rows of the entity that each row is of,
        with NaN in front for those it has not had. 0 gives rows.
    warn, note : callable
        Told of damage and of what looks wrong, and of rows that were left out.
    progress : ReadProgress

    Raises
    ------
    CaptureError
        A file cannot be read.
    ArtifactError
        A Parquet file is of another schema or configuration.
    """
    tables = published.tables if published else {}
    if sequence_rows:
        check_entities(tables)
    parquets = [path for path in files if path not in tables and _is_parquet(path)]
    captures = [path for path in files if path not in tables and path not in parquets]
    inputs: list[Iterator[Part]] = []
    if captures:
        rows = _capture_rows(captures, schema, config, workers, filter, warn, progress)
        inputs.append(_parts(rows, schema, sequence_rows, config))
    for path in parquets:
        batches = _parquet_rows(path, schema, config, progress, with_entity=sequence_rows > 0)
        inputs.append(_parts(batches, schema, sequence_rows, config))
    inputs += [_table_rows(tables[path], benign, note, warn) for path in files if path in tables]
    for parts in inputs:
        yield _exported(parts, schema) if published and published.is_export else parts


def _exported(parts: Iterator[Part], schema: Schema) -> Iterator[Part]:
    """What an export of Wireshark would give of the rows; of one, they are that already."""
    for part in parts:
        flat = part.values.reshape(-1, part.values.shape[-1])
        yield Part(as_export(schema, flat).reshape(part.values.shape), part.time_ns)


def _parts(
    batches: Iterator[FeatureBatch], schema: Schema, n: int, config: Config
) -> Iterator[Part]:
    """The rows of one input, or their blocks."""
    if not n:
        for batch in batches:
            yield Part(batch.values, batch.rows["last_ts_ns"].astype(np.int64))
        return
    # Inside: kernels are for those that need them.
    from tapwatch.features.sequences.views import sequences_of

    sequences = sequences_of(schema, n, config)
    for batch in batches:
        for part in sequences.parts(batch):
            times = part.rows["last_ts_ns"].astype(np.int64)
            yield Part(with_absent(part.values, part.lengths), times)


def _table_rows(table: Table, benign: Collection[str], note: Note, warn: Note) -> Iterator[Part]:
    for values, time_ns in rows_of(table, benign, note, warn):
        if len(values):
            yield Part(values, time_ns)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error


def _capture_rows(
    files: Sequence[Path],
    schema: Schema,
    config: Config,
    workers: int,
    filter: str | None,
    warn: Callable[[str], None],
    progress: ReadProgress,
) -> Iterator[FeatureBatch]:
    from tapwatch.capture import open_captures
    from tapwatch.pipeline import Corridor, extract

    source = open_captures([str(path) for path in files], filter=filter)
    try:
        corridor = Corridor(config, [schema.view], workers=workers)
        for batch, _ in extract(source, corridor, schema.view):
            progress(*source.progress())
            if len(batch):
                yield batch
        for problem in source.problems:
            warn(problem)
    finally:
        source.close()


def _parquet_rows(
    path: Path, schema: Schema, config: Config, progress: ReadProgress, *, with_entity: bool
) -> Iterator[FeatureBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_parquet(path, file.schema_arrow, schema)
            _check_configuration(path, file.schema_arrow, schema, config)
            done, total = 0, file.metadata.num_rows
            identity = entity_columns(schema.view) if with_entity else ()
            check_identity(path, file.schema_arrow, identity)
            wanted = [*schema.names, "last_ts_ns", *identity]
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted):
                yield _batch_of(path, batch, schema, identity)
                done += batch.num_rows
                progress(done, total)
    # Names that are no UTF-8 are pyarrow's UnicodeDecodeError, a ValueError.
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CaptureError(f"{path}: not a Parquet file that can be read: {error}") from error


def _check_parquet(path: Path, arrow: Any, schema: Schema) -> None:
    from tapwatch.features.sequences.table import LENGTH_COLUMN

    if LENGTH_COLUMN in arrow.names:
        raise ArtifactError(f"{path}: holds sequences: want rows; write it without --sequence")
    missing = [name for name in (*schema.names, "last_ts_ns") if name not in arrow.names]
    if missing:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise ArtifactError(
            f"{path}: column {', '.join(missing[:8])}{more} absent: want those of view "
            f"{schema.view}/{schema.version} (tapwatch features --view {schema.view})"
        )
    metadata = arrow.metadata or {}
    found = metadata.get(DIGEST_KEY, b"").decode(errors="replace")
    if found != schema.digest:
        raise ArtifactError(
            f"{path}: {DIGEST_KEY.decode()} = {found[:16]!r}: want {schema.digest[:16]!r}, view "
            f"{schema.view}/{schema.version} of this build; write the file again"
        )
    _check_types(path, arrow, schema)


def _check_types(path: Path, arrow: Any, schema: Schema) -> None:
    """Metadata is what anybody may have written: the columns are looked at too."""
    from pyarrow import types

    integers, numbers = (types.is_integer,), (types.is_integer, types.is_floating)
    words = (types.is_string, types.is_large_string, types.is_dictionary)
    wanted = {"last_ts_ns": (integers, "integers")} | {
        column.name: (words, "words") if column.categories else (numbers, "numbers")
        for column in schema.columns
    }
    for name, (tests, want) in wanted.items():
        places = arrow.get_all_field_indices(name)
        if len(places) > 1:
            raise ArtifactError(f"{path}: column {name}: {len(places)} times there: want it once")
        found = arrow.field(places[0]).type
        if not any(test(found) for test in tests):
            raise ArtifactError(f"{path}: column {name}: {found!s:.60}: want a column of {want}")


def _check_configuration(path: Path, arrow: Any, schema: Schema, config: Config) -> None:
    """The same columns mean something else under another configuration."""
    key, wanted = CONFIGURATION_KEY.decode(), settings_of(schema.view, config)
    try:
        found = json.loads((arrow.metadata or {}).get(CONFIGURATION_KEY, b"null"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path}: {key}: not JSON: want what tapwatch features writes"
        ) from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: {key} absent: want it; write the file again")
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ArtifactError(
                f"{path}: {key}: {name} = {found.get(name)!r:.60}: want {value!r}, as in this "
                "training (--config), for the rows depend on it"
            )


def _batch_of(path: Path, batch: Any, schema: Schema, identity: Sequence[str]) -> FeatureBatch:
    columns = [_numbers(path, batch.column(column.name), column) for column in schema.columns]
    values = np.ascontiguousarray(np.stack(columns, axis=1))
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
        raise CaptureError(f"{path}: {schema.names[bad]}: NaN or infinity: want finite values")
    time_ns = batch.column("last_ts_ns")
    if time_ns.null_count:
        raise CaptureError(f"{path}: last_ts_ns: null: want the time of every row")
    rows = read_identity(path, batch, identity)
    rows["last_ts_ns"] = time_ns.cast("int64").to_numpy(zero_copy_only=False)
    return FeatureBatch(schema, values, rows)


def _numbers(path: Path, array: Any, column: Column) -> NDArray[np.float32]:
    """A column as models get it: of a class the index of its word."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.categories:
        words = pa.array(column.categories)
        array = pc.index_in(array.cast(words.type), value_set=words)
        if array.null_count:
            want = f"one of its {len(words)} words"
            raise CaptureError(f"{path}: {column.name}: another word: want {want}")
    # What float32 cannot hold becomes an infinity, which is refused with the column's name.
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float32] = array.to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers

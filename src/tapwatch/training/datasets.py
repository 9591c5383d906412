"""Where rows come from: captures, run through the same corridor as a replay, or our own Parquet."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.tables import Schema

#: Key of a Parquet file's metadata that holds the digest of the schema.
DIGEST_KEY: Final = b"tapwatch.schema_digest"

_PARQUET_MAGIC: Final = b"PAR1"
_PARQUET_ROWS: Final = 65_536

#: Told how far the reading is: bytes done, bytes in all (0 where unknown).
ReadProgress = Callable[[int, int], None]


def no_progress(_done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, all columns of the schema."""

    values: NDArray[np.float32]  # (n_rows, n_columns)
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
                raise CaptureError(f"{path}: no files in it: want captures or Parquet files")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise CaptureError(f"{path}: absent: want a capture or a Parquet file")
    return files


def check_filter(filter: str | None, files: Sequence[Path]) -> None:
    """Raise ConfigError where a filter is given for what is no capture."""
    if filter is None:
        return
    for path in files:
        if _is_parquet(path):
            want = "no value with Parquet input"
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
    workers: int = 1,
    filter: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
    progress: ReadProgress = no_progress,
) -> Iterator[Iterator[Part]]:
    """Yield the rows of each input in turn: all captures as one source, each Parquet file alone.

    Raises
    ------
    CaptureError
        A file cannot be read.
    ArtifactError
        A Parquet file is of another schema.
    """
    tables = [path for path in files if _is_parquet(path)]
    captures = [path for path in files if path not in tables]
    if captures:
        yield _capture_rows(captures, schema, config, workers, filter, warn, progress)
    for path in tables:
        yield _parquet_rows(path, schema, progress)


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
) -> Iterator[Part]:
    from tapwatch.capture import open_captures
    from tapwatch.pipeline import Corridor, extract

    source = open_captures([str(path) for path in files], filter=filter)
    try:
        corridor = Corridor(config, [schema.view], workers=workers)
        for batch, _ in extract(source, corridor, schema.view):
            progress(*source.progress())
            if len(batch):
                yield Part(batch.values, batch.rows["last_ts_ns"].astype(np.int64))
        for problem in source.problems:
            warn(problem)
    finally:
        source.close()


def _parquet_rows(path: Path, schema: Schema, progress: ReadProgress) -> Iterator[Part]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_parquet(path, file.schema_arrow, schema)
            done, total = 0, file.metadata.num_rows
            wanted = [*schema.names, "last_ts_ns"]
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted):
                yield _part_of(path, batch, schema)
                done += batch.num_rows
                progress(done, total)
    # Names that are no UTF-8 are pyarrow's UnicodeDecodeError, a ValueError.
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CaptureError(f"{path}: not a Parquet file that can be read: {error}") from error


def _check_parquet(path: Path, arrow: Any, schema: Schema) -> None:
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


def _part_of(path: Path, batch: Any, schema: Schema) -> Part:
    columns = [
        batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32)
        for name in schema.names
    ]
    values = np.ascontiguousarray(np.stack(columns, axis=1))
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
        raise CaptureError(f"{path}: {schema.names[bad]}: NaN or infinity: want finite values")
    return Part(values, batch.column("last_ts_ns").to_numpy(zero_copy_only=False).astype(np.int64))

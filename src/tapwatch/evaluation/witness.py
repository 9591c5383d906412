"""Labels for rows of captures and of our own Parquet, from a truth file.

A row has the kind of the first episode that it belongs to, by the rule for alerts
(`episodes.belongs`): it overlaps the episode in time, has its addresses and, where both have ports,
its port. All other rows are normal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.evaluation.attacks import NORMAL
from tapwatch.evaluation.protocol import DataFile, Flags, Labelled, Words
from tapwatch.evaluation.rows import Note, read_labelled
from tapwatch.evaluation.truth import HEADER, Episode, normal_address
from tapwatch.features import schema_of
from tapwatch.training.datasets import describe_input, expand

_PARQUET_MAGIC: Final = b"PAR1"
#: Columns of a Parquet file that say who and when a row is; a view may lack some.
_WHO: Final = ("first_ts_ns", "last_ts_ns", "src", "dst", "src_port", "dst_port")


@dataclass(frozen=True, slots=True)
class Who:
    """Who and when rows are."""

    first_ns: NDArray[np.int64]  # (n,)
    last_ns: NDArray[np.int64]
    src: Words  # "" without one
    dst: Words
    ports: NDArray[np.int64]  # (n, 2), 0 without one

    def __len__(self) -> int:
        return len(self.first_ns)


def is_truth(path: Path) -> bool:
    """Whether a file begins like a truth file.

    Raises
    ------
    CaptureError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    return head.removeprefix(b"\xef\xbb\xbf").startswith(",".join(HEADER).encode())


def label_rows(who: Who, episodes: Sequence[Episode]) -> Words:
    """Kind of the first episode that each row belongs to, else "normal"."""
    labels = np.full(len(who), NORMAL, f"<U{max([len(NORMAL), *(len(e.kind) for e in episodes)])}")
    # From the last episode to the first, so that the first one stays.
    for episode in reversed(episodes):
        labels[_belong(who, episode)] = episode.kind
    return labels


def _belong(who: Who, episode: Episode) -> Flags:
    # To the microsecond, as alerts are written.
    start_us, end_us = episode.start_ns // 1000, episode.end_ns // 1000
    meets = np.logical_and(who.last_ns // 1000 >= start_us, who.first_ns // 1000 <= end_us)
    if named := sorted(episode.addresses):
        there = [(who.src == address) | (who.dst == address) for address in named]
        # A row of one host needs to be of one of those that the episode names.
        meets = meets & np.where(who.dst == "", np.any(there, axis=0), np.all(there, axis=0))
    if episode.dst_port is not None:
        has_ports = (who.ports != 0).any(axis=1)
        meets = meets & (~has_ports | (who.ports == episode.dst_port).any(axis=1))
    return meets


def read_with_truth(
    paths: Sequence[Path], view: str, episodes: Sequence[Episode], config: Config, note: Note
) -> tuple[Labelled, list[DataFile]]:
    """Read captures or Parquet files of `tapwatch features`, and label their rows.

    Raises
    ------
    CaptureError
        A file cannot be read, or does not say who its rows are.
    ArtifactError
        A Parquet file is of another schema or configuration.
    """
    tables, data = [], []
    for path in expand(paths):
        if _is_parquet(path):
            read, files = read_labelled([path], view, "test", config, note)
            who = _who_of_parquet(path)
        else:
            read, who = _capture(path, view, config, note)
            digest = describe_input(path, "training")["sha256"]
            files = [DataFile(path.name, digest, len(who), "test")]
        labels = label_rows(who, episodes)
        tables.append(Labelled(read.values, labels, read.time_ns, read.schema, read.withheld))
        data += files
    return (
        Labelled(
            np.concatenate([table.values for table in tables]),
            np.concatenate([table.labels for table in tables]),
            np.concatenate([table.time_ns for table in tables]),
            tables[0].schema,
        ),
        data,
    )


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def _who_of_parquet(path: Path) -> Who:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in _WHO if name in file.schema_arrow.names]
            if "src" not in there or "last_ts_ns" not in there:
                want = "columns src and last_ts_ns, as tapwatch features writes them"
                raise CaptureError(f"{path}: want {want}, for its rows are labelled by them")
            columns = file.read(columns=there)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CaptureError(f"{path}: not a Parquet file that can be read: {error}") from error
    n_rows = columns.num_rows

    def numbers(name: str) -> NDArray[np.int64]:
        if name not in there:
            return np.zeros(n_rows, np.int64)
        made: NDArray[np.int64] = columns.column(name).cast("int64").to_numpy()
        return made

    def words(name: str) -> Words:
        texts = columns.column(name).cast("string").to_pylist() if name in there else [""] * n_rows
        return _addresses(text or "" for text in texts)

    last_ns = numbers("last_ts_ns")
    first_ns = numbers("first_ts_ns") if "first_ts_ns" in there else last_ns
    ports = np.stack([numbers("src_port"), numbers("dst_port")], axis=1)
    return Who(first_ns, last_ns, words("src"), words("dst"), ports)


def _capture(path: Path, view: str, config: Config, note: Note) -> tuple[Labelled, Who]:
    from tapwatch.capture import open_captures
    from tapwatch.flows import describe
    from tapwatch.pipeline import Corridor, extract

    schema = schema_of(view)
    source = open_captures([str(path)])
    values: list[Any] = [np.zeros((0, len(schema.names)), np.float32)]
    rows: list[Any] = []
    src, dst = [""], [""]
    try:
        for batch, _ in extract(source, Corridor(config, [view]), view):
            if len(batch):
                values.append(batch.values)
                rows.append(batch.rows.copy())
                names = describe(batch.rows)
                src += names.src
                dst += names.dst
        for problem in source.problems:
            note(problem)
    finally:
        source.close()
    if not rows:
        raise CaptureError(f"{path}: no rows: want at least 1 of view {view}")
    row = np.concatenate(rows)
    is_host = view == "host"
    who = Who(
        row["first_ts_ns"].astype(np.int64),
        row["last_ts_ns"].astype(np.int64),
        _addresses(src[1:]),
        np.full(len(row), "") if is_host else _addresses(dst[1:]),
        np.stack([row["src_port"], row["dst_port"]], axis=1).astype(np.int64),
    )
    note(f"{path.name}: {len(row):,} rows")
    labels = np.full(len(row), "")
    return Labelled(np.concatenate(values), labels, who.last_ns, schema), who


def _addresses(texts: Iterable[str]) -> Words:
    """One spelling for each; what is no address stays as it is."""
    known: dict[str, str] = {}
    for text in (all_texts := list(texts)):
        if text not in known:
            try:
                known[text] = normal_address(text)
            except ValueError:
                known[text] = text
    return np.array([known[text] for text in all_texts], np.str_)


def check_rows_can_be_labelled(
    table: Labelled, option: str, *, has_labels_option: bool = True
) -> None:
    """Raise ConfigError where a row has no label, neither of its own nor another one."""
    n_without = int(np.count_nonzero(table.labels == ""))
    if n_without:
        want = "a label for every row"
        if has_labels_option:
            want += ", or --labels FILE: a truth file, or one label a line"
        raise ConfigError(option, f"{n_without:,} of {len(table):,} rows without a label", want)

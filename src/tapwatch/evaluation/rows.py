"""Rows with their labels, from whatever the command line names: published tables, our own Parquet,
captures; beside them a list of labels, or a truth file.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.evaluation.attacks import plain_label
from tapwatch.evaluation.protocol import DataFile, Flags, Labelled, Values, Words
from tapwatch.features import schema_of
from tapwatch.tables import Schema
from tapwatch.training.datasets import describe_input, expand, read_rows
from tapwatch.training.published import BENIGN, open_published
from tapwatch.training.tables import Table

#: Letters of a label that are kept: a file may hold anything.
_LABEL_LETTERS: Final = 64
#: Files of numbers alone say it so.
_ZERO: Final = frozenset({"0", "0.0"})
#: Tables whose rows have no times, only an order: a second a row stands for it.
_WITHOUT_TIMES: Final = frozenset({"kdd_csv"})
_SECOND_NS: Final = 1_000_000_000
#: Told of what was left out and of damage.
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Read:
    """One file."""

    values: Values
    labels: Words
    time_ns: NDArray[np.int64]


def read_labelled(
    paths: Sequence[Path], view: str, used_for: str, config: Config, note: Note
) -> tuple[Labelled, list[DataFile]]:
    """Read all rows of files with the labels that they have; a directory stands for its files.

    Parameters
    ----------
    paths : sequence of Path
    view : str
        Whose rows they are.
    used_for : str
        "train" or "test", for the record.
    config : Config
        Of captures and Parquet.
    note : callable

    Returns
    -------
    rows : Labelled
    data : list of DataFile
        A file each.

    Raises
    ------
    CaptureError
        A file cannot be read, or has no rows.
    ConfigError
        A file holds another view, or files do not fit together.
    ArtifactError
        A Parquet file is of another schema or configuration.
    """
    files = expand(paths)
    published = open_published(files, schema_of(view))
    parts, data = [], []
    has_times, next_ns = True, 0
    for path in files:
        table = published.tables.get(path)
        part = _table(table) if table else _plain(path, published.schema, config, note)
        if not len(part.values):
            raise CaptureError(f"{path}: no rows: want at least 1 of view {view}")
        if table and table.kind in _WITHOUT_TIMES:  # the rows of one file come after another's
            has_times = False
            part = replace(part, time_ns=part.time_ns + next_ns)
            next_ns = int(part.time_ns[-1]) + _SECOND_NS
        left_out = {k: n for k, n in table.counts.items() if n} if table else {}
        digest = describe_input(path, "training")["sha256"]
        data.append(DataFile(path.name, digest, len(part.values), used_for, left_out))
        parts.append(part)
        said = ", ".join(f"{why} {n:,}" for why, n in left_out.items())
        note(f"{path.name}: {len(part.values):,} rows" + (f"; {said}" if said else ""))
    return (
        Labelled(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.time_ns for part in parts]),
            published.schema,
            published.withheld,
            has_times,
        ),
        data,
    )


def _table(table: Table) -> _Read:
    values, times, labels = [], [], []
    for part in table.parts():
        values.append(part.values)
        times.append(part.time_ns)
        labels.append(_words(part.labels or [""] * len(part.values)))
    if not values:
        return _Read(np.zeros((0, 1), np.float32), _words([]), np.zeros(0, np.int64))
    return _Read(np.concatenate(values), np.concatenate(labels), np.concatenate(times))


def _plain(path: Path, schema: Schema, config: Config, note: Note) -> _Read:
    """Rows of a Parquet file or a capture, which have no labels."""
    values, times = [np.zeros((0, len(schema.names)), np.float32)], [np.zeros(0, np.int64)]
    for parts in read_rows([path], schema, config, warn=note):
        for part in parts:
            values.append(part.values)
            times.append(part.time_ns)
    rows = np.concatenate(values)
    return _Read(rows, _words([""] * len(rows)), np.concatenate(times))


def _words(labels: Iterable[str]) -> Words:
    return np.array([label[:_LABEL_LETTERS] for label in labels], np.str_)


def read_label_list(path: Path, n_rows: int) -> tuple[Words, DataFile]:
    """Read a file with one label a line, in the order of the rows.

    Raises
    ------
    CaptureError
        The file cannot be read.
    ConfigError
        It has not as many lines as there are rows.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: cannot be read: {error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) != n_rows:
        want = f"one label a line for {n_rows:,} rows, in their order"
        hint = f"it has {len(lines):,} lines"
        if len(lines) == n_rows + 1:
            hint += f"; is the first one, {lines[0].strip()[:_LABEL_LETTERS]!r}, a heading?"
        raise ConfigError("--labels", str(path), want, hint)
    data = DataFile(path.name, describe_input(path, "training")["sha256"], len(lines), "labels")
    return _words(line.strip() for line in lines), data


def is_normal(labels: Words) -> Flags:
    """Which labels say benign or normal, in any case of letters; one that is 0 says so too."""
    plain = {word: plain_label(word) for word in np.unique(labels).tolist()}
    good = [word for word, text in plain.items() if text in BENIGN or text in _ZERO]
    return np.isin(labels, good)


def most_frequent(labels: Words, most: int = 5) -> str:
    """The most frequent labels, with how many rows have them, for messages."""
    words, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return ", ".join(f"{str(words[k])!r} {counts[k]:,}" for k in order)


def only_rows(table: Labelled, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Labelled:
    """Some of the rows."""
    return replace(
        table,
        values=table.values[rows],
        labels=table.labels[rows],
        time_ns=table.time_ns[rows],
    )


def usable_columns(*tables: Labelled | None) -> tuple[str, ...]:
    """Columns that every table gives, in the schema's order."""
    given = [table for table in tables if table is not None]
    withheld: Mapping[str, str] = {k: v for table in given for k, v in table.withheld.items()}
    return tuple(name for name in given[0].schema.names if name not in withheld)

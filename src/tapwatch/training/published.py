"""Published tables as inputs: who reads a file, what all agree on, which rows are learnt from.

Each loader is a module of this package: `recognise(path)` looks at the first bytes of a file,
`open_table(path, schema)` gives a `Table`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError
from tapwatch.tables import Schema
from tapwatch.training.tables import Table, TablePart

#: Module of this package -> the view whose rows it gives.
LOADERS: Final = {"wireshark_csv": "packet", "cic_csv": "flow", "kdd_csv": "kdd"}
#: Labels of rows that may be learnt from, in any case of letters.
BENIGN: Final = frozenset({"benign", "normal"})

_EXPORT: Final = "wireshark_csv"
_EXPORT_TIMES: Final = (
    "rows are older than one before them: times since the previous packet? want View > Time "
    "Display Format > Seconds Since Beginning of Capture, or a date and time"
)
_MAX_LABELS: Final = 256  # told apart; a file may have as many as it has rows
_TOLD_LABELS: Final = 8

#: Told what was found, for people; a warning is told elsewhere.
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Published:
    """The published tables among the inputs, and what follows from them for all rows."""

    tables: Mapping[Path, Table]
    schema: Schema  # of the view; of tables with columns that no live row has, theirs
    withheld: Mapping[str, str]  # column that at least one of them does not give -> why
    is_export: bool  # rows are to be reduced to what an export of Wireshark can give


def open_published(
    files: Sequence[Path],
    schema: Schema,
    *,
    keep_defective: bool = False,
    benign: Collection[str] = (),
) -> Published:
    """Find the published tables among files, and see that they can be learnt from together.

    Parameters
    ----------
    files : sequence of Path
        For training and calibration.
    schema : Schema
        Of the view that is asked for.
    keep_defective : bool
        Keep columns that the builds of a published data set computed wrongly, under names of
        their own.
    benign : collection of str
        Labels that the operator asked for.

    Raises
    ------
    ConfigError
        A table fills another view, its columns are not those of the other inputs, or an option
        is for tables that are not there.
    CaptureError
        A file cannot be read.
    """
    found = {path: loader for path in files if (loader := _loader_of(path))}
    for path, loader in found.items():
        if LOADERS[loader] != schema.view:
            hint = f"{path} holds rows of that view ({loader})"
            raise ConfigError("--view", schema.view, LOADERS[loader], hint)
    if keep_defective and "cic_csv" not in found.values():
        want = "no such option without a table of CICFlowMeter"
        raise ConfigError("--keep-defective", True, want, "only those have defective columns")
    if benign and not {*found.values()} - {_EXPORT}:
        want = "no such option without a table that has labels"
        hint = "captures, Parquet files and exports of Wireshark have none"
        raise ConfigError("--benign", ", ".join(benign), want, hint)
    tables = {path: _open(path, loader, schema, keep_defective) for path, loader in found.items()}
    return Published(
        tables,
        _one_schema(files, tables, schema),
        {name: why for table in tables.values() for name, why in table.withheld.items()},
        _EXPORT in found.values(),
    )


def _loader_of(path: Path) -> str:
    try:
        for name in LOADERS:
            if _module(name).recognise(path):
                return name
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    return ""


def _module(name: str) -> Any:
    return import_module(f"tapwatch.training.{name}")


def _open(path: Path, loader: str, schema: Schema, keep_defective: bool) -> Table:
    options = {"keep_defective": True} if keep_defective and loader == "cic_csv" else {}
    table: Table = _module(loader).open_table(path, schema, **options)
    return table


def _one_schema(files: Sequence[Path], tables: Mapping[Path, Table], schema: Schema) -> Schema:
    """The schema that all inputs have; a capture has that of the view."""
    common = tables[files[0]].schema if files and files[0] in tables else schema
    for path in files:
        mine = tables[path].schema if path in tables else schema
        if mine.digest != common.digest:
            odd = sorted({*mine.names} ^ {*common.names})
            said = ", ".join(odd[:8]) + (f" and {len(odd) - 8} more" if len(odd) > 8 else "")
            want = f"inputs with the columns of {files[0]}"
            raise ConfigError("INPUT", str(path), want, f"they differ in {said or 'their meaning'}")
    return common


@dataclass(slots=True)
class Selection:
    """Picks the benign rows of one table, and counts the others."""

    benign: frozenset[str]  # in folded letters
    seen: int = 0
    taken: int = 0
    others: Counter[str] = field(default_factory=Counter)  # rows not taken, by label
    has_labels: bool = False

    def of(self, part: TablePart) -> NDArray[np.bool_]:
        """Which rows of a part may be learnt from; all of them where it has no labels."""
        n_rows = len(part.values)
        self.seen += n_rows
        chosen = np.ones(n_rows, np.bool_)
        if part.labels:
            self.has_labels = True
            counts = Counter(part.labels)
            good = {label for label in counts if _folded(label) in self.benign}
            chosen = np.fromiter(map(good.__contains__, part.labels), np.bool_, n_rows)
            for label, n in counts.items():
                if label not in good:
                    is_known = label in self.others or len(self.others) < _MAX_LABELS
                    self.others[label if is_known else "..."] += n
        self.taken += int(np.count_nonzero(chosen))
        return chosen

    def told(self) -> str:
        """The counts in words; nothing where every row was taken."""
        if self.seen == self.taken:
            return ""
        most = [f"{label} {n:,}" for label, n in self.others.most_common(_TOLD_LABELS)]
        more = f" and {len(self.others) - len(most)} more" if len(self.others) > len(most) else ""
        return (
            f"{self.taken:,} of {self.seen:,} rows are labelled "
            f"{' or '.join(sorted(self.benign))} and used; not used: {', '.join(most)}{more}"
        )


def benign_labels(asked_for: Collection[str]) -> frozenset[str]:
    """Labels of the rows to learn from, in folded letters; the usual ones where none is asked."""
    return frozenset(map(_folded, asked_for)) or BENIGN


def _folded(label: str) -> str:
    return label.strip().casefold()


def rows_of(
    table: Table, benign: Collection[str], note: Note, warn: Note = lambda _: None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield values and times of the benign rows of a table; then say what was left out."""
    selection = Selection(benign_labels(benign))
    for part in table.parts():
        chosen = selection.of(part)
        yield part.values[chosen], part.time_ns[chosen]
    table.others.clear()
    table.others.update(selection.others)
    mended = ", ".join(f"{why} {n:,}" for why, n in table.counts.items() if n)
    for said in (selection.told(), f"left out or mended: {mended}" if mended else ""):
        if said:
            note(f"{table.path.name}: {said}")
    if benign and selection.seen and not selection.has_labels:
        warn(f"{table.path.name}: --benign: its rows have no labels; all of them are used")
    back = table.counts.get("clock_back", 0)
    if table.kind == _EXPORT and 2 * back > selection.seen:
        warn(f"{table.path.name}: {back:,} of {selection.seen:,} {_EXPORT_TIMES}")


def tell_withheld(withheld: Mapping[str, str], note: Note) -> None:
    """Say which columns are not learnt from, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in withheld.items():
        by_reason.setdefault(why, []).append(name)
    for why, names in by_reason.items():
        note(f"not learnt from: {', '.join(names)}: {why}")

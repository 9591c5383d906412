"""What a published table becomes: rows of one of our views, and what the file could not give."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import Schema

#: Rows that a loader holds at once.
PART_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class TablePart:
    """Some rows, all columns of the schema, in the order of the file."""

    values: NDArray[np.float32]  # (n_rows, n_columns), finite; a column not given holds `absent`
    time_ns: NDArray[np.int64]  # (n_rows,) ns since the Unix epoch, or the row's ordinal * 1 s
    labels: tuple[str, ...]  # (n_rows,) as the file spells them, stripped; () where it has none


@dataclass(frozen=True, slots=True)
class Table:
    """One file that was recognised by its content."""

    path: Path
    kind: str  # "wireshark_csv", "cic_csv", "kdd_csv"
    schema: Schema  # of the view that it fills
    given: tuple[str, ...]  # columns of the schema that the file gives, in the schema's order
    withheld: Mapping[str, str]  # column -> why it is not given
    is_live: bool  # False: has columns that no live row has; a bundle of it is refused there
    parts: Callable[[], Iterator[TablePart]]
    counts: dict[str, int]  # rows left out or mended, by reason; filled while parts are read
    others: dict[str, int] = field(default_factory=dict)
    """Rows not learnt from for their label, by label; filled by `published.rows_of`."""

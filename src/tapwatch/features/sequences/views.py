"""Blocks for several models at once: one `Sequences` for each view and length that is wanted."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from tapwatch.config import Config
from tapwatch.features.entities import N_WAYS
from tapwatch.features.sequences.blocks import Sequences
from tapwatch.tables import FeatureBatch, Schema, Tally

#: Of a part of rows the blocks take so many bytes at most, or one row.
_PART_BYTES: Final = 1 << 22


def sequences_of(
    schema: Schema, n: int, config: Config, dtype: type[np.floating[Any]] = np.float32
) -> Sequences:
    """Make blocks of N rows as the configuration bounds them."""
    capacity = config.sequences.rows // (n * N_WAYS) * N_WAYS
    return Sequences(schema, n, capacity, dtype, config.flows.hash_seed)


class ViewSequences:
    """Rows of views, and the blocks that are wanted of them.

    Parameters
    ----------
    wanted : iterable of (Schema, int)
        N rows a block for each model of a view; 0 is single rows, and needs nothing.
    config : Config
    """

    def __init__(self, wanted: Iterable[tuple[Schema, int]], config: Config) -> None:
        self._made = {
            (schema.view, n): sequences_of(schema, n, config) for schema, n in wanted if n
        }
        row_bytes = [4 * made.n * len(made.schema.columns) for made in self._made.values()]
        #: Rows of a view that may be given to `update` at once.
        self.part_rows = min([1 << 62, *(max(1, _PART_BYTES // size) for size in row_bytes)])

    def update(self, rows: Mapping[str, FeatureBatch]) -> dict[tuple[str, int], FeatureBatch]:
        """Give batches by view and N; those of N = 0 are the rows themselves.

        Rows of a view have to come in order, each once, however they are cut into batches.
        """
        given = {(view, 0): batch for view, batch in rows.items()}
        for (view, n), made in self._made.items():
            if view in rows:
                given[view, n] = made.update(rows[view])
        return given

    def tallies(self) -> list[Tally]:
        """Entities that had to give way to others, by view."""
        found: list[Tally] = []
        for made in self._made.values():
            for tally in made.tallies():
                # Two lengths of a view are one line: the label says the view alone.
                for k, other in enumerate(found):
                    if other.values.keys() == tally.values.keys():
                        found[k] = _sum(other, tally)
                        break
                else:
                    found.append(tally)
        return found


def _sum(one: Tally, other: Tally) -> Tally:
    values = {key: float(one.values[key]) + float(other.values[key]) for key in one.values}  # type: ignore[arg-type]
    return Tally(one.name, one.kind, one.help, one.labels, values)

"""Sequences: the last rows of an entity as one block, for models that read sequences."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from tapwatch.errors import ConfigError
from tapwatch.features.entities import KEY, N_WAYS, no_entities
from tapwatch.features.sequences.kernel import Memory, fill_sequences
from tapwatch.features.sequences.layout import ENTITY, check_length
from tapwatch.tables import FeatureBatch, Schema, Tally

#: Blocks that `parts` makes at once; larger ones come as fresh pages each time, which cost more.
_PART_BYTES: Final = 1 << 22


class Sequences:
    """Turns the rows of a view into blocks of the last N rows of the entity that each row is of.

    Rows are taken in the order in which the view gives them; how they are batched does not show.
    Entities that have been silent longest are forgotten when their place is needed, and begin anew.

    Parameters
    ----------
    schema : Schema
        Of the view.
    n : int
        Rows of a block, from 1 to 256.
    capacity : int
        Entities that are remembered, a multiple of 8; each takes n * columns numbers.
    dtype : float32 or float64
        As the rows have it.
    seed : int
        Of the hash of the table.

    Raises
    ------
    ConfigError
        `n` or `capacity` is out of bounds.

    Examples
    --------
    >>> from tapwatch.features import schema_of
    >>> from tapwatch.tables import ROW
    >>> schema = schema_of("flow")
    >>> ones = np.ones((2, len(schema.columns)), np.float32)
    >>> batch = FeatureBatch(schema, ones, np.zeros(2, ROW))
    >>> made = Sequences(schema, 3, 64).update(batch)
    >>> made.values[:, :, 0].tolist(), made.lengths.tolist()
    ([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [1, 2])
    """

    def __init__(
        self,
        schema: Schema,
        n: int,
        capacity: int = 16_384,
        dtype: type[np.floating[Any]] = np.float32,
        seed: int = 0,
    ) -> None:
        check_length(n)
        if capacity < N_WAYS or capacity % N_WAYS:
            raise ConfigError("capacity", capacity, f"a multiple of {N_WAYS}", "entities of a set")
        self.schema = schema
        self.n = n
        self._kind = ENTITY[schema.view]
        self._seed = np.uint64(seed)
        self._memory = Memory(
            no_entities(capacity),
            np.zeros(1, KEY),
            np.zeros(capacity, np.int64),
            np.zeros((capacity, n, len(schema.columns)), dtype),
        )

    def update(self, batch: FeatureBatch) -> FeatureBatch:
        """Give the block of each row, the row itself last.

        Returns
        -------
        batch : FeatureBatch
            `values` is (n_rows, N, n_columns): older rows stand before newer ones, and places for
            which the entity has no row yet, in front, are 0. `lengths` tells how many are real.
        """
        history = self._memory.history
        blocks = np.empty((len(batch), *history.shape[1:]), history.dtype)
        lengths = np.empty(len(batch), np.int32)
        fill_sequences(
            batch.rows, batch.values, self._kind, self._seed, self._memory, blocks, lengths
        )
        return FeatureBatch(self.schema, blocks, batch.rows, lengths)

    def parts(self, batch: FeatureBatch) -> Iterator[FeatureBatch]:
        """Yield the same in parts of bounded memory, at least one."""
        n_rows = max(_PART_BYTES // self._memory.history[0].nbytes, 1)
        for start in range(0, max(len(batch), 1), n_rows):
            values, rows = (of[start : start + n_rows] for of in (batch.values, batch.rows))
            yield self.update(FeatureBatch(batch.schema, values, rows))

    @property
    def n_evicted(self) -> int:
        """Entities that had to give way to others."""
        return int(self._memory.entities.counts[0]["evicted"])

    def tallies(self) -> list[Tally]:
        """Entities that had to give way to others."""
        return [
            Tally(
                "sequence_entities_evicted_total",
                "counter",
                "Entities whose last rows were forgotten, for others, in the bounded table",
                ("view",),
                {(self.schema.view,): self.n_evicted},
            )
        ]

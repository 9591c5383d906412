"""What every view is: the one face that the corridor knows."""

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.tables import ROW, FeatureBatch, Schema, Tally, Traffic


class View(Protocol):
    """Turns what happened into rows of numbers, all of them finite.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    config : Config, optional
        The whole configuration; a view reads its own section.
    """

    #: Whether `links` shall carry TCP analysis; it costs a table of its own.
    needs_tcp_analysis: ClassVar[bool]

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None: ...

    @property
    def schema(self) -> Schema:
        """Columns of the matrix, in order."""
        ...

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Take one batch and give the rows that came out of it; a view must not miss one."""
        ...

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """The source has ended: take a piece, FLOW (k,), of the flows that were open."""
        ...

    def close(self) -> FeatureBatch:
        """After the last piece: give what is left."""
        ...

    def tallies(self) -> list[Tally]:
        """Counts since the start."""
        ...


def no_rows(schema: Schema, dtype: type[np.floating[Any]]) -> FeatureBatch:
    """A batch of no rows."""
    return FeatureBatch(schema, np.zeros((0, len(schema.columns)), dtype), np.zeros(0, ROW))

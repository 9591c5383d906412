"""What every view is: the one face that the corridor knows."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import FeatureBatch, Schema, Tally


class View(Protocol):
    """Turns what happened into rows of numbers, all of them finite.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None: ...

    @property
    def schema(self) -> Schema:
        """Columns of the matrix, in order."""
        ...

    def update(
        self, packets: NDArray[Any], links: NDArray[Any], ended: NDArray[Any], until_ns: int
    ) -> FeatureBatch:
        """Take one batch and give the rows that came out of it.

        Parameters
        ----------
        packets : PACKET (n,)
            Every frame of the source, in order; a view must not miss one.
        links : LINK (n,)
            What the flow table says of each of them.
        ended : FLOW (k,)
            Flows that ended, in the order of their release.
        until_ns : int
            Packet time up to which frames have been handed over.
        """
        ...

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give the rows of the flows that were open when the source ended."""
        ...

    def tallies(self) -> list[Tally]:
        """Counts since the start."""
        ...

"""The `packet` view: one row a frame, whatever became of it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.arp import empty_claims
from tapwatch.features.packet_columns import PACKET_SCHEMA
from tapwatch.features.packet_kernel import packet_rows
from tapwatch.tables import LINK, PACKET, ROW, FeatureBatch, Schema, Tally


class PacketView:
    """Wireshark-style header and timing columns of every frame; see `packet_columns`.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.

    Examples
    --------
    >>> view = PacketView()
    >>> nothing = np.zeros(0, PACKET), np.zeros(0, LINK), np.zeros(0, ROW)
    >>> view.update(*nothing, until_ns=0).values.shape
    (0, 59)
    """

    schema: Final[Schema] = PACKET_SCHEMA

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._dtype = dtype
        self._claims = empty_claims()
        self._evicted = np.zeros(1, np.int64)
        self._before = np.zeros(2, np.int64)
        self._n_rows = 0

    def update(
        self, packets: NDArray[Any], links: NDArray[Any], ended: NDArray[Any], until_ns: int
    ) -> FeatureBatch:
        """Give one row for each frame, in order.

        Parameters
        ----------
        packets : PACKET (n,)
        links : LINK (n,)
        ended : FLOW (k,)
            Not looked at.
        until_ns : int
            Not looked at: a packet's row is complete when the packet is there.
        """
        n_rows = len(packets)
        values = np.empty((n_rows, len(self.schema.columns)), self._dtype)
        rows = np.zeros(n_rows, ROW)
        packet_rows(packets, links, self._claims, self._evicted, self._before, values, rows)
        self._n_rows += n_rows
        return FeatureBatch(self.schema, values, rows)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give no rows: no packet waits for the end."""
        return self.update(np.zeros(0, PACKET), np.zeros(0, LINK), ended, 0)

    def tallies(self) -> list[Tally]:
        """Rows made, and ARP claims that had to give way to others."""
        return [
            Tally(
                "packet_rows_total",
                "counter",
                "Rows of the packet view",
                (),
                {(): self._n_rows},
            ),
            Tally(
                "arp_claims_evicted_total",
                "counter",
                "Claims of IP addresses that had to give way to others in the bounded table",
                (),
                {(): int(self._evicted[0])},
            ),
        ]

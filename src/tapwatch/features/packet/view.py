"""The `packet` view: one row a frame, whatever became of it."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.labels import ProtocolLabels
from tapwatch.features.packet.arp import empty_claims
from tapwatch.features.packet.columns import PACKET_SCHEMA
from tapwatch.features.packet.kernel import packet_rows
from tapwatch.features.packet.pairs import empty_pairs, pair_gaps
from tapwatch.features.view import no_rows
from tapwatch.tables import ROW, FeatureBatch, Schema, Tally, Traffic


class PacketView:
    """What Wireshark's list of packets shows of every frame, as numbers; see `columns`.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    config : Config, optional
        Section [packet]; [labels] for the protocol labels; the seed of [flows].

    Examples
    --------
    >>> view = PacketView()
    >>> view.close().values.shape
    (0, 82)
    """

    schema: Final[Schema] = PACKET_SCHEMA

    needs_tcp_analysis: ClassVar[bool] = True

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None:
        self._dtype = dtype
        config = config or Config()
        self._labels = ProtocolLabels(config)
        self._claims = empty_claims()
        self._state = np.zeros(3, np.int64)  # claims evicted, whether there was a frame, its time
        self._pairs = empty_pairs(config.packet.pair_capacity)
        self._pairs_evicted = np.zeros(1, np.int64)
        self._seed = np.uint64(config.flows.hash_seed)
        self._n_rows = 0

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Give one row for each frame, in order: it is complete when the packet is there."""
        packets, links = traffic.packets, traffic.links
        n_rows = len(packets)
        labels = self._labels.of(traffic)
        gaps = np.empty((n_rows, 2), np.float64)
        pair_gaps(packets, self._pairs, self._pairs_evicted, gaps, self._seed)
        values = np.empty((n_rows, len(self.schema.columns)), self._dtype)
        rows = np.zeros(n_rows, ROW)
        packet_rows(packets, links, labels, gaps, self._claims, self._state, values, rows)
        self._n_rows += n_rows
        return FeatureBatch(self.schema, values, rows)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give no rows: no packet waits for the end."""
        return no_rows(self.schema, self._dtype)

    def close(self) -> FeatureBatch:
        """Give no rows."""
        return no_rows(self.schema, self._dtype)

    def tallies(self) -> list[Tally]:
        """Rows made, and what had to give way in bounded tables."""
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
                {(): int(self._state[0])},
            ),
            Tally(
                "address_pairs_evicted_total",
                "counter",
                "Pairs of addresses that had to give way to others in the packet view's table",
                (),
                {(): int(self._pairs_evicted[0])},
            ),
            *self._labels.tallies(),
        ]

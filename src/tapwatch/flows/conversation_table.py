"""TCP analysis for the flow table: what Wireshark would say of each segment, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import ConversationsConfig
from tapwatch.errors import ConfigError
from tapwatch.flows import layout
from tapwatch.flows.conversation_layout import (
    CONVERSATION,
    CONVERSATION_BUCKET,
    CONVERSATION_NODE,
)
from tapwatch.flows.layout import N_BUCKETS, Table
from tapwatch.tables import Tally

_CACHE_LINE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class ConversationState:
    """A suspended conversation table, as plain arrays: what of it has ever been used."""

    capacity: int
    rows: NDArray[Any]  # CONVERSATION (n,)
    nodes: NDArray[Any]  # CONVERSATION_NODE (n,)
    buckets: NDArray[Any]  # CONVERSATION_BUCKET (64,)
    places: NDArray[np.int64]  # (m,) of the index that are taken
    slots: NDArray[Any]  # SLOT (m,) what is there


class Conversations:
    """TCP conversations of one source, at most `config.capacity` at once.

    They outlive flows: no silence and no cut ends them, only eviction does.

    Parameters
    ----------
    config : ConversationsConfig, optional
        None: nobody wants the analysis. Then there is no table, and nothing is done or said.
    hash_seed : int
        That of the flow table.
    """

    def __init__(self, config: ConversationsConfig | None, hash_seed: int) -> None:
        self._capacity = None if config is None else config.capacity
        if config is None:
            return
        # Imported here: only those who want the analysis pay for loading it.
        from tapwatch.flows.conversation_kernel import analyse

        self._analyse = analyse
        self.table = _new_table(config.capacity, hash_seed)

    def file(
        self,
        packets: NDArray[Any],
        keys: NDArray[Any],
        links: NDArray[Any],
        on_threads: Callable[[Callable[[int], None]], None],
        workers: int,
    ) -> None:
        """Write the analysis of a batch of packets into their links.

        Parameters
        ----------
        packets : PACKET (n,)
        keys : KEY (n,)
        links : LINK (n,)
            As the flow kernel has written them.
        on_threads : callable
            Calls a function with each worker's number, on as many threads.
        workers : int
        """

        if self._capacity is None:
            return

        def work(worker: int) -> None:
            task = np.zeros(1, layout.TASK)
            task["worker"], task["workers"] = worker, workers
            self._analyse(packets, keys, links, self.table, task)

        on_threads(work)

    def suspend(self) -> ConversationState | None:
        """Give the whole state as plain arrays; the table itself stays as it is."""
        if self._capacity is None:
            return None
        table = self.table
        n_rows = int(table.buckets["used"].max()) * N_BUCKETS
        places = np.flatnonzero(table.slots["row"])
        return ConversationState(
            capacity=self._capacity,
            rows=table.rows[:n_rows].copy(),
            nodes=table.nodes[:n_rows].copy(),
            buckets=table.buckets.copy(),
            places=places,
            slots=table.slots[places],
        )

    def resume(self, state: ConversationState | None) -> None:
        """Go on from where another table, of the same hash seed, was suspended.

        Raises
        ------
        ConfigError
            If the other table had another capacity, or only one of the two analyses TCP.
        """
        others = None if state is None else state.capacity
        if self._capacity != others:
            why = "conversations are kept by bucket; None is no TCP analysis"
            want = f"{others}, as in the suspended table"
            raise ConfigError("conversations.capacity", self._capacity, want, why)
        if state is None:
            return
        table = self.table
        table.rows[: len(state.rows)] = state.rows
        table.nodes[: len(state.nodes)] = state.nodes
        table.buckets[:] = state.buckets
        table.slots[state.places] = state.slots

    def tallies(self) -> list[Tally]:
        """Counts for telemetry; none where TCP is not analysed."""
        if self._capacity is None:
            return []
        buckets = self.table.buckets
        capacity = int(self.table.parameters["rows_a_bucket"][0]) * N_BUCKETS
        held, evicted = int(buckets["open"].sum()), int(buckets["evicted"].sum())
        return [
            Tally(
                "conversations_held",
                "gauge",
                "TCP conversations that are remembered for their analysis.",
                (),
                {(): held},
            ),
            Tally(
                "conversations_capacity",
                "gauge",
                "TCP conversations that can be remembered at once.",
                (),
                {(): capacity},
            ),
            Tally(
                "conversations_evicted_total",
                "counter",
                "TCP conversations forgotten to make room: their analysis begins anew.",
                (),
                {(): evicted},
            ),
        ]


def _new_table(capacity: int, hash_seed: int) -> Table:
    # np.zeros gives memory that costs nothing until it is touched.
    rows_a_bucket = capacity // N_BUCKETS
    slots_a_bucket = 1 << (2 * rows_a_bucket - 1).bit_length()
    n_rows = rows_a_bucket * N_BUCKETS
    parameters = np.zeros(1, layout.PARAMETERS)
    parameters["seed"] = hash_seed
    parameters["rows_a_bucket"] = rows_a_bucket
    parameters["slots_a_bucket"] = slots_a_bucket
    buckets = np.zeros(N_BUCKETS, CONVERSATION_BUCKET)
    for name in ("head", "tail", "free"):
        buckets[name] = layout.NONE
    # A row is two whole cache lines only where the first one begins with a line.
    memory = np.zeros(n_rows * CONVERSATION.itemsize + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    rows = memory[skip : skip + n_rows * CONVERSATION.itemsize].view(CONVERSATION)
    words = rows.view(np.uint64).reshape(n_rows, CONVERSATION.itemsize // 8)
    nodes = np.zeros(n_rows, CONVERSATION_NODE)
    slots = np.zeros(N_BUCKETS * slots_a_bucket, layout.SLOT)
    return Table(rows, words, nodes, slots, buckets, parameters)

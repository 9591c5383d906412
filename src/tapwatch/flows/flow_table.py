"""The room's door: a table that files packets under flows and gives out the flows that ended."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import ConversationsConfig, FlowConfig
from tapwatch.errors import ConfigError
from tapwatch.flows import layout
from tapwatch.flows.conversation_table import Conversations, ConversationState
from tapwatch.flows.kernel import run
from tapwatch.flows.keys import fill_keys
from tapwatch.flows.layout import SECOND_NS, TIME_MAX_NS, Table
from tapwatch.flows.release import (
    CHECK_PACKETS,
    OpenCount,
    Waiting,
    in_pieces,
    joined,
    words_of,
)
from tapwatch.tables import FLOW, LINK, PACKET, EndReason, Histogram, Tally

_CACHE_LINE_BYTES = 64
_OUTPUT_ROWS = 1024  # ended rows taken from the kernel at once, beside room for a whole bucket
Counts = dict[tuple[str, ...], float | Histogram]
_REASONS = tuple(reason for reason in EndReason if reason is not EndReason.OPEN)


@dataclass(frozen=True, slots=True)
class FlowUpdate:
    """What one batch of packets did."""

    ended: NDArray[Any]  # FLOW (n_ended,) in the order (order_ns, last_ts_ns, flow_id, first_frame)
    links: NDArray[Any]  # LINK (n_packets,)
    # (n_ended,) packets of the batch that came before a row that came out early, for too many
    # waited; -1 for one that came out at its time.
    released: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FlowState:
    """A suspended flow table: plain arrays, from which an equal table goes on."""

    capacity: int
    hash_seed: int
    rows: NDArray[Any]  # FLOW (n_open,), oldest touch first
    nodes: NDArray[Any]  # layout.NODE (n_open,)
    waiting: NDArray[Any]  # FLOW (n_waiting,) ended, not yet out
    buckets: NDArray[Any]  # layout.BUCKET (64,): the counts
    fragments: NDArray[Any]  # layout.FRAGMENT
    key_counts: NDArray[Any]  # layout.KEY_COUNTS (1,)
    open_changes: NDArray[np.int64]  # (k, 2) second, flows created less flows ended in it
    open_last: int
    open_most: int
    clock_ns: int
    ordinal: int
    conversations: ConversationState | None  # None where TCP is not analysed


class FlowTable:
    """Bidirectional flows of one source, at most `config.capacity` at once.

    A flow is two endpoints, protocol, outermost VLAN and tunnel; design and rules are told in
    docs/adr and in the modules of this package: `handshake` when a flow ends, `account` what is
    counted, `release` when rows come out.

    Parameters
    ----------
    config : FlowConfig
    workers : int
        Threads that share the 64 buckets. No output depends on it.
    conversations : ConversationsConfig, optional
        Where given, links carry TCP analysis.
    """

    def __init__(
        self,
        config: FlowConfig,
        *,
        workers: int = 1,
        conversations: ConversationsConfig | None = None,
    ) -> None:
        self._config = config
        self._table = _new_table(config)
        n_sets = config.fragment_capacity // layout.FRAGMENT_WAYS
        self._fragments = np.zeros(n_sets * layout.FRAGMENT_WAYS, layout.FRAGMENT)
        self._key_counts = np.zeros(1, layout.KEY_COUNTS)
        self._keys = np.zeros(0, layout.KEY)
        self._clock_ns = -TIME_MAX_NS
        self._ordinal = 0
        self._waiting = Waiting()
        self._open_count = OpenCount()
        output_rows = int(self._table.parameters["rows_a_bucket"][0]) + 1 + _OUTPUT_ROWS
        self._outputs = [np.empty(output_rows, FLOW) for _ in range(workers)]
        self._pool = ThreadPoolExecutor(workers - 1, "flows") if workers > 1 else None
        self._conversations = Conversations(conversations, config.hash_seed)

    def update(self, packets: NDArray[Any], until_ns: int) -> FlowUpdate:
        """File a batch of packets, and end the flows that its time ends.

        Parameters
        ----------
        packets : PACKET (n,)
            In the source's order; may be empty.
        until_ns : int
            All packets up to this time have been handed over: flows whose time is over by the full
            second before it end. Whenever that is said changes no row, and not their order, as
            long as it is true.

        Returns
        -------
        FlowUpdate
            A link for each packet, and the rows whose second is over.
        """
        links = np.empty(len(packets), LINK)
        out = []
        early: dict[int, int] = {}  # position in `out` -> packets filed before
        low = 0
        while True:
            high = min(len(packets), low + CHECK_PACKETS - self._ordinal % CHECK_PACKETS)
            self._file(packets[low:high], links[low:high])
            out.append(self._waiting.due(self._clock_ns))
            if self._ordinal % CHECK_PACKETS == 0:
                early[len(out)] = high
                out.append(self._waiting.overflow(self._clock_ns))
            if high == len(packets):
                break
            low = high
        out.append(self._pass_silence(until_ns))
        released = [np.full(len(rows), early.get(k, -1), np.int64) for k, rows in enumerate(out)]
        ended = joined([rows for rows in out if len(rows)])
        return FlowUpdate(ended, links, np.concatenate(released))

    def _pass_silence(self, until_ns: int) -> NDArray[Any]:
        # Nothing comes out between two full seconds, so house time moves to a full second only:
        # a packet that was held up a little, and is older than `until_ns`, keeps its own time.
        # After the packets, and apart from them: what they do must not depend on the silence
        # behind them.
        tick_ns = min(int(until_ns), TIME_MAX_NS) // SECOND_NS * SECOND_NS
        if tick_ns <= self._clock_ns:
            return np.empty(0, FLOW)
        self._clock_ns = tick_ns
        self._file(np.empty(0, PACKET), np.empty(0, LINK))
        return self._waiting.due(tick_ns)

    def finish(self) -> Iterator[NDArray[Any]]:
        """End all flows: the source has no more packets.

        All flows have ended when this returns; their rows are copied from the table as they are
        asked for, so that a full table needs no second memory of its size.

        Returns
        -------
        ended : iterator of FLOW (k,)
            Pieces of at most PIECE_ROWS rows. First, in their order, the rows that ended within
            the last second; then those of the flows that were open, by (last_ts_ns, flow_id): EOF,
            or FIN or RST where the flow only lingered.
        """
        none, no_keys, no_links = np.empty(0, PACKET), np.empty(0, layout.KEY), np.empty(0, LINK)
        self._run_all(none, no_keys, no_links, sweep_ns=self._clock_ns)
        self._open_count.close_all()
        numbers = self._open_rows()
        self._run_all(none, no_keys, no_links, sweep_ns=self._clock_ns, is_last=True)
        return chain(self._waiting.drain(), in_pieces(self._table.rows, numbers))

    def suspend(self) -> FlowState:
        """Give the whole state as plain arrays; the table itself stays as it is."""
        table = self._table
        numbers = self._open_rows()
        numbers = numbers[np.argsort(table.nodes["touch"][numbers], kind="stable")]
        waiting = self._waiting.take()
        self._waiting.add(waiting)
        return FlowState(
            capacity=self._config.capacity,
            hash_seed=self._config.hash_seed,
            rows=table.rows[numbers],
            nodes=table.nodes[numbers],
            waiting=waiting,
            buckets=table.buckets.copy(),
            fragments=self._fragments.copy(),
            key_counts=self._key_counts.copy(),
            open_changes=np.array(sorted(self._open_count.changes.items()), np.int64).reshape(
                -1, 2
            ),
            open_last=self._open_count.last,
            open_most=self._open_count.most,
            clock_ns=self._clock_ns,
            ordinal=self._ordinal,
            conversations=self._conversations.suspend(),
        )

    def resume(self, state: FlowState) -> None:
        """Go on from where another table was suspended; this one must not have seen packets.

        Raises
        ------
        ConfigError
            If the other table had another capacity or hash seed, or analysed TCP and this one
            does not, or the other way round.
        """
        for key in ("capacity", "hash_seed"):
            mine, others = getattr(self._config, key), getattr(state, key)
            if mine != others:
                why = "flows are kept by bucket, and buckets would differ"
                raise ConfigError(f"flows.{key}", mine, f"{others}, as in the suspended table", why)
        self._conversations.resume(state.conversations)
        # Imported here: only those who resume pay for loading it.
        from tapwatch.flows.resume import adopt

        adopt(state.rows, words_of(state.rows), state.nodes, self._table)
        for name in ("created", "late", "ended"):
            self._table.buckets[name] = state.buckets[name]
        self._fragments[:] = state.fragments
        self._key_counts[:] = state.key_counts
        self._waiting.add(state.waiting)
        self._open_count.changes = dict(state.open_changes.tolist())
        self._open_count.last = state.open_last
        self._open_count.most = state.open_most
        self._clock_ns = state.clock_ns
        self._ordinal = state.ordinal

    @property
    def counts(self) -> dict[str, Any]:
        """The ledger's line; `created` is `open` and all of `ended`, at any time.

        `active_max` is the largest number of flows open at a full second of packet time, or at the
        end of the source.
        """
        buckets, keys = self._table.buckets, self._key_counts[0]
        ended = buckets["ended"].sum(axis=0)
        return {
            "packets": int(keys["packets"]),
            "not_flow_packets": int(keys["not_flow_packets"]),
            "created": int(buckets["created"].sum()),
            "open": int(buckets["open"].sum()),
            "ended": {reason.name.lower(): int(ended[reason]) for reason in _REASONS},
            "active_max": self._open_count.most,
            "late_packets": int(buckets["late"].sum()),
            "fragments_unmatched": int(keys["fragments_unmatched"]),
            "fragments_evicted": int(keys["fragments_evicted"]),
        }

    def tallies(self) -> list[Tally]:
        """Counts for telemetry; every label value is there from the start."""
        counts = self.counts
        capacity = int(self._table.parameters["rows_a_bucket"][0]) * layout.N_BUCKETS
        n_bytes = sum(a.nbytes for a in (*self._table, self._fragments)) - self._table.rows.nbytes
        ended: Counts = {(name,): count for name, count in counts["ended"].items()}
        plain = (
            ("flow_active", "gauge", "Flows that are open.", counts["open"]),
            ("flow_capacity", "gauge", "Flows that can be open at once.", capacity),
            ("flow_table_bytes", "gauge", "Memory set aside for the flow table.", n_bytes),
            ("flow_created_total", "counter", "Flows begun.", counts["created"]),
            ("flow_packets_total", "counter", "Packets filed under a flow.", counts["packets"]),
            (
                "flow_late_packets_total",
                "counter",
                "Packets older than the latest one before them; their gaps count as 0.",
                counts["late_packets"],
            ),
            (
                "flow_fragments_unmatched_total",
                "counter",
                "Later IP fragments whose first one is not known: filed with ports 0.",
                counts["fragments_unmatched"],
            ),
            (
                "flow_fragments_evicted_total",
                "counter",
                "Datagrams whose first fragment was forgotten before its time.",
                counts["fragments_evicted"],
            ),
        )
        return [
            Tally("flow_ended_total", "counter", "Flows ended, by reason.", ("reason",), ended),
            *(Tally(name, kind, text, (), {(): value}) for name, kind, text, value in plain),  # type: ignore[arg-type]
            *self._conversations.tallies(),
        ]

    def _open_rows(self) -> NDArray[np.int64]:
        """Numbers of the rows of open flows, in any order."""
        numbers: NDArray[np.int64] = self._table.slots["row"].astype(np.int64)
        return numbers[numbers > 0] - 1

    def _file(self, packets: NDArray[Any], links: NDArray[Any]) -> None:
        if len(self._keys) < len(packets):
            self._keys = np.empty(len(packets), layout.KEY)
        keys, parameters = self._keys[: len(packets)], self._table.parameters
        begin_ns = self._clock_ns
        self._clock_ns = fill_keys(
            packets, keys, begin_ns, parameters, self._fragments, self._key_counts
        )
        created = int(self._table.buckets["created"].sum())
        self._run_all(packets, keys, links, self._clock_ns // SECOND_NS * SECOND_NS)
        created = int(self._table.buckets["created"].sum()) - created
        self._conversations.file(packets, keys, links, self._on_threads, len(self._outputs))
        self._ordinal += len(packets)
        if created:
            self._open_count.add(_creation_times(keys, links, created), 1)
        self._open_count.close(self._clock_ns)

    def _run_all(
        self,
        packets: NDArray[Any],
        keys: NDArray[Any],
        links: NDArray[Any],
        sweep_ns: int,
        is_last: bool = False,
    ) -> None:
        # Buckets are independent, so the order of the threads' output is the only thing that
        # could differ, and rows are sorted before they leave.
        lock = Lock()

        def take(rows: NDArray[Any]) -> None:
            with lock:
                self._waiting.add(rows)
                self._open_count.add(rows["end_ns"], -1)

        def work(worker: int) -> None:
            task = np.zeros(1, layout.TASK)
            task["worker"], task["workers"] = worker, len(self._outputs)
            task["ordinal"], task["sweep_ns"] = self._ordinal, sweep_ns
            task["close_ns"], task["is_last"] = self._clock_ns, is_last
            _run_to_end(packets, keys, links, self._table, self._outputs[worker], task, take)

        self._on_threads(work)

    def _on_threads(self, work: Callable[[int], None]) -> None:
        others = []
        if self._pool is not None:
            others = [self._pool.submit(work, worker) for worker in range(1, len(self._outputs))]
        work(0)
        for other in others:
            other.result()


def _run_to_end(
    packets: NDArray[Any],
    keys: NDArray[Any],
    links: NDArray[Any],
    table: Table,
    output: NDArray[Any],
    task: NDArray[Any],
    take: Callable[[NDArray[Any]], None],
) -> None:
    done = False
    while not done:
        done = run(packets, keys, links, words_of(links), table, words_of(output), task)
        take(output[: int(task["n_out"][0])])
        task["n_out"] = 0


def _creation_times(keys: NDArray[Any], links: NDArray[Any], created: int) -> NDArray[np.int64]:
    # Mostly a batch lies within one second, and then it does not matter which packets they were.
    clock_ns = keys["clock_ns"]
    if clock_ns[0] // SECOND_NS == clock_ns[-1] // SECOND_NS:
        return np.full(created, clock_ns[0])
    is_first = (links["packets"][:, 0] + links["packets"][:, 1] == 1) & (links["is_flow"] == 1)
    times: NDArray[np.int64] = clock_ns[is_first]
    return times


def _new_table(config: FlowConfig) -> Table:
    # np.zeros gives memory that costs nothing until it is touched, and rows are taken from the low
    # end: a quiet network keeps a small table.
    rows_a_bucket = config.capacity // layout.N_BUCKETS
    slots_a_bucket = 1 << (2 * rows_a_bucket - 1).bit_length()
    n_rows = rows_a_bucket * layout.N_BUCKETS
    parameters = np.zeros(1, layout.PARAMETERS)
    parameters["seed"] = config.hash_seed
    seconds = [
        config.idle_timeout_s,
        config.udp_idle_timeout_s,
        config.icmp_idle_timeout_s,
        config.linger_s,
    ]
    parameters["timeout_ns"] = [round(s * SECOND_NS) for s in seconds]
    parameters["active_ns"] = round(config.active_timeout_s * SECOND_NS)
    parameters["rows_a_bucket"] = rows_a_bucket
    parameters["slots_a_bucket"] = slots_a_bucket
    buckets = np.zeros(layout.N_BUCKETS, layout.BUCKET)
    for name in ("head", "tail", "free"):
        buckets[name] = layout.NONE
    # A row is eleven whole cache lines only where the first one begins with a line.
    memory = np.zeros(n_rows * FLOW.itemsize + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    rows = memory[skip : skip + n_rows * FLOW.itemsize].view(FLOW)
    nodes = np.zeros(n_rows, layout.NODE)
    slots = np.zeros(layout.N_BUCKETS * slots_a_bucket, layout.SLOT)
    return Table(rows, words_of(rows), nodes, slots, buckets, parameters)

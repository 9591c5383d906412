"""The `host` view: one row a host and window of packet time."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config, WindowsConfig
from tapwatch.features.host.columns import HOST_SCHEMA
from tapwatch.features.host.dns import name_factor
from tapwatch.features.host.kernel import count_packets
from tapwatch.features.host.layout import (
    CHANNEL,
    HOST,
    HOST_WORDS,
    N_SETS,
    N_WANTS,
    N_WAYS,
    PAIR,
    SLOT,
    SUMMARY,
    TASK,
    Memory,
)
from tapwatch.features.host.merge import merge_records
from tapwatch.features.host.rows import host_identity, host_values
from tapwatch.features.host.sketch import SET_WORDS
from tapwatch.features.host.table import clear_slots
from tapwatch.features.host.windows import Panes
from tapwatch.features.view import no_rows
from tapwatch.tables import EndReason, FeatureBatch, Schema, Tally, Traffic

_CACHE_LINE_BYTES: Final = 64
_OUTPUT_ROWS: Final = 512  # evicted records taken from the kernel at once

_Made = tuple[NDArray[Any], NDArray[Any]]


class HostView:
    """What each address did in each window, in bounded memory; see `columns`.

    A window's rows come out when packet time, or the source's promise that it is silent, passes its
    end, in the order of (window's end, address). A packet that comes late counts in the window that
    is open. Hosts are the unicast addresses of IP packets, and the senders of ARP messages. A host
    that had to make room for others in a full table gives its row at once (end reason `evicted`),
    and begins anew where it is seen again: every packet is in the rows of its hosts once a hop.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    config : Config, optional
        Of it, `windows`, and `flows.hash_seed` for the table of hosts and the sets.

    Examples
    --------
    >>> HostView().close().values.shape
    (0, 55)
    """

    schema: Final[Schema] = HOST_SCHEMA

    needs_tcp_analysis: ClassVar[bool] = False

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None:
        config = config or Config()
        windows = config.windows
        hop_ns = round(windows.hop_s * 1e9)
        n_panes = round(windows.host_s * 1e9) // hop_ns
        rows_a_pane = windows.hosts // n_panes
        self._dtype = dtype
        self._panes = Panes(hop_ns, n_panes)
        self._used: dict[int, int] = {}  # start of an occupied pane -> records that it has
        self._memory = _new_memory(windows, rows_a_pane * n_panes, rows_a_pane)
        self._merged_sets = np.zeros((1, N_SETS, SET_WORDS), np.uint32)
        self._task = _first_task(windows, rows_a_pane, config.flows.hash_seed)
        self._task["start_ns"] = self._panes.start_ns
        self._task["end_ns"] = self._panes.end_ns
        self._n_rows = 0

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Count one batch, and give the rows of the windows that its time ends."""
        task, made = self._task[0], []
        n_packets = len(traffic.packets)
        task["packet"] = 0
        while True:
            self._count(traffic)
            if task["n_out"]:
                made.append(self._evicted_rows())
            if task["packet"] == n_packets:
                break
            # Where only the output was full, this changes nothing.
            made += self._advance(int(traffic.packets["clock_ns"][task["packet"]]))
        made += self._advance(traffic.until_ns)
        return self._joined(made)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give no rows: hosts do not wait for flows."""
        return no_rows(self.schema, self._dtype)

    def close(self) -> FeatureBatch:
        """Give the rows of the windows that are open."""
        self._note_use()
        made = [self._window_rows(*window, EndReason.EOF) for window in self._panes.close()]
        return self._joined(made)

    def tallies(self) -> list[Tally]:
        """Rows, hosts in the table, and what had to make room."""
        task = self._task[0]
        plain = (
            ("host_rows_total", "counter", "Rows of the host view.", self._n_rows),
            ("host_active", "gauge", "Hosts seen in the open part of a window.", task["n_used"]),
            ("host_capacity", "gauge", "Hosts that can be held for it.", task["n_rows"]),
            (
                "host_evicted_total",
                "counter",
                "Hosts that gave their row before the window's end: the table was full.",
                task["evicted"],
            ),
            (
                "host_pairs_evicted_total",
                "counter",
                "Pairs of hosts forgotten before their time: they will be strangers again.",
                task["pairs_evicted"],
            ),
            (
                "host_channels_evicted_total",
                "counter",
                "Services whose last connections were forgotten before their time.",
                task["channels_evicted"],
            ),
            (
                "host_late_packets_total",
                "counter",
                "Packets older than the latest one before them; they count at its time.",
                task["late"],
            ),
        )
        return [Tally(name, kind, text, (), {(): int(value)}) for name, kind, text, value in plain]  # type: ignore[arg-type]

    def _count(self, traffic: Traffic) -> None:
        data = traffic.data.view()
        # One kind of array is enough, or the kernel is compiled again for the other one.
        data.flags.writeable = False
        count_packets(traffic.packets, traffic.links, data, self._memory, self._task)

    def _advance(self, time_ns: int) -> list[_Made]:
        """Let packet time pass; the rows of the windows that it ends."""
        panes, task = self._panes, self._task[0]
        self._note_use()
        windows = panes.advance(time_ns)
        made = [self._window_rows(*window, EndReason.ACTIVE) for window in windows]
        if panes.start_ns != task["start_ns"]:
            # The records stay for later windows; the index of the pane begins empty.
            clear_slots(self._memory, self._task)
            task["n_used"] = task["hand"] = 0
            task["start_ns"], task["end_ns"] = panes.start_ns, panes.end_ns
            task["base"] = self._base(panes.start_ns)
            oldest_ns = panes.end_ns - panes.n_panes * panes.hop_ns
            self._used = {start: n for start, n in self._used.items() if start >= oldest_ns}
        return made

    def _note_use(self) -> None:
        if n_used := int(self._task["n_used"][0]):
            self._used[self._panes.start_ns] = n_used
            self._panes.occupy()

    def _base(self, start_ns: int) -> int:
        """First record of a pane: a pane's place is free when the one before it there has left."""
        panes = self._panes
        return start_ns // panes.hop_ns % panes.n_panes * int(self._task["n_rows"][0])

    def _window_rows(self, end_ns: int, starts: list[int], reason: EndReason) -> _Made:
        places = [np.arange(self._used[start]) + self._base(start) for start in starts]
        numbers = np.concatenate(places)
        keys = [self._memory.hosts[name][numbers] for name in ("ip_version", "lo", "hi")]
        by_address = np.lexsort(keys)  # stable: the panes of a host stay in the order of time
        is_first = np.zeros(len(numbers), np.bool_)
        is_first[:1] = True
        for key in keys:
            is_first[1:] |= np.diff(key[by_address]) != 0
        firsts = np.append(np.flatnonzero(is_first), len(numbers))
        order_ns = np.full(len(firsts) - 1, end_ns)
        return self._rows_of(self._memory, numbers[by_address], firsts, order_ns, reason)

    def _evicted_rows(self) -> _Made:
        n_rows = int(self._task["n_out"][0])
        self._task["n_out"] = 0
        memory = self._memory
        hosts = memory.out_words.reshape(-1).view(HOST)
        evicted = memory._replace(hosts=hosts, words=memory.out_words, sets=memory.out_sets)
        order_ns = hosts["evicted_ns"][:n_rows].copy()
        firsts = np.arange(n_rows + 1)
        return self._rows_of(evicted, firsts, firsts, order_ns, EndReason.EVICTED)

    def _rows_of(
        self,
        memory: Memory,
        order: NDArray[np.int64],
        firsts: NDArray[np.int64],
        order_ns: NDArray[np.int64],
        reason: EndReason,
    ) -> _Made:
        merged = np.empty(len(order_ns), HOST)
        summaries = np.empty(len(order_ns), SUMMARY)
        merged_words = merged.view(np.uint64).reshape(-1, HOST_WORDS)
        merge_records(memory, order, firsts, merged, merged_words, self._merged_sets, summaries)
        panes = self._panes
        values = host_values(merged, summaries, panes.hop_ns, panes.n_panes, self._dtype)
        return values, host_identity(merged, order_ns, reason)

    def _joined(self, made: list[_Made]) -> FeatureBatch:
        if not made:
            return no_rows(self.schema, self._dtype)
        values = np.concatenate([v for v, _ in made]) if len(made) > 1 else made[0][0]
        rows = np.concatenate([r for _, r in made]) if len(made) > 1 else made[0][1]
        self._n_rows += len(rows)
        return FeatureBatch(self.schema, values, rows)


def _whole_sets(n_entries: int) -> int:
    """The largest power of two that is not above."""
    return max(1 << (n_entries.bit_length() - 1), N_WAYS)


def _new_memory(windows: WindowsConfig, n_records: int, rows_a_pane: int) -> Memory:
    # np.zeros gives memory that costs nothing until it is touched. A record is nine whole cache
    # lines only where the first one begins with a line.
    memory = np.zeros(n_records * HOST.itemsize + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    hosts = memory[skip : skip + n_records * HOST.itemsize].view(HOST)
    return Memory(
        hosts=hosts,
        words=hosts.view(np.uint64).reshape(n_records, HOST_WORDS),
        sets=np.zeros((n_records, N_SETS, SET_WORDS), np.uint32),
        slots=np.zeros(1 << (2 * rows_a_pane - 1).bit_length(), SLOT),
        out_words=np.zeros((_OUTPUT_ROWS, HOST_WORDS), np.uint64),
        out_sets=np.zeros((_OUTPUT_ROWS, N_SETS, SET_WORDS), np.uint32),
        pairs=np.zeros(_whole_sets(windows.pairs), PAIR),
        channels=np.zeros(_whole_sets(windows.channels), CHANNEL),
        wants=np.zeros((N_WANTS, 3), np.int64),
        spare=np.zeros(SET_WORDS, np.uint32),
        characters=np.zeros(256, np.int64),
    )


def _first_task(windows: WindowsConfig, rows_a_pane: int, hash_seed: int) -> NDArray[Any]:
    task = np.zeros(1, TASK)
    task["n_rows"] = rows_a_pane
    task["horizon_ns"] = round(windows.horizon_s * 1e9)
    task["seed"] = hash_seed
    task["name_factor"] = name_factor(hash_seed)
    return task

"""The `kdd` view: one row a connection that ended, as KDD Cup 1999 has them."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.kdd import sessions as text
from tapwatch.features.kdd import windows as past
from tapwatch.features.kdd.columns import KDD_SCHEMA, RATES
from tapwatch.features.kdd.content import find_content, read_content
from tapwatch.features.kdd.rows import connection_rows
from tapwatch.features.kdd.rules import CONTENT_COLUMNS, Protocol
from tapwatch.features.view import no_rows
from tapwatch.tables import LINK, PACKET, ROW, EndReason, FeatureBatch, Schema, Tally, Traffic

#: No data, packets, links, nor positions of packets to read.
_NOTHING: Final = (
    np.zeros(0, np.uint8),
    np.zeros(0, PACKET),
    np.zeros(0, LINK),
    np.zeros(0, np.int64),
)


class KddView:
    """The 41 columns of KDD Cup 1999 of every connection that ended; see `kdd.columns`.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    config : Config, optional
        Section [kdd], and the seed of the flow hash.

    Examples
    --------
    >>> from tapwatch.tables import FLOW
    >>> KddView().finish(np.zeros(0, FLOW)).values.shape
    (0, 41)
    """

    schema: Final[Schema] = KDD_SCHEMA

    needs_tcp_analysis: ClassVar[bool] = False

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None:
        whole = config or Config()
        section, seed = whole.kdd, whole.flows.hash_seed
        self._dtype = dtype
        self._windows = past.no_windows(section, seed)
        self._sessions = text.no_sessions(section.content_connections, section.content_bytes, seed)
        self._which = np.empty(0, np.int64)
        self._n_rows = 0
        self._n_foreign = 0

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Read payload and give one row for each connection that ended, in the order they end."""
        packets, links, ended = traffic.packets, traffic.links, traffic.ended
        if len(self._which) < len(packets):
            self._which = np.empty(len(packets), np.int64)
        which = self._which[: find_content(packets, links, self._which)]
        contents = np.empty((len(ended), len(CONTENT_COLUMNS)), np.int32)
        released = traffic.released
        if released is None:
            released = np.full(len(ended), -1, np.int64)
        by = [ended[name] for name in ("first_frame", "flow_id", "end_ns")]
        order = np.lexsort([*by, released, ended["order_ns"]])
        if len(which) or len(ended):
            turns = np.column_stack([order, released[order]])
            read_content(
                traffic.data, packets, links, which, ended, turns, self._sessions, contents
            )
        return self._rows(ended, order, ended["end_ns"].copy(), contents, is_end=False)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give one row for each connection that was open when the source ended."""
        order = np.arange(len(ended))
        contents = np.empty((len(ended), len(CONTENT_COLUMNS)), np.int32)
        if len(ended):
            turns = np.column_stack([order, order])
            read_content(*_NOTHING, ended, turns, self._sessions, contents)
        return self._rows(ended, order, ended["last_ts_ns"].copy(), contents, is_end=True)

    def close(self) -> FeatureBatch:
        """Give no rows: every connection has ended."""
        return no_rows(self.schema, self._dtype)

    def tallies(self) -> list[Tally]:
        """Rows made, and what was forgotten or not read before its time."""
        totals, state = self._sessions.totals, self._windows.state[0]
        unread: dict[tuple[str, ...], float] = {
            ("bytes",): int(totals[text.CUT]),
            ("encrypted",): int(totals[text.ENCRYPTED]),
            ("evicted",): int(totals[text.EVICTED]),
            ("gap",): int(totals[text.GAPPY]),
        }
        read: dict[tuple[str, ...], float] = {
            (p.name.lower(),): int(totals[text.READ + p]) for p in Protocol
        }
        plain = (
            ("kdd_rows_total", "Rows of the kdd view.", self._n_rows),
            (
                "kdd_not_connections_total",
                "Flows that ended and are neither TCP, UDP nor ICMP: they give no row.",
                self._n_foreign,
            ),
            (
                "kdd_window_early_total",
                "Connections that left the two-second window early: it was full.",
                int(state["early"]),
            ),
            (
                "kdd_hosts_evicted_total",
                "Hosts whose history was forgotten for another's.",
                int(state["evicted"]),
            ),
        )
        return [
            *(Tally(name, "counter", help, (), {(): value}) for name, help, value in plain),
            Tally(
                "kdd_content_read_total",
                "counter",
                "Connections whose payload was read, by protocol.",
                ("protocol",),
                read,
            ),
            Tally(
                "kdd_content_unread_total",
                "counter",
                "Connections whose payload was not read to its end, by reason.",
                ("reason",),
                unread,
            ),
        ]

    def _rows(
        self,
        ended: NDArray[Any],
        order: NDArray[np.int64],
        times_ns: NDArray[np.int64],
        contents: NDArray[np.int32],
        *,
        is_end: bool,
    ) -> FeatureBatch:
        if not len(ended):
            return no_rows(self.schema, self._dtype)
        raw = np.empty((len(ended), len(self.schema.columns)), np.int64)
        rows = np.zeros(len(ended), ROW)
        n_rows = connection_rows(ended, order, times_ns, contents, self._windows, raw, rows, is_end)
        values = raw[:n_rows].astype(self._dtype)
        values[:, RATES] = raw[:n_rows, RATES] / 100.0
        self._n_rows += n_rows
        n_cut = int(np.count_nonzero(ended["end_reason"] == EndReason.ACTIVE))
        self._n_foreign += len(ended) - n_cut - n_rows
        return FeatureBatch(self.schema, values, rows[:n_rows])

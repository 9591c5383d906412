"""Puts rows of flows into the order of their last packet, in bounded memory.

Flows come out in the order in which they ended, and a flow that fell silent ends a timeout after
its last packet. So a row waits until no earlier one can come. When that is, is decided by the
packet time at which rows came out (`order_ns`) and by nothing else: how rows were batched does not
show in the result.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import ROW

_TICK_NS: Final = 1_000_000_000
_PIECE_ROWS: Final = 8192
_WHOLE_ROW: Final = np.dtype((np.void, ROW.itemsize))


def whole(rows: NDArray[Any]) -> NDArray[Any]:
    """View rows as items without fields: numpy copies those at once, others field by field."""
    return rows.view(_WHOLE_ROW)


class Sorter:
    """Hands rows on ordered by (last_ts_ns, flow_id).

    Parameters
    ----------
    emit : callable (rows, values)
        Takes rows in order, a few thousand at once.
    n_columns : int
    longest_silence_ns : int
        A flow is not held open without packets for longer than this.
    max_rows : int
        Held at most. When so many are there, the older half goes out; a row that then comes too
        late for its place goes out late, and `n_out_of_order` counts it. The same happens to flows
        that consist of packets with times in the past.
    """

    def __init__(
        self,
        emit: Callable[[NDArray[Any], NDArray[Any]], None],
        n_columns: int,
        longest_silence_ns: int,
        max_rows: int = 262_144,
    ) -> None:
        self.n_out_of_order = 0
        self._emit = emit
        self._longest_silence_ns = longest_silence_ns
        self._max_rows = max_rows
        # np.zeros gives memory that costs nothing until it is touched.
        self._rows = np.zeros(max_rows, ROW)
        self._values = np.zeros((max_rows, n_columns), np.float64)
        self._n_held = 0
        self._release_at_ns: int | None = None
        self._last_out = (np.iinfo(np.int64).min, 0)

    def add(self, rows: NDArray[Any], values: NDArray[Any]) -> None:
        """Take rows in the order in which they came out."""
        turns = np.flatnonzero(np.diff(rows["order_ns"])) + 1
        borders = [0, *turns.tolist(), len(rows)]
        for lo, hi in pairwise(borders):
            if hi > lo:
                self._turn(int(rows["order_ns"][lo]))
                self._hold(rows[lo:hi], values[lo:hi])

    def finish(self) -> None:
        """No more rows will come: hand on all that are held."""
        self._release(self._n_held)

    def _turn(self, tick_ns: int) -> None:
        """Let go, now and then, of what rows from this tick on cannot precede."""
        step_ns = max(_TICK_NS, self._longest_silence_ns // 2)
        if self._release_at_ns is None:
            self._release_at_ns = tick_ns + step_ns
        elif tick_ns >= self._release_at_ns:
            self._release_at_ns = tick_ns + step_ns
            safe_ns = tick_ns - _TICK_NS - self._longest_silence_ns
            last_ts_ns = self._rows["last_ts_ns"][: self._n_held]
            self._release(int(np.count_nonzero(last_ts_ns < safe_ns)))

    def _hold(self, rows: NDArray[Any], values: NDArray[Any]) -> None:
        while len(rows):
            n_taken = min(len(rows), self._max_rows - self._n_held)
            end = self._n_held + n_taken
            whole(self._rows)[self._n_held : end] = whole(rows)[:n_taken]
            self._values[self._n_held : end] = values[:n_taken]
            self._n_held = end
            rows, values = rows[n_taken:], values[n_taken:]
            if end == self._max_rows:
                self._release((end + 1) // 2)

    def _release(self, n_rows: int) -> None:
        """Hand on the first `n_rows` of what is held; equal keys in the order of their coming."""
        held = self._rows[: self._n_held]
        order = np.lexsort((held["flow_id"], held["last_ts_ns"]))
        for lo in range(0, n_rows, _PIECE_ROWS):
            piece = order[lo : min(lo + _PIECE_ROWS, n_rows)]
            rows = whole(held)[piece].view(ROW)
            self._count_late(rows)
            self._emit(rows, self._values[piece])
        # What is kept moves down in the order of its coming, so no row is overwritten before it
        # has moved, and equal keys stay in that order.
        kept = np.sort(order[n_rows:])
        for lo in range(0, len(kept), _PIECE_ROWS):
            piece = kept[lo : lo + _PIECE_ROWS]
            whole(self._rows)[lo : lo + len(piece)] = whole(self._rows)[piece]
            self._values[lo : lo + len(piece)] = self._values[piece]
        self._n_held = len(kept)

    def _count_late(self, rows: NDArray[Any]) -> None:
        last_ts_ns, flow_id = self._last_out
        is_same = rows["last_ts_ns"] == last_ts_ns
        is_late = (rows["last_ts_ns"] < last_ts_ns) | (is_same & (rows["flow_id"] < flow_id))
        self.n_out_of_order += int(np.count_nonzero(is_late))
        newest = (int(rows["last_ts_ns"][-1]), int(rows["flow_id"][-1]))
        self._last_out = max(self._last_out, newest)

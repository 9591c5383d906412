"""When and in which order ended rows come out, and how many flows were open at once.

Neither may depend on where batches end or on how many threads there are. So rows wait for the full
second after their end, and come out sorted; and flows are counted at full seconds.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.flows.layout import FLOW_WORDS, SECOND_NS
from tapwatch.tables import FLOW

#: Every so many packets, counted over the whole source, the waiting rows are looked at; where they
#: are more than WAITING_MAX they all come out. A flood, or a clock that stands still, could
#: otherwise fill the memory within one second of packet time.
CHECK_PACKETS: Final = 65_536
WAITING_MAX: Final = 65_536

#: Rows of one piece of what is left at the end of the source.
PIECE_ROWS: Final = 2048

_ALL: Final = slice(None)


def in_order(rows: NDArray[Any]) -> NDArray[Any]:
    """Sort ended rows by (order_ns, last_ts_ns, flow_id, first_frame)."""
    return picked(rows, _order_of(rows))


def in_pieces(rows: NDArray[Any], which: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Yield copies of some of the rows, sorted as by `in_order`, PIECE_ROWS at a time.

    Copies are made one piece after the other, from `rows` as they are then.
    """
    order = which[_order_of(rows, which)]
    for lo in range(0, len(order), PIECE_ROWS):
        yield picked(rows, order[lo : lo + PIECE_ROWS])


def _order_of(rows: NDArray[Any], which: slice | NDArray[np.int64] = _ALL) -> NDArray[np.int64]:
    by = ("first_frame", "flow_id", "last_ts_ns", "order_ns")
    return np.lexsort([rows[name][which] for name in by])


def words_of(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Give the memory of rows as 64-bit words, (n_rows, words a row).

    NumPy moves structured rows field by field; as words they move at the speed of memory.
    """
    return rows.view(np.uint64).reshape(len(rows), rows.dtype.itemsize // 8)


def picked(rows: NDArray[Any], which: NDArray[Any]) -> NDArray[Any]:
    """Give the FLOW rows that an index or a mask picks."""
    flow_rows: NDArray[Any] = words_of(rows)[which].reshape(-1).view(FLOW)
    return flow_rows


def joined(chunks: list[NDArray[Any]]) -> NDArray[Any]:
    """Give all FLOW rows of some arrays in one."""
    if len(chunks) == 1:
        return chunks[0]
    nothing = np.empty((0, FLOW_WORDS), np.uint64)
    return np.concatenate([nothing, *map(words_of, chunks)]).reshape(-1).view(FLOW)


class Waiting:
    """Ended rows whose second is not over, in memory that is used again and again."""

    def __init__(self) -> None:
        self._memory = np.empty(1024, FLOW)
        self._n_rows = 0
        self._released_ns: int | None = None

    def __len__(self) -> int:
        return self._n_rows

    def add(self, rows: NDArray[Any]) -> None:
        """Take copies of rows that have ended, in any order."""
        wanted = self._n_rows + len(rows)
        if wanted > len(self._memory):
            larger = np.empty(max(wanted, 2 * len(self._memory)), FLOW)
            words_of(larger)[: self._n_rows] = words_of(self._rows())
            self._memory = larger
        words_of(self._memory)[self._n_rows : wanted] = words_of(rows)
        self._n_rows = wanted

    def due(self, clock_ns: int) -> NDArray[Any]:
        """Give the rows that come out by a time, in order."""
        tick_ns = clock_ns // SECOND_NS * SECOND_NS
        if self._n_rows == 0 or tick_ns == self._released_ns:
            return np.empty(0, FLOW)
        self._released_ns = tick_ns
        rows = self._rows()
        is_due = rows["order_ns"] <= tick_ns
        if is_due.all():
            return self.take()
        due, others = in_order(picked(rows, is_due)), picked(rows, ~is_due)
        self._n_rows = 0
        self.add(others)
        return due

    def overflow(self, clock_ns: int) -> NDArray[Any]:
        """Give all rows, in order, if they are too many; they come out before their second."""
        if self._n_rows <= WAITING_MAX:
            return np.empty(0, FLOW)
        self._rows()["order_ns"] = clock_ns
        return self.take()

    def take(self) -> NDArray[Any]:
        """Give all rows, in order."""
        rows = in_order(self._rows())
        self._n_rows = 0
        return rows

    def drain(self) -> Iterator[NDArray[Any]]:
        """Yield all rows, in order, in pieces; none may be added before the last one is out."""
        rows, self._n_rows = self._rows(), 0
        return in_pieces(rows, np.arange(len(rows)))

    def _rows(self) -> NDArray[Any]:
        return self._memory[: self._n_rows]


class OpenCount:
    """How many flows were open at each full second of packet time, and the most of them."""

    def __init__(self) -> None:
        self.most = 0
        self.last = 0
        self.changes: dict[int, int] = {}  # second -> flows created less flows ended in it

    def add(self, clock_ns: NDArray[np.int64], weight: int) -> None:
        """Count events: flows created (weight 1) or ended (-1) at house times."""
        for second, count in Counter((clock_ns // SECOND_NS).tolist()).items():
            self.changes[second] = self.changes.get(second, 0) + weight * count

    def close(self, clock_ns: int) -> None:
        """Take the seconds that are over by a time; nothing more happens in them."""
        for second in sorted(s for s in self.changes if s < clock_ns // SECOND_NS):
            self._take(second)

    def close_all(self) -> None:
        """The source has ended: its last second is over too."""
        for second in sorted(self.changes):
            self._take(second)

    def _take(self, second: int) -> None:
        self.last += self.changes.pop(second)
        self.most = max(self.most, self.last)

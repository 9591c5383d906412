"""A sample of rows in bounded memory, and how much time rows span."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_SLACK: Final = 4  # room for a quarter more than the capacity, so that pruning is rare
_NS_PER_HOUR: Final = 3600 * 10**9


class Reservoir:
    """Keeps at most `capacity` rows, each of those seen with the same chance.

    Every row draws a number; the rows with the smallest ones stay (bottom-k sampling). The sample
    depends on the seed and on the order of the rows alone, not on how they are cut into parts.

    Parameters
    ----------
    capacity : int
        Rows kept.
    shape : tuple of int
        Of one row: (n_columns,), or (N, n_columns) of blocks.
    seed : int
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], seed: int) -> None:
        self.capacity = capacity
        self.seen = 0
        # Pages that are never written cost no memory.
        room = capacity + max(1, capacity // _SLACK)
        self._values = np.empty((room, *shape), np.float32)
        self._time_ns = np.empty(room, np.int64)
        self._draw = np.empty(room)
        self._held = 0
        self._limit = np.inf  # draws above it cannot stay
        self._random = np.random.default_rng(seed)

    def add(self, values: NDArray[np.float32], time_ns: NDArray[np.int64]) -> None:
        """See rows (n, n_columns) and their times (n,)."""
        self.seen += len(values)
        draw = self._random.random(len(values))
        chosen = np.flatnonzero(draw < self._limit)
        while len(chosen):
            room = len(self._draw) - self._held
            part, chosen = chosen[:room], chosen[room:]
            at = slice(self._held, self._held + len(part))
            self._values[at], self._time_ns[at] = values[part], time_ns[part]
            self._draw[at] = draw[part]
            self._held += len(part)
            if self._held == len(self._draw):
                self._prune()

    def take(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the sample, rows and times, in the order of time; ties in the order seen."""
        if self._held > self.capacity:
            self._prune()
        order = np.argsort(self._time_ns[: self._held], kind="stable")
        return self._values[order], self._time_ns[order]

    def _prune(self) -> None:
        kept = np.sort(np.argpartition(self._draw[: self._held], self.capacity)[: self.capacity])
        for table in (self._values, self._time_ns, self._draw):
            table[: self.capacity] = table[kept]
        self._held = self.capacity
        self._limit = float(self._draw[: self._held].max())


class Exposure:
    """Hours that rows span, silences of more than an hour left out.

    Captures of different days are no long quiet day: what lies between them was not watched.
    """

    def __init__(self) -> None:
        self.span_ns = 0
        self._latest_ns: int | None = None

    def add(self, time_ns: NDArray[np.int64]) -> None:
        """See the times of rows, (n,); a row older than one before it adds nothing."""
        if not len(time_ns):
            return
        first = int(time_ns[0]) if self._latest_ns is None else self._latest_ns
        clock = np.maximum.accumulate(np.concatenate([[first], time_ns]))
        gaps = np.diff(clock)
        self.span_ns += int(gaps[gaps <= _NS_PER_HOUR].sum())
        self._latest_ns = int(clock[-1])

    @property
    def hours(self) -> float:
        """The span so far."""
        return self.span_ns / _NS_PER_HOUR

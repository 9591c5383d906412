"""When two addresses of an export last met, by their texts; bounded."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_LARGEST: Final = 1 << 18


class LastMet:
    """Times since the previous frame of a pair of addresses, either way and this way.

    Parameters
    ----------
    capacity : int
        Pairs that are remembered from one part to the next; those that were silent longest give
        way.
    """

    def __init__(self, capacity: int = _LARGEST) -> None:
        self.forgotten = 0
        self._capacity = capacity
        self._last_ns: dict[tuple[str, str], int] = {}  # (from, to) -> time of the last frame

    def gaps(
        self, source: pa.Array, destination: pa.Array, clock_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Time since the previous frame either way, and this way, in ns; 0 where there was none.

        Parameters
        ----------
        source, destination : string (n,)
        clock_ns : int64 (n,)
            Does not go back, within a call and from call to call.
        """
        ends = pa.chunked_array([source, destination]).combine_chunks().dictionary_encode()
        words = ends.dictionary.to_pylist()
        codes = np.asarray(ends.indices).astype(np.int64)
        src, dst = codes[: len(source)], codes[len(source) :]
        way = src * len(words) + dst
        pair = np.minimum(src, dst) * len(words) + np.maximum(src, dst)
        either_ns, of_pair = _previous(pair, clock_ns)
        this_way_ns, of_way = _previous(way, clock_ns)
        # What lies before this part is asked once for each pair and each way.
        for i in of_pair.tolist():
            a, b = words[src[i]], words[dst[i]]
            met = (self._last_ns.get(ends) for ends in ((a, b), (b, a)))
            either_ns[i] = max((ns for ns in met if ns is not None), default=clock_ns[i])
        for i in of_way.tolist():
            this_way_ns[i] = self._last_ns.get((words[src[i]], words[dst[i]]), clock_ns[i])
        self._remember(words, src, dst, way, clock_ns)
        return clock_ns - either_ns, clock_ns - this_way_ns

    def _remember(
        self,
        words: list[str],
        src: NDArray[np.int64],
        dst: NDArray[np.int64],
        way: NDArray[np.int64],
        clock_ns: NDArray[np.int64],
    ) -> None:
        # The last row of each way, in the order of time: a dict keeps the order of insertion.
        _, from_end = np.unique(way[::-1], return_index=True)
        for i in np.sort(len(way) - 1 - from_end).tolist():
            ends = words[src[i]], words[dst[i]]
            self._last_ns.pop(ends, None)
            self._last_ns[ends] = int(clock_ns[i])
        while len(self._last_ns) > self._capacity:
            del self._last_ns[next(iter(self._last_ns))]
            self.forgotten += 1


def _previous(
    key: NDArray[np.int64], clock_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Time of the previous row with the same key, and the first row of each key."""
    order = np.argsort(key, kind="stable")
    is_first = np.diff(key[order], prepend=-1) != 0
    before_ns = np.empty_like(clock_ns)
    before_ns[order] = np.concatenate([clock_ns[:1], clock_ns[order][:-1]])
    return before_ns, order[is_first]

"""Frames that are in memory already: for tests, and for programs that make their own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture.delivery import Delivery, InterfaceTable, read_only
from tapwatch.capture.source import CaptureCounts, tallies_of
from tapwatch.tables import FRAME, FrameBatch, Tally


class MemorySource:
    """A list of packets as a source, in the order given.

    Parameters
    ----------
    packets : sequence of (ts_ns, bytes)
        Captured whole.
    link_type : int
        LINKTYPE_ number; 1 is Ethernet.
    batch_frames : int
        Most frames in a batch.
    interface : str
        Name of the interface they all come from.

    Examples
    --------
    >>> source = MemorySource([(1, bytes(60)), (2, bytes(64))])
    >>> len(source.read()), source.read().flush, source.read()
    (2, True, None)
    """

    lossless = True

    def __init__(
        self,
        packets: Sequence[tuple[int, bytes]],
        *,
        link_type: int = 1,
        batch_frames: int = 8192,
        interface: str = "",
    ) -> None:
        data = np.frombuffer(b"".join(packet for _, packet in packets), np.uint8)
        sizes = np.array([len(packet) for _, packet in packets], np.int64)
        frames = np.zeros(len(packets), FRAME)
        frames["ts_ns"] = [ts_ns for ts_ns, _ in packets]
        frames["start"] = np.cumsum(sizes) - sizes
        frames["captured_bytes"] = frames["wire_bytes"] = sizes
        frames["vlan_tci"] = -1
        frames["link_type"] = link_type
        self._open(data, frames, batch_frames, interface)

    @classmethod
    def from_arrays(
        cls,
        data: NDArray[np.uint8],
        frames: NDArray[Any],
        *,
        batch_frames: int = 8192,
        interface: str = "",
    ) -> "MemorySource":
        """Make a source of FRAME rows that point into `data`; their numbers are given anew."""
        source = cls.__new__(cls)
        source._open(np.ascontiguousarray(data), frames.copy(), batch_frames, interface)
        return source

    def _open(
        self, data: NDArray[np.uint8], frames: NDArray[Any], batch_frames: int, interface: str
    ) -> None:
        self.counts = CaptureCounts()
        self._data = read_only(data)
        frames["number"] = 0  # as `deliver` wants it
        self._frames = frames
        self._batch_frames = batch_frames
        self._next = 0
        self._interfaces = InterfaceTable()
        for link_type in np.unique(frames["link_type"]):
            where = frames["link_type"] == link_type
            frames["interface"][where] = self._interfaces.id_of(int(link_type), interface)
        self._delivery = Delivery(self._interfaces, self.counts)

    @property
    def problems(self) -> list[str]:
        """Nothing can be lost here."""
        return self.counts.problems

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Name of each interface that frames have come from."""
        return self._interfaces.names

    def read(self) -> FrameBatch | None:
        """Hand over the next frames; None at the end."""
        lo, hi = self._next, min(self._next + self._batch_frames, len(self._frames))
        if lo == hi:
            return self._delivery.end()
        self._next = hi
        return self._delivery.batch(self._data, self._frames[lo:hi])

    def progress(self) -> tuple[int, int]:
        """Captured bytes handed over, and in all."""
        done = int(self._frames["captured_bytes"][: self._next].sum())
        return done, int(self._frames["captured_bytes"].sum())

    def tallies(self) -> list[Tally]:
        """Counts for the metrics."""
        return tallies_of(self.counts, "memory")

    def close(self) -> None:
        """Forget the frames."""
        self._frames = self._frames[:0]
        self._next = 0

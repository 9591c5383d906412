"""The last step of every source: frames get their numbers and interfaces, and are counted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import layout as at
from tapwatch.capture.kernel import deliver
from tapwatch.capture.sieve import Sieve
from tapwatch.capture.source import CaptureCounts
from tapwatch.tables import FRAME, FrameBatch

_IDS = 65_536  # what FRAME.interface can hold


class InterfaceTable:
    """The distinct (link type, name) pairs of a source.

    A pair has an id as soon as a file describes it, in whatever order files happen to be read, and
    a number once a frame of it is delivered. Only the number is seen outside: so it depends on the
    order of the frames alone, and not on block sizes or on how a capture is split over files.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[int, str], int] = {}
        self._pairs: list[tuple[int, str]] = []
        self._numbered: list[int] = []
        self.numbers = np.full(_IDS, -1, np.int32)

    def id_of(self, link_type: int, name: str) -> int:
        """Id of a pair; the last one is shared by all that are too many to tell apart."""
        pair = (link_type, name)
        if pair not in self._ids:
            if len(self._pairs) == _IDS:
                return _IDS - 1
            self._ids[pair] = len(self._pairs)
            self._pairs.append(pair)
        return self._ids[pair]

    def number(self, interface_id: int) -> None:
        """Decide the number of an id: the next one."""
        self.numbers[interface_id] = len(self._numbered)
        self._numbered.append(interface_id)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each numbered interface."""
        return tuple(self._pairs[i][1] for i in self._numbered)


class Delivery:
    """Makes batches out of frames that are in canonical order.

    Frames that a sieve keeps back have a number, and are counted; they move neither the clock nor
    the numbers of interfaces: the rest is as if the capture had been recorded with the filter.
    """

    def __init__(
        self, interfaces: InterfaceTable, counts: CaptureCounts, sieve: Sieve | None = None
    ) -> None:
        self._interfaces = interfaces
        self._counts = counts
        self._sieve = sieve
        self._ended = False
        self._totals = np.zeros(1, at.DELIVERED)
        self._totals["clock_ns"] = at.INT64_MIN

    def batch(self, data: NDArray[np.uint8], frames: NDArray[Any]) -> FrameBatch:
        """Sift, number and count the frames, in place, and wrap them; none may be left."""
        if self._sieve is not None:
            frames = self._sieve.keep(data, frames, self._totals)
        done = 0
        while (done := deliver(frames, done, self._interfaces.numbers, self._totals)) < len(frames):
            self._interfaces.number(int(frames[done]["interface"]))
        total, counts = self._totals[0], self._counts
        counts.packets = int(total["packets"] + total["gap"])
        counts.filtered = int(total["filtered"])
        counts.bytes = int(total["bytes"])
        counts.truncated_packets = int(total["truncated_packets"])
        counts.late_frames = int(total["late_frames"])
        if total["packets"]:
            counts.last_ts_ns = int(total["clock_ns"])
        return FrameBatch(data, frames, until_ns=counts.last_ts_ns)

    def end(self) -> FrameBatch | None:
        """The empty batch that ends a source, once, and only where frames were handed over."""
        if self._ended or self._totals[0]["packets"] == 0:
            return None
        self._ended = True
        nothing = read_only(np.zeros(0, np.uint8))
        return FrameBatch(nothing, np.zeros(0, FRAME), self._counts.last_ts_ns, flush=True)


def read_only(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view that cannot be written: kernels compile once for all kinds of `data`."""
    view = data.view()
    view.flags.writeable = False
    return view

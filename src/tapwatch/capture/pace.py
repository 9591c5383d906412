"""A replay at the speed of the capture, or a multiple of it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from tapwatch.capture.source import CaptureCounts, Source, tallies_of
from tapwatch.tables import FrameBatch, Tally

#: Frames of so much wall time are handed over together.
_SLICE_S: Final = 0.05
#: Between two looks at whether somebody wants the replay to end.
_NAP_S: Final = 0.1


class PacedSource:
    """Hands over the frames of another source no earlier than their time has come.

    Time runs from the first frame. Frames whose time stamps go backwards come at once. What is
    handed over is flushed, as a quiet wire would: nobody waits for a batch to fill.
    """

    def __init__(self, source: Source, factor: float, stopped: Callable[[], bool]) -> None:
        self._source = source
        self._factor = factor
        self._stopped = stopped
        self._batch: FrameBatch | None = None
        self._at = 0
        self._first_ns: int | None = None
        self._began_s = 0.0

    lossless = True

    @property
    def counts(self) -> CaptureCounts:
        """What was handed over; frames of the source's batch whose time has not come are not."""
        counts = self._source.counts
        if self._batch is None or self._at >= len(self._batch):
            return counts
        waiting = self._batch.frames[self._at :]
        truncated = np.count_nonzero(waiting["captured_bytes"] < waiting["wire_bytes"])
        return replace(
            counts,
            packets=counts.packets - len(waiting),
            bytes=counts.bytes - int(waiting["wire_bytes"].sum(dtype=np.int64)),
            truncated_packets=counts.truncated_packets - int(truncated),
        )

    @property
    def problems(self) -> list[str]:
        """Losses of the source."""
        return self._source.problems

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Interfaces of the source."""
        return self._source.interfaces

    def read(self) -> FrameBatch | None:
        """Wait for the next slice of frames to come due, and hand it over."""
        if self._batch is None or self._at >= len(self._batch):
            self._batch, self._at = self._source.read(), 0
            if self._batch is None or not len(self._batch):
                return self._batch
        batch = self._batch
        clock = np.maximum.accumulate(batch.frames["ts_ns"])
        if self._first_ns is None:
            self._first_ns, self._began_s = int(clock[0]), time.monotonic()
        self._sleep_until(int(clock[self._at]))
        slice_ns = round(_SLICE_S * self._factor * 1e9)
        stop = int(np.searchsorted(clock, clock[self._at] + slice_ns, side="right"))
        part = replace(
            batch,
            frames=batch.frames[self._at : stop],
            until_ns=batch.until_ns if stop == len(batch) else int(clock[stop - 1]),
            flush=True,
        )
        self._at = stop
        return part

    def _sleep_until(self, ts_ns: int) -> None:
        assert self._first_ns is not None
        due_s = self._began_s + (ts_ns - self._first_ns) / 1e9 / self._factor
        while not self._stopped() and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _NAP_S))

    def progress(self) -> tuple[int, int]:
        """Progress of the source, which is a batch ahead."""
        return self._source.progress()

    def tallies(self) -> list[Tally]:
        """Counts of what was handed over."""
        return tallies_of(self.counts, "file")

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def paced(source: Source, factor: float, stopped: Callable[[], bool]) -> PacedSource:
    """Replay `source` at `factor` times the speed at which it was captured, until `stopped`."""
    return PacedSource(source, factor, stopped)

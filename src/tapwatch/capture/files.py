"""Capture files as one source: opened, put in order of time, and merged where they overlap."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import layout as at
from tapwatch.capture.delivery import Delivery, InterfaceTable, read_only
from tapwatch.capture.kernel import gather
from tapwatch.capture.listing import (
    allow_open_files,
    expand,
    is_named_as_capture,
    is_regular,
    size_of,
)
from tapwatch.capture.reader import CaptureFile, NotACapture
from tapwatch.capture.sieve import Sieve
from tapwatch.capture.source import CaptureCounts, Damage, never, tallies_of
from tapwatch.errors import CaptureError, Stopped, TapwatchError
from tapwatch.tables import FRAME, FrameBatch, Tally

_BLOCK_BYTES: Final = 2 << 20  # of one file: what is read at once stays in the cache...
_BLOCKS_BYTES: Final = 64 << 20  # ...and of all that may be open together
_BLOCK_MIN_BYTES: Final = 1 << 13
_LOOK_BYTES: Final = 1 << 16  # read of a file to find its first frame
_GATHERED_BYTES: Final = 32 << 20  # copied at once from overlapping files
_READ_MIN_FRAMES: Final = 256  # read ahead from each of many overlapping files
_SKIPPED_TOLD: Final = 32  # files, one by one
_LINK_TYPES_TRIED: Final = 16  # of each file, to tell whether a filter is any good

#: Counts of a file that are counts of the source too.
_FILE_COUNTS: Final = ("skipped_blocks", "saturated_times", "recorder_dropped")

Piece = tuple[NDArray[np.uint8], NDArray[Any]]  # bytes, and FRAME rows that point into them


@dataclass(slots=True)
class _Waiting:
    """A file that is not being read yet."""

    first_ts_ns: int
    path: str
    file: CaptureFile | None  # what cannot be opened twice is open already,
    piece: Piece | None  # and its first frames are read


class _Run:
    """A file that is being read, with the frames read ahead of the merge.

    `keys` is the running maximum of the file's time: files are merged by it, so that each keeps its
    own order even where its clock goes back.
    """

    def __init__(self, order: int, file: CaptureFile) -> None:
        self.order = order
        self.file = file
        self._data = read_only(np.zeros(0, np.uint8))
        self.frames: NDArray[Any] = np.zeros(0)
        self._keys: NDArray[np.int64] | None = None
        self._key_before = at.INT64_MIN
        self.last_key = at.INT64_MIN
        self.counted = dict.fromkeys(_FILE_COUNTS, 0)

    def fill(self, piece: Piece | None) -> bool:
        """Take the next piece of the file; False where there is none."""
        if piece is None:
            return False
        self._data, self.frames = piece
        self._key_before, self.last_key = self.last_key, self.file.clock_ns
        self._keys = None
        return True

    @property
    def keys(self) -> NDArray[np.int64]:
        """Key of each frame that is left."""
        if self._keys is None:
            keys = np.maximum.accumulate(self.frames["ts_ns"])
            self._keys = np.maximum(keys, self._key_before)
        return self._keys

    def ready(self, horizon: tuple[int, int]) -> int:
        """How many frames come before or at (key, order of file)."""
        key, order = horizon
        if (self.last_key, self.order) <= horizon:
            return len(self.frames)
        return int(np.searchsorted(self.keys, key, "right" if self.order <= order else "left"))

    def take(self, n: int) -> Piece:
        """Remove and return the first n frames."""
        taken, self.frames = self.frames[:n], self.frames[n:]
        if self._keys is not None:
            self._keys = self._keys[n:]
        return self._data, taken


class FileSource:
    """Files, directories and pipes as one stream of frames in canonical order.

    Files are read one after another as long as they do not overlap in time: then nothing is
    copied. Where they do, their frames are merged by (time, place of the file, frame).

    Parameters
    ----------
    paths : sequence of str
        Files, directories (all captures in them, not in theirs), "-" for standard input.
    batch_frames : int
        Most frames in a batch.
    stopped : callable
        Asked while a pipe is silent; True ends the source as if the pipe had.
    filter : str or None
        Hand over only what matches, in the language of pcap-filter(7).

    Raises
    ------
    CaptureError
        One of them cannot be read or is not a capture.
    ConfigError
        The filter cannot be compiled.
    """

    lossless = True

    def __init__(
        self,
        paths: Sequence[str],
        *,
        batch_frames: int = 8192,
        stopped: Callable[[], bool] = never,
        filter: str | None = None,
    ) -> None:
        self._stopped = stopped
        self.counts = CaptureCounts()
        self._batch_frames = batch_frames
        self._interfaces = InterfaceTable()
        self._sieve = None if filter is None else Sieve(filter, self.counts.problems)
        self._delivery = Delivery(self._interfaces, self.counts, self._sieve)
        self._runs: list[_Run] = []
        self._done_bytes = 0
        files = expand(paths)
        allow_open_files(len(files))
        self._block_bytes = max(_BLOCK_MIN_BYTES, min(_BLOCK_BYTES, _BLOCKS_BYTES // len(files)))
        self._total_bytes = size_of([path for path, _ in files])
        self._opened = 0
        self._link_types: list[int] = []  # seen when the files were looked at
        self._waiting: list[_Waiting] = []
        try:
            self._look_at_all(files)
            if self._sieve is not None:
                self._sieve.check(self._link_types)
        except TapwatchError:
            self.close()
            raise

    @property
    def problems(self) -> list[str]:
        """One line for each loss, naming the file, the place and the extent."""
        return self.counts.problems

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Name of each interface that frames have come from, by FRAME.interface."""
        return self._interfaces.names

    def read(self) -> FrameBatch | None:
        """Hand over the next frames in canonical order; None at the end, or when stopped."""
        try:
            return self._next()
        except Stopped:
            return None

    def _next(self) -> FrameBatch | None:
        while True:
            self._refill()
            if not self._runs:
                if not self._waiting:
                    return self._delivery.end()
                self._open_next()
                continue
            piece = self._merged()
            if piece is not None:
                batch = self._delivery.batch(*piece)
                if len(batch):
                    return batch
                if self._stopped():
                    return None  # a filter may keep back all of a long capture
                continue
            self._open_next()

    def progress(self) -> tuple[int, int]:
        """Bytes of the files used up, and in all; 0 where a pipe is among them."""
        return self._done_bytes + sum(
            run.file.consumed_bytes for run in self._runs
        ), self._total_bytes

    def tallies(self) -> list[Tally]:
        """Counts for the metrics; a file's name is never a label."""
        return tallies_of(self.counts, "file")

    def close(self) -> None:
        """Close what is open; batches that were handed over stay good."""
        for run in self._runs:
            run.file.close()
        for waiting in self._waiting:
            if waiting.file is not None:
                waiting.file.close()
        self._runs, self._waiting = [], []

    def _look_at_all(self, files: list[tuple[str, bool]]) -> None:
        """Look at the first frame of each file; the earliest comes last, to be popped."""
        if len(files) == 1 and not files[0][1] and self._sieve is None:
            path = files[0][0]
            file = self._open(path, self._interfaces, self._block_bytes)
            self._waiting = [_Waiting(0, path, file, None)]
            return
        for path, is_optional in files:
            try:
                self._waiting.append(self._look(path))
            except CaptureError as error:
                if not is_optional:
                    raise
                self._pass_over(path, error)
        if not self._waiting:
            folders = ", ".join(sorted({os.path.dirname(path) for path, _ in files}))
            why = f" ({self.problems[0]})" if self.problems else ""
            raise CaptureError(
                f"{folders}: found a directory without captures{why}: want at least one"
            )
        if (more := self.counts.skipped_files - _SKIPPED_TOLD) > 0:
            self.counts.problems.append(f"{more:,} more files look like captures and are not read")
        self._waiting.sort(key=lambda entry: (entry.first_ts_ns, entry.path), reverse=True)

    def _pass_over(self, path: str, error: CaptureError) -> None:
        """Tell of a folder's file that gives nothing, unless it is plainly no capture."""
        damage: Damage | None = Damage.UNREADABLE
        if isinstance(error, NotACapture):
            if not (error.is_known or is_named_as_capture(path)):
                return
            damage = error.damage
        if damage is not None:
            self._note(damage, str(error))
            return
        self.counts.skipped_files += 1
        if self.counts.skipped_files <= _SKIPPED_TOLD:
            self.counts.problems.append(f"{error}; it is passed over")

    def _look(self, path: str) -> _Waiting:
        can_reopen = is_regular(path)
        # A file that is only looked at describes its interfaces to nobody and buffers little.
        table = InterfaceTable() if can_reopen else self._interfaces
        file = self._open(path, table, _LOOK_BYTES if can_reopen else self._block_bytes)
        piece = file.read(1 if can_reopen else self._batch_frames)
        first_ts_ns = int(piece[1][0]["ts_ns"]) if piece else at.INT64_MAX
        self._link_types += file.link_types[:_LINK_TYPES_TRIED]
        if can_reopen:
            file.close()
            return _Waiting(first_ts_ns, path, None, None)
        return _Waiting(first_ts_ns, path, file, piece)

    def _open_next(self) -> None:
        entry = self._waiting.pop()
        self._opened += 1
        try:
            file = entry.file or self._open(entry.path, self._interfaces, self._block_bytes)
        except CaptureError as error:
            # It was there when the source was opened: what came before stays good.
            self._note(Damage.UNREADABLE, str(error))
            return
        run = _Run(self._opened, file)
        run.fill(entry.piece)
        self._runs.append(run)

    def _open(self, path: str, table: InterfaceTable, block_bytes: int) -> CaptureFile:
        return CaptureFile(path, table, block_bytes, self._stopped)

    def _note(self, reason: Damage, text: str) -> None:
        self.counts.damaged_files[reason] += 1
        self.counts.problems.append(text)

    def _refill(self) -> None:
        """See that every run has frames, and let go of those that have none left."""
        fair = self._batch_frames // max(1, len(self._runs))
        ahead = max(fair, min(_READ_MIN_FRAMES, self._batch_frames))
        for run in [run for run in self._runs if len(run.frames) == 0]:
            is_filled = run.fill(run.file.read(ahead))
            for name, counted in run.counted.items():
                run.counted[name] = getattr(run.file, name)
                more = run.counted[name] - counted
                setattr(self.counts, name, getattr(self.counts, name) + more)
            if not is_filled:
                if run.file.damage is not None:
                    self._note(*run.file.damage)
                if lost := run.file.recorder_dropped:
                    self.counts.problems.append(
                        f"{run.file.path}: whoever recorded it says that {lost:,} packets were lost"
                    )
                self._done_bytes += run.file.consumed_bytes
                run.file.close()
                self._runs.remove(run)

    def _merged(self) -> Piece | None:
        """The next frames in canonical order; None where the next file must be opened first.

        Every run has frames. Safe to hand over is what comes before the horizon: the earliest
        place where a frame that was not read yet may belong.
        """
        horizon = min((run.last_key, run.order) for run in self._runs)
        if self._waiting:
            horizon = min(horizon, (self._waiting[-1].first_ts_ns, self._opened + 1))
        ready = [(run, n) for run in self._runs if (n := run.ready(horizon)) > 0]
        if not ready:
            return None
        if len(ready) == 1:
            run, n = ready[0]
            return run.take(min(n, self._batch_frames))
        return self._gathered(ready)

    def _gathered(self, ready: list[tuple[_Run, int]]) -> Piece:
        """Copy the first of the frames that are ready side by side into one buffer."""
        keys = np.concatenate([run.keys[:n] for run, n in ready])
        captured = np.concatenate([run.frames["captured_bytes"][:n] for run, n in ready])
        # Runs stand in the order of their files, and the sort is stable: ties need no more.
        order = np.argsort(keys, kind="stable")[: self._batch_frames]
        ends = np.cumsum(captured[order], dtype=np.int64)
        n_all = max(1, int(np.searchsorted(ends, _GATHERED_BYTES, "right")))
        order, ends = order[:n_all], ends[:n_all]
        rank = np.full(len(keys), -1, np.int64)
        rank[order] = np.arange(n_all)
        starts = ends - captured[order]
        buffer = np.empty(int(ends[-1]), np.uint8)
        merged = np.empty(n_all, FRAME)
        lo = 0
        for run, n in ready:
            mine = rank[lo : lo + n]
            mine = mine[mine >= 0]  # the first of the run: its keys never fall
            data, frames = run.take(len(mine))
            gather(data, frames, starts[mine], buffer)
            merged[mine] = frames
            lo += n
        merged["start"] = starts
        return read_only(buffer), merged


def open_captures(
    paths: Sequence[str],
    *,
    batch_frames: int = 8192,
    stopped: Callable[[], bool] = never,
    filter: str | None = None,
) -> FileSource:
    """Open capture files as one source, recognised by their first bytes and not by their names.

    Parameters
    ----------
    paths : sequence of str
        Files, directories (all captures in them), "-" for standard input.
    batch_frames : int
        Most frames in a batch.
    stopped : callable
        Asked while a pipe is silent; True ends the source as if the pipe had.
    filter : str or None
        Hand over only what matches, in the language of pcap-filter(7); the rest is counted.

    Returns
    -------
    FileSource
        Frames in canonical order: by time, files that tie by name.

    Raises
    ------
    CaptureError
        One of them cannot be read or is not a capture: the message says what was found.
    ConfigError
        The filter can be compiled for no link type of the files, nor for Ethernet.
    """
    names = [os.fspath(path) for path in paths]
    return FileSource(names, batch_frames=batch_frames, stopped=stopped, filter=filter)

"""The corridor: carries parcels from room to room, and is the only place that knows the rooms.

Live and replay take the same path; only the source differs.

    FrameBatch -> PACKET, LINK, FLOW -> FeatureBatch a view -> Scores a bundle -> Alert
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapwatch.alerts import Policy
from tapwatch.capture import Source
from tapwatch.config import Config
from tapwatch.decode import Decoder
from tapwatch.detect import Scorer, Shadow
from tapwatch.features import VIEWS, View
from tapwatch.features.sequences.views import ViewSequences
from tapwatch.flows import FlowTable, describe
from tapwatch.ledger import ViewCounts
from tapwatch.ledger import imbalances as imbalances
from tapwatch.tables import Alert, Drift, FeatureBatch, FrameBatch, Scores, Tally, Traffic

#: Rows that came out at the same packet time are judged in this order: first those of views that
#: come out on ticks, view by view, then packets, by frame.
_PACKET_VIEWS = frozenset({"packet", "afterimage", "afterimage_115"})
_RANK = {view: len(VIEWS) if view in _PACKET_VIEWS else k for k, view in enumerate(VIEWS)}

#: Rows of a view that are scored and judged at once: what explains an alert takes far more memory
#: than the row, and a flood can end a table full of flows in one second.
_PART_ROWS = 16_384


class Watch(Protocol):
    """Measures how long a stage is busy; the rooms read no clock."""

    def __call__(self, stage: str, /) -> AbstractContextManager[object]:
        """Measure what is done inside the `with`."""
        ...


class Sink(Protocol):
    """Where alerts go."""

    def write(self, told: Sequence[Alert | Drift], /) -> None:
        """Take alerts and events of drift, in order."""
        ...


def no_watch(_stage: str) -> AbstractContextManager[object]:
    """Measure nothing."""
    return nullcontext()


class Corridor:
    """From frames to feature rows.

    Parameters
    ----------
    config : Config
    views : sequence of str
        Names of the views to build.
    dtype : numpy dtype
        float32 for models, float64 for files.
    workers : int
        Threads that share the flow table; the rows do not depend on it.
    """

    def __init__(
        self,
        config: Config,
        views: Iterable[str],
        *,
        dtype: type[np.floating[Any]] = np.float32,
        workers: int = 1,
        watch: Watch = no_watch,
    ) -> None:
        self.decoder = Decoder(config.decode)
        self.views: dict[str, View] = {name: VIEWS[name](dtype, config) for name in views}
        is_wanted = any(view.needs_tcp_analysis for view in self.views.values())
        conversations = config.conversations if is_wanted else None
        self.flows = FlowTable(config.flows, workers=workers, conversations=conversations)
        self._watch = watch

    def carry(self, frames: FrameBatch) -> dict[str, FeatureBatch]:
        """Turn one batch of frames into the rows of each view that came out of it."""
        with self._watch("decode"):
            packets = self.decoder.decode(frames)
        with self._watch("flows"):
            update = self.flows.update(packets, frames.until_ns)
        with self._watch("features"):
            traffic = Traffic(
                frames.data,
                packets,
                update.links,
                update.ended,
                frames.until_ns,
                frames.frames,
                update.released,
            )
            return {name: view.update(traffic) for name, view in self.views.items()}

    def finish(self) -> Iterator[dict[str, FeatureBatch]]:
        """The source has ended: yield the rows of what is still open, in pieces."""
        with self._watch("flows"):
            pieces = self.flows.finish()
        while True:
            with self._watch("flows"):
                ended = next(pieces, None)
            if ended is None:
                break
            with self._watch("features"):
                made = {name: view.finish(ended) for name, view in self.views.items()}
            yield made
        with self._watch("features"):
            made = {name: view.close() for name, view in self.views.items()}
        yield made

    def tallies(self) -> list[Tally]:
        """Counts of the rooms that packets pass through."""
        rooms: tuple[Any, ...] = (self.decoder, self.flows, *self.views.values())
        return [tally for room in rooms for tally in room.tallies()]


def extract(
    source: Source, corridor: Corridor, view: str, stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[FeatureBatch, int]]:
    """Yield the rows of one view with the time up to which the source has been read, in ns.

    The last items come with the rows of the flows that were open at the end.
    """
    until_ns = 0
    while not stopped() and (frames := source.read()) is not None:
        until_ns = frames.until_ns
        yield corridor.carry(frames)[view], until_ns
    for made in corridor.finish():
        yield made[view], until_ns


class House:
    """From frames to alerts: the corridor, the bundles at its end, the policy and the sinks."""

    def __init__(
        self,
        config: Config,
        source: Source,
        scorers: Sequence[Scorer],
        sinks: Sequence[Sink],
        *,
        workers: int = 1,
        watch: Watch = no_watch,
        shadows: Sequence[Shadow] = (),
    ) -> None:
        self.source = source
        self.scorers = scorers
        self.shadows = shadows  # each of a view that has a scorer
        self.sinks = sinks
        views = tuple(dict.fromkeys(scorer.view for scorer in scorers))
        self.policy = Policy(config.alerts, {(s.view, s.detector) for s in scorers})
        self.corridor = Corridor(config, views, workers=workers, watch=watch)
        self.counts = {view: ViewCounts() for view in views}
        self.span_ns: tuple[int, int] | None = None  # earliest and latest time stamp
        models = (*scorers, *(shadow.scorer for shadow in shadows))
        wanted = {(model.view, model.sequence_rows) for model in models}
        self._sequences = ViewSequences(
            [(self.corridor.views[view].schema, n) for view, n in sorted(wanted)], config
        )
        self._held: dict[str, list[FeatureBatch]] = {view: [] for view in views}
        self._max_rows = config.detect.max_rows
        self._watch = watch

    def carry(self, frames: FrameBatch) -> None:
        """Take one batch through all rooms; score when a micro-batch is full or on flush."""
        if len(frames):
            ts_ns = frames.frames["ts_ns"]
            first, last = self.span_ns or (int(ts_ns[0]), int(ts_ns[0]))
            self.span_ns = min(first, int(ts_ns.min())), max(last, int(ts_ns.max()))
        self._hold(self.corridor.carry(frames))
        if frames.flush or self._is_full():
            self._settle()

    def close(self) -> None:
        """The source has ended: score and report what is still open."""
        for made in self.corridor.finish():
            self._hold(made)
            if self._is_full():
                self._settle()
        self._settle()

    def _is_full(self) -> bool:
        return any(sum(map(len, held)) >= self._max_rows for held in self._held.values())

    def _hold(self, batches: Mapping[str, FeatureBatch]) -> None:
        for view, batch in batches.items():
            self._held[view].append(batch)
            self.counts[view].rows += len(batch)
            self.counts[view].held += len(batch)

    def _settle(self) -> None:
        # All views are scored up to the same packet time, so that the order in which rows are
        # judged, and with it hold-down and rate limit, does not depend on how rows were batched.
        held = {view: _join(batches) for view, batches in self._held.items() if batches}
        for batches in self._held.values():
            batches.clear()
        for part in in_parts(held, min(_PART_ROWS, self._sequences.part_rows)):
            self._settle_part(part)

    def _settle_part(self, part: Mapping[str, FeatureBatch]) -> None:
        with self._watch("detect"):
            blocks = self._sequences.update(part)
            scores = [
                s.score(blocks[s.view, s.sequence_rows])
                for s in self.scorers
                if len(part.get(s.view, ()))
            ]
            for shadow in self.shadows:
                live = [score.flagged for score in scores if score.view == shadow.view]
                if live:
                    batch = blocks[shadow.view, shadow.scorer.sequence_rows]
                    shadow.compare(batch, np.logical_or.reduce(live))
        for view, batch in part.items():
            self.counts[view].held -= len(batch)
            self.counts[view].scored += len(batch)
        with self._watch("alerts"):
            told = self._judge(scores)
            for sink in self.sinks:
                sink.write(told)

    def _judge(self, scores: Sequence[Scores]) -> list[Alert | Drift]:
        """Alerts and events of drift of all views, in the order of packet time."""
        flagged = []  # an event comes after the alert of its row
        for bundle, score in enumerate(scores):
            positions = np.flatnonzero(score.flagged)
            order_ns = score.rows["order_ns"][positions].tolist()
            rank = _RANK[score.view]
            for k, (at_ns, position) in enumerate(zip(order_ns, positions.tolist(), strict=True)):
                flagged.append((at_ns, rank, position, bundle, False, k))
            for k, drift in enumerate(score.drifts):
                at_ns = int(score.rows["order_ns"][drift.row])
                flagged.append((at_ns, rank, drift.row, bundle, True, k))
        if not flagged:
            return []
        interfaces = self.source.interfaces
        found = (
            scores[bundle].drifts[k]
            if is_drift
            else self.policy.judge(scores[bundle], k, describe, interfaces)
            for _, _, _, bundle, is_drift, k in sorted(flagged)
        )
        return [told for told in found if told is not None]

    def tallies(self) -> list[Tally]:
        """Counts of all rooms, for the window."""
        rooms: tuple[Any, ...] = (
            self.source,
            self.corridor,
            self._sequences,
            *self.scorers,
            *self.shadows,
            self.policy,
        )
        sinks = (sink for sink in self.sinks if hasattr(sink, "tallies"))
        return [tally for room in (*rooms, *sinks) for tally in room.tallies()]

    def summary(self) -> dict[str, Any]:
        """The ledger: what became of every packet, flow and row so far (design of `--summary`)."""
        capture, decoder, flows = self.source.counts, self.corridor.decoder, self.corridor.flows
        made: dict[str, Any] = {
            "schema": 1,
            "capture": {
                "packets": capture.packets,
                "bytes": capture.bytes,
                "dropped": capture.dropped,
                "filtered": capture.filtered,
                "recorder_dropped": capture.recorder_dropped,
                "truncated_files": capture.truncated_files,
                "skipped_files": capture.skipped_files,
            },
            "decode": dict(decoder.counts),
            "flows": flows.counts,
            "views": {view: asdict(counts) for view, counts in self.counts.items()},
            "alerts": {"raised": self.policy.raised, "suppressed": self.policy.suppressed},
        }
        if (kernel := capture.kernel) is not None:
            made["capture"] |= {
                "kernel_packets": kernel.packets,
                "loopback_copies": kernel.loopback_copies,
                "unread": kernel.unread,
            }
        if real := [scorer for scorer in self.scorers if isinstance(scorer, Scorer)]:
            made["drift"] = {scorer.title: scorer.drift for scorer in real}
        if self.shadows:
            made["shadow"] = {s.scorer.title: {"view": s.view, **s.counts()} for s in self.shadows}
        made["ledger_balanced"] = not imbalances(made)
        return made


def in_parts(held: Mapping[str, FeatureBatch], n_rows: int) -> Iterator[Mapping[str, FeatureBatch]]:
    """Yield the rows of all views in parts of at most `n_rows` a view, at least one part.

    All rows of a part are judged before those of the next: (order_ns, rank of the view, position),
    as in one part.
    """
    starts = dict.fromkeys(held, 0)
    while True:
        ends = _part_ends(held, starts, n_rows)
        yield {
            view: FeatureBatch(
                batch.schema,
                batch.values[starts[view] : ends[view]],
                batch.rows[starts[view] : ends[view]],
            )
            for view, batch in held.items()
        }
        if all(ends[view] == len(batch) for view, batch in held.items()):
            break
        starts = ends


def _part_ends(
    held: Mapping[str, FeatureBatch], starts: Mapping[str, int], n_rows: int
) -> dict[str, int]:
    # The next part begins with the earliest of the rows that are one too many in their view.
    borders = [
        (int(batch.rows["order_ns"][starts[view] + n_rows]), _RANK[view], starts[view])
        for view, batch in held.items()
        if len(batch) > starts[view] + n_rows
    ]
    if not borders:
        return {view: len(batch) for view, batch in held.items()}
    border_ns, rank, start = min(borders)
    ends = {}
    for view, batch in held.items():
        order_ns = batch.rows["order_ns"]
        first, last = (
            int(np.searchsorted(order_ns, border_ns, side)) for side in ("left", "right")
        )
        position = min(max(start + n_rows, first), last)
        mine = _RANK[view]
        ends[view] = position if mine == rank else (first if mine > rank else last)
    return ends


def _join(batches: Sequence[FeatureBatch]) -> FeatureBatch:
    if len(batches) == 1:
        return batches[0]
    values: NDArray[Any] = np.concatenate([batch.values for batch in batches])
    rows = np.concatenate([batch.rows for batch in batches])
    return FeatureBatch(batches[0].schema, values, rows)


def run(
    source: Source,
    house: House,
    stopped: Callable[[], bool],
    on_batch: Callable[[FrameBatch], None] = lambda _: None,
    watch: Watch = no_watch,
) -> None:
    """Carry parcels from room to room until the source ends or `stopped()`."""
    while not stopped():
        with watch("capture"):
            frames = source.read()
        if frames is None:
            break
        house.carry(frames)
        on_batch(frames)
    house.close()

"""Tallies as Prometheus metrics.

A scrape comes from another thread, at any time. It reads the last *published* snapshot, a copy that
the corridor made between two batches; so a scrape never sees counts that were half updated.
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tapwatch import __version__
from tapwatch.errors import TapwatchError
from tapwatch.tables import Histogram, Tally

PREFIX: Final = "tapwatch_"
#: Between two snapshots that nobody insisted on; Prometheus scrapes every few seconds at most.
_PUBLISH_INTERVAL_S: Final = 0.2

Room = Callable[[], Iterable[Tally]]
Value = float | Histogram


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the rooms said at one moment."""

    families: tuple[Tally, ...] = ()
    status: Mapping[str, object] | None = None


class TallyCollector(Collector):
    """Serves the last snapshot of what all rooms count.

    Parameters
    ----------
    rooms : sequence of callables
        Each returns the tallies of a room; called only by `publish`, in the caller's thread.
    status : callable or None
        Returns the summary that the status page shows, a mapping that may hold mappings.
    """

    def __init__(
        self, rooms: Sequence[Room], status: Callable[[], Mapping[str, object]] | None = None
    ) -> None:
        self._rooms = (*rooms, build_tallies)
        self._status = status
        self._published_s = float("-inf")
        self.snapshot = Snapshot()
        self.publish()

    def add(self, room: Room) -> None:
        """Take one more room, and publish."""
        self._rooms = (*self._rooms, room)
        self.publish()

    def publish(self, *, is_over: bool = False) -> None:
        """Make what the rooms count at this moment the next scrape's answer.

        With `is_over` the time of the last turn is left out: no other turn is to be expected.

        Raises
        ------
        TapwatchError
            Two rooms use one name for different things.
        """
        families: dict[str, Tally] = {}
        rooms = self._rooms if is_over else (*self._rooms, turn_tallies)
        for room in rooms:
            for tally in room():
                known = families.get(tally.name)
                families[tally.name] = _frozen(tally) if known is None else _joined(known, tally)
        status = dict(self._status()) if self._status is not None else None
        if status is not None and "ledger_balanced" in status:
            balanced = ledger_tally(bool(status["ledger_balanced"]))
            families[balanced.name] = balanced
        # One assignment: a scrape holds either the snapshot before or this one.
        self.snapshot = Snapshot(tuple(families.values()), status)
        self._published_s = time.monotonic()

    def publish_when_due(self) -> None:
        """Publish, unless that was done a moment ago: cheap enough to be called for each batch."""
        if time.monotonic() - self._published_s >= _PUBLISH_INTERVAL_S:
            self.publish()

    def collect(self) -> Iterable[Metric]:
        """Yield a metric family for each tally of the snapshot."""
        return [_family(tally) for tally in self.snapshot.families]


def registry_of(collector: TallyCollector) -> CollectorRegistry:
    """A registry with our metrics and those of the process and its garbage collector."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def build_tallies() -> list[Tally]:
    """Which tapwatch this is."""
    return [
        Tally(
            "build_info",
            "gauge",
            "The version that runs; always 1.",
            ("version", "python"),
            {(__version__, platform.python_version()): 1},
        )
    ]


def turn_tallies() -> list[Tally]:
    """When the main loop went round; in a snapshot that gets old, it stands still."""
    return [
        Tally(
            "pipeline_last_turn_timestamp_seconds",
            "gauge",
            "When the main loop last went round; absent when the run is over (--linger).",
            (),
            {(): time.time()},
        )
    ]


def ledger_tally(is_balanced: bool) -> Tally:
    """Whether every packet is accounted for."""
    return Tally(
        "ledger_balanced",
        "gauge",
        "1 while every packet is accounted for at every stage.",
        (),
        {(): float(is_balanced)},
    )


def _frozen(tally: Tally) -> Tally:
    values: dict[tuple[str, ...], Value] = {
        labels: _copied(value) for labels, value in tally.values.items()
    }
    return Tally(tally.name, tally.kind, tally.help, tally.labels, values)


def _copied(value: Value) -> Value:
    if isinstance(value, Histogram):
        return Histogram(value.edges, value.counts.copy(), float(value.total))
    return float(value)


def _joined(known: Tally, other: Tally) -> Tally:
    """One family out of two: series of both; counts of one series add up, a gauge's last wins."""
    if (known.kind, known.labels) != (other.kind, other.labels):
        raise TapwatchError(
            f"metric {PREFIX}{known.name}: one room counts a {known.kind} by {known.labels}, "
            f"another a {other.kind} by {other.labels}"
        )
    values = dict(known.values)
    for labels, value in other.values.items():
        before = values.get(labels)
        add = before is not None and known.kind != "gauge"
        values[labels] = _sum(before, value) if add and before is not None else _copied(value)
    return Tally(known.name, known.kind, known.help, known.labels, values)


def _sum(one: float | Histogram, two: Value) -> Value:
    if isinstance(one, Histogram) and isinstance(two, Histogram):
        return Histogram(one.edges, one.counts + two.counts, one.total + two.total)
    assert not isinstance(one, Histogram)
    assert not isinstance(two, Histogram)
    return float(one) + float(two)


def _family(tally: Tally) -> Metric:
    name = PREFIX + tally.name
    if tally.kind == "histogram":
        return _histogram_family(name, tally)
    kind = CounterMetricFamily if tally.kind == "counter" else GaugeMetricFamily
    family = kind(name, tally.help, labels=tally.labels)
    for labels, value in tally.values.items():
        assert not isinstance(value, Histogram)
        family.add_metric(labels, value)
    return family


def _le(edge: float) -> str:
    return str(floatToGoString(edge))  # type: ignore[no-untyped-call]


def _histogram_family(name: str, tally: Tally) -> Metric:
    family = HistogramMetricFamily(name, tally.help, labels=tally.labels)
    for labels, value in tally.values.items():
        assert isinstance(value, Histogram)
        edges = [*(_le(edge) for edge in value.edges), "+Inf"]
        counts = np.cumsum(value.counts).tolist()
        buckets = [[edge, float(count)] for edge, count in zip(edges, counts, strict=True)]
        family.add_metric(labels, buckets, sum_value=value.total)  # type: ignore[arg-type]
    return family

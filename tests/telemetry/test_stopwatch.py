"""Busy time by stage."""

import pytest

from tapwatch.telemetry import Stopwatch, stopwatch


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.wall_ns = self.cpu_ns = 0

    def perf_counter_ns(self) -> int:
        """Wall time."""
        return self.wall_ns

    def process_time_ns(self) -> int:
        """CPU time."""
        return self.cpu_ns


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when told."""
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


def test_adds_up_what_happens_inside(clock):
    """Each stage by itself; what is outside counts for none."""
    watch = Stopwatch()
    for stage, seconds in (("decode", 2), ("flows", 3), ("decode", 4)):
        clock.wall_ns += 10**10
        with watch(stage):
            clock.wall_ns += seconds * 10**9
    clock.cpu_ns += 5 * 10**9

    assert (watch.busy_s["decode"], watch.busy_s["flows"], watch.busy_s["alerts"]) == (6, 3, 0)
    assert (watch.wall_s, watch.cpu_s) == (39, 5)


def test_workers_count_for_the_whole(clock):
    """Two threads are busy twice as long as one."""
    watch = Stopwatch()
    for worker in (watch, watch.worker(), watch.worker()):
        with worker("decode"):
            clock.wall_ns += 10**9

    assert watch.busy_s["decode"] == 3
    [tally] = watch.tallies()
    assert tally.values[("decode",)] == 3
    assert set(tally.values) == {(stage,) for stage in stopwatch.STAGES}


def test_counts_also_when_the_stage_fails(clock):
    """Time spent before an exception was spent."""
    watch = Stopwatch()

    def fail():
        with watch("decode"):
            clock.wall_ns += 10**9
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()

    assert watch.busy_s["decode"] == 1


def test_an_unknown_stage_is_refused():
    """A stage's name becomes a label, so there is a list of them."""
    with pytest.raises(KeyError):
        Stopwatch()("surprise")

"""How long each stage was busy. Rooms read no clock; the corridor holds this one for them."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from tapwatch.tables import Tally

STAGES: Final = ("capture", "decode", "flows", "features", "detect", "alerts")


class _Stage:
    """Adds up what happens inside its `with`; one thread at a time, not nested in itself."""

    __slots__ = ("_began_ns", "busy_ns")

    def __init__(self) -> None:
        self.busy_ns = 0
        self._began_ns = 0

    def __enter__(self) -> Self:
        self._began_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.busy_ns += time.perf_counter_ns() - self._began_ns


class Stopwatch:
    """Busy time by stage, and wall and CPU time since it was made, or told to begin.

    A thread of its own takes a `worker()`, whose time counts here.

    Parameters
    ----------
    stages : sequence of str
        Stages that are there from the start; a stage not among them is a KeyError, for its name
        would become a label.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch("decode"):
    ...     pass
    >>> watch.busy_s["decode"] >= 0.0
    True
    """

    def __init__(self, stages: Sequence[str] = STAGES) -> None:
        self._stages = {stage: _Stage() for stage in stages}
        self._workers: list[Stopwatch] = []
        self.begin()

    def begin(self) -> None:
        """Count wall and CPU time from here."""
        self._wall_ns = time.perf_counter_ns()
        self._cpu_ns = time.process_time_ns()

    def __call__(self, stage: str) -> _Stage:
        """Measure what is done inside the `with`."""
        return self._stages[stage]

    def worker(self) -> "Stopwatch":
        """A stopwatch for another thread; its busy time is part of ours."""
        made = Stopwatch(tuple(self._stages))
        self._workers.append(made)
        return made

    @property
    def busy_s(self) -> dict[str, float]:
        """Busy seconds by stage, over all workers."""
        busy = {stage: record.busy_ns / 1e9 for stage, record in self._stages.items()}
        for worker in self._workers:
            for stage, seconds in worker.busy_s.items():
                busy[stage] += seconds
        return busy

    @property
    def wall_s(self) -> float:
        """Seconds since this stopwatch began."""
        return (time.perf_counter_ns() - self._wall_ns) / 1e9

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the whole process since this stopwatch began."""
        return (time.process_time_ns() - self._cpu_ns) / 1e9

    def tallies(self) -> list[Tally]:
        """Busy time for the window."""
        return [
            Tally(
                "stage_seconds_total",
                "counter",
                "Time that a stage was busy.",
                ("stage",),
                {(stage,): seconds for stage, seconds in self.busy_s.items()},
            )
        ]

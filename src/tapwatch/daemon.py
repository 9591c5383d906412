"""Process life: what is opened and closed around a run, and the signals that end it."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from tapwatch.capture import Source
from tapwatch.config import Config
from tapwatch.detect import Scorer, load_bundle
from tapwatch.errors import ConfigError, TapwatchError
from tapwatch.features import SCHEMAS
from tapwatch.pipeline import House, Sink, imbalances, run
from tapwatch.telemetry import Stopwatch


class StopSignal:
    """SIGTERM and SIGINT ask for a drain: what was read is scored, reported and summed up.

    A second signal means at once: the process ends with 128 + the signal's number, and no summary.
    Use as a context manager around the run; the handlers that were there come back at the end.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __call__(self) -> bool:
        """True from the first signal on."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """130 where the user interrupted; 0 after SIGTERM, which is an ordinary end."""
        return 130 if self.received == signal.SIGINT else 0

    def wait(self, seconds: float) -> None:
        """Sleep that long, or until a signal."""
        until_s = time.monotonic() + seconds
        while not self() and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = signal.Signals(number)


def load_scorers(directories: Sequence[Path], config: Config) -> list[Scorer]:
    """Load and verify every bundle.

    Raises
    ------
    ArtifactError
        A bundle is damaged or was made for another schema.
    ConfigError
        Two bundles have one name: their metrics could not be told apart.
    """
    bundles = [load_bundle(directory, SCHEMAS) for directory in directories]
    seen: dict[tuple[str, str, str], Path] = {}
    for directory, bundle in zip(directories, bundles, strict=True):
        key = (bundle.view, bundle.detector.name, bundle.name)
        if key in seen:
            raise ConfigError(
                "--bundle",
                str(directory),
                f"a bundle with a name of its own, not {bundle.name!r} as {seen[key]} has",
                "their metrics could not be told apart",
            )
        seen[key] = directory
    return [Scorer(bundle, config.detect.max_rows) for bundle in bundles]


@dataclass(frozen=True, slots=True)
class Window:
    """Where metrics are served, and for how long after the end."""

    listen: str
    linger_s: float
    said: Callable[[str], None]  # told the address, and when the run has ended


def monitor(
    source: Source,
    scorers: Sequence[Scorer],
    sinks: Sequence[Sink],
    config: Config,
    *,
    stopped: StopSignal,
    workers: int = 1,
    window: Window | None = None,
    on_batch: Callable[[], None] = lambda: None,
    on_summary: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Run one source through the house until it ends or a signal comes.

    Returns
    -------
    summary : dict
        The ledger with times and rates, as `--summary` writes it. It is handed to `on_summary`
        before the final metrics are served for `window.linger_s`.
    """
    watch = Stopwatch()
    house = House(config, source, scorers, sinks, workers=workers, watch=watch)
    if window is None:
        run(source, house, stopped, lambda _: on_batch(), watch)
        summary = _summary(house, watch)
        on_summary(summary)
        return summary

    # Costs a tenth of a second to import: only who listens pays.
    from tapwatch.telemetry.collector import TallyCollector
    from tapwatch.telemetry.http import serve

    collector = TallyCollector([house.tallies, watch.tallies], house.summary)
    with serve(window.listen, collector, config.telemetry, key="--listen") as server:
        server.is_ready = True
        window.said(f"metrics on {server.url}/metrics")

        def publish() -> None:
            collector.publish_when_due()
            on_batch()

        run(source, house, stopped, lambda _: publish(), watch)
        summary = _summary(house, watch)
        collector.publish()
        on_summary(summary)
        if window.linger_s and not stopped():
            window.said(f"done; the metrics stay for {window.linger_s:g} s (--linger)")
            stopped.wait(window.linger_s)
    return summary


def _summary(house: House, watch: Stopwatch) -> dict[str, Any]:
    wall_s, packets = watch.wall_s, house.source.counts.packets
    first_ns, last_ns = house.span_ns or (0, 0)
    summary = house.summary()
    summary["seconds"] = {
        "wall": round(wall_s, 3),
        "cpu": round(watch.cpu_s, 3),
        "captured": round((last_ns - first_ns) / 1e9, 9),
        "busy": {stage: round(seconds, 3) for stage, seconds in watch.busy_s.items()},
    }
    summary["packets_per_second"] = round(packets / wall_s, 1) if wall_s > 0 else 0.0
    return summary


def check_ledger(summary: dict[str, Any]) -> None:
    """Raise where the ledger does not balance: that is a fault of ours, and nothing to be quiet of.

    Raises
    ------
    TapwatchError
        Names every equation that does not hold.
    """
    if broken := imbalances(summary):
        raise TapwatchError("the packet ledger does not balance:\n" + "\n".join(broken))

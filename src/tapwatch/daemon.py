"""Process life: what is opened and closed around a run."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapwatch.capture import MemorySource, Source
from tapwatch.config import Config
from tapwatch.detect import Bundle, Scorer, Shadow, load_bundle
from tapwatch.errors import ConfigError, TapwatchError
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import settings_of
from tapwatch.pipeline import House, Sink, imbalances, run
from tapwatch.signals import StopSignal
from tapwatch.telemetry import Stopwatch


def load_scorers(directories: Sequence[Path], config: Config) -> list[Scorer]:
    """Load and verify every bundle.

    Raises
    ------
    ArtifactError
        A bundle is damaged, or was made for another schema or configuration.
    ConfigError
        Two bundles have one name: their metrics could not be told apart.
    """
    return [scorer for _, scorer in _load("--bundle", directories, config, {})]


def load_all(
    bundles: Sequence[Path], shadows: Sequence[Path], config: Config
) -> tuple[list[Scorer], list[Shadow]]:
    """Load the live bundles and those on trial, as `load_scorers` and `load_shadows` do."""
    scorers = load_scorers(bundles, config)
    return scorers, load_shadows(shadows, dict(zip(bundles, scorers, strict=True)), config)


def warn(
    scorers: Sequence[Scorer],
    trials: Sequence[Shadow],
    filter_text: str | None,
    told: Callable[[str], None],
) -> None:
    """Tell which bundles have learnt from other packets, and which cannot flag a row."""
    loaded = [*scorers, *(trial.scorer for trial in trials)]
    for warning in (*filter_warnings(loaded, filter_text), *blind_warnings(loaded)):
        told(f"warning: {warning}")


def filter_warnings(scorers: Sequence[Scorer], filter_text: str | None) -> list[str]:
    """Say which bundles have learnt from other packets than a run takes.

    Rows of hosts and rates depend on every packet that is let through, and so does a threshold. A
    filter is compared as text, but for its spaces: two that mean the same may differ. Rows of a
    published table are of packets that nobody can know.
    """
    told = []
    for scorer in scorers:
        training = scorer.bundle.manifest.training
        trained = training.filter
        if any(source.kind for source in training.inputs):
            continue
        if _spaced(trained) != _spaced(filter_text):
            told.append(
                f"bundle {scorer.bundle.name} was trained on {_packets(trained)}, and this run "
                f"takes {_packets(filter_text)}: its threshold is that of other rows"
            )
    return told


def blind_warnings(scorers: Sequence[Scorer]) -> list[str]:
    """Say of which bundles no row can be above the threshold."""
    return [
        f"bundle {bundle.name} can flag no row: its threshold is {bundle.threshold:g}, and no "
        f"error of {bundle.detector.name} is above {bundle.detector.most_error:g}; train it again"
        for bundle in (scorer.bundle for scorer in scorers)
        if bundle.threshold >= bundle.detector.most_error
    ]


def _spaced(filter_text: str | None) -> str:
    return " ".join((filter_text or "").split())


def _packets(filter_text: str | None) -> str:
    text = _spaced(filter_text)
    return f"packets that match {text!r}" if text else "all packets"


def load_shadows(
    directories: Sequence[Path], live: Mapping[Path, Scorer], config: Config
) -> list[Shadow]:
    """Load and verify bundles on trial.

    Parameters
    ----------
    directories : sequence of Path
    live : mapping of directory to Scorer
        The bundles that they are scored beside.

    Raises
    ------
    ArtifactError
        A bundle is damaged, or was made for another schema or configuration.
    ConfigError
        One has the name of another, or is of a view that no live bundle scores.
    """
    taken = {_labels(scorer.bundle): directory for directory, scorer in live.items()}
    views = sorted({scorer.view for scorer in live.values()})
    shadows = []
    for directory, scorer in _load("--shadow", directories, config, taken):
        if scorer.view not in views:
            want = f"a bundle of view {' or '.join(views)}"
            raise ConfigError(
                "--shadow", str(directory), want, f"it is of {scorer.view}, which no --bundle has"
            )
        shadows.append(Shadow(scorer))
    return shadows


def _labels(bundle: Bundle) -> tuple[str, str, str]:
    return (bundle.view, bundle.detector.name, bundle.name)


def _load(
    option: str,
    directories: Sequence[Path],
    config: Config,
    taken: Mapping[tuple[str, str, str], Path],
) -> list[tuple[Path, Scorer]]:
    """Bundles whose names are neither taken nor those of each other."""

    def settings(view: str) -> Mapping[str, object]:
        return settings_of(view, config)

    bundles = [load_bundle(directory, SCHEMAS, settings) for directory in directories]
    seen = dict(taken)
    for directory, bundle in zip(directories, bundles, strict=True):
        key = _labels(bundle)
        if key in seen:
            raise ConfigError(
                option,
                str(directory),
                f"a bundle with a name of its own, not {bundle.name!r} as {seen[key]} has",
                "their metrics could not be told apart: train it with --name, or change name in "
                "its bundle.json",
            )
        seen[key] = directory
    detect = config.detect
    return [
        (directory, Scorer(bundle, detect.max_rows, learn=detect.learn, config=detect))
        for directory, bundle in zip(directories, bundles, strict=True)
    ]


def live_config(config: Config) -> Config:
    """What a live tap makes of the file: a random hash seed, unless the file names one.

    Who does not know the seed cannot aim at one bucket of the flow table.
    """
    if "hash_seed" in config.flows.model_fields_set:
        return config
    flows = config.flows.model_copy(update={"hash_seed": secrets.randbits(63)})
    return config.model_copy(update={"flows": flows})


def warm(scorers: Sequence[Scorer], config: Config, workers: int) -> None:
    """Send two packets through a house like the one to come, so that no other has to wait.

    Loads the kernels, or compiles them, and the models; counts nothing.
    """
    udp = bytes.fromhex("0035003500080000")
    ip = bytes.fromhex("4500001c0000000040110000c0000201c0000202")
    frames = [(second * 10**9, bytes(12) + b"\x08\x00" + ip + udp) for second in (1, 100)]
    throwaway = [Scorer(scorer.bundle, config.detect.max_rows) for scorer in scorers]
    house = House(config, MemorySource(frames), throwaway, [], workers=workers)
    run(house.source, house, lambda: False)


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
    on_start: Callable[[], None] = lambda: None,
    on_batch: Callable[[], None] = lambda: None,
    on_summary: Callable[[dict[str, Any]], None] = lambda _: None,
    shadows: Sequence[Shadow] = (),
) -> dict[str, Any]:
    """Run one source through the house until it ends or a signal comes.

    A live source hears the signal itself: it lets nothing in any more, hands over what it holds,
    and ends. `on_start` is called when the address for the metrics is ours; it makes ready what is
    left, and the time of the run counts from its end.

    Returns
    -------
    summary : dict
        The ledger with times and rates, as `--summary` writes it. It is handed to `on_summary`
        before the final metrics are served for `window.linger_s`.
    """
    watch = Stopwatch()
    house = House(config, source, scorers, sinks, workers=workers, watch=watch, shadows=shadows)
    until: Callable[[], bool] = stopped if source.lossless else _never
    if window is None:
        on_start()
        watch.begin()
        run(source, house, until, lambda _: on_batch(), watch)
        summary = _summary(house, watch)
        on_summary(summary)
        return summary

    # Costs a tenth of a second to import: only who listens pays.
    from tapwatch.telemetry.collector import TallyCollector
    from tapwatch.telemetry.http import serve

    collector = TallyCollector([house.tallies, watch.tallies], house.summary)
    with serve(window.listen, collector, config.telemetry, key="--listen") as server:
        window.said(f"metrics on {server.url}/metrics")
        on_start()
        watch.begin()
        server.is_ready = True

        def publish() -> None:
            collector.publish_when_due()
            on_batch()

        run(source, house, until, lambda _: publish(), watch)
        summary = _summary(house, watch)
        collector.publish(is_over=True)
        on_summary(summary)
        if window.linger_s and not stopped():
            window.said(f"done; the metrics stay for {window.linger_s:g} s (--linger)")
            stopped.wait(window.linger_s)
    return summary


def _never() -> bool:
    return False


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

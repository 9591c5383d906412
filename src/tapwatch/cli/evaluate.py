"""tapwatch evaluate: a protocol, or alerts held against what really happened."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapwatch.cli import KernelCommand, options
from tapwatch.config import Config, load_config
from tapwatch.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from tapwatch.evaluation.episodes import Sighting
    from tapwatch.tables import Alert, Drift

_PATH = click.Path(path_type=Path)


@click.command("evaluate", cls=KernelCommand)
@click.argument("words", nargs=-1, metavar="PROTOCOL | CAPTURE...")
@click.option("--train", multiple=True, type=_PATH, metavar="FILE", help="To learn from.")
@click.option("--test", multiple=True, type=_PATH, metavar="FILE", help="To measure with.")
@click.option("--labels", type=_PATH, metavar="FILE", help="What happened, or what rows are.")
@click.option("--seeds", type=click.IntRange(1, 1000), metavar="N", help="0 to N - 1.")
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    metavar="NAME",
    help="Only these contenders of the protocol, by their name or their detector.",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="VIEW",
    help="Of a protocol that leaves it open; of capture it may be given again.",
)
@click.option(
    "--columns", multiple=True, metavar="NAME[,NAME]...", help="Of capture: learn from these only."
)
@click.option(
    "--drop", multiple=True, metavar="NAME[,NAME]...", help="Of capture: do not learn from these."
)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=_PATH,
    metavar="DIR",
    help="Trained model to score CAPTURE with; may be given again.",
)
@click.option(
    "--alerts",
    "alerts_file",
    type=_PATH,
    metavar="FILE.jsonl",
    help="Alerts that are there already, instead of bundles and captures.",
)
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    metavar="H",
    help="With --alerts: hours of traffic behind them, for the rate of false alerts.",
)
@click.option(
    "-o", "--output", type=_PATH, metavar="DIR", help="Write DIR/results.json and report.html."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@options.workers
@options.filter_text
@options.config_file
@click.option("--quiet", is_flag=True, help="No progress.")
def command(words: tuple[str, ...], **given: Any) -> None:
    """Measure detectors by a protocol, or hold alerts against what really happened.

    \b
    tapwatch evaluate PROTOCOL [--train FILE]... [--test FILE]... [--labels FILE] [--seeds N]
    tapwatch evaluate --labels TRUTH.csv --bundle DIR... CAPTURE...
    tapwatch evaluate --labels TRUTH.csv --alerts FILE.jsonl [--hours H]

    A protocol says how rows are split, which class is normal, and where the threshold comes from;
    every table has the floor of no learning beside it. PROTOCOL is seed-000, seed-001, seed-002,
    seed-003, seed-004, dagmm, goad, memstream, nsl-kdd, kdd99-official, capture, calibration, or
    own for data of your own. A capture of such a name is ./NAME.

    Without a protocol, say which episodes of TRUTH.csv were found, how soon, and which alerts were
    false. The alerts are those of a replay of CAPTURE with the bundles, or those of --alerts.
    """
    from tapwatch.evaluation.protocols import NAMES

    if words and words[0] in NAMES:
        from tapwatch.cli.measure import measure

        measure(words[0], words[1:], given)
        return
    _episodes(words, given)


def _episodes(captures: tuple[str, ...], given: Mapping[str, Any]) -> None:
    """Hold alerts against a truth file."""
    from tapwatch.evaluation.episode_report import as_json as document_of
    from tapwatch.evaluation.episodes import hold_against, read_alerts
    from tapwatch.evaluation.truth import read_truth

    bundles, alerts_file, hours = given["bundles"], given["alerts_file"], given["hours"]
    _check_no_protocol(captures, given)
    _check_usage(captures, bundles, alerts_file, hours)
    labels: Path | None = given["labels"]
    if labels is None:
        raise click.UsageError("want --labels TRUTH.csv, or a protocol")
    if alerts_file is not None and given["filter_text"] is not None:
        want = "no value with --alerts"
        raise ConfigError("--filter", given["filter_text"], want, "they are given")
    config = load_config(given["config_file"]) if given["config_file"] else Config()
    episodes = read_truth(labels)
    exit_code = 0
    if alerts_file is not None:
        sightings = read_alerts(alerts_file)
    else:
        sightings, hours, exit_code = _replay(
            captures, bundles, config, given["workers"], given["filter_text"], given["quiet"]
        )
    result = hold_against(episodes, sightings, hours)
    about = {
        "labels": str(labels),
        "captures": list(captures),
        "bundles": [str(bundle) for bundle in bundles],
        "alerts_file": None if alerts_file is None else str(alerts_file),
        "filter": given["filter_text"],
    }
    document = document_of(result, about)
    if given["output"] is not None:
        _write(document, given["output"])
    if given["as_json"]:
        click.echo(json.dumps(document, indent=2))
    else:
        from rich.console import Console

        from tapwatch.evaluation.episode_report import render

        render(result, Console())
    sys.exit(exit_code)


def _check_no_protocol(captures: tuple[str, ...], given: Mapping[str, Any]) -> None:
    """Refuse what only a protocol has, and a word that was meant to be one."""
    from tapwatch.evaluation.protocols import NAMES, protocol_of

    protocols = ", ".join(NAMES)
    if captures and not given["bundles"] and given["alerts_file"] is None:
        first = captures[0]
        if not Path(first).suffix and not Path(first).exists():
            protocol_of(first)  # says which there are
    for key in ("train", "test", "detectors", "seeds", "views", "columns", "drop"):
        if given[key]:
            option = {"detectors": "detector", "views": "view"}.get(key, key)
            raise click.UsageError(f"--{option} wants a protocol: {protocols}")


def _check_usage(
    captures: tuple[str, ...],
    bundles: tuple[Path, ...],
    alerts_file: Path | None,
    hours: float | None,
) -> None:
    if alerts_file is not None and (captures or bundles):
        raise ConfigError(
            "--alerts", str(alerts_file), "either alerts, or bundles and captures", "not both"
        )
    if alerts_file is None and not (captures and bundles):
        raise click.UsageError(
            "want a protocol, or --bundle DIR and CAPTURE..., or --alerts FILE.jsonl"
        )
    if alerts_file is None and hours is not None:
        raise ConfigError("--hours", hours, "no value with captures", "they tell it themselves")


class _Collected:
    """A sink that keeps what an evaluation needs of each alert."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []

    def write(self, told: Sequence["Alert | Drift"]) -> None:
        """Take alerts, in order."""
        from tapwatch.cli.report import alerts_of
        from tapwatch.evaluation.episodes import sighting_of

        self.sightings += map(sighting_of, alerts_of(told))


def _replay(
    captures: tuple[str, ...],
    bundles: tuple[Path, ...],
    config: Config,
    workers: int,
    filter_text: str | None,
    quiet: bool,
) -> tuple[list["Sighting"], float, int]:
    """Alerts of a replay, hours of traffic, and the exit code where it was interrupted."""
    from tapwatch.capture import open_captures
    from tapwatch.cli.progress import progress
    from tapwatch.daemon import check_ledger, filter_warnings, load_scorers, monitor
    from tapwatch.signals import StopSignal

    scorers = load_scorers(bundles, config)
    for told in () if quiet else filter_warnings(scorers, filter_text):
        click.echo(f"tapwatch: warning: {told}", err=True)
    frames = config.capture.batch_frames
    collected = _Collected()
    with StopSignal() as stopped:
        source = open_captures(captures, batch_frames=frames, stopped=stopped, filter=filter_text)
        with progress(source, quiet=quiet) as step:
            summary = monitor(
                source,
                scorers,
                [collected],
                config,
                stopped=stopped,
                workers=workers,
                on_batch=step,
            )
        source.close()
    for problem in source.problems:
        click.echo(f"tapwatch: warning: {problem}", err=True)
    check_ledger(summary)
    if stopped():
        click.echo("tapwatch: warning: stopped early: the rest of the capture is missing", err=True)
    return collected.sightings, summary["seconds"]["captured"] / 3600, stopped.exit_code


def _write(document: dict[str, Any], folder: Path) -> None:
    path = folder / "results.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: could not be written: {error.strerror}") from error

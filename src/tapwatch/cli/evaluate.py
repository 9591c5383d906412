"""tapwatch evaluate: alerts held against what really happened."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapwatch.cli import KernelCommand, options
from tapwatch.config import Config, load_config
from tapwatch.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from tapwatch.evaluation.episodes import Sighting
    from tapwatch.tables import Alert

_PATH = click.Path(path_type=Path)


@click.command("evaluate", cls=KernelCommand)
@click.argument("captures", nargs=-1, metavar="CAPTURE...")
@click.option("--labels", required=True, type=_PATH, metavar="TRUTH.csv", help="What happened.")
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
@click.option("-o", "--output", type=_PATH, metavar="DIR", help="Write DIR/results.json.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@options.workers
@options.filter_text
@options.config_file
@options.freeze
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    captures: tuple[str, ...],
    labels: Path,
    bundles: tuple[Path, ...],
    alerts_file: Path | None,
    hours: float | None,
    output: Path | None,
    as_json: bool,
    workers: int,
    filter_text: str | None,
    config_file: Path | None,
    freeze: bool,
    quiet: bool,
) -> None:
    """Say which episodes of TRUTH.csv were found, how soon, and which alerts were false.

    The alerts are those of a replay of CAPTURE with the bundles, or those of --alerts.
    """
    from tapwatch.evaluation.episodes import hold_against, read_alerts
    from tapwatch.evaluation.report import as_json as document_of
    from tapwatch.evaluation.truth import read_truth

    _check_usage(captures, bundles, alerts_file, hours)
    if alerts_file is not None and filter_text is not None:
        raise ConfigError("--filter", filter_text, "no value with --alerts", "they are given")
    config = load_config(config_file) if config_file else Config()
    config = options.frozen(config, freeze)
    episodes = read_truth(labels)
    exit_code = 0
    if alerts_file is not None:
        sightings = read_alerts(alerts_file)
    else:
        sightings, hours, exit_code = _replay(
            captures, bundles, config, workers, filter_text, quiet
        )
    result = hold_against(episodes, sightings, hours)
    about = {
        "labels": str(labels),
        "captures": list(captures),
        "bundles": [str(bundle) for bundle in bundles],
        "alerts_file": None if alerts_file is None else str(alerts_file),
    }
    document = document_of(result, about)
    if output is not None:
        _write(document, output)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        from rich.console import Console

        from tapwatch.evaluation.report import render

        render(result, Console())
    sys.exit(exit_code)


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
        raise click.UsageError("want --bundle DIR and CAPTURE..., or --alerts FILE.jsonl")
    if alerts_file is None and hours is not None:
        raise ConfigError("--hours", hours, "no value with captures", "they tell it themselves")


class _Collected:
    """A sink that keeps what an evaluation needs of each alert."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []

    def write(self, alerts: Sequence["Alert"]) -> None:
        """Take alerts, in order."""
        from tapwatch.evaluation.episodes import sighting_of

        self.sightings += map(sighting_of, alerts)


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
    from tapwatch.daemon import check_ledger, load_scorers, monitor
    from tapwatch.signals import StopSignal

    scorers = load_scorers(bundles, config)
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

"""Options that several commands take, under one name and with one meaning."""

from pathlib import Path

import click

from tapwatch.config import Config, load_config

#: The views, so that `--help` need not import them.
VIEWS = ("packet", "flow", "kdd", "afterimage", "afterimage_115", "host")

view = click.option(
    "--view", required=True, metavar="VIEW", help=f"What becomes a row: {', '.join(VIEWS)}."
)
bundles = click.option(
    "--bundle",
    "bundles",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Trained model to score with; may be given again.",
)
workers = click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads."
)
filter_text = click.option(
    "--filter", "filter_text", metavar="BPF", help="Use only packets that match, as tcpdump has it."
)
freeze = click.option(
    "--freeze",
    is_flag=True,
    help="Online detectors stay as they were trained: detect.learn = false.",
)
drift = click.option(
    "--drift",
    type=click.Choice(["off", "watch", "recalibrate", "dspot"]),
    help="What is done about errors that drift; goes before detect.drift.  [default: watch]",
)
shadows = click.option(
    "--shadow",
    "shadows",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Model on trial: scored beside the others of its view, counted, and never an alert.",
)
config_file = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE.toml"
)


def configured(config_file: Path | None, freeze: bool, drift: str | None) -> Config:
    """What the file says, or the defaults, and what goes before it."""
    config = load_config(config_file) if config_file else Config()
    return drifting(frozen(config, freeze), drift)


def drifting(config: Config, drift: str | None) -> Config:
    """Apply `--drift` to what the file says."""
    if drift is None:
        return config
    return config.model_copy(update={"detect": config.detect.model_copy(update={"drift": drift})})


def frozen(config: Config, freeze: bool) -> Config:
    """Apply `--freeze` to what the file says."""
    if not freeze:
        return config
    return config.model_copy(update={"detect": config.detect.model_copy(update={"learn": False})})

"""tapwatch train: learn what benign traffic looks like and write a bundle."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapwatch.cli import KernelCommand, printable
from tapwatch.cli import options as shared
from tapwatch.cli.talk import Talk
from tapwatch.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tapwatch.detect.detector import Epoch
    from tapwatch.detect.manifest import Manifest

#: Those of detect.registry, which is heavy to import.
_DETECTORS = (
    "ae, deep_ae, vae, lstm_ae, aegmm, vaegmm, pca, ocsvm, iforest, kitnet, memory_ae, hst, "
    "neighbours, rarity, ensemble, robust_z"
)


@click.command("train", cls=KernelCommand)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path())
@shared.view
@click.option(
    "--detector",
    required=True,
    metavar="NAME",
    help=f"Detector: {_DETECTORS}.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--calibrate",
    multiple=True,
    metavar="INPUT[,INPUT]...",
    help="Benign input for the threshold, not learnt from. By default the last fifth of INPUT.",
)
@click.option(
    "--budget",
    default=1.0,
    show_default=True,
    metavar="ALERTS/H",
    help="Rows of benign traffic that may be flagged in an hour.",
)
@click.option(
    "--benign",
    multiple=True,
    metavar="LABEL[,LABEL]...",
    help="Where rows have labels: those to learn from. By default Benign and normal.",
)
@click.option(
    "--keep-defective",
    is_flag=True,
    help="Of CICFlowMeter's tables, learn from columns that it computed wrongly too; no live row "
    "fits such a bundle.",
)
@click.option("--columns", multiple=True, metavar="NAME[,NAME]...", help="Learn from these only.")
@click.option("--drop", multiple=True, metavar="NAME[,NAME]...", help="Do not learn from these.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Setting of the training, or hyper-parameter of the detector; a list as 32,8,32.",
)
@click.option("--name", default="", help="Name of the bundle. By default that of DIR.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, (1 << 63) - 1))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
@shared.filter_text
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE.toml")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def command(inputs: tuple[str, ...], **options: Any) -> None:
    """Learn from the benign captures or tables INPUT and write a bundle to DIR.

    INPUT is a capture, a Parquet file of `tapwatch features`, a list of packets that Wireshark
    exported as CSV (view packet), a CSV of CICFlowMeter (view flow), or a file of KDD'99 or NSL-KDD
    (view kdd); a directory stands for the files in it. Rows without a time count as one a second.

    The same inputs, options and seed give the same bundle, byte for byte, but for the time put on
    record; SOURCE_DATE_EPOCH sets that.
    """
    # Inside: `--help` shall not wait for pydantic and numpy.
    from tapwatch.config import Config, load_config
    from tapwatch.training.fit import train
    from tapwatch.training.order import Listener, Order

    order = Order(
        inputs=[Path(text) for text in inputs],
        view=options["view"],
        detector=options["detector"],
        output=options["output"],
        name=options["name"],
        calibration_inputs=[Path(text) for text in _items(options["calibrate"])],
        budget_per_hour=options["budget"],
        benign=_items(options["benign"]),
        keep_defective=options["keep_defective"],
        columns=_items(options["columns"]),
        drop=_items(options["drop"]),
        settings=_settings(options["settings"]),
        device=options["device"],
        seed=options["seed"],
        workers=options["workers"],
        filter=options["filter_text"],
        time=_utc_text(),
        config=load_config(options["config"]) if options["config"] else Config(),
    )
    with Training(quiet=options["quiet"]) as talk:
        manifest = train(order, Listener(talk.reading, talk.epoch, talk.warn, talk.note))
    for warning in manifest.threshold.warnings:
        talk.warn(warning)
    if not options["quiet"]:
        for line in _report(manifest, order.output):
            click.echo(line, err=True)


def _items(given: tuple[str, ...]) -> list[str]:
    """Options that may be repeated, and may hold several items with commas between."""
    return [item.strip() for text in given for item in text.split(",") if item.strip()]


def _settings(given: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError("--set", text, "KEY=VALUE")
        settings[key.strip()] = _items((value,)) if "," in value else value.strip()
    # A list of one cannot be told from a plain value by its text.
    if isinstance(settings.get("hidden"), str):
        settings["hidden"] = [settings["hidden"]]
    return settings


def _utc_text() -> str:
    """Time for the record, from SOURCE_DATE_EPOCH (reproducible-builds.org) or the clock."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        # The one use of the clock: when a bundle was made is not in any packet.
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)  # noqa: TID251
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError("SOURCE_DATE_EPOCH", epoch, "seconds since 1970") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(manifest: "Manifest", output: Path) -> list[str]:
    training, threshold = manifest.training, manifest.threshold
    preprocess = manifest.preprocess
    lines = [
        f"rows: {training.rows_seen} read, {training.rows} learnt from, "
        f"{training.validation_rows} told when to stop, {threshold.calibration_rows} calibrated",
        f"columns: {len(preprocess.columns)} of {len(manifest.feature_schema.columns)}",
    ]
    if preprocess.constant:
        watched = set(preprocess.constant) <= set(preprocess.columns)
        fate = "watched for any other value" if watched else "left out"
        lines.append(f"constant, so {fate}: {', '.join(preprocess.constant)}")
    if preprocess.dropped:
        lines.append(f"dropped as asked: {', '.join(preprocess.dropped)}")
    lines += [
        f"classes of {name}: {', '.join(words)}; all others are one"
        for name, words in preprocess.classes.items()
    ]
    if manifest.rows != "live":
        lines.append("live rows will be reduced to what an export of Wireshark gives of them")
    lines += [
        f"epochs: {training.epochs}",
        f"threshold: {threshold.value:g} ({threshold.method}); at most "
        f"{threshold.expected_per_hour:.3g} flagged rows an hour expected, "
        f"budget {threshold.budget_per_hour:g}",
        f"bundle: {output}",
    ]
    return lines


class Training(Talk):
    """Progress of one fit: bars on a terminal, a plain line now and then elsewhere."""

    tells = True

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._reading: TaskID | None = None
        self._fitting: TaskID | None = None
        self._told = 0

    def warn(self, text: str) -> None:
        """Say what the operator should know, however quiet."""
        if self._bars is not None:
            self._bars.console.print(f"warning: {printable(text)}", markup=False, highlight=False)
        else:
            click.echo(f"tapwatch: warning: {printable(text)}", err=True)

    def reading(self, done: int, total: int) -> None:
        """Tell how much of an input has been read."""
        if self._bars is None:
            return
        if self._reading is None:
            self._reading = self._bars.add_task("reading", total=None, told="")
        self._bars.update(self._reading, completed=done, total=total or None)

    def epoch(self, epoch: "Epoch") -> None:
        """Tell how the fit goes."""
        if self._quiet:
            return
        told = f"epoch {epoch.number} of at most {epoch.of}: loss {epoch.validation_loss:.4g}"
        if self._bars is None:
            # A line for the first, and then whenever the count has doubled.
            if epoch.number >= 2 * self._told:
                self._told = epoch.number
                click.echo(told, err=True)
            return
        if self._fitting is None:
            self._fitting = self._bars.add_task("fitting", total=epoch.of, told="")
        self._bars.update(self._fitting, completed=epoch.number, told=told)

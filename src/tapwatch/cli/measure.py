"""tapwatch evaluate PROTOCOL: what its options have to be, and how far it is."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tapwatch.cli import printable
from tapwatch.cli.talk import Talk
from tapwatch.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tapwatch.detect.detector import Epoch
    from tapwatch.evaluation.protocol import DataFile, Inputs, Outcome, Protocol

#: Wide enough for the table of results where nobody looks at it in a terminal.
_PLAIN_WIDTH = 160


def measure(name: str, words: tuple[str, ...], options: Mapping[str, Any]) -> None:
    """Run a protocol, print its table or JSON, and write its folder.

    Parameters
    ----------
    name : str
        Of the protocol.
    words : tuple of str
        What stands on the command line behind it.
    options : mapping
        Of the command.

    Raises
    ------
    ConfigError
        An option is not the protocol's, or names what there is not.
    """
    from dataclasses import replace

    from rich.console import Console

    from tapwatch.config import Config, load_config
    from tapwatch.evaluation import report
    from tapwatch.evaluation.console import render
    from tapwatch.evaluation.output import as_text, write
    from tapwatch.evaluation.protocol import Context, Inputs
    from tapwatch.evaluation.protocols import protocol_of
    from tapwatch.evaluation.run import run

    protocol = protocol_of(name)
    inputs = Inputs(
        train=options["train"],
        test=options["test"],
        labels=options["labels"],
        inputs=tuple(map(Path, words)),
        view=next(iter(options["views"]), None),
        views=options["views"],
        filter=options["filter_text"],
        columns=_items(options["columns"]),
        drop=_items(options["drop"]),
    )
    _check(protocol, inputs, options)
    folder: Path | None = options["output"]
    if folder is not None:
        _make(folder)
    config = load_config(options["config_file"]) if options["config_file"] else Config()
    seeds = tuple(range(options["seeds"] or protocol.n_seeds))
    with Fits(quiet=options["quiet"]) as talk:
        talk.note(f"{protocol.name}: seeds {', '.join(map(str, seeds))}")
        context = Context(protocol, inputs, seeds, options["detectors"], talk, config)
        results = run(context)
        results = replace(
            results,
            command=_command(protocol, inputs, options),
            data=(*results.data, *_settings(options["config_file"])),
        )
        if folder is not None:
            write(results, folder)
            report.write(results, folder, talk.note)
    if options["as_json"]:
        click.echo(as_text(results), nl=False)
    else:
        render(results, Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH))


def _check(protocol: "Protocol", inputs: "Inputs", options: Mapping[str, Any]) -> None:
    """Refuse what the protocol has no use for, and say what it wants."""
    for key in ("alerts_file", "hours"):
        if options[key] is not None:
            option = "--" + key.removesuffix("_file")
            want = f"no value with protocol {protocol.name}"
            raise ConfigError(option, str(options[key]), want)
    if options["bundles"]:
        want = f"no value with protocol {protocol.name}: it trains its own"
        raise ConfigError("--bundle", str(options["bundles"][0]), want)
    _check_choices(protocol, inputs)
    if options["workers"] != 1:
        raise ConfigError("--workers", options["workers"], "1 with a protocol: it has one thread")
    needs = protocol.needs
    for key in ("train", "test", "labels", "inputs"):
        given, wanted = getattr(inputs, key), getattr(needs, key)
        option = "INPUT" if key == "inputs" else f"--{key}"
        if given and wanted is None:
            told = str(given if key == "labels" else given[0])
            raise ConfigError(option, told, f"no value with protocol {protocol.name}")
        if wanted is not None and not given and key not in needs.optional:
            file = "INPUT..." if key == "inputs" else f"{option} FILE"
            raise click.UsageError(f"protocol {protocol.name} wants {file}: {wanted}")
    if needs.view is not None and inputs.view not in (None, needs.view):
        hint = f"protocol {protocol.name} has rows of that view"
        raise ConfigError("--view", inputs.view, needs.view, hint)
    if needs.view is None and inputs.view is None and "view" not in needs.optional:
        raise click.UsageError(f"protocol {protocol.name} wants --view VIEW: what becomes a row")


def _check_choices(protocol: "Protocol", inputs: "Inputs") -> None:
    """Refuse options beside files that the protocol does not take."""
    takes = protocol.needs.takes
    for key in ("filter", "columns", "drop"):
        given = getattr(inputs, key)
        if given and key not in takes:
            told = given if isinstance(given, str) else ",".join(given)
            raise ConfigError(f"--{key}", told, f"no value with protocol {protocol.name}")
    if len(inputs.views) > 1 and "views" not in takes:
        told = " ".join(inputs.views)
        raise ConfigError("--view", told, f"one view with protocol {protocol.name}")


def _items(given: tuple[str, ...]) -> tuple[str, ...]:
    """Options that may be repeated, and may hold several items with commas between."""
    return tuple(item.strip() for text in given for item in text.split(",") if item.strip())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: could not be made: {error.strerror}") from error


def _settings(path: Path | None) -> list["DataFile"]:
    """The configuration on record."""
    from tapwatch.evaluation.protocol import DataFile
    from tapwatch.training.datasets import describe_input

    if path is None:
        return []
    return [DataFile(path.name, describe_input(path, "training")["sha256"], 0, "config")]


def _command(protocol: "Protocol", inputs: "Inputs", options: Mapping[str, Any]) -> str:
    """The command again, for a shell, with the names of files alone."""
    words = ["tapwatch", "evaluate", protocol.name, *(path.name for path in inputs.inputs)]
    for option in ("train", "test"):
        for path in getattr(inputs, option):
            words += [f"--{option}", path.name]
    words += ["--labels", inputs.labels.name] if inputs.labels else []
    for view in inputs.views:
        words += ["--view", view]
    words += ["--filter", inputs.filter] if inputs.filter else []
    for option in ("columns", "drop"):
        names = getattr(inputs, option)
        words += [f"--{option}", ",".join(names)] if names else []
    for name in options["detectors"]:
        words += ["--detector", name]
    words += ["--seeds", str(options["seeds"])] if options["seeds"] else []
    words += ["--config", options["config_file"].name] if options["config_file"] else []
    return shlex.join(words)


class Fits(Talk):
    """Progress over fits: bars on a terminal, a plain line a fit elsewhere."""

    transient = True

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._fits: TaskID | None = None
        self._epochs: TaskID | None = None
        self._what = ""

    def begin(self, what: str, of: int) -> None:
        """Say that the next of `of` fits has begun."""
        self._what = what
        if self._bars is None:
            return
        if self._fits is None:
            self._fits = self._bars.add_task("", total=of)
            self._epochs = self._bars.add_task("", total=None)
        self._bars.update(self._fits, description=printable(what))
        assert self._epochs is not None
        self._bars.reset(self._epochs, description="fitting", total=None)

    def epoch(self, epoch: "Epoch") -> None:
        """Say how a fit goes."""
        if self._bars is not None and self._epochs is not None:
            told = f"epoch {epoch.number}, loss {epoch.validation_loss:.4g}"
            self._bars.update(
                self._epochs, completed=epoch.number, total=epoch.of, description=told
            )

    def advance(self) -> None:
        """Say that a fit is done, without an outcome."""
        if self._bars is not None and self._fits is not None:
            self._bars.advance(self._fits)

    def done(self, outcome: "Outcome") -> None:
        """Say what came of a fit."""
        self.advance()
        share = float(outcome.flagged.mean())
        self.note(f"{self._what}: {share:.2%} flagged, {outcome.cpu_s:.1f} CPU-s")

"""The command line: one file a command, imported only when it is asked for.

Exit codes: 0 done, 1 a fault of ours, 2 usage or configuration, 3 input cannot be read, 4 a bundle
does not fit, 130 interrupted.
"""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from tapwatch import __version__, is_writable
from tapwatch.cli import stderr
from tapwatch.errors import ConfigError, TapwatchError

#: Command name -> (module, one line for the list). Each module holds a click command `command`.
COMMANDS = {
    "replay": ("tapwatch.cli.replay", "Score captures with a bundle, alert and count."),
    "run": ("tapwatch.cli.run", "Watch an interface with a bundle, alert and count."),
    "features": ("tapwatch.cli.features", "Write the rows of a view as Parquet or CSV."),
    "train": ("tapwatch.cli.train", "Train a detector on benign input and write a bundle."),
    "evaluate": (
        "tapwatch.cli.evaluate",
        "Measure detectors by a protocol, alerts by a truth file.",
    ),
    "inspect": ("tapwatch.cli.inspect", "Show what is in a bundle or a capture."),
    "check-config": ("tapwatch.cli.check_config", "Check a configuration file."),
}


class KernelCommand(click.Command):
    """A command that runs kernels, and so needs the folder where they are kept."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; numba by itself would fail, or keep kernels beside the sources."""
        folder = os.environ["NUMBA_CACHE_DIR"]
        if not is_writable(Path(folder)):
            raise ConfigError(
                "NUMBA_CACHE_DIR", folder, "a folder that can be written", "for compiled kernels"
            )
        return super().invoke(ctx)


class LazyGroup(click.Group):
    """A group that imports a command's module when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None for a name that there is not."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of standard output that has had enough is no fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # further out click would make it exit code 1
            _flush()
            sys.exit(0)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; every error that we raise on purpose becomes its message and its exit code."""
        stderr.install()
        try:
            # Not standalone: click would make an interrupt exit code 1.
            sys.exit(super().main(*args, **{**kwargs, "standalone_mode": False}) or 0)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
                raise
            say(f"{error.filename or 'standard output'}: {error.strerror}")
            _flush()
            sys.exit(TapwatchError.exit_code)
        except TapwatchError as error:
            for line in str(error).splitlines():
                say(line)
            _flush()
            sys.exit(error.exit_code)


def _flush() -> None:
    """Let what standard output does not take go nowhere; Python would fail at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Say a line on stderr; what a terminal might obey (in a file's name, say) is written out."""
    click.echo(f"tapwatch: {printable(text)}", err=True)


def printable(text: str) -> str:
    """The text with everything that a terminal might obey written out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tapwatch")
def main() -> None:
    """Watch a network tap, or replay captures, and say what is unusual."""

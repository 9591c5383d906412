"""What commands that fit models say on stderr: bars on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import click

from tapwatch.cli import printable

if TYPE_CHECKING:
    from rich.progress import Progress


class Talk:
    """Bars while it is entered, if stderr is a terminal; quiet, neither bars nor notes."""

    #: A column of text behind each bar, filled by `told=`.
    tells: ClassVar[bool] = False
    #: Whether the bars are gone at the end.
    transient: ClassVar[bool] = False

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            told = (TextColumn("{task.fields[told]}"),) if self.tells else ()
            columns = (TextColumn("{task.description}"), BarColumn(), *told, TimeElapsedColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=self.transient)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def note(self, text: str) -> None:
        """Say what was found."""
        if self._bars is not None:
            self._bars.console.print(printable(text), markup=False, highlight=False)
        elif not self._quiet:
            click.echo(printable(text), err=True)

"""How far long work has come: a bar on a terminal, a plain line now and then elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tapwatch.capture import Source
from tapwatch.cli import say
from tapwatch.telemetry.interval import Interval

_PLAIN_EVERY_S: Final = 10.0
_MIB: Final = 1 << 20


@contextmanager
def progress(source: Source, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each batch of `source`; it says how far we are on stderr."""
    if quiet:
        yield lambda: None
    elif sys.stderr.isatty():
        with _bar(source) as step:
            yield step
    else:
        yield _plain(source)


def _plain(source: Source) -> Callable[[], None]:
    interval = Interval(_PLAIN_EVERY_S)

    def step() -> None:
        if not interval.due():
            return
        done, total = source.progress()
        part = f"{done / total:.0%} of {total / _MIB:.1f} MiB, " if total else ""
        say(f"{part}{source.counts.packets:,} packets")

    return step


@contextmanager
def _bar(source: Source) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[packets]:,} packets"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, packets=0)

        def step() -> None:
            done, total = source.progress()
            bar.update(task, completed=done, total=total or None, packets=source.counts.packets)

        yield step

"""tapwatch run: a live interface through the house, until somebody stops it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tapwatch.cli import say
from tapwatch.cli.outputs import check_outputs
from tapwatch.cli.report import Worst, report, silent, write_summary
from tapwatch.config import Config, load_config
from tapwatch.errors import CaptureError

if TYPE_CHECKING:
    from tapwatch.alerts.sinks import LineSink
    from tapwatch.capture import AfPacketSource
    from tapwatch.daemon import StopSignal

_KIB: Final = 1024


@click.command("run")
@click.option("-i", "--interface", required=True, metavar="IFACE", help="Interface to watch.")
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Trained model to score with; may be given again.",
)
@click.option("-o", "--output", metavar="FILE|-", help="Append alerts as JSON lines.")
@click.option("--filter", "filter_text", metavar="BPF", help="Packets to watch, as tcpdump has it.")
@click.option(
    "--listen", metavar="ADDR:PORT", help="Serve metrics there.  [default: 127.0.0.1:9477]"
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE.toml")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads."
)
@click.option(
    "--summary",
    "summary_file",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Write the ledger at the end.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.001, 1e9),
    metavar="SECONDS",
    help="Stop after so long; else at SIGTERM or SIGINT.",
)
@click.option(
    "--linger",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Serve the final metrics for that long, unless a signal ended the run.",
)
@click.option(
    "-p",
    "--no-promiscuous",
    is_flag=True,
    help="Leave the interface as it is: see what is for this machine only.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors and losses.")
def command(
    interface: str,
    bundles: tuple[Path, ...],
    output: str | None,
    filter_text: str | None,
    listen: str | None,
    config_file: Path | None,
    workers: int,
    summary_file: Path | None,
    duration: float | None,
    linger: float,
    no_promiscuous: bool,
    quiet: bool,
) -> None:
    """Watch a network interface with trained bundles; write alerts, count everything.

    Needs the capability CAP_NET_RAW. SIGTERM or SIGINT: what the kernel has handed over is scored
    and summed up; a second one ends at once.
    """
    from tapwatch.alerts import open_sink
    from tapwatch.capture import open_interface
    from tapwatch.cli.status_line import StatusLine
    from tapwatch.daemon import (
        StopSignal,
        Window,
        check_ledger,
        live_config,
        load_scorers,
        monitor,
        warm,
    )

    config = live_config(load_config(config_file) if config_file else Config())
    check_outputs((), {"--output": output, "--summary": summary_file})
    with StopSignal() as signals:
        scorers = load_scorers(bundles, config)
        worst = Worst()
        line = StatusLine(lambda: worst.taken, quiet=quiet)
        ends = _Ends(signals)
        source = open_interface(
            interface,
            config.capture,
            filter_text=filter_text,
            max_wait_ms=config.detect.max_wait_ms,
            stopped=ends,
            said=line.say,
        )
        file = ends.sink = open_sink(output, append=True, tolerant=True) if output else None
        warm(scorers, config, workers)
        told = silent if quiet else say
        summary = monitor(
            source,
            scorers,
            [worst, *([file] if file else [])],
            config,
            stopped=signals,
            workers=workers,
            window=Window(listen or config.telemetry.listen, linger, told),
            on_start=lambda: _start(source, ends, duration, not no_promiscuous, told),
            on_batch=lambda: line.step(source),
            on_summary=lambda made: write_summary(made, summary_file),
        )
        source.close()
    line.clear()
    _close(file)
    report(summary, worst.alerts, source.problems, quiet)
    check_ledger(summary)
    if source.failure:
        raise CaptureError(source.failure)
    sys.exit(signals.exit_code)


class _Ends:
    """True from the moment that somebody wants no more: a signal, the time, or the reader."""

    def __init__(self, signals: "StopSignal") -> None:
        self._signals = signals
        self._is_over: Callable[[], bool] = lambda: False
        self._was_over = False
        self.sink: LineSink | None = None

    def after(self, seconds: float) -> None:
        """End so many seconds from here."""
        from tapwatch.telemetry.interval import Interval

        self._is_over = Interval(seconds).due

    def __call__(self) -> bool:
        self._was_over = self._was_over or self._is_over()
        reader_gone = self.sink is not None and self.sink.reader_gone
        return self._signals() or self._was_over or reader_gone


def _start(
    source: "AfPacketSource",
    ends: _Ends,
    duration: float | None,
    promiscuous: bool,
    told: Callable[[str], None],
) -> None:
    source.start(promiscuous=promiscuous)
    if duration is not None:
        ends.after(duration)
    told(f"watching {source.interface} ({source.ring_bytes // _KIB:,} KiB ring)")


def _close(file: "LineSink | None") -> None:
    if file is None:
        return
    file.close()
    if file.lost and not file.reader_gone:
        say(f"warning: {file.lost:,} alerts could not be written")

"""tapwatch run: a live interface through the house, until somebody stops it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Final

import click

from tapwatch.cli import KernelCommand, options, say, stderr
from tapwatch.cli.outputs import check_outputs
from tapwatch.cli.report import (
    DriftLines,
    Losses,
    SummaryFile,
    Worst,
    fault_of,
    raise_first,
    report,
    silent,
)
from tapwatch.errors import CaptureError
from tapwatch.signals import StopSignal

if TYPE_CHECKING:
    from tapwatch.alerts.sinks import LineSink

_KIB: Final = 1024
#: At the end, standard error is given so long to take more.
_LAST_WORDS_S: Final = 1.0
#: Loading compiled kernels takes less, compiling them a minute or two.
_PATIENCE_S: Final = 1.0


@click.command("run", cls=KernelCommand)
@click.option("-i", "--interface", required=True, metavar="IFACE", help="Interface to watch.")
@options.bundles
@click.option("-o", "--output", metavar="FILE|-", help="Append alerts as JSON lines.")
@click.option("--filter", "filter_text", metavar="BPF", help="Packets to watch, as tcpdump has it.")
@click.option(
    "--listen", metavar="ADDR:PORT", help="Serve metrics there.  [default: 127.0.0.1:9477]"
)
@options.config_file
@options.freeze
@options.drift
@options.shadows
@options.workers
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
    freeze: bool,
    drift: str | None,
    shadows: tuple[Path, ...],
    workers: int,
    summary_file: Path | None,
    duration: float | None,
    linger: float,
    no_promiscuous: bool,
    quiet: bool,
) -> None:
    """Watch a network interface with trained bundles; write alerts, count everything.

    Needs the capability CAP_NET_RAW. SIGTERM or SIGINT: what the kernel has handed over is scored
    and summed up; a second one ends at once. SIGHUP: the alerts file is opened anew.
    """
    with StopSignal(drains=False, survives_hangup=True) as signals:
        from tapwatch import daemon
        from tapwatch.alerts import open_sink
        from tapwatch.capture import open_interface
        from tapwatch.cli.status_line import StatusLine

        config = daemon.live_config(options.configured(config_file, freeze, drift))
        check_outputs((), {"--output": output, "--summary": summary_file})
        worst, ledger, told = Worst(), SummaryFile(summary_file), silent if quiet else say
        scorers, trials = daemon.load_all(bundles, shadows, config)
        line, ends = StatusLine(lambda: worst.taken, quiet=quiet), _Ends(signals)
        source = open_interface(
            interface,
            config.capture,
            filter_text=filter_text,
            max_wait_ms=config.detect.max_wait_ms,
            stopped=ends,
            said=line.say,
        )
        daemon.warn(scorers, trials, filter_text, told)
        file = ends.sink = open_sink(output, append=True, tolerant=True) if output else None
        losses = Losses(file, line.say)

        def step() -> None:
            if signals.take_hangup():
                _reopen(file, line.say)
            line.step(source)
            losses.step()

        def start() -> None:
            with _patience(told):
                daemon.warm([*scorers, *(trial.scorer for trial in trials)], config, workers)
            signals.drains = True
            stderr.wait_for_reader(0)
            source.start(promiscuous=not no_promiscuous)
            if duration is not None:
                ends.after(duration)
            told(f"watching {source.interface} ({source.ring_bytes // _KIB:,} KiB ring)")

        summary = daemon.monitor(
            source,
            scorers,
            [worst, DriftLines(line.say, quiet=quiet), *([file] if file else [])],
            config,
            stopped=signals,
            workers=workers,
            window=daemon.Window(listen or config.telemetry.listen, linger, told),
            on_start=start,
            on_batch=step,
            on_summary=ledger.write,
            shadows=trials,
        )
        source.close()
        stderr.wait_for_reader(_LAST_WORDS_S)
        line.clear()
        _close(file)
        report(summary, worst.alerts, source.problems, quiet)
        gone = CaptureError(source.failure) if source.failure else None
        raise_first((fault_of(lambda: daemon.check_ledger(summary)), gone, ledger.fault))
    sys.exit(signals.exit_code)


class _Ends:
    """True from the moment that somebody wants no more: a signal, the time, or the reader."""

    def __init__(self, signals: StopSignal) -> None:
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


@contextmanager
def _patience(told: Callable[[str], None]) -> Iterator[None]:
    """Say what takes so long, where it does."""
    wait = "compiling the kernels; they are kept, and the next start is quick"
    timer = Timer(_PATIENCE_S, told, (wait,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reopen(file: "LineSink | None", told: Callable[[str], None]) -> None:
    if file is None:
        told("SIGHUP: there is no alerts file to open anew; going on")
        return
    file.reopen()
    told(f"SIGHUP: {file.name}: {file.trouble or 'opened anew'}; going on")


def _close(file: "LineSink | None") -> None:
    if file is None:
        return
    file.close()
    if file.lost and not file.reader_gone:
        say(f"warning: {file.lost:,} alerts could not be written: {file.name}: {file.last_error}")

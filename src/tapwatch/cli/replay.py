"""tapwatch replay: captures through the house, as a tap would see them."""

import sys
from pathlib import Path

import click

from tapwatch.cli import KernelCommand, options, say
from tapwatch.cli.outputs import check_outputs
from tapwatch.cli.report import (
    DriftLines,
    SummaryFile,
    Worst,
    fault_of,
    raise_first,
    report,
    silent,
)
from tapwatch.errors import CaptureError
from tapwatch.signals import StopSignal


def _speed(_context: click.Context, _parameter: click.Parameter, value: str) -> float | None:
    if value == "max":
        return None
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 1e-6 <= factor <= 1e6:
        raise click.BadParameter(f"{value!r}: want max, or 1e-6 to 1e6 (1 is as captured)")
    return factor


@click.command("replay", cls=KernelCommand)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.bundles
@click.option("-o", "--output", metavar="FILE|-", help="Write alerts as JSON lines.")
@click.option(
    "--speed",
    default="max",
    show_default=True,
    callback=_speed,
    metavar="max|FACTOR",
    help="As fast as it goes, or FACTOR times the speed of the capture.",
)
@options.workers
@options.filter_text
@options.config_file
@options.freeze
@options.drift
@options.shadows
@click.option("--listen", metavar="ADDR:PORT", help="Serve metrics while it runs.")
@click.option(
    "--linger",
    type=click.FloatRange(0, 86_400),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="With --listen: serve the final metrics for that long.",
)
@click.option(
    "--summary",
    "summary_file",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Write the ledger.",
)
@click.option("--strict", is_flag=True, help="Exit 3 where a capture could not be read to its end.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def command(
    captures: tuple[str, ...],
    bundles: tuple[Path, ...],
    output: str | None,
    speed: float | None,
    workers: int,
    filter_text: str | None,
    config_file: Path | None,
    freeze: bool,
    drift: str | None,
    shadows: tuple[Path, ...],
    listen: str | None,
    linger: float,
    summary_file: Path | None,
    strict: bool,
    quiet: bool,
) -> None:
    """Score captures with trained bundles; write alerts, count everything.

    CAPTURE is a file, a directory or - for standard input; pcap, pcapng or snoop; plain, gz, zst
    or xz. Several are put in order of time. SIGTERM, SIGINT or a terminal that goes away: what was
    read is scored and summed up; a second SIGTERM or SIGINT ends at once.
    """
    with StopSignal(drains=False) as stopped:
        from tapwatch.alerts import open_sink
        from tapwatch.capture import open_captures, paced
        from tapwatch.cli.progress import progress
        from tapwatch.daemon import Window, check_ledger, load_all, monitor, warn

        config = options.configured(config_file, freeze, drift)
        check_outputs(captures, {"--output": output, "--summary": summary_file})
        scorers, trials = load_all(bundles, shadows, config)
        stopped.drains = True
        frames = config.capture.batch_frames
        source = open_captures(captures, batch_frames=frames, stopped=stopped, filter=filter_text)
        told = silent if quiet else say
        warn(scorers, trials, filter_text, told)
        # Only now: a capture that cannot be read does not cost an earlier alerts file.
        worst, file = Worst(), open_sink(output, stopped=stopped) if output else None
        ledger = SummaryFile(summary_file)
        with progress(source, quiet=quiet) as step:
            summary = monitor(
                source if speed is None else paced(source, speed, stopped),
                scorers,
                [worst, DriftLines(say, quiet=quiet), *([file] if file else [])],
                config,
                stopped=stopped,
                workers=workers,
                window=Window(listen, linger, told) if listen else None,
                on_batch=step,
                on_summary=ledger.write,
                shadows=trials,
            )
        source.close()
        lost = fault_of(file.close) if file else None
        report(summary, worst.alerts, source.problems, quiet)
        n_damaged = source.counts.truncated_files if strict else 0
        damage = CaptureError(f"--strict: {n_damaged} capture(s) not read to the end")
        unbalanced = fault_of(lambda: check_ledger(summary))
        raise_first((unbalanced, lost, ledger.fault, damage if n_damaged else None))
    sys.exit(stopped.exit_code)

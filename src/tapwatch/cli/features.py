"""tapwatch features: the rows of a view as a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tapwatch.cli import KernelCommand, options, say
from tapwatch.cli.outputs import check_outputs

if TYPE_CHECKING:
    from tapwatch.config import Config, FlowConfig
    from tapwatch.features.sequences.blocks import Sequences
    from tapwatch.features.table import TableWriter
    from tapwatch.tables import Schema


@click.command("features", cls=KernelCommand)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.view
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE.parquet|FILE.csv|-",
    help="Where the rows go; - is CSV on standard output.",
)
@click.option(
    "--names",
    type=click.Choice(["own", "original"]),
    default="own",
    show_default=True,
    help="Head columns with our names, or as Wireshark and CSE-CIC-IDS2018 spell them.",
)
@click.option(
    "--sequence",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Write the last N rows of each row's entity as lists, newest last; only Parquet.",
)
@options.workers
@options.filter_text
@options.config_file
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def command(
    captures: tuple[str, ...],
    view: str,
    output: str,
    names: str,
    sequence: int | None,
    workers: int,
    filter_text: str | None,
    config_file: Path | None,
    quiet: bool,
) -> None:
    """Write the rows of a view as Parquet or CSV.

    CAPTURE is a file, a directory or - for standard input; pcap, pcapng or snoop; plain, gz, zst
    or xz.
    Rows of packets are by frame, rows of flows by their last packet, others as they came out, as
    sequences are. The columns are in docs/reference/features.md.
    """
    # Inside: `--help` shall not wait for numba and pyarrow. What the operator wrote is checked
    # before the kernels are loaded.
    from tapwatch.config import Config, load_config
    from tapwatch.features import schema_of
    from tapwatch.features.settings import settings_of

    schema = schema_of(view)
    config = load_config(config_file) if config_file else Config()

    from tapwatch.features.table import TableWriter, format_of

    kind = format_of(output)
    if sequence:
        from tapwatch.features.sequences.table import check_sequence

        check_sequence(sequence, kind)
    check_outputs(captures, {"--output": output})

    import numpy as np

    from tapwatch.capture import open_captures
    from tapwatch.cli.progress import progress
    from tapwatch.flows import describe
    from tapwatch.pipeline import Corridor, extract
    from tapwatch.signals import StopSignal

    with StopSignal() as stopped:
        frames = config.capture.batch_frames
        source = open_captures(captures, batch_frames=frames, stopped=stopped, filter=filter_text)
        corridor = Corridor(config, [view], dtype=np.float64, workers=workers)
        writer = TableWriter(
            output,
            schema,
            describe,
            original_names=names == "original",
            longest_silence_s=_longest_silence_s(config.flows),
            settings=settings_of(view, config),
            sequence=sequence or 0,
        )
        sequences = _sequences(schema, sequence, config) if sequence else None
        with progress(source, quiet=quiet) as step, writer:
            for batch, _ in extract(source, corridor, view, stopped):
                for part in sequences.parts(batch) if sequences else (batch,):
                    writer.write(part)
                step()
    problems = source.problems
    source.close()
    if sequences and sequences.n_evicted:
        problems.append(
            f"{sequences.n_evicted:,} times the rows of an entity were forgotten for those of "
            f"others; sequences.rows is {config.sequences.rows:,}"
        )
    _report(writer, problems, output, quiet)
    sys.exit(stopped.exit_code)


def _sequences(schema: "Schema", n: int, config: "Config") -> "Sequences":
    import numpy as np

    from tapwatch.features.entities import N_WAYS
    from tapwatch.features.sequences.blocks import Sequences

    capacity = config.sequences.rows // (n * N_WAYS) * N_WAYS
    return Sequences(schema, n, capacity, np.float64, config.flows.hash_seed)


def _longest_silence_s(flows: "FlowConfig") -> float:
    """Longest time for which a flow is held open without packets."""
    return max(
        flows.idle_timeout_s, flows.udp_idle_timeout_s, flows.icmp_idle_timeout_s, flows.linger_s
    )


def _report(writer: "TableWriter", problems: list[str], output: str, quiet: bool) -> None:
    for problem in problems:
        say(f"warning: {problem}")
    if writer.n_out_of_order:
        click.echo(
            f"tapwatch: warning: {writer.n_out_of_order:,} of {writer.n_rows:,} rows came too late "
            "for their place in the order of time and stand where they came",
            err=True,
        )
    if not quiet:
        name = "standard output" if output == "-" else output
        click.echo(f"tapwatch: {writer.n_rows:,} rows in {name}", err=True)

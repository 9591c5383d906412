"""tapwatch check-config: all errors of a configuration file, or that there is none."""

from pathlib import Path

import click

from tapwatch.config import load_config


@click.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Check FILE and print every error that it has; exit 2 if there is one."""
    load_config(file)
    click.echo(f"{file}: good", err=True)

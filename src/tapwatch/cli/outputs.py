"""Outputs are checked before any work is done: nothing that is read is written over."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tapwatch.errors import ConfigError

_STANDARD_STREAM = "-"


def check_outputs(inputs: Sequence[str], outputs: Mapping[str, str | Path | None]) -> None:
    """Refuse outputs that cannot be written, are read, or are the same file.

    Parameters
    ----------
    inputs : sequence of str
        Files, directories, or "-".
    outputs : mapping of str to path or None
        Option as the operator knows it -> where it writes; None where it is not given.

    Raises
    ------
    ConfigError
        Names the option, the path and what it clashes with.
    """
    taken = {_identity(path): f"the input {path}" for path in _files(inputs)}
    for option, given in outputs.items():
        if given is None or str(given) == _STANDARD_STREAM:
            continue
        path = Path(given)
        if path.is_dir():
            raise ConfigError(option, str(given), "a file", "it is a directory")
        if not path.parent.is_dir():
            raise ConfigError(option, str(given), "a file in a folder that exists")
        identity = _identity(path)
        if identity in taken:
            raise ConfigError(option, str(given), "a file of its own", f"it is {taken[identity]}")
        taken[identity] = f"what {option} writes"


def _files(inputs: Sequence[str]) -> Iterator[Path]:
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            yield from (entry for entry in path.iterdir() if entry.is_file())
        elif name != _STANDARD_STREAM:
            yield path


def _identity(path: Path) -> object:
    """Equal for two names of one file, links included."""
    try:
        status = os.stat(path)
    except OSError:
        return path.absolute()
    return status.st_dev, status.st_ino

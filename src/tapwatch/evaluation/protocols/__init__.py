"""All protocols by name; a module is imported when its protocol is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from tapwatch.errors import ConfigError

if TYPE_CHECKING:
    from tapwatch.evaluation.protocol import Protocol

#: In the order in which they are told. `seed-000` is in module `seed_000`, and so on.
NAMES: Final = (
    *("seed-000", "seed-001", "seed-002", "seed-003", "seed-004"),
    *("dagmm", "goad", "memstream", "nsl-kdd", "kdd99-official"),
    *("capture", "calibration", "own"),
)


def protocol_of(name: str) -> "Protocol":
    """Protocol by name.

    Raises
    ------
    ConfigError
        There is no such protocol; the message names those that there are.
    """
    if name not in NAMES:
        raise ConfigError("PROTOCOL", name, "one of " + ", ".join(NAMES))
    protocol: Protocol = import_module(f"{__name__}.{name.replace('-', '_')}").PROTOCOL
    return protocol

"""Whose rows are one sequence, and how long it may be. No numba: the command line asks here."""

from typing import Final

from tapwatch.errors import ConfigError

FLOW_OR_PAIR: Final = 0
SERVICE: Final = 1
HOST: Final = 2

#: Of packets the sequence is that of their flow, or of their two addresses where they have none; of
#: flows that of the initiator, the responder and its port; of hosts that of the host.
ENTITY: Final = {
    "packet": FLOW_OR_PAIR,
    "afterimage": FLOW_OR_PAIR,
    "afterimage_115": FLOW_OR_PAIR,
    "flow": SERVICE,
    "kdd": SERVICE,
    "host": HOST,
}

MAX_LENGTH: Final = 256


def check_length(n: int) -> None:
    """Refuse a length of sequences that is out of bounds.

    Raises
    ------
    ConfigError
        It is not 1 to `MAX_LENGTH`.
    """
    if not 1 <= n <= MAX_LENGTH:
        raise ConfigError("sequence", n, f"1 to {MAX_LENGTH}", "rows of a block")

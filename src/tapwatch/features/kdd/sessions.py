"""What is remembered of a session in clear text. No code but the making of it."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.kdd.index import Index, no_index
from tapwatch.features.kdd.rules import CONTENT_COLUMNS

#: Bytes of a line that are held against the rules.
LINE_BYTES: Final = 256

#: A session; pairs are [originator, responder].
SESSION: Final = np.dtype(
    [
        ("counts", "<i4", len(CONTENT_COLUMNS)),  # the content columns
        ("protocol", "u1"),  # rules.Protocol
        ("state", "u1"),  # rules.State
        ("name", "u1"),  # bits of the last user name: 1 hot, 2 guest, 4 has root in it
        ("is_prompt_due", "u1"),  # the responder has written since a prompt was looked for
        ("is_head", "u1"),  # the last request was HEAD: its answer has no body
        ("is_authorized", "u1"),  # the last request had credentials
        ("is_read", "u1"),  # a line was held against the rules
        ("is_cut", "u1"),  # more came than is read of a side
        ("is_gappy", "u1"),  # the capture lacks bytes of it
        ("is_encrypted", "u1"),  # it went over to encryption
        ("status", "<i2"),  # of the HTTP answer under way
        ("skip", "<i8", 2),  # bytes of a body that are stepped over
        ("n_read", "<i8", 2),
        ("length", "<i8", 2),  # Content-Length, -1 without one
        ("next_seq", "<u4", 2),  # the one after the last byte
        ("n_line", "<i4", 2),  # bytes of the line under way
        ("has_seq", "u1", 2),
        ("is_broken", "u1", 2),  # a gap: what comes up to the end of the line is no line
        ("is_closed", "u1", 2),  # nothing more is read
        ("escape", "u1", 2),  # inside a Telnet command or a terminal's control sequence
        ("part", "u1", 2),  # of an HTTP message
        ("is_chunked", "u1", 2),
        ("line", "u1", (2, LINE_BYTES)),  # in lower case
    ],
    align=True,
)

#: Counts since the start.
EVICTED, ENCRYPTED, CUT, GAPPY = range(4)
READ: Final = 4  # and one for each protocol
N_TOTALS: Final = READ + 7


class Sessions(NamedTuple):
    """The table of sessions; row numbers are nodes of `keys`."""

    keys: Index
    rows: NDArray[Any]  # SESSION (n,)
    totals: NDArray[np.int64]  # (N_TOTALS,)
    limit: NDArray[np.int64]  # (1,) bytes read of each side


def no_sessions(connections: int, limit_bytes: int, seed: int) -> Sessions:
    """Make an empty table; memory that is not touched costs nothing."""
    return Sessions(
        keys=no_index(connections, seed),
        rows=np.zeros(connections, SESSION),
        totals=np.zeros(N_TOTALS, np.int64),
        limit=np.full(1, limit_bytes, np.int64),
    )

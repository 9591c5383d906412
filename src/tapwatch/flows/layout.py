"""The flow table's own arrays: dtypes and constants, no code.

The table is cut into 64 buckets by the top bits of the flow hash. Everything with a bound (rows,
slots, lists, eviction) is per bucket, so that what happens to a flow depends on the packets of its
bucket alone, not on how many threads share the buckets.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import FLOW, LINK, EndReason

N_BUCKETS: Final = 64
BUCKET_SHIFT: Final = np.uint64(58)  # the top 6 bits of a 64-bit hash

SECOND_NS: Final = 1_000_000_000

#: Times are kept within these bounds, so that no difference or deadline leaves 64 bits. A pcap's 32
#: bits of seconds fit; what lies beyond is a damaged time stamp of some 146 years.
TIME_MAX_NS: Final = (1 << 62) - 1

#: Timeout classes; a bucket keeps one list of flows, oldest touch first, for each.
CLASS_IDLE: Final = 0  # TCP and every protocol not named below
CLASS_UDP: Final = 1
CLASS_ICMP: Final = 2
CLASS_CLOSING: Final = 3  # FIN both ways or RST: lingers
N_CLASSES: Final = 4

NONE: Final = -1  # end of a list

FLOW_WORDS: Final = FLOW.itemsize // 8
LINK_WORDS: Final = LINK.itemsize // 8
N_REASONS: Final = len(EndReason)

#: What an active cut clears: from the first of these words of a row to before the second. Ahead of
#: them is the key, behind them the connection.
CUT_WORDS: Final = tuple(
    FLOW.fields[name][1] // 8  # type: ignore[index]
    for name in ("last_clock_ns", "connection_first_ts_ns")
)

#: What the keys pass finds out about a packet, one row a packet.
KEY: Final = np.dtype(
    [
        ("hash", "<u8"),  # direction-symmetric, seeded
        ("ts_ns", "<i8"),  # within bounds
        ("clock_ns", "<i8"),  # house time: running maximum, what was promised by until_ns included
        ("vlan", "<i4"),  # VLAN id of the outermost tag, -1 without one
        ("src_port", "<u2"),  # as the key has it: ICMP types, ports of a first fragment
        ("dst_port", "<u2"),
        ("proto", "u1"),  # as the key has it: that of the first fragment
        ("is_flow", "u1"),
        ("is_one_way", "u1"),  # ICMP without a counter-type: the answer is another flow
        ("is_wrong_fragment", "u1"),  # see `datagrams`
    ],
    align=True,
)

#: One place of the open-addressed index; a bucket has a power of two of them, at most half used.
SLOT: Final = np.dtype(
    [
        ("tag", "<u4"),  # low 32 bits of the hash; their low end is the place it wants
        ("row", "<i4"),  # 1 + row number; 0 is empty
    ]
)

#: What a row of the table needs beside its FLOW: small and dense, for lists jump between rows.
NODE: Final = np.dtype(
    [
        ("next", "<i4"),  # toward the latest touch; free rows are chained by it
        ("prev", "<i4"),
        ("touch", "<i8"),  # ordinal of the latest packet: decides between lists who is oldest
        ("isn", "<u4", 2),  # initial sequence number by direction, see `handshake`
        ("tag", "<u4"),
        ("list", "u1"),  # timeout class whose list it is in
        # bits: 1 (2 backward) has sent more than SYNs, 4 (8) a SYN, 16 (32) any segment but RST
        ("said", "u1"),
    ],
    align=True,
)

#: State and counts of one bucket: two cache lines, so that threads do not share one.
BUCKET: Final = np.dtype(
    [
        ("head", "<i4", N_CLASSES),  # oldest touch
        ("tail", "<i4", N_CLASSES),  # latest touch
        ("free", "<i4"),  # rows given back, last in first out
        ("used", "<i4"),  # rows that were ever used: memory beyond was never touched
        ("open", "<i8"),
        ("created", "<i8"),
        ("late", "<i8"),  # packets of flows with ts_ns below the house time
        ("ended", "<i8", N_REASONS),
    ],
    align=True,
)

#: What does not change while a table lives.
PARAMETERS: Final = np.dtype(
    [
        ("seed", "<u8"),
        ("timeout_ns", "<i8", N_CLASSES),
        ("active_ns", "<i8"),
        ("rows_a_bucket", "<i8"),
        ("slots_a_bucket", "<i8"),
    ]
)

#: One call of the kernel, and how far it has come: it returns early where its output is full.
TASK: Final = np.dtype(
    [
        ("worker", "<i8"),  # does the buckets with bucket % workers == worker
        ("workers", "<i8"),
        ("ordinal", "<i8"),  # how many packets came before the first of this call
        ("sweep_ns", "<i8"),  # afterwards, flows whose deadline is before this time end
        ("close_ns", "<i8"),  # house time at the end of the source; used where is_last
        ("is_last", "<i8"),  # 1: no sweep, all flows end; their rows stay in the table
        ("packet", "<i8"),  # next packet
        ("bucket", "<i8"),  # next bucket to sweep
        ("n_out", "<i8"),  # ended rows in the output
    ]
)

#: A datagram whose first fragment was seen: protocol and ports of its key, for the later ones, and
#: what `datagrams` knows of the bytes seen.
FRAGMENT: Final = np.dtype(
    [
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("meta", "<u8"),  # protocol (IPv4 only), IP version, VLAN, tunnel
        ("clock_ns", "<i8"),
        ("ip_id", "<u4"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("front_bytes", "<i4"),  # seen without a gap from the beginning
        ("island_start", "<i4"),  # seen beyond a gap: [island_start, island_end), empty where equal
        ("island_end", "<i4"),
        ("total_bytes", "<i4"),  # by the last fragment; 0 where it was not seen
        ("latest_start", "<i4"),  # of the fragment that came last
        ("latest_end", "<i4"),
        ("first_bytes", "<i4"),  # of the first fragment
        ("proto", "u1"),
        ("is_one_way", "u1"),
        ("is_used", "u1"),
    ],
    align=True,
)

FRAGMENT_WAYS: Final = 4  # places a datagram may take; the oldest of them makes room
FRAGMENT_TIMEOUT_NS: Final = 30 * SECOND_NS  # Linux gives up reassembly then too

#: Counts of the keys pass.
KEY_COUNTS: Final = np.dtype(
    [
        ("packets", "<i8"),  # that are of a flow
        ("not_flow_packets", "<i8"),  # decoded, but of no flow
        ("fragments_unmatched", "<i8"),  # later fragments whose first one is not known
        ("fragments_evicted", "<i8"),  # datagrams forgotten before their time
    ]
)


class Table(NamedTuple):
    """The arrays of a flow table, as the kernels take them."""

    rows: NDArray[Any]  # FLOW (N_BUCKETS * rows_a_bucket,)
    row_words: NDArray[np.uint64]  # the same memory, (rows, FLOW.itemsize / 8)
    nodes: NDArray[Any]  # NODE, one a row
    slots: NDArray[Any]  # SLOT (N_BUCKETS * slots_a_bucket,)
    buckets: NDArray[Any]  # BUCKET (N_BUCKETS,)
    parameters: NDArray[Any]  # PARAMETERS (1,)

"""The conversation table's own arrays: dtypes and constants, no code.

A conversation is what Wireshark calls a TCP stream: two addresses, two ports and the tunnel,
whatever the VLAN, until a SYN with another sequence number reuses the ports. Time does not end it.
The table has the shape of the flow table (`layout.Table`): 64 buckets, rows, an index, and a list
of the conversations of each bucket, oldest touch first.
"""

from typing import Final

import numpy as np

#: One conversation: two cache lines. Pairs are by direction: 0 is that of the row's first segment,
#: and both where the two endpoints are one. Sequence numbers are as sent; 0 counts as not known, as
#: it does in Wireshark.
CONVERSATION: Final = np.dtype(
    [
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("tunnel_id", "<u4"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("last_ts_ns", "<i8"),  # of the segment before
        # Latest SYN, 0 without one; once ROUND_TRIP_KNOWN, the initial round trip: from that SYN
        # to the first segment with ACK and without SYN.
        ("handshake_ns", "<i8"),
        ("base_seq", "<u4", 2),  # initial sequence number, where BASE_KNOWN
        ("next_seq", "<u4", 2),  # the one after the highest byte, SYN or FIN
        ("unbroken_seq", "<u4", 2),  # up to here nothing is missing: what the other side may ack
        ("last_ack", "<u4", 2),  # acknowledgement field of the latest segment, even without ACK
        ("next_seq_ns", "<i8", 2),  # when `next_seq` last moved
        ("last_ack_ns", "<i8", 2),  # time of the latest segment
        ("window", "<u2", 2),  # of the latest segment, unscaled, where WINDOW_KNOWN
        ("window_scale", "i1", 2),  # shift count, SCALE_UNKNOWN or SCALE_NONE
        ("marks", "u1", 2),  # bits, see below
    ],
    align=True,
)

SCALE_UNKNOWN: Final = -1  # no SYN has been seen
SCALE_NONE: Final = -2  # a SYN without the option: windows are as sent

#: Bits of `marks`. The low two count duplicate ACKs: 0, 1, 2 for two or more, and 3 where the count
#: has been set aside because something that was never seen was acknowledged.
DUP_ACKS: Final = 3
DUP_ACKS_ASIDE: Final = 3
LAST_KEEP_ALIVE: Final = 4  # the latest segment was a keep-alive
LAST_PROBE: Final = 8  # the latest segment was a zero-window probe
ONLY_SYN: Final = 16  # sent a SYN and no ACK since: its window is not scaled yet
BASE_KNOWN: Final = 32
WINDOW_KNOWN: Final = 64
IPV6: Final = 128  # of direction 0: the addresses are IPv6
ROUND_TRIP_KNOWN: Final = 128  # of direction 1

#: What a row of the table needs beside its CONVERSATION; fields as in `layout.NODE`.
CONVERSATION_NODE: Final = np.dtype(
    [
        ("next", "<i4"),
        ("prev", "<i4"),
        ("tag", "<u4"),
        ("list", "u1"),  # there is one list a bucket: 0
    ],
    align=True,
)

#: State and counts of one bucket; fields as in `layout.BUCKET`.
CONVERSATION_BUCKET: Final = np.dtype(
    [
        ("head", "<i4", (1,)),
        ("tail", "<i4", (1,)),
        ("free", "<i4"),
        ("used", "<i4"),
        ("open", "<i8"),
        ("evicted", "<i8"),
        ("spare", "<i8", 4),  # to a whole cache line: threads do not share one
    ],
    align=True,
)

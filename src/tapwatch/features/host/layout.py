"""The arrays of the host view: dtypes and constants.

Pairs are [out, in]: out is what the host sent or began, in what it received or others began.
Everything merges exactly, as sums, minima, maxima or sketches: the rows of a window do not depend
on how its packets were batched, and a window is put together from panes, one a hop.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Sets of which a host keeps a sketch, by position.
PEERS_OUT: Final = 0  # hosts with which it began a flow
PEERS_IN: Final = 1  # hosts that began a flow with it
PEER_PORTS: Final = 2  # (protocol, port) at others to which it began a flow
PEER_PORT_PAIRS: Final = 3  # (host, protocol, port) to which it began a flow
OWN_PORTS: Final = 4  # (protocol, port) of its own to which others began a flow
DNS_NAMES: Final = 5  # names it asked for
ARP_TARGETS: Final = 6  # addresses it asked for
N_SETS: Final = 7

#: A packet's place in the histogram of lengths: whole hundreds of bytes, 1500 and more in the last.
SIZE_STEP_BYTES: Final = 100
N_SIZES: Final = 16

#: Ports are counted by a hash of (protocol, port) into so many places.
N_PORT_BINS: Final = 32

#: A pane is cut into so many parts, each a bit of `busy`.
N_SLICES: Final = 64

#: Name entropies are summed as whole numbers of this part of a bit, so that sums are exact.
ENTROPY_ONE: Final = 1 << 20

#: What a host did in one pane: nine cache lines, the first three for every packet.
HOST: Final = np.dtype(
    [
        ("hi", "<u8"),
        ("lo", "<u8"),
        ("created_ns", "<i8"),  # house time of the packet that made the record
        ("first_ts_ns", "<i8"),  # earliest packet time
        ("last_ts_ns", "<i8"),
        ("busy", "<u8"),  # a bit for each of 64 equal parts of the pane, 1 where it had a packet
        ("packets", "<u4", 2),
        ("largest_bytes", "<u4"),  # longest packet, either way
        ("interface", "<u2"),  # of its first packet
        ("ip_version", "u1"),
        ("is_recent", "u1"),  # seen again since the hand of the clock passed
        # From here to `port_bins` all are sums.
        ("bytes", "<i8", 2),  # on the wire
        ("payload_bytes", "<i8", 2),  # behind the transport header
        ("tcp", "<u4", 2),  # packets
        ("udp", "<u4"),
        ("icmp", "<u4"),
        ("group", "<u4"),  # packets sent to a multicast or broadcast address
        ("flows", "<u4", 2),
        ("arp_requests", "<u4"),  # sent, for other addresses than its own
        ("sizes", "<u4", N_SIZES),  # packets by length, both ways
        ("syn", "<u4", 2),  # segments with SYN and without ACK
        ("rst", "<u4", 2),
        ("unreachable", "<u4", 2),  # ICMP destination unreachable
        ("attempts", "<u4", 2),  # TCP flows whose first segment has neither ACK nor RST
        ("answered", "<u4", 2),  # of them, with SYN-ACK or RST-ACK, within the record
        ("new_peers", "<u4", 2),
        ("echo", "<u4"),  # echo requests sent
        ("dns_queries", "<u4"),
        ("dns_unread", "<u4"),  # of them, with a name that is malformed or cut off
        ("dns_labels", "<u4"),
        ("dns_name_bytes", "<i8"),  # characters, dots not counted
        ("dns_entropy", "<i8"),  # sum over names, in 1 / ENTROPY_ONE bit
        ("dns_nxdomain", "<u4"),
        ("spare", "<u4"),
        ("port_bins", "<u4", (2, N_PORT_BINS)),  # flows by port: at others, of its own
        # Of the most regular channel that it began a flow to.
        ("beacon_regularity", "<f8"),
        ("beacon_period_s", "<f8"),
        ("beacon_starts", "<u4"),
        ("spare_too", "<u4"),
        ("n_items", "u1", 8),  # of each set: items in it, or sketch.IS_SKETCH
        ("evicted_ns", "<i8"),  # house time when it had to make room; 0 while in the table
    ],
    align=True,
)
HOST_WORDS: Final = HOST.itemsize // 8


def _word_of(name: str) -> int:
    return int((HOST.fields or {})[name][1]) // 8  # type: ignore[index]


#: Words of 64 bits that merge by addition, also where one is two counts: neither fills its 32 bits.
PACKETS_WORD: Final = _word_of("packets")
FIRST_SUM_WORD: Final = _word_of("bytes")
BEHIND_SUM_WORDS: Final = _word_of("beacon_regularity")

#: What a window's row needs beside the merged record.
SUMMARY: Final = np.dtype(
    [
        ("distinct", "<i8", N_SETS),  # things in each set
        ("n_busy", "<i8"),  # slices with a packet
        ("size_entropy", "<f8"),  # bits
        ("port_entropy", "<f8", 2),
    ],
    align=True,
)

#: One place of the open-addressed index; at most half of a power of two of them are in use.
SLOT: Final = np.dtype(
    [
        ("tag", "<u4"),  # low 32 bits of the hash; their low end is the place it wants
        ("row", "<i4"),  # 1 + row number; 0 is empty
    ]
)

#: That a host has met another; `tag` 0 is a free place.
PAIR: Final = np.dtype([("tag", "<u8"), ("seen_ns", "<i8")])

#: Gaps between connections that a channel remembers.
N_GAPS: Final = 11
#: Gaps from which on a channel has a regularity.
FEWEST_GAPS: Final = 5

#: The last connections of one host to a service of another: a cache line. `tag` 0 is a free place.
CHANNEL: Final = np.dtype(
    [
        ("tag", "<u8"),
        ("seen_ns", "<i8"),  # start of the last one
        ("n_starts", "<u4"),
        ("gaps_ms", "<u4", N_GAPS),  # a ring: the gap behind start k (from 1) at (k - 1) % N_GAPS
    ],
    align=True,
)

#: Places that a pair or channel may take; of four, the one silent longest makes room.
N_WAYS: Final = 4

#: Most that one packet puts into sets: three for its initiator, two for the responder, a DNS name.
N_WANTS: Final = 6

#: State of the view between calls of its kernel, and the counts.
TASK: Final = np.dtype(
    [
        ("start_ns", "<i8"),  # of the pane; packets that come late count in it
        ("end_ns", "<i8"),
        ("packet", "<i8"),  # next packet
        ("base", "<i8"),  # first row of the pane
        ("n_rows", "<i8"),  # that a pane may have
        ("n_used", "<i8"),  # that it has
        ("hand", "<i8"),  # where the search for a host to evict goes on
        ("n_out", "<i8"),  # evicted records in the output
        ("n_wants", "<i8"),  # 0 between packets
        ("horizon_ns", "<i8"),
        ("seed", "<u8"),
        ("name_factor", "<i8"),  # of the hash of DNS names
        ("evicted", "<i8"),
        ("pairs_evicted", "<i8"),
        ("channels_evicted", "<i8"),
        ("late", "<i8"),  # packets counted later than their time
    ],
    align=True,
)

#: Times are kept within these bounds, so that no difference leaves 64 bits.
TIME_MAX_NS: Final = (1 << 62) - 1


class Memory(NamedTuple):
    """The arrays of a host view, as the kernels take them."""

    hosts: NDArray[Any]  # HOST (m,)
    words: NDArray[np.uint64]  # the same memory, (m, HOST_WORDS)
    sets: NDArray[np.uint32]  # (m, N_SETS, sketch.SET_WORDS)
    slots: NDArray[Any]  # SLOT (a power of two,), at least twice the records of a pane
    out_words: NDArray[np.uint64]  # (k, HOST_WORDS) evicted records, n_out of them
    out_sets: NDArray[np.uint32]  # (k, N_SETS, sketch.SET_WORDS)
    pairs: NDArray[Any]  # PAIR (N_WAYS times a power of two,)
    channels: NDArray[Any]  # CHANNEL (N_WAYS times a power of two,)
    wants: NDArray[np.int64]  # (N_WANTS, 3): row, set and item that a packet brings
    spare: NDArray[np.uint32]  # (sketch.SET_WORDS,) scratch
    characters: NDArray[np.int64]  # (256,) zeros between packets

"""What flows tell of their two hosts: with whom, to which ports, and whether it was answered.

A host's sets need each flow once in a pane: at the first packet of the flow that its record sees.
Putting it in once more changes nothing, so where that cannot be told it is put in again.
"""

from typing import Final

import numpy as np

from tapwatch.features.arithmetic import mix
from tapwatch.features.host.layout import (
    N_PORT_BINS,
    OWN_PORTS,
    PEER_PORT_PAIRS,
    PEER_PORTS,
    PEERS_IN,
    PEERS_OUT,
)
from tapwatch.features.host.memory import is_new_pair, note_start
from tapwatch.features.host.sketch import inner, part
from tapwatch.features.host.table import address_hash, want

# IANA protocol numbers of those that have ports.
_TCP, _UDP, _DCCP, _SCTP, _UDP_LITE = 6, 17, 33, 132, 136
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_BIN_MASK: Final = np.uint64(N_PORT_BINS - 1)

#: Hashes of items are others than those of the index, which has the same seed.
_ITEM_SEED: Final = np.uint64(0x686F_7374_7365_7473)


@part
def count_flow(packet, link, src, dst, now_ns, memory, task):  # type: ignore[no-untyped-def]
    """Count what the flow of a packet tells of its hosts.

    Parameters
    ----------
    packet, link : PACKET and LINK records
    src, dst : int
        Rows of the hosts of the packet, -1 where there is none.
    now_ns : int
        House time.
    memory : Memory
    task : TASK record
    """
    initiator, responder, port = src, dst, np.int64(link["dst_port"])
    if link["direction"] != 0:
        initiator, responder, port = dst, src, np.int64(link["src_port"])
    service = np.int64(link["proto"]) << 16 | port if _has_ports(link["proto"]) else np.int64(-1)
    is_piece = np.int64(link["packets"][0]) + np.int64(link["packets"][1]) == 1
    # A piece that an active cut parted from the one before is not begun here.
    is_begun = is_piece and link["connection_id"] == link["flow_id"]
    for way in range(2):
        row = responder if way else initiator
        if row < 0:
            continue
        host = memory.hosts[row]
        if is_begun:
            _begin(packet, link, host, way, service, task)
        elif _is_answer(packet, link) and link["flow_first_ts_ns"] >= host["first_ts_ns"]:
            # Only of a flow whose first segment this record has counted. Both are times of packets:
            # the one may have come late, and the record with it.
            host["answered"][way] += 1
        # The flow's packet before this one: its time is known unless one of the two came late.
        is_unsure = is_piece or packet["ts_ns"] != now_ns
        if is_unsure or link["gap_flow_ns"] >= now_ns - host["created_ns"]:
            other = initiator if way else responder
            is_start = is_begun and way == 0
            _meet(row, other, way, service, is_start, now_ns, memory, task)


@inner
def _begin(packet, link, host, way, service, task):  # type: ignore[no-untyped-def]
    host["flows"][way] += 1
    if service >= 0:
        bin_ = np.int64(mix(np.uint64(service) ^ task["seed"]) & _BIN_MASK)
        host["port_bins"][way, bin_] += 1
    host["attempts"][way] += link["direction"] == 0 and _is_attempt(packet)


@part
def _meet(row, other, way, service, is_start, now_ns, memory, task):  # type: ignore[no-untyped-def]
    """Put a flow into the sets of one of its hosts: the initiator's (way 0) or the responder's."""
    wants, has_ports = memory.wants, service >= 0
    if has_ports:
        port = mix(np.uint64(service) ^ task["seed"])
        want(wants, row, OWN_PORTS if way else PEER_PORTS, port, task)
    if other < 0:
        return
    here = _host_item(memory.hosts[row], task)
    there = _host_item(memory.hosts[other], task)
    want(wants, row, PEERS_IN if way else PEERS_OUT, there, task)
    if way:
        return
    pair = mix(here ^ mix(there))
    if is_new_pair(memory.pairs, pair, now_ns, task):
        memory.hosts[row]["new_peers"][0] += 1
        memory.hosts[other]["new_peers"][1] += 1
    if has_ports:
        want(wants, row, PEER_PORT_PAIRS, mix(there ^ np.uint64(service)), task)
    if has_ports and is_start:
        channel = mix(pair ^ np.uint64(service))
        note_start(memory.channels, channel, now_ns, memory.hosts[row], task)


@inner
def _has_ports(proto):  # type: ignore[no-untyped-def]
    return (
        (proto == _TCP)
        | (proto == _UDP)
        | (proto == _SCTP)
        | (proto == _DCCP)
        | (proto == _UDP_LITE)
    )


@inner
def _is_attempt(packet):  # type: ignore[no-untyped-def]
    """Whether a flow's first packet is a segment that an answer is due to."""
    is_tcp = (packet["proto"] == _TCP) & (packet["frag_offset_bytes"] == 0)
    return is_tcp & (np.int64(packet["tcp_flags"]) & (_ACK | _RST) == 0)


@inner
def _is_answer(packet, link):  # type: ignore[no-untyped-def]
    """Whether it is the responder's first segment, and answers one without ACK.

    RFC 9293 3.10.7.1: the reset that answers a segment without ACK has ACK, and the one that
    answers a segment with ACK has not.
    """
    if (
        link["direction"] == 0
        or packet["proto"] != _TCP
        or link["connection_id"] != link["flow_id"]
    ):
        return False
    flags = np.int64(packet["tcp_flags"])
    is_first = link["packets"][1] == 1 and link["packets"][0] != 0
    return is_first and flags & _ACK != 0 and flags & (_SYN | _RST) != 0


@inner
def address_item(hi, lo, version, seed):  # type: ignore[no-untyped-def]
    """Hash an address to 64 bits; without the seed nobody chooses what falls together."""
    return mix(address_hash(hi, lo, version, seed ^ _ITEM_SEED))


@inner
def _host_item(host, task):  # type: ignore[no-untyped-def]
    return address_item(host["hi"], host["lo"], host["ip_version"], task["seed"])

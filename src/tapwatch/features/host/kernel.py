"""Files packets under the hosts of a pane; columns.py has the definitions."""

from typing import Final

import numpy as np
from numba import njit

from tapwatch.features.host.dns import read_dns
from tapwatch.features.host.flows import address_item, count_flow
from tapwatch.features.host.layout import (
    ARP_TARGETS,
    N_SIZES,
    N_SLICES,
    SIZE_STEP_BYTES,
    TIME_MAX_NS,
)
from tapwatch.features.host.sketch import inner, insert, part
from tapwatch.features.host.table import host_of, want

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58  # IANA protocol numbers
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_ETHER_TYPE_ARP: Final = 0x0806
_REQUEST, _REPLY = 1, 2  # RFC 826 opcodes
_GROUP_BIT: Final = np.uint64(1 << 40)
_NONE, _ONE = np.uint64(0), np.uint64(1)
_V4_MASK: Final = np.uint64(0xFFFF_FFFF)
_V6_SHIFT, _V6_MULTICAST = np.uint64(56), np.uint64(0xFF)
_FIRST_MULTICAST: Final = 224 << 24  # RFC 5771, and RFC 1112 4 for what is above it


@njit(nogil=True, cache=True)
def count_packets(packets, links, data, memory, tasks):  # type: ignore[no-untyped-def]
    """Count packets until the batch, the pane or the room for evicted records ends.

    Parameters
    ----------
    packets : PACKET (n,)
    links : LINK (n,)
    data : uint8 (n_bytes,)
    memory : Memory
    tasks : TASK (1,)
        tasks["packet"] is the next packet: where the pane ends, the first one behind it.
    """
    task = tasks[0]
    room = len(memory.out_words)
    for i in range(task["packet"], len(packets)):
        # A packet may evict two hosts.
        if bounded(packets[i]["clock_ns"]) >= task["end_ns"] or task["n_out"] + 2 > room:
            task["packet"] = i
            return
        if (packets[i]["is_flow"] != 0) | _is_arp(packets[i]):
            _file(packets[i], links[i], data, memory, task)
    task["packet"] = len(packets)


@part
def _file(packet, link, data, memory, task):  # type: ignore[no-untyped-def]
    """Count a packet for its hosts."""
    is_ip = packet["is_flow"] != 0
    is_group = _is_group(packet)
    now_ns = max(bounded(packet["clock_ns"]), task["start_ns"])
    task["late"] += packet["ts_ns"] < now_ns
    hop_ns = task["end_ns"] - task["start_ns"]
    slice_ = _ONE << np.uint64((now_ns - task["start_ns"]) * N_SLICES // hop_ns)
    src, dst = np.int64(-1), np.int64(-1)
    for way in range(2):
        is_host = is_ip & (not is_group)
        if way == 0:
            is_host = is_unicast(packet["src_hi"], packet["src_lo"], packet["ip_version"])
        if is_host:
            row = host_of(packet, way, src, now_ns, memory, task)
            _count(memory.hosts[row], packet, way, slice_)
            src, dst = (src, row) if way else (row, dst)
    if src >= 0 and is_group:
        memory.hosts[src]["group"] += 1
    if is_ip:
        read_dns(packet, src, dst, data, memory, task)
    elif src >= 0 and _is_question(packet):
        memory.hosts[src]["arp_requests"] += 1
        hi, lo, version = packet["dst_hi"], packet["dst_lo"], packet["ip_version"]
        asked = address_item(hi, lo, version, task["seed"])
        want(memory.wants, src, ARP_TARGETS, asked, task)
    if link["is_flow"] != 0:
        count_flow(packet, link, src, dst, now_ns, memory, task)
    if task["n_wants"] != 0:
        _fulfil(memory, task)


@inner
def bounded(time_ns):  # type: ignore[no-untyped-def]
    """Clamp a time so that differences stay within 64 bits."""
    return min(max(time_ns, -TIME_MAX_NS), TIME_MAX_NS)


@inner
def is_unicast(hi, lo, version):  # type: ignore[no-untyped-def]
    """Whether an IP address can be that of one host: not unspecified, multicast or broadcast."""
    if version == 4:
        return 0 < np.int64(lo & _V4_MASK) < _FIRST_MULTICAST
    return (hi >> _V6_SHIFT) != _V6_MULTICAST and (hi | lo) != _NONE


@inner
def _is_group(packet):  # type: ignore[no-untyped-def]
    """Whether it is for more than one host: by the frame's address, or else that of IP."""
    if (packet["eth_dst"] & _GROUP_BIT) != _NONE:
        return True
    if packet["is_flow"] == 0:
        return False
    return not is_unicast(packet["dst_hi"], packet["dst_lo"], packet["ip_version"])


@inner
def _is_arp(packet):  # type: ignore[no-untyped-def]
    is_arp = (packet["ether_type"] == _ETHER_TYPE_ARP) & (packet["status"] == 0)
    opcode = packet["arp_opcode"]
    return is_arp & (packet["ip_version"] == 4) & ((opcode == _REQUEST) | (opcode == _REPLY))


@inner
def _is_question(packet):  # type: ignore[no-untyped-def]
    return packet["arp_opcode"] == _REQUEST and packet["src_lo"] != packet["dst_lo"]


@inner
def _count(host, packet, way, slice_):  # type: ignore[no-untyped-def]
    """Count a packet for its sender (way 0) or its receiver (way 1)."""
    ts_ns = packet["ts_ns"]
    if host["packets"][0] + host["packets"][1] == 0:
        host["first_ts_ns"] = ts_ns
        host["last_ts_ns"] = ts_ns
        host["interface"] = packet["interface"]
    host["first_ts_ns"] = min(host["first_ts_ns"], ts_ns)
    host["last_ts_ns"] = max(host["last_ts_ns"], ts_ns)
    wire_bytes = np.int64(packet["wire_bytes"])
    host["largest_bytes"] = max(np.int64(host["largest_bytes"]), wire_bytes)
    host["sizes"][min(wire_bytes // SIZE_STEP_BYTES, N_SIZES - 1)] += 1
    host["busy"] |= slice_
    host["packets"][way] += 1
    host["bytes"][way] += wire_bytes
    host["payload_bytes"][way] += max(np.int64(packet["payload_bytes"]), 0)
    proto = packet["proto"]
    if proto == _TCP:
        flags = np.int64(packet["tcp_flags"])
        host["tcp"][way] += 1
        host["syn"][way] += flags & (_SYN | _ACK) == _SYN
        host["rst"][way] += flags & _RST != 0
    elif proto == _UDP:
        host["udp"] += 1
    elif proto == _ICMP:
        host["icmp"] += 1
        host["unreachable"][way] += packet["icmp_type"] == 3
        host["echo"] += (way == 0) & (packet["icmp_type"] == 8)
    elif proto == _ICMPV6:
        host["icmp"] += 1
        host["unreachable"][way] += packet["icmp_type"] == 1
        host["echo"] += (way == 0) & (packet["icmp_type"] == 128)


@part
def _fulfil(memory, task):  # type: ignore[no-untyped-def]
    """Put into the sets what the packet wants, all at one place: it is the bulkiest code."""
    for k in range(task["n_wants"]):
        row, which, item = memory.wants[k, 0], memory.wants[k, 1], memory.wants[k, 2]
        host, words = memory.hosts[row], memory.sets[row, which]
        n_items = insert(words, np.int64(host["n_items"][which]), item, memory.spare)
        host["n_items"][which] = n_items
    task["n_wants"] = 0

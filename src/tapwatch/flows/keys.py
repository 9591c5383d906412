"""The keys pass: one serial walk over a batch that says which flow each packet asks for."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.flows.datagrams import add_fragment, begin_datagram, is_impossible
from tapwatch.flows.hashing import meta_word, mix, table_hash, wide
from tapwatch.flows.layout import FRAGMENT_TIMEOUT_NS, FRAGMENT_WAYS, TIME_MAX_NS
from tapwatch.flows.protocols import COUNTER_TYPE, ICMP, ICMPV6, NO_COUNTER_TYPE

_VLAN_ID_MASK: Final = 0x0FFF  # IEEE 802.1Q: the low 12 bits of the tag


@njit(nogil=True, cache=True)
def fill_keys(
    packets: NDArray[Any],
    keys: NDArray[Any],
    clock_ns: int,
    parameters: NDArray[Any],
    fragments: NDArray[Any],
    counts: NDArray[Any],
) -> int:
    """Write one KEY for each packet.

    Serial, for fragments of one datagram meet here whatever buckets they belong to.

    Parameters
    ----------
    packets : PACKET (n,)
    keys : KEY (>= n,)
        Written.
    clock_ns : int
        House time before the first packet.
    parameters : PARAMETERS (1,)
    fragments : FRAGMENT (a multiple of FRAGMENT_WAYS,)
        Datagrams whose first fragment is known; updated.
    counts : KEY_COUNTS (1,)
        Added to.

    Returns
    -------
    clock_ns : int
        House time after the last packet.
    """
    seed = parameters[0]["seed"]
    count = counts[0]
    for i in range(len(packets)):
        packet = packets[i]
        key = keys[i]
        clock_ns = max(clock_ns, within_bounds(packet["clock_ns"]))
        key["ts_ns"] = within_bounds(packet["ts_ns"])
        key["clock_ns"] = clock_ns
        key["is_flow"] = packet["is_flow"]
        key["is_wrong_fragment"] = 0
        if packet["is_flow"] == 0:
            key["hash"] = 0
            key["vlan"] = 0
            key["src_port"] = 0
            key["dst_port"] = 0
            key["proto"] = 0
            key["is_one_way"] = 0
            count["not_flow_packets"] += packet["status"] == 0
            continue
        count["packets"] += 1
        vlan = -1
        if packet["n_vlan_tags"] > 0:
            vlan = wide(packet["vlan_tci"]) & _VLAN_ID_MASK
        key["vlan"] = vlan
        key["proto"] = packet["proto"]
        _fill_ports(packet, key)
        if packet["is_fragment"] != 0:
            _meet_fragment(packet, key, seed, fragments, count)
        meta = meta_word(key["proto"], packet["ip_version"], vlan, packet["tunnel_id"])
        key["hash"] = table_hash(packet, key["src_port"], key["dst_port"], meta, seed)
    return clock_ns


@njit
def within_bounds(time_ns: Any) -> int:
    """Clamp a time so that differences and deadlines stay within 64 bits."""
    return int(min(max(wide(time_ns), -TIME_MAX_NS), TIME_MAX_NS))


@njit
def _fill_ports(packet: Any, key: Any) -> None:
    proto = packet["proto"]
    key["is_one_way"] = 0
    if proto not in (ICMP, ICMPV6):
        key["src_port"] = packet["src_port"]
        key["dst_port"] = packet["dst_port"]
        return
    if packet["frag_offset_bytes"] != 0:  # no ICMP header in there
        key["src_port"] = 0
        key["dst_port"] = 0
        return
    icmp_type = wide(packet["icmp_type"])
    counter_type = COUNTER_TYPE[wide(proto == ICMPV6), icmp_type]
    key["src_port"] = icmp_type
    if counter_type == NO_COUNTER_TYPE:
        key["dst_port"] = packet["icmp_code"]
        key["is_one_way"] = 1
    else:
        key["dst_port"] = counter_type


@njit
def _meet_fragment(packet: Any, key: Any, seed: Any, fragments: NDArray[Any], count: Any) -> None:
    # A first fragment leaves protocol and ports for those that follow; a later one takes them, and
    # keeps its own protocol and ports 0 where it came first, or its first one was lost or
    # forgotten. What makes fragments one datagram is addresses, identification and, in IPv4 only,
    # protocol (RFC 791 section 3.2, RFC 8200 section 4.5): in IPv6 other extension headers may
    # stand behind the fragment header, and only the first fragment shows what they lead to.
    proto = packet["proto"] if packet["ip_version"] == 4 else 0
    meta = meta_word(proto, packet["ip_version"], key["vlan"], packet["tunnel_id"])
    wanted = mix(table_hash(packet, 0, 0, meta, seed) ^ np.uint64(packet["ip_id"]))
    n_sets = np.uint64(len(fragments) // FRAGMENT_WAYS)
    base = wide(wanted % n_sets) * FRAGMENT_WAYS
    is_first = packet["frag_offset_bytes"] == 0
    key["is_wrong_fragment"] = is_impossible(packet)
    best = base
    for place in range(base, base + FRAGMENT_WAYS):
        known = fragments[place]
        if _is_datagram(known, packet, meta):
            is_fresh = key["clock_ns"] - known["clock_ns"] <= FRAGMENT_TIMEOUT_NS
            if is_first:
                if begin_datagram(known, packet) and is_fresh:
                    key["is_wrong_fragment"] = 1
                _remember(known, packet, key, meta)
                return
            if is_fresh:
                if add_fragment(known, packet):
                    key["is_wrong_fragment"] = 1
                key["src_port"] = known["src_port"]
                key["dst_port"] = known["dst_port"]
                key["proto"] = known["proto"]
                key["is_one_way"] = known["is_one_way"]
                return
        if _age(known) < _age(fragments[best]):
            best = place
    if not is_first:
        count["fragments_unmatched"] += 1
        return
    oldest = fragments[best]
    if oldest["is_used"] and key["clock_ns"] - oldest["clock_ns"] <= FRAGMENT_TIMEOUT_NS:
        count["fragments_evicted"] += 1
    begin_datagram(oldest, packet)
    _remember(oldest, packet, key, meta)


@njit
def _age(known: Any) -> int:
    # An empty place counts as older than any datagram.
    return known["clock_ns"] if known["is_used"] else -TIME_MAX_NS - 1


@njit
def _is_datagram(known: Any, packet: Any, meta: Any) -> bool:
    return bool(
        known["is_used"] != 0
        and known["ip_id"] == packet["ip_id"]
        and known["meta"] == meta
        and known["src_lo"] == packet["src_lo"]
        and known["dst_lo"] == packet["dst_lo"]
        and known["src_hi"] == packet["src_hi"]
        and known["dst_hi"] == packet["dst_hi"]
    )


@njit
def _remember(known: Any, packet: Any, key: Any, meta: Any) -> None:
    known["src_hi"] = packet["src_hi"]
    known["src_lo"] = packet["src_lo"]
    known["dst_hi"] = packet["dst_hi"]
    known["dst_lo"] = packet["dst_lo"]
    known["meta"] = meta
    known["clock_ns"] = key["clock_ns"]
    known["ip_id"] = packet["ip_id"]
    known["src_port"] = key["src_port"]
    known["dst_port"] = key["dst_port"]
    known["proto"] = key["proto"]
    known["is_one_way"] = key["is_one_way"]
    known["is_used"] = 1

"""The compiled entry point: one label for each packet."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import endpoint, talk_key
from tapwatch.features.protocol.deep import carried, deep_label, open_datagram
from tapwatch.features.protocol.links import FRAME_OF, ON, TYPE_IPV4, TYPE_IPV6
from tapwatch.features.protocol.payload import tcp_label, udp_label
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import be8, helper

_OTHER = 0
_IPV4, _IPV6 = label_index("IPv4"), label_index("IPv6")
_TCP, _UDP, _ICMP = label_index("TCP"), label_index("UDP"), label_index("ICMP")
_ICMPV6, _ARP, _RARP = label_index("ICMPv6"), label_index("ARP"), label_index("RARP")
_MIPV6 = label_index("MIPv6")
_P_ICMP, _P_TCP, _P_UDP, _P_ICMPV6, _P_NONE = 1, 6, 17, 58, 59
_TYPE_ARP = 0x0806
_SYN = 2


@njit(nogil=True, cache=True, _nrt=False)
def label_packets(
    data: NDArray[np.uint8],
    packets: NDArray[Any],
    links: NDArray[Any],
    frames: NDArray[Any],
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
    labels: NDArray[np.uint16],
) -> None:
    """Write the label of each packet.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    packets : PACKET (n,)
    links : LINK (n,)
    frames : FRAME (n,) or (0,)
        Where each frame lies; without it, frames that decode refused are told by their rows alone.
    talks : TALK (sets, ways)
        Updated.
    counts : int64 (3,)
        Conversations that came, those evicted, and packets asked about; updated.
    know : Knowledge
    labels : uint16 (n,)
        Written.
    """
    for i in range(len(packets)):
        packet = packets[i]
        now = int(counts[2])
        counts[2] += 1
        is_ip = packet["ip_version"] != 0 and packet["ether_type"] != _TYPE_ARP
        if packet["status"] == 0 and is_ip and packet["frag_offset_bytes"] == 0:
            labels[i] = _transport(data, packet, links[i], now, talks, counts, know)
        elif packet["status"] == 0 and is_ip:
            labels[i] = _IPV4 if packet["ip_version"] == 4 else _IPV6
        elif packet["status"] == 0:
            labels[i] = _RARP if int(packet["arp_opcode"]) in (3, 4) else _ARP
        elif len(frames) > 0:
            frame = frames[i]
            lo = int(frame["start"])
            hi = lo + int(np.int64(frame["captured_bytes"]))
            what = FRAME_OF + int(np.int64(frame["link_type"]))
            labels[i] = deep_label(data, what, lo, hi, now, talks, counts, know)
        else:
            labels[i] = _by_row(packet, know)


@helper
def _by_row(packet: Any, know: Knowledge) -> int:
    """What the row of a refused frame tells."""
    if packet["ether_type"] == _TYPE_ARP:
        return _ARP
    if packet["ip_version"] == 0:
        return int(know.ether_types[int(packet["ether_type"])])
    proto = int(packet["proto"])
    if proto == _P_TCP:
        return _TCP
    if proto == _P_UDP:
        return _UDP
    label = int(know.ip_protocols[proto])
    return label if label else (_IPV4 if packet["ip_version"] == 4 else _IPV6)


@helper
def _transport(
    data: NDArray[np.uint8],
    packet: Any,
    link: Any,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of a packet whose headers decode has read."""
    proto = int(packet["proto"])
    n_bytes = int(np.int64(packet["payload_bytes"]))
    lo = int(packet["payload_start"])
    if proto == _P_TCP:
        flags = int(np.int64(packet["tcp_flags"]))
        # Most packets without payload end here.
        if n_bytes <= 0 and flags & _SYN == 0:
            return _TCP
    elif proto == _P_ICMP:
        return _ICMP
    elif proto == _P_ICMPV6:
        return _ICMPV6
    # Bounds: the payload as far as it was captured; decode has put it inside the frame.
    hi = lo + int(np.int64(packet["payload_captured_bytes"]))
    end = max(lo + n_bytes, hi)
    if proto not in (_P_TCP, _P_UDP):
        return _other_proto(data, packet, proto, lo, hi, end, now, talks, counts, know)
    src_port = int(np.int64(packet["src_port"]))
    dst_port = int(np.int64(packet["dst_port"]))
    if proto == _P_UDP and know.tunnel_ports[src_port] | know.tunnel_ports[dst_port]:
        label, what, inner = open_datagram(data, src_port, dst_port, lo, hi)
        if label != ON:
            return label
        if what != 0:
            start = lo - 8 - int(np.int64(packet["ip_header_bytes"]))
            what = TYPE_IPV4 if packet["ip_version"] == 4 else TYPE_IPV6
            return deep_label(data, what, start, hi, now, talks, counts, know)
    a = endpoint(packet["src_hi"], packet["src_lo"], src_port)
    b = endpoint(packet["dst_hi"], packet["dst_lo"], dst_port)
    key = talk_key(a, b, proto)
    if proto == _P_UDP:
        return udp_label(data, lo, hi, end, src_port, dst_port, key, now, talks, counts, know)
    seq = int(np.int64(packet["tcp_seq"]))
    analysis = int(np.int64(link["tcp_analysis"]))
    side = int(a > b)
    return tcp_label(
        data,
        lo,
        hi,
        end,
        src_port,
        dst_port,
        flags,
        seq,
        analysis,
        side,
        key,
        now,
        talks,
        counts,
        know,
    )


@helper
def _other_proto(
    data: NDArray[np.uint8],
    packet: Any,
    proto: int,
    lo: int,
    hi: int,
    end: int,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of what is neither TCP, UDP nor ICMP."""
    version = _IPV4 if packet["ip_version"] == 4 else _IPV6
    if proto == _P_NONE and packet["ip_header_bytes"] > 40:
        # Mobility messages (RFC 6275) end with "no next header".
        return _MIPV6 if _last_extension_is_mobility(data, packet, lo) else version
    here = lo - int(np.int64(packet["transport_header_bytes"]))
    label, what, inner = carried(data, proto, here, hi, end, know)
    if label == ON:
        label = deep_label(data, what, inner, hi, now, talks, counts, know)
    return label if label != _OTHER else version


@helper
def _last_extension_is_mobility(data: NDArray[np.uint8], packet: Any, end: int) -> bool:
    """Whether the chain of extension headers that ends at `end` has a mobility header (135)."""
    here = end - int(np.int64(packet["ip_header_bytes"]))
    kind = be8(data, here + 6)
    here += 40
    for _ in range(16):
        # Bounds: decode has read the whole chain, up to `end`.
        if kind == 135:
            return True
        if end - here < 8 or kind == _P_NONE:
            return False
        kind, here = be8(data, here), here + 8 * (be8(data, here + 1) + 1)
    return False

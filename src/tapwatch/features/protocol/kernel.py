"""The compiled entry point: one label for each packet."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import endpoint, talk_key
from tapwatch.features.protocol.deep import find_segment
from tapwatch.features.protocol.links import FRAME_OF, ON, TYPE_IPV4, TYPE_IPV6
from tapwatch.features.protocol.payload import segment_label
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import helper

_OTHER = 0
_IPV4, _IPV6 = label_index("IPv4"), label_index("IPv6")
_TCP, _UDP, _ICMP = label_index("TCP"), label_index("UDP"), label_index("ICMP")
_ICMPV6, _ARP, _RARP = label_index("ICMPv6"), label_index("ARP"), label_index("RARP")
_P_ICMP, _P_TCP, _P_UDP, _P_ICMPV6 = 1, 6, 17, 58
_TYPE_ARP = 0x0806
_SYN = 2
#: The row does not tell; the bytes have to.
_DEEP = -2
#: Longest IPv6 packet without a jumbo payload option (RFC 2675), which nobody reads here.
_MAX_IPV6_BYTES = 40 + 65_535


@njit(nogil=True, cache=True, _nrt=False)
def label_packets(
    data: NDArray[np.uint8],
    packets: NDArray[Any],
    links: NDArray[Any],
    frames: NDArray[Any],
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
    scratch: NDArray[Any],
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
    scratch : SEGMENT (1,)
        Overwritten.
    labels : uint16 (n,)
        Written.
    """
    segment = scratch[0]
    for i in range(len(packets)):
        packet = packets[i]
        is_ip = packet["ip_version"] != 0 and packet["ether_type"] != _TYPE_ARP
        if packet["status"] == 0 and is_ip:
            label = _read_row(packet, links[i], segment, know)
        elif packet["status"] == 0:
            label = _RARP if int(packet["arp_opcode"]) in (3, 4) else _ARP
        elif len(frames) > 0:
            label = _DEEP
        else:
            label = _by_row(packet, know)
        if label == _DEEP:
            frame_of = i if len(frames) > 0 else -1
            label = _read_deep(data, packet, frames, frame_of, segment, know)
        if label == ON:
            label = segment_label(data, segment, int(counts[2]), talks, counts, know)
            if segment["gtp"]:
                label = int(know.gtp[label])
        labels[i] = label
        counts[2] += 1


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
def _read_row(packet: Any, link: Any, segment: Any, know: Knowledge) -> int:
    """Take from the row what decode has read: a label, ON with the segment, or DEEP."""
    proto = int(packet["proto"])
    if packet["frag_offset_bytes"] != 0 or packet["ip_bytes"] > _MAX_IPV6_BYTES:
        return _IPV4 if packet["ip_version"] == 4 else _IPV6
    if proto == _P_ICMP:
        return _ICMP
    if proto == _P_ICMPV6:
        return _ICMPV6
    if proto not in (_P_TCP, _P_UDP):
        return _DEEP
    n_bytes = int(np.int64(packet["payload_bytes"]))
    flags = int(np.int64(packet["tcp_flags"]))
    # Most packets without payload end here.
    if n_bytes <= 0 and flags & _SYN == 0:
        return _TCP if proto == _P_TCP else _UDP
    src_port = int(np.int64(packet["src_port"]))
    dst_port = int(np.int64(packet["dst_port"]))
    if proto == _P_UDP and know.tunnel_ports[src_port] | know.tunnel_ports[dst_port]:
        return _DEEP
    a = endpoint(packet["src_hi"], packet["src_lo"], src_port)
    b = endpoint(packet["dst_hi"], packet["dst_lo"], dst_port)
    lo = int(packet["payload_start"])
    segment["key"] = talk_key(a, b, proto)
    segment["lo"] = lo
    # Bounds: the payload as far as it was captured; decode has put it inside the frame.
    segment["hi"] = lo + int(np.int64(packet["payload_captured_bytes"]))
    segment["end"] = lo + n_bytes
    segment["seq"] = int(np.int64(packet["tcp_seq"]))
    segment["src_port"] = src_port
    segment["dst_port"] = dst_port
    segment["flags"] = flags
    segment["analysis"] = int(np.int64(link["tcp_analysis"]))
    segment["side"] = int(a > b)
    segment["udp"] = int(proto == _P_UDP)
    segment["gtp"] = 0
    return ON


@helper
def _read_deep(
    data: NDArray[np.uint8],
    packet: Any,
    frames: NDArray[Any],
    frame_of: int,
    segment: Any,
    know: Knowledge,
) -> int:
    """Read the bytes again: from the IP header where decode has been there, else from the first."""
    if packet["status"] != 0:
        frame = frames[frame_of]
        lo = int(frame["start"])
        hi = lo + int(np.int64(frame["captured_bytes"]))
        return find_segment(
            data, FRAME_OF + int(np.int64(frame["link_type"])), lo, hi, segment, know
        )
    payload = int(packet["payload_start"])
    headers = int(np.int64(packet["ip_header_bytes"]))
    # Bounds: decode has read all headers, and what follows ends where the capture or IP does.
    lo = payload - int(np.int64(packet["transport_header_bytes"])) - headers
    hi = payload + int(np.int64(packet["payload_captured_bytes"]))
    if packet["ip_version"] == 4:
        return find_segment(data, TYPE_IPV4, lo, hi, segment, know)
    return find_segment(data, TYPE_IPV6, lo, hi, segment, know)

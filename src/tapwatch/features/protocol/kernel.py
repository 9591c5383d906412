"""The compiled entry points: where each packet's payload lies, then what it is.

Two, because the first knows nothing of what came before, and the second nothing of headers.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import N_WAYS, endpoint, find_talk, talk_key
from tapwatch.features.protocol.deep import find_segment
from tapwatch.features.protocol.links import FRAME_OF, ON, TYPE_IPV4, TYPE_IPV6
from tapwatch.features.protocol.payload import ask, begin, keep_rest, rest_of_earlier
from tapwatch.features.protocol.segment import IS_GTP, IS_SIDE, IS_UDP
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import entry, helper
from tapwatch.tables import TcpAnalysis

_OTHER = 0
_IPV4, _IPV6 = label_index("IPv4"), label_index("IPv6")
_TCP, _UDP, _ICMP = label_index("TCP"), label_index("UDP"), label_index("ICMP")
_ICMPV6, _ARP, _RARP = label_index("ICMPv6"), label_index("ARP"), label_index("RARP")
_DCCP = label_index("DCCP")
_P_ICMP, _P_TCP, _P_UDP, _P_DCCP, _P_ICMPV6 = 1, 6, 17, 33, 58
_TYPE_ARP = 0x0806
_SYN = 2
#: The row does not tell; the bytes have to.
_DEEP: Final = -2
#: In place of a label: ask the payload.
ASK: Final = 0xFFFF
#: Longest IPv6 packet without a jumbo payload option (RFC 2675), which nobody reads here.
_MAX_IPV6_BYTES: Final = 40 + 65_535

_RETRANSMISSION = int(TcpAnalysis.RETRANSMISSION)
#: Fast and spurious retransmissions have the bit of retransmissions too, but are looked into.
_LOOKED_INTO = int(TcpAnalysis.FAST_RETRANSMISSION | TcpAnalysis.SPURIOUS_RETRANSMISSION)
_PASSED_OVER = int(TcpAnalysis.OUT_OF_ORDER | TcpAnalysis.KEEP_ALIVE)


@entry
def locate_packets(
    data: NDArray[np.uint8],
    packets: NDArray[Any],
    links: NDArray[Any],
    frames: NDArray[Any],
    know: Knowledge,
    segments: NDArray[Any],
    labels: NDArray[np.uint16],
) -> None:
    """Write the label of each packet whose headers tell it, or ASK and its segment.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    packets : PACKET (n,)
    links : LINK (n,)
    frames : FRAME (n,) or (0,)
        Where each frame lies; without it, frames that decode refused are told by their rows alone.
    know : Knowledge
    segments : SEGMENT (n,)
        Written where the label is ASK.
    labels : uint16 (n,)
        Written.
    """
    for i in range(len(packets)):
        packet = packets[i]
        segment = segments[i]
        is_ip = packet["ip_version"] != 0 and packet["ether_type"] != _TYPE_ARP
        if packet["status"] == 0 and is_ip:
            label = _read_row(packet, links[i], segment, know)
        elif packet["status"] == 0:
            label = _RARP if int(packet["arp_opcode"]) in (3, 4) else _ARP
        else:
            label = _DEEP if len(frames) > 0 else _by_row(packet)
        if label == _DEEP:
            # Bounds: decode has read all headers of a packet whose status is OK, and what follows
            # ends where the capture or IP does.
            lo = int(packet["payload_start"]) - int(np.int64(packet["transport_header_bytes"]))
            lo -= int(np.int64(packet["ip_header_bytes"]))
            hi = int(packet["payload_start"]) + int(np.int64(packet["payload_captured_bytes"]))
            what = TYPE_IPV4 if packet["ip_version"] == 4 else TYPE_IPV6
            if packet["status"] != 0:
                # Bounds: a frame that decode refused is read from its first byte to its last.
                frame = frames[i]
                lo = int(frame["start"])
                hi = lo + int(np.int64(frame["captured_bytes"]))
                what = FRAME_OF + int(np.int64(frame["link_type"]))
            label = find_segment(data, what, lo, hi, segment, know)
        labels[i] = ASK if label == ON else label


@entry
def label_segments(
    data: NDArray[np.uint8],
    segments: NDArray[Any],
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
    labels: NDArray[np.uint16],
) -> None:
    """Replace ASK by the label of what the payload and its conversation tell.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    segments : SEGMENT (n,)
    talks : TALK (sets, ways)
        Updated.
    counts : int64 (3,)
        Conversations that came, those evicted, and payloads asked about; updated.
    know : Knowledge
    labels : uint16 (n,)
        Updated.
    """
    for i in range(len(labels)):
        if labels[i] != ASK:
            continue
        segment = segments[i]
        kind = int(np.int64(segment["kind"]))
        plain = _UDP if kind & IS_UDP else _TCP
        labels[i] = know.gtp[plain] if kind & IS_GTP else plain
        analysis = int(np.int64(segment["analysis"]))
        if analysis & _PASSED_OVER or (analysis & _RETRANSMISSION and not analysis & _LOOKED_INTO):
            continue
        place = find_talk(talks, int(segment["key"]), int(counts[2]), counts)
        talk = talks[place // N_WAYS, place % N_WAYS]
        counts[2] += 1
        if int(np.int64(segment["flags"])) & _SYN:
            begin(talk, segment)
        skip = rest_of_earlier(talk, segment) if talk["in_pdu"] else 0
        # Bounds: the rules are given at least one captured byte.
        if int(np.int64(segment["captured_bytes"])) > skip:
            lo = int(segment["lo"]) + skip
            rule, label = ask(data, lo, segment, talk, know)
            if label != 0:
                labels[i] = know.gtp[label] if kind & IS_GTP else label
                if know.rules[rule]["pdu_header_bytes"] and not kind & IS_UDP:
                    keep_rest(data, lo, segment, rule, talk, know)


@helper
def _by_row(packet: Any) -> int:
    """What the row of a refused frame tells."""
    if packet["ether_type"] == _TYPE_ARP:
        return _ARP
    version = _IPV4 if packet["ip_version"] == 4 else _IPV6
    proto = int(packet["proto"])
    if packet["ip_version"] == 0 or proto not in (_P_TCP, _P_UDP):
        return _OTHER if packet["ip_version"] == 0 else version
    return _TCP if proto == _P_TCP else _UDP


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
    # Bounds: the one protocol whose header may end behind the capture; its end tells no beginning.
    if proto == _P_DCCP:
        return _DCCP
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
    segment["key"] = talk_key(a, b, proto)
    segment["lo"] = packet["payload_start"]
    # Bounds: the payload as far as it was captured; decode has put it inside the frame.
    segment["captured_bytes"] = packet["payload_captured_bytes"]
    segment["n_bytes"] = n_bytes
    segment["seq"] = packet["tcp_seq"]
    segment["src_port"] = src_port
    segment["dst_port"] = dst_port
    segment["flags"] = flags & 0xFF
    segment["analysis"] = link["tcp_analysis"]
    segment["kind"] = (IS_UDP if proto == _P_UDP else 0) | (IS_SIDE if a > b else 0)
    return ON

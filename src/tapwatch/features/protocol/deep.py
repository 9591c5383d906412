"""The slow way: header by header from any byte of a frame, into tunnels too."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol import network as net
from tapwatch.features.protocol.conversations import talk_key
from tapwatch.features.protocol.links import (
    FRAME_OF,
    IP_OF,
    LINK_ETHERNET,
    ON,
    TYPE_IPV4,
    TYPE_IPV6,
    TYPE_MPLS,
    walk,
)
from tapwatch.features.protocol.segment import IS_GTP, IS_SIDE, IS_UDP
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.tunnels import GTP_PACKET, open_datagram, open_gre
from tapwatch.features.protocol.words import be8, be16, be32, helper

_OTHER = 0
_IPV4, _IPV6 = label_index("IPv4"), label_index("IPv6")
_TCP, _UDP = label_index("TCP"), label_index("UDP")
_MAX_TUNNELS: Final = 6
_UDP_BYTES: Final = 8
_TCP_BYTES: Final = 20


@helper
def find_segment(
    data: NDArray[np.uint8], what: int, lo: int, hi: int, segment: Any, know: Knowledge
) -> int:
    """Go from header to header, to the innermost packet.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    what : int
        EtherType, 802.3 length, or FRAME_OF and a link type of what begins at `lo`.
    lo, hi : int
        Byte range; nothing outside of it is read.
    segment : SEGMENT record
        Written where ON is returned.

    Returns
    -------
    label : int
        ON where a TCP segment or UDP datagram was found.
    """
    is_gtp = 0
    label, fallback = ON, _OTHER
    for _ in range(_MAX_TUNNELS):
        label, what, lo = walk(data, what, lo, hi, know)
        if label != ON:
            # What a tunnel carries and we do not read is named after the packet around it.
            label = fallback if label == _OTHER else label
            break
        fallback = _IPV6 if what == TYPE_IPV6 else _IPV4
        label, proto, here, end, addresses, n_bytes = net.read_ip(data, lo, hi)
        # Bounds: not beyond the packet by its own length, and never beyond what was captured.
        hi = min(hi, max(end, here))
        if label != ON or here > hi:
            label = fallback
            break
        if proto not in (net.PROTO_TCP, net.PROTO_UDP, net.PROTO_UDP_LITE):
            label, what, lo = carried(data, proto, here, hi)
        elif proto == net.PROTO_TCP:
            return _read_tcp(data, here, hi, end, addresses, n_bytes, is_gtp, segment)
        else:
            label = _read_udp(data, here, hi, end, addresses, n_bytes, is_gtp, segment)
            if label != ON:
                break
            src_port, dst_port = int(segment["src_port"]), int(segment["dst_port"])
            label, what, lo = open_datagram(data, src_port, dst_port, here + _UDP_BYTES, hi)
            if label == ON and what == 0:
                return ON
        if label != ON:
            label = fallback if label == _OTHER else label
            break
        if what == GTP_PACKET:
            is_gtp = IS_GTP
            what = TYPE_IPV6 if be8(data, lo) >> 4 == 6 else TYPE_IPV4
    if label == ON:
        return _OTHER
    return int(know.gtp[label]) if is_gtp else label


@helper
def _read_udp(
    data: NDArray[np.uint8],
    here: int,
    hi: int,
    end: int,
    addresses: int,
    n_bytes: int,
    is_gtp: int,
    segment: Any,
) -> int:
    # Bounds: the header is eight bytes.
    if hi - here < _UDP_BYTES:
        return _UDP
    side = _write_ends(data, here, addresses, n_bytes, net.PROTO_UDP, segment)
    lo = here + _UDP_BYTES
    segment["kind"] = IS_UDP | side | is_gtp
    segment["flags"] = 0
    segment["seq"] = 0
    segment["lo"] = lo
    segment["captured_bytes"] = hi - lo
    segment["n_bytes"] = max(end, hi) - lo
    return ON


@helper
def _read_tcp(
    data: NDArray[np.uint8],
    here: int,
    hi: int,
    end: int,
    addresses: int,
    n_bytes: int,
    is_gtp: int,
    segment: Any,
) -> int:
    # Bounds: the fixed header is twenty bytes.
    if hi - here < _TCP_BYTES:
        return _TCP
    lo = here + max(4 * (be8(data, here + 12) >> 4), _TCP_BYTES)
    side = _write_ends(data, here, addresses, n_bytes, net.PROTO_TCP, segment)
    segment["kind"] = side | is_gtp
    segment["flags"] = be8(data, here + 13)
    segment["seq"] = be32(data, here + 4)
    segment["lo"] = lo
    segment["captured_bytes"] = max(hi - lo, 0)
    segment["n_bytes"] = max(end - lo, 0)
    return ON


@helper
def _write_ends(
    data: NDArray[np.uint8], here: int, addresses: int, n_bytes: int, proto: int, segment: Any
) -> int:
    src_port, dst_port = be16(data, here), be16(data, here + 2)
    a = net.address_end(data, addresses, n_bytes, src_port)
    b = net.address_end(data, addresses + n_bytes, n_bytes, dst_port)
    segment["src_port"] = src_port
    segment["dst_port"] = dst_port
    segment["key"] = talk_key(a, b, proto)
    segment["analysis"] = 0
    return IS_SIDE if a > b else 0


@helper
def carried(data: NDArray[np.uint8], proto: int, here: int, hi: int) -> tuple[int, int, int]:
    """What an IP protocol other than TCP and UDP carries: a label, or ON and what goes on."""
    if proto == net.PROTO_IPIP:
        return ON, TYPE_IPV4, here
    if proto == net.PROTO_IPV6:
        return ON, TYPE_IPV6, here
    if proto == net.PROTO_GRE:
        return open_gre(data, here, hi)
    if proto == net.PROTO_ETHERIP:
        return ON, FRAME_OF + LINK_ETHERNET, here + 2
    if proto == net.PROTO_MPLS:
        return ON, TYPE_MPLS, here
    if proto == net.PROTO_ETHERNET:
        return ON, FRAME_OF + LINK_ETHERNET, here
    return ON, IP_OF + proto, here

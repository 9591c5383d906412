"""The slow way: header by header from any byte of a frame, into tunnels too."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol import network as net
from tapwatch.features.protocol.conversations import talk_key
from tapwatch.features.protocol.links import FRAME_OF, LINK_ETHERNET, ON, TYPE_IPV4, TYPE_IPV6, walk
from tapwatch.features.protocol.payload import tcp_label, udp_label
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_OTHER = 0
_IPV4, _IPV6 = label_index("IPv4"), label_index("IPv6")
_TCP, _UDP, _SCTP = label_index("TCP"), label_index("UDP"), label_index("SCTP")
_GTP = label_index("GTP")
_GTP_PORTS: Final = (2152, 3386)
_MAX_TUNNELS: Final = 6


@helper
def deep_label(
    data: NDArray[np.uint8],
    what: int,
    lo: int,
    hi: int,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of what begins at `lo`, read without the help of decode.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    what : int
        EtherType, 802.3 length, or FRAME_OF and a link type.
    lo, hi : int
        Byte range; nothing outside of it is read.
    """
    is_gtp = False
    fallback = _OTHER
    for _ in range(_MAX_TUNNELS):
        label, what, lo = walk(data, what, lo, hi, know)
        if label != ON:
            # What a tunnel carries and we do not read is named after the tunnel.
            return fallback if label == _OTHER else label
        label, proto, here, end, addresses, n_bytes = net.read_ip(data, lo, hi)
        hi = min(hi, max(end, here))
        fallback = _IPV6 if what == TYPE_IPV6 else _IPV4
        if label == ON and here <= hi:
            label, what, lo = _next(
                data, proto, here, hi, end, addresses, n_bytes, now, talks, counts, know
            )
            is_gtp = is_gtp or what == net.IS_GTP
            if what == net.IS_GTP:
                what = TYPE_IPV6 if be8(data, lo) >> 4 == 6 else TYPE_IPV4
        elif label == ON:
            label = fallback
        if label != ON:
            label = fallback if label == _OTHER else label
            return int(know.gtp[label]) if is_gtp else label
    return _OTHER


@helper
def _next(
    data: NDArray[np.uint8],
    proto: int,
    here: int,
    hi: int,
    end: int,
    addresses: int,
    n_bytes: int,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> tuple[int, int, int]:
    """What an IP header announces: a label, or ON with what a tunnel carries and where."""
    if proto not in (net.PROTO_TCP, net.PROTO_UDP):
        return carried(data, proto, here, hi, end, know)
    # Bounds: ports; a header of TCP or UDP before its fields are read.
    if hi - here < 8:
        return _TCP if proto == net.PROTO_TCP else _UDP, 0, here
    src_port, dst_port = be16(data, here), be16(data, here + 2)
    a = net.address_end(data, addresses, n_bytes, src_port)
    b = net.address_end(data, addresses + n_bytes, n_bytes, dst_port)
    key, side = talk_key(a, b, proto), int(a > b)
    if proto == net.PROTO_UDP:
        label, what, inner = open_datagram(data, src_port, dst_port, here + 8, hi)
        if what != 0 or label != ON:
            return label, what, inner
        stop = max(end, here + 8)
        return (
            udp_label(data, here + 8, hi, stop, src_port, dst_port, key, now, talks, counts, know),
            0,
            here,
        )
    if hi - here < 20:
        return _TCP, 0, here
    lo = here + 4 * (be8(data, here + 12) >> 4)
    label = tcp_label(
        data,
        lo,
        hi,
        max(end, lo),
        src_port,
        dst_port,
        be8(data, here + 13),
        be32(data, here + 4),
        0,
        side,
        key,
        now,
        talks,
        counts,
        know,
    )
    return label, 0, here


@helper
def open_datagram(
    data: NDArray[np.uint8], src_port: int, dst_port: int, lo: int, hi: int
) -> tuple[int, int, int]:
    """What a tunnel on UDP carries; ON and 0 where neither port is a tunnel's."""
    for port in (min(src_port, dst_port), max(src_port, dst_port)):
        label, what, inner = net.open_udp(data, port, lo, hi)
        if what != 0 or label != ON:
            if port in _GTP_PORTS and what != 0:
                what = net.IS_GTP
            return label, what, inner
    return ON, 0, lo


@helper
def carried(
    data: NDArray[np.uint8], proto: int, here: int, hi: int, end: int, know: Knowledge
) -> tuple[int, int, int]:
    """What an IP protocol other than TCP and UDP carries: a label, or ON and what goes on."""
    if proto == net.PROTO_IPIP:
        return ON, TYPE_IPV4, here
    if proto == net.PROTO_IPV6:
        return ON, TYPE_IPV6, here
    if proto == net.PROTO_GRE:
        return net.open_gre(data, here, hi)
    if proto == net.PROTO_IGMP:
        return net.igmp_label(data, here, hi, end), 0, here
    if proto == net.PROTO_PIM:
        return net.pim_label(data, here, hi), 0, here
    if proto == net.PROTO_SCTP:
        return sctp_label(data, here, hi), 0, here
    if proto == net.PROTO_ETHERIP:
        return ON, FRAME_OF + LINK_ETHERNET, here + 2
    if proto == net.PROTO_ETHERNET:
        return ON, FRAME_OF + LINK_ETHERNET, here
    return int(know.ip_protocols[proto]), 0, here


@helper
def sctp_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """SCTP (RFC 9260): what its first data chunk names as its payload's protocol."""
    # Bounds: common header of 12 bytes, header of a data chunk of 16.
    if hi - lo < 28 or be8(data, lo + 12) != 0:
        return _SCTP
    protocol = be32(data, lo + 24)
    return _payload_protocol(protocol, min(be16(data, lo), be16(data, lo + 2)))


_M3UA, _DIAMETER, _S1AP = (
    label_index("M3UA (RFC 4666)"),
    label_index("DIAMETER"),
    label_index("S1AP"),
)
_NGAP, _X2AP, _M2UA = label_index("NGAP"), label_index("X2AP"), label_index("M2UA")


@helper
def _payload_protocol(protocol: int, port: int) -> int:
    if protocol == 3 or port == 2905:
        return _M3UA
    if protocol == 46 or port == 3868:
        return _DIAMETER
    if protocol == 18 or port == 36412:
        return _S1AP
    if protocol == 60 or port == 38412:
        return _NGAP
    if protocol == 27 or port == 36422:
        return _X2AP
    return _M2UA if protocol == 2 else _SCTP

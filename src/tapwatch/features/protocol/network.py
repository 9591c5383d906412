"""IP headers, read as far as they go, and what they announce beside TCP and UDP."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import endpoint
from tapwatch.features.protocol.links import ON
from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_IPV4 = label_index("IPv4")
_IPV6 = label_index("IPv6")
_IGMPV1, _IGMPV2, _IGMPV3 = label_index("IGMPv1"), label_index("IGMPv2"), label_index("IGMPv3")
_IGMP, _DVMRP = label_index("IGMP"), label_index("DVMRP")
_PIMV1, _PIMV2 = label_index("PIMv1"), label_index("PIMv2")
_SCTP, _M2UA, _M3UA = label_index("SCTP"), label_index("M2UA"), label_index("M3UA (RFC 4666)")
_DIAMETER, _S1AP = label_index("DIAMETER"), label_index("S1AP")
_NGAP, _X2AP = label_index("NGAP"), label_index("X2AP")

PROTO_IPIP, PROTO_TCP, PROTO_UDP, PROTO_IPV6, PROTO_GRE = 4, 6, 17, 41, 47
PROTO_IGMP, PROTO_PIM, PROTO_ETHERIP, PROTO_ETHERNET, PROTO_NONE = 2, 103, 97, 143, 59
PROTO_SCTP: Final = 132
_FRAGMENT, _AUTHENTICATION, _MOBILITY = 44, 51, 135
_EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)
_MAX_EXTENSIONS: Final = 16


@helper
def read_ip(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int, int, int, int]:
    """Read an IP header, whatever is wrong with its lengths.

    Returns
    -------
    label : int
        ON where something follows that can be read.
    proto, transport, end : int
        What follows, where it begins, and where it ends by the header's word, at most 64 KiB away.
    addresses : int
        Where the source address begins; the destination follows it.
    n_bytes : int
        Length of one address.
    """
    # Bounds: the fixed header of either version.
    if hi - lo >= 20 and be8(data, lo) >> 4 == 4:
        header_bytes = 4 * (be8(data, lo) & 0x0F)
        total = be16(data, lo + 2)
        if header_bytes < 20 or hi - lo < header_bytes or be16(data, lo + 6) & 0x1FFF:
            return _IPV4, 0, lo, lo, lo, 4
        end = lo + total if total >= header_bytes else hi
        return ON, be8(data, lo + 9), lo + header_bytes, end, lo + 12, 4
    if hi - lo >= 40 and be8(data, lo) >> 4 == 6:
        end = lo + 40 + be16(data, lo + 4)
        if end == lo + 40:
            end = hi
        label, proto, transport = _extensions(data, be8(data, lo + 6), lo + 40, hi)
        return label, proto, transport, end, lo + 8, 16
    is_v6 = hi > lo and be8(data, lo) >> 4 == 6
    return _IPV6 if is_v6 else _IPV4, 0, lo, lo, lo, 4


@helper
def _extensions(data: NDArray[np.uint8], proto: int, here: int, hi: int) -> tuple[int, int, int]:
    for _ in range(_MAX_EXTENSIONS):
        if proto not in _EXTENSIONS:
            return ON, proto, here
        if proto >= _MOBILITY:
            return ON, proto, here
        # Bounds: the first eight bytes of an extension header (RFC 8200 section 4).
        if hi - here < 8:
            return _IPV6, 0, here
        n_bytes = 8 * (be8(data, here + 1) + 1)
        if proto == _FRAGMENT:
            n_bytes = 8
            if be16(data, here + 2) & 0xFFF8:
                return _IPV6, 0, here
        elif proto == _AUTHENTICATION:
            n_bytes = 4 * (be8(data, here + 1) + 2)
        proto = be8(data, here)
        here += n_bytes
        if here > hi:
            return _IPV6, 0, here
    return _IPV6, 0, here


@helper
def address_end(data: NDArray[np.uint8], at: int, n_bytes: int, port: int) -> np.uint64:
    """Hash an address in the packet, with a port: one end of a conversation."""
    # Bounds: `read_ip` has seen the whole header.
    if n_bytes == 4:
        return endpoint(np.uint64(0), np.uint64(be32(data, at)), port)
    high = np.uint64(be32(data, at)) << np.uint64(32) | np.uint64(be32(data, at + 4))
    low = np.uint64(be32(data, at + 8)) << np.uint64(32) | np.uint64(be32(data, at + 12))
    return endpoint(high, low, port)


@helper
def igmp_label(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> int:
    """IGMP by kind, response time and length (RFC 9776 section 7.1)."""
    # Bounds: kind and response time.
    if hi - lo < 2:
        return _IGMP
    kind = be8(data, lo)
    if kind == 0x11:
        if end - lo >= 12:
            return _IGMPV3
        return _IGMPV2 if be8(data, lo + 1) else _IGMPV1
    if kind == 0x12:
        return _IGMPV1
    if kind in (0x16, 0x17):
        return _IGMPV2
    if kind == 0x22:
        return _IGMPV3
    if kind == 0x13:
        return _DVMRP
    return _PIMV1 if kind == 0x14 else _IGMP


@helper
def pim_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """PIM by its version."""
    # Bounds: one byte.
    return _PIMV1 if hi > lo and be8(data, lo) >> 4 == 1 else _PIMV2


@helper
def sctp_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """SCTP (RFC 9260): what its first data chunk names as its payload's protocol."""
    # Bounds: common header of 12 bytes, header of a data chunk of 16.
    if hi - lo < 28 or be8(data, lo + 12) != 0:
        return _SCTP
    protocol, port = be32(data, lo + 24), min(be16(data, lo), be16(data, lo + 2))
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

"""IP headers, read as far as they go, and what they announce beside TCP and UDP."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import endpoint
from tapwatch.features.protocol.links import ON
from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_IPV4 = label_index("IPv4")
_IPV6 = label_index("IPv6")

PROTO_IPIP, PROTO_TCP, PROTO_UDP, PROTO_IPV6, PROTO_GRE = 4, 6, 17, 41, 47
PROTO_ETHERIP, PROTO_UDP_LITE, PROTO_MPLS, PROTO_ETHERNET = 97, 136, 137, 143
_FRAGMENT, _AUTHENTICATION, _MOBILITY = 44, 51, 135
_EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)
_MAX_EXTENSIONS: Final = 16
#: IPv4 addresses as in PACKET, RFC 4291 section 2.5.5.2.
_MAPPED: Final = 0xFFFF_0000_0000


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
        label, proto, transport = ON, be8(data, lo + 9), lo + header_bytes
        if proto == _AUTHENTICATION:
            label, proto, transport = _extensions(data, proto, transport, hi)
        return label, proto, transport, end, lo + 12, 4
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
def address_end(data: NDArray[np.uint8], at: int, n_bytes: int, port: int) -> Any:
    """Hash an address in the packet, with a port: one end of a conversation."""
    # Bounds: `read_ip` has seen the whole header.
    if n_bytes == 4:
        return endpoint(np.uint64(0), np.uint64(_MAPPED | be32(data, at)), port)
    high = np.uint64(be32(data, at)) << np.uint64(32) | np.uint64(be32(data, at + 4))
    low = np.uint64(be32(data, at + 8)) << np.uint64(32) | np.uint64(be32(data, at + 12))
    return endpoint(high, low, port)

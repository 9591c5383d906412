"""IP headers, read as far as they go, and what tunnels carry."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import endpoint
from tapwatch.features.protocol.links import (
    FRAME_OF,
    LINK_ETHERNET,
    LINK_PPP,
    ON,
    TYPE_IPV4,
    TYPE_IPV6,
)
from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_IPV4 = label_index("IPv4")
_IPV6 = label_index("IPv6")
_IGMPV1, _IGMPV2, _IGMPV3 = label_index("IGMPv1"), label_index("IGMPv2"), label_index("IGMPv3")
_IGMP, _DVMRP = label_index("IGMP"), label_index("DVMRP")
_PIMV1, _PIMV2 = label_index("PIMv1"), label_index("PIMv2")
_GRE = label_index("GRE")
_NHRP = label_index("NHRP")
_CDP = label_index("CDP")
_WLAN = label_index("802.11")

PROTO_IPIP, PROTO_TCP, PROTO_UDP, PROTO_IPV6, PROTO_GRE = 4, 6, 17, 41, 47
PROTO_IGMP, PROTO_PIM, PROTO_ETHERIP, PROTO_ETHERNET, PROTO_NONE = 2, 103, 97, 143, 59
PROTO_SCTP: Final = 132
#: An IP packet inside of GTP, instead of its EtherType.
IS_GTP: Final = 1 << 20
_FRAGMENT, _AUTHENTICATION, _MOBILITY = 44, 51, 135
_EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)
_MAX_EXTENSIONS: Final = 16
_LINK_LLC: Final = 100
_VXLAN, _GENEVE, _TEREDO, _GTP_U, _L2TP, _AYIYA = 4789, 6081, 3544, 2152, 1701, 5072
_CAPWAP_DATA, _GTP_PRIME, _VXLAN_GPE, _GRE_UDP = 5247, 3386, 4790, 4754


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
        if proto == _MOBILITY or proto > _MOBILITY:
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
def open_gre(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 2784, 2890, 2637: what GRE carries; returns label (or ON), what, and where it begins."""
    # Bounds: flags and protocol, then one word for each flag before it is passed over.
    if hi - lo < 4:
        return _GRE, 0, lo
    flags, what = be16(data, lo), be16(data, lo + 2)
    here = lo + 4
    if flags & 0xC000:
        here += 4
    if flags & 0x2000:
        here += 4
    if flags & 0x1000:
        here += 4
    if flags & 7 == 1 and flags & 0x0080:
        here += 4
    if here >= hi:
        return _GRE, 0, lo
    if what == 0x2001:
        return _NHRP, 0, lo
    if what == 0x2000:
        return _CDP, 0, lo
    if what == 0x88BE:
        # ERSPAN: type I has no header and no sequence number, type II has eight bytes.
        return ON, FRAME_OF + LINK_ETHERNET, here + (8 if flags & 0x1000 else 0)
    if what == 0x22EB:
        # Bounds: type III has twelve bytes, and eight more where the last bit says so.
        if hi - here < 12:
            return _GRE, 0, lo
        return ON, FRAME_OF + LINK_ETHERNET, here + (20 if be8(data, here + 11) & 1 else 12)
    if what == 0x883E:
        what = TYPE_IPV4
    if what == 0x6400:
        what = 0x6558
    # Bounds: WCCP puts four bytes before the packet, which no IP version begins with.
    if flags & 0xF0FF == 0 and what == TYPE_IPV4 and hi - here > 4 and be8(data, here) >> 4 != 4:
        here += 4
    return ON, what if what > 1500 else 0xFFFF, here


@helper
def open_udp(data: NDArray[np.uint8], port: int, lo: int, hi: int) -> tuple[int, int, int]:
    """What a tunnel on a UDP port carries; label ON and what 0 where the port is no tunnel's."""
    # Bounds: each tunnel's own header is checked before it is read.
    if port in (_VXLAN, _GENEVE, _VXLAN_GPE) and hi - lo > 8:
        return _open_overlay(data, port, lo, hi)
    if port == _TEREDO:
        return _open_teredo(data, lo, hi)
    if port in (_GTP_U, _GTP_PRIME):
        return _open_gtp(data, lo, hi)
    if port == _L2TP:
        return _open_l2tp(data, lo, hi)
    if port == _CAPWAP_DATA and hi - lo > 8:
        return _open_capwap(data, lo, hi)
    if port == _GRE_UDP:
        return open_gre(data, lo, hi)
    # AYIYA (draft-massar-v6ops-ayiya): 8 bytes, identity, signature; IPv6 behind.
    if port == _AYIYA and hi - lo > 8 and be8(data, lo + 3) == 41:
        n_bytes = 8 + (1 << (be8(data, lo) >> 4)) + 4 * (be8(data, lo + 1) >> 4)
        return (ON, TYPE_IPV6, lo + n_bytes) if hi - lo > n_bytes else (ON, 0, lo)
    return ON, 0, lo


@helper
def _open_overlay(data: NDArray[np.uint8], port: int, lo: int, hi: int) -> tuple[int, int, int]:
    """VXLAN (RFC 7348) and Geneve (RFC 8926)."""
    if port != _GENEVE:
        return ON, FRAME_OF + LINK_ETHERNET, lo + 8
    n_bytes = 8 + 4 * (be8(data, lo) & 0x3F)
    what = be16(data, lo + 2)
    if hi - lo <= n_bytes:
        return ON, 0, lo
    return ON, FRAME_OF + LINK_ETHERNET if what == 0x6558 else what, lo + n_bytes


@helper
def _open_teredo(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 4380 section 5.1: authentication and origin may come before the IPv6 header."""
    # Bounds: each indication's fixed part before it is read.
    if hi - lo >= 13 and be16(data, lo) == 1:
        lo += 13 + be8(data, lo + 2) + be8(data, lo + 3)
    if hi - lo >= 8 and be16(data, lo) == 0:
        lo += 8
    if hi - lo >= 40 and be8(data, lo) >> 4 == 6:
        return ON, TYPE_IPV6, lo
    return ON, 0, lo


@helper
def _open_gtp(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """GTP-U (3GPP TS 29.281): user packets of version 1."""
    # Bounds: the header is eight bytes, four more with any of three flags.
    if hi - lo < 13 or be8(data, lo) >> 5 != 1 or be8(data, lo + 1) != 0xFF:
        return ON, 0, lo
    flags, here = be8(data, lo), lo + 8
    if flags & 7:
        following = be8(data, lo + 11)
        here += 4
        for _ in range(_MAX_EXTENSIONS):
            # Bounds: the length of an extension header.
            if not flags & 4 or following == 0 or hi - here < 4:
                break
            n_bytes = 4 * max(be8(data, here), 1)
            if hi - here <= n_bytes:
                return ON, 0, lo
            following = be8(data, here + n_bytes - 1)
            here += n_bytes
    if hi <= here:
        return ON, 0, lo
    version = be8(data, here) >> 4
    if version == 4:
        return ON, TYPE_IPV4, here
    return ON, TYPE_IPV6 if version == 6 else 0, here


@helper
def _open_l2tp(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 2661 section 3.1: data messages carry PPP."""
    # Bounds: flags, then up to 14 bytes of fields that they announce.
    if hi - lo < 16:
        return ON, 0, lo
    flags = be16(data, lo)
    if flags & 0x8000 or flags & 0x000F != 2:
        return ON, 0, lo
    here = lo + 2 + (2 if flags & 0x4000 else 0) + 4 + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        here += 2 + be16(data, here)
    return (ON, FRAME_OF + LINK_PPP, here) if here < hi else (ON, 0, lo)


@helper
def _open_capwap(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 5415 section 4.3: 802.11 frames, of which those that carry IP are opened."""
    # Bounds: the header is at least eight bytes; its length is in the second one.
    if be8(data, lo) != 0:
        return ON, 0, lo
    here = lo + 4 * (be8(data, lo + 1) >> 3)
    # Bounds: a data frame of at most 26 bytes and its LLC and SNAP header of eight.
    if hi - here < 34:
        return _WLAN, 0, lo
    # Some controllers swap the bytes of the frame control.
    first, second = be8(data, here), be8(data, here + 1)
    control = first if first & 0x0F == 0x08 else second
    n_bytes = 26 if control & 0x80 else 24
    if control & 0x0C != 0x08 or be32(data, here + n_bytes) >> 8 != 0xAAAA03:
        return _WLAN, 0, lo
    return ON, FRAME_OF + _LINK_LLC, here + n_bytes

"""What tunnels carry, and where it begins.

Every function returns a label, what follows (an EtherType, FRAME_OF plus a link type, or
GTP_PACKET), and where that begins. The label is ON where something follows, or where, with 0 for
what, there is no tunnel.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.links import (
    FRAME_OF,
    LINK_ETHERNET,
    LINK_LLC,
    LINK_PPP,
    ON,
    TYPE_IPV4,
    TYPE_IPV6,
)
from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

#: An IP packet inside of GTP, instead of its EtherType.
GTP_PACKET: Final = 1 << 20

_GRE, _ERSPAN = label_index("GRE"), label_index("ERSPAN")
_NHRP, _CDP, _WLAN = label_index("NHRP"), label_index("CDP"), label_index("802.11")

_VXLAN, _GENEVE, _TEREDO, _GTP_U, _L2TP, _AYIYA = 4789, 6081, 3544, 2152, 1701, 5072
_CAPWAP_DATA, _GTP_PRIME, _VXLAN_GPE, _GRE_UDP = 5247, 3386, 4790, 4754
_MAX_EXTENSIONS: Final = 16


@helper
def open_datagram(
    data: NDArray[np.uint8], src_port: int, dst_port: int, lo: int, hi: int
) -> tuple[int, int, int]:
    """What a tunnel on UDP carries, by the lower port, then by the higher."""
    for port in (min(src_port, dst_port), max(src_port, dst_port)):
        label, what, inner = _open_udp(data, port, lo, hi)
        if what != 0 or label != ON:
            return label, what, inner
    return ON, 0, lo


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
        if be16(data, here + 10) & 0x7C00:
            return _ERSPAN, 0, lo
        return ON, FRAME_OF + LINK_ETHERNET, here + (20 if be8(data, here + 11) & 1 else 12)
    if 0x8200 <= what <= 0x83F0 or what == 0x9000:
        return _open_wlan(data, here, hi)
    if what == 0x883E:
        what = TYPE_IPV4
    if what == 0x6400:
        what = 0x6558
    # Bounds: WCCP puts four bytes before the packet, which no IP version begins with.
    if flags & 0xF0FF == 0 and what == TYPE_IPV4 and hi - here > 4 and be8(data, here) >> 4 != 4:
        here += 4
    return ON, what if what > 1500 else 0xFFFF, here


@helper
def _open_udp(data: NDArray[np.uint8], port: int, lo: int, hi: int) -> tuple[int, int, int]:
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
    """VXLAN (RFC 7348), its generic extension and Geneve (RFC 8926)."""
    if port == _VXLAN:
        return ON, FRAME_OF + LINK_ETHERNET, lo + 8
    if port == _VXLAN_GPE:
        # draft-ietf-nvo3-vxlan-gpe: the fourth byte names what follows.
        kind = be8(data, lo + 3)
        if kind == 1:
            return ON, TYPE_IPV4, lo + 8
        if kind == 2:
            return ON, TYPE_IPV6, lo + 8
        return ON, FRAME_OF + LINK_ETHERNET if kind == 3 else 0, lo + 8
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
    return ON, GTP_PACKET if be8(data, here) >> 4 in (4, 6) else 0, here


@helper
def _open_l2tp(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 2661 section 3.1: data messages carry PPP."""
    # Bounds: the flags, then the size of an offset before it is read.
    if hi - lo < 2:
        return ON, 0, lo
    flags = be16(data, lo)
    if flags & 0x8000 or flags & 0x000F != 2:
        return ON, 0, lo
    here = lo + 2 + (2 if flags & 0x4000 else 0) + 4 + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        if hi - here < 2:
            return ON, 0, lo
        here += 2 + be16(data, here)
    return (ON, FRAME_OF + LINK_PPP, here) if here < hi else (ON, 0, lo)


@helper
def _open_capwap(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 5415 section 4.3: 802.11 frames, of which those that carry IP are opened."""
    # Bounds: the header is at least eight bytes; its length is in the second one.
    if be8(data, lo) != 0:
        return ON, 0, lo
    return _open_wlan(data, lo + 4 * (be8(data, lo + 1) >> 3), hi)


@helper
def _open_wlan(data: NDArray[np.uint8], here: int, hi: int) -> tuple[int, int, int]:
    """IEEE 802.11: data frames that are not encrypted carry LLC."""
    # Bounds: a header of at most 26 bytes and an LLC and SNAP header of eight.
    if hi - here < 34:
        return _WLAN, 0, here
    # Some controllers swap the bytes of the frame control.
    first, second = be8(data, here), be8(data, here + 1)
    control = first if first & 0x0F == 0x08 else second
    n_bytes = 26 if control & 0x80 else 24
    if control & 0x0C != 0x08 or be32(data, here + n_bytes) >> 8 != 0xAAAA03:
        return _WLAN, 0, here
    return ON, FRAME_OF + LINK_LLC, here + n_bytes

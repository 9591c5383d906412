"""What stands between the beginning of a frame and its network header: tags, labels, LLC.

All readers return the status, what follows (an EtherType, or `FRAME_OF` plus a link type) and where
that begins, at most `hi`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.offsets import ETHER_TYPE_MIN, TYPE_ARP, TYPE_IPV4, TYPE_IPV6
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, helper

_OK = int(DecodeStatus.OK)
_VLAN_TRUNCATED = int(DecodeStatus.VLAN_TRUNCATED)
_VLAN_TOO_DEEP = int(DecodeStatus.VLAN_TOO_DEEP)
_TAG_TRUNCATED = int(DecodeStatus.TAG_TRUNCATED)
_MACSEC_TRUNCATED = int(DecodeStatus.MACSEC_TRUNCATED)
_MACSEC_ENCRYPTED = int(DecodeStatus.MACSEC_ENCRYPTED)
_MPLS_TRUNCATED = int(DecodeStatus.MPLS_TRUNCATED)
_MPLS_TOO_DEEP = int(DecodeStatus.MPLS_TOO_DEEP)
_MPLS_UNSUPPORTED = int(DecodeStatus.MPLS_UNSUPPORTED)
_LLC_TRUNCATED = int(DecodeStatus.LLC_TRUNCATED)
_LLC_TOO_SHORT = int(DecodeStatus.LLC_TOO_SHORT)
_LLC_UNSUPPORTED = int(DecodeStatus.LLC_UNSUPPORTED)
_ETHER_TYPE_BAD = int(DecodeStatus.ETHER_TYPE_BAD)

_ETHERNET_FRAME = at.FRAME_OF + at.LINK_ETHERNET


@helper
def type_only(ether_type: int, lo: int) -> tuple[int, int, int]:
    """An EtherType where no 802.3 length can stand."""
    if ether_type < ETHER_TYPE_MIN:
        return _ETHER_TYPE_BAD, 0, lo
    return _OK, ether_type, lo


@helper
def is_vlan(ether_type: int) -> bool:
    """Whether a VLAN tag follows."""
    return ether_type in (at.TYPE_VLAN, at.TYPE_SERVICE_VLAN, at.TYPE_OLD_QINQ)


@helper
def read_tags(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """VLAN tags (IEEE 802.1Q clause 9.6), the first of which is at `lo`.

    A tag that the kernel took out of the frame was the outermost one: `n_vlan_tags` is 1 then.
    """
    n_tags = 0
    while is_vlan(ether_type):
        if n_tags == at.VLAN_MAX_TAGS:
            return _VLAN_TOO_DEEP, 0, lo
        # Bounds: TCI and the next EtherType are the four bytes of the tag; this line makes it safe.
        if hi - lo < at.VLAN_BYTES:
            return _VLAN_TRUNCATED, 0, lo
        if row["n_vlan_tags"] == 0:
            row["vlan_tci"] = be16(data, lo + at.VLAN_TCI)
        row["n_vlan_tags"] += 1
        ether_type = be16(data, lo + at.VLAN_TYPE)
        lo += at.VLAN_BYTES
        n_tags += 1
    return _OK, ether_type, lo


@helper
def read_short_tag(data: NDArray[np.uint8], lo: int, hi: int, n_bytes: int) -> tuple[int, int, int]:
    """`n_bytes` that we do not need, then an EtherType."""
    # Bounds: the type follows the tag's own bytes; this line makes its read safe.
    if hi - lo < n_bytes + 2:
        return _TAG_TRUNCATED, 0, lo
    return _OK, be16(data, lo + n_bytes), lo + n_bytes + 2


@helper
def read_ethernet_tag(lo: int, hi: int, n_bytes: int) -> tuple[int, int, int]:
    """`n_bytes` that we do not need, then a whole Ethernet frame."""
    if hi - lo < n_bytes:
        return _TAG_TRUNCATED, 0, lo
    return _OK, _ETHERNET_FRAME, lo + n_bytes


@helper
def read_trill(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """TRILL header with its options (RFC 6325 section 3.1), then a whole Ethernet frame."""
    # Bounds: the length of the options is in the first two bytes; this line makes them safe.
    if hi - lo < at.TRILL_BYTES:
        return _TAG_TRUNCATED, 0, lo
    n_words = be16(data, lo) >> at.TRILL_OPTIONS_SHIFT & at.TRILL_OPTIONS_MASK
    return read_ethernet_tag(lo, hi, at.TRILL_BYTES + 4 * n_words)


@helper
def read_macsec(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """MACsec tag (IEEE 802.1AE clause 9); what is signed only can be read."""
    # Bounds: the first byte is below MACSEC_BYTES; this line makes its read safe.
    if hi - lo < at.MACSEC_BYTES:
        return _MACSEC_TRUNCATED, 0, lo
    tci = be8(data, lo + at.MACSEC_TCI)
    if tci & at.MACSEC_ENCRYPTED:
        return _MACSEC_ENCRYPTED, 0, lo
    lo += at.MACSEC_BYTES
    n_channel = at.MACSEC_CHANNEL_BYTES if tci & at.MACSEC_HAS_CHANNEL else 0
    # Bounds: the channel, then an EtherType; this line makes the read safe.
    if hi - lo < n_channel + 2:
        return _MACSEC_TRUNCATED, 0, lo
    return _OK, be16(data, lo + n_channel), lo + n_channel + 2


@helper
def read_mpls(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """MPLS labels (RFC 3032 section 2.1) down to the bottom of the stack."""
    for _ in range(at.MPLS_MAX_LABELS):
        # Bounds: one label; this line makes the read in it safe.
        if hi - lo < at.MPLS_BYTES:
            return _MPLS_TRUNCATED, 0, lo
        is_bottom = be8(data, lo + at.MPLS_BOTTOM) & 1
        lo += at.MPLS_BYTES
        if is_bottom:
            return _read_mpls_payload(data, lo, hi)
    return _MPLS_TOO_DEEP, 0, lo


@helper
def _read_mpls_payload(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Nothing names what labels hide; routers look at the first nibble too (RFC 4928 section 3)."""
    # Bounds: one byte; this line makes its read safe.
    if hi - lo < 1:
        return _MPLS_TRUNCATED, 0, lo
    nibble = be8(data, lo) >> 4
    if nibble == 4:
        return _OK, TYPE_IPV4, lo
    if nibble == 6:
        return _OK, TYPE_IPV6, lo
    if nibble == 0 and _is_ethernet(data, lo + at.CONTROL_WORD_BYTES, hi):
        return _OK, _ETHERNET_FRAME, lo + at.CONTROL_WORD_BYTES
    if _is_ethernet(data, lo, hi):
        return _OK, _ETHERNET_FRAME, lo
    return _MPLS_UNSUPPORTED, 0, lo


@helper
def _is_ethernet(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether this can only be Ethernet: its EtherType and the byte behind it fit each other."""
    # Bounds: header and one byte; this line makes both reads safe.
    if hi - lo <= at.ETHERNET_BYTES:
        return False
    ether_type = be16(data, lo + at.ETHERNET_TYPE)
    first = be8(data, lo + at.ETHERNET_BYTES)
    if ether_type == TYPE_IPV4:
        return first >> 4 == 4
    if ether_type == TYPE_IPV6:
        return first >> 4 == 6
    if ether_type == TYPE_ARP:
        return first == 0
    return is_vlan(ether_type)


@helper
def read_llc(data: NDArray[np.uint8], lo: int, hi: int, n_bytes: int) -> tuple[int, int, int]:
    """LLC (IEEE 802.2) and SNAP; `n_bytes` is what a length field leaves for both, and the rest."""
    if n_bytes < at.LLC_BYTES:
        return _LLC_TOO_SHORT, 0, lo
    # Bounds: access points and the first control byte; this line makes their reads safe.
    if hi - lo < at.LLC_BYTES:
        return _LLC_TRUNCATED, 0, lo
    access_points = be16(data, lo + at.LLC_DSAP)
    control = be8(data, lo + at.LLC_CONTROL)
    n_llc = at.LLC_BYTES
    if control & at.LLC_UNNUMBERED != at.LLC_UNNUMBERED:
        n_llc += 1
    has_packet = control == at.LLC_UI or control & at.LLC_NOT_INFORMATION == 0
    if not has_packet:
        return _LLC_UNSUPPORTED, 0, lo
    is_snap = access_points == at.LLC_SNAP
    n_header = n_llc + at.SNAP_BYTES * is_snap
    if n_bytes < n_header:
        return _LLC_TOO_SHORT, 0, lo
    # Bounds: with the second control byte, and with SNAP; `read_snap` relies on this line.
    if hi - lo < n_header:
        return _LLC_TRUNCATED, 0, lo
    if is_snap:
        return read_snap(data, lo + n_llc, hi, at.BRIDGED_PADDING_BYTES)
    if access_points >> 8 == at.LLC_IPV4:
        return _OK, TYPE_IPV4, lo + n_llc
    return _LLC_UNSUPPORTED, 0, lo


@helper
def read_snap(data: NDArray[np.uint8], lo: int, hi: int, n_padding: int) -> tuple[int, int, int]:
    """SNAP: who has named the protocol, and its number; `n_padding` before a bridged frame."""
    # Bounds: organization and protocol are five bytes; this line makes their reads safe.
    if hi - lo < at.SNAP_BYTES:
        return _LLC_TRUNCATED, 0, lo
    organization = be32(data, lo) >> 8
    protocol = be16(data, lo + at.SNAP_PROTOCOL)
    lo += at.SNAP_BYTES
    if organization in (at.SNAP_ETHER_TYPE, at.SNAP_BRIDGED_ETHER_TYPE):
        if protocol >= ETHER_TYPE_MIN:
            return _OK, protocol, lo
    elif organization == at.SNAP_BRIDGED and protocol in (
        at.BRIDGED_ETHERNET,
        at.BRIDGED_ETHERNET_FCS,
    ):
        if hi - lo < n_padding:
            return _LLC_TRUNCATED, 0, lo
        return _OK, _ETHERNET_FRAME, lo + n_padding
    return _LLC_UNSUPPORTED, 0, lo

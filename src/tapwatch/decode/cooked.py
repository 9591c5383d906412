"""Headers that a capturing kernel made up: Linux' cooked ones, loopbacks, packet filter logs; none.

All readers return the status, what follows (an EtherType, or `FRAME_OF` plus a link type) and where
that begins, at most `hi`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.offsets import ETHER_TYPE_MIN, TYPE_IPV4, TYPE_IPV6
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, be48, helper, le16, le32

_OK = int(DecodeStatus.OK)
_LINK_TYPE_UNSUPPORTED = int(DecodeStatus.LINK_TYPE_UNSUPPORTED)
_SLL_TRUNCATED = int(DecodeStatus.SLL_TRUNCATED)
_SLL_UNSUPPORTED = int(DecodeStatus.SLL_UNSUPPORTED)
_NULL_TRUNCATED = int(DecodeStatus.NULL_TRUNCATED)
_ENC_TRUNCATED = int(DecodeStatus.ENC_TRUNCATED)
_PFLOG_TRUNCATED = int(DecodeStatus.PFLOG_TRUNCATED)
_PFLOG_BAD_LENGTH = int(DecodeStatus.PFLOG_BAD_LENGTH)
_IPNET_TRUNCATED = int(DecodeStatus.IPNET_TRUNCATED)
_NFLOG_TRUNCATED = int(DecodeStatus.NFLOG_TRUNCATED)
_NFLOG_BAD_HEADER = int(DecodeStatus.NFLOG_BAD_HEADER)
_ADDRESS_FAMILY_UNSUPPORTED = int(DecodeStatus.ADDRESS_FAMILY_UNSUPPORTED)
_RAW_IP_TRUNCATED = int(DecodeStatus.RAW_IP_TRUNCATED)
_RAW_IP_BAD_VERSION = int(DecodeStatus.RAW_IP_BAD_VERSION)
_PKTAP_TRUNCATED = int(DecodeStatus.PKTAP_TRUNCATED)
_PKTAP_BAD_LENGTH = int(DecodeStatus.PKTAP_BAD_LENGTH)


@helper
def read_sll(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Linux cooked capture, which knows only the sender's address."""
    # Bounds: the reads up to the protocol field are below SLL_BYTES; this line makes them safe.
    if hi - lo < at.SLL_BYTES:
        return _SLL_TRUNCATED, 0, lo
    if be16(data, lo + at.SLL_ADDRESS_LENGTH) == at.MAC_BYTES:
        row["eth_src"] = row["src_lo"] = be48(data, lo + at.SLL_ADDRESS)
    device = be16(data, lo + at.SLL_DEVICE)
    protocol = be16(data, lo + at.SLL_PROTOCOL)
    return _name_cooked(device, protocol, lo + at.SLL_BYTES)


@helper
def read_sll2(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Linux cooked capture, version 2."""
    # Bounds: all reads are below SLL2_BYTES; this line makes them safe.
    if hi - lo < at.SLL2_BYTES:
        return _SLL_TRUNCATED, 0, lo
    if be8(data, lo + at.SLL2_ADDRESS_LENGTH) == at.MAC_BYTES:
        row["eth_src"] = row["src_lo"] = be48(data, lo + at.SLL2_ADDRESS)
    device = be16(data, lo + at.SLL2_DEVICE)
    protocol = be16(data, lo + at.SLL2_PROTOCOL)
    return _name_cooked(device, protocol, lo + at.SLL2_BYTES)


@helper
def _name_cooked(device: int, protocol: int, lo: int) -> tuple[int, int, int]:
    """What a cooked header announces: an EtherType, or one of Linux' own numbers below them."""
    if device == at.DEVICE_NETLINK:
        return _SLL_UNSUPPORTED, 0, lo
    if protocol >= ETHER_TYPE_MIN:
        return _OK, protocol, lo
    if protocol == at.COOKED_ETHERNET:
        return _OK, at.FRAME_OF + at.LINK_ETHERNET, lo
    if protocol == at.COOKED_PPP:
        return _OK, at.FRAME_OF + at.LINK_PPP, lo
    if protocol != at.COOKED_LLC:
        return _SLL_UNSUPPORTED, 0, lo
    if device == at.DEVICE_RADIOTAP:
        return _OK, at.FRAME_OF + at.LINK_RADIOTAP, lo
    return _OK, at.FRAME_OF + at.LINK_LLC, lo


@helper
def read_raw(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """No link header: the IP version tells what it is."""
    # Bounds: one byte is read; this line makes it safe.
    if hi - lo < 1:
        return _RAW_IP_TRUNCATED, 0, lo
    version = be8(data, lo) >> 4
    if version == 4:
        return _OK, TYPE_IPV4, lo
    if version == 6:
        return _OK, TYPE_IPV6, lo
    return _RAW_IP_BAD_VERSION, 0, lo


@helper
def read_null(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """BSD loopback: an address family in the byte order of whoever captured it.

    Some systems write an EtherType there, and some a serial line's frame instead of it all.
    """
    # Bounds: the family is four bytes; this line makes its reads safe.
    if hi - lo < at.NULL_BYTES:
        return _NULL_TRUNCATED, 0, lo
    if be16(data, lo) in (at.PPP_ADDRESS_CONTROL, at.HDLC_ADDRESS_CONTROL):
        return _OK, at.FRAME_OF + at.LINK_PPP, lo
    family = min(be32(data, lo), le32(data, lo))
    if ETHER_TYPE_MIN <= family <= at.LINK_TYPE_MAX:
        return _OK, family, lo + at.NULL_BYTES
    return _name_family(data, family, lo + at.NULL_BYTES, hi)


@helper
def read_loop(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """OpenBSD loopback: an address family in network byte order."""
    # Bounds: the family is four bytes; this line makes its read safe.
    if hi - lo < at.NULL_BYTES:
        return _NULL_TRUNCATED, 0, lo
    return _name_family(data, be32(data, lo), lo + at.NULL_BYTES, hi)


@helper
def read_enc(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """OpenBSD's IPsec interface: family in host byte order, index, flags."""
    # Bounds: the family is below ENC_BYTES; this line makes its reads safe.
    if hi - lo < at.ENC_BYTES:
        return _ENC_TRUNCATED, 0, lo
    family = min(be32(data, lo), le32(data, lo))
    return _name_family(data, family, lo + at.ENC_BYTES, hi)


@helper
def read_pflog(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Packet filter log of the BSDs, as long as its first byte says, filled up to whole words."""
    # Bounds: length and family are below PFLOG_MIN_BYTES; this line makes their reads safe.
    if hi - lo < at.PFLOG_MIN_BYTES:
        return _PFLOG_TRUNCATED, 0, lo
    n_header = (be8(data, lo + at.PFLOG_LENGTH) + 3) & ~3
    if n_header < at.PFLOG_MIN_BYTES:
        return _PFLOG_BAD_LENGTH, 0, lo
    if hi - lo < n_header:
        return _PFLOG_TRUNCATED, 0, lo
    return _name_family(data, be8(data, lo + at.PFLOG_FAMILY), lo + n_header, hi)


@helper
def read_ipnet(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Solaris' IP observability header."""
    # Bounds: the family is below IPNET_BYTES; this line makes its read safe.
    if hi - lo < at.IPNET_BYTES:
        return _IPNET_TRUNCATED, 0, lo
    return _name_family(data, be8(data, lo + at.IPNET_FAMILY), lo + at.IPNET_BYTES, hi)


@helper
def _name_family(data: NDArray[np.uint8], family: int, lo: int, hi: int) -> tuple[int, int, int]:
    """What an address family announces. AF_INET is 2 everywhere; AF_INET6 is not."""
    if family == at.FAMILY_IPV4:
        return _OK, TYPE_IPV4, lo
    if family in (at.FAMILY_IPV6_BSD, at.FAMILY_IPV6_FREEBSD, at.FAMILY_IPV6_DARWIN):
        return _OK, TYPE_IPV6, lo
    # To others these numbers are CCITT, IPX and CNT.
    is_doubtful = family in (
        at.FAMILY_IPV6_LINUX,
        at.FAMILY_IPV6_WINDOWS,
        at.FAMILY_IPV6_SOLARIS,
    )
    # Bounds: one byte; the comparison of lengths makes its read safe.
    if is_doubtful and (hi - lo < 1 or be8(data, lo) >> 4 == 6):
        return _OK, TYPE_IPV6, lo
    return _ADDRESS_FAMILY_UNSUPPORTED, 0, lo


@helper
def read_nflog(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Linux' netfilter log: attributes in host byte order, one of which is the packet."""
    # Bounds: family and version are below NFLOG_BYTES; this line makes their reads safe.
    if hi - lo < at.NFLOG_BYTES:
        return _NFLOG_TRUNCATED, 0, lo
    if be8(data, lo + at.NFLOG_VERSION) != 0:
        return _NFLOG_BAD_HEADER, 0, lo
    family = be8(data, lo + at.NFLOG_FAMILY)
    lo += at.NFLOG_BYTES

    is_little_endian = True
    for n in range(at.NFLOG_MAX_ATTRIBUTES):
        # Bounds: length and kind of an attribute; this line makes their reads safe.
        if hi - lo < at.ATTRIBUTE_BYTES:
            return _NFLOG_TRUNCATED, 0, lo
        if n == 0:
            # The first one is short: read the wrong way round, its length is the larger number.
            is_little_endian = le16(data, lo) <= be16(data, lo)
        n_bytes = le16(data, lo) if is_little_endian else be16(data, lo)
        kind_at = lo + at.ATTRIBUTE_TYPE
        kind = le16(data, kind_at) if is_little_endian else be16(data, kind_at)
        if n_bytes < at.ATTRIBUTE_BYTES:
            return _NFLOG_BAD_HEADER, 0, lo
        if kind == at.ATTRIBUTE_PAYLOAD:
            return _name_family(data, family, lo + at.ATTRIBUTE_BYTES, hi)
        # Attributes begin at whole words.
        n_bytes = (n_bytes + 3) & ~3
        if hi - lo < n_bytes:
            return _NFLOG_TRUNCATED, 0, lo
        lo += n_bytes
    return _NFLOG_BAD_HEADER, 0, lo


@helper
def read_pktap(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Darwin's pseudo header, which says how long it is and what follows."""
    # Bounds: length and link type are below PKTAP_MIN_BYTES; this line makes their reads safe.
    if hi - lo < at.PKTAP_MIN_BYTES:
        return _PKTAP_TRUNCATED, 0, lo
    n_header = le32(data, lo + at.PKTAP_LENGTH)
    if n_header < at.PKTAP_MIN_BYTES:
        return _PKTAP_BAD_LENGTH, 0, lo
    if hi - lo < n_header:
        return _PKTAP_TRUNCATED, 0, lo
    return name_link_type(le32(data, lo + at.PKTAP_LINK_TYPE), lo + n_header)


@helper
def name_link_type(link_type: int, lo: int) -> tuple[int, int, int]:
    """A header has said which link type comes next."""
    if link_type > at.LINK_TYPE_MAX:
        return _LINK_TYPE_UNSUPPORTED, 0, lo
    return _OK, at.FRAME_OF + link_type, lo

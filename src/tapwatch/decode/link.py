"""From the first byte of a frame to its network header, through all that may stand between."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.cooked import (
    read_enc,
    read_ipnet,
    read_loop,
    read_nflog,
    read_null,
    read_pflog,
    read_pktap,
    read_raw,
    read_sll,
    read_sll2,
)
from tapwatch.decode.encapsulation import (
    is_vlan,
    read_ethernet_tag,
    read_llc,
    read_macsec,
    read_mpls,
    read_short_tag,
    read_tags,
    read_trill,
)
from tapwatch.decode.lan import read_arcnet, read_fddi, read_ipoib
from tapwatch.decode.offsets import ETHER_TYPE_MIN, TYPE_ARP, TYPE_IPV4, TYPE_IPV6
from tapwatch.decode.ppp import (
    read_directed,
    read_frame_relay,
    read_hdlc,
    read_ppp_frame,
    read_pppoe,
)
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.wireless import read_ppi, read_radiotap, read_wlan
from tapwatch.decode.words import be16, be48, helper

_OK = int(DecodeStatus.OK)
_LINK_TYPE_UNSUPPORTED = int(DecodeStatus.LINK_TYPE_UNSUPPORTED)
_LINK_TOO_DEEP = int(DecodeStatus.LINK_TOO_DEEP)
_ETHERNET_TRUNCATED = int(DecodeStatus.ETHERNET_TRUNCATED)
_PPPOE_DISCOVERY = int(DecodeStatus.PPPOE_DISCOVERY)
_ETHER_TYPE_BAD = int(DecodeStatus.ETHER_TYPE_BAD)
_ETHER_TYPE_UNSUPPORTED = int(DecodeStatus.ETHER_TYPE_UNSUPPORTED)


@helper
def read_link(
    data: NDArray[np.uint8], lo: int, hi: int, link_type: int, row: Any
) -> tuple[int, int, int]:
    """Read what stands before the network header.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only data[lo:hi] belongs to this frame.
    lo, hi : int
        Byte range of the captured frame.
    link_type : int
        LINKTYPE_ number.
    row : PACKET record
        Written in place: eth_src, eth_dst, ether_type, VLAN fields; MAC addresses also into src and
        dst, where a network address will replace them.

    Returns
    -------
    status : DecodeStatus
    ether_type : int
        What the network header is, IPv4, IPv6 or ARP; meaningful only where status is OK.
    network : int
        Offset in `data` of the network header, at most `hi`.
    """
    if link_type == at.LINK_ETHERNET:
        return read_ethernet(data, lo, hi, row)
    return _walk(data, at.FRAME_OF + link_type, lo, hi, row)


@helper
def read_ethernet(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Read a whole Ethernet frame; returns as `read_link`."""
    status, what, lo = _read_ethernet_header(data, lo, hi, row)
    if status != _OK:
        return status, 0, lo
    # Most frames by far end here: what every step of a walk checks would cost them time.
    if is_vlan(what):
        status, what, lo = read_tags(data, what, lo, hi, row)
        if status != _OK:
            return status, 0, lo
    if what in (TYPE_IPV4, TYPE_IPV6):
        row["ether_type"] = what
        return _OK, what, lo
    return _walk(data, what, lo, hi, row)


@helper
def read_ether_type(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read what an EtherType announces, up to the network header; returns as `read_link`."""
    if ether_type < ETHER_TYPE_MIN:
        return _ETHER_TYPE_BAD, 0, lo
    return _walk(data, ether_type, lo, hi, row)


@helper
def read_ppp(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Read a PPP frame, up to the network header; returns as `read_link`."""
    return _walk(data, at.FRAME_OF + at.LINK_PPP, lo, hi, row)


@helper
def _walk(data: NDArray[np.uint8], what: int, lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Go from header to header; `what` is an EtherType, an 802.3 length or a frame's kind."""
    for _ in range(at.LINK_MAX_HEADERS):
        if ETHER_TYPE_MIN <= what < at.FRAME_OF:
            row["ether_type"] = what
        if what in (TYPE_IPV4, TYPE_IPV6, TYPE_ARP):
            return _OK, what, lo
        if what < at.FRAME_OF:
            status, what, lo = _read_announced(data, what, lo, hi, row)
        else:
            status, what, lo = _read_frame(data, what - at.FRAME_OF, lo, hi, row)
        if status != _OK:
            return status, 0, lo
    return _LINK_TOO_DEEP, 0, lo


@helper
def _read_ethernet_header(
    data: NDArray[np.uint8], lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """IEEE 802.3 clause 3; returns the number behind the addresses as what follows."""
    # Bounds: the reads up to the EtherType are below ETHERNET_BYTES; this line makes them safe.
    if hi - lo < at.ETHERNET_BYTES:
        return _ETHERNET_TRUNCATED, 0, lo
    row["eth_dst"] = row["dst_lo"] = be48(data, lo + at.ETHERNET_DST)
    row["eth_src"] = row["src_lo"] = be48(data, lo + at.ETHERNET_SRC)
    return _OK, be16(data, lo + at.ETHERNET_TYPE), lo + at.ETHERNET_BYTES


@helper
def _read_announced(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read the header that an EtherType or an 802.3 length announces."""
    if is_vlan(ether_type):
        return read_tags(data, ether_type, lo, hi, row)
    if ether_type in (at.TYPE_MPLS, at.TYPE_MPLS_UPSTREAM):
        return read_mpls(data, lo, hi)
    if ether_type == at.TYPE_PPPOE:
        return read_pppoe(data, lo, hi)
    if ether_type == at.TYPE_PPPOE_DISCOVERY:
        return _PPPOE_DISCOVERY, 0, lo
    if 0 < ether_type <= at.LENGTH_MAX:
        return read_llc(data, lo, hi, ether_type)
    if ether_type < ETHER_TYPE_MIN:
        return _ETHER_TYPE_BAD, 0, lo
    if ether_type == at.TYPE_JUMBO_LLC:
        return _OK, at.FRAME_OF + at.LINK_LLC, lo
    if ether_type == at.TYPE_PPP:
        return _OK, at.FRAME_OF + at.LINK_PPP, lo
    return _read_rare_tag(data, ether_type, lo, hi)


@helper
def _read_rare_tag(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int
) -> tuple[int, int, int]:
    """Read a tag that few networks know."""
    if ether_type == at.TYPE_MACSEC:
        return read_macsec(data, lo, hi)
    if ether_type in (at.TYPE_VN_TAG, at.TYPE_HSR, at.TYPE_REDUNDANCY):
        return read_short_tag(data, lo, hi, at.SHORT_TAG_BYTES)
    if ether_type == at.TYPE_CISCO_METADATA:
        return read_short_tag(data, lo, hi, at.CISCO_METADATA_BYTES)
    if ether_type == at.TYPE_ETHERNET:
        return read_ethernet_tag(lo, hi, 0)
    if ether_type == at.TYPE_FABRIC_PATH:
        return read_ethernet_tag(lo, hi, at.FABRIC_PATH_BYTES)
    if ether_type == at.TYPE_BACKBONE:
        return read_ethernet_tag(lo, hi, at.BACKBONE_BYTES)
    if ether_type == at.TYPE_TRILL:
        return read_trill(data, lo, hi)
    return _ETHER_TYPE_UNSUPPORTED, 0, lo


@helper
def _read_frame(
    data: NDArray[np.uint8], link_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read the header with which a frame of a link type begins."""
    if link_type == at.LINK_ETHERNET:
        return _read_ethernet_header(data, lo, hi, row)
    if link_type in (at.LINK_RAW, at.LINK_RAW_12, at.LINK_RAW_14):
        return read_raw(data, lo, hi)
    if link_type == at.LINK_IPV4:
        return _OK, TYPE_IPV4, lo
    if link_type == at.LINK_IPV6:
        return _OK, TYPE_IPV6, lo
    if link_type == at.LINK_LLC:
        return read_llc(data, lo, hi, at.LLC_ANY_LENGTH)
    if link_type == at.LINK_WLAN:
        return read_wlan(data, lo, hi, False, row)
    if link_type == at.LINK_RADIOTAP:
        return read_radiotap(data, lo, hi, row)
    if link_type == at.LINK_PPI:
        return read_ppi(data, lo, hi)
    return _read_line_frame(data, link_type, lo, hi, row)


@helper
def _read_line_frame(
    data: NDArray[np.uint8], link_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read the header with which a frame on a serial line or a rare network begins."""
    if link_type in (at.LINK_PPP, at.LINK_PPP_SERIAL):
        return read_ppp_frame(data, lo, hi)
    if link_type == at.LINK_PPP_WITH_DIR:
        return read_directed(data, lo, hi)
    if link_type == at.LINK_PPP_ETHER:
        return read_pppoe(data, lo, hi)
    if link_type == at.LINK_CISCO_HDLC:
        return read_hdlc(data, lo, hi)
    if link_type == at.LINK_FRAME_RELAY:
        return read_frame_relay(data, lo, hi)
    if link_type == at.LINK_FDDI:
        return read_fddi(data, lo, hi, row)
    if link_type == at.LINK_ARCNET_BSD:
        return read_arcnet(data, lo, hi, at.ARCNET_ADDRESS_BYTES)
    if link_type == at.LINK_ARCNET_LINUX:
        return read_arcnet(data, lo, hi, at.ARCNET_ADDRESS_BYTES + at.ARCNET_OFFSET_BYTES)
    if link_type == at.LINK_IPOIB:
        return read_ipoib(data, lo, hi)
    return _read_cooked_frame(data, link_type, lo, hi, row)


@helper
def _read_cooked_frame(
    data: NDArray[np.uint8], link_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read the header that a capturing kernel put before a packet."""
    if link_type == at.LINK_LINUX_SLL:
        return read_sll(data, lo, hi, row)
    if link_type == at.LINK_LINUX_SLL2:
        return read_sll2(data, lo, hi, row)
    if link_type == at.LINK_NULL:
        return read_null(data, lo, hi)
    if link_type == at.LINK_LOOP:
        return read_loop(data, lo, hi)
    if link_type == at.LINK_ENC:
        return read_enc(data, lo, hi)
    if link_type == at.LINK_PFLOG:
        return read_pflog(data, lo, hi)
    if link_type == at.LINK_IPNET:
        return read_ipnet(data, lo, hi)
    if link_type == at.LINK_NFLOG:
        return read_nflog(data, lo, hi)
    if link_type == at.LINK_PKTAP:
        return read_pktap(data, lo, hi)
    return _LINK_TYPE_UNSUPPORTED, 0, lo

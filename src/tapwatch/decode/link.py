"""Link headers: Ethernet, Linux cooked, none at all; VLAN tags; ARP, which lives beside IP."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, be48, helper

_OK = int(DecodeStatus.OK)
_LINK_TYPE_UNSUPPORTED = int(DecodeStatus.LINK_TYPE_UNSUPPORTED)
_ETHERNET_TRUNCATED = int(DecodeStatus.ETHERNET_TRUNCATED)
_SLL_TRUNCATED = int(DecodeStatus.SLL_TRUNCATED)
_RAW_IP_TRUNCATED = int(DecodeStatus.RAW_IP_TRUNCATED)
_RAW_IP_BAD_VERSION = int(DecodeStatus.RAW_IP_BAD_VERSION)
_VLAN_TRUNCATED = int(DecodeStatus.VLAN_TRUNCATED)
_VLAN_TOO_DEEP = int(DecodeStatus.VLAN_TOO_DEEP)
_PPP_TRUNCATED = int(DecodeStatus.PPP_TRUNCATED)
_PPP_PROTOCOL_UNSUPPORTED = int(DecodeStatus.PPP_PROTOCOL_UNSUPPORTED)
_LLC = int(DecodeStatus.LLC_UNSUPPORTED)
_ARP_TRUNCATED = int(DecodeStatus.ARP_TRUNCATED)
_ARP_BAD_LENGTH = int(DecodeStatus.ARP_BAD_LENGTH)


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
        What the network header is; meaningful only where status is OK.
    network : int
        Offset in `data` of the network header, at most `hi`.
    """
    if link_type == at.LINK_ETHERNET:
        return read_ethernet(data, lo, hi, row)
    if link_type == at.LINK_LINUX_SLL:
        return _read_sll(data, lo, hi, row)
    if link_type == at.LINK_IPV4:
        return _OK, at.TYPE_IPV4, lo
    if link_type == at.LINK_IPV6:
        return _OK, at.TYPE_IPV6, lo
    if link_type in (at.LINK_RAW, at.LINK_RAW_12, at.LINK_RAW_14):
        return _read_raw(data, lo, hi)
    return _LINK_TYPE_UNSUPPORTED, 0, lo


@helper
def read_ethernet(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Read a whole Ethernet frame (IEEE 802.3 clause 3); returns as `read_link`."""
    # Bounds: the reads up to the EtherType are below ETHERNET_BYTES; this line makes them safe.
    if hi - lo < at.ETHERNET_BYTES:
        return _ETHERNET_TRUNCATED, 0, lo
    row["eth_dst"] = row["dst_lo"] = be48(data, lo + at.ETHERNET_DST)
    row["eth_src"] = row["src_lo"] = be48(data, lo + at.ETHERNET_SRC)
    ether_type = be16(data, lo + at.ETHERNET_TYPE)
    return read_ether_type(data, ether_type, lo + at.ETHERNET_BYTES, hi, row)


@helper
def _read_sll(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Linux cooked capture, which knows only the sender's address; returns as `read_link`."""
    # Bounds: the reads up to the protocol field are below SLL_BYTES; this line makes them safe.
    if hi - lo < at.SLL_BYTES:
        return _SLL_TRUNCATED, 0, lo
    if be16(data, lo + at.SLL_ADDRESS_LENGTH) == at.MAC_BYTES:
        row["eth_src"] = row["src_lo"] = be48(data, lo + at.SLL_ADDRESS)
    protocol = be16(data, lo + at.SLL_PROTOCOL)
    return read_ether_type(data, protocol, lo + at.SLL_BYTES, hi, row)


@helper
def _read_raw(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """No link header: the IP version tells what it is; returns as `read_link`."""
    # Bounds: one byte is read; this line makes it safe.
    if hi - lo < 1:
        return _RAW_IP_TRUNCATED, 0, lo
    version = be8(data, lo) >> 4
    if version == 4:
        return _OK, at.TYPE_IPV4, lo
    if version == 6:
        return _OK, at.TYPE_IPV6, lo
    return _RAW_IP_BAD_VERSION, 0, lo


@helper
def read_ether_type(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int, row: Any
) -> tuple[int, int, int]:
    """Read what an EtherType announces, up to the network header; returns as `read_link`.

    A tag that the kernel took out of the frame was the outermost one: `n_vlan_tags` is 1 then.
    """
    n_tags = 0
    while ether_type in (at.TYPE_VLAN, at.TYPE_SERVICE_VLAN, at.TYPE_OLD_QINQ):
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

    if ether_type < at.ETHER_TYPE_MIN:
        return _LLC, 0, lo
    row["ether_type"] = ether_type
    return _OK, ether_type, lo


@helper
def read_ppp(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Read a PPP frame (RFC 1661, RFC 1662 section 3.1); returns as `read_link`.

    Address and control may have been compressed away, and so may the protocol's first byte.
    """
    # Bounds: address and control are two bytes; this line makes the read safe.
    if hi - lo >= 2 and be16(data, lo) == at.PPP_ADDRESS_CONTROL:
        lo += 2
    # Bounds: at most two bytes of protocol; the two lines make the reads safe.
    if hi - lo < 1:
        return _PPP_TRUNCATED, 0, lo
    protocol = be8(data, lo)
    if protocol & 1:
        lo += 1
    elif hi - lo < 2:
        return _PPP_TRUNCATED, 0, lo
    else:
        protocol = be16(data, lo)
        lo += 2
    if protocol == at.PPP_IPV4:
        row["ether_type"] = at.TYPE_IPV4
        return _OK, at.TYPE_IPV4, lo
    if protocol == at.PPP_IPV6:
        row["ether_type"] = at.TYPE_IPV6
        return _OK, at.TYPE_IPV6, lo
    return _PPP_PROTOCOL_UNSUPPORTED, 0, lo


@helper
def read_arp(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> int:
    """Read an ARP body (RFC 826) and return its DecodeStatus.

    Protocol addresses go into src (sender) and dst (target) where they are IPv4 addresses; any
    other address family leaves the MAC addresses of the frame there, and is OK too.
    """
    # Bounds: the fixed part ends where the addresses begin; this line makes its reads safe.
    if hi - lo < at.ARP_ADDRESSES:
        return _ARP_TRUNCATED
    row["arp_opcode"] = be16(data, lo + at.ARP_OPCODE)
    is_ethernet = be16(data, lo + at.ARP_HARDWARE_TYPE) == at.ARP_HARDWARE_ETHERNET
    is_ipv4 = be16(data, lo + at.ARP_PROTOCOL_TYPE) == at.TYPE_IPV4
    hardware_bytes = be8(data, lo + at.ARP_HARDWARE_LENGTH)
    protocol_bytes = be8(data, lo + at.ARP_PROTOCOL_LENGTH)
    if (is_ethernet and hardware_bytes != at.MAC_BYTES) or (
        is_ipv4 and protocol_bytes != at.IPV4_ADDRESS_BYTES
    ):
        return _ARP_BAD_LENGTH

    sender = lo + at.ARP_ADDRESSES
    target = sender + hardware_bytes + protocol_bytes
    # Bounds: both pairs of addresses end at target + one pair; this line makes all of it safe.
    if hi - target < hardware_bytes + protocol_bytes:
        return _ARP_TRUNCATED
    if is_ethernet:
        row["arp_sender_mac"] = be48(data, sender)
    if is_ipv4:
        row["ip_version"] = 4
        row["src_lo"] = at.IPV4_MAPPED | be32(data, sender + hardware_bytes)
        row["dst_lo"] = at.IPV4_MAPPED | be32(data, target + hardware_bytes)
    return _OK

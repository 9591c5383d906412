"""ARP, which lives beside IP and speaks of both link and network addresses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.offsets import IPV4_MAPPED, TYPE_IPV4
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, be48, helper

_OK = int(DecodeStatus.OK)
_ARP_TRUNCATED = int(DecodeStatus.ARP_TRUNCATED)
_ARP_BAD_LENGTH = int(DecodeStatus.ARP_BAD_LENGTH)


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
    is_ipv4 = be16(data, lo + at.ARP_PROTOCOL_TYPE) == TYPE_IPV4
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
        row["src_lo"] = IPV4_MAPPED | be32(data, sender + hardware_bytes)
        row["dst_lo"] = IPV4_MAPPED | be32(data, target + hardware_bytes)
    return _OK

"""From the first byte of a frame, or of what a tunnel carries, to the transport payload."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode import tunnel_offsets as tunnel
from tapwatch.decode.arp import read_arp
from tapwatch.decode.link import read_ether_type, read_ethernet, read_link, read_ppp
from tapwatch.decode.link_offsets import LINK_WLAN
from tapwatch.decode.network import read_ipv4, read_ipv6
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.transport import read_transport
from tapwatch.decode.words import helper

_OK = int(DecodeStatus.OK)
_ETHER_TYPE_UNSUPPORTED = int(DecodeStatus.ETHER_TYPE_UNSUPPORTED)


@helper
def read_frame(
    data: NDArray[np.uint8], lo: int, hi: int, wire_end: int, link_type: int, row: Any
) -> int:
    """Go from header to header until one stops us; returns the DecodeStatus."""
    status, ether_type, network = read_link(data, lo, hi, link_type, row)
    if status != _OK:
        return status
    return _read_network(data, ether_type, network, hi, wire_end, row)


@helper
def read_carried(
    data: NDArray[np.uint8], carried: int, lo: int, hi: int, wire_end: int, row: Any
) -> int:
    """Read what a tunnel carries, by its EtherType; returns the DecodeStatus.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only data[lo:hi] belongs to what the tunnel carries.
    carried : int
        EtherType; that of Ethernet, that of PPP and those of 802.11 for frames of these.
    lo, hi, wire_end : int
        Where it begins, and where it ends in the capture and on the wire.
    row : PACKET record
        Written in place.
    """
    if carried == tunnel.TYPE_ETHERNET:
        status, ether_type, network = read_ethernet(data, lo, hi, row)
    elif carried == tunnel.TYPE_PPP:
        status, ether_type, network = read_ppp(data, lo, hi, row)
    elif _is_wlan(carried):
        status, ether_type, network = read_link(data, lo, hi, LINK_WLAN, row)
    else:
        status, ether_type, network = read_ether_type(data, carried, lo, hi, row)
    if status != _OK:
        return status
    return _read_network(data, ether_type, network, hi, wire_end, row)


@helper
def _is_wlan(carried: int) -> bool:
    """Whether it is an 802.11 frame, as access points hand it to their controller."""
    is_of_row = tunnel.TYPE_ARUBA_FIRST <= carried <= tunnel.TYPE_ARUBA_LAST and carried & 0xF == 0
    return is_of_row or carried == tunnel.TYPE_ARUBA_OTHER


@helper
def _read_network(
    data: NDArray[np.uint8], ether_type: int, lo: int, hi: int, wire_end: int, row: Any
) -> int:
    if ether_type == at.TYPE_IPV4:
        status, transport, ip_end = read_ipv4(data, lo, hi, wire_end, row)
    elif ether_type == at.TYPE_IPV6:
        status, transport, ip_end = read_ipv6(data, lo, hi, wire_end, row)
    elif ether_type == at.TYPE_ARP:
        return read_arp(data, lo, hi, row)
    else:
        return _ETHER_TYPE_UNSUPPORTED
    if status != _OK:
        return status
    return read_transport(data, transport, hi, ip_end, row)

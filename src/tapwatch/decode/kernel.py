"""The compiled entry point: frames in, one written row each out."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.link import read_arp, read_link
from tapwatch.decode.network import read_ipv4, read_ipv6
from tapwatch.decode.status import DecodeStatus, OptionFault, Protocol
from tapwatch.decode.transport import OPTIONS_CUT, OPTIONS_MALFORMED, read_transport
from tapwatch.decode.words import helper

_OK = int(DecodeStatus.OK)
_ETHER_TYPE_UNSUPPORTED = int(DecodeStatus.ETHER_TYPE_UNSUPPORTED)
_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ICMP = int(Protocol.ICMP)
_ICMPV6 = int(Protocol.ICMPV6)
_OTHER_IP = int(Protocol.OTHER_IP)
_ARP = int(Protocol.ARP)
_OTHER = int(Protocol.OTHER)
_CUT = int(OptionFault.CUT)
_MALFORMED = int(OptionFault.MALFORMED)


@njit(nogil=True, cache=True)
def decode_rows(
    data: NDArray[np.uint8],
    frames: NDArray[Any],
    packets: NDArray[Any],
    packet_bytes: NDArray[np.uint8],
    clock_ns: int,
    status_counts: NDArray[np.int64],
    protocol_counts: NDArray[np.int64],
    option_fault_counts: NDArray[np.int64],
) -> tuple[int, int]:
    """Decode frame by frame; a row's old content does not matter.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    frames : FRAME (n_frames,)
    packets : PACKET (n_frames,)
        Written in place.
    packet_bytes : uint8 (n_frames, PACKET.itemsize)
        The same memory as `packets`.
    clock_ns : int
        Latest capture time before this batch.
    status_counts, protocol_counts, option_fault_counts : int64 (n,)
        Added to in place, by value of DecodeStatus, Protocol and OptionFault.

    Returns
    -------
    n_done : int
        Less than n_frames where frame `n_done` does not lie within `data`.
    clock_ns : int
        Latest capture time of the source, this batch included.
    """
    for i in range(len(frames)):
        frame = frames[i]
        lo = int(frame["start"])
        captured_bytes = int(np.int64(frame["captured_bytes"]))
        # Bounds: this line makes data[lo:hi] a part of `data`. All that follows keeps to lo and hi,
        # or a hostile frame would show us its neighbours, or memory that is not ours.
        if lo < 0 or captured_bytes < 0 or captured_bytes > len(data) - lo:
            return i, clock_ns
        clock_ns = max(clock_ns, int(frame["ts_ns"]))
        # What was captured was on the wire, whatever the file says.
        wire_bytes = max(int(np.int64(frame["wire_bytes"])), captured_bytes)
        row = packets[i]
        packet_bytes[i, :] = 0
        _copy_frame(frame, clock_ns, wire_bytes, row)

        link_type = int(np.int64(frame["link_type"]))
        status = _decode_frame(data, lo, lo + captured_bytes, lo + wire_bytes, link_type, row)
        row["status"] = status
        # ARP knows IPv4 addresses too, but is not an IP packet.
        is_ip = row["ip_version"] != 0 and row["ether_type"] != at.TYPE_ARP
        row["is_flow"] = status == _OK and is_ip
        status_counts[status] += 1
        protocol_counts[_protocol(row)] += 1
        if row["tcp_options"] & OPTIONS_CUT:
            option_fault_counts[_CUT] += 1
        if row["tcp_options"] & OPTIONS_MALFORMED:
            option_fault_counts[_MALFORMED] += 1
    return len(frames), clock_ns


@helper
def _copy_frame(frame: Any, clock_ns: int, wire_bytes: int, row: Any) -> None:
    """Write what is known of a frame before its first byte is read."""
    row["ts_ns"] = frame["ts_ns"]
    row["clock_ns"] = clock_ns
    row["number"] = frame["number"]
    row["wire_bytes"] = wire_bytes
    row["captured_bytes"] = frame["captured_bytes"]
    row["interface"] = frame["interface"]
    row["direction"] = frame["direction"]
    row["tcp_window_scale"] = 255
    if frame["vlan_tci"] >= 0:
        row["vlan_tci"] = frame["vlan_tci"]
        row["n_vlan_tags"] = 1


@helper
def _decode_frame(
    data: NDArray[np.uint8], lo: int, hi: int, wire_end: int, link_type: int, row: Any
) -> int:
    """Go from header to header until one stops us; returns the DecodeStatus."""
    status, ether_type, network = read_link(data, lo, hi, link_type, row)
    if status != _OK:
        return status
    if ether_type == at.TYPE_IPV4:
        status, transport, ip_end = read_ipv4(data, network, hi, wire_end, row)
    elif ether_type == at.TYPE_IPV6:
        status, transport, ip_end = read_ipv6(data, network, hi, wire_end, row)
    elif ether_type == at.TYPE_ARP:
        return read_arp(data, network, hi, row)
    else:
        return _ETHER_TYPE_UNSUPPORTED
    if status != _OK:
        return status
    return read_transport(data, transport, hi, ip_end, row)


@helper
def _protocol(row: Any) -> int:
    """Protocol to count a row under: the last one whose header told us its name."""
    proto = int(row["proto"])
    if row["ether_type"] == at.TYPE_ARP:
        return _ARP
    if row["ip_version"] == 0:
        return _OTHER
    if proto == at.PROTO_TCP:
        return _TCP
    if proto == at.PROTO_UDP:
        return _UDP
    if proto == at.PROTO_ICMP:
        return _ICMP
    if proto == at.PROTO_ICMPV6:
        return _ICMPV6
    return _OTHER_IP

"""The compiled entry points: frames in, one written row each out; then tunnels, where asked for.

Apart, so that who leaves tunnels closed neither runs through the second nor compiles it.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.frame import read_frame
from tapwatch.decode.opening import open_tunnels, reasons_by_status
from tapwatch.decode.status import DecodeStatus, OptionFault, Protocol, Tunnel, Unopened
from tapwatch.decode.tcp import OPTIONS_CUT, OPTIONS_MALFORMED
from tapwatch.decode.words import helper

_OK = int(DecodeStatus.OK)
_OTHER_IP = int(Protocol.OTHER_IP)
_ARP = int(Protocol.ARP)
_OTHER = int(Protocol.OTHER)
_CUT = int(OptionFault.CUT)
_MALFORMED = int(OptionFault.MALFORMED)


def _protocols_by_number() -> NDArray[np.int64]:
    """Protocol of each IP protocol number, 256 of them."""
    protocols = np.full(256, _OTHER_IP, np.int64)
    for number, protocol in (
        (at.PROTO_TCP, Protocol.TCP),
        (at.PROTO_UDP, Protocol.UDP),
        (at.PROTO_UDP_LITE, Protocol.UDP_LITE),
        (at.PROTO_SCTP, Protocol.SCTP),
        (at.PROTO_DCCP, Protocol.DCCP),
        (at.PROTO_ICMP, Protocol.ICMP),
        (at.PROTO_ICMPV6, Protocol.ICMPV6),
        (at.PROTO_IGMP, Protocol.IGMP),
        (at.PROTO_ESP, Protocol.ESP),
        (at.PROTO_GRE, Protocol.GRE),
    ):
        protocols[number] = protocol
    return protocols


_PROTOCOL_OF: Final = _protocols_by_number()
_UNOPENED_OF: Final = reasons_by_status()


class Counts(NamedTuple):
    """What is counted, each by value of its enumeration."""

    statuses: NDArray[np.int64]  # (len(DecodeStatus),)
    protocols: NDArray[np.int64]  # (len(Protocol),)
    option_faults: NDArray[np.int64]  # (len(OptionFault),)
    tunnels: NDArray[np.int64]  # (len(Tunnel),) opened
    unopened: NDArray[np.int64]  # (len(Unopened),)


def no_counts() -> Counts:
    """Counts from the start."""
    names = (DecodeStatus, Protocol, OptionFault, Tunnel, Unopened)
    return Counts(*(np.zeros(len(name), np.int64) for name in names))


@njit(nogil=True, cache=True)
def decode_rows(
    data: NDArray[np.uint8],
    frames: NDArray[Any],
    packets: NDArray[Any],
    packet_bytes: NDArray[np.uint8],
    clock_ns: int,
    counts: Counts,
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
    counts : Counts
        Added to in place.

    Returns
    -------
    n_done : int
        Less than n_frames where frame `n_done` does not lie within `data`.
    clock_ns : int
        Latest capture time of the source, this batch included.
    """
    # Taken out once: each time counts references.
    status_counts, protocol_counts = counts.statuses, counts.protocols
    fault_counts = counts.option_faults
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
        status = read_frame(data, lo, lo + captured_bytes, lo + wire_bytes, link_type, row)
        row["status"] = status
        row["is_flow"] = status == _OK and _is_ip(row)
        status_counts[status] += 1
        _count(row, 1, protocol_counts, fault_counts)
    return len(frames), clock_ns


@njit(nogil=True, cache=True)
def open_rows(
    data: NDArray[np.uint8],
    packets: NDArray[Any],
    packet_bytes: NDArray[np.uint8],
    depth: int,
    scratch: NDArray[Any],
    scratch_bytes: NDArray[np.uint8],
    counts: Counts,
) -> None:
    """Replace the rows of packets in tunnels by those of what is inside, where that reads OK.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    packets : PACKET (n_frames,)
        As `decode_rows` wrote them from `data`; updated.
    packet_bytes : uint8 (n_frames, PACKET.itemsize)
        The same memory as `packets`.
    depth : int
        Tunnels to open, one in another; at least 1.
    scratch : PACKET (2,)
        Overwritten.
    scratch_bytes : uint8 (2, PACKET.itemsize)
        The same memory as `scratch`.
    counts : Counts
        Added to in place; protocols and option faults move from the outer packet to the inner one.
    """
    protocol_counts, fault_counts = counts.protocols, counts.option_faults
    tunnel_counts, unopened_counts = counts.tunnels, counts.unopened
    for i in range(len(packets)):
        row = packets[i]
        if row["is_flow"] == 0:
            continue
        inner = open_tunnels(
            data,
            row,
            depth,
            scratch,
            scratch_bytes,
            tunnel_counts,
            unopened_counts,
            _UNOPENED_OF,
        )
        if inner >= 0:
            _count(row, -1, protocol_counts, fault_counts)
            packet_bytes[i, :] = scratch_bytes[inner, :]
            row["is_flow"] = _is_ip(row)
            _count(row, 1, protocol_counts, fault_counts)


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
def _is_ip(row: Any) -> bool:
    """Tell IP packets from ARP, which knows IPv4 addresses too."""
    return bool(row["ip_version"] != 0 and row["ether_type"] != at.TYPE_ARP)


@helper
def _count(
    row: Any, by: int, protocol_counts: NDArray[np.int64], fault_counts: NDArray[np.int64]
) -> None:
    protocol_counts[_protocol(row)] += by
    if row["tcp_options"] & OPTIONS_CUT:
        fault_counts[_CUT] += by
    if row["tcp_options"] & OPTIONS_MALFORMED:
        fault_counts[_MALFORMED] += by


@helper
def _protocol(row: Any) -> int:
    """Protocol to count a row under: the last one whose header told us its name."""
    if row["ether_type"] == at.TYPE_ARP:
        return _ARP
    if row["ip_version"] == 0:
        return _OTHER
    return int(_PROTOCOL_OF[row["proto"]])

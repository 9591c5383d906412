"""What an IP packet carries, and the payload behind whatever came last.

A protocol that is not read is no fault: its packets are OK, without ports and without a header.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.tcp import read_tcp
from tapwatch.decode.words import be8, be16, helper

_OK = int(DecodeStatus.OK)
_UDP_TRUNCATED = int(DecodeStatus.UDP_TRUNCATED)
_UDP_TOO_SHORT = int(DecodeStatus.UDP_TOO_SHORT)
_UDP_BAD_LENGTH = int(DecodeStatus.UDP_BAD_LENGTH)
_UDP_BEYOND_IP = int(DecodeStatus.UDP_BEYOND_IP)
_UDP_LITE_TRUNCATED = int(DecodeStatus.UDP_LITE_TRUNCATED)
_UDP_LITE_TOO_SHORT = int(DecodeStatus.UDP_LITE_TOO_SHORT)
_UDP_LITE_BAD_COVERAGE = int(DecodeStatus.UDP_LITE_BAD_COVERAGE)
_UDP_LITE_BEYOND_IP = int(DecodeStatus.UDP_LITE_BEYOND_IP)
_SCTP_TRUNCATED = int(DecodeStatus.SCTP_TRUNCATED)
_SCTP_TOO_SHORT = int(DecodeStatus.SCTP_TOO_SHORT)
_DCCP_TRUNCATED = int(DecodeStatus.DCCP_TRUNCATED)
_DCCP_TOO_SHORT = int(DecodeStatus.DCCP_TOO_SHORT)
_DCCP_BAD_HEADER_LENGTH = int(DecodeStatus.DCCP_BAD_HEADER_LENGTH)
_DCCP_HEADER_BEYOND_IP = int(DecodeStatus.DCCP_HEADER_BEYOND_IP)
_ICMP_TRUNCATED = int(DecodeStatus.ICMP_TRUNCATED)
_ICMP_TOO_SHORT = int(DecodeStatus.ICMP_TOO_SHORT)
_ICMPV6_TRUNCATED = int(DecodeStatus.ICMPV6_TRUNCATED)
_ICMPV6_TOO_SHORT = int(DecodeStatus.ICMPV6_TOO_SHORT)
_IGMP_TRUNCATED = int(DecodeStatus.IGMP_TRUNCATED)
_IGMP_TOO_SHORT = int(DecodeStatus.IGMP_TOO_SHORT)
_ESP_TRUNCATED = int(DecodeStatus.ESP_TRUNCATED)
_ESP_TOO_SHORT = int(DecodeStatus.ESP_TOO_SHORT)
_GRE_TRUNCATED = int(DecodeStatus.GRE_TRUNCATED)
_GRE_TOO_SHORT = int(DecodeStatus.GRE_TOO_SHORT)


@helper
def read_transport(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> int:
    """Read what the IP header at hand carries, by `row["proto"]`, and say where the payload is.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only data[lo:hi] belongs to this frame.
    lo, hi : int
        Byte range from behind the IP header to the end of the *captured* frame, lo <= hi.
    ip_end : int
        Where the packet ends by its IP length, lo <= ip_end; beyond `hi` in a snapped frame.
    row : PACKET record
        Written in place: ports and transport fields; the payload only where the status is OK.

    Returns
    -------
    status : DecodeStatus
    """
    proto = int(row["proto"])
    status = _OK
    header_bytes = 0
    # A later fragment begins in the middle of the payload.
    if row["frag_offset_bytes"] == 0:
        if proto == at.PROTO_TCP:
            status, header_bytes = read_tcp(data, lo, hi, ip_end, row)
        elif proto == at.PROTO_UDP:
            status, header_bytes = _read_udp(data, lo, hi, ip_end, row)
        elif proto == at.PROTO_ICMP:
            status, header_bytes = _read_icmp(data, lo, hi, ip_end, row)
        elif proto == at.PROTO_ICMPV6:
            status, header_bytes = _read_icmpv6(data, lo, hi, ip_end, row)
        else:
            status, header_bytes = _read_other(data, lo, hi, ip_end, row)
    if status != _OK:
        return status

    # lo + header_bytes <= ip_end by now, but `hi` may come before it, inside options. Ethernet
    # padding lies between ip_end and hi, and is nobody's payload.
    payload = lo + header_bytes
    row["transport_header_bytes"] = header_bytes
    row["payload_start"] = min(payload, hi)
    row["payload_bytes"] = ip_end - payload
    row["payload_captured_bytes"] = max(min(hi, ip_end) - payload, 0)
    return _OK


@helper
def _read_other(
    data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any
) -> tuple[int, int]:
    """What is rarer than TCP, UDP and ICMP; returns status and header length."""
    proto = int(row["proto"])
    if proto == at.PROTO_SCTP:
        return _read_sctp(data, lo, hi, ip_end, row)
    if proto == at.PROTO_UDP_LITE:
        return _read_udp_lite(data, lo, hi, ip_end, row)
    if proto == at.PROTO_DCCP:
        return _read_dccp(data, lo, hi, ip_end, row)
    if proto == at.PROTO_GRE:
        return _read_gre(data, lo, hi, ip_end)
    # Bounds: of the last two nothing is read; their headers are only counted.
    if proto == at.PROTO_ESP:
        if ip_end - lo < at.ESP_BYTES:
            return _ESP_TOO_SHORT, 0
        return (_OK, at.ESP_BYTES) if hi - lo >= at.ESP_BYTES else (_ESP_TRUNCATED, 0)
    if proto == at.PROTO_IGMP:
        if ip_end - lo < at.IGMP_BYTES:
            return _IGMP_TOO_SHORT, 0
        return (_OK, at.IGMP_BYTES) if hi - lo >= at.IGMP_BYTES else (_IGMP_TRUNCATED, 0)
    return _OK, 0


@helper
def _read_udp(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> tuple[int, int]:
    """RFC 768; returns status and header length."""
    if ip_end - lo < at.UDP_BYTES:
        return _UDP_TOO_SHORT, 0
    # Bounds: every read below is at lo + k with k < UDP_BYTES; this line makes it safe.
    if hi - lo < at.UDP_BYTES:
        return _UDP_TRUNCATED, 0
    length = be16(data, lo + at.UDP_LENGTH)
    row["src_port"] = be16(data, lo + at.UDP_SRC_PORT)
    row["dst_port"] = be16(data, lo + at.UDP_DST_PORT)
    row["udp_bytes"] = length

    # 0 stands for "until the end" in an IPv6 jumbogram, RFC 2675 section 4.
    if length < at.UDP_BYTES and not (length == 0 and row["ip_version"] == 6):
        return _UDP_BAD_LENGTH, 0
    # The first fragment of a datagram rightly announces more than it holds.
    if length > ip_end - lo and row["is_fragment"] == 0:
        return _UDP_BEYOND_IP, 0
    return _OK, at.UDP_BYTES


@helper
def _read_udp_lite(
    data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any
) -> tuple[int, int]:
    """RFC 3828 section 3.1; returns status and header length."""
    if ip_end - lo < at.UDP_BYTES:
        return _UDP_LITE_TOO_SHORT, 0
    # Bounds: every read below is at lo + k with k < UDP_BYTES; this line makes it safe.
    if hi - lo < at.UDP_BYTES:
        return _UDP_LITE_TRUNCATED, 0
    coverage = be16(data, lo + at.UDP_LITE_COVERAGE)
    row["src_port"] = be16(data, lo + at.UDP_SRC_PORT)
    row["dst_port"] = be16(data, lo + at.UDP_DST_PORT)

    # 0 covers all. A receiver must drop a packet whose checksum leaves its header uncovered, or
    # covers what is not there.
    if 0 < coverage < at.UDP_BYTES:
        return _UDP_LITE_BAD_COVERAGE, 0
    # The first fragment of a datagram rightly covers more than it holds.
    if coverage > ip_end - lo and row["is_fragment"] == 0:
        return _UDP_LITE_BEYOND_IP, 0
    return _OK, at.UDP_BYTES


@helper
def _read_sctp(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> tuple[int, int]:
    """RFC 9260 section 3.1, the common header; chunks are payload; returns as `_read_udp`."""
    if ip_end - lo < at.SCTP_BYTES:
        return _SCTP_TOO_SHORT, 0
    # Bounds: every read below is at lo + k with k < SCTP_BYTES; this line makes it safe.
    if hi - lo < at.SCTP_BYTES:
        return _SCTP_TRUNCATED, 0
    row["src_port"] = be16(data, lo + at.UDP_SRC_PORT)
    row["dst_port"] = be16(data, lo + at.UDP_DST_PORT)
    return _OK, at.SCTP_BYTES


@helper
def _read_dccp(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> tuple[int, int]:
    """RFC 4340 section 5.1; options belong to the header, and are not read."""
    if ip_end - lo < at.DCCP_SHORT_BYTES:
        return _DCCP_TOO_SHORT, 0
    # Bounds: every read below is at lo + k with k < DCCP_SHORT_BYTES; this line makes it safe.
    if hi - lo < at.DCCP_SHORT_BYTES:
        return _DCCP_TRUNCATED, 0
    row["src_port"] = be16(data, lo + at.UDP_SRC_PORT)
    row["dst_port"] = be16(data, lo + at.UDP_DST_PORT)

    generic_bytes = at.DCCP_SHORT_BYTES
    if be8(data, lo + at.DCCP_TYPE_X) & at.DCCP_X:
        generic_bytes = at.DCCP_LONG_BYTES
    header_bytes = 4 * be8(data, lo + at.DCCP_DATA_OFFSET)
    if header_bytes < generic_bytes:
        return _DCCP_BAD_HEADER_LENGTH, 0
    if ip_end - lo < header_bytes:
        return _DCCP_HEADER_BEYOND_IP, 0
    return _OK, header_bytes


@helper
def _read_gre(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int) -> tuple[int, int]:
    """RFC 2784 and 2890, and version 1 of RFC 2637: how long the header is by its flags.

    A route (RFC 1701) counts as payload. Of a version that nobody has defined, only the first four
    bytes are certain.
    """
    if ip_end - lo < at.GRE_BYTES:
        return _GRE_TOO_SHORT, 0
    # Bounds: the reads below are at lo + k with k < GRE_BYTES; this line makes them safe.
    if hi - lo < at.GRE_BYTES:
        return _GRE_TRUNCATED, 0
    flags = be16(data, lo + at.GRE_FLAGS)
    version = flags & at.GRE_VERSION
    header_bytes = at.GRE_BYTES
    if version <= 1:
        for flag in (at.GRE_KEY, at.GRE_SEQUENCE):
            if flags & flag:
                header_bytes += at.GRE_FIELD_BYTES
    if (version == 0 and flags & (at.GRE_CHECKSUM | at.GRE_ROUTING)) or (
        version == 1 and flags & at.GRE_ACKNOWLEDGE
    ):
        header_bytes += at.GRE_FIELD_BYTES

    if ip_end - lo < header_bytes:
        return _GRE_TOO_SHORT, 0
    # Bounds: who reads the optional fields finds all of them captured.
    if hi - lo < header_bytes:
        return _GRE_TRUNCATED, 0
    return _OK, header_bytes


@helper
def _read_icmp(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> tuple[int, int]:
    """RFC 792; returns status and header length."""
    if ip_end - lo < at.ICMP_BYTES:
        return _ICMP_TOO_SHORT, 0
    # Bounds: the reads below are at lo + k with k < ICMP_BYTES; this line makes them safe.
    if hi - lo < at.ICMP_BYTES:
        return _ICMP_TRUNCATED, 0
    row["icmp_type"] = be8(data, lo + at.ICMP_TYPE)
    row["icmp_code"] = be8(data, lo + at.ICMP_CODE)
    return _OK, at.ICMP_BYTES


@helper
def _read_icmpv6(
    data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any
) -> tuple[int, int]:
    """RFC 4443 section 2.1; returns status and header length."""
    if ip_end - lo < at.ICMPV6_BYTES:
        return _ICMPV6_TOO_SHORT, 0
    # Bounds: the reads below are at lo + k with k < ICMPV6_BYTES; this line makes them safe.
    if hi - lo < at.ICMPV6_BYTES:
        return _ICMPV6_TRUNCATED, 0
    row["icmp_type"] = be8(data, lo + at.ICMP_TYPE)
    row["icmp_code"] = be8(data, lo + at.ICMP_CODE)
    return _OK, at.ICMPV6_BYTES

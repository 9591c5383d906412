"""IPv4 and IPv6 headers, up to the transport header.

A packet that is longer than its frame is refused (IPV4_BEYOND_FRAME, IPV6_BEYOND_FRAME): no host
takes it, so what it claims to carry arrived nowhere. Its row keeps what the header says.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, be64, helper

_OK = int(DecodeStatus.OK)
_IPV4_TRUNCATED = int(DecodeStatus.IPV4_TRUNCATED)
_IPV4_BAD_VERSION = int(DecodeStatus.IPV4_BAD_VERSION)
_IPV4_BAD_HEADER_LENGTH = int(DecodeStatus.IPV4_BAD_HEADER_LENGTH)
_IPV4_BAD_TOTAL_LENGTH = int(DecodeStatus.IPV4_BAD_TOTAL_LENGTH)
_IPV4_BEYOND_FRAME = int(DecodeStatus.IPV4_BEYOND_FRAME)
_IPV4_AUTHENTICATION_TRUNCATED = int(DecodeStatus.IPV4_AUTHENTICATION_TRUNCATED)
_IPV4_AUTHENTICATION_BEYOND_IP = int(DecodeStatus.IPV4_AUTHENTICATION_BEYOND_IP)
_IPV4_AUTHENTICATION_BAD_LENGTH = int(DecodeStatus.IPV4_AUTHENTICATION_BAD_LENGTH)
_IPV4_CHAIN_TOO_LONG = int(DecodeStatus.IPV4_CHAIN_TOO_LONG)
_IPV6_TRUNCATED = int(DecodeStatus.IPV6_TRUNCATED)
_IPV6_BAD_VERSION = int(DecodeStatus.IPV6_BAD_VERSION)
_IPV6_BEYOND_FRAME = int(DecodeStatus.IPV6_BEYOND_FRAME)
_IPV6_EXTENSION_TRUNCATED = int(DecodeStatus.IPV6_EXTENSION_TRUNCATED)
_IPV6_EXTENSION_BEYOND_IP = int(DecodeStatus.IPV6_EXTENSION_BEYOND_IP)
_IPV6_EXTENSION_BAD_LENGTH = int(DecodeStatus.IPV6_EXTENSION_BAD_LENGTH)
_IPV6_CHAIN_TOO_LONG = int(DecodeStatus.IPV6_CHAIN_TOO_LONG)


@helper
def read_ipv4(
    data: NDArray[np.uint8], lo: int, hi: int, wire_end: int, row: Any
) -> tuple[int, int, int]:
    """Read one IPv4 header (RFC 791 section 3.1) into `row`.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only data[lo:hi] belongs to this frame.
    lo, hi : int
        Byte range from the first header byte to the end of the *captured* frame.
    wire_end : int
        Where the frame ended on the wire, as an offset in `data`; beyond `hi` in a snapped frame.
        A length to reckon with, never to read up to.
    row : PACKET record
        Written in place: addresses and header fields.

    Returns
    -------
    status : DecodeStatus
    transport : int
        Offset in `data` of what follows the header, at most `hi`.
    ip_end : int
        Where the packet ends by its own length, at least `transport` and at most `wire_end`.
    """
    # Bounds: every read below is at lo + k with k < IPV4_MIN_BYTES; this line makes it safe.
    if hi - lo < at.IPV4_MIN_BYTES:
        return _IPV4_TRUNCATED, lo, lo
    version_ihl = be8(data, lo + at.IPV4_VERSION_IHL)
    if version_ihl >> 4 != 4:
        return _IPV4_BAD_VERSION, lo, lo
    header_bytes = 4 * (version_ihl & 0x0F)
    if header_bytes < at.IPV4_MIN_BYTES:
        return _IPV4_BAD_HEADER_LENGTH, lo, lo

    flags_fragment = be16(data, lo + at.IPV4_FLAGS_FRAGMENT)
    row["ip_version"] = 4
    row["src_lo"] = at.IPV4_MAPPED | be32(data, lo + at.IPV4_SRC)
    row["dst_lo"] = at.IPV4_MAPPED | be32(data, lo + at.IPV4_DST)
    row["ip_header_bytes"] = header_bytes
    row["ip_tos"] = be8(data, lo + at.IPV4_TOS)
    row["ip_id"] = be16(data, lo + at.IPV4_ID)
    row["ip_flags"] = flags_fragment >> 13
    row["frag_offset_bytes"] = (flags_fragment & at.IPV4_FRAGMENT_MASK) * 8
    row["is_fragment"] = (flags_fragment & (0x2000 | at.IPV4_FRAGMENT_MASK)) != 0
    row["ip_ttl"] = be8(data, lo + at.IPV4_TTL)
    row["proto"] = be8(data, lo + at.IPV4_PROTOCOL)

    total_bytes = be16(data, lo + at.IPV4_TOTAL_LENGTH)
    # A sender that leaves segmentation to its network card captures its own packets with 0.
    if total_bytes == 0:
        total_bytes = wire_end - lo
    row["ip_bytes"] = total_bytes
    if total_bytes < header_bytes:
        return _IPV4_BAD_TOTAL_LENGTH, lo, lo
    # What follows it on the wire, if anything, is another frame.
    if lo + total_bytes > wire_end:
        return _IPV4_BEYOND_FRAME, lo, lo
    # Bounds: nobody reads the options, but whoever reads on begins within the capture.
    if lo + header_bytes > hi:
        return _IPV4_TRUNCATED, lo, lo
    if row["proto"] == at.PROTO_AUTHENTICATION and row["is_fragment"] == 0:
        return _read_authentication(data, lo, hi, lo + total_bytes, row)
    return _OK, lo + header_bytes, lo + total_bytes


@helper
def _read_authentication(
    data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any
) -> tuple[int, int, int]:
    """Walk the authentication headers (RFC 4302) behind the IPv4 header at `lo`, already read.

    Not in fragments: only the first one shows what follows, and protocol is part of what makes
    fragments one datagram (RFC 791 section 3.2).
    """
    here = lo + int(row["ip_header_bytes"])
    kind = int(row["proto"])
    n_headers = 0
    while kind == at.PROTO_AUTHENTICATION:
        if n_headers == at.EXTENSION_MAX_HEADERS:
            return _IPV4_CHAIN_TOO_LONG, lo, lo
        if ip_end - here < at.AUTHENTICATION_MIN_BYTES:
            return _IPV4_AUTHENTICATION_BEYOND_IP, lo, lo
        # Bounds: the reads below are in the first two bytes; this line makes them safe.
        if hi - here < at.AUTHENTICATION_MIN_BYTES:
            return _IPV4_AUTHENTICATION_TRUNCATED, lo, lo
        n_bytes = 4 * (be8(data, here + at.EXTENSION_LENGTH) + 2)
        if n_bytes < at.AUTHENTICATION_MIN_BYTES:
            return _IPV4_AUTHENTICATION_BAD_LENGTH, lo, lo
        if ip_end - here < n_bytes:
            return _IPV4_AUTHENTICATION_BEYOND_IP, lo, lo
        # Bounds: the next header, or the transport header, begins within the capture.
        if hi - here < n_bytes:
            return _IPV4_AUTHENTICATION_TRUNCATED, lo, lo
        kind = be8(data, here + at.EXTENSION_NEXT_HEADER)
        here += n_bytes
        row["proto"] = kind
        row["ip_header_bytes"] = here - lo
        n_headers += 1
    return _OK, here, ip_end


@helper
def read_ipv6(
    data: NDArray[np.uint8], lo: int, hi: int, wire_end: int, row: Any
) -> tuple[int, int, int]:
    """Read one IPv6 header and its extension headers (RFC 8200) into `row`.

    Parameters and returns as `read_ipv4`; `proto` becomes that of the last header read.
    """
    # Bounds: every read below is at lo + k with k < IPV6_BYTES; this line makes it safe.
    if hi - lo < at.IPV6_BYTES:
        return _IPV6_TRUNCATED, lo, lo
    version_class = be16(data, lo + at.IPV6_VERSION_CLASS)
    if version_class >> 12 != 6:
        return _IPV6_BAD_VERSION, lo, lo

    next_header = be8(data, lo + at.IPV6_NEXT_HEADER)
    row["ip_version"] = 6
    row["src_hi"] = be64(data, lo + at.IPV6_SRC)
    row["src_lo"] = be64(data, lo + at.IPV6_SRC + 8)
    row["dst_hi"] = be64(data, lo + at.IPV6_DST)
    row["dst_lo"] = be64(data, lo + at.IPV6_DST + 8)
    row["ip_header_bytes"] = at.IPV6_BYTES
    row["ip_tos"] = (version_class >> 4) & 0xFF
    row["ip_ttl"] = be8(data, lo + at.IPV6_HOP_LIMIT)
    row["proto"] = next_header

    ip_end = lo + at.IPV6_BYTES + be16(data, lo + at.IPV6_PAYLOAD_LENGTH)
    # 0 is a jumbogram (RFC 2675: behind a hop-by-hop header), or segmentation left to the network
    # card. Elsewhere it means what it says, and Ethernet padding may follow.
    if ip_end == lo + at.IPV6_BYTES and next_header in (
        at.PROTO_HOP_BY_HOP,
        at.PROTO_TCP,
        at.PROTO_UDP,
    ):
        ip_end = wire_end
    row["ip_bytes"] = ip_end - lo
    if ip_end > wire_end:
        return _IPV6_BEYOND_FRAME, lo, lo
    return _read_extensions(data, lo, hi, ip_end, row)


@helper
def _read_extensions(
    data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any
) -> tuple[int, int, int]:
    """Walk the extension headers of the IPv6 header at `lo`, all of whose bytes were captured.

    RFC 7045 section 4 lists them, and RFC 6564 gave all but two of them one form. ESP ends the
    walk: what follows is encrypted. Mobility, HIP and Shim6 messages end with "no next header".
    """
    here = lo + at.IPV6_BYTES
    kind = int(row["proto"])
    n_headers = 0
    # Behind the header of a later fragment comes the middle of something.
    while row["frag_offset_bytes"] == 0 and kind in (
        at.PROTO_HOP_BY_HOP,
        at.PROTO_ROUTING,
        at.PROTO_FRAGMENT,
        at.PROTO_AUTHENTICATION,
        at.PROTO_DESTINATION,
        at.PROTO_MOBILITY,
        at.PROTO_HIP,
        at.PROTO_SHIM6,
    ):
        if n_headers == at.EXTENSION_MAX_HEADERS:
            return _IPV6_CHAIN_TOO_LONG, lo, lo
        if ip_end - here < at.EXTENSION_MIN_BYTES:
            return _IPV6_EXTENSION_BEYOND_IP, lo, lo
        # Bounds: the reads below are in the first eight bytes; this line makes them safe.
        if hi - here < at.EXTENSION_MIN_BYTES:
            return _IPV6_EXTENSION_TRUNCATED, lo, lo

        length = be8(data, here + at.EXTENSION_LENGTH)
        if kind == at.PROTO_FRAGMENT:
            n_bytes = at.FRAGMENT_BYTES
            offset_flags = be16(data, here + at.FRAGMENT_OFFSET_FLAGS)
            row["ip_id"] = be32(data, here + at.FRAGMENT_ID)
            row["ip_flags"] = offset_flags & 1
            row["frag_offset_bytes"] = offset_flags & at.FRAGMENT_OFFSET_MASK
            row["is_fragment"] = (offset_flags & (1 | at.FRAGMENT_OFFSET_MASK)) != 0
        elif kind == at.PROTO_AUTHENTICATION:
            n_bytes = 4 * (length + 2)
            if n_bytes < at.AUTHENTICATION_MIN_BYTES:
                return _IPV6_EXTENSION_BAD_LENGTH, lo, lo
        else:
            n_bytes = 8 * (length + 1)

        if ip_end - here < n_bytes:
            return _IPV6_EXTENSION_BEYOND_IP, lo, lo
        # Bounds: the next header, or the transport header, begins within the capture.
        if hi - here < n_bytes:
            return _IPV6_EXTENSION_TRUNCATED, lo, lo
        kind = be8(data, here + at.EXTENSION_NEXT_HEADER)
        here += n_bytes
        row["proto"] = kind
        row["ip_header_bytes"] = here - lo
        n_headers += 1
    return _OK, here, ip_end

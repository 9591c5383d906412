"""TCP headers and their options."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be32, helper

_OK = int(DecodeStatus.OK)
_TCP_TRUNCATED = int(DecodeStatus.TCP_TRUNCATED)
_TCP_TOO_SHORT = int(DecodeStatus.TCP_TOO_SHORT)
_TCP_BAD_HEADER_LENGTH = int(DecodeStatus.TCP_BAD_HEADER_LENGTH)
_TCP_HEADER_BEYOND_IP = int(DecodeStatus.TCP_HEADER_BEYOND_IP)

# Bits of PACKET.tcp_options.
HAS_MSS = 1
HAS_WINDOW_SCALE = 2
HAS_SACK_PERMITTED = 4
HAS_SACK = 8
HAS_TIMESTAMPS = 16
OPTIONS_CUT = 32
OPTIONS_MALFORMED = 64


@helper
def read_tcp(data: NDArray[np.uint8], lo: int, hi: int, ip_end: int, row: Any) -> tuple[int, int]:
    """Read a segment (RFC 9293 section 3.1); returns status and header length."""
    if ip_end - lo < at.TCP_MIN_BYTES:
        return _TCP_TOO_SHORT, 0
    # Bounds: every read below is at lo + k with k < TCP_MIN_BYTES; this line makes it safe.
    if hi - lo < at.TCP_MIN_BYTES:
        return _TCP_TRUNCATED, 0
    offset_flags = be16(data, lo + at.TCP_OFFSET_FLAGS)
    row["src_port"] = be16(data, lo + at.TCP_SRC_PORT)
    row["dst_port"] = be16(data, lo + at.TCP_DST_PORT)
    row["tcp_seq"] = be32(data, lo + at.TCP_SEQ)
    row["tcp_ack"] = be32(data, lo + at.TCP_ACK)
    row["tcp_flags"] = offset_flags & at.TCP_FLAGS_MASK
    row["tcp_window"] = be16(data, lo + at.TCP_WINDOW)

    header_bytes = 4 * (offset_flags >> 12)
    if header_bytes < at.TCP_MIN_BYTES:
        return _TCP_BAD_HEADER_LENGTH, 0
    if ip_end - lo < header_bytes:
        return _TCP_HEADER_BEYOND_IP, 0
    if header_bytes > at.TCP_MIN_BYTES:
        _read_options(data, lo + at.TCP_MIN_BYTES, hi, lo + header_bytes, row)
    return _OK, header_bytes


@helper
def _read_options(data: NDArray[np.uint8], lo: int, hi: int, list_end: int, row: Any) -> None:
    """Read the TCP options in data[lo:list_end], as far as they were captured.

    A bad list does not make a bad packet: hosts take it, so we must too, or a sender could hide by
    it. Nor does a snap length that cuts the list, as 68 bytes a frame often do. Both are marked in
    `tcp_options`, and counted.
    """
    found = 0
    here = lo
    stop = min(hi, list_end)
    # Bounds: each turn reads data[here], and `here < stop` makes that safe; the checks on the way
    # to an option's body say that it ends at or before `stop`. Each turn moves on by at least 1.
    while here < stop:
        kind = be8(data, here)
        if kind == at.OPTION_END:
            row["tcp_options"] = found
            return
        if kind == at.OPTION_NOP:
            here += 1
            continue
        if stop - here < 2:
            break
        length = be8(data, here + 1)
        if length < 2 or length > list_end - here:
            row["tcp_options"] = found | OPTIONS_MALFORMED
            return
        if length > stop - here:
            break
        found |= _read_option(data, here, kind, length, row)
        here += length

    # Left over is at most half an option. The capture's end excuses it, the header's end does not.
    if stop < list_end:
        found |= OPTIONS_CUT
    elif here < stop:
        found |= OPTIONS_MALFORMED
    row["tcp_options"] = found


@helper
def _read_option(data: NDArray[np.uint8], here: int, kind: int, length: int, row: Any) -> int:
    """Read one option, all of whose `length` bytes were captured; returns its tcp_options bit."""
    if kind == at.OPTION_MSS:
        if length != at.MSS_BYTES:
            return OPTIONS_MALFORMED
        row["tcp_mss"] = be16(data, here + 2)
        return HAS_MSS
    if kind == at.OPTION_WINDOW_SCALE:
        if length != at.WINDOW_SCALE_BYTES:
            return OPTIONS_MALFORMED
        row["tcp_window_scale"] = min(be8(data, here + 2), at.WINDOW_SCALE_MAX)
        return HAS_WINDOW_SCALE
    if kind == at.OPTION_SACK_PERMITTED:
        return HAS_SACK_PERMITTED if length == at.SACK_PERMITTED_BYTES else OPTIONS_MALFORMED
    if kind == at.OPTION_SACK:
        is_whole = length > 2 and (length - 2) % at.SACK_BLOCK_BYTES == 0
        return HAS_SACK if is_whole else OPTIONS_MALFORMED
    if kind == at.OPTION_TIMESTAMPS:
        return HAS_TIMESTAMPS if length == at.TIMESTAMPS_BYTES else OPTIONS_MALFORMED
    return 0

"""The walk over formats that are one record after another: pcap and snoop."""

import numpy as np
from numba import njit

from tapwatch.capture import layout as at
from tapwatch.capture.words import touch, u32, write_frame

_BILLION = 1_000_000_000


@njit
def walk_pcap(data, hi, state, interface, frames):  # type: ignore[no-untyped-def]
    big = state["is_big_endian"] != 0
    order = state["lengths_order"]
    header = max(np.int64(at.RECORD_HEADER_BYTES), state["record_header_bytes"])
    offset = touched = state["offset"]
    n = 0
    while n < len(frames):
        left = hi - offset
        touched = touch(data, offset, touched, hi, state)
        # Bounds: the header's bytes, 16 at least, are read only past this line, the frame's never.
        if left < header:
            state["offset"], state["need_bytes"] = offset, header
            return n, at.END if left == 0 else at.INCOMPLETE
        captured = u32(data, offset + at.RECORD_CAPTURED, big)
        wire = u32(data, offset + at.RECORD_WIRE, big)
        if order == at.LENGTHS_SWAPPED or (order == at.LENGTHS_BY_SIZE and captured > wire):
            captured, wire = wire, captured
        if captured > interface["captured_max"]:
            state["offset"] = offset
            return n, at.BAD_CAPTURED_BYTES
        start = offset + header
        if start + captured > hi:
            state["offset"], state["need_bytes"] = offset, header + captured
            return n, at.INCOMPLETE
        # A fraction of more than a second carries; 32 bits of seconds cannot leave 64 bits of ns.
        ts_ns = (
            u32(data, offset + at.RECORD_SECONDS, big) * _BILLION
            + u32(data, offset + at.RECORD_FRACTION, big) * state["fraction_ns"]
        )
        write_frame(frames[n], state, ts_ns, start, captured, wire, interface, 0)
        offset = start + captured
        n += 1
    state["offset"] = offset
    return n, at.FULL


@njit
def walk_snoop(data, hi, state, interface, frames):  # type: ignore[no-untyped-def]
    offset = touched = state["offset"]
    n = 0
    while n < len(frames):
        left = hi - offset
        touched = touch(data, offset, touched, hi, state)
        # Bounds: the header's 24 bytes are read only past this line...
        if left < at.SNOOP_RECORD_HEADER_BYTES:
            state["offset"], state["need_bytes"] = offset, at.SNOOP_RECORD_HEADER_BYTES
            return n, at.END if left == 0 else at.INCOMPLETE
        captured = u32(data, offset + at.SNOOP_CAPTURED, True)
        total = u32(data, offset + at.SNOOP_RECORD_BYTES, True)
        state["offset"] = offset
        if captured > interface["captured_max"]:
            return n, at.BAD_CAPTURED_BYTES
        # ...and the frame lies within its record.
        start = offset + at.SNOOP_RECORD_HEADER_BYTES
        if start + captured > offset + total or total > at.BLOCK_MAX_BYTES:
            return n, at.BAD_RECORD_BYTES
        if left < total:
            state["need_bytes"] = total
            return n, at.INCOMPLETE
        ts_ns = (
            u32(data, offset + at.SNOOP_SECONDS, True) * _BILLION
            + u32(data, offset + at.SNOOP_FRACTION, True) * 1000
        )
        wire = u32(data, offset + at.SNOOP_WIRE, True)
        drops = u32(data, offset + at.SNOOP_DROPS, True)
        state["recorder_dropped"] = max(state["recorder_dropped"], drops)
        write_frame(frames[n], state, ts_ns, start, captured, wire, interface, 0)
        offset += total
        n += 1
    state["offset"] = offset
    return n, at.FULL

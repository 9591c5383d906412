"""The walk over the bytes of a capture file, and the passes over the frames it finds.

Three entry points: `walk` finds frames, `deliver` numbers and counts them, `gather` copies those of
overlapping files side by side. `data` is read-only everywhere, so that each compiles once.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.capture import layout as at

_BILLION = 1_000_000_000
_AHEAD_BYTES = 8192
_LINE_BYTES = 64


@njit
def _u16(data, i, big):  # type: ignore[no-untyped-def]
    # Widen first: NumPy (NUMBA_DISABLE_JIT=1) would shift a uint8 to 0.
    a, b = np.int64(data[i]), np.int64(data[i + 1])
    return (a << 8) | b if big else (b << 8) | a


@njit
def _u32(data, i, big):  # type: ignore[no-untyped-def]
    a, b = np.int64(data[i]), np.int64(data[i + 1])
    c, d = np.int64(data[i + 2]), np.int64(data[i + 3])
    if big:
        return (a << 24) | (b << 16) | (c << 8) | d
    return (d << 24) | (c << 16) | (b << 8) | a


@njit
def _frame(row, state, ts_ns, start, captured, wire, interface, direction):  # type: ignore[no-untyped-def]
    """Write one FRAME row; `number` is `deliver`'s."""
    row["ts_ns"] = ts_ns
    row["start"] = start
    row["number"] = 0
    row["captured_bytes"] = captured
    # A frame of which more was captured than there was: the bytes that we hold are believed. A
    # wire length beyond 31 bits is a lie that must not become a negative number.
    row["wire_bytes"] = min(max(wire, captured), 0x7FFFFFFF)
    row["vlan_tci"] = -1
    row["link_type"] = interface["link_type"]
    row["interface"] = interface["id"]
    row["direction"] = direction
    state["clock_ns"] = max(state["clock_ns"], ts_ns)
    state["packets"] += 1


@njit
def _touch(data, offset, touched, hi, state):  # type: ignore[no-untyped-def]
    """Read a byte of every cache line ahead of the walk; returns how far.

    Each record says where the next one begins, so that the processor waits for memory once a
    record. These reads do not wait for each other: walking a large file takes half the time.
    """
    if offset + _AHEAD_BYTES <= touched:
        return touched
    lo, end = max(offset, touched), min(offset + 2 * _AHEAD_BYTES, hi)
    read = np.int64(0)
    for k in range(lo, end, _LINE_BYTES):
        read += data[k]
    state["touched"] = read  # kept, or the compiler would leave the reads out
    return end


@njit
def _walk_pcap(data, hi, state, interface, frames):  # type: ignore[no-untyped-def]
    big = state["is_big_endian"] != 0
    order = state["lengths_order"]
    offset = touched = state["offset"]
    n = 0
    while n < len(frames):
        left = hi - offset
        touched = _touch(data, offset, touched, hi, state)
        # Bounds: the header's 16 bytes are read only past this line, the frame's own never.
        if left < at.RECORD_HEADER_BYTES:
            state["offset"], state["need_bytes"] = offset, at.RECORD_HEADER_BYTES
            return n, at.END if left == 0 else at.INCOMPLETE
        captured = _u32(data, offset + at.RECORD_CAPTURED, big)
        wire = _u32(data, offset + at.RECORD_WIRE, big)
        if order == at.LENGTHS_SWAPPED or (order == at.LENGTHS_BY_SIZE and captured > wire):
            captured, wire = wire, captured
        if captured > interface["captured_max"]:
            state["offset"] = offset
            return n, at.BAD_CAPTURED_BYTES
        start = offset + at.RECORD_HEADER_BYTES
        if start + captured > hi:
            state["offset"], state["need_bytes"] = offset, at.RECORD_HEADER_BYTES + captured
            return n, at.INCOMPLETE
        # A fraction of more than a second carries; 32 bits of seconds cannot leave 64 bits of ns.
        ts_ns = (
            _u32(data, offset + at.RECORD_SECONDS, big) * _BILLION
            + _u32(data, offset + at.RECORD_FRACTION, big) * state["fraction_ns"]
        )
        _frame(frames[n], state, ts_ns, start, captured, wire, interface, 0)
        offset = start + captured
        n += 1
    state["offset"] = offset
    return n, at.FULL


@njit
def _binary_ns(ticks, shift):  # type: ignore[no-untyped-def]
    """floor(ticks * 10**9 / 2**shift) in 64 bits, -1 where it needs more than 63.

    The product has up to 94 bits: the two 32-bit halves of `ticks` are multiplied apart.
    """
    half = np.uint64(32)
    high = (ticks >> half) * np.uint64(_BILLION)
    low = (ticks & np.uint64(0xFFFFFFFF)) * np.uint64(_BILLION)
    high = high + (low >> half)  # below 2**62 + 2**30
    low = low & np.uint64(0xFFFFFFFF)
    if shift >= 32:
        return np.int64(high >> np.uint64(shift - 32)) if shift < 96 else np.int64(0)
    up = np.uint64(32 - shift)
    if high >> (np.uint64(63) - up) != np.uint64(0):
        return np.int64(-1)
    return np.int64((high << up) | (low >> np.uint64(shift)))


@njit
def _time_ns(high, low, interface, state):  # type: ignore[no-untyped-def]
    """Nanoseconds of a pcapng time, rounded down; saturated at TIME_MAX_NS and then counted."""
    ticks = (np.uint64(high) << np.uint64(32)) | np.uint64(low)
    ns = np.int64(0)
    if interface["binary_shift"] >= 0:
        ns = _binary_ns(ticks, interface["binary_shift"])
    elif ticks > interface["ticks_max"]:
        ns = np.int64(-1)
    elif interface["ns_per_tick"] != np.uint64(0):
        ns = np.int64(ticks * interface["ns_per_tick"])
    elif interface["ticks_per_ns"] != np.uint64(0):
        ns = np.int64(ticks // interface["ticks_per_ns"])
    top = np.int64(at.TIME_MAX_NS)
    is_early_enough = 0 <= ns <= top
    # Both terms are below 2**62 then, so that their sum fits.
    ns = (ns if is_early_enough else top) + interface["offset_ns"]
    if not is_early_enough or abs(ns) > top:
        state["saturated_times"] += 1
    return min(max(ns, -top), top)


@njit
def _direction(data, lo, hi, big):  # type: ignore[no-untyped-def]
    """Direction by the flags option among the options data[lo:hi]: 0 unknown, 1 in, 2 out."""
    while lo + 4 <= hi:
        code = _u16(data, lo, big)
        n_bytes = _u16(data, lo + 2, big)
        # Bounds: an option's value is read only where all of it lies within the block.
        if code == at.OPTION_END or lo + 4 + n_bytes > hi:
            return 0
        if code == at.OPTION_PACKET_FLAGS and n_bytes == 4:
            bits = _u32(data, lo + 4, big) & at.PACKET_FLAGS_DIRECTION
            return bits if bits < 3 else 0
        lo += 4 + ((n_bytes + 3) & ~3)
    return 0


@njit
def _packet_block(data, offset, total, kind, state, interfaces, row):  # type: ignore[no-untyped-def]
    """Read an enhanced or obsolete packet block, all of which is there; FULL or what is wrong."""
    big = state["is_big_endian"] != 0
    if total < at.PACKET_MIN_BYTES:
        return at.BAD_BLOCK_BYTES
    if kind == at.BLOCK_ENHANCED_PACKET:
        which = _u32(data, offset + at.PACKET_INTERFACE, big)
    else:
        which = _u16(data, offset + at.PACKET_INTERFACE, big)
    if which >= state["interfaces"]:
        return at.BAD_INTERFACE
    interface = interfaces[which]
    captured = _u32(data, offset + at.PACKET_CAPTURED, big)
    # Bounds: the frame lies within its own block, and so do its options.
    if captured > total - at.PACKET_MIN_BYTES or captured > interface["captured_max"]:
        return at.BAD_CAPTURED_BYTES
    high = _u32(data, offset + at.PACKET_TIME_HIGH, big)
    low = _u32(data, offset + at.PACKET_TIME_LOW, big)
    ts_ns = _time_ns(high, low, interface, state)
    wire = _u32(data, offset + at.PACKET_WIRE, big)
    start = offset + at.PACKET_DATA
    direction = _direction(data, start + ((captured + 3) & ~3), offset + total - 4, big)
    _frame(row, state, ts_ns, start, captured, wire, interface, direction)
    return at.FULL


@njit
def _simple_block(data, offset, total, state, interfaces, row):  # type: ignore[no-untyped-def]
    """Read a simple packet block: of the first interface, and without a time of its own."""
    if total < at.SIMPLE_MIN_BYTES:
        return at.BAD_BLOCK_BYTES
    if state["interfaces"] == 0:
        return at.BAD_INTERFACE
    interface = interfaces[0]
    wire = _u32(data, offset + at.SIMPLE_WIRE, state["is_big_endian"] != 0)
    captured = min(wire, total - at.SIMPLE_MIN_BYTES)
    if interface["snap_bytes"] != 0:
        captured = min(captured, interface["snap_bytes"])
    if captured > interface["captured_max"]:
        return at.BAD_CAPTURED_BYTES
    # No time is recorded: the time of the latest frame before it makes it neither late nor early.
    ts_ns = state["clock_ns"] if state["packets"] > 0 else np.int64(0)
    start = offset + at.SIMPLE_DATA
    _frame(row, state, ts_ns, start, captured, wire, interface, 0)
    return at.FULL


@njit
def _whole_block(data, offset, hi, state):  # type: ignore[no-untyped-def]
    """Type and length of the block at `offset`, and FULL where all of it is there and sound."""
    big = state["is_big_endian"] != 0
    left = hi - offset
    # Bounds: type and length are read only past this line...
    if left < at.BLOCK_MIN_BYTES:
        state["need_bytes"] = at.BLOCK_MIN_BYTES
        return 0, 0, at.END if left == 0 else at.INCOMPLETE
    kind = _u32(data, offset + at.BLOCK_TYPE, big)
    if kind == at.BLOCK_SECTION:
        return kind, 0, at.SECTION
    total = _u32(data, offset + at.BLOCK_TOTAL_BYTES, big)
    if total < at.BLOCK_MIN_BYTES or total > at.BLOCK_MAX_BYTES or total % 4 != 0:
        return kind, total, at.BAD_BLOCK_BYTES
    # ...and the rest of the block only past this one.
    if left < total:
        state["need_bytes"] = total
        return kind, total, at.INCOMPLETE
    if _u32(data, offset + total - 4, big) != total:
        return kind, total, at.BAD_BLOCK_END
    return kind, total, at.NEW_INTERFACE if kind == at.BLOCK_INTERFACE else at.FULL


@njit
def _walk_pcapng(data, hi, state, interfaces, frames):  # type: ignore[no-untyped-def]
    touched = state["offset"]
    n = 0
    while n < len(frames):
        offset = state["offset"]
        touched = _touch(data, offset, touched, hi, state)
        kind, total, status = _whole_block(data, offset, hi, state)
        is_packet = True
        if status != at.FULL:
            return n, status
        if kind in (at.BLOCK_ENHANCED_PACKET, at.BLOCK_OBSOLETE_PACKET):
            status = _packet_block(data, offset, total, kind, state, interfaces, frames[n])
        elif kind == at.BLOCK_SIMPLE_PACKET:
            status = _simple_block(data, offset, total, state, interfaces, frames[n])
        else:
            state["skipped_blocks"] += 1
            is_packet = False
        if status != at.FULL:
            return n, status
        n += is_packet
        state["offset"] = offset + total
    return n, at.FULL


@njit(nogil=True, cache=True)
def walk(
    data: NDArray[np.uint8],
    hi: int,
    states: NDArray[Any],
    interfaces: NDArray[Any],
    frames: NDArray[Any],
) -> tuple[int, int]:
    """Find the frames in data[offset:hi] of one capture file, as many as there is room for.

    Parameters
    ----------
    data : uint8 (n_bytes,), read-only
        The mapped file, or a piece of the stream that begins between two records.
    hi : int
        End of the bytes that may be read; no more than n_bytes.
    states : WALK (1,)
        Where the walk is; moved on to the first byte that was not understood.
    interfaces : INTERFACE (n,)
        Of the current section; of a pcap file the only one.
    frames : FRAME (m,)
        Written from the start; `number` is left 0.

    Returns
    -------
    n_frames : int
        Rows written.
    status : int
        One of layout.FULL, END, INCOMPLETE, SECTION, NEW_INTERFACE, BAD_*.
    """
    if states[0]["is_pcapng"]:
        n_frames, status = _walk_pcapng(data, hi, states[0], interfaces, frames)
    else:
        n_frames, status = _walk_pcap(data, hi, states[0], interfaces[0], frames)
    return n_frames, status


@njit(nogil=True, cache=True)
def deliver(
    frames: NDArray[Any], first: int, interface_numbers: NDArray[np.int32], totals: NDArray[Any]
) -> int:
    """Number and count frames[first:] in the order in which they leave the source.

    Parameters
    ----------
    frames : FRAME (n,)
        `number` is written; `interface` is translated.
    first : int
        Where to go on.
    interface_numbers : int32 (65536,)
        What `interface` shall become; -1 where that is not decided yet.
    totals : DELIVERED (1,)
        Added to.

    Returns
    -------
    int
        n, or the frame at which an undecided interface stopped the pass.
    """
    total = totals[0]
    for i in range(first, len(frames)):
        row = frames[i]
        number = interface_numbers[row["interface"]]
        if number < 0:
            return i
        row["interface"] = number
        total["packets"] += 1
        row["number"] = total["packets"]
        total["bytes"] += row["wire_bytes"]
        total["truncated_packets"] += row["captured_bytes"] < row["wire_bytes"]
        total["late_frames"] += row["ts_ns"] < total["clock_ns"]
        total["clock_ns"] = max(total["clock_ns"], row["ts_ns"])
    return len(frames)


@njit(nogil=True, cache=True)
def gather(
    data: NDArray[np.uint8],
    frames: NDArray[Any],
    targets: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Copy the bytes of every frame to its place in `out`.

    Parameters
    ----------
    data : uint8 (n_bytes,), read-only
        What the frames point into.
    frames : FRAME (n,)
        Left as they are.
    targets : int64 (n,)
        First byte in `out` of each; the caller has made sure that all fit.
    out : uint8 (m_bytes,)
        Written where the targets say.
    """
    for i in range(len(frames)):
        start, target = frames[i]["start"], targets[i]
        size = frames[i]["captured_bytes"]
        # Slices first: their indices need no wrapping, which lets the loop become a block copy.
        source, copy = data[start : start + size], out[target : target + size]
        for k in range(size):
            copy[k] = source[k]

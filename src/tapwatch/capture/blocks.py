"""The walk over pcapng: blocks of many kinds, times of any resolution, losses of the recorder."""

import numpy as np
from numba import njit

from tapwatch.capture import layout as at
from tapwatch.capture.words import touch, u16, u32, write_frame

_BILLION = 1_000_000_000


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
def _count(data, i, big):  # type: ignore[no-untyped-def]
    """Eight bytes that count lost packets, at most DROPS_MAX."""
    a, b = u32(data, i, big), u32(data, i + 4, big)
    high, low = (a, b) if big else (b, a)
    return min((min(high, np.int64(1 << 20)) << 32) | low, np.int64(at.DROPS_MAX))


@njit
def _lost(state, interface, by_packets, stated):  # type: ignore[no-untyped-def]
    """Count what the recorder lost: both kinds of statements are about the same packets."""
    top = np.int64(at.DROPS_MAX)
    before = max(interface["packet_drops"], interface["stated_drops"])
    interface["packet_drops"] = min(interface["packet_drops"] + by_packets, top)
    interface["stated_drops"] = min(max(interface["stated_drops"], stated), top)
    after = max(interface["packet_drops"], interface["stated_drops"])
    state["recorder_dropped"] = min(state["recorder_dropped"] + after - before, top)


@njit
def _packet_options(data, lo, hi, big):  # type: ignore[no-untyped-def]
    """Direction (0 unknown, 1 in, 2 out) and lost packets by the options data[lo:hi]."""
    direction, drops = np.int64(-1), np.int64(0)
    while lo + 4 <= hi:
        code = u16(data, lo, big)
        n_bytes = u16(data, lo + 2, big)
        # Bounds: an option's value is read only where all of it lies within the block.
        if code == at.OPTION_END or lo + 4 + n_bytes > hi:
            break
        if code == at.OPTION_PACKET_FLAGS and n_bytes == 4 and direction < 0:
            direction = u32(data, lo + 4, big) & at.PACKET_FLAGS_DIRECTION
        elif code == at.OPTION_PACKET_DROPS and n_bytes == 8:
            drops = _count(data, lo + 4, big)
        lo += 4 + ((n_bytes + 3) & ~3)
    return direction if 0 <= direction < 3 else np.int64(0), drops


@njit
def _statistics_block(data, offset, total, state, interfaces):  # type: ignore[no-untyped-def]
    """Read what the recorder says it lost on an interface; False where the block says nothing."""
    big = state["is_big_endian"] != 0
    # Bounds: the interface's number is read only past this line.
    if total < at.STATISTICS_MIN_BYTES:
        return False
    which = u32(data, offset + at.STATISTICS_INTERFACE, big)
    if which >= state["interfaces"]:
        return False
    drops = np.int64(0)
    lo, hi = offset + at.STATISTICS_OPTIONS, offset + total - 4
    while lo + 4 <= hi:
        code = u16(data, lo, big)
        n_bytes = u16(data, lo + 2, big)
        # Bounds: as in `_packet_options`.
        if code == at.OPTION_END or lo + 4 + n_bytes > hi:
            break
        is_drops = code in (at.OPTION_STATISTICS_IF_DROPS, at.OPTION_STATISTICS_OS_DROPS)
        if is_drops and n_bytes == 8:
            drops = min(drops + _count(data, lo + 4, big), np.int64(at.DROPS_MAX))
        lo += 4 + ((n_bytes + 3) & ~3)
    _lost(state, interfaces[which], np.int64(0), drops)
    return True


@njit
def _packet_block(data, offset, total, kind, state, interfaces, row):  # type: ignore[no-untyped-def]
    """Read an enhanced or obsolete packet block, all of which is there; FULL or what is wrong."""
    big = state["is_big_endian"] != 0
    if total < at.PACKET_MIN_BYTES:
        return at.BAD_BLOCK_BYTES
    lost = np.int64(0)
    if kind == at.BLOCK_ENHANCED_PACKET:
        which = u32(data, offset + at.PACKET_INTERFACE, big)
    else:
        which = u16(data, offset + at.PACKET_INTERFACE, big)
        lost = u16(data, offset + at.PACKET_DROPS, big)
        lost = np.int64(0) if lost == at.PACKET_DROPS_UNKNOWN else lost
    if which >= state["interfaces"]:
        return at.BAD_INTERFACE
    interface = interfaces[which]
    captured = u32(data, offset + at.PACKET_CAPTURED, big)
    # Bounds: the frame lies within its own block, and so do its options.
    if captured > total - at.PACKET_MIN_BYTES or captured > interface["captured_max"]:
        return at.BAD_CAPTURED_BYTES
    high = u32(data, offset + at.PACKET_TIME_HIGH, big)
    low = u32(data, offset + at.PACKET_TIME_LOW, big)
    ts_ns = _time_ns(high, low, interface, state)
    wire = u32(data, offset + at.PACKET_WIRE, big)
    start = offset + at.PACKET_DATA
    options = start + ((captured + 3) & ~3)
    direction, more_lost = _packet_options(data, options, offset + total - 4, big)
    if lost + more_lost > 0:
        _lost(state, interface, lost + more_lost, np.int64(0))
    write_frame(row, state, ts_ns, start, captured, wire, interface, direction)
    return at.FULL


@njit
def _simple_block(data, offset, total, state, interfaces, row):  # type: ignore[no-untyped-def]
    """Read a simple packet block: of the first interface, and without a time of its own."""
    if total < at.SIMPLE_MIN_BYTES:
        return at.BAD_BLOCK_BYTES
    if state["interfaces"] == 0:
        return at.BAD_INTERFACE
    interface = interfaces[0]
    wire = u32(data, offset + at.SIMPLE_WIRE, state["is_big_endian"] != 0)
    captured = min(wire, total - at.SIMPLE_MIN_BYTES)
    if interface["snap_bytes"] != 0:
        captured = min(captured, interface["snap_bytes"])
    if captured > interface["captured_max"]:
        return at.BAD_CAPTURED_BYTES
    # No time is recorded: the time of the latest frame before it makes it neither late nor early.
    ts_ns = state["clock_ns"] if state["packets"] > 0 else np.int64(0)
    start = offset + at.SIMPLE_DATA
    write_frame(row, state, ts_ns, start, captured, wire, interface, 0)
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
    kind = u32(data, offset + at.BLOCK_TYPE, big)
    if kind == at.BLOCK_SECTION:
        return kind, 0, at.SECTION
    total = u32(data, offset + at.BLOCK_TOTAL_BYTES, big)
    if total < at.BLOCK_MIN_BYTES or total > at.BLOCK_MAX_BYTES:
        return kind, total, at.BAD_BLOCK_BYTES
    # Blocks begin at multiples of 32 bits, whatever writers that forget the padding say.
    total = (total + 3) & ~3
    # ...and the rest of the block only past this one.
    if left < total:
        state["need_bytes"] = total
        return kind, total, at.INCOMPLETE
    if (u32(data, offset + total - 4, big) + 3) & ~3 != total:
        return kind, total, at.BAD_BLOCK_END
    return kind, total, at.NEW_INTERFACE if kind == at.BLOCK_INTERFACE else at.FULL


@njit
def walk_pcapng(data, hi, state, interfaces, frames):  # type: ignore[no-untyped-def]
    touched = state["offset"]
    n = 0
    while n < len(frames):
        offset = state["offset"]
        touched = touch(data, offset, touched, hi, state)
        kind, total, status = _whole_block(data, offset, hi, state)
        is_packet = True
        if status != at.FULL:
            return n, status
        if kind in (at.BLOCK_ENHANCED_PACKET, at.BLOCK_OBSOLETE_PACKET):
            status = _packet_block(data, offset, total, kind, state, interfaces, frames[n])
        elif kind == at.BLOCK_SIMPLE_PACKET:
            status = _simple_block(data, offset, total, state, interfaces, frames[n])
        else:
            is_packet = False
            if kind != at.BLOCK_STATISTICS or not _statistics_block(
                data, offset, total, state, interfaces
            ):
                state["skipped_blocks"] += 1
        if status != at.FULL:
            return n, status
        n += is_packet
        state["offset"] = offset + total
    return n, at.FULL

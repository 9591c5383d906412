"""What the walks over all formats share: numbers in a byte order, FRAME rows, reading ahead."""

import numpy as np
from numba import njit

_AHEAD_BYTES = 8192
_LINE_BYTES = 64


@njit
def u16(data, i, big):  # type: ignore[no-untyped-def]
    # Widen first: NumPy (NUMBA_DISABLE_JIT=1) would shift a uint8 to 0.
    a, b = np.int64(data[i]), np.int64(data[i + 1])
    return (a << 8) | b if big else (b << 8) | a


@njit
def u32(data, i, big):  # type: ignore[no-untyped-def]
    a, b = np.int64(data[i]), np.int64(data[i + 1])
    c, d = np.int64(data[i + 2]), np.int64(data[i + 3])
    if big:
        return (a << 24) | (b << 16) | (c << 8) | d
    return (d << 24) | (c << 16) | (b << 8) | a


@njit
def write_frame(row, state, ts_ns, start, captured, wire, interface, direction):  # type: ignore[no-untyped-def]
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
def touch(data, offset, touched, hi, state):  # type: ignore[no-untyped-def]
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

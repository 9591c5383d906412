"""The walk over the bytes of a capture file, and the passes over the frames it finds.

Three entry points: `walk` finds frames, `deliver` numbers and counts them, `gather` copies those of
overlapping files side by side. `data` is read-only everywhere, so that each compiles once.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.capture import layout as at
from tapwatch.capture.blocks import walk_pcapng
from tapwatch.capture.records import walk_pcap, walk_snoop


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
        A piece of the file that begins between two records.
    hi : int
        End of the bytes that may be read; no more than n_bytes.
    states : WALK (1,)
        Where the walk is; moved on to the first byte that was not understood.
    interfaces : INTERFACE (n,)
        Of the current section; of pcap and snoop files the only one. Counts of losses are added.
    frames : FRAME (m,)
        Written from the start; `number` is left 0.

    Returns
    -------
    n_frames : int
        Rows written.
    status : int
        One of layout.FULL, END, INCOMPLETE, SECTION, NEW_INTERFACE, BAD_*.
    """
    if states[0]["format"] == at.PCAPNG:
        n_frames, status = walk_pcapng(data, hi, states[0], interfaces, frames)
    elif states[0]["format"] == at.SNOOP:
        n_frames, status = walk_snoop(data, hi, states[0], interfaces[0], frames)
    else:
        n_frames, status = walk_pcap(data, hi, states[0], interfaces[0], frames)
    return n_frames, status


@njit(nogil=True, cache=True)
def deliver(
    frames: NDArray[Any], first: int, interface_numbers: NDArray[np.int32], totals: NDArray[Any]
) -> int:
    """Number and count frames[first:] in the order in which they leave the source.

    Parameters
    ----------
    frames : FRAME (n,)
        `number` is written: on entry it is how many frames before it were filtered out.
        `interface` is translated.
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
        total["packets"] += 1 + row["number"]
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

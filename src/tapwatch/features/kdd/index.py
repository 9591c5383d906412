"""A bounded table of keys, each with a number of its own, that knows which was unused longest.

Open addressing; a number is a row of whatever arrays the owner keeps. Every operation takes
constant time, however hostile the keys are to one another, as long as the seed is not known.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import mix

NODE: Final = np.dtype(
    [
        ("hi", "<u8"),
        ("lo", "<u8"),
        ("home", "<i4"),  # slot that its hash asks for
        ("older", "<i4"),  # 1 + node used last before it, 0 for none; the next of the free ones
        ("newer", "<i4"),
        ("kind", "<i4"),
    ],
    align=True,
)

#: Of `ends`: 1 + node of three lists, how many nodes were ever used, and the seed of the hash.
FREE, USED, OLDEST, LATEST, SEED = range(5)


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that only compiled functions call, and that creates no array.

    Its caller holds the arrays, so it needs no reference counts, which are atomic and would cost
    more than its work.
    """
    compiled: Any = njit(_nrt=False)  # type: ignore[call-overload]
    return compiled(function)


@helper
def wide(x):  # type: ignore[no-untyped-def]
    """Widen any integer to 64 bits with sign, in machine code as in NumPy."""
    return int(np.int64(x))


class Index(NamedTuple):
    """The arrays of one table."""

    nodes: NDArray[Any]  # NODE (capacity,)
    slots: NDArray[np.int32]  # (a power of two, at least twice the capacity,) 1 + node; 0 is empty
    ends: NDArray[np.int64]  # (5,)


def no_index(capacity: int, seed: int) -> Index:
    """Make an empty table."""
    slots = np.zeros(1 << (2 * capacity - 1).bit_length(), np.int32)
    return Index(np.zeros(capacity, NODE), slots, np.array([0, 0, 0, 0, seed]))


@helper
def home_of(index, hi, lo, kind):  # type: ignore[no-untyped-def]
    """Slot that a key asks for; `kind` is not negative."""
    mixed = mix(mix(mix(hi ^ np.uint64(index.ends[SEED])) ^ lo) ^ np.uint64(kind))
    return wide(mixed & np.uint64(len(index.slots) - 1))


@helper
def find(index, home, hi, lo, kind):  # type: ignore[no-untyped-def]
    """Node of a key, -1 where it is not there."""
    mask = len(index.slots) - 1
    at = home
    # At most half of the slots are used, so an empty one ends the search.
    while index.slots[at] != 0:
        node = index.slots[at] - 1
        known = index.nodes[node]
        if known["lo"] == lo and known["hi"] == hi and known["kind"] == kind:
            return wide(node)
        at = (at + 1) & mask
    return -1


@helper
def is_full(index):  # type: ignore[no-untyped-def]
    """Whether no node is free."""
    return index.ends[FREE] == 0 and index.ends[USED] == len(index.nodes)


@helper
def add(index, home, hi, lo, kind):  # type: ignore[no-untyped-def]
    """Take a node for a key that is not there; the table must not be full."""
    ends = index.ends
    if ends[FREE] != 0:
        node = wide(ends[FREE]) - 1
        ends[FREE] = index.nodes[node]["older"]
    else:
        node = wide(ends[USED])
        ends[USED] += 1
    row = index.nodes[node]
    row["hi"] = hi
    row["lo"] = lo
    row["kind"] = kind
    row["home"] = home
    mask = len(index.slots) - 1
    at = home
    while index.slots[at] != 0:
        at = (at + 1) & mask
    index.slots[at] = node + 1
    _append(index, node)
    return node


@helper
def touch(index, node):  # type: ignore[no-untyped-def]
    """Make a node the one that was used last."""
    if index.ends[LATEST] != node + 1:
        _unlink(index, node)
        _append(index, node)


@helper
def remove(index, node):  # type: ignore[no-untyped-def]
    """Give a node back."""
    mask = len(index.slots) - 1
    hole = wide(index.nodes[node]["home"])
    while index.slots[hole] != node + 1:
        hole = (hole + 1) & mask
    # Keys behind the hole move into it, unless they would come before the slot they ask for.
    at = (hole + 1) & mask
    while index.slots[at] != 0:
        home = wide(index.nodes[index.slots[at] - 1]["home"])
        if ((at - home) & mask) >= ((at - hole) & mask):
            index.slots[hole] = index.slots[at]
            hole = at
        at = (at + 1) & mask
    index.slots[hole] = 0
    _unlink(index, node)
    index.nodes[node]["older"] = index.ends[FREE]
    index.ends[FREE] = node + 1


@helper
def _append(index, node):  # type: ignore[no-untyped-def]
    ends = index.ends
    latest = wide(ends[LATEST])
    index.nodes[node]["older"] = latest
    index.nodes[node]["newer"] = 0
    if latest != 0:
        index.nodes[latest - 1]["newer"] = node + 1
    else:
        ends[OLDEST] = node + 1
    ends[LATEST] = node + 1


@helper
def _unlink(index, node):  # type: ignore[no-untyped-def]
    ends = index.ends
    older, newer = wide(index.nodes[node]["older"]), wide(index.nodes[node]["newer"])
    if older != 0:
        index.nodes[older - 1]["newer"] = newer
    else:
        ends[OLDEST] = newer
    if newer != 0:
        index.nodes[newer - 1]["older"] = older
    else:
        ends[LATEST] = older

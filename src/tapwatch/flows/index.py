"""Where a flow is: the open-addressed index, the lists by timeout class, and the free rows.

All work is constant time; nothing is allocated, and memory that was never used is never touched:
the first rows of all buckets lie side by side, so that a quiet network needs only the low end.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from tapwatch.flows.hashing import wide
from tapwatch.flows.layout import BUCKET_SHIFT, N_BUCKETS, NONE, Table

_TAG_MASK: Final = np.uint64(0xFFFF_FFFF)

#: Where a bucket's row lies among those of all buckets: its 6 bits reversed, so that neighbours in
#: memory belong to the same worker (bucket modulo workers) and do not fight over a cache line.
_PLACES: Final = np.array([int(f"{bucket:06b}"[::-1], 2) for bucket in range(N_BUCKETS)], np.int64)


@njit
def bucket_of(flow_hash: Any) -> int:
    """Give the bucket: the top 6 bits."""
    return int(wide(flow_hash >> BUCKET_SHIFT))


@njit
def tag_of(flow_hash: Any) -> int:
    """Give the low 32 bits; their low end is the wanted place in the bucket's index."""
    return int(wide(flow_hash & _TAG_MASK))


@njit
def match(row: Any, packet: Any, key: Any) -> int:
    """Compare a flow's key with a packet's: 0 forward, 1 backward, -1 another flow.

    Where both endpoints are equal every packet is forward.
    """
    if (
        row["proto"] != key["proto"]
        or row["ip_version"] != packet["ip_version"]
        or row["vlan"] != key["vlan"]
        or row["tunnel_id"] != packet["tunnel_id"]
    ):
        return -1
    if (
        row["src_lo"] == packet["src_lo"]
        and row["dst_lo"] == packet["dst_lo"]
        and row["src_port"] == key["src_port"]
        and row["dst_port"] == key["dst_port"]
        and row["src_hi"] == packet["src_hi"]
        and row["dst_hi"] == packet["dst_hi"]
    ):
        return 0
    if (
        key["is_one_way"] == 0
        and row["src_lo"] == packet["dst_lo"]
        and row["dst_lo"] == packet["src_lo"]
        and row["src_port"] == key["dst_port"]
        and row["dst_port"] == key["src_port"]
        and row["src_hi"] == packet["dst_hi"]
        and row["dst_hi"] == packet["src_hi"]
    ):
        return 1
    return -1


@njit(forceinline=True)  # called once, for every packet, with all arrays
def find(table: Table, packet: Any, key: Any) -> tuple[int, int]:
    """Give the row number of the packet's flow and its direction, or (-1, 0)."""
    n_slots = table.parameters[0]["slots_a_bucket"]
    base = bucket_of(key["hash"]) * n_slots
    tag = tag_of(key["hash"])
    place = tag & (n_slots - 1)
    # Ends: at most half of a bucket's slots are in use.
    while True:
        slot = table.slots[base + place]
        number = wide(slot["row"]) - 1
        if number < 0:
            return -1, 0
        if wide(slot["tag"]) == tag:
            direction = match(table.rows[number], packet, key)
            if direction >= 0:
                return number, direction
        place = (place + 1) & (n_slots - 1)


@njit
def insert(table: Table, bucket: int, number: int) -> None:
    """Enter a row, whose node has the tag, into the index."""
    n_slots = table.parameters[0]["slots_a_bucket"]
    base = bucket * n_slots
    tag = wide(table.nodes[number]["tag"])
    place = tag & (n_slots - 1)
    while table.slots[base + place]["row"] != 0:
        place = (place + 1) & (n_slots - 1)
    slot = table.slots[base + place]
    slot["tag"] = tag
    slot["row"] = number + 1


@njit
def remove(table: Table, bucket: int, number: int) -> None:
    """Take a row out of the index; what was pushed behind it moves up, so no gravestones remain."""
    n_slots = table.parameters[0]["slots_a_bucket"]
    mask = n_slots - 1
    base = bucket * n_slots
    hole = wide(table.nodes[number]["tag"]) & mask
    while table.slots[base + hole]["row"] != number + 1:
        hole = (hole + 1) & mask
    place = hole
    while True:
        place = (place + 1) & mask
        slot = table.slots[base + place]
        if slot["row"] == 0:
            break
        # It may fill the hole only if its wanted place is not between the hole and itself.
        wanted = wide(slot["tag"]) & mask
        if ((place - wanted) & mask) >= ((place - hole) & mask):
            empty = table.slots[base + hole]
            empty["tag"] = slot["tag"]
            empty["row"] = slot["row"]
            hole = place
    empty = table.slots[base + hole]
    empty["tag"] = 0
    empty["row"] = 0


@njit
def take_row(table: Table, bucket: int) -> int:
    """Give a free row; the bucket must not be full."""
    b = table.buckets[bucket]
    number = wide(b["free"])
    if number != NONE:
        b["free"] = table.nodes[number]["next"]
    else:
        number = wide(b["used"]) * N_BUCKETS + _PLACES[bucket]
        b["used"] += 1
    b["open"] += 1
    return int(number)


@njit
def give_row(table: Table, bucket: int, number: int) -> None:
    """Give a row back, out of the index and out of its list."""
    remove(table, bucket, number)
    unlink(table, bucket, number)
    b = table.buckets[bucket]
    table.nodes[number]["next"] = b["free"]
    b["free"] = number
    b["open"] -= 1


@njit
def append(table: Table, bucket: int, number: int, which: int) -> None:
    """Put a row that is in no list at the end of one: it has just been touched."""
    b = table.buckets[bucket]
    node = table.nodes[number]
    tail = wide(b["tail"][which])
    node["next"] = NONE
    node["prev"] = tail
    node["list"] = which
    if tail == NONE:
        b["head"][which] = number
    else:
        table.nodes[tail]["next"] = number
    b["tail"][which] = number


@njit
def unlink(table: Table, bucket: int, number: int) -> None:
    """Take a row out of the list it is in."""
    b = table.buckets[bucket]
    node = table.nodes[number]
    which = wide(node["list"])
    before = wide(node["prev"])
    after = wide(node["next"])
    if before == NONE:
        b["head"][which] = after
    else:
        table.nodes[before]["next"] = after
    if after == NONE:
        b["tail"][which] = before
    else:
        table.nodes[after]["prev"] = before


@njit
def touch(table: Table, bucket: int, number: int, which: int, ordinal: int) -> None:
    """Move a row to the end of the list of timeout class `which`."""
    node = table.nodes[number]
    node["touch"] = ordinal
    if wide(table.buckets[bucket]["tail"][which]) == number:
        return
    unlink(table, bucket, number)
    append(table, bucket, number, which)

"""Which record is whose: an open-addressed index over the records of one pane.

Where all records of a pane are taken, a clock makes room (Corbató 1968): its hand goes round the
records, spares those seen again since it passed, and takes the first other one. So hosts that go on
stay, and a flood of addresses seen once pushes out its own.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from tapwatch.features.arithmetic import mix
from tapwatch.features.host.layout import HOST_WORDS, N_SETS
from tapwatch.features.host.sketch import SET_WORDS, inner, part

_TAG_MASK: Final = np.uint64(0xFFFF_FFFF)
_HIGH: Final = np.uint64(32)
#: Where fewer than one slot in so many is used, they are sought to be emptied.
_SPARSE: Final = 64


@inner
def address_hash(hi: Any, lo: Any, version: Any, seed: Any) -> Any:
    """Hash an address to 64 bits."""
    return mix(mix(hi ^ seed) ^ lo) ^ np.uint64(version)


@inner
def tag_of(hashed: Any) -> int:
    """Give the low 32 bits: their low end is the wanted place in the index."""
    return int(np.int64(hashed & _TAG_MASK))


@part
def host_of(packet, way, keep, now_ns, memory, task):  # type: ignore[no-untyped-def]
    """Give the row of a packet's sender (way 0) or receiver, a fresh one where it has none.

    Parameters
    ----------
    packet : PACKET record
    way : int
    keep : int
        A row that must not be evicted, or -1.
    now_ns : int
        House time.
    memory : Memory
    task : TASK record
    """
    hi, lo = packet["src_hi"], packet["src_lo"]
    if way == 1:
        hi, lo = packet["dst_hi"], packet["dst_lo"]
    version = packet["ip_version"]
    tag = tag_of(address_hash(hi, lo, version, task["seed"]))
    mask = len(memory.slots) - 1
    place = tag & mask
    # Ends: at most half of the slots are in use.
    while True:
        slot = memory.slots[place]
        row = np.int64(slot["row"]) - 1
        if row < 0:
            break
        if np.int64(slot["tag"]) == tag:
            # Of one address the version decides the tag, so it needs no comparison.
            host = memory.hosts[row]
            if host["lo"] == lo and host["hi"] == hi:
                host["is_recent"] = 1
                return row
        place = (place + 1) & mask

    if task["n_used"] < task["n_rows"]:
        row = task["base"] + task["n_used"]
        task["n_used"] += 1
    else:
        row = _evict(keep, now_ns, memory, task)
        # What was behind the hole may have moved up: the free place is to be found again.
        place = tag & mask
        while memory.slots[place]["row"] != 0:
            place = (place + 1) & mask
    memory.slots[place]["tag"] = tag
    memory.slots[place]["row"] = row + 1
    for word in range(HOST_WORDS):
        memory.words[row, word] = 0
    host = memory.hosts[row]
    host["hi"] = hi
    host["lo"] = lo
    host["ip_version"] = version
    host["created_ns"] = now_ns
    return row


@njit(nogil=True, cache=True)
def clear_slots(memory, tasks):  # type: ignore[no-untyped-def]
    """Empty the index of the pane.

    Parameters
    ----------
    memory : Memory
    tasks : TASK (1,)
        `n_used` rows from `base` on are in the index.
    """
    task, slots = tasks[0], memory.slots
    if task["n_used"] > len(slots) // _SPARSE:
        for place in range(len(slots)):
            slots[place]["row"] = 0
        return
    mask = len(slots) - 1
    for row in range(task["base"], task["base"] + task["n_used"]):
        host = memory.hosts[row]
        hashed = address_hash(host["hi"], host["lo"], host["ip_version"], task["seed"])
        place = tag_of(hashed) & mask
        # Ends: the row is there. What was before it may be empty already.
        while slots[place]["row"] != row + 1:
            place = (place + 1) & mask
        slots[place]["row"] = 0


@inner
def _evict(keep, now_ns, memory, task):  # type: ignore[no-untyped-def]
    """Put the record of a host into the output, and give its row."""
    row = _victim(memory.hosts, keep, task)
    memory.hosts[row]["evicted_ns"] = now_ns
    place = task["n_out"]
    copy_record(
        memory.words[row], memory.sets[row], memory.out_words[place], memory.out_sets[place]
    )
    task["n_out"] += 1
    task["evicted"] += 1
    _remove(memory.hosts, memory.slots, row, task["seed"])
    return row


@inner
def _victim(hosts, keep, task):  # type: ignore[no-untyped-def]
    # Ends: a pane has two rows or more, and a row that was spared once is not again this round.
    while True:
        row = task["base"] + task["hand"]
        task["hand"] += 1
        if task["hand"] == task["n_rows"]:
            task["hand"] = 0
        if row == keep:
            continue
        if hosts[row]["is_recent"] == 0:
            return row
        hosts[row]["is_recent"] = 0


@inner
def copy_record(words, sets, to_words, to_sets):  # type: ignore[no-untyped-def]
    """Copy a record with its sets."""
    for word in range(HOST_WORDS):
        to_words[word] = words[word]
    for which in range(N_SETS):
        for word in range(SET_WORDS):
            to_sets[which, word] = sets[which, word]


@inner
def _remove(hosts, slots, row, seed):  # type: ignore[no-untyped-def]
    """Take a row out of the index; what was pushed behind it moves up: no gravestones remain."""
    host = hosts[row]
    mask = len(slots) - 1
    hole = tag_of(address_hash(host["hi"], host["lo"], host["ip_version"], seed)) & mask
    while slots[hole]["row"] != row + 1:
        hole = (hole + 1) & mask
    place = (hole + 1) & mask
    while slots[place]["row"] != 0:
        tag = np.int64(slots[place]["tag"])
        # An entry may move up to the hole unless the place it wants lies behind the hole.
        if (place - (tag & mask)) & mask >= (place - hole) & mask:
            slots[hole]["tag"] = tag
            slots[hole]["row"] = slots[place]["row"]
            hole = place
        place = (place + 1) & mask
    slots[hole]["row"] = 0


@inner
def want(wants, row, which, hashed, task):  # type: ignore[no-untyped-def]
    """Note that the high 32 bits of a hash are to go into the set `which` of a row."""
    k = task["n_wants"]
    wants[k, 0] = row
    wants[k, 1] = which
    wants[k, 2] = np.int64(hashed >> _HIGH)
    task["n_wants"] = k + 1

"""Who has been seen: a bounded table that gives each entity a row of its own to be remembered in.

Sets of eight places; in a full set the entity that was met longest ago, counted in entities and not
in time, gives way. A row is used for the first time only when no place of its set is empty without
it, so that memory is touched as it is needed.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import mix

#: An entity is one end, or two. What an end does not need is 0.
KEY: Final = np.dtype(
    [
        ("a_hi", "<u8"),
        ("a_lo", "<u8"),
        ("b_hi", "<u8"),
        ("b_lo", "<u8"),
        ("a_port", "<u2"),
        ("b_port", "<u2"),
        ("ip_version", "u1"),  # keeps MAC, IPv4 and IPv6 addresses of the same 128 bits apart
    ],
    align=True,
)

#: A place of a set: which row it lends, 1-based, 0 where it is empty.
PLACE: Final = np.dtype([("met", "<i8"), ("tag", "<u4"), ("row", "<u4")], align=True)

COUNTS: Final = np.dtype([("met", "<i8"), ("rows", "<i8"), ("evicted", "<i8")])

N_WAYS: Final = 8

#: Memory of the table itself, beside what its owner remembers of an entity.
ENTITY_BYTES: Final = KEY.itemsize + PLACE.itemsize

_LOW: Final = np.uint64(0xFFFF_FFFF)
_HIGH: Final = np.uint64(32)


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that only compiled functions call, and that creates no array.

    Its caller holds the arrays, so it needs no reference counts, which are atomic and would cost
    more than its work.
    """
    return njit(_nrt=False)(function)  # type: ignore[call-overload]


class Entities(NamedTuple):
    """The arrays of one table."""

    places: NDArray[Any]  # PLACE (sets, ways)
    keys: NDArray[Any]  # KEY (rows,)
    counts: NDArray[Any]  # COUNTS (1,)


def no_entities(capacity: int) -> Entities:
    """Make a table of `capacity` rows, a multiple of `N_WAYS`."""
    places = np.zeros((capacity // N_WAYS, N_WAYS), PLACE)
    return Entities(places, np.zeros(capacity, KEY), np.zeros(1, COUNTS))


@helper
def address_hash(hi, lo, seed):  # type: ignore[no-untyped-def]
    """Hash 128 bits; `mix` it again with whatever else a key has."""
    return mix(mix(hi ^ seed) ^ lo)


@helper
def pair_hash(a, b):  # type: ignore[no-untyped-def]
    """Hash two ends so that both orders are equal.

    `a & b` and `a ^ b` determine the sum of a and b, so nothing but the order is lost.
    """
    return mix(mix(a & b) ^ (a ^ b))


@helper
def is_forward(known, key):  # type: ignore[no-untyped-def]
    """Compare two keys as they stand."""
    return (
        known["a_lo"] == key["a_lo"]
        and known["b_lo"] == key["b_lo"]
        and known["a_hi"] == key["a_hi"]
        and known["b_hi"] == key["b_hi"]
        and known["a_port"] == key["a_port"]
        and known["b_port"] == key["b_port"]
        and known["ip_version"] == key["ip_version"]
    )


@helper
def _is_backward(known, key):  # type: ignore[no-untyped-def]
    return (
        known["a_lo"] == key["b_lo"]
        and known["b_lo"] == key["a_lo"]
        and known["a_hi"] == key["b_hi"]
        and known["b_hi"] == key["a_hi"]
        and known["a_port"] == key["b_port"]
        and known["b_port"] == key["a_port"]
        and known["ip_version"] == key["ip_version"]
    )


@helper
def meet(entities, key, key_hash, either_way):  # type: ignore[no-untyped-def]
    """Find the row of an entity, or lend it one.

    Parameters
    ----------
    entities : Entities
        Updated: the entity was met last.
    key : KEY record
    key_hash : uint64
        Of the key; where `either_way`, the same for both orders of its ends.
    either_way : bool
        Whether a key with its ends swapped is the same entity.

    Returns
    -------
    row : int64
    direction : int64
        1 where the key that is remembered has its ends the other way round, else 0.
    is_new : bool
        The row remembers another entity, or nothing: it has to be written anew.
    """
    places, keys, counts = entities
    count = counts[0]
    count["met"] += 1
    tag = np.uint32(key_hash >> _HIGH)
    # 32 bits of the hash times the number of sets, 24 bits: the top of the product is even.
    home = (np.int64(key_hash & _LOW) * np.int64(len(places))) >> 32
    victim = places[home, 0]
    for way in range(N_WAYS):
        place = places[home, way]
        if place["tag"] == tag and place["row"] != 0:
            row = np.int64(place["row"]) - 1
            if is_forward(keys[row], key):
                place["met"] = count["met"]
                return row, 0, False
            if either_way and _is_backward(keys[row], key):
                place["met"] = count["met"]
                return row, 1, False
        # An empty place was met never, at 0.
        if place["met"] < victim["met"]:
            victim = place
    if victim["row"] == 0:
        count["rows"] += 1
        victim["row"] = count["rows"]
    else:
        count["evicted"] += 1
    victim["tag"] = tag
    victim["met"] = count["met"]
    row = np.int64(victim["row"]) - 1
    _write_key(keys[row], key)
    return row, 0, True


@helper
def _write_key(known, key):  # type: ignore[no-untyped-def]
    known["a_hi"] = key["a_hi"]
    known["a_lo"] = key["a_lo"]
    known["b_hi"] = key["b_hi"]
    known["b_lo"] = key["b_lo"]
    known["a_port"] = key["a_port"]
    known["b_port"] = key["b_port"]
    known["ip_version"] = key["ip_version"]

"""How many different things there were: exact up to 32 of them, beyond that estimated.

A set is 32 words of 32 bits. Up to 32 items it holds their hashes; the 33rd turns it into 128
registers of 8 bits, a HyperLogLog (Flajolet, Fusy, Gandouet and Meunier 2007). Which items came,
not in which order or how often, decides what it is, so sets merge exactly. The estimate is the
improved raw estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
(2017), algorithm 6, which needs no correction for small or large numbers: its standard error is
1.04 / sqrt(128) = 9.2 %.
"""

import math
from typing import Any, Final

import numpy as np
from numba import njit

#: Words of 32 bits a set has, and the number of items up to which it is exact.
SET_WORDS: Final = 32
#: Stands where the number of items would, when they are no more held one by one.
IS_SKETCH: Final = 255

_N_REGISTERS: Final = 4 * SET_WORDS
_INDEX_BITS: Final = 7
#: Bits of a hash behind the register's index; a rank is at most one more.
_RANK_BITS: Final = 32 - _INDEX_BITS
_ALPHA: Final = 1.0 / (2.0 * math.log(2.0))
_MOST: Final = 1 << 32
_LEAST: Final = _ALPHA * _N_REGISTERS * _N_REGISTERS / _MOST


def inner(function: Any) -> Any:
    """Compile a function that only compiled functions call, and that creates no array.

    It needs no reference counts: its caller holds the arrays.
    """
    compiled: Any = njit(_nrt=False)  # type: ignore[call-overload]
    return compiled(function)


def part(function: Any) -> Any:
    """Compile a function that is called at one place, as if it were written there.

    Handing over a `Memory` is handing over all its arrays one by one.
    """
    compiled: Any = njit(_nrt=False, forceinline=True)  # type: ignore[call-overload]
    return compiled(function)


@inner
def insert(words, n_items, item, spare):  # type: ignore[no-untyped-def]
    """Put a hash of 32 bits into a set, and give its new number of items.

    Parameters
    ----------
    words : uint32 (32,)
        The set; what stands behind its items means nothing.
    n_items : int
        0 to 32, or IS_SKETCH.
    item : int
        0 to 2**32 - 1, evenly spread.
    spare : uint32 (32,)
        Scratch.
    """
    if n_items != IS_SKETCH:
        for k in range(n_items):
            if np.int64(words[k]) == item:
                return n_items
        if n_items < SET_WORDS:
            words[n_items] = item
            return n_items + 1
        become_sketch(words, n_items, spare)
    _raise_register(words, item & (_N_REGISTERS - 1), _rank(item >> _INDEX_BITS))
    return IS_SKETCH


@inner
def become_sketch(words, n_items, spare):  # type: ignore[no-untyped-def]
    """Turn a set of items into registers."""
    for k in range(SET_WORDS):
        spare[k] = words[k]
        words[k] = 0
    for k in range(n_items):
        item = np.int64(spare[k])
        _raise_register(words, item & (_N_REGISTERS - 1), _rank(item >> _INDEX_BITS))


@inner
def _rank(bits):  # type: ignore[no-untyped-def]
    """Position of the lowest 1 among the bits behind the index, from 1; one more without any."""
    rank = 1
    while rank <= _RANK_BITS and bits & 1 == 0:
        bits >>= 1
        rank += 1
    return rank


@inner
def _register(words, index):  # type: ignore[no-untyped-def]
    return np.int64(words[index >> 2]) >> (8 * (index & 3)) & 0xFF


@inner
def _raise_register(words, index, rank):  # type: ignore[no-untyped-def]
    shift = 8 * (index & 3)
    if _register(words, index) < rank:
        words[index >> 2] = np.int64(words[index >> 2]) & ~(0xFF << shift) | rank << shift


@inner
def merge(words, n_items, others, n_others, spare):  # type: ignore[no-untyped-def]
    """Put a whole set into another one, and give its new number of items."""
    if n_others != IS_SKETCH:
        for k in range(n_others):
            n_items = insert(words, n_items, np.int64(others[k]), spare)
        return n_items
    if n_items != IS_SKETCH:
        become_sketch(words, n_items, spare)
    for index in range(_N_REGISTERS):
        _raise_register(words, index, _register(others, index))
    return IS_SKETCH


@inner
def estimate(words, n_items, spare):  # type: ignore[no-untyped-def]
    """Number of different items, a whole one: exact for a set, 33 to 2**32 for a sketch."""
    if n_items != IS_SKETCH:
        return n_items
    for rank in range(SET_WORDS):
        spare[rank] = 0
    for index in range(_N_REGISTERS):
        spare[_register(words, index)] += 1
    total = _N_REGISTERS * _tau(1.0 - spare[_RANK_BITS + 1] / _N_REGISTERS)
    for rank in range(_RANK_BITS, 0, -1):
        total = 0.5 * (total + spare[rank])
    total += _N_REGISTERS * _sigma(spare[0] / _N_REGISTERS)
    # Hashes made for it can fill all registers to the brim, and leave nothing to divide by.
    if total <= _LEAST:
        return _MOST
    return max(SET_WORDS + 1, int(_ALPHA * _N_REGISTERS * _N_REGISTERS / total + 0.5))


@inner
def _sigma(x):  # type: ignore[no-untyped-def]
    # x + the sum of x^(2^k) 2^(k-1) over k from 1: the weight of empty registers. Never 1 here: a
    # sketch has had items.
    y, z, before = 1.0, x, -1.0
    while z != before:
        before = z
        x *= x
        z += x * y
        y += y
    return z


@inner
def _tau(x):  # type: ignore[no-untyped-def]
    # (1 - x - the sum of (1 - x^(2^-k))^2 2^-k over k from 1) / 3: that of full ones.
    if x <= 0.0 or x >= 1.0:
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        before = z
        x = math.sqrt(x)
        y *= 0.5
        z -= (1.0 - x) * (1.0 - x) * y
    return z / 3.0

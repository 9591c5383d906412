"""Sets of hashes: exact while small, an estimate beyond, and merged exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from tapwatch.features.host import sketch

pytestmark = pytest.mark.kernel

WORDS = sketch.SET_WORDS
#: Small ones have no bit but those of the register's index.
ITEMS = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 200), max_size=60)


@njit
def fill(words, n_items, items, spare):
    """Insert items one by one."""
    for k in range(len(items)):
        n_items = sketch.insert(words, n_items, items[k], spare)
    return n_items


@njit
def join(words, n_items, others, n_others, spare):
    """Merge two sets."""
    return sketch.merge(words, n_items, others, n_others, spare)


@njit
def count(words, n_items, spare):
    """Estimate one set."""
    return sketch.estimate(words, n_items, spare)


def set_of(items, garbage=0):
    """Words and number of items; what lies behind the items must not matter."""
    words = np.full(WORDS, garbage, np.uint32)
    spare = np.full(WORDS, 0xDEAD_BEEF, np.uint32)
    return words, fill(words, 0, np.array(items, np.int64), spare)


def size(words, n_items):
    """How many different items the set says it has."""
    return count(words, n_items, np.full(WORDS, 0xDEAD_BEEF, np.uint32))


def content(words, n_items):
    """What a set is: its items in any order, or its registers."""
    return sorted(words[:n_items].tolist()) if n_items <= WORDS else words.tobytes()


def registers(items):
    """A HyperLogLog in plain Python: 128 registers, each the longest run of 0 bits + 1."""
    highest = [0] * 128
    for item in items:
        bits = f"{item >> 7:025b}"[::-1]
        highest[item % 128] = max(highest[item % 128], (bits + "1").index("1") + 1)
    return bytes(highest)


@settings(deadline=None)  # the first call compiles
@given(ITEMS)
def test_is_exact_up_to_32_different_items(items):
    """The number of a set's items is that of Python's set; beyond 32 the registers are right."""
    words, n_items = set_of(items, garbage=0xABCD_EF01)

    if len(set(items)) <= 32:
        assert size(words, n_items) == n_items == len(set(items))
        assert content(words, n_items) == sorted(set(items))
    else:
        assert n_items == sketch.IS_SKETCH
        assert words.astype("<u4").tobytes() == registers(items)


@settings(deadline=None)
@given(ITEMS, ITEMS)
def test_merging_is_the_same_as_having_seen_both(left, right):
    """Whatever kind the two are: items, registers, or one of each."""
    words, n_items = set_of(left)
    others, n_others = set_of(right, garbage=7)

    merged = join(words, n_items, others, n_others, np.zeros(WORDS, np.uint32))

    assert content(words, merged) == content(*set_of(left + right))


def test_the_33rd_item_makes_it_a_sketch():
    """32 items are held, and the same ones again change nothing."""
    words, n_items = set_of([*range(32), *range(32)])
    assert n_items == 32

    assert fill(words, n_items, np.array([32]), np.zeros(WORDS, np.uint32)) == sketch.IS_SKETCH


@pytest.mark.parametrize("n_things", [33, 100, 300, 1000, 10_000])
def test_estimates_have_the_documented_error(n_things):
    """Root mean square of the error over 60 sketches: 9.2 %, and no bias beyond 4 %."""
    rng = np.random.default_rng(n_things)
    errors = []
    for _ in range(60):
        # The registers of all at once: what inserting one by one does is tested above.
        items = rng.integers(0, 2**32, n_things).tolist()
        words = np.frombuffer(registers(items), "<u4").copy()
        errors.append(size(words, sketch.IS_SKETCH) / len(set(items)) - 1)

    assert np.sqrt(np.mean(np.square(errors))) < 0.092 * 1.35
    assert abs(np.mean(errors)) < 0.04


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 26), min_size=128, max_size=128))
def test_any_registers_give_a_number(registers_of):
    """From 33 to 2**32, also where all are full or only one is taken."""
    words = np.frombuffer(bytes([*registers_of[1:], max(1, registers_of[0])]), "<u4").copy()

    assert 33 <= size(words, sketch.IS_SKETCH) <= 2**32


def test_full_registers_leave_nothing_to_divide_by():
    """Hashes made for it: the most that 32 bits can tell apart."""
    assert size(np.full(WORDS, 0x1A1A_1A1A, np.uint32), sketch.IS_SKETCH) == 2**32


def test_a_hash_without_a_bit_has_the_highest_rank():
    """All 25 bits behind the index are 0: rank 26, in the register of the index."""
    words, n_items = set_of(range(33))

    assert n_items == sketch.IS_SKETCH
    assert words.astype("<u4").tobytes() == registers(range(33)) == bytes([26] * 33 + [0] * 95)

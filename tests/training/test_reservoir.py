"""The sample of rows and the span of time: bounded, fair, and blind to how rows arrive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.training.reservoir import Exposure, Reservoir

HOUR_NS = 3600 * 10**9


def sample(n_rows, borders, capacity=50, seed=3):
    """Rows numbered in order of time, cut at `borders`."""
    reservoir = Reservoir(capacity, (2,), seed)
    numbers = np.arange(n_rows)
    values = np.stack([numbers, -numbers], axis=1).astype(np.float32)
    for part in np.split(numbers, sorted(borders)):
        reservoir.add(values[part], part.astype(np.int64))
    return reservoir


@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=8))
def test_a_sample_depends_on_the_rows_and_not_on_their_parts(n_rows, borders):
    """Same seed, same rows, any cuts: the same sample, in the order of time."""
    whole, cut = sample(n_rows, []), sample(n_rows, [b for b in borders if b <= n_rows])
    (values, times), (cut_values, cut_times) = whole.take(), cut.take()

    assert cut_values.tobytes() == values.tobytes()
    assert cut_times.tolist() == times.tolist() == sorted(times.tolist())
    assert values[:, 0].tolist() == times.tolist()
    assert values[:, 1].tolist() == (-times).tolist()
    assert cut.seen == n_rows
    assert len(values) == min(n_rows, 50)
    assert len(set(times.tolist())) == len(times)


@given(st.integers(0, 300), st.integers(0, 9))
def test_the_rows_with_the_smallest_draws_stay(n_rows, seed):
    """One draw a row, sorted by hand."""
    draws = np.random.default_rng(seed).random(n_rows)
    by_hand = sorted(np.argsort(draws)[:50].tolist())

    assert sample(n_rows, [n_rows // 3, n_rows // 2], seed=seed).take()[1].tolist() == by_hand


def test_every_row_has_the_same_chance():
    """Over 2,000 seeds each of 40 rows is kept in a quarter of the samples, late ones as well."""
    hits = np.zeros(40)
    for seed in range(2000):
        hits[sample(40, [13], capacity=10, seed=seed).take()[1]] += 1

    # Standard deviation of a share: sqrt(.25 * .75 / 2000) < .01
    assert np.abs(hits / 2000 - 0.25).max() < 0.045


def test_rows_are_told_in_the_order_of_time():
    """Inputs may come in any order of time; ties stay in the order seen."""
    reservoir = Reservoir(10, (1,), 0)
    reservoir.add(np.array([[1], [2]], np.float32), np.array([9, 5]))
    reservoir.add(np.array([[3], [4]], np.float32), np.array([5, 1]))
    values, times = reservoir.take()

    assert values[:, 0].tolist() == [4, 2, 3, 1]
    assert times.tolist() == [1, 5, 5, 9]


def span_s(*parts):
    exposure = Exposure()
    for part in parts:
        exposure.add(np.array(part, np.int64) * 10**9)
    return exposure.span_ns / 1e9


def test_time_is_counted_once_and_never_backwards():
    """Late rows add nothing; where parts are cut does not matter."""
    assert span_s([10, 20, 15, 30]) == span_s([10], [20, 15], [], [30]) == 20
    assert span_s([]) == span_s([5]) == 0


def test_silence_of_more_than_an_hour_is_left_out():
    """It is the gap between two captures, not a quiet network."""
    assert span_s([0, 10, 3610, 3620]) == 3620
    assert span_s([0, 10, 3611, 3621]) == 20


def test_hours_are_hours():
    """3600 s make one."""
    exposure = Exposure()
    exposure.add(np.array([0, HOUR_NS // 2, HOUR_NS], np.int64))

    assert exposure.hours == pytest.approx(1.0)

"""Thresholds and p-values: against counting, and against theory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.detect.significance import significant
from tapwatch.detect.threshold import Calibration, below, calibrate, stretched, summarise
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import naive

scores = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 9.0]), min_size=1, max_size=40)


@given(scores, scores)
def test_p_values_are_counted(calibration, observed):
    """Against counting one by one, ties and values between and beyond included."""
    probe = np.array([*observed, -1.0, 0.3, 100.0])
    found = summarise(np.array(calibration)).p_value(probe)

    assert found.tolist() == [naive.p_value(s, calibration) for s in probe]


def test_a_score_above_all_calibration_has_the_smallest_p_value():
    """1 / (n + 1), never 0."""
    summary = summarise(np.arange(1.0, 100.0))

    assert summary.p_value(np.array([1000.0]))[0] == 1 / 100
    assert summary.p_value(np.array([0.0]))[0] == 1.0


def test_thinning_keeps_the_tail_exact_and_the_rest_never_too_small():
    """Of 50,000 errors some 5,000 are kept: rare p-values are exact, common ones at least right."""
    errors = significant(np.random.default_rng(0).lognormal(size=50_000))
    summary = summarise(errors)
    probe = significant(np.random.default_rng(1).lognormal(size=5000))
    ascending = np.sort(errors)
    exact = (1 + len(errors) - np.searchsorted(ascending, probe)) / (len(errors) + 1)
    found = summary.p_value(probe)
    is_tail = exact < 4000 / 50_000

    assert len(summary.error) <= 4096 + 1024
    assert summary.error[-1] == errors.max()
    np.testing.assert_array_equal(found[is_tail], exact[is_tail])
    assert (found >= exact).all()
    assert (found - exact).max() < 1.5 / 1024


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60),
    st.floats(0.001, 0.99),
    st.lists(st.floats(1e-7, 1e7), max_size=30),
)
def test_conformal_flags_exactly_the_small_p_values(calibration, alpha, observed):
    """error > value says the same as p <= alpha, wherever the budget can be shown."""
    errors = significant(np.array(calibration))
    threshold = calibrate(errors, 1000.0, 1000.0 * alpha)
    probe = significant(np.array([*observed, *calibration]))
    limit = threshold.alpha * (1 + 1e-12)
    small = [naive.p_value(s, errors) <= limit for s in probe]

    if threshold.warnings:
        assert not any(small)
    else:
        assert (probe > threshold.value).tolist() == small


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60), st.floats(0.02, 0.99))
def test_quantile_rule_is_factor_times_the_quantile(calibration, alpha):
    """The seeds' rule, on the rank that a further row exceeds with probability alpha."""
    errors = significant(np.array(calibration))
    threshold = calibrate(errors, 1000.0, 1000.0 * alpha, method="quantile", factor=1.5)
    line = naive.six_digits(1.5 * naive.exceeded_by(errors.tolist(), threshold.alpha))

    if not threshold.warnings:
        assert threshold.value == pytest.approx(line, rel=1e-5)


@pytest.mark.parametrize("method", ["conformal", "quantile"])
@pytest.mark.parametrize("alpha", [0.1, 0.01, 0.001])
def test_the_realised_rate_keeps_to_the_budget(method, alpha):
    """Over 200 draws of 5,000 heavy-tailed calibration errors, fresh rows are flagged as promised.

    The rate of a fresh row is Beta(k, n + 1 - k) with mean k / (n + 1); its mean over the draws has
    a standard deviation below alpha / sqrt(200 k).
    """
    random = np.random.default_rng(7)
    n, draws = 5000, 200
    rates = []
    for _ in range(draws):
        threshold = calibrate(random.pareto(2.0, n), 3600.0, 3600.0 * alpha, method=method)
        # The chance of exceeding it is known for this distribution: no second sample needed.
        rates.append((1 + threshold.value) ** -2.0)
        assert not threshold.warnings
    spread = 4 * alpha / np.sqrt(draws * alpha * n)

    assert np.mean(rates) <= alpha + spread
    assert np.mean(rates) >= alpha - spread - 2 / n


@pytest.mark.parametrize("method", ["conformal", "quantile"])
@given(errors=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50), budget=st.floats(0.1, 59))
def test_calibration_rows_themselves_stay_within_the_budget(method, errors, budget):
    """Flagged calibration rows an hour are at most the budget; by quantile, of one row more."""
    threshold = calibrate(np.array(errors), 60.0, budget, method=method)
    hours = (len(errors) + (method == "quantile")) / 60.0
    flagged = np.count_nonzero(significant(np.array(errors)) > threshold.value)

    assert flagged / hours <= budget * (1 + 1e-9)


@pytest.mark.parametrize("ranks", [1.0, 1.5, 3.4, 12.7])
def test_the_quantile_is_exceeded_with_the_probability_that_it_promises(ranks):
    """Few ranks and none whole: a tenth of a rank at most is lost or gained over 1,000 draws.

    Of uniform errors the mean of the quantile's rate is exact, ranks / (n + 1): a rule that took
    the next rank up or down would be off by up to one of them.
    """
    random, n = np.random.default_rng(11), 200
    alpha = ranks / (n + 1)
    rates = [
        1 - calibrate(random.random(n), 0, 1, method="quantile", risk=alpha).value
        for _ in range(1000)
    ]
    found = calibrate(random.random(n), 1000.0, 1000.0 * alpha, method="quantile")

    assert np.mean(rates) * (n + 1) == pytest.approx(ranks, abs=0.1 + 0.02 * ranks)
    assert found.expected_per_hour == pytest.approx(1000 * alpha)


def test_says_when_the_budget_is_rarer_than_calibration_can_show():
    """One alert an hour cannot be read off half an hour: the largest error times `beyond`."""
    threshold = calibrate(np.arange(1.0, 101.0), 200.0, 1.0, beyond=1.5)

    assert threshold.value == 150.0
    assert threshold.warnings == (
        "a budget of 1 an hour needs 1 h of calibration rows or more, but there are 100 rows in "
        "0.5 h, which show at best 1.98 an hour: the threshold is the largest calibration error "
        "times 1.5",
    )
    assert threshold.expected_per_hour == pytest.approx(200 / 101)


@pytest.mark.parametrize("method", ["conformal", "quantile", "pot"])
@pytest.mark.parametrize("most", [0.81, 1.0, 1.2, 50.0, 1e9])
def test_a_threshold_lies_below_the_highest_error(method, most):
    """Between it and the largest calibration error; nearer the multiple the further away it is."""
    errors = np.linspace(0.1, 0.808, 400)
    found = calibrate(errors, 0, 1, risk=1e-6, method=method, most_error=most)

    assert 0.808 < found.value < most
    assert found.value <= 1.01
    if most == 1e9:
        assert found.value == 1.01
    if most == 1.0:
        odds = 0.808 / 0.192 * 1.25
        assert found.value == pytest.approx(odds / (1 + odds), rel=1e-5)
    assert (
        f"1.25 times the odds that the largest calibration error has against {most:.6g}"
        in (found.warnings[-1])
    )


def test_a_factor_leads_no_further_than_the_highest_error_either():
    """Times 1 it is the quantile itself; times many it comes near the end."""
    errors = np.linspace(0.1, 0.9, 999)

    def value(factor):
        found = calibrate(errors, 0, 1, risk=0.1, method="quantile", factor=factor, most_error=1.0)
        assert found.warnings == ()
        return found.value

    assert value(1.0) == calibrate(errors, 0, 1, risk=0.1, method="quantile").value
    assert value(0.5) < value(1.0) < value(1.5) < value(1e6) < 1.0


def test_a_law_leads_no_further_than_the_highest_error():
    """A heavy tail does not know that errors end; that it was held is said."""
    errors = np.minimum(np.random.default_rng(0).pareto(1.0, 1000) / 1000, 0.95)
    free = calibrate(errors, 0, 1, risk=1e-5, method="pot")
    found = calibrate(errors, 0, 1, risk=1e-5, method="pot", most_error=1.0)

    assert free.value > 1.0
    assert errors.max() < found.value < 1.0
    assert found.warnings[-1].startswith("there is no error above 1: the threshold is kept at 0.9")


def test_that_calibration_rows_have_the_highest_error_is_said():
    """Then no row is flagged, rather than each of those."""
    found = calibrate(np.full(50, 0.5), 0, 1, risk=0.1, most_error=0.5)

    assert found.value == 0.5
    assert "no row can be flagged" in found.warnings[-1]


@given(st.floats(1e-9, 1e9), st.floats(0, 1), st.floats(0.01, 1e300))
def test_a_stretched_error_stays_between(most, share, times):
    """Below the highest error, on the side of the factor, whatever the numbers."""
    error = share * below(most)
    found = stretched(error, times, most)

    assert 0 <= found < most
    assert found >= error if times >= 1 else found <= error
    assert most * (1 - 1.1e-5) < below(most) < most


def test_the_rarest_budget_that_can_be_shown_is_the_largest_error():
    """alpha = 1 / (n + 1) is just enough, and needs no warning."""
    threshold = calibrate(np.arange(1.0, 100.0), 100.0, 1.0)

    assert (threshold.value, threshold.warnings) == (99.0, ())
    assert threshold.expected_per_hour == pytest.approx(1.0)


def test_a_share_that_ought_to_be_whole_ranks_is():
    """.29 of 100 is 29, though not to a computer: 28 calibration errors lie above the line."""
    assert int(0.29 * 100) == 28
    assert calibrate(np.arange(1.0, 100.0), 0, 1, risk=0.29).value == 71.0


def test_rows_that_span_no_time_have_no_rate():
    """Then the budget says nothing, and that is said."""
    threshold = calibrate(np.ones(5), 0.0, 1.0)

    assert threshold.value == 1.25
    assert "the 5 calibration rows span no time" in threshold.warnings[0]


@pytest.mark.parametrize(
    ("errors", "rate", "budget", "text"),
    [
        ([], 10.0, 1.0, "calibration rows = 0: want at least 1"),
        ([1.0, np.nan], 10.0, 1.0, "want finite errors"),
        ([1.0], 10.0, 0.0, "budget = 0.0: want more than 0 alerts an hour"),
        ([1.0], 10.0, float("nan"), "budget = nan"),
        ([1.0], 10.0, 10.0, "budget = 10.0: want less than the 10 rows an hour"),
    ],
)
def test_refuses_what_cannot_be_calibrated(errors, rate, budget, text):
    """Key, found, wanted."""
    with pytest.raises(ConfigError) as refusal:
        calibrate(np.array(errors), rate, budget)
    assert text in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a | {"error": a["error"][::-1].copy()},
        lambda a: a | {"exceed": a["exceed"] + 1},
        lambda a: a | {"exceed": a["exceed"][:-1]},
        lambda a: a | {"error": a["error"][:0], "exceed": a["exceed"][:1]},
        lambda a: a | {"error": a["error"].reshape(1, -1)},
        lambda a: a | {"other": a["error"]},
        lambda a: {"exceed": a["exceed"]},
    ],
)
def test_refuses_calibration_arrays_that_cannot_be(change):
    """Order, ends, lengths and names are checked."""
    arrays = summarise(np.arange(1.0, 20.0)).arrays()
    assert Calibration.from_arrays(19, arrays).p_value(np.array([19.0]))[0] == 0.1

    with pytest.raises(ArtifactError):
        Calibration.from_arrays(19, change(arrays))

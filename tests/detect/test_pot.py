"""Peaks over threshold: against scipy, against the law itself, and within its limits."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import genpareto

from tapwatch.detect.fitness import check_tail
from tapwatch.detect.manifest import TailPart, ThresholdPart
from tapwatch.detect.pot import LEAST_SHAPE, Tail, fit_excess, fit_tail
from tapwatch.detect.threshold import calibrate
from tapwatch.errors import ArtifactError


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 0.1, 0.5, 1.2])
@pytest.mark.parametrize("scale", [1e-6, 2.5, 1e6])
def test_the_fit_is_at_least_as_likely_as_that_of_scipy(shape, scale):
    """scipy searches both numbers from a starting point; ours is no worse, and near it."""
    excess = genpareto.rvs(shape, scale=scale, size=400, random_state=3)
    found, spread = fit_excess(excess)
    theirs, _, their_spread = genpareto.fit(excess / scale, floc=0)
    ours = genpareto.logpdf(excess / scale, found, 0, spread / scale).sum()

    assert ours >= genpareto.logpdf(excess / scale, theirs, 0, their_spread).sum() - 1e-6
    assert found == pytest.approx(theirs, abs=2e-3)


def test_a_shape_without_a_regular_maximum_is_not_given():
    """Excesses that pile up at their end have no maximum of the likelihood: the limit is kept."""
    excess = 1 - np.random.default_rng(0).random(200) ** 6

    assert LEAST_SHAPE - 1e-9 <= fit_excess(excess)[0] < LEAST_SHAPE + 0.05


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.7])
def test_a_quantile_is_exceeded_with_its_probability(shape):
    """By the law of scipy."""
    tail = Tail(start=3.0, scale=0.5, shape=shape, peaks=40, rows=2000)

    for risk in (0.02, 1e-3, 1e-7):
        survival = genpareto.sf(tail.quantile(risk) - 3.0, shape, scale=0.5)
        assert survival * 40 / 2000 == pytest.approx(risk, rel=1e-9)


def test_a_rate_rarer_than_the_rows_can_show_is_kept_to():
    """1,000 errors say where one in 10,000 lies: within a factor of 2, in the middle of tries."""
    random = np.random.default_rng(5)
    rates = []
    for _ in range(80):
        found = calibrate(random.exponential(size=1000), 0, 1, method="pot", risk=1e-4)
        assert found.tail is not None
        assert any("rarer than the 1000" in text for text in found.warnings)
        rates.append(np.exp(-found.value))

    assert 1e-4 / 2 < np.median(rates) < 1e-4 * 2


def test_pot_counts_where_the_budget_lies_in_the_body():
    """At one row in ten it is the conformal threshold."""
    errors = np.random.default_rng(0).random(1000)

    plain, pot = (calibrate(errors, 0, 1, method=m, risk=0.1) for m in ("conformal", "pot"))
    assert (pot.value, pot.tail, pot.warnings) == (plain.value, None, ())


@pytest.mark.parametrize("far", [1.0, 40.0])
def test_a_law_that_does_not_fit_is_kept_near_what_was_counted(far):
    """Errors in two lumps: the realised rate is that of the budget times or divided by 1.25.

    A lump far out makes a law that lies far above the rows that it was to tell of; three hundred
    more rows of such errors are counted in the place of a theory.
    """
    random = np.random.default_rng(2)
    errors = random.lognormal(sigma=0.3, size=40_000)
    errors[:60] = errors.max() + far + 0.01 * random.random(60)
    for risk in (2e-4, 5e-4, 3e-3):
        found = calibrate(errors, 0, 1, method="pot", risk=risk)
        counted = np.count_nonzero(errors > found.value) / 40_001

        assert found.tail is not None
        assert risk / 1.25 - 1 / 40_001 <= counted <= risk * 1.25 + 1 / 40_001


def test_a_law_that_fits_is_left_as_it_is():
    """Of exponential errors the threshold is the law's own, between two ranks."""
    errors = np.random.default_rng(4).exponential(size=40_000)
    found = calibrate(errors, 0, 1, method="pot", risk=2e-3)

    assert found.tail is not None
    assert found.value == pytest.approx(found.tail.quantile(2e-3), rel=1e-5)


@pytest.mark.parametrize(
    ("errors", "risk", "text"),
    [
        (np.ones(5000), 1e-3, "stand out"),
        (np.arange(1.0, 101.0), 1e-2, "stand out"),
        (np.random.default_rng(0).random(5000), 1e-9, "1000 times rarer"),
    ],
)
def test_what_the_tail_does_not_say_is_counted_with_a_warning(errors, risk, text):
    """Ties, few rows, and risks beyond all measure."""
    found = calibrate(errors, 0, 1, method="pot", risk=risk)

    assert found.tail is None
    assert text in found.warnings[0]


def test_a_wild_tail_is_told_of():
    """Of Pareto's law with an index below 1 there is no mean."""
    errors = 1 + np.random.default_rng(0).pareto(0.5, 5000)
    found = calibrate(errors, 0, 1, method="pot", risk=1e-4)

    assert any("no finite mean" in text for text in found.warnings)
    assert found.value <= 100 * errors.max() * 1.000001


def test_ties_with_the_start_are_no_peaks():
    """Half of the errors are equal: what equals the start is not above it."""
    errors = np.concatenate([np.zeros(3000), np.full(3000, 2.0), 2 + np.arange(1.0, 51.0)])
    tail = fit_tail(errors)

    assert tail is not None
    assert (tail.start, tail.peaks, tail.rows) == (2.0, 50, 6050)


def described(errors, risk, **changes):
    """A threshold of `pot` as a bundle has it."""
    found = calibrate(errors, 0, 1, method="pot", risk=risk)
    usual = dict(method="pot", value=found.value, alpha=risk, factor=1.0, beyond=1.25, risk=risk)
    usual |= dict(budget_per_hour=1.0, calibration_rows=len(errors), calibration_hours=0.0)
    usual |= dict(rows_per_hour=0.0, expected_per_hour=0.0, warnings=[])
    return ThresholdPart(**usual | {"tail": TailPart(**asdict(found.tail))} | changes)


@pytest.mark.parametrize("far", [0.0, 40.0])
@pytest.mark.parametrize("risk", [1e-6, 5e-5, 1e-4, 1e-3, 1e-2])
def test_a_bundle_says_of_its_tail_what_the_threshold_came_from(risk, far):
    """Whatever `calibrate` makes is taken, where the law fits and where it was kept near counts."""
    errors = np.random.default_rng(3).exponential(size=20_000)
    errors[:20] += far

    check_tail(Path("b.json"), described(errors, risk))


@pytest.mark.parametrize(
    ("risk", "changes", "text"),
    [
        (1e-6, {"method": "conformal"}, "threshold.tail: want it with method 'pot' only"),
        (1e-6, {"calibration_rows": 19_999}, ".* as many rows as calibration_rows, 19999"),
        (1e-6, {"value": 1.0}, r"threshold.value = 1.0: want what threshold.tail gives, 1\d"),
        (1e-6, {"value": 99.0}, r"threshold.value = 99.0: want what threshold.tail gives, 1\d"),
        (1e-3, {"value": 1.0}, "threshold.value = 1.0: want what threshold.tail gives"),
        (1e-3, {"alpha": 0.0}, "threshold.value = .*: want .*, nothing at alpha = 0"),
        (1e-3, {"alpha": 0.5}, "threshold.value = .*: want .*, nothing at alpha = 0.5"),
    ],
)
def test_a_bundle_whose_tail_is_of_another_threshold_is_refused(risk, changes, text):
    """Far above a law that nobody can count against, below its start, or of other rows."""
    part = described(np.random.default_rng(3).exponential(size=20_000), risk, **changes)

    with pytest.raises(ArtifactError, match=rf"b.json: {text}"):
        check_tail(Path("b.json"), part)


def test_a_tail_of_nothing_but_peaks_is_refused():
    """Its start would be no quantile."""
    errors = np.random.default_rng(3).exponential(size=20_000)
    part = described(errors, 1e-3)
    every = part.tail.model_copy(update={"peaks": 20_000})

    check_tail(Path("b.json"), part.model_copy(update={"tail": None}))
    with pytest.raises(ArtifactError, match="peaks = 20000, rows = 20000: want fewer peaks"):
        check_tail(Path("b.json"), part.model_copy(update={"tail": every}))


def test_between_one_rank_and_the_next_the_law_may_lead_beyond_all_that_was_counted():
    """At 1.1 ranks no error is counted that a fifth fewer lie above."""
    errors = np.random.default_rng(7).exponential(size=999)
    found = calibrate(errors, 0, 1, risk=1.1 / 1000, method="pot")

    assert found.value > errors.max() * 1.02
    assert found.value == pytest.approx(found.tail.quantile(1.1 / 1000), rel=1e-5)

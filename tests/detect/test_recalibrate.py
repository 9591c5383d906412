"""Thresholds that follow: as far as they may, by rows that look benign, batches apart."""

import numpy as np
import pytest

from tapwatch.config import DetectConfig
from tapwatch.detect.judge import Judge
from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.recalibrate import FAR, Collector, Outcome, Standard, rows_wanted
from tapwatch.detect.threshold import calibrate, summarise
from tapwatch.errors import ArtifactError

CALIBRATION = np.random.default_rng(0).lognormal(sigma=0.7, size=20_000)


def part(**changes):
    found = calibrate(CALIBRATION, 0, 1, risk=0.01)
    usual = dict(method="conformal", value=found.value, alpha=0.01, factor=1.0, beyond=1.25)
    usual |= dict(budget_per_hour=1.0, calibration_rows=20_000, calibration_hours=0.0)
    usual |= dict(rows_per_hour=0.0, expected_per_hour=0.0, warnings=[], risk=0.01)
    return ThresholdPart(**usual | changes)


def judge_of(policy, **settings):
    config = DetectConfig.model_validate({"drift": policy} | settings)
    return Judge(part(), summarise(CALIBRATION), config)


def stream(*pieces, seed=3):
    """(rows, scale) pieces of errors."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.lognormal(sigma=0.7, size=n) * k for n, k in pieces])


def lines(judge, errors, sizes):
    """Threshold of every row, and the events, in batches of these sizes."""
    threshold, at, k = np.empty(len(errors)), 0, 0
    while at < len(errors):
        batch = errors[at : at + sizes[k % len(sizes)]]
        for rows, standard in judge.judge(batch):
            threshold[at : at + len(batch)][rows] = standard.value
        at, k = at + len(batch), k + 1
    return threshold, judge.events


DRIFTING = stream((20_000, 1), (40_000, 1.8))


@pytest.mark.parametrize("policy", ["off", "watch", "recalibrate", "dspot"])
@pytest.mark.parametrize("sizes", [(1,), (64,), (1024,), (5, 255, 257, 4096)])
def test_batches_do_not_show(policy, sizes):
    """Every row has the same threshold, every event stands at the same row."""
    errors = DRIFTING[:40_000] if sizes == (1,) else DRIFTING
    whole, told = lines(judge_of(policy), errors, (1 << 20,))
    found, events = lines(judge_of(policy), errors, sizes)

    assert found.tobytes() == whole.tobytes()
    assert events == told
    assert policy in ("off", "dspot") or told


def test_watching_moves_nothing():
    """The drift is told, the threshold stays."""
    threshold, events = lines(judge_of("watch"), DRIFTING, (1024,))

    assert set(threshold) == {part().value}
    assert {event.kind for event in events} == {"drift"}
    assert 20_000 < events[0].rows < 23_000


def test_a_recalibrated_threshold_keeps_to_the_budget_again():
    """Five rows in a hundred are flagged after the drift, then one; it comes within 2 M rows."""
    judge = judge_of("recalibrate")
    threshold, events = lines(judge, DRIFTING, (1024,))
    flagged = threshold < DRIFTING
    moved = [event for event in events if event.kind == "recalibration"]

    assert flagged[:20_000].mean() == pytest.approx(0.01, rel=0.3)
    assert flagged[20_000:22_000].mean() > 0.03
    assert flagged[-20_000:].mean() == pytest.approx(0.01, rel=0.3)
    assert [event.what for event in moved][:1] == ["moved"]
    assert moved[0].rows < 20_000 + 2 * rows_wanted(part(), 0)
    assert judge.counts()["recalibrations"]["moved"] == len(moved)


def test_dspot_follows_a_scale():
    """The rate comes back by half of the way at least, without an alarm."""
    threshold, _ = lines(judge_of("dspot"), DRIFTING, (1024,))
    flagged = threshold < DRIFTING

    assert (DRIFTING[-20_000:] > part().value).mean() > 0.06
    assert flagged[-20_000:].mean() < 0.03
    assert threshold[-1] > 1.4 * part().value


@pytest.mark.parametrize("policy", ["recalibrate", "dspot"])
@pytest.mark.parametrize("scale", [1.9, 0.02])
def test_no_threshold_moves_further_than_the_factor(policy, scale):
    """However often errors grow: from the bundle's own, not from the last one."""
    pieces = [(20_000, 1)] + [(30_000, scale ** (k / 2)) for k in range(1, 6)]
    threshold, _ = lines(judge_of(policy, recalibrate_factor=1.5), stream(*pieces), (4096,))
    value = part().value

    assert value / 1.5 * 0.99999 <= threshold.min()
    assert threshold.max() <= value * 1.5 * 1.00001
    assert len(set(threshold)) > 1


def test_far_rows_are_never_learnt_from_and_stop_a_recalibration():
    """An attack that begins with the drift leaves the threshold where it is."""
    errors = DRIFTING.copy()
    errors[20_000::20] = 2 * FAR * part().value
    judge = judge_of("recalibrate")
    threshold, events = lines(judge, errors, (1024,))

    assert set(threshold) == {part().value}
    assert judge.counts()["far_rows"] > 100
    told = [event.what for event in events if event.kind == "recalibration"]
    assert told == ["far_rows"]


def test_rows_that_are_mostly_alerts_calibrate_nothing():
    """A flood of equal rows above the threshold is no drift."""
    errors = stream((20_000, 1), (40_000, 1))
    errors[20_000:] = 2 * part().value
    judge = judge_of("recalibrate")
    threshold, _ = lines(judge, errors, (1024,))

    assert set(threshold) == {part().value}
    assert judge.counts()["recalibrations"]["most_flagged"] > 1


def test_what_is_no_number_is_neither_near_nor_far():
    """It does not count towards the rows that are wanted."""
    collector = Collector(part(), 300, 4.0)
    standard = Standard(part().value, summarise(CALIBRATION))
    rows = np.full(256, np.nan)
    rows[::2] = 1.0

    assert collector.take(rows, standard) is None
    assert collector.take(np.full(256, np.inf), standard) is None
    assert collector.take(rows, standard) is None
    moved, outcome = collector.take(rows, standard)
    assert (outcome, moved.calibration.n, collector.far_rows) == (Outcome.LIMITED, 300, 0)


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1e-4, 1e-3, 0.1])
def test_rows_wanted_are_ten_for_each_that_may_be_flagged(alpha):
    """Between 8,192 and 262,144, or as many as are given."""
    want = min(max(8192, 10 / alpha if alpha else np.inf), 262_144)

    assert rows_wanted(part(alpha=alpha), 0) == pytest.approx(want, abs=1)
    assert rows_wanted(part(alpha=alpha), 500) == 500


@pytest.mark.parametrize("policy", ["recalibrate", "dspot"])
def test_a_threshold_that_is_not_above_zero_cannot_follow(policy):
    """Its limits would be no limits."""
    config = DetectConfig.model_validate({"drift": policy})
    with pytest.raises(ArtifactError, match=r"threshold.value = -1.0: want more than 0"):
        Judge(part(value=-1.0), summarise(CALIBRATION), config)


def test_rates_that_allow_every_row_cannot_calibrate_again():
    """A bundle that says so is refused at the start, not in the middle of a run."""
    with pytest.raises(ArtifactError, match="nothing can be recalibrated"):
        Collector(part(risk=None, rows_per_hour=1.0, budget_per_hour=2.0), 300, 4.0)


def test_drift_that_goes_on_while_rows_are_gathered_asks_for_one_more_round():
    """The first threshold is of a mixture; the second of what came after."""
    errors = stream((20_000, 1), (4000, 1.6), (40_000, 2.4))
    threshold, events = lines(judge_of("recalibrate"), errors, (1024,))

    assert [event.what for event in events if event.kind == "recalibration"] == ["moved"] * 2
    assert (errors > threshold)[-20_000:].mean() == pytest.approx(0.01, rel=0.3)

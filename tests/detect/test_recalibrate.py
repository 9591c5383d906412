"""Thresholds that follow: as far as they may, by rows that look benign, batches apart."""

import re

import numpy as np
import pytest

from tapwatch.config import DetectConfig
from tapwatch.detect.drift import UNIT_ROWS
from tapwatch.detect.judge import TOLD_EVERY, Judge
from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.recalibrate import (
    FAR,
    STEP_ROWS,
    Collector,
    Dspot,
    Outcome,
    Standard,
    rows_wanted,
)
from tapwatch.detect.threshold import calibrate, summarise
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import naive

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


@pytest.mark.parametrize("n_rows", [20_000, 150_000])
@pytest.mark.parametrize("risk", [1e-2, 1e-3])
def test_dspot_keeps_to_the_budget_where_nothing_drifts(n_rows, risk):
    """Ten streams of 300,000 rows: their last third is flagged as often as the first."""
    rates = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        calibration = random.lognormal(sigma=0.7, size=n_rows)
        value = calibrate(calibration, 0, 1, risk=risk).value
        dspot = Dspot(part(value=value, alpha=risk), summarise(calibration), 4.0)
        steps = random.lognormal(sigma=0.7, size=(150, STEP_ROWS))
        flagged = []
        for step in steps:
            line = dspot.value
            flagged.append((step > line).mean())
            dspot.take(step, line)
        rates.append(flagged)

    assert risk / 1.3 < np.mean(rates) < risk * 1.3
    assert risk / 1.5 < np.mean(np.array(rates)[:, 100:]) < risk * 1.5


def test_rows_of_the_calibration_leave_dspot_where_it_is():
    """Its first mean is over those of them that are not flagged, as every later one is."""
    errors = CALIBRATION[:2000]
    value = calibrate(errors, 0, 1, risk=0.1).value
    dspot = Dspot(part(value=value, alpha=0.1), summarise(errors), 4.0)
    for _ in range(6):
        dspot.take(errors, dspot.value)

        assert dspot.value == pytest.approx(value, rel=1e-4)


def test_flagged_rows_do_not_move_dspot():
    """A third of the rows far out, and what is no number: as if they had not been there."""
    ours = lines(judge_of("dspot"), stream((40_960, 1)), (1024,))[0]
    errors = stream((40_960, 1)).reshape(-1, 2)
    loud = np.column_stack([errors, np.resize([50.0, np.nan, np.inf], len(errors))])
    theirs = lines(judge_of("dspot"), loud.reshape(-1), (1024,))[0]

    assert theirs[-1] == pytest.approx(ours[-1], rel=0.03)
    assert len(set(theirs)) > 5


def test_a_threshold_that_follows_has_six_digits():
    """As every threshold and error: what is printed is what is compared."""
    threshold, _ = lines(judge_of("dspot"), DRIFTING, (1024,))

    assert set(threshold) == {naive.six_digits(value) for value in threshold}
    assert len(set(threshold)) > 20


def test_dspot_tells_that_it_may_go_no_further():
    """Once when it reaches the limit, whatever it has told before; and counts it."""
    judge = judge_of("dspot", recalibrate_factor=1.2)
    errors = stream((20_480, 1), (60_000, 1.6))
    threshold, events = lines(judge, errors, (1024,))
    counts = judge.counts()["recalibrations"]
    told = [event for event in events if event.kind == "recalibration"]

    assert threshold[-1] == pytest.approx(1.2 * part().value, rel=1e-5)
    assert counts["limited"] == 1
    assert counts["moved"] > 3
    assert [(event.what, event.after) for event in told] == [("limited", threshold[-1])]


def test_dspot_tells_a_limit_again_only_after_a_while():
    """Who swings about the limit does not fill the alerts file."""
    judge = judge_of("dspot", recalibrate_factor=1.05)
    pieces = [(4 * STEP_ROWS, scale) for _ in range(12) for scale in (1.0, 1.3)]
    _, events = lines(judge, stream(*pieces), (4096,))
    told = [event.rows for event in events if event.what == "limited"]

    assert judge.counts()["recalibrations"]["limited"] > len(told)
    assert (np.diff(told) >= TOLD_EVERY).all()
    assert len(told) > 2


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_a_few_rows_below_the_guards_do_not_make_the_threshold(share):
    """Rows at 3.9 times the threshold would make it 3.9 times as high: ordinary rows say how far.

    Who sends a tenth of the rows moves the upper quartile of the others by a fifth.
    """
    errors = DRIFTING.copy()
    errors[20_000:] = stream((40_000, 1), seed=5)
    is_theirs = np.random.default_rng(6).random(len(errors)) < share
    errors[is_theirs & (np.arange(len(errors)) >= 20_000)] = 3.9 * part().value
    judge = judge_of("recalibrate")
    threshold, events = lines(judge, errors, (1024,))
    what = [event.what for event in events if event.kind == "recalibration"]

    assert threshold.max() < 1.9 * part().value
    assert share == 0.01 or what[0] == "limited"


def test_the_threshold_moves_up_as_far_as_ordinary_rows_and_half_as_much_again():
    """Their median or upper quartile, whichever moved more; those of the bundle's own rows."""
    calibration = summarise(np.arange(1.0, 1001.0))
    standard = Standard(1000.0, calibration)
    moved = []
    for change in ([1, 1], [1.2, 1], [1, 1.4], [0.5, 0.5]):
        rows = np.concatenate([np.arange(1.0, 500.0) * 0.01, [500.0 * change[0]]])
        rows = np.append(rows, np.linspace(500 * change[0] + 1e-3, 750 * change[1], 250))
        rows = np.append(rows, np.full(250, 3000.0))
        collector = Collector(part(value=1000.0, alpha=0.1, risk=0.1), calibration, 1000, 4.0)
        found = collector.take(rows, Standard(5000.0, calibration))
        assert found is not None
        assert found[1] == Outcome.LIMITED
        moved.append(found[0].value / standard.value)

    assert moved == pytest.approx([1.5, 1.8, 2.1, 1.5], rel=0.01)


def test_the_watch_begins_anew_after_a_recalibration():
    """By the calibration that is in force then: what has drifted once raises no second alarm."""
    judge = judge_of("recalibrate")
    lines(judge, DRIFTING, (1024,))
    counts = judge.counts()

    assert counts["recalibrations"]["moved"] >= 1
    assert counts["means"]["level"] == pytest.approx(0.5, abs=0.03)
    assert counts["means"]["tail"] == pytest.approx(0.02, abs=0.006)


def test_alarms_of_one_signal_are_told_no_more_often_than_said():
    """16,384 rows apart, while all of them are counted."""
    pieces = [(3072, scale) for _ in range(20) for scale in (1.0, 2.0)]
    judge = judge_of("watch")
    _, events = lines(judge, stream(*pieces), (1024,))

    rows = [event.rows for event in events if event.what == "level"]

    assert (np.diff(rows) >= 16_384).all()
    assert len(rows) >= 4
    assert judge.counts()["alarms"]["level"] > 2 * len(rows)


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


def test_one_row_in_a_hundred_may_be_far_and_no_more():
    """Of those wanted; what was gathered until then is dropped with them."""
    standard = Standard(part().value, summarise(CALIBRATION))
    collector = Collector(part(), standard.calibration, 1000, 4.0)
    far = np.full(1, 2 * FAR * part().value)

    assert collector.take(np.append(CALIBRATION[:500], np.repeat(far, 10)), standard) is None
    assert collector.take(far, standard) == (standard, Outcome.FAR_ROWS)
    assert collector.take(CALIBRATION[:999], standard) is None
    assert collector.far_rows == 11


def test_dspot_tells_a_move_when_it_has_come_to_half_as_much_again():
    """Since the last one that was told, up or down; smaller ones are counted."""
    judge = judge_of("dspot")
    threshold, events = lines(judge, stream((20_480, 1), (40_000, 2.4), (40_000, 0.7)), (1024,))
    told = [event for event in events if event.kind == "recalibration"]
    ratios = [event.after / event.before for event in told]

    assert {event.what for event in told} == {"moved"}
    assert [ratio > 1 for ratio in ratios] == sorted([ratio > 1 for ratio in ratios], reverse=True)
    assert {ratio > 1 for ratio in ratios} == {True, False}
    assert all(max(ratio, 1 / ratio) >= 1.5 for ratio in ratios)
    assert min(max(ratio, 1 / ratio) for ratio in ratios) < 2.5
    assert told[0].before == part().value
    assert len(set(threshold)) > 5 * len(told)


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
    standard = Standard(part().value, summarise(CALIBRATION))
    collector = Collector(part(), standard.calibration, 300, 4.0)
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
    assert rows_wanted(part(alpha=alpha), 300_000) == 300_000


@pytest.mark.parametrize(
    ("alpha", "least"), [(1e-9, 262_144), (1e-4, 10_000), (3e-3, 334), (0.1, 10)]
)
def test_rows_that_hold_none_that_may_be_flagged_are_refused(alpha, least):
    """By number and by name; for a rare share as many are enough as are taken by themselves."""
    assert rows_wanted(part(alpha=alpha), least) == least
    with pytest.raises(ConfigError, match=rf"recalibrate_rows = .*: want 0, or {least:,} or more"):
        rows_wanted(part(alpha=alpha), least - 1)
    config = DetectConfig.model_validate({"drift": "recalibrate", "recalibrate_rows": 256})
    if least > 256:
        with pytest.raises(ConfigError, match="may flag one row in"):
            Judge(part(alpha=alpha), summarise(CALIBRATION), config)


def test_what_calibration_warns_of_is_told():
    """With the threshold that was found; where there is nothing to say, nothing is said."""
    rare = dict(alpha=1e-5, risk=1e-5)
    told = []
    for changes in ({}, rare):
        collector = Collector(part(**changes), summarise(CALIBRATION), 8192, 4.0)
        standard = Standard(part().value, summarise(CALIBRATION))
        assert collector.take(CALIBRATION[:8192], standard) is not None
        told.append(collector.warnings)

    assert told[0] == ()
    assert "a risk of 1e-05 needs 1e+05 calibration rows or more, but there are 8192" in told[1][0]


def test_warnings_of_a_calibration_are_part_of_the_event():
    """A bundle that does not know the rate of its rows."""
    config = DetectConfig.model_validate({"drift": "recalibrate", "recalibrate_rows": 8192})
    judge = Judge(part(alpha=0.0, risk=None), summarise(CALIBRATION), config)
    _, events = lines(judge, DRIFTING, (1024,))

    moved = [event for event in events if event.kind == "recalibration"]
    assert "span no time" in moved[0].warnings[0]
    assert {event.warnings for event in events if event.kind == "drift"} == {()}


def test_rows_without_a_finite_error_end_the_gathering():
    """After four times the rows wanted it is told, once; nothing is kept of them meanwhile."""
    judge = judge_of("recalibrate")
    lines(judge, DRIFTING[:22_528], (1024,))
    assert judge.counts()["recalibrating"]
    nothing = np.full(1024, np.nan)
    for _ in range(2 * 4 * 8192 // 1024 + 1):
        list(judge.judge(nothing))
        assert len(judge._collector._errors) <= 8

    assert judge.counts()["recalibrations"]["not_finite"] == 2
    assert [e.what for e in judge.events if e.kind == "recalibration"] == ["not_finite"]
    assert judge.in_force.value == part().value


@pytest.mark.parametrize("policy", ["recalibrate", "dspot"])
@pytest.mark.parametrize("most", [1.25, 4.0])
def test_no_threshold_moves_up_to_the_highest_error(policy, most):
    """Three rows in ten have it; they stay flagged, however far the others have come."""
    random = np.random.default_rng(4)
    calibration = random.beta(5, 5, 20_000)
    value = calibrate(calibration, 0, 1, risk=0.01, most_error=most).value
    config = DetectConfig.model_validate({"drift": policy})
    judge = Judge(part(value=value), summarise(calibration), config, most)
    drifted = np.concatenate([random.beta(5, 5, 20_000), random.beta(9, 5, 60_000)])
    drifted[20_000:][random.random(60_000) < 0.3] = most
    threshold, _ = lines(judge, drifted, (4096,))

    assert threshold.max() < most
    assert len(set(threshold)) > 1


def test_a_recalibration_that_cannot_count_leaves_rows_to_be_flagged():
    """By the odds of its largest error, not at the end of what is allowed."""
    random = np.random.default_rng(4)
    calibration, errors = random.beta(5, 5, 20_000), random.beta(5, 5, 8192)
    rare = part(value=0.95, alpha=1e-5, risk=1e-5)
    collector = Collector(rare, summarise(calibration), 8192, 4.0, 1.0)
    standard, outcome = collector.take(errors, Standard(0.95, summarise(calibration)))

    odds = 1.25 * errors.max() / (1 - errors.max())
    assert standard.value == pytest.approx(odds / (1 + odds), rel=1e-4)
    assert outcome == Outcome.MOVED


def test_a_threshold_above_the_highest_error_comes_below_it():
    """That of a bundle which did not know of one."""
    calibration = np.random.default_rng(4).beta(5, 5, 20_000)
    for policy in ("recalibrate", "dspot"):
        config = DetectConfig.model_validate({"drift": policy})
        judge = Judge(part(value=1.01, alpha=1e-4), summarise(calibration), config, 1.0)
        random = np.random.default_rng(5)
        drifted = np.concatenate([random.beta(5, 5, 20_000), random.beta(9, 5, 120_000)])
        threshold, _ = lines(judge, drifted, (4096,))

        assert threshold[0] == 1.01
        assert threshold[-1] < 1.0


def test_a_threshold_that_may_not_move_has_no_limit_to_tell_of():
    """With a factor of 1 it stays, drift or none."""
    judge = judge_of("dspot", recalibrate_factor=1.0)
    threshold, events = lines(judge, DRIFTING, (4096,))

    assert set(threshold) == {part().value}
    assert {event.kind for event in events} == {"drift"}
    assert sum(judge.counts()["recalibrations"].values()) == 0


@pytest.mark.parametrize("policy", ["recalibrate", "dspot"])
@pytest.mark.parametrize("value", [-1.0, 0.0, 5e-324, 9.9e-31, 1.01e30, 1e308])
def test_a_threshold_that_is_next_to_nothing_or_without_bounds_cannot_follow(policy, value):
    """Its limits would be no limits, and logarithms of them no numbers."""
    config = DetectConfig.model_validate({"drift": policy})
    match = rf"threshold.value = {re.escape(repr(value))}: want 1e-30 or more, and 1e\+30 or less"
    with pytest.raises(ArtifactError, match=match):
        Judge(part(value=value), summarise(CALIBRATION), config)


@pytest.mark.parametrize("policy", ["recalibrate", "dspot"])
@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_smallest_and_the_largest_thresholds_move_without_a_warning(policy, unit):
    """Errors a million times smaller, and some that are too large to be multiplied."""
    config = DetectConfig.model_validate({"drift": policy, "recalibrate_factor": 100.0})
    tiny = np.append(np.full(10_000, 1e-36), CALIBRATION * unit)
    judge = Judge(part(value=unit), summarise(tiny), config)
    errors = stream((40_000, unit / 1e6), (40_000, unit))
    errors[30_000::5000] = 1e308
    threshold, _ = lines(judge, errors, (4096,))

    assert np.isfinite(threshold).all()
    assert (threshold > 0).all()


@pytest.mark.parametrize("rows", [1, 255])
def test_so_few_rows_calibrate_nothing(rows):
    """One unit of rows, or the default."""
    with pytest.raises(ValueError, match=rf"recalibrate_rows = {rows}: want 0, or 256 or more"):
        DetectConfig(recalibrate_rows=rows)
    assert {DetectConfig(recalibrate_rows=n).recalibrate_rows for n in (0, UNIT_ROWS)} == {0, 256}


def test_rates_that_allow_every_row_cannot_calibrate_again():
    """A bundle that says so is refused at the start, not in the middle of a run."""
    every = part(risk=None, rows_per_hour=1.0, budget_per_hour=2.0)

    with pytest.raises(ArtifactError, match="nothing can be recalibrated"):
        Collector(every, summarise(CALIBRATION), 300, 4.0)


def test_drift_that_goes_on_while_rows_are_gathered_asks_for_one_more_round():
    """The first threshold is of a mixture; the second of what came after."""
    errors = stream((20_000, 1), (4000, 1.6), (40_000, 2.4))
    threshold, events = lines(judge_of("recalibrate"), errors, (1024,))

    assert [event.what for event in events if event.kind == "recalibration"] == ["moved"] * 2
    assert (errors > threshold)[-20_000:].mean() == pytest.approx(0.01, rel=0.3)

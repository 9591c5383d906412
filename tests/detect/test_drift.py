"""The watch for drift: alarms where there is drift, none where there is not, batches apart."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.detect.drift import UNIT_ROWS, DriftWatch, _Scale, quantile_of
from tapwatch.detect.significance import significant
from tapwatch.detect.threshold import summarise
from tests.detect import naive

N = UNIT_ROWS


def errors(n_units, seed=1, scale=1.0):
    """Heavy-tailed errors in units."""
    return np.random.default_rng(seed).lognormal(size=(n_units, N)) * scale


@pytest.fixture
def calibration():
    return summarise(np.random.default_rng(0).lognormal(size=20_000))


def alarms_of(watch, units):
    """Signals and units of all alarms."""
    found, at = [], 0
    while at < len(units):
        n, alarms = watch.take(units[at:])
        at += n
        found += [(alarm.signal, at) for alarm in alarms]
    return found


def test_rows_like_those_of_the_calibration_raise_no_alarm(calibration):
    """256,000 of them; the means are those that exchangeable rows have."""
    watch = DriftWatch(calibration, 0.002)

    assert alarms_of(watch, errors(1000)) == []
    assert watch.mean("level") == pytest.approx(0.5, abs=0.01)
    assert watch.mean("tail") == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_a_change_of_scale_is_told_within_two_thousand_rows(calibration, scale):
    """Up and down, by the level."""
    watch = DriftWatch(calibration, 0.002)
    found = alarms_of(watch, np.concatenate([errors(100), errors(100, 2, scale)]))

    assert found[0][0] == "level"
    assert 100 < found[0][1] <= 108


def test_a_few_rows_that_change_are_told_by_the_tail(calibration):
    """Eight of a hundred lie far out: the level hardly moves."""
    watch = DriftWatch(calibration, 0.002)
    after = errors(150, 2)
    after.reshape(-1)[:: 100 // 8] = 100.0
    found = alarms_of(watch, np.concatenate([errors(100), after]))

    assert found[0][0] == "tail"
    assert 100 < found[0][1] <= 130


@pytest.mark.kernel
def test_the_level_is_the_mean_rank():
    """Of errors in one bin, half lie below; what is no number counts as the middle."""
    values = [1.0, 2.0, 2.0, 3.0, 8.0]
    watch = DriftWatch(summarise(np.array(values)), 0.002)
    unit = np.resize([0.5, 2.0, 2.5, 8.0, 9.0, np.nan, np.inf, 1.0], (1, N))
    watch.take(unit)
    ranks = [naive.rank_between(x, values) for x in unit[0, :5].tolist()]
    ranks += [0.5, 0.5, naive.rank_between(1.0, values)]

    assert watch.mean("level") == pytest.approx(np.mean(ranks))


@pytest.mark.kernel
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 9.0]), min_size=1, max_size=16),
    st.lists(st.floats(-2, 10) | st.sampled_from([0.5, 1.0, 2.0, np.nan, np.inf, -np.inf])),
)
def test_the_kernel_agrees_with_its_twin(values, observed):
    """Few errors have a bin each: ties, gaps, beyond either end, and what is no number."""
    calibration = summarise(np.array(values))
    means = _Scale(calibration).means(np.array([[x] * 32 for x in observed]).reshape(-1, 32))
    start = quantile_of(calibration, 0.02)
    told = [(x, naive.rank_between(x, values)) if np.isfinite(x) else (-9.0, 0.5) for x in observed]
    want = [[rank for _, rank in told], [float(x > start) for x, _ in told]]

    assert means == pytest.approx(np.array(want).reshape(2, -1))


@pytest.mark.parametrize("lump", [0, 400])
def test_bins_cost_half_a_bin_of_a_rank(lump):
    """Of 4,096 errors, with lumps of equal ones or without; the share in the tail is exact."""
    values = np.concatenate([errors(16).reshape(-1), np.repeat([0.5, 1.5, 7.0], lump)])
    kept = summarise(values)
    ascending = np.sort(significant(values))
    for k, error in enumerate(ascending[:: len(values) // 20]):
        watch = DriftWatch(kept, 0.002)
        probe = error * (1 + k % 3 * 1e-4)
        watch.take(np.full((1, N), probe))
        rank = sum(np.searchsorted(ascending, probe, side=s) for s in ("left", "right")) / 2

        assert watch.mean("level") == pytest.approx(rank / len(values), abs=1 / 16)
        assert watch.mean("tail") == (probe > quantile_of(kept, 0.02))


def test_the_window_is_that_of_river():
    """Every mean and every alarm, through changes and back."""
    from river.drift import ADWIN

    watch = DriftWatch(summarise(np.arange(1.0, 101.0)), 0.002)
    theirs = ADWIN(delta=0.002, clock=8, grace_period=32)
    alarms = 0
    for unit in np.concatenate([errors(60, k, s) * 20 for k, s in ((1, 1), (2, 3), (3, 1.5))]):
        found = {alarm.signal for alarm in watch.take(unit[None])[1]}
        for mean in watch._scale.means(unit.reshape(-1, 32))[0]:
            theirs.update(float(mean))

        assert ("level" in found) == theirs.drift_detected
        assert watch.mean("level") == theirs.estimation
        alarms += theirs.drift_detected

    assert alarms >= 2


def test_an_alarm_says_what_the_mean_was_and_what_it_is(calibration):
    """Of the window before the unit that gave it, and of what was left after."""
    watch = DriftWatch(calibration, 0.002)
    for unit in np.concatenate([errors(100), errors(20, 2, 3.0)]):
        before = watch.mean("level")
        found = [alarm for alarm in watch.take(unit[None])[1] if alarm.signal == "level"]
        if found:
            break

    assert (found[0].before, found[0].after) == (before, watch.mean("level"))
    assert found[0].after > before


def test_there_is_no_alarm_before_the_fifth_unit(calibration):
    """However many false ones are allowed: a window of four is not cut yet."""
    units = np.concatenate([errors(2, 1, 1e-9), errors(6, 2, 1e9)])
    found = alarms_of(DriftWatch(calibration, 0.5), units)

    assert min(at for _, at in found) == 5


def test_the_watch_loads_neither_pandas_nor_scikit_learn():
    """They cost three seconds at the first unit of rows, and a hundred megabytes."""
    program = (
        "import sys; from tapwatch.detect.drift import _windowing; _windowing(); "
        "sys.exit(bool({'pandas', 'sklearn', 'scipy'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_start_of_the_tail_is_a_quantile(calibration):
    """At most a fiftieth of the calibration errors lie above."""
    values = np.arange(1.0, 101.0)

    assert quantile_of(summarise(values), 0.02) == 98.0
    assert quantile_of(summarise(values), 0.0) == 100.0


def test_means_stand_at_what_was_calibrated_before_any_row(calibration):
    """Metrics are there from the start."""
    watch = DriftWatch(calibration, 0.002)

    assert (watch.mean("level"), watch.mean("tail")) == (0.5, 0.02)

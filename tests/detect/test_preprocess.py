"""Preprocessing: against a pencil, back to units, whatever the batch."""

import numpy as np
import pytest

from tapwatch.detect.preprocess import METHODS, Preprocess, fit_preprocess
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import made, naive

SCHEMA = made.schema()
NAMES = SCHEMA.names


@pytest.fixture(scope="module")
def values():
    return made.benign(500)


def test_log_z_is_what_a_pencil_computes(values):
    """Signed logarithm, standard score over the training rows, clip: column by column."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, clip=1.5)
    rows = preprocess.apply(values)

    for k, column in enumerate(preprocess.columns):
        by_hand = naive.log_z(values[:, NAMES.index(column)].tolist(), 1.5)
        np.testing.assert_allclose(rows[:, k], by_hand, atol=2e-6)
    assert (np.abs(rows) == 1.5).any()


@pytest.mark.parametrize(
    ("method", "low", "mean", "deviation"), [("z", None, 0, 1), ("min_max", 0, None, None)]
)
def test_plain_scalings_have_the_moments_that_name_them(values, method, low, mean, deviation):
    """z has mean 0 and deviation 1; min_max goes from 0 to 1."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, method=method, clip=1e6)
    rows = preprocess.apply(values).astype(np.float64)

    if low is None:
        np.testing.assert_allclose(rows.mean(axis=0), mean, atol=1e-4)
        np.testing.assert_allclose(rows.std(axis=0), deviation, atol=1e-4)
    else:
        np.testing.assert_allclose(rows.min(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(rows.max(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_back_in_units_it_is_what_went_in(values, method):
    """to_units undoes apply where nothing was clipped."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, method=method, clip=1e6)
    back = preprocess.to_units(preprocess.apply(values))

    scale = np.abs(values).max(axis=0)[preprocess.index]
    assert (np.abs(back - preprocess.observed(values)) <= 1e-5 * scale + 1e-4).all()


@pytest.mark.parametrize("method", METHODS)
def test_expected_values_stay_within_what_was_seen(values, method):
    """However far a reconstruction is off, the value told is finite and one that training had."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, method=method)
    shape = (2, len(preprocess.columns))
    back = preprocess.to_units(np.full(shape, 1e30, np.float32) * np.array([[1], [-1]], np.float32))

    np.testing.assert_array_equal(back[0], preprocess.high)
    np.testing.assert_array_equal(back[1], preprocess.low)


def test_constant_columns_are_left_out_and_named(values):
    """c05 is 7 in every row; c03 varies by less than float32 can tell after the logarithm."""
    values = values.copy()
    values[:, 3] = 1e9
    values[0, 3] = np.nextafter(np.float32(1e9), np.float32(2e9))
    preprocess, constant = fit_preprocess(values, SCHEMA, NAMES)

    assert constant == ("c03", "c05")
    assert preprocess.columns == tuple(n for n in NAMES if n not in constant)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clip", [0.5, 5.0, 1e6])
def test_any_other_value_of_a_watched_constant_lies_at_the_clip(values, method, clip):
    """Next whole numbers, fractions, other signs, both ends of float32; its own value is at 0."""
    for constant in (0, 1, -3, 64, 255, 1460, 5000, 0.25):
        values = values.copy()
        values[:, 5] = constant
        preprocess, named = fit_preprocess(
            values, SCHEMA, NAMES, method=method, clip=clip, watch_constants=True
        )
        others = [constant + 1, constant + 2, constant + 1e9, 3e38]
        above = np.zeros((len(others) + 1, len(NAMES)), np.float32)
        above[:, 5] = [constant, *others]
        below = above.copy()
        below[1:, 5] = [constant - 1, constant - 2, constant - 1e9, -3e38]

        assert (preprocess.columns, named) == (NAMES, ("c05",))
        assert preprocess.apply(above)[:, 5].tolist() == [0] + 4 * [clip]
        assert preprocess.apply(below)[:, 5].tolist() == [0] + 4 * [-clip]


def test_a_watched_constant_may_be_off_by_what_another_machine_computes(values):
    """Two steps of float32 in the logarithm stay near 0, wherever the constant lies."""
    for constant in (0, 7, 1460, 1e6, 3e9):
        values = values.copy()
        values[:, 5] = constant
        preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, watch_constants=True)
        log = np.float32(naive.signed_log(float(np.float32(constant))))
        off = (log + 2 * np.spacing(log) - preprocess.center[5]) / preprocess.scale[5]

        assert abs(off) <= 0.1


def test_watching_constants_changes_no_other_column(values):
    """The columns that vary are fitted as without it; the constant is told in its own unit."""
    plain, _ = fit_preprocess(values, SCHEMA, NAMES)
    watching, _ = fit_preprocess(values, SCHEMA, NAMES, watch_constants=True)
    others = [k for k in range(len(NAMES)) if k != 5]

    assert watching.apply(values)[:, others].tobytes() == plain.apply(values).tobytes()
    assert (watching.apply(values)[:, 5] == 0).all()
    anything = np.linspace(-5, 5, 7)[:, None] * np.ones(len(NAMES))
    assert (watching.to_units(anything.astype(np.float32))[:, 5] == 7).all()


TIMED = made.schema(3, c01={"unit": "s"}, c02={"unit": "us"})


def times():
    """Columns in units of 1, s and us; times from a microsecond to an hour, of either sign."""
    random = np.random.default_rng(2)
    seconds = 10 ** random.uniform(-6, 3.5, 400) * random.choice([-1, 1], 400)
    return np.stack([seconds, seconds, seconds * 1e6], axis=1).astype(np.float32)


def test_only_seconds_are_refined_and_only_under_the_logarithm():
    """A million steps a second for log_z; 1 for every other unit and every other method."""
    for method in METHODS:
        preprocess, _ = fit_preprocess(times(), TIMED, TIMED.names, method=method)
        wanted = [1, 1e6, 1] if method == "log_z" else [1, 1, 1]
        assert preprocess.resolution.tolist() == wanted


def test_seconds_are_told_apart_as_microseconds_are():
    """1 ms and 2 ms lie as far apart as a pencil says, and far further than without."""
    values = times()
    values[:2, :2], values[:2, 2] = [[0.001] * 2, [0.002] * 2], [1000, 2000]
    preprocess, _ = fit_preprocess(values, TIMED, TIMED.names)
    rows = preprocess.apply(values)

    for k, resolution in enumerate((1.0, 1e6, 1.0)):
        by_hand = naive.log_z(values[:, k].tolist(), 5.0, resolution)
        np.testing.assert_allclose(rows[:, k], by_hand, atol=2e-6)
    apart = rows[1] - rows[0]
    assert apart[1] == pytest.approx(apart[2], rel=1e-4)
    assert apart[1] > 20 * apart[0] > 0


def test_refined_seconds_come_back_in_seconds():
    """to_units undoes the resolution too, to six digits of microseconds and hours alike."""
    values = times()
    preprocess, _ = fit_preprocess(values, TIMED, TIMED.names, clip=1e6)
    back = preprocess.to_units(preprocess.apply(values))

    np.testing.assert_allclose(back[:, 1], values[:, 1], rtol=1e-4, atol=1e-9)
    assert (preprocess.low[1], preprocess.high[1]) == (values[:, 1].min(), values[:, 1].max())


def test_refining_leaves_the_input_alone():
    """The product is made in a copy, also where all columns are used in order."""
    values = times()
    before = values.tobytes()
    preprocess, _ = fit_preprocess(values, TIMED, TIMED.names)
    preprocess.apply(values)

    assert values.tobytes() == before


def test_seconds_beyond_what_float32_can_refine_stay_finite():
    """A million times the ends of float32 overflows: the fit and the rows stay finite."""
    values = times()
    values[0, 1], values[1, 1] = np.finfo(np.float32).max, np.finfo(np.float32).min
    preprocess, constant = fit_preprocess(values, TIMED, TIMED.names)

    assert constant == ()
    assert all(np.isfinite(array).all() for array in preprocess.arrays().values())
    assert np.isfinite(preprocess.apply(values)).all()
    assert preprocess.apply(values)[:2, 1].tolist() == [5, -5]


def test_uses_the_columns_that_were_asked_for_in_the_order_of_the_schema(values):
    """The order of the request does not matter; other columns cannot reach a row."""
    preprocess, constant = fit_preprocess(values, SCHEMA, ["c07", "c01", "c05"])
    other = values.copy()
    other[:, [0, 2, 3, 4, 6, 8, 9, 10, 11]] = np.nan

    assert (preprocess.columns, constant) == (("c01", "c07"), ("c05",))
    assert preprocess.apply(other).tobytes() == preprocess.apply(values).tobytes()


def test_rows_do_not_depend_on_their_batch(values):
    """Any cut, any memory layout, read-only or double: the same bits."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES)
    whole = preprocess.apply(values)
    frozen = values.copy()
    frozen.flags.writeable = False

    for size in range(1, 40):
        parts = [preprocess.apply(values[k : k + size]) for k in range(0, len(values), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    for same in (frozen, np.asfortranarray(values), values.astype(np.float64)):
        assert preprocess.apply(same).tobytes() == whole.tobytes()


def test_leaves_its_input_alone(values):
    """apply writes to a copy, for every method."""
    before = values.tobytes()
    for method in METHODS:
        preprocess, _ = fit_preprocess(values, SCHEMA, NAMES, method=method)
        preprocess.apply(values)

    assert values.tobytes() == before


def test_the_largest_numbers_stay_finite(values):
    """The ends of float32 are clipped, not overflowed."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES)
    extreme = np.full((2, len(NAMES)), np.finfo(np.float32).max)
    extreme[1] *= -1

    assert np.isfinite(preprocess.apply(extreme)).all()


def test_refuses_rows_without_anything_to_learn(values):
    """No rows, or no column that varies, is said at once."""
    with pytest.raises(ConfigError, match="training rows = 0: want at least 1"):
        fit_preprocess(values[:0], SCHEMA, NAMES)
    with pytest.raises(ConfigError, match="want one that varies over the training rows"):
        fit_preprocess(values, SCHEMA, ["c05"])


def test_refuses_arrays_that_cannot_have_been_fitted(values):
    """A scale of 0 would divide by 0; a range upside down would tell nonsense."""
    preprocess, _ = fit_preprocess(values, SCHEMA, NAMES)
    arrays = preprocess.arrays()
    zero = np.zeros_like(preprocess.scale)
    for bad, text in (
        (arrays | {"scale": zero}, "array scale"),
        (arrays | {"resolution": zero}, "array resolution: .* want values above 0"),
        (arrays | {"resolution": zero - 1}, "array resolution: .* want values above 0"),
        (arrays | {"resolution": zero + np.nan}, "array resolution: holds NaN"),
        ({k: v for k, v in arrays.items() if k != "resolution"}, "array resolution: absent"),
        (arrays | {"low": arrays["high"] + 1}, "array low: above array high"),
        (arrays | {"center": arrays["center"][1:]}, "array center"),
    ):
        with pytest.raises(ArtifactError, match=text):
            Preprocess.from_arrays("log_z", 5.0, preprocess.columns, {}, SCHEMA, bad)

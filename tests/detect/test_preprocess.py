"""Preprocessing: against a pencil, back to units, whatever the batch."""

import numpy as np
import pytest

from tapwatch.detect.preprocess import METHODS, Preprocess, fit_preprocess
from tapwatch.errors import ArtifactError, ConfigError
from tests.detect import made, naive

NAMES = made.schema().names


@pytest.fixture(scope="module")
def values():
    return made.benign(500)


def test_log_z_is_what_a_pencil_computes(values):
    """Signed logarithm, standard score over the training rows, clip: column by column."""
    preprocess, _ = fit_preprocess(values, NAMES, NAMES, clip=1.5)
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
    preprocess, _ = fit_preprocess(values, NAMES, NAMES, method=method, clip=1e6)
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
    preprocess, _ = fit_preprocess(values, NAMES, NAMES, method=method, clip=1e6)
    back = preprocess.to_units(preprocess.apply(values))

    scale = np.abs(values).max(axis=0)[preprocess.index]
    assert (np.abs(back - preprocess.observed(values)) <= 1e-5 * scale + 1e-4).all()


@pytest.mark.parametrize("method", METHODS)
def test_expected_values_stay_within_what_was_seen(values, method):
    """However far a reconstruction is off, the value told is finite and one that training had."""
    preprocess, _ = fit_preprocess(values, NAMES, NAMES, method=method)
    shape = (2, len(preprocess.columns))
    back = preprocess.to_units(np.full(shape, 1e30, np.float32) * np.array([[1], [-1]], np.float32))

    np.testing.assert_array_equal(back[0], preprocess.high)
    np.testing.assert_array_equal(back[1], preprocess.low)


def test_constant_columns_are_left_out_and_named(values):
    """c05 is 7 in every row; c03 varies by less than float32 can tell after the logarithm."""
    values = values.copy()
    values[:, 3] = 1e9
    values[0, 3] = np.nextafter(np.float32(1e9), np.float32(2e9))
    preprocess, constant = fit_preprocess(values, NAMES, NAMES)

    assert constant == ("c03", "c05")
    assert preprocess.columns == tuple(n for n in NAMES if n not in constant)


def test_uses_the_columns_that_were_asked_for_in_the_order_of_the_schema(values):
    """The order of the request does not matter; other columns cannot reach a row."""
    preprocess, constant = fit_preprocess(values, NAMES, ["c07", "c01", "c05"])
    other = values.copy()
    other[:, [0, 2, 3, 4, 6, 8, 9, 10, 11]] = np.nan

    assert (preprocess.columns, constant) == (("c01", "c07"), ("c05",))
    assert preprocess.apply(other).tobytes() == preprocess.apply(values).tobytes()


def test_rows_do_not_depend_on_their_batch(values):
    """Any cut, any memory layout, read-only or double: the same bits."""
    preprocess, _ = fit_preprocess(values, NAMES, NAMES)
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
        preprocess, _ = fit_preprocess(values, NAMES, NAMES, method=method)
        preprocess.apply(values)

    assert values.tobytes() == before


def test_the_largest_numbers_stay_finite(values):
    """The ends of float32 are clipped, not overflowed."""
    preprocess, _ = fit_preprocess(values, NAMES, NAMES)
    extreme = np.full((2, len(NAMES)), np.finfo(np.float32).max)
    extreme[1] *= -1

    assert np.isfinite(preprocess.apply(extreme)).all()


def test_refuses_rows_without_anything_to_learn(values):
    """No rows, or no column that varies, is said at once."""
    with pytest.raises(ConfigError, match="training rows = 0: want at least 1"):
        fit_preprocess(values[:0], NAMES, NAMES)
    with pytest.raises(ConfigError, match="want one that varies over the training rows"):
        fit_preprocess(values, NAMES, ["c05"])


def test_refuses_arrays_that_cannot_have_been_fitted(values):
    """A scale of 0 would divide by 0; a range upside down would tell nonsense."""
    preprocess, _ = fit_preprocess(values, NAMES, NAMES)
    arrays = preprocess.arrays()
    zero = np.zeros_like(preprocess.scale)
    for bad, text in (
        (arrays | {"scale": zero}, "array scale"),
        (arrays | {"low": arrays["high"] + 1}, "array low: above array high"),
        (arrays | {"center": arrays["center"][1:]}, "array center"),
    ):
        with pytest.raises(ArtifactError, match=text):
            Preprocess.from_arrays("log_z", 5.0, preprocess.columns, NAMES, bad)

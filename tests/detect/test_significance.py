"""Six significant digits: against decimal arithmetic."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.detect.significance import significant
from tests.detect import naive


@given(st.lists(st.floats(1e-280, 1e280), min_size=1))
def test_agrees_with_decimal_arithmetic(values):
    """Within one unit of the sixth digit on a tie, exact elsewhere."""
    found = significant(np.array(values))

    for value, rounded in zip(values, found, strict=True):
        assert rounded == naive.six_digits(value) or f"{rounded:.5e}" == f"{value:.5e}"
        assert abs(rounded - value) <= 5.000001e-6 * abs(value)


def test_is_the_number_that_six_digits_name():
    """What is printed with six digits reads back as the very same number."""
    values = np.random.default_rng(0).lognormal(0, 6, 20_000)
    found = significant(values)

    assert [float(f"{x:.6g}") for x in found] == found.tolist()
    assert significant(found).tobytes() == found.tobytes()


def test_signs_zeros_and_what_is_not_finite_stay():
    """Only digits are taken away."""
    found = significant(np.array([-1234567.0, 0.0, np.inf, -np.inf, np.nan]))

    np.testing.assert_array_equal(found, [-1234570.0, 0.0, np.inf, -np.inf, np.nan])

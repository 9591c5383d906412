"""The robust z-score: against medians taken by hand."""

import math
import statistics

import numpy as np
import pytest

from tapwatch.detect.detectors.robust_z import RobustZ, RobustZParameters
from tapwatch.errors import ArtifactError


def fit(rows, **parameters):
    rows = np.asarray(rows, np.float32)
    return RobustZ.fit(rows, rows[:0], RobustZParameters(**parameters), seed=0)


def rows_of(n_rows=101, seed=0):
    random = np.random.default_rng(seed)
    return (random.standard_t(2, (n_rows, 3)) * [1, 3, 0.1] + [0, 1, -2]).astype(np.float32)


@pytest.mark.parametrize("least", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("score", ["mean", "max"])
def test_a_score_is_what_a_pencil_computes(score, least):
    """Median and spread by column, then the mean of squares or the largest of all columns."""
    rows = rows_of()
    detector = fit(rows, score=score, least=least)
    columns = list(zip(*rows.tolist(), strict=True))
    medians = [statistics.median(column) for column in columns]
    spreads = []
    for column, median in zip(columns, medians, strict=True):
        away = [abs(x - median) for x in column]
        root = math.sqrt(math.fsum(a * a for a in away) / len(away))
        spreads.append(max(statistics.median(away) * 1.482602218505602, least * root))
    for row, error in zip(rows.tolist(), detector.score(rows).tolist(), strict=True):
        z = [abs(x - m) / s for x, m, s in zip(row, medians, spreads, strict=True)]
        wanted = max(z) if score == "max" else math.fsum(x * x for x in z) / 3
        assert error == pytest.approx(wanted, rel=1e-6)


def test_normal_rows_have_a_spread_of_their_deviation():
    """So that z is in deviations, whichever way it was taken."""
    rows = np.random.default_rng(1).normal(scale=7, size=(200_000, 1))
    for least in (0, 0.5, 1):
        assert fit(rows, least=least).arrays()["spread"][0] == pytest.approx(7, rel=0.01)


def test_where_half_of_the_rows_agree_the_quartiles_tell_the_spread():
    """And where three quarters do, the standard deviation; where all do, it is 1."""
    base = np.zeros((1000, 3), np.float32)
    base[:300, 0] = 4  # the upper quartile lies among these
    base[:100, 1] = 4
    for least in (0, 0.5):
        spread = fit(base, least=least).arrays()["spread"]

        assert spread[0] == pytest.approx(4 / 1.3489795003921634)
        assert spread[1] == pytest.approx(math.sqrt(0.1 * 16) * (least or 1))
        assert spread[2] == 1


def test_a_column_with_a_few_values_far_away_does_not_drown_the_others():
    """Its spread is at least the share of the standard deviation that was asked for."""
    column = np.random.default_rng(0).normal(scale=0.001, size=(1000, 1))
    column[:20] = 5
    deviation = math.sqrt(float(np.square(column - np.median(column)).mean()))

    assert fit(column, least=0.0).arrays()["spread"][0] == pytest.approx(0.001, rel=0.1)
    assert fit(column, least=0.5).arrays()["spread"][0] == pytest.approx(deviation / 2)
    assert fit(column).arrays()["spread"][0] == pytest.approx(deviation / 2)


def test_shares_are_squares_of_z_and_medians_are_expected():
    """For the largest z as for the mean."""
    rows = rows_of()
    for score in ("mean", "max"):
        detector = fit(rows, score=score)
        arrays = detector.arrays()
        odd = arrays["median"] + arrays["spread"] * np.array([[3, 0, -4]], np.float32)
        np.testing.assert_allclose(detector.contributions(odd), [[9 / 25, 0, 16 / 25]], rtol=1e-4)
        assert detector.expected(odd).tolist() == [arrays["median"].tolist()]


def test_a_spread_of_nothing_is_refused():
    """A bundle made by hand shall not divide by 0."""
    detector = fit(rows_of())
    for bad in (0.0, -1.0):
        arrays = detector.arrays() | {"spread": np.array([1, bad, 1], np.float32)}
        with pytest.raises(ArtifactError, match="array spread"):
            RobustZ.from_arrays(detector.parameters, 3, arrays)

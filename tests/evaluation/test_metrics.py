"""Figures of merit against their definitions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.errors import TapwatchError
from tapwatch.evaluation.metrics import (
    by_class,
    decision,
    macro_auc,
    merits_of,
    spread,
    spreads,
)
from tapwatch.training.ranking import ranking
from tests.evaluation import naive_metrics as naive

#: Few values, so that most scores are tied with others.
ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({bad for _, bad in rows}) == 2
)


def columns(rows):
    """Scores and labels as arrays."""
    scores, is_anomaly = zip(*rows, strict=True)
    return np.array(scores, np.float64), np.array(is_anomaly, np.bool_)


@given(ROWS)
@settings(deadline=None)  # scikit-learn takes seconds to be imported
def test_rankings_are_those_of_the_definitions_however_many_ties(rows):
    """AUC by pairs, AP by thresholds, TPR by trying every threshold."""
    scores, is_anomaly = columns(rows)

    merits = ranking(scores, is_anomaly)

    pairs = scores.tolist(), is_anomaly.tolist()
    assert merits["auc"] == pytest.approx(float(naive.auc(*pairs)))
    assert merits["ap"] == pytest.approx(float(naive.average_precision(*pairs)))
    assert merits["tpr_at_1pct"] == pytest.approx(float(naive.tpr_at(Fraction(1, 100), *pairs)))


def test_a_rate_at_a_limit_is_reached_and_not_passed():
    """Of 1000 normal rows 10 may lie above for 1 %, and 1 for 0.1 %; an 11th is one too many."""
    normal = np.arange(1000.0)
    # Above the 1st, the 10th and the 11th highest normal row.
    anomalies = np.array([998.5, 989.5, 988.5])
    scores = np.concatenate([normal, anomalies])
    is_anomaly = np.arange(len(scores)) >= 1000

    merits = ranking(scores, is_anomaly)

    assert merits["tpr_at_01pct"] == pytest.approx(1 / 3)
    assert merits["tpr_at_1pct"] == pytest.approx(2 / 3)


def test_ties_at_the_limit_are_not_taken_in_part():
    """An anomaly that ties with too many normal rows counts as not found."""
    scores = np.array([5.0] * 3 + [0.0] * 97 + [5.0])
    is_anomaly = np.arange(101) == 100

    assert ranking(scores, is_anomaly)["tpr_at_1pct"] == 0.0


@pytest.mark.parametrize("value", [False, True])
def test_rows_of_one_kind_have_no_ranking(value):
    """Nothing to tell apart, so no figure rather than a made-up one."""
    assert ranking(np.arange(3.0), np.full(3, value)) == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad):
    """With how many there are."""
    with pytest.raises(TapwatchError, match="1 of 3 are NaN or infinite"):
        ranking(np.array([0.0, bad, 1.0]), np.array([True, False, True]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_decisions_are_those_of_the_definitions(rows):
    """Precision, recall and F1 of whatever is flagged; quotients of nothing are 0."""
    flagged, is_anomaly = (np.array(column, np.bool_) for column in zip(*rows, strict=True))

    merits = decision(flagged, is_anomaly)

    assert merits["f1"] == pytest.approx(float(naive.f1(flagged.tolist(), is_anomaly.tolist())))
    false = sum(f and not bad for f, bad in rows)
    assert merits["fpr"] == pytest.approx(false / max(1, sum(not bad for _, bad in rows)))
    hits = sum(f and bad for f, bad in rows)
    assert merits["precision"] == pytest.approx(hits / max(1, flagged.sum()))
    assert merits["recall"] == pytest.approx(hits / max(1, is_anomaly.sum()))


def test_classes_are_told_apart():
    """Recall of each class of anomalies; normal rows are in none, and novel types are counted."""
    classes = np.array(["normal", "dos", "dos", "r2l", "r2l", "r2l"])
    is_anomaly = classes != "normal"
    flagged = np.array([True, True, True, True, False, False])
    novel = np.array([False, False, True, False, True, False])
    scores = np.array([2.0, 3.0, 3.0, 3.0, 1.0, 1.0])

    assert by_class(flagged, is_anomaly, classes) == {"dos": 1.0, "r2l": pytest.approx(1 / 3)}
    assert macro_auc(scores, is_anomaly, classes) == pytest.approx((1 + 1 / 3) / 2)
    assert merits_of(scores, flagged, is_anomaly, classes, novel)["novel_recall"] == 0.5


def test_figures_that_rows_do_not_allow_are_left_out():
    """One class has no mean over classes, no novel type no recall of them."""
    classes = np.array(["normal", "dos"])
    is_anomaly = np.array([False, True])
    nothing = np.zeros(2, np.bool_)

    merits = merits_of(np.arange(2.0), nothing, is_anomaly, classes, nothing)

    assert "macro_auc" not in merits
    assert "novel_recall" not in merits


def test_a_spread_has_the_deviation_of_a_sample():
    """With n - 1 degrees of freedom; one seed has none."""
    made = spread([1.0, 2.0, 6.0])

    assert (made.values, made.mean, made.median) == ((1.0, 2.0, 6.0), 3.0, 2.0)
    assert made.sd == pytest.approx(7**0.5)
    assert spread([4.0]).sd == 0.0


def test_a_figure_that_a_seed_lacks_is_summed_up_over_the_others():
    """No seed is counted as 0."""
    made = spreads([{"auc": 0.5}, {"auc": 0.7, "novel_recall": 1.0}])

    assert made["auc"].mean == pytest.approx(0.6)
    assert made["novel_recall"].values == (1.0,)

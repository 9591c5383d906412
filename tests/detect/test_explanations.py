"""The columns that an alert names are the reason for it: measured on connections of NSL-KDD.

`benchmarks/explanations.py` measures all detectors, longer; what falls short there is said in its
table. Here are those that are quick to fit, with the figures that none of them may fall below.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.shared_data import shared_data

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "explanations.py"


def load():
    spec = importlib.util.spec_from_file_location("explanations_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


explanations = load()


@pytest.fixture(scope="module")
def table():
    return explanations.read(shared_data() / "nsl_kdd" / "KDDTrain+.txt.gz", 4000)


#: Least ratio of deletion, stability over seeds, and hits of an injected column.
WANTED = {
    "ae": ({"epochs": 3}, 5, 0.67, 0.95),
    "pca": ({}, 5, 0.67, 0.95),
    "ocsvm": ({"sample_rows": 1000}, 5, 0.67, 0.95),
    "rarity": ({}, 5, 0.67, 0.95),
    # An injected column has to compete with those that ordinary rows have far off by themselves.
    "robust_z": ({}, 5, 0.67, 0.85),
    # Trees ask a column only now and then, and none tells what lies beyond all training rows.
    "iforest": ({}, 5, 0.6, 0.8),
}


@pytest.mark.parametrize("name", WANTED)
def test_the_named_columns_are_the_reason(table, name):
    """Deletion, stability and injection, by the same functions as the benchmark."""
    parameters, ratio, stability, injection = WANTED[name]
    figures = explanations.measure(table, name, 2, **parameters)

    assert figures["rows"] > 50
    assert figures["top"] > 0.15
    assert figures["top"] >= ratio * max(figures["random"], 0)
    assert figures["stability"] >= stability
    assert figures["injection"] >= injection
    assert figures["injected"] > 400


class Named:
    """Names the columns that it is told to, whatever the row; its error is the sum of squares."""

    def __init__(self, share):
        self.share = share

    def score(self, rows):
        return (rows.astype(np.float64) ** 2).sum(axis=1)

    def contributions(self, rows, column_of):
        return np.tile(self.share, (len(rows), 1))


def test_deletion_is_the_share_of_the_error_that_goes():
    """Of eight columns, one with two inputs: by hand, for the five named ones."""
    column_of = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7])
    rows = np.float32([np.arange(1, 10), np.zeros(9)])  # in the second nothing is odd
    usual = np.full(9, 0.5, np.float32)
    made = explanations.Table(rows, rows, rows, np.array(["x"]), column_of, None, 5.0, usual)
    detector = Named(np.array([0, 0, 0, 1, 2, 3, 4, 5]) / 15)
    top, by_chance = explanations.deletion(made, detector, rows)
    before = sum(k * k for k in range(1, 10))
    after = sum(k * k for k in range(1, 4)) + 6 * 0.25

    assert top == pytest.approx((before - after) / before)
    assert 0 < by_chance < top


def test_overlap_is_the_mean_over_pairs():
    """Two that agree on all of five, and one that agrees with them on two."""
    one = np.array([[0, 1, 2, 3, 4]])
    other = np.array([[3, 4, 5, 6, 7]])

    assert explanations.overlap([one, one[:, ::-1], other]) == pytest.approx((1 + 0.4 + 0.4) / 3)
    assert explanations.overlap([one]) == 1


def test_an_injected_row_differs_in_its_column_alone(table):
    """At the far end of the clip in a plain one, where hardly a row is; by its word in a class."""
    rows, columns = explanations.injected(table, 300)
    before = table.held[:300]

    assert len(set(columns.tolist())) > 10
    for row, old, column in zip(rows, before, columns, strict=True):
        inputs = table.column_of == column
        assert row[~inputs].tolist() == old[~inputs].tolist()
        if inputs.sum() == 1:
            assert abs(row[inputs][0]) == table.clip
            assert (abs(table.learnt[:, inputs] - row[inputs]) < 1).mean() <= 0.001
        else:
            assert np.flatnonzero(row[inputs]).tolist() == [inputs.sum() - 1]
            assert row[inputs].sum() == old[inputs].sum()


def test_odd_values_are_far_from_the_median_and_from_rows():
    """Of a column with a tail at one end, with rows at the far end, of classes, of a constant."""
    rows = np.zeros((2000, 6), np.float32)
    rows[:2, 0] = 4.5  # one in a thousand is few enough
    rows[:3, 1] = 4.5
    rows[1:, 2] = 0.1
    rows[:, 3] = 1  # a word; the other one is input 4
    column_of = np.array([0, 1, 2, 3, 3, 4])
    odd = explanations.odd_values(rows, column_of, [False] * 4 + [True], 5.0)

    assert odd.tolist() == [5, 0, -5, 1, 0]


class Last:
    """A model of sequences whose error is the first value of the newest row, by rank of it."""

    row_shape = (3, 2)

    def score(self, rows):
        assert rows.shape[1:] == self.row_shape
        return rows[:, -1, 0] + 0.0 * rows[:, :-1].sum(axis=(1, 2))

    def contributions(self, rows, _column_of):
        self.seen = rows
        return rows[:, -1]


def test_a_model_of_sequences_judges_a_row_behind_others():
    """The same others before and after a column is set, out of the normal rows."""
    company = np.arange(20, dtype=np.float32).reshape(10, 2)
    judge = explanations.Judge(Last(), company)
    rows = np.float32([[100, 101], [102, 103]])

    assert judge.score(rows).tolist() == [100, 102]
    judge.contributions(rows, None)
    first = judge.detector.seen
    judge.contributions(rows + 1, None)
    assert (first[:, -1] == rows).all()
    assert (first[:, :-1] == judge.detector.seen[:, :-1]).all()
    assert {tuple(row) for row in first[:, :-1].reshape(-1, 2)} <= {tuple(row) for row in company}


class First:
    """A row is as unusual as its first column; who asks is told of the second."""

    row_shape = (4,)

    def score(self, rows):
        return rows[:, 0].astype(np.float64)

    def contributions(self, rows, _column_of):
        return np.tile([1.0, 4, 3, 2], (len(rows), 1))


def test_hits_are_counted_among_rows_that_were_no_alert():
    """Of columns 0 and 1, the first makes an alert but is not named; the second the other way."""
    held = np.zeros((200, 4), np.float32)
    held[0, 0] = 5  # an alert before: left out
    column_of = np.arange(4)
    odd = np.float32([5, 5, 0, 0])
    made = explanations.Table(held, held, held, np.array([]), column_of, odd, 5.0, held[0])
    n_odd, n_named, n_alerts, n_named_alerts = explanations.hits(
        made, explanations.Judge(First(), held), 200
    ).tolist()

    assert n_odd == 199
    assert n_named + n_alerts == n_odd  # each column by itself
    assert n_alerts > 50
    assert n_named_alerts == 0

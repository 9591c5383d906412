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
    # An injected column has to compete with those that ordinary rows have far off by themselves.
    "robust_z": ({}, 5, 0.67, 0.9),
    # Trees ask a column only now and then, and one that was constant never.
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
    rows = np.arange(1, 10, dtype=np.float32)[None]
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
    """By at least the clip in a plain one, by its word in a class."""
    rows, columns = explanations.injected(table, 300)
    before = table.held[:300]

    assert table.varies[columns].all()
    assert len(set(columns.tolist())) > 20
    for row, old, column in zip(rows, before, columns, strict=True):
        inputs = table.column_of == column
        assert row[~inputs].tolist() == old[~inputs].tolist()
        if inputs.sum() == 1:
            assert abs(row - old)[inputs][0] >= table.clip
        else:
            assert np.flatnonzero(row[inputs]).tolist() == [inputs.sum() - 1]
            assert row[inputs].sum() == old[inputs].sum()

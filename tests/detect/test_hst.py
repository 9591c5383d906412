"""Half-space trees against river's own."""

import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees

from tapwatch.detect.ablation import Usual, drops
from tapwatch.detect.detectors.hst import Hst, HstParameters
from tapwatch.errors import ArtifactError
from tests.detect.made import preprocessed

PARAMETERS = HstParameters(trees=4, height=4, window=20)


def fitted(rows):
    return Hst.fit(rows, rows[:0], PARAMETERS, seed=7)


def brought(detector, rows):
    """Rows as river wants them, 0..1, by column."""
    held = detector.arrays()
    return [
        dict(enumerate(row))
        for row in ((rows - held["low"]) / held["width"]).astype(float).tolist()
    ]


@pytest.mark.kernel
def test_scores_and_masses_are_those_of_river():
    """After the fit, in the middle of a window, and after windows have taken each other's place."""
    rows = preprocessed(50, n_columns=5)
    detector = fitted(rows).copy()
    river = HalfSpaceTrees(n_trees=4, height=4, window_size=20, seed=7)
    for row in brought(detector, rows):
        river.learn_one(row)
    others = preprocessed(33, seed=1, n_columns=5) * np.float32(1.5)

    for more in (others[:7], others[7:20], others[20:]):
        want = [river.score_one(row) for row in brought(detector, others)]
        np.testing.assert_allclose(detector.score(others), want, atol=1e-12)
        assert len({*want}) > 10
        detector.learn(more)
        for row in brought(detector, more):
            river.learn_one(row)


def test_few_rows_are_counted_again_until_a_window_is_full():
    """Else nothing would have a score."""
    detector = fitted(preprocessed(3, n_columns=5))

    assert detector.arrays()["mass"][:, 0].tolist() == [20] * 4
    assert detector.arrays()["seen"].tolist() == [0]


def test_a_value_beyond_all_that_was_seen_stands_out():
    """The space that is split is wider than the training rows."""
    rows = preprocessed(500, n_columns=5)
    detector = Hst.fit(rows, rows[:0], HstParameters(window=500), seed=0)
    beyond = rows[:50].copy()
    beyond[:, 2] = 2 * np.abs(rows[:, 2]).max()

    assert (detector.score(beyond) > detector.score(rows[:50])).all()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("feature", 5, "columns from 0 to 4"),
        ("feature", -1, "columns from 0 to 4"),
        ("width", 0, "widths above 0"),
        ("seen", 20, "at least 0 and below 20"),
        ("mass", 21, "at most 20 rows"),
        ("coming", -1, "counts of at most"),
    ],
)
def test_refuses_what_the_kernel_must_not_meet(key, value, text):
    """Columns that there are not, a division by 0, counts that no window can have."""
    detector = fitted(preprocessed(30, n_columns=5))
    array = detector.arrays()[key].copy()
    array.flat[-1] = value
    with pytest.raises(ArtifactError, match=text):
        Hst.from_arrays(PARAMETERS, 5, detector.arrays() | {key: array})


@pytest.mark.kernel
def test_shares_are_those_of_ablation():
    """Walking only from where a column turns the way gives what scoring changed rows gives."""
    rows = preprocessed(60, n_columns=7)
    rows[:, 4:] = 0
    rows[np.arange(60), 4 + np.random.default_rng(0).choice(3, 60, p=[0.5, 0.3, 0.2])] = 3
    column_of = np.array([0, 1, 2, 3, 4, 4, 4])
    detector = fitted(rows)
    judged = np.concatenate([rows[:20], rows[:20] * np.float32(2)])
    wanted = drops(detector._score, judged, column_of, Usual.fit(rows))

    np.testing.assert_allclose(detector._contributions(judged, column_of), wanted, atol=1e-12)
    assert (wanted > 1e-6).mean() > 0.2
    judged[3, 1] = np.nan
    assert np.isnan(detector._contributions(judged, column_of)).all(axis=1).nonzero()[0] == [3]

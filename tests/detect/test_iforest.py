"""The isolation forest: scikit-learn's scores from trees of our own, and shares by ablation."""

import numpy as np
import pytest

from tapwatch.detect.ablation import Usual, drops
from tapwatch.detect.detectors.iforest import Iforest, IforestParameters, average_path
from tapwatch.errors import ArtifactError
from tests.detect.made import preprocessed as rows_of

pytestmark = pytest.mark.kernel


def fit(rows, seed=0, sample_rows=256, **parameters):
    parameters = IforestParameters(sample_rows=sample_rows, **parameters)
    return Iforest.fit(rows, rows[:0], parameters, seed=seed)


def sklearns(rows, seed, trees, sample):
    from sklearn.ensemble import IsolationForest

    return IsolationForest(
        n_estimators=trees, max_samples=min(sample, len(rows)), random_state=seed
    ).fit(rows)


def rows_with_ties(n_rows):
    """Rows of few distinct values, and one column that is constant."""
    rows = np.round(rows_of(n_rows))
    rows[:, 2] = 1.5
    return rows


@pytest.mark.parametrize(("n_rows", "sample"), [(1, 256), (2, 256), (3, 2), (50, 256), (600, 64)])
@pytest.mark.parametrize("rows", [rows_of, rows_with_ties])
def test_scores_are_scikit_learns_with_the_sign_turned(rows, n_rows, sample):
    """On ordinary rows, extreme ones, and values on the cuts and next to them."""
    training = rows(n_rows)
    detector = fit(training, 3, trees=12, sample_rows=sample)
    forest = sklearns(training, 3, 12, sample)
    cuts = np.unique(np.concatenate([tree.tree_.threshold for tree in forest.estimators_]))
    on_cuts = np.random.default_rng(0).choice(cuts.astype(np.float32), (200, 13))
    beside = np.nextafter(on_cuts, np.random.default_rng(1).choice([-9e9, 9e9], on_cuts.shape))
    extreme = np.float32([[3e38], [-3e38], [0], [-0.0], [1e-45]]) * np.ones(13, np.float32)
    judged = [training, rows_of(200, seed=9), on_cuts, beside.astype(np.float32), extreme]
    judged = np.concatenate(judged).astype(np.float32)

    np.testing.assert_allclose(
        detector.score(judged), -forest.score_samples(judged), rtol=0, atol=1e-12
    )


def test_a_cut_between_two_float32_sends_each_to_its_side():
    """Thresholds are stored as float32 without one value changing sides."""
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    rows = np.array([[low], [high]] * 20, np.float32)
    detector = fit(rows, trees=30)
    score = detector.score(np.array([[low], [high]], np.float32))

    np.testing.assert_allclose(
        score, -sklearns(rows, 0, 30, 256).score_samples([[low], [high]]), atol=1e-12
    )
    for threshold in detector.arrays()["threshold"][detector.arrays()["feature"] >= 0]:
        assert low <= threshold < high


def test_paths_go_on_as_in_an_average_tree():
    """Against the sum over the levels of a search tree: 2 * H(n - 1) - 2 * (n - 1) / n."""
    for n in (3, 4, 10, 256, 4096):
        exact = 2 * sum(1 / k for k in range(1, n)) - 2 * (n - 1) / n
        # Liu et al. put a logarithm in place of the harmonic number.
        assert average_path(np.array([n]))[0] == pytest.approx(exact, abs=1.1 / (n - 1))
    assert average_path(np.array([1, 2])).tolist() == [0, 1]


def test_shares_are_those_of_ablation():
    """Walking only the trees that ask for a column gives what scoring changed rows gives."""
    rows = rows_of(300)
    rows[:, 9:] = 0
    rows[np.arange(300), 9 + np.random.default_rng(0).choice(4, 300, p=[0.4, 0.3, 0.2, 0.1])] = 3
    column_of = np.array([0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 8])
    detector = fit(rows, trees=20)
    judged = np.concatenate([rows[:30], rows[:30] * np.float32(2)])
    wanted = drops(detector.score, judged, column_of, Usual.fit(rows))

    np.testing.assert_allclose(detector._contributions(judged, column_of), wanted, atol=1e-12)
    assert (wanted > 0).mean() > 0.3


@pytest.mark.parametrize(
    ("key", "change", "text"),
    [
        ("feature", lambda a: np.where(a == a.max(), 13, a), "array feature"),
        ("feature", lambda a: np.where(a == -1, -2, a), "array feature"),
        ("feature", lambda a: np.zeros_like(a), "array right"),
        ("right", lambda a: np.zeros_like(a), "array right"),
        ("right", lambda a: np.full_like(a, len(a)), "array right"),
        ("right", lambda a: np.where(a > 0, a - a.min() - 5, a), "array right"),
        ("start", lambda a: a + 1, "array start"),
        ("start", lambda a: a[::-1].copy(), "array start"),
        ("start", lambda a: np.zeros_like(a), "array start"),
        ("start", lambda a: np.where(a == a.max(), 1 << 40, a), "array start"),
        ("start", lambda a: np.array([0, 2**63 - 1, -(2**63), -1, 1]), "array start"),
        ("path", lambda a: a - 1, "array path"),
        ("unit", lambda a: -a, "array path"),
    ],
)
def test_trees_that_lead_astray_are_refused(key, change, text):
    """No walk leaves its tree, reads beyond a row, or goes round for ever."""
    detector = fit(rows_of(100), trees=5)
    arrays = detector.arrays()
    changed = change(arrays[key]).astype(arrays[key].dtype)
    with pytest.raises(ArtifactError) as refused:
        Iforest.from_arrays(detector.parameters, 13, arrays | {key: changed})

    assert str(refused.value).startswith(text)


def chain(n_inner):
    """A tree that is all left children: so many steps down, one leaf a step."""
    n_nodes = 2 * n_inner + 1
    feature = np.full(n_nodes, -1, np.int32)
    feature[:n_inner] = 0
    right = np.zeros(n_nodes, np.int32)
    right[:n_inner] = np.arange(n_inner + 1, n_nodes)
    return {
        "start": np.zeros(1, np.int64),
        "feature": feature,
        "threshold": np.zeros(n_nodes, np.float32),
        "right": right,
        "path": np.zeros(n_nodes),
        "unit": np.ones(1),
        "usual.median": np.zeros(1, np.float32),
        "usual.words": np.zeros(1),
    }


@pytest.mark.parametrize(
    ("n_inner", "sample_rows", "text"),
    [
        (3, 8, ""),
        (4, 8, "array right: a way of more than 3 steps"),
        (4, 9, ""),
        (1, 2, ""),
        (8, 8, "array start: a tree of 17 nodes: want at most 15 of 8 rows"),
    ],
)
def test_trees_that_no_sample_grows_are_refused(n_inner, sample_rows, text):
    """At most 2n - 1 nodes, and no way longer than the logarithm of n, of n rows."""
    parameters = IforestParameters(trees=1, sample_rows=sample_rows)
    if not text:
        assert Iforest.from_arrays(parameters, 1, chain(n_inner)).n_columns == 1
        return
    with pytest.raises(ArtifactError) as refused:
        Iforest.from_arrays(parameters, 1, chain(n_inner))

    assert str(refused.value).startswith(text)


@pytest.mark.parametrize("sample_rows", [2, 3, 33, 256])
def test_trees_that_were_grown_are_within_the_bounds(sample_rows):
    """Also of samples that the rows do not fill."""
    detector = fit(rows_of(100), trees=5, sample_rows=sample_rows)

    assert Iforest.from_arrays(detector.parameters, 13, detector.arrays()).n_columns == 13

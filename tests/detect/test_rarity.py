"""Cells and the tree over them: against twins that count, and what is refused."""

import math

import numpy as np
import pytest

from tapwatch.detect.detectors.cells import fit_cells
from tapwatch.detect.detectors.rarity import Rarity, RarityParameters
from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.errors import ArtifactError
from tests.detect import made
from tests.detect import naive_rarity as naive

HEIGHT = 3.5


def fit(rows, **parameters):
    return Rarity.fit(rows, rows[:0], RarityParameters(**parameters), seed=0)


def linked(n_rows, seed=0):
    """Four plain inputs, two of them linked, then a class of three words that follows the first.

    A column that is constant stands among them; nothing in training has another word.
    """
    random = np.random.default_rng(seed)
    rows = np.zeros((n_rows, 8), np.float32)
    first = random.integers(0, 3, n_rows)
    rows[:, 0] = first - 1.0
    rows[:, 1] = random.normal(size=n_rows)
    rows[:, 2] = rows[:, 1] + 0.1 * random.normal(size=n_rows)
    rows[np.arange(n_rows), 4 + np.where(random.random(n_rows) < 0.9, first, 2)] = HEIGHT
    return rows


def codes_by_hand(detector, rows):
    """Cells of the variables of `linked` rows, one row after the other."""
    arrays = detector.arrays()
    edges = np.split(arrays["edges"], np.cumsum(arrays["n_edges"])[:-1])
    plain = [
        naive.cell(value, edges[k].tolist()) for row in rows for k, value in enumerate(row[:4])
    ]
    return [
        [*plain[4 * k : 4 * k + 4], naive.word(row[4:].tolist(), HEIGHT)]
        for k, row in enumerate(rows)
    ]


def test_words_of_a_class_are_one_variable():
    """Inputs of a class, the one for all others too, go together; plain inputs stay alone."""
    cells = fit_cells(linked(200), 8)

    assert cells.variable_of.tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert cells.n_edges.tolist()[4] == 0
    assert cells.n_cells.tolist()[4] == 5


@pytest.mark.parametrize("method", ["log_z", "z", "min_max"])
def test_classes_are_found_behind_every_scaling(method):
    """Whatever the preprocessing, and where plain columns are 0 or 1 too."""
    schema = made.schema(
        6, c02={"categories": ("a", "b", "c", "d")}, c04={"categories": ("x", "y", "z")}
    )
    values = made.with_classes(made.benign(300, 6), schema)
    values[:, 3] = np.arange(300) % 2
    height = 1.0 if method == "min_max" else None
    preprocess, _ = fit_preprocess(
        values, schema, schema.names, method=method, watch_constants=True, class_height=height
    )
    cells = fit_cells(preprocess.apply(values), 8)
    n_inputs = np.bincount(cells.variable_of)

    assert n_inputs.tolist() == [1, 1, 1, 1, 4, 3]
    assert (cells.n_edges > 0).tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize("height", [1.0, 1e-5, 300.0])
def test_plain_inputs_that_took_turns_are_never_ordinary_together(height):
    """Two columns of 0 and 1, one or the other in training: both, none, half, five, or below 0."""
    is_first = np.arange(400) % 2
    rows = (np.stack([is_first, 1 - is_first], 1) * height).astype(np.float32)
    detector = fit(rows)
    seen = detector.score(rows)
    odd = [(1, 1), (0, 0), (0.5, 0), (5, 0), (0, 5), (1, 0.5), (1, -1), (-1, 0), (1.1, 0)]

    assert detector.score((np.array(odd) * height).astype(np.float32)).min() > seen.max() + 2
    # Another machine's logarithm may end in another digit.
    nearly = rows * np.float32(1 + 1e-7)
    assert detector.score(nearly).tobytes() == seen.tobytes()


def test_a_cell_is_between_two_edges_or_outside():
    """Few values: one cell each, and nothing else shares it; what lies outside is a cell apart."""
    column = np.repeat(np.float32([-1, 0, 0.5, 4]), 10)[:, None]
    cells = fit_cells(column, 8)
    probe = np.float32([-9, -1.1, -1, -0.6, 0, 0.1, 0.5, 2, 4, 4.1, 9])

    assert cells.sort(probe[:, None])[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 5]
    assert cells.values(np.arange(6)[None])[1:5, 0].tolist() == [-1, 0, 0.5, 4]


def test_many_values_share_cells_evenly_but_for_the_tails():
    """No cell holds much more than its share of the rows, the outer ones hold none."""
    column = np.random.default_rng(3).normal(size=(5000, 1)).astype(np.float32)
    cells = fit_cells(column, 10)
    counts = np.bincount(cells.sort(column)[0], minlength=cells.n_cells[0])

    assert counts[0] == counts[-1] == 0
    assert counts.max() <= 505
    assert 4 <= counts[1] <= 6  # the furthest thousandth


def test_the_tree_says_as_much_as_a_tree_can():
    """Sum of mutual information along the tree: the best that any tree over the columns has."""
    for seed in range(6):
        random = np.random.default_rng(seed)
        rows = random.integers(0, 3, (60, 4))
        for k in range(1, 4):
            copied = random.random(60) < 0.3 * k
            rows[copied, k] = rows[copied, random.integers(0, k)]
        detector = fit(rows.astype(np.float32))
        parent = detector.arrays()["parent"]
        columns = rows.T.tolist()
        along = [naive.information(columns[p], columns[k]) for k, p in enumerate(parent) if p >= 0]

        assert (parent < 0).sum() == 1
        assert len(along) == 3
        assert math.fsum(along) == pytest.approx(naive.best_tree(columns))


@pytest.mark.parametrize("trust", [1.0, 7.5])
def test_the_error_is_what_counting_gives(trust):
    """Seen rows, odd combinations, values outside, words never seen: the same negative logarithm.

    So are the shares: half of what a pair costs beyond its second half is the first one's.
    """
    training = linked(300)
    detector = fit(training, cells=6, trust=trust)
    rows = np.concatenate([linked(40, 5), np.random.default_rng(6).permuted(linked(40), axis=0)])
    rows[:10, 1] = 77.0
    rows[10:20, 4:] = 0.0
    rows[20:25, 3] = -5.0
    rows[:, 4:] = np.where(rows[:, 4:] > 0, HEIGHT, 0)
    rows[25:27, 4:6] = HEIGHT
    rows[27:29, 4:] *= 2
    rows[29:31, 4] = -HEIGHT
    arrays = detector.arrays()
    parent, n_cells = arrays["parent"].tolist(), [*(arrays["n_edges"][:4] + 1).tolist(), 5]
    seen = codes_by_hand(detector, training)
    at = [0, 1, 2, 3, 4]
    errors, parts = [], np.zeros((len(rows), 8))
    for n, row in enumerate(codes_by_hand(detector, rows)):
        by_hand = naive.costs(row, seen, n_cells, parent, trust)
        errors.append(math.fsum(cost for cost, _ in by_hand))
        for k, (cost, alone) in enumerate(by_hand):
            beyond = max(cost - alone, 0.0) if parent[k] >= 0 else 0.0
            parts[n, at[k]] += cost - beyond / 2
            parts[n, at[parent[k]]] += beyond / 2

    np.testing.assert_allclose(detector.score(rows), errors, rtol=1e-12)
    share = parts / parts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(detector.contributions(rows), share, atol=1e-12)


def test_an_odd_combination_of_ordinary_values_is_odd():
    """A word with the value that others have: seldom together, common apart."""
    rows = linked(2000)
    detector = fit(rows)
    odd = rows[rows[:, 4] > 0][:50].copy()
    odd[:, 0] = 1.0

    assert detector.score(odd).min() > np.quantile(detector.score(rows), 0.95)


def test_what_is_expected_is_the_likeliest_given_the_rest():
    """The word that goes with the value, at its height; every other word 0."""
    rows = linked(2000)
    detector = fit(rows)
    odd = rows[:100].copy()
    odd[:, 4:] = 0
    odd[np.arange(100), 4 + (odd[:, 0] + 2).astype(int) % 3] = HEIGHT
    expected = detector.expected(odd)
    value = detector.expected(rows)[:, 0]
    word = detector.expected(rows)[:, 4:]

    assert ((expected[:, 4:] == 0) | (expected[:, 4:] == np.float32(HEIGHT))).all()
    assert set(np.unique(value)) <= {-1.0, 0.0, 1.0}
    assert (word.sum(axis=1) == np.float32(HEIGHT)).all()


@pytest.mark.parametrize(
    ("key", "place", "value", "text"),
    [
        ("parent", 0, 5, "array parent: want -1 to 4"),
        ("parent", 1, -2, "array parent: want -1 to 4"),
        ("n_edges", 4, 2, "array n_edges: want none of classes"),
        ("n_edges", 0, -1, "array n_edges: want none of classes"),
        ("n_edges", 0, 1 << 21, "array n_edges: want none of classes"),
        ("variable_of", 0, 1, "array variable_of: want numbers that rise"),
        ("variable_of", 7, 6, "array variable_of: want numbers that rise"),
        ("edges", 0, 1e6, "array edges: want ascending"),
        ("cost", 3, -0.5, "array cost: "),
        ("alone", 3, -0.5, "array alone: "),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(key, place, value, text):
    """Whoever wrote them: no read outside of an array, no error below 0."""
    detector = fit(linked(200))
    arrays = {name: array.copy() for name, array in detector.arrays().items()}
    arrays[key][place] = value

    with pytest.raises(ArtifactError) as refusal:
        Rarity.from_arrays(detector.parameters, 8, arrays)
    assert str(refusal.value).startswith(text)

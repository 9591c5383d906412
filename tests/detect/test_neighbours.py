"""The memory of neighbours: against the plain search, and what it keeps."""

import numpy as np

from tapwatch.detect.detectors import neighbours
from tapwatch.detect.detectors.layers import forward
from tapwatch.detect.detectors.neighbours import Neighbours, NeighboursParameters
from tests.detect import made


def fit(rows, seed=0, **parameters):
    return Neighbours.fit(rows, rows[:0], NeighboursParameters(**parameters), seed=seed)


def test_the_error_is_the_distance_from_the_nearest_row_kept():
    """Every row in memory is looked at, in as many blocks as there are."""
    rows, probe = made.preprocessed(700), made.preprocessed(600, seed=1)
    detector = fit(rows, references=300)
    memory = detector.arrays()["references"].astype(np.float64)
    for n, row in enumerate(probe.astype(np.float64)):
        squared = ((memory - row) ** 2).mean(axis=1)
        nearest = memory[squared.argmin()]

        np.testing.assert_allclose(detector.score(probe[n : n + 1]), squared.min() ** 0.5)
        np.testing.assert_array_equal(detector.expected(probe[n : n + 1])[0], nearest)


def test_the_share_of_a_column_is_its_part_of_the_distance():
    """Squares sum up over columns."""
    rows, probe = made.preprocessed(200), made.preprocessed(50, seed=1)
    detector = fit(rows)
    squared = (probe.astype(np.float64) - detector.expected(probe)) ** 2

    share = detector.contributions(probe)
    np.testing.assert_allclose(share, squared / squared.sum(axis=1, keepdims=True), atol=1e-6)


def test_what_is_kept_lies_at_no_distance():
    """Fewer rows than there is room for: all are kept, each once, in their order."""
    rows = made.preprocessed(90)
    detector = fit(rows, references=4096)

    assert np.array_equal(detector.arrays()["references"], rows)
    assert (detector.score(rows) == 0).all()


def test_rare_kinds_are_kept_beside_common_ones():
    """Of 20,000 rows of one kind and 40 of others, a balanced memory has nearly all of the 40."""
    random = np.random.default_rng(4)
    common = random.normal(scale=0.05, size=(20_000, 5))
    rare = 3.0 * np.arange(1, 41)[:, None] + random.normal(scale=0.05, size=(40, 5))
    rows = random.permutation(np.concatenate([common, rare])).astype(np.float32)
    kept = {balance: fit(rows, references=200, balance=balance) for balance in (0.0, 1.0)}
    n_rare = {
        balance: int((detector.arrays()["references"][:, 0] > 2).sum())
        for balance, detector in kept.items()
    }

    assert n_rare[1.0] >= 36
    assert n_rare[0.0] <= 4


def test_distances_that_are_held_at_once_are_bounded(monkeypatch):
    """A large memory takes fewer rows at once, and gives the same."""
    rows, probe = made.preprocessed(700), made.preprocessed(300, seed=1)
    detector = fit(rows, references=300)
    score, held = detector.score(probe), []

    def watched(block, *layers):
        farness = forward(block, *layers)
        held.append(farness.numel())
        return farness

    monkeypatch.setattr(neighbours, "forward", watched)
    monkeypatch.setattr(neighbours, "_DISTANCES", 300 * 40)

    assert detector.score(probe).tobytes() == score.tobytes()
    assert max(held) == 300 * 40
    monkeypatch.setattr(neighbours, "_DISTANCES", 1)
    assert detector.score(probe).tobytes() == score.tobytes()

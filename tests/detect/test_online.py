"""Learning while scoring: in blocks from the first row, from what was not flagged."""

from itertools import pairwise

import numpy as np
import pytest

from tapwatch.detect import Scorer, load_bundle
from tapwatch.detect.detector import OnlineDetector, Parameters
from tapwatch.detect.online import Learner
from tests.detect import made

SCHEMA = made.schema()


class Counting(OnlineDetector):
    """Scores a row by its value plus 100 for each block that was learnt; keeps what it learns."""

    name = "counting"
    parameters_type = Parameters
    block_rows = 10

    def __init__(self):
        self.parameters, self.n_columns, self.learnt = Parameters(), 1, []

    def copy(self):
        return Counting()

    def learn(self, rows):
        self.learnt.append(rows[:, 0].tolist())

    def _score(self, rows):
        return rows[:, 0].astype(float) + 100 * len(self.learnt)

    fit = from_arrays = arrays = _contributions = _expected = None


Counting.__abstractmethods__ = frozenset()


def carry(learner, values, sizes, max_rows=1 << 20, line=np.inf):
    """Scores of values, given in batches; those above the line are not to be learnt."""
    scores = []
    borders = np.cumsum([0, *sizes])
    for first, last in pairwise(borders):
        batch = values[first:last, None]
        for part in learner.parts(len(batch), max_rows):
            scores.append(learner.detector.score(batch[part]))
            learner.take(batch[part], scores[-1] % 100 < line)
    return np.concatenate(scores).tolist()


@pytest.mark.parametrize(
    ("sizes", "max_rows"),
    [([35], 1 << 20), ([35], 3), ([1] * 35, 7), ([9, 1, 1, 24], 10), ([10, 20, 5], 11)],
)
def test_a_block_is_scored_by_what_came_before_it(sizes, max_rows):
    """Rows 0-9 by nothing, 10-19 by one block, and so on; the rest of a block is not learnt."""
    detector = Counting()
    learner = Learner(detector, may_learn=True)
    values = np.arange(35, dtype=np.float32)

    assert carry(learner, values, sizes, max_rows) == [v + 100 * (v // 10) for v in range(35)]
    assert learner.detector.learnt == [list(map(float, range(k, k + 10))) for k in (0, 10, 20)]
    assert (learner.learnt_rows, learner.is_frozen) == (30, False)
    assert detector.learnt == []


def test_what_is_flagged_or_no_number_is_not_learnt():
    """A block of nothing else teaches nothing; places in blocks are counted all the same."""
    values = np.array([1, 99, 2, 3, np.nan, 98, 4, 5, 6, 7, *[90] * 10, *range(10)], np.float32)
    learner = Learner(Counting(), may_learn=True)
    carry(learner, values, [30], line=50)

    assert learner.detector.learnt == [[1, 2, 3, 4, 5, 6, 7], list(range(10))]
    assert learner.learnt_rows == 17


def test_what_is_frozen_stays():
    """Also a detector that cannot learn."""
    detector = Counting()
    learner = Learner(detector, may_learn=False)
    scores = carry(learner, np.arange(35, dtype=np.float32), [35], 8)

    assert scores == list(range(35))
    assert (learner.learnt_rows, learner.is_frozen) == (0, True)
    assert learner.detector is detector


@pytest.fixture(scope="module", params=["kitnet", "hst"])
def bundle(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("online") / "office"
    made.train(path, SCHEMA, detector=request.param)
    return load_bundle(path, {"flow": SCHEMA})


@pytest.fixture(scope="module")
def mixed():
    """Benign rows with a strange one every 50."""
    values = made.benign(1600, seed=5)
    values[::50] *= np.random.default_rng(1).choice([-30, 30], (32, 12)).astype(np.float32)
    return values


def told(scores):
    fields = ("error", "p_value", "flagged", "observed", "expected", "share")
    return {name: np.concatenate([getattr(s, name) for s in scores]).tobytes() for name in fields}


def test_what_is_learnt_does_not_depend_on_batches(bundle, mixed):
    """Verdicts and reasons too, which are those of what scored the row."""
    batch = made.batch(mixed, SCHEMA)
    whole = [Scorer(bundle, 1 << 20).score(batch)]
    for max_rows, step in ((1, 1600), (64, 1600), (1024, 37), (100, 256)):
        scorer = Scorer(bundle, max_rows)
        parts = [
            scorer.score(made.batch(mixed[k : k + step], SCHEMA)) for k in range(0, 1600, step)
        ]

        assert told(parts) == told(whole)
    assert whole[0].flagged.any()


def test_learning_shows_in_scores_and_counts_and_leaves_the_bundle(bundle, mixed):
    """A frozen scorer gives what the bundle's detector gives, before and after another learnt."""
    before = bundle.detector.score(bundle.preprocess.apply(mixed))
    scorer, frozen = Scorer(bundle), Scorer(bundle, learn=False)
    learnt, still = (s.score(made.batch(mixed, SCHEMA)) for s in (scorer, frozen))
    counts, none = ({t.name: [*t.values.values()] for t in s.tallies()} for s in (scorer, frozen))

    n_learnt = int((~learnt.flagged[:1536]).sum())
    told_of = ("learnt_rows_total", "model_frozen")
    assert [counts[name] for name in told_of] == [[n_learnt], [0]]
    assert [none[name] for name in told_of] == [[0], [1]]
    assert learnt.error[:256].tolist() == still.error[:256].tolist()
    assert learnt.error.tolist() != still.error.tolist()
    np.testing.assert_allclose(still.error, before, rtol=1e-5)
    assert bundle.detector.score(bundle.preprocess.apply(mixed)).tobytes() == before.tobytes()

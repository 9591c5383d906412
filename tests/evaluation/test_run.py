"""Seeds times contenders: what is fitted, and what is shown to whom."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tapwatch.detect.significance import significant
from tapwatch.errors import ConfigError, TapwatchError
from tapwatch.evaluation.metrics import merits_of
from tapwatch.evaluation.run import LATENT_ROWS, contend, run, single_thread
from tapwatch.evaluation.thresholds import top_share
from tests.evaluation.measured import OWN, ROBUST, Distance, context, protocol, split_of


def test_every_seed_and_contender_is_run_and_told(files):
    """Rows, seeds and fits are said; the figures are those of the outcomes."""
    heard = context(protocol(ROBUST, OWN), files)

    results = run(heard)

    [section] = results.sections
    assert [(o.contender, o.seed) for o in section.outcomes] == [
        *(("floor", 0), ("floor", 1)),
        *(("own", 0), ("own", 1)),
    ]
    assert [what for what, _ in heard.talk.begun] == [
        "1/4 main: floor, seed 0",
        "2/4 main: own, seed 0",
        "3/4 main: floor, seed 1",
        "4/4 main: own, seed 1",
    ]
    said = "main: 96 rows to learn from, 24 to calibrate, 100 to test, 40 of them anomalies (40.0%)"
    assert said in heard.talk.notes
    split = section.split
    for row in section.rows:
        for seed, outcome in enumerate(o for o in section.outcomes if o.contender == row.name):
            flags = outcome.score > outcome.threshold
            assert np.array_equal(outcome.flagged, flags)
            labels = (split.is_anomaly, split.classes, split.novel)
            for name, value in merits_of(outcome.score, flags, *labels).items():
                assert row.merits[name].values[seed] == value
    assert section.rows[1].merits["novel_recall"].values


@pytest.mark.parametrize(
    ("sees", "has_test", "has_labels"),
    [
        ("nothing", False, False),
        ("test scores", True, False),
        ("test labels", True, True),
    ],
)
def test_a_threshold_is_shown_what_its_section_says_and_no_more(files, sees, has_test, has_labels):
    """Of contenders and of floors alike."""
    shown = []

    def rule(evidence):
        shown.append(evidence)
        return float(np.median(evidence.calibration))

    run(context(protocol(OWN, threshold=rule, threshold_sees=sees), files, seeds=(0,)))

    assert len(shown) > 5
    assert all((evidence.test is not None) is has_test for evidence in shown)
    assert all((evidence.is_anomaly is not None) is has_labels for evidence in shown)


def test_a_model_of_ones_own_sees_training_rows_alone(files):
    """At most as many as its contender says; its codes are kept of the first seed only."""
    few = replace(OWN, max_rows=10)
    seen = []

    def make(split, seed, epoch):
        seen.append(Distance(split, seed, epoch))
        return seen[-1]

    [section] = run(context(protocol(replace(few, make=make)), files)).sections

    assert [(model.n_train, model.seed) for model in seen] == [(10, 0), (10, 1)]
    first, second = section.outcomes
    assert np.array_equal(first.latent, section.split.test[first.latent_rows][:, :2])
    assert len(first.latent_rows) <= LATENT_ROWS
    assert len(first.train_score) == 10
    assert second.latent is None
    assert [epoch.number for epoch in first.epochs] == [1]


def test_scores_are_those_of_a_bundle(files):
    """To six significant digits, of training rows in their order."""
    made = protocol(ROBUST)
    [section] = run(context(made, files, seeds=(0,))).sections

    [outcome] = section.outcomes

    assert np.array_equal(outcome.score, significant(outcome.score))
    again = contend(ROBUST, made.sections[0], section.split, 0)
    assert np.array_equal(again.train_score, outcome.train_score)
    assert len(outcome.train_score) == len(section.split.train)


def test_detectors_can_be_picked_by_name_or_kind(files):
    """Both name a contender; nobody of that name is an error that says who there is."""
    made = protocol(ROBUST, OWN)

    for word, name in (("robust_z", "floor"), ("own", "own")):
        [section] = run(context(made, files, (word,), (0,))).sections
        assert [row.name for row in section.rows] == [name]
    with pytest.raises(ConfigError, match=r'--detector = .none.: want one of "floor", "own"'):
        run(context(made, files, ("own", "none")))


def test_a_score_that_is_no_number_ends_the_run(files):
    """A table with it would be wrong."""

    class Broken(Distance):
        def score(self, values):
            return np.full(len(values), np.nan)

    with pytest.raises(TapwatchError, match="are NaN or infinite"):
        run(context(protocol(replace(OWN, make=Broken)), files))


@pytest.mark.parametrize("empty", ["train", "test"])
def test_a_split_without_rows_is_refused(files, empty):
    """Naming what is missing."""

    def without(tables, seed):
        split = split_of(tables, seed)
        return replace(split, **{empty: getattr(split, empty)[:0]})

    made = protocol(OWN)
    section = replace(made.sections[0], split=without)

    with pytest.raises(ConfigError, match=f"{empty} rows = 0: want at least 1 row in section"):
        run(context(replace(made, sections=(section,)), files))


def test_threads_are_given_back():
    """One inside, as before outside, however it ends."""
    before = torch.get_num_threads()

    def fail():
        with single_thread():
            inside.append(torch.get_num_threads())
            raise ValueError("x")

    inside = []
    with pytest.raises(ValueError, match="x"):
        fail()

    assert inside == [1]
    assert torch.get_num_threads() == before


class Steps(Distance):
    """Scores of a few values, so that many rows tie at the threshold."""

    def score(self, values):
        return np.floor(super().score(values) / 5000)


def test_what_ties_with_the_threshold_is_not_flagged(files):
    """Above it means above it."""
    made = protocol(replace(OWN, make=Steps), threshold=lambda evidence: 1.0)

    [section] = run(context(made, files, seeds=(0,))).sections

    [outcome] = section.outcomes
    assert 0 < np.count_nonzero(outcome.score == 1.0) < len(outcome.score)
    assert not outcome.flagged[outcome.score == 1.0].any()
    assert outcome.flagged[outcome.score > 1.0].all()


def test_an_oracle_knows_how_many(files):
    """A rule on the test's scores flags just the share that it says."""
    made = protocol(OWN, threshold=top_share(0.4), threshold_sees="test scores")

    [section] = run(context(made, files, seeds=(0,))).sections

    assert section.outcomes[0].flagged.mean() == pytest.approx(0.4, abs=0.01)

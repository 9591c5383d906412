"""The scorer: verdicts, reasons and counts, the same in batches of any size."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tapwatch.detect import Scorer, load_bundle, scorer
from tapwatch.detect.judge import Event, Judge
from tapwatch.detect.scorer import ERROR_EDGES, RATIO_EDGES
from tapwatch.errors import ArtifactError
from tests.detect import made, naive

SCHEMA = made.schema()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("scorer") / "office"
    made.train(path, SCHEMA, epochs=4)
    return load_bundle(path, {"flow": SCHEMA})


@pytest.fixture(scope="module")
def mixed():
    """Benign rows with a strange one every 50."""
    values = made.benign(2011, seed=5)
    values[::50] *= np.random.default_rng(1).choice([-30, 30], (41, 12)).astype(np.float32)
    return values


def counts(scorer):
    return {tally.name: tally for tally in scorer.tallies()}


def plain(scores):
    """Everything about scores that must not depend on batches."""
    fields = ("error", "p_value", "flagged", "observed", "expected", "share", "rows")
    return {name: getattr(scores, name).tobytes() for name in fields}


def test_flags_what_is_above_the_threshold_and_explains_only_that(bundle, mixed):
    """Six digits, counted p-values, one row of reasons for each flagged row."""
    scores = Scorer(bundle).score(made.batch(mixed, SCHEMA))
    n_flagged = int(scores.flagged.sum())

    assert scores.error.tolist() == [naive.six_digits(x) for x in scores.error]
    assert scores.flagged.tolist() == [x > bundle.threshold for x in scores.error]
    assert 0 < n_flagged < 100
    assert scores.flagged[::50].mean() > 0.5
    assert scores.observed.shape == scores.expected.shape == scores.share.shape
    assert scores.share.shape == (n_flagged, len(scores.columns))
    assert (scores.view, scores.detector, scores.bundle) == ("flow", "ae", "office")
    kept = [SCHEMA.names.index(name) for name in scores.columns]
    np.testing.assert_array_equal(scores.observed, mixed[scores.flagged][:, kept])


def test_the_judge_knows_the_highest_error_and_is_heard(bundle, mixed, monkeypatch):
    """What it tells of a threshold comes with the scores, with all that it warns of."""
    monkeypatch.setattr(type(bundle.detector), "most_error", 7.0)
    given = []
    monkeypatch.setattr(scorer, "Judge", lambda *args: given.append(args) or Judge(*args))
    made_of = Scorer(bundle)
    made_of._judge.events.append(Event(9, "recalibration", "moved", 1.0, 2.0, 2.0, ("rare",)))
    (drift,) = made_of.score(made.batch(mixed, SCHEMA)).drifts

    assert given[0][3] == 7.0
    assert (drift.row, drift.what, drift.after, drift.warnings) == (8, "moved", 2.0, ("rare",))


def test_a_row_is_flagged_above_the_threshold_and_not_at_it(bundle, mixed):
    """With the threshold at one row's error: that row is not, all higher ones are."""
    error = Scorer(bundle).score(made.batch(mixed, SCHEMA)).error
    line = float(np.sort(error)[1500])
    threshold = bundle.manifest.threshold.model_copy(update={"value": line})
    moved = replace(bundle, manifest=bundle.manifest.model_copy(update={"threshold": threshold}))
    scores = Scorer(moved, 64).score(made.batch(mixed, SCHEMA))

    assert scores.flagged.tolist() == (error > line).tolist()
    assert scores.flagged.sum() == 2011 - 1501
    assert scores.share.shape[0] == 2011 - 1501


def test_p_values_are_counted(bundle, mixed):
    """Also of the calibration rows themselves, whose errors tie with their own."""
    calibration = Scorer(bundle).score(made.batch(made.benign(400, seed=1), SCHEMA))
    errors = calibration.error.tolist()
    strange = Scorer(bundle).score(made.batch(mixed[::50], SCHEMA))

    for scores in (calibration, strange):
        by_hand = [naive.p_value(error, errors) for error in scores.error]
        assert scores.p_value.tolist() == by_hand


@pytest.mark.parametrize("max_rows", [1, 7, 8, 64, 100, 1024, 4096])
def test_scores_do_not_depend_on_max_rows(bundle, mixed, max_rows):
    """Every array, bit for bit."""
    whole = Scorer(bundle, max_rows=1 << 20).score(made.batch(mixed, SCHEMA))
    scores = Scorer(bundle, max_rows=max_rows).score(made.batch(mixed, SCHEMA))

    assert plain(scores) == plain(whole)


def test_scores_do_not_depend_on_how_rows_arrive(bundle, mixed):
    """One batch, or many of odd sizes: the same rows get the same verdicts and reasons."""
    whole = Scorer(bundle).score(made.batch(mixed, SCHEMA))
    scorer, borders = Scorer(bundle, 64), [0, 1, 2, 5, 70, 71, 200, 777, 1500, 2011]
    batch = made.batch(mixed, SCHEMA)
    parts = [
        scorer.score(replace(batch, values=mixed[a:b], rows=batch.rows[a:b]))
        for a, b in pairwise(borders)
    ]

    for name in ("error", "p_value", "flagged", "observed", "expected", "share"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tobytes() == getattr(whole, name).tobytes()


def test_counts_are_what_counting_gives(bundle, mixed):
    """Histograms against a naive count, over two batches; labels are view, detector, bundle."""
    scorer = Scorer(bundle, 64)
    scores = [scorer.score(made.batch(part, SCHEMA)) for part in (mixed[:300], mixed[300:])]
    error = np.concatenate([part.error for part in scores]).tolist()
    share = np.concatenate([part.share for part in scores])
    tallies, labels = counts(scorer), ("flow", "ae", "office")

    assert tallies["scored_rows_total"].values == {labels: len(mixed)}
    assert tallies["nonfinite_scores_total"].values == {labels: 0}
    assert tallies["threshold"].values == {labels: bundle.threshold}
    for name, values, edges in (
        ("reconstruction_error", error, ERROR_EDGES),
        (
            "error_threshold_ratio",
            [naive.six_digits(x / bundle.threshold) for x in error],
            RATIO_EDGES,
        ),
    ):
        histogram = tallies[name].values[labels]
        assert histogram.edges == edges
        assert histogram.counts.tolist() == naive.histogram(values, edges)
        assert histogram.total == pytest.approx(sum(values))
    reasons = tallies["contribution_rows_total"].values
    tops = [bundle.preprocess.columns[k] for k in share.argmax(axis=1)]
    assert reasons == {(*labels, c): tops.count(c) for c in bundle.preprocess.columns}
    assert tallies["model_info"].values == {(*labels, bundle.digest[:8]): 1.0}


def test_all_label_combinations_are_there_from_the_start(bundle):
    """So that rates and alert rules see a 0 before the first event."""
    before, scorer = counts(Scorer(bundle)), Scorer(bundle)
    scorer.score(made.batch(made.benign(100), SCHEMA))

    assert {n: set(t.values) for n, t in before.items()} == {
        n: set(t.values) for n, t in counts(scorer).items()
    }


def test_a_value_on_an_edge_counts_below_it():
    """As `le` of Prometheus has it; the edges are short text and ascend."""
    assert ERROR_EDGES[0] == 1e-4
    assert ERROR_EDGES[1] == 0.000178
    assert ERROR_EDGES[-1] == 100.0
    assert len(ERROR_EDGES) == 25
    assert (RATIO_EDGES[0], RATIO_EDGES[-1]) == (0.1, 100.0)
    assert 1.0 in RATIO_EDGES
    assert naive.histogram([0.1, 100.0, 101.0], RATIO_EDGES)[0] == 1


def test_tallies_are_a_copy(bundle):
    """What has been read does not change under the reader."""
    scorer = Scorer(bundle)
    before = counts(scorer)["reconstruction_error"].values
    scorer.score(made.batch(made.benign(10), SCHEMA))

    assert next(iter(before.values())).counts.sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_counted_and_never_flagged(bundle, mixed, bad, monkeypatch):
    """It has p-value 1, stays out of the histograms, and does not touch other rows."""
    good = Scorer(bundle).score(made.batch(mixed, SCHEMA))
    score = type(bundle.detector).score

    def broken(self, rows):
        error = score(self, rows)
        error[:1] = bad
        return error

    monkeypatch.setattr(type(bundle.detector), "score", broken)
    scorer = Scorer(bundle, 1024)
    scores = scorer.score(made.batch(mixed, SCHEMA))
    hit = np.arange(len(mixed)) % 1024 == 0

    assert not scores.flagged[hit].any()
    assert (scores.p_value[hit] == 1).all()
    assert not np.isfinite(scores.error[hit]).any()
    np.testing.assert_array_equal(scores.error[~hit], good.error[~hit])
    np.testing.assert_array_equal(scores.flagged[~hit], good.flagged[~hit])
    tallies, labels = counts(scorer), ("flow", "ae", "office")
    assert tallies["nonfinite_scores_total"].values[labels] == 2
    assert tallies["scored_rows_total"].values[labels] == 2011
    assert tallies["reconstruction_error"].values[labels].counts.sum() == 2009


def test_extreme_values_still_have_a_score(bundle):
    """The ends of float32 are clipped by the preprocessing, flagged, and told in finite numbers."""
    values = made.benign(20)
    values[3], values[7] = np.finfo(np.float32).max, np.finfo(np.float32).min
    scores = Scorer(bundle).score(made.batch(values, SCHEMA))

    assert np.isfinite(scores.error).all()
    assert scores.flagged[[3, 7]].all()
    assert np.isfinite(scores.expected).all()
    assert np.isfinite(scores.observed).all()


def test_no_rows_are_ordinary(bundle):
    """An empty batch gives empty scores."""
    scores = Scorer(bundle).score(made.batch(made.benign(0), SCHEMA))

    assert len(scores.error) == len(scores.flagged) == len(scores.p_value) == 0
    assert scores.share.shape == scores.observed.shape == (0, len(scores.columns))


def test_rows_of_another_schema_are_refused(bundle):
    """Even when they have as many columns."""
    other = made.schema(version=2)
    with pytest.raises(ArtifactError, match=r"bundle office: rows of flow/2:.*: want flow/1:"):
        Scorer(bundle).score(made.batch(made.benign(5), other))


def test_an_injected_anomaly_of_one_column_has_it_first(tmp_path):
    """In at least 95 of 100 rows; what is expected is nearer to the truth than what was seen."""
    made.train(tmp_path / "b", SCHEMA, n_rows=3000, epochs=4)
    scorer = Scorer(load_bundle(tmp_path / "b", {"flow": SCHEMA}))
    truth = made.benign(11 * 40, seed=8)
    values = truth.copy()
    columns = [k for k in range(12) if k != 5]
    injected = np.tile(columns, 40)
    # Far out on the side where the value is not.
    jump = -1e5 * np.where(truth[np.arange(440), injected] < 0, -1, 1)
    values[np.arange(440), injected] = jump
    scores = scorer.score(made.batch(values, SCHEMA))
    flagged = np.flatnonzero(scores.flagged)
    tops = [scores.columns[k] for k in scores.share.argmax(axis=1)]
    hits = [top == SCHEMA.names[injected[row]] for top, row in zip(tops, flagged, strict=True)]

    assert len(flagged) > 400
    assert np.mean(hits) >= 0.95
    at = [scores.columns.index(SCHEMA.names[injected[row]]) for row in flagged]
    told = scores.expected[np.arange(len(flagged)), at]
    assert (np.abs(told) < 1e5).all()


def test_a_watched_constant_that_changes_has_the_largest_share(tmp_path):
    """Whichever way and however little it changes; what is expected is what was always there."""
    made.train(tmp_path / "b", SCHEMA, watch_constants=True)
    loaded = load_bundle(tmp_path / "b", {"flow": SCHEMA})
    values = made.benign(40, seed=8)
    values[::2, 5] = np.resize(np.array([6, 8, 0, -7, 1e9, 7.01], np.float32), 20)
    scores = Scorer(loaded).score(made.batch(values, SCHEMA))
    changed = np.flatnonzero(scores.flagged) % 2 == 0
    place = scores.columns.index("c05")

    assert loaded.manifest.preprocess.constant == ["c05"]
    assert loaded.manifest.preprocess.columns == list(SCHEMA.names)
    assert scores.flagged[::2].all()
    assert (scores.share[changed].argmax(axis=1) == place).all()
    assert (scores.expected[:, place] == 7).all()
    assert scores.observed[changed, place].tolist() == values[::2, 5].tolist()


def test_importing_the_room_loads_no_torch():
    """Commands that do not score do not wait for it."""
    code = "import sys, tapwatch.detect; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"


def test_rows_of_an_export_are_reduced_before_they_are_scored(tmp_path):
    """What no export gives stands as absent, in the score and in the reasons; the rest stays."""
    changes = {f"c{k:02}": {"export": ("*",)} for k in range(0, 12, 2)}
    changes["c03"] = {"absent": -1.0}
    schema = made.schema(**changes)
    made.train(tmp_path / "listed", schema, rows="wireshark_export", budget=3599.0)
    bundle = load_bundle(tmp_path / "listed", {"flow": schema})
    batch = made.batch(made.benign(64, seed=3) + 9, schema)
    reduced = batch.values.copy()
    reduced[:, 1::2] = 0
    reduced[:, 3] = -1
    live, told = Scorer(bundle).score(batch), Scorer(bundle).score(made.batch(reduced, schema))

    assert live.flagged.any()
    assert plain(live) == plain(told)
    kept = [schema.names.index(name) for name in live.columns]
    np.testing.assert_array_equal(live.observed, reduced[live.flagged][:, kept])

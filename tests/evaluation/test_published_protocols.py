"""Published protocols: who learns, who tests, where the line is."""

import numpy as np
import pytest

from tapwatch.detect.registry import DETECTORS
from tapwatch.evaluation.metrics import decision
from tapwatch.evaluation.protocol import Evidence, Labelled, Outcome, Tables
from tapwatch.evaluation.protocols import dagmm, goad, seed_000, seed_001, seed_003, seed_004
from tapwatch.evaluation.results import SectionResults
from tapwatch.evaluation.run import contend
from tapwatch.features import schema_of
from tapwatch.training.fit import split_settings
from tests.evaluation import kdd_like

PROTOCOLS = [module.PROTOCOL for module in (dagmm, goad, seed_001, seed_004)]
SECTIONS = [
    *dagmm.PROTOCOL.sections,
    *goad.PROTOCOL.sections,
    *seed_000.PROTOCOL.sections,
    *seed_001.PROTOCOL.sections,
    *seed_003.PROTOCOL.sections,
    seed_004.MAIN,
]


def numbered(labels, schema):
    """Rows that hold their own number in every plain column, so that each can be told."""
    values = np.zeros((len(labels), len(schema.names)), np.float32)
    values[:] = np.arange(len(labels))[:, None]
    for k, column in enumerate(schema.columns):
        if column.categories:
            values[:, k] = 0
    return Tables(Labelled(values, np.array(labels), np.arange(len(labels)), schema))


def kdd(n_normal=200, n_attack=800):
    return numbered(["normal"] * n_normal + ["smurf"] * n_attack, kdd_like.SCHEMA)


def places(values):
    return values[:, 0].astype(int)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.name)
def test_every_contender_has_settings_that_its_detector_takes(section):
    """Misspelt parameters would be seen only after minutes."""
    assert len({contender.name for contender in section.contenders}) == len(section.contenders)
    for contender in section.contenders:
        assert contender.detector in DETECTORS
        if contender.make is None:
            split_settings(contender.detector, dict(contender.settings))


def test_dagmm_learns_from_attacks_of_one_half_and_tests_with_the_other():
    """No row is in both; normal rows of the first half choose the floor's column only."""
    tables = kdd()
    split = dagmm.MAIN.split(tables, 3)
    train, test = set(places(split.train)), set(places(split.test))
    normal = set(range(200))

    assert len(test) == 500
    assert not train & test
    assert not train & normal
    assert train | test | normal == set(range(1000))
    assert split.is_anomaly.tolist() == [place in normal for place in places(split.test)]
    assert split.choose[1].tolist() == [place in normal for place in places(split.choose[0])]
    assert {*places(split.choose[0])} == set(range(1000)) - test
    assert not np.array_equal(split.test, dagmm.MAIN.split(tables, 4).test)


def test_dagmm_flags_a_fifth_of_the_test():
    """Whatever the labels are."""
    scores = np.random.default_rng(0).normal(size=1000)
    line = dagmm.MAIN.threshold(Evidence(np.zeros(1), np.zeros(0), scores, None, 0))

    assert np.count_nonzero(scores > line) == 200


def test_goad_has_both_orientations():
    """KDD: all normal rows are anomalies of the test. KDD-Rev: half as many attacks as normals."""
    forth, back = (section.split(kdd(), 1) for section in goad.PROTOCOL.sections)
    normal = set(range(200))

    assert sorted(places(forth.test)[forth.is_anomaly]) == sorted(normal)
    assert len(forth.train) == 400
    assert np.count_nonzero(~forth.is_anomaly) == 400
    assert not set(places(forth.train)) & set(places(forth.test))
    assert set(places(back.train)) < normal
    assert (len(back.train), np.count_nonzero(~back.is_anomaly)) == (100, 100)
    assert np.count_nonzero(back.is_anomaly) == 50
    assert not set(places(back.train)) & set(places(back.test))
    assert not set(places(back.test)[back.is_anomaly]) & normal


def test_goad_flags_as_many_rows_as_there_are_anomalies():
    """So precision is recall, however good the scores are."""
    random = np.random.default_rng(0)
    truth = random.random(1000) < 0.3
    scores = random.normal(size=1000) + truth
    line = goad.KDD.threshold(Evidence(np.zeros(1), np.zeros(0), scores, truth, 0))
    merits = decision(scores > line, truth)

    assert merits["precision"] == pytest.approx(merits["recall"], abs=0.01)


@pytest.fixture
def few_rows(monkeypatch):
    """Protocol seed-001 in small."""
    monkeypatch.setattr(seed_001, "TRAIN_ROWS", 3000)
    monkeypatch.setattr(seed_001, "REDRAWS", 3)


def test_seed_001_draws_batches_with_exact_shares(few_rows):
    """5 % attacks where the threshold comes from, 10 % in the test; no row twice in a batch."""
    tables = kdd(1500, 300)
    split = seed_001.LITERAL.split(tables, 0)
    batches = [places(split.calibration).reshape(3, 1000), places(split.test).reshape(3, 1000)]
    for rows, n_outliers in zip(batches, (50, 100), strict=True):
        for batch in rows:
            assert len(set(batch)) == 1000
            assert np.count_nonzero(batch >= 1500) == n_outliers
    assert np.array_equal(split.is_anomaly, places(split.test) >= 1500)
    assert len(split.train) == 3000
    assert places(split.train).max() < 1500
    # With replacement: of 1,500 rows drawn 3,000 times 1 - e^-2 are expected, 1,297.
    assert 1200 < len(set(places(split.train))) < 1400
    assert split.columns == seed_001.COLUMNS
    assert len(set(seed_001.COLUMNS) & set(kdd_like.SCHEMA.names)) == 18


def test_seed_001_keeps_rows_apart_where_it_says_so(few_rows):
    """Literally the tested rows were learnt from; apart none was."""
    tables = kdd(2000, 300)
    for section, is_shared in ((seed_001.LITERAL, True), (seed_001.APART, False)):
        split = section.split(tables, 0)
        tested = set(places(split.test)) | set(places(split.calibration))
        assert bool(set(places(split.train)) & tested) == is_shared


def test_seed_001_judges_each_batch_by_its_own_threshold(few_rows, monkeypatch):
    """Two batches on scales a thousand times apart: each by itself is found without an error."""
    monkeypatch.setattr(seed_001, "REDRAWS", 2)
    split = seed_001.LITERAL.split(kdd(1500, 300), 0)
    scale = np.repeat([1.0, 1000.0], 1000)
    truth = split.is_anomaly
    score = scale * (1 + 9 * truth)
    calibration = scale * np.tile(np.r_[np.ones(949), np.full(51, 5.0)], 2)
    merits = seed_001.redraws(split, outcome(score, calibration, np.zeros(1), 0.0))

    assert merits == {"f1_redraws": 1.0, "f1_p5": 1.0, "f1_p95": 1.0}
    score[1000:][truth[1000:]] = 0  # the second batch finds nothing
    merits = seed_001.redraws(split, outcome(score, calibration, np.zeros(1), 0.0))
    assert merits["f1_redraws"] == pytest.approx(0.5)
    assert merits["f1_p5"] == pytest.approx(0.05)


def outcome(score, calibration, train, threshold, name="x"):
    return Outcome(
        contender=name,
        seed=0,
        score=score,
        calibration_score=calibration,
        train_score=train,
        threshold=threshold,
        flagged=score > threshold,
        latent=None,
        latent_rows=np.zeros(0, np.int64),
        epochs=(),
        parameters={},
        cpu_s=0.0,
    )


def test_seed_000_tells_the_quantile_itself_beside_its_threshold():
    """An attack and a normal row lie between the two: the attack is missed at 1.5 times it."""
    split = seed_000.PROTOCOL.sections[0].split(kdd(10, 4), 0)
    assert split.is_anomaly.tolist() == [False, False, True, True]
    told = seed_000.at_the_quantile(
        split, outcome(np.array([0.1, 1.2, 2, 1.1]), np.zeros(0), np.zeros(1), 1.5)
    )
    assert told == {
        "precision_q99": pytest.approx(2 / 3),
        "recall_q99": 1.0,
        "f1_q99": pytest.approx(0.8),
    }


def test_seed_000_takes_the_first_attacks_of_the_file_literally_and_any_when_corrected():
    """Normal rows are the same in both: the first 80 % learn, the others test."""
    literal, corrected = (one.split(kdd(50, 400), 0) for one in seed_000.PROTOCOL.sections)

    for split in (literal, corrected):
        assert places(split.train).tolist() == list(range(40))
        assert places(split.test)[:10].tolist() == list(range(40, 50))
        assert split.is_anomaly.tolist() == [False] * 10 + [True] * 10
    assert places(literal.test)[10:].tolist() == list(range(50, 60))
    assert len(set(places(corrected.test)[10:])) == 10
    assert places(corrected.test).max() > 100


def test_seed_000_scales_with_rows_of_the_test_literally(monkeypatch):
    """0 is the least of all rows and 1 the largest, which only the test has."""
    monkeypatch.setitem(seed_000._VAE, "epochs", 1)
    section = seed_000.PROTOCOL.sections[0]
    split = section.split(kdd(50, 400), 0)
    contender = section.contenders[0]
    model = contender.make(split, 0, lambda _: None)
    train, test = (model._preprocess.apply(rows) for rows in (split.train, split.test))

    assert test.max() == 1.0
    assert train.min() == 0.0
    assert train.max() == pytest.approx(39 / 59)
    settings, parameters = split_settings("vae", dict(contender.settings))
    assert (settings.scaling, settings.clip, settings.class_height) == ("min_max", 1e6, 1.0)
    assert model._detector.parameters == parameters
    assert parameters.beta == 1 / 64


def flows(n_benign=300, n_attack=60):
    """Flow rows with labels as CIC spells them; attacks are larger in every column."""
    schema = schema_of("flow")
    random = np.random.default_rng(0)
    labels = np.array(["Benign"] * n_benign + ["Bot"] * n_attack)
    values = random.lognormal(size=(len(labels), len(schema.names))).astype(np.float32)
    values[n_benign:] *= 50
    return Tables(Labelled(values, labels, np.arange(len(labels)), schema))


def test_seed_004_learns_from_two_thirds_of_the_benign_rows():
    """The rest and all attacks test; large tables are sampled."""
    split = seed_004.MAIN.split(flows(), 0)

    assert (len(split.train), np.count_nonzero(~split.is_anomaly)) == (198, 102)
    assert np.count_nonzero(split.is_anomaly) == 60
    assert set(split.classes) == {"normal", "Bot"}
    n = seed_004.LEAST_ROWS
    assert len(seed_004._sampled(np.arange(n + 7))) == n
    assert len(seed_004._sampled(np.arange(200 * n))) == 2 * n


@pytest.mark.parametrize("contender", seed_004.CONTENDERS, ids=lambda c: c.name)
def test_seed_004_draws_the_line_where_scikit_learn_does(contender):
    """Flagged is what predict calls -1."""
    split = seed_004.MAIN.split(flows(), 0)
    machine = contender.make(split, 0, lambda _: None)
    outside = machine.estimator.predict(machine.inputs(split.test)) == -1
    told = contend(contender, seed_004.MAIN, split, 0)

    assert np.array_equal(told.flagged, outside)
    assert (machine.preprocess is None) == ("as it is" in contender.name)
    if machine.preprocess is None:
        assert np.array_equal(machine.inputs(split.test), split.test)
    assert seed_004.errors(split, told) == {
        "train_fpr": pytest.approx(
            (machine.estimator.predict(machine.inputs(split.train)) == -1).mean()
        ),
        "benign_fpr": pytest.approx(outside[~split.is_anomaly].mean()),
        "miss_rate": pytest.approx(1 - outside[split.is_anomaly].mean()),
    }


def test_seed_004_tells_errors_as_the_notebook_counts_them():
    """Rows on the wrong side of all rows: of training, of benign ones, of attacks."""
    split = seed_004.MAIN.split(flows(10, 4), 0)
    contender = seed_004.CONTENDERS[0]
    score = np.where(split.is_anomaly, [1.0, -1.0] * 4, -1.0)
    score[np.flatnonzero(~split.is_anomaly)[0]] = 2.0
    train = np.array([3.0, 3.0, -1.0, -1.0, -1.0, -1.0])
    told = outcome(score, np.zeros(0), train, 0.0, contender.name)
    results = SectionResults(seed_004.MAIN, split, (), (), {}, (contender,), (told,))
    (table,) = seed_004.MAIN.tables(results)

    assert table.rows == (("ocsvm, as it is", "2/6", "1/4", "2/4"),)


def test_protocols_bear_their_names():
    """As the command line has them."""
    assert [p.name for p in PROTOCOLS] == ["dagmm", "goad", "seed-001", "seed-004"]
    assert all(protocol.n_seeds >= 5 for protocol in PROTOCOLS)

"""Seeds times contenders: what is fitted, what is shown to whom, and that it is the same again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tapwatch.config import Config
from tapwatch.detect.detector import Epoch
from tapwatch.detect.significance import significant
from tapwatch.errors import ConfigError, SinkError, TapwatchError
from tapwatch.evaluation.console import render
from tapwatch.evaluation.metrics import merits_of
from tapwatch.evaluation.output import as_document, as_text, write
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    Figure,
    Inputs,
    Needs,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
    TextTable,
)
from tapwatch.evaluation.protocols import NAMES, protocol_of
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.run import LATENT_ROWS, contend, run, single_thread
from tapwatch.evaluation.splits import train_on_normals
from tapwatch.evaluation.thresholds import conformal, quantile, top_share
from tapwatch.training.fit import split_settings
from tests.evaluation import kdd_like

STATEMENT = Statement(*["."] * 7)
TRAIN = {"normal": 120, "neptune": 40, "satan": 20}
TEST = {"normal": 60, "neptune": 20, "satan": 10, "mscan": 10}


class Heard:
    """Remembers what it was told."""

    def __init__(self):
        self.notes, self.begun, self.outcomes = [], [], []

    def note(self, text):
        self.notes.append(text)

    def begin(self, what, of):
        self.begun.append((what, of))

    def epoch(self, epoch):
        pass

    def done(self, outcome):
        self.outcomes.append(outcome)


class Distance:
    """A model of a protocol's own: distance from the mean of the training rows."""

    def __init__(self, split, seed, epoch):
        epoch(Epoch(1, 1, 0.5, 0.5, True))
        self.middle = split.train.mean(axis=0)
        self.n_train = len(split.train)
        self.seed = seed

    def score(self, values):
        return ((values - self.middle) ** 2).sum(axis=1).astype(np.float64)

    def latent(self, values):
        return values[:, :2]


def split_of(tables, seed):
    """Normal rows learn."""
    return train_on_normals(tables.train, tables.test, seed)


def protocol(*contenders, **changes):
    """A protocol of one section."""
    usual = {"threshold": conformal(0.05)}
    section = Section("main", STATEMENT, split_of, contenders, **{**usual, **changes})
    return Protocol("made", "Made", Needs(train="a file", test="a file"), (section,), n_seeds=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A training file and a test file."""
    folder = tmp_path_factory.mktemp("files")
    return Inputs(
        train=(kdd_like.write(folder / "train", TRAIN),),
        test=(kdd_like.write(folder / "test.gz", TEST, 1),),
    )


def context(made, files, only=(), seeds=(0, 1)):
    """What a run needs."""
    return Context(made, files, seeds, only, Heard(), Config())


ROBUST = Contender("floor", "robust_z")
OWN = Contender("own", "distance", {"k": 3}, make=Distance)


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


def test_two_runs_write_the_same_bytes(files, tmp_path):
    """No time, no order of a set, no thread shows."""
    made = protocol(ROBUST, Contender("net", "ae", {"epochs": 1, "hidden": (8,)}))

    for name in ("a", "b"):
        write_results = run(context(made, files))
        write(write_results, tmp_path / name)

    first, second = ((tmp_path / n / "results.json").read_bytes() for n in ("a", "b"))
    assert first == second
    assert b"cpu" not in first


def test_the_document_has_what_a_reader_needs(files):
    """Statement, files, seeds, rows with mean and deviation, floor and audit."""
    told = json.loads(as_text(run(context(protocol(ROBUST, OWN), files))))

    assert (told["protocol"], told["schema"], told["seeds"]) == ("made", 1, [0, 1])
    assert list(told["statement"]["main"]) == list(Statement.__dataclass_fields__)
    assert [(f["name"], f["rows"], f["used_for"]) for f in told["data"]] == [
        ("train", 180, "train"),
        ("test.gz", 100, "test"),
    ]
    names = {"auc", "ap", "tpr_at_1pct", "tpr_at_01pct", "precision", "recall", "f1", "fpr"}
    for row in told["rows"] + told["floor"]:
        assert names <= set(row)
        assert set(row["auc"]) == {"mean", "sd", "median", "values"}
        assert set(row["per_class"]) == {"dos", "probe"}
    assert [row["detector"] for row in told["rows"]] == ["floor", "own"]
    assert all(isinstance(row["beats_floor"], bool) for row in told["rows"])
    assert told["rows"][1]["settings"] == {"k": 3}
    assert told["rows"][0]["settings"]["scaling"] == "log_z"
    assert "best column" in [row["floor"] for row in told["floor"]]
    assert told["audit"]["main"]["anomalies"] == 40


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
    with pytest.raises(ConfigError, match="--detector = 'none': want one of floor, own"):
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


def test_a_protocol_may_have_figures_and_tables_of_its_own(files):
    """Extra figures of merit are summed up over the seeds, tables stand in the document."""
    made = protocol(
        OWN,
        extra=lambda split, outcome: {"seed_twice": 2.0 * outcome.seed},
        tables=lambda results: [TextTable("t", "T", ("a", "b"), ((1, 0.123456789),))],
    )

    document = as_document(run(context(made, files)))

    assert document["rows"][0]["extra"]["seed_twice"]["values"] == [0, 2]
    [table] = document["tables"]
    assert (table["name"], table["rows"]) == ("t", [[1, 0.123457]])


def test_a_protocol_may_run_itself(files):
    """Where rows and labels do not fit it."""

    def itself(given):
        facts = {"n": np.int64(3), "x": float("nan")}
        figure = Figure("f", "F", lambda canvas: None)
        return Results(given.protocol, (), given.seeds, facts=facts, figures=(figure,))

    made = Protocol("made", "Made", Needs(), run=itself)

    assert as_document(run(context(made, files)))["facts"] == {"n": 3, "x": None}


def test_sections_may_depend_on_the_files(files):
    """A protocol chooses them when the files are read."""
    made = protocol(OWN)
    section = made.sections[0]

    def choose(tables):
        return (replace(section, name=f"of {len(tables.test)}"),)

    results = run(context(replace(made, sections=(), choose=choose), files, seeds=(0,)))

    assert [s.section.name for s in results.sections] == ["of 100"]


def test_the_table_marks_who_is_below_the_floor(files, capsys):
    """With the statement above it and the audit below."""
    from rich.console import Console

    bad = replace(OWN, name="bad", make=lambda *given: Backwards(*given))
    results = run(context(protocol(bad, threshold=quantile(0.9)), files))

    render(results, Console(width=200))

    printed = capsys.readouterr().out
    [line] = [line for line in printed.splitlines() if line.strip().startswith("bad")][:1]
    assert "below the floor" in line
    assert "best column" in printed
    assert "seeds: 0, 1; mean ± sd over them" in printed


class Backwards(Distance):
    """As bad as can be."""

    def score(self, values):
        return -super().score(values)


def test_a_folder_that_cannot_be_made_is_said(files, tmp_path):
    """With the path."""
    (tmp_path / "file").write_text("")
    results = run(context(protocol(OWN), files, seeds=(0,)))

    with pytest.raises(SinkError, match=r"results.json: could not be written"):
        write(results, tmp_path / "file")


def test_a_floor_tells_what_each_seed_noted(files):
    """How many seeds chose which column; one note of all seeds stands alone."""

    def another(tables, seed):
        split = split_of(tables, seed)
        values = split.test.copy()
        values[:, split.schema.names.index("src_bytes")] = split.is_anomaly != (seed > 0)
        return replace(split, test=values)

    made = protocol(OWN)
    section = replace(made.sections[0], split=another)

    [results] = run(context(replace(made, sections=(section,)), files, seeds=(0, 1, 2))).sections

    notes = {row.name: row.note for row in results.floor}
    told = "chosen on the test rows"
    assert notes["best column"] == f"-src_bytes, {told} (2 of 3); src_bytes, {told} (1 of 3)"
    assert notes["unseen row"] == "1 where no training row is the same"


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


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_says_what_it_is(name):
    """Title, wants and statements; names are told apart; settings are ones that detectors take."""
    made = protocol_of(name)

    assert (made.name, bool(made.title), made.n_seeds >= 5) == (name, True, True)
    assert made.sections or made.choose or made.run
    for section in made.sections or (made.choose(Tables(None)) if made.choose else ()):
        assert all(getattr(section.statement, key) for key in Statement.__dataclass_fields__)
        names = [contender.name for contender in section.contenders]
        assert len(names) == len(set(names)) > 0
        for contender in section.contenders:
            if contender.make is None:
                split_settings(contender.detector, dict(contender.settings))


def test_a_protocol_that_there_is_not_is_refused():
    """The message names those that there are."""
    with pytest.raises(ConfigError, match="PROTOCOL = 'x': want one of seed-000, seed-001"):
        protocol_of("x")


def test_splits_hold_what_they_say():
    """The records have defaults for all that a usual protocol does not need."""
    rows = np.zeros((1, 2), np.float32)
    nothing = np.zeros(1, np.bool_)

    split = Split(rows, rows, rows, None, nothing, np.array(["normal"]), nothing)

    assert (split.columns, split.choose, split.rates, dict(split.facts)) == ((), None, None, {})

"""What a protocol says and makes: its document, its tables and figures, its folder."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tapwatch.errors import ConfigError, SinkError
from tapwatch.evaluation.console import render
from tapwatch.evaluation.output import as_document, as_text, write
from tapwatch.evaluation.protocol import (
    Contender,
    Figure,
    Needs,
    Protocol,
    Split,
    Statement,
    Tables,
    TextTable,
)
from tapwatch.evaluation.protocols import NAMES, protocol_of
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.run import run
from tapwatch.evaluation.thresholds import quantile
from tapwatch.training.fit import split_settings
from tests.evaluation.measured import OWN, ROBUST, Distance, context, protocol, split_of


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

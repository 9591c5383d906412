"""Promised against realised rates: which rows are benign, in which order, and what is said."""

import json

import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.errors import ConfigError
from tapwatch.evaluation.console import render
from tapwatch.evaluation.output import as_text
from tapwatch.evaluation.protocol import Context, Inputs, Labelled, Statement
from tapwatch.evaluation.protocols import calibration
from tapwatch.evaluation.report.page import as_html
from tapwatch.evaluation.run import run
from tests.evaluation import kdd_like


class Silent:
    """Is told, and says nothing."""

    def note(self, text):
        pass

    def begin(self, what, of):
        pass

    def epoch(self, epoch):
        pass

    def done(self, outcome):
        pass


def table(labels, times):
    """Rows that hold their own number."""
    values = np.zeros((len(labels), len(kdd_like.SCHEMA.names)), np.float32)
    values[:] = np.arange(len(labels))[:, None]
    return Labelled(values, np.array(labels), np.array(times, np.int64), kdd_like.SCHEMA)


def test_benign_rows_are_those_that_say_so_in_the_order_of_time():
    """Rows of one moment keep their order; a row without a label among others is not benign."""
    made = table(["normal", "smurf", "BENIGN", "normal", "", "benign"], [5, 0, 3, 3, 1, 9])

    benign = calibration.benign_of(made)

    assert benign.values[:, 0].tolist() == [2, 3, 0, 5]
    assert benign.time_ns.tolist() == [3, 3, 5, 9]


def test_rows_are_all_benign_only_where_none_has_a_label():
    """As those of captures; a table of attacks has no benign row."""
    assert len(calibration.benign_of(table([""] * 3, [2, 1, 0]))) == 3
    assert calibration.benign_of(table([""] * 3, [2, 1, 0])).values[:, 0].tolist() == [2, 1, 0]
    assert len(calibration.benign_of(table(["smurf", "", "satan"], [0, 1, 2]))) == 0


@pytest.mark.parametrize("is_shuffled", [True, False])
def test_no_row_learns_calibrates_or_is_held_out_twice(is_shuffled):
    """Three tenths learn, half of the others calibrates, the rest is held out."""
    learn, others = calibration.learnt_of(1000, 3, is_shuffled=is_shuffled)
    splits = calibration.halves(others.astype(float), 3, 5 * is_shuffled)

    assert len(splits) == (5 if is_shuffled else 1)
    for calibrate, held in splits:
        assert (len(learn), len(calibrate), len(held)) == (300, 350, 350)
        assert sorted([*learn, *calibrate, *held]) == list(range(1000))
        assert ([*learn, *calibrate, *held] == list(range(1000))) is not is_shuffled
    assert len({tuple(held) for _, held in splits}) == len(splits)


def test_the_spread_by_chance_is_that_of_counted_ranks():
    """Of 3,000 draws of a threshold by rank and of rows above it."""
    random, risk = np.random.default_rng(0), 0.02
    rates = [
        np.mean(random.random(400) > np.partition(random.random(500), 490)[490])
        for _ in range(3000)
    ]

    assert np.std(rates) == pytest.approx(calibration.chance_of(risk, 500, 400), rel=0.1)


def test_a_table_of_attacks_is_refused(tmp_path):
    """Its rows are not taken for benign ones."""
    path = kdd_like.write(tmp_path / "x", {"smurf": 1200})

    with pytest.raises(ConfigError, match="--train = '0 benign rows': want 1,000 or more"):
        run(context(path))


def context(path, detector="robust_z"):
    """What a run of one cheap detector needs."""
    inputs = Inputs(train=(path,), view="kdd")
    return Context(calibration.PROTOCOL, inputs, (0, 1), (detector,), Silent(), Config())


def test_a_model_of_sequences_is_refused_before_anything_is_read(tmp_path):
    """There is no such file."""
    with pytest.raises(ConfigError, match="--detector = 'lstm_ae': want one that takes single"):
        run(context(tmp_path / "absent", "lstm_ae"))


def test_a_stream_is_judged_by_the_calibration_rows_alone():
    """Held-out errors of twice the scale are flagged too often, and followed before they drift."""
    random = np.random.default_rng(0)
    calibrate, test = random.lognormal(sigma=0.7, size=(2, 20_000)) * [[1.0], [2.0]]
    flagged, _, _ = calibration._stream(calibrate, test, 1e-2, "dspot", 0)

    assert flagged[:1024].mean() > 0.05
    assert flagged[10_000:20_000].mean() < 0.03
    assert flagged[20_000:22_000].mean() > 0.05


def test_a_recalibration_moves_within_the_rows_promised():
    """From the alarm on, which comes a while after the drift."""
    errors = np.random.default_rng(0).lognormal(sigma=0.7, size=20_000)
    flagged, alarm, moved = calibration._stream(errors, errors, 1e-2, "recalibrate", 0)

    assert flagged[20_000:22_000].mean() > 0.05
    assert flagged[-40_000:].mean() < 0.015
    assert 0 < alarm < 3000
    assert 8192 <= moved <= 2 * (8192 + 256)


def test_a_stream_that_stands_still_has_no_move():
    """Of a policy that only watches; its alarm is that of the drift."""
    errors = np.random.default_rng(0).lognormal(sigma=0.7, size=20_000)
    flagged, alarm, moved = calibration._stream(errors, errors, 1e-2, "watch", 0)

    assert (moved, 0 < alarm < 3000) == (0, True)
    assert flagged[-40_000:].mean() > 0.05


def test_rates_after_the_drift_are_those_of_its_first_and_of_the_last_rows(monkeypatch):
    """What lies between is no part of either; rows to the alarm and to the move are the most."""
    flagged = np.zeros(100_000, np.bool_)
    flagged[20_000:21_000] = flagged[-30_000:] = True
    told = iter([(flagged, 700, 9000), (flagged, 900, 8000)] * 6)
    monkeypatch.setattr(calibration, "_stream", lambda *_: next(told))
    held = [(np.arange(1.0, 1001.0), np.ones(9))] * 2
    rows, _ = calibration._recoveries("ae", held)

    assert rows[1] == ("ae", "recalibrate", 0.01, 0.5, 0.75, 75.0, 900, 9000, 2 * (8192 + 256))
    assert rows[0][-3:] == (900, None, None)
    assert rows[4][-1] == 2 * (10_000 + 256)


def test_recovery_is_looked_at_once_for_each_seed(tmp_path, monkeypatch):
    """By the first halves of its own rows, in random order."""
    given = []
    monkeypatch.setattr(calibration, "_rates", lambda *_: [])
    monkeypatch.setattr(calibration, "_recoveries", lambda _, held: given.extend(held) or ([], {}))
    monkeypatch.setattr(
        calibration,
        "errors_of",
        lambda _table, _detector, seed, *, is_shuffled: np.full(8, seed + 10.0 * is_shuffled),
    )
    run(context(kdd_like.write(tmp_path / "x", {"normal": 1000})))

    assert [{*calibrate, *test} for calibrate, test in given] == [{10.0}, {11.0}]


def test_what_is_stated_stands_before_the_figures(tmp_path, monkeypatch, capsys):
    """In the JSON, on the console and in the report; whether a rate is near is yes or no."""
    from rich.console import Console

    monkeypatch.setattr(calibration, "_DRIFT_RISKS", (1e-2,))
    monkeypatch.setattr(calibration, "_HALVINGS", 3)
    for name, n_rows in (("_BEFORE", 4000), ("_AFTER", 8000), ("_AT_LAST", 3000)):
        monkeypatch.setattr(calibration, name, n_rows)
    results = run(context(kdd_like.write(tmp_path / "x", {"normal": 1000})))

    document = json.loads(as_text(results))
    render(results, Console(width=160))

    assert list(document["statement"]["calibration"]) == list(Statement.__dataclass_fields__)
    printed = capsys.readouterr().out
    page = as_html(results)
    for text in (
        "30% of the benign rows learn, half of the others calibrates",
        "Benign rows alone",
    ):
        assert text in printed.replace("\n", " ")
        assert text in page
    rates, recovery = document["tables"]
    held = {row[1]: row[4] for row in rates["rows"]}
    assert held == {"shuffled": 2 * 3 * 350, "in order of time": 2 * 350}
    assert rates["headings"][-1] == "within a factor of 1.5"
    assert {type(row[-1]) for row in rates["rows"]} == {bool}
    assert "rate of the last 3,000 rows" in recovery["headings"]

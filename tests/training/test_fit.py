"""From inputs to a bundle: reproducible, recorded, calibrated on rows that were not learnt."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tapwatch.detect import Scorer, load_bundle
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.tables import ROW, FeatureBatch
from tapwatch.training.fit import choose_columns, split_settings, train
from tapwatch.training.order import Listener, Order
from tests.training import made

TIME = "2024-01-02T03:04:05Z"


@pytest.fixture
def order(tmp_path):
    """400 rows, one every 10 seconds: 66 minutes."""
    return Order(
        inputs=[made.parquet(tmp_path / "rows.parquet")],
        view="flow",
        detector="ae",
        output=tmp_path / "out" / "office",
        time=TIME,
        settings={"epochs": "2"},
        budget_per_hour=60.0,
    )


def errors_of(bundle, values):
    rows = np.zeros(len(values), ROW)
    return Scorer(bundle).score(FeatureBatch(made.SCHEMA, values.astype(np.float32), rows)).error


@pytest.mark.parametrize("detector", ["ae", "deep_ae"])
def test_two_trainings_give_the_same_bytes(order, tmp_path, detector):
    """Same inputs, seed and time, another place; another seed gives another model."""
    order = replace(order, detector=detector)
    train(order)
    train(replace(order, output=tmp_path / "again" / "office"))
    train(replace(order, output=tmp_path / "seed" / "office", seed=1))

    for name in ("bundle.json", "model.safetensors"):
        first = (order.output / name).read_bytes()
        assert (tmp_path / "again" / "office" / name).read_bytes() == first
        assert (tmp_path / "seed" / "office" / name).read_bytes() != first


def test_the_record_says_what_was_done(order):
    """Inputs by content, rows, columns watched or left out and why, seed, time, versions."""
    manifest = train(replace(order, drop=[made.SCHEMA.names[0]], seed=7))
    written = json.loads((order.output / "bundle.json").read_text())

    assert written == json.loads(manifest.to_bytes())
    assert manifest.name == "office"
    assert manifest.preprocess.constant == list(made.SCHEMA.names[-2:])
    assert manifest.preprocess.dropped == [made.SCHEMA.names[0]]
    assert manifest.preprocess.columns == list(made.SCHEMA.names[1:])
    training = manifest.training
    assert [(part.name, part.used_for) for part in training.inputs] == [
        ("rows.parquet", "training")
    ]
    assert (training.rows_seen, training.rows, training.validation_rows) == (400, 288, 32)
    assert (training.seed, training.time, training.epochs) == (7, TIME, 2)
    assert set(training.versions) == {"tapwatch", "torch", "numpy"}
    assert manifest.quality.floor is None
    assert manifest.detector.parameters["epochs"] == 2


def test_constants_may_be_dropped(order):
    """They are named all the same, and are not among what the operator dropped."""
    settings = {"epochs": "1", "constants": "drop"}
    manifest = train(replace(order, drop=[made.SCHEMA.names[0]], settings=settings))

    assert manifest.preprocess.constant == list(made.SCHEMA.names[-2:])
    assert manifest.preprocess.columns == list(made.SCHEMA.names[1:-2])
    assert manifest.preprocess.dropped == [made.SCHEMA.names[0]]


def test_a_column_that_never_varied_is_an_alarm_when_it_does(order):
    """It is 1 in all training rows; 2 makes the error jump by the clip in that column."""
    train(order)
    bundle = load_bundle(order.output, SCHEMAS)
    benign = made.values(400)[320:]
    strange = benign.copy()
    strange[:, -1] = 2
    rows = [bundle.preprocess.apply(part.astype(np.float32))[:, -1] for part in (benign, strange)]

    assert (rows[0] == 0).all()
    # The last column is a class: a word that training did not show changes two inputs at once, so
    # that each has its share of the clip.
    assert rows[1] == pytest.approx(5 / 2**0.5)
    assert (errors_of(bundle, strange) > errors_of(bundle, benign)).mean() > 0.95


def test_the_last_fifth_in_time_calibrates(order):
    """80 rows, 79 gaps of 10 s; their errors by the scorer are those of the record."""
    manifest = train(order)
    bundle = load_bundle(order.output, SCHEMAS)
    errors = errors_of(bundle, made.values(400)[320:])
    threshold = manifest.threshold

    assert (threshold.calibration_rows, bundle.calibration.n) == (80, 80)
    assert threshold.calibration_hours == pytest.approx(790 / 3600)
    assert bundle.calibration.error.tolist() == sorted(set(errors.tolist()))
    # 60 of 364.6 rows an hour: alpha = .1646, k = int(.1646 * 81) = 13: 12 may lie above.
    assert threshold.alpha == pytest.approx(60 / (80 * 3600 / 790))
    assert (errors > threshold.value).sum() == manifest.quality.calibration_flagged_rows == 12
    assert manifest.quality.calibration_error_max == errors.max()


def test_rows_of_a_calibration_input_are_not_learnt(order, tmp_path):
    """With it, all training rows train, and the calibration rows are others."""
    held = made.parquet(tmp_path / "held.parquet", 250, seed=1)
    manifest = train(replace(order, calibration_inputs=[held]))
    bundle = load_bundle(order.output, SCHEMAS)
    errors = errors_of(bundle, made.values(250, seed=1))

    assert manifest.training.rows + manifest.training.validation_rows == 400
    assert manifest.threshold.calibration_rows == 250
    assert manifest.threshold.calibration_hours == pytest.approx(2490 / 3600)
    assert bundle.calibration.error.tolist() == sorted(set(errors.tolist()))
    assert [part.used_for for part in manifest.training.inputs] == ["training", "calibration"]


def test_time_between_calibration_inputs_is_not_counted(order, tmp_path):
    """Two hours of rows from two days are two hours."""
    held = [
        made.parquet(tmp_path / f"{day}.parquet", 361, seed=day, start_s=86_400 * day)
        for day in (1, 2)
    ]
    manifest = train(replace(order, calibration_inputs=held))

    assert manifest.threshold.calibration_hours == pytest.approx(2.0)


def test_a_sample_of_many_rows_knows_the_rate_of_all(order):
    """The rate of rows is that of the input, however few of them are kept."""
    manifest = train(replace(order, settings={"epochs": "1", "max_rows": "100"}))

    assert manifest.training.rows_seen == 400
    assert manifest.training.rows + manifest.training.validation_rows == 80
    assert manifest.threshold.calibration_rows == 20
    assert manifest.threshold.rows_per_hour == pytest.approx(360, rel=0.3)


@pytest.mark.parametrize("detector", ["hst", "rarity"])
def test_a_budget_that_is_too_rare_leaves_rows_to_be_flagged(order, detector):
    """Where a detector has a highest error, the line is below it, whatever `beyond` says."""
    settings = {"beyond": "100"} | ({"trees": "5", "height": "5"} if detector == "hst" else {})
    train(replace(order, detector=detector, settings=settings, budget_per_hour=1e-3))
    bundle = load_bundle(order.output, SCHEMAS)

    assert bundle.calibration.error[-1] < bundle.threshold < bundle.detector.most_error
    assert "the highest that there can be" in bundle.manifest.threshold.warnings[0]


def test_settings_reach_the_bundle(order):
    """Scaling, clip, rule, factor and widths are those that were set."""
    settings = {
        "epochs": "1",
        "scaling": "min_max",
        "clip": "2.5",
        "threshold": "quantile",
        "factor": "1.5",
        "hidden": ["9", "4"],
    }
    manifest = train(replace(order, settings=settings))
    bundle = load_bundle(order.output, SCHEMAS)

    assert (manifest.preprocess.method, manifest.preprocess.clip) == ("min_max", 2.5)
    assert (manifest.threshold.method, manifest.threshold.factor) == ("quantile", 1.5)
    assert bundle.detector.arrays()["layer1.weight"].shape == (4, 9)
    errors = errors_of(bundle, made.values(400)[320:])
    quantile = np.quantile(errors, 1 - manifest.threshold.alpha, method="weibull")
    assert np.isclose(quantile * 1.5, manifest.threshold.value, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"view": "flaw"}, "view = 'flaw': want one of packet, flow"),
        ({"detector": "nope"}, "detector = 'nope': want one of ae, deep_ae"),
        ({"settings": {"epoch": "3"}}, "--set epoch = '3': want one of the keys scaling"),
        ({"settings": {"epochs": "0"}}, "--set epochs = '0': want greater than or equal to 1"),
        ({"settings": {"clip": "wide"}}, "--set clip = 'wide': want"),
        ({"settings": {"constants": "keep"}}, "--set constants = 'keep': want 'watch' or 'drop'"),
        ({"settings": {"balance": "2"}}, "--set balance = '2': want less than or equal to 1"),
        ({"settings": {"moment": "0.5"}}, "--set moment = '0.5': want greater than or equal to 1"),
        ({"columns": ["flow_duratoin"]}, "near it: flow_duration"),
        ({"drop": ["nope"]}, "--drop = 'nope': want columns of view flow"),
        ({"columns": ["flow_duration"], "drop": ["flow_duration"]}, "at least one column left"),
        ({"name": "a b"}, "--name = 'a b': want 1 to 64 letters"),
        ({"budget_per_hour": 0.0}, "budget = 0.0: want more than 0"),
        ({"budget_per_hour": 1e6}, "budget = 1000000.0: want less than the"),
        ({"device": "cuda"}, "--device = 'cuda': want cpu"),
    ],
)
def test_refusals_name_the_key_and_leave_nothing_behind(order, change, text):
    """Key, found, wanted; exit code 2; no bundle."""
    with pytest.raises(ConfigError) as refusal:
        train(replace(order, **change))

    assert text in str(refusal.value)
    assert not order.output.exists()


def test_an_output_that_is_in_use_is_refused_before_the_long_work(order, tmp_path):
    """Nothing has been read by then."""
    order.output.mkdir(parents=True)
    (order.output / "thesis.tex").write_text("")
    told = []
    with pytest.raises(ConfigError, match="it holds other files"):
        train(order, Listener(reading=lambda *progress: told.append(progress)))
    assert told == []


def test_no_rows_are_too_few(order, tmp_path):
    """An empty table, or one row: nothing to learn from or nothing to calibrate with."""
    for n_rows in (0, 1):
        few = replace(order, inputs=[made.parquet(tmp_path / "few", n_rows)])
        with pytest.raises(ConfigError, match="training rows = "):
            train(few)


def test_other_errors_keep_their_kind(order, tmp_path):
    """Absent input: 3. Another schema: 4."""
    with pytest.raises(CaptureError):
        train(replace(order, inputs=[tmp_path / "absent"]))
    with pytest.raises(ArtifactError):
        train(replace(order, inputs=[made.parquet(tmp_path / "x", digest="0" * 64)]))


def test_columns_come_in_the_order_of_the_schema():
    """Whatever the order of the request."""
    names = made.SCHEMA.names

    assert choose_columns(made.SCHEMA, [], []) == names
    assert choose_columns(made.SCHEMA, [names[5], names[2]], []) == (names[2], names[5])
    assert choose_columns(made.SCHEMA, [], names[1:]) == (names[0],)


def test_text_becomes_numbers():
    """`--set` gives text; types are those of the settings."""
    ours, theirs = split_settings("ae", {"clip": "3", "epochs": "7", "hidden": ["4"]})

    assert (ours.clip, theirs.epochs, theirs.hidden) == (3.0, 7, [4])


def test_the_help_names_every_detector():
    """The text stands by itself, for the registry is heavy; it must not fall behind."""
    from tapwatch.cli.train import command
    from tapwatch.detect.registry import DETECTORS

    text = next(option.help for option in command.params if option.name == "detector")

    assert text == f"Detector: {', '.join(DETECTORS)}."

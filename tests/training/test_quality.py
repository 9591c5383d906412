"""Figures of a bundle on the rows that labels keep from being learnt from."""

import numpy as np
import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tapwatch.detect.bundle import load_bundle
from tapwatch.features import SCHEMAS
from tapwatch.training.fit import train
from tapwatch.training.order import Order
from tests.evaluation import naive_metrics as naive
from tests.evaluation.kdd_like import rows, write

COUNTS = {"normal": 300, "neptune": 60, "satan": 20}


def made(folder, **changes):
    """A bundle of such a file, and its manifest."""
    order = Order(
        inputs=[write(folder / "train", COUNTS)],
        view="kdd",
        detector="robust_z",
        output=folder / "bundle",
        time="2026-01-01T00:00:00Z",
        **changes,
    )
    return train(order), load_bundle(folder / "bundle", SCHEMAS)


def test_labelled_rows_measure_the_bundle(tmp_path):
    """Held-out benign rows against all others, with the floor of the largest |z| beside it."""
    manifest, bundle = made(tmp_path)

    values, labels = rows(tmp_path / "train")
    normal = values[labels == "normal"]
    learnt, held = normal[:240], normal[240:]
    tested = np.concatenate([held, values[labels != "normal"]])
    is_other = [False] * len(held) + [True] * 80
    errors = bundle.detector.score(bundle.preprocess.apply(tested))
    labelled, floor = manifest.quality.labelled, manifest.quality.floor
    assert labelled["auc"] == pytest.approx(float(naive.auc(errors.tolist(), is_other)))
    assert (labelled["benign_rows"], labelled["other_rows"]) == (60, 80)
    plain = [k for k, c in enumerate(SCHEMAS["kdd"].columns) if not c.categories]
    varies = [k for k in plain if learnt[:, k].std() > 0]
    z = (tested[:, varies] - learnt[:, varies].mean(axis=0)) / learnt[:, varies].std(axis=0)
    largest = np.abs(z).max(axis=1).round(4).tolist()
    assert floor["auc"] == pytest.approx(float(naive.auc(largest, is_other)), abs=2e-3)


def test_a_calibration_file_gives_the_benign_rows(tmp_path):
    """Then none of the training rows is held out."""
    other = write(tmp_path / "other", {"normal": 70, "back": 5}, 3)

    manifest, _ = made(tmp_path, calibration_inputs=[other])

    labelled = manifest.quality.labelled
    assert (labelled["benign_rows"], labelled["other_rows"]) == (70, 85)


def test_rows_that_are_asked_for_are_the_benign_ones(tmp_path):
    """With --benign neptune all others are held against them."""
    manifest, _ = made(tmp_path, benign=["neptune"])

    assert manifest.quality.labelled["other_rows"] == 320


def test_inspect_tells_the_figures(tmp_path):
    """Of the detector and of the floor."""
    made(tmp_path)

    done = CliRunner().invoke(main, ["inspect", str(tmp_path / "bundle")])

    assert "no-learning floor" in done.stdout
    assert "not known: no labelled rows" not in done.stdout


def test_without_other_rows_nothing_is_known(tmp_path):
    """A benign file measures nothing."""
    order = Order(
        inputs=[write(tmp_path / "train", {"normal": 50})],
        view="kdd",
        detector="robust_z",
        output=tmp_path / "bundle",
        time="2026-01-01T00:00:00Z",
    )

    assert train(order).quality.labelled is None

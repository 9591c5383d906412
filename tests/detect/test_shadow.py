"""A bundle on trial: counted beside the live one, and otherwise not to be seen."""

import json
from dataclasses import replace
from types import SimpleNamespace as Made

import numpy as np
import pytest

from tapwatch.alerts import eve
from tapwatch.capture import MemorySource
from tapwatch.cli.report import drift_line
from tapwatch.config import Config
from tapwatch.daemon import blind_warnings, filter_warnings, load_scorers, load_shadows
from tapwatch.detect.recalibrate import Outcome
from tapwatch.detect.shadow import Shadow
from tapwatch.errors import ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import settings_of
from tapwatch.pipeline import House, imbalances
from tapwatch.tables import Drift, FeatureBatch
from tests.detect import made


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two bundles of the flow view, the second with another line, and one of packets."""
    folder = tmp_path_factory.mktemp("shadow")
    for name, view, budget in (("a", "flow", 36.0), ("b", "flow", 360.0), ("c", "packet", 36.0)):
        made.train(
            folder / name,
            SCHEMAS[view],
            budget=budget,
            n_rows=300,
            epochs=1,
            configuration=dict(settings_of(view, Config())),
        )
    return folder


def shadow_of(bundles, name="b"):
    config = Config()
    live = load_scorers([bundles / "a"], config)
    return live[0], load_shadows([bundles / name], {bundles / "a": live[0]}, config)[0]


def rows(n=500):
    values = made.benign(n, len(SCHEMAS["flow"].columns), seed=7)
    return made.batch(values, SCHEMAS["flow"])


def test_verdicts_are_counted_by_who_gave_them(bundles):
    """Each row falls under one of four."""
    shadow = shadow_of(bundles)[1]
    ours = np.arange(500) % 3 == 0
    shadow.compare(rows(), ours)
    theirs = load_scorers([bundles / "b"], Config())[0].score(rows()).flagged
    counts = shadow.counts()

    assert 0 < theirs.sum() < 500
    assert counts == {
        "rows": 500,
        "flagged": theirs.sum(),
        "both": (ours & theirs).sum(),
        "only_live": (ours & ~theirs).sum(),
        "only_shadow": (~ours & theirs).sum(),
        "neither": (~ours & ~theirs).sum(),
    }
    tallies = {tally.name: tally for tally in shadow.tallies()}
    assert tallies["shadow_rows_total"].values[("flow", "ae", "b", "both")] == counts["both"]
    assert tallies["flagged_rows_total"].values == {("flow", "ae", "b"): counts["flagged"]}


def test_a_shadow_of_another_view_or_with_a_taken_name_is_refused(bundles):
    """It would score nothing, or its metrics could not be told apart."""
    with pytest.raises(ConfigError, match=r"--shadow.*: want a bundle of view flow"):
        shadow_of(bundles, "c")
    want = r"--shadow.*: want a bundle with a name of its own.*: train it with --name, or change"
    with pytest.raises(ConfigError, match=want):
        shadow_of(bundles, "a")


def test_the_ledger_knows_what_a_shadow_scored(bundles):
    """One row too few, and it does not balance; alerts are those of the live bundle."""
    live, shadow = shadow_of(bundles)
    told = []

    class Kept:
        def write(self, items):
            told.extend(items)

    source = MemorySource([])
    house = House(Config(), source, [live], [Kept()], shadows=[shadow])
    batch = rows()
    house._hold({"flow": FeatureBatch(batch.schema, batch.values, batch.rows)})
    house._settle()
    summary = house.summary()

    assert told
    assert {alert.bundle for alert in told} == {"a"}
    assert summary["shadow"]["flow/ae/b"]["rows"] == summary["views"]["flow"]["scored"] == 500
    assert imbalances(summary) == []
    summary["shadow"]["flow/ae/b"]["rows"] -= 1
    assert imbalances(summary) == ["shadow flow/ae/b.rows = flow.scored: 499 is not 500"]


def test_an_event_of_drift_is_a_line_that_is_no_alert():
    """Its keys are fixed; numbers have six digits."""
    event = Drift(
        row=3,
        timestamp_ns=1_767_323_045_678_901_234,
        view="flow",
        detector="ae",
        bundle="office",
        kind="recalibration",
        what="moved",
        rows=16_384,
        before=1 / 3,
        after=0.5,
        threshold=0.5,
    )
    line = eve.line(event)

    assert line.endswith("}\n")
    assert json.loads(line) == {
        "timestamp": "2026-01-02T03:04:05.678901+0000",
        "event_type": "tapwatch_drift",
        "tapwatch": {
            "view": "flow",
            "detector": "ae",
            "bundle": "office",
            "kind": "recalibration",
            "what": "moved",
            "rows": 16_384,
            "before": 0.333333,
            "after": 0.5,
            "threshold": 0.5,
        },
    }
    warned = json.loads(eve.line(replace(event, warnings=("too few rows",))))
    assert warned["tapwatch"]["warnings"] == ["too few rows"]
    told = drift_line(event)
    assert "moved from 0.333333 to 0.5 at 2026-01-02" in told
    assert drift_line(replace(event, warnings=("a", "b"))) == told + "; a; b"


def test_why_a_threshold_stays_is_said_in_words():
    """Of every outcome that moves nothing."""
    said = set()
    for outcome in set(Outcome) - {Outcome.MOVED, Outcome.LIMITED}:
        event = Drift(0, 0, "flow", "ae", "office", "recalibration", outcome, 256, 0.5, 0.5, 0.5)
        said.add(drift_line(event))

    assert len(said) == 3
    assert all("stays at 0.5: " in line for line in said)


def test_a_bundle_of_a_published_table_says_nothing_of_filters():
    """Nobody knows which packets its rows are of; captures and exported rows have a filter."""

    def scorer(*kinds, trained=None):
        training = Made(filter=trained, inputs=[Made(kind=kind) for kind in kinds])
        return Made(bundle=Made(name="office", manifest=Made(training=training)))

    assert filter_warnings([scorer("kdd"), scorer("kdd", None)], "tcp") == []
    assert len(filter_warnings([scorer(None), scorer(None, None), scorer()], "tcp")) == 3
    assert filter_warnings([scorer(None, trained="tcp")], " tcp ") == []


def test_a_bundle_that_can_flag_no_row_is_told():
    """That of a detector with a highest error, whose threshold is not below it."""

    def scorer(threshold, most):
        return Made(
            bundle=Made(name="b", threshold=threshold, detector=Made(name="hst", most_error=most))
        )

    assert blind_warnings([scorer(1.01, np.inf), scorer(0.9, 1.0)]) == []
    assert blind_warnings([scorer(1.01, 1.0)]) == [
        "bundle b can flag no row: its threshold is 1.01, and no error of hst is above 1; train it "
        "again"
    ]
    assert len(blind_warnings([scorer(1.0, 1.0)])) == 1


def test_no_verdict_is_missing_before_the_first_row(bundles):
    """Metrics are there from the start, at 0."""
    shadow: Shadow = shadow_of(bundles)[1]

    assert set(shadow.counts().values()) == {0}

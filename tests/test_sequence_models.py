"""A model of sequences from capture to alert: how rows are batched or stored does not show."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tapwatch.capture import MemorySource
from tapwatch.cli import main
from tapwatch.config import Config
from tapwatch.detect import Scorer
from tapwatch.detect.bundle import load_bundle
from tapwatch.detect.significance import significant
from tapwatch.errors import ArtifactError, ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.features.sequences.views import ViewSequences
from tapwatch.pipeline import House, run
from tapwatch.tables import ROW, FeatureBatch
from tapwatch.training.datasets import read_rows
from tapwatch.training.fit import train
from tapwatch.training.order import Order
from tests.conftest import pcap_bytes
from tests.test_pipeline import FRAMES, Kept

TIME = "2024-01-02T03:04:05Z"
SETTINGS = {"epochs": 1, "balance": 0, "sequence_rows": 3, "units": 4}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    path = tmp_path_factory.mktemp("capture") / "dns.pcap"
    path.write_bytes(pcap_bytes(FRAMES))
    return path


def trained(path, output, view="packet", **changes):
    order = Order(
        inputs=[path],
        view=view,
        detector="lstm_ae",
        output=output,
        time=TIME,
        budget_per_hour=2000.0,
        settings=SETTINGS | changes.pop("settings", {}),
        **changes,
    )
    train(order)
    return load_bundle(output, SCHEMAS)


@pytest.fixture(scope="module")
def bundle(capture, tmp_path_factory):
    return trained(capture, tmp_path_factory.mktemp("bundle") / "b")


def replayed(bundle, batch_frames=8192, max_rows=1024, workers=1):
    """Errors of all rows, alerts, and the house."""
    config = Config.model_validate({"detect": {"max_rows": max_rows}})
    scorer, sink = Scorer(bundle, max_rows), Kept()
    errors, score = [], scorer.score
    scorer.score = lambda batch: errors.append(made := score(batch)) or made
    source = MemorySource(FRAMES, batch_frames=batch_frames)
    house = House(config, source, [scorer], [sink], workers=workers)
    run(source, house, lambda: False)
    return np.concatenate([scores.error for scores in errors]), sink.alerts, house


def test_the_bundle_says_how_many_rows_a_block_has(bundle):
    """It stands with the parameters, and comes back with the detector."""
    assert bundle.manifest.detector.parameters["sequence_rows"] == 3
    assert bundle.sequence_rows == 3
    assert bundle.detector.row_shape == (3, bundle.preprocess.n_inputs)


@pytest.mark.parametrize(
    ("batch_frames", "max_rows", "workers"), [(1, 1, 1), (7, 5, 2), (100, 33, 1), (8192, 64, 2)]
)
def test_batches_and_workers_do_not_show(bundle, batch_frames, max_rows, workers):
    """Not one bit of an error, and not one word of an alert."""
    errors, alerts, _ = replayed(bundle)
    others, other_alerts, _ = replayed(bundle, batch_frames, max_rows, workers)

    assert others.tobytes() == errors.tobytes()
    assert len(errors) == len(FRAMES)
    assert alerts
    assert [repr(alert) for alert in other_alerts] == [repr(alert) for alert in alerts]


def test_a_replay_scores_what_training_would_make_of_the_rows(bundle, capture):
    """The blocks of both are the same, and an entity's rows are in them."""
    schema = SCHEMAS["packet"]
    [parts] = read_rows([capture], schema, Config(), sequence_rows=3)
    blocks = np.concatenate([part.values for part in parts])
    lengths = 3 - np.isnan(blocks).all(axis=2).sum(axis=1)
    rows = bundle.preprocess.apply(np.nan_to_num(blocks).reshape(-1, blocks.shape[2]))
    rows = rows.reshape(len(blocks), 3, -1)
    rows[np.isnan(blocks).all(axis=2)] = np.nan
    errors, _, _ = replayed(bundle)

    assert sorted(set(lengths.tolist())) == [1, 2, 3]
    assert np.array_equal(significant(bundle.detector.score(rows)), errors)
    codes = bundle.latent(blocks)
    assert codes.shape == (len(FRAMES), 4)
    assert np.array_equal(codes, bundle.detector.latent(rows))
    with pytest.raises(ArtifactError, match=r"want \(n, 3, "):
        bundle.latent(blocks[:, 0])


def test_an_alert_explains_the_newest_row(bundle):
    """What was observed is of the packet itself, not of those before it."""
    seen = []
    scorer = Scorer(bundle)
    score = scorer.score
    scorer.score = lambda batch: seen.append((batch, made := score(batch))) or made
    source = MemorySource(FRAMES)
    run(source, House(Config(), source, [scorer], []), lambda: False)
    [(batch, scores)] = [pair for pair in seen if pair[1].flagged.any()]

    assert batch.values.shape[1] == 3
    newest = batch.values[scores.flagged, -1][:, bundle.preprocess.index]
    assert np.array_equal(scores.observed, newest.astype(np.float64))


@pytest.mark.parametrize("view", ["packet", "flow", "host"])
def test_a_parquet_file_gives_the_blocks_of_its_capture(capture, tmp_path, view):
    """Addresses, ports and flows are read back from their words."""
    table = tmp_path / "rows.parquet"
    made = CliRunner().invoke(main, ["features", str(capture), "--view", view, "-o", str(table)])
    assert made.exit_code == 0, made.stderr
    blocks = []
    for path in (capture, table):
        [parts] = read_rows([path], SCHEMAS[view], Config(), sequence_rows=3)
        blocks.append(np.concatenate([part.values for part in parts]))

    assert blocks[0].shape[1] == 3
    np.testing.assert_array_equal(blocks[0], blocks[1])


def test_blocks_take_no_more_memory_than_rows(capture, tmp_path):
    """A block counts as its rows: of 400 packets, 300 rows are 100 blocks of three."""
    document = trained(capture, tmp_path / "b", settings={"max_rows": 300}).manifest.training

    assert document.rows_seen == 400
    assert document.rows + document.validation_rows == 80  # and 20 calibrate


def test_a_published_table_does_not_say_whose_its_rows_are(tmp_path):
    """So it is refused, with what would do."""
    path = tmp_path / "kdd"
    fields = ["0", "tcp", "http", "SF", *["0"] * 37]
    path.write_text("".join(",".join([*fields, "normal."]) + "\n" for _ in range(20)))

    with pytest.raises(ConfigError, match="whose a row is, and a kdd_csv does not tell"):
        trained(path, tmp_path / "b", view="kdd")


def test_evictions_are_in_the_metrics(bundle):
    """A house tells of them from the start, a line for its view."""
    _, _, house = replayed(bundle)
    [tally] = [t for t in house.tallies() if t.name == "sequence_entities_evicted_total"]

    assert tally.values == {("packet",): 0}


def test_two_lengths_of_a_view_are_counted_on_one_line():
    """Memories of 16 and of 32 entities meet 40 flows: 24 and 8 have to give way."""
    schema, config = SCHEMAS["packet"], Config.model_validate({"sequences": {"rows": 4096}})
    rows = np.zeros(40, ROW)
    rows["flow_id"], rows["is_flow"] = np.arange(1, 41), 1
    batch = FeatureBatch(schema, np.ones((40, len(schema.columns)), np.float32), rows)

    def evicted(*lengths):
        made = ViewSequences([(schema, n) for n in lengths], config)
        given = made.update({"packet": batch})
        assert given["packet", 0] is batch
        assert [given["packet", n].values.shape[1] for n in lengths if n] == [
            n for n in lengths if n
        ]
        return [dict(tally.values) for tally in made.tallies()]

    [[wide], [narrow], [both]] = evicted(0, 256), evicted(128), evicted(128, 256)

    assert wide["packet",] >= 24
    assert narrow["packet",] >= 8
    assert both["packet",] == wide["packet",] + narrow["packet",]
    assert evicted(0) == []


def test_blocks_are_made_in_parts_of_bounded_memory():
    """However long they are, a part of them is 4 MiB or one row; single rows need no bound."""
    schema = SCHEMAS["packet"]
    n_columns = len(schema.columns)
    long = ViewSequences([(schema, 256), (schema, 2)], Config())

    assert long.part_rows == max(1, (1 << 22) // (4 * 256 * n_columns))
    assert ViewSequences([(schema, 0)], Config()).part_rows > 1 << 40


def test_replay_and_inspect_know_such_a_bundle(capture, bundle, tmp_path):
    """The command line needs nothing beside the bundle."""
    path = tmp_path / "b"
    trained(capture, path)
    out = tmp_path / "alerts.json"
    words = ["replay", str(capture), "--bundle", str(path), "-o", str(out)]
    made = CliRunner().invoke(main, words)
    seen = CliRunner().invoke(main, ["inspect", str(path), "--json"])

    assert made.exit_code == 0, made.output
    assert out.read_text().count("\n") == len(replayed(bundle)[1])
    assert json.loads(seen.stdout)["latent"] == 4

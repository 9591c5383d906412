"""Texts that people or other programs write: refused in words, or read; nothing else."""

from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapwatch.alerts import eve
from tapwatch.config import Config, load_config
from tapwatch.detect import load_bundle
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.evaluation.episodes import read_alerts
from tapwatch.evaluation.truth import read_truth
from tapwatch.features import VIEWS
from tapwatch.training.datasets import read_rows
from tests.alerts.made import alert
from tests.fuzz import documents
from tests.shared_data import ROOT

N_CASES = 400


def spoilt(spoil, raw: bytes, path, read, refusal) -> tuple[int, int]:
    """How many spoilt documents were read and refused; any other exception is the test's."""
    random, n_read, n_refused = Random(1), 0, 0
    for _ in range(N_CASES):
        document = raw
        for _ in range(random.choice((1, 1, 2, 4))):
            document = spoil(random, document)
        path.write_bytes(document)
        try:
            read()
            n_read += 1
        except refusal:
            n_refused += 1
    return n_read, n_refused


def test_any_configuration_is_read_or_refused(tmp_path):
    """Right keys with wrong values, wrong tables, numbers that no field holds."""
    path = tmp_path / "c.toml"

    n_read, n_refused = spoilt(
        documents.spoil_toml, b"", path, lambda: load_config(path), ConfigError
    )

    assert n_read > 10
    assert n_refused > 100


def test_any_alerts_file_is_read_or_refused(tmp_path):
    """Ports that are infinite, times that are none, values of every other kind."""
    path = tmp_path / "a.jsonl"
    line = eve.line(alert()).encode()

    n_read, n_refused = spoilt(
        documents.spoil_json, line, path, lambda: read_alerts(path), CaptureError
    )

    assert n_read > 10
    assert n_refused > 10


@pytest.mark.parametrize("port", ["Infinity", "NaN", "1e999", "[]", '"x"', "{}"])
def test_an_alert_with_a_port_that_is_none_is_refused_with_its_line(tmp_path, port):
    """Python's JSON reads numbers that are none."""
    path = tmp_path / "a.jsonl"
    path.write_text(eve.line(alert()).replace('"dest_port":443', f'"dest_port":{port}'))

    with pytest.raises(CaptureError, match=r"a\.jsonl:1"):
        read_alerts(path)


def test_any_truth_file_is_read_or_refused(tmp_path):
    """Cells that are empty, huge, quoted or of other scripts."""
    path = tmp_path / "t.csv"
    raw = (ROOT / "samples" / "attacks.truth.csv").read_bytes()

    n_read, n_refused = spoilt(
        documents.spoil_csv, raw, path, lambda: read_truth(path), CaptureError
    )

    assert n_read > 10
    assert n_refused > 100


def test_any_manifest_is_read_or_refused(tmp_path):
    """Every value of bundle.json replaced, taken out or nested."""
    source = ROOT / "samples" / "bundles" / "flow"
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    path, schemas = tmp_path / "bundle.json", {name: view().schema for name, view in VIEWS.items()}

    n_read, n_refused = spoilt(
        documents.spoil_json,
        (source / "bundle.json").read_bytes(),
        path,
        lambda: load_bundle(tmp_path, schemas),
        ArtifactError,
    )

    assert n_read + n_refused == N_CASES
    assert n_refused > 300


def test_a_table_whose_names_are_no_text_is_refused(tmp_path):
    """A Parquet file is written by anybody: its column names may be any bytes."""
    schema = VIEWS["flow"]().schema
    columns = {name: np.zeros(3, np.float32) for name in schema.names}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns | {"last_ts_ns": np.arange(3)}), path, store_schema=False)
    name = schema.names[0].encode()
    path.write_bytes(path.read_bytes().replace(name, b"\xa1" + name[1:]))

    (rows,) = read_rows([path], schema, Config())
    with pytest.raises(CaptureError, match="not a Parquet file that can be read"):
        list(rows)

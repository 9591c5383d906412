"""Files: exact values, identity first, the same bytes whatever the batches, no halves."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tapwatch.errors import ConfigError, SinkError
from tapwatch.features import SCHEMAS
from tapwatch.features.identity import identity_of
from tapwatch.features.table import GROUP_ROWS, TableWriter, format_of
from tapwatch.tables import ROW, FeatureBatch, Names

S = 10**9
WORDS = ("src", "dst", "proto", "community_id")


def describe(rows) -> Names:
    """Plain words, different for different rows."""
    return Names(
        src=[f"10.0.0.{row['src_lo']}" for row in rows],
        dst=[f"fe80::{row['dst_lo']:x}" for row in rows],
        proto=["TCP" if row["proto"] == 6 else str(row["proto"]) for row in rows],
        community_id=[f"1:{row['src_lo']}=" if row["is_flow"] else "" for row in rows],
    )


def batch_of(view: str, n_rows: int, seed: int = 0) -> FeatureBatch:
    """Rows of a view: a word where it has classes, whole numbers, anything else where float64."""
    rng = np.random.default_rng(seed)
    schema, rows = SCHEMAS[view], np.zeros(n_rows, ROW)
    values = rng.integers(-1, 1 << 50, (n_rows, len(schema.columns))).astype(np.float64)
    for k, column in enumerate(schema.columns):
        if column.categories:
            values[:, k] = rng.integers(0, len(column.categories), n_rows)
        elif column.dtype == "float64":
            values[:, k] = rng.random(n_rows) * 10.0 ** rng.integers(-30, 30, n_rows)
    rows["last_ts_ns"] = 10**18 + np.sort(rng.integers(0, 100 * S, n_rows))
    rows["first_ts_ns"], rows["order_ns"] = rows["last_ts_ns"] - 5, rows["last_ts_ns"] // S * S + S
    rows["frame_number"] = np.arange(n_rows) + 1 if view == "packet" else 0
    rows["src_lo"], rows["dst_lo"] = rng.integers(0, 9, (2, n_rows))
    rows["flow_id"], rows["proto"] = rng.integers(1, 1 << 62, n_rows), rng.choice([6, 17], n_rows)
    rows["dst_port"], rows["vlan"] = rng.choice([80, 443], n_rows), rng.choice([-1, 7], n_rows)
    rows["is_flow"], rows["end_reason"] = rng.choice([0, 1], n_rows), rng.integers(1, 8, n_rows)
    return FeatureBatch(schema, values, rows)


def write(target, batch: FeatureBatch, step: int = 10**9, **options) -> TableWriter:
    """Write a batch in pieces of `step` rows."""
    with TableWriter(str(target), batch.schema, describe, **options) as writer:
        for lo in range(0, max(len(batch), 1), step):
            part = slice(lo, lo + step)
            writer.write(replace(batch, values=batch.values[part], rows=batch.rows[part]))
    return writer


def check_table(table, batch: FeatureBatch) -> None:
    """Every value of the table is the batch's, bit for bit."""
    assert table.column_names == [*identity_of(batch.schema.view), *batch.schema.names]
    for k, column in enumerate(batch.schema.columns):
        found, expected = table[column.name].to_pylist(), batch.values[:, k].tolist()
        if column.categories:
            expected = [column.categories[int(index)] for index in expected]
        assert found == expected, column.name
    names, numbers = describe(batch.rows), set(ROW.names) - {"end_reason"}
    for name in identity_of(batch.schema.view):
        if name in WORDS:
            assert table[name].to_pylist() == getattr(names, name), name
        elif name in numbers:
            assert table[name].to_pylist() == batch.rows[name].tolist(), name


@pytest.mark.parametrize("view", list(SCHEMAS))
def test_parquet_holds_what_was_written(view, tmp_path):
    """Values, identity, dtypes, dictionary-encoded words, and the schema's digest."""
    batch = batch_of(view, 1000)
    path = tmp_path / "rows.parquet"

    writer = write(path, batch, 37)

    table = pq.read_table(path)
    metadata = {k: v for k, v in table.schema.metadata.items() if k.startswith(b"tapwatch.")}
    check_table(table, batch)
    assert writer.n_rows == 1000
    assert metadata == {
        b"tapwatch.view": view.encode(),
        b"tapwatch.schema_version": str(batch.schema.version).encode(),
        b"tapwatch.schema_digest": batch.schema.digest.encode(),
        b"tapwatch.configuration": b"{}",
    }
    for column in batch.schema.columns:
        arrow_type = {"float64": "double", "int64": "int64"}[column.dtype]
        arrow_type = "dictionary<values=string" if column.categories else arrow_type
        assert str(table.schema.field(column.name).type).startswith(arrow_type)
    for name in {*WORDS} & {*identity_of(view)}:
        assert str(table.schema.field(name).type).startswith("dictionary<values=string")


@pytest.mark.parametrize("view", list(SCHEMAS))
def test_csv_holds_what_was_written(view, tmp_path):
    """Floats are the shortest text that reads back to the same bits."""
    batch = batch_of(view, 500)
    path = tmp_path / "rows.csv"

    write(path, batch)

    check_table(pyarrow.csv.read_csv(path, convert_options=_types(batch)), batch)


def _types(batch):
    types = {"int64": pyarrow.int64(), "float64": pyarrow.float64()}
    columns = {
        column.name: pyarrow.string() if column.categories else types[column.dtype]
        for column in batch.schema.columns
    }
    words = dict.fromkeys(WORDS, pyarrow.string())
    return pyarrow.csv.ConvertOptions(column_types=words | columns, strings_can_be_null=False)


def test_identity_columns_are_those_that_the_view_has():
    """Packets have a frame number and no end, flows an end and no frame number."""
    common = "first_ts_ns last_ts_ns src dst src_port dst_port proto vlan flow_id community_id"

    assert identity_of("packet") == ("frame_number", *common.split())
    assert identity_of("flow") == (*common.split(), "end_reason")


def test_end_reasons_are_words(tmp_path):
    """Each reason has its lower-case name."""
    batch = batch_of("flow", 7)
    batch.rows["end_reason"] = range(1, 8)
    write(tmp_path / "rows.parquet", batch)

    found = pq.read_table(tmp_path / "rows.parquet")["end_reason"].to_pylist()

    assert found == ["fin", "rst", "idle", "active", "evicted", "port_reuse", "eof"]


def test_original_names_head_the_columns(tmp_path):
    """`Tot Fwd Pkts` and `ip.ttl`, and our own names where the field has none."""
    write(tmp_path / "flow.csv", batch_of("flow", 2), original_names=True)
    write(tmp_path / "packet.csv", batch_of("packet", 2), original_names=True)

    flow = (tmp_path / "flow.csv").read_text().splitlines()[0].split(",")
    packet = (tmp_path / "packet.csv").read_text().splitlines()[0].split(",")

    assert flow[:2] == ["first_ts_ns", "last_ts_ns"]
    columns = SCHEMAS["flow"].columns
    assert flow[-len(columns) :] == [column.original or column.name for column in columns]
    assert {"ip.ttl", "tcp.flags.syn", "arp.duplicate-address-detected", "flow_age_s"} <= {*packet}


@pytest.mark.parametrize("view", list(SCHEMAS))
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_bytes_do_not_depend_on_batches(view, ending, tmp_path, monkeypatch):
    """Groups are cut by number of rows: three of them, whatever the batch size."""
    monkeypatch.setattr("tapwatch.features.table.GROUP_ROWS", 64)
    batch = batch_of(view, 150)
    files = []

    for step in (1, 7, 64, 65, 150):
        write(tmp_path / f"{step}.{ending}", batch, step, max_held_rows=50)
        files.append((tmp_path / f"{step}.{ending}").read_bytes())

    assert len({*files}) == 1
    if ending == "parquet":
        assert pq.ParquetFile(tmp_path / "1.parquet").num_row_groups == 3


def test_flows_are_sorted_by_last_packet(tmp_path):
    """A flow that fell silent earlier stands earlier, although it came out later."""
    batch = batch_of("flow", 3)
    batch.rows["last_ts_ns"] = [5 * S, 1 * S, 9 * S]
    batch.rows["order_ns"] = [6 * S, 61 * S, 61 * S]
    writer = write(tmp_path / "rows.csv", batch)

    found = pyarrow.csv.read_csv(tmp_path / "rows.csv")["last_ts_ns"].to_pylist()

    assert found == [1 * S, 5 * S, 9 * S]
    assert writer.n_out_of_order == 0


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_no_rows_are_a_file_with_a_head(ending, tmp_path):
    """A capture without flows gives a table without rows, with its columns."""
    path = tmp_path / f"rows.{ending}"

    write(path, batch_of("flow", 0))

    table = pq.read_table(path) if ending == "parquet" else pyarrow.csv.read_csv(path)
    assert table.num_rows == 0
    assert table.num_columns == 11 + len(SCHEMAS["flow"].columns)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_that_was_not_finished_has_no_name(ending, tmp_path):
    """When we fail in the middle nothing is left, and an older file of that name stays."""
    path = tmp_path / f"rows.{ending}"
    path.write_text("older")

    def fail(rows):
        raise RuntimeError("in the middle")

    batch = batch_of("packet", GROUP_ROWS + 1)
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        TableWriter(str(path), batch.schema, fail) as writer,
    ):
        writer.write(batch)

    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == [path.name]


def test_an_unknown_ending_is_refused():
    """The message says what there is; nothing is opened."""
    with pytest.raises(ConfigError, match=r"-o = 'rows.xlsx': want FILE.parquet, FILE.csv, or -"):
        format_of("rows.xlsx")


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    """No traceback: the target and the system's reason."""
    target = str(tmp_path / "absent" / "rows.csv")

    with pytest.raises(SinkError, match=r"rows\.csv: cannot be written: No such file") as caught:
        TableWriter(target, SCHEMAS["flow"], describe)

    assert caught.value.exit_code == 1


FULL = """
import resource, signal, sys
sys.path.insert(0, ".")
from tests.features.test_table import SinkError, batch_of, write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write(sys.argv[1], batch_of("packet", 40_000))
except SinkError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_full_disk_is_told_with_what_is_lost(ending, tmp_path):
    """The number of rows is in the message, and no half of a file is left."""
    target = tmp_path / f"rows.{ending}"

    done = subprocess.run(
        [sys.executable, "-c", FULL, str(target)], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert f"rows.{ending}: cannot be written: File too large (40000 rows are lost)" in done.stdout
    assert os.listdir(tmp_path) == []


class Pipe:
    """Standard output of which the reader has left."""

    def __init__(self) -> None:
        self.buffer = self

    def write(self, _data: bytes) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    flush = close = write


def test_a_reader_that_has_left_is_no_fault_of_ours(monkeypatch):
    """The broken pipe goes up as it is: the command line ends quietly."""
    monkeypatch.setattr(sys, "stdout", Pipe())

    with pytest.raises(BrokenPipeError):
        write("-", batch_of("packet", 1))


def test_standard_output_gets_csv_and_stays_open(monkeypatch):
    """`-` is CSV; the stream is flushed and not closed."""
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)

    write("-", batch_of("packet", 3))

    lines = out.buffer.getvalue().decode().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("frame_number,first_ts_ns,last_ts_ns,src,")
    assert not out.closed

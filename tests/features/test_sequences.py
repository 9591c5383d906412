"""Sequences: blocks of the last rows of an entity, in a bounded memory, and as lists in a file."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tapwatch.cli.features import _sequences
from tapwatch.config import Config
from tapwatch.errors import ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.features.identity import identity_of
from tapwatch.features.schema import make_schema
from tapwatch.features.sequences.blocks import Sequences
from tapwatch.features.sequences.layout import ENTITY
from tapwatch.features.table import GROUP_ROWS, TableWriter
from tapwatch.tables import ROW, Column, FeatureBatch, Names
from tests.features import naive_sequences as naive

pytestmark = pytest.mark.kernel

VIEWS = ["packet", "afterimage", "afterimage_115", "flow", "kdd", "host"]
COLUMNS = (
    Column("size", "B", "int64", "size", "tapwatch", "whole numbers"),
    Column("delta", "s", "float64", "delta", "tapwatch", "fractions"),
    Column("kind", "1", "int64", "kind", "tapwatch", "a class", categories=("none", "one", "two")),
)


def schema_of(view: str):
    """A schema of three columns of a view that has more."""
    return make_schema(view, 1, COLUMNS)


def batch_of(view: str, n_rows: int, seed: int = 0, dtype=np.float64) -> FeatureBatch:
    """Rows of a few entities that meet often, no two with the same values."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(n_rows, ROW)
    for name in ("src_lo", "dst_lo"):
        rows[name] = rng.integers(1, 4, n_rows)
    for name in ("src_hi", "dst_hi"):
        rows[name] = rng.integers(0, 2, n_rows).astype("<u8") << np.uint64(63)
    rows["src_port"], rows["dst_port"] = rng.integers(0, 99, n_rows), rng.choice([53, 80], n_rows)
    rows["ip_version"] = rng.choice([0, 4, 6], n_rows)
    rows["is_flow"] = rng.choice([0, 1, 1], n_rows)
    rows["flow_id"] = rows["is_flow"] * rng.integers(1, 9, n_rows)
    rows["frame_number"] = np.arange(1, n_rows + 1)
    values = np.stack([np.arange(1, n_rows + 1), rng.random(n_rows), rng.integers(0, 3, n_rows)], 1)
    return FeatureBatch(schema_of(view), values.astype(dtype), rows)


def part(batch: FeatureBatch, lo: int, hi: int) -> FeatureBatch:
    """Rows lo to hi."""
    return FeatureBatch(batch.schema, batch.values[lo:hi], batch.rows[lo:hi])


def made(*rows: dict[str, int], view: str = "packet", n: int = 3) -> list[list[float]]:
    """The first column of the block of each row; it counts the rows."""
    batch = batch_of(view, len(rows))
    batch.rows[:] = np.zeros(1, ROW)
    for row, fields in zip(batch.rows, rows, strict=True):
        for name, value in fields.items():
            row[name] = value
    return Sequences(batch.schema, n, 64, np.float64).update(batch).values[:, :, 0].tolist()


def test_every_view_has_its_entity():
    """No view is without sequences, and no other is named."""
    assert set(SCHEMAS) <= set(ENTITY)
    assert set(ENTITY) == set(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_agrees_with_the_naive_sequences(view, n):
    """Blocks and lengths of varied rows are those of the slow twin."""
    batch = batch_of(view, 300, seed=n)

    got = Sequences(batch.schema, n, 1024, np.float64).update(batch)

    blocks, lengths = naive.Sequences(view, n, 1024).blocks(batch.rows, batch.values.tolist())
    assert got.values.tolist() == blocks
    assert got.lengths.tolist() == lengths
    assert got.rows is batch.rows
    assert len(set(lengths)) == n


@pytest.mark.parametrize("view", ["packet", "flow", "host"])
def test_forgets_as_the_naive_sequences_do(view):
    """With room for 8 entities the same ones begin anew, and all are counted."""
    batch = batch_of(view, 400, seed=3)
    sequences, twin = Sequences(batch.schema, 4, 8, np.float64, 7), naive.Sequences(view, 4, 8, 7)

    got = sequences.update(batch)

    blocks, lengths = twin.blocks(batch.rows, batch.values.tolist())
    assert (got.values.tolist(), got.lengths.tolist()) == (blocks, lengths)
    [tally] = sequences.tallies()
    assert tally.values == {(view,): twin.table.evicted}
    assert twin.table.evicted > 50


@pytest.mark.parametrize("step", [1, 7, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_borders_do_not_show(step, dtype):
    """In pieces or all at once: the same bits."""
    batch = batch_of("packet", 100, 5, dtype)
    sequences = Sequences(batch.schema, 4, 64, dtype)

    pieces = [sequences.update(part(batch, lo, lo + step)) for lo in range(0, 100, step)]

    whole = Sequences(batch.schema, 4, 64, dtype).update(batch)
    assert whole.values.dtype == dtype
    assert np.concatenate([p.values for p in pieces]).tobytes() == whole.values.tobytes()
    assert np.concatenate([p.lengths for p in pieces]).tobytes() == whole.lengths.tobytes()


def test_parts_are_the_whole_in_bounded_memory(monkeypatch):
    """They are cut by their size, and there is one at least, even of nothing."""
    monkeypatch.setattr("tapwatch.features.sequences.blocks._PART_BYTES", 4 * 3 * 8 * 9)
    batch = batch_of("flow", 100)

    parts = list(Sequences(batch.schema, 4, 64, np.float64).parts(batch))

    whole = Sequences(batch.schema, 4, 64, np.float64).update(batch)
    assert [len(p) for p in parts] == [9] * 11 + [1]
    assert np.array_equal(np.concatenate([p.values for p in parts]), whole.values)
    [nothing] = Sequences(batch.schema, 4, 64, np.float64).parts(part(batch, 0, 0))
    assert nothing.values.shape == (0, 4, 3)


def test_the_newest_row_stands_last_and_missing_ones_are_0_in_front():
    """Four rows of one flow in blocks of three."""
    flow = {"is_flow": 1, "flow_id": 5}

    assert made(flow, flow, flow, flow) == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_packets_without_a_flow_are_of_their_two_addresses():
    """Either way is one sequence; ports do not matter, the kind of address does."""
    there = {"src_lo": 1, "dst_lo": 2, "ip_version": 4}
    back = {"src_lo": 2, "dst_lo": 1, "ip_version": 4, "src_port": 7}
    other = {"src_lo": 1, "dst_lo": 2, "ip_version": 0}
    flow = {"is_flow": 1, "flow_id": 1, "src_lo": 1, "dst_lo": 2, "ip_version": 4}

    assert made(there, back, other, flow, there, n=2) == [[0, 1], [1, 2], [0, 3], [0, 4], [2, 5]]


def test_flows_are_of_initiator_responder_and_service():
    """Another port of the initiator is the same sequence; the way back is another one."""
    there = {"src_lo": 1, "dst_lo": 2, "dst_port": 80, "flow_id": 1, "is_flow": 1}
    again = there | {"src_port": 9, "flow_id": 2}
    service = there | {"dst_port": 81}
    back = {"src_lo": 2, "dst_lo": 1, "dst_port": 80}

    blocks = made(there, again, service, back, there, view="flow", n=2)

    assert blocks == [[0, 1], [1, 2], [0, 3], [0, 4], [2, 5]]


@pytest.mark.parametrize("change", [{"n": 0}, {"n": 257}, {"capacity": 0}, {"capacity": 12}])
def test_refuses_what_has_no_meaning(change):
    """The error names what is wanted."""
    with pytest.raises(ConfigError, match="want"):
        Sequences(**({"schema": schema_of("flow"), "n": 4, "capacity": 8} | change))


def describe(rows) -> Names:
    """Plain words."""
    words = [str(row["src_lo"]) for row in rows]
    return Names(src=words, dst=words, proto=words, community_id=words)


@pytest.mark.parametrize("view", ["packet", "flow"])
@pytest.mark.parametrize("n", [1, 5])
def test_a_file_holds_lists_in_the_order_of_the_rows(view, n, tmp_path):
    """Numbers as they are, classes as words, none where no row was; sequences are not sorted."""
    batch = batch_of(view, 500)
    batch.rows["last_ts_ns"] = np.arange(500)[::-1]
    blocks = Sequences(batch.schema, n, 64, np.float64).update(batch)
    path = str(tmp_path / "rows.parquet")

    with TableWriter(path, batch.schema, describe, sequence=n) as writer:
        for lo in range(0, 500, 33):
            block = FeatureBatch(
                batch.schema,
                blocks.values[lo : lo + 33],
                blocks.rows[lo : lo + 33],
                blocks.lengths[lo : lo + 33],
            )
            writer.write(block)

    table = pq.read_table(path)
    words = [
        [("none", "one", "two")[int(v)] if k >= n - length else None for k, v in enumerate(kinds)]
        for kinds, length in zip(
            blocks.values[:, :, 2].tolist(), blocks.lengths.tolist(), strict=True
        )
    ]
    names = [column.name for column in COLUMNS]
    assert table.column_names == [*identity_of(view), "sequence_length", *names]
    assert table["sequence_length"].to_pylist() == blocks.lengths.tolist()
    assert table["size"].to_pylist() == blocks.values[:, :, 0].tolist()
    assert table["delta"].to_pylist() == blocks.values[:, :, 1].tolist()
    assert table["kind"].to_pylist() == words
    assert str(table.schema.field("size").type) == f"fixed_size_list<element: int64>[{n}]"
    assert pq.read_metadata(path).row_group(0).num_rows <= GROUP_ROWS // n


def test_a_csv_file_has_no_lists(tmp_path):
    """Refused with the key, what was found and what is wanted; nothing is left behind."""
    path = tmp_path / "rows.csv"

    with pytest.raises(ConfigError, match=r"--sequence = 4: want -o FILE.parquet"):
        TableWriter(str(path), schema_of("flow"), describe, sequence=4)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["rows.csv", "-"])
def test_the_command_refuses_lists_in_csv(output, tiny_capture, tmp_path):
    """Exit code 2, before anything is read."""
    target = output if output == "-" else str(tmp_path / output)
    command = ["features", str(tiny_capture), "--view", "packet", "--sequence", "4", "-o", target]

    done = CliRunner().invoke(main, command)

    assert done.exit_code == 2
    assert "--sequence = 4: want -o FILE.parquet (CSV has no lists)" in done.output


def test_the_command_writes_sequences(tiny_capture, tmp_path):
    """One row of one packet: nothing before it."""
    path = str(tmp_path / "rows.parquet")
    command = ["features", str(tiny_capture), "--view", "afterimage", "--sequence", "3", "-o", path]

    done = CliRunner().invoke(main, command)

    assert done.exit_code == 0, done.output
    table = pq.read_table(path)
    assert table["sequence_length"].to_pylist() == [1]
    assert table["HH_5_mean"].to_pylist() == [[0, 0, 42]]


@pytest.mark.parametrize("n", [1, 3, 16, 256])
def test_the_command_holds_no_more_rows_than_the_configuration_says(n):
    """However long the sequences are: of longer ones fewer entities are remembered."""
    config = Config.model_validate({"sequences": {"rows": 65_536}})
    schema = SCHEMAS["afterimage"]

    history = _sequences(schema, n, config)._memory.history

    assert history.shape[1:] == (n, len(schema.columns))
    assert 65_536 - 8 * n < len(history) * n <= 65_536

"""Inputs of a training: what is read, and what is refused."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from tapwatch.config import Config
from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import settings_of
from tapwatch.training.datasets import describe_input, expand, read_rows
from tests.shared_data import shared_data
from tests.training import made


def rows_of(*files):
    """All rows, a pair of arrays for each input."""
    return [list(parts) for parts in read_rows(files, made.SCHEMA, Config())]


def test_parquet_columns_are_taken_by_name(tmp_path):
    """Their order in the file does not matter, nor do others; models get float32."""
    [[part]] = rows_of(made.parquet(tmp_path / "a.parquet"))

    np.testing.assert_array_equal(part.values, made.values(400).astype(np.float32))
    assert part.values.dtype == np.float32
    assert part.time_ns.tolist() == [10**10 * k for k in range(400)]


def test_each_parquet_file_is_an_input_of_its_own(tmp_path):
    """So that the time between two files is nobody's silence."""
    a, b = made.parquet(tmp_path / "a"), made.parquet(tmp_path / "b", 7)

    assert [[len(p.values) for p in parts] for parts in rows_of(a, b)] == [[400], [7]]


def test_a_parquet_file_of_another_schema_is_refused(tmp_path):
    """By digest, or by the columns it lacks."""
    other = made.parquet(tmp_path / "other", digest="f" * 64)
    with pytest.raises(ArtifactError) as refusal:
        rows_of(other)
    assert "tapwatch.schema_digest = 'ffffffffffffffff': want" in str(refusal.value)

    name = made.SCHEMA.names[3]
    lacking = made.parquet(tmp_path / "lacking", change=lambda table: table.drop_columns([name]))
    with pytest.raises(ArtifactError, match=f"column {name} absent: want those of view flow/"):
        rows_of(lacking)


def test_what_is_not_finite_is_refused_and_the_column_named(tmp_path):
    """Our own files never hold NaN: this one was made by somebody else."""
    k = next(k for k, c in enumerate(made.SCHEMA.columns) if c.dtype == "float64")
    name = made.SCHEMA.names[k]

    def spoil(table):
        column = table[name].to_numpy().copy()
        column[5] = np.inf
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, [column])

    path = made.parquet(tmp_path / "a", change=spoil)
    with pytest.raises(CaptureError, match=f"{name}: NaN or infinity"):
        rows_of(path)


def put(path, name, *columns):
    """Three rows with these columns in the place of the one of this name."""

    def change(table):
        place = table.schema.get_field_index(name)
        changed = table.remove_column(place)
        for column in columns:
            changed = changed.append_column(name, column)
        return changed

    return made.parquet(path, 3, change=change)


NUMBER = next(c.name for c in made.SCHEMA.columns if not c.categories)
CLASS = next(c.name for c in made.SCHEMA.columns if c.categories)


@pytest.mark.parametrize(
    ("name", "column", "want"),
    [
        (NUMBER, pa.array([{"a": 1}] * 3), "struct<a: int64>: want a column of numbers"),
        (NUMBER, pa.array(["1", "2", "3"]), "string: want a column of numbers"),
        (NUMBER, pa.array([1, 2, 3], pa.timestamp("ns")), r"timestamp\[ns\]: want a column of num"),
        (NUMBER, pa.array([True] * 3), "bool: want a column of numbers"),
        (NUMBER, pa.nulls(3), "null: want a column of numbers"),
        (NUMBER, pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())), "map<"),
        (NUMBER, pa.array([[1.0, 2.0]] * 3), "list<.*: want a column of numbers"),
        (CLASS, pa.array([1, 2, 3]), "int64: want a column of words"),
        (CLASS, pa.array([["TCP"]] * 3), "list<.*: want a column of words"),
        ("last_ts_ns", pa.array([1.0, np.nan, np.inf]), "double: want a column of integers"),
        ("last_ts_ns", pa.array([{"a": 1}] * 3), "struct<.*: want a column of integers"),
        ("last_ts_ns", pa.array(["a"] * 3), "string: want a column of integers"),
    ],
)
def test_a_column_of_another_type_is_refused(tmp_path, name, column, want):
    """Whatever the metadata promise: by name, with the type found and the one wanted."""
    with pytest.raises(ArtifactError, match=f"column {name}: {want}"):
        rows_of(put(tmp_path / "a", name, column))


@pytest.mark.parametrize("name", [NUMBER, CLASS, "last_ts_ns"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, name):
    """Which of the two was meant cannot be known."""
    with pytest.raises(ArtifactError, match=f"column {name}: 2 times there: want it once"):
        rows_of(put(tmp_path / "a", name, pa.array([1, 2, 3]), pa.array([1, 2, 3])))


@pytest.mark.parametrize(
    ("name", "column", "want"),
    [
        (NUMBER, pa.array([1e300, 2, 3]), f"{NUMBER}: NaN or infinity"),
        (NUMBER, pa.array([1, None, 3]), f"{NUMBER}: NaN or infinity"),
        ("last_ts_ns", pa.array([1, None, 3]), "last_ts_ns: null: want the time"),
        ("last_ts_ns", pa.array([1, 2, 2**64 - 1], pa.uint64()), "not a Parquet file that can be"),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path, name, column, want):
    """Too large for a model, or none at all."""
    with pytest.raises(CaptureError, match=want):
        rows_of(put(tmp_path / "a", name, column))


def test_sequences_are_no_rows(tmp_path, tiny_capture):
    """The file says that it is of the same schema; what is to be done is said."""
    from click.testing import CliRunner

    from tapwatch.cli import main

    out = tmp_path / "sequences.parquet"
    words = ["features", str(tiny_capture), "--view", "flow", "--sequence", "2", "-o", str(out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    with pytest.raises(ArtifactError, match=r"holds sequences: .* write it without --sequence"):
        rows_of(out)


def test_a_broken_parquet_file_is_refused(tmp_path):
    """Cut short, it cannot be read at all: its directory is at the end."""
    whole = made.parquet(tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(CaptureError, match="not a Parquet file that can be read"):
        rows_of(tmp_path / "cut")


def test_a_directory_stands_for_its_files(tmp_path):
    """Sorted by name; nothing in it, or nothing there, is an error."""
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()

    assert expand([tmp_path]) == [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(CaptureError, match="no files in it"):
        expand([tmp_path / "empty"])
    with pytest.raises(CaptureError, match="absent: want a capture or a table"):
        expand([tmp_path / "c"])


def test_standard_input_is_refused(tmp_path):
    """The record of a bundle holds the SHA-256 of every input."""
    with pytest.raises(ConfigError, match="INPUT = '-': want a file or a directory"):
        expand([tmp_path.__class__("-")])


def test_an_input_is_described_by_content_and_not_by_place(tmp_path):
    """Name, size, SHA-256."""
    (tmp_path / "a.pcap").write_bytes(b"abc")

    assert describe_input(tmp_path / "a.pcap", "training") == {
        "name": "a.pcap",
        "bytes": 3,
        "sha256": hashlib.sha256(b"abc").hexdigest(),
        "used_for": "training",
    }


def test_captures_come_as_one_source():
    """A real capture gives a row a packet, finite, in the order of time."""
    capture = shared_data() / "pcaps" / "PcapPlusPlus" / "example.pcap"
    [parts] = read_rows([capture], SCHEMAS["packet"], Config())
    parts = list(parts)
    values = np.concatenate([part.values for part in parts])

    assert values.shape == (4631, len(SCHEMAS["packet"].columns))
    assert np.isfinite(values).all()
    assert all((np.diff(part.time_ns) >= 0).all() for part in parts)


CLASSES = [k for k, column in enumerate(made.SCHEMA.columns) if column.categories]


def test_words_of_a_class_become_their_place_in_the_schema(tmp_path):
    """Whatever dictionary the file has, or none; an unknown or missing word is refused."""
    assert CLASSES
    name = made.SCHEMA.names[CLASSES[0]]
    categories = made.SCHEMA.columns[CLASSES[0]].categories

    def put(words):
        def change(table):
            place = table.schema.get_field_index(name)
            return table.set_column(place, name, [pa.array(words)])

        return made.parquet(tmp_path / "words.parquet", len(words), change=change)

    indices = [*range(len(categories)), 0]
    [[part]] = rows_of(put([categories[k] for k in indices]))
    assert part.values[:, CLASSES[0]].tolist() == indices
    for words in ([categories[0], "gopher"], [categories[0], None]):
        with pytest.raises(CaptureError, match=f"{name}: another word: want one of its"):
            rows_of(put(words))


def test_rows_of_another_configuration_are_refused(tmp_path):
    """By key, what was found and what is wanted; also where the file does not say."""
    other = made.parquet(tmp_path / "other", configuration={"decode.tunnel_depth": 0})
    with pytest.raises(ArtifactError, match=r"flows.idle_timeout_s = None: want 60.0, as in this"):
        rows_of(other)
    settings = settings_of("flow", Config()) | {"decode.tunnel_depth": 2}
    deeper = made.parquet(tmp_path / "deeper", configuration=settings)
    with pytest.raises(ArtifactError, match=r"decode.tunnel_depth = 2: want 0"):
        rows_of(deeper)
    silent = made.parquet(tmp_path / "silent", configuration=[])
    with pytest.raises(ArtifactError, match=r"tapwatch.configuration absent: want it"):
        rows_of(silent)


def test_what_tapwatch_writes_is_what_training_reads(tmp_path, tiny_capture):
    """Features as Parquet and straight from the capture: the same rows, classes and all."""
    from click.testing import CliRunner

    from tapwatch.cli import main

    for view in SCHEMAS:
        out = tmp_path / f"{view}.parquet"
        words = ["features", str(tiny_capture), "--view", view, "-o", str(out), "--quiet"]
        assert CliRunner().invoke(main, words).exit_code == 0
        from_file, direct = (
            [part for parts in read_rows([path], SCHEMAS[view], Config()) for part in parts]
            for path in (out, tiny_capture)
        )
        assert sum(len(part.values) for part in direct) >= 1
        for field in ("values", "time_ns"):
            one, other = (
                np.concatenate([getattr(part, field) for part in parts])
                for parts in (from_file, direct)
            )
            np.testing.assert_array_equal(one, other)

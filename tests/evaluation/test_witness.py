"""Rows of captures and Parquet, labelled by a truth file as alerts are."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.cli import main
from tapwatch.config import Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.evaluation.episodes import Sighting, belongs
from tapwatch.evaluation.protocol import Labelled
from tapwatch.evaluation.truth import Episode
from tapwatch.evaluation.witness import (
    Who,
    check_rows_can_be_labelled,
    is_truth,
    label_rows,
    read_with_truth,
)
from tapwatch.features import SCHEMAS
from tests.evaluation.office import CLIENTS, SCANNER, START_NS, office
from tests.evaluation.test_evaluate import HEAD

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
ADDRESSES = st.sampled_from([A, B, C])
TIMES = st.integers(0, 6).map(lambda us: us * 700)
EPISODES = st.builds(
    Episode,
    name=st.just("1"),
    kind=st.just("worm"),
    start_ns=TIMES,
    end_ns=TIMES,
    src=st.one_of(st.none(), ADDRESSES),
    dst=st.one_of(st.none(), ADDRESSES),
    dst_port=st.sampled_from([None, 80, 443]),
    proto=st.none(),
)
ROWS = st.tuples(
    *(TIMES, TIMES, ADDRESSES, st.one_of(st.just(""), ADDRESSES), st.sampled_from([0, 80]))
)


def who(rows):
    """Rows as arrays."""
    first, last, src, dst, port = zip(*rows, strict=True)
    ports = np.array([[0, each] for each in port], np.int64)
    return Who(np.array(first), np.array(last), np.array(src), np.array(dst), ports)


@given(EPISODES, st.lists(ROWS.filter(lambda row: row[2] != row[3]), min_size=1, max_size=20))
@settings(deadline=None, max_examples=300)
def test_a_row_belongs_where_an_alert_of_it_would(episode, rows):
    """Against the rule for alerts, over times, one or two addresses, and ports or none."""
    labels = label_rows(who(rows), [episode]).tolist()

    assert labels == ["worm" if belongs(sighting(row), episode) else "normal" for row in rows]


def sighting(row):
    """The alert that such a row would give."""
    first, last, src, dst, port = row
    times = (last // 1000, first // 1000, last // 1000)
    ports = frozenset({0, port} if port else ())
    return Sighting("1", *times, frozenset({src, dst} - {""}), ports, "m", "r", "e", 1)


def test_the_first_of_two_episodes_names_a_row():
    """In the order of the truth file; the longest kind is not cut."""
    rows = who([(0, 0, A, B, 0), (10**9, 10**9, A, B, 0)])
    plain = (None, None, None, None)
    first = Episode("1", "scan", 0, 5, *plain)
    second = Episode("2", "a very long kind of episode", 0, 2 * 10**9, *plain)

    assert label_rows(rows, [first, second]).tolist() == ["scan", "a very long kind of episode"]
    assert label_rows(rows, []).tolist() == ["normal", "normal"]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A capture of the office with a scan of 100 ports of a client, and what is true of it."""
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "a.pcap").write_bytes(office(2, 20, scan_at_s=12))
    start = START_NS + 12 * 10**9
    episode = Episode("1", "scan", start, start + 3 * 10**9, SCANNER, CLIENTS[0], None, "tcp")
    return folder / "a.pcap", episode


def test_rows_of_a_capture_are_labelled(scanned):
    """Each refused connection of the scan is a flow of that kind, and nothing else is."""
    path, episode = scanned

    table, [data] = read_with_truth([path], "flow", [episode], Config(), lambda _: None)

    assert np.count_nonzero(table.labels == "scan") == 100
    assert set(table.labels.tolist()) == {"scan", "normal"}
    assert (data.name, data.rows) == ("a.pcap", len(table))


@pytest.mark.parametrize("view", ["flow", "host"])
def test_parquet_gives_what_the_capture_gives(scanned, tmp_path, view):
    """The same rows with the same labels, in the order of the file."""
    path, episode = scanned
    parquet = tmp_path / "a.parquet"
    done = CliRunner().invoke(main, ["features", str(path), "--view", view, "-o", str(parquet)])
    assert done.exit_code == 0, done.output

    mine, _ = read_with_truth([parquet], view, [episode], Config(), lambda _: None)
    theirs, _ = read_with_truth([path], view, [episode], Config(), lambda _: None)

    def rows(table):
        return sorted(zip(map(bytes, table.values), table.labels.tolist(), strict=True))

    assert rows(mine) == rows(theirs)
    assert "scan" in mine.labels


def test_a_truth_file_is_known_by_its_first_line(tmp_path):
    """A list of labels is none, and a file that is not there is an error."""
    (tmp_path / "truth").write_text(HEAD)
    (tmp_path / "list").write_text("normal\n")

    assert is_truth(tmp_path / "truth")
    assert not is_truth(tmp_path / "list")
    with pytest.raises(CaptureError, match="none: cannot be read"):
        is_truth(tmp_path / "none")


def test_rows_without_a_label_are_refused():
    """They are neither normal nor anomalies."""
    rows = np.zeros((2, 2), np.float32)
    table = Labelled(rows, np.array(["", "worm"]), np.zeros(2, np.int64), SCHEMAS["kdd"])

    with pytest.raises(ConfigError, match="--test = '1 of 2 rows without a label': want a label"):
        check_rows_can_be_labelled(table, "--test")

"""`tapwatch features` from the command line."""

import os
import subprocess
import sys

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tapwatch.features import SCHEMAS
from tests.conftest import pcap_bytes

S = 10**9


def udp(src: int, port: int, payload: int = 9) -> bytes:
    """An Ethernet frame with a UDP datagram from 10.0.0.src:port to 10.0.0.99:53."""
    length = 8 + payload
    return (
        bytes.fromhex("02 00 00 00 00 01  02 00 00 00 00 02  08 00  45 00")
        + (20 + length).to_bytes(2, "big")
        + bytes.fromhex("00 01 00 00 40 11 00 00")
        + bytes([10, 0, 0, src, 10, 0, 0, 99])
        + port.to_bytes(2, "big")
        + (53).to_bytes(2, "big")
        + length.to_bytes(2, "big")
        + bytes(2 + payload)
    )


@pytest.fixture
def capture(tmp_path):
    """800 datagrams of 200 flows over 400 s, one frame that is cut short."""
    frames = [(10**18 + k * S // 2 + k, udp(k % 7, 1000 + k // 4, k % 50)) for k in range(800)]
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap_bytes([*frames, (10**18 + 401 * S, b"\x02" * 10)]))
    return path


def run(*arguments: object):
    """Result of `tapwatch features` with these arguments."""
    return CliRunner().invoke(main, ["features", *map(str, arguments)])


@pytest.mark.parametrize("view", list(SCHEMAS))
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_bytes_do_not_depend_on_workers_or_batches(view, ending, capture, tmp_path):
    """One and two workers, batches of 7 and of 8192 frames, give the same file."""
    config = tmp_path / "small.toml"
    config.write_text("[capture]\nbatch_frames = 7\n")
    variants = [["--workers", 1], ["--workers", 2], ["--config", config]]
    files = []

    for k, options in enumerate(variants):
        output = tmp_path / f"{k}.{ending}"
        result = run(capture, "--view", view, "-o", output, *options)
        assert (result.exit_code, result.exception) == (0, None)
        files.append(output.read_bytes())

    assert len({*files}) == 1


def test_packets_are_one_row_a_frame_in_order(capture, tmp_path):
    """The frame that could not be decoded has its row."""
    run(capture, "--view", "packet", "-o", tmp_path / "p.parquet", "--quiet")

    table = pq.read_table(tmp_path / "p.parquet")

    assert table["frame_number"].to_pylist() == list(range(1, 802))
    assert table["undecoded"].to_pylist() == [0] * 800 + [1]
    assert table["payload_len_bytes"].to_pylist()[:800] == [k % 50 for k in range(800)]
    assert table["src"].to_pylist()[:3] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]


def test_flows_are_sorted_and_complete(capture, tmp_path):
    """Every datagram is in a flow; rows go by last packet and id; nobody is told of disorder."""
    result = run(capture, "--view", "flow", "-o", tmp_path / "f.csv")

    table = pyarrow.csv.read_csv(tmp_path / "f.csv")
    keys = list(zip(table["last_ts_ns"].to_pylist(), table["flow_id"].to_pylist(), strict=True))
    packets = sum(table["tot_fwd_pkts"].to_pylist()) + sum(table["tot_bwd_pkts"].to_pylist())
    assert packets == 800
    assert keys == sorted(keys)
    assert f"{len(keys)} rows in" in result.output
    assert "too late" not in result.output


def test_standard_output_carries_data_only(capture):
    """`-` is CSV on stdout; what is said goes to stderr."""
    result = run(capture, "--view", "flow", "-o", "-")

    lines = result.stdout.splitlines()
    assert lines[0].startswith("first_ts_ns,last_ts_ns,src,dst,")
    assert {line.count(",") for line in lines} == {lines[0].count(",")}
    assert "rows in standard output" in result.stderr


def test_original_names(capture):
    """`--names original` spells columns as the data set does."""
    result = run(capture, "--view", "flow", "-o", "-", "--names", "original", "--quiet")

    assert ",Flow Duration,Tot Fwd Pkts," in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--view", "flows", "-o", "x.csv"], "view = 'flows': want one of packet, flow"),
        (["--view", "flow", "-o", "x.xls"], "-o = 'x.xls': want FILE.parquet, FILE.csv, or -"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(arguments, message, capture):
    """Exit code 2, one line, nothing written."""
    result = run(capture, *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert not os.path.exists("x.csv")


def test_a_capture_that_cannot_be_read_leaves_no_file(tmp_path):
    """Exit code 3, and nothing under the output's name."""
    result = run(tmp_path / "absent.pcap", "--view", "flow", "-o", tmp_path / "f.csv")

    assert result.exit_code == 3
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_told(capture, tmp_path):
    """A missing folder is a usage error, told before any work; no traceback."""
    result = run(capture, "--view", "flow", "-o", tmp_path / "absent" / "f.csv")

    assert result.exit_code == 2
    assert "want a file in a folder that exists" in result.stderr


def test_head_may_leave_early(capture):
    """`tapwatch features ... -o - | head -1` ends quietly with 0."""
    command = (
        f"{sys.executable} -m tapwatch features {capture} --view packet -o - --quiet | head -1"
    )

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_full_device_is_told(capture):
    """Exit code 1 and the reason where standard output takes nothing."""
    command = [sys.executable, "-m", "tapwatch", "features", str(capture), "--view", "packet"]

    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, "-o", "-"], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert done.returncode == 1
    assert b"standard output: cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr

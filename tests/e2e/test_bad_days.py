"""What goes wrong, what the user reads then, and that the ledger balances all the same."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.program import ATTACKS, BUNDLES, plain, start, tapwatch, with_bundles

ONE_BUNDLE = with_bundles(BUNDLES[:1])


def _said(done) -> str:
    text = done.stderr.decode()
    assert "Traceback" not in text
    return text


def _balanced(path: Path) -> dict:
    summary = json.loads(path.read_text())
    assert summary["ledger_balanced"] is True
    return summary


def test_a_bundle_for_another_schema_is_refused(tmp_path):
    """Exit 4; the message names the bundle and the columns that differ."""
    bundle = tmp_path / "flow"
    shutil.copytree(BUNDLES[0], bundle)
    document = json.loads((bundle / "bundle.json").read_text())
    document["feature_schema"]["digest"] = "0" * 64
    document["feature_schema"]["columns"][3]["unit"] = "furlong"
    (bundle / "bundle.json").write_text(json.dumps(document))

    done = tapwatch("replay", ATTACKS, "--bundle", bundle, code=4)

    said = _said(done)
    assert str(bundle) in said
    assert document["feature_schema"]["columns"][3]["name"] in said


def test_a_bad_configuration_is_refused_with_all_its_errors(tmp_path):
    """Exit 2; every error on a line of its own: file, key, value, limit, reason."""
    config = tmp_path / "bad.toml"
    config.write_text("[flows]\nidle_timeout_s = -1\ncapacty = 5\n[detect]\nmax_rows = 0\n")

    said = _said(tapwatch("replay", ATTACKS, *ONE_BUNDLE, "--config", config, code=2))

    assert len(said.splitlines()) == 3
    assert f"{config}: flows.idle_timeout_s = -1: want greater than or equal to 0.001" in said
    assert "flows.capacty" in said
    assert "detect.max_rows = 0" in said


def test_an_active_timeout_below_the_idle_one_is_refused(tmp_path):
    """The message names both keys, the values and the reason."""
    config = tmp_path / "t.toml"
    config.write_text("[flows]\nidle_timeout_s = 30\nactive_timeout_s = 20\n")

    said = _said(tapwatch("check-config", config, code=2))

    assert (
        "flows.active_timeout_s = 20.0: want more than flows.idle_timeout_s, which is 30.0 "
        "(else every flow is cut before silence can end it)"
    ) in said


@pytest.mark.parametrize("content", [None, b"", b"this is no capture at all, but a text"])
def test_a_capture_that_cannot_be_opened_is_an_input_error(content, tmp_path):
    """Exit 3; the message names the file."""
    path = tmp_path / "capture.pcap"
    if content is not None:
        path.write_bytes(content)

    assert str(path) in _said(tapwatch("replay", path, *ONE_BUNDLE, code=3))


def test_a_capture_cut_short_is_worked_on_up_to_the_cut(tmp_path):
    """Exit 0 with a warning, exit 3 with --strict; the loss is in the ledger."""
    raw = plain(ATTACKS)
    cut, summary_file = tmp_path / "cut.pcap", tmp_path / "summary.json"
    cut.write_bytes(raw[: len(raw) // 2 - 1])
    arguments = ["replay", cut, *ONE_BUNDLE, "--summary", summary_file, "--quiet"]

    lenient = tapwatch(*arguments)
    summary = _balanced(summary_file)
    tapwatch(*arguments, "--strict", code=3)

    assert str(cut) in _said(lenient)
    assert summary["capture"]["truncated_files"] == 1
    assert summary["capture"]["packets"] > 1000


def test_a_full_disk_under_the_alerts_is_said_with_the_count(tmp_path):
    """Exit 1; the message says how many alerts were not written; the ledger is still written."""
    summary_file = tmp_path / "summary.json"

    done = tapwatch(
        "replay", ATTACKS, *ONE_BUNDLE, "-o", "/dev/full", "--summary", summary_file, code=1
    )

    raised = _balanced(summary_file)["alerts"]["raised"]
    assert f"/dev/full: {raised} of {raised} alerts could not be written" in _said(done)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_in_the_middle_drains_and_sums_up(number, code, tmp_path):
    """What was read is reported and balances; SIGTERM ends with 0, an interrupt with 130."""
    summary_file = tmp_path / "summary.json"
    options = ["--speed", 60, "--summary", summary_file]
    with start("replay", ATTACKS, *ONE_BUNDLE, *options) as child:
        time.sleep(8)
        child.send_signal(number)
        _, said = child.communicate(timeout=60)

    assert child.returncode == code, said.decode()
    summary = _balanced(summary_file)
    assert summary["capture"]["packets"] > 0
    assert summary["seconds"]["captured"] < 1700


@pytest.mark.parametrize("n_bytes", [1_000_000, 10], ids=["in the middle", "in the file header"])
def test_a_signal_while_standard_input_is_silent_ends_the_run(n_bytes, tmp_path):
    """A pipe that nobody writes to does not keep the process from ending."""
    summary_file = tmp_path / "summary.json"
    with start("replay", "-", *ONE_BUNDLE, "--summary", summary_file, stdin=subprocess.PIPE) as run:
        run.stdin.write(plain(ATTACKS)[:n_bytes])
        run.stdin.flush()
        time.sleep(8)
        run.send_signal(signal.SIGTERM)
        try:
            code = run.wait(timeout=20)
        finally:
            run.kill()
        said = run.stderr.read()

    assert b"Traceback" not in said
    if n_bytes > 24:
        assert code == 0, said.decode()
        assert _balanced(summary_file)["capture"]["truncated_files"] == 0
    else:
        assert code == 130, said.decode()


def test_a_reader_of_standard_output_may_leave(tmp_path):
    """`tapwatch features ... -o - | head -1` ends without a traceback."""
    with start("features", ATTACKS, "--view", "packet", "-o", "-", "--quiet") as child:
        first = child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()

    assert b"frame_number" in first
    assert said == b""
    assert child.returncode == 0


def test_unknown_words_on_the_command_line_are_usage_errors(tmp_path):
    """Exit 2, with what there is instead."""
    view = tapwatch("features", ATTACKS, "--view", "flwo", "-o", tmp_path / "x.csv", code=2)
    ending = tapwatch("features", ATTACKS, "--view", "flow", "-o", tmp_path / "x.txt", code=2)

    assert "flow" in _said(view)
    assert ".parquet" in _said(ending)


def test_an_output_that_is_an_input_is_refused(tmp_path):
    """Exit 2, and the capture is what it was; links and --summary included."""
    capture, link = tmp_path / "c.csv", tmp_path / "link.csv"
    capture.write_bytes(plain(ATTACKS)[:100_000])
    link.symlink_to(capture)
    before = capture.read_bytes()
    ways = [
        ["replay", capture, *ONE_BUNDLE, "-o", capture],
        ["replay", capture, *ONE_BUNDLE, "-o", link],
        ["replay", capture, *ONE_BUNDLE, "--summary", capture],
        ["replay", tmp_path, *ONE_BUNDLE, "-o", capture],
        ["features", capture, "--view", "flow", "-o", link],
    ]

    for way in ways:
        assert str(capture) in _said(tapwatch(*way, code=2))

    assert capture.read_bytes() == before


def test_outputs_that_cannot_be_are_refused_before_the_work(tmp_path):
    """A directory, a missing folder, one file for two outputs: exit 2."""
    both = tmp_path / "both.json"
    ways = [
        ["-o", tmp_path],
        ["--summary", tmp_path],
        ["-o", tmp_path / "no" / "alerts.jsonl"],
        ["-o", both, "--summary", tmp_path / "." / "both.json"],
    ]

    for way in ways:
        assert "want" in _said(tapwatch("replay", ATTACKS, *ONE_BUNDLE, *way, code=2))


def test_a_run_that_cannot_start_leaves_the_old_alerts(tmp_path):
    """An address in use ends the run before the alerts file is emptied."""
    old = tmp_path / "alerts.jsonl"
    old.write_text("yesterday\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        said = _said(
            tapwatch("replay", ATTACKS, *ONE_BUNDLE, "-o", old, "--listen", address, code=2)
        )

    assert address in said
    assert old.read_text() == "yesterday\n"


@pytest.mark.parametrize("address", ["a..b:80", "127.0.0.1:" + "9" * 5000, "nowhere", "[::1:80"])
def test_a_listen_address_that_is_none_is_a_usage_error(address):
    """Exit 2 and a message, whatever was written."""
    assert "--listen" in _said(
        tapwatch("replay", ATTACKS, *ONE_BUNDLE, "--listen", address, code=2)
    )


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "1e300", "fast"])
def test_a_speed_that_is_none_is_a_usage_error(speed):
    """Exit 2, with what is wanted."""
    said = _said(tapwatch("replay", ATTACKS, *ONE_BUNDLE, f"--speed={speed}", code=2))

    assert "want max, or 1e-6 to 1e6" in said


def test_kernels_are_compiled_where_nothing_can_be_written(tiny_capture, tmp_path):
    """Without a folder for the cache the run works, and leaves nothing of its scratch folder."""
    environment = os.environ | {"HOME": "/proc/none", "TMPDIR": str(tmp_path)}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "CACHE_DIRECTORY"):
        environment.pop(name, None)
    out = tmp_path / "rows.csv"

    tapwatch("features", tiny_capture, "--view", "flow", "-o", out, "--quiet", env=environment)

    assert out.read_text().count("\n") == 2
    assert list(tmp_path.glob("tapwatch-kernels-*")) == []


def test_a_time_stamp_that_stops_the_clock_is_told(tmp_path):
    """One frame far in the future makes all later ones late: the run says so."""
    raw = bytearray(plain(ATTACKS)[:400_000])
    raw[24:28] = b"\xff\xff\xff\xff"
    capture = tmp_path / "future.pcap"
    capture.write_bytes(raw)

    assert "a time stamp that lies far ahead" in _said(tapwatch("replay", capture, *ONE_BUNDLE))

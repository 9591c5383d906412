"""How commands end when signals come early, and when nobody hears what they say."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.program import ATTACKS, BUNDLES, TAPWATCH, start, tapwatch, with_bundles

PACKET = with_bundles(BUNDLES[1:])
TAPWATCH_WORDS = shlex.join(TAPWATCH)


def _catches(pid: int, number: int) -> bool:
    """True if the process has a handler for that signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[1], 16)
    return bool(caught >> (number - 1) & 1)


def _wait_until(true, seconds: float = 60) -> None:
    end_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="wants /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("command", [("replay", str(ATTACKS)), ("run", "-i", "lo")], ids=" ".join)
@pytest.mark.parametrize("later_s", [0, 0.3])
def test_a_signal_during_the_imports_ends_with_its_code(command, number, code, later_s):
    """Nothing was done, nothing is said, and nothing more is loaded."""
    with start(*command, *PACKET) as child:
        _wait_until(lambda: _catches(child.pid, signal.SIGTERM))
        time.sleep(later_s)
        began_s = time.monotonic()
        child.send_signal(number)
        _, said = child.communicate(timeout=60)

    assert (child.returncode, said) == (code, b"")
    assert time.monotonic() - began_s < 10


def test_a_replay_whose_terminal_goes_away_drains(tmp_path):
    """As after SIGTERM; the second SIGHUP, which always comes, does not end it."""
    ledger = tmp_path / "ledger.json"
    with start("replay", ATTACKS, *PACKET, "--speed", 60, "--summary", ledger) as child:
        time.sleep(8)
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGHUP)
        _, said = child.communicate(timeout=60)

    assert child.returncode == 0, said.decode()
    assert json.loads(ledger.read_text())["ledger_balanced"] is True


def test_a_replay_into_a_pipe_that_nobody_reads_hears_sigterm():
    """It waits for its reader till then; afterwards for five seconds, and says what was lost."""
    with start("replay", ATTACKS, *with_bundles(), "-o", "-", "--quiet") as child:
        time.sleep(15)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.wait(40)
        said = child.stderr.read().decode()

    assert child.returncode == 1
    assert "could not be written: its reader does not keep up" in said


def test_a_summary_that_cannot_be_written_hides_nothing_of_a_replay():
    """The ledger is told, the lost alerts are told, and the exit code is 1."""
    done = tapwatch(
        "replay", ATTACKS, *PACKET, "-o", "/dev/full", "--summary", "/proc/none.json", code=1
    )

    said = done.stderr.decode()
    assert "The ledger balances" in said
    assert "/dev/full: 401 of 401 alerts could not be written" in said
    assert "/proc/none.json: the summary could not be written" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true", "<&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (f"replay {ATTACKS} {shlex.join(PACKET)} -o alerts", 0),
        ("replay nowhere.pcap " + shlex.join(PACKET), 3),
        ("replay", 2),
        ("check-config nowhere.toml", 2),
    ],
    ids=["done", "input", "usage", "config"],
)
def test_the_exit_code_does_not_depend_on_who_hears(tmp_path, stderr, words, code):
    """Standard error may be closed, full, or without a reader; alerts are not mixed with it."""
    line = f"set -o pipefail; {TAPWATCH_WORDS} {words} {stderr}"

    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=120, check=False
    )

    assert done.returncode == code
    assert done.stdout == b""
    if code == 0:
        lines = (tmp_path / "alerts").read_text().splitlines()
        kinds = [json.loads(text)["event_type"] for text in lines]
        assert kinds.count("alert") == 401


@pytest.mark.parametrize("command", ["replay", "features"])
def test_a_kernel_cache_that_cannot_be_written_is_refused(command, tmp_path):
    """Exit 2 with the variable, its value and what is wanted; --help needs none."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    folder = blocked / "cache"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    more = PACKET if command == "replay" else ["--view", "flow", "-o", str(tmp_path / "x.csv")]

    done = tapwatch(command, ATTACKS, *more, code=2, env=environment)
    tapwatch(command, "--help", env=environment)

    want = "want a folder that can be written (for compiled kernels)"
    assert done.stderr.decode() == f"tapwatch: NUMBA_CACHE_DIR = '{folder}': {want}\n"


def test_an_interrupt_ends_an_evaluation_that_waits_for_a_pipe(tmp_path):
    """It is heard while the header of the capture is waited for."""
    truth = ATTACKS.parent / "attacks.truth.csv"
    words = ["evaluate", "-", "--labels", truth, *PACKET]
    with start(*words, stdin=subprocess.PIPE) as child:
        time.sleep(8)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        code = child.wait(20)
        said = child.stderr.read()

    assert code == 130
    assert b"Traceback" not in said

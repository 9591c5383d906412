"""The fuzzing loop itself: it finds what it is there to find, and the program stands it."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fuzz import loop
from tests.fuzz.cases import Case, Finding
from tests.shared_data import ROOT


@pytest.mark.parametrize(("what", "n_cases"), [("readers", 40), ("decode", 60), ("house", 25)])
def test_the_first_cases_of_a_run_find_nothing(what, n_cases):
    """The same cases every time; longer runs are `make fuzz`."""
    found = {}
    for number in range(n_cases):
        case = loop.case_of(what, "in-the-tests", number)
        kind, text, _, megabytes = loop.run_case(case, Counter())
        if kind and kind != "slow":  # kernels may have to be compiled
            found[number] = f"{kind}: {text}"
        assert megabytes < loop.MEGABYTES_A_CASE

    assert found == {}


def test_a_case_is_the_same_whenever_it_is_made():
    """Seed and number say all."""
    for what in loop.TARGETS:
        assert loop.case_of(what, "s", 7) == loop.case_of(what, "s", 7)
        assert loop.case_of(what, "s", 7) != loop.case_of(what, "s", 8)


def test_a_saved_case_is_the_case(tmp_path):
    """A reproducer holds everything that its case did."""
    case = loop.case_of("decode", "s", 1)

    path = case.save(tmp_path, "kind", "what was found")

    assert Case.from_json(path.read_text()) == case
    assert path == case.save(tmp_path, "kind", "what was found")


def _broken(case: Case, seen: Counter[str]) -> None:
    """A target that breaks in every way, each at one byte."""
    content = case.parts[0]
    if b"C" in content:
        ctypes.string_at(0)
    if b"H" in content:
        signal.pause()
    if b"P" in content:
        raise Finding("broken: a promise")
    if b"E" in content:
        raise ValueError("any")
    if b"M" in content:
        np.ones(400 << 20, np.uint8).sum()
    if b"S" in content:
        end = time.process_time() + 1.2
        while time.process_time() < end:
            seen["turns"] += 1


@pytest.fixture
def broken(monkeypatch):
    """The target above; of its cases the first twelve have one letter that hurts, or not."""

    def make(random, seed):
        number = int(seed.rsplit("/", 1)[1])
        letter = b"aCbHcPdEeMfS"[number : number + 1]
        return Case("broken", (b"x" * 9 + letter + b"y" * 10, b"more"), ({}, {}), {}, seed)

    monkeypatch.setitem(loop.TARGETS, "broken", SimpleNamespace(make=make, run=_broken))
    monkeypatch.setattr(loop, "HANG_SECONDS", 10.0)
    monkeypatch.setattr(loop, "SECONDS_A_CASE", 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory want Linux")
def test_crashes_hangs_promises_exceptions_and_greed_are_found(broken):
    """Each once, with the case that did it; the loop goes on after all of them."""
    found = {}

    runner = loop.Runner("broken", "s", lambda kind, case, _: found.setdefault(kind, case))
    runner.run(4.0)

    letters = {kind: case.parts[0][9:10] for kind, case in found.items()}
    assert letters == {
        "died-11": b"C",
        "hang": b"H",
        "promise-broken__a_promise": b"P",
        "ValueError-outside": b"E",
        "memory": b"M",
        "slow": b"S",
    }
    assert runner.report.executions > 5
    assert runner.report.times_found["died-11"] >= 1


def test_a_finding_is_made_as_small_as_it_can_be(broken):
    """What is not needed for it is left out: of parts, and of bytes."""
    case = loop.case_of("broken", "s", 5)

    assert loop.smaller(case, "promise-broken__a_promise").parts == (b"P",)
    assert loop.kind_in_a_child(loop.case_of("broken", "s", 1)) == "died-11"


def test_the_command_runs_and_sums_up(tmp_path):
    """A few seconds of all targets: executions, what was reached, exit code 0."""
    words = ["--minutes", "0.05", "--seed", "s", "--findings", str(tmp_path / "found")]

    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "found").exists()
    for word in ("decode: ", "readers: ", "house: ", "never reached"):
        assert word in done.stdout

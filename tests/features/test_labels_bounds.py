"""No frame, whatever lengths it claims, makes the labels read a byte that is not its own."""

import os
import signal
import subprocess
import sys

import pytest

from tests.features import guarded_labels
from tests.shared_data import ROOT

pytestmark = pytest.mark.kernel

without_jit = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1" or os.environ.get("NUMBA_BOUNDSCHECK") == "1",
    reason="indices are checked in this run, so that nothing can leave its array",
)


def run_guarded(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-m", "tests.features.guarded_labels", *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@without_jit
def test_reads_nothing_beside_a_frame():
    """Every cut of every case is labelled alone between two pages that cannot be read."""
    done = run_guarded()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == guarded_labels.digest_of_labels()


@without_jit
@pytest.mark.parametrize("side", ["before", "behind"])
def test_the_guards_would_notice(side):
    """One byte beyond a frame at the guard ends the program, so the test above can fail."""
    assert run_guarded(side).returncode == -signal.SIGSEGV

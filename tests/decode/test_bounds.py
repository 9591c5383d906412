"""No frame, whatever lengths it claims, makes the decoder read a byte that is not its own."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode import guarded
from tests.decode.corpus import BAD, GOOD
from tests.decode.made import Frame, decoded
from tests.shared_data import ROOT

pytestmark = pytest.mark.kernel

without_jit = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1" or os.environ.get("NUMBA_BOUNDSCHECK") == "1",
    reason="indices are checked in this run, so that nothing can leave its array",
)


def run_guarded(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-m", "tests.decode.guarded", *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_reads_nothing_beside_a_frame():
    """Every cut of every frame decodes alone between two pages that cannot be read."""
    done = run_guarded()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == guarded.digest_of_rows()


@without_jit
@pytest.mark.parametrize("side", ["before", "behind"])
def test_the_guards_would_notice(side):
    """One byte beyond a frame at the guard ends the program, so the test above can fail."""
    assert run_guarded(side).returncode == -signal.SIGSEGV


@given(
    st.lists(
        st.builds(
            lambda frame, n: frame.snapped(n),
            st.sampled_from([*GOOD.values(), *BAD.values()]),
            st.integers(0, 140),
        )
    ),
    st.binary(max_size=80),
    st.binary(max_size=80),
)
def test_neighbours_do_not_show(frames: list[Frame], one: bytes, other: bytes):
    """What lies before and behind a frame in the buffer changes nothing in its row."""
    assert decoded(frames, one) == decoded(frames, other)


def test_a_cut_frame_does_not_borrow_from_the_next():
    """The missing half of each frame, put right behind it, is not found."""
    for frame in [*GOOD.values(), *BAD.values()]:
        for n in range(len(frame.data)):
            rest = Frame(frame.data[n:] or b"\0", link_type=frame.link_type)

            with_rest, without = (
                decoded([frame.snapped(n), rest])[0],
                decoded([frame.snapped(n)])[0],
            )

            assert with_rest == without

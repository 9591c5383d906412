"""Signals: the first asks for a drain, the second ends, a hangup never ends at once."""

import os
import signal
import subprocess
import sys

import pytest

from tapwatch.signals import StopSignal


@pytest.fixture(autouse=True)
def hangups_end_us():
    """As they do by default: who runs the tests by nohup has them ignored, here and in children."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)]
)
def test_the_first_signal_is_a_request(number, code):
    """And the handlers that were there come back."""
    before = signal.getsignal(number)
    with StopSignal() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()

    assert (stopped.received, stopped.exit_code) == (number, code)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)]
)
def test_where_nothing_is_to_be_drained_the_first_one_ends(number, code):
    """With the exit code that a drain would have had."""
    with StopSignal(drains=False), pytest.raises(SystemExit) as caught:
        os.kill(os.getpid(), number)

    assert caught.value.code == code


def test_a_hangup_can_be_survived():
    """It is told once, and is no request to stop."""
    with StopSignal(survives_hangup=True) as stopped:
        os.kill(os.getpid(), signal.SIGHUP)

        assert [stopped(), stopped.take_hangup(), stopped.take_hangup()] == [False, True, False]


def test_a_process_started_by_nohup_goes_on_ignoring_hangups():
    """SIGHUP was ignored before."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stopped:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopped()
    finally:
        signal.signal(signal.SIGHUP, before)


PROGRAM = """
import os, signal, sys
from tapwatch.signals import StopSignal
with StopSignal():
    for name in sys.argv[1:]:
        os.kill(os.getpid(), getattr(signal, name))
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("SIGTERM", "SIGTERM"), 143),
        (("SIGTERM", "SIGINT"), 130),
        (("SIGINT", "SIGTERM"), 143),
        (("SIGHUP", "SIGTERM"), 143),
        (("SIGHUP", "SIGHUP", "SIGHUP"), 7),
        (("SIGTERM", "SIGHUP"), 7),
    ],
)
def test_a_second_signal_ends_at_once_but_a_hangup_does_not(names, code):
    """128 and its number; a terminal that goes away sends SIGHUP twice."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *names], check=False)

    assert done.returncode == code


MODULE = """
import os, signal
class Lost:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGNAL)  # an exception in here is printed, and lost
Lost()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 130), ("SIGHUP", 0)])
def test_a_signal_while_modules_are_loaded_ends_without_a_word(tmp_path, name, code):
    """Libraries in C++ call Python, and let no exception out: the process aborts, or goes on."""
    (tmp_path / "heavy.py").write_text(MODULE.replace("SIGNAL", name))
    program = (
        "from tapwatch.signals import StopSignal\n"
        "with StopSignal(drains=False):\n    import heavy\n    print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False, timeout=30
    )

    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")

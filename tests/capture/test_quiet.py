"""How far time has come on a quiet wire: never beyond what may yet arrive."""

from hypothesis import given
from hypothesis import strategies as st

from tapwatch.capture.quiet import QuietClock

S, MS = 10**9, 10**6
T0 = 1_700_000_000 * S
NEVER = -(1 << 63)


def test_before_the_first_frame_it_knows_no_time():
    """Nothing waits for it, and a clock that is set at boot must not lead the frames."""
    clock = QuietClock(10 * MS)

    for k in range(5):
        clock.quiet(T0 + k * S, k * S)

    assert clock.until_ns == NEVER


def test_it_follows_the_look_before_the_last_by_more_than_a_block_waits():
    """One second after the frame nothing may come from 210 ms before the look at 900 ms."""
    clock = QuietClock(10 * MS)
    clock.frames(T0, 0)

    said = []
    for ms in (800, 900, 1000):
        clock.quiet(T0 + ms * MS, ms * MS)
        said.append(clock.until_ns - T0)

    assert said == [0, (800 - 210) * MS, (900 - 210) * MS]


def test_a_machine_that_stood_still_does_not_pass_what_it_has_not_seen():
    """The first look after ten seconds of standstill says no more than the one before it."""
    clock = QuietClock(10 * MS)
    clock.frames(T0, 0)
    clock.quiet(T0 + 300 * MS, 300 * MS)

    clock.quiet(T0 + 10 * S, 10 * S)
    at_once = clock.until_ns - T0
    clock.quiet(T0 + 10 * S + 100 * MS, 10 * S + 100 * MS)

    assert at_once == 90 * MS
    assert clock.until_ns - T0 == 10 * S - 210 * MS


def test_a_clock_that_is_set_forward_does_not_end_flows():
    """No time passes but what a clock that nobody sets has seen pass."""
    clock = QuietClock(10 * MS)
    clock.frames(T0, 0)

    for k in (1, 2, 3):
        clock.quiet(T0 + 3600 * S + k * S, k * S)

    assert clock.until_ns == T0 + 2 * S


def test_a_clock_that_is_set_back_stops_the_time_until_it_has_caught_up():
    """It is a running maximum."""
    clock = QuietClock(10 * MS)
    clock.frames(T0, 0)

    for k in (1, 2, 3):
        clock.quiet(T0 - 3600 * S + k * S, k * S)

    assert clock.until_ns == T0


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3 * S),  # until the next event
            st.booleans(),  # a frame comes then
            st.integers(0, 209 * MS),  # how long it is under way
        ),
        max_size=40,
    )
)
def test_it_is_never_beyond_a_frame_that_comes_later(events):
    """Whatever comes when, and however late within the margin it is seen."""
    clock, at_ns = QuietClock(10 * MS), 0
    clock.frames(T0, 0)
    newest = T0

    for wait_ns, is_frame, under_way_ns in events:
        at_ns += wait_ns
        if is_frame:
            stamp = max(newest, T0 + at_ns - under_way_ns)
            assert clock.until_ns <= stamp
            newest = stamp
            clock.frames(newest, at_ns)
        else:
            before = clock.until_ns
            clock.quiet(T0 + at_ns, at_ns)
            assert before <= clock.until_ns <= T0 + at_ns

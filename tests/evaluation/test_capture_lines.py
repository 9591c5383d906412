"""Lines of the protocol of captures, of trials that are made by hand."""

from dataclasses import replace

import pytest

from tapwatch.evaluation import trials
from tapwatch.evaluation.episodes import Finding, Result, Sighting
from tapwatch.evaluation.protocols import capture
from tapwatch.evaluation.truth import Episode

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND


def lines_of(*findings, false_held=0, false_beside=0, hours=0.5):
    """A trial by hand: seconds to the alert by episode, None where it is missed."""
    told = []
    for k, seconds in enumerate(findings):
        start_ns = START_NS + 100 * k * SECOND
        one = Episode("1", f"kind {k}", start_ns, start_ns + SECOND, None, None, None, None)
        at_us = start_ns // 1000 + round(1e6 * (seconds or 0))
        told.append(Finding(one, () if seconds is None else (sighting(at_us),)))
    beside = tuple(sighting(START_NS // 1000 + k) for k in range(false_beside))
    held = tuple(sighting(START_NS // 1000 + k) for k in range(false_held))
    return trials.Trial(
        Result(tuple(told), beside, len(beside), 1.0), Result((), held, len(held), hours)
    )


def sighting(at_us):
    return Sighting(str(at_us), at_us, at_us, at_us, frozenset(), frozenset(), "", "", "", 1)


def test_a_line_sums_up_its_seeds():
    """Two of three episodes and one; the third is missed by both; rates are of their own hours."""
    line = capture._Line(
        "host",
        "z",
        (lines_of(1, 5, None, false_held=1), lines_of(3, None, None, false_beside=4)),
        beats_floor=True,
    )
    unknown = capture._Line("host", "z", (lines_of(1, hours=0.0), lines_of(1)), beats_floor=False)

    assert line.cells() == (
        *("host", "z", 2, 1.5, pytest.approx(0.5**0.5), 3.0),
        *(1.0, 2.0, True, "kind 2"),
    )
    assert unknown.cells()[6:9] == (None, 0.0, False)


def test_finders_of_an_episode_are_quiet_and_find_it_in_most_seeds():
    """No floor, nobody with a false alert held out or without a rate; beside attacks it may be."""
    episodes = [f.episode for f in lines_of(1, 1, 1).attacks.findings]
    lines = [
        capture._Line("flow", trials.FLOOR, (lines_of(0.1, 0.1, 0.1),)),
        capture._Line("flow", "half", (lines_of(1, 9, None), lines_of(None, 7, None)), False),
        capture._Line("host", "most", (lines_of(2, 4, None, false_beside=9),), True),
        capture._Line("host", "noisy", (lines_of(0, 0, 0, false_held=1), lines_of(0, 0, 0)), True),
        capture._Line("host", "unknown", (lines_of(0, 0, 0, hours=0.0),), True),
    ]

    told = capture._by_episode(lines, episodes).rows

    assert told == (
        ("1", "kind 0", "host", "1 of 2", "host: most", 2.0),
        ("1", "kind 1", "flow, host", "2 of 2", "host: most", 4.0),
        ("1", "kind 2", "", "0 of 2", "", None),
    )


def test_without_a_rate_of_false_alerts_nobody_beats_the_floor():
    """However many episodes are found: a capture of one row has no duration."""
    finds, misses = lines_of(1, 1), lines_of(None, None)

    assert trials.beats([finds], misses)
    assert not trials.beats([replace_hours(finds)], misses)
    assert not trials.beats([finds, replace_hours(finds)], misses)
    assert not trials.beats([finds], replace_hours(misses))


def replace_hours(trial):
    return replace(trial, benign=replace(trial.benign, hours=0.0))

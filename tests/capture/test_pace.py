"""A paced replay hands over the same frames, each when its time has come."""

import time

import numpy as np
import pytest

from tapwatch.capture import MemorySource, paced

MS = 1_000_000
START_NS = 1_700_000_000 * 10**9
#: 0, 100, 200 and 300 ms, one of them late.
TIMES_NS = [START_NS + at * MS for at in (0, 100, 90, 200, 300)]


def source(batch_frames=8192):
    """Five small frames."""
    frames = [(ts_ns, bytes([number]) * 60) for number, ts_ns in enumerate(TIMES_NS)]
    return MemorySource(frames, batch_frames=batch_frames)


def drain(paced_source):
    """All batches with the wall time at which each came."""
    batches = []
    while (batch := paced_source.read()) is not None:
        batches.append((time.monotonic(), batch))
    return batches


@pytest.mark.parametrize("batch_frames", [1, 2, 8192])
def test_hands_over_the_same_frames_in_order(batch_frames):
    """Nothing is lost, doubled or changed by waiting."""
    batches = drain(paced(source(batch_frames), 1000.0, lambda: False))

    numbers = np.concatenate([batch.frames["number"] for _, batch in batches])
    assert numbers.tolist() == [1, 2, 3, 4, 5]


def test_no_frame_comes_before_its_time():
    """At twice the speed, a frame of 300 ms comes after 150 ms or more."""
    began_s = time.monotonic()

    batches = drain(paced(source(), 2.0, lambda: False))

    for came_s, batch in batches:
        for ts_ns in batch.frames["ts_ns"]:
            assert came_s - began_s >= (ts_ns - START_NS) / 1e9 / 2.0 - 0.051


def test_what_waits_is_not_counted_yet():
    """After a stop in the middle the counts are those of the frames handed over."""
    waiting = paced(source(), 1.0, lambda: False)

    first = waiting.read()

    assert (waiting.counts.packets, waiting.counts.bytes) == (len(first), 60 * len(first))
    assert len(first) < len(TIMES_NS)
    assert waiting.tallies()[0].values[("file", "0")] == len(first)


def test_time_handed_over_never_goes_back():
    """until_ns is a running maximum over the slices too."""
    untils = [batch.until_ns for _, batch in drain(paced(source(), 1000.0, lambda: False))]

    assert untils == sorted(untils)
    assert untils[-1] == max(TIMES_NS)


def test_a_stop_ends_the_wait():
    """Somebody who wants to stop does not wait for the next frame."""
    frames = [(START_NS, bytes(60)), (START_NS + 3600 * 10**9, bytes(60))]
    began_s = time.monotonic()

    drain(paced(MemorySource(frames), 1.0, lambda: True))

    assert time.monotonic() - began_s < 5.0

"""Frames from memory behave like those of a file."""

import numpy as np
import pytest

from tapwatch.capture import SOURCES, MemorySource
from tapwatch.tables import FRAME
from tests.capture import makers


@pytest.mark.parametrize("batch_frames", [1, 3, 10, 8192])
def test_a_list_of_packets_is_a_source(batch_frames):
    """Times, bytes and order are those of the list, numbers count from 1."""
    packets = makers.frames(10)
    source = SOURCES["memory"](packets, link_type=101, batch_frames=batch_frames, interface="m")

    seen, flushes = [], []
    while (batch := source.read()) is not None:
        flushes.append(batch.flush)
        for row in batch.frames:
            start, size = row["start"], row["captured_bytes"]
            assert (row["link_type"], row["interface"], row["vlan_tci"]) == (101, 0, -1)
            seen.append((row["number"], row["ts_ns"], batch.data[start : start + size].tobytes()))

    assert seen == [(i + 1, *packet) for i, packet in enumerate(packets)]
    assert flushes == [False] * (len(flushes) - 1) + [True]
    assert source.interfaces == ("m",)
    assert source.counts.packets == 10
    assert source.progress() == (source.counts.bytes, source.counts.bytes)


def test_rows_of_frames_are_a_source():
    """Arrays are taken as they are, but for the numbers; the caller's are not written."""
    frames = np.zeros(3, FRAME)
    frames["ts_ns"], frames["number"], frames["link_type"] = [3, 1, 2], 77, [1, 113, 1]
    frames["captured_bytes"], frames["wire_bytes"] = 4, [4, 9, 4]

    source = MemorySource.from_arrays(np.arange(4, dtype=np.uint8), frames)
    batch = source.read()

    assert batch.frames["number"].tolist() == [1, 2, 3]
    assert batch.frames["interface"].tolist() == [0, 1, 0]
    assert (source.counts.late_frames, source.counts.truncated_packets) == (2, 1)
    assert frames["number"].tolist() == [77] * 3
    assert batch.until_ns == 3


def test_an_empty_list_gives_nothing():
    """No frame, no batch."""
    source = MemorySource([])

    assert source.read() is None
    source.close()
    assert source.problems == []

"""Borders of the statistics, enumerated: bulks, gaps, headers."""

from itertools import product

import pytest

from tests.flows import craft
from tests.flows.agreement import assert_agree
from tests.flows.craft import UDP, S, packet, table_of

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("n_packets", range(3, 8))
def test_bulks_around_every_border(n_packets):
    """All mixes of gaps at and past one second, of both directions, for 3 to 7 packets."""
    gaps = (S // 2, S, S + 1)
    packets = []
    for number, (*tail, turn, payload_bytes) in enumerate(product(gaps, gaps, (0, 1), (0, 100))):
        ends = [1 + 2 * number, 2 + 2 * number]  # a flow of its own for each mix
        steps = [S // 4] * (n_packets - 3) + tail
        times = [craft.T0 + sum(steps[:k]) for k in range(n_packets)]
        run = [
            packet(0, *ends, proto=UDP, payload_bytes=10 + k) | {"ts_ns": t}
            for k, t in enumerate(times)
        ]
        there = ends[::-1] if turn else ends
        middle = packet(0, *there, proto=UDP, payload_bytes=payload_bytes)
        run.insert(number % n_packets, middle | {"ts_ns": times[number % n_packets]})
        packets += run
    packets.sort(key=lambda p: p["ts_ns"])

    assert_agree(table_of(packets))


def test_a_bulk_counts_from_its_fourth_packet():
    """Three payload packets are none; the fourth brings all four, each further one itself."""
    for n_packets, (bulks, packets, n_bytes, duration_ns) in {
        3: (0, 0, 0, 0),
        4: (1, 4, 40, 3 * S),
        6: (1, 6, 60, 5 * S),
    }.items():
        rows = table_of([packet(k, proto=UDP, payload_bytes=10) for k in range(n_packets)])
        [row] = craft.file_all(rows)[0]

        got = (row["bulk_n"][0], row["bulk_packets"][0], row["bulk_bytes"][0])
        assert got == (bulks, packets, n_bytes)
        assert row["bulk_duration_ns"][0] == duration_ns

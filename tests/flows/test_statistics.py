"""Borders of the statistics, enumerated: bulks, gaps, headers."""

from itertools import product

import pytest

from tapwatch.config import FlowConfig
from tests.flows import craft
from tests.flows.agreement import assert_agree
from tests.flows.craft import UDP, S, packet, table_of

pytestmark = pytest.mark.kernel
SMALL = FlowConfig(capacity=1024)


@pytest.mark.parametrize("n_packets", range(3, 8))
def test_bulks_around_every_border(n_packets):
    """All mixes of gaps at and past one second, of both directions, for 3 to 7 packets."""
    gaps = (S // 2, S, S + 1)
    for number, last_two in enumerate(product(gaps, gaps, (0, 1), (0, 100))):
        *tail, turn, payload_bytes = last_two
        steps = [S // 4] * (n_packets - 3) + tail
        times = [sum(steps[:k]) for k in range(n_packets)]
        packets = [packet(proto=UDP, payload_bytes=10 + k) | {"ts_ns": craft.T0 + t}
                   for k, t in enumerate(times)]  # fmt: skip
        there = {"src": 1 + turn, "dst": 2 - turn, "proto": UDP, "payload_bytes": payload_bytes}
        middle = packet(**there) | {"ts_ns": craft.T0 + times[n_packets // 2]}
        assert_agree(
            table_of([*packets[: number % n_packets], middle, *packets[number % n_packets :]])
        )
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

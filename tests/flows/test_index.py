"""The index: no flow is taken for another, none is lost when a neighbour leaves."""

import numpy as np
import pytest

from tapwatch.config import FlowConfig
from tapwatch.flows.index import match
from tapwatch.flows.layout import KEY
from tests.flows import craft
from tests.flows.agreement import assert_agree
from tests.flows.craft import UDP, S, packet, table_of

pytestmark = pytest.mark.kernel


def test_every_field_of_the_key_parts_flows():
    """Forward, backward, or another flow as soon as one field differs; hashes play no part."""
    python_match = getattr(match, "py_func", match)
    row, one = craft.file_all(table_of([packet(0)]))[0][0], table_of([packet(0)])[0]
    key = np.zeros(1, KEY)[0]
    key["src_port"], key["dst_port"], key["vlan"] = one["src_port"], one["dst_port"], -1
    key["proto"] = one["proto"]
    back, back_key = one.copy(), key.copy()
    back["src_lo"], back["dst_lo"] = one["dst_lo"], one["src_lo"]
    back_key["src_port"], back_key["dst_port"] = key["dst_port"], key["src_port"]

    assert python_match(row, one, key) == 0
    assert python_match(row, back, back_key) == 1
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "tunnel_id", "ip_version"):
        for other, other_key in ((one.copy(), key), (back.copy(), back_key)):
            other[name] += 1
            assert python_match(row, other, other_key) == -1, name
    for name in ("src_port", "dst_port", "vlan", "proto"):
        for other, other_key in ((one, key.copy()), (back, back_key.copy())):
            other_key[name] += 1
            assert python_match(row, other, other_key) == -1, name
    back_key["is_one_way"] = 1
    assert python_match(row, back, back_key) == -1


def test_flows_that_come_and_go_in_a_crowded_index_agree_with_the_twin():
    """Buckets of 32 places with runs of neighbours: whoever leaves, the others are still found."""
    random = np.random.default_rng(11)
    times = np.cumsum(random.choice([0, S // 10, S // 5], 3000))
    packets = table_of(
        [
            packet(t / S, src=int(random.integers(1, 500)), dst=0, proto=UDP, payload_bytes=k)
            for k, t in enumerate(times)
        ]
    )

    assert_agree(packets, FlowConfig(capacity=1024), borders=(500, 1777))

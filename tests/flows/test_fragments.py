"""Wrong fragments: what overruns, overlaps or contradicts, and what does not."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import FlowConfig
from tests.flows import craft
from tests.flows.agreement import assert_agree, assert_equal_bytes
from tests.flows.craft import ICMP, TCP, UDP, packet, table_of

pytestmark = pytest.mark.kernel


def fragment(start, end, *, more=True, at_s=0.0, ip_id=7, header=20, **fields):
    """One fragment with the bytes [start, end) of its datagram; a first one has a UDP header."""
    fields = {"proto": UDP, "ip_id": ip_id} | fields
    if start:
        fields |= {"transport_header_bytes": 0, "src_port": 0, "dst_port": 0}
    return packet(
        at_s,
        is_fragment=1,
        frag_offset_bytes=start,
        ip_bytes=header + end - start,
        ip_header_bytes=header,
        ip_flags=1 if more else 0,
        **fields,
    )


def wrong(*fragments, twin=True, config=None):
    """Wrong fragments counted, over all flows."""
    rows = table_of(list(fragments))
    if twin:
        assert_agree(rows, config)
    return int(craft.file_all(rows, config=config)[0]["wrong_fragments"].sum())


A, B, C = fragment(0, 16), fragment(16, 40), fragment(40, 45, more=False)


@pytest.mark.parametrize("order", [(B, C), (C, B)])
def test_a_whole_datagram_is_right_in_any_order(order):
    """After the first fragment the others come as they like."""
    assert wrong(A, *order) == 0


def test_repetitions_are_not_wrong():
    """A capture may hold each frame twice, or a datagram twice."""
    assert wrong(A, A, B, B, C, C) == 0
    assert wrong(A, B, C, A, B, C) == 0


@pytest.mark.parametrize(
    ("overlapping", "name"),
    [
        (fragment(8, 24), "into the beginning"),
        (fragment(8, 16), "inside the beginning"),
        (fragment(32, 48), "into the piece beyond the gap"),
        (fragment(40, 64), "into its end"),
        (fragment(40, 56), "the same once more"),
        (fragment(24, 80), "around it"),
        (fragment(24, 72, more=False), "around it, and the last"),
    ],
)
def test_overlaps_are_wrong(overlapping, name):
    """Bytes that were seen come again: in the beginning, or beyond the gap before 40."""
    seen = (fragment(0, 16), fragment(40, 56), fragment(56, 72))

    assert wrong(*seen) == 0
    assert wrong(*seen, overlapping) == 1, name


def test_what_fills_the_gap_is_right():
    """Neighbours touch; only one byte more overlaps."""
    seen = (fragment(0, 16), fragment(40, 56))

    assert wrong(*seen, fragment(16, 40), fragment(56, 60, more=False)) == 0
    assert wrong(*seen, fragment(16, 48)) == 1


def test_teardrop():
    """The second and last fragment lies inside of the first."""
    assert wrong(fragment(0, 40), fragment(24, 28, more=False)) == 1


@pytest.mark.parametrize(
    ("ip_version", "header", "most"),
    [(4, 20, 65_515), (4, 24, 65_511), (4, 60, 65_475), (6, 48, 65_535), (6, 56, 65_527)],
)
def test_a_datagram_ends_at_65535_bytes(ip_version, header, most):
    """With its header in IPv4, without the fixed one in IPv6; known first fragment or not."""
    fields = {"ip_version": ip_version, "header": header, "proto": UDP}
    for end, is_wrong in ((most - 1, 0), (most, 0), (most + 1, 1), (most + 400, 1)):
        last = fragment(65_472, end, more=False, **fields)

        assert wrong(last) == is_wrong
        assert wrong(fragment(0, 16, **fields), last) == is_wrong


@pytest.mark.parametrize(("echoed_bytes", "is_wrong"), [(65_507, 0), (65_508, 1), (65_510, 1)])
def test_the_ping_of_death_is_wrong(echoed_bytes, is_wrong):
    """An echo request of 65,510 bytes behind its 8 of ICMP; 65,507 is the most that is legal."""
    whole = 8 + echoed_bytes
    starts = range(0, whole, 1480)
    pieces = [
        fragment(k, min(k + 1480, whole), more=k + 1480 < whole, proto=ICMP, icmp_type=8)
        for k in starts
    ]

    assert wrong(*pieces) == is_wrong


@pytest.mark.parametrize("length", range(1, 25))
def test_all_but_the_last_are_multiples_of_eight(length):
    """Seven bytes that more shall follow cannot be filed; of the last one any length is right."""
    bad = length % 8 != 0

    assert wrong(fragment(0, length)) == bad
    assert wrong(fragment(0, 8), fragment(8, 8 + length)) == bad
    assert wrong(fragment(0, 8), fragment(8, 8 + length, more=False)) == 0


def test_lengths_that_contradict_each_other():
    """Beyond the last fragment; a last one before bytes that were seen; two ends."""
    assert wrong(A, C, fragment(48, 56)) == 1
    assert wrong(A, fragment(40, 48), fragment(24, 30, more=False)) == 1
    assert wrong(A, fragment(40, 45, more=False), fragment(24, 30, more=False)) == 1
    assert wrong(A, fragment(40, 45, more=False), fragment(48, 50, more=False)) == 1


def test_another_first_fragment_of_an_unfinished_datagram():
    """Of the same length it begins anew; of another it is wrong; after a whole one it is right."""
    longer = fragment(0, 24)

    assert wrong(A, B, A, B, C) == 0
    assert wrong(A, longer) == 1
    assert wrong(A, B, C, longer) == 0
    assert wrong(A, longer | {"ts_ns": A["ts_ns"] + 31 * craft.S}) == 0


def test_other_datagrams_do_not_mix():
    """Identification, addresses and protocol part them."""
    assert wrong(A, fragment(8, 24, ip_id=8), fragment(8, 24, proto=TCP)) == 0
    assert wrong(A, fragment(8, 24, src=3)) == 0


def test_a_datagram_that_made_room_leaves_nothing_behind():
    """The place of a forgotten datagram says nothing of the next one that takes it."""
    config = FlowConfig(fragment_capacity=64)
    firsts = [fragment(0, 16, ip_id=k) for k in range(600)]
    others = [fragment(0, 24, ip_id=1000 + k) for k in range(600)]

    assert wrong(*firsts, *others, twin=False, config=config) == 0


def test_a_datagram_goes_on_over_a_suspension():
    """Ports of the first fragment and the bytes seen are part of the state, at any border."""
    rows = table_of([A, B, fragment(32, 48), C, fragment(40, 45, more=False, ip_id=9)])
    expected = craft.file_all(rows)

    assert expected[0]["wrong_fragments"].sum() == 2
    assert expected[2]["fragments_unmatched"] == 1
    for border in range(1, len(rows)):
        assert_equal_bytes(craft.file_all(rows, borders=(border,), suspend=True), expected)


def test_the_count_is_of_the_connection():
    """An active cut keeps it."""
    config = FlowConfig(active_timeout_s=61.0)
    tail = [packet(20 * k, proto=UDP) for k in range(1, 5)]
    rows = table_of([fragment(0, 16), fragment(8, 24), *tail])

    assert_agree(rows, config)
    ended = craft.file_all(rows, config=config)[0]
    assert ended["wrong_fragments"].tolist() == [1, 1]
    assert ended["is_continuation"].tolist() == [0, 1]


PIECES = st.builds(
    fragment,
    st.sampled_from([0, 0, 8, 16, 24, 32, 40]),
    st.just(0),
    more=st.booleans(),
).flatmap(lambda p: st.integers(0, 24).map(lambda n: p | {"ip_bytes": 20 + n}))


@settings(deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_agrees_with_the_sets_of_bytes(pieces):
    """Any sequence of small fragments: the kernel's few numbers say what the sets say."""
    assert_agree(table_of([A, *pieces]))


def test_all_short_sequences_agree():
    """Every sequence of two fragments out of 24, after a first one."""
    kinds = [
        fragment(start, start + length, more=more)
        for start, length, more in product((8, 16, 24, 32), (0, 8, 16), (True, False))
    ]
    packets = []
    for n, pair in enumerate(product(kinds, kinds)):
        packets += [p | {"ip_id": n} for p in (A, *pair)]

    assert_agree(table_of(packets))

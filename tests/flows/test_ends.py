"""When flows end, why, and what begins instead."""

import pytest

from tapwatch.config import FlowConfig
from tapwatch.tables import EndReason
from tests.flows import craft
from tests.flows.agreement import assert_agree
from tests.flows.craft import (
    ACK,
    FIN,
    ICMP,
    ICMPV6,
    RST,
    SYN,
    TCP,
    UDP,
    S,
    packet,
    reasons,
    table_of,
)

pytestmark = pytest.mark.kernel


def filed(*packets):
    """Rows in the order they come out; the twin must say the same."""
    rows = table_of(list(packets))
    assert_agree(rows)
    return craft.file_all(rows)[0]


def segment(at_s, flags, *, back=False, **fields):
    """One TCP segment between hosts 1 and 2."""
    ends = {"src": 2, "dst": 1} if back else {"src": 1, "dst": 2}
    return packet(at_s, tcp_flags=flags, **ends, **fields)


HANDSHAKE = (
    segment(0.0, SYN, tcp_seq=100),
    segment(0.1, SYN | ACK, back=True, tcp_seq=500),
    segment(0.2, ACK, tcp_seq=101),
)


@pytest.mark.parametrize(
    ("proto", "timeout_s"), [(TCP, 60), (UDP, 30), (ICMP, 10), (ICMPV6, 10), (47, 60)]
)
def test_silence_ends_a_flow_one_nanosecond_past_its_timeout(proto, timeout_s):
    """At the timeout the flow is still the same; a nanosecond later it ended at the timeout."""
    first, second = packet(0.5, proto=proto), packet(0.5 + timeout_s, proto=proto)

    [together] = filed(first, second)
    apart = filed(first, second | {"ts_ns": second["ts_ns"] + 1})

    assert reasons(together.reshape(1)) == ["EOF"]
    assert reasons(apart) == ["IDLE", "EOF"]
    assert apart[0]["end_ns"] == second["ts_ns"]
    assert apart[0]["order_ns"] == craft.T0 + (timeout_s + 1) * S
    assert apart[1]["is_continuation"] == 0


def test_a_flow_leaves_at_the_full_second_after_its_deadline():
    """Other traffic moves the clock: the row comes out with the tick, not before."""
    table = craft.FlowTable(FlowConfig())
    rows = table_of([packet(0.5, proto=UDP), packet(30.9, src=7), packet(31.0, src=7)])

    before = table.update(rows[:2], int(rows[1]["clock_ns"])).ended
    after = table.update(rows[2:], int(rows[2]["clock_ns"])).ended

    assert len(before) == 0
    assert reasons(after) == ["IDLE"]
    assert after[0]["order_ns"] == craft.T0 + 31 * S


def test_a_silent_wire_ends_flows_too():
    """`until_ns` moves on without packets, and so do timeouts."""
    table = craft.FlowTable(FlowConfig())
    rows = table_of([packet(0.5, proto=UDP)])
    table.update(rows, int(rows[0]["clock_ns"]))

    silent = [table.update(rows[:0], craft.T0 + s * S).ended for s in (30, 31)]

    assert [len(ended) for ended in silent] == [0, 1]
    assert reasons(silent[1]) == ["IDLE"]


def test_fin_both_ways_lingers_for_late_packets():
    """The last ACKs belong to the connection; five seconds of silence end it as FIN."""
    ended = filed(
        *HANDSHAKE,
        segment(1.0, FIN | ACK),
        segment(1.1, FIN | ACK, back=True),
        segment(1.2, ACK),
        segment(6.2, ACK, back=True),
        packet(20, src=9),
    )

    assert reasons(ended) == ["FIN", "EOF"]
    assert ended[0]["packets"].tolist() == [4, 3]
    assert ended[0]["end_ns"] == craft.T0 + round(11.2 * S)


def test_one_fin_is_not_the_end():
    """A half-closed connection goes on for as long as any other."""
    ended = filed(*HANDSHAKE, segment(1, FIN | ACK), segment(40, ACK, back=True))

    assert reasons(ended) == ["EOF"]
    assert ended[0]["fin_seen"] == 1


def test_a_rst_of_either_side_closes():
    """RST lingers like FIN; what closed first gives the reason."""
    by_rst = filed(*HANDSHAKE, segment(1, RST, back=True), packet(20, src=9))
    by_fin = filed(
        *HANDSHAKE,
        segment(1, FIN | ACK),
        segment(1.1, FIN | ACK, back=True),
        segment(1.2, RST),
        packet(20, src=9),
    )

    assert reasons(by_rst) == ["RST", "EOF"]
    assert reasons(by_fin) == ["FIN", "EOF"]


def test_a_syn_after_the_end_is_another_connection():
    """It ends the lingering flow at once, even with the same sequence number."""
    ended = filed(*HANDSHAKE, segment(1, RST), segment(2, SYN, tcp_seq=100))

    assert reasons(ended) == ["RST", "EOF"]
    assert ended[0]["end_ns"] == craft.T0 + 2 * S
    assert ended[1]["packets"].tolist() == [1, 0]


def test_what_lingers_at_the_end_of_the_source_has_its_own_reason():
    """A connection that was closed did not end because the capture did."""
    ended = filed(*HANDSHAKE, segment(1, RST), packet(1.5, src=9))

    assert sorted(reasons(ended)) == ["EOF", "RST"]


def test_a_syn_with_another_sequence_number_reuses_the_ports():
    """The old connection ends without FIN; its ports now belong to another."""
    packets = (*HANDSHAKE, segment(5, SYN, tcp_seq=9000))
    ended = filed(*packets)
    resumed = craft.file_all(table_of(list(packets)), suspend=True, borders=(3,))[0]

    assert resumed.tobytes() == ended.tobytes()
    assert reasons(ended) == ["PORT_REUSE", "EOF"]
    assert ended[1]["first_ts_ns"] == craft.T0 + 5 * S


@pytest.mark.parametrize(
    "packets",
    [
        (*HANDSHAKE, segment(5, SYN, tcp_seq=100)),
        (segment(0, SYN, tcp_seq=100), segment(1, SYN, tcp_seq=100), segment(3, SYN, tcp_seq=7)),
        (segment(0, ACK, tcp_seq=101), segment(0.1, SYN, tcp_seq=100)),
        (segment(0, SYN, tcp_seq=100), segment(1, ACK, tcp_seq=900), segment(2, SYN, tcp_seq=100)),
        (segment(0, ACK, tcp_seq=0), segment(0.1, SYN, tcp_seq=2**32 - 1)),
        (segment(0, ACK, tcp_seq=7, back=True), segment(1, SYN, tcp_seq=100)),
        (*HANDSHAKE, segment(5, SYN | RST, tcp_seq=9000)),
    ],
    ids=["again", "attempts", "late SYN", "gap after SYN", "wrap", "other side only", "SYN+RST"],
)
def test_a_syn_of_the_same_connection_parts_nothing(packets):
    """Sent again, captured late, or an attempt that nobody answered: one flow."""
    assert len(filed(*packets)) == 1


def test_the_initiator_is_who_sent_the_syn():
    """A SYN-ACK seen first is the answer; anything else seen first is the question."""
    [answered] = filed(segment(0, SYN | ACK, back=True), segment(0.1, ACK))
    [midstream] = filed(segment(0, ACK, back=True), segment(0.1, ACK))

    assert answered["src_port"] == 1001
    assert answered["packets"].tolist() == [1, 1]
    assert midstream["src_port"] == 1002


def test_a_long_flow_is_cut_and_keeps_its_direction():
    """The packet past 120 s opens a row of its own, whoever sent it."""
    times = (0, 40, 80, 120)
    ended = filed(
        *(segment(t, ACK) for t in times),
        segment(120, ACK, back=True) | {"ts_ns": craft.T0 + 120 * S + 1},
    )

    assert reasons(ended) == ["ACTIVE", "EOF"]
    assert ended["packets"].tolist() == [[4, 0], [0, 1]]
    assert ended["is_continuation"].tolist() == [0, 1]
    assert ended["src_port"].tolist() == [1001, 1001]
    assert ended[0]["end_ns"] == craft.T0 + 120 * S + 1
    assert ended[0]["flow_id"] != ended[1]["flow_id"]


def test_a_cut_does_not_forget_the_connection():
    """One FIN before the cut and one after it close; another SYN after it reuses the ports."""
    long = [segment(t, ACK, tcp_seq=101) for t in (40, 80, 119)]
    closed = filed(
        HANDSHAKE[0],
        *long,
        segment(120, FIN | ACK),
        segment(121, FIN | ACK, back=True),
        packet(140, src=9),
    )
    reused = filed(HANDSHAKE[0], *long, segment(121, ACK), segment(122, SYN, tcp_seq=7))

    assert reasons(closed) == ["ACTIVE", "FIN", "EOF"]
    assert reasons(reused) == ["ACTIVE", "PORT_REUSE", "EOF"]


def test_late_packets_are_counted_and_never_make_a_negative_gap():
    """A packet from before the latest one counts as no gap, and moves no time back."""
    rows = table_of([packet(10), packet(4), packet(11)])

    [row], _, counts = craft.file_all(rows)

    assert_agree(rows)
    assert counts["late_packets"] == 1
    assert row["gap_sum_ns"].tolist() == [S, S, 0]
    assert (row["first_ts_ns"], row["last_ts_ns"]) == (craft.T0 + 10 * S, craft.T0 + 11 * S)


def test_a_first_answer_from_before_the_flow_makes_no_gap_longer_than_it():
    """Gaps of a direction begin where the row does, however old its first packet claims to be."""
    rows = table_of([packet(10), packet(4, 2, 1), packet(12, 2, 1), packet(13)])

    [row], links, _ = craft.file_all(rows)

    assert_agree(rows)
    assert row["gap_sum_ns"].tolist() == [3 * S, 3 * S, 2 * S]
    assert row["last_ts_ns"] - row["first_ts_ns"] == 3 * S
    assert (links["gap_direction_ns"] // S).tolist() == [0, 0, 2, 3]


def test_a_late_first_answer_behind_a_cut_makes_no_gap_longer_than_the_row():
    """The packet's own gap goes on over the cut; the next one begins where the row does."""
    config = FlowConfig(active_timeout_s=61.0)
    times = [(0, 0), (60, 1), (90, 0), (70, 1), (95, 1)]
    rows = table_of([packet(t, 1 + side, 2 - side) for t, side in times])

    assert_agree(rows, config)
    ended, links, _ = craft.file_all(rows, config=config)

    assert ended["is_continuation"].tolist() == [0, 1]
    assert (links["gap_direction_ns"] // S).tolist() == [0, 0, 90, 10, 5]
    assert ended["gap_sum_ns"][1].tolist() == [5 * S, 0, 5 * S]


def test_a_suspended_flow_knows_the_first_numbers_of_both_sides():
    """A SYN of either side with its own first number is a repetition, with the other's a reuse."""
    for seq, expected in ((500, ["EOF"]), (100, ["PORT_REUSE", "EOF"])):
        late = segment(0.3, SYN, back=True, tcp_seq=seq)
        rows = table_of([*HANDSHAKE, segment(0.25, ACK, back=True, tcp_seq=501), late])

        assert reasons(craft.file_all(rows)[0]) == expected
        assert reasons(craft.file_all(rows, borders=(3, 4), suspend=True)[0]) == expected
    for seq, expected in ((100, ["EOF"]), (500, ["PORT_REUSE", "EOF"])):
        rows = table_of([*HANDSHAKE, segment(0.3, SYN, tcp_seq=seq)])

        assert reasons(craft.file_all(rows, borders=(3,), suspend=True)[0]) == expected


def test_damaged_time_stamps_do_no_harm():
    """The ends of 64 bits are clamped: no overflow, rows come out once, times stay ordered."""
    rows = table_of([packet(0) | {"ts_ns": t} for t in (-(1 << 63), 0, (1 << 63) - 1, 5)])

    ended, _, counts = craft.file_all(rows)

    assert counts["created"] == len(ended) > 1
    assert (ended["last_ts_ns"] >= ended["first_ts_ns"]).all()
    assert (ended["gap_sum_ns"] >= 0).all()


def test_vlan_tunnel_and_ip_version_part_flows():
    """The same addresses and ports elsewhere are another flow."""
    tagged = {"n_vlan_tags": 1, "vlan_tci": 0xE007}
    ended = filed(
        packet(0),
        packet(0.1, **tagged),
        packet(0.2, tunnel_id=5),
        packet(0.3, ip_version=6),
        packet(0.4, n_vlan_tags=1, vlan_tci=0),
        packet(0.5, src=2, dst=1, **tagged),
    )

    assert len(ended) == 5
    assert sorted(ended["vlan"].tolist()) == [-1, -1, -1, 0, 7]


def test_an_icmp_question_and_its_answer_are_one_flow_an_error_is_one_way():
    """Echo pairs by counter-type; two hosts that send each other errors are two flows."""
    ping = {"proto": ICMP, "src_port": 0, "dst_port": 0}
    ended = filed(
        packet(0, 1, 2, icmp_type=8, **ping),
        packet(0.1, 2, 1, icmp_type=0, **ping),
        packet(0.2, 1, 2, icmp_type=3, icmp_code=3, **ping),
        packet(0.3, 2, 1, icmp_type=3, icmp_code=3, **ping),
    )

    assert ended["packets"].tolist() == [[1, 1], [1, 0], [1, 0]]
    assert ended[["src_port", "dst_port"]].tolist() == [(8, 0), (3, 3), (3, 3)]


def test_both_endpoints_the_same_is_always_forward():
    """A packet to its own sender, SYN-ACK or not, goes forward."""
    [row] = filed(
        *(packet(t, 1, 1, tcp_flags=f) for t, f in enumerate((SYN | ACK, ACK, SYN | ACK)))
    )

    assert row["packets"].tolist() == [3, 0]


def test_later_fragments_belong_to_the_flow_of_the_first():
    """For thirty seconds; before the first one and without it they are a flow without ports."""
    first = {"is_fragment": 1, "ip_id": 77, "proto": UDP}
    later = first | {
        "frag_offset_bytes": 1480, "src_port": 0, "dst_port": 0,
        "transport_header_bytes": 0, "payload_bytes": 900,
    }  # fmt: skip
    packets = [
        packet(0, **later),
        packet(1, **first, payload_bytes=1472),
        packet(2, **later),
        packet(3, **later | {"ip_id": 78}),
        packet(31, **later),
        packet(31, **later) | {"ts_ns": craft.T0 + 31 * S + 1},
    ]
    ended = filed(*packets)

    assert sorted(ended["payload_bytes"][:, 0].tolist()) == [3 * 900, 1472 + 2 * 900]
    assert craft.file_all(table_of(packets))[2]["fragments_unmatched"] == 3


def test_ipv6_fragments_are_one_datagram_whatever_protocol_the_later_ones_name():
    """Behind a fragment header may stand another: the later fragments are of the first's flow."""
    first = {"ip_version": 6, "is_fragment": 1, "ip_id": 77, "proto": UDP, "payload_bytes": 100}
    later = first | {
        "proto": 60, "frag_offset_bytes": 1480, "src_port": 0, "dst_port": 0,
        "transport_header_bytes": 0, "payload_bytes": 900,
    }  # fmt: skip
    rows = table_of([packet(0, **later), packet(1, **first), packet(2, **later)])

    ended, links, counts = craft.file_all(rows)

    assert dict(
        zip(ended["proto"].tolist(), ended["payload_bytes"][:, 0].tolist(), strict=True)
    ) == {
        UDP: 1000,
        60: 900,
    }
    assert links["proto"].tolist() == [60, UDP, UDP]
    assert links["src_port"].tolist() == [0, 1001, 1001]
    assert counts["fragments_unmatched"] == 1


def test_ipv4_fragments_are_one_datagram_only_within_a_protocol():
    """The same identification under another protocol is another datagram (RFC 791)."""
    first = {"is_fragment": 1, "ip_id": 77, "proto": UDP, "payload_bytes": 100}
    later = first | {
        "proto": 60, "frag_offset_bytes": 1480, "src_port": 0, "dst_port": 0,
        "transport_header_bytes": 0,
    }  # fmt: skip

    ended, links, counts = craft.file_all(table_of([packet(0, **first), packet(1, **later)]))

    assert (len(ended), counts["fragments_unmatched"]) == (2, 1)
    assert links["proto"].tolist() == [UDP, 60]


def test_fragments_are_of_their_own_tunnel():
    """Two tunnels with the same inner addresses and identification: two datagrams, two flows."""
    first = {"is_fragment": 1, "ip_id": 77, "proto": UDP}
    later = first | {
        "frag_offset_bytes": 1480, "src_port": 0, "dst_port": 0, "transport_header_bytes": 0,
    }  # fmt: skip
    rows = table_of(
        [
            packet(0, **first, tunnel_id=5, src_port=111),
            packet(1, **first, tunnel_id=6, src_port=222),
            packet(2, **later, tunnel_id=5),
            packet(3, **later, tunnel_id=6),
            packet(4, **later, tunnel_id=7),
        ]
    )

    ended, links, counts = craft.file_all(rows)

    assert (len(ended), counts["fragments_unmatched"]) == (3, 1)
    assert links["src_port"].tolist() == [111, 222, 111, 222, 0]


def test_later_fragments_of_a_one_way_message_stay_with_it():
    """An ICMP type without a counter-type: its later fragments are of the same one-way flow."""
    first = {"is_fragment": 1, "ip_id": 77, "proto": ICMP, "icmp_type": 3, "icmp_code": 4}
    later = first | {
        "frag_offset_bytes": 1480, "icmp_type": 0, "icmp_code": 0, "transport_header_bytes": 0,
    }  # fmt: skip

    [row] = filed(packet(0, **first), packet(1, **later))

    assert row["packets"].tolist() == [2, 0]
    assert (row["src_port"], row["dst_port"]) == (3, 4)


def test_forgotten_datagrams_are_counted():
    """More first fragments than are remembered: some are forgotten before their time."""
    config = FlowConfig(fragment_capacity=64)
    rows = table_of([packet(k / 1000, is_fragment=1, ip_id=k, proto=UDP) for k in range(100)])

    counts = craft.file_all(rows, config=config)[2]

    assert 100 - 64 <= counts["fragments_evicted"] < 100


def test_reasons_are_those_of_the_ledger():
    """Every reason is counted by name, also where it is 0."""
    counts = craft.file_all(table_of([packet(0)]))[2]

    assert [*counts["ended"]] == [r.name.lower() for r in EndReason if r is not EndReason.OPEN]

"""How a connection stands: hand-made segments for every state, and what cuts do not part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import FlowConfig
from tapwatch.tables import ConnState
from tests.flows import craft
from tests.flows.agreement import assert_agree
from tests.flows.craft import (
    ACK,
    FIN,
    GRE,
    ICMP,
    ICMPV6,
    PSH,
    RST,
    SCTP,
    SYN,
    UDP,
    packet,
    table_of,
)

pytestmark = pytest.mark.kernel

FLAGS = {"S": SYN, "H": SYN | ACK, "A": ACK, "D": PSH | ACK, "F": FIN | ACK, "R": RST}
FLAGS |= {"E": RST, "N": 0, "X": SYN | FIN, "Y": FIN | RST, "Z": SYN | RST}


def conversation(letters, step_s=0.1):
    """Segments by letter, upper case from host 1: Syn, syn-ack (H), Ack, Data, Fin, Rst, rst with
    data (E), Nothing, and odd ones. Each goes on where its side has stopped.
    """
    numbers = {True: 100, False: 500}
    packets = []
    for k, letter in enumerate(letters):
        forward, kind = letter.isupper(), letter.upper()
        payload_bytes = 10 if kind in "DE" else 0
        flags = FLAGS[kind]
        ends = {"src": 1, "dst": 2} if forward else {"src": 2, "dst": 1}
        fields = {"tcp_flags": flags, "tcp_seq": numbers[forward], "payload_bytes": payload_bytes}
        packets.append(packet(k * step_s, **ends, **fields))
        numbers[forward] += payload_bytes + bool(flags & SYN) + bool(flags & FIN)
    return packets


def state(packets):
    """The state of the only row, which the twin must give too."""
    rows = table_of(packets)
    assert_agree(rows)
    [row] = craft.file_all(rows)[0]
    return ConnState(int(row["conn_state"])).name


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("S", "S0"),
        ("SSS", "S0"),
        ("SD", "S0"),
        ("Sa", "S0"),  # some acknowledge a SYN before they answer it
        ("Sh", "S1"),
        ("ShA", "S1"),
        ("ShADda", "S1"),
        ("hA", "S1"),  # it was the SYN that nobody saw
        ("Ss", "S1"),  # opened from both ends at once
        ("SshH", "S1"),
        ("SahA", "S1"),
        ("ShADFaf", "SF"),
        ("ShAfF", "SF"),
        ("ShAFfA", "SF"),
        ("ShAFfR", "SF"),  # RST after both FIN
        ("ShAFfr", "SF"),
        ("ShAFRf", "SF"),  # the responder's FIN was under way
        ("ShAfrF", "SF"),
        ("DdFf", "SF"),
        ("SshHFf", "SF"),
        ("Sr", "REJ"),
        ("SSr", "REJ"),
        ("Sar", "REJ"),
        ("SrR", "REJ"),
        ("SRr", "REJ"),
        ("ShRr", "REJ"),  # both reset, and no data
        ("ShAF", "S2"),
        ("ShAFa", "S2"),
        ("ShAFd", "S2"),  # half closed
        ("ShAf", "S3"),
        ("ShAfD", "S3"),
        ("ShAR", "RSTO"),
        ("ShADR", "RSTO"),
        ("ShADE", "RSTO"),  # RST with data
        ("ShAFR", "RSTO"),
        ("ShAfR", "RSTO"),
        ("ShADRr", "RSTR"),
        ("ShADr", "RSTR"),
        ("ShADde", "RSTR"),
        ("ShAr", "RSTR"),
        ("ShAFr", "RSTR"),
        ("ShAfr", "RSTR"),
        ("SR", "RSTOS0"),
        ("SSR", "RSTOS0"),
        ("SDR", "RSTOS0"),
        ("SaR", "RSTOS0"),
        ("hr", "RSTRH"),
        ("hhr", "RSTRH"),
        ("Dr", "RSTRH"),
        ("SF", "SH"),
        ("SAF", "SH"),
        ("SaF", "SH"),
        ("F", "SH"),
        ("hf", "SHR"),
        ("hff", "SHR"),
        ("Df", "SHR"),
        ("D", "OTH"),
        ("Dd", "OTH"),
        ("A", "OTH"),
        ("N", "OTH"),
        ("Sd", "OTH"),
        ("hS", "OTH"),
        ("R", "OTH"),
        ("SAR", "OTH"),  # it had acknowledged something
        ("SFR", "OTH"),
        ("X", "SH"),
        ("Sz", "RSTR"),
    ],
)
def test_states_of_tcp(letters, expected):
    """One conversation for each way to a state."""
    assert state(conversation(letters)) == expected


def test_a_syn_behind_its_own_data_opens_the_connection():
    """The capture has them in the wrong order; the SYN's number is the one before the data."""
    data, syn = conversation("D")[0], packet(0.1, tcp_flags=SYN, tcp_seq=99)

    assert state([data, syn]) == "S0"


def test_all_states_have_a_conversation():
    """The table above leaves no state out."""
    [cases] = [m for m in test_states_of_tcp.pytestmark if m.name == "parametrize"]

    assert {word for _, word in cases.args[1]} == {s.name for s in ConnState if s}


def test_a_syn_sent_again_changes_nothing():
    """Nor does any other segment that comes twice: each of a conversation is doubled."""
    for letters in ("ShADdaFfA", "Sr", "ShADr", "ShAFf", "hf"):
        packets = conversation(letters)
        twice = [p for p in packets for _ in range(2)]

        assert state(twice) == state(packets)


@pytest.mark.parametrize("proto", [UDP, ICMP, ICMPV6])
def test_without_tcp_it_counts_who_has_spoken(proto):
    """Asked and answered is SF, asked is S0."""
    kinds = {ICMP: (8, 0), ICMPV6: (128, 129)}.get(proto, (0, 0))
    ask = packet(proto=proto, icmp_type=kinds[0], src_port=0, dst_port=0)
    answer = packet(0.1, 2, 1, proto=proto, icmp_type=kinds[1], src_port=0, dst_port=0)

    assert state([ask]) == "S0"
    assert state([ask, ask]) == "S0"
    assert state([ask, answer]) == "SF"


@pytest.mark.parametrize("proto", [GRE, SCTP])
def test_other_protocols_have_no_state(proto):
    """NONE, whoever has spoken."""
    assert state([packet(proto=proto), packet(0.1, 2, 1, proto=proto)]) == "NONE"


CUT = FlowConfig(active_timeout_s=61.0)


def filed(packets, config=CUT):
    """Rows and links; the twin must give the same."""
    rows = table_of(packets)
    assert_agree(rows, config)
    return craft.file_all(rows, config=config)[:2]


def test_a_cut_parts_rows_and_not_connections():
    """Identity, first time, payload, URG and state go on; counts of the row begin anew."""
    packets = conversation("ShADdDdDdDFf", step_s=10.0)
    packets[3]["tcp_flags"] |= craft.URG
    packets[9]["tcp_flags"] |= craft.URG

    rows, links = filed(packets)

    assert rows["is_continuation"].tolist() == [0, 1]
    assert rows["packets"].sum(axis=1).tolist() == [7, 5]
    assert set(rows["connection_id"].tolist()) == {int(rows["flow_id"][0])}
    assert set(links["connection_id"].tolist()) == {int(rows["flow_id"][0])}
    assert set(links["flow_id"].tolist()) == set(rows["flow_id"].tolist())
    assert set(rows["connection_first_ts_ns"].tolist()) == {craft.T0}
    assert rows["connection_payload_bytes"].tolist() == [[20, 20], [40, 30]]
    assert rows["urgent_packets"].tolist() == [1, 2]
    assert [ConnState(int(s)).name for s in rows["conn_state"]] == ["S1", "SF"]


def test_gaps_of_packets_go_on_over_a_cut():
    """A link tells the time since the packet before; the row's own gaps begin anew."""
    packets = [
        packet(20 * k + (5 if k == 3 else 0), src=1 + (k == 3), dst=2 - (k == 3)) for k in range(6)
    ]

    rows, links = filed(packets)

    assert (links["gap_flow_ns"] // craft.S).tolist() == [0, 20, 20, 25, 15, 20]
    assert (links["gap_direction_ns"] // craft.S).tolist() == [0, 20, 20, 0, 40, 20]
    assert (rows["gap_sum_ns"][:, 0] // craft.S).tolist() == [40, 35]


def test_a_direction_is_silent_over_a_whole_row():
    """Its gap counts from before that row; one that never spoke has none."""
    packets = [packet(0, 2, 1), *(packet(20 * k) for k in range(1, 9)), packet(170, 2, 1)]

    rows, links = filed(packets)

    assert len(rows) == 3
    assert links["gap_direction_ns"][-1] == 170 * craft.S


def test_retransmissions():
    """What brings nothing beyond the highest number of its direction, in the row where it came."""
    send = [(100, SYN, 0), (101, ACK, 0), (101, ACK, 100), (201, ACK, 100)]
    cases = {
        (101, ACK, 100): 1,  # an old segment again
        (101, ACK, 200): 1,  # two of them in one
        (151, ACK, 150): 1,
        (151, ACK, 151): 0,  # one byte more
        (300, ACK, 1): 0,  # a keep-alive
        (299, ACK, 1): 1,
        (300, ACK, 0): 0,  # a keep-alive without its byte
        (301, ACK, 1): 0,
        (299, ACK, 2): 1,
        (100, SYN, 0): 1,
        (301, FIN | ACK, 0): 0,
        (300, FIN | ACK, 0): 1,
        (299, FIN | ACK, 1): 1,
        (50, RST, 0): 0,
        (50, RST, 20): 0,
        (101, ACK, 0): 0,
    }
    for (seq, flags, payload_bytes), again in cases.items():
        segments = [*send, (seq, flags, payload_bytes)]
        packets = [
            packet(k / 10, tcp_seq=s, tcp_flags=f, payload_bytes=n)
            for k, (s, f, n) in enumerate(segments)
        ]
        rows, _ = filed(packets)
        assert rows["retransmissions"].tolist() == [[again, 0]], (seq, flags, payload_bytes)


def test_a_first_rst_sets_no_number():
    """Its number may be any: what its side sends then is the first that counts."""
    reset = packet(0, tcp_flags=RST, tcp_seq=2**31 + 500, payload_bytes=7)
    for flags in (RST, RST | ACK, RST | FIN):
        rows, _ = filed([reset | {"tcp_flags": flags}, packet(1, 2, 1, tcp_seq=9)])
        assert rows["highest_seq"].tolist() == [[0, 9]]

    data = [packet(k, tcp_seq=3 * 2**30, payload_bytes=100) for k in (1, 2)]
    rows, _ = filed([reset, *data])

    assert rows["highest_seq"].tolist() == [[3 * 2**30 + 100, 0]]
    assert rows["retransmissions"].tolist() == [[1, 0]]


def test_sequence_numbers_wrap():
    """Past 2**32 - 1 comes 0; before it lies what is old."""
    top = 2**32
    for first in (top - 150, top - 100, top - 1, 0):
        packets = [
            packet(k / 10, 2, 1, tcp_seq=(first + at) % top, payload_bytes=100)
            for k, at in enumerate((0, 100, 200, 100, 0))
        ]
        rows, _ = filed(packets)
        assert rows["retransmissions"].tolist() == [[2, 0]]
        assert rows["highest_seq"].tolist() == [[(first + 300) % top, 0]]


def test_another_attempt_is_no_retransmission():
    """A SYN with another number begins anew, as long as its side has sent nothing else."""
    attempts = [packet(k, tcp_flags=SYN, tcp_seq=seq) for k, seq in enumerate((900, 100, 100))]
    data = packet(3, tcp_seq=101, payload_bytes=5)

    rows, _ = filed([*attempts, data])

    assert rows["retransmissions"].tolist() == [[1, 0]]
    assert rows["highest_seq"].tolist() == [[106, 0]]


def test_retransmissions_are_found_over_a_cut():
    """The highest number goes on; the count is the row's."""
    packets = [packet(20 * k, tcp_seq=100, payload_bytes=10) for k in range(6)]

    rows, _ = filed(packets)

    assert rows["retransmissions"].tolist() == [[3, 0], [2, 0]]


def test_icmp_type_and_code_are_of_the_first_packet():
    """Other protocols have none, and neither has a later fragment."""
    echo = packet(proto=ICMP, icmp_type=8, icmp_code=7, src_port=0, dst_port=0)
    reply = packet(0.1, 2, 1, proto=ICMP, icmp_type=0, icmp_code=9, src_port=0, dst_port=0)
    later = packet(0.2, 5, 6, proto=ICMP, is_fragment=1, frag_offset_bytes=8)
    later |= {"icmp_type": 3, "src_port": 0, "dst_port": 0, "transport_header_bytes": 0}

    rows, _ = filed([echo, reply, later, packet(0.3, 7, 8, icmp_type=3)])

    by_source = {int(row["src_lo"]) & 0xFF: row for row in rows}
    got = {
        k: tuple(int(r[n]) for n in ("has_icmp", "icmp_type", "icmp_code"))
        for k, r in by_source.items()
    }
    assert got == {1: (1, 8, 7), 5: (0, 0, 0), 7: (0, 0, 0)}


@settings(deadline=None)
@given(st.text(alphabet="SHADFRENXYZshadfrenxyz", max_size=12))
def test_agrees_with_the_table_of_states(letters):
    """Any order of segments: the kernel says what the table of both sides' states says."""
    assert_agree(table_of(conversation(letters)))


def test_every_short_conversation_agrees():
    """All orders of four segments that ask, answer, acknowledge, end and reset, both ways."""
    import itertools

    packets = []
    for n, letters in enumerate(itertools.product("SHADFRshadfr", repeat=4)):
        if n % 7 == 0:  # a seventh of them, each in a flow of its own
            for p in conversation("".join(letters)):
                forward = p["src_port"] == 1001
                ports = (
                    {"src_port": 9 + n, "dst_port": 7}
                    if forward
                    else {"src_port": 7, "dst_port": 9 + n}
                )
                packets.append(p | ports)
    packets.sort(key=lambda p: p["ts_ns"])

    assert_agree(table_of(packets))


def test_rows_have_no_bytes_between_fields():
    """A row is its fields and nothing else, so that equal rows have equal bytes."""
    from tapwatch.tables import FLOW

    assert sum(FLOW[name].itemsize for name in FLOW.names) == FLOW.itemsize == 704
    assert np.dtype(FLOW).itemsize % 64 == 0

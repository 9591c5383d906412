"""The protocol label: what each family looks like, what a conversation adds, and the slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.features.label_names import LABELS
from tapwatch.features.protocol import header_rules
from tapwatch.features.protocol.rules import first_bytes
from tapwatch.features.protocol.tables import RULES
from tapwatch.tables import TcpAnalysis
from tests.decode.made import Frame, batch
from tests.features.labels_cases import CASES, CLIENT_HELLO, DNS_QUERY, RPC_CALL, SMB2
from tests.features.labels_made import (
    SYN,
    SYN_ACK,
    answer,
    ethernet,
    ipv4,
    labels_of,
    over_tcp,
    over_udp,
    small,
    tcp,
    traffic_of,
    twin_labels,
    udp,
)
from tests.features.naive_labels import NaiveLabels

pytestmark = pytest.mark.kernel

SERVER_HELLO = (
    bytes.fromhex("16 03 03 00 2a 02 00 00 26 03 03") + bytes(32) + bytes.fromhex("00 13 01 00")
)
TLS_13 = (
    bytes.fromhex("16 03 03 00 32 02 00 00 2e 03 03")
    + bytes(32)
    + bytes.fromhex("00 13 01 00 00 06 00 2b 00 02 03 04")
)
APPLICATION_DATA = bytes.fromhex("17 03 03 00 04 01 02 03 04")


def test_every_family_has_its_label():
    """A payload alone, a header alone, a tunnel: each is what Wireshark calls it."""
    found = {name: labels_of([frame])[0] for name, (frame, _) in CASES.items()}

    assert found == {name: label for name, (_, label) in CASES.items()}


def test_the_twin_agrees_on_every_family_and_every_cut_of_it():
    """However much of a frame was captured, kernel and twin say the same."""
    frames = [
        shorten(n)
        for frame, _ in CASES.values()
        for shorten in (frame.snapped, frame.cut)
        for n in range(0, len(frame.data), 3)
    ]
    for frame in frames:
        traffic = traffic_of(batch([frame]))
        assert labels_of([frame]) == twin_labels(traffic), frame


def test_without_frames_a_refused_one_is_told_by_its_row():
    """Where nobody says where frames lie, the label is that of the last header decode has read."""
    frames = [CASES[name][0] for name in ("lldp", "ends inside the ip header", "stp", "arp", "dns")]
    beyond = Frame(ethernet(0x0800, ipv4(17, udp(9, 53, DNS_QUERY)))[:-3])

    found = labels_of([*frames, beyond], with_frames=False)

    assert found == ["other", "other", "other", "ARP", "DNS", "UDP"]
    assert labels_of([beyond]) == ["DNS"]
    assert found == twin_labels(traffic_of(batch([*frames, beyond]), with_frames=False))


@pytest.mark.parametrize(
    ("hello", "label"), [(SERVER_HELLO, "TLSv1.2"), (TLS_13, "TLSv1.3")], ids=["1.2", "1.3"]
)
def test_a_server_hello_settles_the_version(hello, label):
    """Before it each record speaks for itself; behind it all of both sides are of its version."""
    frames = [
        over_tcp(443, CLIENT_HELLO),
        answer(443, hello),
        over_tcp(443, APPLICATION_DATA),
        answer(443, bytes.fromhex("9a 9b 9c 9d 9e")),
        answer(443, b"text"),
    ]

    assert labels_of(frames) == ["TLSv1", label, label, label, "TCP"]


def test_a_conversation_keeps_what_it_was_recognised_as():
    """Behind a handshake, payloads without any mark are of the same protocol; elsewhere not."""
    frames = [
        over_tcp(5999, b"RFB 003.008\n"),
        answer(5999, bytes.fromhex("01 02 03")),
        over_tcp(5998, bytes.fromhex("01 02 03")),
        over_udp(4433, CASES["quic"][0].data[42:]),
        over_udp(4433, bytes.fromhex("41 02 03 04 05 06 07")),
    ]

    assert labels_of(frames) == ["VNC", "VNC", "TCP", "QUIC", "QUIC"]


def test_http_is_what_follows_http():
    """On HTTP's port, bytes are nobody's until a request or response was seen."""
    body = over_tcp(80, bytes.fromhex("01 02 03"))
    upgrade = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    frames = [body, over_tcp(80, b"GET / HTTP/1.1\r\n\r\n"), body, answer(80, upgrade), body]

    assert labels_of(frames) == ["TCP", "HTTP", "HTTP", "HTTP", "WebSocket"]


def test_a_proxy_carries_tls_behind_connect():
    """CONNECT, then a handshake: from there on it is TLS."""
    frames = [over_tcp(8080, b"CONNECT a:443 HTTP/1.1\r\n\r\n"), over_tcp(8080, CLIENT_HELLO)]

    assert labels_of(frames) == ["HTTP", "TLSv1"]
    assert labels_of([over_tcp(1080, b"\5\1\0"), over_tcp(1080, b"GET / HTTP/1.1\r\n")]) == [
        "Socks",
        "HTTP",
    ]


def test_a_connection_of_rdp_is_known_by_how_it_began():
    """The fast path has no header of its own; inside TLS, Wireshark sees TPKT at most."""
    fast, other = over_tcp(3389, bytes.fromhex("c0 80 32 01")), over_tcp(3389, b"\x17\3\3\0\1x")
    ask = over_tcp(3389, bytes.fromhex("03 00 00 13 0e e0") + bytes(13))
    attach = over_tcp(3389, bytes.fromhex("03 00 00 08 02 f0 80 28"))
    odd = over_tcp(3389, bytes.fromhex("02 80 32 01"))
    part = over_tcp(3389, bytes.fromhex("03 00 05 8d 02 f0 80 64"))

    assert labels_of([fast]) == ["TCP"]
    assert labels_of([ask, other, fast]) == ["RDP", "TPKT", "TPKT"]
    assert labels_of([ask, attach, fast, other]) == ["RDP", "T.125", "RDP", "TPKT"]
    assert labels_of([ask, attach, odd]) == ["RDP", "T.125", "TPKT"]
    data = over_tcp(3389, bytes.fromhex("03 00 00 0c 02 f0 80 64 00 07 03 eb"))
    assert labels_of([ask, part, data]) == ["RDP", "T.125", "RDP"]


def test_channel_data_is_known_where_stun_was_spoken():
    """TURN relays behind a number and a length; STUN makes room for what comes on its ports."""
    cookie = over_udp(40_000, bytes.fromhex("00 01 00 00 21 12 a4 42") + bytes(12))
    channel = over_udp(40_000, bytes.fromhex("40 00 00 05") + b"abcde" + bytes(3))
    wrong = over_udp(40_000, bytes.fromhex("40 00 00 05") + b"abcd")
    early = over_udp(40_000, bytes.fromhex("c3 00 00 00 01 08") + bytes(40))
    short = over_udp(40_000, b"\x45" + bytes(9))

    long = over_udp(40_000, bytes.fromhex("40 00 00 05") + b"abcde" + bytes(4))
    cut = over_udp(40_000, bytes.fromhex("00 01 00 00 21 12 a4 42") + bytes(8))

    assert labels_of([channel, cookie, channel, wrong]) == ["UDP", "STUN", "STUN", "UDP"]
    assert labels_of([cookie, long, cut]) == ["STUN", "UDP", "UDP"]
    assert labels_of([cookie, short, early, short]) == ["STUN", "UDP", "QUIC", "QUIC"]


def test_a_request_line_may_come_in_pieces():
    """Its first piece is nobody's, but what follows is HTTP."""
    frames = [over_tcp(80, b"GET /x HT"), over_tcp(80, b"TP/1.1\r\nHost: a\r\n")]

    assert labels_of(frames) == ["TCP", "HTTP"]


def test_http_turns_into_its_second_version():
    """Upgraded as RFC 7540 section 3.2 has it, or begun with its preface."""
    upgrade = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    frames = [over_tcp(80, b"GET / HTTP/1.1\r\n\r\n"), answer(80, upgrade), answer(80, bytes(9))]

    assert labels_of(frames) == ["HTTP", "HTTP", "HTTP2"]


def test_ssh_has_a_version_when_both_sides_have_spoken():
    """The server's answer to a banner knows it, the client's does not."""
    banner = b"SSH-2.0-OpenSSH_9\r\n"
    old = b"SSH-1.5-old\r\n"

    assert labels_of([over_tcp(22, banner), answer(22, banner), over_tcp(22, b"x")]) == [
        "SSH",
        "SSHv2",
        "SSHv2",
    ]
    assert labels_of([answer(22, banner), over_tcp(22, banner), answer(22, b"x")]) == [
        "SSH",
        "SSH",
        "SSHv2",
    ]
    assert labels_of([over_tcp(22, old), answer(22, old)]) == ["SSH", "SSHv1"]


def test_an_rpc_reply_is_of_the_program_that_was_called():
    """A reply names no program; a reply to nothing is none."""
    reply = bytes.fromhex("00 00 00 07 00 00 00 01") + bytes(20)

    assert labels_of([over_udp(2049, RPC_CALL), over_udp(2049, reply)]) == ["NFS", "NFS"]
    assert labels_of([over_udp(2049, reply)]) == ["UDP"]


def test_what_lies_inside_a_message_is_tcp():
    """Segments wholly inside a message that began before are not looked into; its end is found."""
    head = bytes.fromhex("00 00 00 c8") + SMB2[4:]  # 72 of 204 bytes
    inside = bytes.fromhex("00 00 00 44") + SMB2[4:]
    frames = [
        over_tcp(445, head, seq=1000),
        over_tcp(445, inside, seq=1072),
        over_tcp(445, bytes(60) + SMB2, seq=1144),
        over_tcp(445, inside, seq=1276),
        answer(445, SMB2, seq=1072),
    ]

    assert labels_of(frames) == ["SMB2", "TCP", "SMB2", "SMB2", "SMB2"]
    # The last byte of a message, and the next message behind it.
    last = over_tcp(445, b"\0" + SMB2, seq=1000 + 203)
    assert labels_of([over_tcp(445, head, seq=1000), last]) == ["SMB2", "SMB2"]
    # What comes again from before the message, or with its beginning, is looked into.
    before = [over_tcp(445, head, seq=1000), over_tcp(445, head, seq=1000)]
    assert labels_of([*before, over_tcp(445, inside, seq=900)]) == ["SMB2"] * 3


def test_sequence_numbers_wrap_inside_a_message():
    """A message that begins before 2**32 and ends behind it."""
    head = bytes.fromhex("00 00 00 c8") + SMB2[4:]
    frames = [over_tcp(445, head, seq=2**32 - 10), over_tcp(445, SMB2, seq=62)]

    assert labels_of(frames) == ["SMB2", "TCP"]


def test_the_server_is_whom_a_syn_names():
    """Of two known ports the lower one counts, unless the handshake tells that it is the client."""
    data = Frame(ethernet(0x0800, ipv4(6, tcp(23, 6379, b"x"))))
    syn = Frame(ethernet(0x0800, ipv4(6, tcp(23, 6379, b"", flags=SYN))))
    syn_ack = Frame(ethernet(0x0800, ipv4(6, tcp(6379, 23, b"", flags=SYN_ACK), src=2, dst=1)))

    assert labels_of([data]) == ["TELNET"]
    assert labels_of([syn, data]) == ["TCP", "RESP"]
    assert labels_of([syn_ack, data]) == ["TCP", "RESP"]


def test_a_new_connection_has_forgotten_the_old_one():
    """A SYN with another number begins anew; one that comes twice does not."""
    vnc, data = over_tcp(5999, b"RFB 003.008\n"), over_tcp(5999, b"\1\2\3")
    first, second = (over_tcp(5999, b"", seq=seq, flags=SYN) for seq in (7, 8))

    assert labels_of([first, vnc, first, data]) == ["TCP", "VNC", "TCP", "VNC"]
    assert labels_of([first, vnc, second, data]) == ["TCP", "VNC", "TCP", "TCP"]


def test_retransmissions_are_not_looked_into():
    """As in Wireshark: plain ones, out-of-order segments and keep-alives; not fast or spurious."""
    bits = [
        TcpAnalysis.RETRANSMISSION,
        TcpAnalysis.OUT_OF_ORDER,
        TcpAnalysis.KEEP_ALIVE,
        TcpAnalysis.RETRANSMISSION | TcpAnalysis.FAST_RETRANSMISSION,
        TcpAnalysis.RETRANSMISSION | TcpAnalysis.SPURIOUS_RETRANSMISSION,
        TcpAnalysis.DUPLICATE_ACK,
    ]
    frames = [over_tcp(23, b"x")] * len(bits)

    assert labels_of(frames, bits) == ["TCP"] * 3 + ["TELNET"] * 3
    assert twin_labels(traffic_of(batch(frames), bits)) == ["TCP"] * 3 + ["TELNET"] * 3


@pytest.mark.parametrize("at_once", [1, 7, 8192])
def test_labels_do_not_depend_on_batches(at_once):
    """The same packets in parts of any size."""
    frames = [frame for frame, _ in CASES.values()] * 2

    assert labels_of(frames, at_once=at_once) == labels_of(frames)


def test_memory_is_bounded_and_what_is_forgotten_is_counted():
    """Of 5,000 conversations, those that were silent longest have given way."""
    labels = small()
    first = over_tcp(5999, b"RFB 003.008\n")
    others = [
        Frame(ethernet(0x0800, ipv4(17, udp(port, 9999, b"abc")))) for port in range(10_000, 15_000)
    ]
    found = labels_of([first, *others, over_tcp(5999, b"\1\2\3")], labels=labels)
    came, evicted = (tally.values[()] for tally in labels.tallies())

    assert (found[0], found[-1]) == ("VNC", "TCP")
    assert came == 5002
    assert evicted == came - 1024


def payloads() -> st.SearchStrategy[bytes]:
    """Beginnings that some rule likes, with bytes changed, cut or added."""
    known = [bytes(frame.data[42:]) for frame, _ in CASES.values()]
    known += [bytes(frame.data[54:]) for frame, _ in CASES.values()]
    known += [SERVER_HELLO, TLS_13, APPLICATION_DATA, RPC_CALL, DNS_QUERY]
    changed = st.builds(
        lambda data, at, value, n: (data[:at] + bytes([value]) + data[at + 1 :])[:n],
        st.sampled_from(known),
        st.integers(0, 40),
        st.integers(0, 255),
        st.integers(0, 120),
    )
    return st.one_of(st.binary(max_size=60), st.sampled_from(known), changed)


PORTS = sorted(
    {port for rules in list(RULES.values())[:2] for rule in rules for port in rule.ports}
)
ports = st.sampled_from([*PORTS, *header_rules.TUNNEL_PORTS, 4321, 50_001])


def frames() -> st.SearchStrategy[Frame]:
    """Segments and datagrams between few ports, and raw bytes on every kind of link."""
    segment = st.builds(
        lambda a, b, data, seq, flags, swap: ethernet(
            0x0800,
            ipv4(6, tcp(b if swap else a, a if swap else b, data, seq, flags), 1 + swap, 2 - swap),
        ),
        ports,
        st.sampled_from([50_001, 443, 80]),
        payloads(),
        st.integers(0, 200),
        st.sampled_from([24, 16, SYN, SYN_ACK]),
        st.booleans(),
    )
    datagram = st.builds(
        lambda a, b, data: ethernet(0x0800, ipv4(17, udp(a, b, data))),
        ports,
        st.sampled_from([50_001, 53]),
        payloads(),
    )
    packet = st.builds(lambda p, d: ethernet(0x0800, ipv4(p, d)), st.integers(0, 255), payloads())
    link = st.builds(
        lambda t, d: ethernet(t, d),
        st.sampled_from(
            [*(n for r in header_rules.ETHER_RULES for n in r.ports), 40, 0x8847, 0x8864]
        ),
        payloads(),
    )
    on_ethernet = st.builds(
        lambda data, cut: Frame(data[: len(data) - cut]),
        st.one_of(segment, datagram, packet, link),
        st.sampled_from([0, 0, 0, 1, 9]),
    )
    kinds = st.sampled_from([*header_rules.LINK_TYPES, 0, 9, 50, 100, 101, 104, 107, 113, 276, 999])
    other = st.builds(lambda data, kind: Frame(data, link_type=kind), payloads(), kinds)
    return st.one_of(on_ethernet, on_ethernet, on_ethernet, other)


@settings(max_examples=300, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=12))
def test_kernel_and_twin_agree_on_anything(some):
    """Sequences of packets, some well made, some damaged, some nonsense."""
    assert labels_of(some) == twin_labels(traffic_of(batch(some)), NaiveLabels())


def test_labels_are_distinct_and_other_is_first():
    """The place of a label is its class."""
    assert len(set(LABELS)) == len(LABELS)
    assert LABELS[0] == "other"


def test_rules_keep_to_what_the_kernel_assumes():
    """Lengths lie within their headers, first bytes fit the patterns, tables hold their numbers."""
    for rules in RULES.values():
        for rule in rules:
            assert rule.label in LABELS
            assert all(0 <= port < 1 << 16 for port in rule.ports)
            assert first_bytes(rule), rule
            if rule.pdu is not None:
                assert rule.pdu.at + rule.pdu.n_bytes <= rule.pdu.header_bytes <= 255
            for pattern in rule.starts:
                assert all(t.value & ~t.mask == 0 and t.at < 256 for t in pattern), rule
    assert np.max([len(rules) for rules in RULES.values()]) < 1 << 15

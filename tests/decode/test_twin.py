"""The kernel agrees with its naive twin: small spaces tried out whole, large ones at random."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.decode import Decoder
from tapwatch.tables import PACKET
from tests.decode import naive
from tests.decode.corpus import BAD, GOOD
from tests.decode.made import (
    LONG_CHAIN,
    OPTIONS,
    Frame,
    assert_as_naive,
    batch,
    dccp,
    ethernet,
    extension,
    fragment6,
    gre,
    icmp,
    ipv4,
    ipv6,
    sctp,
    tcp,
    udp,
    udp_lite,
)

pytestmark = pytest.mark.kernel

ALL = {**GOOD, **BAD}


def test_the_twin_writes_every_field():
    """A field that the twin forgets would never be compared."""
    assert set(naive.decode(b"")) == set(PACKET.names)


@pytest.mark.parametrize("name", ALL)
def test_agrees_on_every_cut_of_every_kind_of_frame(name):
    """All lengths, once snapped by the capture and once short on the wire."""
    frame = ALL[name]
    lengths = range(len(frame.data) + 1)

    assert_as_naive([f(n) for n in lengths for f in (frame.snapped, frame.cut)])


def test_agrees_on_every_ipv4_header_and_total_length():
    """Version and header length x total length x how much was captured."""
    segment = tcp(OPTIONS)
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(6, segment, first=first, total=total))).snapped(captured)
            for first in [*range(0x3E, 0x52), 0x60, 0xFF]
            for total in (0, 1, 19, 20, 21, 39, 40, 41, 59, 60, 61, 88, 89, 90, 0xFFFF)
            for captured in (14, 33, 34, 35, 53, 54, 55, 74, 103)
        ]
    )


def test_agrees_on_every_kind_of_fragment():
    """Flags x offsets x transport protocol, IPv4 and IPv6, whole and snapped."""
    fields = [f << 13 | o for f in range(8) for o in (0, 1, 2, 0xFF, 0x100, 0x1000, 0x1FFF)]
    fields6 = [o << 3 | m for m in range(8) for o in (0, 1, 0xFF, 0x100, 0x1FFF)]
    segments = {
        6: tcp(),
        17: udp(length=4000),
        1: icmp(),
        58: icmp(),
        89: icmp(),
        44: b"\x11" * 16,
        132: sctp(),
        136: udp_lite(4000),
        33: dccp(),
        47: gre(0x2000, 5),
    }
    frames = [
        Frame(ethernet(0x0800, ipv4(proto, segment, fragment=field)))
        for proto, segment in segments.items()
        for field in fields
    ] + [
        Frame(ethernet(0x86DD, ipv6(44, fragment6(proto, field) + segment)))
        for proto, segment in segments.items()
        for field in fields6
    ]

    assert_as_naive([f.snapped(n) for f in frames for n in (36, 60, 64, 200)])


def test_agrees_on_every_tcp_data_offset():
    """Data offset x what the IP length allows x what was captured."""
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(6, tcp(OPTIONS, words=words), total=total))).snapped(n)
            for words in range(16)
            for total in (0, 39, 40, 59, 60, 75, 76, 77, 88, 89)
            for n in (53, 54, 70, 89, 90, 103)
        ]
    )


def test_agrees_on_every_small_option_list():
    """All kinds and lengths at the front, in the middle and at the end of a list; snapped too."""
    options = [bytes([kind, length]) for kind in (*range(10), 253) for length in range(12)]
    lists = [o + bytes(range(0x31, 0x3B)) for o in options]
    lists += [b"\x01\x03\x03\xff" + o + b"\x00\x00" for o in options]
    lists += [b"\x01\x01\x01" + o[:1] for o in options[::12]]
    lists += [bytes([5, n]) + bytes(38) for n in range(44)]
    frames = [Frame(ethernet(0x0800, ipv4(6, tcp(o)))) for o in lists]

    assert_as_naive([f.snapped(n) for f in frames for n in (54, 55, 56, 59, 64, 66, 120)])


def test_agrees_on_every_udp_length():
    """Length field x IP length x fragment or not, IPv4 and IPv6."""
    lengths = (0, 1, 7, 8, 9, 20, 21, 22, 0xFFFF)
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(17, udp(length=n), fragment=field, total=total)))
            for n in lengths
            for field in (0, 0x2000)
            for total in (0, 27, 28, 29, 40, 41, 42)
        ]
        + [
            Frame(ethernet(0x86DD, ipv6(17, udp(length=n), n_payload=n_payload)))
            for n in lengths
            for n_payload in (0, 7, 8, 9, 20, 21, 22)
        ]
    )


def test_agrees_on_every_udp_lite_coverage():
    """Checksum coverage x IP length x fragment or not."""
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(136, udp_lite(n), fragment=field, total=total)))
            for n in (0, 1, 7, 8, 9, 20, 21, 22, 0xFFFF)
            for field in (0, 0x2000)
            for total in (0, 27, 28, 29, 40, 41, 42)
        ]
    )


def test_agrees_on_every_dccp_data_offset():
    """Data offset x length of sequence numbers x what the IP length allows x what was captured."""
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(33, dccp(words, type_x), total=total))).snapped(n)
            for words in (*range(12), 255)
            for type_x in (0x04, 0x05, 0xFF, 0xFE)
            for total in (0, 31, 32, 35, 36, 43, 44, 45, 57)
            for n in (45, 46, 49, 50, 57, 58, 71)
        ]
    )


def test_agrees_on_every_gre_header():
    """All flags and versions x what the IP length allows x what was captured."""
    flags = [f << 12 | a | v for f in range(16) for a in (0, 0x80, 0x0F00) for v in range(8)]
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(47, gre(f, 0x0800), total=total))).snapped(n)
            for f in flags
            for total in (0, 23, 24, 27, 28, 32, 36, 37)
            for n in (37, 38, 41, 42, 46, 50, 51)
        ]
    )


def test_agrees_on_every_fixed_header():
    """SCTP, IGMP, ESP, UDP-Lite: every IP length x every captured length around the header's."""
    assert_as_naive(
        [
            Frame(ethernet(0x0800, ipv4(proto, sctp(), total=total))).snapped(n)
            for proto in (2, 33, 50, 132, 136)
            for total in range(20, 46)
            for n in range(34, 60)
        ]
    )


def test_agrees_on_every_chain_of_ipv4_authentication_headers():
    """Number of them x length fields x fragment or not x IP lengths x cuts."""
    chains = [
        b"".join(extension(51, n)[: 4 * n + 8] for _ in range(many)) + extension(17, 1)[:12] + udp()
        for many in (0, 1, 2, 14, 15, 16, 17)
        for n in (0, 1, 2, 255)
    ]
    frames = [
        Frame(ethernet(0x0800, ipv4(51, chain, fragment=field, total=total)))
        for chain in chains
        for field in (0x4000, 0x2000, 0x2001)
        for total in (None, 31, 32, 33, 43, 44, 45)
    ]

    assert_as_naive([f.snapped(n) for f in frames for n in (45, 46, 47, 58, 65, 66, 5000)])


def test_agrees_on_every_chain_of_three_extension_headers():
    """Kinds x length fields, and every proto behind; cut where it hurts."""
    kinds = (0, 43, 44, 51, 60, 6, 59, 135, 139, 140)
    chains = [
        (first, extension(second, n) + extension(third, n) + extension(17, n) + udp())
        for first, second, third in itertools.product(kinds, repeat=3)
        for n in (0, 1, 2)
    ]
    frames = [Frame(ethernet(0x86DD, ipv6(first, rest))) for first, rest in chains]
    long = Frame(ethernet(0x86DD, ipv6(60, LONG_CHAIN[8:])))

    assert_as_naive([long] + [f.snapped(n) for f in frames for n in (63, 80, 400)])


def test_agrees_on_extension_headers_that_end_where_the_packet_does():
    """Kind x length field x payload length x what was captured, nothing behind."""
    assert_as_naive(
        [
            Frame(ethernet(0x86DD, ipv6(kind, extension(59, n), n_payload=n_payload))).snapped(seen)
            for kind in (0, 43, 44, 51, 60, 135, 139, 140)
            for n in range(4)
            for n_payload in range(1, 9 + 8 * n)
            for seen in (61, 62, 63, 65, 66, 70, 200)
        ]
    )


def test_agrees_on_every_protocol_number():
    """All 256 over IPv4 and IPv6, with room for a header and without."""
    assert_as_naive(
        [
            Frame(ethernet(ether_type, ip(proto, icmp()[:n])))
            for proto in range(256)
            for ether_type, ip in ((0x0800, ipv4), (0x86DD, ipv6))
            for n in (0, 3, 21)
        ]
    )


def test_agrees_on_every_protocol_number_of_an_ipv6_packet_without_length():
    """Payload length 0 x next header x enough on the wire or only padding."""
    assert_as_naive(
        [
            Frame(ethernet(0x86DD, ipv6(proto, bytes(n), n_payload=0)))
            for proto in range(256)
            for n in (0, 6, 30)
        ]
    )


LINK_TYPES = st.sampled_from([1, 12, 14, 101, 113, 228, 229, 0])
NOISE = st.builds(
    lambda data, more, link_type, tci: Frame(data, len(data) + more, link_type, tci),
    st.binary(max_size=140),
    st.integers(0, 100),
    LINK_TYPES,
    st.sampled_from([-1, 0, 4095]),
)


@st.composite
def spoilt(draw: st.DrawFn) -> Frame:
    """A good or bad frame with some bytes overwritten, and a cut."""
    frame = draw(st.sampled_from(list(ALL.values())))
    data = bytearray(frame.data)
    for _ in range(draw(st.integers(0, 4))):
        if data:
            at = draw(st.integers(0, len(data) - 1))
            data[at] = draw(st.sampled_from([0, 1, 4, 6, 17, 44, 0x45, 0x60, 0x81, 0xFF]))
    frame = Frame(bytes(data), frame.wire_bytes, frame.link_type, frame.vlan_tci)
    return frame.snapped(draw(st.integers(0, len(data)))) if draw(st.booleans()) else frame


@given(st.lists(NOISE))
def test_survives_any_bytes(frames):
    """Noise gives one row per frame, in order, the same as the naive decoder."""
    assert_as_naive(frames)


@given(st.lists(spoilt()))
def test_agrees_on_spoilt_frames(frames):
    """So do frames that were right before some bytes flipped."""
    assert_as_naive(frames)


@given(st.lists(spoilt(), max_size=12), st.integers(0, 12), st.randoms())
def test_batch_borders_do_not_show(frames, border, random):
    """Where the tap happens to cut a batch changes no byte of any row."""
    whole = batch(frames)
    whole.frames["ts_ns"] = [random.randrange(100) for _ in frames]
    parts = Decoder()

    rows = Decoder().decode(whole)
    left = parts.decode(replace(whole, frames=whole.frames[:border]))
    right = parts.decode(replace(whole, frames=whole.frames[border:]))

    assert rows.tobytes() == left.tobytes() + right.tobytes()

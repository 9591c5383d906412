"""The link layer agrees with its naive twin: small spaces tried out whole, large ones at random."""

import itertools
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.made import (
    GOOD as MADE,
)
from tests.decode.made import (
    MACS,
    SERVICE_TAG,
    TAG,
    Frame,
    arp,
    assert_as_naive,
    ethernet,
    ipv4,
    tcp,
    udp,
)
from tests.decode.made_link import (
    BAD,
    GOOD,
    GRH,
    INNER,
    INNER_MACS,
    IP4,
    IP6,
    SNAP4,
    label,
    nflog,
    pktap,
    pppoe,
    radiotap,
    sll,
    sll2,
    snap,
    type_,
    wlan,
)
from tests.decode.naive_link import ETHER_TYPES, FRAMES

pytestmark = pytest.mark.kernel

ALL = GOOD | BAD
BYTES = range(256)


def test_agrees_on_every_ether_type():
    """All of them on Ethernet and cooked frames, with something that fits most behind them."""
    rest = b"\x11\0\0\0\x09\x21" + IP4
    assert_as_naive([Frame(ethernet(n, rest)) for n in range(0x10000)])
    known = (*ETHER_TYPES, 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x9100)
    near = {n + d for n in known for d in (-1, 0, 1)} | {0xFFFF} | set(range(0x20))
    for link_type, header in ((113, MADE["cooked"].data[:14]), (104, b"\x0f\0"), (242, GRH)):
        assert_as_naive([Frame(header + type_(n, rest), link_type=link_type) for n in sorted(near)])


def test_agrees_on_every_802_3_length():
    """Lengths x access points and controls x cuts."""
    llcs = [SNAP4, b"\x06\x06\x03" + IP4, b"\xaa\xaa\x00\x02" + SNAP4[3:], b"\x42\x42\x03"]
    frames = [Frame(ethernet(n, llc)) for n in (*range(12), *range(1498, 1538)) for llc in llcs]

    assert_as_naive([f.cut(n) for f in frames for n in (14, 15, 16, 17, 18, 21, 22, 23, 90)])


def test_agrees_on_every_llc_and_snap_header():
    """Every byte of both at every value, one at a time; every organization that is known."""
    headers = [bytearray(SNAP4), bytearray(b"\x06\x06\x03" + IP4)]
    headers += [bytearray(snap(7, b"\0\0" + INNER, organization="0080c2"))]
    frames = []
    for header in headers:
        for at, value in itertools.product(range(8), BYTES):
            changed = bytearray(header)
            changed[at] = value
            frames.append(Frame(bytes(changed), link_type=100))
    for organization in ("000000", "0000f8", "0080c2", "00000c", "0000f9"):
        for protocol in (*range(10), 0x5FF, 0x600, 0x800, 0x86DD, 0x8100):
            body = snap(protocol, b"\0\0" + INNER, organization=organization)
            frames.append(Frame(body, link_type=100))
            frames.append(Frame(b"\x18\x41\x03\0\x80" + body[3:], link_type=107))

    assert_as_naive(frames)


def test_agrees_on_every_link_type():
    """All numbers up to 300 and the largest, on frames of all the kinds there are."""
    kinds = [frame.data for frame in ALL.values()]
    numbers = [*range(300), 0xFFFF]
    frames = [Frame(kinds[n % len(kinds)], link_type=n) for n in numbers]
    frames += [Frame(data, link_type=n) for n in FRAMES for data in kinds]

    assert_as_naive(frames)
    assert_as_naive([replace(MADE[name], link_type=n) for n in numbers for name in ("tcp", "raw6")])


def test_agrees_on_every_cooked_protocol_and_device():
    """Linux' own numbers x devices x address lengths, both versions."""
    numbers = (*range(20), 0xF6, 0x5FF, 0x600, 0x800, 0x8100)
    devices = (0, 1, 512, 772, 778, 801, 802, 803, 824, 65534)
    bodies = (IP4, SNAP4, INNER, radiotap(wlan(SNAP4)), b"\0\x21" + IP4)
    combinations = list(itertools.product(numbers, devices, (0, 5, 6, 7, 262), bodies))

    assert_as_naive([Frame(sll(n, b, d, a), link_type=113) for n, d, a, b in combinations])
    assert_as_naive([Frame(sll2(n, b, d, a % 256), link_type=276) for n, d, a, b in combinations])


def test_agrees_on_every_address_family():
    """All small numbers in both byte orders, with an IPv4 and an IPv6 packet; and large ones."""
    numbers = [*range(300), 0x5FF, 0x600, 0x800, 0x86DD, 0xFFFF, 0x10000, 0x20002, 0xFF03]
    frames = []
    for n, packet in itertools.product(numbers, (IP4, IP6, b"")):
        for order in ("<I", ">I"):
            family = struct.pack(order, n)
            frames += [Frame(family + packet, link_type=t) for t in (0, 108)]
            frames.append(Frame(family + bytes(8) + packet, link_type=109))
        frames.append(Frame(bytes([1, n % 256]) + bytes(22) + packet, link_type=226))
        frames.append(Frame(nflog(packet, family=n % 256), link_type=239))
        frames.append(Frame(bytes([61, n % 256]) + bytes(62) + packet, link_type=117))

    assert_as_naive(frames)


def test_agrees_on_every_first_two_bytes_of_a_serial_line():
    """PPP with and without address, control and compression, HDLC, and noise."""
    firsts = [bytes([a, b]) for a in BYTES for b in (0, 1, 3, 0x21, 0x3D, 0x57, 0x81, 0x83, 0xFF)]
    rests = (b"", b"\0", b"\x21" + IP4, b"\0\x21" + IP4, b"\x08\0" + IP4, b"\x86\xdd" + IP6)
    frames = [
        Frame(before + first + rest, link_type=link_type)
        for link_type, before in (
            (9, b""),
            (204, b"\0"),
            (51, pppoe(b"")[:4] + b"\x01\0"),
            (0, b""),
        )
        for first in firsts
        for rest in rests
    ]

    assert_as_naive(frames)


def test_agrees_on_every_multilink_header():
    """Flags x nesting, with and without the first byte of the protocol."""
    inside = b"\0\x21" + IP4
    frames = [Frame(b"\0\x3d" + bytes([n, 1, 2, 3]) + inside, link_type=9) for n in BYTES]
    frames += [
        Frame(n * b"\x3d\xc0\x01\x02\x03" + inside[skip:], link_type=9)
        for n in range(18)
        for skip in (0, 1)
    ]

    assert_as_naive(frames)


def test_agrees_on_every_frame_relay_header():
    """Address bytes with and without their last bit x control x network layer."""
    addresses = [bytes(a) for n in range(6) for a in itertools.product((0x18, 0x19), repeat=n)]
    rests = [bytes([c, n]) for c in (0, 2, 3, 5, 6, 8, 0x86) for n in (0, 0x80, 0x8E, 0xCC, 0xDD)]
    frames = [
        Frame(address + rest + more + IP4, link_type=107)
        for address in addresses
        for rest in rests
        for more in (b"", b"\xcc")
    ]

    assert_as_naive([f.cut(n) for f in frames for n in (1, 2, 3, 4, 5, 6, 7, 90)])


def test_agrees_on_stacks_of_tags():
    """Depth x kinds of tag x a tag that the kernel took out x cut inside the stack."""
    other = bytes.fromhex("91 00 0f ff")
    frames = [
        Frame(ethernet(0x0800, ipv4(17, udp()), outer + depth * TAG), vlan_tci=tci)
        for outer in (b"", SERVICE_TAG, other)
        for depth in range(11)
        for tci in (-1, 0, 0xABCD)
    ]

    assert_as_naive(frames + [f.cut(n) for f in frames for n in (15, 18, 21, 48)])


def test_agrees_on_stacks_of_labels_and_what_they_hide():
    """Depth x first nibble x Ethernet at either place x its type and the byte behind it x cuts."""
    types = (0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x88CC, 100)
    hidden = [bytes([n]) + INNER[1:] for n in BYTES]
    hidden += [INNER_MACS + type_(t, bytes([b]) + IP4) for t in types for b in (0, 1, 0x45, 0x60)]
    hidden += [bytes([n, 0, 0, 9]) + h for h in hidden[256:] for n in (0, 0x0F, 0x10)]
    frames = [Frame(ethernet(0x8847, label() + h)) for h in hidden]
    frames += [
        Frame(ethernet(0x8848, n * label(is_bottom=False) + label() + INNER)) for n in range(20)
    ]

    assert_as_naive(frames + [f.cut(n) for f in frames for n in (17, 18, 19, 32, 33, 36, 37)])


def test_agrees_on_every_pair_of_headers_one_in_another():
    """Each EtherType that announces a link header, behind each other one, at several depths."""
    before = {n: bytes(6) for n in ETHER_TYPES} | {
        0x8847: label(),
        0x8848: label(),
        0x8864: pppoe(b"")[:4] + b"\x01\0\0\x21",
        0x8870: snap(0, b"")[:6],
        0x880B: b"\0\x21",
        0x8926: bytes(4),
        0x892F: bytes(4),
        0xF1C1: bytes(4),
        0x6558: INNER_MACS,
        0x8903: b"\0\0" + INNER_MACS,
        0x88E7: bytes(4) + INNER_MACS,
        0x22F3: bytes(6) + INNER_MACS,
    }
    frames = [
        Frame(ethernet(first, n * (before[first] + type_(second) + before[second] + type_(first))))
        for first, second in itertools.product(before, repeat=2)
        for n in (1, 7, 8, 9)
    ]
    frames += [
        Frame(ethernet(first, before[first] + type_(second) + before[second] + type_(0x0800, IP4)))
        for first, second in itertools.product(before, repeat=2)
    ]

    assert_as_naive(frames)


def test_agrees_on_every_macsec_and_trill_header():
    """The byte that decides at every value."""
    frames = [Frame(ethernet(0x88E5, bytes([n]) + bytes(13) + b"\x08\0" + IP4)) for n in BYTES]
    frames += [Frame(ethernet(0x88E5, bytes([n]) + bytes(5) + b"\x08\0" + IP4)) for n in BYTES]
    frames += [
        Frame(ethernet(0x22F3, struct.pack("!H", n) + bytes(4 + words * 4) + INNER))
        for n in range(0, 0x10000, 0x29)
        for words in (0, 1, 31)
    ]

    assert_as_naive([f.cut(n) for f in frames for n in (19, 20, 21, 22, 29, 30, 31, 200)])


def test_agrees_on_every_log_attribute():
    """Lengths x kinds x byte order, at the first and the second place; the log's other length."""
    frames = []
    for order, length, kind in itertools.product("<>", (*range(13), 255, 256, 0xFFFF), range(12)):
        header = struct.pack(order + "HH", length, kind)
        whole = nflog(IP4, order)
        frames += [Frame(whole[:4] + header + whole[8:], link_type=239)]
        frames += [Frame(whole[:12] + header + whole[16:], link_type=239)]
    frames += [Frame(bytes([n, 2]) + bytes(62) + IP4, link_type=117) for n in BYTES]
    frames += [Frame(pktap(1, INNER, 12 + n)[:-n], link_type=258) for n in range(1, 40)]
    frames += [Frame(struct.pack("<III", n, 1, 1) + INNER, link_type=258) for n in range(20)]

    assert_as_naive([f.snapped(n) for f in frames for n in (11, 12, 13, 16, 24, 64, 200)])


def test_agrees_on_every_arcnet_header():
    """System codes x split flags, with and without the filling of an exception; FDDI controls."""
    frames = [
        Frame(b"\x21\x22" + offset + bytes([code, split, 1, 2]) + more + IP4, link_type=link_type)
        for link_type, offset in ((7, b""), (129, b"\x23\x24"))
        for code in BYTES
        for split in (0, 1, 0xFF)
        for more in (b"", b"\xd4\0\1\2", b"\xd4\xff\1\2")
    ]

    assert_as_naive([f.cut(n) for f in frames for n in (4, 6, 8, 10, 12, 90)])
    assert_as_naive([Frame(bytes([n]) + MACS + SNAP4, link_type=10) for n in BYTES])


def test_agrees_on_every_radio_frame_control():
    """All 65,536 of them, on a body that is long enough for each."""
    bodies = (SNAP4, b"\x02" + bytes(5) + INNER_MACS + SNAP4)
    frames = []
    for first, flags in itertools.product(BYTES, BYTES):
        frame = bytearray(wlan(bodies[first & 1], subtype=first >> 4, flags=flags))
        frame[0] = first
        frames.append(Frame(bytes(frame), link_type=105))

    assert_as_naive(frames)


def test_agrees_on_every_radio_header_that_can_vary():
    """DS bits x QoS and HT fields x sequence x mesh flags x cuts."""
    frames = [
        Frame(wlan(mesh + SNAP4, subtype=s, flags=f, qos=q, sequence=n), link_type=105)
        for f, s in itertools.product((0, 1, 2, 3, 0x80, 0x83), (0, 1, 4, 8, 12))
        for q in (0, 0x0080, 0x0100, 0x0180, 0xFE7F)
        for n in (0, 1, 0x10)
        for mesh in (b"", *(bytes([m]) + bytes(5 + 6 * (m % 4)) for m in (0, 1, 2, 3, 4, 0x80)))
    ]
    cuts = (23, 24, 25, 26, 30, 31, 32, 35, 36, 38, 44, 45, 50, 200)

    assert_as_naive(frames)
    assert_as_naive([f.snapped(n) for f in frames[::7] for n in cuts])


def test_agrees_on_every_radiotap_header():
    """Field words x more words x length x flags x what was cut of checksum and padding."""
    body = wlan(b"\0\0" + SNAP4, subtype=8)
    frames = []
    for present, flags in itertools.product(range(8), (0, 0x10, 0x20, 0x30, 0xFF)):
        for n_words in (0, 1, 2, 29, 30, 31):
            words = b"".join(
                struct.pack("<I", (i < n_words - 1) << 31 | 0x03) for i in range(n_words)
            )
            first = present | bool(n_words) << 31
            fields = words + bytes(4 * (1 - n_words % 2)) + bytes([flags]) * 9
            frames.append(Frame(radiotap(body, fields, present=first), link_type=127))
            short = 8 + len(words)
            for n_bytes in (0, 7, 8, short, short + 1, 0xFFFF):
                frame = radiotap(body, fields, present=first, n_bytes=n_bytes)
                frames.append(Frame(frame, link_type=127))

    assert_as_naive(frames)
    ends = [f.snapped(len(f.data) - n) for f in frames[::7] for n in range(6)]
    short = [radiotap(wlan(b"")[:n], b"\x10", present=2) for n in range(25)]
    short += [radiotap(wlan(SNAP4[:n]), b"\x10", present=2) for n in range(16)]
    short += [radiotap(wlan(b"\x06\x06\x03" + IP4[:n]), b"\x10", present=2) for n in range(8)]
    assert_as_naive(ends)
    assert_as_naive([Frame(f, len(f) + n, link_type=127) for f in short for n in range(6)])


def test_agrees_on_arp_of_every_address_length():
    """Types x lengths x cuts."""
    assert_as_naive(
        [
            Frame(ethernet(0x0806, arp(hardware, protocol, n_hardware, n_protocol)[:n]))
            for hardware in (0, 1, 6, 256)
            for protocol in (0x0800, 0x86DD)
            for n_hardware in (0, 5, 6, 7, 255)
            for n_protocol in (0, 3, 4, 5, 16, 255)
            for n in (7, 8, 27, 28, 29, 600)
        ]
    )


NOISE = st.builds(
    lambda data, more, link_type: Frame(data, len(data) + more, link_type),
    st.binary(max_size=140),
    st.integers(0, 100),
    st.sampled_from(sorted(FRAMES)),
)
#: Bytes that mean something to some link header.
TELLING = st.sampled_from([0, 1, 2, 3, 6, 8, 0x0F, 0x21, 0x45, 0x60, 0x80, 0x81, 0x88, 0xAA, 0xFF])


@st.composite
def spoilt(draw: st.DrawFn) -> Frame:
    """A frame with some bytes overwritten, perhaps of another link type, and a cut."""
    frame = draw(st.sampled_from(list(ALL.values())))
    data = bytearray(frame.data)
    for _ in range(draw(st.integers(0, 4))):
        if data:
            data[draw(st.integers(0, min(len(data), 80) - 1))] = draw(TELLING)
    frame = replace(frame, data=bytes(data))
    if draw(st.integers(0, 9)) == 0:
        frame = replace(frame, link_type=draw(st.sampled_from(sorted(FRAMES))))
    return frame.snapped(draw(st.integers(0, len(data)))) if draw(st.booleans()) else frame


@given(st.lists(NOISE))
def test_survives_any_bytes_on_any_link(frames):
    """Noise gives one row per frame, the same as the naive reader."""
    assert_as_naive(frames)


@given(st.lists(spoilt()))
def test_agrees_on_spoilt_link_headers(frames):
    """So do frames that were right before some bytes flipped."""
    assert_as_naive(frames)


def test_tcp_is_read_on_every_link():
    """The twin is not blind for what most frames carry."""
    assert_as_naive(
        [Frame(ethernet(0x8847, label() + ipv4(6, tcp()))).snapped(n) for n in range(90)]
    )

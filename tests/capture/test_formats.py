"""Every variant of the file formats, and every way in which a file can be damaged."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.errors import CaptureError
from tests.capture import makers, naive

pytestmark = pytest.mark.kernel


def agree(tmp_path_factory, raw, **kwargs):
    """Both readers say the same of these bytes; returns what they say."""
    path = tmp_path_factory.getbasetemp() / "agree"
    path.write_bytes(raw)
    try:
        expected, end = naive.read(raw)
    except naive.NotACapture:
        with pytest.raises(CaptureError):
            makers.contents([path], **kwargs)
        return None
    found, source = makers.contents([path], **kwargs)
    assert found == expected
    damaged = {str(reason): n for reason, n in source.counts.damaged_files.items() if n}
    assert damaged == ({end: 1} if end else {})
    assert len(source.problems) == len(damaged)
    assert source.counts.bytes == sum(p.wire_bytes for p in expected)
    assert source.counts.truncated_packets == sum(len(p.captured) < p.wire_bytes for p in expected)
    return expected


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("link_type", [1, 113, 0xF000_0001])
def test_reads_both_byte_orders_and_resolutions(tmp_path_factory, order, nano, link_type):
    """The frame is the same; bits above the link type, such as the FCS length, are not of it."""
    packets = [(1_700_000_000_123_456_789, b"0123456789"), (1_700_000_001_000_000_001, b"")]
    raw = makers.pcap(packets, order=order, nano=nano, link_type=link_type, cut=0)

    first, second = agree(tmp_path_factory, raw)

    unit = 1 if nano else 1000
    assert first == naive.Packet(
        1_700_000_000_123_456_789 // unit * unit, 10, b"0123456789", link_type & 0xFFFF
    )
    assert second.captured == b""


@pytest.mark.parametrize(
    ("version", "swapped"), [((2, 2), True), ((2, 3), True), ((2, 3), False), ((543, 0), True)]
)
def test_reads_old_versions_with_their_lengths_swapped(tmp_path_factory, version, swapped):
    """Before 2.3 the wire length comes first; of 2.3 both kinds exist."""
    raw = makers.pcap(makers.frames(3), version=version, cut=4, swapped=swapped)

    packets = agree(tmp_path_factory, raw)

    assert [p.wire_bytes - len(p.captured) for p in packets] == [4, 4, 4]


def test_refuses_versions_that_do_not_exist(tmp_path_factory):
    """A magic number alone does not make a capture."""
    assert agree(tmp_path_factory, makers.pcap(makers.frames(1), version=(3, 0))) is None
    assert agree(tmp_path_factory, makers.section(version=2)) is None


def test_believes_the_captured_bytes_over_a_shorter_wire_length(tmp_path_factory):
    """wire_bytes is never below captured_bytes, nor negative."""
    head = makers.pcap([])
    for wire in (0, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        raw = head + struct.pack("<IIII", 1, 0, 5, wire) + b"12345"

        [packet] = agree(tmp_path_factory, raw)

        assert packet.wire_bytes == min(max(wire, 5), 0x7FFFFFFF)


@pytest.mark.parametrize("nano", [False, True])
def test_carries_fractions_of_more_than_a_second(tmp_path_factory, nano):
    """A fraction that cannot be is taken as it is, and fits."""
    record = struct.pack("<IIII", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0)

    [packet] = agree(tmp_path_factory, makers.pcap([], nano=nano) + record)

    assert packet.ts_ns == 0xFFFFFFFF * (10**9 + (1 if nano else 1000))


def test_reads_every_kind_of_pcapng_block(tmp_path_factory):
    """Sections of both byte orders, three packet blocks, three interfaces, directions, offsets."""
    packets = agree(tmp_path_factory, makers.rich_pcapng())

    per_section = [
        naive.Packet(10**18, 7, b"abcdefg", 1, "eth0", 1),
        naive.Packet(2 * 10**9, 900, b"hijk", 101, "tun0", 2),
        naive.Packet(10**18, 6, b"lmnopq", 1, "eth0", 0),
        naive.Packet(1_600_000_000 * 10**9, 4, b"rst", 276, "", 0),
    ]
    # A simple packet has the latest time before it: in the second section that of the first's end.
    second = [
        p._replace(ts_ns=1_600_000_000 * 10**9) if i == 2 else p for i, p in enumerate(per_section)
    ]
    assert packets == per_section + second


@pytest.mark.parametrize("tsresol", [*range(32), 127, *range(0x80, 0x100, 3), 0xC0, 0xDF, 0xE0])
def test_converts_every_resolution_exactly(tmp_path_factory, tsresol):
    """Times are rounded down to ns, and put to the border where they do not fit."""
    ticks = [0, 1, 999, 10**9, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 123456789012]
    for offset_s in (None, 0, 5, -5, 2**63 - 1, -(2**63)):
        raw = makers.section() + makers.interface(tsresol=tsresol, offset_s=offset_s)
        raw += b"".join(makers.enhanced(t, b"x") for t in ticks)

        assert len(agree(tmp_path_factory, raw)) == len(ticks)


def test_counts_times_that_do_not_fit(tmp_path):
    """Once for a time, even where the offset does not fit either."""
    path = tmp_path / "far.pcapng"
    raw = makers.section() + makers.interface(tsresol=0, offset_s=2**60)
    path.write_bytes(raw + makers.enhanced(2**63, b"x") + makers.enhanced(0, b"y"))

    packets, source = makers.contents([path])

    assert [p.ts_ns for p in packets] == [naive.TIME_MAX_NS] * 2
    assert source.counts.saturated_times == 1


def test_simple_packets_are_bounded_by_the_snap_length(tmp_path_factory):
    """The block is padded, so that its length alone does not say how much was captured."""
    raw = makers.section() + makers.interface(snap=5) + makers.simple(b"123456", wire=90)
    raw += makers.simple(b"abc")

    first, second = agree(tmp_path_factory, raw)

    assert (first.captured, first.wire_bytes) == (b"12345", 90)
    assert second.captured == b"abc"


@pytest.mark.parametrize(
    "tail",
    [
        makers.enhanced(1, b"x", which=1),
        makers.enhanced(1, b"x", which=0xFFFFFFFF),
        makers.block("<", 6, bytes(19)),
        makers.block("<", 6, bytes(16)),
        makers.block("<", 2, bytes(12)),
        makers.block("<", 3, b""),
        makers.block("<", 1, b"")[:12],
        makers.section() + makers.simple(b"no interface"),
        makers.section(version=9),
        struct.pack("<III", 6, 8, 8),
        struct.pack("<III", 6, 13, 13) + b"x",
        struct.pack("<III", 99, 12, 16),
        struct.pack("<III", 99, 0xFFFFFFFC, 0),
        makers.enhanced(1, b"x")[:-1] + b"\1",
        b"\n\r\r\n" + bytes(24),
        makers.enhanced(1, b"1234").replace(b"\4\0\0\0\4", b"\5\0\0\0\4"),
    ],
)
def test_names_every_way_a_block_can_be_wrong(tmp_path_factory, tail):
    """What came before is there; what comes after cannot be found."""
    good = makers.section() + makers.interface() + makers.enhanced(1, b"good")

    packets = agree(tmp_path_factory, good + tail + makers.enhanced(2, b"lost"))

    assert packets[0].captured == b"good"
    assert all(p.captured != b"lost" for p in packets[:1])


@pytest.mark.parametrize("link_type", [1, 189])
@pytest.mark.parametrize("size", [262144, 262145])
def test_believes_long_frames_only_of_links_that_have_them(tmp_path_factory, link_type, size):
    """USB transfers may be long; a longer Ethernet frame is a damaged length."""
    frames = [(0, bytes(size)), (1000, b"after")]

    in_pcap = agree(tmp_path_factory, makers.pcap(frames, link_type=link_type))
    body = b"".join(makers.enhanced(t, f) for t, f in frames)
    raw = makers.section() + makers.interface(link_type=link_type) + body
    in_pcapng = agree(tmp_path_factory, raw)

    is_believed = link_type == 189 or size == 262144
    assert len(in_pcap) == len(in_pcapng) == (2 if is_believed else 0)


def test_every_prefix_of_a_pcap_gives_what_came_before(tmp_path_factory):
    """Wherever the file is cut, the whole records before the cut are there."""
    raw = makers.pcap(makers.frames(4), cut=3)

    seen = [agree(tmp_path_factory, raw[:cut]) for cut in range(len(raw) + 1)]

    assert {None if p is None else len(p) for p in seen} == {None, 0, 1, 2, 3, 4}


def test_every_prefix_of_a_pcapng_gives_what_came_before(tmp_path_factory):
    """The same, with sections, interfaces and unknown blocks between the records."""
    raw = makers.rich_pcapng()

    seen = [agree(tmp_path_factory, raw[:cut]) for cut in range(len(raw) + 1)]

    assert {None if p is None else len(p) for p in seen} == {None, *range(9)}


SEEDS = [
    makers.pcap(makers.frames(5)),
    makers.pcap(makers.frames(4), order=">", nano=True, cut=2),
    makers.rich_pcapng(),
    makers.pcapng(makers.frames(3), order=">", name="e"),
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=4),
    st.integers(1, 4),
)
@settings(deadline=None, max_examples=150)
def test_mutated_files_give_what_the_naive_reader_finds(tmp_path_factory, raw, changes, most):
    """Any bytes changed: no crash, the same frames, the same verdict."""
    mutated = bytearray(raw)
    for place, value in changes:
        mutated[place % len(mutated)] = value

    packets = agree(tmp_path_factory, bytes(mutated), batch_frames=most)
    assert packets is None or len(packets) < len(mutated) // 16


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=60)
def test_noise_is_refused_or_read(tmp_path_factory, noise):
    """Noise after a good header, and noise alone."""
    good = makers.pcap(makers.frames(1))

    packets = agree(tmp_path_factory, good + noise)
    agree(tmp_path_factory, noise or b"x")

    assert packets[0].captured == makers.frames(1)[0][1]


def test_problems_name_file_place_and_extent(tmp_path):
    """The line tells where to look and how much is missing."""
    path = tmp_path / "cut.pcap"
    raw = makers.pcap([(0, bytes(60)), (0, bytes(74))])
    path.write_bytes(raw[:-78])

    _, source = makers.contents([path])

    assert source.problems == [
        f"{path}: cut short in the middle of record 2 at byte 100: 12 of at least 16 bytes"
    ]
    path.write_bytes(raw[:-34])
    _, source = makers.contents([path])
    assert source.problems == [
        f"{path}: cut short in the middle of record 2 at byte 100: 56 of 90 bytes"
    ]
    path.write_bytes(raw + struct.pack("<IIII", 0, 0, 2**31, 0) + bytes(50))
    _, source = makers.contents([path])
    assert source.problems == [f"{path}: a captured length that cannot be in record 3 at byte 190"]
    assert source.counts.truncated_files == 1

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
    said = naive.Said()
    try:
        expected, end = naive.read(raw, said)
    except naive.NotACapture:
        with pytest.raises(CaptureError):
            makers.contents([path], **kwargs)
        return None
    found, source = makers.contents([path], **kwargs)
    assert found == expected
    damaged = {str(reason): n for reason, n in source.counts.damaged_files.items() if n}
    assert damaged == ({end: 1} if end else {})
    assert len(source.problems) == len(damaged) + (said.recorder_dropped > 0)
    assert source.counts.recorder_dropped == said.recorder_dropped
    assert source.counts.skipped_blocks == said.skipped_blocks
    assert source.counts.bytes == sum(p.wire_bytes for p in expected)
    assert source.counts.truncated_packets == sum(len(p.captured) < p.wire_bytes for p in expected)
    return expected


MAGICS = [None, makers.KUZNETZOV, makers.IXIA_HARDWARE, makers.IXIA_SOFTWARE]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("link_type", [1, 113, 0xF000_0001, 0x0402_0065])
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


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", MAGICS[1:])
def test_reads_variants_with_longer_headers(tmp_path_factory, order, magic):
    """What they add stands between the parts that all have; it is not of the frame."""
    packets = [(1_700_000_000_123_456_000, b"0123456789"), (5_000, b""), (6_000, b"abc")]

    found = agree(tmp_path_factory, makers.pcap(packets, order=order, magic=magic))

    assert found == [naive.Packet(t, len(frame), frame, 1) for t, frame in packets]


def test_reads_snoop(tmp_path_factory):
    """RFC 1761: big-endian, microseconds, records padded as their writer liked."""
    packets = [(1_700_000_000_123_456_000, b"0123456789"), (5_000, b""), (6_000, b"abc")]
    for pad in (1, 4, 8, 1024):
        raw = makers.snoop(packets, pad=pad, cut=0)

        assert agree(tmp_path_factory, raw) == [
            naive.Packet(t, len(frame), frame, 1) for t, frame in packets
        ]
    assert agree(tmp_path_factory, makers.snoop([])) == []
    assert [p.wire_bytes for p in agree(tmp_path_factory, makers.snoop(packets[::2], cut=2))] == [
        10,
        3,
    ]


@pytest.mark.parametrize("datalink", [*range(40), 2**31])
def test_snoop_datalinks_become_link_types(tmp_path_factory, datalink):
    """One that has no LINKTYPE_ number is refused, and named."""
    packets = agree(tmp_path_factory, makers.snoop(makers.frames(1), datalink=datalink))

    known = {0: 1, 2: 6, 4: 1, 8: 10, 9: 0, 14: 0, 16: 122, 18: 123}
    assert (packets[0].link_type if packets else None) == known.get(datalink)


@pytest.mark.parametrize(
    ("lengths", "end"),
    [
        ((4, 4, 28), ""),
        ((4, 4, 27), "corrupt"),
        ((4, 4, 0), "corrupt"),
        ((0, 0, 24), ""),
        ((0, 0, 23), "corrupt"),
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), "corrupt"),
        ((4, 4, 2**32 - 1), "corrupt"),
        ((4, 4, 2**26), "cut_short"),
        ((4, 4, 2**26 + 1), "corrupt"),
        ((4, 262_145, 2**20), "corrupt"),
        ((2**32 - 1, 4, 28), ""),
    ],
)
def test_hostile_lengths_in_snoop(tmp_path_factory, lengths, end):
    """A record that is shorter than its frame, or longer than can be, ends the file."""
    good = makers.snoop(makers.frames(2))
    raw = good + struct.pack(">IIIIII", *lengths, 0, 0, 0) + b"abcd" * (lengths[1] == 4)

    packets = agree(tmp_path_factory, raw)

    assert naive.read(raw)[1] == end
    assert len(packets) == 2 + (end == "")


@pytest.mark.parametrize("order", "<>")
def test_counts_what_the_recorder_lost(tmp_path_factory, order):
    """By interface the higher of what packets and statistics say; the sum over all sections."""
    one = makers.section(order) + makers.interface(order) + makers.interface(order, name="b")
    one += makers.enhanced(1, b"x", order=order, drops=3) + makers.enhanced(2, b"y", order=order)
    one += makers.obsolete(3, b"z", order=order, drops=4)
    assert lost(tmp_path_factory, one) == 7
    one += makers.obsolete(3, b"z", order=order, drops=0xFFFF)  # not known
    assert lost(tmp_path_factory, one) == 7
    one += makers.statistics(0, order=order, by_interface=2, received=99, by_system=4, delivered=9)
    assert lost(tmp_path_factory, one) == 7
    one += makers.statistics(0, order=order, by_interface=2, by_system=6)
    assert lost(tmp_path_factory, one) == 8
    one += makers.statistics(0, order=order, by_interface=1)  # a count that falls is none
    one += makers.statistics(1, order=order, by_system=100)
    one += makers.statistics(2, order=order, by_system=1000)  # of an interface that is not there
    assert lost(tmp_path_factory, one) == 108
    assert lost(tmp_path_factory, one + one) == 216


def lost(tmp_path_factory, raw):
    said = naive.Said()
    naive.read(raw, said)
    agree(tmp_path_factory, raw)
    return said.recorder_dropped


def test_snoop_counts_losses_since_the_beginning(tmp_path_factory):
    """Each record tells all that was lost before it."""
    raw = makers.snoop(makers.frames(4), drops=[0, 5, 5, 2**32 - 1])

    assert lost(tmp_path_factory, raw) == 2**32 - 1


def test_absurd_losses_do_not_overflow(tmp_path_factory):
    """64 bits all set, again and again: no more than 2**52 of one interface is believed."""
    top = 2**64 - 1
    body = makers.enhanced(1, b"x", drops=top) * 3 + makers.statistics(0, by_system=top) * 2
    raw = makers.section() + makers.interface() + body
    raw += makers.statistics(0, by_interface=top, by_system=top)

    assert lost(tmp_path_factory, raw) == 2**52


def test_a_loss_of_the_recorder_is_told_and_is_none_of_ours(tmp_path):
    """One line for a file; the file is not damaged and nothing was dropped by us."""
    path = tmp_path / "lossy.snoop"
    path.write_bytes(makers.snoop(makers.frames(3), drops=[1, 2, 3000]))

    _, source = makers.contents([path])

    assert source.problems == [f"{path}: whoever recorded it says that 3,000 packets were lost"]
    assert source.counts.truncated_files == source.counts.dropped == 0


def test_blocks_of_odd_length_are_padded(tmp_path_factory):
    """Their writers forgot to count the padding, in one length or in both."""
    start = makers.section() + makers.interface()
    whole = makers.enhanced(1, b"12345")
    for head, end in ((37, 37), (38, 40), (40, 39)):
        odd = bytearray(whole)
        odd[4:8], odd[-4:] = struct.pack("<I", head), struct.pack("<I", end)
        for kind in (6, 0x0BAD):
            odd[0:4] = struct.pack("<I", kind)

            found = agree(tmp_path_factory, start + bytes(odd) + makers.enhanced(2, b"after"))

            assert [p.captured for p in found][-1] == b"after"
            assert len(found) == (2 if kind == 6 else 1)


@pytest.mark.parametrize("section_bytes", [-1, 0, 7, 2**63 - 1, -(2**63)])
def test_what_a_section_says_of_its_length_is_not_needed(tmp_path_factory, section_bytes):
    """Blocks tell where they end; some writers never go back to fill in the length."""
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, section_bytes)
    raw = makers.block("<", 0x0A0D0D0A, head) + makers.interface() + makers.enhanced(1, b"x")

    assert len(agree(tmp_path_factory, raw + raw)) == 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 255, 0x7FFF, 0xFFFC, 0xFFFF])
@pytest.mark.parametrize("code", [0, 1, 2, 4, 5, 7, 9, 14, 0xFFFF])
def test_hostile_lengths_of_options(tmp_path_factory, order, size, code):
    """An option that does not fit its block, or is too short for its meaning, is passed over."""
    option = struct.pack(order + "HH", code, size) + b"\3\0\0\0\0\0\0\3"
    good = struct.pack(order + "HHI", 2, 4, 2)
    for tail in (option, option[:4], option[:5], good + option, option + good, option[:3]):
        raw = makers.section(order)
        raw += makers.block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + tail)
        raw += makers.enhanced(10**15, b"one", order=order)
        frame = struct.pack(order + "IIIII", 0, 7, 8, 4, 4) + b"four"
        raw += makers.block(order, 6, frame + tail)
        raw += makers.block(order, 5, struct.pack(order + "III", 0, 1, 2) + tail)
        raw += makers.enhanced(10**15, b"last", order=order)

        assert [p.captured for p in agree(tmp_path_factory, raw)] == [b"one", b"four", b"last"]


LENGTHS = [0, 1, 3, 4, 8, 11, 12, 13, 16, 19, 20, 27, 28, 31, 32, 33, 35, 36, 40, 44, 0x7FFFFFFF]
LENGTHS += [0x80000000, 0xFFFFFFF4, 0xFFFFFFFC, 0xFFFFFFFF, 64 << 20, (64 << 20) + 1]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 0x0A0D0D0A])
def test_hostile_lengths_of_blocks(tmp_path_factory, order, kind):
    """Both lengths of every kind of block, too short, odd, as long as can be, and longer."""
    start = makers.section(order) + makers.interface(order)
    body = bytes(range(24)) if kind != 0x0A0D0D0A else makers.section(order)[8:-4] + bytes(8)
    for head in LENGTHS:
        for end in {head, 36, 0}:
            raw = struct.pack(order + "II", kind, head) + body + struct.pack(order + "I", end)

            assert agree(tmp_path_factory, start + raw + bytes(8)) is not None


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [2, 3, 6])
def test_hostile_lengths_of_frames(tmp_path_factory, order, kind):
    """Captured and wire length of every kind of packet block, against the room there is."""
    start = makers.section(order) + makers.interface(order)
    for captured in [*LENGTHS, 5, 6, 7, 9]:
        for wire in (captured, 0, 8, 0xFFFFFFFF):
            head = b"" if kind == 3 else struct.pack(order + "IIII", 0, 7, 8, captured)
            body = head + struct.pack(order + "I", wire) + b"12345678"
            raw = start + makers.block(order, kind, body) + makers.enhanced(9, b"x", order=order)

            packets = agree(tmp_path_factory, raw)

            assert len(packets) == (2 if kind == 3 or captured <= 8 else 0)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", MAGICS)
def test_hostile_lengths_of_records(tmp_path_factory, order, magic):
    """Captured and wire length of a record, in every version that has them elsewhere."""
    for version in ((2, 4), (2, 3), (2, 2), (543, 0)):
        start = makers.pcap(makers.frames(1), order=order, magic=magic, version=version)
        for captured in [*LENGTHS, 262_144, 262_145]:
            for wire in (captured, 0, 0xFFFFFFFF):
                tail = struct.pack(order + "IIII", 1, 2, captured, wire) + bytes(range(40))

                assert agree(tmp_path_factory, start + tail) is not None


@pytest.mark.parametrize("tsresol", range(256))
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


@pytest.mark.parametrize(
    "raw",
    [
        *(makers.pcap(makers.frames(2), order=o, magic=m) for o in "<>" for m in MAGICS[1:]),
        makers.snoop(makers.frames(3), pad=4, drops=[1, 2, 3]),
    ],
)
def test_every_prefix_of_a_variant_gives_what_came_before(tmp_path_factory, raw):
    """The same, for headers of other lengths."""
    seen = [agree(tmp_path_factory, raw[:cut]) for cut in range(len(raw) + 1)]

    assert [None if p is None else len(p) for p in seen][-1] >= 2
    assert None in {None if p is None else len(p) for p in seen}


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
    makers.pcap(makers.frames(3), order=">", magic=makers.KUZNETZOV),
    makers.pcap(makers.frames(3), magic=makers.IXIA_SOFTWARE),
    makers.snoop(makers.frames(4), drops=[0, 1, 1, 7]),
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

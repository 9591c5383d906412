"""Frames of files through a filter: what matches is as if it had been recorded so."""

import ctypes
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.capture import bpf, layout, open_captures, paced, sieve
from tapwatch.errors import ConfigError
from tapwatch.tables import FRAME
from tests.capture import makers

kernel = pytest.mark.kernel


def libpcap_says(program, frame, wire):
    """Whether libpcap's own interpreter lets a frame pass."""
    library = bpf._libpcap("")
    library.bpf_filter.restype = ctypes.c_uint
    library.bpf_filter.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)
    raw = ctypes.create_string_buffer(program.tobytes())
    return library.bpf_filter(raw, frame, wire, len(frame)) != 0


def we_say(program, frames, wires):
    """The same, of all frames at once by the kernel: guarded by bytes that are of no frame."""
    data = np.frombuffer(b"\xa5" * 16 + b"\xa5".join(frames) + b"\xa5" * 16, np.uint8)
    rows = np.zeros(len(frames), FRAME)
    rows["captured_bytes"] = [len(frame) for frame in frames]
    rows["start"] = 16 + np.cumsum(rows["captured_bytes"] + 1) - rows["captured_bytes"] - 1
    rows["wire_bytes"] = wires
    rows["link_type"] = 1
    rows["ts_ns"] = np.arange(len(frames))
    places = np.full((65_537, 2), -2, np.int32)
    places[1] = 0, len(program)
    totals = np.zeros(1, layout.DELIVERED)
    i, n, _ = sieve.sift(data, rows, (0, 0), program, places, totals)
    assert i == len(frames)
    assert totals[0]["filtered"] == len(frames) - n
    kept = set(rows["ts_ns"][:n].tolist())
    return [k in kept for k in range(len(frames))]


def eth(kind, body, *tags):
    tagged = b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags)
    return bytes(range(12)) + tagged + struct.pack(">H", kind) + body


def ipv4(proto, payload, *, source="10.0.0.1", target="10.0.0.2", options=b"", fragment=0):
    first, size = 0x45 + len(options) // 4, 20 + len(options) + len(payload)
    sizes = struct.pack(">BBHHHBBH", first, 0, size, 1, fragment, 9, proto, 0)
    ends = b"".join(bytes(map(int, name.split("."))) for name in (source, target))
    return sizes + ends + options + payload


def ports(source, target, *, flags=0x10):
    return struct.pack(">HHIIBBHHH", source, target, 1, 2, 0x50, flags, 3, 4, 5)


FRAMES = [
    eth(0x0800, ipv4(6, ports(80, 1024))),
    eth(0x0800, ipv4(6, ports(1024, 80, flags=2), options=b"\1" * 8)),
    eth(0x0800, ipv4(17, ports(53, 5353), source="192.168.7.9")),
    eth(0x0800, ipv4(6, ports(80, 80), fragment=5)),
    eth(0x0800, ipv4(1, b"\x08\0\0\0")),
    eth(0x0800, ipv4(6, ports(80, 443)), 100),
    eth(0x0800, ipv4(17, ports(443, 80)), 100, 7),
    eth(0x86DD, b"\x60\0\0\0\0\x14\x06\x40" + bytes(15) + b"\1" + bytes(15) + b"\2" + ports(80, 9)),
    eth(0x86DD, b"\x60\0\0\0\0\x1c\x00\x40" + bytes(32) + b"\x06\0" + bytes(6) + ports(80, 9)),
    eth(0x0806, bytes(28)),
    eth(0x8847, bytes(4)),
    eth(0x05DC, bytes(60)),
    b"",
    b"short",
]
FRAMES += [frame[:cut] for frame in FRAMES[:8] for cut in (13, 14, 23, 24, 34, 36, 37)]
FILTERS = [
    "",
    "tcp",
    "tcp port 80",
    "not udp",
    "host 10.0.0.1 and port 80",
    "net 192.168.0.0/16",
    "ip6",
    "ip6 protochain 6",
    "ip protochain 6",
    "vlan 100 and tcp",
    "vlan and vlan and udp",
    "ip[0] & 0xf > 5",
    "tcp[tcpflags] & tcp-syn != 0",
    "ip[6:2] & 0x1fff != 0",
    "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) > 0",
    "ether[0:4] * ether[6:4] / 7 % 11 ^ 3 >= 2",
    "len > 60",
    "less 40",
    "icmp or arp or mpls",
    "ether multicast",
    "portrange 50-90",
    "greater 15 and ether[12:2] = 0x800",
]


@kernel
@pytest.mark.parametrize("text", FILTERS)
def test_filters_pass_what_libpcap_passes(text):
    """Tags, options, fragments, extension headers, frames cut anywhere."""
    program = bpf.compile_for_link_type(text, 1).instructions
    wires = [len(frame) + k % 3 * 20 for k, frame in enumerate(FRAMES)]

    expected = [libpcap_says(program, f, w) for f, w in zip(FRAMES, wires, strict=True)]

    assert we_say(program, FRAMES, wires) == expected


LOADS = [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x00, 0x60, 0x80, 0x01, 0x61, 0x81, 0xB1]
STORES, MOVES, RETURNS = [0x02, 0x03], [0x07, 0x87], [0x06, 0x16]
ALU = [
    operation | operand | 4
    for operation in (0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0)
    for operand in (0, 8)
]
ALU.append(0x84)
JUMPS = [operation | operand | 5 for operation in (0x10, 0x20, 0x30, 0x40) for operand in (0, 8)]
numbers = st.sampled_from([0, 1, 2, 3, 7, 14, 31, 32, 33, 255, 2**31 - 1, 2**31, 2**32 - 1])


@st.composite
def programs(draw):
    """Any instructions whose jumps stay within, after scratch memory has been filled."""
    n = draw(st.integers(1, 24))
    rows = [(0x00, 0, 0, 0x80C0FFEE), *((0x02, 0, 0, k) for k in range(16)), (0x01, 0, 0, 3)]
    for left in range(n, 0, -1):
        code = draw(st.sampled_from([*LOADS, *STORES, *MOVES, *ALU, *JUMPS, 0x05]))
        k = draw(numbers | st.integers(0, 40))
        if code in (0x60, 0x61, 0x02, 0x03):
            k %= 16
        elif code in (0x34, 0x94):
            k = k or 1  # libpcap never makes a program that divides by a constant 0
        elif code in (0x64, 0x74):
            k %= 32  # nor one that shifts by a constant that C leaves undefined
        elif code == 0x05:
            k %= left
        jumps = (draw(st.integers(0, left - 1)), draw(st.integers(0, left - 1)))
        rows.append((code, *(jumps if code in JUMPS else (0, 0)), k))
    rows += [(draw(st.sampled_from(RETURNS)), 0, 0, draw(numbers))]
    return np.array(rows, bpf.INSTRUCTION)


@kernel
@given(programs(), st.lists(st.binary(max_size=48), min_size=1, max_size=4), st.integers(0, 2000))
@settings(deadline=None, max_examples=400)
def test_any_program_answers_as_libpcaps_interpreter(program, frames, more):
    """All instructions, whatever the numbers: 32 unsigned bits, loads beyond the frame are 0."""
    wires = [len(frame) + more for frame in frames]

    expected = [libpcap_says(program, f, w) for f, w in zip(frames, wires, strict=True)]

    assert we_say(program, frames, wires) == expected


@kernel
@pytest.mark.parametrize("operation", [*range(0, 0x80, 0x10), 0x90, 0xA0])
def test_arithmetic_is_that_of_32_unsigned_bits(operation):
    """Every operation on the borders of what it takes, told by its exact result."""
    edges = [0, 1, 31, 32, 33, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1]
    python = {
        0x00: lambda a, b: a + b,
        0x10: lambda a, b: a - b,
        0x20: lambda a, b: a * b,
        0x30: lambda a, b: a // b,
        0x40: lambda a, b: a | b,
        0x50: lambda a, b: a & b,
        0x60: lambda a, b: a << b if b < 32 else 0,
        0x70: lambda a, b: a >> b,
        0x90: lambda a, b: a % b,
        0xA0: lambda a, b: a ^ b,
    }[operation]
    for a in edges:
        for b in edges:
            if b == 0 and operation in (0x30, 0x90):
                continue
            answer = python(a, b) % 2**32
            rows = [(0x00, 0, 0, a), (0x01, 0, 0, b), (operation | 0x0C, 0, 0, 0)]
            rows += [(0x15, 0, 1, answer), (0x06, 0, 0, 1), (0x06, 0, 0, 0)]

            assert we_say(np.array(rows, bpf.INSTRUCTION), [b""], [0]) == [True], (a, b)


@kernel
def test_a_program_that_never_ends_is_ended():
    """libpcap makes none; a loop that does not move forward keeps the frame back."""
    spinning = np.array([(0x05, 0, 0, 2**32 - 1)], bpf.INSTRUCTION)
    leaving = np.array([(0x05, 0, 0, 2**31 - 1)], bpf.INSTRUCTION)

    assert we_say(spinning, [b"x" * 60, b""], [60, 0]) == [False, False]
    assert we_say(leaving, [b"x" * 60], [60]) == [False]
    assert we_say(leaving[:0], [b"x" * 60], [60]) == [False]


# Sources


def read_all(paths, **kwargs):
    source = open_captures([str(path) for path in paths], **kwargs)
    rows, untils = [], []
    while (batch := source.read()) is not None:
        untils.append(batch.until_ns)
        for row in batch.frames:
            start, size = int(row["start"]), int(row["captured_bytes"])
            frame = batch.data[start : start + size].tobytes()
            rows.append((int(row["number"]), int(row["ts_ns"]), int(row["interface"]), frame))
    source.close()
    return rows, untils, source


def numbered(n):
    """Ethernet frames, every third of which is a TCP segment."""
    return [
        (10**15 + k * 1000, FRAMES[0] + bytes([k]) if k % 3 == 1 else FRAMES[9] + bytes([k]))
        for k in range(n)
    ]


@pytest.mark.parametrize("batch_frames", [1, 2, 5, 8192])
@pytest.mark.parametrize("make", [makers.pcap, makers.snoop, makers.pcapng])
def test_frames_keep_their_numbers_and_the_rest_is_counted(tmp_path, make, batch_frames):
    """Whatever the batches: those that match, by their place in the unfiltered capture."""
    frames = numbered(50)
    path = tmp_path / "capture"
    path.write_bytes(make(frames))

    rows, untils, source = read_all([path], batch_frames=batch_frames, filter="tcp")

    assert [(number, ts_ns, frame) for number, ts_ns, _, frame in rows] == [
        (k + 1, *frames[k]) for k in range(50) if k % 3 == 1
    ]
    assert (source.counts.packets, source.counts.filtered) == (50, 50 - 17)
    assert source.counts.bytes == sum(len(frame) for _, frame in frames)
    assert untils[-1] == source.counts.last_ts_ns == frames[49][0]
    assert source.problems == []
    tallies = {tally.name: tally.values for tally in source.tallies()}
    assert tallies["capture_filtered_packets_total"] == {(): 33}
    assert tallies["capture_received_packets_total"] == {("file", "0"): 50}


def test_what_is_kept_back_moves_no_clock(tmp_path):
    """A frame far in the future that does not match makes none late; one that matches does."""
    path = tmp_path / "capture"
    tcp, arp = FRAMES[0], FRAMES[9]
    times = [(5000, tcp), (10**18, arp), (7000, tcp), (6000, tcp), (4 * 10**18, arp)]
    path.write_bytes(makers.pcap(times))

    rows, untils, source = read_all([path], filter="tcp")

    assert [number for number, *_ in rows] == [1, 3, 4]
    assert untils == [7000, 7000]
    assert (source.counts.late_frames, source.counts.last_ts_ns) == (1, 7000)


def test_interfaces_are_numbered_by_what_matches(tmp_path):
    """As in a capture that was recorded with the filter."""
    path = tmp_path / "capture"
    raw = makers.section() + b"".join(makers.interface(name=n, tsresol=9) for n in "xyz")
    raw += makers.enhanced(1, FRAMES[9], which=0) + makers.enhanced(2, FRAMES[0], which=2)
    raw += makers.enhanced(3, FRAMES[0], which=1)
    path.write_bytes(raw)

    rows, _, source = read_all([path], filter="tcp")

    assert source.interfaces == ("z", "y")
    assert [interface for _, _, interface, _ in rows] == [0, 1]


def test_a_filter_that_nothing_matches_gives_nothing(tmp_path):
    """No batch, no time; every frame is accounted for."""
    path = tmp_path / "capture"
    path.write_bytes(makers.pcap(numbered(40), cut=1))

    rows, untils, source = read_all([path], batch_frames=7, filter="udp")

    assert (rows, untils) == ([], [])
    assert (source.counts.packets, source.counts.filtered) == (40, 40)
    assert source.counts.truncated_packets == 40
    assert source.counts.last_ts_ns == 0


def test_a_stop_ends_a_search_for_something_that_matches(tmp_path):
    """The rest of a long capture need not be read first."""
    path = tmp_path / "capture"
    path.write_bytes(makers.pcap(numbered(100)))
    asked = []

    def stopped():
        asked.append(1)
        return len(asked) == 3

    source = open_captures([str(path)], batch_frames=10, stopped=stopped, filter="udp")

    assert source.read() is None
    assert source.counts.packets == 30


def test_overlapping_files_are_merged_before_they_are_filtered(tmp_path):
    """Numbers are those of the merged capture; bytes are of the right file."""
    frames = numbered(60)
    for name, part in (("a", frames[::2]), ("b", frames[1::2])):
        (tmp_path / name).write_bytes(makers.pcap(part))

    rows, _, source = read_all([tmp_path], batch_frames=11, filter="tcp")

    assert [(n, t, f) for n, t, _, f in rows] == [
        (k + 1, *frames[k]) for k in range(60) if k % 3 == 1
    ]
    assert source.counts.filtered == 40


def test_a_paced_source_counts_what_it_has_handed_over(tmp_path):
    """Frames whose time has not come are not counted as filtered, nor twice."""
    path = tmp_path / "capture"
    path.write_bytes(makers.pcap(numbered(30)))
    source = paced(open_captures([str(path)], filter="tcp"), 1e6, lambda: False)
    n = 0
    while (batch := source.read()) is not None:
        n += len(batch)
        assert source.counts.packets == source.counts.filtered + n

    assert (n, source.counts.packets) == (10, 30)


def radio(frame_type):
    """A frame of IEEE 802.11 without radiotap: 0x80 is a beacon."""
    return bytes([frame_type, 0]) + bytes(40)


def test_each_link_type_has_its_own_program(tmp_path):
    """The same words mean other offsets behind another link header."""
    ip = ipv4(6, ports(80, 1))
    cooked = bytes(14) + b"\x08\x00" + ip
    raw = makers.section()
    for number in (1, 101, 113, 0):
        raw += makers.interface(link_type=number)
    for which, frame in enumerate((eth(0x0800, ip), ip, cooked, b"\2\0\0\0" + ip)):
        raw += makers.enhanced(which, frame, which=which)
        raw += makers.enhanced(which, frame.replace(b"\0\x50\0\1", b"\0\x51\0\1"), which=which)
    path = tmp_path / "capture"
    path.write_bytes(raw)

    rows, _, source = read_all([path], filter="tcp src port 80")

    assert [number for number, *_ in rows] == [1, 3, 5, 7]
    assert source.problems == []


def test_loopback_frames_are_of_who_wrote_them(tmp_path):
    """Their address family is in that machine's byte order, and by its own number for IPv6."""
    v6 = FRAMES[7][14:]
    families = [(2, ipv4(6, ports(80, 1))), (24, v6), (28, v6), (30, v6), (10, v6)]
    for order in "<>":
        frames = [(1000 * k, struct.pack(order + "I", n) + f) for k, (n, f) in enumerate(families)]
        path = tmp_path / "capture"
        path.write_bytes(makers.pcap([*frames, (9000, b"\0\0\0")], order=order, link_type=0))

        for text, expected in (("tcp", [1, 2, 3, 4]), ("ip6", [2, 3, 4]), ("not tcp", [5])):
            command = ["tcpdump", "-r", str(path), "-w", str(tmp_path / "theirs"), text]
            subprocess.run(command, check=True, capture_output=True)
            rows, _, _ = read_all([path], filter=text)

            assert [number for number, *_ in rows] == expected
            assert len(read_all([tmp_path / "theirs"])[0]) == len(expected)


def test_frames_that_cannot_be_filtered_are_kept_back_and_told(tmp_path):
    """The filter is good for some link types: for others it counts as not matching."""
    path = tmp_path / "capture"
    raw = makers.section() + makers.interface() + makers.interface(link_type=105)
    raw += makers.enhanced(1, FRAMES[0]) + makers.enhanced(2, radio(0x80), which=1)
    raw += makers.enhanced(3, FRAMES[9]) + makers.enhanced(4, radio(0x80), which=1)
    path.write_bytes(raw)

    beacons, _, source = read_all([path], filter="type mgt subtype beacon")

    assert [number for number, *_ in beacons] == [2, 4]
    assert source.counts.filtered == 2
    [line] = source.problems
    assert line.startswith("frames of link type 1 are kept back")
    assert "802.11 link-layer types supported only on 802.11" in line
    assert source.counts.truncated_files == 0


def test_thousands_of_link_types_are_not_told_one_by_one(tmp_path):
    """A hostile file cannot make the list of problems long."""
    path = tmp_path / "capture"
    numbers = range(2000, 2300)
    raw = makers.section() + makers.interface()
    raw += b"".join(makers.interface(link_type=number) for number in numbers)
    raw += makers.enhanced(1, FRAMES[0])
    raw += b"".join(makers.enhanced(2, b"x", which=1 + k) for k in range(len(numbers)))
    path.write_bytes(raw)

    rows, _, source = read_all([path], filter="tcp")

    assert len(rows) == 1
    assert source.counts.filtered == 300
    assert len(source.problems) == 9


@pytest.mark.parametrize("text", ["tcp port", "type mgt", "\0"])
@pytest.mark.parametrize("make", [makers.pcap, makers.pcapng])
def test_a_filter_that_is_good_for_no_frame_is_refused_at_once(tmp_path, text, make):
    """Before a frame is handed over, with what libpcap says."""
    path = tmp_path / "capture"
    path.write_bytes(make(numbered(3)))

    with pytest.raises(ConfigError) as refusal:
        open_captures([str(path)], filter=text)

    assert refusal.value.exit_code == 2
    assert refusal.value.key == "--filter"


def test_a_filter_for_another_link_type_is_good_where_the_capture_has_it(tmp_path):
    """It need not be good for Ethernet."""
    path = tmp_path / "capture"
    path.write_bytes(makers.pcap([(1000, radio(0x80)), (2000, radio(0x40))], link_type=105))

    rows, _, _ = read_all([path], filter="type mgt subtype beacon")

    assert [number for number, *_ in rows] == [1]


def test_a_filter_works_on_a_pipe(tmp_path):
    """What cannot be opened twice is not."""
    raw = makers.pcap(numbered(30))
    code = (
        "from tapwatch.capture import open_captures\n"
        "s = open_captures(['-'], filter='tcp')\n"
        "n = 0\n"
        "while (b := s.read()) is not None: n += len(b)\n"
        "print(n, s.counts.packets, s.counts.filtered)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, check=True)
    assert done.stdout.split() == [b"10", b"30", b"20"]

"""The golden captures: what each of them shows, and the views whose rows it has."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from tests.conformance import sessions
from tests.conformance.craft import (
    MS,
    T0_NS,
    Record,
    Talk,
    at,
    by_time,
    capture,
    ethernet,
    icmp,
    in_frame,
    ip_packet,
    mac_of,
    numbers,
    payload,
    transport_sum,
    udp,
)
from tests.decode import made
from tests.flows.segment_cases import CASES
from tests.flows.segments import frame_of

ETHERNET: Final = 1
A, B, C = "192.168.7.10", "192.168.7.20", "203.0.113.5"
A6, B6 = "2001:db8::a", "2001:db8::b"


@dataclass(frozen=True)
class Golden:
    """One capture."""

    shows: str
    views: tuple[str, ...]
    make: Callable[[], list[Record]]
    #: Whether tshark's answer for every frame lies beside it.
    has_tshark: bool = True


def tcp_analysis() -> list[Record]:
    """Every conversation by hand of the TCP analysis, one after the other and under each other."""
    records = []
    for number, segments in enumerate(CASES.values()):
        for segment in segments:
            mine = replace(segment, conversation=number)
            frame = frame_of(mine)
            records.append((mine.ts_ns + number * 7_000 * MS, frame, len(frame)))
    return by_time(records)


#: State -> who says what, upper case the originator: Syn, syn-ack (H), Ack, Data, Fin, Rst.
STATES: Final = {
    "S0": "SS",
    "S1": "ShADda",
    "SF": "ShADdFfA",
    "REJ": "Sr",
    "S2": "ShADFa",
    "S3": "ShADdf",
    "RSTO": "ShADR",
    "RSTR": "ShADdr",
    "RSTOS0": "SR",
    "RSTRH": "hr",
    "SH": "SF",
    "SHR": "hf",
    "OTH": "Dd",
}
_FLAGS: Final = {"S": "S", "H": "SA", "A": "A", "D": "PA", "F": "FA", "R": "R"}


def states() -> list[Record]:
    """One conversation a state of a connection, a second after the other."""
    talks = []
    for number, letters in enumerate(STATES.values()):
        talk = Talk(src=A, dst=f"203.0.113.{10 + number}", src_port=40_000 + number, dst_port=80)
        for k, letter in enumerate(letters):
            kind = letter.upper()
            data = payload(20) if kind == "D" else b""
            again = int(kind == "S" and letter in letters[:k])  # the same SYN
            at_ms = 1000 * number + 20 * k
            talk.say(at_ms, int(letter.islower()), _FLAGS[kind], data, back=again)
        talks.append(talk)
    last = at(100_000, in_frame(udp(A, B, (5000, 5001), b"the end")))
    return by_time(*(talk.records for talk in talks), [last])


def flow_statistics() -> list[Record]:
    """Gaps, bulks, periods, cuts, late packets: a conversation each."""
    gaps = Talk(src_port=50_001)
    gaps.open()
    for k, after_ms in enumerate((0, 999, 2000, 3001, 3001, 8001, 13_002)):
        gaps.say(100 + after_ms, k % 2, "PA", payload(10 + k))
    gaps.close(14_000)

    bulks = Talk(src_port=50_002)
    bulks.open(20)
    for k in range(3):  # too few
        bulks.say(100 + k, 0, "A", payload(100))
    for k in range(5):
        bulks.say(110 + 10 * k, 1, "A", payload(1000 + k))
    bulks.say(155, 0, "A")  # an ACK ends no bulk
    bulks.say(160, 1, "PA", payload(500))
    for k in range(4):
        bulks.say(200 + k, 0, "PA", payload(300))
    for k in range(4):  # a gap over 1 s parts them
        bulks.say(300 + 1001 * (k // 2) + k, 1, "A", payload(50))
    bulks.close(3000)

    periods = Talk(src_port=50_003)
    periods.say(40, 0, "S", window=0)  # the first window is 0, and the next is not
    periods.say(45, 1, "SA", window=0)
    periods.say(50, 0, "A")
    for at_ms in (500, 5500, 10_501, 10_600, 20_000):
        periods.say(at_ms, 0, "PA", payload(7))
    periods.say(20_500, 1, "RA")

    cut = Talk(src_port=50_004)
    cut.open(60)
    for k in range(27):
        cut.say(1000 + 10_000 * k, k % 2, "PA", payload(k))
    cut.say(262_000, 0, "PA", payload(30), back=26)  # sends again what a piece before has sent
    cut.close(263_000)

    urgent = Talk(src_port=50_006)
    urgent.open(30)
    for k in range(5):
        urgent.say(200 + 40 * k, k % 2, "PAU" if k < 4 else "PA", payload(3 + k))
    urgent.close(500)

    late = Talk(src_port=50_005)
    late.open(80)
    for at_ms in (1000, 1500, 1200, 1200, 3000, 2100):
        late.say(at_ms, 0, "PA", payload(40))
    late.say(4000, 1, "A")
    talks = (gaps, bulks, periods, cut, urgent)
    return by_time(*(talk.records for talk in talks)) + late.records


def fragments() -> list[Record]:
    """A datagram in three pieces, in and out of order, overlapping, and one without its first."""
    body = transport_sum(A, B, 17, struct.pack(">HHHH", 40_000, 40_001, 1208, 0) + payload(1200), 6)

    def piece(at_ms: float, ident: int, first: int, last: int, more: bool = True) -> Record:
        field = first // 8 | (0x2000 if more else 0)
        part = ip_packet(A, B, 17, body[first:last], ident=ident, fragment=field)
        return at(at_ms, in_frame(part))

    def piece6(at_ms: float, first: int, last: int, more: bool) -> Record:
        header = struct.pack(">BBHI", 17, 0, first | more, 77)
        return at(at_ms, in_frame(ip_packet(A6, B6, 44, header + body[first:last])))

    return [
        piece(0, 1, 0, 480),
        piece(1, 1, 480, 960),
        piece(2, 1, 960, 1208, more=False),
        piece(10, 2, 0, 480),
        piece(11, 2, 960, 1208, more=False),
        piece(12, 2, 480, 960),
        piece(20, 3, 0, 480),
        piece(21, 3, 472, 960),  # 8 bytes twice
        piece(22, 3, 960, 1208, more=False),
        piece(30, 4, 480, 960),
        piece(31, 5, 0, 483),  # more follow, and it is not in units of eight
        piece6(40, 0, 480, more=True),
        piece6(41, 480, 1208, more=False),
    ]


def kdd_windows() -> list[Record]:
    """120 connections of five hosts to three, some rejected, some half open, in 12 s."""
    drawn, talks = numbers(600, seed=7), []
    for k in range(120):
        host, server, port, kind, jitter = drawn[5 * k : 5 * k + 5]
        service = (80, 22, 25, 8, 53)[port % 5]
        talk = Talk(
            src=f"10.0.0.{1 + host % 5}",
            dst=f"10.0.1.{1 + server % 3}",
            src_port=30_000 + (k if jitter % 4 else 0),
            dst_port=service,
        )
        start_ms = 100 * k + jitter % 90
        if kind % 4 == 0:
            talk.say(start_ms, 0, "S")
        elif kind % 4 == 1:
            talk.say(start_ms, 0, "S")
            talk.say(start_ms + 1, 1, "RA")
        else:
            talk.open(start_ms)
            talk.say(start_ms + 11, 0, "PA", payload(kind % 90))
            talk.close(start_ms + 20)
        talks.append(talk.records)
    pings = [at(50 * k, in_frame(icmp(f"10.0.0.{1 + k % 5}", "10.0.1.1", 8, 0))) for k in range(20)]
    land = Talk(src="10.0.1.2", dst="10.0.1.2", src_port=139, dst_port=139)
    land.say(5000, 0, "S")
    urgent = Talk(src="10.0.0.9", dst="10.0.1.3", src_port=31_000, dst_port=23)
    urgent.open(6000)
    urgent.say(6020, 0, "PAU", payload(3))
    urgent.close(6100)
    last = at(90_000, in_frame(udp(A, B, (5000, 5001), b"the end")))
    return by_time(*talks, pings, land.records, urgent.records, [last])


def kdd_content() -> list[Record]:
    """The sessions in clear text, one a protocol and more."""
    talks = []
    for number, (port, sent) in enumerate(sessions.SESSIONS.values()):
        talk = Talk(src=f"10.2.0.{1 + number}", src_port=33_000 + number, dst_port=port)
        talk.open(3000 * number)
        for k, (side, text) in enumerate(sent):
            talk.say(3000 * number + 50 + 20 * k, side, "PA", text)
        talk.close(3000 * number + 1500)
        talks.append(talk.records)
    return by_time(*talks)


def damped() -> list[Record]:
    """200 frames of four hosts: steady, in bursts, after silences of seconds, with ARP and ICMP."""
    drawn, records, at_ms = numbers(800, seed=3), [], 0.0
    ends = ("10.3.0.1", "10.3.0.2", "10.3.0.3", "2001:db8::3")
    for k in range(200):
        which, size, gap, kind = drawn[4 * k : 4 * k + 4]
        at_ms += (0, 0.5, 7, 40, 300, 2500)[gap % 6] if k % 50 else 20_000
        if which % 4 == 3:
            frame = in_frame(udp(ends[3], B6, (6000 + kind % 2, 53), payload(20 + size % 250)))
        elif kind % 10 == 0:
            src, dst = ends[which % 3], ends[(which + 1) % 3]
            frame = arp_frame(1, src, dst)
        elif kind % 10 == 1:
            frame = in_frame(icmp(ends[which % 3], ends[2], 8, 0, payload(size % 60)))
        else:
            src, dst = (ends[0], ends[1]) if kind % 2 else (ends[1], ends[0])
            ports = (7000, 80) if kind % 2 else (80, 7000)
            frame = in_frame(udp(src, dst, ports, payload((size % 5) * 90 + 1)))
        records.append(at(at_ms, frame))
    return records


def arp_frame(opcode: int, src: str, dst: str, claims: str | None = None) -> bytes:
    """A question or an answer; `claims` is the address that the sender says it has."""
    claimed, wanted = ip_address(claims or src).packed, ip_address(dst).packed
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, opcode) + mac_of(src) + claimed
    body += (bytes(6) if opcode == 1 else mac_of(dst)) + wanted
    return ethernet(src, "255.255.255.255" if opcode == 1 else dst, 0x0806, body)


def hosts() -> list[Record]:
    """A scan, a sweep, a beacon, an upload, and the resolution of odd names."""
    records = []
    for k in range(30):  # one host, many ports: some closed, some silent
        scan = Talk(src="10.4.0.66", dst="10.4.0.1", src_port=45_000, dst_port=1 + 7 * k)
        scan.say(500 + 20 * k, 0, "S")
        if k % 3:
            scan.say(501 + 20 * k, 1, "RA")
        records += scan.records
    for k in range(25):  # one port, many hosts
        sweep = Talk(src="10.4.0.77", dst=f"10.4.1.{k + 1}", src_port=46_000 + k, dst_port=445)
        sweep.say(6000 + 30 * k, 0, "S")
        if k == 20:
            sweep.say(6001 + 30 * k, 1, "SA")
        records += sweep.records
        records.append(at(6002 + 30 * k, arp_frame(1, "10.4.0.77", f"10.4.1.{k + 1}")))
    for k in range(9):  # every 10 s, to the ms
        beacon = Talk(src="10.4.0.88", dst="198.51.100.9", src_port=47_000 + k, dst_port=443)
        beacon.open(1000 + 10_000 * k)
        beacon.say(1050 + 10_000 * k, 0, "PA", payload(64))
        beacon.close(1100 + 10_000 * k)
        records += beacon.records
    upload = Talk(src="10.4.0.99", dst="198.51.100.7", src_port=48_000, dst_port=443)
    upload.open(11_000)
    for k in range(20):
        upload.say(11_100 + 10 * k, 0, "A", payload(1200))
        if k % 4 == 3:
            upload.say(11_105 + 10 * k, 1, "A")
    records += upload.records
    for k in range(12):
        name = bytes(97 + (k * j * 7 + 3 * j) % 26 for j in range(1, 25))
        message = dns(0x0100, name, b"tunnel", b"example")
        records.append(
            at(16_000 + 100 * k, in_frame(udp("10.4.0.55", "10.4.0.2", (5300 + k, 53), message)))
        )
        answer = dns(0x8183, name, b"tunnel", b"example")
        records.append(
            at(16_010 + 100 * k, in_frame(udp("10.4.0.2", "10.4.0.55", (53, 5300 + k), answer)))
        )
    refused = udp("10.4.0.55", "10.4.0.3", (5500, 161), payload(9))
    records.append(at(18_000, in_frame(refused)))
    records.append(
        at(18_001, in_frame(icmp("10.4.0.3", "10.4.0.55", 3, 3, bytes(4) + refused[:28])))
    )
    records.append(at(18_500, in_frame(udp("10.4.0.55", "239.255.255.250", (1900, 1900), b"x"))))
    return by_time(records)


def dns(flags: int, *labels: bytes) -> bytes:
    """A message with one question of type A."""
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack(">HHHHHH", 0x2B2B, flags, 1, 0, 0, 0) + name + b"\0\1\0\1"


def headers() -> list[Record]:
    """Every kind of header by hand: VLAN, double VLAN, IPv6 chains, ARP, tunnels left closed."""
    frames = [frame for frame in made.GOOD.values() if frame.link_type == ETHERNET]
    frames = [frame for frame in frames if frame.vlan_tci < 0]
    records = [(T0_NS + k * 100 * MS, frame.data, frame.on_wire) for k, frame in enumerate(frames)]
    tagged = Talk(src=A6, dst=B6, src_port=50_100, tags=(100, 200))
    tagged.open(10_000)
    tagged.close(10_100)
    plain = Talk(src=A6, dst=B6, src_port=50_100)
    plain.open(10_001)
    plain.say(10_050, 1, "PA", payload(100), window=0)
    inner = udp(A, B, (4000, 4001), payload(50))
    outer = [
        ip_packet(A, C, 4, inner),
        ip_packet(A, C, 47, b"\0\0\x08\0" + inner),
        udp(A, C, (49_000, 4789), b"\x08\0\0\0\0\0\x05\0" + in_frame(inner)),
        ip_packet(A, C, 41, udp(A6, B6, (4000, 4001), payload(50))),
    ]
    tunnels = [at(11_000 + k, in_frame(packet)) for k, packet in enumerate(outer)]
    stations = [
        at(12_000, arp_frame(1, A, B)),
        at(12_001, arp_frame(2, B, A)),
        at(12_002, arp_frame(1, A, A)),  # an announcement
        at(12_003, arp_frame(2, C, A, claims=B)),  # another station has B's address
        at(12_003.5, arp_frame(8, A, B)),  # InARP request, RFC 2390
        at(12_004, in_frame(icmp(A6, B6, 135, 0, bytes(4) + ip_address(B6).packed))),
        at(12_005, in_frame(icmp(B6, A6, 136, 0, bytes(4) + ip_address(B6).packed))),
    ]
    return by_time(records, tagged.records, plain.records) + tunnels + stations


def damaged() -> list[Record]:
    """Frames that contradict themselves or that the capture cuts; good ones between them."""
    records = []
    for k, frame in enumerate(made.BAD.values()):
        if frame.link_type == ETHERNET:
            records.append((T0_NS + 2 * k * MS, frame.data, frame.on_wire))
            records.append(at(2 * k + 1, in_frame(udp(A, B, (8000, 8001), payload(k)))))
    for k, kept in enumerate((34, 42, 54, 60)):  # a snap length changes no figure
        whole = in_frame(udp(A, B, (8000, 8001), payload(900)))
        records.append(at(1000 + k, whole, max(kept, 42)))
    return records


def labels() -> list[Record]:
    """One frame or conversation a protocol family, as tshark's Protocol column names it."""
    records, at_ms = [], 0.0
    for ports, data in sessions.DATAGRAMS:
        records.append(at(at_ms, in_frame(udp(A, B, ports, data))))
        at_ms += 10
    for number, (port, sent) in enumerate(sessions.STREAMS.values()):
        talk = Talk(src=A, dst=C, src_port=52_000 + number, dst_port=port)
        talk.open(at_ms)
        for k, (side, text) in enumerate(sent):
            talk.say(at_ms + 20 + k, side, "PA", text)
        records += talk.records
        at_ms += 1000
    for frame in sessions.link_frames():
        records.append(at(at_ms, frame))
        at_ms += 10
    return records


_PER_PACKET = ("packet", "afterimage_115")
GOLDEN: Final = {
    "tcp_analysis": Golden(
        "all 15 conditions of the TCP analysis", ("packet", "flow"), tcp_analysis
    ),
    "states": Golden("the 13 states of a connection, in this order", ("kdd", "flow"), states),
    "flow_statistics": Golden(
        "gaps around 1 s and 5 s, bulks, periods, active cuts, URG, a clock that goes back",
        ("flow", "packet"),
        flow_statistics,
    ),
    "fragments": Golden(
        "datagrams in pieces: in order, out of order, overlapping, without the first",
        ("flow", "packet", "kdd", "host"),
        fragments,
    ),
    "kdd_windows": Golden(
        "two-second and host windows, rejected and half-open connections, land, urgent",
        ("kdd", "host"),
        kdd_windows,
    ),
    "kdd_content": Golden("sessions in clear text, by protocol", ("kdd",), kdd_content),
    "damped": Golden(
        "steady traffic, bursts and silences of four hosts", ("afterimage_115",), damped
    ),
    "hosts": Golden(
        "a port scan, a sweep, a beacon, an upload, odd names", ("host", "flow", "kdd"), hosts
    ),
    "headers": Golden(
        "VLAN, double VLAN, IPv6 extension headers, ARP, closed tunnels, other transports",
        ("packet", "flow", "host", "afterimage_115"),
        headers,
    ),
    "damaged": Golden(
        "frames that contradict themselves, or that the capture cuts",
        ("packet", "flow"),
        damaged,
        has_tshark=False,
    ),
    "labels": Golden("one frame or conversation a protocol family", ("packet",), labels),
}


def made_capture(name: str) -> bytes:
    """The file, which is the same on every run."""
    return capture(GOLDEN[name].make(), ETHERNET)

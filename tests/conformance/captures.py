"""The golden captures: what each of them shows, and the views whose rows it has."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from tests.conformance import sessions, traffic
from tests.conformance.craft import (
    MS,
    T0_NS,
    Record,
    Talk,
    at,
    by_time,
    capture,
    icmp,
    in_frame,
    ip_packet,
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


def _gaps() -> Talk:
    """Around 1 s and 5 s."""
    gaps = Talk(src_port=50_001)
    gaps.open()
    for k, after_ms in enumerate((0, 999, 2000, 3001, 3001, 8001, 13_002)):
        gaps.say(100 + after_ms, k % 2, "PA", payload(10 + k))
    gaps.close(14_000)
    return gaps


def _bulks() -> Talk:
    """Too few, interrupted by an ACK, by payload, and by a gap."""
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
    return bulks


def _periods() -> Talk:
    """A first window of 0, gaps of 5 s and more, a reset."""
    periods = Talk(src_port=50_003)
    periods.say(40, 0, "S", window=0)  # the first window is 0, and the next is not
    periods.say(45, 1, "SA", window=0)
    periods.say(50, 0, "A")
    for at_ms in (500, 5500, 10_501, 10_600, 20_000):
        periods.say(at_ms, 0, "PA", payload(7))
    periods.say(20_500, 1, "RA")
    return periods


def _cut() -> Talk:
    """Longer than two active timeouts; sends again what a piece before has sent."""
    cut = Talk(src_port=50_004)
    cut.open(60)
    for k in range(27):
        cut.say(1000 + 10_000 * k, k % 2, "PA", payload(k))
    cut.say(262_000, 0, "PA", payload(30), back=26)  # sends again what a piece before has sent
    cut.close(263_000)
    return cut


def _urgent() -> Talk:
    """URG both ways, each flag and each option alone."""
    urgent = Talk(src_port=50_006)
    urgent.open(30)
    for k in range(5):
        urgent.say(200 + 40 * k, k % 2, "PAU" if k < 4 else "PA", payload(3 + k))
    for k, letter in enumerate("EECNPU"):  # each bit alone
        urgent.say(400 + 10 * k, k % 2, letter + "A")
    said = (b"\x04\x02\1\1", b"\x05\x0a" + bytes(8) + b"\1\1", b"\x08\x0a" + bytes(8) + b"\1\1")
    for k, options in enumerate(said):  # SACK permitted, SACK, timestamps
        for again in range(k + 1):
            urgent.say(470 + 5 * k + again, 1, "A", options=options)
    urgent.close(500)
    return urgent


def _late() -> Talk:
    """Segments from the past."""
    late = Talk(src_port=50_005)
    late.open(80)
    for at_ms in (1000, 1500, 1200, 1200, 3000, 2100):
        late.say(at_ms, 0, "PA", payload(40))
    late.say(4000, 1, "A")
    return late


def flow_statistics() -> list[Record]:
    """Gaps, bulks, periods, cuts, flags, late packets: a conversation each."""
    answered = [
        at(600, in_frame(udp(A, B, (9000, 9001), payload(100)))),
        at(650, in_frame(udp(B, A, (9001, 9000), payload(20)))),
    ]
    talks = (_gaps(), _bulks(), _periods(), _cut(), _urgent())
    # Last, because the clock goes back to it.
    return by_time(answered, *(talk.records for talk in talks)) + _late().records


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
        at(12_000, traffic.arp_frame(1, A, B)),
        at(12_001, traffic.arp_frame(2, B, A)),
        at(12_002, traffic.arp_frame(1, A, A)),  # an announcement
        at(12_003, traffic.arp_frame(2, C, A, claims=B)),  # another station has B's address
        at(12_003.2, in_frame(udp(A, "255.255.255.255", (68, 67), payload(30)))),
        at(12_003.5, traffic.arp_frame(8, A, B)),  # InARP request, RFC 2390
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
        traffic.kdd_windows,
    ),
    "kdd_content": Golden("sessions in clear text, by protocol", ("kdd",), traffic.kdd_content),
    "damped": Golden(
        "steady traffic, bursts and silences of four hosts", ("afterimage_115",), traffic.damped
    ),
    "hosts": Golden(
        "a port scan, a sweep, a beacon, an upload, odd names",
        ("host", "flow", "kdd"),
        traffic.hosts,
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

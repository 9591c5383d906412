"""Frames and conversations by hand for the golden captures: Ethernet, IP, right checksums."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise

S = 10**9
MS = 10**6
T0_NS = 1_700_000_000 * S
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK, "U": URG}
_LETTERS |= {"E": 64, "C": 128, "N": 256}  # ECE, CWR, AE
Record = tuple[int, bytes, int]  # time in ns, captured bytes, bytes on the wire


def capture(records: Iterable[Record], link_type: int = 1) -> bytes:
    """A little-endian nanosecond pcap."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link_type)]
    for ts_ns, data, wire_bytes in records:
        out.append(struct.pack("<IIII", ts_ns // S, ts_ns % S, len(data), wire_bytes) + data)
    return b"".join(out)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_of(address: str) -> bytes:
    """The station of an address; that of a group as RFC 1112 and RFC 2464 have it."""
    ip = ip_address(address)
    if str(ip) == "255.255.255.255":
        return b"\xff" * 6
    if ip.is_multicast:
        head = b"\x01\x00\x5e" + bytes([ip.packed[1] & 0x7F]) if ip.version == 4 else b"\x33\x33"
        return head + ip.packed[-(6 - len(head)) :]
    return b"\x02\x00" + ip.packed[-4:]


def ethernet(src: str, dst: str, ether_type: int, body: bytes, tags: Iterable[int] = ()) -> bytes:
    """A frame, VLAN tags from the outside in; padded to 60 bytes as a network card does."""
    head = mac_of(dst) + mac_of(src)
    vlans = list(tags)
    for place, vlan in enumerate(vlans):
        tag_type = 0x88A8 if place == 0 and len(vlans) > 1 else 0x8100
        head += struct.pack(">HH", tag_type, vlan)
    frame = head + struct.pack(">H", ether_type) + body
    return frame + bytes(max(0, 60 - len(frame)))


def ip_packet(
    src: str,
    dst: str,
    proto: int,
    body: bytes,
    *,
    ttl: int = 64,
    ident: int = 1,
    fragment: int = 0x4000,
    tos: int = 0,
) -> bytes:
    """An IP packet of the addresses' version; `fragment` is the field of IPv4."""
    here, there = ip_address(src), ip_address(dst)
    if here.version == 6:
        return struct.pack(">IHBB", 6 << 28 | tos << 20, len(body), proto, ttl) + (
            here.packed + there.packed + body
        )
    head = struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(body), ident, fragment, ttl, proto, 0)
    head += here.packed + there.packed
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def transport_sum(src: str, dst: str, proto: int, segment: bytes, at: int) -> bytes:
    """The segment with its checksum, over the pseudo header, at an offset."""
    pseudo = ip_address(src).packed + ip_address(dst).packed
    pseudo += struct.pack(">II", len(segment), proto)
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack(">H", value) + segment[at + 2 :]


def udp(src: str, dst: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """An IP packet with a datagram."""
    segment = struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
    return ip_packet(src, dst, 17, transport_sum(src, dst, 17, segment, 6))


def icmp(src: str, dst: str, kind: int, code: int, body: bytes = bytes(4)) -> bytes:
    """An IP packet with a message of ICMP, or of ICMPv6 between IPv6 addresses."""
    message = bytes([kind, code, 0, 0]) + body
    if ip_address(src).version == 6:
        return ip_packet(src, dst, 58, transport_sum(src, dst, 58, message, 2), ttl=255)
    message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
    return ip_packet(src, dst, 1, message)


def in_frame(packet: bytes, tags: Iterable[int] = ()) -> bytes:
    """An IP packet on Ethernet."""
    version = packet[0] >> 4
    places = (12, 16, 20) if version == 4 else (8, 24, 40)
    src, dst = (str(ip_address(packet[a:b])) for a, b in pairwise(places))
    return ethernet(src, dst, 0x0800 if version == 4 else 0x86DD, packet, tags)


@dataclass
class Talk:
    """A conversation of TCP that keeps the numbers of both sides; times in ms since T0."""

    src: str = "192.168.7.10"
    dst: str = "203.0.113.5"
    src_port: int = 50_000
    dst_port: int = 443
    tags: tuple[int, ...] = ()
    window: int = 512
    seq: list[int] = field(default_factory=lambda: [1000, 5000])
    records: list[Record] = field(default_factory=list)

    def say(
        self,
        at_ms: float,
        side: int,
        flags: str,
        payload: bytes = b"",
        *,
        options: bytes = b"",
        back: int = 0,
        window: int | None = None,
    ) -> None:
        """One segment; `back` says how many bytes before the next one it begins."""
        bits = sum(_LETTERS[letter] for letter in flags)
        seq = (self.seq[side] - back) % 2**32
        ack = self.seq[1 - side] if bits & ACK else 0
        ports = (self.src_port, self.dst_port)[:: 1 - 2 * side]
        ends = (self.src, self.dst)[:: 1 - 2 * side]
        words = (20 + len(options)) // 4
        window = self.window if window is None else window
        segment = struct.pack(">HHIIHHHH", *ports, seq, ack, words << 12 | bits, window, 0, 0)
        segment = transport_sum(*ends, 6, segment + options + payload, 16)
        frame = in_frame(ip_packet(*ends, 6, segment), self.tags)
        self.records.append((T0_NS + round(at_ms * MS), frame, len(frame)))
        if not back:
            length = len(payload) + bool(bits & SYN) + bool(bits & FIN)
            self.seq[side] = (self.seq[side] + length) % 2**32

    def open(self, at_ms: float = 0.0) -> None:
        """Three segments within 10 ms; the maximum segment size is 1460."""
        self.say(at_ms, 0, "S", options=b"\x02\x04\x05\xb4")
        self.say(at_ms + 5, 1, "SA", options=b"\x02\x04\x05\xb4")
        self.say(at_ms + 10, 0, "A")

    def close(self, at_ms: float) -> None:
        """FIN both ways and the last ACK."""
        self.say(at_ms, 0, "FA")
        self.say(at_ms + 5, 1, "FA")
        self.say(at_ms + 10, 0, "A")


def at(at_ms: float, frame: bytes, kept: int | None = None) -> Record:
    """A frame at a time in ms since T0, of which the capture holds the first `kept` bytes."""
    return T0_NS + round(at_ms * MS), frame[:kept], len(frame)


def by_time(*groups: Iterable[Record]) -> list[Record]:
    """Records of several conversations in the order of time."""
    return sorted((one for group in groups for one in group), key=lambda one: one[0])


def numbers(n: int, seed: int = 1) -> list[int]:
    """Numbers of 31 bits that look drawn and are the same everywhere (Park and Miller 1988)."""
    out = []
    for _ in range(n):
        seed = seed * 48_271 % 0x7FFF_FFFF
        out.append(seed)
    return out


def payload(n: int) -> bytes:
    """Bytes that are no protocol's."""
    return bytes((37 * k + 11) % 251 | 0x80 for k in range(n))

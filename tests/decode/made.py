"""Frames made by hand for the tests, and the way in and out of the decoder.

No two bytes of a frame's addresses, ports and payload are alike, so that a wrong offset shows.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import Decoder, DecodeStatus
from tapwatch.tables import FRAME, FrameBatch
from tests.decode import naive

MACS = bytes.fromhex("02 a1 a2 a3 a4 a5  02 b1 b2 b3 b4 b5")
PAYLOAD = bytes(range(0xC0, 0xCD))
PORTS = bytes.fromhex("d1 d2  d3 d4")
SRC6 = bytes.fromhex("20 01 0d b8") + bytes(range(0x11, 0x1D))
DST6 = bytes.fromhex("fe 80 31 32") + bytes(range(0x21, 0x2D))


@dataclass(frozen=True)
class Frame:
    """One frame to decode; `wire_bytes` None means that all of it was captured."""

    data: bytes
    wire_bytes: int | None = None
    link_type: int = 1
    vlan_tci: int = -1

    @property
    def on_wire(self) -> int:
        return len(self.data) if self.wire_bytes is None else self.wire_bytes

    def snapped(self, captured_bytes: int) -> "Frame":
        """The same frame on the wire, less of it in the capture."""
        return replace(self, data=self.data[:captured_bytes], wire_bytes=self.on_wire)

    def cut(self, n_bytes: int) -> "Frame":
        """A shorter frame on the wire."""
        return replace(self, data=self.data[:n_bytes], wire_bytes=None)


def ethernet(ether_type: int, payload: bytes, tags: bytes = b"") -> bytes:
    return MACS + tags + struct.pack("!H", ether_type) + payload


def ipv4(
    proto: int,
    payload: bytes,
    *,
    src: int = 33,
    options: bytes = b"",
    fragment: int = 0x4000,
    total: int | None = None,
    first: int | None = None,
) -> bytes:
    n_header = 20 + len(options)
    fixed = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | n_header // 4 if first is None else first,
        0xB8,
        n_header + len(payload) if total is None else total,
        0x7172,
        fragment,
        0x3F,
        proto,
        0x7374,
        bytes([192, 0, 2, src]),
        bytes([198, 51, 100, 44]),
    )
    return fixed + options + payload


def ipv6(proto: int, payload: bytes, *, n_payload: int | None = None, first: int = 0x6) -> bytes:
    length = len(payload) if n_payload is None else n_payload
    return (
        struct.pack("!IHBB", first << 28 | 0xAB12345, length, proto, 0x3E) + SRC6 + DST6 + payload
    )


def tcp(options: bytes = b"", payload: bytes = PAYLOAD, *, words: int | None = None) -> bytes:
    n_words = 5 + len(options) // 4 if words is None else words
    fixed = PORTS + struct.pack(
        "!IIHHHH", 0x81828384, 0x91929394, n_words << 12 | 0x1D8, 0xE1E2, 0xE3E4, 0xE5E6
    )
    return fixed + options + payload


def udp(payload: bytes = PAYLOAD, *, length: int | None = None) -> bytes:
    n_bytes = 8 + len(payload) if length is None else length
    return PORTS + struct.pack("!HH", n_bytes, 0xF1F2) + payload


def icmp(type_: int = 8, code: int = 3) -> bytes:
    return bytes([type_, code, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56]) + PAYLOAD


def sctp() -> bytes:
    return PORTS + bytes.fromhex("a6 a7 a8 a9 aa ab ac ad") + PAYLOAD


def udp_lite(coverage: int = 8) -> bytes:
    return PORTS + struct.pack("!HH", coverage, 0xF1F2) + PAYLOAD


def dccp(words: int = 6, type_x: int = 0x05, rest: bytes = bytes(range(0x60, 0x6C))) -> bytes:
    """Generic header, `rest` of which may belong to it, and payload."""
    return PORTS + bytes([words, 0x5A, 0xE5, 0xE6, type_x, 0xE7, 0xE8, 0xE9]) + rest + PAYLOAD


def gre(flags: int, carried: int, payload: bytes = PAYLOAD, fields: bytes = b"") -> bytes:
    return struct.pack("!HH", flags, carried) + fields + payload


def arp(
    hardware: int = 1, protocol: int = 0x0800, n_hardware: int = 6, n_protocol: int = 4
) -> bytes:
    fixed = struct.pack("!HHBBH", hardware, protocol, n_hardware, n_protocol, 2)
    return fixed + bytes((0x61 + i) % 256 for i in range(2 * (n_hardware + n_protocol)))


def extension(next_header: int, length: int = 0) -> bytes:
    """Hop-by-hop, routing, destination or authentication header; `length` as its field."""
    return bytes([next_header, length]) + bytes(range(2, 8)) + bytes(8 * length)


def fragment6(next_header: int, field: int) -> bytes:
    return struct.pack("!BBHI", next_header, 0, field, 0x41424344)


#: Every option that is read, and one that is not.
OPTIONS = bytes.fromhex(
    "02 04 05 b4  04 02  08 0a 3a 3b 3c 3d 4a 4b 4c 4d  01  03 03 07"
    "05 0a 5a 5b 5c 5d 6a 6b 6c 6d  fd 04 77 78 00 00"
)

TAG = bytes.fromhex("81 00 e0 64")
SERVICE_TAG = bytes.fromhex("88 a8 20 c8")
COOKED = bytes.fromhex("00 04 00 01 00 06 02 a1 a2 a3 a4 a5 09 09")

#: One of each kind that decodes, by name.
GOOD = {
    "tcp": Frame(ethernet(0x0800, ipv4(6, tcp()))),
    "tcp_options": Frame(ethernet(0x0800, ipv4(6, tcp(OPTIONS)))),
    "udp": Frame(ethernet(0x0800, ipv4(17, udp()))),
    "icmp": Frame(ethernet(0x0800, ipv4(1, icmp()))),
    "other_ip": Frame(ethernet(0x0800, ipv4(89, PAYLOAD))),
    "sctp": Frame(ethernet(0x0800, ipv4(132, sctp()))),
    "udp_lite": Frame(ethernet(0x0800, ipv4(136, udp_lite()))),
    "udp_lite_all": Frame(ethernet(0x86DD, ipv6(136, udp_lite(0)))),
    "dccp": Frame(ethernet(0x0800, ipv4(33, dccp()))),
    "dccp_long": Frame(ethernet(0x86DD, ipv6(33, dccp(100, rest=bytes(388))))),
    "igmp": Frame(ethernet(0x0800, ipv4(2, icmp(0x16, 0)[:8], options=bytes.fromhex("94040000")))),
    "esp": Frame(ethernet(0x0800, ipv4(50, icmp()))),
    "gre": Frame(ethernet(0x0800, ipv4(47, gre(0xB000, 0x88CC, fields=bytes(range(12)))))),
    "gre_version_1": Frame(ethernet(0x86DD, ipv6(47, gre(0x3081, 0x880B, fields=bytes(12))))),
    "authentication": Frame(
        ethernet(0x0800, ipv4(51, extension(51, 3)[:20] + extension(17, 1)[:12] + udp()))
    ),
    "authentication_fragment": Frame(
        ethernet(0x0800, ipv4(51, extension(17, 1)[:12] + udp(), fragment=0x2000))
    ),
    "mobility": Frame(ethernet(0x86DD, ipv6(135, extension(59, 1)))),
    "hip_shim6": Frame(ethernet(0x86DD, ipv6(139, extension(140) + extension(6) + tcp()))),
    "ip_options": Frame(ethernet(0x0800, ipv4(17, udp(), options=bytes(range(0x94, 0xA0))))),
    "padded": Frame(ethernet(0x0800, ipv4(6, tcp(payload=b""))) + bytes(6)),
    "first_fragment": Frame(ethernet(0x0800, ipv4(17, udp(length=3000), fragment=0x2000))),
    "later_fragment": Frame(ethernet(0x0800, ipv4(17, udp(), fragment=0x20B9))),
    "offloaded": Frame(ethernet(0x0800, ipv4(6, tcp(), total=0))),
    "arp": Frame(ethernet(0x0806, arp()) + bytes(18)),
    "arp_other": Frame(ethernet(0x0806, arp(6, 0x8888, 3, 5))),
    "vlan": Frame(ethernet(0x0800, ipv4(6, tcp()), TAG)),
    "qinq": Frame(ethernet(0x86DD, ipv6(17, udp()), SERVICE_TAG + TAG)),
    "tag_taken_out": Frame(ethernet(0x0800, ipv4(6, tcp()), TAG), vlan_tci=0x0FFF),
    "tcp6": Frame(ethernet(0x86DD, ipv6(6, tcp(OPTIONS)))),
    "icmpv6": Frame(ethernet(0x86DD, ipv6(58, icmp(135, 1)))),
    "no_next_header": Frame(ethernet(0x86DD, ipv6(59, b"")) + bytes(6)),
    "jumbogram": Frame(ethernet(0x86DD, ipv6(17, udp(length=0), n_payload=0))),
    "chain": Frame(
        ethernet(
            0x86DD,
            ipv6(
                0,
                extension(43)
                + extension(60, 1)
                + extension(51)
                + extension(44, 1)[:12]
                + fragment6(17, 0x0001)
                + udp(),
            ),
        )
    ),
    "later_fragment6": Frame(ethernet(0x86DD, ipv6(44, fragment6(60, 0x05A9) + PAYLOAD))),
    "cooked": Frame(COOKED + b"\x08\x00" + ipv4(17, udp()), link_type=113),
    "cooked_vlan": Frame(COOKED + TAG + b"\x86\xdd" + ipv6(58, icmp(128, 0)), link_type=113),
    "raw4": Frame(ipv4(6, tcp()), link_type=101),
    "raw6": Frame(ipv6(17, udp()), link_type=12),
    "raw4_openbsd": Frame(ipv4(1, icmp()), link_type=14),
    "ipv4_only": Frame(ipv4(17, udp()), link_type=228),
    "ipv6_only": Frame(ipv6(6, tcp()), link_type=229),
}

LONG_CHAIN = b"".join(extension(60) for _ in range(17)) + udp()

#: A frame for every status but OK and those of the link layer, which `made_link` has.
BAD = {
    "ARP_TRUNCATED": GOOD["arp"].cut(41),
    "ARP_BAD_LENGTH": Frame(ethernet(0x0806, arp(n_hardware=7))),
    "IPV4_TRUNCATED": GOOD["tcp"].cut(33),
    "IPV4_BAD_VERSION": Frame(ethernet(0x0800, ipv6(6, tcp()))),
    "IPV4_BAD_HEADER_LENGTH": Frame(ethernet(0x0800, ipv4(6, tcp(), first=0x44))),
    "IPV4_BAD_TOTAL_LENGTH": Frame(ethernet(0x0800, ipv4(6, tcp(), total=19))),
    "IPV4_BEYOND_FRAME": Frame(ethernet(0x0800, ipv4(6, tcp(), total=54))),
    "IPV4_AUTHENTICATION_TRUNCATED": GOOD["authentication"].snapped(53),
    "IPV4_AUTHENTICATION_BEYOND_IP": Frame(ethernet(0x0800, ipv4(51, extension(17, 2)[:15]))),
    "IPV4_AUTHENTICATION_BAD_LENGTH": Frame(ethernet(0x0800, ipv4(51, extension(17) + udp()))),
    "IPV4_CHAIN_TOO_LONG": Frame(ethernet(0x0800, ipv4(51, 17 * extension(51, 1)[:12] + udp()))),
    "IPV6_TRUNCATED": GOOD["tcp6"].cut(53),
    "IPV6_BAD_VERSION": Frame(ethernet(0x86DD, ipv6(6, tcp(), first=5))),
    "IPV6_BEYOND_FRAME": GOOD["tcp6"].cut(80),
    "IPV6_EXTENSION_TRUNCATED": GOOD["chain"].snapped(61),
    "IPV6_EXTENSION_BEYOND_IP": Frame(ethernet(0x86DD, ipv6(60, extension(17, 9), n_payload=79))),
    "IPV6_EXTENSION_BAD_LENGTH": Frame(ethernet(0x86DD, ipv6(51, extension(17) + udp()))),
    "IPV6_CHAIN_TOO_LONG": Frame(ethernet(0x86DD, ipv6(60, LONG_CHAIN))),
    "TCP_TRUNCATED": GOOD["tcp"].snapped(53),
    "TCP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(6, tcp(), total=39))),
    "TCP_BAD_HEADER_LENGTH": Frame(ethernet(0x0800, ipv4(6, tcp(words=4)))),
    "TCP_HEADER_BEYOND_IP": Frame(ethernet(0x0800, ipv4(6, tcp(words=9)))),
    "UDP_TRUNCATED": GOOD["udp"].snapped(41),
    "UDP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(17, udp(), total=27))),
    "UDP_BAD_LENGTH": Frame(ethernet(0x0800, ipv4(17, udp(length=7)))),
    "UDP_BEYOND_IP": Frame(ethernet(0x0800, ipv4(17, udp(length=22)))),
    "UDP_LITE_TRUNCATED": GOOD["udp_lite"].snapped(41),
    "UDP_LITE_TOO_SHORT": Frame(ethernet(0x0800, ipv4(136, udp_lite(), total=27))),
    "UDP_LITE_BAD_COVERAGE": Frame(ethernet(0x0800, ipv4(136, udp_lite(7)))),
    "UDP_LITE_BEYOND_IP": Frame(ethernet(0x0800, ipv4(136, udp_lite(22)))),
    "SCTP_TRUNCATED": GOOD["sctp"].snapped(45),
    "SCTP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(132, sctp(), total=31))),
    "DCCP_TRUNCATED": GOOD["dccp"].snapped(45),
    "DCCP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(33, dccp(), total=31))),
    "DCCP_BAD_HEADER_LENGTH": Frame(ethernet(0x0800, ipv4(33, dccp(3)))),
    "DCCP_HEADER_BEYOND_IP": Frame(ethernet(0x0800, ipv4(33, dccp(10)))),
    "ICMP_TRUNCATED": GOOD["icmp"].snapped(41),
    "ICMP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(1, icmp(), total=27))),
    "ICMPV6_TRUNCATED": GOOD["icmpv6"].snapped(57),
    "ICMPV6_TOO_SHORT": Frame(ethernet(0x86DD, ipv6(58, icmp(), n_payload=3))),
    "IGMP_TRUNCATED": GOOD["igmp"].snapped(45),
    "IGMP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(2, icmp(), total=27))),
    "ESP_TRUNCATED": GOOD["esp"].snapped(41),
    "ESP_TOO_SHORT": Frame(ethernet(0x0800, ipv4(50, icmp(), total=27))),
    "GRE_TRUNCATED": GOOD["gre"].snapped(49),
    "GRE_TOO_SHORT": Frame(ethernet(0x0800, ipv4(47, gre(0xB000, 0x88CC), total=35))),
}


def batch(frames: Sequence[Frame], between: bytes = b"") -> FrameBatch:
    """Frames in one buffer, with `between` before, after and between them."""
    table = np.zeros(len(frames), FRAME)
    buffer = bytearray(between)
    for i, frame in enumerate(frames):
        table[i] = (
            1000 + i,
            len(buffer),
            i + 1,
            len(frame.data),
            frame.on_wire,
            frame.vlan_tci,
            frame.link_type,
            3,
            1,
        )
        buffer += frame.data + between
    return FrameBatch(np.frombuffer(bytes(buffer), np.uint8), table, until_ns=1000 + len(frames))


def in_words(packets: NDArray[Any], starts: NDArray[Any]) -> list[dict[str, Any]]:
    """Rows as the naive decoder writes them: status by name, payload counted from the frame."""
    rows = []
    for values, start in zip(packets.tolist(), starts.tolist(), strict=True):
        row = dict(zip(packets.dtype.names, values, strict=True))
        row["status"] = DecodeStatus(row["status"]).name
        row["payload_start"] -= start if row["payload_start"] else 0
        rows.append(row)
    return rows


def decoded(
    frames: Sequence[Frame], between: bytes = b"", decoder: Decoder | None = None
) -> list[dict[str, Any]]:
    """What the decoder says of the frames."""
    frame_batch = batch(frames, between)
    packets = (decoder or Decoder()).decode(frame_batch)
    return in_words(packets, frame_batch.frames["start"])


def expected(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """What the naive decoder says of the frames, in the batch that `batch` makes."""
    return [
        naive.decode(f.data, f.wire_bytes, f.link_type, f.vlan_tci)
        | {
            "ts_ns": 1000 + i,
            "clock_ns": 1000 + i,
            "number": i + 1,
            "interface": 3,
            "direction": 1,
        }
        for i, f in enumerate(frames)
    ]


def assert_as_naive(frames: Sequence[Frame]) -> None:
    """All rows agree; the first that does not is shown field by field."""
    fast, slow = decoded(frames), expected(frames)
    for frame, ours, theirs in zip(frames, fast, slow, strict=True):
        differing = {k: (ours[k], theirs[k]) for k in theirs if ours[k] != theirs[k]}
        assert not differing, f"{frame}: (kernel, naive) {differing}"

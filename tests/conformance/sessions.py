"""What clear-text sessions say, and first payloads of many protocols, for the golden captures."""

import struct
from typing import Final

from tests.conformance.craft import ethernet, icmp, in_frame, ip_packet, mac_of
from tests.features.test_kdd_content import PORT_OF
from tests.features.test_kdd_content import SESSIONS as CONTENT

Said = list[tuple[int, bytes]]  # (0 the client or 1 the server, bytes)

#: Name -> server port, and what is said.
SESSIONS: Final[dict[str, tuple[int, Said]]] = {
    name: (PORT_OF[protocol], sent) for name, (protocol, sent, _) in CONTENT.items()
} | {
    "su without a shell": (
        23,
        [
            *((1, b"login: "), (0, b"bob\r\n"), (1, b"Password: "), (0, b"x\r\n"), (1, b"\r\n$ ")),
            *((0, b"su root\r\n"), (1, b"Password: "), (0, b"y\r\n"), (1, b"\r\nsu: no\r\n$ ")),
        ],
    )
}


def _question(flags: int = 0x0100) -> bytes:
    return struct.pack(">HHHHHH", 7, flags, 1, 0, 0, 0) + b"\3www\7example\3org\0\0\1\0\1"


def _hello(version: int, kind: int = 1) -> bytes:
    """A TLS record with a client's or a server's hello without extensions."""
    body = struct.pack(">H", version) + bytes(range(32)) + b"\0"
    body += b"\0\x04\x13\x01\xc0\x2f\x01\0" if kind == 1 else b"\xc0\x2f\0"
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


#: Ports and payload of single datagrams.
DATAGRAMS: Final[list[tuple[tuple[int, int], bytes]]] = [
    ((5000, 53), _question()),
    ((53, 5000), _question(0x8183)),
    ((5353, 5353), _question(0)),
    ((5001, 5355), _question(0)),
    ((123, 123), b"\x23\0\6\xec" + bytes(44)),
    ((68, 67), b"\1\1\6\0" + bytes(232) + b"\x63\x82\x53\x63\x35\1\1\xff"),
    (
        (1900, 1900),
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n\r\n',
    ),
    (
        (5002, 161),
        bytes.fromhex(
            "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
        ),
    ),
    ((5003, 514), b"<34>1 2024-01-01T00:00:00Z host app - - - hello"),
    ((5004, 69), b"\0\1boot.bin\0octet\0"),
    ((5005, 5060), b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c\r\nContent-Length: 0\r\n\r\n"),
    ((40_000, 40_001), bytes(range(128, 178))),
]

#: Name -> server port, and what is said.
STREAMS: Final[dict[str, tuple[int, Said]]] = {
    "http": (80, [
        (0, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
        (1, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"),
    ]),
    "tls": (443, [(0, _hello(0x0303)), (1, _hello(0x0303, 2))]),
    "ssh": (22, [(0, b"SSH-2.0-client\r\n"), (1, b"SSH-2.0-server\r\n")]),
    "smtp": (25, [(1, b"220 mx ready\r\n"), (0, b"EHLO a.example\r\n"), (1, b"250 mx\r\n")]),
    "ftp": (21, [(1, b"220 ready\r\n"), (0, b"USER a\r\n"), (1, b"331 go on\r\n")]),
    "pop": (110, [(1, b"+OK ready\r\n"), (0, b"USER a\r\n"), (1, b"+OK\r\n")]),
    "imap": (143, [(1, b"* OK ready\r\n"), (0, b"a1 NOOP\r\n"), (1, b"a1 OK\r\n")]),
    "telnet": (23, [(1, b"\xff\xfd\x18\xff\xfb\x01"), (0, b"\xff\xfc\x18")]),
    "dns": (53, [(0, struct.pack(">H", len(_question())) + _question())]),
    "bgp": (179, [(0, b"\xff" * 16 + b"\0\x13\4")]),
    "none": (9999, [(0, bytes(range(128, 178)))]),
}  # fmt: skip


def link_frames() -> list[bytes]:
    """Frames whose label is in a header."""
    a, b, router = "192.168.7.10", "192.168.7.20", "192.168.7.1"
    a6, b6 = "fe80::a", "fe80::b"
    ospf = b"\2\1\0\x18" + bytes(20)
    bridge = bytes.fromhex("0180c2000000 020000000001 0026 424203") + bytes(35)
    lldp = bytes.fromhex("0207 04 020000000001 0407 03 020000000001 0602 0078 0000")
    return [
        in_frame(icmp(a, b, 8, 0)),
        in_frame(icmp(b, a, 0, 0)),
        in_frame(icmp(a6, b6, 128, 0)),
        in_frame(ip_packet(a, "224.0.0.5", 89, ospf, ttl=1)),
        in_frame(
            ip_packet(a, "224.0.0.22", 2, bytes.fromhex("2200f9fd00000001 04000000 e0000116"))
        ),
        in_frame(
            ip_packet(router, "224.0.0.18", 112, b"\x21\1\x64\1\0\1\0\0\xc0\xa8\7\1" + bytes(8))
        ),
        in_frame(
            ip_packet(a, b, 132, struct.pack(">HHII", 9, 9, 1, 0) + b"\1\0\0\x14" + bytes(16))
        ),
        in_frame(ip_packet(a, b, 50, bytes(range(40)))),
        bridge,
        ethernet("0.0.0.0", "0.0.0.0", 0x88CC, lldp)[:0]
        + bytes.fromhex("0180c200000e")
        + mac_of(a)
        + b"\x88\xcc"
        + lldp
        + bytes(20),
        ethernet(a, b, 0x9999, bytes(50)),
    ]

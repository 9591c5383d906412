"""A tiny office in a capture: ordinary web traffic, and on demand a port scan."""

import random
import struct

from tests.conftest import pcap_bytes

START_NS = 1_700_000_000 * 10**9
CLIENTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
SERVER, SCANNER = "10.0.0.100", "10.0.0.66"
SYN, ACK, PSH, FIN, RST = 2, 16, 8, 1, 4


def tcp(src, dst, src_port, dst_port, flags, payload_bytes=0) -> bytes:
    """An Ethernet frame with a TCP segment, checksums not filled."""
    ends = b"".join(bytes(map(int, end.split("."))) for end in (src, dst))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + payload_bytes, 1, 0, 64, 6, 0) + ends
    segment = struct.pack(">HHIIBBHHH", src_port, dst_port, 1, 1, 0x50, flags, 64_240, 0, 0)
    return bytes.fromhex("020000000001 020000000002 0800") + head + segment + bytes(payload_bytes)


def page(rng, at_ns, client, port):
    """One page: handshake, request, a few segments of answer, end."""
    there, back = (client, SERVER, port, 80), (SERVER, client, 80, port)
    steps = [(there, SYN, 0), (back, SYN | ACK, 0), (there, ACK, 0)]
    steps += [(there, PSH | ACK, rng.randrange(100, 400))]
    steps += [(back, PSH | ACK, rng.randrange(500, 1400)) for _ in range(rng.randrange(3, 9))]
    steps += [(there, ACK, 0), (there, FIN | ACK, 0), (back, FIN | ACK, 0), (there, ACK, 0)]
    for ends, flags, payload_bytes in steps:
        yield at_ns, tcp(*ends, flags, payload_bytes)
        at_ns += rng.randrange(200_000, 9_000_000)


def office(seed: int, seconds: int = 300, scan_at_s: int | None = None) -> bytes:
    """A pcap of `seconds`; a scan of 100 ports of a client is refused port by port."""
    rng = random.Random(seed)
    frames = []
    for number in range(4 * seconds):
        at_ns = START_NS + rng.randrange(seconds * 10**9)
        frames += page(rng, at_ns, rng.choice(CLIENTS), 20_000 + number)
    for port in range(1, 101) if scan_at_s is not None else ():
        at_ns = START_NS + scan_at_s * 10**9 + port * 20_000_000
        frames.append((at_ns, tcp(SCANNER, CLIENTS[0], 40_000, port, SYN)))
        frames.append((at_ns + 50_000, tcp(CLIENTS[0], SCANNER, port, 40_000, RST | ACK)))
    return pcap_bytes(sorted(frames, key=lambda frame: frame[0]))

"""Images of TPACKET_V3 rings, as the kernel writes them and as it never would, and a slow reader.

Struct layouts by hand from linux/if_packet.h; nothing is taken from the code under test.
"""

import struct
from dataclasses import dataclass, field

ALIGN = 8
#: version, offset_to_priv, block_status, num_pkts, offset_to_first_pkt, blk_len, seq_num, two times
BLOCK = struct.Struct("<IIIIIIQIIII")
#: next_offset, sec, nsec, snaplen, len, status, mac, net, rxhash, vlan_tci, vlan_tpid, padding
FRAME = struct.Struct("<IIIIIIHHIIHH8x")
#: family, protocol, ifindex, hatype, pkttype, halen, addr
ADDRESS = struct.Struct("<HHiHBB8x")
HEADERS_BYTES = FRAME.size + ADDRESS.size
TAGGED, TPID_GIVEN = 16, 64
IN, OUTGOING = 0, 4


@dataclass
class Frame:
    """One frame of an image; lies can be told in every length."""

    data: bytes
    ts_ns: int = 1_700_000_000_000_000_001
    wire: int | None = None
    captured: int | None = None
    tci: int = 0
    tpid: int = 0
    status: int = 0
    packet_type: int = IN
    room: int = 4  # before the frame: PACKET_RESERVE
    mac: int | None = None
    step: int | None = None

    def image(self, is_last: bool) -> bytes:
        """Headers, room and bytes, padded so that the next header is aligned."""
        mac = HEADERS_BYTES + self.room if self.mac is None else self.mac
        size = HEADERS_BYTES + self.room + len(self.data)
        padded = -(-size // ALIGN) * ALIGN
        step = (0 if is_last else padded) if self.step is None else self.step
        captured = len(self.data) if self.captured is None else self.captured
        wire = len(self.data) if self.wire is None else self.wire
        head = FRAME.pack(
            step & 0xFFFFFFFF,
            self.ts_ns // 10**9,
            self.ts_ns % 10**9,
            captured,
            wire,
            self.status,
            mac,
            (mac + 14) & 0xFFFF,
            0x55AA55AA,
            self.tci,
            self.tpid,
            0,
        )
        address = ADDRESS.pack(17, 0x0300, 7, 1, self.packet_type, 6)
        return (head + address + b"\xee" * self.room + self.data).ljust(padded, b"\xdd")


@dataclass
class Block:
    """One block of an image."""

    frames: list[Frame] = field(default_factory=list)
    status: int = 1
    n_packets: int | None = None
    first: int | None = None

    def image(self, block_bytes: int) -> bytes:
        """The whole block; what is not written is 0xcc."""
        last = len(self.frames) - 1
        body = b"".join(frame.image(i == last) for i, frame in enumerate(self.frames))
        n_packets = len(self.frames) if self.n_packets is None else self.n_packets
        first = BLOCK.size if self.first is None else self.first
        head = BLOCK.pack(1, 0, self.status, n_packets, first, 0, 1, 0, 0, 0, 0)
        assert len(head + body) <= block_bytes
        return (head + body).ljust(block_bytes, b"\xcc")


def ring(blocks: list[Block], block_bytes: int) -> bytearray:
    """All blocks."""
    return bytearray(b"".join(block.image(block_bytes) for block in blocks))


@dataclass
class Walked:
    """What a slow reader finds in one block."""

    rows: list[tuple] = field(default_factory=list)  # see `row`
    copies: int = 0
    unreadable: int = 0


def walk(image: bytes, *, skips_outgoing: bool = False, link_type: int = 1) -> Walked:
    """(ts_ns, bytes, wire, tag beside the frame, direction) of each frame of a block.

    Tags are put back in place, and bytes are read at the end: headers that lie may lay frames over
    each other.
    """
    found, block, places = Walked(), bytearray(image), []
    left, offset = struct.unpack_from("<II", block, 12)
    while left:
        if not 48 <= offset <= len(block) - HEADERS_BYTES or offset % ALIGN:
            found.unreadable = left
            break
        step, sec, nsec, captured, wire, status, mac, _, _, tci, tpid, _ = FRAME.unpack_from(
            block, offset
        )
        packet_type = ADDRESS.unpack_from(block, offset + FRAME.size)[4]
        start = offset + mac
        lies = mac < HEADERS_BYTES or start + captured > len(block)
        if lies or (left > 1 and step < HEADERS_BYTES):
            found.unreadable = left
            break
        if skips_outgoing and packet_type == OUTGOING:
            found.copies += 1
        else:
            tag = (tci & 0xFFFF) if tci & 0xFFFF or status & TAGGED else -1
            room = mac >= HEADERS_BYTES + 4 and captured >= 12
            if tag >= 0 and room and link_type == 1:
                ether = tpid if tpid or status & TPID_GIVEN else 0x8100
                addresses = bytes(block[start : start + 12])
                block[start - 4 : start + 12] = addresses + struct.pack(">HH", ether, tag)
                start, captured, wire, tag = start - 4, captured + 4, wire + 4, -1
            direction = 2 if packet_type == OUTGOING else 1 if packet_type < 4 else 0
            wire = min(max(wire, captured), 2**31 - 1)
            places.append((sec * 10**9 + nsec, start, captured, wire, tag, direction))
        offset, left = offset + step, left - 1
    found.rows = [(ts, bytes(block[at : at + n]), *others) for ts, at, n, *others in places]
    return found

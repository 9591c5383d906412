"""Slow, obvious readers of capture files. Correct by reading; the kernels must agree with them."""

import struct
from typing import NamedTuple

TIME_MAX_NS = 2**62 - 1
LONG = {186, 189, 220, 231, 249, 266, 279, 288}


DROPS_MAX = 2**52


class Packet(NamedTuple):
    ts_ns: int
    wire_bytes: int
    captured: bytes
    link_type: int
    interface: str = ""
    direction: int = 0


class NotACapture(Exception):
    pass


class CutShort(Exception):
    pass


class Corrupt(Exception):
    pass


class Said:
    """What a file says besides its packets."""

    def __init__(self) -> None:
        self.skipped_blocks = 0
        self.recorder_dropped = 0


def read(raw: bytes, said: Said | None = None) -> tuple[list[Packet], str]:
    """All packets before the end or the damage, and how it ended: "", "cut_short" or "corrupt"."""
    packets: list[Packet] = []
    said = said or Said()
    if raw[:4] == b"\n\r\r\n":
        reader = _pcapng(raw, said)
    elif raw[:8] == b"snoop\0\0\0":
        reader = _snoop(raw, said)
    else:
        reader = _pcap(raw)
    try:
        for packet in reader:
            packets.append(packet)
    except CutShort:
        return packets, "cut_short"
    except Corrupt:
        return packets, "corrupt"
    return packets, ""


def _wire(wire, captured):
    return min(max(wire, captured), 2**31 - 1)


def _captured_max(link_type):
    return 32 * 2**20 if link_type in LONG else 262144


def _pcap(raw):
    variants = {
        0xA1B2C3D4: (1000, 16, 24),
        0xA1B23C4D: (1, 16, 24),
        0xA1B2CD34: (1000, 24, 24),
        0x1C0001AC: (1000, 16, 28),
        0x1C0001AB: (1000, 16, 28),
    }
    for order in "<>":
        if len(raw) >= 24 and struct.unpack(order + "I", raw[:4])[0] in variants:
            break
    else:
        raise NotACapture
    magic, major, minor, _, _, _, network = struct.unpack(order + "IHHIIII", raw[:24])
    if major != 2 and (major, minor) != (543, 0):
        raise NotACapture
    link_type = network % 65536
    unit, record_header, file_header = variants[magic]
    if len(raw) < file_header:
        raise NotACapture
    raw = raw[file_header:]
    while raw:
        if len(raw) < record_header:
            raise CutShort
        seconds, fraction, captured, wire = struct.unpack(order + "IIII", raw[:16])
        is_swapped = major == 543 or minor < 3 or (minor == 3 and captured > wire)
        if is_swapped:
            captured, wire = wire, captured
        if captured > _captured_max(link_type):
            raise Corrupt
        raw = raw[record_header:]
        frame, raw = raw[:captured], raw[captured:]
        if len(frame) < captured:
            raise CutShort
        yield Packet(seconds * 10**9 + fraction * unit, _wire(wire, captured), frame, link_type)


def _snoop(raw, said):
    link_types = {0: 1, 2: 6, 4: 1, 8: 10, 9: 0, 14: 0, 16: 122, 18: 123}
    if len(raw) < 16:
        raise NotACapture
    version, datalink = struct.unpack(">II", raw[8:16])
    if version != 2 or datalink not in link_types:
        raise NotACapture
    raw = raw[16:]
    while raw:
        if len(raw) < 24:
            raise CutShort
        wire, captured, total, drops, seconds, micros = struct.unpack(">IIIIII", raw[:24])
        if captured > 262144 or 24 + captured > total or total > 64 * 2**20:
            raise Corrupt
        if len(raw) < total:
            raise CutShort
        said.recorder_dropped = max(said.recorder_dropped, drops)
        ts_ns = seconds * 10**9 + micros * 1000
        yield Packet(ts_ns, _wire(wire, captured), raw[24 : 24 + captured], link_types[datalink])
        raw = raw[total:]


def _options(raw, order):
    found = []
    while len(raw) >= 4:
        code, size = struct.unpack(order + "HH", raw[:4])
        value = raw[4 : 4 + size]
        if code == 0 or len(value) < size:
            break
        found.append((code, value))
        raw = raw[4 + (size + 3) // 4 * 4 :]
    return found


class _Interface:
    def __init__(self, block, order):
        self.link_type, _, self.snap = struct.unpack(order + "HHI", block[8:16])
        self.name, resolution, offset = "", 6, 0
        self.packet_drops = self.stated_drops = 0
        for code, value in _options(block[16:-4], order):
            if code == 2:
                self.name = value[:256].rstrip(b"\0").decode("utf-8", "replace")
            elif code == 9 and len(value) == 1:
                resolution = value[0]
            elif code == 14 and len(value) == 8:
                (offset,) = struct.unpack(order + "q", value)
        power = resolution % 128
        self.ticks_per_s = 2**power if resolution > 127 else 10**power
        self.offset_ns = max(-TIME_MAX_NS, min(TIME_MAX_NS, offset * 10**9))

    def time(self, high, low):
        ns = (high * 2**32 + low) * 10**9 // self.ticks_per_s
        ns = min(ns, TIME_MAX_NS) + self.offset_ns
        return max(-TIME_MAX_NS, min(TIME_MAX_NS, ns))


def _padded(size):
    return -(-size // 4) * 4


def _section(raw):
    """Byte order and length of the section header block that raw begins with."""
    if len(raw) < 28:
        raise CutShort
    order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(raw[8:12])
    if order is None:
        raise Corrupt
    total, _, major = struct.unpack(order + "IIH", raw[4:14])
    if major != 1 or total < 28 or total > 64 * 2**20:
        raise Corrupt
    total = _padded(total)
    if len(raw) < total:
        raise CutShort
    if _padded(struct.unpack(order + "I", raw[total - 4 : total])[0]) != total:
        raise Corrupt
    return order, total


def _block(raw, order):
    """Type and bytes of the block that raw begins with."""
    kind, total = struct.unpack(order + "II", raw[:8])
    if total < 12 or total > 64 * 2**20:
        raise Corrupt
    total = _padded(total)
    block = raw[:total]
    if len(block) < total:
        raise CutShort
    if _padded(struct.unpack(order + "I", block[-4:])[0]) != total:
        raise Corrupt
    return kind, block


def _pcapng(raw, said):
    try:
        _section(raw)
    except (CutShort, Corrupt):
        raise NotACapture from None
    order, interfaces, clock, closed = "<", [], None, 0
    while raw:
        if len(raw) < 12:
            raise CutShort
        if raw[:4] == b"\n\r\r\n":
            order, total = _section(raw)
            closed = said.recorder_dropped
            interfaces, raw = [], raw[total:]
            continue
        kind, block = _block(raw, order)
        total, raw = len(block), raw[len(block) :]
        if kind == 1:
            if total < 20:
                raise Corrupt
            interfaces.append(_Interface(block, order))
        elif kind in (2, 3, 6):
            packet = _packet(kind, block, order, interfaces, clock or 0)
            clock = packet.ts_ns if clock is None else max(clock, packet.ts_ns)
            said.recorder_dropped = closed + _lost(interfaces)
            yield packet
        elif kind == 5 and _statistics(block, order, interfaces):
            said.recorder_dropped = closed + _lost(interfaces)
        else:
            said.skipped_blocks += 1


def _lost(interfaces):
    """Packets and statistics both speak of the same losses: the higher count is believed."""
    return sum(max(i.packet_drops, i.stated_drops) for i in interfaces)


def _statistics(block, order, interfaces):
    """Whether an interface statistics block could be read."""
    if len(block) < 24:
        return False
    (which,) = struct.unpack(order + "I", block[8:12])
    if which >= len(interfaces):
        return False
    counts = [
        struct.unpack(order + "Q", value)[0]
        for code, value in _options(block[20:-4], order)
        if code in (5, 7) and len(value) == 8
    ]
    interface = interfaces[which]
    interface.stated_drops = min(DROPS_MAX, max(interface.stated_drops, sum(counts)))
    return True


def _packet(kind, block, order, interfaces, clock):
    if len(block) < (16 if kind == 3 else 32):
        raise Corrupt
    if kind == 3:
        which, room, data = 0, len(block) - 16, 12
        (wire,) = struct.unpack(order + "I", block[8:12])
    else:
        which, high, low, captured, wire = struct.unpack(order + "IIIII", block[8:28])
        if kind == 2:
            (which,) = struct.unpack(order + "H", block[8:10])
        room, data = len(block) - 32, 28
    if which >= len(interfaces):
        raise Corrupt
    interface = interfaces[which]
    ts_ns, direction, lost = clock, 0, 0
    if kind == 3:
        captured = min(wire, room, interface.snap or wire)
    if captured > room or captured > _captured_max(interface.link_type):
        raise Corrupt
    if kind != 3:
        ts_ns = interface.time(high, low)
        options = _options(block[data + (captured + 3) // 4 * 4 : -4], order)
        flags = [value for code, value in options if code == 2 and len(value) == 4]
        if flags:
            direction = (0, 1, 2, 0)[struct.unpack(order + "I", flags[0])[0] % 4]
        drops = [value for code, value in options if code == 4 and len(value) == 8]
        lost = min(DROPS_MAX, struct.unpack(order + "Q", drops[-1])[0]) if drops else 0
    if kind == 2 and block[10:12] != b"\xff\xff":
        lost += struct.unpack(order + "H", block[10:12])[0]
    interface.packet_drops = min(DROPS_MAX, interface.packet_drops + lost)
    frame = block[data : data + captured]
    return Packet(
        ts_ns, _wire(wire, captured), frame, interface.link_type, interface.name, direction
    )

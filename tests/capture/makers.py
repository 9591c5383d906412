"""Captures made byte by byte, in every variant of the formats."""

import struct
from collections.abc import Iterable, Sequence

from tapwatch.capture import open_captures
from tests.capture.naive import Packet

KUZNETZOV = 0xA1B2CD34
IXIA_HARDWARE = 0x1C0001AC
IXIA_SOFTWARE = 0x1C0001AB

Frames = Sequence[tuple[int, bytes]]  # time in ns, bytes


def frames(n: int, *, start_ns: int = 1_700_000_000 * 10**9, step_ns: int = 1_000_000) -> list:
    """Some frames of different sizes, no two alike."""
    return [
        (start_ns + i * step_ns, bytes((i + k) % 256 for k in range(14 + (i * 37) % 90)))
        for i in range(n)
    ]


def pcap(
    packets: Frames,
    *,
    order: str = "<",
    nano: bool = False,
    link_type: int = 1,
    version: tuple[int, int] = (2, 4),
    cut: int = 0,
    swapped: bool = False,
    magic: int | None = None,
) -> bytes:
    """A pcap file; the last `cut` bytes of each frame were not captured."""
    unit = 1 if nano else 1000
    magic = magic or (0xA1B23C4D if nano else 0xA1B2C3D4)
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, 262144, link_type)
    out += b"size" if magic in (IXIA_HARDWARE, IXIA_SOFTWARE) else b""
    more = b"if\0\0pr\4\0" if magic == KUZNETZOV else b""
    for ts_ns, frame in packets:
        kept = frame[: len(frame) - cut]
        lengths = (len(frame), len(kept)) if swapped else (len(kept), len(frame))
        seconds, rest = divmod(ts_ns, 10**9)
        out += struct.pack(order + "IIII", seconds, rest // unit, *lengths) + more + kept
    return out


def snoop(
    packets: Frames,
    *,
    datalink: int = 4,
    version: int = 2,
    cut: int = 0,
    pad: int = 4,
    drops: Sequence[int] = (),
) -> bytes:
    """A snoop file; frames are padded to multiples of `pad` bytes; `drops` are cumulative."""
    out = b"snoop\0\0\0" + struct.pack(">II", version, datalink)
    for i, (ts_ns, frame) in enumerate(packets):
        kept = frame[: len(frame) - cut]
        body = kept + bytes(-len(kept) % pad)
        seconds, rest = divmod(ts_ns, 10**9)
        lengths = (len(frame), len(kept), 24 + len(body))
        lost = drops[i] if i < len(drops) else 0
        out += struct.pack(">IIIIII", *lengths, lost, seconds, rest // 1000) + body
    return out


def padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def options(order: str, *pairs: tuple[int, bytes]) -> bytes:
    """Options of a block, with their end."""
    out = b"".join(struct.pack(order + "HH", code, len(v)) + padded(v) for code, v in pairs)
    return out + struct.pack(order + "HH", 0, 0) if pairs else b""


def block(order: str, kind: int, body: bytes) -> bytes:
    total = 12 + len(padded(body))
    return struct.pack(order + "II", kind, total) + padded(body) + struct.pack(order + "I", total)


def section(order: str = "<", *, version: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, version, 0, -1))


def interface(
    order: str = "<",
    *,
    link_type: int = 1,
    name: str = "",
    tsresol: int | None = None,
    offset_s: int | None = None,
    snap: int = 0,
) -> bytes:
    pairs = [(2, name.encode())] if name else []
    if tsresol is not None:
        pairs.append((9, bytes([tsresol])))
    if offset_s is not None:
        pairs.append((14, struct.pack(order + "q", offset_s)))
    body = struct.pack(order + "HHI", link_type, 0, snap) + options(order, *pairs)
    return block(order, 1, body)


def enhanced(
    ticks: int,
    frame: bytes,
    *,
    order: str = "<",
    which: int = 0,
    wire: int | None = None,
    flags: int | None = None,
    drops: int | None = None,
) -> bytes:
    lengths = (len(frame), len(frame) if wire is None else wire)
    head = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, *lengths)
    pairs = [] if flags is None else [(1, b"why"), (2, struct.pack(order + "I", flags))]
    pairs += [] if drops is None else [(4, struct.pack(order + "Q", drops))]
    return block(order, 6, head + padded(frame) + options(order, *pairs))


def obsolete(
    ticks: int, frame: bytes, *, order: str = "<", which: int = 0, drops: int = 7
) -> bytes:
    lengths = (len(frame), len(frame) + 1)
    head = struct.pack(order + "HHIIII", which, drops, ticks >> 32, ticks & 0xFFFFFFFF, *lengths)
    return block(order, 2, head + padded(frame))


def simple(frame: bytes, *, order: str = "<", wire: int | None = None) -> bytes:
    size = len(frame) if wire is None else wire
    return block(order, 3, struct.pack(order + "I", size) + padded(frame))


def statistics(which: int = 0, *, order: str = "<", **counts: int) -> bytes:
    """Interface statistics: received, by_interface, accepted, by_system, delivered."""
    codes = {"received": 4, "by_interface": 5, "accepted": 6, "by_system": 7, "delivered": 8}
    pairs = [(codes[name], struct.pack(order + "Q", count)) for name, count in counts.items()]
    return block(order, 5, struct.pack(order + "III", which, 1, 2) + options(order, *pairs))


def pcapng(packets: Frames, *, order: str = "<", name: str = "") -> bytes:
    """A pcapng file of one interface with nanoseconds."""
    body = b"".join(enhanced(ts_ns, frame, order=order) for ts_ns, frame in packets)
    return section(order) + interface(order, name=name, tsresol=9) + body


def rich_pcapng() -> bytes:
    """Two sections in both byte orders, all kinds of packet blocks, odd resolutions."""
    out = b""
    for order in "<>":
        out += section(order)
        out += interface(order, name="eth0", tsresol=9)
        out += interface(order, link_type=101, name="tun0", tsresol=0x80 | 20, offset_s=-5)
        out += enhanced(10**18, b"abcdefg", order=order, flags=1)
        out += block(order, 4, b"names")
        out += enhanced(7 << 20, b"hijk", order=order, which=1, wire=900, flags=2)
        out += simple(b"lmnopq", order=order)
        out += interface(order, link_type=276)
        out += obsolete(1_600_000_000_000_000, b"rst", order=order, which=2)
        out += statistics(1, order=order, received=10**6, by_interface=2, by_system=1)
        out += block(order, 0x0BAD, b"PEN\0" + bytes(9))
    return out


def contents(paths: Iterable[object], **kwargs: int) -> tuple[list[Packet], object]:
    """Every frame that the real reader finds, in the twin's form, and the source."""
    source = open_captures([str(path) for path in paths], **kwargs)
    packets, numbers, clock = [], [], None
    while (batch := source.read()) is not None:
        assert not batch.data.flags.writeable
        for row in batch.frames:
            start, size = int(row["start"]), int(row["captured_bytes"])
            assert 0 <= start <= start + size <= len(batch.data)
            assert row["vlan_tci"] == -1
            packet = Packet(
                int(row["ts_ns"]),
                int(row["wire_bytes"]),
                batch.data[start : start + size].tobytes(),
                int(row["link_type"]),
                source.interfaces[row["interface"]],
                int(row["direction"]),
            )
            clock = packet.ts_ns if clock is None else max(clock, packet.ts_ns)
            packets.append(packet)
            numbers.append(int(row["number"]))
        assert batch.until_ns == clock
    assert numbers == list(range(1, len(packets) + 1))
    assert source.counts.packets == len(packets)
    source.close()
    return packets, source

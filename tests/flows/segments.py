"""TCP segments by hand: as frames in a capture, as PACKET rows, and what tshark says of them."""

import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import PACKET, TcpAnalysis
from tests.conftest import pcap_bytes

T0_NS = 1_700_000_000 * 10**9
MS = 1_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
NO_OPTION = 255
NOTHING = TcpAnalysis(0)
_IPV4 = 0xFFFF_0000_0000
_IPV6 = 0x2001_0DB8 << 32
_HEADER_BYTES, _OPTION_BYTES = 20, 4
_TCP = 6

#: No defragmentation and no desegmentation: each frame speaks for itself.
TSHARK_OPTIONS = (
    *("-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"),
    *("-o", "tcp.desegment_tcp_streams:FALSE"),
)


@dataclass(frozen=True)
class Segment:
    """One segment between two endpoints, and what it is expected to be called."""

    at_ms: float  # since T0_NS
    sender: int  # 0 or 1
    flags: int
    seq: int  # modulo 2**32, as all sequence numbers here
    ack: int = 0
    length: int = 0
    window: int = 512
    scale: int = NO_OPTION
    says: TcpAnalysis = NOTHING
    conversation: int = 0  # which pair of ports
    vlan: int = -1
    ip_version: int = 4
    more_fragments: int = 0  # 1: the first fragment of a datagram

    @property
    def ts_ns(self) -> int:
        """Capture time."""
        return T0_NS + round(self.at_ms * MS)

    def endpoint(self, who: int) -> tuple[int, int, int]:
        """High and low half of the address, and the port, of endpoint 0 or 1."""
        port = (80 if who else 10_000 + self.conversation % 50_000, 10 + who)
        number = 256 * (self.conversation // 50_000) + port[1]
        return (_IPV6, number, port[0]) if self.ip_version == 6 else (0, _IPV4 | number, port[0])


def mirrored(segments: Iterable[Segment]) -> list[Segment]:
    """The same conversation begun by the other endpoint."""
    return [replace(segment, sender=1 - segment.sender) for segment in segments]


def shifted(segments: Iterable[Segment], seq: int) -> list[Segment]:
    """The same with all sequence numbers higher, except where a segment has no ACK."""
    return [
        replace(
            segment,
            seq=(segment.seq + seq) & 0xFFFF_FFFF,
            ack=(segment.ack + seq) & 0xFFFF_FFFF if segment.flags & ACK else segment.ack,
        )
        for segment in segments
    ]


def rows_of(segments: Sequence[Segment]) -> NDArray[Any]:
    """PACKET rows as a decoder would write them."""
    rows = np.zeros(len(segments), PACKET)
    for number, (row, segment) in enumerate(zip(rows, segments, strict=True), 1):
        here, there = segment.endpoint(segment.sender), segment.endpoint(1 - segment.sender)
        row["src_hi"], row["src_lo"], row["src_port"] = here
        row["dst_hi"], row["dst_lo"], row["dst_port"] = there
        row["ts_ns"], row["number"] = segment.ts_ns, number
        row["tcp_seq"], row["tcp_ack"] = segment.seq, segment.ack
        row["tcp_flags"], row["tcp_window"] = segment.flags, segment.window
        row["tcp_window_scale"] = min(segment.scale, 14) if segment.scale != NO_OPTION else 255
        row["transport_header_bytes"] = _header_bytes(segment)
        row["payload_bytes"] = segment.length
        row["wire_bytes"] = 54 + segment.length
        row["ip_version"], row["proto"], row["is_flow"] = segment.ip_version, _TCP, 1
        row["n_vlan_tags"], row["vlan_tci"] = int(segment.vlan >= 0), max(segment.vlan, 0)
        row["is_fragment"] = segment.more_fragments
    rows["clock_ns"] = np.maximum.accumulate(rows["ts_ns"]) if len(rows) else 0
    return rows


def frame_of(segment: Segment) -> bytes:
    """Ethernet, IP and TCP with right checksums, and zeros as payload."""
    here, there = segment.endpoint(segment.sender), segment.endpoint(1 - segment.sender)
    options = b"" if segment.scale == NO_OPTION else bytes([1, 3, 3, segment.scale])
    header = struct.pack(
        ">HHIIHHHH",
        here[2],
        there[2],
        segment.seq,
        segment.ack,
        _header_bytes(segment) // 4 << 12 | segment.flags,
        segment.window,
        0,
        0,
    )
    transport = header + options + bytes(segment.length)
    addresses = b"".join(_packed(segment, who) for who in (segment.sender, 1 - segment.sender))
    pseudo = addresses + struct.pack(">II", len(transport), _TCP)
    checksum = struct.pack(">H", _checksum(pseudo + transport))
    transport = transport[:16] + checksum + transport[18:]
    tag = b"" if segment.vlan < 0 else struct.pack(">HH", 0x8100, segment.vlan)
    macs = bytes([2, 0, 0, 0, 0, 1 - segment.sender, 2, 0, 0, 0, 0, segment.sender])
    if segment.ip_version == 6:
        ip = struct.pack(">IHBB", 6 << 28, len(transport), _TCP, 64) + addresses
        return macs + tag + b"\x86\xdd" + ip + transport
    fragment = 0x2000 if segment.more_fragments else 0x4000
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), 1, fragment, 64, _TCP, 0)
    checksum = struct.pack(">H", _checksum(ip + addresses))
    return macs + tag + b"\x08\x00" + ip[:10] + checksum + addresses + transport


def write_capture(path: Path, segments: Iterable[Segment]) -> None:
    """Write a pcap of the segments, in the order given."""
    path.write_bytes(pcap_bytes([(segment.ts_ns, frame_of(segment)) for segment in segments]))


def tshark_says(path: Path) -> list[tuple[TcpAnalysis, int]]:
    """tshark's analysis of each frame of a capture, and tcp.time_delta in ns."""
    names = [f"tcp.analysis.{bit.name.lower()}" for bit in TcpAnalysis if bit.name]
    fields = [x for name in ("tcp.time_delta", *names) for x in ("-e", name)]
    command = [shutil.which("tshark") or "tshark", "-r", str(path), *TSHARK_OPTIONS]
    command += ["-T", "fields", "-E", "occurrence=f", *fields]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = []
    for line in told.splitlines():
        delta, *marks = line.split("\t")
        bits = sum(1 << k for k, mark in enumerate(marks) if mark)
        whole, _, fraction = (delta or "0.0").partition(".")
        gap_ns = 0 if whole.startswith("-") else int(whole) * 10**9 + int(fraction)
        found.append((TcpAnalysis(bits), gap_ns))
    return found


def tshark_advances(path: Path) -> list[int | None]:
    """Of each frame of a capture, tcp.seq_raw minus the highest end of its direction before.

    None from where a SYN comes a second time, or the other side has the same address and port:
    there tshark begins to expect what none of its fields says.
    """
    names = ("tcp.stream", "tcp.srcport", "ip.src", "ipv6.src", "tcp.seq_raw", "tcp.len")
    names += ("tcp.flags", "tcp.analysis.zero_window_probe", "ip.flags.mf")
    fields = [x for name in names for x in ("-e", name)]
    command = [shutil.which("tshark") or "tshark", "-r", str(path), *TSHARK_OPTIONS]
    command += ["-T", "fields", "-E", "occurrence=f", *fields]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    ends: dict[tuple[str, ...], int | None] = {}
    found: list[int | None] = []
    for line in told.splitlines():
        *way, seq_text, length, flag_text, probe, more = line.split("\t")
        seq, flags = int(seq_text), int(flag_text, 16)
        if more == "1":
            found.append(0)
            continue
        side, before = tuple(way), ends.get(tuple(way), 0)
        if flags & SYN and side in ends:
            before = None
        up = None if before is None else (seq - before) % 2**32
        found.append(up if up is None else 0 if before == 0 else (up ^ 2**31) - 2**31)
        end = (seq + int(length) + bool(flags & (SYN | FIN))) % 2**32
        if before == 0 or (before is not None and (end - before) % 2**32 <= 2**31):
            ends[side] = before if probe else end
        else:
            ends[side] = before
    return found


def _header_bytes(segment: Segment) -> int:
    return _HEADER_BYTES + (0 if segment.scale == NO_OPTION else _OPTION_BYTES)


def _packed(segment: Segment, who: int) -> bytes:
    high, low, _ = segment.endpoint(who)
    both = (high << 64 | low).to_bytes(16, "big")
    return both if segment.ip_version == 6 else both[12:]


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

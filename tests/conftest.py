"""What tests of several rooms need."""

import struct
from pathlib import Path

import pytest


def pcap_bytes(frames: list[tuple[int, bytes]], link_type: int = 1) -> bytes:
    """A little-endian nanosecond pcap of (ts_ns, frame) pairs."""
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link_type)
    records = (
        struct.pack("<IIII", ts_ns // 10**9, ts_ns % 10**9, len(frame), len(frame)) + frame
        for ts_ns, frame in frames
    )
    return head + b"".join(records)


@pytest.fixture
def tiny_capture(tmp_path: Path) -> Path:
    """One DNS query in a capture of its own."""
    query = bytes.fromhex(
        "02 00 00 00 00 01  02 00 00 00 00 02  08 00"
        "45 00 00 1c 00 01 00 00 40 11 00 00 c0 a8 01 01 c0 a8 01 02"
        "bf 00 00 35 00 08 00 00"
    )
    path = tmp_path / "tiny.pcap"
    path.write_bytes(pcap_bytes([(1_700_000_000_000_000_001, query)]))
    return path

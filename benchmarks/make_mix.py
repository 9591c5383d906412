"""Make one large, deterministic benchmark capture out of many small real ones.

    python benchmarks/make_mix.py OUT.pcap FOLDER [--copies 4] [--window-s 60]

Every classic little-endian microsecond Ethernet pcap under FOLDER takes part. The packets of a file
are sorted by time, gaps are cut to one second and the whole is squeezed into at most ten; the files
start spread over the window by a hash of their names, and are interleaved by time. Each further
copy is one window later and has its unicast addresses remapped so that checksums stay valid: one
16-bit word of the address goes up by the number of the copy and its neighbour down, in one's
complement (RFC 1071). Prints what it made as JSON.
"""

import argparse
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC, ETHERNET = 0xA1B2C3D4, 1
EPOCH_S = 1_700_000_000
LONGEST_S = 10.0
LONGEST_FRAME_BYTES = 65_549
VLAN_TYPES = (0x8100, 0x88A8)


def read_capture(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Yield (time in µs, captured bytes, length on the wire); nothing for other kinds of file."""
    raw = path.read_bytes()
    if len(raw) < 24 or struct.unpack_from("<I", raw)[0] != MAGIC:
        return
    if struct.unpack_from("<I", raw, 20)[0] != ETHERNET:
        return
    at = 24
    while at + 16 <= len(raw):
        seconds, micros, captured, wire = struct.unpack_from("<IIII", raw, at)
        at += 16
        if at + captured > len(raw):
            return
        if captured >= 14:
            # Some writers leave rubbish where the length on the wire should be.
            sane = wire if captured <= wire <= LONGEST_FRAME_BYTES else captured
            yield seconds * 1_000_000 + micros, raw[at : at + captured], sane
        at += captured


def schedule(path: Path, times_us: NDArray[np.int64], window_s: float) -> NDArray[np.float64]:
    """Where in the window, in seconds, each packet of one file falls; in order of time."""
    gaps = np.clip(np.diff(times_us, prepend=times_us[0]) / 1e6, 0, 1.0)
    offsets = np.cumsum(gaps)
    longest = min(LONGEST_S, 0.8 * window_s)
    if offsets[-1] > longest:
        offsets *= longest / offsets[-1]
    start = zlib.crc32(path.name.encode()) / 2**32 * (window_s - longest)
    return start + offsets


def address_offsets(packet: bytes) -> list[int]:
    """Offsets of the four bytes of each address that can be remapped."""
    at, kind = 12, int.from_bytes(packet[12:14], "big")
    while kind in VLAN_TYPES and at + 6 <= len(packet):
        at += 4
        kind = int.from_bytes(packet[at : at + 2], "big")
    ip = at + 2
    if kind == 0x0800 and len(packet) >= ip + 20:
        return [o for o in (ip + 12, ip + 16) if 0 < packet[o] < 224 and packet[o] != 127]
    if kind == 0x86DD and len(packet) >= ip + 40:
        return [o + 4 for o in (ip + 8, ip + 24) if packet[o] not in (0, 0xFF)]
    return []


def lay_out(folder: Path, window_s: float) -> tuple[int, list[tuple[float, int, bytes, int]]]:
    """Count of captures used, and all packets as (second, serial, bytes, wire length), sorted."""
    rows: list[tuple[float, int, bytes, int]] = []
    used = 0
    for path in sorted(folder.rglob("*.pcap*"), key=lambda p: p.name):
        packets = sorted(read_capture(path), key=lambda p: p[0])
        if not packets:
            continue
        used += 1
        times = schedule(path, np.array([p[0] for p in packets], np.int64), window_s)
        serial = len(rows)
        rows += [
            (t, serial + i, p[1], p[2]) for i, (t, p) in enumerate(zip(times, packets, strict=True))
        ]
    rows.sort(key=lambda row: row[:2])
    return used, rows


def write_copies(
    out: Path, rows: list[tuple[float, int, bytes, int]], copies: int, window_s: float
) -> int:
    """Write the capture; return its size in bytes."""
    body = bytearray()
    records, words = [], []
    for _, _, packet, wire in rows:
        records.append(len(body))
        words += [len(body) + 16 + o for o in address_offsets(packet)]
        body += struct.pack("<IIII", 0, 0, len(packet), wire) + packet
    data = np.frombuffer(bytes(body), np.uint8).copy()
    record, word = np.array(records), np.array(words, np.int64)
    high = data[word].astype(np.int64) << 8 | data[word + 1]
    low = data[word + 2].astype(np.int64) << 8 | data[word + 3]
    seconds = np.array([row[0] for row in rows])
    with out.open("wb") as file:
        file.write(struct.pack("<IHHiIII", MAGIC, 2, 4, 0, 0, 262_144, ETHERNET))
        for k in range(copies):
            up, down = (high, low) if k == 0 else ((high + k) % 65_535, (low - k) % 65_535)
            data[word], data[word + 1] = up >> 8, up & 255
            data[word + 2], data[word + 3] = down >> 8, down & 255
            micros = np.round((seconds + k * window_s) * 1e6).astype(np.int64)
            stamps = np.stack([EPOCH_S + micros // 1_000_000, micros % 1_000_000]).astype("<u4")
            for field, stamp in enumerate(stamps):
                for i, byte in enumerate(stamp.view(np.uint8).reshape(-1, 4).T):
                    data[record + 4 * field + i] = byte
            file.write(data.tobytes())
        return file.tell()


def main() -> None:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--window-s", type=float, default=60.0)
    given = parser.parse_args()
    captures, rows = lay_out(given.folder, given.window_s)
    if not rows:
        parser.error(f"{given.folder}: no classic little-endian Ethernet pcap in it")
    size = write_copies(given.out, rows, given.copies, given.window_s)
    lengths = np.array([len(row[2]) for row in rows])
    print(
        json.dumps(
            {
                "captures": captures,
                "packets": len(rows) * given.copies,
                "bytes": size,
                "captured_bytes_mean": round(float(lengths.mean()), 1),
                "captured_bytes_median": float(np.median(lengths)),
            }
        )
    )


if __name__ == "__main__":
    main()

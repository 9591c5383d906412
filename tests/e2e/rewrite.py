"""The same capture in other clothes: cut into files, as pcapng, compressed."""

import gzip
import lzma
import struct
from pathlib import Path

import zstandard

FILE_HEADER_BYTES, RECORD_HEADER_BYTES = 24, 16


def records(raw: bytes) -> list[bytes]:
    """The records of a little-endian pcap, each with its header."""
    found, at = [], FILE_HEADER_BYTES
    while at < len(raw):
        captured = struct.unpack_from("<I", raw, at + 8)[0]
        found.append(raw[at : at + RECORD_HEADER_BYTES + captured])
        at += len(found[-1])
    return found


def split(raw: bytes, n_files: int, folder: Path) -> list[Path]:
    """The capture as `n_files` files with names whose order is not that of time."""
    parts = records(raw)
    size = -(-len(parts) // n_files)
    paths = []
    for i in range(n_files):
        path = folder / f"part-{n_files - i}.pcap"
        path.write_bytes(raw[:FILE_HEADER_BYTES] + b"".join(parts[i * size : (i + 1) * size]))
        paths.append(path)
    return paths


def as_pcapng(raw: bytes, path: Path) -> Path:
    """The capture as pcapng with nanosecond time stamps (option if_tsresol 9)."""
    link_type, snap_bytes = struct.unpack_from("<I", raw, 20)[0], 262_144
    section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    option = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    interface = struct.pack("<IIHHI", 1, 32, link_type, 0, snap_bytes) + option
    blocks = [section, interface + struct.pack("<I", 32)]
    for record in records(raw):
        seconds, nanos, captured, wire = struct.unpack_from("<IIII", record)
        ts_ns = seconds * 10**9 + nanos
        data = record[RECORD_HEADER_BYTES:] + bytes(-captured % 4)
        length = 32 + len(data)
        head = struct.pack(
            "<IIIIIII", 6, length, 0, ts_ns >> 32, ts_ns & 0xFFFFFFFF, captured, wire
        )
        blocks.append(head + data + struct.pack("<I", length))
    path.write_bytes(b"".join(blocks))
    return path


COMPRESS = {
    "gz": gzip.compress,
    "xz": lambda raw: lzma.compress(raw, preset=0),
    "zst": lambda raw: zstandard.ZstdCompressor().compress(raw),
}

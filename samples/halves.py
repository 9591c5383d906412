"""Cut a capture in two at the middle of its time.

    python samples/halves.py IN.pcap.zst FIRST.pcap SECOND.pcap

The first half of the held-out benign capture calibrates a threshold, the second measures false
alarms; neither has been seen in training.
"""

import argparse
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import zstandard

FILE_HEADER_BYTES, RECORD_HEADER_BYTES = 24, 16
NANOSECOND_MAGIC = 0xA1B23C4D


def read_plain(path: Path) -> bytes:
    """The capture's bytes, decompressed where it is zstd."""
    with path.open("rb") as file:
        if path.suffix != ".zst":
            return file.read()
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain:
            return io.BufferedReader(plain).read()


def records(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (time in ns, record with its header) of a little-endian nanosecond pcap."""
    if struct.unpack_from("<I", raw)[0] != NANOSECOND_MAGIC:
        raise SystemExit("want a little-endian nanosecond pcap, as samples/lab records them")
    at = FILE_HEADER_BYTES
    while at < len(raw):
        seconds, nanos, captured, _ = struct.unpack_from("<IIII", raw, at)
        end = at + RECORD_HEADER_BYTES + captured
        yield seconds * 10**9 + nanos, raw[at:end]
        at = end


def cut(raw: bytes) -> tuple[bytes, bytes]:
    """Both halves, each a whole capture."""
    frames = list(records(raw))
    middle_ns = (frames[0][0] + frames[-1][0]) // 2
    head = raw[:FILE_HEADER_BYTES]
    first = b"".join(record for ts_ns, record in frames if ts_ns <= middle_ns)
    second = b"".join(record for ts_ns, record in frames if ts_ns > middle_ns)
    return head + first, head + second


def main() -> None:
    """Parse, cut, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("capture", "first", "second"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    for path, half in zip((given.first, given.second), cut(read_plain(given.capture)), strict=True):
        path.write_bytes(half)


if __name__ == "__main__":
    main()

"""A stop is heard wherever much can be read without a packet coming out of it."""

import gzip
import lzma
import os
import struct
import threading

import pytest
import zstandard

from tapwatch.capture import open_captures
from tapwatch.errors import Stopped
from tests.capture import makers

#: What makes no byte however much of it is read, and what makes it a stream of its kind.
NOTHING = {
    "gzip": gzip.compress(b""),
    "gzip zeros": bytes(1000),
    "xz": lzma.compress(b""),
    "zstd": zstandard.ZstdCompressor().compress(b""),
    "zstd skippable": b"\x50\x2a\x4d\x18" + struct.pack("<I", 100) + bytes(100),
    "zstd long skippable": b"\x50\x2a\x4d\x18" + struct.pack("<I", 1 << 31),
}


class After:
    """True from the n-th question on, and ever after."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", NOTHING)
def test_a_stop_is_heard_on_a_pipe_of_nothing(kind):
    """Members and frames without content, for ever."""
    pack = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}
    head = pack[kind.split()[0]](b"")
    more = NOTHING[kind] * (1 + (1 << 16) // len(NOTHING[kind]))
    out, into = os.pipe()

    def write():
        try:
            os.write(into, head)
            while True:
                os.write(into, more)
        except BrokenPipeError:
            os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source = open_captures([f"/dev/fd/{out}"], stopped=After(20))
        while source.read() is not None:
            pass
        source.close()
    except Stopped:
        pass  # nothing had come yet
    finally:
        os.close(out)
        writer.join(timeout=10)

    assert not writer.is_alive()


@pytest.mark.parametrize("n_questions", [2, 6])
@pytest.mark.parametrize("kind", ["sections", "interfaces", "skipped blocks"])
def test_a_stop_is_heard_in_a_file_without_packets(tmp_path, kind, n_questions):
    """Before all of it was read: the source ends, or cannot be opened."""
    head = makers.section() + makers.interface()
    blocks = {
        "sections": head * 20_000,
        "interfaces": head + makers.interface() * 40_000,
        "skipped blocks": head + makers.block("<", 0xBAD, bytes(1 << 20)) * 30,
    }
    path = tmp_path / "idle.pcapng"
    path.write_bytes(blocks[kind])

    try:
        source = open_captures([str(path)], stopped=After(n_questions))
    except Stopped:
        return
    assert source.read() is None
    done, total = source.progress()
    assert done < total
    assert source.problems == []

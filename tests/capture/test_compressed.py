"""However a capture is packed or arrives, the frames are the same and memory is bounded."""

import gzip
import lzma
import os
import subprocess
import sys
import threading
import zlib

import pytest
import zstandard

from tapwatch.capture import compressed, files, open_captures
from tapwatch.errors import CaptureError
from tests.capture import makers, naive

FRAMES = makers.frames(2000)
RAW = makers.pcap(FRAMES)


def zst(raw, **kwargs):
    return zstandard.ZstdCompressor(**kwargs).compress(raw)


PACKED = {
    "gz": gzip.compress(RAW),
    "gz-members": b"".join(gzip.compress(RAW[i : i + 7000]) for i in range(0, len(RAW), 7000)),
    "gz-padded": gzip.compress(RAW) + bytes(700),
    "xz": lzma.compress(RAW),
    "xz-streams": lzma.compress(RAW[:5000]) + bytes(8) + lzma.compress(RAW[5000:]),
    "zst": zst(RAW),
    "zst-check": zst(RAW, write_checksum=True, level=19),
    "zst-unsized": zst(RAW, write_content_size=False),
    "zst-frames": zst(RAW[:9]) + b"\x5a\x2a\x4d\x18\3\0\0\0abc" + zst(RAW[9:]) + zst(b""),
    "zst-skippable-first": b"\x50\x2a\x4d\x18\0\0\0\0" + zst(RAW),
}


@pytest.fixture(params=[1 << 12, 4 << 20])
def block_bytes(request, monkeypatch):
    """Buffers that hold few frames, and buffers that hold all."""
    monkeypatch.setattr(files, "_BLOCK_BYTES", request.param)
    monkeypatch.setattr(files, "_BLOCK_MIN_BYTES", request.param)
    return request.param


@pytest.mark.parametrize("kind", PACKED)
def test_packed_captures_are_told_by_their_magic(tmp_path, kind, block_bytes):
    """The name says nothing; members, streams, frames and padding may follow each other."""
    path = tmp_path / "capture.txt"
    path.write_bytes(PACKED[kind])

    packets, source = makers.contents([path])

    assert packets == naive.read(RAW)[0]
    assert source.problems == []
    assert source.progress() == (len(PACKED[kind]), len(PACKED[kind]))


@pytest.mark.parametrize("kind", ["gz", "gz-members", "xz", "zst", "zst-check", "zst-frames"])
def test_packed_captures_that_are_cut_are_named(tmp_path, kind):
    """Every cut is noticed, and what can be unpacked before it is there."""
    packed, whole = PACKED[kind], naive.read(RAW)[0]
    path = tmp_path / "cut"
    for cut in [*range(1, 400, 13), *range(400, len(packed), 997), len(packed) - 1]:
        path.write_bytes(packed[:cut])
        try:
            packets, source = makers.contents([path])
        except CaptureError:
            continue  # nothing of the file header can be unpacked
        assert packets == whole[: len(packets)]
        is_border = kind == "gz-members" and _ends_a_member(packed[:cut])
        assert sum(source.counts.damaged_files.values()) == (0 if is_border else 1), cut


def _ends_a_member(packed):
    try:
        gzip.decompress(packed)
    except (EOFError, zlib.error):
        return False
    return True


@pytest.mark.parametrize("kind", ["gz", "xz", "zst-check"])
def test_packed_captures_that_are_damaged_are_named(tmp_path, kind):
    """A byte that was changed is found: in what is unpacked, or at the latest by the check sum."""
    packed = bytearray(PACKED[kind])
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "damaged"
    path.write_bytes(packed)

    packets, source = makers.contents([path])

    assert packets[:200] == naive.read(RAW)[0][:200]
    assert sum(source.counts.damaged_files.values()) == 1
    assert source.problems[0].startswith(f"{path}: ")


def test_the_place_of_a_loss_is_that_in_the_unpacked_data(tmp_path, block_bytes):
    """However many buffers the stream went through, the place is the one of the plain file."""
    path = tmp_path / "cut"
    path.write_bytes(RAW[:-5])
    _, plain = makers.contents([path])
    path.write_bytes(gzip.compress(RAW[:-5]))

    _, packed = makers.contents([path])

    assert packed.problems == plain.problems
    assert f"record 2000 at byte {len(RAW) - 16 - len(FRAMES[-1][1])}" in packed.problems[0]


def test_garbage_after_a_packed_capture_is_named(tmp_path):
    """All frames are there, and the rest is no secret."""
    path = tmp_path / "tail.gz"
    path.write_bytes(PACKED["gz"] + b"garbage")

    packets, source = makers.contents([path])

    assert len(packets) == len(FRAMES)
    assert "gzip data damaged" in source.problems[0]


def test_packed_data_that_is_no_capture_is_refused(tmp_path):
    """The message shows the bytes inside, not those of the packing."""
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(b"hello, world"))

    with pytest.raises(CaptureError, match="68 65 6c 6c 6f"):
        open_captures([str(path)])


def piped(raw, *, chunk=1 << 16, pause=None):
    """A path that reads from a pipe into which `raw` is written."""
    out, into = os.pipe()

    def write():
        for i in range(0, len(raw), chunk):
            os.write(into, raw[i : i + chunk])
            if pause:
                pause.wait(0.01)
        os.close(into)

    threading.Thread(target=write, daemon=True).start()
    return out, f"/dev/fd/{out}"


@pytest.mark.parametrize("kind", ["plain", "gz", "xz", "zst-frames"])
@pytest.mark.parametrize("chunk", [777, 1 << 16])
def test_a_pipe_gives_the_same_frames(kind, chunk, block_bytes):
    """Wherever the pipe breaks what is written to it."""
    out, path = piped({"plain": RAW, **PACKED}[kind], chunk=chunk)

    packets, source = makers.contents([path])

    assert packets == naive.read(RAW)[0]
    assert source.problems == []
    assert source.progress() == (len({"plain": RAW, **PACKED}[kind]), 0)
    os.close(out)


def test_a_pipe_that_pauses_hands_over_what_is_there():
    """Frames that have arrived do not wait for a buffer to fill."""
    out, into = os.pipe()
    os.write(into, RAW[:5000])

    source = open_captures([f"/dev/fd/{out}"])
    batch = source.read()

    assert len(batch) > 10
    os.close(into)
    source.close()
    os.close(out)


def test_standard_input_gives_the_same_frames():
    """`-` is standard input, a pipe or not."""
    program = (
        "from tapwatch.capture import open_captures\n"
        "source, n = open_captures(['-']), 0\n"
        "while (batch := source.read()) is not None: n += len(batch)\n"
        "print(n, source.problems, source.progress())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=PACKED["gz"], capture_output=True, check=True
    )

    assert done.stdout.split(b" ")[:2] == [b"2000", b"[]"]


def test_a_bomb_costs_no_memory(tmp_path):
    """A gigabyte of zeros in a few kilobytes: pieces stay small, and the frames end at once."""
    head = makers.pcap([(0, bytes(60))])
    for packed in (
        zstandard.ZstdCompressor().compress(head + bytes(1 << 28)),
        gzip.compress(head + bytes(1 << 26), compresslevel=1),
        lzma.compress(head + bytes(1 << 26), preset=0),
    ):
        path = tmp_path / "bomb"
        path.write_bytes(packed)
        fd = os.open(path, os.O_RDONLY)
        unpacked = compressed.Unpacked(fd)
        sizes = [len(piece) for piece in unpacked]

        assert max(sizes) <= compressed.PIECE_BYTES
        assert sum(sizes) > 1 << 26
        assert unpacked.damage is None
        unpacked.close()


def test_a_window_that_would_need_too_much_memory_is_refused(tmp_path):
    """A few bytes can ask for gigabytes of dictionary."""
    packed = bytearray(zst(RAW, write_content_size=False))
    packed[5] = 0xA8  # window descriptor: 2 GiB
    path = tmp_path / "wide.zst"
    path.write_bytes(packed)

    with pytest.raises(CaptureError, match="zstd data damaged"):
        open_captures([str(path)])


def test_zeros_of_a_bomb_are_frames_without_bytes(tmp_path):
    """A record of zeros is a frame of no bytes in 1970: it is counted, in bounded blocks."""
    path = tmp_path / "zeros.zst"
    path.write_bytes(zst(makers.pcap([(0, bytes(60))]) + bytes(16 * 100_000)))

    source = open_captures([str(path)])
    sizes = []
    while (batch := source.read()) is not None:
        sizes.append((len(batch), len(batch.data)))

    assert sum(n for n, _ in sizes) == 100_001
    assert max(size for _, size in sizes) <= 4 << 20
    assert source.problems == []

"""Files and pipes as pieces of plain bytes, unpacked with bounded memory.

However small the input that makes them, pieces are at most `PIECE_BYTES` long: a decompression bomb
costs time, as any long capture does, but no memory.
"""

import lzma
import os
import select
import stat
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from tapwatch.capture import layout as at
from tapwatch.capture.source import Damage, never
from tapwatch.errors import Stopped

PIECE_BYTES: Final = 1 << 18
_INPUT_BYTES: Final = 1 << 16
#: gzip and xz give nothing of a call in which they find damage: short calls lose little.
_CALL_BYTES: Final = 1 << 14
_NAP_S: Final = 0.2
# Memory that the unpackers may take: `xz -9` wants 65 MiB, `zstd --ultra -22` a window of 128 MiB.
_DICTIONARY_BYTES: Final = 160 << 20
_ZSTD_WINDOW_BYTES: Final = 128 << 20
_ZSTD_SKIPPABLE: Final = bytes.fromhex("2a4d18")  # after a first byte of 0x50..0x5f


class Unpacked:
    """The plain bytes of an open file, piece by piece; an empty piece means that a pipe has paused.

    What is wrong with the compressed data is no exception: iteration ends, and `damage` says why.

    Parameters
    ----------
    fd : int
        Open for reading, at its first byte. Closed by `close`, unless it is a standard stream.
    stopped : callable
        Asked at every read, and now and then while a pipe is silent; True raises Stopped.
    """

    def __init__(self, fd: int, stopped: Callable[[], bool] = never) -> None:
        self.kind = "plain"
        self.damage: tuple[Damage, str] | None = None
        self.consumed_bytes = 0
        self._fd = fd
        self._stopped = stopped
        self._head = b""
        self._can_pause = not stat.S_ISREG(os.fstat(fd).st_mode)

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._head = self._exactly(at.MAGIC_BYTES, short=True)
            yield from self._unpacker()
        except EOFError:
            self.damage = (Damage.CUT_SHORT, f"{self.kind} data cut short")
        except (zlib.error, lzma.LZMAError) as error:
            self.damage = (Damage.CORRUPT, f"{self.kind} data damaged ({error})")
        except OSError as error:
            self.damage = (Damage.UNREADABLE, f"cannot be read further ({error.strerror})")

    def close(self) -> None:
        """Close the file, unless it is standard input."""
        if self._fd > 2:
            os.close(self._fd)
        self._fd = -1

    def _unpacker(self) -> Iterator[bytes]:
        if self._head.startswith(at.GZIP_MAGIC):
            self.kind = "gzip"
            return self._gzip()
        if self._head.startswith(at.XZ_MAGIC):
            self.kind = "xz"
            return self._xz()
        if self._head.startswith(at.ZSTD_MAGIC) or _is_skippable(self._head):
            self.kind = "zstd"
            return self._zstd()
        return self._plain()

    def _some(self, n_bytes: int) -> bytes:
        """What is there, at most n_bytes; b"" at the end."""
        if self._head:
            some, self._head = self._head[:n_bytes], self._head[n_bytes:]
            return some
        # Much may be read that makes no piece: empty members, frames to be passed over, zeros.
        if self._stopped():
            raise Stopped("stopped while reading")
        self._wait()
        some = os.read(self._fd, n_bytes)
        self.consumed_bytes += len(some)
        return some

    def _wait(self) -> None:
        # A read of a silent pipe goes on after a signal; so the wait for it has to look up.
        while self._can_pause and self._is_silent(_NAP_S):
            if self._stopped():
                raise Stopped("stopped while waiting for input")

    def _is_silent(self, nap_s: float) -> bool:
        # Not `select`, which cannot watch a descriptor beyond 1023.
        watch = select.poll()
        watch.register(self._fd, select.POLLIN)
        return not watch.poll(nap_s * 1000)

    def _exactly(self, n_bytes: int, *, short: bool = False) -> bytes:
        """Exactly n_bytes, or EOFError; with `short`, what there is before the end."""
        parts: list[bytes] = []
        left = n_bytes
        while left > 0 and (some := self._some(left)):
            parts.append(some)
            left -= len(some)
        if left > 0 and not short:
            raise EOFError
        return b"".join(parts)

    def _after_zeros(self, chunk: bytes) -> bytes:
        """What follows the zeros that may stand between compressed streams; b"" at the end."""
        while not (chunk := chunk.lstrip(b"\0")):
            if not (chunk := self._some(_INPUT_BYTES)):
                break
        return chunk

    def _plain(self) -> Iterator[bytes]:
        while piece := self._some(PIECE_BYTES):
            yield piece
            if self._can_pause and self._is_silent(0):
                yield b""

    def _gzip(self) -> Iterator[bytes]:
        chunk = b""
        while chunk := self._after_zeros(chunk):
            unpacker = zlib.decompressobj(wbits=31)
            while not unpacker.eof:
                chunk = chunk or self._some(_INPUT_BYTES)
                # Without input this still gives what the last chunk left inside the unpacker.
                piece = unpacker.decompress(chunk, _CALL_BYTES)
                if not chunk and not piece and not unpacker.eof:
                    raise EOFError
                if piece:
                    yield piece
                chunk = unpacker.unconsumed_tail
            chunk = unpacker.unused_data

    def _xz(self) -> Iterator[bytes]:
        chunk = b""
        while chunk := self._after_zeros(chunk):
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY_BYTES)
            while not unpacker.eof:
                if unpacker.needs_input and not (chunk := chunk or self._some(_INPUT_BYTES)):
                    raise EOFError
                if piece := unpacker.decompress(chunk, _CALL_BYTES):
                    yield piece
                chunk = b""
            chunk = unpacker.unused_data

    def _zstd(self) -> Iterator[bytes]:
        import zstandard  # only where such a file is read

        context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        try:
            while magic := self._exactly(4, short=True):
                if len(magic) < 4:
                    raise EOFError
                if _is_skippable(magic):
                    left = int.from_bytes(self._exactly(4), "little")
                    while left > 0:
                        left -= len(self._exactly(min(left, PIECE_BYTES)))
                else:
                    yield from self._zstd_frame(magic, context.decompressobj())
        except zstandard.ZstdError as error:
            self.damage = (Damage.CORRUPT, f"zstd data damaged ({error})")

    def _zstd_frame(self, magic: bytes, unpacker: Any) -> Iterator[bytes]:
        """Feed the unpacker block by block (RFC 8878 3.1.1): each makes at most 128 KiB.

        The library's own stream reader does not say that a stream is cut short, and handed more
        than a block at once its unpacker has no limit.
        """
        descriptor = self._exactly(1)
        bits = descriptor[0]
        is_single_segment, has_checksum = bits >> 5 & 1, bits >> 2 & 1
        n_bytes = (1 - is_single_segment) + (0, 1, 2, 4)[bits & 3]
        n_bytes += (is_single_segment, 2, 4, 8)[bits >> 6]
        unpacker.decompress(magic + descriptor + self._exactly(n_bytes))
        is_last = 0
        while not is_last:
            header = self._exactly(3)
            fields = int.from_bytes(header, "little")
            is_last, kind, n_bytes = fields & 1, fields >> 1 & 3, fields >> 3
            # A block of kind 1 is one byte that is repeated n_bytes times.
            block = header + self._exactly(1 if kind == 1 else min(n_bytes, PIECE_BYTES))
            if is_last and has_checksum:
                block += self._exactly(4)
            if piece := unpacker.decompress(block):
                yield piece


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so has to be unpacked."""
    magics = (at.GZIP_MAGIC, at.ZSTD_MAGIC, at.XZ_MAGIC)
    return head.startswith(magics) or _is_skippable(head)


def _is_skippable(magic: bytes) -> bool:
    return magic[1:4] == _ZSTD_SKIPPABLE and magic[0] >> 4 == 5

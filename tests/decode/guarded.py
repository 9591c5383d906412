"""Decode each frame with forbidden memory right behind it, then right before it.

Run as a program, because a read on the wrong side ends it by SIGSEGV. Prints a digest of the rows.
With the argument "behind" or "before" it reads one byte too far on purpose.
"""

import ctypes
import hashlib
import mmap
import sys

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import DecodeConfig
from tapwatch.decode import Decoder
from tapwatch.decode.words import be8
from tapwatch.tables import FrameBatch
from tests.decode.corpus import BAD, GOOD
from tests.decode.made import batch
from tests.decode.made_tunnels import CLOSED, NESTED, OPENED

ALL = [*GOOD.values(), *BAD.values(), *OPENED.values(), NESTED, *(f for f, _ in CLOSED.values())]
FRAMES = [
    shorten(n)
    for frame in ALL
    for shorten in (frame.snapped, frame.cut)
    for n in range(len(frame.data) + 1)
]
PAGE = mmap.PAGESIZE
#: Kept for the life of the process: arrays point into it.
_memory = mmap.mmap(-1, 3 * PAGE)


def between_guards() -> NDArray[np.uint8]:
    """One page that can be used, between two that cannot even be read."""
    base = ctypes.addressof(ctypes.c_char.from_buffer(_memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (base, base + 2 * PAGE):
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return np.frombuffer(_memory, np.uint8, PAGE, PAGE)


def digest_of_rows(room: NDArray[np.uint8] | None = None) -> str:
    """SHA-256 over the rows of all frames, each decoded alone at both ends of `room`.

    Without a room the frames lie in memory of their own. payload_start is left out: it says where.
    """
    digest = hashlib.sha256()
    decoder = Decoder(DecodeConfig(tunnel_depth=8))
    for frame in FRAMES:
        for is_at_end in (False, True):
            one = batch([frame])
            if room is not None:
                start = (PAGE - len(frame.data)) * is_at_end
                room[start : start + len(frame.data)] = one.data
                one.frames["start"] = start
                one = FrameBatch(room, one.frames, one.until_ns)
            packets = decoder.decode(one)
            packets["payload_start"] = 0
            digest.update(packets.tobytes())
    return digest.hexdigest()


def main() -> None:
    room = between_guards()
    if "behind" in sys.argv:
        be8(room, PAGE)
    if "before" in sys.argv:
        be8(room, -1)
    sys.stdout.write(digest_of_rows(room))


if __name__ == "__main__":
    main()

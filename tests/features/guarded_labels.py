"""Ask for the label of each frame with forbidden memory right behind it, then right before it.

Run as a program: a read on the wrong side ends it by SIGSEGV. Prints a digest of the labels.
With the argument "behind" or "before" it reads one byte too far on purpose.
"""

import hashlib
import sys

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.labels import ProtocolLabels
from tapwatch.features.protocol.words import be8
from tapwatch.tables import FrameBatch
from tests.decode.guarded import PAGE, between_guards
from tests.decode.made import batch
from tests.features.labels_cases import CASES
from tests.features.labels_made import traffic_of

FRAMES = [
    shorten(n)
    for frame, _ in CASES.values()
    for shorten in (frame.snapped, frame.cut)
    for n in range(len(frame.data) + 1)
]


def digest_of_labels(room: NDArray[np.uint8] | None = None) -> str:
    """SHA-256 over the labels of all frames, each asked for alone at both ends of `room`.

    Without a room the frames lie in memory of their own.
    """
    digest = hashlib.sha256()
    for frame in FRAMES:
        for is_at_end in (False, True):
            one = batch([frame])
            if room is not None:
                start = (PAGE - len(frame.data)) * is_at_end
                room[start : start + len(frame.data)] = one.data
                one.frames["start"] = start
                one = FrameBatch(room, one.frames, one.until_ns)
            digest.update(LABELS.of(traffic_of(one)).tobytes())
    return digest.hexdigest()


#: One for all: a conversation with what came before changes no bound.
LABELS = ProtocolLabels()


def main() -> None:
    room = between_guards()
    if "behind" in sys.argv:
        be8(room, PAGE)
    if "before" in sys.argv:
        be8(room, -1)
    sys.stdout.write(digest_of_labels(room))


if __name__ == "__main__":
    main()

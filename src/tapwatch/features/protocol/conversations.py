"""What is remembered of a conversation: a bounded table, four places to each set."""

from typing import Any, Final

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

from tapwatch.features.protocol.words import helper

#: What a conversation has shown. A pair is [lower endpoint's, higher endpoint's] direction.
TALK: Final = np.dtype(
    [
        ("key", "<i8"),  # hash of the endpoints; 0 is a free place
        ("seen", "<i8"),  # how many packets had been asked about then
        ("first_seq", "<u4"),  # of the SYN
        ("pdu_start", "<u4", 2),  # sequence numbers between which a message goes on
        ("pdu_end", "<u4", 2),
        ("server_port", "<u2"),  # the one that a SYN named
        ("rule", "<u2"),  # what it has been recognised as; 0 is nothing
        ("memory", "<u2"),  # label that the protocol has settled on
        ("state", "u1"),  # the protocol's own notes
        ("in_pdu", "u1"),  # bits: 1 and 2, a message goes on in this direction
    ],
    align=True,
)
N_WAYS: Final = 4

# Stafford's variant 13 of the 64-bit finaliser, as in SplitMix64 (Steele, Lea, Flood 2014).
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_S1, _S2, _S3 = np.uint64(30), np.uint64(27), np.uint64(31)
_POSITIVE: Final = np.uint64((1 << 63) - 1)

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _product(a: Any, b: Any) -> Any:
        # NumPy warns where machine code wraps.
        return np.uint64(int(a) * int(b) & 0xFFFF_FFFF_FFFF_FFFF)

else:

    @njit
    def _product(a: Any, b: Any) -> Any:
        return a * b


def empty_talks(capacity: int) -> NDArray[Any]:
    """A table without a conversation: TALK (sets, ways), at least `capacity` places."""
    n_sets = 1 << max((capacity - 1) // N_WAYS, 1).bit_length()
    return np.zeros((n_sets, N_WAYS), TALK)


@helper
def mix(x: Any) -> Any:
    """Spread every bit of a uint64 over all 64."""
    x = _product(x ^ (x >> _S1), _M1)
    x = _product(x ^ (x >> _S2), _M2)
    return x ^ (x >> _S3)


@helper
def endpoint(hi: Any, lo: Any, port: int) -> Any:
    """Hash one end of a conversation."""
    return mix(np.uint64(lo) ^ _product(np.uint64(hi), _M1) ^ np.uint64(port) << np.uint64(47))


@helper
def talk_key(a: Any, b: Any, proto: int) -> int:
    """Hash both ends, the same in both directions, to 1 .. 2**63 - 1."""
    key = int(np.int64(mix(a ^ b ^ np.uint64(proto)) & _POSITIVE))
    return max(key, 1)


@helper
def find_talk(talks: NDArray[Any], key: int, now: int, counts: NDArray[np.int64]) -> int:
    """Place of a conversation in the table, way by set; the longest silent one gives way.

    counts[0] goes up for a conversation that came, counts[1] for one that was evicted.
    """
    home = int(key & (talks.shape[0] - 1))
    place = 0
    for way in range(N_WAYS):
        row = talks[home, way]
        if row["key"] == key:
            row["seen"] = now
            return home * N_WAYS + way
        oldest = talks[home, place]
        if oldest["key"] != 0 and (row["key"] == 0 or row["seen"] < oldest["seen"]):
            place = way
    row = talks[home, place]
    counts[0] += 1
    counts[1] += int(row["key"] != 0)
    forget(row)
    row["key"] = key
    row["seen"] = now
    return home * N_WAYS + place


@helper
def forget(row: Any) -> None:
    """Begin a conversation anew."""
    row["first_seq"] = 0
    for side in range(2):
        row["pdu_start"][side] = 0
        row["pdu_end"][side] = 0
    row["server_port"] = 0
    row["rule"] = 0
    row["memory"] = 0
    row["state"] = 0
    row["in_pdu"] = 0

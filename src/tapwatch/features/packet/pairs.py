"""When the two ends of a frame last met: a bounded table of pairs, for the packet view.

The ends are those of Wireshark's columns Source and Destination: IP addresses, or MAC addresses
where there are none, and always for ARP.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import elapsed_ns, mix

#: One pair, a cache line; `key`, a hash of what it is, finds it, and 0 is a free place. `ends` are
#: the halves of its addresses, the smaller address first, and `last_ns` is the house time of its
#: last frame each way.
PAIR: Final = np.dtype(
    [("key", "<u8"), ("ends", "<u8", 4), ("last_ns", "<i8", 2), ("version", "<u8")], align=True
)

N_WAYS: Final = 8
NEVER: Final = -(1 << 63)

_ETHER_TYPE_ARP: Final = 0x0806
_NO_KEY: Final = np.uint64(0)
_NO_HALF, _NO_VERSION = np.uint64(0), np.uint64(0)
#: Parts the round of the pair from those of its ends, where small addresses would meet; its lowest
#: byte is for the version.
_OF_PAIR: Final = np.uint64(0x74617077_61746300)
_FIRST_KEY: Final = np.uint64(1)


def empty_pairs(capacity: int) -> NDArray[Any]:
    """A table without a pair, PAIR (sets, ways): a power of two of at most `capacity` pairs."""
    n_sets = 1 << (capacity // N_WAYS).bit_length() - 1
    return np.zeros((n_sets, N_WAYS), PAIR)


@njit
def _end(hi, lo, seed):  # type: ignore[no-untyped-def]
    return mix(mix(hi ^ seed) ^ lo)


@njit
def _is_of(pair, version, ends):  # type: ignore[no-untyped-def]
    # Who knows the hash can make two pairs with one key: what is compared is the pair.
    low_hi, low_lo, high_hi, high_lo = ends
    held = pair["ends"]
    return (
        (held[0] == low_hi)
        & (held[1] == low_lo)
        & (held[2] == high_hi)
        & (held[3] == high_lo)
        & (pair["version"] == version)
    )


@njit(nogil=True, cache=True)
def pair_gaps(packets, pairs, counts, gaps, seed):  # type: ignore[no-untyped-def]
    """Write the time since the previous frame of each frame's pair.

    Parameters
    ----------
    packets : PACKET (n,)
    pairs : PAIR (sets, ways)
        Goes on from batch to batch.
    counts : int64 (1,)
        Pairs that had to give way.
    gaps : float64 (n, 2)
        Written: ns since the previous frame either way, and since the previous one this way; 0
        where there was none.
    seed : uint64
        Of the hash.
    """
    set_mask = np.uint64(len(pairs) - 1)
    for i in range(len(packets)):
        packet = packets[i]
        clock_ns = packet["clock_ns"]
        if packet["ether_type"] == _ETHER_TYPE_ARP:
            version = _NO_VERSION
            src_hi, src_lo = _NO_HALF, packet["eth_src"]
            dst_hi, dst_lo = _NO_HALF, packet["eth_dst"]
        else:
            version = np.uint64(packet["ip_version"])
            src_hi, src_lo = packet["src_hi"], packet["src_lo"]
            dst_hi, dst_lo = packet["dst_hi"], packet["dst_lo"]
        # The ends are put in order; which comes first tells the way.
        way = int((src_hi > dst_hi) | ((src_hi == dst_hi) & (src_lo > dst_lo)))
        a, b = (src_hi, src_lo), (dst_hi, dst_lo)
        ends = b + a if way else a + b
        low, high = _end(ends[0], ends[1], seed), _end(ends[2], ends[3], seed)
        key = max(mix(mix(low ^ version ^ _OF_PAIR) ^ high), _FIRST_KEY)

        home = np.intp(key & set_mask)
        place = -1
        for k in range(N_WAYS):
            if pairs[home, k]["key"] == key and _is_of(pairs[home, k], version, ends):
                place = k
                break
        if place < 0:
            oldest_ns = 0
            for k in range(N_WAYS):
                last_ns = max(pairs[home, k]["last_ns"][0], pairs[home, k]["last_ns"][1])
                # A free place is older than any pair, and the first of several is taken.
                age_ns = NEVER if pairs[home, k]["key"] == _NO_KEY else last_ns
                if k == 0 or age_ns < oldest_ns:
                    place, oldest_ns = k, age_ns
            counts[0] += np.int64(pairs[home, place]["key"] != _NO_KEY)
            pairs[home, place]["key"] = key
            pairs[home, place]["version"] = version
            for k in range(4):
                pairs[home, place]["ends"][k] = ends[k]
            pairs[home, place]["last_ns"][0] = NEVER
            pairs[home, place]["last_ns"][1] = NEVER
        pair = pairs[home, place]
        this_way_ns = pair["last_ns"][way]
        last_ns = max(this_way_ns, pair["last_ns"][1 - way])
        gaps[i, 0] = 0.0 if last_ns == NEVER else elapsed_ns(last_ns, clock_ns)
        gaps[i, 1] = 0.0 if this_way_ns == NEVER else elapsed_ns(this_way_ns, clock_ns)
        pair["last_ns"][way] = clock_ns

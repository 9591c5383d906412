"""When the two ends of a frame last met: a bounded table of pairs, for the packet view.

The ends are those of Wireshark's columns Source and Destination: IP addresses, or MAC addresses
where there are none, and always for ARP.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import elapsed_ns, mix

#: One pair; `key` 0 is a free place. `last_ns` is the house time of its last frame each way.
PAIR: Final = np.dtype([("key", "<u8"), ("last_ns", "<i8", 2)], align=True)

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
def _end(hi, lo):  # type: ignore[no-untyped-def]
    return mix(mix(hi) ^ lo)


@njit(nogil=True, cache=True)
def pair_gaps(packets, pairs, counts, gaps):  # type: ignore[no-untyped-def]
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
    """
    set_mask = np.uint64(len(pairs) - 1)
    for i in range(len(packets)):
        packet = packets[i]
        clock_ns = packet["clock_ns"]
        if packet["ether_type"] == _ETHER_TYPE_ARP:
            version = _NO_VERSION
            src, dst = _end(_NO_HALF, packet["eth_src"]), _end(_NO_HALF, packet["eth_dst"])
        else:
            version = np.uint64(packet["ip_version"])
            src = _end(packet["src_hi"], packet["src_lo"])
            dst = _end(packet["dst_hi"], packet["dst_lo"])
        # The ends are put in order by their hashes; which comes first tells the way.
        way = int(src > dst)
        key = max(mix(mix(min(src, dst) ^ version ^ _OF_PAIR) ^ max(src, dst)), _FIRST_KEY)

        home = np.intp(key & set_mask)
        place = -1
        for k in range(N_WAYS):
            if pairs[home, k]["key"] == key:
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
            pairs[home, place]["last_ns"][0] = NEVER
            pairs[home, place]["last_ns"][1] = NEVER
        pair = pairs[home, place]
        this_way_ns = pair["last_ns"][way]
        last_ns = max(this_way_ns, pair["last_ns"][1 - way])
        gaps[i, 0] = 0.0 if last_ns == NEVER else elapsed_ns(last_ns, clock_ns)
        gaps[i, 1] = 0.0 if this_way_ns == NEVER else elapsed_ns(this_way_ns, clock_ns)
        pair["last_ns"][way] = clock_ns

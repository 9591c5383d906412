"""Which station claimed an IP address first: a bounded table, for the packet view."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import elapsed_ns

#: One claim; `ip` 0 is a free place (0.0.0.0 is never claimed).
CLAIM: Final = np.dtype([("ip", "<i8"), ("mac", "<i8"), ("seen_ns", "<i8")], align=True)

_N_SETS: Final = 4096  # a power of two
_N_WAYS: Final = 4
#: A claim that its owner does not renew for so long is void: leases move to other stations.
_VOID_AFTER_NS: Final = 3600 * 10**9

_IPV4_MASK: Final = np.uint64(0xFFFF_FFFF)
_MAC_MASK: Final = np.uint64(0xFFFF_FFFF_FFFF)
_GROUP_BIT: Final = 1 << 40


def empty_claims() -> NDArray[Any]:
    """A table without a claim: CLAIM (sets, ways)."""
    return np.zeros((_N_SETS, _N_WAYS), CLAIM)


@njit
def is_duplicate_address(packet, claims, counts):  # type: ignore[no-untyped-def]
    """True where another station than the sender of this request or reply has claimed its address.

    The first claim stands until it is void or evicted, as in Wireshark, so that every packet of the
    second station is told, not only its first one. counts[0] goes up when a claim is evicted.
    """
    ip = np.int64(packet["src_lo"] & _IPV4_MASK)
    mac = np.int64(packet["arp_sender_mac"] & _MAC_MASK)
    if ip == 0 or mac == 0 or mac & _GROUP_BIT:
        return False

    now_ns = packet["clock_ns"]
    # 32 bits times 31 bits fit int64, with and without JIT.
    home = ((ip * 0x61C8_8647) >> 20) & (_N_SETS - 1)
    place = 0
    for way in range(_N_WAYS):
        claim = claims[home, way]
        if claim["ip"] == ip:
            is_void = elapsed_ns(claim["seen_ns"], now_ns) > _VOID_AFTER_NS
            if claim["mac"] != mac and not is_void:
                return True
            claim["mac"] = mac
            claim["seen_ns"] = now_ns
            return False
        oldest = claims[home, place]
        if oldest["ip"] != 0 and (claim["ip"] == 0 or claim["seen_ns"] < oldest["seen_ns"]):
            place = way

    counts[0] += np.int64(claims[home, place]["ip"] != 0)
    claims[home, place]["ip"] = ip
    claims[home, place]["mac"] = mac
    claims[home, place]["seen_ns"] = now_ns
    return False

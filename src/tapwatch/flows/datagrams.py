"""Fragments that cannot be right: KDD'99's wrong_fragment.

A fragment is wrong where

- it overruns what a datagram can hold (ping of death): 65,535 bytes with its header in IPv4 (RFC
  791 section 3.1), as many behind the 40 bytes of its own in IPv6 (RFC 8200 section 4.5);
- it is not the last one and no multiple of eight bytes (RFC 791 section 3.2, RFC 8200 section 4.5);
- it overlaps what has been seen of its datagram (teardrop; RFC 5722 forbids it);
- it contradicts the length: it goes beyond the end of the last fragment, or is a last fragment that
  ends before bytes that were seen, or elsewhere than another one.

Of a datagram as much is known as fits in a few numbers: what was seen from the beginning on without
a gap, and one piece beyond a gap. A piece beyond a second gap is judged and forgotten. The first
two rules want no knowledge; the others want the first fragment to have come before. A repetition is
no overlap: of the fragment that came last, or a first fragment as long as the one before it, which
begins the datagram anew (identifications are used again soon on a fast link).
"""

from typing import Any, Final

from numba import njit

from tapwatch.flows.hashing import wide

_LARGEST_BYTES: Final = 65_535
_UNIT_BYTES: Final = 8
#: What the length of an IPv6 datagram does not count: its fixed header and that of the fragment.
_IPV6_BYTES: Final = 40 + 8
_MORE_FRAGMENTS: Final = 1


@njit
def extent(packet: Any) -> tuple[int, int]:
    """Give where in its datagram a fragment starts and ends, in bytes.

    Of an IPv6 datagram whose first fragment has extension headers of its own, those are not
    counted: its end may be given too low, never too high.
    """
    start = wide(packet["frag_offset_bytes"])
    return start, start + max(wide(packet["ip_bytes"]) - wide(packet["ip_header_bytes"]), 0)


@njit
def is_impossible(packet: Any) -> bool:
    """Tell whether a fragment is wrong whatever its datagram is."""
    start, end = extent(packet)
    is_last = packet["ip_flags"] & _MORE_FRAGMENTS == 0
    # Both counts hold the other headers before the fragment: options, extension headers.
    whole_bytes = start + wide(packet["ip_bytes"])
    if packet["ip_version"] == 6:
        whole_bytes -= _IPV6_BYTES
    return whole_bytes > _LARGEST_BYTES or (not is_last and (end - start) % _UNIT_BYTES != 0)


@njit
def begin_datagram(known: Any, packet: Any) -> bool:
    """Take the first fragment; tell whether it contradicts one that came before.

    `known` is a FRAGMENT, of this datagram or of one that makes room; `is_used` tells which.
    """
    _, end = extent(packet)
    is_whole = 0 < wide(known["total_bytes"]) <= wide(known["front_bytes"])
    is_other = known["is_used"] != 0 and not is_whole and wide(known["first_bytes"]) != end
    known["front_bytes"] = end
    known["first_bytes"] = end
    known["island_start"] = 0
    known["island_end"] = 0
    known["total_bytes"] = 0
    known["latest_start"] = 0
    known["latest_end"] = end
    return bool(is_other)


@njit
def add_fragment(known: Any, packet: Any) -> bool:
    """Take a later fragment of a known datagram; tell whether it is wrong."""
    start, end = extent(packet)
    if start == wide(known["latest_start"]) and end == wide(known["latest_end"]):
        return False
    known["latest_start"] = start
    known["latest_end"] = end
    front, total = wide(known["front_bytes"]), wide(known["total_bytes"])
    island_start, island_end = wide(known["island_start"]), wide(known["island_end"])
    is_wrong = bool(start < front or (start < island_end and end > island_start))
    if total > 0 and end > total:
        is_wrong = True
    if packet["ip_flags"] & _MORE_FRAGMENTS == 0:
        if end < max(front, island_end) or (total > 0 and end != total):
            is_wrong = True
        known["total_bytes"] = max(end, total)
    if start <= front:
        known["front_bytes"] = max(front, end)
    elif end > start and island_start == island_end:
        known["island_start"] = start
        known["island_end"] = end
    elif end > start and start <= island_end and end >= island_start:
        known["island_start"] = min(start, island_start)
        known["island_end"] = max(end, island_end)
    if wide(known["front_bytes"]) >= wide(known["island_start"]):
        known["front_bytes"] = max(wide(known["front_bytes"]), wide(known["island_end"]))
        known["island_start"] = 0
        known["island_end"] = 0
    return is_wrong

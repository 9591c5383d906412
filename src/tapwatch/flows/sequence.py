"""Segments that bring nothing beyond what their direction has sent: retransmissions.

A direction's highest number is the one after the last byte, SYN or FIN that it has sent (RFC 9293
section 3.4), in arithmetic modulo 2^32. Its first segment sets it. After that only segments with
payload, SYN or FIN move it or are counted. A RST does neither, not even as the first one, for its
number may be any. Two kinds of old segment are not counted:

- one byte of payload just below the highest number: a keep-alive (RFC 9293 section 3.8.4);
- a SYN with another number by a side that has sent nothing but SYNs: another attempt, which begins
  the numbers anew.
"""

from typing import Any, Final

from numba import njit

from tapwatch.flows.handshake import asks, has_number, has_said, note_number
from tapwatch.flows.hashing import wide
from tapwatch.flows.protocols import FIN, RST, SYN

_SEQ_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31


@njit
def count_segment(row: Any, node: Any, packet: Any, d: int) -> None:
    """Take one TCP segment that has a header; `node` is as it was before the segment."""
    flags = wide(packet["tcp_flags"])
    payload_bytes = max(wide(packet["payload_bytes"]), 0)
    length = payload_bytes
    if flags & (SYN | FIN | RST):
        length += (flags & SYN != 0) + (flags & FIN != 0)
        if flags & RST:
            return
    is_first = not has_number(node, d)
    if length == 0 and not is_first:
        return
    end = (wide(packet["tcp_seq"]) + length) & _SEQ_MASK
    beyond = (end - wide(row["highest_seq"][d])) & _SEQ_MASK
    is_attempt = asks(packet) and not has_said(node, d) and beyond != 0
    if is_first or is_attempt or 0 < beyond < _HALF:
        row["highest_seq"][d] = end
        note_number(node, d)
    elif beyond != 0 or length != 1 or payload_bytes != 1:
        row["retransmissions"][d] += 1

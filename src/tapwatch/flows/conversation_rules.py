"""What Wireshark's TCP analysis says of a segment, as tshark 4.0.17 has it.

User's Guide section 7.5, "TCP Analysis". The rules see one segment and what is known of its
conversation; they do not see what was lost before the capture, so a verdict is Wireshark's guess.
Sequence numbers are compared modulo 2**32 (RFC 9293 section 3.4).
"""

from typing import Any, Final, NamedTuple

from numba import njit

from tapwatch.flows.conversation_layout import (
    BASE_KNOWN,
    DUP_ACKS,
    DUP_ACKS_ASIDE,
    LAST_KEEP_ALIVE,
    LAST_PROBE,
    ONLY_SYN,
    ROUND_TRIP_KNOWN,
    SCALE_NONE,
    SCALE_UNKNOWN,
    WINDOW_KNOWN,
)
from tapwatch.flows.hashing import wide
from tapwatch.flows.protocols import ACK, FIN, RST, SYN
from tapwatch.tables import TcpAnalysis

_RETRANSMISSION: Final = int(TcpAnalysis.RETRANSMISSION)
_FAST: Final = int(TcpAnalysis.FAST_RETRANSMISSION | TcpAnalysis.RETRANSMISSION)
_SPURIOUS: Final = int(TcpAnalysis.SPURIOUS_RETRANSMISSION | TcpAnalysis.RETRANSMISSION)
_OUT_OF_ORDER: Final = int(TcpAnalysis.OUT_OF_ORDER)
_LOST_SEGMENT: Final = int(TcpAnalysis.LOST_SEGMENT)
_ACK_LOST_SEGMENT: Final = int(TcpAnalysis.ACK_LOST_SEGMENT)
_DUPLICATE_ACK: Final = int(TcpAnalysis.DUPLICATE_ACK)
_KEEP_ALIVE: Final = int(TcpAnalysis.KEEP_ALIVE)
_KEEP_ALIVE_ACK: Final = int(TcpAnalysis.KEEP_ALIVE_ACK)
_WINDOW_UPDATE: Final = int(TcpAnalysis.WINDOW_UPDATE)
_WINDOW_FULL: Final = int(TcpAnalysis.WINDOW_FULL)
_ZERO_WINDOW: Final = int(TcpAnalysis.ZERO_WINDOW)
_PROBE: Final = int(TcpAnalysis.ZERO_WINDOW_PROBE)
_PROBE_ACK: Final = int(TcpAnalysis.ZERO_WINDOW_PROBE_ACK)

_SEQ_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000
_FAST_NS: Final = 20_000_000  # a fast retransmission comes this soon after the ACKs that ask for it
_REORDER_NS: Final = 3_000_000  # reordering takes less, where the round trip is not known


class Segment(NamedTuple):
    """One TCP segment, all fields as plain integers."""

    seq: int
    ack: int
    length: int  # payload bytes on the wire
    end: int  # the sequence number after the payload; SYN and FIN not counted
    flags: int
    window: int  # as sent
    ts_ns: int


@njit
def is_before(a: Any, b: Any) -> bool:
    """Tell whether sequence number `a` lies before `b`; half the space apart, each does."""
    return bool(((a - b) & _SEQ_MASK) >= _HALF)


@njit
def seq_advance(row: Any, fwd: int, segment: Segment) -> int:
    """Give the segment's sequence number minus the next one expected of its direction.

    Returns
    -------
    advance : int
        From -2**31 to 2**31 - 1: 0 in order, below it sent before or overtaken, above it behind a
        gap; 0 where nothing is expected yet. To be asked before `judge`, which counts the segment.

    Notes
    -----
    RFC 9293 section 3.4; what is expected is Wireshark's tcp.nxtseq.
    """
    next_seq = wide(row["next_seq"][fwd])
    if next_seq == 0:
        return 0
    return int(((segment.seq - next_seq + _HALF) & _SEQ_MASK) - _HALF)


@njit
def judge(row: Any, fwd: int, rev: int, segment: Segment) -> int:
    """Give the bits of TcpAnalysis for a segment, and remember it.

    Parameters
    ----------
    row : CONVERSATION record
        What is known of the conversation; written.
    fwd, rev : int
        The segment's direction and the other one.
    segment : Segment
        Not of a fragment, for there the length of the segment is not known.

    Returns
    -------
    found : int
        All bits but REUSED_PORTS.
    """
    marks = wide(row["marks"][fwd])
    if segment.length == 1 and _is_probe(row, fwd, rev, segment):
        found = _PROBE
    else:
        found = _look_at_sequence(row, fwd, rev, segment, marks)
    marks = _count_duplicates(row, fwd, segment, found, marks)
    if segment.flags & ACK:
        found |= _look_at_ack(row, rev, segment)
    takes_room = segment.length > 0 or segment.flags & (SYN | FIN)
    if takes_room and not found & _KEEP_ALIVE:
        found |= _look_at_order(row, fwd, rev, segment)
    _remember(row, fwd, segment, found, marks)
    return found


@njit
def _is_probe(row: Any, fwd: int, rev: int, segment: Segment) -> bool:
    # One byte into a window that is known to be closed.
    return bool(
        segment.seq == row["next_seq"][fwd]
        and row["window"][rev] == 0
        and row["marks"][rev] & WINDOW_KNOWN
    )


@njit
def _look_at_sequence(row: Any, fwd: int, rev: int, segment: Segment, marks: int) -> int:
    next_seq = wide(row["next_seq"][fwd])
    found = 0
    if next_seq != 0 and is_before(next_seq, segment.seq) and not segment.flags & RST:
        found |= _LOST_SEGMENT
    if segment.flags & (SYN | FIN | RST):
        return found
    if segment.window == 0:
        found |= _ZERO_WINDOW
    if segment.length <= 1 and segment.seq == (next_seq - 1) & _SEQ_MASK:
        found |= _KEEP_ALIVE
    if segment.length > 0:
        if segment.end == _window_edge(row, rev):
            found |= _WINDOW_FULL
    elif segment.seq == next_seq:
        found |= _look_at_repeated_ack(row, fwd, rev, segment, marks)
    return found


@njit
def _window_edge(row: Any, rev: int) -> int:
    """Give the sequence number after the window that the other side has offered; -1: not known."""
    scale = wide(row["window_scale"][rev])
    if scale == SCALE_UNKNOWN:
        return -1
    marks = wide(row["marks"][rev])
    window = wide(row["window"][rev]) if marks & WINDOW_KNOWN else _SEQ_MASK
    if scale == SCALE_NONE or marks & ONLY_SYN:
        scale = 0
    return int((wide(row["last_ack"][rev]) + (window << scale)) & _SEQ_MASK)


@njit
def _look_at_repeated_ack(row: Any, fwd: int, rev: int, segment: Segment, marks: int) -> int:
    # A bare ACK at the end of what its sender has sent.
    last_ack = wide(row["last_ack"][fwd])
    is_same_window = bool(marks & WINDOW_KNOWN) and segment.window == row["window"][fwd]
    others = wide(row["marks"][rev])
    if segment.window == 0:
        if is_same_window and others & LAST_PROBE and segment.ack == last_ack:
            return _PROBE_ACK
        return 0
    if segment.ack != last_ack:
        return 0
    if not is_same_window:
        return _WINDOW_UPDATE
    if others & LAST_KEEP_ALIVE:
        return _KEEP_ALIVE_ACK
    return _DUPLICATE_ACK


@njit
def _count_duplicates(row: Any, fwd: int, segment: Segment, found: int, marks: int) -> int:
    if segment.ack != row["last_ack"][fwd]:
        return marks & ~DUP_ACKS
    if found & _DUPLICATE_ACK:
        count = marks & DUP_ACKS
        count = 1 if count == DUP_ACKS_ASIDE else min(count + 1, 2)
        return marks & ~DUP_ACKS | count
    return marks


@njit
def _look_at_ack(row: Any, rev: int, segment: Segment) -> int:
    unbroken_seq = wide(row["unbroken_seq"][rev])
    if unbroken_seq == 0 or not is_before(unbroken_seq, segment.ack):
        return 0
    # Said once: either the border jumps to the highest byte seen, or, where it is there already,
    # until the other side repeats an ACK of its own.
    next_seq = wide(row["next_seq"][rev])
    if is_before(unbroken_seq, next_seq):
        row["unbroken_seq"][rev] = next_seq
        return _ACK_LOST_SEGMENT
    marks = wide(row["marks"][rev])
    row["marks"][rev] = marks | DUP_ACKS_ASIDE
    return _ACK_LOST_SEGMENT if marks & DUP_ACKS == 0 else 0


@njit
def _look_at_order(row: Any, fwd: int, rev: int, segment: Segment) -> int:
    next_seq = wide(row["next_seq"][fwd])
    acked = wide(row["last_ack"][rev])
    is_acked = segment.end == acked or is_before(segment.end, acked)
    if segment.length > 0 and acked != 0 and is_acked:
        return _SPURIOUS
    if next_seq == 0 or not is_before(segment.seq, next_seq):
        return 0
    if segment.length > 1 and segment.seq == (next_seq - 1) & _SEQ_MASK:
        return 0  # the byte before was a keep-alive or a probe
    # A time that lies before the other one makes no short time: clocks that go back make no order.
    since_ack_ns = segment.ts_ns - row["last_ack_ns"][rev]
    # A count that has been set aside is enough, too.
    duplicates = wide(row["marks"][rev]) & DUP_ACKS
    if duplicates >= 2 and acked == segment.seq and 0 <= since_ack_ns < _FAST_NS:
        return _FAST
    counted = 1 if segment.flags & (SYN | FIN) else 0
    if next_seq != (segment.end + counted) & _SEQ_MASK:
        limit_ns = _REORDER_NS
        if row["marks"][1] & ROUND_TRIP_KNOWN:
            limit_ns = wide(row["handshake_ns"])
        since_highest_ns = segment.ts_ns - row["next_seq_ns"][fwd]
        if _is_within(since_highest_ns, limit_ns):
            return _OUT_OF_ORDER
    return _RETRANSMISSION


@njit
def _is_within(time_ns: Any, limit_ns: Any) -> bool:
    # A round trip below 0, from a clock that went back, limits nothing: negative times count as
    # longer than any other, and among them the order is kept.
    if (time_ns < 0) != (limit_ns < 0):
        return bool(limit_ns < 0)
    return bool(time_ns < limit_ns)


@njit
def _remember(row: Any, fwd: int, segment: Segment, found: int, marks: int) -> None:
    if not found & _PROBE:  # a probe's byte is sent again with those behind it
        end = segment.end
        if segment.flags & (SYN | FIN):
            end = (end + 1) & _SEQ_MASK
        next_seq = wide(row["next_seq"][fwd])
        if next_seq == 0 or is_before(next_seq, end):
            row["next_seq"][fwd] = end
            row["next_seq_ns"][fwd] = segment.ts_ns
            next_seq = end
        unbroken_seq = wide(row["unbroken_seq"][fwd])
        if unbroken_seq in (0, segment.seq):
            row["unbroken_seq"][fwd] = next_seq
    row["window"][fwd] = segment.window
    row["last_ack"][fwd] = segment.ack
    row["last_ack_ns"][fwd] = segment.ts_ns
    marks = (marks | WINDOW_KNOWN) & ~(LAST_KEEP_ALIVE | LAST_PROBE)
    if found & _KEEP_ALIVE:
        marks |= LAST_KEEP_ALIVE
    if found & _PROBE:
        marks |= LAST_PROBE
    row["marks"][fwd] = marks


@njit
def note_base(row: Any, fwd: int, rev: int, segment: Segment) -> None:
    """Remember the initial sequence numbers, as soon as they are seen or can be guessed."""
    marks = wide(row["marks"][fwd])
    if not marks & BASE_KNOWN:
        base = segment.seq if segment.flags & SYN else (segment.seq - 1) & _SEQ_MASK
        row["base_seq"][fwd] = base
        row["marks"][fwd] = marks | BASE_KNOWN
    marks = wide(row["marks"][rev])
    if segment.flags & ACK and not marks & BASE_KNOWN:
        row["base_seq"][rev] = (segment.ack - 1) & _SEQ_MASK
        row["marks"][rev] = marks | BASE_KNOWN


@njit
def note_handshake(row: Any, fwd: int, rev: int, segment: Segment, scale: int) -> None:
    """Learn the initial round trip and the window scales; after the segment has been judged.

    Parameters
    ----------
    scale : int
        The segment's window scale option, SCALE_UNKNOWN without one.
    """
    marks = wide(row["marks"][fwd])
    is_known = wide(row["marks"][1]) & ROUND_TRIP_KNOWN
    if segment.flags & SYN:
        marks |= ONLY_SYN
        if not segment.flags & ACK and not is_known:
            row["handshake_ns"] = segment.ts_ns
    elif segment.flags & ACK:
        marks &= ~ONLY_SYN
    row["marks"][fwd] = marks
    if segment.flags & (SYN | ACK) == ACK and not is_known and row["handshake_ns"] != 0:
        round_trip_ns = segment.ts_ns - row["handshake_ns"]
        if round_trip_ns != 0:
            row["handshake_ns"] = round_trip_ns
            row["marks"][1] = wide(row["marks"][1]) | ROUND_TRIP_KNOWN
    if scale != SCALE_UNKNOWN:
        row["window_scale"][fwd] = scale
    if segment.flags & SYN:
        if row["window_scale"][fwd] == SCALE_UNKNOWN:
            row["window_scale"][fwd] = SCALE_NONE
            row["window_scale"][rev] = SCALE_NONE
        elif segment.flags & ACK and row["window_scale"][rev] == SCALE_NONE:
            row["window_scale"][fwd] = SCALE_NONE

"""Conversations by hand for each condition of the TCP analysis, with what each segment is called.

All begin with sequence numbers 1000 (endpoint 0) and 5000 (endpoint 1); after a handshake of 10 ms
these are at 1001 and 5001.
"""

from typing import Any, Final

from tapwatch.tables import TcpAnalysis
from tests.flows.segments import ACK, FIN, PSH, RST, SYN, Segment

_RETRANSMISSION: Final = TcpAnalysis.RETRANSMISSION
_FAST: Final = TcpAnalysis.FAST_RETRANSMISSION | _RETRANSMISSION
_SPURIOUS: Final = TcpAnalysis.SPURIOUS_RETRANSMISSION | _RETRANSMISSION
_OUT_OF_ORDER: Final = TcpAnalysis.OUT_OF_ORDER
_LOST: Final = TcpAnalysis.LOST_SEGMENT
_ACK_LOST: Final = TcpAnalysis.ACK_LOST_SEGMENT
_DUPLICATE: Final = TcpAnalysis.DUPLICATE_ACK
_KEEP_ALIVE: Final = TcpAnalysis.KEEP_ALIVE
_KEEP_ALIVE_ACK: Final = TcpAnalysis.KEEP_ALIVE_ACK
_UPDATE: Final = TcpAnalysis.WINDOW_UPDATE
_FULL: Final = TcpAnalysis.WINDOW_FULL
_ZERO: Final = TcpAnalysis.ZERO_WINDOW
_PROBE: Final = TcpAnalysis.ZERO_WINDOW_PROBE
_PROBE_ACK: Final = TcpAnalysis.ZERO_WINDOW_PROBE_ACK
_REUSED: Final = TcpAnalysis.REUSED_PORTS
_NOTHING: Final = TcpAnalysis(0)
_HOUR_MS: Final = 3_600_000.0


def _a(at_ms: float, seq: int, ack: int, length: int = 0, **more: Any) -> Segment:
    return Segment(at_ms, 0, more.pop("flags", ACK), seq, ack, length, **more)


def _b(at_ms: float, seq: int, ack: int, length: int = 0, **more: Any) -> Segment:
    return Segment(at_ms, 1, more.pop("flags", ACK), seq, ack, length, **more)


def handshake(scale_a: int = 255, scale_b: int = 255, window: int = 512) -> list[Segment]:
    """SYN, SYN-ACK, ACK within 10 ms."""
    return [
        _a(0, 1000, 0, flags=SYN, scale=scale_a, window=window),
        _b(5, 5000, 1001, flags=SYN | ACK, scale=scale_b, window=window),
        _a(10, 1001, 5001, window=window),
    ]


_HANDSHAKE: Final = handshake()

#: Name -> conversation; the name of a condition is in the names of its cases.
CASES: Final[dict[str, list[Segment]]] = {
    "zero_window_probe_and_its_ack": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 100),
        _b(25, 5001, 1101, window=0, says=_ZERO),
        _a(100, 1101, 5001, 1, says=_PROBE),
        _b(105, 5001, 1101, window=0, says=_ZERO | _PROBE_ACK),
        _a(200, 1101, 5001, 1, says=_PROBE),
        _b(205, 5001, 1101, window=0, says=_ZERO | _PROBE_ACK),
        _b(206, 5001, 1101, window=0, says=_ZERO | _PROBE_ACK),  # the last of A was a probe
        _b(250, 5001, 1101, window=512, says=_UPDATE),
        _a(260, 1101, 5001, 100),  # the probe's byte again: it has never counted
        _b(265, 5001, 1201),
    ],
    "zero_window_probe_that_is_consumed": [
        *_HANDSHAKE,
        _b(25, 5001, 1001, window=0, says=_ZERO),
        _a(100, 1001, 5001, 1, says=_PROBE),
        _b(105, 5001, 1002, window=0, says=_ZERO | _ACK_LOST),
        _a(200, 1002, 5001, 1, says=_LOST),
        _a(300, 1002, 5001, 2, says=_NOTHING),
    ],
    "zero_window_of_none": [
        *_HANDSHAKE,
        _b(20, 5001, 1001, window=0, flags=RST | ACK),  # a reset offers no window
        _a(30, 1001, 5001, 1, window=0, says=_PROBE),  # but it has closed it
        _a(40, 1001, 5001, 2, window=0, says=_ZERO),
    ],
    "reused_ports": [
        *_HANDSHAKE,
        _a(20, 1000, 0, flags=SYN, says=_RETRANSMISSION),
        _a(30, 9000, 0, flags=SYN, says=_REUSED),
        _b(35, 7000, 9001, flags=SYN | ACK),
        _a(40, 9001, 7001),
        _b(50, 7500, 9001, flags=SYN | ACK, says=_REUSED | _LOST),
        _b(60, 7500, 9001, flags=SYN | ACK, says=_RETRANSMISSION),
    ],
    "reused_ports_after_the_end": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, flags=FIN | ACK),
        _b(30, 5001, 1002, flags=FIN | ACK),
        _a(40, 1002, 5002),
        _a(_HOUR_MS, 77_000, 0, flags=SYN, says=_REUSED),
        _b(_HOUR_MS + 1, 88_000, 77_001, flags=RST | ACK),
    ],
    "reused_ports_by_the_other_side": [
        *_HANDSHAKE,
        _b(20, 9000, 0, flags=SYN, says=_REUSED),
        _a(30, 7000, 9001, flags=SYN | ACK),
        _b(40, 9001, 7001),
    ],
    "window_full_scaled": [
        *handshake(scale_a=3, scale_b=2, window=100),
        _a(20, 1001, 5001, 100, says=_FULL),  # B has only sent its SYN: that window is not scaled
        _b(25, 5001, 1101, window=100),
        _a(30, 1101, 5001, 300, window=100),
        _a(31, 1401, 5001, 100, window=100, says=_FULL),  # 400 bytes after what is acknowledged
        _b(35, 5001, 1501, 800, window=100, says=_FULL),
        _b(36, 5801, 1501, 1, window=100),
    ],
    "window_full_unscaled": [
        *handshake(scale_a=3, window=100),  # B does not scale, so neither does
        _b(15, 5001, 1001, window=50, says=_UPDATE),
        _a(20, 1001, 5001, 50, says=_FULL),
        _a(21, 1051, 5001, flags=FIN | ACK),
        _b(25, 5001, 1052, 512, window=50, says=_FULL),
    ],
    "window_full_after_one_syn": [
        _a(0, 1000, 0, flags=SYN),  # it does not scale, so neither will
        _b(5, 5001, 1001, window=50),
        _a(10, 1001, 5001, 50, says=_FULL),
    ],
    "window_full_unknown": [
        _b(5, 5001, 1001, window=50),
        _a(20, 1001, 5001, 50),
        _b(25, 5001, 1051, window=50),
        _a(30, 1051, 5001, 50),
    ],
    "keep_alive_and_its_ack": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 10),
        _b(25, 5001, 1011),
        _a(_HOUR_MS, 1010, 5001, says=_KEEP_ALIVE),
        _b(_HOUR_MS + 1, 5001, 1011, says=_KEEP_ALIVE_ACK),
        _a(_HOUR_MS + 1000, 1010, 5001, 1, says=_KEEP_ALIVE),
        _b(_HOUR_MS + 1001, 5001, 1011, says=_KEEP_ALIVE_ACK),
        _b(_HOUR_MS + 1002, 5000, 1011, says=_KEEP_ALIVE),
        _a(_HOUR_MS + 1003, 1011, 5001, says=_KEEP_ALIVE_ACK),
        _a(_HOUR_MS + 1004, 1010, 5001, 2, says=_NOTHING),  # longer than one byte: is in order
    ],
    "fast_retransmission": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 100),
        _b(21, 5001, 1101),
        _a(22, 1101, 5001, 100),
        _a(23, 1201, 5001, 100),
        _a(24, 1301, 5001, 100),
        _b(30, 5001, 1101, says=_DUPLICATE),
        _a(31, 1101, 5001, 100, says=_OUT_OF_ORDER),  # one duplicate ACK is not enough
        _b(40, 5001, 1101, says=_DUPLICATE),
        _a(59.999999, 1101, 5001, 100, says=_FAST),
        _a(60, 1101, 5001, 100, says=_RETRANSMISSION),  # 20 ms after the ACK
        _a(60.5, 1201, 5001, 100, says=_RETRANSMISSION),  # not the one that is asked for
    ],
    "fast_retransmission_with_an_ack_of_the_unseen": [
        *_HANDSHAKE,
        _a(12, 1001, 5001, 100),
        # Acknowledging what was never seen sets the count of B's duplicate ACKs aside; tshark takes
        # that for more than two.
        _a(14, 1001, 5101, 100, says=_FAST | _ACK_LOST),
    ],
    "spurious_retransmission": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 100),
        _a(21, 1101, 5001, 100),
        _b(30, 5001, 1201),
        _a(31, 1101, 5001, 100, says=_SPURIOUS),
        _a(32, 1001, 5001, 1, says=_SPURIOUS),
        _a(33, 1101, 5001, 101, says=_RETRANSMISSION),
    ],
    "out_of_order_within_the_round_trip": [
        *_HANDSHAKE,
        _a(20, 1101, 5001, 100, says=_LOST),
        _a(29.999999, 1001, 5001, 100, says=_OUT_OF_ORDER),
        _a(30, 1001, 5001, 100, says=_RETRANSMISSION),  # 10 ms after the highest
        _a(21, 1001, 5001, 100, says=_OUT_OF_ORDER),
        _a(19, 1001, 5001, 100, says=_RETRANSMISSION),  # a clock that goes back is no order
        _a(22, 1101, 5001, 100, says=_RETRANSMISSION),  # ends where the highest does
    ],
    "out_of_order_within_3_ms": [
        _a(20, 1001, 5001, 100),
        _a(21, 1201, 5001, 100, says=_LOST),
        _a(23.999999, 1101, 5001, 100, says=_OUT_OF_ORDER),
        _a(24, 1101, 5001, 50, says=_RETRANSMISSION),
    ],
    "out_of_order_syn_and_fin": [
        _a(10, 1001, 5001, 100),
        _a(11, 1000, 0, flags=SYN, says=_OUT_OF_ORDER),
        _a(12, 1201, 5001, 10, says=_LOST, flags=FIN | ACK),
        _a(12.5, 1201, 5001, 10, says=_OUT_OF_ORDER),  # without FIN it does not end there
        _a(13, 1201, 5001, 10, says=_RETRANSMISSION, flags=FIN | ACK),
    ],
    "retransmission_of_a_syn": [
        _a(0, 1000, 0, flags=SYN),
        _a(1000, 1000, 0, flags=SYN, says=_RETRANSMISSION),
        _b(1005, 5000, 1001, flags=SYN | ACK),
        _b(2005, 5000, 1001, flags=SYN | ACK, says=_RETRANSMISSION),
        _a(2010, 1001, 5001),
    ],
    "retransmission_of_a_syn_after_a_reset": [
        _a(0, 1000, 0, flags=SYN),
        _a(1, 50_000, 0, flags=RST),
        _a(2, 1000, 0, flags=SYN, says=_RETRANSMISSION),  # what the reset counted is forgotten
        _a(2.5, 1001, 5001, 10),
    ],
    "duplicate_ack_and_window_update": [
        *_HANDSHAKE,
        _b(20, 5001, 1001, says=_DUPLICATE),  # the SYN-ACK has said it
        _b(21, 5001, 1001, says=_DUPLICATE),
        _b(22, 5001, 1001, window=600, says=_UPDATE),
        _b(23, 5001, 1001, window=600, says=_DUPLICATE),
        _b(24, 5001, 1001, window=600, flags=PSH | ACK, says=_DUPLICATE),
        _b(25, 5001, 1001, window=600, flags=RST | ACK),
        _b(26, 5001, 1001, window=0, says=_ZERO),
    ],
    "ack_lost_segment": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 100),
        _a(21, 1201, 5001, 100, says=_LOST),
        _b(22, 5001, 1301, says=_ACK_LOST),
        _b(23, 5001, 1301, says=_DUPLICATE),  # the border has moved
        _b(24, 5001, 1401, says=_ACK_LOST),
        _b(25, 5001, 1501),  # said once
        _a(26, 1301, 5001, 300),
        _b(27, 5001, 1601),
        _b(28, 5001, 1701, says=_NOTHING),
        _a(29, 1701, 5101, says=_ACK_LOST | _LOST),
    ],
    "lost_segment_of_no_reset": [
        *_HANDSHAKE,
        _a(20, 1101, 5001, says=_LOST),
        _a(21, 1201, 5001, flags=RST),
        _b(22, 5011, 1001, flags=FIN | ACK, says=_LOST),
    ],
    "half_the_sequence_space_apart_is_before_and_behind": [
        *_HANDSHAKE,
        _a(20, 1001, 5001, 100),
        _a(100, 1101 + 2**31, 5001, 100, says=_LOST | _SPURIOUS),
        _a(200, 1101, 5001, 100),
    ],
    "fragments_are_not_judged": [
        *_HANDSHAKE,
        _a(20, 3001, 5001, 80, more_fragments=1),
        _a(25, 1001, 5001, 100),
        _a(26, 1001, 5001, 100, more_fragments=1),
        _a(27, 1001, 5001, 100, says=_RETRANSMISSION),
    ],
}

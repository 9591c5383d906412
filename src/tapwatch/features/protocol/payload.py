"""From ports and payload to a label: which rules are asked, in which order."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import N_WAYS, find_talk, forget
from tapwatch.features.protocol.judge import judge, rest_of_message
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import helper
from tapwatch.tables import TcpAnalysis

#: What is asked about: a TCP segment or a UDP datagram, wherever in a frame it was found.
SEGMENT: Final = np.dtype(
    [
        ("key", "<i8"),  # of the conversation
        ("lo", "<i8"),  # where the payload begins, and ends in the capture and on the wire
        ("hi", "<i8"),
        ("end", "<i8"),
        ("seq", "<i8"),
        ("src_port", "<i8"),
        ("dst_port", "<i8"),
        ("flags", "<i8"),  # of TCP
        ("analysis", "<i8"),  # bits of TcpAnalysis
        ("side", "<i8"),  # 0 or 1, the direction
        ("udp", "<i8"),  # 1 for a datagram
        ("gtp", "<i8"),  # 1 inside of GTP
    ],
    align=True,
)

_TCP = label_index("TCP")
_UDP = label_index("UDP")
_SYN, _ACK = 2, 16
_RETRANSMISSION = int(TcpAnalysis.RETRANSMISSION)
#: Fast and spurious retransmissions have the bit of retransmissions too, but are looked into.
_LOOKED_INTO = int(TcpAnalysis.FAST_RETRANSMISSION | TcpAnalysis.SPURIOUS_RETRANSMISSION)
_PASSED_OVER = int(TcpAnalysis.OUT_OF_ORDER | TcpAnalysis.KEEP_ALIVE)
_SEQ_MASK = 0xFFFF_FFFF
_HALF_SEQ = 0x8000_0000


@helper
def segment_label(
    data: NDArray[np.uint8],
    segment: Any,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of a TCP segment or UDP datagram.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    segment : SEGMENT record
    now : int
        How many packets came before.
    talks : TALK (sets, ways)
        Updated, as `counts` is.
    """
    udp = int(segment["udp"])
    plain = _UDP if udp else _TCP
    lo, hi = int(segment["lo"]), int(segment["hi"])
    n = int(segment["end"]) - lo
    is_syn = int(segment["flags"]) & _SYN != 0
    if (n <= 0 or hi <= lo) and not is_syn:
        return plain
    analysis = int(segment["analysis"])
    if analysis & _PASSED_OVER or (analysis & _RETRANSMISSION and not analysis & _LOOKED_INTO):
        return plain
    place = find_talk(talks, int(segment["key"]), now, counts)
    talk = talks[place // N_WAYS, place % N_WAYS]
    if is_syn:
        _begin(talk, segment)
    skip = _rest_of_earlier(talk, segment, n) if talk["in_pdu"] else 0
    # Bounds: the rules are given at least one captured byte.
    if skip >= n or hi <= lo + skip:
        return plain
    lo += skip
    rule, label = _ask(data, lo, segment, talk, know)
    if label == 0:
        return plain
    if know.rules[rule]["pdu_header_bytes"] and not udp:
        _keep_rest(data, lo, segment, rule, talk, know)
    return label


@helper
def _begin(talk: Any, segment: Any) -> None:
    """A SYN names the server; one with another number than the last begins a new conversation."""
    if int(segment["flags"]) & _ACK:
        talk["server_port"] = segment["src_port"]
        return
    if int(talk["first_seq"]) != int(segment["seq"]) and talk["server_port"] != 0:
        forget(talk)
    talk["first_seq"] = segment["seq"]
    talk["server_port"] = segment["dst_port"]


@helper
def _rest_of_earlier(talk: Any, segment: Any, n: int) -> int:
    """How many bytes at the segment's beginning belong to a message that began before it."""
    side = int(segment["side"])
    if not int(talk["in_pdu"]) & 1 << side:
        return 0
    seq = int(segment["seq"])
    since_start = (seq - int(talk["pdu_start"][side])) & _SEQ_MASK
    to_end = (int(talk["pdu_end"][side]) - seq) & _SEQ_MASK
    if to_end == 0 or to_end >= _HALF_SEQ:
        talk["in_pdu"] = int(talk["in_pdu"]) & ~(1 << side)
        return 0
    return 0 if since_start == 0 or since_start >= _HALF_SEQ else min(to_end, n)


@helper
def _keep_rest(
    data: NDArray[np.uint8], lo: int, segment: Any, rule: int, talk: Any, know: Knowledge
) -> None:
    """Remember how far the segment's last message goes on."""
    end, side = int(segment["end"]), int(segment["side"])
    rest = rest_of_message(data, lo, int(segment["hi"]), end, rule, know)
    if rest > 0:
        seq = int(segment["seq"])
        talk["pdu_start"][side] = seq
        talk["pdu_end"][side] = (seq + end - int(segment["lo"]) + rest) & _SEQ_MASK
        talk["in_pdu"] = int(talk["in_pdu"]) | 1 << side


@helper
def _ask(
    data: NDArray[np.uint8], lo: int, segment: Any, talk: Any, know: Knowledge
) -> tuple[int, int]:
    """Ask rule after rule; returns the first that takes the payload, and its label.

    In the order of Wireshark: what the conversation is known for, the rules of the server's port
    where a SYN has named it, those of the lower port, of the higher one, and of any port.
    """
    udp, hi, end = int(segment["udp"]), int(segment["hi"]), int(segment["end"])
    src_port, dst_port = int(segment["src_port"]), int(segment["dst_port"])
    low, high = min(src_port, dst_port), max(src_port, dst_port)
    server_port = int(talk["server_port"])
    port = server_port if server_port else low
    held = int(talk["rule"])
    place, k = 0, 0
    turn = 0 if held else 1
    while turn < 5:
        rule = held
        if 1 <= turn <= 3:
            if k == 0:
                place = int(know.ports[udp, port if turn == 1 else low if turn == 2 else high])
            rule = int(know.chains[place + k])
        elif turn == 4:
            rule = int(know.heuristics[udp, k])
        if rule == 0:
            # The next port. The lower one is the server's more often than not.
            turn += 2 if turn == 1 and port == low else 1
            k = 0
            continue
        certainty = 2 if turn == 0 else 1 if turn < 4 else 0
        is_server = int(src_port == port)
        label = judge(data, lo, hi, end, rule, certainty, is_server, port, talk, know)
        if label != 0:
            if turn > 0 and know.rules[rule]["holds"] and talk["rule"] == 0:
                talk["rule"] = rule
            return rule, label
        k += 1
        if turn == 0:
            turn, k = 1, 0
    return 0, 0

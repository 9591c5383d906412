"""From ports and payload to a label: which rules are asked, in which order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import N_WAYS, find_talk, forget
from tapwatch.features.protocol.judge import judge, rest_of_message
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import helper
from tapwatch.tables import TcpAnalysis

_TCP = label_index("TCP")
_UDP = label_index("UDP")
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_RETRANSMISSION = int(TcpAnalysis.RETRANSMISSION)
#: Fast and spurious retransmissions have the bit of retransmissions too, but are looked into.
_LOOKED_INTO = int(TcpAnalysis.FAST_RETRANSMISSION | TcpAnalysis.SPURIOUS_RETRANSMISSION)
_PASSED_OVER = int(TcpAnalysis.OUT_OF_ORDER | TcpAnalysis.KEEP_ALIVE)
_SEQ_MASK = 0xFFFF_FFFF
_HALF_SEQ = 0x8000_0000


@helper
def tcp_label(
    data: NDArray[np.uint8],
    lo: int,
    hi: int,
    end: int,
    src_port: int,
    dst_port: int,
    flags: int,
    seq: int,
    analysis: int,
    side: int,
    key: int,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of a TCP segment, payload data[lo:hi], `end` by its length on the wire."""
    is_syn = flags & _SYN != 0
    if end <= lo and not is_syn:
        return _TCP
    if analysis & _PASSED_OVER or (analysis & _RETRANSMISSION and not analysis & _LOOKED_INTO):
        return _TCP
    place = find_talk(talks, key, now, counts)
    talk = talks[place // N_WAYS, place % N_WAYS]
    if is_syn:
        _begin(talk, flags, seq, src_port, dst_port)
    if hi <= lo:
        return _TCP
    n = end - lo
    skip = _rest_of_earlier(talk, side, seq, n)
    if skip >= n:
        return _TCP
    lo += skip
    if hi <= lo:
        return _TCP
    server_port = int(talk["server_port"])
    port = server_port if server_port else min(src_port, dst_port)
    is_server = int(src_port == port)
    rule, label = _first_rule(data, lo, hi, end, 0, port, src_port, dst_port, is_server, talk, know)
    if label == 0:
        return _TCP
    rest = rest_of_message(data, lo, hi, end, rule, know)
    bit = 1 << side
    if rest > 0:
        talk["pdu_start"][side] = seq
        talk["pdu_end"][side] = (seq + n + rest) & _SEQ_MASK
        talk["in_pdu"] = int(talk["in_pdu"]) | bit
    return label


@helper
def udp_label(
    data: NDArray[np.uint8],
    lo: int,
    hi: int,
    end: int,
    src_port: int,
    dst_port: int,
    key: int,
    now: int,
    talks: NDArray[Any],
    counts: NDArray[np.int64],
    know: Knowledge,
) -> int:
    """Label of a UDP datagram, payload data[lo:hi], `end` by its length on the wire."""
    if hi <= lo:
        return _UDP
    place = find_talk(talks, key, now, counts)
    talk = talks[place // N_WAYS, place % N_WAYS]
    port = min(src_port, dst_port)
    is_server = int(src_port == port)
    _, label = _first_rule(data, lo, hi, end, 1, port, src_port, dst_port, is_server, talk, know)
    return label if label else _UDP


@helper
def _begin(talk: Any, flags: int, seq: int, src_port: int, dst_port: int) -> None:
    """A SYN names the server; one with another number than the last begins a new conversation."""
    if flags & _ACK:
        talk["server_port"] = src_port
        return
    if int(talk["first_seq"]) != seq and int(talk["server_port"]) != 0:
        forget_talk(talk)
    talk["first_seq"] = seq
    talk["server_port"] = dst_port


@helper
def forget_talk(talk: Any) -> None:
    """Begin anew, at the same place of the table."""
    forget(talk)


@helper
def _rest_of_earlier(talk: Any, side: int, seq: int, n: int) -> int:
    """How many bytes at the segment's beginning belong to a message that began before it."""
    bit = 1 << side
    if not int(talk["in_pdu"]) & bit:
        return 0
    since_start = (seq - int(talk["pdu_start"][side])) & _SEQ_MASK
    to_end = (int(talk["pdu_end"][side]) - seq) & _SEQ_MASK
    if since_start == 0 or since_start >= _HALF_SEQ or to_end == 0 or to_end >= _HALF_SEQ:
        if to_end == 0 or to_end >= _HALF_SEQ:
            talk["in_pdu"] = int(talk["in_pdu"]) & ~bit
        return 0
    return min(to_end, n)


@helper
def _first_rule(
    data: NDArray[np.uint8],
    lo: int,
    hi: int,
    end: int,
    udp: int,
    port: int,
    src_port: int,
    dst_port: int,
    is_server: int,
    talk: Any,
    know: Knowledge,
) -> tuple[int, int]:
    """Ask the conversation's own rule, then those of the ports, then those of any port."""
    held = int(talk["rule"])
    if held != 0:
        label = judge(data, lo, hi, end, held, 1, is_server, port, talk, know)
        if label != 0:
            return held, label
    # The server's port first where it is known, then the lower one, then the other.
    low, high = min(src_port, dst_port), max(src_port, dst_port)
    for turn in range(3):
        asked = port if turn == 0 else low if turn == 1 else high
        if turn == 1 and asked == port:
            continue
        at = int(know.ports[udp, asked])
        while know.chains[at] != 0:
            rule = int(know.chains[at])
            label = judge(data, lo, hi, end, rule, 1, is_server, asked, talk, know)
            if label != 0:
                return rule, label
            at += 1
    k = 0
    while know.heuristics[udp, k] != 0:
        rule = int(know.heuristics[udp, k])
        label = judge(data, lo, hi, end, rule, 0, is_server, port, talk, know)
        if label != 0:
            if know.rules[rule]["holds"] and talk["rule"] == 0:
                talk["rule"] = rule
            return rule, label
        k += 1
    return 0, 0

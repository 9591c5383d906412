"""From ports and payload to a label: which rules are asked, in which order."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.conversations import forget
from tapwatch.features.protocol.judge import judge
from tapwatch.features.protocol.rules import Check
from tapwatch.features.protocol.segment import IS_SIDE, IS_UDP
from tapwatch.features.protocol.tables import AGAIN, Knowledge
from tapwatch.features.protocol.words import be8, helper, number

#: Where rules come from, in turn: the conversation, three ports, any port.
_N_TURNS: Final = 5
_ANY_PORT: Final = 4
#: Messages that are followed within one segment; what is behind them begins anew.
_MAX_PDUS: Final = 64
_ACK = 16
_STUN = int(Check.STUN)
_SEQ_MASK = 0xFFFF_FFFF
_HALF_SEQ = 0x8000_0000


@helper
def begin(talk: Any, segment: Any) -> None:
    """A SYN names the server; one with another number than the last begins a new conversation."""
    if int(np.int64(segment["flags"])) & _ACK:
        talk["server_port"] = segment["src_port"]
        return
    if talk["first_seq"] != segment["seq"] and talk["server_port"] != 0:
        forget(talk)
    talk["first_seq"] = segment["seq"]
    talk["server_port"] = segment["dst_port"]


@helper
def rest_of_earlier(talk: Any, segment: Any) -> int:
    """How many bytes at the segment's beginning belong to a message that began before it."""
    side = int(np.int64(segment["kind"])) & IS_SIDE
    if not int(np.int64(talk["in_pdu"])) & 1 << side:
        return 0
    seq = int(np.int64(segment["seq"]))
    since_start = (seq - int(np.int64(talk["pdu_start"][side]))) & _SEQ_MASK
    to_end = (int(np.int64(talk["pdu_end"][side])) - seq) & _SEQ_MASK
    if to_end == 0 or to_end >= _HALF_SEQ:
        talk["in_pdu"] = int(np.int64(talk["in_pdu"])) & ~(1 << side)
        return 0
    return 0 if since_start == 0 or since_start >= _HALF_SEQ else to_end


@helper
def keep_rest(
    data: NDArray[np.uint8], lo: int, segment: Any, rule: int, talk: Any, know: Knowledge
) -> None:
    """Remember how far the segment's last message goes on, and where the next one begins."""
    row = know.rules[rule]
    start = int(segment["lo"])
    hi = start + int(np.int64(segment["captured_bytes"]))
    end = start + int(np.int64(segment["n_bytes"]))
    header_bytes = int(np.int64(row["pdu_header_bytes"]))
    here = lo
    for _ in range(_MAX_PDUS):
        # Bounds: the length field lies within the header, which was captured.
        if hi - here < header_bytes:
            return
        at, n_bytes = here + int(np.int64(row["pdu_at"])), int(np.int64(row["pdu_n_bytes"]))
        n = number(data, at, n_bytes, int(np.int64(row["pdu_little"])))
        here += max(n + int(np.int64(row["pdu_add"])), header_bytes)
        if here > end:
            break
    if here > end:
        side, seq = int(np.int64(segment["kind"])) & IS_SIDE, int(np.int64(segment["seq"]))
        talk["pdu_start"][side] = seq
        talk["pdu_end"][side] = (seq + here - start) & _SEQ_MASK
        talk["in_pdu"] = int(np.int64(talk["in_pdu"])) | 1 << side


@helper
def ask(
    data: NDArray[np.uint8], lo: int, segment: Any, talk: Any, know: Knowledge
) -> tuple[int, int]:
    """Ask rule after rule; returns the first that takes the payload, and its label.

    In the order of Wireshark: what the conversation is known for, the rules of the server's port
    where a SYN has named it, those of the lower port, of the higher one, and of any port.
    """
    udp = 1 if int(np.int64(segment["kind"])) & IS_UDP else 0
    hi = int(segment["lo"]) + int(np.int64(segment["captured_bytes"]))
    end = int(segment["lo"]) + int(np.int64(segment["n_bytes"]))
    src_port = int(np.int64(segment["src_port"]))
    dst_port = int(np.int64(segment["dst_port"]))
    low, high = min(src_port, dst_port), max(src_port, dst_port)
    port = int(np.int64(talk["server_port"])) or low
    turn, place = 0, 0
    while turn < _N_TURNS:
        rule = int(np.int64(talk["rule"])) if turn == 0 else int(np.int64(know.chains[place]))
        if rule == 0 or (turn == 0 and place > 0):
            # The lower port is the server's more often than not.
            turn += 2 if turn == 1 and port == low else 1
            if turn == _ANY_PORT:
                # Bounds: the caller has left at least one captured byte.
                place = int(np.int64(know.any_port[udp, be8(data, lo)]))
            elif turn < _ANY_PORT:
                asked = port if turn == 1 else low if turn == 2 else high
                place = int(np.int64(know.ports[udp, asked]))
            continue
        certainty = 2 if turn == 0 else 0 if turn == _ANY_PORT else 1
        is_server = 1 if src_port == port else 0
        label = judge(data, lo, hi, end, rule, certainty, is_server, talk, know)
        if label > 0:
            # What STUN has opened the way for takes its place.
            held = int(np.int64(talk["rule"]))
            if know.rules[rule]["holds"] and (held == 0 or know.rules[held]["check"] == _STUN):
                talk["rule"] = rule
            return rule, label
        if label == AGAIN and turn > 0:
            turn, place = 0, 0
            continue
        place += 1
    return 0, 0

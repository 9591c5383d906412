"""TCP analysis in plain Python: a dictionary a conversation, every rule in the order of tshark."""

from typing import Any

from tapwatch.tables import TcpAnalysis
from tests.flows.naive import mix

FIN, SYN, RST, ACK = 1, 2, 4, 16
N_BUCKETS = 64
Side = dict[str, Any]


def before(a: int, b: int) -> bool:
    """Sequence numbers on a circle: is it less than half a turn up from `a` to `b`?"""
    return (a - b) % 2**32 >= 2**31


def unsigned(time_ns: int) -> int:
    """A time that went back is longer than any other."""
    return time_ns % 2**64


def analyse(packets: list[dict[str, Any]], capacity: int = 524_288) -> list[tuple[int, int, int]]:
    """The analysis, the gap and the advance of each packet; hash seed 0."""
    buckets: list[dict[Any, dict[str, Any]]] = [{} for _ in range(N_BUCKETS)]
    return [one(p, buckets, capacity // N_BUCKETS) for p in packets]


def one(p: dict[str, Any], buckets: list[dict[Any, Any]], most: int) -> tuple[int, int, int]:
    """Find the conversation; the dictionary of a bucket is in the order of latest segments."""
    if p["proto"] != 6 or not p["is_flow"] or not p["transport_header_bytes"]:
        return 0, 0, 0
    here = (p["src_hi"], p["src_lo"], p["src_port"])
    there = (p["dst_hi"], p["dst_lo"], p["dst_port"])
    key = (frozenset({here, there}), p["tunnel_id"], p["ip_version"])
    bucket = buckets[bucket_of(here, there, p)]
    talk = bucket.pop(key, None)
    found = TcpAnalysis(0)
    flags, seq = p["tcp_flags"], p["tcp_seq"]
    if talk is not None and flags & SYN and talk["sides"][here]["base"] is not None:
        side = talk["sides"][here]
        if not flags & ACK and side["base"] == seq:
            side["next"] = side["unbroken"]
        elif side["base"] != seq:
            found |= TcpAnalysis.REUSED_PORTS
            if flags & ACK:
                side["base"] = seq
            else:
                talk = None
    if talk is None:
        if len(bucket) == most:
            del bucket[next(iter(bucket))]
        talk = {"last_ns": p["ts_ns"], "syn_ns": 0, "round_trip_ns": 0}
        talk["sides"] = {here: new_side(), there: new_side()}
        talk["nobody"] = new_side()
    bucket[key] = talk
    gap_ns = max(p["ts_ns"] - talk["last_ns"], 0)
    talk["last_ns"] = p["ts_ns"]
    fwd = talk["sides"][here]
    rev = talk["sides"][there] if here != there else talk["nobody"]
    advance = 0
    if not p["is_fragment"]:
        if fwd["next"]:
            up = (seq - fwd["next"]) % 2**32
            advance = up if up < 2**31 else up - 2**32
        learn_base(p, fwd, rev)
        found |= judge(p, talk, fwd, rev)
    learn_handshake(p, talk, fwd, rev)
    return int(found), gap_ns, advance


def new_side() -> Side:
    """What is known of a direction that has sent nothing."""
    numbers = dict.fromkeys(("next", "unbroken", "ack", "next_ns", "ack_ns", "duplicates"), 0)
    words = {"base": None, "window": 2**32 - 1, "scale": "?", "only_syn": False, "said": 0}
    return numbers | words


def learn_base(p: dict[str, Any], fwd: Side, rev: Side) -> None:
    """The initial sequence numbers, seen or guessed."""
    if fwd["base"] is None:
        fwd["base"] = p["tcp_seq"] if p["tcp_flags"] & SYN else (p["tcp_seq"] - 1) % 2**32
    if rev["base"] is None and p["tcp_flags"] & ACK:
        rev["base"] = (p["tcp_ack"] - 1) % 2**32


def judge(p: dict[str, Any], talk: dict[str, Any], fwd: Side, rev: Side) -> TcpAnalysis:
    """All but the reuse of ports."""
    length, end = p["payload_bytes"], (p["tcp_seq"] + p["payload_bytes"]) % 2**32
    if length == 1 and p["tcp_seq"] == fwd["next"] and rev["window"] == 0:
        found = TcpAnalysis.ZERO_WINDOW_PROBE
    else:
        found = sequence(p, fwd, rev, end)
    if p["tcp_ack"] != fwd["ack"]:
        fwd["duplicates"] = 0
    if rev["unbroken"] and before(rev["unbroken"], p["tcp_ack"]) and p["tcp_flags"] & ACK:
        if before(rev["unbroken"], rev["next"]):
            rev["unbroken"] = rev["next"]
            found |= TcpAnalysis.ACK_LOST_SEGMENT
        else:
            if rev["duplicates"] == 0:
                found |= TcpAnalysis.ACK_LOST_SEGMENT
            rev["duplicates"] = -1
    if (length or p["tcp_flags"] & (SYN | FIN)) and not found & TcpAnalysis.KEEP_ALIVE:
        found |= order(p, talk, fwd, rev, end)
    remember(p, fwd, end, found)
    return found


def sequence(p: dict[str, Any], fwd: Side, rev: Side, end: int) -> TcpAnalysis:
    """Where the segment stands to what its sender has sent, and to the other side's window."""
    says, found = TcpAnalysis, TcpAnalysis(0)
    seq, length, window = p["tcp_seq"], p["payload_bytes"], p["tcp_window"]
    if fwd["next"] and before(fwd["next"], seq) and not p["tcp_flags"] & RST:
        found |= says.LOST_SEGMENT
    if p["tcp_flags"] & (SYN | FIN | RST):
        return found
    if window == 0:
        found |= says.ZERO_WINDOW
    if length <= 1 and seq == (fwd["next"] - 1) % 2**32:
        found |= says.KEEP_ALIVE
    if length and rev["scale"] != "?":
        shift = 0 if rev["scale"] == "none" or rev["only_syn"] else rev["scale"]
        if end == (rev["ack"] + (rev["window"] << shift)) % 2**32:
            found |= says.WINDOW_FULL
    if length == 0 and seq == fwd["next"] and p["tcp_ack"] == fwd["ack"]:
        found |= repeated(window, fwd, rev)
    return found


def repeated(window: int, fwd: Side, rev: Side) -> TcpAnalysis:
    """A bare ACK that says what the one before has said."""
    says = TcpAnalysis
    if window and window != fwd["window"]:
        return says.WINDOW_UPDATE
    if window and rev["said"] & says.KEEP_ALIVE:
        return says.KEEP_ALIVE_ACK
    if window == fwd["window"] == 0 and rev["said"] & says.ZERO_WINDOW_PROBE:
        return says.ZERO_WINDOW_PROBE_ACK
    if not window:
        return says(0)
    fwd["duplicates"] = 1 if fwd["duplicates"] == -1 else fwd["duplicates"] + 1
    return says.DUPLICATE_ACK


def order(p: dict[str, Any], talk: dict[str, Any], fwd: Side, rev: Side, end: int) -> TcpAnalysis:
    """Old or new, and if old, why."""
    says = TcpAnalysis
    seq, length = p["tcp_seq"], p["payload_bytes"]
    is_old = fwd["next"] and before(seq, fwd["next"])
    if length > 1 and seq == (fwd["next"] - 1) % 2**32:
        is_old = False
    if length and rev["ack"] and (end == rev["ack"] or before(end, rev["ack"])):
        return says.SPURIOUS_RETRANSMISSION | says.RETRANSMISSION
    if not is_old:
        return says(0)
    is_soon = unsigned(p["ts_ns"] - rev["ack_ns"]) < 20_000_000
    if rev["duplicates"] not in (0, 1) and rev["ack"] == seq and is_soon:
        return says.FAST_RETRANSMISSION | says.RETRANSMISSION
    limit_ns = unsigned(talk["round_trip_ns"] or 3_000_000)
    tail = (end + (1 if p["tcp_flags"] & (SYN | FIN) else 0)) % 2**32
    if unsigned(p["ts_ns"] - fwd["next_ns"]) < limit_ns and tail != fwd["next"]:
        return says.OUT_OF_ORDER
    return says.RETRANSMISSION


def remember(p: dict[str, Any], fwd: Side, end: int, found: TcpAnalysis) -> None:
    """What the next segment is held against."""
    if not found & TcpAnalysis.ZERO_WINDOW_PROBE:
        if p["tcp_flags"] & (SYN | FIN):
            end = (end + 1) % 2**32
        if not fwd["next"] or before(fwd["next"], end):
            fwd["next"], fwd["next_ns"] = end, p["ts_ns"]
        if not fwd["unbroken"] or p["tcp_seq"] == fwd["unbroken"]:
            fwd["unbroken"] = fwd["next"]
    fwd["window"], fwd["ack"], fwd["ack_ns"] = p["tcp_window"], p["tcp_ack"], p["ts_ns"]
    fwd["said"] = found


def learn_handshake(p: dict[str, Any], talk: dict[str, Any], fwd: Side, rev: Side) -> None:
    """The initial round trip and the window scales."""
    flags = p["tcp_flags"] & (SYN | ACK)
    if flags & SYN:
        fwd["only_syn"] = True
        if flags == SYN:
            talk["syn_ns"] = p["ts_ns"]
    if flags == ACK:
        fwd["only_syn"] = False
        if talk["syn_ns"] and not talk["round_trip_ns"]:
            talk["round_trip_ns"] = p["ts_ns"] - talk["syn_ns"]
    if p["tcp_window_scale"] != 255:
        fwd["scale"] = p["tcp_window_scale"]
    if flags & SYN:
        if fwd["scale"] == "?":
            fwd["scale"] = rev["scale"] = "none"
        elif flags & ACK and rev["scale"] == "none":
            fwd["scale"] = "none"


def bucket_of(here: tuple[int, ...], there: tuple[int, ...], p: dict[str, Any]) -> int:
    """The top 6 bits of the hash of a flow without VLAN."""
    a, b = (end_hash(*end) for end in (here, there))
    meta = 6 | p["ip_version"] << 8 | p["tunnel_id"] << 32
    return mix(mix((a & b) ^ meta) ^ (a ^ b)) >> 58


def end_hash(*words: int) -> int:
    """Hash of high and low half of an address, and port, with seed 0."""
    state = 0
    for word in words:
        state = mix(state ^ word) ^ (word << 23 | word >> 41) % 2**64
    return state

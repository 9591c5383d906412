"""What a connection has come to, the slow way: from the list of its segments.

A side is an object with a word for its state, and the letters of what it has sent.
"""

from typing import Any

from tapwatch.tables import ConnState

FIN, SYN, RST, ACK = 1, 2, 4, 16
_PORTLESS = {17, 1, 58}  # UDP, ICMP, ICMPv6: judged by who has spoken


class Side:
    """One end of a connection."""

    def __init__(self) -> None:
        self.state = "inactive"
        self.before_reset = ""
        self.letters = ""  # S H A D F R, and I for what is none of them
        self.letters_before_reset = ""

    def note(self, p: dict[str, Any]) -> None:
        """Add the letter of a segment."""
        flags = p["tcp_flags"]
        named = [letter for bit, letter in ((SYN, "S"), (FIN, "F"), (RST, "R")) if flags & bit]
        if named == ["S"] and flags & ACK:
            named = ["H"]
        if len(named) > 1:
            named = ["I"]
        if named == ["R"] and "R" not in self.letters:
            self.letters_before_reset = self.letters
        if not named and not p["payload_bytes"] > 0 and flags & ACK:
            named = ["A"]
        if p["payload_bytes"] > 0 and not flags & RST:
            named.append("D")
        self.letters += "".join(named)


def conn_state(
    proto: int, segments: list[tuple[dict[str, Any], int]], sides: list[list[dict[str, Any]]]
) -> ConnState:
    """Zeek's word for it, by its order of decision."""
    if proto in _PORTLESS:
        spoken = tuple(bool(side) for side in sides)
        words = {(True, True): ConnState.SF, (True, False): ConnState.S0}
        return words.get(spoken, ConnState.SHR)
    if proto != 6:
        return ConnState.NONE
    orig, resp = Side(), Side()
    for p, d in segments:
        (resp if d else orig).note(p)
        step(p, orig, resp, is_orig=d == 0)
    return decide(orig, resp)


STATES = ("inactive", "partial", "syn sent", "syn-ack sent", "established", "closed", "reset")
#: Row: the originator's state; column: the responder's. Where there are two words it depends.
WORDS = """
    OTH        OTH        OTH  OTH  OTH  SHR  RSTRH
    OTH        OTH        OTH  OTH  OTH  SHR  RSTRH
    S0         OTH        OTH  OTH  OTH  S3   REJ
    OTH        OTH        OTH  OTH  OTH  S3   REJ
    OTH        OTH        OTH  OTH  S1   S3   RSTR
    SH         SH         S2   S2   S2   SF   RSTR
    RSTOS0/OTH RSTOS0/OTH RSTO RSTO RSTO RSTO REJ/RSTR
"""
TABLE = [line.split() for line in WORDS.strip().splitlines()]


def decide(orig: Side, resp: Side) -> ConnState:
    """From the states of both sides to the state of the connection."""
    first, _, second = TABLE[STATES.index(orig.state)][STATES.index(resp.state)].partition("/")
    if first == "REJ" and second and "D" in orig.letters + resp.letters:
        return ConnState[second]
    before = set(orig.letters_before_reset)
    if first == "RSTOS0" and not ("S" in before <= {"S", "D"} and "R" in orig.letters):
        return ConnState[second]
    return ConnState[first]


def step(p: dict[str, Any], orig: Side, resp: Side, *, is_orig: bool) -> None:
    """What one segment does to its side and to the other one."""
    me, other = (orig, resp) if is_orig else (resp, orig)
    flags = p["tcp_flags"]
    fin, syn, rst, ack = (bool(flags & bit) for bit in (FIN, SYN, RST, ACK))
    if me.state == "reset":
        return
    if me.state == "closed":
        if rst and other.state != "closed":
            me.state, me.before_reset = "reset", "closed"
        return
    was = me.state
    if was == "inactive":
        begin(p, me, other, is_orig=is_orig)
    if was == "partial" and syn and not ack and other.state == "inactive":
        me.state = "syn sent"
    if fin and (not rst or me.state not in ("established", "partial")):
        if me.state in ("established", "partial") and other.before_reset == "closed":
            other.state = "closed"
        me.state = "closed"
    if rst and not (me.state == "closed" == other.state):
        me.before_reset, me.state = me.state, "reset"


def begin(p: dict[str, Any], me: Side, other: Side, *, is_orig: bool) -> None:
    """The first segments of a side."""
    flags = p["tcp_flags"]
    syn, ack = bool(flags & SYN), bool(flags & ACK)
    if syn and is_orig:
        me.state = "syn-ack sent" if ack else "syn sent"
    elif syn:
        me.state = "established"
        if other.state == "syn sent":
            other.state = "established"
    elif not flags & (FIN | RST):
        early = not is_orig and not p["payload_bytes"] > 0 and other.state == "syn sent"
        if ack and other.state == "established":
            me.state = "established"
        elif not early:
            me.state = "partial"


def repeated(side: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those segments of one side that bring nothing beyond what it has sent."""
    return _walk(side)[1]


def highest(side: list[dict[str, Any]]) -> int:
    """The number after the last byte, SYN or FIN of one side."""
    return _walk(side)[0]


def _walk(side: list[dict[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
    top, again = 0, []
    has_said = has_number = False
    for p in side:
        flags, payload = p["tcp_flags"], max(p["payload_bytes"], 0)
        if flags & RST:
            has_said = True
            continue
        length = payload + bool(flags & SYN) + bool(flags & FIN)
        end = (p["tcp_seq"] + length) % 2**32
        asks = flags & (SYN | ACK | RST) == SYN
        ahead = (end - top + 2**31) % 2**32 - 2**31  # with its sign
        keep_alive = length == payload == 1 and ahead == 0
        is_attempt = asks and not has_said and ahead != 0
        if not has_number or (length and (ahead > 0 or is_attempt)):
            top, has_number = end, True
        elif length and not keep_alive:
            again.append(p)
        has_said = has_said or not asks
    return top, again

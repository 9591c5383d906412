"""When a packet of a known key does not belong to the flow: silence, a cut, or another connection.

A SYN without ACK (and without RST) asks for a connection. It begins another flow

- at once, where the flow is closing: FIN went both ways, or somebody sent RST;
- as a reuse of the ports, where its sender has already sent something beyond such SYNs, and its
  sequence number is not the initial one of that side. The initial one is that of the side's SYN or,
  where that was not seen, the one before its first segment: a SYN that the capture holds after the
  segments that followed it is of the same connection.

So a SYN that is sent again never parts a flow, and neither does another attempt with another
initial sequence number by a side that has not been heard beyond SYNs: it moves the initial one.
"""

from typing import Any, Final

from numba import njit

from tapwatch.flows.hashing import wide
from tapwatch.flows.layout import CLASS_CLOSING, CLASS_ICMP, CLASS_IDLE, CLASS_UDP
from tapwatch.flows.protocols import ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, UDP
from tapwatch.tables import EndReason

KEEP: Final = 0
IDLE: Final = int(EndReason.IDLE)
ACTIVE: Final = int(EndReason.ACTIVE)
PORT_REUSE: Final = int(EndReason.PORT_REUSE)
EVICTED: Final = int(EndReason.EVICTED)
#: Verdict: the flow was closing, and a SYN asks for another connection.
CLOSED: Final = 100

_FIN: Final = int(EndReason.FIN)
_RST: Final = int(EndReason.RST)
_FIN_BOTH_WAYS: Final = 3
_SEQ_MASK: Final = 0xFFFF_FFFF
_SAID: Final = 1  # bits of NODE.said, for the forward direction; those for backward are twice these
_SYN_SEEN: Final = 4
_NUMBER_KNOWN: Final = 16


@njit
def timeout_class(row: Any) -> int:
    """Give the timeout class whose list the flow belongs in."""
    if row["is_closing"] != 0:
        return CLASS_CLOSING
    proto = row["proto"]
    if proto == UDP:
        return CLASS_UDP
    if proto in (ICMP, ICMPV6):
        return CLASS_ICMP
    return CLASS_IDLE


@njit
def has_number(node: Any, direction: int) -> bool:
    """Tell whether a direction has sent any segment but RST: `sequence` knows its number."""
    return bool((wide(node["said"]) >> direction) & _NUMBER_KNOWN)


@njit
def note_number(node: Any, direction: int) -> None:
    """Remember that the number of a direction is known."""
    node["said"] = wide(node["said"]) | (_NUMBER_KNOWN << direction)


@njit
def has_said(node: Any, direction: int) -> bool:
    """Tell whether a direction has sent more than SYNs."""
    return bool((wide(node["said"]) >> direction) & _SAID)


@njit
def asks(packet: Any) -> bool:
    """Tell whether a packet is a SYN without ACK and RST."""
    has_header = packet["transport_header_bytes"] > 0
    return bool(has_header and packet["tcp_flags"] & (SYN | ACK | RST) == SYN)


@njit
def judge(row: Any, node: Any, packet: Any, key: Any, direction: int, parameters: Any) -> int:
    """Decide whether a packet of the flow's key belongs to it.

    Returns
    -------
    verdict : int
        KEEP; or IDLE (silent for longer than its timeout), CLOSED, PORT_REUSE, ACTIVE: it ends.
    """
    silence_ns = key["clock_ns"] - row["last_clock_ns"]
    if silence_ns > parameters["timeout_ns"][wide(node["list"])]:
        return IDLE
    if packet["proto"] == TCP and asks(packet):
        if row["is_closing"] != 0:
            return CLOSED
        if has_said(node, direction) and node["isn"][direction] != packet["tcp_seq"]:
            return PORT_REUSE
    if key["ts_ns"] - row["first_ts_ns"] > parameters["active_ns"]:
        return ACTIVE
    return KEEP


@njit
def note_tcp(row: Any, node: Any, packet: Any, direction: int) -> None:
    """Follow a connection's beginning and end, as far as `judge` wants to know.

    The packet is a TCP segment that has a header.
    """
    flags = wide(packet["tcp_flags"])
    said = wide(node["said"])
    if (said >> direction) & _SAID == 0:
        seq = wide(packet["tcp_seq"])
        if flags & SYN:
            node["isn"][direction] = seq
        elif (said >> direction) & _SYN_SEEN == 0:
            node["isn"][direction] = (seq - 1) & _SEQ_MASK
        node["said"] = said | ((_SYN_SEEN if asks(packet) else _SAID) << direction)
    if flags & FIN:
        row["fin_seen"] = wide(row["fin_seen"]) | (1 << direction)
    if row["is_closing"] == 0:
        if flags & RST:
            row["is_closing"] = _RST
        elif row["fin_seen"] == _FIN_BOTH_WAYS:
            row["is_closing"] = _FIN

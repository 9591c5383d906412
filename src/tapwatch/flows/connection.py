"""What the two sides of a connection have done, and how it stands: Zeek's conn_state.

Each side is in one of the states below, by what it sent and, where it waits for an answer, by what
the other side sent. A side is CLOSED from its FIN on, acknowledged or not, and RESET from its RST
on, unless both sides were closed by then. Retransmitted segments change nothing.

UDP, ICMP and ICMPv6 have no such states: there it counts who has sent anything at all. (Zeek calls
every ICMP connection OTH; whoever wants KDD's SF for them turns it there.) Other protocols are
NONE. An active cut parts rows, not connections: history and state go on.
"""

from typing import Any, Final

from numba import njit

from tapwatch.flows.hashing import wide
from tapwatch.flows.protocols import ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, UDP
from tapwatch.tables import ConnState

# FLOW.conn_history of one side: its state in the low three bits,
STATE: Final = 7
INACTIVE: Final = 0  # has sent nothing that counts
PARTIAL: Final = 1  # joined in the middle
SYN_SENT: Final = 2
SYN_ACK_SENT: Final = 3  # by the initiator: nobody saw the SYN that it answers
ESTABLISHED: Final = 4
CLOSED: Final = 5
RESET: Final = 6
# and what it has sent: a segment with two of SYN, FIN and RST is odd, and none of the others.
HEARD: Final = 1 << 3  # anything, of any protocol; written when a row is
SENT_SYN: Final = 1 << 4
SENT_SYN_ACK: Final = 1 << 5
SENT_ACK: Final = 1 << 6  # nothing but an acknowledgement
SENT_DATA: Final = 1 << 7  # payload, but for that of a RST
SENT_FIN: Final = 1 << 8
SENT_RST: Final = 1 << 9
SENT_ODD: Final = 1 << 10
GAVE_UP: Final = 1 << 11  # its RST came when it had sent a SYN, and of the others data at most
WAS_CLOSED: Final = 1 << 12  # its RST came after its FIN

_CONTROL: Final = SYN | FIN | RST
_MORE_THAN_SYN: Final = SENT_SYN_ACK | SENT_ACK | SENT_FIN | SENT_RST | SENT_ODD
_URG: Final = 5  # row of FLOW flag_counts
_COUNT_MASK: Final = 0xFFFF_FFFF

_NONE: Final = int(ConnState.NONE)
_S0: Final = int(ConnState.S0)
_S1: Final = int(ConnState.S1)
_SF: Final = int(ConnState.SF)
_REJ: Final = int(ConnState.REJ)
_S2: Final = int(ConnState.S2)
_S3: Final = int(ConnState.S3)
_RSTO: Final = int(ConnState.RSTO)
_RSTR: Final = int(ConnState.RSTR)
_RSTOS0: Final = int(ConnState.RSTOS0)
_RSTRH: Final = int(ConnState.RSTRH)
_SH: Final = int(ConnState.SH)
_SHR: Final = int(ConnState.SHR)
_OTH: Final = int(ConnState.OTH)


@njit
def follow(row: Any, packet: Any, d: int) -> None:
    """Take one TCP segment of direction `d` that has a header into `conn_history`."""
    flags = wide(packet["tcp_flags"])
    has_payload = packet["payload_bytes"] > 0
    mine = wide(row["conn_history"][d])
    if flags & _CONTROL:
        theirs = wide(row["conn_history"][1 - d])
        mine, theirs = _after_control(mine, theirs, flags, has_payload, d)
        row["conn_history"][1 - d] = theirs
        row["conn_history"][d] = mine
        return
    said = 0
    if has_payload:
        said = SENT_DATA
    elif flags & ACK:
        said = SENT_ACK
    # Most segments say nothing that their side has not said before.
    if mine & said != said or mine & STATE == INACTIVE:
        theirs = wide(row["conn_history"][1 - d]) & STATE
        row["conn_history"][d] = _after_plain(mine | said, theirs, flags, has_payload, d)


@njit
def _after_plain(mine: Any, their_state: int, flags: int, has_payload: bool, d: int) -> Any:
    if mine & STATE != INACTIVE:
        return mine
    # Some acknowledge a SYN before they answer it.
    if d == 1 and not has_payload and their_state == SYN_SENT:
        return mine
    # After a SYN-ACK it was the SYN that nobody saw.
    if flags & ACK and their_state == ESTABLISHED:
        return mine | ESTABLISHED
    return mine | PARTIAL


@njit
def _after_control(mine: Any, theirs: Any, flags: int, has_payload: bool, d: int) -> Any:
    state, their_state = mine & STATE, theirs & STATE
    if flags & SYN:
        if state == INACTIVE and d == 0:
            state = SYN_ACK_SENT if flags & ACK else SYN_SENT
        elif state == INACTIVE:
            state = ESTABLISHED
            if their_state == SYN_SENT:
                their_state = ESTABLISHED
        elif state == PARTIAL and their_state == INACTIVE and flags & ACK == 0:
            state = SYN_SENT
    is_open = state in (PARTIAL, ESTABLISHED)
    if flags & FIN and state != RESET and not (flags & RST and is_open):
        # Who sent FIN and RST before the other's FIN has ended the connection as it should.
        if is_open and their_state == RESET and theirs & WAS_CLOSED:
            their_state = CLOSED
        state = CLOSED
    mine |= _said(mine, flags, has_payload)
    if flags & RST and state != RESET and not (state == CLOSED and their_state == CLOSED):
        if state == CLOSED:
            mine |= WAS_CLOSED
        state = RESET
    return (mine & ~STATE) | state, (theirs & ~STATE) | their_state


@njit
def _said(mine: Any, flags: int, has_payload: bool) -> Any:
    """Give the bits of what a segment with SYN, FIN or RST adds to what its side has sent."""
    said = 0
    control = flags & _CONTROL
    if control == SYN:
        said = SENT_SYN_ACK if flags & ACK else SENT_SYN
    elif control == FIN:
        said = SENT_FIN
    elif control == RST:
        said = SENT_RST
        if mine & SENT_SYN and mine & _MORE_THAN_SYN == 0:
            said |= GAVE_UP
    else:
        said = SENT_ODD
    if has_payload and flags & RST == 0:
        said |= SENT_DATA
    return said


@njit
def conclude_connection(row: Any) -> None:
    """Write what the connection has come to when a row of it is written."""
    urgent = wide(row["urgent_packets"])
    for d in range(2):
        urgent += wide(row["flag_counts"][_URG, d])
        row["connection_payload_bytes"][d] += row["payload_bytes"][d]
        if row["packets"][d] > 0:
            row["conn_history"][d] = wide(row["conn_history"][d]) | HEARD
    row["urgent_packets"] = urgent & _COUNT_MASK
    row["conn_state"] = _state_of(row)


@njit
def _state_of(row: Any) -> Any:
    forward, backward = wide(row["conn_history"][0]), wide(row["conn_history"][1])
    proto = row["proto"]
    if proto == TCP:
        return _tcp_state(forward, backward)
    if proto not in (UDP, ICMP, ICMPV6):
        return _NONE
    if backward & HEARD == 0:
        return _S0
    return _SF if forward & HEARD else _SHR


@njit
def _tcp_state(forward: Any, backward: Any) -> Any:
    # In Zeek's order of decision.
    state, their_state = forward & STATE, backward & STATE
    if RESET in (state, their_state):
        return _reset_state(forward, backward)
    if state == CLOSED and their_state == CLOSED:
        return _SF
    if state == CLOSED:
        return _SH if their_state in (INACTIVE, PARTIAL) else _S2
    if their_state == CLOSED:
        return _SHR if state in (INACTIVE, PARTIAL) else _S3
    if state == SYN_SENT and their_state == INACTIVE:
        return _S0
    return _S1 if state == ESTABLISHED and their_state == ESTABLISHED else _OTH


@njit
def _reset_state(forward: Any, backward: Any) -> Any:
    state, their_state = forward & STATE, backward & STATE
    if their_state == RESET:
        no_data = (forward | backward) & SENT_DATA == 0
        if state in (SYN_SENT, SYN_ACK_SENT) or (state == RESET and no_data):
            return _REJ
        return _RSTRH if state in (INACTIVE, PARTIAL) else _RSTR
    if their_state not in (INACTIVE, PARTIAL):
        return _RSTO
    return _RSTOS0 if forward & GAVE_UP else _OTH

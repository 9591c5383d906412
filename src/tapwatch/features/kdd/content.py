"""Reads the clear text of sessions, segment by segment, and gives the content columns at their end.

Of each side, bytes beyond the highest sequence number seen are read, so that a retransmission does
not count twice; what the capture lacks breaks the line that it falls into. A segment that a later
one has overtaken is one that the capture lacks: nothing waits for it, and it is not read.
"""

from typing import Final

import numpy as np
from numba import njit

from tapwatch.features.kdd.http import read_http
from tapwatch.features.kdd.index import (
    OLDEST,
    add,
    find,
    helper,
    home_of,
    is_full,
    remove,
    touch,
    wide,
)
from tapwatch.features.kdd.lines import apply_rules
from tapwatch.features.kdd.rule_table import PROTOCOL_OF_PORT
from tapwatch.features.kdd.rules import CONTENT_COLUMNS, Protocol, Side, State
from tapwatch.features.kdd.sessions import CUT, ENCRYPTED, EVICTED, GAPPY, LINE_BYTES, READ
from tapwatch.tables import EndReason

_TCP: Final = 6  # IANA protocol number
_SYN: Final = 0x02
_SEQUENCE_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31
_ACTIVE: Final = int(EndReason.ACTIVE)
_N_COLUMNS: Final = len(CONTENT_COLUMNS)
_NO_KEY, _NO_KIND = np.uint64(0), np.int64(0)

_TELNET, _RLOGIN, _HTTP = int(Protocol.TELNET), int(Protocol.RLOGIN), int(Protocol.HTTP)
_PROMPT, _RESPONDER = np.int64(Side.PROMPT), np.int64(Side.RESPONDER)
_IDLE, _CLIENT = int(State.IDLE), int(State.CLIENT)

_NUL, _ETX, _BELL, _BACKSPACE, _LF, _CR, _NAK, _ESC, _DELETE = 0, 3, 7, 8, 10, 13, 21, 27, 127
_UPPER_A, _UPPER_Z, _TO_LOWER = 65, 90, 32
#: RFC 854: IAC, SB, SE, and WILL to DONT, which an option follows.
_IAC, _SB, _SE, _WILL, _DONT = 255, 250, 240, 251, 254
#: ECMA-48: CSI and OSC behind ESC; a control sequence ends with a byte from @ to ~.
_CSI, _OSC, _FINAL_FIRST, _FINAL_LAST = 91, 93, 64, 126

#: What is done with a byte: step over it, keep it, end the line, or look at the prompt before it.
_STEP, _APPEND, _END, _LOOK = range(4)

#: Values of `escape`.
_PLAIN, _COMMAND, _OPTION, _SUB, _SUB_COMMAND, _ESCAPED, _CONTROL, _TITLE = range(8)


@njit(nogil=True, cache=True)
def find_content(packets, links, which):  # type: ignore[no-untyped-def]
    """Write the positions of the packets whose payload is to be read; give their number.

    Parameters
    ----------
    packets : PACKET (n,)
    links : LINK (n,)
    which : int64 (>= n,)
    """
    n = 0
    for i in range(len(packets)):
        packet = packets[i]
        if packet["payload_captured_bytes"] <= 0 or packet["proto"] != _TCP:
            continue
        link = links[i]
        port = packet["src_port"] if link["direction"] else packet["dst_port"]
        if PROTOCOL_OF_PORT[port] and link["is_flow"] and packet["frag_offset_bytes"] == 0:
            which[n] = i
            n += 1
    return n


@njit(nogil=True, cache=True)
def read_content(data, packets, links, which, ended, turns, sessions, contents):  # type: ignore[no-untyped-def]
    """Read payload, and hand out the columns of connections as they end.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    packets, links : PACKET and LINK (n,)
    which : int64 (m,)
        Packets with payload to read.
    ended : FLOW (k,)
    turns : int64 (k, 2)
        In which order they are taken: the row, and how many packets came before it did, -1 where
        its time decides that. By order_ns first, then by the latter.
    sessions : Sessions
    contents : int32 (k, 13)
        Written in the order of `turns`. A row is taken before the packet behind which it came out
        early, or else before the first packet of its time, so that it does not depend on where
        batches end who makes room, or what a row has.
    """
    n_taken = np.int64(0)
    for i in which:
        packet = packets[i]
        while n_taken < len(turns):
            row, n_before = turns[n_taken, 0], turns[n_taken, 1]
            is_due = ended[row]["order_ns"] <= packet["clock_ns"]
            if not (n_before <= i if n_before >= 0 else is_due):
                break
            _take(sessions, ended[row], contents, n_taken)
            n_taken += 1
        _read_segment(data, packet, links[i], sessions)
    while n_taken < len(turns):
        _take(sessions, ended[turns[n_taken, 0]], contents, n_taken)
        n_taken += 1


@helper
def _take(sessions, flow, contents, k):  # type: ignore[no-untyped-def]
    for column in range(_N_COLUMNS):
        contents[k, column] = 0
    if flow["proto"] != _TCP or flow["end_reason"] == _ACTIVE:
        return
    key = np.uint64(flow["connection_id"])
    home = home_of(sessions.keys, key, _NO_KEY, _NO_KIND)
    s = find(sessions.keys, home, key, _NO_KEY, _NO_KIND)
    if s < 0:
        return
    for column in range(_N_COLUMNS):
        contents[k, column] = sessions.rows[s]["counts"][column]
    row, totals = sessions.rows[s], sessions.totals
    totals[READ + wide(row["protocol"])] += row["is_read"]
    totals[CUT] += row["is_cut"]
    totals[GAPPY] += row["is_gappy"]
    totals[ENCRYPTED] += row["is_encrypted"]
    remove(sessions.keys, s)


@helper
def _read_segment(data, packet, link, sessions):  # type: ignore[no-untyped-def]
    way = wide(link["direction"])
    s = _session(sessions, link, packet)
    session = sessions.rows[s]
    if session["is_closed"][way]:
        return
    seq = wide(packet["tcp_seq"]) + (wide(packet["tcp_flags"]) & _SYN) // _SYN
    wire_bytes = max(wide(packet["payload_bytes"]), wide(packet["payload_captured_bytes"]))
    if session["has_seq"][way] == 0:
        session["has_seq"][way] = 1
        session["next_seq"][way] = seq & _SEQUENCE_MASK
    ahead = (seq - wide(session["next_seq"][way])) & _SEQUENCE_MASK
    if ahead >= _HALF:
        ahead -= 2 * _HALF
    if ahead + wire_bytes <= 0:
        return
    if ahead > 0:
        _lose(session, way, ahead)
    known = max(-ahead, 0)
    session["next_seq"][way] = (seq + wire_bytes) & _SEQUENCE_MASK
    start = wide(packet["payload_start"])
    # Bounds: every read of `data` is below `end`, and `end` is within `data`.
    end = min(start + wide(packet["payload_captured_bytes"]), len(data))
    if known < end - start:
        _feed(data, start + known, end, session, way, sessions.limit[0])
    missing = wire_bytes - max(known, end - start)
    if missing > 0:
        _lose(session, way, missing)


@helper
def _session(sessions, link, packet):  # type: ignore[no-untyped-def]
    index = sessions.keys
    key = np.uint64(link["connection_id"])
    home = home_of(index, key, _NO_KEY, _NO_KIND)
    s = find(index, home, key, _NO_KEY, _NO_KIND)
    if s >= 0:
        touch(index, s)
        return s
    if is_full(index):
        remove(index, wide(index.ends[OLDEST]) - 1)
        sessions.totals[EVICTED] += 1
    s = add(index, home, key, _NO_KEY, _NO_KIND)
    port = packet["src_port"] if link["direction"] else packet["dst_port"]
    _begin(sessions.rows[s], wide(PROTOCOL_OF_PORT[port]) - 1)
    return s


@helper
def _begin(session, protocol):  # type: ignore[no-untyped-def]
    session["protocol"] = protocol
    session["state"] = _IDLE
    session["name"] = 0
    session["is_prompt_due"] = 0
    session["is_head"] = 0
    session["is_authorized"] = 0
    session["is_read"] = 0
    session["is_cut"] = 0
    session["is_gappy"] = 0
    session["is_encrypted"] = 0
    session["status"] = 0
    for column in range(_N_COLUMNS):
        session["counts"][column] = 0
    for way in range(2):
        session["skip"][way] = 0
        session["n_read"][way] = 0
        session["length"][way] = -1
        session["next_seq"][way] = 0
        session["n_line"][way] = 0
        session["has_seq"][way] = 0
        session["is_broken"][way] = 0
        session["is_closed"][way] = 0
        session["escape"][way] = _PLAIN
        session["part"][way] = 0
        session["is_chunked"][way] = 0


@helper
def _lose(session, way, n_bytes):  # type: ignore[no-untyped-def]
    # Bytes that the capture lacks.
    session["is_gappy"] = 1
    stepped = min(wide(session["skip"][way]), n_bytes)
    session["skip"][way] -= stepped
    if n_bytes > stepped:
        session["is_broken"][way] = 1
        session["n_line"][way] = 0
        session["escape"][way] = _PLAIN


@helper
def _feed(data, at, end, session, way, limit):  # type: ignore[no-untyped-def]
    while at < end and session["is_closed"][way] == 0:
        if session["skip"][way] > 0:
            stepped = min(wide(session["skip"][way]), end - at)
            session["skip"][way] -= stepped
            at += stepped
            continue
        if session["n_read"][way] >= limit:
            session["is_closed"][way] = 1
            session["is_cut"] = 1
            break
        byte = wide(data[at])
        action = _action(session, way, byte)
        if action == _LOOK:  # at the prompt first, then at this byte
            session["is_prompt_due"] = 0
            apply_rules(session, _PROMPT, _RESPONDER)
            continue
        at += 1
        session["n_read"][way] += 1
        if action == _APPEND:
            _append(session, way, byte)
        elif action == _END:
            if session["is_broken"][way] == 0 and _is_for_rules(session, way):
                apply_rules(session, way, way)
            session["is_broken"][way] = 0
            session["n_line"][way] = 0


@helper
def _append(session, way, byte):  # type: ignore[no-untyped-def]
    n = wide(session["n_line"][way])
    if session["is_broken"][way] == 0 and n < LINE_BYTES:
        if _UPPER_A <= byte <= _UPPER_Z:
            byte += _TO_LOWER
        session["line"][way, n] = byte
        session["n_line"][way] = n + 1


@helper
def _is_for_rules(session, way):  # type: ignore[no-untyped-def]
    # Whether the line that ends is one for the rules: of HTTP, only a request line is.
    return session["protocol"] != _HTTP or read_http(session, way)


@helper
def _action(session, way, byte):  # type: ignore[no-untyped-def]
    # What is to be done with a byte.
    is_telnet, is_rlogin = session["protocol"] == _TELNET, session["protocol"] == _RLOGIN
    if is_telnet or is_rlogin:
        is_escape = (is_telnet and byte == _IAC) or (way == 1 and byte == _ESC)
        if is_escape or session["escape"][way] != _PLAIN:
            return _APPEND if _escape(session, way, byte) else _STEP
        if way == 0:
            return _typed(session, byte, is_rlogin)
        session["is_prompt_due"] = 1
    return _END if byte == _LF else _STEP if byte in (_CR, _NUL) else _APPEND


@helper
def _typed(session, byte, is_rlogin):  # type: ignore[no-untyped-def]
    if session["is_prompt_due"]:
        return _LOOK
    if byte == _NUL and session["n_read"][0] == 0 and is_rlogin:
        session["state"] = _CLIENT  # rlogin begins with an empty string
    action = _END if byte in (_LF, _CR, _NUL) else _APPEND
    if byte in (_BACKSPACE, _DELETE):  # what is typed can be taken back
        session["n_line"][0] = max(wide(session["n_line"][0]) - 1, 0)
        action = _STEP
    elif byte in (_NAK, _ETX):
        session["n_line"][0] = 0
        action = _STEP
    return action


@helper
def _escape(session, way, byte):  # type: ignore[no-untyped-def]
    # Steps over Telnet commands and a terminal's control sequences; True where the byte is text.
    escape = session["escape"][way]
    after = escape
    if escape == _PLAIN:
        after = _COMMAND if byte == _IAC else _ESCAPED
    elif escape == _ESCAPED:
        after = _CONTROL if byte == _CSI else _TITLE if byte == _OSC else _PLAIN
    elif escape == _CONTROL:
        after = _PLAIN if _FINAL_FIRST <= byte <= _FINAL_LAST else _CONTROL
    elif escape == _TITLE:
        after = _PLAIN if byte == _BELL else _TITLE
    else:
        after = _telnet(escape, byte)
    session["escape"][way] = after
    return escape == _COMMAND and byte == _IAC


@helper
def _telnet(escape, byte):  # type: ignore[no-untyped-def]
    # RFC 854: what is under way behind IAC after one more byte.
    if escape == _COMMAND:
        return _SUB if byte == _SB else _OPTION if _WILL <= byte <= _DONT else _PLAIN
    if escape == _SUB:
        return _SUB_COMMAND if byte == _IAC else _SUB
    if escape == _SUB_COMMAND:
        return _PLAIN if byte == _SE else _SUB
    return _PLAIN  # an option is one byte

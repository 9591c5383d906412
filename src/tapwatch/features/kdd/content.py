"""Reads the clear text of sessions, segment by segment, and gives the content columns at their end.

Of each side, bytes beyond the highest sequence number seen are read, so that a retransmission does
not count twice; what the capture lacks breaks the line that it falls into.
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
_NO_KEY: Final = np.uint64(0)

_TELNET, _RLOGIN, _HTTP = int(Protocol.TELNET), int(Protocol.RLOGIN), int(Protocol.HTTP)
_PROMPT: Final = int(Side.PROMPT)
_IDLE, _CLIENT = int(State.IDLE), int(State.CLIENT)

_NUL, _ETX, _BELL, _BACKSPACE, _LF, _CR, _NAK, _ESC, _DELETE = 0, 3, 7, 8, 10, 13, 21, 27, 127
_UPPER_A, _UPPER_Z, _TO_LOWER = 65, 90, 32
#: RFC 854: IAC, SB, SE, and WILL to DONT, which an option follows.
_IAC, _SB, _SE, _WILL, _DONT = 255, 250, 240, 251, 254
#: ECMA-48: CSI and OSC behind ESC; a control sequence ends with a byte from @ to ~.
_CSI, _OSC, _FINAL_FIRST, _FINAL_LAST = 91, 93, 64, 126

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
def read_content(data, packets, links, which, ended, order, sessions, contents):  # type: ignore[no-untyped-def]
    """Read payload, and hand out the columns of connections as they end.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    packets, links : PACKET and LINK (n,)
    which : int64 (m,)
        Packets with payload to read.
    ended : FLOW (k,)
    order : int64 (k,)
        In which order they are taken; by order_ns first.
    sessions : Sessions
    contents : int32 (k, 13)
        Written in the order of `order`. A row that comes out at a packet time is taken before the
        packets of that time, so that it does not depend on where batches end who makes room.
    """
    n_taken = 0
    for i in which:
        packet = packets[i]
        while n_taken < len(order) and (ended[order[n_taken]]["order_ns"] <= packet["clock_ns"]):
            _take(sessions, ended[order[n_taken]], contents, n_taken)
            n_taken += 1
        _read_segment(data, packet, links[i], sessions)
    while n_taken < len(order):
        _take(sessions, ended[order[n_taken]], contents, n_taken)
        n_taken += 1


@helper
def _take(sessions, flow, contents, k):  # type: ignore[no-untyped-def]
    for column in range(_N_COLUMNS):
        contents[k, column] = 0
    if flow["proto"] != _TCP or flow["end_reason"] == _ACTIVE:
        return
    key = np.uint64(flow["connection_id"])
    home = home_of(sessions.keys, key, _NO_KEY, 0)
    s = find(sessions.keys, home, key, _NO_KEY, 0)
    if s < 0:
        return
    for column in range(_N_COLUMNS):
        contents[k, column] = sessions.counts[s, column]
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
    side = sessions.sides[2 * s + way]
    if side["is_closed"]:
        return
    seq = wide(packet["tcp_seq"]) + (wide(packet["tcp_flags"]) & _SYN) // _SYN
    wire_bytes = max(wide(packet["payload_bytes"]), wide(packet["payload_captured_bytes"]))
    if side["has_seq"] == 0:
        side["has_seq"] = 1
        side["next_seq"] = seq & _SEQUENCE_MASK
    ahead = (seq - wide(side["next_seq"])) & _SEQUENCE_MASK
    if ahead >= _HALF:
        ahead -= 2 * _HALF
    if ahead + wire_bytes <= 0:
        return
    if ahead > 0:
        _lose(sessions, s, way, ahead)
    known = max(-ahead, 0)
    side["next_seq"] = (seq + wire_bytes) & _SEQUENCE_MASK
    start = wide(packet["payload_start"])
    # Bounds: every read of `data` is below `end`, and `end` is within `data`.
    end = min(start + wide(packet["payload_captured_bytes"]), len(data))
    if known < end - start:
        _feed(data, start + known, end, sessions, s, way)
    missing = wire_bytes - max(known, end - start)
    if missing > 0:
        _lose(sessions, s, way, missing)


@helper
def _session(sessions, link, packet):  # type: ignore[no-untyped-def]
    index = sessions.keys
    key = np.uint64(link["connection_id"])
    home = home_of(index, key, _NO_KEY, 0)
    s = find(index, home, key, _NO_KEY, 0)
    if s >= 0:
        touch(index, s)
        return s
    if is_full(index):
        remove(index, wide(index.ends[OLDEST]) - 1)
        sessions.totals[EVICTED] += 1
    s = add(index, home, key, _NO_KEY, 0)
    port = packet["src_port"] if link["direction"] else packet["dst_port"]
    _begin(sessions, s, wide(PROTOCOL_OF_PORT[port]) - 1)
    return s


@helper
def _begin(sessions, s, protocol):  # type: ignore[no-untyped-def]
    row = sessions.rows[s]
    row["protocol"] = protocol
    row["state"] = _IDLE
    row["name"] = 0
    row["is_prompt_due"] = 0
    row["is_head"] = 0
    row["is_authorized"] = 0
    row["is_read"] = 0
    row["is_cut"] = 0
    row["is_gappy"] = 0
    row["is_encrypted"] = 0
    row["status"] = 0
    for column in range(_N_COLUMNS):
        sessions.counts[s, column] = 0
    for r in range(2 * s, 2 * s + 2):
        side = sessions.sides[r]
        side["skip"] = 0
        side["n_read"] = 0
        side["length"] = -1
        side["next_seq"] = 0
        side["n_line"] = 0
        side["has_seq"] = 0
        side["is_broken"] = 0
        side["is_closed"] = 0
        side["escape"] = _PLAIN
        side["part"] = 0
        side["is_chunked"] = 0


@helper
def _lose(sessions, s, way, n_bytes):  # type: ignore[no-untyped-def]
    # Bytes that the capture lacks.
    side = sessions.sides[2 * s + way]
    sessions.rows[s]["is_gappy"] = 1
    stepped = min(wide(side["skip"]), n_bytes)
    side["skip"] -= stepped
    if n_bytes > stepped:
        side["is_broken"] = 1
        side["n_line"] = 0
        side["escape"] = _PLAIN


@helper
def _feed(data, at, end, sessions, s, way):  # type: ignore[no-untyped-def]
    side, session = sessions.sides[2 * s + way], sessions.rows[s]
    is_terminal = session["protocol"] == _TELNET or session["protocol"] == _RLOGIN
    while at < end and side["is_closed"] == 0:
        if side["skip"] > 0:
            stepped = min(wide(side["skip"]), end - at)
            side["skip"] -= stepped
            at += stepped
            continue
        if side["n_read"] >= sessions.limit[0]:
            side["is_closed"] = 1
            session["is_cut"] = 1
            break
        byte = wide(data[at])
        at += 1
        side["n_read"] += 1
        if is_terminal:
            _terminal(sessions, s, way, byte)
        elif byte == _LF:
            _end_line(sessions, s, way)
        elif byte not in (_CR, _NUL):
            _append(sessions.lines, side, 2 * s + way, byte)


@helper
def _append(lines, side, r, byte):  # type: ignore[no-untyped-def]
    n = wide(side["n_line"])
    if side["is_broken"] == 0 and n < LINE_BYTES:
        if _UPPER_A <= byte <= _UPPER_Z:
            byte += _TO_LOWER
        lines[r, n] = byte
        side["n_line"] = n + 1


@helper
def _end_line(sessions, s, way):  # type: ignore[no-untyped-def]
    r = 2 * s + way
    side = sessions.sides[r]
    if side["is_broken"] == 0:
        if sessions.rows[s]["protocol"] == _HTTP:
            read_http(sessions, s, way)
        elif side["n_line"] > 0:
            apply_rules(sessions, s, way, r)
    side["is_broken"] = 0
    side["n_line"] = 0


@helper
def _terminal(sessions, s, way, byte):  # type: ignore[no-untyped-def]
    # One byte of Telnet or rlogin.
    side, session = sessions.sides[2 * s + way], sessions.rows[s]
    is_telnet = session["protocol"] == _TELNET
    is_escape = (is_telnet and byte == _IAC) or (way == 1 and byte == _ESC)
    if (is_escape or side["escape"] != _PLAIN) and not _escape(side, byte):
        return
    if way == 1:
        session["is_prompt_due"] = 1
        if byte == _LF:
            _end_line(sessions, s, way)
        elif byte not in (_CR, _NUL):
            _append(sessions.lines, side, 2 * s + way, byte)
        return
    if session["is_prompt_due"]:
        session["is_prompt_due"] = 0
        apply_rules(sessions, s, _PROMPT, 2 * s + 1)
    if byte == _NUL and side["n_read"] == 1 and not is_telnet:
        session["state"] = _CLIENT  # rlogin begins with an empty string
    elif byte in (_LF, _CR, _NUL):
        _end_line(sessions, s, way)
    else:
        _type(sessions.lines, side, 2 * s, byte)


@helper
def _type(lines, side, r, byte):  # type: ignore[no-untyped-def]
    # What is typed can be taken back.
    if byte in (_BACKSPACE, _DELETE):
        side["n_line"] = max(wide(side["n_line"]) - 1, 0)
    elif byte in (_NAK, _ETX):
        side["n_line"] = 0
    else:
        _append(lines, side, r, byte)


@helper
def _escape(side, byte):  # type: ignore[no-untyped-def]
    # Steps over Telnet commands and a terminal's control sequences; True where the byte is text.
    escape = side["escape"]
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
    side["escape"] = after
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

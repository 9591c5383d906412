"""HTTP/1: request lines and statuses are read, bodies stepped over (RFC 9112)."""

from typing import Final

import numpy as np

from tapwatch.features.kdd.index import helper, wide
from tapwatch.features.kdd.lines import apply_rules, fail, is_at, number, succeed, trimmed
from tapwatch.features.kdd.rules import Side

_ORIGINATOR: Final = int(Side.ORIGINATOR)

#: What the line under way is of a message.
_START, _HEADER, _CHUNK, _TRAILER = range(4)

_WORDS: Final = ("http/", "head ", "content-length:", "transfer-encoding:", "authorization:")
_TEXT: Final = np.frombuffer("".join(_WORDS).encode(), np.uint8)
_AT: Final = np.cumsum([0, *map(len, _WORDS)])
_VERSION, _HEAD, _LENGTH, _ENCODING, _AUTHORIZATION = range(len(_WORDS))

_BLANK: Final = 32
_SWITCHING, _NO_CONTENT, _NOT_MODIFIED, _UNAUTHORIZED = 101, 204, 304, 401
_ZERO, _NINE, _A, _F = 48, 57, 97, 102
_LARGEST: Final = 1 << 40


@helper
def read_http(sessions, s, way):  # type: ignore[no-untyped-def]
    """Take a line of an HTTP message, which may be empty."""
    r = 2 * s + way
    side, session = sessions.sides[r], sessions.rows[s]
    n = trimmed(sessions.lines, r, wide(side["n_line"]))
    part = side["part"]
    if part == _START:
        if n > 0:
            _start(sessions, s, way, n)
    elif part == _HEADER:
        if n > 0:
            _header(sessions.lines, session, side, r, n, way)
        else:
            _end_headers(sessions, s, way)
    elif part == _CHUNK:
        if n > 0:  # an empty line ends the chunk before
            _chunk(sessions.lines, side, r, n)
    elif n == 0:  # the end of a trailer
        side["part"] = _START


@helper
def _starts(lines, r, n, word):  # type: ignore[no-untyped-def]
    length = wide(_AT[word + 1] - _AT[word])
    # Bounds: the line has as many bytes as the word.
    return n >= length and is_at(lines, r, 0, _TEXT, wide(_AT[word]), length)


@helper
def _start(sessions, s, way, n):  # type: ignore[no-untyped-def]
    r = 2 * s + way
    side, session = sessions.sides[r], sessions.rows[s]
    side["length"] = -1
    side["is_chunked"] = 0
    side["part"] = _HEADER
    if way == 0:
        session["is_head"] = _starts(sessions.lines, r, n, _HEAD)
        session["is_authorized"] = 0
        apply_rules(sessions, s, _ORIGINATOR, r)
        return
    at = wide(_AT[_VERSION + 1] - _AT[_VERSION])
    if not _starts(sessions.lines, r, n, _VERSION):
        side["is_closed"] = 1
        return
    session["is_read"] = 1
    while at < n and sessions.lines[r, at] != _BLANK:
        at += 1
    session["status"] = min(max(number(sessions.lines, r, at + 1, n), 0), 999)


@helper
def _header(lines, session, side, r, n, way):  # type: ignore[no-untyped-def]
    if _starts(lines, r, n, _LENGTH):
        at = wide(_AT[_LENGTH + 1] - _AT[_LENGTH])
        while at < n and lines[r, at] == _BLANK:
            at += 1
        side["length"] = number(lines, r, at, n)
    elif _starts(lines, r, n, _ENCODING):
        side["is_chunked"] = 1
    elif way == 0 and _starts(lines, r, n, _AUTHORIZATION):
        session["is_authorized"] = 1


@helper
def _end_headers(sessions, s, way):  # type: ignore[no-untyped-def]
    side, session = sessions.sides[2 * s + way], sessions.rows[s]
    side["part"] = _START
    if way == 1:
        status = wide(session["status"])
        if 200 <= status < 400:
            succeed(sessions, s)
        elif status == _UNAUTHORIZED and session["is_authorized"]:
            fail(sessions, s)
        if status == _SWITCHING:  # another protocol from here on
            sessions.sides[2 * s]["is_closed"] = 1
            side["is_closed"] = 1
        if status < 200 or status in (_NO_CONTENT, _NOT_MODIFIED) or session["is_head"]:
            return
    if side["is_chunked"]:
        side["part"] = _CHUNK
    elif side["length"] >= 0:
        side["skip"] = side["length"]
    elif way == 1:  # up to the end of the connection
        side["is_closed"] = 1


@helper
def _chunk(lines, side, r, n):  # type: ignore[no-untyped-def]
    size = _hexadecimal(lines, r, n)
    if size < 0:
        side["is_closed"] = 1
    elif size == 0:
        side["part"] = _TRAILER
    else:
        side["skip"] = size


@helper
def _hexadecimal(lines, r, n):  # type: ignore[no-untyped-def]
    value, k = -1, 0
    while k < n:
        digit = wide(lines[r, k])
        if _ZERO <= digit <= _NINE:
            digit -= _ZERO
        elif _A <= digit <= _F:
            digit -= _A - 10
        else:
            break
        value = min(max(value, 0) * 16 + digit, _LARGEST)
        k += 1
    return value

"""HTTP/1: request lines and statuses are read, bodies stepped over (RFC 9112)."""

from typing import Final

import numpy as np

from tapwatch.features.kdd.index import helper, wide
from tapwatch.features.kdd.lines import fail, is_at, number, succeed, trimmed

#: What the line under way is of a message.
_START, _HEADER, _CHUNK, _TRAILER = range(4)

_WORDS: Final = ("http/", "head ", "content-length:", "transfer-encoding:", "authorization:")
_TEXT: Final = np.frombuffer("".join(_WORDS).encode(), np.uint8)
_AT: Final = np.cumsum([0, *map(len, _WORDS)])
_VERSION, _HEAD, _LENGTH, _ENCODING, _AUTHORIZATION = map(np.int64, range(len(_WORDS)))
_BEGIN: Final = np.int64(0)

_CHUNKED: Final = np.frombuffer(b"chunked", np.uint8)
_BLANK, _TAB, _COMMA = 32, 9, 44
_SWITCHING, _NO_CONTENT, _NOT_MODIFIED, _UNAUTHORIZED = 101, 204, 304, 401
_ZERO, _NINE, _A, _F = 48, 57, 97, 102
_LARGEST: Final = 1 << 40


@helper
def read_http(session, way):  # type: ignore[no-untyped-def]
    """Take a line of an HTTP message, which may be empty; True where it is a request line."""
    n = trimmed(session["line"], way, wide(session["n_line"][way]))
    part = session["part"][way]
    if part == _START and n > 0:
        _start(session, way, n)
        return way == 0
    if part == _HEADER and n > 0:
        _header(session, way, n)
    elif part == _HEADER:
        _end_headers(session, way)
    elif part == _CHUNK and n > 0:  # an empty line ends the chunk before
        _chunk(session, way, n)
    elif part == _TRAILER and n == 0:
        session["part"][way] = _START
    return False


@helper
def _starts(lines, way, n, word):  # type: ignore[no-untyped-def]
    length = wide(_AT[word + 1] - _AT[word])
    # Bounds: the line has as many bytes as the word.
    return n >= length and is_at(lines, way, _BEGIN, _TEXT, wide(_AT[word]), length)


@helper
def _start(session, way, n):  # type: ignore[no-untyped-def]
    lines = session["line"]
    session["length"][way] = -1
    session["is_chunked"][way] = 0
    session["part"][way] = _HEADER
    if way == 0:
        session["is_head"] = _starts(lines, way, n, _HEAD)
        session["is_authorized"] = 0
        return
    at = wide(_AT[_VERSION + 1] - _AT[_VERSION])
    if not _starts(lines, way, n, _VERSION):
        session["is_closed"][way] = 1
        return
    session["is_read"] = 1
    while at < n and lines[way, at] != _BLANK:
        at += 1
    session["status"] = min(max(number(lines, way, at + 1, n), 0), 999)


@helper
def _header(session, way, n):  # type: ignore[no-untyped-def]
    lines = session["line"]
    if _starts(lines, way, n, _LENGTH):
        at = wide(_AT[_LENGTH + 1] - _AT[_LENGTH])
        while at < n and (lines[way, at] == _BLANK or lines[way, at] == _TAB):
            at += 1
        session["length"][way] = number(lines, way, at, n)
    elif _starts(lines, way, n, _ENCODING):
        session["is_chunked"][way] = _is_chunked(lines, way, n)
    elif way == 0 and _starts(lines, way, n, _AUTHORIZATION):
        session["is_authorized"] = 1


@helper
def _is_chunked(lines, way, n):  # type: ignore[no-untyped-def]
    """Whether chunked is the last transfer coding of a line (RFC 9112 6.3)."""
    # Bounds: what is before the word is the header's name, or what follows it.
    at = n - len(_CHUNKED)
    if at < _AT[_ENCODING + 1] - _AT[_ENCODING]:
        return False
    before = lines[way, at - 1]
    is_word = before in (_BLANK, _TAB, _COMMA) or at == _AT[_ENCODING + 1] - _AT[_ENCODING]
    return is_word and is_at(lines, way, at, _CHUNKED, _BEGIN, wide(len(_CHUNKED)))


@helper
def _end_headers(session, way):  # type: ignore[no-untyped-def]
    session["part"][way] = _START
    if way == 1:
        status = wide(session["status"])
        if 200 <= status < 400:
            succeed(session)
        elif status == _UNAUTHORIZED and session["is_authorized"]:
            fail(session)
        if status == _SWITCHING:  # another protocol from here on
            session["is_closed"][0] = 1
            session["is_closed"][1] = 1
        if status < 200 or status in (_NO_CONTENT, _NOT_MODIFIED) or session["is_head"]:
            return
    if session["is_chunked"][way]:
        session["part"][way] = _CHUNK
    elif session["length"][way] >= 0:
        session["skip"][way] = session["length"][way]
    elif way == 1:  # up to the end of the connection
        session["is_closed"][way] = 1


@helper
def _chunk(session, way, n):  # type: ignore[no-untyped-def]
    size = _hexadecimal(session["line"], way, n)
    if size < 0:
        session["is_closed"][way] = 1
    elif size == 0:
        session["part"][way] = _TRAILER
    else:
        session["skip"][way] = size


@helper
def _hexadecimal(lines, way, n):  # type: ignore[no-untyped-def]
    value, k = -1, 0
    while k < n:
        digit = wide(lines[way, k])
        if _ZERO <= digit <= _NINE:
            digit -= _ZERO
        elif _A <= digit <= _F:
            digit -= _A - 10
        else:
            break
        value = min(max(value, 0) * 16 + digit, _LARGEST)
        k += 1
    return value

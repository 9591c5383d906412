"""Holds one line against the rules, and carries out what they say."""

from typing import Final

import numpy as np

from tapwatch.features.kdd.index import helper, wide
from tapwatch.features.kdd.rule_table import (
    ALWAYS,
    BIT_OF,
    COLUMN,
    EFFECT,
    FIRST,
    HEADS,
    LENGTH,
    LITERAL,
    LITERALS,
    MATCH,
    OF_ANY,
    OF_LINE,
    OF_SECOND,
    OF_WORD,
    STATE,
    TABLE,
    WHEN,
    WORD_BITS,
)
from tapwatch.features.kdd.rules import (
    CONTENT_COLUMNS,
    GUEST_NAMES,
    HOT_NAMES,
    IS_FLAG,
    ROOT_NAME,
    Effect,
    Match,
    Protocol,
    Side,
    State,
)

# Numba compiles a helper anew for every literal it is called with, but not for NumPy's numbers: so
# numbers that are handed on are those.
_FIRST_WORD, _SECOND_WORD, _BEGIN = np.int64(0), np.int64(1), np.int64(0)

# Enumerations as plain numbers.
_ANY, _EQUALS, _STARTS, _CONTAINS = map(
    int, (Match.ANY, Match.EQUALS, Match.STARTS, Match.CONTAINS)
)
_ENDS, _WORD, _SECOND = int(Match.ENDS), int(Match.WORD), int(Match.SECOND)
_NAME_0, _NAME_2 = int(Effect.NAME_0), int(Effect.NAME_2)
_SUCCESS, _FAILURE = int(Effect.SUCCESS), int(Effect.FAILURE)
_ENCRYPTED, _SKIP = int(Effect.ENCRYPTED), int(Effect.SKIP)
_SIDES: Final = len(Side)
_IDLE, _SHELL = int(State.IDLE), int(State.SHELL)
_TELNET, _RLOGIN = int(Protocol.TELNET), int(Protocol.RLOGIN)
_FLAGS: Final = np.array([name in IS_FLAG for name in CONTENT_COLUMNS], np.uint8)

(_FAILED, _LOGGED_IN, _ROOTS, _HOST_LOGIN, _GUEST_LOGIN) = (
    np.int64(CONTENT_COLUMNS.index(name))
    for name in ("num_failed_logins", "logged_in", "num_root", "is_host_login", "is_guest_login")
)

_NAME_LIST: Final = (*HOT_NAMES, *GUEST_NAMES)
_NAMES: Final = np.frombuffer("".join(_NAME_LIST).encode(), np.uint8)
_NAME_ENDS: Final = np.cumsum([0, *map(len, _NAME_LIST)])
_N_HOT: Final = len(HOT_NAMES)
_ROOT: Final = np.frombuffer(ROOT_NAME.encode(), np.uint8)
_HOT_BIT, _GUEST_BIT, _ROOT_BIT = 1, 2, 4

_N_WORDS: Final = HEADS.shape[1]
_BLANK, _TAB, _QUOTE, _STAR, _PLUS = 32, 9, 34, 42, 43
_ZERO, _NINE = 48, 57
_LARGEST: Final = 1 << 40  # of a number in a line: no body is longer


@helper
def apply_rules(session, side, way):  # type: ignore[no-untyped-def]
    """Hold a line against the rules of its side.

    Parameters
    ----------
    session : SESSION record
    side : int
        rules.Side
    way : int
        Whose line it is: 0 the originator's, 1 the responder's.
    """
    lines = session["line"]
    n = trimmed(lines, way, wide(session["n_line"][way]))
    if n == 0:
        return
    session["is_read"] = 1
    before = wide(session["state"])
    group = wide(session["protocol"]) * _SIDES + side
    words = _two_words(lines, way, n)
    counted = 0
    for word in range(_N_WORDS):
        rules = _candidates(lines, way, n, group, word, words)
        first = wide(FIRST[group]) + word * WORD_BITS
        while rules != 0:
            lowest = rules & -rules
            rules ^= lowest
            rule = first + wide(BIT_OF[lowest % len(BIT_OF)])
            if TABLE[rule, WHEN] >> before & 1 and _matches(lines, way, n, rule, words):
                counted = _apply(session, way, n, rule, counted)


@helper
def _apply(session, way, n, rule, counted):  # type: ignore[no-untyped-def]
    """Carry out a rule that matches; give the columns that the line has counted into, as bits."""
    column = wide(TABLE[rule, COLUMN])
    if column >= 0 and counted >> column & 1 == 0:
        counted |= 1 << column
        count(session, column)
    if TABLE[rule, STATE] >= 0:
        session["state"] = TABLE[rule, STATE]
    if TABLE[rule, EFFECT] != 0:
        _carry_out(session, way, n, wide(TABLE[rule, EFFECT]))
    return counted


@helper
def _two_words(lines, r, n):  # type: ignore[no-untyped-def]
    """Where the first and the second word begin and end; n where there is none."""
    at, end = _word(lines, r, n, _FIRST_WORD)
    next_at = end
    while next_at < n and (lines[r, next_at] == _BLANK or lines[r, next_at] == _TAB):
        next_at += 1
    next_end = next_at
    while next_end < n and lines[r, next_end] != _BLANK and lines[r, next_end] != _TAB:
        next_end += 1
    return at, end, next_at, next_end


@helper
def _candidates(lines, r, n, group, word, words):  # type: ignore[no-untyped-def]
    """Rules of a group that may match, as bits of one of its words; those that contain do."""
    heads = HEADS[group, word]
    # Bounds: no line is empty, nor blank to its end.
    rules = ALWAYS[group, word] | heads[OF_LINE, lines[r, 0]] | heads[OF_WORD, lines[r, words[0]]]
    if words[2] < n:
        rules |= heads[OF_SECOND, lines[r, words[2]]]
    for k in range(n):
        found = heads[OF_ANY, lines[r, k]] & ~rules
        while found != 0:
            lowest = found & -found
            found ^= lowest
            rule = wide(FIRST[group]) + word * WORD_BITS + wide(BIT_OF[lowest % len(BIT_OF)])
            length = wide(TABLE[rule, LENGTH])
            if length <= n - k and is_at(lines, r, k, LITERALS, wide(TABLE[rule, LITERAL]), length):
                rules |= lowest
    return rules


@helper
def count(session, column):  # type: ignore[no-untyped-def]
    """Count into a column; flags stay 1."""
    if _FLAGS[column]:
        session["counts"][column] = 1
    else:
        session["counts"][column] += 1


@helper
def _carry_out(session, way, n, effect):  # type: ignore[no-untyped-def]
    lines = session["line"]
    if _NAME_0 <= effect <= _NAME_2:
        session["name"] = _name_bits(lines, way, n, effect - _NAME_0)
    elif effect == _SUCCESS:
        succeed(session)
    elif effect == _FAILURE:
        fail(session)
    elif effect == _ENCRYPTED:
        session["is_encrypted"] = 1
        session["is_closed"][0] = 1
        session["is_closed"][1] = 1
    elif effect == _SKIP:
        at, end = _word(lines, way, n, _SECOND_WORD)
        session["skip"][way] = max(number(lines, way, at, end), 0)


@helper
def succeed(session):  # type: ignore[no-untyped-def]
    """Count a login that succeeded."""
    name = wide(session["name"])
    count(session, _LOGGED_IN)
    if name & _HOT_BIT:
        count(session, _HOST_LOGIN)
    if name & _GUEST_BIT:
        count(session, _GUEST_LOGIN)
    if name & _ROOT_BIT:
        count(session, _ROOTS)
    session["name"] = 0


@helper
def fail(session):  # type: ignore[no-untyped-def]
    """Count a login that failed; a shell stays a shell."""
    count(session, _FAILED)
    is_shell = session["protocol"] in (_TELNET, _RLOGIN) and session["counts"][_LOGGED_IN] != 0
    session["state"] = _SHELL if is_shell else _IDLE
    session["name"] = 0


@helper
def trimmed(lines, r, n):  # type: ignore[no-untyped-def]
    """Length without blanks at the end."""
    while n > 0 and (lines[r, n - 1] == _BLANK or lines[r, n - 1] == _TAB):
        n -= 1
    return n


# Bounds, here and below: n is at most LINE_BYTES; what is read of a line lies below n, of a literal
# below its length.


@helper
def _matches(lines, r, n, rule, words):  # type: ignore[no-untyped-def]
    # Of the rules that _candidates gives.
    kind, length = TABLE[rule, MATCH], wide(TABLE[rule, LENGTH])
    literal = wide(TABLE[rule, LITERAL])
    at, end = _BEGIN, n  # the literal has to fill the line from `at` to `end`, or stand in between
    if kind == _ENDS:
        at = n - length
    elif kind == _STARTS:
        end = length
    elif kind == _WORD:
        at, end = words[0], words[1]
    elif kind == _SECOND:
        is_tag = words[1] - words[0] != 1 or lines[r, words[0]] not in (_STAR, _PLUS)
        at, end = words[2], words[3]
        at = at if is_tag else end
    if kind in (_ANY, _CONTAINS):
        return True
    return (
        at >= 0
        and end <= n
        and end - at == length
        and is_at(lines, r, at, LITERALS, literal, length)
    )


@helper
def is_at(lines, r, at, literals, literal, length):  # type: ignore[no-untyped-def]
    """Whether a literal stands at a place of a line; the line has as many bytes from there on."""
    k = 0
    while k < length and lines[r, at + k] == literals[literal + k]:
        k += 1
    return k == length


@helper
def _holds(lines, r, at, end, literals, literal, length):  # type: ignore[no-untyped-def]
    if length == 0:
        return True
    first = literals[literal]
    for k in range(at, end - length + 1):
        if lines[r, k] == first and is_at(lines, r, k, literals, literal, length):
            return True
    return False


@helper
def _word(lines, r, n, wanted):  # type: ignore[no-untyped-def]
    # Where the word with this number begins and ends; both n where there are not so many.
    k = _BEGIN
    while True:
        while k < n and (lines[r, k] == _BLANK or lines[r, k] == _TAB):
            k += 1
        at = k
        while k < n and lines[r, k] != _BLANK and lines[r, k] != _TAB:
            k += 1
        if wanted == 0 or k == n:
            break
        wanted -= 1
    return (at, k) if wanted == 0 else (n, n)


@helper
def _name_bits(lines, r, n, wanted):  # type: ignore[no-untyped-def]
    at, end = _word(lines, r, n, wanted)
    while at < end and lines[r, at] == _QUOTE:
        at += 1
    while at < end and lines[r, end - 1] == _QUOTE:
        end -= 1
    bits = 0
    for k in range(len(_NAME_ENDS) - 1):
        length = wide(_NAME_ENDS[k + 1] - _NAME_ENDS[k])
        if end - at == length and is_at(lines, r, at, _NAMES, wide(_NAME_ENDS[k]), length):
            bits |= _HOT_BIT if k < _N_HOT else _GUEST_BIT
    if _holds(lines, r, at, end, _ROOT, _BEGIN, wide(len(_ROOT))):
        bits |= _ROOT_BIT
    return bits


@helper
def number(lines, r, at, end):  # type: ignore[no-untyped-def]
    """Decimal number that begins at a place, -1 where none does."""
    value = -1
    while at < end and _ZERO <= lines[r, at] <= _NINE:
        value = min(max(value, 0) * 10 + wide(lines[r, at]) - _ZERO, _LARGEST)
        at += 1
    return value

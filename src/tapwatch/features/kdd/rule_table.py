"""The rules as arrays, for kernels. No code but the filling of tables."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tapwatch.features.kdd.rules import CONTENT_COLUMNS, PORTS, RULES, Match, Protocol, Side


def _rows() -> Iterator[tuple[tuple[Protocol, Side], tuple[int, ...], bytes]]:
    """Every rule of every protocol and side, a literal each: group, numbers, literal."""
    for protocol in Protocol:
        for side in Side:
            for rule in RULES:
                if protocol not in rule.protocols or side != rule.side:
                    continue
                column = CONTENT_COLUMNS.index(rule.column) if rule.column else -1
                state = -1 if rule.state is None else int(rule.state)
                when = sum(1 << s for s in rule.when)
                numbers = (int(rule.match), when, column, int(rule.effect), state)
                for literal in rule.literals:
                    yield (protocol, side), numbers, literal.encode()


_ALL: Final = tuple(_rows())
MATCH, WHEN, COLUMN, EFFECT, STATE, LITERAL, LENGTH = range(7)  # columns of the table

LITERALS: Final = np.frombuffer(b"".join(text for _, _, text in _ALL), np.uint8)
_ENDS: Final = np.cumsum([len(text) for _, _, text in _ALL])
#: One row a literal, sorted by group; the last two columns say where in LITERALS it is.
TABLE: Final = np.array(
    [
        (*numbers, end - len(text), len(text))
        for (_, numbers, text), end in zip(_ALL, _ENDS.tolist(), strict=True)
    ],
    np.int32,
)
#: [protocol * len(Side) + side] -> first row of the group; its end is the next group's first.
FIRST: Final = np.cumsum(
    [0, *(sum(g == (p, s) for g, _, _ in _ALL) for p in Protocol for s in Side)]
).astype(np.int32)

#: Rules of a group are bits of words with so many.
WORD_BITS: Final = 32
_N_WORDS: Final = -int(-np.diff(FIRST).max() // WORD_BITS)
#: Which byte of a line tells which rules can match: its first, the first of its first or second
#: word, or any.
OF_LINE, OF_WORD, OF_SECOND, OF_ANY = range(4)
_LOOKS_AT: Final = {
    Match.EQUALS: OF_LINE,
    Match.STARTS: OF_LINE,
    Match.WORD: OF_WORD,
    Match.SECOND: OF_SECOND,
    Match.CONTAINS: OF_ANY,
}
#: [group, word, OF_..., byte] -> rules of which the literal begins with the byte.
HEADS: Final = np.zeros((len(FIRST) - 1, _N_WORDS, len(_LOOKS_AT) - 1, 256), np.int64)
#: [group, word] -> rules that are held against every line.
ALWAYS: Final = np.zeros((len(FIRST) - 1, _N_WORDS), np.int64)
for _group in range(len(FIRST) - 1):
    for _place, _row in enumerate(TABLE[FIRST[_group] : FIRST[_group + 1]]):
        _word, _bit = divmod(_place, WORD_BITS)
        if _row[MATCH] in _LOOKS_AT and _row[LENGTH]:
            _head = HEADS[_group, _word, _LOOKS_AT[Match(_row[MATCH])]]
            _head[LITERALS[_row[LITERAL]]] |= 1 << _bit
        else:
            ALWAYS[_group, _word] |= 1 << _bit
#: 2 ** k modulo 37 -> k: the remainders of 32 powers differ.
BIT_OF: Final = np.zeros(37, np.int64)
BIT_OF[[(1 << k) % 37 for k in range(WORD_BITS)]] = np.arange(WORD_BITS)

#: Port of the responder -> 1 + Protocol, 0 where payload is not read.
PROTOCOL_OF_PORT: Final = np.zeros(65_536, np.uint8)
PROTOCOL_OF_PORT[list(PORTS)] = [1 + protocol for protocol in PORTS.values()]

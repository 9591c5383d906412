"""The rules as arrays, for kernels. No code but the filling of tables."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tapwatch.features.kdd.rules import CONTENT_COLUMNS, PORTS, RULES, Protocol, Side


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

#: Port of the responder -> 1 + Protocol, 0 where payload is not read.
PROTOCOL_OF_PORT: Final = np.zeros(65_536, np.uint8)
PROTOCOL_OF_PORT[list(PORTS)] = [1 + protocol for protocol in PORTS.values()]

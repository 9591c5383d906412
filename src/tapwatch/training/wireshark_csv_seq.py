"""Sequence numbers of an export against those expected, by what its rows show; bounded."""

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

_LARGEST: Final = 1 << 18
_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
#: Where segments go: source, destination, source port, destination port.
_Way = tuple[str, str, int, int]


class Line(NamedTuple):
    """What a line shows that may hold a TCP segment."""

    source: str
    destination: str
    src_port: int
    dst_port: int
    seq: int  # relative to the first of the conversation, as Wireshark counts; -1: not shown
    end: int  # the one after it: payload, and one for SYN or FIN
    is_start: bool  # a SYN that begins another conversation between the same ports
    is_probe: bool  # a zero-window probe: its byte is sent again


class Expected:
    """The next sequence number expected of each direction of a conversation.

    Parameters
    ----------
    capacity : int
        Directions that are remembered; those that were silent longest give way.
    """

    def __init__(self, capacity: int = _LARGEST) -> None:
        self._capacity = capacity
        self._n_lines = 0
        self._next: dict[_Way, tuple[int, int]] = {}  # next number, line up to which it is sure
        self._mute: dict[tuple[str, str], int] = {}  # latest line this way that shows no number

    def advances(self, lines: Iterable[Line]) -> list[int]:
        """Give each line's sequence number minus the one expected; 0 where it shows none.

        Notes
        -----
        Those are the values of the capture as long as all lines of a direction show their number.
        A line that shows none (TLS, HTTP) brings bytes of which nothing is told: a number above the
        one expected is taken for what follows on it, so that the advance is 0, and one below it
        may lie farther below. RFC 9293 section 3.4.
        """
        return [self._advance(line) for line in lines]

    def _advance(self, line: Line) -> int:
        self._n_lines += 1
        here = line.source, line.destination
        if line.seq < 0:
            _put(self._mute, here, self._n_lines, self._capacity)
            return 0
        way = (*here, line.src_port, line.dst_port)
        if line.is_start:
            self._next.pop(way, None)
            self._next.pop((line.destination, line.source, line.dst_port, line.src_port), None)
        next_seq, n_heard = self._next.pop(way, (line.seq, self._n_lines))
        advance = _difference(line.seq, next_seq)
        is_blind = self._mute.get(here, 0) > n_heard
        if is_blind and advance > 0:
            is_blind, advance = False, 0
        if not line.is_probe and _difference(line.end, next_seq) > 0:
            next_seq = line.end & _MASK
        n_heard = n_heard if is_blind else self._n_lines
        _put(self._next, way, (next_seq, n_heard), self._capacity)
        return advance


def _difference(a: int, b: int) -> int:
    return ((a - b + _HALF) & _MASK) - _HALF


def _put(table: dict[_Key, _Value], key: _Key, value: _Value, capacity: int) -> None:
    # A dict keeps the order of insertion: the first one has been silent longest.
    table.pop(key, None)
    table[key] = value
    if len(table) > capacity:
        del table[next(iter(table))]

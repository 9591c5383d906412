"""Frames of files through the operator's filter, a compiled loop for each batch.

The programs are libpcap's, one for each link type that the capture has; they run here and not in
libpcap, so that no call leaves the loop and no pointer outlives what it points to.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.capture.bpf import INSTRUCTION, compile_for_link_type
from tapwatch.errors import ConfigError

_ETHERNET: Final = 1
_LINK_TYPES: Final = 65_536  # what FRAME.link_type can hold
#: Frames of link type 0 begin with an address family in the byte order of who wrote them; those
#: of big-endian machines have a program of their own, as if they were of one more link type.
_NULL: Final = 0
_NULL_BIG_ENDIAN: Final = _LINK_TYPES
_UNDECIDED: Final = -2
_NO_PROGRAM: Final = -1
_WORDS: Final = 16  # of scratch memory (BPF_MEMWORDS)
#: Link types whose refusal is told one by one; a hostile file can have thousands.
_TOLD_MOST: Final = 8

_MASK: Final = 0xFFFFFFFF
_BEYOND: Final = -1  # no number of 32 unsigned bits


#: A helper that creates no array needs no reference counts, which take most of the time of a call.
_helper = njit(_nrt=False)  # type: ignore[call-overload]


# Instructions: McCanne and Jacobson, The BSD Packet Filter, 1993. The bits of a code are its class
# (the low three), then mode and size of a load, or operation and operand. Registers are 32 unsigned
# bits, held in 64 signed ones.


@_helper
def _loaded(code, k, x, data, lo, captured, wire, memory):  # type: ignore[no-untyped-def]
    """What an instruction loads; _BEYOND where the frame does not have it."""
    mode = code & 0xE0
    if mode == 0x00:
        return k
    if mode == 0x60:
        return memory[np.uintp(k & (_WORDS - 1))]
    if mode == 0x80:
        return wire
    width = code & 0x18
    size = np.int64(4) if width == 0x00 else np.int64(2 if width == 0x08 else 1)
    offset = k + x if mode == 0x40 else k
    # Bounds: within the captured bytes of this frame.
    if offset + size > captured:
        return np.int64(_BEYOND)
    value = np.int64(0)
    for i in range(lo + offset, lo + offset + size):
        # The index unsigned, or Numba looks for negative ones.
        value = (value << 8) | np.int64(data[np.uintp(i)])
    # The last mode is of one byte, and gives the length of an IP header.
    return (value & 0x0F) << 2 if mode == 0xA0 else value


@_helper
def _jump(instruction, k, operation, a, b):  # type: ignore[no-untyped-def]
    """How many instructions to pass over."""
    if operation == 0x00:
        # Only `protochain` jumps back, and gets further into the frame each time.
        return k if k <= _MASK >> 1 else k - (_MASK + 1)
    if operation == 0x10:
        is_true = a == b
    elif operation == 0x20:
        is_true = a > b
    elif operation == 0x30:
        is_true = a >= b
    else:
        is_true = a & b != 0
    return np.int64(instruction["jt"]) if is_true else np.int64(instruction["jf"])


@_helper
def _shifted(operation, a, b):  # type: ignore[no-untyped-def]
    # What is shifted by more bits than there are is gone.
    if b >= 32:
        return np.int64(0)
    return (a << b) & _MASK if operation == 0x60 else a >> b


@_helper
def _computed(operation, a, b):  # type: ignore[no-untyped-def]  # noqa: PLR0911
    """One of the arithmetic operations; _BEYOND for a division by 0."""
    if operation == 0x50:
        return a & b
    if operation == 0x00:
        return (a + b) & _MASK
    if operation == 0x10:
        return (a - b) & _MASK
    if operation == 0x20:
        # The product may need 64 unsigned bits; of its upper half nothing is wanted.
        return ((a & 0xFFFF) * b + ((((a >> 16) * b) & 0xFFFF) << 16)) & _MASK
    if operation == 0x40:
        return a | b
    if operation == 0xA0:
        return a ^ b
    if operation == 0x80:
        return -a & _MASK
    if operation in (0x60, 0x70):
        return _shifted(operation, a, b)
    if b == 0:
        return np.int64(_BEYOND)
    return a // b if operation == 0x30 else a % b


@_helper
def _matches(programs, first, end, data, lo, captured, wire, memory):  # type: ignore[no-untyped-def]
    """Whether programs[first:end] answers anything but 0 for the frame data[lo : lo + captured]."""
    a = x = np.int64(0)
    pc = np.int64(first)
    # An end for programs that jump back for ever; libpcap's do not.
    for _ in range((end - first) * (captured + 2)):
        # Bounds: libpcap's programs end in a return, and no jump leads out of them.
        if pc < first or pc >= end:
            return False
        instruction = programs[np.uintp(pc)]
        code, k = np.int64(instruction["code"]), np.int64(instruction["k"])
        kind, operation = code & 0x07, code & 0xF0
        operand = x if code & 0x08 else k
        pc += 1
        if kind == 0x05:
            pc += _jump(instruction, k, operation, a, operand)
        elif kind in (0x00, 0x01):
            value = _loaded(code, k, x, data, lo, captured, wire, memory)
            if value == _BEYOND:
                return False
            a, x = (value, x) if kind == 0x00 else (a, value)
        elif kind == 0x06:
            return (a if code & 0x10 else k) != 0
        elif kind == 0x04:
            a = _computed(operation, a, operand)
            if a == _BEYOND:
                return False
        elif kind in (0x02, 0x03):
            memory[np.uintp(k & (_WORDS - 1))] = a if kind == 0x02 else x
        else:
            a, x = (x, x) if code & 0x80 else (a, a)
    return False


@_helper
def _kind(row, data):  # type: ignore[no-untyped-def]
    """Link type of a frame, or _NULL_BIG_ENDIAN."""
    kind, start = np.int64(row["link_type"]), np.uintp(row["start"])
    # Bounds: two bytes of this frame. Families are small numbers, so that the first bytes tell.
    if kind == _NULL and row["captured_bytes"] >= 4 and data[start] == 0:
        return np.int64(_NULL_BIG_ENDIAN) if data[start + np.uintp(1)] == 0 else kind
    return kind


@njit(nogil=True, cache=True)
def sift(
    data: NDArray[np.uint8],
    frames: NDArray[Any],
    span: tuple[int, int],
    programs: NDArray[Any],
    places: NDArray[np.int32],
    totals: NDArray[Any],
) -> tuple[int, int, int]:
    """Move the frames that match to the front; count the others.

    Parameters
    ----------
    data : uint8 (n_bytes,), read-only
        What the frames point into.
    frames : FRAME (n,)
        `number` of those that match is written: how many before each did not.
    span : (i, n_kept)
        Where to go on: (0, 0), or what the call returned that stopped there.
    programs : INSTRUCTION (m,)
        All programs, one after another.
    places : int32 (65537, 2)
        Of each link type (the last: 0, big-endian) where in `programs` its program is, [first,
        end]; first is -1 where it has none, -2 where that is not decided yet.
    totals : DELIVERED (1,)
        `gap` and `filtered`, and `bytes` and `truncated_packets` of what is left out, are added to.

    Returns
    -------
    i, n_kept : int
        n and how many match; or the frame at which an undecided link type stopped the pass.
    undecided : int
        Its place in `places`.
    """
    i, n = span
    kind = np.int64(0)
    total = totals[0]
    memory = np.zeros(_WORDS, np.int64)
    while i < len(frames):
        row = frames[i]
        kind = _kind(row, data)
        first, end = np.int64(places[kind, 0]), np.int64(places[kind, 1])
        if first == _UNDECIDED:
            break
        captured, wire = np.int64(row["captured_bytes"]), np.int64(row["wire_bytes"])
        if first >= 0 and _matches(
            programs, first, end, data, row["start"], captured, wire, memory
        ):
            row["number"] = total["gap"]
            total["gap"] = 0
            if n < i:
                frames[n] = row
            n += 1
        else:
            total["gap"] += 1
            total["filtered"] += 1
            total["bytes"] += wire
            total["truncated_packets"] += captured < wire
        i += 1
    return i, n, int(kind)


class Sieve:
    """A filter for frames of any link type; programs are compiled as link types come along.

    Parameters
    ----------
    text : str
        In the language of pcap-filter(7).
    problems : list of str
        Takes a line for each link type that the filter cannot be compiled for.
    """

    def __init__(self, text: str, problems: list[str]) -> None:
        self._text = text
        self._problems = problems
        self._refused = 0
        self._programs = np.zeros(0, INSTRUCTION)
        self._places = np.full((_LINK_TYPES + 1, 2), _UNDECIDED, np.int32)

    def check(self, link_types: Iterable[int]) -> None:
        """Refuse a filter that is good neither for Ethernet nor for any of some link types.

        Raises
        ------
        ConfigError
            With what libpcap says of the first of them.
        """
        refusal = None
        for link_type in dict.fromkeys((*link_types, _ETHERNET)):
            try:
                compile_for_link_type(self._text, link_type)
                return
            except ConfigError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def keep(
        self, data: NDArray[np.uint8], frames: NDArray[Any], totals: NDArray[Any]
    ) -> NDArray[Any]:
        """The frames that match, at the front of `frames`, which is written over; see `sift`."""
        i, n = 0, 0
        while True:
            i, n, kind = sift(data, frames, (i, n), self._programs, self._places, totals)
            if i == len(frames):
                return frames[:n]
            self._decide(kind)

    def _decide(self, kind: int) -> None:
        link_type = _NULL if kind == _NULL_BIG_ENDIAN else kind
        try:
            program = compile_for_link_type(
                self._text, link_type, is_big_endian=kind == _NULL_BIG_ENDIAN
            )
        except ConfigError as error:
            self._places[kind] = _NO_PROGRAM
            self._refused += 1
            if self._refused <= _TOLD_MOST:
                self._problems.append(
                    f"frames of link type {link_type} are kept back, "
                    f"since they cannot be filtered: {error}"
                )
            elif self._refused == _TOLD_MOST + 1:
                self._problems.append("frames of more link types are kept back for that reason")
            return
        first = len(self._programs)
        self._programs = np.concatenate([self._programs, program.instructions])
        self._places[kind] = first, len(self._programs)

"""One capture file from its first frame to its last, or to the place where it is damaged."""

import os
import stat
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import layout as at
from tapwatch.capture.compressed import is_packed
from tapwatch.capture.delivery import InterfaceTable
from tapwatch.capture.headers import (
    interface_row,
    read_interface,
    read_pcap_header,
    read_section,
    read_snoop_header,
)
from tapwatch.capture.kernel import walk
from tapwatch.capture.listing import STDIN
from tapwatch.capture.source import Damage, never
from tapwatch.capture.windows import FileWindow, StreamWindow, Window
from tapwatch.errors import CaptureError, Stopped, TapwatchError
from tapwatch.tables import FRAME

_WANTED: Final = "want a pcap, pcapng or snoop capture, plain or packed with gzip, zstd or xz"


#: What is wanted first of a record or block: after it, it is known how long it is.
_HEADERS_BYTES: Final = frozenset(
    {at.RECORD_HEADER_BYTES, at.BLOCK_MIN_BYTES, at.SNOOP_RECORD_HEADER_BYTES}
)


class NotACapture(CaptureError):
    """The file can be opened, but gives no capture that we read.

    Attributes
    ----------
    damage : Damage or None
        What the file itself suffers from; None where it is whole, but of another kind.
    is_known : bool
        Its bytes are those of a capture or a packed file, or it cannot be read at all.
    """

    def __init__(self, message: str, damage: Damage | None, *, is_known: bool) -> None:
        super().__init__(message)
        self.damage = damage
        self.is_known = is_known


def open_window(path: str, block_bytes: int, stopped: Callable[[], bool] = never) -> Window:
    """Open a path, or standard input, in the way that suits what it is.

    Raises
    ------
    CaptureError
        The system does not let us read it, or there is nothing in it.
    """
    try:
        fd = 0 if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(fd)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be opened ({error.strerror}): {_WANTED}") from error
    if fd > 2 and stat.S_ISREG(status.st_mode):
        try:
            if status.st_size == 0:
                what = f"{path}: found an empty file: {_WANTED}"
                raise NotACapture(what, Damage.CUT_SHORT, is_known=False)
            if not is_packed(os.pread(fd, at.MAGIC_BYTES, 0)):
                return FileWindow(fd, block_bytes)
        except OSError as error:
            os.close(fd)
            raise CaptureError(f"{path}: cannot be read ({error.strerror}): {_WANTED}") from error
        except NotACapture:
            os.close(fd)
            raise
    try:
        return StreamWindow(fd, block_bytes, stopped)
    except Stopped:
        if fd > 2:
            os.close(fd)
        raise


class CaptureFile:
    """Frames of one file, in the file's own order.

    Parameters
    ----------
    path : str
        A file, a pipe, or "-".
    table : InterfaceTable
        Of the source that the file belongs to.
    block_bytes : int
        Bytes of a buffer; a record that is longer gets a longer one.
    stopped : callable
        Asked while a pipe is silent, and where much is read without a packet; True raises Stopped.

    Raises
    ------
    NotACapture
        It is not a capture, or ends within the file header.
    CaptureError
        It cannot be opened.
    """

    def __init__(
        self,
        path: str,
        table: InterfaceTable,
        block_bytes: int,
        stopped: Callable[[], bool] = never,
    ) -> None:
        self.path = path
        #: What kept the file from being read to its end, and where; None until that is seen.
        self.damage: tuple[Damage, str] | None = None
        self._table = table
        self._state = np.zeros(1, at.WALK)
        self._state["clock_ns"] = at.INT64_MIN
        self._interfaces = np.zeros(0, at.INTERFACE)
        self._is_done = False
        self._stopped = stopped
        self._window = open_window(path, block_bytes, stopped)
        try:
            self._read_header()
        except TapwatchError:
            self.close()
            raise

    @property
    def clock_ns(self) -> int:
        """Running maximum of the times read so far; INT64_MIN before the first frame."""
        return int(self._state[0]["clock_ns"])

    @property
    def skipped_blocks(self) -> int:
        """Pcapng blocks passed over so far."""
        return int(self._state[0]["skipped_blocks"])

    @property
    def recorder_dropped(self) -> int:
        """Packets that whoever wrote the file says it lost."""
        return int(self._state[0]["recorder_dropped"])

    @property
    def link_types(self) -> list[int]:
        """LINKTYPE_ of each interface of the section, as far as described."""
        n = 1 if self._state[0]["format"] != at.PCAPNG else int(self._state[0]["interfaces"])
        return [int(number) for number in self._interfaces["link_type"][:n]]

    @property
    def saturated_times(self) -> int:
        """Time stamps so far outside 1823 to 2116."""
        return int(self._state[0]["saturated_times"])

    @property
    def consumed_bytes(self) -> int:
        """How much of the file on disk is used up."""
        return self._window.consumed(self._offset)

    def read(self, most: int) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
        """Find the next frames.

        Parameters
        ----------
        most : int
            Upper limit for their number.

        Returns
        -------
        data : uint8, read-only
            What the frames point into.
        frames : FRAME (n,), n >= 1
            Without `number`; `interface` is the table's id. None in place of the pair: the end.
        """
        frames = np.empty(most, FRAME)
        n = 0
        while not self._is_done and n < most:
            window = self._window
            found, status = walk(window.data, window.hi, self._state, self._interfaces, frames[n:])
            n += found
            if status in (at.END, at.INCOMPLETE):
                if n and not window.is_last:
                    break  # these frames point into this buffer; the next comes with the next call
                self._more(int(self._state[0]["need_bytes"]))
            elif status == at.SECTION:
                if n and self._lacks(self._section_bytes()):
                    break  # as above
                self._read_section()
            elif status == at.NEW_INTERFACE:
                self._read_interface()
            elif status != at.FULL:
                self._corrupt(at.DAMAGE[status])
        return (self._window.data, frames[:n]) if n else None

    def close(self) -> None:
        """Let go of the file; frames that were read stay good."""
        self._is_done = True
        self._window.close()

    @property
    def _offset(self) -> int:
        return int(self._state[0]["offset"])

    def _bytes(self, n_bytes: int) -> bytes:
        return self._window.data[
            self._offset : min(self._offset + n_bytes, self._window.hi)
        ].tobytes()

    def _lacks(self, need: int) -> bool:
        return self._window.hi - self._offset < need and not self._window.is_last

    def _more(self, need: int) -> bool:
        """Have `need` bytes at the walk's offset; where that cannot be, the file ends here."""
        while self._lacks(need):
            self._look_up()
            self._state["offset"] = self._window.advance(self._offset, need)
        have = self._window.hi - self._offset
        if have >= need:
            return True
        self._is_done = True
        number, place = int(self._state[0]["packets"]) + 1, self._window.base + self._offset
        at_least = "at least " if need in _HEADERS_BYTES else ""
        where = f"in the middle of record {number} at byte {place}"
        if self._window.damage is not None:
            reason, text = self._window.damage
            self.damage = (
                reason,
                f"{self.path}: {text} after byte {place + have}, in record {number}",
            )
        elif have > 0:
            self.damage = (
                Damage.CUT_SHORT,
                f"{self.path}: cut short {where}: {have} of {at_least}{need} bytes",
            )
        return False

    def _look_up(self) -> None:
        # A file may be long and have no frame at which anybody else would ask.
        if self._stopped():
            raise Stopped(f"{self.path}: stopped while looking for packets")

    def _corrupt(self, what: str) -> None:
        self._is_done = True
        number, place = int(self._state[0]["packets"]) + 1, self._window.base + self._offset
        self.damage = (Damage.CORRUPT, f"{self.path}: {what} in record {number} at byte {place}")

    def _read_header(self) -> None:
        """Tell what the file is and read what stands before its first record."""
        is_there = self._more(at.PCAP_HEADER_BYTES)
        head, damage = self._bytes(at.PCAP_HEADER_BYTES), self.damage
        trouble, is_known = "", True
        if head[:4] in at.PCAP_MAGICS:
            trouble = f"a pcap file header of {len(head)} bytes, cut short"
            if is_there and self._more(at.PCAP_MAGICS[head[:4]][-1]):
                self._interfaces, trouble = read_pcap_header(head, self._state, self._table)
        elif head.startswith(at.SNOOP_MAGIC):
            trouble = f"a snoop file header of {len(head)} bytes, cut short"
            if len(head) >= at.SNOOP_HEADER_BYTES:
                damage = None  # it may be shorter than the pcap header that was asked for
                self._interfaces, trouble = read_snoop_header(head, self._state, self._table)
        elif head[:4] == at.PCAPNG_MAGIC:
            self._state["format"] = at.PCAPNG
            self._read_section()
            damage = self.damage or damage
            if self._offset == 0:
                trouble = "a pcapng section header that cannot be read"
        else:
            trouble, damage, is_known = self._foreign(head, damage)
        self.damage = None
        if trouble:
            why = f" ({damage[1].removeprefix(self.path + ': ')})" if damage else ""
            raise NotACapture(
                f"{self.path}: found {trouble}{why}: {_WANTED}",
                damage[0] if damage else None,
                is_known=is_known,
            )
        # A file header alone may be shorter than the longest one, which was asked for.
        self._is_done = False

    def _foreign(
        self, head: bytes, damage: tuple[Damage, str] | None
    ) -> tuple[str, tuple[Damage, str] | None, bool]:
        """What a file is that begins otherwise, what ails it, whether it is a capture or packed."""
        if self._window.damage is not None:
            return _beginning(head), damage, True
        if not head:
            return _beginning(head), (Damage.CUT_SHORT, "empty"), False
        if len(head) < at.MAGIC_MIN_BYTES:
            return _beginning(head), damage, False
        # It may end before a file header would, as any short text does.
        return _beginning(head), None, head.startswith(tuple(at.FOREIGN))

    def _section_bytes(self) -> int:
        """Bytes to read of the section header at the walk's offset, as far as can be told."""
        if self._window.is_last:
            return 0
        if self._lacks(at.SECTION_MIN_BYTES):
            return at.SECTION_MIN_BYTES
        return read_section(self._bytes(at.SECTION_MIN_BYTES), self._state)[0]

    def _read_section(self) -> None:
        self._look_up()
        if not self._more(at.SECTION_MIN_BYTES):
            return
        total, trouble = read_section(self._bytes(at.SECTION_MIN_BYTES), self._state)
        if trouble:
            self._corrupt(trouble)
        elif self._more(total):
            order: Literal["big", "little"] = "little"
            if self._state[0]["is_big_endian"]:
                order = "big"
            end = int.from_bytes(self._bytes(total)[-4:], order)
            if _padded(end) != total:
                self._corrupt(at.DAMAGE[at.BAD_BLOCK_END])
                return
            self._state["interfaces"] = 0
            self._state["offset"] += total

    def _read_interface(self) -> None:
        """The walk has made sure that the whole block is there."""
        self._look_up()
        is_big = bool(self._state[0]["is_big_endian"])
        head = self._bytes(at.BLOCK_MIN_BYTES)
        order: Literal["big", "little"] = "big" if is_big else "little"
        total = _padded(int.from_bytes(head[at.BLOCK_TOTAL_BYTES :][:4], order))
        n = int(self._state[0]["interfaces"])
        if total < at.INTERFACE_MIN_BYTES:
            self._corrupt(at.DAMAGE[at.BAD_BLOCK_BYTES])
            return
        if n == at.INTERFACES_MAX:
            self._corrupt(f"more than {n} interfaces in a section")
            return
        if n == len(self._interfaces):
            room = np.repeat(interface_row(0, 0), max(4, n))
            self._interfaces = np.concatenate([self._interfaces, room])
        self._interfaces[n] = read_interface(self._bytes(total), is_big=is_big, table=self._table)[
            0
        ]
        self._state["interfaces"] = n + 1
        self._state["offset"] += total


def _padded(n_bytes: int) -> int:
    """The next multiple of 32 bits."""
    return n_bytes + 3 & ~3


def _beginning(head: bytes) -> str:
    """What a file that begins so is, in words."""
    for magic, name in at.FOREIGN.items():
        if head.startswith(magic):
            return name
    return f"the bytes {head[:8].hex(' ')}" if head else "no byte"

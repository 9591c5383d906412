"""A ring that the kernel fills with frames, read in place.

The memory is an argument: tests hand in images of rings, `afpacket` what it has mapped.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.capture import layout
from tapwatch.capture import ring_layout as at
from tapwatch.capture.delivery import read_only
from tapwatch.tables import FRAME

_BILLION: Final = 1_000_000_000
_UNKNOWN: Final = 0  # FRAME.direction
_IN: Final = 1
_OUT: Final = 2


@njit
def _u8(memory, i):  # type: ignore[no-untyped-def]
    # Widen first: NumPy (NUMBA_DISABLE_JIT=1) would shift a uint8 to 0.
    return np.int64(memory[np.uintp(i)])


@njit
def _u16(memory, i):  # type: ignore[no-untyped-def]
    return _u8(memory, i) | _u8(memory, i + 1) << 8


@njit
def _u32(memory, i):  # type: ignore[no-untyped-def]
    return _u16(memory, i) | _u16(memory, i + 2) << 16


@njit
def _direction(packet_type):  # type: ignore[no-untyped-def]
    if packet_type <= at.PACKET_OTHERHOST:
        return _IN
    return _OUT if packet_type == at.PACKET_OUTGOING else _UNKNOWN


@njit
def _restore_tag(memory, start, tci, tpid):  # type: ignore[no-untyped-def]
    """Put a VLAN tag back behind the MAC addresses, which move into the room before the frame."""
    for k in range(at.VLAN_OFFSET):
        memory[start - at.VLAN_BYTES + k] = memory[start + k]
    tag = start - at.VLAN_BYTES + at.VLAN_OFFSET
    memory[tag] = tpid >> 8
    memory[tag + 1] = tpid & 0xFF
    memory[tag + 2] = tci >> 8
    memory[tag + 3] = tci & 0xFF


@njit
def _begin(memory, block, state):  # type: ignore[no-untyped-def]
    state["left"] = _u32(memory, block + at.BLOCK_PACKETS)
    state["offset"] = _u32(memory, block + at.BLOCK_FIRST)


@njit
def _fill(memory, head, interface, row):  # type: ignore[no-untyped-def]
    """Write one FRAME row, and mend the frame where the kernel took a VLAN tag out of it."""
    captured = _u32(memory, head + at.FRAME_CAPTURED)
    wire = _u32(memory, head + at.FRAME_WIRE)
    mac = _u16(memory, head + at.FRAME_MAC)
    start = head + mac
    status = _u32(memory, head + at.FRAME_STATUS)
    tci = _u32(memory, head + at.FRAME_VLAN_TCI) & 0xFFFF
    is_tagged = tci != 0 or status & at.TP_STATUS_VLAN_VALID != 0
    row["vlan_tci"] = tci if is_tagged else -1
    # Bounds: PACKET_RESERVE made the room; without it the tag stays beside the frame.
    has_room = mac >= at.FRAME_HEADER_BYTES + at.VLAN_BYTES and captured >= at.VLAN_OFFSET
    if is_tagged and has_room and interface["link_type"] == at.ETHERNET:
        tpid = _u16(memory, head + at.FRAME_VLAN_TPID)
        if tpid == 0 and status & at.TP_STATUS_VLAN_TPID_VALID == 0:
            tpid = at.TPID_8021Q
        _restore_tag(memory, start, tci, tpid)
        start -= at.VLAN_BYTES
        captured += at.VLAN_BYTES
        wire += at.VLAN_BYTES
        row["vlan_tci"] = -1
    # Two 32-bit numbers cannot leave 63 bits of nanoseconds.
    seconds = _u32(memory, head + at.FRAME_SECONDS)
    row["ts_ns"] = seconds * _BILLION + _u32(memory, head + at.FRAME_NANOSECONDS)
    row["start"] = start
    row["number"] = 0  # `deliver` writes it
    row["captured_bytes"] = captured
    row["wire_bytes"] = min(max(wire, captured), 0x7FFF_FFFF)
    row["link_type"] = interface["link_type"]
    row["interface"] = interface["id"]
    row["direction"] = _direction(_u8(memory, head + at.FRAME_PACKET_TYPE))


@njit(nogil=True, cache=True)
def walk_block(
    memory: NDArray[np.uint8],
    block: int,
    block_bytes: int,
    skips_outgoing: bool,
    interfaces: NDArray[Any],
    states: NDArray[Any],
    frames: NDArray[Any],
    n: int,
) -> int:
    """Write a row for each frame of a block, from where the last call stopped.

    Parameters
    ----------
    memory : uint8 (ring_bytes,)
        VLAN tags that the kernel took out are put back into it.
    block, block_bytes : int
        Offset and size of the block. Nothing outside of it is read or written.
    skips_outgoing : bool
        Loopback: every packet is there twice, going out and coming in.
    interfaces : INTERFACE (1,)
        Its `link_type` and `id`.
    states : RING_WALK (1,)
        left < 0 begins the block; left = 0 when it is done.
    frames : FRAME (m,)
        Written from row n on.

    Returns
    -------
    n : int
        Rows that are written; m where the block has more.

    Notes
    -----
    Headers that cannot be end the walk of their block: what is left of it is counted as unreadable.
    The kernel writes no such headers; but where it is believed, it costs a comparison.
    """
    state = states[0]
    if state["left"] < 0:
        _begin(memory, block, state)
    while state["left"] > 0 and n < len(frames):
        offset = state["offset"]
        # Bounds: the header and the address behind it are read only past this line...
        if (
            offset < at.BLOCK_HEADER_BYTES
            or offset > block_bytes - at.FRAME_HEADER_BYTES
            or offset % at.FRAME_ALIGNMENT != 0
        ):
            state["unreadable"] += state["left"]
            state["left"] = 0
            break
        head = block + offset
        mac = _u16(memory, head + at.FRAME_MAC)
        captured = _u32(memory, head + at.FRAME_CAPTURED)
        step = _u32(memory, head + at.FRAME_NEXT)
        # ...and the frame lies behind its header and within the block past this one. A step that
        # does not lead past the header would find the same frame again.
        if (
            mac < at.FRAME_HEADER_BYTES
            or offset + mac + captured > block_bytes
            or (state["left"] > 1 and step < at.FRAME_HEADER_BYTES)
        ):
            state["unreadable"] += state["left"]
            state["left"] = 0
            break
        if skips_outgoing and _u8(memory, head + at.FRAME_PACKET_TYPE) == at.PACKET_OUTGOING:
            state["loopback_copies"] += 1
        else:
            _fill(memory, head, interfaces[0], frames[n])
            n += 1
        state["offset"] = offset + step
        state["left"] -= 1
    return int(n)


def load_kernel() -> None:
    """Load or compile `walk_block`, so that no packet waits for it."""
    memory = np.zeros(at.BLOCK_HEADER_BYTES, np.uint8)
    memory[at.BLOCK_STATUS] = at.STATUS_USER
    Ring(memory, len(memory), at.ETHERNET, 0).fill(np.zeros(1, FRAME))


class Ring:
    """The blocks of a ring in their order, and which of them are ours.

    Parameters
    ----------
    memory : uint8 (n_blocks * block_bytes,), writable
    block_bytes : int
    link_type, interface_id : int
        Written into each row.
    skips_outgoing : bool
        Leave out the outgoing copies of a loopback interface.
    """

    def __init__(
        self,
        memory: NDArray[np.uint8],
        block_bytes: int,
        link_type: int,
        interface_id: int,
        *,
        skips_outgoing: bool = False,
    ) -> None:
        self._memory = memory
        self.data = read_only(memory)
        self._block_bytes = block_bytes
        self._skips_outgoing = skips_outgoing
        blocks = memory.reshape(-1, block_bytes)
        self._status = blocks[:, at.BLOCK_STATUS : at.BLOCK_STATUS + 4].view(np.uint32)[:, 0]
        self._n_packets = blocks[:, at.BLOCK_PACKETS : at.BLOCK_PACKETS + 4].view(np.uint32)[:, 0]
        self._interfaces = np.zeros(1, layout.INTERFACE)
        self._interfaces["link_type"] = link_type
        self._interfaces["id"] = interface_id
        self._walk = np.zeros(1, at.RING_WALK)
        self._walk["left"] = -1
        self._next = 0  # the block that is read, or will be
        self._done: list[int] = []  # blocks that the rows handed out last may point into

    @property
    def loopback_copies(self) -> int:
        """Outgoing copies left out."""
        return int(self._walk["loopback_copies"][0])

    @property
    def unreadable(self) -> int:
        """Frames of blocks whose headers could not be believed."""
        return int(self._walk["unreadable"][0])

    @property
    def fill_ratio(self) -> float:
        """Share of the blocks that wait for us, those in our hands included."""
        return float(np.count_nonzero(self._status & at.STATUS_USER) / len(self._status))

    @property
    def is_ready(self) -> bool:
        """True where a block is ours that was not read to its end."""
        return bool(self._status[self._next] & at.STATUS_USER) and self._next not in self._done

    def fill(self, frames: NDArray[Any]) -> int:
        """Write rows of the blocks that are ready, in their order; returns how many.

        Blocks that are done stay ours until `release`: the rows point into them.
        """
        # The status is read before the block, and written after it; between them lies a call, far
        # more instructions than a processor moves loads over.
        n = 0
        while n < len(frames) and self.is_ready:
            n = walk_block(
                self._memory,
                self._next * self._block_bytes,
                self._block_bytes,
                self._skips_outgoing,
                self._interfaces,
                self._walk,
                frames,
                n,
            )
            if self._walk["left"][0] == 0:
                self._walk["left"] = -1
                self._done.append(self._next)
                self._next = (self._next + 1) % len(self._status)
        return n

    def release(self) -> None:
        """Give the blocks that are done back to the kernel: nobody reads them any more."""
        for block in self._done:
            self._status[block] = at.STATUS_KERNEL
        self._done.clear()

    def unread(self) -> int:
        """Frames in our blocks that were not read; of the kernel's own block nothing is known."""
        ours = np.flatnonzero(self._status & at.STATUS_USER).tolist()
        begun = int(self._walk["left"][0])
        return sum(
            begun if block == self._next and begun >= 0 else int(self._n_packets[block])
            for block in ours
            if block not in self._done
        )

"""An AF_PACKET socket with a ring: how it is opened, hooked to an interface and asked.

Everything is set before the interface is bound, last of all: so nothing enters the ring that the
filter would have kept out, and the first packet has a time stamp like all others.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import ring_layout as at
from tapwatch.capture.bpf import Program
from tapwatch.config import CaptureConfig
from tapwatch.errors import CaptureError

_NAMES_SHOWN: Final = 20
_SLOT_BYTES: Final = 2048  # tp_frame_size; version 3 only checks that it divides the block
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PERMISSION: Final = (
    "want the capability CAP_NET_RAW: run as root, let systemd give it "
    "(AmbientCapabilities=CAP_NET_RAW), or start it with `setpriv --ambient-caps +net_raw "
    "--inh-caps +net_raw`"
)


@dataclass(frozen=True, slots=True)
class KernelCounts:
    """What PACKET_STATISTICS says since it was last asked."""

    packets: int  # that passed the filter; the dropped ones included
    dropped: int  # there was no room in the ring
    freezes: int  # times that the ring was found full


@dataclass(frozen=True, slots=True)
class Hardware:
    """What kind of interface it is."""

    link_type: int  # LINKTYPE_ number
    is_loopback: bool


class PacketSocket:
    """A socket that is not hooked to anything yet.

    Parameters
    ----------
    interface : str

    Raises
    ------
    CaptureError
        No permission, no such interface, or a kind of interface that we cannot read.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._index = _index(interface)
        self._socket = _open(interface)
        self.memory: NDArray[np.uint8] = np.zeros(0, np.uint8)
        try:
            self.hardware = self._ask_hardware()
        except BaseException:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)

    def _ask_hardware(self) -> Hardware:
        try:
            kind = self._ask_device(at.SIOCGIFHWADDR, self._interface)
        except OSError as error:
            raise CaptureError(f"{self._interface}: {error.strerror}") from error
        if kind not in at.LINK_TYPES:
            raise CaptureError(
                f"{self._interface}: its hardware type is {kind}: want Ethernet (1), loopback "
                "(772) or raw IP (65534, 519); others give frames that are not decoded here"
            )
        return Hardware(at.LINK_TYPES[kind], kind == at.ARPHRD_LOOPBACK)

    def _ask_device(self, question: int, name: str | bytes) -> int:
        """The 16 bits behind the name in the answer; a name is bytes, whatever they mean."""
        request = struct.pack("16sH14x", os.fsencode(name), 0)
        answer: int = struct.unpack_from("16xH", fcntl.ioctl(self._socket, question, request))[0]
        return answer

    def check_up(self) -> None:
        """Refuse an interface that is switched off; one without a carrier is waited for later.

        Raises
        ------
        CaptureError
            It is down, or gone. libpcap could compile no filter for it; so neither is it taken
            without one.
        """
        try:
            flags = self._ask_device(at.SIOCGIFFLAGS, self._interface)
        except OSError as error:
            raise CaptureError(f"{self._interface}: {error.strerror}") from error
        if not flags & at.IFF_UP:
            raise CaptureError(
                f"{self._interface}: the interface is down: want one that is up "
                f"(`ip link set dev {self._interface} up`)"
            )

    def set_up(self, config: CaptureConfig, program: Program | None) -> None:
        """Install the filter, and map the ring.

        Parameters
        ----------
        config : CaptureConfig
        program : Program or None
            Locked, so that nothing can take it off.

        Raises
        ------
        CaptureError
            The kernel has no memory for the ring, or does not take the filter.
        """
        ring_bytes = config.ring_blocks * config.ring_block_bytes
        self._check_memory(config, ring_bytes)
        option = self._socket.setsockopt
        # Each frame is stamped once, as it comes in: a tcpdump beside us has the same time.
        option(socket.SOL_SOCKET, at.SO_TIMESTAMPNS, 1)
        option(at.SOL_PACKET, at.PACKET_VERSION, at.TPACKET_V3)
        option(at.SOL_PACKET, at.PACKET_RESERVE, at.VLAN_BYTES)
        if program is not None:
            self._attach(program)
        slots = config.ring_block_bytes // _SLOT_BYTES * config.ring_blocks
        geometry = (config.ring_block_bytes, config.ring_blocks, _SLOT_BYTES, slots)
        request = struct.pack("7I", *geometry, config.ring_timeout_ms, 0, 0)
        try:
            option(at.SOL_PACKET, at.PACKET_RX_RING, request)
        except OSError as error:
            raise CaptureError(
                f"{self._interface}: the kernel gives no ring of {_geometry(config)}: "
                f"{error.strerror}"
            ) from error
        self.memory = np.frombuffer(mmap.mmap(self._socket.fileno(), ring_bytes), np.uint8)

    def _check_memory(self, config: CaptureConfig, ring_bytes: int) -> None:
        # The kernel would take what is asked for from everybody else: it kills other programs for
        # a ring that is too large.
        room_bytes = _available_bytes() // 2
        if ring_bytes > room_bytes:
            raise CaptureError(
                f"{self._interface}: a ring of {_geometry(config)} is {ring_bytes >> 20:,} MiB: "
                f"want at most {room_bytes >> 20:,} MiB, half of the memory that is free"
            )

    def _attach(self, program: Program) -> None:
        instructions = ctypes.create_string_buffer(program.sock_filters)
        request = struct.pack("HP", len(program), ctypes.addressof(instructions))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, at.SO_ATTACH_FILTER, request)
            self._socket.setsockopt(socket.SOL_SOCKET, at.SO_LOCK_FILTER, 1)
        except OSError as error:
            raise CaptureError(
                f"{self._interface}: the kernel refuses the filter {program.text!r}: "
                f"{error.strerror}"
            ) from error

    def hook(self, *, promiscuous: bool) -> None:
        """Let packets in; the last step.

        Raises
        ------
        CaptureError
            The interface has gone meanwhile.
        """
        try:
            if promiscuous:
                member = struct.pack("iHH8x", self._index, at.PACKET_MR_PROMISC, 0)
                self._socket.setsockopt(at.SOL_PACKET, at.PACKET_ADD_MEMBERSHIP, member)
            self._bind(at.ETH_P_ALL)
        except OSError as error:
            raise CaptureError(f"{self._interface}: {error.strerror}") from error

    def unhook(self) -> None:
        """Let nothing in any more; what is in the ring stays. Of no use once the interface left."""
        # Protocol 0 would mean "the one it has".
        try:
            self._bind(at.ETH_P_NOBODY)
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENXIO, errno.ENETDOWN):
                raise

    def _bind(self, protocol: int) -> None:
        # Python's own `bind` wants the name, as UTF-8; it may have another one meanwhile.
        fields = (socket.AF_PACKET, socket.htons(protocol), self._index, 0, 0, 0)
        address = struct.pack("=HHiHBB8x", *fields)  # struct sockaddr_ll
        if _LIBC.bind(self._socket.fileno(), address, len(address)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def is_up(self) -> bool | None:
        """True where the interface is up and has a carrier; None where it is gone."""
        try:
            # It may have been renamed, to bytes that are no text; its number stays.
            request = struct.pack("16xi20x", self._index)
            name = fcntl.ioctl(self._socket, at.SIOCGIFNAME, request)[:16]
            flags = self._ask_device(at.SIOCGIFFLAGS, name)
        except OSError:
            return None
        wanted = at.IFF_UP | at.IFF_RUNNING
        return flags & wanted == wanted

    def wait(self, seconds: float) -> int:
        """Wait for a block, at most that long; returns the socket's error, 0 without one."""
        for _, events in self._poll.poll(max(0, round(seconds * 1000))):
            if events & (select.POLLERR | select.POLLHUP):
                return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return 0

    def statistics(self) -> KernelCounts:
        """Ask the kernel for its counts, which begin at 0 again."""
        answer = self._socket.getsockopt(at.SOL_PACKET, at.PACKET_STATISTICS, 12)
        return KernelCounts(*struct.unpack("3I", answer))

    def close(self) -> None:
        """Let go of the interface; the memory stays for those who hold it."""
        # Python's mapping holds the socket open, so that closing it would not unhook it.
        self.unhook()
        self._socket.close()


def _geometry(config: CaptureConfig) -> str:
    return (
        f"capture.ring_blocks = {config.ring_blocks} times "
        f"capture.ring_block_bytes = {config.ring_block_bytes}"
    )


def _available_bytes() -> int:
    """Memory that a program may take without harm to others, as the kernel estimates it."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _index(interface: str) -> int:
    indices = {name: index for index, name in socket.if_nameindex()}
    names = list(indices)
    if interface not in indices:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise CaptureError(f"{interface}: no such interface: want one of {shown}")
    try:
        interface.encode()
    except UnicodeEncodeError as error:
        raise CaptureError(
            f"{interface!r}: want a name in UTF-8, which alerts and metrics can bear"
        ) from error
    return indices[interface]


def _open(interface: str) -> socket.socket:
    try:
        # Protocol 0: nothing comes in before `hook`.
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise CaptureError(f"{interface}: {error.strerror}: {_PERMISSION}") from error
    except OSError as error:
        raise CaptureError(f"{interface}: no packet socket: {error.strerror}") from error

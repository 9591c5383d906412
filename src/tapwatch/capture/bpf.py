"""Filters in tcpdump's language, made by libpcap into programs of the BSD packet filter.

libpcap is asked through ctypes, only where a filter is given; it is asked for the program alone.
Whoever runs the program is not libpcap: the kernel of a live tap, `sift` for files.
"""

import ctypes
import ctypes.util
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError

#: One instruction as the kernel and libpcap lay it out (struct sock_filter, struct bpf_insn).
INSTRUCTION: Final = np.dtype([("code", "u2"), ("jt", "u1"), ("jf", "u1"), ("k", "u4")])

#: The filter language is written down in pcap-filter(7).
_WANTED: Final = "a filter as tcpdump takes it"
_KEY: Final = "--filter"
#: Longest frame of any tap; a program answers with it for frames that match.
SNAP_BYTES: Final = 262_144
#: Longest program that the kernel takes (BPF_MAXINSNS in linux/bpf_common.h).
_KERNEL_INSTRUCTIONS_MAX: Final = 4096

#: Link types of files that libpcap has by another number: what OpenBSD writes for raw IP.
_SYNONYMS: Final = {14: 101}

_ERROR_BYTES: Final = 256  # PCAP_ERRBUF_SIZE
_NETMASK_UNKNOWN: Final = 0
# What pcap_activate(3) returns
_ERROR_NO_SUCH_DEVICE: Final = -5
_ERROR_PERMISSION: Final = (-8, -11)  # to open it at all; to make it promiscuous
_ERROR_NOT_UP: Final = -9


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled filter.

    Attributes
    ----------
    text : str
        As the operator wrote it.
    link_type : int
        What its offsets are good for: LINKTYPE_ number of a file; of an interface libpcap's DLT_.
    instructions : INSTRUCTION (n,), read-only
        It ends with the number of bytes to keep: 0 for a frame that does not match.
    """

    text: str
    link_type: int
    instructions: NDArray[Any]

    def __len__(self) -> int:
        return len(self.instructions)

    @property
    def sock_filters(self) -> bytes:
        """The instructions as an array of struct sock_filter, for SO_ATTACH_FILTER."""
        return self.instructions.tobytes()


class _BpfProgram(ctypes.Structure):
    _fields_ = (("bf_len", ctypes.c_uint), ("bf_insns", ctypes.c_void_p))


@cache
def _loaded() -> ctypes.CDLL | None:
    """Load libpcap and say what its functions take; None where it is missing."""
    # The name on Debian and on the others; `find_library` may start a compiler to find it.
    names: tuple[Callable[[], str | None], ...] = (
        lambda: "libpcap.so.0.8",
        lambda: "libpcap.so.1",
        lambda: ctypes.util.find_library("pcap"),
    )
    for name in names:
        try:
            if path := name():
                return _declared(ctypes.CDLL(path))
        except OSError:
            continue
    return None


def _libpcap(text: str) -> ctypes.CDLL:
    """The library, for the sake of a filter."""
    if (library := _loaded()) is None:
        want, hint = "libpcap, which compiles it", "install Debian's package libpcap0.8"
        raise ConfigError(_KEY, text, want, hint)
    return library


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    program = ctypes.POINTER(_BpfProgram)
    mask = ctypes.POINTER(ctypes.c_uint32)
    for name, result, arguments in (
        ("pcap_create", handle, (text, text)),
        ("pcap_fopen_offline", handle, (handle, text)),
        ("pcap_set_snaplen", number, (handle, number)),
        ("pcap_set_timeout", number, (handle, number)),
        ("pcap_activate", number, (handle,)),
        ("pcap_close", None, (handle,)),
        ("pcap_datalink", number, (handle,)),
        ("pcap_geterr", text, (handle,)),
        ("pcap_statustostr", text, (number,)),
        ("pcap_lookupnet", number, (text, mask, mask, text)),
        ("pcap_compile", number, (handle, program, text, number, ctypes.c_uint32)),
        ("pcap_freecode", None, (program,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def compile_for_link_type(
    text: str, link_type: int, snap_bytes: int = SNAP_BYTES, *, is_big_endian: bool = False
) -> Program:
    """Compile a filter for the frames of a capture file.

    Not good for a live tap, of whose frames the kernel has taken the VLAN tag out.

    libpcap is shown the header of such a file. Asked without one, it would know only the numbers
    of address families that this machine has, which are not those of the machines whose loopback
    frames (link type 0) begin with them.

    Parameters
    ----------
    text : str
        In the language of pcap-filter(7). Host names in it are looked up; nothing matches all.
    link_type : int
        LINKTYPE_ number.
    snap_bytes : int
        What the program answers for a frame that matches; more than 0.
    is_big_endian : bool
        Byte order of the machine that wrote the file: of numbers in frames of link type 0.

    Raises
    ------
    ConfigError
        libpcap refuses the filter, for this link type at least, or is missing.
    """
    raw, library = _encoded(text), _libpcap(text)
    order = ">" if is_big_endian else "<"
    number = _SYNONYMS.get(link_type, link_type)
    header = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, max(1, snap_bytes), number)
    handle = _opened(header, text)
    try:
        return Program(text, link_type, _compiled(handle, text, raw, _NETMASK_UNKNOWN))
    finally:
        library.pcap_close(handle)


def _opened(header: bytes, text: str) -> int:
    """A handle of libpcap for a capture file without records, which has to be closed."""
    library, libc = _libpcap(text), ctypes.CDLL(None)
    libc.fdopen.restype, libc.fdopen.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_char_p)
    libc.fclose.argtypes = (ctypes.c_void_p,)
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    reading, writing = os.pipe()
    os.write(writing, header)
    os.close(writing)
    if not (stream := libc.fdopen(reading, b"rb")):
        os.close(reading)
        raise ConfigError(_KEY, text, _WANTED, "it cannot be handed to libpcap")
    handle = library.pcap_fopen_offline(stream, error)
    if not handle:
        libc.fclose(stream)
        raise ConfigError(_KEY, text, _WANTED, f"libpcap: {_said(error.value)}")
    return int(handle)


def compile_for_interface(text: str, interface: str) -> Program:
    """Compile a filter for the frames that the kernel hands over from an interface.

    It knows where the kernel keeps what it takes out of a frame: a VLAN tag.

    Parameters
    ----------
    text : str
        In the language of pcap-filter(7). Host names in it are looked up; nothing matches all.
    interface : str
        Name of an interface that is up.

    Raises
    ------
    ConfigError
        libpcap refuses the filter, or is missing.
    CaptureError
        The interface cannot be opened; for want of permission, the message says which is wanted.
    """
    raw, library = _encoded(text), _libpcap(text)
    if "\0" in interface:
        raise CaptureError(f"{interface!r}: want the name of an interface")
    name = interface.encode("utf-8", "surrogateescape")
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    handle = library.pcap_create(name, error)
    if not handle:
        raise CaptureError(f"{interface}: cannot be opened (libpcap: {_said(error.value)})")
    try:
        library.pcap_set_snaplen(handle, SNAP_BYTES)
        library.pcap_set_timeout(handle, 100)
        _check_activated(library, interface, handle, library.pcap_activate(handle))
        net, mask = ctypes.c_uint32(), ctypes.c_uint32()
        # Without an IPv4 address of its own the interface has no network to broadcast to.
        has_net = library.pcap_lookupnet(name, ctypes.byref(net), ctypes.byref(mask), error) == 0
        instructions = _compiled(handle, text, raw, mask.value if has_net else _NETMASK_UNKNOWN)
        if len(instructions) > _KERNEL_INSTRUCTIONS_MAX:
            want = f"a filter of at most {_KERNEL_INSTRUCTIONS_MAX} instructions"
            raise ConfigError(_KEY, text, want, f"it makes {len(instructions)}; the kernel's limit")
        return Program(text, library.pcap_datalink(handle), instructions)
    finally:
        library.pcap_close(handle)


def _check_activated(library: ctypes.CDLL, interface: str, handle: int, status: int) -> None:
    if status >= 0:
        return  # 0, or a warning that does not touch the program
    said = _said(library.pcap_geterr(handle)) or _said(library.pcap_statustostr(status))
    if status in _ERROR_PERMISSION:
        want = "the capability CAP_NET_RAW: run as root, or let systemd give it"
    elif status == _ERROR_NO_SUCH_DEVICE:
        want = "the name of an interface that there is"
    elif status == _ERROR_NOT_UP:
        want = "an interface that is up"
    else:
        want = "an interface that can be captured from"
    raise CaptureError(f"{interface}: cannot be opened (libpcap: {said}): want {want}")


def _encoded(text: str) -> bytes:
    if "\0" in text:
        raise ConfigError(_KEY, text, _WANTED, "it holds a NUL character")
    return text.encode("utf-8", "surrogateescape")


def _compiled(handle: int, text: str, raw: bytes, netmask: int) -> NDArray[Any]:
    """Compile, and copy the program out of libpcap's memory."""
    library, program = _libpcap(text), _BpfProgram()
    if library.pcap_compile(handle, ctypes.byref(program), raw, 1, netmask) != 0:
        raise ConfigError(
            _KEY, text, _WANTED, f"libpcap: {_said(library.pcap_geterr(handle)) or 'no reason'}"
        )
    try:
        found = ctypes.string_at(program.bf_insns, program.bf_len * INSTRUCTION.itemsize)
    finally:
        library.pcap_freecode(ctypes.byref(program))
    return np.frombuffer(found, INSTRUCTION)


def _said(message: bytes | None) -> str:
    """A message of libpcap, which may quote the operator's own bytes."""
    text = (message or b"").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else " " for c in text).strip()

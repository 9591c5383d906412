"""Filters for the readers' target, and libpcap's own interpreter as their twin."""

import ctypes
import ctypes.util
from functools import cache

from tapwatch.capture.bpf import INSTRUCTION, compile_for_link_type
from tapwatch.errors import ConfigError

#: Loads at fixed and computed offsets, lengths, arithmetic, chains, and a filter for some link
#: types only.
TEXTS = (
    *("ip", "ip6", "tcp[13] & 2 != 0", "len > 60", "greater 100 or less 40", "udp[4:2] > 9"),
    *("vlan and ip", "ip[2:2] - ((ip[0] & 0xf) << 2) > 20", "ether[0xfff0:4] = 1", "not ip"),
    *("ip6 protochain 17", "icmp6 and ip6[40] = 128", "ether[len - 1] = 0xcc", "mpls"),
    *(
        "ip[ip[2:2]] = 0",
        "len / ip[8] > 0",
        "type mgt subtype beacon",
        "inbound",
        "ether[14] << 31 > 1",
    ),
)


class _Header(ctypes.Structure):
    """pcap_pkthdr."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("captured", ctypes.c_uint32),
        ("wire", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """bpf_program."""

    _fields_ = (("n", ctypes.c_uint), ("instructions", ctypes.c_char_p))


@cache
def _program(text: str, link_type: int) -> bytes | None:
    try:
        return compile_for_link_type(text, link_type).instructions.tobytes()
    except ConfigError:
        return None


def is_filter(text: str, link_type: int) -> bool:
    """Whether libpcap compiles it for a link type."""
    return _program(text, link_type) is not None


@cache
def _libpcap() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("pcap") or "libpcap.so.0.8"
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def can_filter() -> bool:
    """Whether there is a libpcap to ask."""
    return _libpcap() is not None


def matches(text: str, link_type: int, frame: bytes, wire_bytes: int) -> bool:
    """Whether libpcap lets a frame pass; never where the filter is none for the link type."""
    instructions = _program(text, link_type)
    if instructions is None:
        return False
    program = _Program(len(instructions) // INSTRUCTION.itemsize, instructions)
    header = _Header(0, 0, len(frame), wire_bytes)
    library = _libpcap()
    assert library is not None
    found = library.pcap_offline_filter(
        ctypes.byref(program), ctypes.byref(header), ctypes.c_char_p(frame)
    )
    return bool(found)

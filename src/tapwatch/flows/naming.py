"""Rows in words: addresses, protocol names, and Community ID v1."""

from binascii import b2a_base64
from hashlib import sha1
from ipaddress import IPv6Address
from operator import itemgetter
from socket import AF_INET, inet_ntop
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.flows.protocols import (
    COUNTER_TYPE,
    ICMP,
    ICMPV6,
    NAMES,
    NO_COUNTER_TYPE,
    SCTP,
    TCP,
    UDP,
)
from tapwatch.tables import Names

_WITH_PORTS: Final = (TCP, UDP, SCTP)
_V4: Final = Struct("!I")
_V6: Final = Struct("!QQ")
_ENDS: Final = ("src", "dst")
_TAIL: Final = Struct("!BBHH")  # protocol, 0, ports


def _message(*address: tuple[str, str]) -> np.dtype[Any]:
    """What is hashed for a Community ID: seed, both ends, protocol, a byte of 0, both ports."""
    ends = [(f"{end}_{part}", kind) for end in ("src", "dst") for part, kind in address]
    ports = [("src_port", ">u2"), ("dst_port", ">u2")]
    return np.dtype([("seed", ">u2"), *ends, ("proto", "u1"), ("zero", "u1"), *ports])


_MESSAGE_V4: Final = _message(("lo", ">u4"))
_MESSAGE_V6: Final = _message(("hi", ">u8"), ("lo", ">u8"))
#: Bits of a field of so many bytes.
_LOW: Final = {2: np.uint64(0xFFFF), 4: np.uint64(0xFFFF_FFFF), 8: np.uint64(0xFFFF_FFFF_FFFF_FFFF)}
_KEY: Final = np.dtype(
    [
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("proto", "u1"),
        ("ip_version", "u1"),
        ("is_flow", "u1"),
    ]
)


def describe(rows: NDArray[Any]) -> Names:
    """Name the endpoints, protocol and Community ID of rows; each distinct key once.

    Parameters
    ----------
    rows : ROW or FLOW (n,)
        Anything with addresses, ports, `proto` and `ip_version`; without a field `is_flow` every
        row is a flow. Ports of ICMP are type and counter-type (or code), as in FLOW and LINK.

    Returns
    -------
    Names
        A row without a flow has no Community ID; with IPv4 addresses and no protocol it is ARP.

    Examples
    --------
    >>> from tapwatch.tables import FLOW
    >>> row = np.zeros(1, FLOW)
    >>> row["src_lo"], row["dst_lo"], row["ip_version"] = 0xFFFF_C000_0201, 0xFFFF_C000_0202, 4
    >>> row["proto"], row["src_port"], row["dst_port"] = 17, 4000, 53
    >>> describe(row).community_id
    ['1:ynDohBxHtFQz9vpov9cJqYUh5es=']
    """
    keys = np.zeros(len(rows), _KEY)
    for name in _KEY.names or ():
        keys[name] = rows[name] if name in (rows.dtype.names or ()) else 1
    if len(keys) == 1:  # an alert: sorting would cost more than naming
        return Names(*([word] for word in _name(keys[0].tolist())))
    if "flow_id" in (rows.dtype.names or ()) and len(np.unique(rows["flow_id"])) == len(rows):
        return Names(*_names(keys))  # a row a flow: hardly a key occurs twice
    raw = keys.view(np.dtype((np.void, _KEY.itemsize)))
    _, first, which = np.unique(raw, return_index=True, return_inverse=True)
    pick = itemgetter(*which.tolist()) if len(keys) else list
    return Names(*(list(pick(words)) for words in _names(keys[first])))


def community_id(src: bytes, dst: bytes, proto: int, src_port: int, dst_port: int) -> str:
    """Compute Community ID v1 with seed 0.

    Parameters
    ----------
    src, dst : bytes
        Packed addresses, 4 or 16 bytes each.
    proto : int
        IANA protocol number.
    src_port, dst_port : int
        Ports; type and counter-type of an ICMP type that has one, else type and code. Left out of
        the hash for protocols other than TCP, UDP, SCTP, ICMP and ICMPv6.

    Returns
    -------
    str
        "1:" and 28 characters; both directions give the same.

    Notes
    -----
    Community ID Flow Hashing, version 1. ICMP without a counter-type is one-way: the endpoints keep
    their order.
    """
    is_icmp = proto in (ICMP, ICMPV6)
    is_one_way = is_icmp and COUNTER_TYPE[int(proto == ICMPV6), src_port & 0xFF] == NO_COUNTER_TYPE
    here, there = (src, src_port), (dst, dst_port)
    if here > there and not is_one_way:
        here, there = there, here
    has_ports = is_icmp or proto in _WITH_PORTS
    tail = _TAIL.pack(proto, 0, here[1], there[1])[: 6 if has_ports else 2]
    digest = sha1(b"\0\0" + here[0] + there[0] + tail, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode()


def _name(key: tuple[int, ...]) -> tuple[str, str, str, str]:
    src_hi, src_lo, dst_hi, dst_lo, src_port, dst_port, proto, version, is_flow = key
    src, dst = _packed(src_hi, src_lo, version), _packed(dst_hi, dst_lo, version)
    is_arp = version == 4 and proto == 0 and not is_flow
    return (
        _text(src, version),
        _text(dst, version),
        "ARP" if is_arp else NAMES.get(proto, str(proto)),
        community_id(src, dst, proto, src_port, dst_port) if is_flow and version else "",
    )


def _names(keys: NDArray[Any]) -> tuple[list[str], list[str], list[str], list[str]]:
    """The same for many keys, KEY (n,), a field at a time."""
    src, dst = (_texts(keys[f"{end}_hi"], keys[f"{end}_lo"], keys["ip_version"]) for end in _ENDS)
    is_arp = (keys["ip_version"] == 4) & (keys["proto"] == 0) & (keys["is_flow"] == 0)
    protos = [
        "ARP" if arp else NAMES.get(proto, str(proto))
        for arp, proto in zip(is_arp.tolist(), keys["proto"].tolist(), strict=True)
    ]
    ids = np.full(len(keys), "", object)
    is_flow = keys["is_flow"] != 0
    for version, message in ((4, _MESSAGE_V4), (6, _MESSAGE_V6)):
        mine = is_flow & (keys["ip_version"] == version)
        with_ports = np.isin(keys["proto"], (*_WITH_PORTS, ICMP, ICMPV6))
        for has_ports in (True, False):
            chosen = np.flatnonzero(mine & (with_ports == has_ports))
            ids[chosen] = _community_ids(keys[chosen], message, has_ports)
    return src, dst, protos, ids.tolist()


def _texts(hi: NDArray[Any], lo: NDArray[Any], version: NDArray[Any]) -> list[str]:
    """Addresses, (n,) each half; each IPv4 address of them is put into words once."""
    texts = np.full(len(hi), "", object)
    is_v4 = version == 4
    distinct, which = np.unique(lo[is_v4] & _LOW[4], return_inverse=True)
    raw = distinct.astype(">u4").tobytes()
    words = [inet_ntop(AF_INET, raw[k : k + 4]) for k in range(0, len(raw), 4)]
    texts[is_v4] = np.array(words, object)[which]
    for k in np.flatnonzero(~is_v4).tolist():
        texts[k] = _text(_packed(int(hi[k]), int(lo[k]), int(version[k])), int(version[k]))
    named: list[str] = texts.tolist()
    return named


def _community_ids(keys: NDArray[Any], message: np.dtype[Any], has_ports: bool) -> list[str]:
    """Community IDs of keys of one IP version, all with ports or all without."""
    is_icmp = np.isin(keys["proto"], (ICMP, ICMPV6))
    row = (keys["proto"] == ICMPV6).astype(np.int64)
    one_way = is_icmp & (COUNTER_TYPE[row, keys["src_port"] & 0xFF] == NO_COUNTER_TYPE)
    made = np.zeros(len(keys), message)
    swap, same = np.zeros(len(keys), np.bool_), np.ones(len(keys), np.bool_)
    parts = [part for part in ("hi", "lo", "port") if f"src_{part}" in (message.names or ())]
    for part in parts:
        low = _LOW[message[f"src_{part}"].itemsize]
        here, there = keys[f"src_{part}"] & low, keys[f"dst_{part}"] & low
        made[f"src_{part}"], made[f"dst_{part}"] = here, there
        swap |= same & (here > there)
        same &= here == there
    swap &= ~one_way
    straight = made[swap]
    for part in parts:
        made[f"src_{part}"][swap] = straight[f"dst_{part}"]
        made[f"dst_{part}"][swap] = straight[f"src_{part}"]
    made["proto"] = keys["proto"]
    raw, step = made.tobytes(), message.itemsize
    used = step if has_ports else step - 4
    digests = [
        sha1(raw[k : k + used], usedforsecurity=False).digest() for k in range(0, len(raw), step)
    ]
    # A byte of 0 behind each makes 21, which are 28 characters; the last of them becomes "=".
    text = b2a_base64(b"\0".join([*digests, b""]), newline=False).decode()
    return [f"1:{text[k : k + 27]}=" for k in range(0, len(text), 28)]


def _packed(hi: int, lo: int, version: int) -> bytes:
    return _V4.pack(lo & 0xFFFF_FFFF) if version == 4 else _V6.pack(hi, lo)


def _text(packed: bytes, version: int) -> str:
    if version == 4:
        return inet_ntop(AF_INET, packed)
    # Not so for IPv6: the C library writes ::ffff:c000:201 in parts with dots.
    return packed[10:].hex(":") if version == 0 else str(IPv6Address(packed))

"""Rows in words: addresses, protocol names, and Community ID v1."""

import hashlib
from base64 import b64encode
from ipaddress import ip_address
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
    raw = keys.view(np.dtype((np.void, _KEY.itemsize)))
    _, first, which = np.unique(raw, return_index=True, return_inverse=True)
    named = [_name(key) for key in keys[first].tolist()]
    words = [[named[k][column] for k in which.tolist()] for column in range(4)]
    return Names(*words)


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
    text = bytes(2) + here[0] + there[0] + bytes([proto, 0])
    if is_icmp or proto in _WITH_PORTS:
        text += here[1].to_bytes(2, "big") + there[1].to_bytes(2, "big")
    digest = hashlib.sha1(text, usedforsecurity=False).digest()
    return "1:" + b64encode(digest).decode()


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


def _packed(hi: int, lo: int, version: int) -> bytes:
    both = (hi << 64 | lo).to_bytes(16, "big")
    return both[12:] if version == 4 else both


def _text(packed: bytes, version: int) -> str:
    if version == 0:
        return packed[10:].hex(":")
    return str(ip_address(packed))

"""What a DNS message on UDP port 53 says: a bounded look at its header and first name."""

import math
from typing import Any, Final

import numpy as np

from tapwatch.features.arithmetic import mix
from tapwatch.features.host.layout import DNS_NAMES, ENTROPY_ONE
from tapwatch.features.host.sketch import inner, part
from tapwatch.features.host.table import want

# RFC 1035 4.1.1: offsets in the header, and its length.
_FLAGS: Final = 2
_QUESTIONS: Final = 4
_HEADER_BYTES: Final = 12
_RESPONSE_OR_OPCODE: Final = 0xF8  # of the first byte of the flags: QR and Opcode
_NXDOMAIN: Final = 3  # response code
_UDP: Final = 17  # IANA protocol number
_DNS_PORT: Final = 53
_MAX_LABEL_BYTES: Final = 63  # RFC 1035 2.3.4
_MAX_NAME_BYTES: Final = 255  # with the length bytes and the root
#: Names are hashed as polynomials modulo this prime, in whole numbers that do not leave 64 bits
#: (Carter and Wegman 1979): two names fall together for at most 255 of the factors.
_PRIME: Final = (1 << 31) - 1

#: n * log2(n) for every number of characters that a name can have, in parts of a bit.
_N_LOG2_N: Final = np.array(
    [0] + [round(n * math.log2(n) * ENTROPY_ONE) for n in range(1, _MAX_NAME_BYTES + 1)], np.int64
)


def name_factor(seed: int) -> int:
    """Give the factor of the hash of names that belongs to a seed."""
    # In Python, once: the kernels' arithmetic wraps.
    mixed = (seed ^ 0x646E_735F_6E61_6D65) * 0x9E37_79B9_7F4A_7C15 & 0xFFFF_FFFF_FFFF_FFFF
    mixed = (mixed ^ mixed >> 32) * 0xD6E8_FEB8_6659_FD93 & 0xFFFF_FFFF_FFFF_FFFF
    return 256 + (mixed >> 32) % (_PRIME - 256)


@part
def read_dns(packet, src, dst, data, memory, task):  # type: ignore[no-untyped-def]
    """Count a query to UDP port 53 for its sender, a response from there for its receiver.

    Parameters
    ----------
    packet : PACKET record
        Of an IP packet.
    src, dst : int
        Rows of its sender and its receiver, -1 where there is none.
    data : uint8 (n_bytes,)
        Of the batch.
    memory : Memory
    task : TASK record

    Notes
    -----
    RFC 1035 4.1. A query's name is not compressed: a pointer in it makes it unread.
    """
    if packet["proto"] != _UDP or packet["frag_offset_bytes"] != 0:
        return
    if packet["dst_port"] == _DNS_PORT and src >= 0:
        _read_query(packet, src, data, memory, task)
    elif packet["src_port"] == _DNS_PORT and dst >= 0:
        memory.hosts[dst]["dns_nxdomain"] += _is_nxdomain(packet, data)


@inner
def _has_header(packet, data):  # type: ignore[no-untyped-def]
    """Whether the capture holds a message's header, and where it holds it."""
    n_bytes = np.int64(packet["payload_captured_bytes"])
    return n_bytes >= _HEADER_BYTES and 0 <= packet["payload_start"] <= len(data) - n_bytes


@inner
def _is_nxdomain(packet, data):  # type: ignore[no-untyped-def]
    # Bounds: the header is there.
    if not _has_header(packet, data):
        return False
    at = packet["payload_start"] + _FLAGS
    return np.int64(data[at]) >> 7 == 1 and np.int64(data[at + 1]) & 0xF == _NXDOMAIN


@inner
def _read_query(packet, row, data, memory, task):  # type: ignore[no-untyped-def]
    # Bounds: the header is there; what is behind it up to `hi` is for the name to check.
    if not _has_header(packet, data):
        return
    lo = packet["payload_start"]
    hi = lo + np.int64(packet["payload_captured_bytes"])
    is_query = np.int64(data[lo + _FLAGS]) & _RESPONSE_OR_OPCODE == 0
    if not is_query or (data[lo + _QUESTIONS] == 0 and data[lo + _QUESTIONS + 1] == 0):
        return
    lo += _HEADER_BYTES
    factor = task["name_factor"]
    n_labels, n_bytes, n_read, hashed = _read_name(data, lo, hi, factor, memory.characters)
    entropy = _take_entropy(data, lo, n_read, memory.characters)
    host = memory.hosts[row]
    host["dns_queries"] += 1
    if n_labels < 0:
        host["dns_unread"] += 1
        return
    host["dns_labels"] += n_labels
    host["dns_name_bytes"] += n_bytes
    host["dns_entropy"] += entropy
    want(memory.wants, row, DNS_NAMES, mix(np.uint64(hashed) ^ task["seed"]), task)


@inner
def _lower(byte):  # type: ignore[no-untyped-def]
    return byte + 32 if 65 <= byte <= 90 else byte


@inner
def _read_name(data, lo, hi, factor, characters):  # type: ignore[no-untyped-def]
    """Labels (-1 where the name is malformed or cut off), characters, bytes read, and a hash.

    `characters` counts what was read, length bytes apart.
    """
    at: Any = lo
    hashed: Any = 1
    n_labels, n_bytes = 0, 0
    end = min(hi, lo + _MAX_NAME_BYTES)
    # Bounds: `at` is below `end` where it is read.
    while at < end:
        label_bytes = np.int64(data[at])
        if label_bytes == 0:
            return n_labels, n_bytes, at - lo, hashed
        # Bounds: a label ends within `end`, or nothing is read of it.
        if label_bytes > _MAX_LABEL_BYTES or at + 1 + label_bytes > end:
            break
        hashed = (hashed * factor + label_bytes) % _PRIME
        for k in range(at + 1, at + 1 + label_bytes):
            byte = _lower(np.int64(data[k]))
            characters[byte] += 1
            hashed = (hashed * factor + byte) % _PRIME
        n_labels += 1
        n_bytes += int(label_bytes)
        at += 1 + label_bytes
    return -1, n_bytes, at - lo, hashed


@inner
def _take_entropy(data, lo, n_read, characters):  # type: ignore[no-untyped-def]
    """Entropy of what was read of a name, in parts of a bit; `characters` is zeros again."""
    at: Any = lo
    rest: Any = 0
    n_bytes: Any = 0
    # Bounds: the same labels that were read before.
    while at < lo + n_read:
        label_bytes = np.int64(data[at])
        for k in range(at + 1, at + 1 + label_bytes):
            byte = _lower(np.int64(data[k]))
            rest += _N_LOG2_N[characters[byte]]
            characters[byte] = 0
        n_bytes += label_bytes
        at += 1 + label_bytes
    return max(_N_LOG2_N[n_bytes] - rest, 0) // max(n_bytes, 1)

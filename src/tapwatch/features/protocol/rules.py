"""The form of a rule, and how payload patterns are written down.

A rule names a protocol, the ports (or EtherTypes, ...) that are registered for it, and what the
first bytes of a payload have to look like. Rules are data: `tcp_rules`, `udp_rules` and
`header_rules` list them, `tables` turns them into arrays for the kernel.
"""

from enum import IntEnum, auto
from typing import Final, NamedTuple


class Check(IntEnum):
    """What judges a payload, beyond the patterns and lengths of its rule."""

    PATTERN = 0  # these alone
    TLS = auto()
    DTLS = auto()
    QUIC = auto()
    HTTP = auto()
    SIP = auto()
    PLAIN = auto()  # what may turn into TLS in the middle
    SOCKS = auto()
    SSH = auto()
    RPC_TCP = auto()
    RPC_UDP = auto()
    DHCP = auto()
    DNS_ANY = auto()  # a query on any port
    STUN = auto()
    RDP = auto()


class Table(IntEnum):
    """By which number a rule is found."""

    TCP = 0  # a port
    UDP = 1  # a port
    ETHER = 2  # an EtherType
    IP = 3  # an IP protocol
    SAP = 4  # a service access point of LLC
    PPP = 5  # a PPP protocol


class ByteTest(NamedTuple):
    """One byte that is looked at."""

    at: int
    mask: int
    value: int


#: All of these have to hold.
Pattern = tuple[ByteTest, ...]


class Pdu(NamedTuple):
    """Where a message says how long it is, so that the next one can be found."""

    header_bytes: int  # what is read before the length is known
    at: int
    n_bytes: int
    add: int  # what the length field does not count
    little: bool = False


class Rule(NamedTuple):
    """One protocol: when a payload is taken for it, and what it is called."""

    label: str
    ports: tuple[int, ...] = ()  # numbers of the table that the rule is listed in
    starts: tuple[Pattern, ...] = ()  # any one of them; none: whatever it begins with
    least: int = 1  # payload bytes
    most: int = 0  # payload bytes, where there is a limit
    check: Check = Check.PATTERN
    pdu: Pdu | None = None
    whole: bool = False  # by its own length, the message is all of the payload
    heuristic: bool = False  # tried on any port
    opens: tuple[int, ...] = ()  # first bytes that a check can take; none: any
    holds: bool = False  # a conversation that was recognised keeps it


def text(words: str, at: int = 0) -> Pattern:
    """Each of these characters, from byte `at` on.

    Examples
    --------
    >>> text("OK", 1)
    (ByteTest(at=1, mask=255, value=79), ByteTest(at=2, mask=255, value=75))
    """
    return tuple(ByteTest(at + k, 0xFF, ord(c)) for k, c in enumerate(words))


def texts(*words: str) -> tuple[Pattern, ...]:
    """Any of these beginnings."""
    return tuple(text(word) for word in words)


def octets(digits: str, at: int = 0) -> Pattern:
    """Each of these bytes in hexadecimal, from byte `at` on; a `?` stands for any digit.

    Examples
    --------
    >>> octets("1? ff")
    (ByteTest(at=0, mask=240, value=16), ByteTest(at=1, mask=255, value=255))
    """
    tests = []
    digits = digits.replace(" ", "")
    for k in range(0, len(digits), 2):
        pair = digits[k : k + 2]
        mask = int("".join("0" if digit == "?" else "f" for digit in pair), 16)
        if mask:
            tests.append(ByteTest(at + k // 2, mask, int(pair.replace("?", "0"), 16)))
    return tuple(tests)


#: Length in the first four bytes, which does not count itself.
LENGTH_32: Final = Pdu(4, 0, 4, 4)


#: Lines of MGCP (RFC 3435 section 3.2): a verb of four letters, or a code of three digits.
MGCP_LINES: Final[tuple[Pattern, ...]] = (
    (*(ByteTest(at, 0xC0, 0x40) for at in range(4)), *octets("20", 4)),
    octets("3? 3? 3? 20"),
)

#: GTP before version 2 (3GPP TS 29.060 section 7.1): the kinds of message that there are.
GTP_KINDS: Final[tuple[Pattern, ...]] = tuple(
    (ByteTest(0, 0xC0, 0), ByteTest(1, 0xFF, kind))
    for kind in (
        *(*range(1, 8), *range(16, 38), *range(48, 63), 70, *range(96, 106), *range(112, 122)),
        *(128, 129, 240, 241, 254, 255),
    )
)

#: Generic headers of DoIP (ISO 13400-2): a version and its inverse.
DOIP_VERSIONS: Final[tuple[Pattern, ...]] = tuple(
    octets(versions) for versions in ("01 fe", "02 fd", "03 fc", "04 fb", "ff 00")
)

#: The first byte of DLSw (RFC 1795 section 3.1): a version, or Cisco's.
DLSW_VERSIONS: Final[tuple[Pattern, ...]] = (octets("3?"), octets("4b"))


def first_bytes(rule: Rule) -> frozenset[int]:
    """Every value of the first byte with which a rule may take a payload."""
    opens = frozenset(rule.opens or range(256))
    if not rule.starts:
        return opens
    return opens & frozenset(
        byte
        for pattern in rule.starts
        for byte in range(256)
        if all(byte & test.mask == test.value for test in pattern if test.at == 0)
    )

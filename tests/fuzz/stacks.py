"""Frames built layer upon layer, for hypothesis: valid, but for one field."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.decode.made import COOKED, MACS, PAYLOAD, PORTS, SERVICE_TAG, TAG, Frame
from tests.fuzz.corpus_links import LLC_SNAP, PPP, RADIOTAP, SLL2, WLAN

#: Where a number stands in the frame: first byte, bytes, bits of it.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Stack:
    """A header and all that it carries; `kind` is what the layer around has to announce."""

    data: bytes
    places: tuple[Place, ...]
    kind: str

    def under(self, header: bytes, kind: str, *places: Place) -> "Stack":
        """The same behind one more header, which has numbers at these places."""
        moved = tuple((at + len(header), n, mask) for at, n, mask in self.places)
        return Stack(header + self.data, (*places, *moved), kind)


_ETHER_TYPES = {"ipv4": 0x0800, "ipv6": 0x86DD, "ethernet": 0x6558, "ppp": 0x880B}
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "gre": 47, "udp-lite": 136, "dccp": 33, "sctp": 132}
_PROTOCOLS |= {"ipv4": 4, "ipv6": 41, "extension": 60, "authentication": 51, "fragment": 44}


def _ipv4(inner: Stack) -> Stack:
    total = 20 + len(inner.data)
    proto = _PROTOCOLS[inner.kind]
    head = struct.pack("!BBHHHBBH", 0x45, 0, total, 7, 0, 64, proto, 0)
    head += bytes([192, 0, 2, 33, 198, 51, 100, 44])
    return inner.under(head, "ipv4", (0, 1, 0x0F), (0, 1, 0xF0), (2, 2, 0xFFFF), (6, 2, 0x3FFF))


def _ipv6(inner: Stack) -> Stack:
    head = struct.pack("!IHBB", 6 << 28, len(inner.data), _PROTOCOLS[inner.kind], 64)
    return inner.under(head + bytes(range(32)), "ipv6", (0, 1, 0xF0), (4, 2, 0xFFFF), (6, 1, 0xFF))


def _extension(inner: Stack) -> Stack:
    head = bytes([_PROTOCOLS[inner.kind], 1]) + bytes(14)
    return inner.under(head, "extension", (0, 1, 0xFF), (1, 1, 0xFF))


def _authentication(inner: Stack) -> Stack:
    head = bytes([_PROTOCOLS[inner.kind], 2]) + bytes(14)
    return inner.under(head, "authentication", (0, 1, 0xFF), (1, 1, 0xFF))


def _fragment(inner: Stack) -> Stack:
    head = bytes([_PROTOCOLS[inner.kind], 0, 0, 1, 0, 0, 0, 9])
    return inner.under(head, "fragment", (0, 1, 0xFF), (2, 2, 0xFFFF))


def _udp(port: int) -> Callable[[Stack], Stack]:
    def around(inner: Stack) -> Stack:
        head = struct.pack("!HHHH", 0xD1D2, port, 8 + len(inner.data), 0)
        return inner.under(head, "udp", (0, 2, 0xFFFF), (2, 2, 0xFFFF), (4, 2, 0xFFFF))

    return around


def _vxlan(inner: Stack) -> Stack:
    return _udp(4789)(inner.under(b"\x08\0\0\0\0\0\x07\0", "vxlan", (0, 1, 0xFF)))


def _geneve(inner: Stack) -> Stack:
    head = struct.pack("!BBHI", 2, 0, _ETHER_TYPES[inner.kind], 9 << 8) + bytes(8)
    return _udp(6081)(inner.under(head, "geneve", (0, 1, 0x3F), (2, 2, 0xFFFF)))


def _gtp(inner: Stack) -> Stack:
    more = b"\0\0\0\x85\1\0\0\0"
    head = struct.pack("!BBHI", 0x34, 255, len(more) + len(inner.data), 5) + more
    places = ((0, 1, 0xFF), (2, 2, 0xFFFF), (11, 1, 0xFF), (12, 1, 0xFF), (15, 1, 0xFF))
    return _udp(2152)(inner.under(head, "gtp", *places))


def _teredo(inner: Stack) -> Stack:
    head = b"\0\1\2\3" + bytes(14) + b"\0\0" + bytes(6)
    return _udp(3544)(inner.under(head, "teredo", (0, 2, 0xFFFF), (2, 1, 0xFF), (3, 1, 0xFF)))


def _l2tp(inner: Stack) -> Stack:
    head = struct.pack("!HHHHH", 0x4202, 12 + len(inner.data), 1, 2, 2) + b"\0\0"
    return _udp(1701)(inner.under(head, "l2tp", (0, 2, 0xFFFF), (2, 2, 0xFFFF), (8, 2, 0xFFFF)))


def _gre(inner: Stack) -> Stack:
    head = struct.pack("!HHII", 0x3000, _ETHER_TYPES[inner.kind], 7, 1)
    return inner.under(head, "gre", (0, 2, 0xFFFF), (2, 2, 0xFFFF))


def _ethernet(inner: Stack) -> Stack:
    head = MACS + struct.pack("!H", _ETHER_TYPES[inner.kind])
    return inner.under(head, "ethernet", (12, 2, 0xFFFF))


def _tagged(inner: Stack) -> Stack:
    head = MACS + SERVICE_TAG + TAG + struct.pack("!H", _ETHER_TYPES[inner.kind])
    return inner.under(head, "ethernet", (12, 2, 0xFFFF), (16, 2, 0xFFFF), (20, 2, 0xFFFF))


def _labelled(inner: Stack) -> Stack:
    head = MACS + bytes.fromhex("8847 00010040 00011140")
    return inner.under(head, "ethernet", (16, 1, 1), (20, 1, 1))


def _session(inner: Stack) -> Stack:
    head = MACS + struct.pack("!HBBHH", 0x8864, 0x11, 0, 7, len(inner.data))
    return inner.under(head, "ethernet", (14, 1, 0xFF), (18, 2, 0xFFFF))


def _ppp(inner: Stack) -> Stack:
    head = PPP[:2] + (b"\0\x21" if inner.kind == "ipv4" else b"\0\x57")
    return inner.under(head, "ppp", (2, 2, 0xFFFF))


def _snap(inner: Stack) -> Stack:
    number = struct.pack("!H", _ETHER_TYPES[inner.kind])
    head = MACS + struct.pack("!H", 8 + len(inner.data)) + LLC_SNAP + number
    return inner.under(head, "ethernet", (12, 2, 0xFFFF), (14, 2, 0xFFFF), (16, 1, 0xFF))


_TRANSPORTS = (
    Stack(PORTS + bytes(8) + b"\x60\x18" + bytes(6) + b"\x02\x04\x05\xb4" + PAYLOAD, (), "tcp"),
    Stack(PORTS + b"\0\x15\0\0" + PAYLOAD, ((4, 2, 0xFFFF),), "udp"),
    Stack(PORTS + b"\0\x15\0\0" + PAYLOAD, ((4, 2, 0xFFFF),), "udp-lite"),
    Stack(PORTS + b"\x04" + bytes(11) + PAYLOAD, ((4, 1, 0xFF), (8, 1, 0xFF)), "dccp"),
    Stack(PORTS + bytes(8) + PAYLOAD, (), "sctp"),
    Stack(b"\x08\0" + bytes(6) + PAYLOAD, (), "icmp"),
)
_TCP_PLACES = ((12, 1, 0xF0), (21, 1, 0xFF))


def _transport() -> st.SearchStrategy[Stack]:
    return st.sampled_from(
        [
            Stack(s.data, s.places or (_TCP_PLACES if s.kind == "tcp" else ()), s.kind)
            for s in _TRANSPORTS
        ]
    )


def _chained(inner: st.SearchStrategy[Stack]) -> st.SearchStrategy[Stack]:
    """IP around a transport, with headers in between where it is IPv6."""
    more = st.lists(st.sampled_from([_extension, _authentication, _fragment]), max_size=3)

    def six(transport: Stack, headers: list[Callable[[Stack], Stack]]) -> Stack:
        for header in headers:
            transport = header(transport)
        return _ipv6(transport)

    return st.one_of(inner.map(_ipv4), st.builds(six, inner, more))


_IN_IP = (_vxlan, _geneve, _gtp, _teredo, _l2tp, _gre)


@st.composite
def _tunnels(draw: st.DrawFn) -> Stack:
    """IP, perhaps in tunnels."""
    stack = draw(_chained(_transport()))
    for _ in range(draw(st.integers(0, 3))):
        around = draw(st.sampled_from([*_IN_IP, None]))
        if around in (_vxlan, _geneve) or (around is _gre and draw(st.booleans())):
            stack = _ethernet(stack)
        elif around is _l2tp:
            stack = _ppp(stack)
        stack = stack if around is None else around(stack)
        stack = draw(st.sampled_from([_ipv4, _ipv6]))(stack)
    return stack


def _plain(link_type: int, head: bytes, *places: Place) -> Callable[[Stack], tuple[Stack, int]]:
    return lambda inner: (inner.under(head, "link", *places), link_type)


def _of_type(link_type: int, head: bytes) -> Callable[[Stack], tuple[Stack, int]]:
    def around(inner: Stack) -> tuple[Stack, int]:
        number = struct.pack("!H", _ETHER_TYPES[inner.kind])
        return inner.under(head + number, "link", (len(head), 2, 0xFFFF)), link_type

    return around


_LINKS = (
    *(lambda inner, f=f: (f(inner), 1) for f in (_ethernet, _tagged, _labelled, _snap)),
    lambda inner: (_session(_ppp(inner)), 1),
    lambda inner: (_ppp(inner), 9),
    lambda inner: (
        _ethernet(inner).under(struct.pack("<BBHI", 0, 0, 8, 1), "link", (2, 2, -1)),
        192,
    ),
    _of_type(113, COOKED),
    _of_type(104, b"\x0f\0"),
    _of_type(105, WLAN + LLC_SNAP),
    _of_type(127, RADIOTAP + WLAN + LLC_SNAP),
    _plain(101, b""),
    _plain(276, SLL2, (0, 2, 0xFFFF), (11, 1, 0xFF)),
    _plain(258, struct.pack("<III", 12, 1, 12), (0, 4, -1), (8, 4, -1)),
)


@st.composite
def one_field_wrong(draw: st.DrawFn) -> Frame:
    """A stack that decodes, with one of its numbers set to anything; perhaps cut."""
    stack, link_type = draw(st.sampled_from(_LINKS))(draw(_tunnels()))
    data = bytearray(stack.data)
    if stack.places:
        at, n_bytes, mask = draw(st.sampled_from(stack.places))
        mask &= (1 << 8 * n_bytes) - 1
        right = int.from_bytes(data[at : at + n_bytes], "big")
        near = st.integers(-9, 9).map(lambda delta: right + delta)
        number = draw(st.one_of(near, st.integers(0, mask), st.sampled_from([0, -1])))
        data[at : at + n_bytes] = (right & ~mask | number & mask).to_bytes(n_bytes, "big")
    n = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    wire = draw(st.sampled_from([None, len(data)]))
    return Frame(bytes(data[:n]), wire, link_type)

"""Headers below the ports once more, for reading: frames, tags, IP, tunnels, as slices of bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tapwatch.features.protocol import header_rules
from tapwatch.features.protocol.rules import Table

FirstFit = Callable[[Table, int, bytes], str]
IPV4, IPV6, FRAME = 0x0800, 0x86DD, 0x10000
ETHERNET, PPP, LLC = FRAME + 1, FRAME + 9, FRAME + 100
SAP = "sap"


class Short(Exception):
    """The bytes end before the header does."""


@dataclass
class Tunnel:
    """What goes on: an EtherType or a link type + 65536, and its bytes."""

    what: Any
    data: bytes
    gtp: bool = False


def number_at(data: bytes, at: int, n_bytes: int = 2) -> int:
    """A number in network byte order."""
    piece = data[at : at + n_bytes]
    if len(piece) < n_bytes:
        raise Short
    return int.from_bytes(piece, "big")


def unwrap(what: Any, data: bytes, first_fit: FirstFit) -> str | Tunnel:
    """Go on to an IP header, or to a label."""
    for _ in range(12):
        if what in (IPV4, IPV6):
            return Tunnel(what, data)
        found = _step(what, data, first_fit)
        if isinstance(found, str):
            return found
        what, data = found.what, found.data
    return "other"


def _step(what: Any, data: bytes, first_fit: FirstFit) -> str | Tunnel:
    if isinstance(what, tuple):
        table, number = what
        return first_fit(table, number, data) or ("LLC" if table == Table.SAP else "other")
    if what >= FRAME:
        return _frame(what - FRAME, data)
    if what <= 1500:
        return _llc(data)
    return first_fit(Table.ETHER, what, data) or _tag(what, data)


def _frame(link_type: int, data: bytes) -> str | Tunnel:
    if link_type == 1:
        return _ethernet(data)
    if link_type in (9, 50):
        return _ppp(data)
    if link_type == 104:
        return _hdlc(data)
    if link_type == 107:
        return _frame_relay(data)
    if link_type == 100:
        return Tunnel(0, data)
    cooked = {113: (14, 16), 276: (0, 20)}
    if link_type in cooked and len(data) >= cooked[link_type][1]:
        at, n_bytes = cooked[link_type]
        kind = number_at(data, at)
        return Tunnel(kind if kind >= 0x600 else 0, data[n_bytes:])
    if link_type in (12, 14, 101, 228, 229) and data:
        return Tunnel(IPV6 if data[0] >> 4 == 6 else IPV4, data)
    return header_rules.LINK_TYPES.get(link_type, "other")


def _ethernet(data: bytes) -> str | Tunnel:
    if len(data) < 14:
        return "Ethernet"
    what = number_at(data, 12)
    if what <= 1500 and data[14:16] == b"\xff\xff":
        return Tunnel((Table.SAP, 0xE0), data[14:])
    if 1500 < what < 0x600:
        return "Ethernet"
    return "other" if what == 0xFEFE else Tunnel(what, data[14:])


def _tag(what: int, data: bytes) -> str | Tunnel:
    if what in (0x8847, 0x8848):
        return _mpls(data)
    renamed = {0x880B: PPP, 0x6558: ETHERNET, 0xFEFE: (Table.SAP, 0xFE)}
    if what in renamed:
        return Tunnel(renamed[what], data)
    for tag, n_bytes, inner in ((0x8864, 6, PPP), (0x88E7, 4, ETHERNET)):
        if what == tag:
            return Tunnel(inner, data[n_bytes:]) if len(data) > n_bytes else "other"
    tags = dict.fromkeys((0x8100, 0x88A8, 0x9100, 0x9200, 0x9300), 4)
    n_bytes = (tags | {0x8926: 6, 0x892F: 6, 0x893F: 8}).get(what, 0)
    if not n_bytes or len(data) < n_bytes:
        return "other"
    return Tunnel(number_at(data, n_bytes - 2), data[n_bytes:])


def _mpls(data: bytes) -> str | Tunnel:
    for _ in range(12):
        if len(data) < 5:
            return "MPLS"
        is_bottom, data = data[2] & 1, data[4:]
        if is_bottom:
            break
    version = data[0] >> 4
    if version in (4, 6):
        return Tunnel(IPV4 if version == 4 else IPV6, data)
    return Tunnel(ETHERNET, data[4:] if version == 0 and len(data) > 4 else data)


def _ppp(data: bytes) -> str | Tunnel:
    if len(data) >= 4 and data[:2] == b"\xff\x03":
        data = data[2:]
    elif len(data) >= 4 and data[0] in (0x0F, 0x8F):
        return _hdlc(data)
    if len(data) < 2:
        return "other"
    n_bytes = 1 if data[0] & 1 else 2
    protocol, data = number_at(data, 0, n_bytes), data[n_bytes:]
    inner = {0x21: IPV4, 0x57: IPV6, 0x281: 0x8847, 0x283: 0x8847, 0x23: (Table.SAP, 0xFE)}
    return Tunnel(inner.get(protocol, (Table.PPP, protocol)), data)


def _hdlc(data: bytes) -> str | Tunnel:
    if len(data) < 4:
        return "CHDLC"
    what = number_at(data, 2)
    if what == 0x8035:
        return "SLARP"
    if what == 0xFEFE:
        return Tunnel((Table.SAP, 0xFE), data[5:])
    return Tunnel(what, data[4:]) if what in (IPV4, IPV6, 0x2000, 0x8847) else "CHDLC"


def _frame_relay(data: bytes) -> str | Tunnel:
    if len(data) >= 5 and not data[1] & 1:
        data = data[2:]
    if len(data) < 5:
        return "FR"
    if data[2] != 3:
        what = number_at(data, 2)
        return Tunnel(what, data[4:]) if what in (IPV4, IPV6) else "FR"
    rest = data[4:] if data[3] == 0 else data[3:]
    if rest[0] in (0xCC, 0x8E):
        return Tunnel(IPV4 if rest[0] == 0xCC else IPV6, rest[1:])
    if rest[0] == 0x80 and len(rest) >= 6:
        return _snap(rest[1:])
    return Tunnel((Table.SAP, 0xFE), rest) if rest[0] in (0x81, 0x82, 0x83) else "FR"


def _llc(data: bytes) -> str | Tunnel:
    if len(data) < 3:
        return "LLC"
    control = data[2]
    if control & 0xEF == 0xAF:
        return "XID"
    rest = data[3:] if control & 3 == 3 else data[4:]
    if control & 3 == 1 or (control & 3 == 3 and control & 0xEF != 3):
        return "LLC"
    if data[0] == 0xAA:
        return _snap(rest) if len(rest) >= 5 else "LLC"
    return Tunnel(IPV4 if data[0] == 6 else (Table.SAP, data[0]), rest)


def _snap(data: bytes) -> str | Tunnel:
    organisation, protocol, rest = number_at(data, 0, 3), number_at(data, 3), data[5:]
    if organisation in (0, 0xF8):
        return Tunnel(protocol if protocol >= 0x600 else 0xFFFF, rest)
    if organisation == 0x80C2 and protocol in (1, 7):
        return Tunnel(ETHERNET, rest)
    return header_rules.SNAP_PROTOCOLS.get(organisation << 16 | protocol, "LLC")


@dataclass
class IP:
    """An IP packet: transport protocol, ends, what was captured and how long it says it is."""

    proto: int
    src: Any
    dst: Any
    body: bytes
    n_bytes: int

    @classmethod
    def read(cls, data: bytes) -> "IP":
        version = data[0] >> 4 if data else 0
        if version == 4 and len(data) >= 20:
            header_bytes, total = 4 * (data[0] & 15), number_at(data, 2)
            if header_bytes < 20 or len(data) < header_bytes or number_at(data, 6) & 0x1FFF:
                raise Short
            proto, here = data[9], header_bytes
            if proto == 51:
                proto, here = cls._extensions(proto, data, here)
            end = total if total >= header_bytes else len(data)
            mapped = 0xFFFF << 32
            src, dst = (mapped | number_at(data, at, 4) for at in (12, 16))
        elif version == 6 and len(data) >= 40:
            proto, here = cls._extensions(data[6], data, 40)
            end = 40 + number_at(data, 4) if number_at(data, 4) else len(data)
            src, dst = (number_at(data, at, 16) for at in (8, 24))
        else:
            raise Short
        body = data[here : max(end, here)]
        return cls(proto, src, dst, body, max(end - here, 0))

    @staticmethod
    def _extensions(proto: int, data: bytes, here: int) -> tuple[int, int]:
        for _ in range(16):
            if proto not in (0, 43, 44, 51, 60):
                return proto, here
            if len(data) - here < 8:
                raise Short
            n_bytes = 8 * (data[here + 1] + 1)
            if proto == 44:
                n_bytes = 8
                if number_at(data, here + 2) & 0xFFF8:
                    raise Short
            elif proto == 51:
                n_bytes = 4 * (data[here + 1] + 2)
            proto = data[here]
            here += n_bytes
            if here > len(data):
                raise Short
        raise Short

    def segment(self, header_bytes: int, gtp: bool) -> Any:
        from tests.features.naive_labels import Segment

        src = self.src, number_at(self.body, 0)
        dst = self.dst, number_at(self.body, 2)
        payload = self.body[header_bytes:]
        is_udp = self.proto in (17, 136)
        n_bytes = max(self.n_bytes, len(self.body)) if is_udp else self.n_bytes
        segment = Segment(payload, max(n_bytes - header_bytes, 0), src, dst, is_udp, gtp)
        if not is_udp:
            segment.flags, segment.seq = self.body[13], number_at(self.body, 4, 4)
        return segment

    def inner(self) -> str | Tunnel:
        if self.proto == 47:
            return _gre(self.body)
        inner = {4: IPV4, 41: IPV6, 97: ETHERNET, 137: 0x8847, 143: ETHERNET}
        data = self.body[2:] if self.proto == 97 else self.body
        return Tunnel(inner.get(self.proto, (Table.IP, self.proto)), data)


def _gre(data: bytes) -> str | Tunnel:
    if len(data) < 4:
        return "GRE"
    flags, what = number_at(data, 0), number_at(data, 2)
    words = [flags & 0xC000, flags & 0x2000, flags & 0x1000, flags & 7 == 1 and flags & 0x80]
    rest = data[4 + 4 * sum(map(bool, words)) :]
    if not rest:
        return "GRE"
    if what in (0x2001, 0x2000):
        return "NHRP" if what == 0x2001 else "CDP"
    if what == 0x88BE:
        return Tunnel(ETHERNET, rest[8:] if flags & 0x1000 else rest)
    if what == 0x22EB:
        if len(rest) < 12:
            return "GRE"
        is_data = number_at(rest, 10) & 0x7C00 == 0
        return Tunnel(ETHERNET, rest[20 if rest[11] & 1 else 12 :]) if is_data else "ERSPAN"
    if 0x8200 <= what <= 0x83F0 or what == 0x9000:
        return _wlan(rest)
    what = {0x883E: IPV4, 0x6400: 0x6558}.get(what, what)
    if not flags & 0xF0FF and what == IPV4 and len(rest) > 4 and rest[0] >> 4 != 4:
        rest = rest[4:]
    return Tunnel(what if what > 1500 else 0xFFFF, rest)


def _wlan(data: bytes) -> str | Tunnel:
    if len(data) < 34:
        return "802.11"
    control = data[0] if data[0] & 15 == 8 else data[1]
    rest = data[26 if control & 0x80 else 24 :]
    is_open = control & 0x0C == 8 and rest[:3] == b"\xaa\xaa\x03"
    return Tunnel(LLC, rest) if is_open else "802.11"


def inner_of_datagram(src_port: int, dst_port: int, data: bytes) -> str | Tunnel | None:
    """What a tunnel on UDP carries; None where there is none."""
    for port in sorted((src_port, dst_port)):
        found = _TUNNELS[port](data) if port in _TUNNELS else None
        if found is not None:
            return found
    return None


def _vxlan(data: bytes) -> Tunnel | None:
    return Tunnel(ETHERNET, data[8:]) if len(data) > 8 else None


def _vxlan_gpe(data: bytes) -> Tunnel | None:
    kinds = {1: IPV4, 2: IPV6, 3: ETHERNET}
    return Tunnel(kinds[data[3]], data[8:]) if len(data) > 8 and data[3] in kinds else None


def _geneve(data: bytes) -> Tunnel | None:
    if len(data) <= 8 or len(data) <= 8 + 4 * (data[0] & 0x3F):
        return None
    what = number_at(data, 2)
    inner = data[8 + 4 * (data[0] & 0x3F) :]
    return Tunnel(ETHERNET if what == 0x6558 else what, inner) if what else None


def _teredo(data: bytes) -> Tunnel | None:
    if len(data) >= 13 and data[:2] == b"\0\1":
        data = data[13 + data[2] + data[3] :]
    if len(data) >= 8 and data[:2] == b"\0\0":
        data = data[8:]
    return Tunnel(IPV6, data) if len(data) >= 40 and data[0] >> 4 == 6 else None


def _gtp(data: bytes) -> Tunnel | None:
    if len(data) < 13 or data[0] >> 5 != 1 or data[1] != 0xFF:
        return None
    rest = data[8:]
    if data[0] & 7:
        following, rest = data[11], data[12:]
        for _ in range(16):
            if not data[0] & 4 or not following or len(rest) < 4:
                break
            n_bytes = 4 * max(rest[0], 1)
            if len(rest) <= n_bytes:
                return None
            following, rest = rest[n_bytes - 1], rest[n_bytes:]
    if not rest or rest[0] >> 4 not in (4, 6):
        return None
    return Tunnel(IPV4 if rest[0] >> 4 == 4 else IPV6, rest, gtp=True)


def _l2tp(data: bytes) -> Tunnel | None:
    if len(data) < 2:
        return None
    flags = number_at(data, 0)
    if flags & 0x8000 or flags & 15 != 2:
        return None
    here = 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        if len(data) < here + 2:
            return None
        here += 2 + number_at(data, here)
    return Tunnel(PPP, data[here:]) if here < len(data) else None


def _capwap(data: bytes) -> str | Tunnel | None:
    if len(data) <= 8 or data[0] != 0:
        return None
    return _wlan(data[4 * (data[1] >> 3) :])


def _ayiya(data: bytes) -> Tunnel | None:
    if len(data) <= 8 or data[3] != 41:
        return None
    n_bytes = 8 + (1 << (data[0] >> 4)) + 4 * (data[1] >> 4)
    return Tunnel(IPV6, data[n_bytes:]) if len(data) > n_bytes else None


_TUNNELS: dict[int, Callable[[bytes], Any]] = {
    4789: _vxlan,
    4790: _vxlan_gpe,
    6081: _geneve,
    3544: _teredo,
    2152: _gtp,
    3386: _gtp,
    1701: _l2tp,
    5247: _capwap,
    4754: _gre,
    5072: _ayiya,
}

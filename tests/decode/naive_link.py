"""The link layer, slow and obvious: one frame, `struct` and slices. The kernel must agree with it.

A slice that comes out too short is what "truncated" means here; `Stop` carries the status. A reader
takes the row and its bytes; it returns what comes next (an EtherType, an 802.3 length, or a `Frame`
of a link type) and the bytes of that.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


class Stop(Exception):
    """Decoding ends here, with this status."""


@dataclass(frozen=True)
class Frame:
    """What comes next is not named by an EtherType: a frame of this link type."""

    link_type: int


What = int | Frame
Step = tuple[What, bytes]

NETWORK_HEADERS = {0x0800, 0x0806, 0x86DD}
VLAN_TAGS = {0x8100, 0x88A8, 0x9100}


def take(data: bytes, n_bytes: int, or_else: str) -> bytes:
    """The first bytes, all of them or none."""
    if len(data) < n_bytes:
        raise Stop(or_else)
    return data[:n_bytes]


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def read(row: Row, frame: bytes, link_type: int) -> tuple[int, bytes]:
    """The EtherType of the network header, and what was captured from it on."""
    what, rest = Frame(link_type), frame
    if link_type == 1:
        what, rest = ethernet(row, frame)
        if what in VLAN_TAGS:
            what, rest = vlan(row, what, rest)
    return walk(row, what, rest)


def walk(row: Row, what: What, rest: bytes) -> tuple[int, bytes]:
    """From there on, through at most 15 more headers; a stack of tags or labels is one."""
    for _ in range(16):
        if isinstance(what, int):
            if what >= 1536:
                row["ether_type"] = what
            if what in NETWORK_HEADERS:
                return what, rest
            what, rest = announced(row, what, rest)
        elif what.link_type in FRAMES:
            what, rest = FRAMES[what.link_type](row, rest)
        else:
            raise Stop("LINK_TYPE_UNSUPPORTED")
    raise Stop("LINK_TOO_DEEP")


def announced(row: Row, ether_type: int, rest: bytes) -> Step:
    if ether_type in VLAN_TAGS:
        return vlan(row, ether_type, rest)
    if 0 < ether_type <= 1500:
        return llc(rest, ether_type)
    if ether_type < 1536:
        raise Stop("ETHER_TYPE_BAD")
    if ether_type not in ETHER_TYPES:
        raise Stop("ETHER_TYPE_UNSUPPORTED")
    return ETHER_TYPES[ether_type](row, rest)


def only_type(ether_type: int) -> int:
    """Where a length cannot stand."""
    if ether_type < 1536:
        raise Stop("ETHER_TYPE_BAD")
    return ether_type


def addresses(row: Row, dst: bytes, src: bytes) -> None:
    row["eth_dst"] = row["dst_lo"] = number(dst)
    row["eth_src"] = row["src_lo"] = number(src)


def ethernet(row: Row, frame: bytes) -> Step:
    header = take(frame, 14, "ETHERNET_TRUNCATED")
    addresses(row, header[0:6], header[6:12])
    return number(header[12:14]), frame[14:]


def vlan(row: Row, ether_type: int, rest: bytes) -> Step:
    n_tags = 0
    while ether_type in VLAN_TAGS:
        if n_tags == 8:
            raise Stop("VLAN_TOO_DEEP")
        tci, ether_type = struct.unpack("!HH", take(rest, 4, "VLAN_TRUNCATED"))
        if row["n_vlan_tags"] == 0:
            row["vlan_tci"] = tci
        row["n_vlan_tags"] += 1
        n_tags += 1
        rest = rest[4:]
    return ether_type, rest


def short_tag(n_bytes: int) -> Callable[[Row, bytes], Step]:
    def read_tag(row: Row, rest: bytes) -> Step:
        header = take(rest, n_bytes + 2, "TAG_TRUNCATED")
        return number(header[-2:]), rest[n_bytes + 2 :]

    return read_tag


def ethernet_tag(n_bytes: int) -> Callable[[Row, bytes], Step]:
    def read_tag(row: Row, rest: bytes) -> Step:
        take(rest, n_bytes, "TAG_TRUNCATED")
        return Frame(1), rest[n_bytes:]

    return read_tag


def trill(row: Row, rest: bytes) -> Step:
    # Version 2 bits, reserved 2, multicast 1, options 5, hops 6.
    bits = f"{number(take(rest, 6, 'TAG_TRUNCATED')[:2]):016b}"
    return ethernet_tag(6 + 4 * int(bits[5:10], 2))(row, rest)


def macsec(row: Row, rest: bytes) -> Step:
    # Version, end station, channel, broadcast, encrypted, changed, association 2.
    bits = f"{take(rest, 6, 'MACSEC_TRUNCATED')[0]:08b}"
    if "1" in bits[4:6]:
        raise Stop("MACSEC_ENCRYPTED")
    n_header = 16 if bits[2] == "1" else 8
    header = take(rest, n_header, "MACSEC_TRUNCATED")
    return number(header[-2:]), rest[n_header:]


def mpls(row: Row, rest: bytes) -> Step:
    for _ in range(16):
        label = number(take(rest, 4, "MPLS_TRUNCATED"))
        rest = rest[4:]
        if label >> 8 & 1:
            nibble = take(rest, 1, "MPLS_TRUNCATED")[0] >> 4
            if nibble in (4, 6):
                return {4: 0x0800, 6: 0x86DD}[nibble], rest
            if nibble == 0 and surely_ethernet(rest[4:]):
                return Frame(1), rest[4:]
            if surely_ethernet(rest):
                return Frame(1), rest
            raise Stop("MPLS_UNSUPPORTED")
    raise Stop("MPLS_TOO_DEEP")


def surely_ethernet(frame: bytes) -> bool:
    if len(frame) < 15:
        return False
    ether_type = number(frame[12:14])
    return (
        ether_type in VLAN_TAGS
        or (ether_type, frame[14] >> 4)
        in (
            (0x0800, 4),
            (0x86DD, 6),
        )
        or (ether_type, frame[14]) == (0x0806, 0)
    )


def pppoe(row: Row, rest: bytes) -> Step:
    if number(take(rest, 6, "PPPOE_TRUNCATED")[4:]) < 2:
        raise Stop("PPPOE_TOO_SHORT")
    return Frame(9), rest[6:]


def discovery(row: Row, rest: bytes) -> Step:
    raise Stop("PPPOE_DISCOVERY")


def ppp(row: Row, frame: bytes) -> Step:
    if take(frame, 1, "PPP_TRUNCATED")[0] in (0x0F, 0x8F):
        return hdlc(row, frame)
    if frame[0] == 0xFF:
        frame = frame[2:]
    n_protocol = 1 if take(frame, 1, "PPP_TRUNCATED")[0] % 2 else 2
    protocol = number(take(frame, n_protocol, "PPP_TRUNCATED"))
    rest = frame[n_protocol:]
    if protocol == 0x3D:
        if take(rest, 4, "PPP_TRUNCATED")[0] < 0xC0:
            raise Stop("PPP_FRAGMENT")
        return Frame(9), rest[4:]
    known = {0x21: 0x0800, 0x57: 0x86DD, 0x281: 0x8847, 0x283: 0x8847}
    if protocol not in known:
        raise Stop("PPP_PROTOCOL_UNSUPPORTED")
    return known[protocol], rest


def directed_ppp(row: Row, frame: bytes) -> Step:
    take(frame, 1, "PPP_TRUNCATED")
    return ppp(row, frame[1:])


def hdlc(row: Row, frame: bytes) -> Step:
    return only_type(number(take(frame, 4, "HDLC_TRUNCATED")[2:])), frame[4:]


def frame_relay(row: Row, frame: bytes) -> Step:
    n_address = next((n for n, byte in enumerate(frame[:4], 1) if byte % 2), 0)
    if not n_address:
        raise Stop("FRAME_RELAY_TRUNCATED" if len(frame) < 4 else "FRAME_RELAY_BAD_ADDRESS")
    rest = frame[n_address:]
    control, layer = take(rest, 2, "FRAME_RELAY_TRUNCATED")
    if control != 3:
        if control < 6:
            raise Stop("FRAME_RELAY_UNSUPPORTED")
        return 256 * control + layer, rest[2:]
    rest = rest[2:]
    if layer == 0:
        layer, rest = take(rest, 1, "FRAME_RELAY_TRUNCATED")[0], rest[1:]
    if layer == 0x80:
        return snap(rest, 0)
    known = {0xCC: 0x0800, 0x8E: 0x86DD}
    if layer not in known:
        raise Stop("FRAME_RELAY_UNSUPPORTED")
    return known[layer], rest


def llc(rest: bytes, n_bytes: int = 0xFFFF) -> Step:
    """`n_bytes` is what a length field, if there is one, leaves for LLC and all behind it."""
    if n_bytes < 3:
        raise Stop("LLC_TOO_SHORT")
    dsap, ssap, control = take(rest, 3, "LLC_TRUNCATED")
    if control == 3:
        n_llc = 3
    elif control % 2 == 0:
        n_llc = 4
    else:
        raise Stop("LLC_UNSUPPORTED")
    is_snap = dsap == ssap == 0xAA
    n_header = n_llc + 5 if is_snap else n_llc
    if n_bytes < n_header:
        raise Stop("LLC_TOO_SHORT")
    take(rest, n_header, "LLC_TRUNCATED")
    if is_snap:
        return snap(rest[n_llc:], 2)
    if dsap != 6:
        raise Stop("LLC_UNSUPPORTED")
    return 0x0800, rest[n_llc:]


def snap(rest: bytes, n_padding: int) -> Step:
    header = take(rest, 5, "LLC_TRUNCATED")
    organization, protocol = number(header[:3]), number(header[3:])
    if organization in (0, 0xF8) and protocol >= 1536:
        return protocol, rest[5:]
    if organization == 0x80C2 and protocol in (1, 7):
        take(rest, 5 + n_padding, "LLC_TRUNCATED")
        return Frame(1), rest[5 + n_padding :]
    raise Stop("LLC_UNSUPPORTED")


def sll(row: Row, frame: bytes) -> Step:
    _, device, n_address, address, _, protocol = struct.unpack(
        "!HHH6s2sH", take(frame, 16, "SLL_TRUNCATED")
    )
    return cooked(row, device, n_address, address, protocol), frame[16:]


def sll2(row: Row, frame: bytes) -> Step:
    protocol, _, _, device, _, n_address, address, _ = struct.unpack(
        "!HHIHBB6s2s", take(frame, 20, "SLL_TRUNCATED")
    )
    return cooked(row, device, n_address, address, protocol), frame[20:]


def cooked(row: Row, device: int, n_address: int, address: bytes, protocol: int) -> What:
    if n_address == 6:
        row["eth_src"] = row["src_lo"] = number(address)
    if device == 824:
        raise Stop("SLL_UNSUPPORTED")
    if protocol >= 1536:
        return protocol
    known = {3: 1, 7: 9, 4: 127 if device == 803 else 100}
    if protocol not in known:
        raise Stop("SLL_UNSUPPORTED")
    return Frame(known[protocol])


def raw(row: Row, frame: bytes) -> Step:
    version = take(frame, 1, "RAW_IP_TRUNCATED")[0] >> 4
    if version not in (4, 6):
        raise Stop("RAW_IP_BAD_VERSION")
    return {4: 0x0800, 6: 0x86DD}[version], frame


def null(row: Row, frame: bytes) -> Step:
    header = take(frame, 4, "NULL_TRUNCATED")
    if header[:2] in (b"\xff\x03", b"\x0f\x00"):
        return Frame(9), frame
    value = min(number(header), little(header))
    if 1536 <= value < 65536:
        return value, frame[4:]
    return family(value, frame[4:])


def loop(row: Row, frame: bytes) -> Step:
    return family(number(take(frame, 4, "NULL_TRUNCATED")), frame[4:])


def enc(row: Row, frame: bytes) -> Step:
    header = take(frame, 12, "ENC_TRUNCATED")
    return family(min(number(header[:4]), little(header[:4])), frame[12:])


def pflog(row: Row, frame: bytes) -> Step:
    length, value = take(frame, 4, "PFLOG_TRUNCATED")[:2]
    n_header = -(-length // 4) * 4
    if n_header < 4:
        raise Stop("PFLOG_BAD_LENGTH")
    take(frame, n_header, "PFLOG_TRUNCATED")
    return family(value, frame[n_header:])


def ipnet(row: Row, frame: bytes) -> Step:
    return family(take(frame, 24, "IPNET_TRUNCATED")[1], frame[24:])


def family(value: int, rest: bytes) -> Step:
    if value == 2:
        return 0x0800, rest
    if value in (24, 28, 30) or (value in (10, 23, 26) and (rest[:1] or b"\x60")[0] >> 4 == 6):
        return 0x86DD, rest
    raise Stop("ADDRESS_FAMILY_UNSUPPORTED")


def nflog(row: Row, frame: bytes) -> Step:
    value, version = take(frame, 4, "NFLOG_TRUNCATED")[:2]
    if version:
        raise Stop("NFLOG_BAD_HEADER")
    rest = frame[4:]
    order = ""
    for _ in range(32):
        header = take(rest, 4, "NFLOG_TRUNCATED")
        order = order or ("little" if little(header[:2]) <= number(header[:2]) else "big")
        length, kind = (int.from_bytes(header[i : i + 2], order) for i in (0, 2))
        if length < 4:
            raise Stop("NFLOG_BAD_HEADER")
        if kind == 9:
            return family(value, rest[4:])
        length = -(-length // 4) * 4
        take(rest, length, "NFLOG_TRUNCATED")
        rest = rest[length:]
    raise Stop("NFLOG_BAD_HEADER")


def pktap(row: Row, frame: bytes) -> Step:
    header = take(frame, 12, "PKTAP_TRUNCATED")
    length = little(header[:4])
    if length < 12:
        raise Stop("PKTAP_BAD_LENGTH")
    take(frame, length, "PKTAP_TRUNCATED")
    return frame_named(little(header[8:12])), frame[length:]


def frame_named(link_type: int) -> "Frame":
    """No link type has more than 16 bits."""
    if link_type > 0xFFFF:
        raise Stop("LINK_TYPE_UNSUPPORTED")
    return Frame(link_type)


def fddi(row: Row, frame: bytes) -> Step:
    header = take(frame, 13, "FDDI_TRUNCATED")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in header)
    addresses(row, mirrored[1:7], mirrored[7:13])
    if not 0x50 <= header[0] <= 0x57:
        raise Stop("FDDI_NO_DATA")
    return Frame(100), frame[13:]


def arcnet(n_before: int) -> Callable[[Row, bytes], Step]:
    def read_arcnet(row: Row, frame: bytes) -> Step:
        rest = frame[n_before:]
        code = take(rest, 1, "ARCNET_TRUNCATED")[0]
        if code in (0xF0, 0xF1):
            return {0xF0: 0x0800, 0xF1: 0x0806}[code], rest[1:]
        if code not in (0xD4, 0xD5):
            raise Stop("ARCNET_UNSUPPORTED")
        split = take(rest, 4, "ARCNET_TRUNCATED")[1]
        if split == 0xFF:
            rest = rest[4:]
            split = take(rest, 4, "ARCNET_TRUNCATED")[1]
        if split:
            raise Stop("ARCNET_UNSUPPORTED")
        return {0xD4: 0x0800, 0xD5: 0x0806}[code], rest[4:]

    return read_arcnet


def ipoib(row: Row, frame: bytes) -> Step:
    header = take(frame, 44, "IPOIB_TRUNCATED")
    return only_type(number(header[40:42])), frame[44:]


def radiotap(row: Row, frame: bytes) -> Step:
    version, _, length, present = struct.unpack("<BBHI", take(frame, 8, "RADIOTAP_TRUNCATED"))
    if version or length < 8:
        raise Stop("RADIOTAP_BAD_HEADER")
    header = take(frame, length, "RADIOTAP_TRUNCATED")
    flags = radiotap_flags(header, present)
    body = frame[length:]
    # The checksum's four bytes are the last ones on the wire.
    n_cut = row["wire_bytes"] - row["captured_bytes"]
    n_checksum = max(4 - n_cut, 0) if flags & 0x10 else 0
    content = body[: max(len(body) - n_checksum, 0)]
    what, rest = wlan(row, content, is_padded=bool(flags & 0x20))
    return what, body[len(content) - len(rest) :]


def radiotap_flags(header: bytes, present: int) -> int:
    at, word = 8, present
    while word >> 31:
        if at == 128 or len(header) < at + 4:
            raise Stop("RADIOTAP_BAD_HEADER")
        word = little(header[at : at + 4])
        at += 4
    if present & 2 == 0:
        return 0
    if present & 1:
        at = -(-at // 8) * 8 + 8
    return take(header[at:], 1, "RADIOTAP_BAD_HEADER")[0]


def ppi(row: Row, frame: bytes) -> Step:
    version, _, length, link_type = struct.unpack("<BBHI", take(frame, 8, "PPI_TRUNCATED"))
    if version or length < 8:
        raise Stop("PPI_BAD_HEADER")
    take(frame, length, "PPI_TRUNCATED")
    return frame_named(link_type), frame[length:]


def wlan(row: Row, frame: bytes, *, is_padded: bool = False) -> Step:
    first, flags = take(frame, 2, "WLAN_TRUNCATED")
    version, kind, subtype = first & 3, first >> 2 & 3, first >> 4
    if version:
        raise Stop("WLAN_BAD_VERSION")
    if kind in (1, 3):
        raise Stop({1: "WLAN_CONTROL", 3: "WLAN_EXTENSION"}[kind])
    _, receiver, transmitter, third, sequence = struct.unpack(
        "<I6s6s6sH", take(frame, 24, "WLAN_TRUNCATED")
    )
    if kind == 0:
        addresses(row, receiver, transmitter)
        raise Stop("WLAN_MANAGEMENT")
    to_ds, from_ds, more, protected, ordered = (flags >> bit & 1 for bit in (0, 1, 2, 6, 7))
    is_qos = subtype >= 8
    n_header = 24 + 6 * (to_ds & from_ds) + 2 * is_qos + 4 * (is_qos and ordered)
    header = take(frame, n_header, "WLAN_TRUNCATED")
    qos_at = 24 + 6 * (to_ds & from_ds)
    src = {(0, 0): transmitter, (1, 0): transmitter, (0, 1): third, (1, 1): header[24:30]}
    addresses(row, third if to_ds else receiver, src[to_ds, from_ds])
    for applies, status in (
        (subtype & 4, "WLAN_NO_DATA"),
        (protected, "WLAN_ENCRYPTED"),
        (more or sequence % 16, "WLAN_FRAGMENT"),
        (is_qos and header[qos_at] & 0x80, "WLAN_AGGREGATE"),
    ):
        if applies:
            raise Stop(status)
    body = frame[-(-n_header // 4) * 4 :] if is_padded else frame[n_header:]
    if is_qos and header[qos_at + 1] & 1 and from_ds:
        body = behind_mesh(row, body)
    return llc(body)


def behind_mesh(row: Row, body: bytes) -> bytes:
    if len(body) < 6 or body[0] > 2:
        return body
    n_mesh = 6 + 6 * body[0]
    if body[0] == 2 and len(body) >= n_mesh:
        addresses(row, body[6:12], body[12:18])
    return body[n_mesh:]


ETHER_TYPES: dict[int, Callable[[Row, bytes], Step]] = {
    0x8847: mpls,
    0x8848: mpls,
    0x8863: discovery,
    0x8864: pppoe,
    0x8870: lambda row, rest: (Frame(100), rest),
    0x880B: lambda row, rest: (Frame(9), rest),
    0x88E5: macsec,
    0x8926: short_tag(4),
    0x892F: short_tag(4),
    0xF1C1: short_tag(4),
    0x8909: short_tag(6),
    0x6558: ethernet_tag(0),
    0x8903: ethernet_tag(2),
    0x88E7: ethernet_tag(4),
    0x22F3: trill,
}

FRAMES: dict[int, Callable[[Row, bytes], Step]] = {
    0: null,
    1: ethernet,
    7: arcnet(2),
    9: ppp,
    10: fddi,
    12: raw,
    14: raw,
    50: ppp,
    51: pppoe,
    100: lambda row, frame: llc(frame),
    101: raw,
    104: hdlc,
    105: wlan,
    107: frame_relay,
    108: loop,
    109: enc,
    113: sll,
    117: pflog,
    127: radiotap,
    129: arcnet(4),
    192: ppi,
    204: directed_ppp,
    226: ipnet,
    228: lambda row, frame: (0x0800, frame),
    229: lambda row, frame: (0x86DD, frame),
    239: nflog,
    242: ipoib,
    258: pktap,
    276: sll2,
}


def arp(row: Row, body: bytes) -> None:
    hardware, protocol, n_hardware, n_protocol, opcode = struct.unpack(
        "!HHBBH", take(body, 8, "ARP_TRUNCATED")
    )
    row["arp_opcode"] = opcode
    if (hardware == 1 and n_hardware != 6) or (protocol == 0x0800 and n_protocol != 4):
        raise Stop("ARP_BAD_LENGTH")
    pair = n_hardware + n_protocol
    both = take(body[8:], 2 * pair, "ARP_TRUNCATED")
    sender, target = both[:pair], both[pair:]
    if hardware == 1:
        row["arp_sender_mac"] = number(sender[:6])
    if protocol == 0x0800:
        row["ip_version"] = 4
        row["src_lo"] = number(b"\xff\xff" + sender[n_hardware:])
        row["dst_lo"] = number(b"\xff\xff" + target[n_hardware:])

"""Frames of every link type and encapsulation, made by hand; `corpus` joins them to the others.

What they carry is that of `made`: no two bytes of addresses, ports and payload are alike.
"""

import struct

from tests.decode.made import (
    GOOD as MADE,
)
from tests.decode.made import (
    MACS,
    PAYLOAD,
    TAG,
    Frame,
    arp,
    ethernet,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)

IP4, IP6, ARP = ipv4(17, udp()), ipv6(58, icmp(128, 0)), arp()
INNER_MACS = bytes.fromhex("02 c1 c2 c3 c4 c5  02 d1 d2 d3 d4 d5")
INNER = INNER_MACS + b"\x08\x00" + ipv4(6, tcp())


def type_(number: int, rest: bytes = b"") -> bytes:
    return struct.pack("!H", number) + rest


def length(llc: bytes) -> bytes:
    """Ethernet with an 802.3 length."""
    return ethernet(len(llc), llc)


def snap(protocol: int, rest: bytes, *, organization: str = "000000", control: str = "03") -> bytes:
    return bytes.fromhex(f"aaaa {control} {organization}") + type_(protocol, rest)


def label(number: int = 0xABCDE, *, is_bottom: bool = True) -> bytes:
    return struct.pack("!I", number << 12 | 5 << 9 | is_bottom << 8 | 0x3D)


def pppoe(ppp: bytes, *, n_bytes: int | None = None) -> bytes:
    return struct.pack("!BBHH", 0x11, 0, 0x2122, len(ppp) if n_bytes is None else n_bytes) + ppp


def sll(protocol: int, rest: bytes, device: int = 1, n_address: int = 6) -> bytes:
    address = bytes.fromhex("02 a1 a2 a3 a4 a5 09 0a")
    return struct.pack("!HHH", 4, device, n_address) + address + type_(protocol, rest)


def sll2(protocol: int, rest: bytes, device: int = 1, n_address: int = 6) -> bytes:
    fixed = struct.pack("!HHIHBB", protocol, 0x1112, 0x13141516, device, 4, n_address)
    return fixed + bytes.fromhex("02 a1 a2 a3 a4 a5 09 0a") + rest


def attribute(kind: int, body: bytes, order: str = "<", n_bytes: int | None = None) -> bytes:
    n_all = 4 + len(body) if n_bytes is None else n_bytes
    return struct.pack(order + "HH", n_all, kind) + body + bytes(-len(body) % 4)


def nflog(packet: bytes, order: str = "<", family: int = 2) -> bytes:
    attributes = attribute(1, b"\x08\x00\x01\x00", order) + attribute(10, b"prefix\0", order)
    return bytes([family, 0, 0x12, 0x13]) + attributes + attribute(9, packet, order)


def ipnet(family: int, packet: bytes) -> bytes:
    return struct.pack("!BBHI", 1, family, 0, len(packet)) + bytes(range(16)) + packet


def pktap(link_type: int, frame: bytes, n_bytes: int = 108) -> bytes:
    return struct.pack("<III", n_bytes, 1, link_type) + bytes(range(12, n_bytes)) + frame


def wlan(
    body: bytes,
    *,
    subtype: int = 0,
    flags: int = 0,
    qos: int = 0,
    sequence: int = 0x1230,
    kind: int = 2,
    ordered: bytes = bytes.fromhex("6a 6b 6c 6d"),
) -> bytes:
    """Addresses 1 to 4 are 02:1x:..., 02:2x:..., and so on."""
    first = subtype << 4 | kind << 2
    addresses = [bytes([2, *range(16 * n + 1, 16 * n + 6)]) for n in range(1, 5)]
    header = struct.pack("<BBH", first, flags, 0x5152) + b"".join(addresses[:3])
    header += struct.pack("<H", sequence)
    if flags & 3 == 3:
        header += addresses[3]
    if subtype & 8:
        header += struct.pack("<H", qos)
        if flags & 0x80:
            header += ordered
    return header + body


def radiotap(
    frame: bytes, fields: bytes = b"", *, present: int = 0, n_bytes: int | None = None
) -> bytes:
    n_all = 8 + len(fields) if n_bytes is None else n_bytes
    return struct.pack("<BBHI", 0, 0, n_all, present) + fields + frame


def ppi(link_type: int, frame: bytes, fields: bytes = b"\x02\0\x02\0\x77\x78") -> bytes:
    return struct.pack("<BBHI", 0, 0, 8 + len(fields), link_type) + fields + frame


SNAP4, SNAP6 = snap(0x0800, IP4), snap(0x86DD, IP6)
TIME = bytes(range(0x31, 0x39))
FDDI = b"\x50" + MACS
GRH = bytes(range(0x40, 0x68))

#: One of each kind that decodes, by name.
GOOD = {
    # Cooked headers and loopbacks.
    "sll_arp": Frame(sll(0x0806, ARP), link_type=113),
    "sll_ethernet": Frame(sll(3, INNER), link_type=113),
    "sll_llc": Frame(sll(4, SNAP4), link_type=113),
    "sll_ppp": Frame(sll(7, b"\xff\x03\0\x21" + IP4), link_type=113),
    "sll_short_address": Frame(sll(0x0800, IP4, n_address=4), link_type=113),
    "sll_tunnel": Frame(sll(0x6558, INNER, device=778), link_type=113),
    "sll_radiotap": Frame(sll(4, radiotap(wlan(SNAP4)), device=803), link_type=113),
    "sll2": Frame(sll2(0x0800, IP4), link_type=276),
    "sll2_vlan": Frame(sll2(0x8100, TAG[2:] + type_(0x86DD, IP6)), link_type=276),
    "sll2_llc": Frame(sll2(4, SNAP6, n_address=8), link_type=276),
    **{f"null_{n}": Frame(struct.pack("<I", n) + IP6, link_type=0) for n in (24, 28, 30, 10, 23)},
    "null_little": Frame(b"\x02\0\0\0" + IP4, link_type=0),
    "null_big": Frame(b"\0\0\0\x02" + IP4, link_type=0),
    "null_big_6": Frame(b"\0\0\0\x1e" + IP6, link_type=0),
    "null_type": Frame(b"\x06\x08\0\0" + ARP, link_type=0),
    "null_ppp": Frame(b"\xff\x03\0\x21" + IP4, link_type=0),
    "null_hdlc": Frame(b"\x0f\0\x08\0" + IP4, link_type=0),
    "loop": Frame(b"\0\0\0\x02" + IP4, link_type=108),
    "loop_6": Frame(b"\0\0\0\x18" + IP6, link_type=108),
    "enc": Frame(b"\x02\0\0\0" + bytes(range(8)) + IP4, link_type=109),
    "enc_big": Frame(b"\0\0\0\x18" + bytes(range(8)) + IP6, link_type=109),
    "pflog": Frame(b"\x3d\x02" + bytes(range(0x10, 0x4E)) + IP4, link_type=117),
    "pflog_6": Frame(b"\x40\x1e" + bytes(range(0x10, 0x4E)) + IP6, link_type=117),
    "ipnet": Frame(ipnet(2, IP4), link_type=226),
    "ipnet_6": Frame(ipnet(26, IP6), link_type=226),
    "nflog": Frame(nflog(IP4), link_type=239),
    "nflog_big": Frame(nflog(IP6, ">", 10), link_type=239),
    "pktap": Frame(pktap(1, INNER), link_type=258),
    "pktap_raw": Frame(pktap(12, IP6), link_type=258),
    # Lines.
    "ppp": Frame(b"\xff\x03\0\x21" + IP4, link_type=9),
    "ppp_6": Frame(b"\xff\x03\0\x57" + IP6, link_type=50),
    "ppp_bare": Frame(b"\0\x21" + IP4, link_type=9),
    "ppp_compressed": Frame(b"\x57" + IP6, link_type=9),
    "ppp_mpls": Frame(b"\xff\x03\x02\x81" + label() + IP4, link_type=9),
    "ppp_mpls_upstream": Frame(b"\x02\x83" + label() + IP6, link_type=50),
    "ppp_multilink": Frame(b"\xff\x03\0\x3d\xc0\x01\x02\x03\0\x21" + IP4, link_type=9),
    "ppp_hdlc": Frame(b"\x8f\0\x08\0" + IP4, link_type=9),
    "ppp_directed": Frame(b"\x01\xff\x03\0\x21" + IP4, link_type=204),
    "ppp_ether": Frame(pppoe(b"\0\x21" + IP4), link_type=51),
    "hdlc": Frame(b"\x0f\0\x08\0" + IP4, link_type=104),
    "hdlc_mpls": Frame(b"\x0f\0\x88\x47" + label() + IP6, link_type=104),
    "frame_relay": Frame(b"\x18\x41\x03\xcc" + IP4, link_type=107),
    "frame_relay_6": Frame(b"\x18\x40\x02\x05\x03\0\x8e" + IP6, link_type=107),
    "frame_relay_snap": Frame(b"\x18\x41\x03\0\x80" + snap(0x0800, IP4)[3:], link_type=107),
    "frame_relay_bridged": Frame(
        b"\x18\x41\x03\0\x80" + snap(7, INNER, organization="0080c2")[3:], link_type=107
    ),
    "frame_relay_cisco": Frame(b"\x18\x41\x86\xdd" + IP6, link_type=107),
    # Local networks.
    "fddi": Frame(FDDI + SNAP4, link_type=10),
    "fddi_priority": Frame(b"\x57" + MACS + snap(0x0806, ARP), link_type=10),
    "arcnet": Frame(b"\x21\x22\xd4\0\x23\x24" + IP4, link_type=7),
    "arcnet_old": Frame(b"\x21\x22\xf0" + IP4, link_type=7),
    "arcnet_linux": Frame(b"\x21\x22\x25\x26\xd5\0\x23\x24" + ARP, link_type=129),
    "arcnet_linux_old": Frame(b"\x21\x22\x25\x26\xf1" + ARP, link_type=129),
    "arcnet_exception": Frame(b"\x21\x22\xd4\xff\xff\xff\xd4\0\x23\x24" + IP4, link_type=7),
    "ipoib": Frame(GRH + b"\x08\x00\0\0" + IP4, link_type=242),
    "llc": Frame(SNAP4, link_type=100),
    # Between Ethernet and the network header.
    "mpls": Frame(ethernet(0x8847, label(is_bottom=False) + label(16) + IP4)),
    "mpls_upstream": Frame(ethernet(0x8848, label(2) + IP6, TAG)),
    "mpls_ethernet": Frame(ethernet(0x8847, label() + INNER)),
    "mpls_control_word": Frame(ethernet(0x8847, label() + bytes(4) + INNER)),
    "mpls_control_word_vlan": Frame(
        ethernet(0x8847, label() + bytes(4) + INNER_MACS + TAG + type_(0x86DD, IP6))
    ),
    "mpls_arp": Frame(ethernet(0x8847, label() + b"\0\0\0\x07" + INNER_MACS + type_(0x806, ARP))),
    "pppoe": Frame(ethernet(0x8864, pppoe(b"\0\x21" + IP4))),
    "pppoe_vlan": Frame(ethernet(0x8864, pppoe(b"\x57" + IP6), TAG + TAG)),
    "snap": Frame(length(SNAP4)),
    "snap_bridge": Frame(length(snap(0x86DD, IP6, organization="0000f8"))),
    "snap_vlan": Frame(length(snap(0x8100, TAG[2:] + type_(0x0806, ARP)))),
    "snap_information": Frame(length(snap(0x0800, IP4, control="0002"))),
    "snap_ethernet": Frame(length(snap(1, b"\0\0" + INNER, organization="0080c2"))),
    "llc_ip": Frame(length(b"\x06\x06\x03" + IP4)),
    "llc_padded": Frame(ethernet(8 + len(IP4), SNAP4 + bytes(9))),
    "llc_jumbo": Frame(ethernet(0x8870, SNAP6)),
    "llc_vlan": Frame(MACS + TAG + type_(len(SNAP4), SNAP4)),
    "macsec": Frame(ethernet(0x88E5, b"\x20\0\0\0\0\x09" + TIME + type_(0x0800, IP4) + bytes(16))),
    "macsec_short": Frame(ethernet(0x88E5, b"\0\0\0\0\0\x09" + type_(0x86DD, IP6) + bytes(16))),
    "vn_tag": Frame(
        ethernet(0x8926, b"\x01\x02\x03\x04" + type_(0x8100, TAG[2:4] + b"\x08\0" + IP4))
    ),
    "hsr": Frame(ethernet(0x892F, b"\x01\x02\x03\x04" + type_(0x0806, ARP))),
    "redundancy": Frame(ethernet(0xF1C1, b"\0\0\x03\x04" + type_(0x86DD, IP6))),
    "cisco_metadata": Frame(ethernet(0x8909, b"\x01\x01\0\x01\0\x64" + type_(0x0800, IP4))),
    "fabric_path": Frame(ethernet(0x8903, b"\x01\x20" + INNER)),
    "backbone": Frame(ethernet(0x88E7, b"\0\x01\x02\x03" + INNER)),
    "trill": Frame(ethernet(0x22F3, b"\0\x3f\x01\x02\x03\x04" + INNER)),
    "trill_options": Frame(ethernet(0x22F3, b"\0\x60\x01\x02\x03\x04\x05\x06\x07\x08" + INNER)),
    "bridged": Frame(ethernet(0x6558, INNER)),
    "ppp_on_ethernet": Frame(ethernet(0x880B, b"\xff\x03\0\x21" + IP4)),
    # Radio.
    "wlan": Frame(wlan(SNAP4), link_type=105),
    "wlan_to_ds": Frame(wlan(SNAP6, flags=1), link_type=105),
    "wlan_from_ds": Frame(wlan(snap(0x0806, ARP), flags=2), link_type=105),
    "wlan_both_ds": Frame(wlan(SNAP4, flags=3), link_type=105),
    "wlan_qos": Frame(wlan(SNAP4, subtype=8, flags=1, qos=0x0105), link_type=105),
    "wlan_ht": Frame(wlan(SNAP4, subtype=8, flags=0x83), link_type=105),
    "wlan_order": Frame(wlan(SNAP4, flags=0x80), link_type=105),
    "wlan_mesh": Frame(
        wlan(b"\0\x1f\1\2\3\4" + SNAP4, subtype=8, flags=3, qos=0x100), link_type=105
    ),
    "wlan_mesh_proxied": Frame(
        wlan(b"\2\x1f\1\2\3\4" + INNER_MACS + SNAP4, subtype=8, flags=3, qos=0x100), link_type=105
    ),
    "wlan_no_mesh": Frame(wlan(SNAP4, subtype=8, flags=2, qos=0x100), link_type=105),
    "radiotap": Frame(radiotap(wlan(SNAP4)), link_type=127),
    "radiotap_flags": Frame(radiotap(wlan(SNAP4), b"\x10", present=2) + b"FCS!", link_type=127),
    "radiotap_time": Frame(
        radiotap(wlan(SNAP4, subtype=8)[:26] + b"\0\0" + SNAP4, TIME + b"\x20", present=3),
        link_type=127,
    ),
    "radiotap_words": Frame(
        radiotap(
            wlan(SNAP4) + b"FCS!",
            struct.pack("<II", 1 << 31, 0) + TIME + b"\x10\x02",
            present=1 << 31 | 7,
        ),
        link_type=127,
    ),
    "ppi": Frame(ppi(1, INNER), link_type=192),
    "ppi_wlan": Frame(ppi(105, wlan(SNAP6)), link_type=192),
}

#: Behind Ethernet's, fifteen headers before the network header, frames and types by turns; more.
DEEP = [ethernet(0x6558, n * (INNER_MACS + type_(0x6558)) + INNER) for n in (6, 7)]

#: A frame for every status of the link layer.
BAD = {
    "LINK_TYPE_UNSUPPORTED": Frame(MADE["tcp"].data, link_type=147),
    "LINK_TOO_DEEP": Frame(DEEP[1]),
    "ETHERNET_TRUNCATED": MADE["tcp"].cut(13),
    "SLL_TRUNCATED": GOOD["sll_arp"].cut(15),
    "SLL_UNSUPPORTED": Frame(sll(0x000C, PAYLOAD, device=280), link_type=113),
    "NULL_TRUNCATED": GOOD["null_big"].cut(3),
    "ENC_TRUNCATED": GOOD["enc"].cut(11),
    "PFLOG_TRUNCATED": GOOD["pflog"].cut(63),
    "PFLOG_BAD_LENGTH": Frame(b"\0" + GOOD["pflog"].data[1:], link_type=117),
    "IPNET_TRUNCATED": GOOD["ipnet"].cut(23),
    "NFLOG_TRUNCATED": GOOD["nflog"].cut(27),
    "NFLOG_BAD_HEADER": Frame(b"\x02\x01" + GOOD["nflog"].data[2:], link_type=239),
    "ADDRESS_FAMILY_UNSUPPORTED": Frame(b"\0\0\0\x07" + PAYLOAD, link_type=108),
    "RAW_IP_TRUNCATED": Frame(b"", link_type=101),
    "RAW_IP_BAD_VERSION": Frame(b"\x50", link_type=101),
    "PKTAP_TRUNCATED": GOOD["pktap"].cut(107),
    "PKTAP_BAD_LENGTH": Frame(b"\x0b" + GOOD["pktap"].data[1:], link_type=258),
    "FDDI_TRUNCATED": GOOD["fddi"].cut(12),
    "FDDI_NO_DATA": Frame(b"\x41" + GOOD["fddi"].data[1:], link_type=10),
    "ARCNET_TRUNCATED": GOOD["arcnet"].cut(5),
    "ARCNET_UNSUPPORTED": Frame(b"\x21\x22\xd4\x01\x23\x24" + IP4, link_type=7),
    "IPOIB_TRUNCATED": GOOD["ipoib"].cut(43),
    "VLAN_TRUNCATED": MADE["vlan"].cut(17),
    "VLAN_TOO_DEEP": Frame(ethernet(0x0800, IP4, 9 * TAG)),
    "TAG_TRUNCATED": GOOD["hsr"].cut(19),
    "MACSEC_TRUNCATED": GOOD["macsec"].cut(29),
    "MACSEC_ENCRYPTED": Frame(ethernet(0x88E5, b"\x2c\0\0\0\0\x09" + TIME + PAYLOAD)),
    "MPLS_TRUNCATED": GOOD["mpls"].cut(22),
    "MPLS_TOO_DEEP": Frame(ethernet(0x8847, 16 * label(is_bottom=False) + label() + IP4)),
    "MPLS_UNSUPPORTED": Frame(ethernet(0x8847, label() + b"\x10\0\0\x07" + PAYLOAD)),
    "PPPOE_TRUNCATED": GOOD["pppoe"].cut(19),
    "PPPOE_TOO_SHORT": Frame(ethernet(0x8864, pppoe(b"\0\x21" + IP4, n_bytes=1))),
    "PPPOE_DISCOVERY": Frame(ethernet(0x8863, b"\x11\x09\0\0\0\0")),
    "PPP_TRUNCATED": GOOD["ppp"].cut(3),
    "PPP_FRAGMENT": Frame(b"\0\x3d\x80\x01\x02\x03\0\x21" + IP4, link_type=9),
    "PPP_PROTOCOL_UNSUPPORTED": Frame(b"\xff\x03\xc0\x21" + PAYLOAD, link_type=9),
    "HDLC_TRUNCATED": GOOD["hdlc"].cut(3),
    "FRAME_RELAY_TRUNCATED": GOOD["frame_relay"].cut(3),
    "FRAME_RELAY_BAD_ADDRESS": Frame(b"\x18\x40\x02\x04\x05" + IP4, link_type=107),
    "FRAME_RELAY_UNSUPPORTED": Frame(b"\x18\x41\x03\x81" + PAYLOAD, link_type=107),
    "LLC_TRUNCATED": GOOD["snap"].cut(21),
    "LLC_TOO_SHORT": Frame(ethernet(7, SNAP4)),
    "LLC_UNSUPPORTED": Frame(ethernet(38, bytes.fromhex("42 42 03"))),
    "ETHER_TYPE_BAD": Frame(ethernet(1501, SNAP4)),
    "ETHER_TYPE_UNSUPPORTED": Frame(ethernet(0x88CC, PAYLOAD)),
    "RADIOTAP_TRUNCATED": GOOD["radiotap_time"].cut(16),
    "RADIOTAP_BAD_HEADER": Frame(radiotap(wlan(SNAP4), present=2), link_type=127),
    "PPI_TRUNCATED": GOOD["ppi"].cut(13),
    "PPI_BAD_HEADER": Frame(b"\x01" + GOOD["ppi"].data[1:], link_type=192),
    "WLAN_TRUNCATED": GOOD["wlan_ht"].cut(35),
    "WLAN_BAD_VERSION": Frame(b"\x09" + GOOD["wlan"].data[1:], link_type=105),
    "WLAN_MANAGEMENT": Frame(wlan(PAYLOAD, kind=0, subtype=8), link_type=105),
    "WLAN_CONTROL": Frame(wlan(b"", kind=1, subtype=13)[:10], link_type=105),
    "WLAN_EXTENSION": Frame(wlan(PAYLOAD, kind=3), link_type=105),
    "WLAN_NO_DATA": Frame(wlan(b"", subtype=12, flags=1), link_type=105),
    "WLAN_ENCRYPTED": Frame(wlan(PAYLOAD, subtype=8, flags=0x41), link_type=105),
    "WLAN_FRAGMENT": Frame(wlan(SNAP4, flags=0x04), link_type=105),
    "WLAN_AGGREGATE": Frame(wlan(INNER, subtype=8, flags=2, qos=0x80), link_type=105),
}

"""Frames with tunnels, made by hand: one of each kind and form, and what is inside."""

import struct

from tests.decode.made import (
    DST6,
    PAYLOAD,
    SRC6,
    TAG,
    Frame,
    arp,
    ethernet,
    gre,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)

INNER_MACS = bytes.fromhex("02 c1 c2 c3 c4 c5  02 e1 e2 e3 e4 e5")
INNER = ipv4(6, tcp(bytes.fromhex("02 04 05 b4"), b"inner"), src=77)
INNER6 = ipv6(17, udp(b"inner 6"))
KEY, SEQUENCE = bytes.fromhex("0a 0b 0c 0d"), bytes.fromhex("1a 1b 1c 1d")
CHECKSUM = bytes.fromhex("2a 2b 00 00")


def inner_ethernet(ether_type: int, payload: bytes, tags: bytes = b"") -> bytes:
    return INNER_MACS + tags + struct.pack("!H", ether_type) + payload


def datagram(dst_port: int, payload: bytes, src_port: int = 0xD1D2, length: int = -1) -> bytes:
    n_bytes = 8 + len(payload) if length < 0 else length
    return struct.pack("!HHHH", src_port, dst_port, n_bytes, 0) + payload


def over_udp(dst_port: int, payload: bytes, src_port: int = 0xD1D2, length: int = -1) -> Frame:
    return Frame(ethernet(0x0800, ipv4(17, datagram(dst_port, payload, src_port, length))))


def over_gre(header_and_payload: bytes) -> Frame:
    return Frame(ethernet(0x0800, ipv4(47, header_and_payload)))


def vxlan(payload: bytes, vni: int = 0x010203, flags: int = 0x08) -> bytes:
    return struct.pack("!B3xI", flags, vni << 8) + payload


def geneve(
    carried: int, payload: bytes, *, first: int = 0, flags: int = 0, vni: int = 0x010203
) -> bytes:
    return struct.pack("!BBHI", first, flags, carried, vni << 8) + payload


def gtp(
    payload: bytes, *, flags: int = 0x30, message: int = 255, length: int | None = None
) -> bytes:
    n_bytes = len(payload) if length is None else length
    return struct.pack("!BBHI", flags, message, n_bytes, 0x71727374) + payload


def authentication(n_id: int = 0, n_value: int = 0) -> bytes:
    return struct.pack("!HBB", 1, n_id, n_value) + bytes(range(0x31, 0x3A + n_id + n_value))


ORIGIN = bytes.fromhex("00 00 f3 f2 f1 f0 ef ee")


def l2tp(flags: int, payload: bytes, fields: bytes = bytes.fromhex("0101 0202")) -> bytes:
    return struct.pack("!H", flags) + fields + payload


WLAN_HEADER = bytes.fromhex("0801 0000") + INNER_MACS + bytes.fromhex("02 f1 f2 f3 f4 f5  00 10")
SNAP_IPV4 = bytes.fromhex("aa aa 03 00 00 00 08 00")
PPP_IPV4 = bytes.fromhex("ff 03 00 21")
PPP_IPV6_SHORT = bytes.fromhex("57")

#: Frames whose innermost packet is read, by name: one tunnel each, or as many as its list says.
OPENED = {
    "4in4": Frame(ethernet(0x0800, ipv4(4, INNER))),
    "6in4": Frame(ethernet(0x0800, ipv4(41, INNER6))),
    "4in6": Frame(ethernet(0x86DD, ipv6(4, INNER))),
    "6in6": Frame(ethernet(0x86DD, ipv6(41, INNER6))),
    "raw_4in4": Frame(ipv4(4, INNER), link_type=101),
    "gre_ipv4": over_gre(gre(0, 0x0800, INNER)),
    "gre_ipv6": over_gre(gre(0, 0x86DD, INNER6)),
    "gre_key": over_gre(gre(0x2000, 0x0800, INNER, KEY)),
    "gre_all": over_gre(gre(0xB000, 0x0800, INNER, CHECKSUM + KEY + SEQUENCE)),
    "gre_ethernet": over_gre(gre(0x2000, 0x6558, inner_ethernet(0x0800, INNER), KEY)),
    "gre_vlan": over_gre(gre(0, 0x8100, TAG[2:] + b"\x08\x00" + INNER)),
    "gre_ppp": over_gre(gre(0, 0x880B, PPP_IPV4 + INNER)),
    "gre_wlan": over_gre(gre(0, 0x8200, WLAN_HEADER + SNAP_IPV4 + INNER)),
    "gre_wlan_last": over_gre(gre(0, 0x9000, WLAN_HEADER + SNAP_IPV4 + INNER)),
    "gre_arp": over_gre(gre(0, 0x6558, inner_ethernet(0x0806, arp()))),
    "pptp": over_gre(
        gre(0x3001, 0x880B, PPP_IPV4 + INNER, struct.pack("!HH", 4 + len(INNER), 9) + SEQUENCE)
    ),
    "pptp_padded": over_gre(
        gre(0x3081, 0x880B, PPP_IPV4 + INNER + PAYLOAD,
            struct.pack("!HH", 4 + len(INNER), 9) + SEQUENCE + SEQUENCE)
    ),
    "erspan_1": over_gre(gre(0, 0x88BE, inner_ethernet(0x0800, INNER))),
    "erspan_2": over_gre(
        gre(0x1000, 0x88BE, bytes.fromhex("1064 0003 000a bcde") + inner_ethernet(0x0800, INNER),
            SEQUENCE)
    ),
    "erspan_3": over_gre(
        gre(0x1000, 0x22EB, bytes.fromhex("2064 0003 01020304 0506 8008")
            + inner_ethernet(0x86DD, INNER6), SEQUENCE)
    ),
    "erspan_3_subheader": over_gre(
        gre(0x1000, 0x22EB, bytes.fromhex("2064 0003 01020304 0506 8009 1122334455667788")
            + inner_ethernet(0x86DD, INNER6, TAG), SEQUENCE)
    ),
    "vxlan": over_udp(4789, vxlan(inner_ethernet(0x0800, INNER))),
    "vxlan_linux": over_udp(8472, vxlan(inner_ethernet(0x86DD, INNER6, TAG))),
    "vxlan_arp": over_udp(4789, vxlan(inner_ethernet(0x0806, arp()))),
    "vxlan_tagged": Frame(
        ethernet(0x86DD, ipv6(17, datagram(4789, vxlan(inner_ethernet(0x0800, INNER, TAG)))), TAG)
    ),
    "vxlan_policy": over_udp(4789, vxlan(inner_ethernet(0x0800, INNER), flags=0x88)),
    "vxlan_back": over_udp(0xD1D2, vxlan(inner_ethernet(0x0800, INNER)), src_port=4789),
    "geneve": over_udp(6081, geneve(0x6558, inner_ethernet(0x0800, INNER))),
    "geneve_options": over_udp(
        6081, geneve(0x6558, bytes(range(12)) + inner_ethernet(0x0800, INNER), first=3, flags=0x40)
    ),
    "geneve_ipv6": over_udp(6081, geneve(0x86DD, INNER6)),
    "gtp": over_udp(2152, gtp(INNER)),
    "gtp_optional": over_udp(2152, gtp(b"\x01\x02\x00\x85" + INNER, flags=0x32)),
    "gtp_extensions": over_udp(
        2152,
        gtp(b"\x01\x02\x03\x85" + b"\x01\x11\x22\xc0" + b"\x02" + bytes(range(0x41, 0x47)) + b"\0"
            + INNER6, flags=0x34),
    ),
    "gtp_padded": over_udp(2152, gtp(INNER + PAYLOAD, length=len(INNER))),
    "teredo": over_udp(3544, INNER6),
    "teredo_origin": over_udp(0xD1D2, ORIGIN + INNER6, src_port=3544),
    "teredo_authentication": over_udp(3544, authentication() + INNER6),
    "teredo_both": over_udp(3544, authentication(3, 5) + ORIGIN + INNER6),
    "teredo_bubble": over_udp(3544, ipv6(59, b"")),
    "l2tp": over_udp(1701, l2tp(0x0002, PPP_IPV4 + INNER), 1701),
    "l2tp_length": over_udp(
        1701,
        l2tp(0x4002, PPP_IPV6_SHORT + INNER6 + PAYLOAD,
             struct.pack("!HHH", 8 + 1 + len(INNER6), 1, 2)),
    ),
    "l2tp_all": over_udp(
        1701,
        l2tp(0x4B02, PPP_IPV4 + INNER,
             struct.pack("!HHHHHH3s", 17 + 4 + len(INNER), 1, 2, 3, 4, 3, b"pad")),
    ),
    "short_datagram": over_udp(4789, vxlan(inner_ethernet(0x0800, INNER)) + PAYLOAD,
                               length=16 + 14 + len(INNER)),
    "jumbogram": Frame(
        ethernet(0x86DD, ipv6(17, datagram(4789, vxlan(inner_ethernet(0x0800, INNER)), length=0),
                              n_payload=0))
    ),
    "padded_4in4": Frame(ethernet(0x0800, ipv4(4, ipv4(17, udp(b"")))) + bytes(6)),
    "authenticated_4in4": Frame(
        ethernet(0x0800, ipv4(51, b"\x04\x01" + bytes(range(10)) + INNER))
    ),
}  # fmt: skip

#: Three tunnels, one in another, and an ICMP message inside.
NESTED = over_udp(
    4789,
    vxlan(
        inner_ethernet(
            0x86DD, ipv6(47, gre(0x2000, 0x0800, ipv4(4, ipv4(1, icmp(), src=99), src=88), KEY))
        )
    ),
)

#: Frames that stay with their outer header, and why; "" where there was nothing to be opened.
CLOSED = {
    "fragment_4in4": (Frame(ethernet(0x0800, ipv4(4, INNER, fragment=0x2000))), "FRAGMENT"),
    "later_fragment": (Frame(ethernet(0x0800, ipv4(4, INNER, fragment=0x2001))), ""),
    "gre_route": (over_gre(gre(0x4000, 0x0800, INNER, CHECKSUM)), "UNSUPPORTED"),
    "gre_version_2": (over_gre(gre(0x0002, 0x0800, INNER)), "UNSUPPORTED"),
    "gre_keepalive": (over_gre(gre(0, 0, b"")), "UNSUPPORTED"),
    "gre_osi": (over_gre(gre(0, 0x00FE, PAYLOAD)), "UNSUPPORTED"),
    "gre_lldp": (over_gre(gre(0, 0x88CC, PAYLOAD)), "UNSUPPORTED"),
    "gre_wrong_version": (over_gre(gre(0, 0x0800, INNER6)), "MALFORMED"),
    "gre_empty": (over_gre(gre(0, 0x0800, b"")), "TRUNCATED"),
    "pptp_acknowledgement": (over_gre(gre(0x2081, 0x880B, b"", KEY + SEQUENCE)), ""),
    "pptp_no_key": (over_gre(gre(0x1001, 0x880B, PPP_IPV4 + INNER, SEQUENCE)), "MALFORMED"),
    "pptp_ipv4": (over_gre(gre(0x3001, 0x0800, INNER, KEY + SEQUENCE)), "MALFORMED"),
    "pptp_control": (
        over_gre(gre(0x3001, 0x880B, bytes.fromhex("ff 03 c0 21 01 01 00 04"),
                     bytes.fromhex("0008 0009") + SEQUENCE)),
        "UNSUPPORTED",
    ),
    "erspan_2_version": (
        over_gre(gre(0x1000, 0x88BE, bytes(8) + inner_ethernet(0x0800, INNER), SEQUENCE)),
        "UNSUPPORTED",
    ),
    "erspan_3_type": (
        over_gre(gre(0x1000, 0x22EB, bytes.fromhex("2064 0003 01020304 0506 0800") + INNER,
                     SEQUENCE)),
        "UNSUPPORTED",
    ),
    "vxlan_no_vni": (over_udp(4789, vxlan(inner_ethernet(0x0800, INNER), flags=0xF7)), "MALFORMED"),
    "vxlan_stp": (over_udp(4789, vxlan(inner_ethernet(38, bytes(38)))), "UNSUPPORTED"),
    "geneve_version": (over_udp(6081, geneve(0x0800, INNER, first=0x40)), "UNSUPPORTED"),
    "geneve_control": (over_udp(6081, geneve(0x0800, INNER, flags=0x80)), ""),
    "geneve_carried": (over_udp(6081, geneve(0x05FF, INNER)), "UNSUPPORTED"),
    "gtp_echo": (over_udp(2152, gtp(INNER, message=1)), ""),
    "gtp_prime": (over_udp(2152, gtp(INNER, flags=0x20)), "UNSUPPORTED"),
    "gtp_version_2": (over_udp(2152, gtp(INNER, flags=0x50)), "UNSUPPORTED"),
    "gtp_ppp": (over_udp(2152, gtp(PPP_IPV4 + INNER)), "UNSUPPORTED"),
    "gtp_empty": (over_udp(2152, gtp(b"")), "MALFORMED"),
    "gtp_extension_length": (
        over_udp(2152, gtp(b"\0\0\0\x85\0" + INNER, flags=0x34)), "MALFORMED"
    ),
    "gtp_extension_chain": (
        over_udp(2152, gtp(b"\0\0\0\x85" + 17 * b"\x01\0\0\x85" + INNER, flags=0x34)),
        "MALFORMED",
    ),
    "teredo_ipv4": (over_udp(3544, INNER), "MALFORMED"),
    "teredo_noise": (over_udp(3544, PAYLOAD), "UNSUPPORTED"),
    "l2tp_control": (over_udp(1701, l2tp(0xC802, bytes(20))), ""),
    "l2tp_version_3": (over_udp(1701, l2tp(0x0003, PPP_IPV4 + INNER)), "UNSUPPORTED"),
    "l2tp_lcp": (
        over_udp(1701, l2tp(0x0002, bytes.fromhex("ff 03 c0 21 01 01 00 04"))), "UNSUPPORTED"
    ),
    "inner_tcp": (Frame(ethernet(0x0800, ipv4(4, ipv4(6, tcp(words=3))))), "MALFORMED"),
    "inner_ends_early": (Frame(ethernet(0x0800, ipv4(4, INNER[:-1]))), "MALFORMED"),
    "inner_snapped": (OPENED["vxlan"].snapped(14 + 28 + 8 + 14 + 39), "TRUNCATED"),
}  # fmt: skip

#: What INNER and INNER6 are, as the row has it.
INNER_FIELDS = {"ip_version": 4, "proto": 6, "src_lo": 0xFFFF_C000_024D, "payload_bytes": 5}
INNER6_FIELDS = {
    "ip_version": 6,
    "proto": 17,
    "src_hi": int.from_bytes(SRC6[:8], "big"),
    "dst_lo": int.from_bytes(DST6[8:], "big"),
    "payload_bytes": 7,
}

"""Frames of the corpus, by name: one of every protocol that is right, and then its lengths wrong.

The outcome is a DecodeStatus by name. `depth` is decode.tunnel_depth: with it, a tunnel that can be
opened shows what is inside, and one that cannot leaves the outer packet as it is.
"""

import struct
from dataclasses import dataclass

from tests.decode.made import (
    OPTIONS,
    PAYLOAD,
    Frame,
    ethernet,
    extension,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from tests.fuzz.corpus_links import ETHERNET_IN, IP_IN, LINK, PPP


@dataclass(frozen=True)
class FrameEntry:
    """One file of corpus/frames and what it must come to."""

    name: str
    frame: Frame
    outcome: str
    depth: int = 0


def _of(outcome: str, data: bytes, wire: int | None = None, link: int = 1) -> tuple[str, Frame]:
    return outcome, Frame(data, wire, link)


def _4(proto: int, payload: bytes, **wrong: int) -> bytes:
    return ethernet(0x0800, ipv4(proto, payload, **wrong))  # type: ignore[arg-type]


def _6(proto: int, payload: bytes, **wrong: int) -> bytes:
    return ethernet(0x86DD, ipv6(proto, payload, **wrong))


def _udp_to(port: int, payload: bytes, src: int = 0xD1D2) -> bytes:
    return struct.pack("!HHHH", src, port, 8 + len(payload), 0) + payload


NETWORK = {
    "ipv4_udp_good": _of("OK", _4(17, udp())),
    "ipv4_header_length_zero": _of("IPV4_BAD_HEADER_LENGTH", _4(17, udp(), first=0x40)),
    "ipv4_header_length_four_words": _of("IPV4_BAD_HEADER_LENGTH", _4(17, udp(), first=0x44)),
    "ipv4_header_length_beyond_total": _of("IPV4_BAD_TOTAL_LENGTH", _4(17, b"", first=0x46)),
    "ipv4_header_length_beyond_capture": _of(
        "IPV4_TRUNCATED", _4(17, b"", first=0x4F, total=60), 80
    ),
    "ipv4_total_length_below_header": _of("IPV4_BAD_TOTAL_LENGTH", _4(17, udp(), total=19)),
    "ipv4_total_length_is_header": _of("UDP_TOO_SHORT", _4(17, udp(), total=20)),
    "ipv4_total_length_one_beyond": _of("IPV4_BEYOND_FRAME", _4(17, udp(), total=42)),
    "ipv4_total_length_ffff": _of("IPV4_BEYOND_FRAME", _4(17, udp(), total=65535)),
    "ipv4_total_length_zero": _of("OK", _4(17, udp(), total=0)),
    "ipv4_fragment_offset_max": _of("OK", _4(17, udp(), fragment=0x3FFF)),
    "ipv4_authentication_good": _of("OK", _4(51, extension(17, 1)[:12] + udp())),
    "ipv4_authentication_length_zero": _of(
        "IPV4_AUTHENTICATION_BAD_LENGTH", _4(51, extension(17) + udp())
    ),
    "ipv4_authentication_length_ff": _of(
        "IPV4_AUTHENTICATION_BEYOND_IP", _4(51, b"\x11\xff" + bytes(40))
    ),
    "ipv4_authentication_to_the_end": _of(
        "IPV4_CHAIN_TOO_LONG", _4(51, 100 * (b"\x33\x01" + bytes(10)))
    ),
    "ipv6_udp_good": _of("OK", _6(17, udp())),
    "ipv6_payload_length_zero": _of("OK", _6(17, udp(length=0), n_payload=0)),
    "ipv6_payload_length_one_beyond": _of("IPV6_BEYOND_FRAME", _6(17, udp(), n_payload=22)),
    "ipv6_payload_length_ffff": _of("IPV6_BEYOND_FRAME", _6(17, udp(), n_payload=65535)),
    "ipv6_payload_length_below_udp": _of("UDP_TOO_SHORT", _6(17, udp(), n_payload=7)),
    "ipv6_extension_good": _of("OK", _6(60, extension(17) + udp())),
    "ipv6_extension_length_ff": _of("IPV6_EXTENSION_BEYOND_IP", _6(60, b"\x11\xff" + bytes(40))),
    "ipv6_extension_length_one_beyond": _of(
        "IPV6_EXTENSION_BEYOND_IP", _6(60, b"\x11\1" + bytes(13))
    ),
    "ipv6_extension_cut": _of("IPV6_EXTENSION_TRUNCATED", _6(60, extension(17) + udp())[:61], 83),
    "ipv6_authentication_length_zero": _of(
        "IPV6_EXTENSION_BAD_LENGTH", _6(51, extension(17) + udp())
    ),
    "ipv6_authentication_length_ff": _of(
        "IPV6_EXTENSION_BEYOND_IP", _6(51, b"\x11\xff" + bytes(40))
    ),
    "ipv6_routing_to_the_end": _of("IPV6_CHAIN_TOO_LONG", _6(43, 100 * extension(43))),
    "ipv6_fragments_in_fragments": _of("IPV6_CHAIN_TOO_LONG", _6(44, 100 * fragment6(44, 1))),
    "ipv6_fragment_offset_max": _of("OK", _6(44, fragment6(17, 0xFFF9) + PAYLOAD)),
    "ipv6_hop_by_hop_alone": _of("IPV6_EXTENSION_BEYOND_IP", _6(0, b"", n_payload=0)),
}

TRANSPORT = {
    "tcp_good": _of("OK", _4(6, tcp(OPTIONS))),
    "tcp_data_offset_zero": _of("TCP_BAD_HEADER_LENGTH", _4(6, tcp(words=0))),
    "tcp_data_offset_four": _of("TCP_BAD_HEADER_LENGTH", _4(6, tcp(words=4))),
    "tcp_data_offset_beyond_ip": _of("TCP_HEADER_BEYOND_IP", _4(6, tcp(words=15))),
    "tcp_data_offset_beyond_capture": _of("OK", _4(6, tcp(OPTIONS))[:60], 103),
    "tcp_option_length_zero": _of("OK", _4(6, tcp(b"\x02\x00\x05\xb4"))),
    "tcp_option_length_one": _of("OK", _4(6, tcp(b"\x03\x01\x07\x00"))),
    "tcp_option_length_beyond_header": _of("OK", _4(6, tcp(b"\x02\x05\x05\xb4"))),
    "tcp_option_length_ff": _of("OK", _4(6, tcp(b"\xfd\xff\x05\xb4"))),
    "tcp_option_kind_at_the_end": _of("OK", _4(6, tcp(b"\x01\x01\x01\x08"))),
    "tcp_option_mss_too_short": _of("OK", _4(6, tcp(b"\x02\x03\x05\x00"))),
    "tcp_option_sack_odd": _of("OK", _4(6, tcp(b"\x05\x07" + bytes(6)))),
    "udp_length_zero": _of("UDP_BAD_LENGTH", _4(17, udp(length=0))),
    "udp_length_seven": _of("UDP_BAD_LENGTH", _4(17, udp(length=7))),
    "udp_length_below_ip": _of("OK", _4(17, udp(length=8))),
    "udp_length_one_beyond": _of("UDP_BEYOND_IP", _4(17, udp(length=22))),
    "udp_length_ffff": _of("UDP_BEYOND_IP", _4(17, udp(length=65535))),
    "udp_lite_good": _of("OK", _4(136, udp())),
    "udp_lite_coverage_zero": _of("OK", _4(136, udp(length=0))),
    "udp_lite_coverage_seven": _of("UDP_LITE_BAD_COVERAGE", _4(136, udp(length=7))),
    "udp_lite_coverage_ffff": _of("UDP_LITE_BEYOND_IP", _4(136, udp(length=65535))),
    "sctp_header_cut": _of("SCTP_TRUNCATED", _4(132, bytes(12))[:45], 46),
    "sctp_too_short": _of("SCTP_TOO_SHORT", _4(132, bytes(11))),
    "dccp_good": _of("OK", _4(33, b"\xd1\xd2\xd3\xd4\x03" + bytes(7) + PAYLOAD)),
    "dccp_data_offset_zero": _of("DCCP_BAD_HEADER_LENGTH", _4(33, bytes(24))),
    "dccp_data_offset_ff": _of(
        "DCCP_HEADER_BEYOND_IP", _4(33, b"\xd1\xd2\xd3\xd4\xff" + bytes(19))
    ),
    "icmp_seven_bytes": _of("ICMP_TOO_SHORT", _4(1, icmp()[:7])),
    "icmpv6_three_bytes": _of("ICMPV6_TOO_SHORT", _6(58, icmp()[:3])),
    "igmp_seven_bytes": _of("IGMP_TOO_SHORT", _4(2, bytes(7))),
    "esp_seven_bytes": _of("ESP_TOO_SHORT", _4(50, bytes(7))),
    "gre_three_bytes": _of("GRE_TOO_SHORT", _4(47, bytes(3))),
    "gre_all_flags_no_fields": _of("GRE_TOO_SHORT", _4(47, b"\xf0\x00\x08\x00")),
}


def _geneve(words: int, options: bytes) -> bytes:
    return bytes([words, 0]) + b"\x65\x58" + bytes(4) + options + ETHERNET_IN


def _gtp(flags: int, rest: bytes, length: int | None = None) -> bytes:
    n_bytes = len(rest) if length is None else length
    return struct.pack("!BBHI", flags, 255, n_bytes, 0x01020304) + rest


def _teredo(n_id: int, n_value: int, more: bytes) -> bytes:
    return struct.pack("!HBB", 1, n_id, n_value) + more


def _l2tp(flags: int, fields: bytes, rest: bytes = PPP + IP_IN) -> bytes:
    return struct.pack("!H", flags) + fields + rest


#: Outer packets over UDP or IPv4; the inner one is from 192.0.2.33 too. With depth 8 all are OK,
#: opened or not; what is hostile here must neither crash nor spoil the outer row.
TUNNELS = {
    "gre_good": _4(47, b"\0\0\x08\0" + IP_IN),
    "gre_key_and_sequence": _4(47, b"\x30\0\x08\0" + bytes(8) + IP_IN),
    "gre_routing_without_end": _4(47, b"\x40\0\x08\0" + bytes(40)),
    "gre_ethernet": _4(47, b"\0\0\x65\x58" + ETHERNET_IN),
    "gre_pptp": _4(47, b"\x30\x01\x88\x0b" + struct.pack("!HHI", 45, 1, 7) + PPP + IP_IN),
    "gre_pptp_length_ffff": _4(47, b"\x30\x01\x88\x0b" + b"\xff\xff\0\1\0\0\0\7" + PPP + IP_IN),
    "gre_pptp_length_zero": _4(47, b"\x30\x01\x88\x0b" + b"\0\0\0\1\0\0\0\7" + PPP + IP_IN),
    "erspan_two": _4(47, b"\x10\0\x88\xbe" + bytes(4) + b"\x10\1" + bytes(6) + ETHERNET_IN),
    "erspan_cut": _4(47, b"\x10\0\x88\xbe" + bytes(4) + b"\x10\1"),
    "ipip_good": _4(4, IP_IN),
    "ipip_nested_to_the_end": _4(4, ipv4(4, ipv4(4, ipv4(4, ipv4(4, ipv4(4, ipv4(4, IP_IN))))))),
    "ipip_inner_length_beyond_outer": _4(4, ipv4(17, udp(), total=99)),
    "ipip_empty": _4(4, b""),
    "6in4_good": _4(41, ipv6(17, udp())),
    "4in6_good": _6(4, IP_IN),
    "vxlan_good": _4(17, _udp_to(4789, b"\x08\0\0\0\0\0\x07\0" + ETHERNET_IN)),
    "vxlan_cut": _4(17, _udp_to(4789, b"\x08\0\0\0\0\0\x07")),
    "vxlan_without_flag": _4(17, _udp_to(4789, bytes(8) + ETHERNET_IN)),
    "geneve_good": _4(17, _udp_to(6081, _geneve(1, bytes(4)))),
    "geneve_options_length_max": _4(17, _udp_to(6081, _geneve(63, b""))),
    "geneve_options_length_one_beyond": _4(17, _udp_to(6081, _geneve(14, b""))),
    "gtp_good": _4(17, _udp_to(2152, _gtp(0x30, IP_IN))),
    "gtp_length_zero": _4(17, _udp_to(2152, _gtp(0x30, IP_IN, 0))),
    "gtp_length_ffff": _4(17, _udp_to(2152, _gtp(0x30, IP_IN, 65535))),
    "gtp_extension_good": _4(17, _udp_to(2152, _gtp(0x34, b"\0\0\0\x85\1\0\0\0" + IP_IN))),
    "gtp_extension_length_zero": _4(17, _udp_to(2152, _gtp(0x34, b"\0\0\0\x85" + bytes(60)))),
    "gtp_extension_length_ff": _4(17, _udp_to(2152, _gtp(0x34, b"\0\0\0\x85\xff" + IP_IN))),
    "gtp_extensions_to_the_end": _4(
        17, _udp_to(2152, _gtp(0x34, b"\0\0\0\x85" + 90 * b"\1\0\0\x85"))
    ),
    "teredo_good": _4(17, _udp_to(3544, ipv6(17, udp()))),
    "teredo_authentication_good": _4(17, _udp_to(3544, _teredo(0, 0, bytes(9)) + ipv6(17, udp()))),
    "teredo_authentication_lengths_ff": _4(17, _udp_to(3544, _teredo(255, 255, bytes(30)))),
    "teredo_origin_cut": _4(17, _udp_to(3544, bytes(7))),
    "l2tp_good": _4(17, _udp_to(1701, _l2tp(0x0002, bytes(4)))),
    "l2tp_length_zero": _4(17, _udp_to(1701, _l2tp(0x4002, bytes(6)))),
    "l2tp_length_ffff": _4(17, _udp_to(1701, _l2tp(0x4002, b"\xff\xff" + bytes(4)))),
    "l2tp_offset_ffff": _4(17, _udp_to(1701, _l2tp(0x0202, bytes(4) + b"\xff\xff"))),
    "l2tp_offset_missing": _4(17, _udp_to(1701, _l2tp(0x0202, bytes(4), b""))),
}

FRAMES: tuple[FrameEntry, ...] = (
    *(
        FrameEntry(n, frame, outcome)
        for n, (outcome, frame) in (LINK | NETWORK | TRANSPORT).items()
    ),
    *(FrameEntry(f"tunnel_{n}", Frame(data), "OK", 8) for n, data in TUNNELS.items()),
)

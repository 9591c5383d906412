"""The list of length fields: every number in a header that says where something else is.

`frame` is one that decodes, `at` the place of the field in it, `mask` the bits of the number.
Fields that steer by their value alone (EtherTypes, protocols, ports, flags) are mutated too, but
not listed.
"""

from dataclasses import dataclass
from typing import Final

from tests.decode.made import GOOD, Frame
from tests.fuzz.corpus_frames import FRAMES


@dataclass(frozen=True)
class LengthField:
    """Where a length stands; `corpus` begins the names of the files that get it wrong."""

    name: str
    frame: Frame
    at: int
    n_bytes: int
    corpus: str
    mask: int = -1
    depth: int = 0  # of tunnels to open, for the field to be read


_ENTRIES = {entry.name: entry.frame for entry in FRAMES}


def _field(
    name: str,
    good: str,
    at: int,
    n_bytes: int,
    corpus: str,
    mask: int = 0,
) -> LengthField:
    frame = _ENTRIES[good] if good in _ENTRIES else GOOD[good]
    whole = mask or (1 << 8 * n_bytes) - 1
    return LengthField(name, frame, at, n_bytes, corpus, whole, 8 * good.startswith("tunnel_"))


_IP = 14  # behind Ethernet
_L4 = 34
_INNER = 42  # behind Ethernet, IPv4, UDP

FIELDS: Final = (
    _field("802.3 length", "llc_snap_good", 12, 2, "ethernet_length"),
    _field("LLC control, one byte or two", "llc_snap_good", 16, 1, "llc_control"),
    _field("PFLOG length", "pflog_good", 0, 1, "pflog_length"),
    _field("NFLOG attribute length (little-endian)", "nflog_good", 4, 2, "nflog_attribute_length"),
    _field("PKTAP length (little-endian)", "pktap_good", 0, 4, "pktap_length"),
    _field("Frame Relay address extension", "frame_relay_good", 1, 1, "frame_relay_address", 0x01),
    _field("PPP multilink flags", "ppp_multilink_piece", 4, 1, "ppp_multilink", 0xC0),
    _field("MACsec: header length by its flags", "macsec_encrypted", 14, 1, "macsec_cut"),
    _field("ARCNET split flag", "arcnet_good", 3, 1, "arcnet_"),
    _field("SLL address length", "sll_good", 4, 2, "sll_address_length"),
    _field("SLL2 address length", "sll2_good", 11, 1, "sll2_address_length"),
    _field("MPLS bottom of stack", "mpls_good", 16, 1, "mpls_", 0x01),
    _field("PPPoE length", "pppoe_good", 18, 2, "pppoe_length"),
    _field("PPP protocol, one byte or two", "ppp_good", 2, 1, "ppp_compressed"),
    _field("802.11 frame control: header length by its flags", "wlan_good", 0, 2, "wlan_"),
    _field("radiotap length (little-endian)", "radiotap_good", 2, 2, "radiotap_length"),
    _field("radiotap present words", "radiotap_good", 4, 4, "radiotap_present"),
    _field("PPI length (little-endian)", "ppi_good", 2, 2, "ppi_length"),
    _field("ARP hardware address length", "arp_good", 18, 1, "arp_hardware_length"),
    _field("ARP protocol address length", "arp_good", 19, 1, "arp_protocol_length"),
    _field("IPv4 header length", "ipv4_udp_good", _IP, 1, "ipv4_header_length", 0x0F),
    _field("IPv4 total length", "ipv4_udp_good", _IP + 2, 2, "ipv4_total_length"),
    _field("IPv4 fragment offset", "ipv4_udp_good", _IP + 6, 2, "ipv4_fragment", 0x1FFF),
    _field("AH length, IPv4", "ipv4_authentication_good", _L4 + 1, 1, "ipv4_authentication_length"),
    _field("IPv6 payload length", "ipv6_udp_good", _IP + 4, 2, "ipv6_payload_length"),
    _field("IPv6 extension header length", "ipv6_extension_good", 55, 1, "ipv6_extension_length"),
    _field("AH length, IPv6", "chain", 79, 1, "ipv6_authentication_length"),
    _field("IPv6 fragment offset", "later_fragment6", 56, 2, "ipv6_fragment", 0xFFF8),
    _field("TCP data offset", "tcp_good", _L4 + 12, 1, "tcp_data_offset", 0xF0),
    _field("TCP option length: MSS", "tcp_good", _L4 + 21, 1, "tcp_option"),
    _field("TCP option length: SACK permitted", "tcp_good", _L4 + 25, 1, "tcp_option"),
    _field("TCP option length: timestamps", "tcp_good", _L4 + 27, 1, "tcp_option"),
    _field("TCP option length: window scale", "tcp_good", _L4 + 38, 1, "tcp_option"),
    _field("TCP option length: SACK", "tcp_good", _L4 + 41, 1, "tcp_option_sack"),
    _field("TCP option length: any other", "tcp_good", _L4 + 51, 1, "tcp_option"),
    _field("UDP length", "ipv4_udp_good", _L4 + 4, 2, "udp_length"),
    _field("UDP-Lite coverage", "udp_lite_good", _L4 + 4, 2, "udp_lite_coverage"),
    _field("DCCP data offset", "dccp_good", _L4 + 4, 1, "dccp_data_offset"),
    _field("GRE flags: fields that follow", "tunnel_gre_good", _L4, 2, "gre_all_flags"),
    _field("PPTP payload length", "tunnel_gre_pptp", _L4 + 4, 2, "tunnel_gre_pptp_length"),
    _field("inner IPv4 total length", "tunnel_ipip_good", _L4 + 2, 2, "tunnel_ipip_inner"),
    _field("Geneve options length", "tunnel_geneve_good", _INNER, 1, "tunnel_geneve_options", 0x3F),
    _field("GTP-U flags: fields that follow", "tunnel_gtp_good", _INNER, 1, "tunnel_gtp_extension"),
    _field("GTP-U length", "tunnel_gtp_good", _INNER + 2, 2, "tunnel_gtp_length"),
    _field("GTP-U extension length", "tunnel_gtp_extension_good", 54, 1, "tunnel_gtp_extension"),
    _field("Teredo client id length", "tunnel_teredo_authentication_good", 44, 1, "tunnel_teredo"),
    _field("Teredo value length", "tunnel_teredo_authentication_good", 45, 1, "tunnel_teredo"),
    _field("L2TP flags: fields that follow", "tunnel_l2tp_good", _INNER, 2, "tunnel_l2tp"),
    _field("L2TP length", "tunnel_l2tp_length_ffff", _INNER + 2, 2, "tunnel_l2tp_length"),
    _field("L2TP offset size", "tunnel_l2tp_offset_ffff", _INNER + 6, 2, "tunnel_l2tp_offset"),
)

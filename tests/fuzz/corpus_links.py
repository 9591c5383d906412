"""Link layers of the corpus, by name: one of every kind that is right, then its lengths wrong."""

import struct

from tests.decode.made import COOKED, MACS, SERVICE_TAG, TAG, Frame, arp, ethernet, ipv4, ipv6, udp

IP_IN = ipv4(17, udp())  # 41 bytes
ETHERNET_IN = ethernet(0x0800, IP_IN)


def _of(outcome: str, data: bytes, link: int = 1) -> tuple[str, Frame]:
    return outcome, Frame(data, None, link)


def _typed(outcome: str, ether_type: int, body: bytes) -> tuple[str, Frame]:
    return outcome, Frame(ethernet(ether_type, body))


def _pppoe(length: int, first: int = 0x11, more: bytes = b"\0\x21" + IP_IN) -> bytes:
    return struct.pack("!BBHH", first, 0, 7, length) + more


def _ppi(length: int, link_type: int = 1) -> bytes:
    return struct.pack("<BBHI", 0, 0, length, link_type)


def _pktap(length: int, link_type: int = 1) -> bytes:
    return struct.pack("<III", length, 1, link_type) + bytes(96) + ETHERNET_IN


LLC_SNAP = bytes.fromhex("aa aa 03 00 00 00")
PPP = bytes.fromhex("ff 03 00 21")
SLL2 = bytes.fromhex("08 00 00 00 00 00 00 02 00 01 00 06") + MACS[:6] + b"\0\0"
#: Data, from the distribution system: 24 bytes.
WLAN = bytes.fromhex("08 02 00 00") + MACS + MACS[:6] + b"\x10\x00"
RADIOTAP = bytes.fromhex("00 00 08 00 00 00 00 00")

LINK = {
    "ethernet_empty": _of("ETHERNET_TRUNCATED", b""),
    "ethernet_header_only": _typed("IPV4_TRUNCATED", 0x0800, b""),
    "ethernet_length_1500": _typed("OK", 1500, b"\x06\x06\x03" + IP_IN),
    "ethernet_length_zero": _typed("ETHER_TYPE_BAD", 0, b""),
    "ethernet_length_below_llc": _typed("LLC_TOO_SHORT", 2, b"\x06\x06"),
    "ethernet_type_1501": _typed("ETHER_TYPE_BAD", 1501, IP_IN),
    "ethernet_type_1535": _typed("ETHER_TYPE_BAD", 1535, IP_IN),
    "ethernet_type_ffff": _typed("ETHER_TYPE_UNSUPPORTED", 0xFFFF, IP_IN),
    "llc_snap_good": _typed("OK", 49, LLC_SNAP + b"\x08\x00" + IP_IN),
    "llc_snap_cut_in_organization": _typed("LLC_TRUNCATED", 49, LLC_SNAP[:5]),
    "llc_control_missing": _typed("LLC_TRUNCATED", 49, b"\x06\x06"),
    "llc_spanning_tree": _typed("LLC_UNSUPPORTED", 38, b"\x42\x42\x03" + bytes(35)),
    "sll_good": _of("OK", COOKED + b"\x08\x00" + IP_IN, 113),
    "sll_address_length_zero": _of(
        "OK", COOKED[:4] + b"\0\0" + COOKED[6:] + b"\x08\0" + IP_IN, 113
    ),
    "sll_address_length_ffff": _of(
        "OK", COOKED[:4] + b"\xff\xff" + COOKED[6:] + b"\x08\0" + IP_IN, 113
    ),
    "sll_cut_in_header": _of("SLL_TRUNCATED", COOKED, 113),
    "sll_netlink": _of("SLL_UNSUPPORTED", b"\0\0\x03\x38" + COOKED[4:] + b"\x08\0" + IP_IN, 113),
    "sll2_good": _of("OK", SLL2 + IP_IN, 276),
    "sll2_address_length_zero": _of("OK", SLL2[:11] + b"\0" + SLL2[12:] + IP_IN, 276),
    "sll2_address_length_ff": _of("OK", SLL2[:11] + b"\xff" + SLL2[12:] + IP_IN, 276),
    "sll2_cut_in_header": _of("SLL_TRUNCATED", SLL2[:19], 276),
    "null_good": _of("OK", struct.pack("<I", 2) + IP_IN, 0),
    "null_other_byte_order": _of("OK", struct.pack(">I", 30) + ipv6(17, udp()), 0),
    "null_cut": _of("NULL_TRUNCATED", b"\2\0\0", 0),
    "null_family_fffffffe": _of("ADDRESS_FAMILY_UNSUPPORTED", b"\xfe\xff\xff\xff" + IP_IN, 0),
    "loop_good": _of("OK", struct.pack(">I", 2) + IP_IN, 108),
    "enc_good": _of("OK", struct.pack("<III", 2, 1, 0) + IP_IN, 109),
    "enc_cut": _of("ENC_TRUNCATED", bytes(11), 109),
    "pflog_good": _of("OK", b"\x3d\2" + bytes(62) + IP_IN, 117),
    "pflog_length_zero": _of("PFLOG_BAD_LENGTH", b"\0\2" + bytes(62) + IP_IN, 117),
    "pflog_length_ff": _of("PFLOG_TRUNCATED", b"\xff\2" + bytes(62) + IP_IN, 117),
    "ipnet_cut": _of("IPNET_TRUNCATED", bytes(23), 226),
    "raw_empty": _of("RAW_IP_TRUNCATED", b"", 101),
    "raw_version_zero": _of("RAW_IP_BAD_VERSION", bytes(40), 101),
    "nflog_good": _of("OK", b"\2\0\0\0" + b"\x2d\0\x09\0" + IP_IN, 239),
    "nflog_cut": _of("NFLOG_TRUNCATED", b"\2\0\0", 239),
    "nflog_attribute_length_zero": _of("NFLOG_BAD_HEADER", b"\2\0\0\0\0\0\x09\0" + IP_IN, 239),
    "nflog_attribute_length_ffff": _of("NFLOG_TRUNCATED", b"\2\0\0\0\xff\xff\1\0" + IP_IN, 239),
    "nflog_attributes_to_the_end": _of("NFLOG_BAD_HEADER", b"\2\0\0\0" + 100 * b"\4\0\1\0", 239),
    "pktap_good": _of("OK", _pktap(108), 258),
    "pktap_length_zero": _of("PKTAP_BAD_LENGTH", _pktap(0), 258),
    "pktap_length_eleven": _of("PKTAP_BAD_LENGTH", _pktap(11), 258),
    "pktap_length_ffffffff": _of("PKTAP_TRUNCATED", _pktap(0xFFFFFFFF), 258),
    "pktap_link_type_ffffffff": _of("LINK_TYPE_UNSUPPORTED", _pktap(108, 0xFFFFFFFF), 258),
    "pktap_sixteenth_link_type_unknown": _of(
        "LINK_TYPE_UNSUPPORTED",
        15 * struct.pack("<III", 12, 1, 258) + struct.pack("<III", 12, 1, 0x40_0102),
        258,
    ),
    "pktap_in_pktap_to_the_end": _of("LINK_TOO_DEEP", 100 * struct.pack("<III", 12, 1, 258), 258),
    "fddi_good": _of("OK", b"\x50" + MACS + LLC_SNAP + b"\x08\x00" + IP_IN, 10),
    "fddi_cut": _of("FDDI_TRUNCATED", b"\x50" + MACS[:11], 10),
    "fddi_token": _of("FDDI_NO_DATA", b"\x80" + MACS + bytes(8), 10),
    "arcnet_good": _of("OK", b"\1\2\xd4\0\0\1" + IP_IN, 7),
    "arcnet_exception_cut": _of("ARCNET_TRUNCATED", b"\1\2\xd4\xff\0\1\xd4", 7),
    "arcnet_piece": _of("ARCNET_UNSUPPORTED", b"\1\2\xd4\1\0\1" + IP_IN, 7),
    "ipoib_good": _of("OK", bytes(40) + b"\x08\0\0\0" + IP_IN, 242),
    "ipoib_cut": _of("IPOIB_TRUNCATED", bytes(43), 242),
    "vlan_good": _of("OK", ethernet(0x0800, IP_IN, TAG)),
    "vlan_type_missing": _of("VLAN_TRUNCATED", MACS + TAG),
    "vlan_nine_tags": _of("VLAN_TOO_DEEP", ethernet(0x0800, IP_IN, 4 * SERVICE_TAG + 5 * TAG)),
    "vlan_tags_to_the_end": _of("VLAN_TOO_DEEP", MACS + 300 * TAG),
    "tag_hsr_cut": _typed("TAG_TRUNCATED", 0x892F, bytes(5)),
    "tag_hsr_to_the_end": _typed("LINK_TOO_DEEP", 0x892F, 100 * b"\0\0\0\0\x89\x2f"),
    "tag_backbone_to_the_end": _typed(
        "LINK_TOO_DEEP", 0x88E7, 60 * (bytes(4) + MACS + b"\x88\xe7")
    ),
    "macsec_cut": _typed("MACSEC_TRUNCATED", 0x88E5, b"\x20" + bytes(12)),
    "macsec_encrypted": _typed("MACSEC_ENCRYPTED", 0x88E5, b"\x2c" + bytes(60)),
    "mpls_good": _typed("OK", 0x8847, bytes.fromhex("00 01 00 40 00 01 11 40") + IP_IN),
    "mpls_no_bottom_of_stack": _typed("MPLS_TRUNCATED", 0x8847, bytes(12)),
    "mpls_labels_to_the_end": _typed("MPLS_TOO_DEEP", 0x8847, bytes(1200)),
    "mpls_bottom_at_the_end": _typed("MPLS_TRUNCATED", 0x8847, b"\0\1\1\x40"),
    "mpls_unknown_payload": _typed("MPLS_UNSUPPORTED", 0x8847, b"\0\1\1\x40" + 40 * b"\xff"),
    "pppoe_good": _typed("OK", 0x8864, _pppoe(43)),
    "pppoe_length_zero": _typed("PPPOE_TOO_SHORT", 0x8864, _pppoe(0)),
    "pppoe_length_one": _typed("PPPOE_TOO_SHORT", 0x8864, _pppoe(1)),
    "pppoe_length_ffff": _typed("OK", 0x8864, _pppoe(65535)),
    "pppoe_length_but_nothing_there": _typed("PPP_TRUNCATED", 0x8864, _pppoe(43, more=b"")),
    "pppoe_cut_in_header": _typed("PPPOE_TRUNCATED", 0x8864, bytes(5)),
    "pppoe_discovery": _typed("PPPOE_DISCOVERY", 0x8863, _pppoe(43)),
    "ppp_good": _of("OK", PPP + IP_IN, 9),
    "ppp_compressed_protocol": _of("OK", b"\x21" + IP_IN, 9),
    "ppp_cut_after_address": _of("PPP_TRUNCATED", PPP[:2], 9),
    "ppp_control_protocol": _of("PPP_PROTOCOL_UNSUPPORTED", b"\xff\x03\xc0\x21" + bytes(8), 9),
    "ppp_multilink_piece": _of("PPP_FRAGMENT", b"\xff\x03\0\x3d\x80\0\0\1\0\x21" + IP_IN, 9),
    "ppp_multilink_to_the_end": _of("LINK_TOO_DEEP", 90 * b"\0\x3d\xc0\0\0\1", 9),
    "hdlc_good": _of("OK", b"\x0f\x00\x08\x00" + IP_IN, 104),
    "hdlc_cut": _of("HDLC_TRUNCATED", b"\x0f\x00\x08", 104),
    "frame_relay_good": _of("OK", b"\x18\x41\x03\xcc" + IP_IN, 107),
    "frame_relay_cut": _of("FRAME_RELAY_TRUNCATED", b"\x18", 107),
    "frame_relay_address_without_end": _of("FRAME_RELAY_BAD_ADDRESS", bytes(40), 107),
    "frame_relay_other_network_layer": _of(
        "FRAME_RELAY_UNSUPPORTED", b"\x18\x41\x03\x81" + IP_IN, 107
    ),
    "wlan_good": _of("OK", WLAN + LLC_SNAP + b"\x08\x00" + IP_IN, 105),
    "wlan_cut_in_addresses": _of("WLAN_TRUNCATED", WLAN[:23], 105),
    "wlan_quality_of_service_missing": _of("WLAN_TRUNCATED", b"\x88" + WLAN[1:], 105),
    "wlan_aggregate": _of("WLAN_AGGREGATE", b"\x88" + WLAN[1:] + b"\x80\0" + bytes(40), 105),
    "wlan_mesh_cut": _of("LLC_TRUNCATED", b"\x88\3" + WLAN[2:] + MACS[:6] + b"\0\1\2", 105),
    "wlan_version_one": _of("WLAN_BAD_VERSION", b"\x09" + WLAN[1:] + bytes(20), 105),
    "wlan_beacon": _of("WLAN_MANAGEMENT", b"\x80\0" + WLAN[2:] + bytes(20), 105),
    "wlan_acknowledgement": _of("WLAN_CONTROL", b"\xd4\0" + WLAN[2:10], 105),
    "wlan_extension": _of("WLAN_EXTENSION", b"\x0c\0" + WLAN[2:], 105),
    "wlan_null_function": _of("WLAN_NO_DATA", b"\x48\2" + WLAN[2:], 105),
    "wlan_protected": _of("WLAN_ENCRYPTED", b"\x08\x42" + WLAN[2:] + bytes(40), 105),
    "wlan_fragment": _of(
        "WLAN_FRAGMENT", WLAN[:22] + b"\x11\0" + LLC_SNAP + b"\x08\0" + IP_IN, 105
    ),
    "radiotap_good": _of("OK", RADIOTAP + WLAN + LLC_SNAP + b"\x08\x00" + IP_IN, 127),
    "radiotap_length_zero": _of("RADIOTAP_BAD_HEADER", bytes(8) + WLAN, 127),
    "radiotap_length_seven": _of("RADIOTAP_BAD_HEADER", b"\0\0\7\0" + bytes(4) + WLAN, 127),
    "radiotap_length_ffff": _of("RADIOTAP_TRUNCATED", b"\0\0\xff\xff" + bytes(40), 127),
    "radiotap_present_to_the_end": _of(
        "RADIOTAP_BAD_HEADER", b"\0\0\x28\0" + 9 * b"\0\0\0\x80" + WLAN, 127
    ),
    "ppi_good": _of("OK", _ppi(8) + ETHERNET_IN, 192),
    "ppi_length_zero": _of("PPI_BAD_HEADER", _ppi(0) + ETHERNET_IN, 192),
    "ppi_length_seven": _of("PPI_BAD_HEADER", _ppi(7) + ETHERNET_IN, 192),
    "ppi_length_ffff": _of("PPI_TRUNCATED", _ppi(65535) + ETHERNET_IN, 192),
    "ppi_in_ppi_to_the_end": _of("LINK_TOO_DEEP", 100 * _ppi(8, 192), 192),
    "arp_good": _typed("OK", 0x0806, arp()),
    "arp_hardware_length_zero": _typed("ARP_BAD_LENGTH", 0x0806, arp(n_hardware=0)),
    "arp_hardware_length_ff": _typed("ARP_BAD_LENGTH", 0x0806, arp(n_hardware=255)),
    "arp_protocol_length_ff": _typed("ARP_BAD_LENGTH", 0x0806, arp(n_protocol=255)),
    "arp_other_types_lengths_ff": _typed("ARP_TRUNCATED", 0x0806, arp(7, 7, 255, 255)[:500]),
    "arp_other_types_lengths_zero": _typed("OK", 0x0806, arp(7, 7, 0, 0)),
    "arp_target_cut": _typed("ARP_TRUNCATED", 0x0806, arp()[:27]),
}

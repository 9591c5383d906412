"""Byte offsets of the link layer, relative to the start of their own header. No code: only facts.

The EtherTypes of network headers are in `offsets`.
"""

from typing import Final

# LINKTYPE_ numbers, https://www.tcpdump.org/linktypes.html
LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_ARCNET_BSD: Final = 7
LINK_PPP: Final = 9
LINK_FDDI: Final = 10
LINK_RAW_12: Final = 12  # DLT_RAW of most systems, found in files although it should not be
LINK_RAW_14: Final = 14  # DLT_RAW of OpenBSD
LINK_PPP_SERIAL: Final = 50
LINK_PPP_ETHER: Final = 51
LINK_LLC: Final = 100  # RFC 2684 (ATM), without the ATM part
LINK_RAW: Final = 101
LINK_CISCO_HDLC: Final = 104
LINK_WLAN: Final = 105
LINK_FRAME_RELAY: Final = 107
LINK_LOOP: Final = 108
LINK_ENC: Final = 109
LINK_LINUX_SLL: Final = 113
LINK_PFLOG: Final = 117
LINK_RADIOTAP: Final = 127
LINK_ARCNET_LINUX: Final = 129
LINK_PPI: Final = 192
LINK_PPP_WITH_DIR: Final = 204
LINK_IPNET: Final = 226
LINK_IPV4: Final = 228
LINK_IPV6: Final = 229
LINK_NFLOG: Final = 239
LINK_IPOIB: Final = 242
LINK_PKTAP: Final = 258
LINK_LINUX_SLL2: Final = 276

# What can follow a link header: an EtherType, or this plus the LINKTYPE_ number of what begins.
FRAME_OF: Final = 0x1_0000
LINK_TYPE_MAX: Final = 0xFFFF
LINK_MAX_HEADERS: Final = 16  # a bound of ours, for all that stands before the network header

# Ethernet, IEEE 802.3 clause 3
ETHERNET_DST: Final = 0
ETHERNET_SRC: Final = 6
ETHERNET_TYPE: Final = 12
ETHERNET_BYTES: Final = 14
LENGTH_MAX: Final = 1500  # up to it the number is a length, from ETHER_TYPE_MIN on an EtherType
MAC_BYTES: Final = 6

# EtherTypes of link headers, IANA ieee-802-numbers
TYPE_VLAN: Final = 0x8100  # IEEE 802.1Q customer tag
TYPE_SERVICE_VLAN: Final = 0x88A8  # IEEE 802.1ad service tag
TYPE_OLD_QINQ: Final = 0x9100  # service tag of older switches
TYPE_MPLS: Final = 0x8847
TYPE_MPLS_UPSTREAM: Final = 0x8848  # "multicast" before RFC 5332
TYPE_PPPOE_DISCOVERY: Final = 0x8863
TYPE_PPPOE: Final = 0x8864
TYPE_JUMBO_LLC: Final = 0x8870  # LLC in a frame too long for an 802.3 length
TYPE_ETHERNET: Final = 0x6558  # transparent Ethernet bridging, RFC 1701
TYPE_PPP: Final = 0x880B  # RFC 2637
TYPE_FABRIC_PATH: Final = 0x8903  # Cisco FabricPath: tag, then an Ethernet frame
TYPE_BACKBONE: Final = 0x88E7  # IEEE 802.1ah I-tag, then an Ethernet frame
TYPE_TRILL: Final = 0x22F3  # RFC 6325, then an Ethernet frame
TYPE_CISCO_METADATA: Final = 0x8909  # Cisco MetaData (security group tags)
TYPE_VN_TAG: Final = 0x8926  # IEEE 802.1BR's predecessor
TYPE_HSR: Final = 0x892F  # IEC 62439-3, redundant rings
TYPE_REDUNDANCY: Final = 0xF1C1  # IEEE 802.1CB R-tag
TYPE_MACSEC: Final = 0x88E5  # IEEE 802.1AE

# VLAN tag, IEEE 802.1Q clause 9.6, counted from behind its own EtherType
VLAN_TCI: Final = 0
VLAN_TYPE: Final = 2
VLAN_BYTES: Final = 4
VLAN_MAX_TAGS: Final = 8  # a bound of ours: two are standard, four were seen

# Other tags, counted from behind their own EtherType
FABRIC_PATH_BYTES: Final = 2
BACKBONE_BYTES: Final = 4
SHORT_TAG_BYTES: Final = 4  # VN-tag, HSR, R-tag: four bytes, then an EtherType
CISCO_METADATA_BYTES: Final = 6
TRILL_BYTES: Final = 6
TRILL_OPTIONS_SHIFT: Final = 6  # five bits of the first two bytes: options in words
TRILL_OPTIONS_MASK: Final = 0x1F

# MACsec, IEEE 802.1AE clause 9: TCI and AN, short length, packet number, perhaps the channel
MACSEC_TCI: Final = 0
MACSEC_BYTES: Final = 6
MACSEC_HAS_CHANNEL: Final = 0x20
MACSEC_CHANNEL_BYTES: Final = 8
MACSEC_ENCRYPTED: Final = 0x0C  # E: encrypted; C: changed text

# MPLS label stack, RFC 3032 section 2.1
MPLS_BOTTOM: Final = 2  # the byte that holds the bit
MPLS_BYTES: Final = 4
MPLS_MAX_LABELS: Final = 16  # a bound of ours
CONTROL_WORD_BYTES: Final = 4  # RFC 4385 section 3
CHANNEL_TYPE: Final = 2  # RFC 4385 section 5, a PPP number

# PPPoE, RFC 2516 section 4
PPPOE_LENGTH: Final = 4
PPPOE_BYTES: Final = 6
PPPOE_MIN_LENGTH: Final = 2

# PPP, RFC 1661 section 2, RFC 1662 section 3.1; numbers of IANA ppp-numbers
PPP_ADDRESS: Final = 0xFF
PPP_ADDRESS_CONTROL: Final = 0xFF03
PPP_ADDRESS_CONTROL_BYTES: Final = 2
PPP_IPV4: Final = 0x0021
PPP_MULTILINK: Final = 0x003D
PPP_IPV6: Final = 0x0057
PPP_MPLS: Final = 0x0281
PPP_MPLS_UPSTREAM: Final = 0x0283
PPP_DIRECTION_BYTES: Final = 1
MULTILINK_BYTES: Final = 4  # RFC 1990 section 3, long sequence numbers
MULTILINK_WHOLE: Final = 0xC0  # beginning and end in one

# Cisco HDLC, https://www.tcpdump.org/linktypes/LINKTYPE_C_HDLC.html
HDLC_UNICAST: Final = 0x0F
HDLC_BROADCAST: Final = 0x8F
HDLC_ADDRESS_CONTROL: Final = 0x0F00
HDLC_PROTOCOL: Final = 2
HDLC_BYTES: Final = 4

# Frame Relay, Q.922 annex A, RFC 2427 section 3; network layer numbers of ISO TR 9577
FRAME_RELAY_LAST: Final = 1  # the bit of the last address byte
FRAME_RELAY_MAX_ADDRESS: Final = 4
FRAME_RELAY_UI: Final = 0x03
NLPID_PADDING: Final = 0x00
NLPID_SNAP: Final = 0x80
NLPID_IPV6: Final = 0x8E
NLPID_IPV4: Final = 0xCC

# LLC, IEEE 802.2; SNAP, IEEE 802 clause 10, counted from the organization
LLC_DSAP: Final = 0
LLC_CONTROL: Final = 2
LLC_BYTES: Final = 3
LLC_ANY_LENGTH: Final = 0xFFFF  # where no field says how long it is
LLC_SNAP: Final = 0xAAAA  # both access points
LLC_IPV4: Final = 0x06
LLC_UI: Final = 0x03
LLC_NOT_INFORMATION: Final = 0x01  # bit of the control field; without it, there are two bytes
LLC_UNNUMBERED: Final = 0x03
SNAP_PROTOCOL: Final = 3
SNAP_BYTES: Final = 5
SNAP_ETHER_TYPE: Final = 0x000000  # RFC 1042
SNAP_BRIDGED_ETHER_TYPE: Final = 0x0000F8  # IEEE 802.1H
SNAP_BRIDGED: Final = 0x0080C2  # RFC 2684 section 5.2
BRIDGED_ETHERNET_FCS: Final = 0x0001
BRIDGED_ETHERNET: Final = 0x0007
BRIDGED_PADDING_BYTES: Final = 2

# Linux cooked capture v1, https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
SLL_DEVICE: Final = 2
SLL_ADDRESS_LENGTH: Final = 4
SLL_ADDRESS: Final = 6
SLL_PROTOCOL: Final = 14
SLL_BYTES: Final = 16

# Linux cooked capture v2, https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
SLL2_PROTOCOL: Final = 0
SLL2_DEVICE: Final = 8
SLL2_ADDRESS_LENGTH: Final = 11
SLL2_ADDRESS: Final = 12
SLL2_BYTES: Final = 20

# What stands in them: ARPHRD_ numbers of Linux' if_arp.h, ETH_P_ numbers of its if_ether.h
DEVICE_RADIOTAP: Final = 803
DEVICE_NETLINK: Final = 824
COOKED_ETHERNET: Final = 3
COOKED_LLC: Final = 4
COOKED_PPP: Final = 7

# BSD loopback and its kin, https://www.tcpdump.org/linktypes/LINKTYPE_NULL.html
NULL_BYTES: Final = 4
FAMILY_IPV4: Final = 2
FAMILY_IPV6_LINUX: Final = 10
FAMILY_IPV6_WINDOWS: Final = 23  # IPX to BSD
FAMILY_IPV6_BSD: Final = 24  # NetBSD, OpenBSD
FAMILY_IPV6_SOLARIS: Final = 26
FAMILY_IPV6_FREEBSD: Final = 28
FAMILY_IPV6_DARWIN: Final = 30
ENC_BYTES: Final = 12  # OpenBSD's encapsulated IP: family, SPI, flags
PFLOG_LENGTH: Final = 0
PFLOG_FAMILY: Final = 1
PFLOG_MIN_BYTES: Final = 4
IPNET_FAMILY: Final = 1
IPNET_BYTES: Final = 24

# Netfilter log, https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html
NFLOG_FAMILY: Final = 0
NFLOG_VERSION: Final = 1
NFLOG_BYTES: Final = 4
ATTRIBUTE_LENGTH: Final = 0
ATTRIBUTE_TYPE: Final = 2
ATTRIBUTE_BYTES: Final = 4
ATTRIBUTE_PAYLOAD: Final = 9
NFLOG_MAX_ATTRIBUTES: Final = 32  # a bound of ours: 20 kinds exist

# PKTAP of Darwin, https://www.tcpdump.org/linktypes/LINKTYPE_PKTAP.html, least bytes of Wireshark
PKTAP_LENGTH: Final = 0
PKTAP_LINK_TYPE: Final = 8
PKTAP_MIN_BYTES: Final = 12

# FDDI, ISO 9314-2
FDDI_CONTROL: Final = 0
FDDI_DST: Final = 1
FDDI_SRC: Final = 7
FDDI_BYTES: Final = 13
FDDI_CONTROL_MASK: Final = 0xF8
FDDI_LLC: Final = 0x50

# ARCNET, RFC 1201 and RFC 1051, counted from the system code
ARCNET_ADDRESS_BYTES: Final = 2
ARCNET_OFFSET_BYTES: Final = 2  # which Linux puts in between
ARCNET_SPLIT: Final = 1
ARCNET_EXCEPTION: Final = 0xFF
ARCNET_EXCEPTION_BYTES: Final = 4  # code, this flag, padding; then all of it once more
ARCNET_RFC1201_BYTES: Final = 4
ARCNET_RFC1051_BYTES: Final = 1
ARCNET_IPV4: Final = 0xD4
ARCNET_ARP: Final = 0xD5
ARCNET_OLD_IPV4: Final = 0xF0
ARCNET_OLD_ARP: Final = 0xF1

# IP over InfiniBand, https://www.tcpdump.org/linktypes/LINKTYPE_IPOIB.html, RFC 4391 section 6
IPOIB_TYPE: Final = 40
IPOIB_BYTES: Final = 44

# 802.11, IEEE 802.11 clause 9.2.3; frame control is little-endian
WLAN_CONTROL_FIELD: Final = 0
WLAN_ADDRESS_1: Final = 4
WLAN_ADDRESS_2: Final = 10
WLAN_ADDRESS_3: Final = 16
WLAN_SEQUENCE: Final = 22
WLAN_ADDRESS_4: Final = 24
WLAN_MIN_BYTES: Final = 2
WLAN_BYTES: Final = 24
WLAN_QOS_BYTES: Final = 2
WLAN_HT_BYTES: Final = 4
WLAN_VERSION_MASK: Final = 0x0003
WLAN_TYPE_MASK: Final = 0x000C
WLAN_TYPE_MANAGEMENT: Final = 0x0000
WLAN_TYPE_CONTROL: Final = 0x0004
WLAN_TYPE_DATA: Final = 0x0008
WLAN_IS_NULL: Final = 0x0040  # of the subtype's bits
WLAN_IS_QOS: Final = 0x0080
WLAN_TO_DS: Final = 0x0100
WLAN_FROM_DS: Final = 0x0200
WLAN_MORE_FRAGMENTS: Final = 0x0400
WLAN_IS_PROTECTED: Final = 0x4000
WLAN_HAS_HT: Final = 0x8000
WLAN_FRAGMENT_MASK: Final = 0x000F  # of the sequence field
QOS_IS_AGGREGATE: Final = 0x0080
QOS_HAS_MESH: Final = 0x0100
MESH_BYTES: Final = 6
MESH_MAX_ADDRESSES: Final = 2  # more than these, or other bits, are none of the standard's

# Radiotap, https://www.radiotap.org; all numbers little-endian
RADIOTAP_VERSION: Final = 0
RADIOTAP_LENGTH: Final = 2
RADIOTAP_PRESENT: Final = 4
RADIOTAP_MIN_BYTES: Final = 8
RADIOTAP_HAS_TIME: Final = 0x0000_0001
RADIOTAP_HAS_FLAGS: Final = 0x0000_0002
RADIOTAP_HAS_MORE: Final = 0x8000_0000
RADIOTAP_MAX_WORDS: Final = 32  # a bound of ours
RADIOTAP_FCS_AT_END: Final = 0x10
RADIOTAP_IS_PADDED: Final = 0x20
FCS_BYTES: Final = 4

# PPI, https://www.tcpdump.org/linktypes/LINKTYPE_PPI.html; all numbers little-endian
PPI_VERSION: Final = 0
PPI_LENGTH: Final = 2
PPI_LINK_TYPE: Final = 4
PPI_MIN_BYTES: Final = 8

# ARP, RFC 826
ARP_HARDWARE_TYPE: Final = 0
ARP_PROTOCOL_TYPE: Final = 2
ARP_HARDWARE_LENGTH: Final = 4
ARP_PROTOCOL_LENGTH: Final = 5
ARP_OPCODE: Final = 6
ARP_ADDRESSES: Final = 8  # sender hardware, sender protocol, target hardware, target protocol
ARP_HARDWARE_ETHERNET: Final = 1
IPV4_ADDRESS_BYTES: Final = 4

"""Byte offsets, relative to the start of their own header. No code: only RFC facts."""

from typing import Final

# EtherTypes of what lies on a link, IANA ieee-802-numbers; those of link headers: link_offsets
ETHER_TYPE_MIN: Final = 0x0600  # a smaller number in its place is none
TYPE_IPV4: Final = 0x0800
TYPE_ARP: Final = 0x0806
TYPE_IPV6: Final = 0x86DD

# IPv4, RFC 791 section 3.1
IPV4_VERSION_IHL: Final = 0
IPV4_TOS: Final = 1
IPV4_TOTAL_LENGTH: Final = 2
IPV4_ID: Final = 4
IPV4_FLAGS_FRAGMENT: Final = 6
IPV4_TTL: Final = 8
IPV4_PROTOCOL: Final = 9
IPV4_SRC: Final = 12
IPV4_DST: Final = 16
IPV4_MIN_BYTES: Final = 20
IPV4_FRAGMENT_MASK: Final = 0x1FFF  # in units of 8 bytes
IPV4_MAPPED: Final = 0xFFFF_0000_0000  # ::ffff:0:0, RFC 4291 section 2.5.5.2

# IPv6, RFC 8200 section 3
IPV6_VERSION_CLASS: Final = 0
IPV6_PAYLOAD_LENGTH: Final = 4
IPV6_NEXT_HEADER: Final = 6
IPV6_HOP_LIMIT: Final = 7
IPV6_SRC: Final = 8
IPV6_DST: Final = 24
IPV6_BYTES: Final = 40

# IPv6 extension headers, RFC 8200 section 4; authentication header, RFC 4302 section 2
EXTENSION_NEXT_HEADER: Final = 0
EXTENSION_LENGTH: Final = 1
EXTENSION_MIN_BYTES: Final = 8
FRAGMENT_OFFSET_FLAGS: Final = 2
FRAGMENT_ID: Final = 4
FRAGMENT_BYTES: Final = 8
FRAGMENT_OFFSET_MASK: Final = 0xFFF8  # in bytes as it stands
AUTHENTICATION_MIN_BYTES: Final = 12
EXTENSION_MAX_HEADERS: Final = 16  # a bound of ours: RFC 8200 4.1 names 7 in a row

# Protocol numbers, IANA protocol-numbers
PROTO_HOP_BY_HOP: Final = 0
PROTO_ICMP: Final = 1
PROTO_IGMP: Final = 2
PROTO_IPV4: Final = 4
PROTO_TCP: Final = 6
PROTO_UDP: Final = 17
PROTO_DCCP: Final = 33
PROTO_IPV6: Final = 41
PROTO_ROUTING: Final = 43
PROTO_FRAGMENT: Final = 44
PROTO_GRE: Final = 47
PROTO_ESP: Final = 50
PROTO_AUTHENTICATION: Final = 51
PROTO_ICMPV6: Final = 58
PROTO_DESTINATION: Final = 60
PROTO_SCTP: Final = 132
PROTO_MOBILITY: Final = 135  # RFC 6275 section 6.1
PROTO_UDP_LITE: Final = 136
PROTO_HIP: Final = 139  # RFC 7401 section 5.1
PROTO_SHIM6: Final = 140  # RFC 5533 section 5.1

# TCP, RFC 9293 section 3.1
TCP_SRC_PORT: Final = 0
TCP_DST_PORT: Final = 2
TCP_SEQ: Final = 4
TCP_ACK: Final = 8
TCP_OFFSET_FLAGS: Final = 12
TCP_WINDOW: Final = 14
TCP_MIN_BYTES: Final = 20
TCP_FLAGS_MASK: Final = 0x0FFF  # three reserved bits, AE (RFC 9768), CWR to FIN

# TCP options: kind, length. RFC 9293 section 3.2, RFC 7323, RFC 2018
OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_MSS: Final = 2
OPTION_WINDOW_SCALE: Final = 3
OPTION_SACK_PERMITTED: Final = 4
OPTION_SACK: Final = 5
OPTION_TIMESTAMPS: Final = 8
MSS_BYTES: Final = 4
WINDOW_SCALE_BYTES: Final = 3
SACK_PERMITTED_BYTES: Final = 2
SACK_BLOCK_BYTES: Final = 8
TIMESTAMPS_BYTES: Final = 10
WINDOW_SCALE_MAX: Final = 14  # RFC 7323 section 2.3: a larger one counts as 14

# UDP, RFC 768
UDP_SRC_PORT: Final = 0
UDP_DST_PORT: Final = 2
UDP_LENGTH: Final = 4
UDP_BYTES: Final = 8

# ICMP, RFC 792; ICMPv6, RFC 4443 section 2.1
ICMP_TYPE: Final = 0
ICMP_CODE: Final = 1
ICMP_BYTES: Final = 8  # no message of RFC 792 is shorter
ICMPV6_BYTES: Final = 4  # type, code, checksum; the rest is the message's body

# The ports stand where UDP has them in UDP-Lite, SCTP and DCCP too.

# UDP-Lite, RFC 3828 section 3.1
UDP_LITE_COVERAGE: Final = 4  # of the checksum, header included; 0 is all of it

# SCTP common header, RFC 9260 section 3.1
SCTP_BYTES: Final = 12

# DCCP generic header, RFC 4340 section 5.1
DCCP_DATA_OFFSET: Final = 4  # header length in units of 4 bytes, options included
DCCP_TYPE_X: Final = 8
DCCP_X: Final = 0x01  # long sequence numbers
DCCP_SHORT_BYTES: Final = 12
DCCP_LONG_BYTES: Final = 16

# IGMP, RFC 2236 section 2 and RFC 3376 section 4: no message is shorter
IGMP_BYTES: Final = 8

# ESP, RFC 4303 section 2: index and sequence number; what follows is encrypted
ESP_BYTES: Final = 8

# GRE, RFC 2784, 2890, 1701; version 1: RFC 2637 section 4.1
GRE_FLAGS: Final = 0
GRE_PROTOCOL: Final = 2
GRE_BYTES: Final = 4
GRE_FIELD_BYTES: Final = 4  # of each optional field
GRE_CHECKSUM: Final = 0x8000
GRE_ROUTING: Final = 0x4000  # the offset of the route shares four bytes with the checksum
GRE_KEY: Final = 0x2000
GRE_SEQUENCE: Final = 0x1000
GRE_ACKNOWLEDGE: Final = 0x0080  # version 1 only
GRE_VERSION: Final = 0x0007

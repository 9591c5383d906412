"""Byte offsets of tunnel headers, relative to their own start. No code: only facts of RFCs.

GRE's own header stands with the transport headers, in `offsets`.
"""

from typing import Final

# UDP ports, IANA service-names-port-numbers
PORT_L2TP: Final = 1701
PORT_GTP_U: Final = 2152
PORT_TEREDO: Final = 3544
PORT_VXLAN: Final = 4789
PORT_VXLAN_LINUX: Final = 8472  # Linux had VXLAN before IANA gave it a port
PORT_GENEVE: Final = 6081

# What GRE and Geneve carry, IANA ieee-802-numbers; other EtherTypes stand with the link headers
TYPE_ETHERNET: Final = 0x6558  # a whole Ethernet frame, RFC 1701
TYPE_PPP: Final = 0x880B  # RFC 2637 section 4.1
TYPE_ARUBA_FIRST: Final = 0x8200  # every 16th number: 802.11 from an access point
TYPE_ARUBA_LAST: Final = 0x8370
TYPE_ARUBA_OTHER: Final = 0x9000
TYPE_ERSPAN: Final = 0x88BE  # types I and II
TYPE_ERSPAN_3: Final = 0x22EB

# PPTP: the key of GRE version 1, RFC 2637 section 4.1
PPTP_KEY: Final = 4
PPTP_PAYLOAD_LENGTH: Final = 4

# ERSPAN, draft-foschiano-erspan-03 section 4
ERSPAN_VERSION: Final = 0  # upper four bits of the first byte
ERSPAN_2_VERSION: Final = 1
ERSPAN_2_BYTES: Final = 8
ERSPAN_3_VERSION: Final = 2
ERSPAN_3_FLAGS: Final = 10  # P, five bits of frame type, ..., O
ERSPAN_3_FRAME_TYPE: Final = 0x7C00  # 0 is Ethernet
ERSPAN_3_SUBHEADER: Final = 0x0001  # O: eight bytes more
ERSPAN_3_BYTES: Final = 12
ERSPAN_3_SUBHEADER_BYTES: Final = 8

# VXLAN, RFC 7348 section 5
VXLAN_FLAGS: Final = 0
VXLAN_VNI_VALID: Final = 0x08
VXLAN_VNI: Final = 4  # 24 bits
VXLAN_BYTES: Final = 8

# Geneve, RFC 8926 section 3.4
GENEVE_VERSION_LENGTH: Final = 0  # two bits of version, options length in units of 4 bytes
GENEVE_FLAGS: Final = 1
GENEVE_CONTROL: Final = 0x80
GENEVE_PROTOCOL: Final = 2
GENEVE_VNI: Final = 4  # 24 bits
GENEVE_BYTES: Final = 8

# GTP-U, 3GPP TS 29.281 section 5.1
GTP_FLAGS: Final = 0
GTP_VERSION_TYPE: Final = 0xF0  # three bits of version, one of protocol type
GTP_VERSION_1: Final = 0x30
GTP_EXTENSION: Final = 0x04
GTP_OPTIONAL: Final = 0x07  # any of E, S and PN: four bytes more
GTP_MESSAGE_TYPE: Final = 1
GTP_G_PDU: Final = 255  # the only message that carries a packet
GTP_LENGTH: Final = 2  # of all behind the first eight bytes
GTP_NEXT_EXTENSION: Final = 11
GTP_BYTES: Final = 8
GTP_OPTIONAL_BYTES: Final = 4
GTP_EXTENSION_UNIT: Final = 4  # its first byte counts them, its last one names the next
GTP_EXTENSION_MAX: Final = 16  # a bound of ours: fewer than ten are defined

# Teredo, RFC 4380 section 5.1.1
TEREDO_AUTHENTICATION: Final = 0x0001
TEREDO_ID_LENGTH: Final = 2
TEREDO_VALUE_LENGTH: Final = 3
TEREDO_AUTHENTICATION_BYTES: Final = 13  # nonce and confirmation included
TEREDO_ORIGIN: Final = 0x0000
TEREDO_ORIGIN_BYTES: Final = 8
TEREDO_INDICATOR_BYTES: Final = 2

# L2TP version 2, RFC 2661 section 3.1
L2TP_CONTROL: Final = 0x8000
L2TP_LENGTH: Final = 0x4000
L2TP_SEQUENCE: Final = 0x0800
L2TP_OFFSET: Final = 0x0200
L2TP_VERSION: Final = 0x000F
L2TP_VERSION_2: Final = 2
L2TP_MIN_BYTES: Final = 6  # flags, tunnel, session

"""What headers below the ports name: EtherTypes, IP, PPP and LLC protocols, link types."""

from typing import Final

from tapwatch.features.protocol.rules import ByteTest, Rule, octets

#: Service access points of OSI's network layer.
_OSI: Final = (0xFE, 0x14, 0x20, 0x34, 0x54)
_ISIS: Final = octets("83")
#: A chunk of SCTP that has all of a message: neither its beginning nor its end is elsewhere.
_WHOLE_DATA: Final = (*octets("00", 12), ByteTest(13, 3, 3))
_SMB14, _SMB44 = octets("ff 53 4d 42", 14), octets("ff 53 4d 42", 44)

#: EtherTypes that end there. IPv4, IPv6 and tags go on elsewhere.
ETHER_RULES: Final[tuple[Rule, ...]] = (
    Rule("RARP", (0x0806, 0x8035), (octets("00 03", 6), octets("00 04", 6))),
    Rule("ARP", (0x0806,)),
    Rule("RARP", (0x8035,)),
    Rule("WOL", (0x0842,)),
    Rule("CDP", (0x2000,)),
    Rule("DEC DNA", (0x6001, 0x6002, 0x6003)),
    Rule("LAT", (0x6004,)),
    Rule("DDP", (0x809B,)),
    Rule("AARP", (0x80F3,)),
    Rule("IPX", (0x8137,)),
    Rule("STP", (0x8181,)),
    Rule("MACC", (0x8808,)),
    Rule("ESMC", (0x8809,), (octets("0a"),)),
    Rule("OAM", (0x8809,), (octets("03"),)),
    Rule("LACP", (0x8809,)),
    Rule("PPPoED", (0x8863,)),
    Rule("MS NLB", (0x886F,)),
    Rule("WLCCP", (0x872D,)),
    Rule("EAP", (0x888E, 0x88C7), (octets("00", 1),)),
    Rule("EAPOL", (0x888E, 0x88C7)),
    Rule("LLC", (0x8870,)),
    Rule("Realtek", (0x8899,)),
    Rule("AoE", (0x88A2,)),
    Rule("ECAT", (0x88A4,)),
    Rule("EPL", (0x88AB,)),
    Rule("GOOSE", (0x88B8,)),
    Rule("IEC61850 Sampled Values", (0x88BA,)),
    Rule("TIPC", (0x88CA,)),
    Rule("LLDP", (0x88CC,)),
    Rule("SERCOS III V1.1", (0x88CD,)),
    Rule("LLTD", (0x88D9,)),
    Rule("HomePlug AV", (0x88E1,)),
    Rule("PN-MRP", (0x88E3,)),
    Rule("MACSEC", (0x88E5,)),
    Rule("MRP-MVRP", (0x88F5,)),
    Rule("MRP-MMRP", (0x88F6,)),
    Rule("PTPv2", (0x88F7,)),
    Rule("NCSI", (0x88F8,)),
    Rule("HSR_PRP_SUPERVISION", (0x88FB,)),
    Rule("CFM", (0x8902,)),
    Rule("FCoE", (0x8906,)),
    Rule("FIP", (0x8914,)),
    Rule("ieee1905", (0x893A,)),
    Rule("GEONW", (0x8947,)),
    Rule("LOOP", (0x9000,)),
    Rule("IEEE1722", (0x22F0,)),
    Rule("MRP-MSRP", (0x22EA,)),
    Rule("BATADV", (0x4305,)),
    Rule("LWAPP", (0xBBBB,)),
    Rule("LLT", (0xCAFE,)),
    Rule("MDS Header", (0xFCFC,)),
)

#: IP protocols that end there.
IP_RULES: Final[tuple[Rule, ...]] = (
    # IGMP by kind, response time and length (RFC 9776 section 7.1).
    Rule("IGMPv3", (2,), (octets("11"),), least=12),
    Rule("IGMPv1", (2,), (octets("11 00"), octets("12"))),
    Rule("IGMPv2", (2,), (octets("11"), octets("16"), octets("17"))),
    Rule("IGMPv3", (2,), (octets("22"),)),
    Rule("DVMRP", (2,), (octets("13"),)),
    Rule("PIMv1", (2, 103), (octets("14"),)),
    Rule("IGMP", (2,)),
    Rule("PIMv2", (103,)),
    # SCTP (RFC 9260) by what its first data chunk names as its payload's protocol, or by port.
    Rule("M3UA (RFC 4666)", (132,), (_WHOLE_DATA + octets("00 00 00 03", 24),), least=28),
    Rule(
        "M3UA (RFC 4666)",
        (132,),
        (octets("0b 59") + _WHOLE_DATA, octets("0b 59", 2) + _WHOLE_DATA),
        least=28,
    ),
    Rule("DIAMETER", (132,), (_WHOLE_DATA + octets("00 00 00 2e", 24),), least=28),
    Rule(
        "DIAMETER",
        (132,),
        (octets("0f 1c") + _WHOLE_DATA, octets("0f 1c", 2) + _WHOLE_DATA),
        least=28,
    ),
    Rule("S1AP", (132,), (_WHOLE_DATA + octets("00 00 00 12", 24),), least=28),
    Rule("NGAP", (132,), (_WHOLE_DATA + octets("00 00 00 3c", 24),), least=28),
    Rule("X2AP", (132,), (_WHOLE_DATA + octets("00 00 00 1b", 24),), least=28),
    Rule("M2UA", (132,), (_WHOLE_DATA + octets("00 00 00 02", 24),), least=28),
    Rule("SCTP", (132,)),
    Rule("ICMP", (1,)),
    Rule("IGRP", (9,)),
    Rule("DCCP", (33,)),
    Rule("RSVP", (46,)),
    Rule("DSR", (48,)),
    Rule("ESP", (50,)),
    Rule("AH", (51,)),
    Rule("NHRP", (54,)),
    Rule("ICMPv6", (58,)),
    Rule("MIPv6", (62,)),
    Rule("EIGRP", (88,)),
    Rule("OSPF", (89,)),
    Rule("AX.25", (93,)),
    Rule("IPComp", (108,)),
    Rule("VRRP", (112,)),
    Rule("PGM", (113,)),
    Rule("L2TP", (115,)),
    Rule("RSVP-E2EI", (134,)),
    Rule("MIPv6", (135,)),
    Rule("HIP", (139,)),
    Rule("Shim6", (140,)),
)

#: Service access points of LLC (IEEE 802.2).
SAP_RULES: Final[tuple[Rule, ...]] = (
    # OSI's network layer by ISO 9577, IS-IS (ISO 10589) by its kind of unit.
    Rule("ESIS", _OSI, (octets("82"),)),
    Rule("CLNP", _OSI, (octets("81"),)),
    Rule("ISIS LSP", _OSI, ((*_ISIS, ByteTest(4, 31, 18)), (*_ISIS, ByteTest(4, 31, 20)))),
    Rule("ISIS CSNP", _OSI, ((*_ISIS, ByteTest(4, 31, 24)), (*_ISIS, ByteTest(4, 31, 25)))),
    Rule("ISIS PSNP", _OSI, ((*_ISIS, ByteTest(4, 31, 26)), (*_ISIS, ByteTest(4, 31, 27)))),
    Rule("ISIS HELLO", _OSI, (_ISIS,), least=5),
    # IPX by its sockets, of destination and source.
    Rule("IPX SAP", (0xE0,), (octets("04 52", 16), octets("04 52", 28)), least=30),
    Rule("IPX RIP", (0xE0,), (octets("04 53", 16), octets("04 53", 28)), least=30),
    Rule("NBIPX", (0xE0,), (octets("04 55", 16), octets("04 55", 28)), least=30),
    # NetBIOS frames, whose header is 14 or 44 bytes, and SMB in them.
    Rule("SMB", (0xF0,), (octets("0e 00") + _SMB14, octets("2c 00") + _SMB44)),
    Rule("SNA", (0x04,)),
    Rule("STP", (0x42,)),
    Rule("X.25", (0x7E,)),
    Rule("BACnet-APDU", (0x82,)),
    Rule("IPX", (0xE0,)),
    Rule("NetBIOS", (0xF0,)),
    Rule("LLC", (0xF4,)),
    Rule("RPL", (0xFC,)),
)

#: PPP protocols that end there.
PPP_RULES: Final[tuple[Rule, ...]] = (
    Rule("PPP IPCP", (0x8021,)),
    Rule("PPP OSINLCP", (0x8023,)),
    Rule("PPP IPV6CP", (0x8057,)),
    Rule("PPP CCP", (0x80FD,)),
    Rule("PPP MPLSCP", (0x8281,)),
    Rule("PPP CDPCP", (0x8207,)),
    Rule("PPP BCP NCP", (0x8031,)),
    Rule("PPP LCP", (0xC021,)),
    Rule("PPP PAP", (0xC023,)),
    Rule("PPP BACP", (0xC02B,)),
    Rule("PPP BAP", (0xC02D,)),
    Rule("PPP CBCP", (0xC029,)),
    Rule("PPP CHAP", (0xC223,)),
    Rule("EAP", (0xC227,)),
    Rule("PPP MP", (0x003D,)),
    Rule("PPP Comp", (0x00FD,)),
    Rule("CDP", (0x0207,)),
)

#: SNAP: organisation << 16 | protocol -> label; organisation 0 is an EtherType.
SNAP_PROTOCOLS: Final[dict[int, str]] = {
    0x0080C2_000E: "STP",
    0x0080C2_000F: "STP",
    0x00000C_2000: "CDP",
    0x00000C_2003: "VTP",
    0x00000C_2004: "DTP",
    0x00000C_010B: "STP",
    0x00000C_0111: "UDLD",
    0x00000C_0104: "PAGP",
    0x00000C_2001: "CGMP",
    0x00000C_0000: "WLCCP",
    0x080007_809B: "DDP",
    0x00E02B_00BB: "EDP",
    0x00E052_2000: "FDP",
    0x000081_01A2: "NDP",
    0x000081_01A1: "NDP",
    0x00A00B_0001: "LLC",
}

#: What a frame is called whose link type is not opened: LINKTYPE_ number -> label.
LINK_TYPES: Final[dict[int, str]] = {
    105: "802.11",
    119: "802.11",
    127: "802.11",
    163: "802.11",
    192: "802.11",
    8: "UNKNOWN",
    123: "ATM",
    137: "Juniper ATM1",
    149: "PKTAP",
    166: "PPP",
    177: "LAPD",
    187: "HCI_H4",
    201: "HCI_H4",
    189: "USB",
    220: "USB",
    249: "USB",
    190: "CAN",
    227: "CAN",
    195: "IEEE 802.15.4",
    215: "IEEE 802.15.4",
    230: "IEEE 802.15.4",
    283: "IEEE 802.15.4",
    224: "FC",
    225: "FC",
    271: "vSocket",
    180: "GSMTAP",
    199: "IPMB",
}

#: UDP ports behind which other packets may be.
TUNNEL_PORTS: Final[tuple[int, ...]] = (1701, 2152, 3386, 3544, 4754, 4789, 4790, 5072, 5247, 6081)

#: Programs of ONC RPC (RFC 5531 section 13).
PROGRAMS: Final[dict[int, str]] = {
    100000: "Portmap",
    100003: "NFS",
    100004: "YPSERV",
    100005: "MOUNT",
    100011: "RQUOTA",
    100021: "NLM",
    100024: "STAT",
    100227: "NFSACL",
    100232: "SADMIND",
}

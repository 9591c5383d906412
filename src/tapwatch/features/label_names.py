"""The protocol labels: the words of Wireshark's Protocol column that we tell apart.

A label is the innermost protocol that is recognised from headers, ports and the first bytes of the
payload. The spelling is Wireshark's (4.0). The place in the list is the number of the class.
"""

from typing import Final

#: What is none of the rest: a protocol that is not told, or no protocol at all.
OTHER: Final = 0

LABELS: Final[tuple[str, ...]] = (
    *("other", "TCP", "UDP", "ARP", "ICMP", "ICMPv6", "IPv4", "IPv6", "DNS", "MDNS", "LLMNR"),
    *("DHCP", "DHCPv6", "HTTP", "HTTP/JSON", "HTTP/XML", "HTTP2", "SSL", "SSLv2", "SSLv3"),
    *("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLS", "DTLSv1.0", "DTLSv1.2", "DTLSv1.3"),
    *("QUIC", "GQUIC", "SSH", "SSHv1", "SSHv2", "802.11", "9P", "AARP", "AFS (RX)", "AH", "AIM"),
    *("AJP13", "AMQP", "AMS", "ANSI C12.22", "AODV", "AoE", "ATM", "Auto-RP", "AX.25", "AYIYA"),
    *("Babel", "BACnet-APDU", "BACnet-NPDU", "BATADV", "BEEP", "BFD Control", "BFD Echo", "BGP"),
    *("Bitcoin", "BitTorrent", "BJNP", "BOOTP", "BROWSER", "BT-DHT", "BVLC", "CAN", "CAN-ETH"),
    *("CAPWAP-Control", "CDP", "Ceph", "CFLOW", "CFM", "CGMP", "Chargen", "CHDLC", "CIP"),
    *("CIP I/O", "CLASSIC-STUN", "CLDAP", "CLNP", "CoAP", "collectd", "COTP", "Couchbase"),
    *("CPHA", "CQL", "CVSPSERVER", "DAYTIME", "DB-LSP-DISC", "DB-LSP-DISC/JSON", "DCCP"),
    *("DCERPC", "DDP", "DEC DNA", "DIAMETER", "DICOM", "DLEP", "DLSw", "DNP 3.0", "DoIP", "DRDA"),
    *("DSI", "DSR", "DTLS 1.0 (OpenSSL pre 0.9.8f)", "DTP", "DVMRP", "EAP", "EAPOL", "ECAT"),
    *("ECHO", "EDONKEY", "EDP", "EGD", "EIGRP", "Elasticsearch", "ENIP", "EPL", "ERSPAN", "ESIO"),
    *("ESIS", "ESMC", "ESP", "Ethernet", "EXEC", "FB_ZERO", "FC", "FCoE", "FDP", "FINGER", "FIP"),
    *("FIX", "FR", "FTP", "FTP-DATA", "Gearman", "GEONW", "GIOP", "Git", "GLBP", "Gnutella"),
    *("GOOSE", "Gopher", "GRE", "GSMTAP", "GTP", "GTP <DNS>", "GTP <DTLS>", "GTP <HTTP>"),
    *("GTP <ICMP>", "GTP <ICMPv6>", "GTP <IPv4>", "GTP <IPv6>", "GTP <NTP>", "GTP <QUIC>"),
    *("GTP <SIP>", "GTP <SSL>", "GTP <TCP>", "GTP <TLSv1.2>", "GTP <TLSv1.3>", "GTP <TLSv1>"),
    *("GTP <UDP>", "GTP <WireGuard>", "GTPv2", "GVCP", "H.225.0", "HART_IP", "HCI_H4", "HIP"),
    *("HiSLIP", "HL7", "HomePlug AV", "HSR_PRP_SUPERVISION", "HSRP", "HSRPv2", "IAX2", "ICAP"),
    *("ICQv2", "ICQv3", "IEC 60870-5 ASDU", "IEC 60870-5-104", "IEC61850 Sampled Values"),
    *("IEEE 802.15.4", "IEEE1722", "ieee1905", "IGMP", "IGMPv1", "IGMPv2", "IGMPv3", "IGRP"),
    *("IMAP", "IPComp", "IPMB", "IPP", "IPX", "IPX RIP", "IPX SAP", "IRC", "ISAKMP", "ISIS CSNP"),
    *("ISIS HELLO", "ISIS LSP", "ISIS PSNP", "JDWP", "Juniper ATM1", "Kafka", "KINK", "kismet"),
    *("KNXnet/IP", "Kpasswd", "KRB4", "KRB5", "L2TP", "LACP", "LAPD", "Laplink", "LAT", "LDAP"),
    *("LDP", "LISP", "LLC", "LLDP", "LLT", "LLTD", "LMP", "LON", "LOOP", "LPD", "LSD", "Lustre"),
    *("lw_res", "LWAPP", "M2UA", "M3UA (RFC 4666)", "MACC", "MACSEC", "MDS Header", "MEGACO"),
    *("MEMCACHE", "MGCP", "MIPv6", "MNDP", "Modbus/TCP", "Modbus/UDP", "MOUNT", "MPLS"),
    *("MPLS ECHO", "MQTT", "MRP-MMRP", "MRP-MSRP", "MRP-MVRP", "MS NLB", "MSDP", "MSNMS", "MSRP"),
    *("MySQL", "NAT-PMP", "NBDS", "NBIPX", "NBNS", "NBSS", "NCP", "NCSI", "NDMP", "NDP"),
    *("NetBIOS", "NFS", "NFSACL", "NGAP", "NHRP", "NLM", "NNTP", "NTP", "OAM", "OCSP", "OICQ"),
    *("OLSR v1", "OMRON", "OpcUa", "OpenFlow", "OpenVPN", "OpenWire", "OSPF", "PAGP", "PANA"),
    *("PCEP", "PCP v2", "PFCP", "PGM", "PGSQL", "PIMv1", "PIMv2", "PKTAP", "PN-MRP", "POP"),
    *("Portmap", "PPP", "PPP BACP", "PPP BAP", "PPP BCP NCP", "PPP CBCP", "PPP CCP", "PPP CDPCP"),
    *("PPP CHAP", "PPP Comp", "PPP IPCP", "PPP IPV6CP", "PPP LCP", "PPP MP", "PPP MPLSCP"),
    *("PPP OSINLCP", "PPP PAP", "PPPoED", "PPTP", "PTPv2", "Q.931", "QUAKE", "QUAKE2", "QUAKE3"),
    *("QUAKEWORLD", "RADIUS", "RakNet", "RARP", "RDP", "RDPUDP", "Realtek", "RESP", "RIPng"),
    *("RIPv1", "RIPv2", "Rlogin", "RMCP", "RMI", "RPC", "RPKI-RTR", "RPL", "RQUOTA", "RSH"),
    *("RSVP", "RSVP-E2EI", "RSYNC", "RTMP", "RTPS", "RTSP", "RX", "S-Bus", "S1AP", "S7COMM"),
    *("SADMIND", "SAP", "SCTP", "SERCOS III V1.1", "sFlow", "Shim6", "SIP", "SIP/SDP", "SKINNY"),
    *("SLARP", "SMB", "SMB2", "SMTP", "SNA", "SNMP", "Socks", "SRVLOC", "SSDP", "STAT"),
    *("STEAMDISCOVER", "STP", "STUN", "SYNCHROPHASOR", "Syslog", "T.125", "TACACS", "TACACS+"),
    *("TDS", "TELNET", "Teredo", "TFTP", "THRIFT", "TIME", "TIPC", "TiVoConnect", "TNS", "TPKT"),
    *("TPLINK-SMARTHOME/JSON", "TSP", "TZSP", "UDLD", "UDPENCAP", "UFTP", "UNKNOWN", "USB"),
    *("VNC", "VRRP", "vSocket", "VTP", "Vuze-DHT", "WCCP", "WebSocket", "WHO", "WHOIS"),
    *("WINS-Replication", "WireGuard", "WLCCP", "WOL", "WOW", "WOWW", "X.25", "X11", "X2AP"),
    *("XDMCP", "XID", "XMPP/XML", "XOT", "YPSERV", "Z39.50", "ZEBRA"),
)

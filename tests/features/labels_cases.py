"""Payloads of every family, with the label that Wireshark gives them."""

import struct

from tests.decode.made import Frame
from tests.features.labels_made import answer, ethernet, ipv4, ipv6, over_tcp, over_udp, tcp, udp

DNS_QUERY = (
    bytes.fromhex("12 34 01 00 00 01 00 00 00 00 00 00 03")
    + b"www"
    + bytes.fromhex("07")
    + b"example"
    + bytes.fromhex("00 00 01 00 01")
)


def m3ua(flags: str) -> bytes:
    """One data chunk of SCTP, with these flags, between ports that say nothing."""
    return (
        bytes(12)
        + bytes.fromhex(f"00 {flags} 00 14")
        + bytes(8)
        + bytes.fromhex("00 00 00 03 01 00 03 01")
    )


CLIENT_HELLO = bytes.fromhex("16 03 01 00 2d 01 00 00 29 03 03") + bytes(39)
HTTP_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{}  "
STUN = bytes.fromhex("00 01 00 00 21 12 a4 42") + bytes(range(12))
QUIC = bytes.fromhex("c3 00 00 00 01 08") + bytes(range(40))
DHCP = bytes([1, 1, 6, 0]) + bytes(232) + bytes.fromhex("63 82 53 63 35 01 01 ff")
SMB2 = bytes.fromhex("00 00 00 44 fe 53 4d 42") + bytes(64)
RPC_CALL = bytes.fromhex("00 00 00 07 00 00 00 00 00 00 00 02 00 01 86 a3 00 00 00 03") + bytes(20)
INNER = ethernet(0x0800, ipv4(17, udp(50_003, 53, DNS_QUERY)))

#: Name -> (frame, label).
CASES: dict[str, tuple[Frame, str]] = {
    # TCP.
    "http request": (over_tcp(80, b"GET / HTTP/1.1\r\n\r\n"), "HTTP"),
    "http anywhere": (over_tcp(4321, b"POST /a HTTP/1.0\r\n\r\n"), "HTTP"),
    "http word without version": (over_tcp(4321, b"POST office\r\n\r\n"), "TCP"),
    "http half a line": (over_tcp(80, b"GET /half"), "TCP"),
    "http json": (over_tcp(80, HTTP_JSON), "HTTP/JSON"),
    "http json, body to come": (over_tcp(80, HTTP_JSON[:-4]), "HTTP"),
    "http json of two bytes": (over_tcp(80, HTTP_JSON[:-2]), "HTTP/JSON"),
    "http xml": (
        over_tcp(80, HTTP_JSON.replace(b"application/json", b"text/xml;;;;;;;;;")),
        "HTTP/XML",
    ),
    "ocsp": (over_tcp(80, HTTP_JSON.replace(b"json;", b"ocsp-response;")), "OCSP"),
    "ipp": (over_tcp(631, HTTP_JSON.replace(b"json;", b"ipp;;")), "IPP"),
    "http2": (over_tcp(80, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP2"),
    "client hello": (over_tcp(443, CLIENT_HELLO), "TLSv1"),
    "client hello anywhere": (over_tcp(4444, CLIENT_HELLO), "TLSv1"),
    "tls 1.2 data": (over_tcp(443, bytes.fromhex("17 03 03 00 02 aa bb")), "TLSv1.2"),
    "tls 1.1 data": (over_tcp(443, bytes.fromhex("17 03 02 00 02 aa bb")), "TLSv1.1"),
    "ssl 3 data": (over_tcp(443, bytes.fromhex("17 03 00 00 02 aa bb")), "SSLv3"),
    "tls half a record": (over_tcp(443, bytes.fromhex("17 03 03 01 00 aa bb")), "SSL"),
    "tls middle of a record": (over_tcp(443, bytes.fromhex("9a 9b 9c 9d 9e")), "SSL"),
    "text where tls is due": (over_tcp(443, b"hello"), "TCP"),
    "ssl 2 hello": (over_tcp(443, bytes.fromhex("80 2e 01 03 01 00 15 00")), "SSLv2"),
    "starttls": (over_tcp(25, CLIENT_HELLO), "TLSv1"),
    "ssh": (over_tcp(22, b"SSH-2.0-OpenSSH_9\r\n"), "SSH"),
    "smtp": (over_tcp(25, b"EHLO there\r\n"), "SMTP"),
    "ftp": (over_tcp(21, b"USER me\r\n"), "FTP"),
    "telnet": (over_tcp(23, b"\xff\xfb\x01"), "TELNET"),
    "smb2": (over_tcp(445, SMB2), "SMB2"),
    "smb": (over_tcp(139, SMB2.replace(b"\xfe", b"\xff")), "SMB"),
    "netbios session": (over_tcp(139, bytes.fromhex("81 00 00 44") + bytes(68)), "NBSS"),
    "no header of netbios": (over_tcp(445, bytes(range(1, 30))), "NBSS"),
    "dcerpc anywhere": (
        over_tcp(49_152, bytes.fromhex("05 00 0b 03 10 00 00 00 48 00 00 00") + bytes(60)),
        "DCERPC",
    ),
    "rdp": (over_tcp(3389, bytes.fromhex("03 00 00 13 0e e0") + bytes(13)), "RDP"),
    "s7": (over_tcp(102, bytes.fromhex("03 00 00 16 02 f0 80 32 01") + bytes(13)), "S7COMM"),
    "cotp": (over_tcp(102, bytes.fromhex("03 00 00 07 02 f0 00")), "COTP"),
    "bgp": (over_tcp(179, b"\xff" * 16 + bytes([0, 19, 4])), "BGP"),
    "modbus": (over_tcp(502, bytes.fromhex("00 01 00 00 00 06 01 03 00 00 00 01")), "Modbus/TCP"),
    "not modbus": (over_tcp(502, bytes.fromhex("00 01 00 09 00 06 01 03 00 00 00 01")), "TCP"),
    "dnp3": (over_tcp(20_000, bytes.fromhex("05 64 05 c0 01 00 00 04 e9 21")), "DNP 3.0"),
    "iec data": (
        over_tcp(2404, bytes.fromhex("68 0e 00 00 00 00 64 01 06 00 01 00")),
        "IEC 60870-5 ASDU",
    ),
    "iec supervision": (over_tcp(2404, bytes.fromhex("68 04 01 00 02 00")), "IEC 60870-5-104"),
    "cip": (over_tcp(44_818, bytes.fromhex("6f 00") + bytes(22)), "CIP"),
    "redis": (over_tcp(6379, b"*1\r\n$4\r\nPING\r\n"), "RESP"),
    "mysql": (over_tcp(3306, bytes.fromhex("01 00 00 00 0e")), "MySQL"),
    "postgres": (over_tcp(5432, b"Q\0\0\0\x05\0"), "PGSQL"),
    "ldap": (over_tcp(389, bytes.fromhex("30 0c 02 01 01 60 07")), "LDAP"),
    "nfs": (over_tcp(2049, bytes.fromhex("80 00 00 28") + RPC_CALL), "NFS"),
    "bittorrent": (over_tcp(5555, b"\x13BitTorrent protocol" + bytes(48)), "BitTorrent"),
    "vnc anywhere": (over_tcp(5999, b"RFB 003.008\n"), "VNC"),
    "dns on tcp": (over_tcp(53, struct.pack("!H", len(DNS_QUERY)) + DNS_QUERY), "DNS"),
    "dns on tcp, its length alone": (over_tcp(53, b"\0\x1d"), "DNS"),
    "git": (over_tcp(9418, b"0032git-upload-pack /x"), "Git"),
    "no git": (over_tcp(9418, b"PACK\0\0\0\2"), "TCP"),
    "tns": (over_tcp(1521, bytes.fromhex("00 3a 00 00 01 00 00 00") + bytes(50)), "TNS"),
    "no tns": (over_tcp(1521, bytes.fromhex("00 3a 00 00 40 00 00 00") + bytes(50)), "TCP"),
    "kerberos": (over_tcp(88, b"\0\0\0\x01x"), "KRB5"),
    "http 2 where no http is": (over_tcp(4444, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "TCP"),
    "svg": (
        answer(80, b"HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml; x=y\r\n\r\n<svg/>"),
        "HTTP/XML",
    ),
    "soap": (
        answer(80, b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n<x/>"),
        "HTTP/XML",
    ),
    "problem": (
        answer(80, b"HTTP/1.1 400 No\r\nContent-Type: application/problem+json\r\n\r\n{ }"),
        "HTTP/JSON",
    ),
    "png": (
        answer(80, b"HTTP/1.1 200 OK\r\nContent-Type: image/png; a=b, c=d\r\n\r\nPNG"),
        "HTTP",
    ),
    "mqtt": (over_tcp(1883, bytes.fromhex("c0 00")), "MQTT"),
    "bare ack": (over_tcp(80, b""), "TCP"),
    "unknown": (over_tcp(4321, b"\x01\x02\x03\x04"), "TCP"),
    # UDP.
    "dns": (over_udp(53, DNS_QUERY), "DNS"),
    "dns, however short": (over_udp(53, DNS_QUERY[:1]), "DNS"),
    "no ssdp": (over_udp(1900, b"hello world"), "UDP"),
    "radius without a code": (over_udp(1812, bytes.fromhex("00 02 00 14") + bytes(16)), "UDP"),
    "mgcp": (over_udp(2427, b"RSIP 1 *@x MGCP 1.0\r\n"), "MGCP"),
    "mgcp, answered": (over_udp(2427, b"200 1 OK\r\n"), "MGCP"),
    "no mgcp": (over_udp(2427, b"hello world"), "UDP"),
    "gtp without a kind": (over_udp(2123, bytes.fromhex("32 0f 00 00") + bytes(8)), "UDP"),
    "no gtp": (over_udp(2123, bytes.fromhex("32 45 00 00") + bytes(8)), "UDP"),
    "anything beside dtls": (over_udp(853, QUIC), "DTLS"),
    "sip elsewhere": (over_udp(5070, b"SUBSCRIBE sip:b@x SIP/2.0\r\n\r\n"), "SIP"),
    "rpc on its port": (over_udp(111, b"hello world"), "RPC"),
    "no sbus": (over_udp(5050, bytes.fromhex("00 00 00 0b 00 00 00 01 02 03")), "UDP"),
    "dns anywhere": (over_udp(5300, DNS_QUERY), "DNS"),
    "mdns": (over_udp(5353, DNS_QUERY, 5353), "MDNS"),
    "llmnr": (over_udp(5355, DNS_QUERY), "LLMNR"),
    "nbns": (over_udp(137, DNS_QUERY, 137), "NBNS"),
    "dhcp": (over_udp(67, DHCP, 68), "DHCP"),
    "dhcp behind other options": (
        over_udp(67, DHCP[:-4] + bytes.fromhex("00 0c 02 61 62 35 01 05 ff"), 68),
        "DHCP",
    ),
    "bootp with 53 as a value": (
        over_udp(67, DHCP[:-4] + bytes.fromhex("0c 02 35 35 ff"), 68),
        "BOOTP",
    ),
    "bootp": (over_udp(67, DHCP[:-4] + b"\xff", 68), "BOOTP"),
    "quic": (over_udp(443, QUIC), "QUIC"),
    "quic anywhere": (over_udp(4433, QUIC), "QUIC"),
    "google quic": (over_udp(443, b"\x0d" + bytes(8) + b"Q043" + bytes(20)), "GQUIC"),
    "not quic": (over_udp(443, bytes.fromhex("c3 12 34 56 78 08") + bytes(40)), "UDP"),
    "stun": (over_udp(4000, STUN), "STUN"),
    "classic stun": (over_udp(4001, bytes.fromhex("00 01 00 00") + bytes(16)), "CLASSIC-STUN"),
    "not classic stun": (over_udp(4001, bytes.fromhex("00 01 00 01") + bytes(16)), "UDP"),
    "dtls hello": (over_udp(4433, bytes.fromhex("16 fe ff") + bytes(10) + b"\x01"), "DTLS"),
    "dtls 1.2": (over_udp(4433, bytes.fromhex("17 fe fd 00 01") + bytes(20)), "DTLSv1.2"),
    "dtls 1.0": (over_udp(4433, bytes.fromhex("17 fe ff 00 01") + bytes(20)), "DTLSv1.0"),
    "wireguard": (over_udp(51_820, bytes.fromhex("01 00 00 00") + bytes(144)), "WireGuard"),
    "not wireguard": (over_udp(51_820, bytes.fromhex("01 00 00 00") + bytes(145)), "UDP"),
    "ntp": (over_udp(123, b"\x23" + bytes(47)), "NTP"),
    "snmp": (over_udp(161, bytes.fromhex("30 0c 02 01 00")), "SNMP"),
    "ssdp": (over_udp(1900, b"M-SEARCH * HTTP/1.1\r\n"), "SSDP"),
    "sip": (over_udp(5060, b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"), "SIP"),
    "sip with sdp": (over_udp(5060, b"INVITE sip:a@b SIP/2.0\r\nX: y\r\n\r\nv=0\r\n"), "SIP/SDP"),
    "not sip": (over_udp(5060, b"\r\n\r\n"), "UDP"),
    "nfs on udp": (over_udp(2049, RPC_CALL), "NFS"),
    "isakmp behind nat": (over_udp(4500, bytes(4) + bytes(range(28))), "ISAKMP"),
    "esp behind nat": (over_udp(4500, bytes.fromhex("12 34 56 78") + bytes(28)), "ESP"),
    "keep-alive of nat": (over_udp(4500, b"\xff"), "UDPENCAP"),
    "rip 1": (over_udp(520, bytes.fromhex("01 01 00 00"), 520), "RIPv1"),
    "rip 2": (over_udp(520, bytes.fromhex("02 02 00 00"), 520), "RIPv2"),
    "hsrp": (over_udp(1985, bytes.fromhex("00 00 10 03 0a 78 01 00"), 1985), "HSRP"),
    "hsrp 2": (over_udp(1985, bytes.fromhex("01 28 02 00 06 04"), 1985), "HSRPv2"),
    "bacnet": (over_udp(47_808, bytes.fromhex("81 0a 00 11 01 04 00 05")), "BACnet-APDU"),
    "bacnet network": (over_udp(47_808, bytes.fromhex("81 0b 00 07 01 80 00")), "BACnet-NPDU"),
    "dropbox": (over_udp(17_500, b'{"host_int": 1}', 17_500), "DB-LSP-DISC/JSON"),
    "bittorrent dht": (over_udp(6881, b"d1:ad2:id20:" + bytes(20)), "BT-DHT"),
    "radius": (over_udp(1812, bytes.fromhex("01 02 00 14") + bytes(16)), "RADIUS"),
    "tftp": (over_udp(69, b"\0\1file\0octet\0"), "TFTP"),
    "syslog": (over_udp(514, b"<30>hello"), "Syslog"),
    "unknown datagram": (over_udp(4321, bytes.fromhex("fe fd fc fb")), "UDP"),
    # Tunnels.
    "vxlan": (over_udp(4789, bytes.fromhex("08 00 00 00 00 00 01 00") + INNER), "DNS"),
    "vxlan, generic": (
        over_udp(4790, bytes.fromhex("0c 00 00 01 00 00 64 00") + INNER[14:]),
        "DNS",
    ),
    "vxlan, generic, ethernet": (
        over_udp(4790, bytes.fromhex("0c 00 00 03 00 00 64 00") + INNER),
        "DNS",
    ),
    "vxlan, generic, unknown": (
        over_udp(4790, bytes.fromhex("0c 00 00 09 00 00 64 00") + INNER),
        "UDP",
    ),
    "l2tp, least": (
        over_udp(1701, bytes.fromhex("00 02 00 01 00 01 ff 03 c0 21 01 01 00 04")),
        "PPP LCP",
    ),
    "vxlan, generic, ip version 6": (
        over_udp(4790, bytes.fromhex("0c 00 00 02 00 00 64 00") + ipv6(58, bytes(8))),
        "ICMPv6",
    ),
    "l2tp, numbered": (
        over_udp(1701, bytes.fromhex("08 02 00 01 00 01 00 05 00 06 ff 03 c0 21 01 01 00 04")),
        "PPP LCP",
    ),
    "l2tp, ends before its offset": (
        over_udp(1701, bytes.fromhex("02 02 00 01 00 01")),
        "L2TP",
    ),
    "ethernet in ip": (Frame(ethernet(0x0800, ipv4(97, bytes.fromhex("30 00") + INNER))), "DNS"),
    "options of tcp in gre": (
        Frame(
            ethernet(
                0x0800,
                ipv4(
                    47,
                    bytes.fromhex("00 00 08 00")
                    + ipv4(6, tcp(50_001, 4321, b"")[:12] + b"\x60" + bytes(11) + b"RFB 003.008\n"),
                ),
            )
        ),
        "VNC",
    ),
    "authentication": (
        Frame(
            ethernet(
                0x0800,
                ipv4(51, bytes.fromhex("11 04 00 00") + bytes(20) + udp(4000, 53, DNS_QUERY)),
            )
        ),
        "DNS",
    ),
    "dlsw": (over_tcp(2065, bytes.fromhex("4b 00 00 10")), "DLSw"),
    "no dlsw": (over_tcp(2065, bytes.fromhex("5b 00 00 10")), "TCP"),
    "service tag": (Frame(ethernet(0x88A8, bytes.fromhex("00 07 88 cc") + bytes(8))), "LLDP"),
    "rss": (
        answer(80, b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml; a=b\r\n\r\n<x/>"),
        "HTTP/XML",
    ),
    "sctp, a message": (Frame(ethernet(0x0800, ipv4(132, m3ua("03")))), "M3UA (RFC 4666)"),
    "sctp, its beginning": (Frame(ethernet(0x0800, ipv4(132, m3ua("02")))), "SCTP"),
    "sctp, its end": (Frame(ethernet(0x0800, ipv4(132, m3ua("01")))), "SCTP"),
    "rdp, data": (
        over_tcp(3389, bytes.fromhex("03 00 00 0c 02 f0 80 64 00 07 03 eb")),
        "T.125",
    ),
    "tpkt without more": (over_tcp(3389, bytes.fromhex("03 00 00 07")), "TPKT"),
    "udp-lite": (Frame(ethernet(0x0800, ipv4(136, udp(4000, 53, DNS_QUERY)))), "DNS"),
    "mpls in ip": (
        Frame(ethernet(0x0800, ipv4(137, bytes.fromhex("00 01 11 40") + INNER[14:]))),
        "DNS",
    ),
    "geneve": (over_udp(6081, bytes.fromhex("00 00 65 58 00 00 01 00") + INNER), "DNS"),
    "gtp": (over_udp(2152, bytes.fromhex("30 ff 00 20 00 00 00 01") + INNER[14:]), "GTP <DNS>"),
    "gtp, numbered": (
        over_udp(2152, bytes.fromhex("31 ff 00 20 00 00 00 01 00 00 07 00") + INNER[14:]),
        "GTP <DNS>",
    ),
    "gtp, extended": (
        over_udp(
            2152, bytes.fromhex("34 ff 00 20 00 00 00 01 00 00 00 85 01 10 09 00") + INNER[14:]
        ),
        "GTP <DNS>",
    ),
    "gtp echo": (over_udp(2152, bytes.fromhex("32 01 00 04 00 00 00 00 00 00 00 00")), "GTP"),
    "gre": (Frame(ethernet(0x0800, ipv4(47, bytes.fromhex("00 00 08 00") + INNER[14:]))), "DNS"),
    "ip in ip": (Frame(ethernet(0x0800, ipv4(4, INNER[14:]))), "DNS"),
    "6 in 4": (Frame(ethernet(0x0800, ipv4(41, ipv6(6, tcp(5, 179, b"\xff" * 19))))), "BGP"),
    "teredo": (over_udp(3544, ipv6(58, bytes(8))), "ICMPv6"),
    "nothing in a tunnel": (Frame(ethernet(0x0800, ipv4(41, bytes(8)))), "IPv6"),
    # IP.
    "icmp": (Frame(ethernet(0x0800, ipv4(1, bytes(8)))), "ICMP"),
    "nothing behind an extension": (
        Frame(ethernet(0x86DD, ipv6(60, bytes([6, 0]) + bytes(6)))),
        "TCP",
    ),
    "mpls in gre": (
        Frame(
            ethernet(
                0x0800,
                ipv4(47, bytes.fromhex("0000 8847 00011040 00022140") + INNER[14:]),
            )
        ),
        "DNS",
    ),
    "icmp 6": (Frame(ethernet(0x86DD, ipv6(58, bytes(8)))), "ICMPv6"),
    "later fragment": (Frame(ethernet(0x0800, ipv4(17, DNS_QUERY, fragment=9))), "IPv4"),
    "ospf": (Frame(ethernet(0x0800, ipv4(89, bytes(24)))), "OSPF"),
    "esp": (Frame(ethernet(0x0800, ipv4(50, bytes(24)))), "ESP"),
    "vrrp": (Frame(ethernet(0x0800, ipv4(112, bytes(24)))), "VRRP"),
    "pim": (Frame(ethernet(0x0800, ipv4(103, bytes([0x20]) + bytes(8)))), "PIMv2"),
    "igmp 1": (Frame(ethernet(0x0800, ipv4(2, bytes([0x12]) + bytes(7)))), "IGMPv1"),
    "igmp 2": (Frame(ethernet(0x0800, ipv4(2, bytes([0x11, 9]) + bytes(6)))), "IGMPv2"),
    "igmp 3": (Frame(ethernet(0x0800, ipv4(2, bytes([0x11, 9]) + bytes(10)))), "IGMPv3"),
    "sctp": (Frame(ethernet(0x0800, ipv4(132, bytes(11) + b"\1\1" + bytes(20)))), "SCTP"),
    "dccp": (Frame(ethernet(0x0800, ipv4(33, bytes([0, 1, 0, 2, 4]) + bytes(15)))), "DCCP"),
    "unknown protocol": (Frame(ethernet(0x0800, ipv4(253, bytes(8)))), "IPv4"),
    "ends inside the ip header": (Frame(ethernet(0x0800, ipv4(1, b"")[:12])), "IPv4"),
    "mobility": (Frame(ethernet(0x86DD, ipv6(135, bytes([59, 0]) + bytes(6)))), "MIPv6"),
    # Links.
    "arp": (Frame(ethernet(0x0806, bytes.fromhex("0001 0800 06 04 0001") + bytes(20))), "ARP"),
    "rarp": (Frame(ethernet(0x0806, bytes.fromhex("0001 0800 06 04 0003") + bytes(20))), "RARP"),
    "lldp": (Frame(ethernet(0x88CC, bytes(20))), "LLDP"),
    "eap": (Frame(ethernet(0x888E, bytes([1, 0, 0, 5]) + bytes(5))), "EAP"),
    "eapol key": (Frame(ethernet(0x888E, bytes([1, 3, 0, 5]) + bytes(5))), "EAPOL"),
    "lacp": (Frame(ethernet(0x8809, bytes([1]) + bytes(50))), "LACP"),
    "stp": (Frame(ethernet(38, bytes.fromhex("42 42 03") + bytes(35))), "STP"),
    "cdp": (Frame(ethernet(30, bytes.fromhex("aa aa 03 00 00 0c 20 00") + bytes(22))), "CDP"),
    "is-is": (
        Frame(ethernet(60, bytes.fromhex("fe fe 03 83 1b 01 00 0f 01") + bytes(51))),
        "ISIS HELLO",
    ),
    "is-is lsp": (
        Frame(ethernet(60, bytes.fromhex("fe fe 03 83 1b 01 00 12 01") + bytes(51))),
        "ISIS LSP",
    ),
    "xid": (Frame(ethernet(6, bytes.fromhex("00 01 af 81 01 00"))), "XID"),
    "ipx, raw": (Frame(ethernet(30, b"\xff\xff" + bytes(28))), "IPX"),
    "ppp over ethernet": (
        Frame(ethernet(0x8864, bytes.fromhex("11 00 00 01 00 06 c0 21 01 01 00 04"))),
        "PPP LCP",
    ),
    "pppoe discovery": (Frame(ethernet(0x8863, bytes(20))), "PPPoED"),
    "vlan": (Frame(ethernet(0x8100, bytes.fromhex("00 07 88 cc") + bytes(8))), "LLDP"),
    "unknown ether type": (Frame(ethernet(0x3030, bytes(20))), "other"),
    "runt": (Frame(bytes(9)), "Ethernet"),
    "802.11 beacon": (Frame(b"\x80\0" + bytes(30), link_type=105), "802.11"),
    "slarp": (Frame(bytes.fromhex("8f 00 80 35") + bytes(14), link_type=104), "SLARP"),
    "frame relay": (Frame(bytes.fromhex("18 41 03 b0 00 00 00"), link_type=107), "FR"),
    "cooked": (Frame(bytes(14) + bytes.fromhex("88 cc") + bytes(9), link_type=113), "LLDP"),
    "no link that we know": (Frame(bytes(40), link_type=9999), "other"),
}

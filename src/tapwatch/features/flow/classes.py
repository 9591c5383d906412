"""Protocols and ports as classes: a number among them says nothing by its size.

One table, for live flows and for published files alike. The service of a port is IANA's (Service
Name and Transport Protocol Port Number Registry) or, for 8080 and 8443, what everybody uses it for;
the ranges of the others are those of RFC 6335 section 6.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Class -> protocol number. Whatever is none of them is the first word.
PROTOCOLS: Final[dict[str, int]] = {
    "tcp": 6,
    "udp": 17,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "sctp": 132,
    "gre": 47,
    "esp": 50,
}
PROTOCOL_CLASSES: Final = ("other", *PROTOCOLS)

#: Protocols whose ports are ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
PORTED: Final = (6, 17, 33, 132, 136)

#: Class -> ports, over any transport.
SERVICES: Final[dict[str, tuple[int, ...]]] = {
    "ftp": (20, 21),
    "ssh": (22,),
    "telnet": (23,),
    "smtp": (25, 465, 587),
    "dns": (53,),
    "dhcp": (67, 68, 546, 547),
    "tftp": (69,),
    "http": (80, 8080),
    "kerberos": (88,),
    "pop3": (110, 995),
    "rpc": (111, 135),
    "ntp": (123,),
    "netbios": (137, 138, 139),
    "imap": (143, 993),
    "snmp": (161, 162),
    "bgp": (179,),
    "ldap": (389, 636),
    "https": (443, 8443),
    "smb": (445,),
    "ipsec": (500, 4500),
    "modbus": (502,),
    "syslog": (514, 6514),
    "dot": (853,),
    "mssql": (1433,),
    "oracle": (1521,),
    "radius": (1812, 1813),
    "mqtt": (1883, 8883),
    "ssdp": (1900,),
    "nfs": (2049,),
    "mysql": (3306,),
    "rdp": (3389,),
    "stun": (3478, 5349),
    "sip": (5060, 5061),
    "postgresql": (5432,),
    "mdns": (5353,),
    "llmnr": (5355,),
    "vnc": (5900,),
    "redis": (6379,),
    "mongodb": (27017,),
}
#: "none": port 0, or a protocol without ports.
PORT_CLASSES: Final = ("none", "system", "registered", "dynamic", *SERVICES)

#: RFC 6335 section 6.
FIRST_REGISTERED: Final = 1024
FIRST_DYNAMIC: Final = 49_152


def _protocol_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for word, number in PROTOCOLS.items():
        table[number] = PROTOCOL_CLASSES.index(word)
    return table


def _port_table() -> NDArray[np.uint8]:
    table = np.full(65_536, PORT_CLASSES.index("system"), np.uint8)
    table[FIRST_REGISTERED:] = PORT_CLASSES.index("registered")
    table[FIRST_DYNAMIC:] = PORT_CLASSES.index("dynamic")
    table[0] = PORT_CLASSES.index("none")
    for word, ports in SERVICES.items():
        table[list(ports)] = PORT_CLASSES.index(word)
    return table


def _ported_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[list(PORTED)] = 1
    return table


#: Protocol number -> index in PROTOCOL_CLASSES.
PROTOCOL_CLASS: Final = _protocol_table()
#: Port -> index in PORT_CLASSES.
PORT_CLASS: Final = _port_table()
#: Protocol number -> 1 where its ports are ports.
HAS_PORTS: Final = _ported_table()

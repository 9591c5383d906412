"""The classes of the `kdd` view, and which port is which service: tables only.

The words are those of the published files. Ports are IANA's and those of the time's /etc/services,
as far as a word has one: `pm_dump`, a call of the port mapper, cannot be told by a port and never
occurs in live rows. Of UDP, the files know only `domain_u`, `ntp_u`, `tftp_u`, `private`, `other`.

Where a port has no word, it is `private` below 1024 and `other` above, as in the data, in which
SNMP is private.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables import ConnState

PROTOCOLS: Final = ("tcp", "udp", "icmp")

_TCP_PORTS: Final = {
    "IRC": (194, *range(6660, 6670)),
    "X11": tuple(range(6000, 6064)),
    "Z39_50": (210,),
    "aol": (5190,),
    "auth": (113,),
    "bgp": (179,),
    "courier": (530,),
    "csnet_ns": (105,),
    "ctf": (84,),
    "daytime": (13,),
    "discard": (9,),
    "domain": (53,),
    "echo": (7,),
    "efs": (520,),
    "exec": (512,),
    "finger": (79,),
    "ftp": (21,),
    "ftp_data": (20,),
    "gopher": (70,),
    "harvest": (3128,),
    "hostnames": (101,),
    "http": (80,),
    "http_2784": (2784,),
    "http_443": (443,),
    "http_8001": (8001,),
    "imap4": (143,),
    "iso_tsap": (102,),
    "klogin": (543,),
    "kshell": (544,),
    "ldap": (389,),
    "link": (87, 245),
    "login": (513,),
    "mtp": (57,),
    "name": (42,),
    "netbios_dgm": (138,),
    "netbios_ns": (137,),
    "netbios_ssn": (139,),
    "netstat": (15,),
    "nnsp": (433,),
    "nntp": (119,),
    "pop_2": (109,),
    "pop_3": (110,),
    "printer": (515,),
    "remote_job": (71, 72, 73, 74),
    "rje": (5, 77),
    "shell": (514,),
    "smtp": (25,),
    "sql_net": (66, 150),
    "ssh": (22,),
    "sunrpc": (111,),
    "supdup": (95,),
    "systat": (11,),
    "telnet": (23,),
    "time": (37,),
    "uucp": (540,),
    "uucp_path": (117,),
    "vmnet": (175,),
    "whois": (43,),
}
_UDP_PORTS: Final = {"domain_u": (53,), "ntp_u": (123,), "tftp_u": (69,)}
_OF_ICMP: Final = ("eco_i", "ecr_i", "red_i", "tim_i", "urh_i", "urp_i")
_WITHOUT_PORT: Final = ("other", "pm_dump", "private")

SERVICES: Final = tuple(sorted({*_TCP_PORTS, *_UDP_PORTS, *_OF_ICMP, *_WITHOUT_PORT}))
FLAGS: Final = ("OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH")

OTHER: Final = SERVICES.index("other")
PRIVATE: Final = SERVICES.index("private")
FTP_DATA: Final = SERVICES.index("ftp_data")
FTP_DATA_PORT: Final = 20
SF: Final = FLAGS.index("SF")

_FIRST_REGISTERED: Final = 1024  # RFC 6335 section 6


def _by_port(ports: Mapping[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    table = np.full(65_536, OTHER, np.uint8)
    table[:_FIRST_REGISTERED] = SERVICES.index("private")
    for word, numbers in ports.items():
        table[list(numbers)] = SERVICES.index(word)
    return table


#: Port of the responder -> index in SERVICES.
TCP_SERVICE: Final = _by_port(_TCP_PORTS)
UDP_SERVICE: Final = _by_port(_UDP_PORTS)

#: (ICMP type, code or -1 for any) -> word; RFC 792.
ICMP_WORDS: Final = {
    (0, -1): "ecr_i",
    (3, 1): "urh_i",
    (3, 3): "urp_i",
    (5, -1): "red_i",
    (8, -1): "eco_i",
    (11, -1): "tim_i",
}
#: The same for ICMPv6; RFC 4443, RFC 4861.
ICMPV6_WORDS: Final = {
    (1, 3): "urh_i",
    (1, 4): "urp_i",
    (3, -1): "tim_i",
    (128, -1): "eco_i",
    (129, -1): "ecr_i",
    (137, -1): "red_i",
}


def _by_type(words: dict[tuple[int, int], str]) -> NDArray[np.uint8]:
    table = np.full((256, 256), OTHER, np.uint8)
    for (icmp_type, code), word in words.items():
        table[icmp_type, slice(None) if code < 0 else code] = SERVICES.index(word)
    return table


#: [type, code] -> index in SERVICES.
ICMP_SERVICE: Final = _by_type(ICMP_WORDS)
ICMPV6_SERVICE: Final = _by_type(ICMPV6_WORDS)

#: What stands for a state that the published files do not know: nobody saw the SYN.
_NOT_PUBLISHED: Final = ("NONE", "RSTRH", "SHR")

#: ConnState -> index in FLAGS.
FLAG_OF_STATE: Final = np.array(
    [FLAGS.index("OTH" if s.name in _NOT_PUBLISHED else s.name) for s in ConnState], np.uint8
)

#: Index in FLAGS -> 1 for a SYN error, 2 for a rejected connection, else 0.
SYN_ERROR: Final = 1
REJECTED: Final = 2
ERROR_OF_FLAG: Final = np.array(
    [
        SYN_ERROR if flag in ("S0", "S1", "S2", "S3") else REJECTED if flag == "REJ" else 0
        for flag in FLAGS
    ],
    np.uint8,
)

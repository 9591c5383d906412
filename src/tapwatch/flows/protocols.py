"""Protocol numbers, TCP flags and ICMP counter-types. No code: only facts of RFCs and IANA."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# IANA protocol numbers
ICMP: Final = 1
IGMP: Final = 2
IPV4: Final = 4  # IPv4 in IP
TCP: Final = 6
UDP: Final = 17
DCCP: Final = 33
IPV6: Final = 41  # IPv6 in IP
GRE: Final = 47
ESP: Final = 50
AH: Final = 51
ICMPV6: Final = 58
IPV6_NO_NEXT: Final = 59  # an IPv6 packet that carries nothing
SCTP: Final = 132
UDP_LITE: Final = 136

#: How IANA writes the protocol numbers that are read, and others that are seen often.
NAMES: Final = {
    ICMP: "ICMP",
    IGMP: "IGMP",
    IPV4: "IPv4",
    TCP: "TCP",
    UDP: "UDP",
    DCCP: "DCCP",
    IPV6: "IPv6",
    GRE: "GRE",
    ESP: "ESP",
    AH: "AH",
    ICMPV6: "IPv6-ICMP",
    IPV6_NO_NEXT: "IPv6-NoNxt",
    SCTP: "SCTP",
    UDP_LITE: "UDPLite",
}

# TCP flags, RFC 9293 section 3.1, and RFC 3168 for the last two
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

#: ICMP types of which one is the answer to the other (RFC 792, 950, 1256).
ICMP_PAIRS: Final = ((8, 0), (13, 14), (15, 16), (10, 9), (17, 18))
#: The same for ICMPv6 (RFC 4443, 2710, 4861, 4620, 6275).
ICMPV6_PAIRS: Final = ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145))

NO_COUNTER_TYPE: Final = -1


def _counter_types() -> NDArray[np.int16]:
    table = np.full((2, 256), NO_COUNTER_TYPE, np.int16)
    for version, pairs in enumerate((ICMP_PAIRS, ICMPV6_PAIRS)):
        for question, answer in pairs:
            table[version, question] = answer
            table[version, answer] = question
    return table


#: [0 for ICMP, 1 for ICMPv6][type] -> the type that answers it, or that it answers.
COUNTER_TYPE: Final = _counter_types()

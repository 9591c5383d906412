"""The protocol labels: the words of Wireshark's Protocol column that we tell apart.

A label is the innermost protocol that is recognised from headers, ports and the first bytes of the
payload. The spelling is Wireshark's (4.0). The place in the list is the number of the class.
"""

from typing import Final

#: What is none of the rest: a protocol that is not told, or no protocol at all.
OTHER: Final = 0

LABELS: Final[tuple[str, ...]] = (
    "other",
    "TCP",
    "UDP",
    "ARP",
    "ICMP",
    "ICMPv6",
    "IPv4",
    "IPv6",
    "DNS",
    "MDNS",
    "HTTP",
    "TLSv1.2",
    "TLSv1.3",
    "QUIC",
)

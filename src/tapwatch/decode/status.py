"""What became of a frame: OK, or the one reason why decoding stopped there."""

from enum import IntEnum


class DecodeStatus(IntEnum):
    """Why decoding stopped; in lower case the label values of decode_packets_total.

    "Truncated" means that the capture ends inside a header (a snap length, or a frame that is too
    short); "too short" and "beyond" that one length field contradicts another, wherever the capture
    ends.
    """

    OK = 0  # decoded as far as we know the protocols
    # Link layer.
    LINK_TYPE_UNSUPPORTED = 1  # the capture's link type is none that we read
    ETHERNET_TRUNCATED = 2  # fewer than 14 bytes
    SLL_TRUNCATED = 3  # fewer than the 16 bytes of Linux' cooked header
    RAW_IP_TRUNCATED = 4  # an empty frame on a link without link headers
    RAW_IP_BAD_VERSION = 5  # neither IPv4 nor IPv6 on such a link
    VLAN_TRUNCATED = 6  # ends inside a VLAN tag
    VLAN_TOO_DEEP = 7  # more tags than any network stacks
    LLC = 8  # a number below 1536 where an EtherType stands: 802.3 length, LLC follows
    ETHER_TYPE_UNSUPPORTED = 9  # an EtherType that we do not read
    # ARP.
    ARP_TRUNCATED = 10  # ends inside the body
    ARP_BAD_LENGTH = 11  # an address length that its address type cannot have
    # IPv4.
    IPV4_TRUNCATED = 12  # ends inside the header or its options
    IPV4_BAD_VERSION = 13  # announced as IPv4, version field says otherwise
    IPV4_BAD_HEADER_LENGTH = 14  # header length below 20 bytes
    IPV4_BAD_TOTAL_LENGTH = 15  # total length below the header's own
    IPV4_BEYOND_FRAME = 16  # total length larger than what was on the wire
    # IPv6.
    IPV6_TRUNCATED = 17  # ends inside the fixed header
    IPV6_BAD_VERSION = 18  # announced as IPv6, version field says otherwise
    IPV6_BEYOND_FRAME = 19  # payload length larger than what was on the wire
    IPV6_EXTENSION_TRUNCATED = 20  # the capture ends inside an extension header
    IPV6_EXTENSION_BEYOND_IP = 21  # an extension header runs past the payload length
    IPV6_EXTENSION_BAD_LENGTH = 22  # an authentication header shorter than its fixed part
    IPV6_CHAIN_TOO_LONG = 23  # more extension headers than any sender needs
    # Transport.
    TCP_TRUNCATED = 24  # the capture ends inside the fixed header
    TCP_TOO_SHORT = 25  # the IP length leaves no room for the fixed header
    TCP_BAD_HEADER_LENGTH = 26  # data offset below 20 bytes
    TCP_HEADER_BEYOND_IP = 27  # data offset past the IP length
    UDP_TRUNCATED = 28  # the capture ends inside the header
    UDP_TOO_SHORT = 29  # the IP length leaves no room for the header
    UDP_BAD_LENGTH = 30  # length field below 8
    UDP_BEYOND_IP = 31  # length field past the IP length of an unfragmented packet
    ICMP_TRUNCATED = 32  # the capture ends inside the header
    ICMP_TOO_SHORT = 33  # the IP length leaves no room for the header
    ICMPV6_TRUNCATED = 34  # the capture ends inside the header
    ICMPV6_TOO_SHORT = 35  # the IP length leaves no room for the header


class Protocol(IntEnum):
    """What a frame was filed under in decode_protocol_packets_total, whatever its status."""

    TCP = 0
    UDP = 1
    ICMP = 2
    ICMPV6 = 3
    OTHER_IP = 4  # any other IP protocol, and IP headers too damaged to tell
    ARP = 5
    OTHER = 6  # no IP and no ARP header was reached


class OptionFault(IntEnum):
    """Why a TCP option list was not read to its end; the packet itself is OK."""

    CUT = 0  # the capture ends inside the list
    MALFORMED = 1  # a length that its kind cannot have, or that leaves the header

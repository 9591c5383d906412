"""What became of a frame: OK, or the one reason why decoding stopped there."""

from enum import IntEnum, auto


class DecodeStatus(IntEnum):
    """Why decoding stopped; in lower case the label values of decode_packets_total.

    "Truncated" means that the capture ends inside a header (a snap length, or a frame that is too
    short); "too short" and "beyond" that one length field contradicts another, wherever the capture
    ends.
    """

    OK = 0  # decoded as far as we know the protocols
    # Link layer: where the frame begins.
    LINK_TYPE_UNSUPPORTED = auto()  # the capture's link type is none that we read
    LINK_TOO_DEEP = auto()  # more link headers, one in another, than any network stacks
    ETHERNET_TRUNCATED = auto()  # fewer than 14 bytes
    SLL_TRUNCATED = auto()  # ends inside the 16 (version 2: 20) bytes of Linux' cooked header
    SLL_UNSUPPORTED = auto()  # a device or a protocol number that promises no EtherType
    NULL_TRUNCATED = auto()  # fewer than the 4 bytes of a loopback's address family
    NULL_FAMILY_UNSUPPORTED = auto()  # neither IPv4 nor IPv6 on such a loopback
    RAW_IP_TRUNCATED = auto()  # an empty frame on a link without link headers
    RAW_IP_BAD_VERSION = auto()  # neither IPv4 nor IPv6 on such a link
    HDLC_TRUNCATED = auto()  # fewer than the 4 bytes of Cisco's HDLC header
    FDDI_TRUNCATED = auto()  # fewer than 13 bytes
    FDDI_NO_DATA = auto()  # a frame control that announces no LLC: tokens, management
    FRAME_RELAY_TRUNCATED = auto()  # ends inside address, control or protocol identifier
    FRAME_RELAY_UNSUPPORTED = auto()  # a control field or protocol identifier that we do not read
    NFLOG_TRUNCATED = auto()  # ends inside the header or before the packet among its attributes
    NFLOG_BAD_HEADER = auto()  # unknown version, or an attribute shorter than its own header
    NFLOG_UNSUPPORTED = auto()  # neither IPv4 nor IPv6, or no packet among the attributes
    # Link layer: what stands between there and the network header.
    VLAN_TRUNCATED = auto()  # ends inside a VLAN tag
    VLAN_TOO_DEEP = auto()  # more tags than any network stacks
    MPLS_TRUNCATED = auto()  # ends inside a label, or right behind the last one
    MPLS_TOO_DEEP = auto()  # more labels than any network stacks
    MPLS_UNSUPPORTED = auto()  # the labels hide something else than IP or Ethernet
    PPPOE_TRUNCATED = auto()  # fewer than 6 bytes
    PPPOE_BAD_HEADER = auto()  # version, type or code that no session has
    PPPOE_DISCOVERY = auto()  # the search for a PPPoE server, which carries no packets
    PPP_TRUNCATED = auto()  # ends inside address, control or protocol
    PPP_PROTOCOL_UNSUPPORTED = auto()  # control protocols, and those that we do not read
    LLC_TRUNCATED = auto()  # ends inside the LLC or SNAP header
    LLC_UNSUPPORTED = auto()  # service access points or SNAP protocols that we do not read
    ETHER_TYPE_BAD = auto()  # 1501 to 1535: neither an 802.3 length nor an EtherType
    ETHER_TYPE_UNSUPPORTED = auto()  # an EtherType that we do not read
    # Wireless.
    RADIOTAP_TRUNCATED = auto()  # ends inside the radiotap header
    RADIOTAP_BAD_HEADER = auto()  # unknown version, or a length below its fixed part
    PPI_TRUNCATED = auto()  # ends inside the PPI header
    PPI_BAD_HEADER = auto()  # unknown version, or a length below its fixed part
    WLAN_TRUNCATED = auto()  # ends inside the 802.11 header
    WLAN_BAD_VERSION = auto()  # a protocol version other than 0
    WLAN_MANAGEMENT = auto()  # beacons, probes, association: no packets inside
    WLAN_CONTROL = auto()  # acknowledgements, polls and other control frames
    WLAN_EXTENSION = auto()  # the fourth frame type, which carries no packets
    WLAN_NO_DATA = auto()  # null functions: a data frame without data
    WLAN_ENCRYPTED = auto()  # protected by WEP or WPA
    WLAN_AGGREGATE = auto()  # an A-MSDU: several packets in one frame
    # ARP.
    ARP_TRUNCATED = auto()  # ends inside the body
    ARP_BAD_LENGTH = auto()  # an address length that its address type cannot have
    # IPv4.
    IPV4_TRUNCATED = auto()  # ends inside the header or its options
    IPV4_BAD_VERSION = auto()  # announced as IPv4, version field says otherwise
    IPV4_BAD_HEADER_LENGTH = auto()  # header length below 20 bytes
    IPV4_BAD_TOTAL_LENGTH = auto()  # total length below the header's own
    IPV4_BEYOND_FRAME = auto()  # total length larger than what was on the wire
    # IPv6.
    IPV6_TRUNCATED = auto()  # ends inside the fixed header
    IPV6_BAD_VERSION = auto()  # announced as IPv6, version field says otherwise
    IPV6_BEYOND_FRAME = auto()  # payload length larger than what was on the wire
    IPV6_EXTENSION_TRUNCATED = auto()  # the capture ends inside an extension header
    IPV6_EXTENSION_BEYOND_IP = auto()  # an extension header runs past the payload length
    IPV6_EXTENSION_BAD_LENGTH = auto()  # an authentication header shorter than its fixed part
    IPV6_CHAIN_TOO_LONG = auto()  # more extension headers than any sender needs
    # Transport.
    TCP_TRUNCATED = auto()  # the capture ends inside the fixed header
    TCP_TOO_SHORT = auto()  # the IP length leaves no room for the fixed header
    TCP_BAD_HEADER_LENGTH = auto()  # data offset below 20 bytes
    TCP_HEADER_BEYOND_IP = auto()  # data offset past the IP length
    UDP_TRUNCATED = auto()  # the capture ends inside the header
    UDP_TOO_SHORT = auto()  # the IP length leaves no room for the header
    UDP_BAD_LENGTH = auto()  # length field below 8
    UDP_BEYOND_IP = auto()  # length field past the IP length of an unfragmented packet
    ICMP_TRUNCATED = auto()  # the capture ends inside the header
    ICMP_TOO_SHORT = auto()  # the IP length leaves no room for the header
    ICMPV6_TRUNCATED = auto()  # the capture ends inside the header
    ICMPV6_TOO_SHORT = auto()  # the IP length leaves no room for the header


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

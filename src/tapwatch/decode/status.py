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
    SLL_UNSUPPORTED = auto()  # a device or a protocol number that promises nothing that we read
    NULL_TRUNCATED = auto()  # fewer than the 4 bytes of a loopback's address family
    ENC_TRUNCATED = auto()  # fewer than the 12 bytes of OpenBSD's encapsulation header
    PFLOG_TRUNCATED = auto()  # ends inside the header of BSD's packet filter log
    PFLOG_BAD_LENGTH = auto()  # its length leaves no room for the fields before it
    IPNET_TRUNCATED = auto()  # fewer than the 24 bytes of Solaris' observability header
    NFLOG_TRUNCATED = auto()  # ends before the packet among the attributes
    NFLOG_BAD_HEADER = auto()  # unknown version, an attribute without room for itself, or too many
    ADDRESS_FAMILY_UNSUPPORTED = auto()  # neither IPv4 nor IPv6 in any of these six
    RAW_IP_TRUNCATED = auto()  # an empty frame on a link without link headers
    RAW_IP_BAD_VERSION = auto()  # neither IPv4 nor IPv6 on such a link
    PKTAP_TRUNCATED = auto()  # ends inside Darwin's pseudo header
    PKTAP_BAD_LENGTH = auto()  # its length leaves no room for the fields before it
    FDDI_TRUNCATED = auto()  # fewer than 13 bytes
    FDDI_NO_DATA = auto()  # a frame control that announces no LLC: tokens, management
    ARCNET_TRUNCATED = auto()  # ends inside the header
    ARCNET_UNSUPPORTED = auto()  # neither IPv4 nor ARP, or a piece of a divided packet
    IPOIB_TRUNCATED = auto()  # fewer than the 44 bytes before a packet on InfiniBand
    # Link layer: what stands between there and the network header.
    VLAN_TRUNCATED = auto()  # ends inside a VLAN tag
    VLAN_TOO_DEEP = auto()  # more tags than any network stacks
    TAG_TRUNCATED = auto()  # ends inside a tag of another kind: backbone, FabricPath, HSR...
    MACSEC_TRUNCATED = auto()  # ends inside the MACsec tag
    MACSEC_ENCRYPTED = auto()  # MACsec that does more than sign
    MPLS_TRUNCATED = auto()  # ends inside a label, or where the packet should begin
    MPLS_TOO_DEEP = auto()  # more labels than any network stacks
    MPLS_UNSUPPORTED = auto()  # behind the labels is nothing that surely is IP or Ethernet
    PPPOE_TRUNCATED = auto()  # fewer than 6 bytes
    PPPOE_TOO_SHORT = auto()  # its length leaves no room for a PPP header
    PPPOE_DISCOVERY = auto()  # the search for a PPPoE server, which carries no packets
    PPP_TRUNCATED = auto()  # ends inside address, control, protocol or multilink header
    PPP_FRAGMENT = auto()  # a piece of a packet that multilink PPP divided
    PPP_PROTOCOL_UNSUPPORTED = auto()  # control protocols, and those that we do not read
    HDLC_TRUNCATED = auto()  # fewer than the 4 bytes of Cisco's HDLC header
    FRAME_RELAY_TRUNCATED = auto()  # ends inside address, control or protocol
    FRAME_RELAY_BAD_ADDRESS = auto()  # an address without end
    FRAME_RELAY_UNSUPPORTED = auto()  # control fields and network layers that we do not read
    LLC_TRUNCATED = auto()  # ends inside the LLC or SNAP header
    LLC_TOO_SHORT = auto()  # the 802.3 length leaves no room for them
    LLC_UNSUPPORTED = auto()  # service access points or SNAP protocols that we do not read
    ETHER_TYPE_BAD = auto()  # a number that is neither an 802.3 length nor an EtherType
    ETHER_TYPE_UNSUPPORTED = auto()  # an EtherType that we do not read
    # Wireless.
    RADIOTAP_TRUNCATED = auto()  # ends inside the radiotap header
    RADIOTAP_BAD_HEADER = auto()  # unknown version, a length below its fields, or too many words
    PPI_TRUNCATED = auto()  # ends inside the PPI header
    PPI_BAD_HEADER = auto()  # unknown version, or a length below its fixed part
    WLAN_TRUNCATED = auto()  # ends inside the 802.11 header
    WLAN_BAD_VERSION = auto()  # a protocol version other than 0
    WLAN_MANAGEMENT = auto()  # beacons, probes, association: no packets inside
    WLAN_CONTROL = auto()  # acknowledgements, polls and other control frames
    WLAN_EXTENSION = auto()  # the fourth frame type, which carries no packets
    WLAN_NO_DATA = auto()  # null functions: a data frame without data
    WLAN_ENCRYPTED = auto()  # protected by WEP or WPA
    WLAN_FRAGMENT = auto()  # a piece of a frame that the sender divided
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
    IPV4_AUTHENTICATION_TRUNCATED = auto()  # the capture ends inside an authentication header
    IPV4_AUTHENTICATION_BEYOND_IP = auto()  # an authentication header runs past the total length
    IPV4_AUTHENTICATION_BAD_LENGTH = auto()  # one that is shorter than its fixed part
    IPV4_CHAIN_TOO_LONG = auto()  # more authentication headers than any sender needs
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
    UDP_LITE_TRUNCATED = auto()  # the capture ends inside the header
    UDP_LITE_TOO_SHORT = auto()  # the IP length leaves no room for the header
    UDP_LITE_BAD_COVERAGE = auto()  # a checksum coverage of 1 to 7, less than the header
    UDP_LITE_BEYOND_IP = auto()  # checksum coverage past the IP length of an unfragmented packet
    SCTP_TRUNCATED = auto()  # the capture ends inside the common header
    SCTP_TOO_SHORT = auto()  # the IP length leaves no room for the common header
    DCCP_TRUNCATED = auto()  # the capture ends inside the generic header
    DCCP_TOO_SHORT = auto()  # the IP length leaves no room for the generic header
    DCCP_BAD_HEADER_LENGTH = auto()  # data offset below the generic header's own length
    DCCP_HEADER_BEYOND_IP = auto()  # data offset past the IP length
    ICMP_TRUNCATED = auto()  # the capture ends inside the header
    ICMP_TOO_SHORT = auto()  # the IP length leaves no room for the header
    ICMPV6_TRUNCATED = auto()  # the capture ends inside the header
    ICMPV6_TOO_SHORT = auto()  # the IP length leaves no room for the header
    IGMP_TRUNCATED = auto()  # the capture ends inside the first 8 bytes
    IGMP_TOO_SHORT = auto()  # the IP length leaves no room for 8 bytes
    ESP_TRUNCATED = auto()  # the capture ends inside index or sequence number
    ESP_TOO_SHORT = auto()  # the IP length leaves no room for them
    GRE_TRUNCATED = auto()  # the capture ends inside the header, optional fields included
    GRE_TOO_SHORT = auto()  # the IP length leaves no room for the fields that the flags announce


class Protocol(IntEnum):
    """What a frame was filed under in decode_protocol_packets_total, whatever its status."""

    TCP = 0
    UDP = 1
    UDP_LITE = 2
    SCTP = 3
    DCCP = 4
    ICMP = 5
    ICMPV6 = 6
    IGMP = 7
    ESP = 8
    GRE = 9
    OTHER_IP = 10  # any other IP protocol, and IP headers too damaged to tell
    ARP = 11
    OTHER = 12  # no IP and no ARP header was reached


class OptionFault(IntEnum):
    """Why a TCP option list was not read to its end; the packet itself is OK."""

    CUT = 0  # the capture ends inside the list
    MALFORMED = 1  # a length that its kind cannot have, or that leaves the header


class Tunnel(IntEnum):
    """What was opened, in decode_tunnel_packets_total: a frame counts once for each tunnel."""

    IPV4 = 0  # IPv4 in IPv4 or IPv6: protocol number 4
    IPV6 = 1  # IPv6 in IPv4 or IPv6: protocol number 41
    GRE = 2
    PPTP = 3  # GRE version 1
    ERSPAN = 4  # a mirrored port behind GRE, types I, II and III
    VXLAN = 5
    GENEVE = 6
    GTP_U = 7
    TEREDO = 8
    L2TP = 9


class Unopened(IntEnum):
    """Why a frame with a tunnel's header stayed with its outer header, where any was to be opened.

    Signalling of a tunnel, which carries no packet, is not counted.
    """

    DEPTH = 0  # as many as were asked for had been opened
    FRAGMENT = 1  # the first fragment of the outer packet: what is inside is not whole
    TRUNCATED = 2  # the capture ends before the inner transport header does
    MALFORMED = 3  # a header, of the tunnel or inside, contradicts itself; or it was no tunnel
    UNSUPPORTED = 4  # it carries something that we do not read

"""Facts about AF_PACKET sockets and their rings, version 3; no code.

linux/if_packet.h, linux/if_arp.h, asm-generic/socket.h; packet(7) and the kernel's
Documentation/networking/packet_mmap.rst tell what they mean. All fields are in host order, which
is little-endian wherever Numba runs. Offsets are relative to the start of their own header.
"""

from typing import Final

import numpy as np

# Options of a packet socket (level SOL_PACKET), and of any socket
SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_RX_RING: Final = 5
PACKET_STATISTICS: Final = 6
PACKET_VERSION: Final = 10
PACKET_RESERVE: Final = 12
TPACKET_V3: Final = 2
PACKET_MR_PROMISC: Final = 1
SO_ATTACH_FILTER: Final = 26
SO_TIMESTAMPNS: Final = 35
SO_LOCK_FILTER: Final = 44
ETH_P_ALL: Final = 3
ETH_P_NOBODY: Final = 0xFF  # below 1536 a number is a length, and 255 names no pseudo-protocol

# ioctl(2) of an interface
SIOCGIFNAME: Final = 0x8910
SIOCGIFFLAGS: Final = 0x8913
SIOCGIFHWADDR: Final = 0x8927
IFF_UP: Final = 0x1
IFF_RUNNING: Final = 0x40  # it has a carrier

#: ARPHRD_ hardware type -> LINKTYPE_ number of the frames that SOCK_RAW gives: Ethernet, loopback,
#: and those without a link header (tun: 0xFFFE; 519: ARPHRD_RAWIP).
LINK_TYPES: Final = {1: 1, 772: 1, 0xFFFE: 101, 519: 101}
ETHERNET: Final = 1
ARPHRD_LOOPBACK: Final = 772

# struct tpacket_block_desc with struct tpacket_hdr_v1
BLOCK_STATUS: Final = 8
BLOCK_PACKETS: Final = 12
BLOCK_FIRST: Final = 16  # offset of the first frame's header in the block
BLOCK_HEADER_BYTES: Final = 48
STATUS_KERNEL: Final = 0
STATUS_USER: Final = 1  # bit 0: the block is ours

# struct tpacket3_hdr with the struct sockaddr_ll behind it
FRAME_NEXT: Final = 0  # from this header to the next one
FRAME_SECONDS: Final = 4
FRAME_NANOSECONDS: Final = 8
FRAME_CAPTURED: Final = 12
FRAME_WIRE: Final = 16
FRAME_STATUS: Final = 20
FRAME_MAC: Final = 24  # u16: from this header to the frame's first byte
FRAME_VLAN_TCI: Final = 32
FRAME_VLAN_TPID: Final = 36
FRAME_PACKET_TYPE: Final = 58  # sll_pkttype, u8
FRAME_HEADER_BYTES: Final = 68
FRAME_ALIGNMENT: Final = 8
TP_STATUS_VLAN_VALID: Final = 1 << 4
TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6
PACKET_OTHERHOST: Final = 3  # 0 to 3 came in: for us, broadcast, multicast, for another host
PACKET_OUTGOING: Final = 4

# IEEE 802.1Q: TPID and TCI stand behind the two MAC addresses
VLAN_OFFSET: Final = 12
VLAN_BYTES: Final = 4
TPID_8021Q: Final = 0x8100

#: Where the walk over the ring is, and what it met that does not become a row.
RING_WALK: Final = np.dtype(
    [
        ("offset", "<i8"),  # of the next frame's header in its block
        ("left", "<i8"),  # frames of the block that were not read
        ("loopback_copies", "<i8"),  # left out: each is seen once more, as it comes in
        ("unreadable", "<i8"),  # in a block whose headers cannot be
    ],
    align=True,
)

"""What capture/ and decode/ hand on: frames, and packets."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: One captured frame as the source delivers it; its bytes are data[start : start + captured_bytes].
FRAME: Final = np.dtype(
    [
        ("ts_ns", "<i8"),  # capture time, ns since the Unix epoch
        ("start", "<i8"),  # offset of the first byte in the batch's data
        ("number", "<i8"),  # 1-based position in the source, files in canonical order
        ("captured_bytes", "<i4"),
        ("wire_bytes", "<i4"),  # >= captured_bytes; link header included, FCS not
        ("vlan_tci", "<i4"),  # tag that the kernel took out of the frame; -1 where it did not
        ("link_type", "<u2"),  # LINKTYPE_ number of the capture file formats
        ("interface", "<u2"),  # index of the interface within the source
        ("direction", "u1"),  # of the tap: 0 unknown, 1 in, 2 out
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Raw frames of one source, in canonical order (time, source, file, frame)."""

    data: NDArray[np.uint8]  # (n_bytes,) a ring block or a buffer; never copied
    frames: NDArray[Any]  # FRAME (n_frames,)
    until_ns: int  # running maximum of time handed over; moves on even if the wire is silent
    flush: bool = False  # a live source asks to score what is held; the last batch of a file too

    def __len__(self) -> int:
        return len(self.frames)


#: One decoded frame, one row a frame whatever became of it; `status` 0 is OK.
PACKET: Final = np.dtype(
    [
        ("ts_ns", "<i8"),  # capture time, ns since the Unix epoch
        ("clock_ns", "<i8"),  # running maximum of ts_ns over the source, this frame included
        ("number", "<i8"),  # 1-based frame number in the source
        ("src_hi", "<u8"),  # network (or ARP protocol) addresses; MAC where there is neither
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("eth_src", "<u8"),  # 48-bit MAC address
        ("eth_dst", "<u8"),
        ("arp_sender_mac", "<u8"),  # hardware address that an ARP body claims
        ("payload_start", "<i8"),  # offset of the transport payload in the batch's data
        ("payload_bytes", "<i4"),  # transport payload on the wire, from the IP length
        ("payload_captured_bytes", "<i4"),  # how much of it the capture holds
        ("wire_bytes", "<u4"),  # length on the wire, link header included, FCS not
        ("captured_bytes", "<u4"),
        ("ip_bytes", "<u4"),  # total length of the IP packet by its own header
        ("ip_id", "<u4"),  # IPv4 identification, or that of the IPv6 fragment header
        # Hash of the tunnels gone through, the same for both directions: of each its kind and its
        # VNI or GRE key, or else the pair of its outer addresses. 0 outside opened tunnels.
        ("tunnel_id", "<u4"),
        ("tcp_seq", "<u4"),
        ("tcp_ack", "<u4"),
        ("ip_header_bytes", "<u2"),  # with options or extension headers, up to the transport header
        ("transport_header_bytes", "<u2"),
        ("frag_offset_bytes", "<u2"),  # offset of this fragment within its datagram
        ("ether_type", "<u2"),  # what the innermost link header announces, by its EtherType
        ("vlan_tci", "<u2"),  # of the outermost tag (or the one that the kernel took out)
        ("src_port", "<u2"),  # 0 on later fragments and where the protocol has none
        ("dst_port", "<u2"),
        (
            "tcp_flags",
            "<u2",
        ),  # 12 bits as Wireshark's tcp.flags: AE CWR ECE URG ACK PSH RST SYN FIN
        ("tcp_window", "<u2"),  # as sent, unscaled
        ("tcp_mss", "<u2"),  # maximum segment size option
        ("udp_bytes", "<u2"),  # length field of UDP
        ("arp_opcode", "<u2"),
        ("interface", "<u2"),
        ("n_vlan_tags", "u1"),
        ("ip_version", "u1"),  # 4, 6; 0 where src and dst are MAC addresses
        ("proto", "u1"),  # IANA protocol number, after IPv6 extension headers
        ("ip_ttl", "u1"),  # TTL or hop limit
        ("ip_tos", "u1"),  # DS field or traffic class
        ("ip_flags", "u1"),  # 4 reserved, 2 don't fragment, 1 more fragments
        ("is_fragment", "u1"),  # 1 where more fragments follow or the offset is not 0
        # Bits: 1 MSS, 2 window scale, 4 SACK permitted, 8 SACK, 16 timestamps, 32 where the capture
        # ends inside the list, 64 where the list is malformed.
        ("tcp_options", "u1"),
        ("tcp_window_scale", "u1"),  # shift count, at most 14; 255 where the option is absent
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("direction", "u1"),  # of the tap: 0 unknown, 1 in, 2 out
        ("status", "u1"),  # decode.status.DecodeStatus; 0 is OK
        ("is_flow", "u1"),  # 1 where flows/ shall file it: status OK and an IP packet
    ],
    align=True,
)

"""What a row of the `packet` view is.

In the formulas, `p` is the PACKET row and `l` the LINK row of the frame (`tapwatch.tables`).
Conditions used by several columns, so that none is ever undefined:

    arp    ether type 0x0806 and decoded without fault
    ip     p.ip_version is 4 or 6, and not arp
    whole  ip, and not a later fragment (p.frag_offset_bytes = 0)
    pair   the addresses that Wireshark's columns Source and Destination show: the MAC addresses
           (p.eth_src, p.eth_dst) where the ether type is 0x0806, decoded or not, else p.src and
           p.dst with p.ip_version; in any order. [packet] pair_capacity pairs are remembered, in
           sets of 8 the one that was silent longest gives way

What a Wireshark export gives of each column is in export.py.
"""

from typing import Any, Final

from tapwatch.features.label_names import LABELS
from tapwatch.features.packet.export import with_export
from tapwatch.features.schema import make_schema, position_type
from tapwatch.tables import Column, TcpAnalysis


def _flag(name: str, formula: str, source: str, meaning: str, original: str = "") -> Column:
    return Column(name, "1", "int64", f"1 where {formula}, else 0", source, meaning, original)


def _number(name: str, unit: str, formula: str, meaning: str, original: str = "") -> Column:
    source = f"Wireshark {original}" if original else "tapwatch"
    return Column(name, unit, "int64", formula, source, meaning, original)


def _seconds(name: str, formula: str, source: str, meaning: str, original: str = "") -> Column:
    return Column(name, "s", "float64", formula, source, meaning, original)


def _tcp_flag(name: str, bit: int, meaning: str) -> Column:
    original = f"tcp.flags.{name}"
    formula = f"tcp = 1 and bit {bit} of p.tcp_flags is set"
    return _flag(f"tcp_flags_{name}", formula, "RFC 9293 3.1", meaning, original)


def _tcp_option(name: str, bit: int, source: str, meaning: str) -> Column:
    original = f"tcp.options.{name}"
    formula = f"tcp = 1 and bit {bit} of p.tcp_options is set"
    return _flag(f"tcp_options_{name}", formula, source, meaning, original)


def _analysis(name: str, meaning: str) -> Column:
    bit = TcpAnalysis[name.upper()].bit_length() - 1
    original = f"tcp.analysis.{name}"
    formula = f"bit {bit} of l.tcp_analysis is set"
    return _flag(f"tcp_analysis_{name}", formula, f"Wireshark {original}", meaning, original)


def _port_classes(end: str, whose: str) -> tuple[Column, ...]:
    ported = "(tcp = 1 or udp = 1) and the transport header was read and"
    port = f"p.{end}_port"
    classes = (
        ("system", f"{port} < 1024", "a system port"),
        ("registered", f"1024 <= {port} < 49152", "a user port"),
        ("dynamic", f"{port} >= 49152", "a dynamic port"),
    )
    return tuple(
        _flag(f"{end}_port_{name}", f"{ported} {which}", "RFC 6335 6", f"{whose} port is {words}")
        for name, which, words in classes
    )


_FRAME: Final = (
    _number("frame_len", "B", "p.wire_bytes", "length on the wire", "frame.len"),
    _seconds(
        "frame_time_delta",
        "(p.clock_ns - p.clock_ns of the previous frame of the capture) / 1e9; "
        "0 for the first frame and for a frame older than one before it",
        "Wireshark frame.time_delta",
        "time since the previous frame of the capture",
        "frame.time_delta",
    ),
    _seconds(
        "pair_time_delta_s",
        "(p.clock_ns - p.clock_ns of the previous frame between this pair, either way) / 1e9; "
        "0 for the first frame and for one older than a frame before it",
        "tapwatch",
        "time since the previous frame between these two addresses",
    ),
    _seconds(
        "pair_direction_time_delta_s",
        "(p.clock_ns - p.clock_ns of the previous frame of this pair this way) / 1e9; "
        "0 for the first frame this way and for one older than a frame before it",
        "tapwatch",
        "time since the previous frame from this address to that one",
    ),
    _flag(
        "undecoded",
        "p.status is not OK",
        "tapwatch",
        "the frame is malformed, cut short, or of a protocol that is not read",
    ),
    _number("vlan_depth", "1", "p.n_vlan_tags", "802.1Q and 802.1ad tags, one upon another"),
    _flag(
        "eth_dst_broadcast",
        "p.eth_dst is ff:ff:ff:ff:ff:ff",
        "IEEE 802.3 3.2.3",
        "sent to every station",
    ),
    _flag(
        "eth_dst_multicast",
        "the group bit of p.eth_dst is set and it is not the broadcast address",
        "IEEE 802.3 3.2.3",
        "sent to a group of stations",
    ),
)

_FLOW: Final = (
    _number(
        "direction", "1", "l.direction where l.is_flow, else 0", "0 from the initiator, 1 to it"
    ),
    _seconds(
        "flow_time_delta_s",
        "l.gap_flow_ns / 1e9 where l.is_flow, else 0; 0 for the first packet of the flow",
        "tapwatch",
        "time since the previous packet of the flow",
    ),
    _seconds(
        "flow_direction_time_delta_s",
        "l.gap_direction_ns / 1e9 where l.is_flow, else 0; 0 for the first packet this way",
        "tapwatch",
        "time since the previous packet of the flow in this direction",
    ),
    _seconds(
        "flow_age_s",
        "(p.ts_ns - l.flow_first_ts_ns) / 1e9 where l.is_flow, else 0; never below 0",
        "tapwatch",
        "time since the first packet of the flow",
    ),
    _number(
        "flow_fwd_packets",
        "1",
        "l.packets[forward] where l.is_flow, else 0",
        "packets of the flow so far from the initiator, this one included",
    ),
    _number(
        "flow_bwd_packets",
        "1",
        "l.packets[backward] where l.is_flow, else 0",
        "packets of the flow so far to the initiator, this one included",
    ),
)

_PROTOCOLS: Final = (
    Column(
        "protocol",
        "1",
        "int64",
        "index of the label in the list of classes; 0 where it is none of them",
        "Wireshark _ws.col.Protocol",
        "the protocol as Wireshark's Protocol column names it, by headers, ports and first bytes",
        categories=LABELS,
    ),
    _flag("arp", "p.ether_type = 0x0806 and p.status is OK", "RFC 826", "an ARP packet", "arp"),
    _flag("ip", "p.ip_version = 4 and arp = 0", "RFC 791", "an IPv4 packet", "ip"),
    _flag("ipv6", "p.ip_version = 6 and arp = 0", "RFC 8200", "an IPv6 packet", "ipv6"),
    _flag("tcp", "whole and p.proto = 6", "RFC 9293", "a TCP segment", "tcp"),
    _flag("udp", "whole and p.proto = 17", "RFC 768", "a UDP datagram", "udp"),
    _flag("icmp", "whole and p.proto = 1", "RFC 792", "an ICMP message", "icmp"),
    _flag("icmpv6", "whole and p.proto = 58", "RFC 4443", "an ICMPv6 message", "icmpv6"),
)

_NETWORK: Final = (
    _number(
        "ip_len",
        "B",
        "p.ip_bytes where ip, else 0",
        "length of the IP packet by its own header; IPv6: 40 + payload length",
        "ip.len",
    ),
    _number(
        "ip_hdr_len",
        "B",
        "p.ip_header_bytes where ip, else 0",
        "IP header with options or extension headers",
        "ip.hdr_len",
    ),
    _number("ip_ttl", "1", "p.ip_ttl where ip, else 0", "time to live or hop limit", "ip.ttl"),
    _number(
        "ip_dsfield", "1", "p.ip_tos where ip, else 0", "DS field or traffic class", "ip.dsfield"
    ),
    _flag(
        "ip_flags_df",
        "ip and bit 2 of p.ip_flags is set",
        "RFC 791",
        "don't fragment",
        "ip.flags.df",
    ),
    _flag(
        "ip_flags_mf",
        "ip and bit 1 of p.ip_flags is set",
        "RFC 791",
        "more fragments",
        "ip.flags.mf",
    ),
    _number(
        "ip_frag_offset",
        "B",
        "p.frag_offset_bytes where ip, else 0",
        "place of a later fragment in its datagram",
        "ip.frag_offset",
    ),
    _flag(
        "ip_dst_multicast",
        "ip and the destination is in 224.0.0.0/4 or ff00::/8",
        "RFC 5771, RFC 4291 2.7",
        "sent to a group of hosts",
    ),
)

_TCP: Final = (
    _number(
        "tcp_hdr_len",
        "B",
        "p.transport_header_bytes where tcp = 1, else 0",
        "TCP header with options",
        "tcp.hdr_len",
    ),
    _number(
        "tcp_len", "B", "p.payload_bytes where tcp = 1, else 0", "bytes of the segment", "tcp.len"
    ),
    _number(
        "tcp_window_size_value",
        "B",
        "p.tcp_window where tcp = 1, else 0",
        "window as sent, unscaled",
        "tcp.window_size_value",
    ),
    _number(
        "tcp_window_size",
        "B",
        "p.tcp_window << l.tcp_window_shift where tcp = 1, else 0; the shift is 0 in segments with "
        "SYN, else that of the sender's last window scale option in the conversation, and 0 where "
        "it sent none or a SYN of either end came without one",
        "window as it is meant",
        "tcp.window_size",
    ),
    _seconds(
        "tcp_time_delta",
        "l.tcp_gap_ns / 1e9; 0 for the first segment of a conversation, where tcp = 0 and for a "
        "segment older than one before it",
        "Wireshark tcp.time_delta",
        "time since the previous segment of the conversation, which no timeout ends",
        "tcp.time_delta",
    ),
    Column(
        "tcp_seq_advance",
        "B",
        "int64",
        "l.tcp_seq_advance where tcp = 1, else 0: p.tcp_seq minus the one expected, as a signed "
        "number of 32 bits. Expected is the highest p.tcp_seq + p.payload_bytes (+ 1 with SYN or "
        "FIN) of the segments before it in its direction of the conversation, but fragments and "
        "zero-window probes; a SYN sent again goes back to where the first gap began, one with "
        "another number begins a conversation. 0 where nothing or 0 is expected, and for fragments",
        "RFC 9293 3.4, Wireshark tcp.nxtseq",
        "0 in order, below 0 sent before or overtaken, above 0 after a gap",
    ),
    _tcp_flag("fin", 0x001, "no more data from the sender"),
    _tcp_flag("syn", 0x002, "synchronise sequence numbers"),
    _tcp_flag("reset", 0x004, "reset the connection"),
    _tcp_flag("push", 0x008, "hand the data to the application"),
    _tcp_flag("ack", 0x010, "the acknowledgement number counts"),
    _tcp_flag("urg", 0x020, "the urgent pointer counts"),
    _tcp_flag("ece", 0x040, "ECN echo (RFC 3168)"),
    _tcp_flag("cwr", 0x080, "congestion window reduced (RFC 3168)"),
    _tcp_flag("ae", 0x100, "accurate ECN, formerly the nonce sum"),
    _tcp_option("mss", 1, "RFC 9293 3.7.1", "maximum segment size option"),
    _tcp_option("wscale", 2, "RFC 7323 2", "window scale option"),
    _tcp_option("sack_perm", 4, "RFC 2018 2", "SACK permitted option"),
    _tcp_option("sack", 8, "RFC 2018 3", "SACK option"),
    _tcp_option("timestamp", 16, "RFC 7323 3", "timestamps option"),
    _number(
        "tcp_options_mss_val",
        "B",
        "p.tcp_mss where tcp_options_mss = 1, else 0",
        "largest segment that the sender takes",
        "tcp.options.mss_val",
    ),
    _number(
        "tcp_options_wscale_shift",
        "1",
        "p.tcp_window_scale where tcp_options_wscale = 1, else 0; at most 14",
        "how far the sender's windows will be shifted",
        "tcp.options.wscale.shift",
    ),
)

_ANALYSIS: Final = (
    _analysis("retransmission", "sent before; fast and spurious ones too"),
    _analysis("fast_retransmission", "sent again after duplicate acknowledgements, in 20 ms"),
    _analysis("spurious_retransmission", "sent again although acknowledged"),
    _analysis("out_of_order", "overtaken by a later one within a round trip"),
    _analysis("lost_segment", "a segment before it was not captured"),
    _analysis("ack_lost_segment", "acknowledges what was not captured"),
    _analysis("duplicate_ack", "acknowledges the same again: a segment is missing there"),
    _analysis("keep_alive", "asks whether the other end is there"),
    _analysis("keep_alive_ack", "answers that"),
    _analysis("window_update", "says nothing but another window"),
    _analysis("window_full", "fills the window of the receiver"),
    _analysis("zero_window", "the sender can take nothing more"),
    _analysis("zero_window_probe", "tries a byte against a window of 0"),
    _analysis("zero_window_probe_ack", "answers that"),
    _analysis("reused_ports", "begins another connection between the same ports"),
)

_OTHERS: Final = (
    _number(
        "udp_length",
        "B",
        "p.udp_bytes where udp = 1, else 0",
        "length field of UDP, header included",
        "udp.length",
    ),
    _number(
        "payload_len_bytes",
        "B",
        "p.payload_bytes where whole, else 0; never below 0",
        "bytes after the transport header, on the wire",
    ),
    _number(
        "icmp_type",
        "1",
        "p.icmp_type where icmp = 1 or icmpv6 = 1, else 0",
        "message type; icmp and icmpv6 tell whose numbers these are",
        "icmp.type",
    ),
    _number(
        "icmp_code",
        "1",
        "p.icmp_code where icmp = 1 or icmpv6 = 1, else 0",
        "message code",
        "icmp.code",
    ),
)

_PORTS: Final = (*_port_classes("src", "the sender's"), *_port_classes("dst", "the receiver's"))

_CLAIM: Final = (
    "arp = 1 for IPv4, the opcode is 1 or 2, the sender's IP address is not 0.0.0.0, "
    "the sender's MAC address is neither 0 nor a group address"
)

_ARP: Final = (
    _flag("arp_opcode_request", "arp = 1 and p.arp_opcode = 1", "RFC 826", "who has this address?"),
    _flag("arp_opcode_reply", "arp = 1 and p.arp_opcode = 2", "RFC 826", "I have it"),
    _flag(
        "arp_opcode_other",
        "arp = 1 and p.arp_opcode is neither 1 nor 2",
        "RFC 5494",
        "an operation that hosts do not use",
    ),
    _flag(
        "arp_isgratuitous",
        "arp = 1 for IPv4, the opcode is 1 or 2, the sender's IP address is the target's too",
        "Wireshark arp.isgratuitous",
        "the sender announces its own address",
        "arp.isgratuitous",
    ),
    _flag(
        "arp_duplicate_address_detected",
        f"{_CLAIM}, and another MAC address claimed the IP address first and has renewed its claim "
        "within 3600 s; 16,384 claims are remembered, in sets of 4 the oldest gives way",
        "Wireshark arp.duplicate-address-detected, for senders",
        "two stations claim one IP address: a mistake, or ARP spoofing",
        "arp.duplicate-address-detected",
    ),
)

PACKET_COLUMNS: Final = with_export(
    (
        *_FRAME,
        *_FLOW,
        *_PROTOCOLS,
        *_NETWORK,
        *_TCP,
        *_ANALYSIS,
        *_OTHERS,
        *_PORTS,
        *_ARP,
    )
)
PACKET_SCHEMA: Final = make_schema("packet", 3, PACKET_COLUMNS)

PacketAt: Any = position_type("PacketAt", __name__, PACKET_COLUMNS)
#: Position of each column in the matrix, by name.
PACKET_AT: Final = PacketAt(*range(len(PACKET_COLUMNS)))

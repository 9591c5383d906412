"""What flows/ hands on: links of packets, and flows that ended."""

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

#: What flows/ says of each packet: whose it is, which way it goes, the state of the flow after it.
LINK: Final = np.dtype(
    [
        ("flow_id", "<i8"),  # 0 where the packet is of no flow
        ("flow_first_ts_ns", "<i8"),
        # Since the previous packet of the flow, and in this direction; 0 for the first. An active
        # cut does not part them.
        ("gap_flow_ns", "<i8"),
        ("gap_direction_ns", "<i8"),
        ("bytes", "<i8", 2),  # wire bytes so far, [forward, backward]
        # The connection: active cuts do not part it. The flow_id of its first piece.
        ("connection_id", "<i8"),
        # Where views ask for TCP analysis; 0 elsewhere, and on packets that are not TCP.
        ("tcp_gap_ns", "<i8"),  # since the previous segment of the conversation; 0 for the first
        ("packets", "<u4", 2),  # packets so far, [forward, backward], this one included
        (
            "src_port",
            "<u2",
        ),  # of the flow's key as this packet goes: ICMP types, ports of fragments
        ("dst_port", "<u2"),
        ("proto", "u1"),  # of the flow's key: a later IPv6 fragment has that of its first one
        ("tcp_analysis", "<u2"),  # bits of TcpAnalysis
        ("is_flow", "u1"),
        ("direction", "u1"),  # 0 from the initiator, 1 to it
        # How far its TCP window is to be shifted, as its sender's last window scale option said; 0
        # in segments with SYN, without such an option, and without TCP analysis.
        ("tcp_window_shift", "u1"),
        # Its sequence number minus the next one expected of its direction; 0 where none is, on
        # fragments, and without TCP analysis.
        ("tcp_seq_advance", "<i4"),
    ],
    align=True,
)


class TcpAnalysis(IntFlag):
    """What Wireshark's TCP analysis says of a segment: its `tcp.analysis.*` fields.

    As there, `RETRANSMISSION` is also set on every fast and every spurious one.
    """

    RETRANSMISSION = 1 << 0
    FAST_RETRANSMISSION = 1 << 1
    SPURIOUS_RETRANSMISSION = 1 << 2
    OUT_OF_ORDER = 1 << 3
    LOST_SEGMENT = 1 << 4
    ACK_LOST_SEGMENT = 1 << 5
    DUPLICATE_ACK = 1 << 6
    KEEP_ALIVE = 1 << 7
    KEEP_ALIVE_ACK = 1 << 8
    WINDOW_UPDATE = 1 << 9
    WINDOW_FULL = 1 << 10
    ZERO_WINDOW = 1 << 11
    ZERO_WINDOW_PROBE = 1 << 12
    ZERO_WINDOW_PROBE_ACK = 1 << 13
    REUSED_PORTS = 1 << 14


class ConnState(IntEnum):
    """How a connection stands, in the words of Zeek's conn_state; 0 is no connection."""

    NONE = 0
    S0 = 1  # attempt seen, no reply
    S1 = 2  # established, not ended
    SF = 3  # established and ended by both sides
    REJ = 4  # attempt rejected
    S2 = 5  # established, ended by the originator, not by the responder
    S3 = 6  # established, ended by the responder, not by the originator
    RSTO = 7  # established, reset by the originator
    RSTR = 8  # reset by the responder
    RSTOS0 = 9  # SYN, then RST of the originator; no SYN-ACK
    RSTRH = 10  # SYN-ACK, then RST of the responder; no SYN
    SH = 11  # SYN, then FIN of the originator; no SYN-ACK
    SHR = 12  # SYN-ACK, then FIN of the responder; no SYN
    OTH = 13  # joined in the middle


class EndReason(IntEnum):
    """Why a flow row was written; `open` is the running state."""

    OPEN = 0
    FIN = 1
    RST = 2
    IDLE = 3
    ACTIVE = 4
    EVICTED = 5
    PORT_REUSE = 6
    EOF = 7


#: Running state of one bidirectional flow. Pairs are [forward, backward], triples [flow, forward,
#: backward]. Means and `m2` (sum of squared deviations) are Welford's, in ns or bytes; minima and
#: maxima of nothing are 0. "payload" follows the transport header, by its length on the wire.
#: Eleven cache lines: the key and what every packet touches come first, what an end writes last.
FLOW: Final = np.dtype(
    [
        # Key as the flow's first packet had it: src is the initiator.
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("tunnel_id", "<u4"),
        ("vlan", "<i4"),  # VLAN id of the outermost tag, -1 without one
        ("src_port", "<u2"),  # ICMP: type and counter-type (or code) act as ports
        ("dst_port", "<u2"),
        ("proto", "u1"),
        ("ip_version", "u1"),
        ("end_reason", "u1"),  # EndReason
        ("is_continuation", "u1"),  # 1 where an active cut came before: direction was kept
        ("fin_seen", "u1"),  # bits: 1 forward, 2 backward; an active cut keeps them
        ("is_closing", "u1"),  # 0, or why it lingers for late packets: EndReason FIN or RST
        ("interface", "<u2"),  # of its first packet
        ("tcp_flags", "<u2", 2),  # union of the flags seen
        ("last_clock_ns", "<i8"),  # house time at the last packet: what timeouts count from
        ("flow_id", "<i8"),  # 63-bit hash of key and first timestamp
        ("first_ts_ns", "<i8"),
        ("last_ts_ns", "<i8"),  # latest packet time; never below first_ts_ns
        # Latest packet time per direction; before the cut where none came since.
        ("direction_last_ts_ns", "<i8", 2),
        ("active_start_ns", "<i8"),  # when the running active period began
        ("packets", "<i8", 2),
        # Lengths.
        ("wire_bytes", "<i8", 2),
        ("payload_bytes", "<i8", 2),
        ("payload_mean", "<f8", 2),
        ("payload_m2", "<f8", 2),
        ("payload_min", "<i4", 2),
        ("payload_max", "<i4", 2),
        ("header_bytes", "<i8", 2),  # sum of transport headers
        ("init_window", "<i4", 2),  # TCP window of the first packet of a direction, -1 without one
        ("data_packets", "<i8", 2),  # packets with at least one payload byte
        ("header_min_bytes", "<u2", 2),  # shortest transport header, 0 where no packet had one
        # Gaps between packets; one of a late packet counts as 0.
        ("long_gaps", "<i4"),  # gaps over 1 s: subflows are these + 1
        ("gap_sum_ns", "<i8", 3),
        ("gap_mean_ns", "<f8", 3),
        ("gap_m2_ns2", "<f8", 3),
        ("gap_min_ns", "<i8", 3),
        ("gap_max_ns", "<i8", 3),
        # TCP flags by packets: fin syn rst psh ack urg ece cwr, each [forward, backward].
        ("flag_counts", "<u4", (8, 2)),
        # Bulks: 4 or more payload packets one way, no gap over 1 s, no payload the other way.
        ("bulk_start_ns", "<i8", 2),
        ("bulk_last_ns", "<i8", 2),
        ("bulk_tentative_bytes", "<i8", 2),
        ("bulk_tentative_packets", "<i4", 2),
        ("bulk_n", "<i4", 2),
        ("bulk_packets", "<i4", 2),
        ("bulk_bytes", "<i8", 2),
        ("bulk_duration_ns", "<i8", 2),
        # Periods parted by gaps over 5 s, [active, idle]; the last one is added at the end.
        ("period_n", "<i4", 2),
        ("period_mean_ns", "<f8", 2),
        ("period_m2_ns2", "<f8", 2),
        ("period_min_ns", "<i8", 2),
        ("period_max_ns", "<i8", 2),
        # The connection: what an active cut does not part, so these go on from piece to piece.
        ("connection_first_ts_ns", "<i8"),
        ("connection_payload_bytes", "<i8", 2),
        ("connection_id", "<i8"),  # flow_id of the first piece
        ("urgent_packets", "<u4"),  # TCP segments with URG, both ways
        ("wrong_fragments", "<u4"),  # fragments that overlap, overrun, or contradict each other
        ("conn_state", "u1"),  # ConnState, when the row is written
        ("has_icmp", "u1"),  # 1 where the first packet of the row has an ICMP header, then
        ("icmp_type", "u1"),  # its type
        ("icmp_code", "u1"),  # and code
        ("conn_history", "<u2", 2),  # what each side has done, see flows.connection
        # TCP segments that bring nothing beyond the highest sequence number of their direction.
        ("highest_seq", "<u4", 2),  # the one after the last byte, SYN or FIN
        ("retransmissions", "<u4", 2),
        ("first_frame", "<i8"),  # number of its first frame
        ("end_ns", "<i8"),  # when in packet time the flow ended
        ("order_ns", "<i8"),  # when in packet time the row comes out; becomes ROW.order_ns
    ],
    align=True,
)

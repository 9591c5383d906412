"""The parcels that rooms hand to each other: dtypes, units and plain records, no logic.

A structured dtype is the contract of a door: little-endian, no Python objects, every field of every
row written every time. Fields that a frame or flow does not have are 0 unless the comment says so.
Addresses are two unsigned 64-bit halves of 128 bits in host order, most significant half first:
IPv6 as it is, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), a bare MAC address in the low 48 bits.
`ip_version` (4, 6, or 0 for a MAC address) tells which of the three it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final, Literal

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
        # How far its TCP window is to be shifted, as both SYNs said; 0 in segments with SYN, where
        # the SYNs were not seen with the option, and without TCP analysis.
        ("tcp_window_shift", "u1"),
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

#: Who and when a feature row is; never fed to a model.
ROW: Final = np.dtype(
    [
        ("order_ns", "<i8"),  # when in packet time the row came out; rows are judged in this order
        ("frame_number", "<i8"),  # 0 where a row is not a packet
        ("first_ts_ns", "<i8"),
        ("last_ts_ns", "<i8"),
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("flow_id", "<i8"),  # 0 without one
        ("flow_first_ts_ns", "<i8"),
        ("bytes", "<i8", 2),  # wire bytes of the flow so far, [forward, backward]
        ("packets", "<i8", 2),
        ("vlan", "<i4"),  # -1 without one
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("interface", "<u2"),
        ("proto", "u1"),
        ("ip_version", "u1"),
        ("end_reason", "u1"),  # EndReason; OPEN for a packet
        ("direction", "u1"),  # of the packet in its flow: 0 from the initiator, 1 to it
        ("is_flow", "u1"),  # 1 where the row has a flow
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One feature: what a user needs to know to compute it alone."""

    name: str
    unit: str  # "1" for counts, ratios and flags; "B", "us", "B/s", ...
    dtype: Literal["int64", "float64"]  # in files; models get float32
    formula: str
    source: str  # RFC section, Wireshark field, CICFlowMeter column...
    meaning: str
    original: str = ""  # the field's own spelling where ours differs
    # Of a class: its values in words. The number in the matrix is the index of the word.
    categories: tuple[str, ...] = ()
    # What a Wireshark export gives: nothing, or the value on rows whose protocol label is one of
    # these ("*": any); elsewhere, and in a model's view of such rows, stands `absent`.
    export: tuple[str, ...] = ()
    absent: float = 0.0


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one view, in order; a model is bound to `digest`."""

    view: str
    version: int
    columns: tuple[Column, ...]
    digest: str  # SHA-256 over view, version and what the values of each column depend on

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Traffic:
    """One batch as the views see it."""

    data: NDArray[np.uint8]  # (n_bytes,) what `payload_start` of the packets points into
    packets: NDArray[Any]  # PACKET (n,) every frame of the source, in order
    links: NDArray[Any]  # LINK (n,) what the flow table says of each of them
    ended: NDArray[Any]  # FLOW (k,) flows that ended, in the order of their release
    until_ns: int  # packet time up to which frames have been handed over
    frames: NDArray[Any] | None = None  # FRAME (n,) where in `data` each of them lies


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Rows of one view, ready to be scored or written."""

    schema: Schema
    # (n_rows, n_columns) float32 for models, float64 for files; all finite. Of sequences
    # (n_rows, N, n_columns): the last N rows of the row's entity, the row itself last.
    values: NDArray[Any]
    rows: NDArray[Any]  # ROW (n_rows,)
    # Of sequences, int32 (n_rows,): how many of the N are real; those in front of them are 0.
    lengths: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Names:
    """Rows in words: one entry a row."""

    src: list[str]  # IPv4 dotted, IPv6 as RFC 5952, MAC with colons
    dst: list[str]
    proto: list[str]  # IANA's: "TCP", "UDP", "IPv6-ICMP", "SCTP"...; "ARP"; or the number
    community_id: list[str]  # "" without a flow


@dataclass(frozen=True, slots=True)
class Scores:
    """What one bundle says of the rows of one FeatureBatch; flagged rows come with reasons."""

    view: str
    detector: str
    bundle: str  # the bundle's name
    schema: Schema
    columns: tuple[str, ...]  # the columns that the bundle uses, C of them
    rows: NDArray[Any]  # ROW (n_rows,)
    error: NDArray[np.float64]  # (n_rows,)
    threshold: float
    p_value: NDArray[
        np.float64
    ]  # (n_rows,) conformal: share of calibration errors at least as high
    flagged: NDArray[np.bool_]  # (n_rows,)
    # (n_flagged, C) in the columns' own units; of a class the index of its word
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]  # (n_flagged, C) what the model would have expected
    share: NDArray[np.float64]  # (n_flagged, C) of the error; a row sums to 1


@dataclass(frozen=True, slots=True)
class FeatureShare:
    """One reason of an alert, in real units."""

    name: str
    unit: str
    observed: float | str  # of a class its word
    expected: float | str
    share: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, complete: a sink needs nothing else to write it."""

    alert_id: str
    timestamp_ns: int  # of the row's last packet
    view: str
    detector: str
    bundle: str
    schema: str  # "flow/1:0123abcd"
    entity: str
    reason: str  # the column with the largest share
    error: float
    threshold: float
    p_value: float
    severity: int  # 1 (worst) to 3
    folded: int  # alerts of the same entity and reason kept back since the last one
    features: tuple[FeatureShare, ...]  # largest share first, at most 5
    src: str
    dst: str
    src_port: int
    dst_port: int
    proto: str
    vlan: int  # -1 without one
    in_iface: str
    flow_id: int  # 0 without one
    community_id: str  # "" without one
    frame_number: int  # 0 where the row is not a packet
    flow_start_ns: int
    flow_end_ns: int
    flow_packets: tuple[int, int]  # to the server, to the client
    flow_bytes: tuple[int, int]
    end_reason: str  # "" for a packet
    evidence: str | None = None  # path of the packets behind the alert


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, as a Prometheus histogram wants them."""

    edges: tuple[float, ...]  # upper bounds, ascending, without +Inf
    counts: NDArray[np.int64]  # (len(edges) + 1,) not cumulative; the last bucket is +Inf
    total: float  # sum of the observed values


@dataclass(frozen=True, slots=True)
class Tally:
    """One family of counts of a room, read at scrape time. Label values are never from the wire."""

    name: str  # without the "tapwatch_" prefix; counters end in _total
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float | Histogram]

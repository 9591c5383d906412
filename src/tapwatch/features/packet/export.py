"""What the seven columns of a Wireshark export give of each column of the `packet` view.

Wireshark's list of packets, saved as CSV, holds No., Time, Source, Destination, Protocol, Length
and Info. Time, Length, Protocol and the two addresses are there for every frame, and so are the
marks of the TCP analysis, which stay in front of Info whatever dissector writes the rest. What else
Info says depends on the protocol: of TCP it names ports, flags, window, length and options, of UDP
ports and length, of a TLS record none of these. Of TCP it has the sequence number too, but what is
expected after a TLS record is not told: `tcp_seq_advance` is that of the capture only where all
segments before it in its direction are rows of TCP.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tapwatch.tables import Column, TcpAnalysis

_ANY: Final = ("*",)
_TCP: Final = ("TCP",)
_PORTED: Final = ("TCP", "UDP")

_OF_TCP: Final = (
    "tcp",
    "tcp_len",
    "tcp_seq_advance",
    "payload_len_bytes",
    "tcp_window_size",
    *(
        f"tcp_flags_{name}"
        for name in ("fin", "syn", "reset", "push", "ack", "urg", "ece", "cwr", "ae")
    ),
    *(f"tcp_options_{name}" for name in ("mss", "wscale", "sack_perm", "sack", "timestamp")),
    "tcp_options_mss_val",
    "tcp_options_wscale_shift",
)

#: Column -> labels of the rows on which an export gives it; a column that is absent here it never
#: gives. In its place stands 0, which is what the column holds on rows that it does not apply to.
GIVEN: Final[dict[str, tuple[str, ...]]] = {
    "frame_len": _ANY,
    "frame_time_delta": _ANY,
    "pair_time_delta_s": _ANY,
    "pair_direction_time_delta_s": _ANY,
    "protocol": _ANY,
    "ip": _ANY,
    "ipv6": _ANY,
    "ip_dst_multicast": _ANY,
    **{f"tcp_analysis_{kind.name.lower()}": _ANY for kind in TcpAnalysis if kind.name},
    **dict.fromkeys(_OF_TCP, _TCP),
    "udp": ("UDP",),
    "udp_length": ("UDP",),
    **{
        f"{end}_port_{kind}": _PORTED
        for end in ("src", "dst")
        for kind in ("system", "registered", "dynamic")
    },
    "ip_frag_offset": ("IPv4", "IPv6"),
    "icmp": ("ICMP",),
    "icmpv6": ("ICMPv6",),
    "icmp_type": ("ICMP", "ICMPv6"),
    "arp": ("ARP",),
    "eth_dst_broadcast": ("ARP",),
    "arp_opcode_request": ("ARP",),
    "arp_opcode_reply": ("ARP",),
    "arp_opcode_other": ("ARP",),
    "arp_isgratuitous": ("ARP",),
}


def with_export(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Columns of the packet view, each with what an export gives of it."""
    return tuple(replace(column, export=GIVEN.get(column.name, ())) for column in columns)

"""What a row of the `host` view is: one address, what it did in one window of packet time.

Out is what the host sent or began (as the initiator of a flow), in is what it received or others
began. A flow counts in a window as begun where its first packet lies in it, and among the peers and
ports of every window in which it has a packet. "Distinct" is exact up to 32, beyond that an
estimate with a standard error of 9.2 % (sketch.py). What has no value is 0.
"""

from typing import Any, Final, Literal

from tapwatch.features.schema import make_schema, position_type
from tapwatch.tables import Column

_PORTED: Final = "of TCP, UDP, DCCP, SCTP or UDP-Lite"


def _count(name: str, formula: str, source: str, meaning: str, unit: str = "1") -> Column:
    return Column(name, unit, "int64", formula, source, meaning)


def _real(name: str, unit: str, formula: str, source: str, meaning: str) -> Column:
    return Column(name, unit, "float64", formula, source, meaning)


def _share(name: str, of: str, all_: str, meaning: str, source: str = "tapwatch") -> Column:
    return _real(name, "1", f"{of} / {all_}; 0 without any", source, meaning)


_WAYS: Final[dict[Literal["out", "in"], str]] = {
    "out": "sent by the host",
    "in": "received by the host",
}

_VOLUME: Final = (
    *(
        _count(
            f"packets_{way}",
            f"IP packets {text}" + (", and ARP messages" if way == "out" else ""),
            "RFC 791, RFC 8200, RFC 826",
            "floods and scans show in packets without bytes",
        )
        for way, text in _WAYS.items()
    ),
    *(
        _count(
            f"bytes_{way}",
            f"sum of the lengths on the wire of the packets {text}, FCS not",
            "pcap record header",
            f"volume {text}",
            "B",
        )
        for way, text in _WAYS.items()
    ),
    *(
        _count(
            f"payload_bytes_{way}",
            f"sum of the bytes behind the transport header of the packets {text}",
            "length fields of IP and transport headers",
            f"content {text}",
            "B",
        )
        for way, text in _WAYS.items()
    ),
    _real(
        "upload_download_ratio",
        "1",
        "bytes_out / max(bytes_in, 1)",
        "tapwatch",
        "far above 1 where data leaves",
    ),
    _share("upload_share", "bytes_out", "(bytes_out + bytes_in)", "the same between 0 and 1"),
    _real(
        "packet_bytes_mean",
        "B",
        "(bytes_out + bytes_in) / (packets_out + packets_in)",
        "pcap record header",
        "mean length of its packets on the wire",
    ),
    _count(
        "packet_bytes_max",
        "longest packet, either way",
        "pcap record header",
        "longest packet",
        "B",
    ),
    _real(
        "packet_size_entropy",
        "bit",
        "entropy of the packets, both ways, over 16 classes of length: whole hundreds of bytes, "
        "1500 and more in one",
        "Shannon 1948",
        "0 where all packets are alike, as in floods",
    ),
    _real(
        "active_s",
        "s",
        "time from its earliest to its latest packet in the window, at most the window's length",
        "tapwatch",
        "how long it was seen",
    ),
    _share(
        "busy_share",
        "parts of 1/64 of a hop that have a packet",
        "all parts of the window",
        "near 1 for a steady stream, small for a single exchange",
    ),
    *(
        _share(
            f"{name}_share",
            f"packets, both ways, that are {text}",
            "(packets_out + packets_in)",
            f"part of {text}",
            "IANA protocol numbers",
        )
        for name, text in (("tcp", "TCP"), ("udp", "UDP"), ("icmp", "ICMP or ICMPv6"))
    ),
    _share(
        "group_share",
        "packets sent to a multicast or broadcast address, of IP or of the frame",
        "packets_out",
        "how much of it speaks to all",
        "RFC 1112, RFC 4291 2.7, IEEE 802.3",
    ),
)

_ARP: Final = (
    _count(
        "arp_requests",
        "ARP requests sent for another address than its own",
        "RFC 826",
        "sweeps of the local network",
    ),
    _count(
        "arp_targets", "distinct addresses in them", "RFC 826", "how many neighbours it asked for"
    ),
)

_FLOWS: Final = (
    _count("flows_out", "flows begun as initiator", "LINK", "connections that it opens"),
    _count("flows_in", "flows begun as responder", "LINK", "connections that it is asked for"),
    _count(
        "peers_out",
        "distinct unicast addresses that were responders of its flows",
        "LINK",
        "fan-out: sweeps",
    ),
    _count(
        "peers_in",
        "distinct unicast addresses that were initiators of flows to it",
        "LINK",
        "fan-in: floods from many sources",
    ),
    _count(
        "new_peers_out",
        "times that a flow that it began showed a peer that no such flow had shown within "
        "windows.horizon_s, or that was forgotten for room; counted one by one",
        "LINK",
        "strangers that it turns to; all are strangers at the start of a capture",
    ),
    _count(
        "new_peers_in",
        "times that a flow begun with it showed a peer that no such flow had shown within "
        "windows.horizon_s, or that was forgotten for room; counted one by one",
        "LINK",
        "strangers that turn to it",
    ),
    _real(
        "new_peer_share",
        "1",
        "min(1, new_peers_out / peers_out); 0 without any",
        "tapwatch",
        "how much of its company is new",
    ),
    _count(
        "peer_ports",
        f"distinct pairs of protocol and responder's port {_PORTED}, of flows it is initiator of",
        "IANA port numbers",
        "how many kinds of services it uses: port scans",
    ),
    _count(
        "peer_port_pairs",
        "distinct triples of responder, protocol and port, of the same flows",
        "IANA port numbers",
        "how many services it uses",
    ),
    _count(
        "own_ports",
        f"distinct pairs of protocol and own port {_PORTED}, of flows it is responder of",
        "IANA port numbers",
        "how many of its ports are tried",
    ),
    _real(
        "peer_port_entropy",
        "bit",
        f"entropy of flows_out {_PORTED} over the responder's port, hashed into 32 classes",
        "Shannon 1948",
        "at most 5: all flows to other ports; 0: all to one",
    ),
    _real(
        "own_port_entropy",
        "bit",
        f"entropy of flows_in {_PORTED} over the own port, hashed into 32 classes",
        "Shannon 1948",
        "how evenly its ports are addressed",
    ),
    _share(
        "ports_per_peer",
        "peer_port_pairs",
        "peers_out",
        "large for a scan of the ports of few hosts",
    ),
    _share(
        "peers_per_service",
        "peers_out",
        "peer_ports",
        "large for a sweep of many hosts by few ports",
    ),
)

_TCP: Final = (
    _count("syn_sent", "segments with SYN and without ACK sent", "RFC 9293 3.5", "SYNs sent"),
    _count("syn_received", "segments with SYN and without ACK received", "RFC 9293 3.5", "SYNs"),
    *(
        _count(
            f"unanswered_{way}",
            f"TCP flows begun as {role} by a segment with neither ACK nor RST, less those to which "
            "the responder's first segment, in the same hop, has ACK and SYN or RST; at least 0",
            "RFC 9293 3.5, 3.10.7.1",
            meaning,
        )
        for way, role, meaning in (
            ("out", "initiator", "attempts into the void: scans, spoofed SYNs"),
            ("in", "responder", "attempts that it left open: it is flooded, or filters"),
        )
    ),
    *(
        _share(
            f"unanswered_share_{way}",
            f"unanswered_{way}",
            f"TCP flows begun as {role} by a segment with neither ACK nor RST",
            "how many attempts come to nothing",
        )
        for way, role in (("out", "initiator"), ("in", "responder"))
    ),
    _count("rst_sent", "segments with RST sent", "RFC 9293 3.5.2", "refusals and aborts by it"),
    _count("rst_received", "segments with RST received", "RFC 9293 3.5.2", "refusals that it met"),
    _share("rst_sent_share", "rst_sent", "TCP segments sent", "how much of it refuses"),
    _share("rst_received_share", "rst_received", "TCP segments received", "how often refused"),
)

_ICMP: Final = (
    _count(
        "echo_requests_sent",
        "ICMP of type 8 and ICMPv6 of type 128 sent",
        "RFC 792, RFC 4443 4.1",
        "pings, ping sweeps",
    ),
    _count(
        "unreachable_sent",
        "ICMP of type 3 and ICMPv6 of type 1 sent",
        "RFC 792, RFC 4443 3.1",
        "how often it was asked for what it has not",
    ),
    _count(
        "unreachable_received",
        "ICMP of type 3 and ICMPv6 of type 1 received",
        "RFC 792, RFC 4443 3.1",
        "how often it asked for what is not there: UDP scans",
    ),
)

_DNS: Final = (
    _count(
        "dns_queries",
        "datagrams sent to UDP port 53 whose header is that of a standard query with a question",
        "RFC 1035 4.1",
        "query volume",
    ),
    _count(
        "dns_names",
        "distinct names that they ask for first, without regard to case; malformed names, and "
        "those that the capture cuts off, are not among the names of this and the next columns",
        "RFC 1035 3.1, RFC 4343",
        "many for tunnels and name generators",
    ),
    _real(
        "dns_name_entropy",
        "bit",
        "mean over the names of the entropy of the characters of the name, dots left out, "
        "without regard to case",
        "Shannon 1948",
        "high where names carry data or are made up",
    ),
    _real(
        "dns_name_bytes",
        "B",
        "mean over the names of the characters of the name, dots left out",
        "RFC 1035 3.1",
        "long where names carry data",
    ),
    _real(
        "dns_label_bytes",
        "B",
        "characters of all names, dots left out / labels of all names",
        "RFC 1035 3.1",
        "long labels carry data",
    ),
    _count(
        "dns_nxdomain_received",
        "responses from UDP port 53 received with response code 3",
        "RFC 1035 4.1.1",
        "names that do not exist: generated names",
    ),
)

_RHYTHM: Final = (
    _real(
        "beacon_regularity",
        "1",
        "largest over the channels (responder, protocol, port) to which it began a flow in the "
        "window, of max(0, 1 - s / m): s standard deviation (n), m mean of the last at most 11 "
        "gaps, in whole ms, between flows begun to it; 0 below 5 gaps",
        "tapwatch",
        "near 1 for a beacon, near 0 where a person or chance sets the pace",
    ),
    _real("beacon_period_s", "s", "m of that channel", "tapwatch", "how often it calls"),
    _count(
        "beacon_starts",
        "flows begun to that channel, none of them windows.horizon_s after the one before",
        "tapwatch",
        "how long it has been calling",
    ),
)

HOST_COLUMNS: Final = (*_VOLUME, *_ARP, *_FLOWS, *_TCP, *_ICMP, *_DNS, *_RHYTHM)
HOST_SCHEMA: Final = make_schema("host", 1, HOST_COLUMNS)

HostAt: Any = position_type("HostAt", __name__, HOST_COLUMNS)
#: Position of each column in the matrix, by name.
HOST_AT: Final = HostAt(*range(len(HOST_COLUMNS)))

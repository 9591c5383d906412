"""Our flows against the sessions that Arkime's own tests expect of the same captures."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from tests.conformance.agreement import Agreement, Flow, flows_of, patient

#: Why a conversation differs -> in words, for docs/conformance.md.
REASONS: Final = {
    "no IP": "ARP, LLDP, IS-IS and other frames without IP, which make no flow",
    "DHCP": "Arkime joins the messages of one transaction, whatever their addresses",
    "group": "Arkime joins all senders to a group of IGMP, PIM or OSPF; here each pair is a flow",
    "AH": "Arkime shows protocol 51; here the protocol behind the authentication header",
    "tunnel": "tunnels that one of the two does not open: NSH, ERSPAN without GRE, Cisco metadata, "
    "VXLAN-GPE, IPv4 and IPv6 behind destination options, and the answers of Geneve from port 6081",
    "ARP in VXLAN": "Arkime counts the outer datagram; here the frame is the ARP packet inside",
    "reassembly": "Arkime counts a datagram in fragments once; here each fragment is a packet",
    "other way": "a lone FIN from port 80: Arkime takes its receiver for the client, here it is "
    "who is seen first",
    "damaged": "UDP length 0, an IP header without its packet: refused, with a status",
}
#: Conversations that differ, by capture, protocol and one of the addresses -> why.
_EXPLAINED: Final = {
    ("ah-esp", 51, "10.0.0.1"): "AH",
    ("arkime_synthetic", 51, "10.0.32.1"): "AH",
    ("arkime_synthetic", 17, "10.9.8.1"): "damaged",
    ("arkime_synthetic", 1, "192.168.4.1"): "tunnel",
    ("arkime_synthetic", 1, "192.168.10.1"): "tunnel",
    ("arkime_synthetic", 4, "2001:db8:900::1"): "tunnel",
    ("arkime_synthetic", 41, "2001:db8:901::1"): "tunnel",
    ("arkime_synthetic", 17, "192.0.2.10"): "tunnel",
    ("arkime_synthetic", 17, "10.40.9.1"): "tunnel",
    ("arkime_synthetic", 17, "10.111.111.10"): "tunnel",
    ("arkime_synthetic", 17, "10.222.222.10"): "tunnel",
    ("igmp", 2, "224.0.0.22"): "group",
    ("ospf", 103, "224.0.0.13"): "group",
    ("ospf", 2, "224.0.0.1"): "group",
    ("pim", 103, "224.0.0.13"): "group",
    ("socks5-http-302-frag", 6, "10.0.0.1"): "reassembly",
    ("vxlan", 17, "192.168.56.11"): "ARP in VXLAN",
}
_WITH_PORTS: Final = (6, 17, 132)
_DHCP: Final = ({67, 68}, {546, 547})


@dataclass
class Conversation:
    """Everything between two endpoints, by one of the programs."""

    packets: int = 0
    n_bytes: int = 0
    #: Of each session or flow: source, packets and bytes each way, Community ID.
    pieces: list[Any] = field(default_factory=list)


Key = tuple[str, int, frozenset[Any]]


def _ends(proto: int, *ends: tuple[str, int]) -> frozenset[Any]:
    if proto not in _WITH_PORTS:
        return frozenset(address for address, _ in ends)
    return frozenset(ends)


@cache
def compared(folder: Path) -> tuple[Agreement, Agreement, Agreement]:
    """Conversations, those of one session and one flow by direction, and Community IDs."""
    whole = Agreement("Arkime", "conversations: packets and bytes")
    single = Agreement(
        "Arkime", "sessions that are one flow: who began, packets and bytes each way"
    )
    ids = Agreement("Arkime", "Community IDs")
    for path in sorted(folder.glob("*.test")):
        sessions = json.loads(path.read_bytes()).get("sessions3", [])
        theirs = _sessions(sessions, whole)
        ours = _flows(flows_of(path.with_suffix(".pcap"), patient(8)))
        for (proto, ends), its in theirs.items():
            mine = ours.get((proto, ends), Conversation())
            _judge(path.stem, proto, ends, its, mine, whole)
            if len(its.pieces) == len(mine.pieces) == 1 and proto in _WITH_PORTS:
                if its.pieces[0][2]:
                    is_same = its.pieces[0][2] == mine.pieces[0][2]
                    ids.counts["equal" if is_same else "other"] += 1
                if (its.packets, its.n_bytes) == (mine.packets, mine.n_bytes):
                    is_same = its.pieces[0][:2] == mine.pieces[0][:2]
                    single.counts["equal" if is_same else "other way"] += 1
    return whole, single, ids


def _sessions(sessions: list[Any], told: Agreement) -> dict[tuple[int, Any], Conversation]:
    found: dict[tuple[int, Any], Conversation] = defaultdict(Conversation)
    for session in (one["body"] for one in sessions):
        src, dst = session["source"], session["destination"]
        proto = session.get("ipProtocol")
        if proto is None or "ip" not in src or "ip" not in dst:
            told.counts["no IP"] += 1
            continue
        here, there = ((str(ip_address(end["ip"])), end.get("port", 0)) for end in (src, dst))
        one = found[proto, _ends(proto, here, there)]
        one.packets += session["network"]["packets"]
        one.n_bytes += session["network"]["bytes"]
        ways = [(end["packets"], end["bytes"]) for end in (src, dst)]
        one.pieces.append((here, ways, session["network"].get("community_id")))
    return found


def _flows(flows: list[Flow]) -> dict[tuple[int, Any], Conversation]:
    found: dict[tuple[int, Any], Conversation] = defaultdict(Conversation)
    for flow in flows:
        here, there = (flow.src, flow.src_port), (flow.dst, flow.dst_port)
        one = found[flow.proto, _ends(flow.proto, here, there)]
        one.packets += sum(flow.packets)
        one.n_bytes += sum(flow.wire_bytes)
        ways = list(zip(flow.packets, flow.wire_bytes, strict=True))
        one.pieces.append((here, ways, flow.community_id))
    return found


def _judge(
    capture: str,
    proto: int,
    ends: frozenset[Any],
    its: Conversation,
    mine: Conversation,
    told: Agreement,
) -> None:
    if (its.packets, its.n_bytes) == (mine.packets, mine.n_bytes):
        told.counts["equal"] += 1
        return
    ports = {end[1] for end in ends} if proto in _WITH_PORTS else set()
    addresses = [end[0] for end in ends] if proto in _WITH_PORTS else list(ends)
    known = [_EXPLAINED.get((capture, proto, address), "") for address in addresses]
    reason = "DHCP" if ports in _DHCP else "".join(known)
    if reason:
        told.counts[reason] += 1
        return
    told.unexplained.append(
        f"{capture}: {proto} {sorted(map(str, ends))}: Arkime {its.packets} packets, "
        f"{its.n_bytes} B; here {mine.packets}, {mine.n_bytes} B"
    )

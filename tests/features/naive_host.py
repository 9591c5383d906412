"""The host view, slowly: dictionaries and sets of what each address did, from every packet.

Knows nothing of sketches, of gaps that tell whether a flow is known, or of hashed tables. Where a
set has more than 32 things the view estimates, and `differences` allows for it.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

WITH_PORTS = (6, 17, 33, 132, 136)
SYN, RST, ACK = 2, 4, 16
ESTIMATED = {
    "peers_out": ("peers_out",),
    "peers_in": ("peers_in",),
    "peer_ports": ("peer_ports",),
    "peer_port_pairs": ("peer_port_pairs",),
    "own_ports": ("own_ports",),
    "dns_names": ("dns_names",),
    "arp_targets": ("arp_targets",),
    "ports_per_peer": ("peer_port_pairs", "peers_out"),
    "peers_per_service": ("peers_out", "peer_ports"),
    "new_peer_share": ("peers_out",),
}
Address = tuple[int, int, int]  # high half, low half, version


@dataclass
class Record:
    """What one host did in one pane."""

    address: Address
    is_recent: bool = False
    times: list[int] = field(default_factory=list)
    slices: set[int] = field(default_factory=set)
    lengths: list[int] = field(default_factory=list)
    n: Counter[str] = field(default_factory=Counter)
    bins: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))
    sets: dict[str, set[Any]] = field(default_factory=lambda: {k: set() for k in SETS})
    entropies: list[float] = field(default_factory=list)
    names: list[list[bytes]] = field(default_factory=list)
    rhythm: tuple[float, int, float] = (0.0, 0, 0.0)  # regularity, starts, period


SETS = ("peers_out", "peers_in", "peer_ports", "peer_port_pairs", "own_ports", "dns_names")
SETS = (*SETS, "arp_targets")


def merged(records: list[Record]) -> tuple[Record, int]:
    """One record of several panes, and its busy slices."""
    whole = Record(records[0].address)
    for r in records:
        whole.times += r.times
        whole.lengths += r.lengths
        whole.n += r.n
        for mine, theirs in zip(whole.bins, r.bins, strict=True):
            mine.update(theirs)
        for name in SETS:
            whole.sets[name] |= r.sets[name]
        whole.entropies += r.entropies
        whole.names += r.names
        whole.rhythm = max(whole.rhythm, r.rhythm)
    return whole, sum(len(r.slices) for r in records)


def entropy(counts: Iterable[int]) -> float:
    """Shannon's, in bits."""
    some = [c for c in counts if c]
    return sum(c / sum(some) * math.log2(sum(some) / c) for c in some)


def per(amount: float, of: float) -> float:
    """A ratio; 0 where there is nothing to divide by."""
    return amount / of if of else 0.0


class NaiveHosts:
    """`update`, `pass_time` and `close` append to `rows`: (order_ns, reason, address, values)."""

    def __init__(self, hop_ns=5 * 10**9, n_panes=1, capacity=65_536, horizon_ns=3600 * 10**9):
        self.hop_ns, self.n_panes, self.horizon_ns = hop_ns, n_panes, horizon_ns
        self.capacity = capacity // n_panes
        self.rows: list[tuple[int, str, Address, dict[str, float]]] = []
        self.start_ns: int | None = None
        self.panes: dict[int, dict[Address, Record]] = {}
        self.ring: list[Address] = []  # who lies where: the hand of the clock goes round
        self.hand = 0
        self.met: dict[tuple[Address, Address], int] = {}
        self.starts: dict[Any, list[int]] = {}
        self.begun: set[int] = set()
        self.answered_once: set[int] = set()

    # Time.

    def pass_time(self, time_ns: int) -> None:
        """Packet time is at least this."""
        start_ns = time_ns // self.hop_ns * self.hop_ns
        if self.start_ns is not None and start_ns <= self.start_ns:
            return
        self._end_windows(start_ns)
        self.start_ns, self.ring, self.hand = start_ns, [], 0

    def close(self) -> None:
        """The source has ended."""
        self._end_windows(None)

    def _end_windows(self, until_ns: int | None) -> None:
        ends = sorted({s + (k + 1) * self.hop_ns for s in self.panes for k in range(self.n_panes)})
        for end_ns in ends:
            if until_ns is not None and end_ns > until_ns:
                break
            if self.start_ns is not None and end_ns <= self.start_ns:
                continue
            first_ns = end_ns - self.n_panes * self.hop_ns
            panes = [self.panes[s] for s in sorted(self.panes) if first_ns <= s < end_ns]
            for address in sorted({a for pane in panes for a in pane}):
                records = [pane[address] for pane in panes if address in pane]
                reason = "active" if until_ns is not None else "eof"
                self._emit(end_ns, reason, records)
        if until_ns is not None:
            oldest_ns = until_ns - (self.n_panes - 1) * self.hop_ns
            self.panes = {s: p for s, p in self.panes.items() if s >= oldest_ns}

    def _emit(self, order_ns: int, reason: str, records: list[Record]) -> None:
        self.rows.append((order_ns, reason, records[0].address, self._values(records)))

    # Packets.

    def update(self, p: Any, link: Any, data: bytes) -> None:
        """One frame."""
        self.pass_time(int(p["clock_ns"]))
        is_ip = bool(p["is_flow"])
        is_arp = p["ether_type"] == 0x0806 and p["status"] == 0 and p["ip_version"] == 4
        is_arp = is_arp and p["arp_opcode"] in (1, 2)
        if not (is_ip or is_arp):
            return
        now_ns = max(int(p["clock_ns"]), self.start_ns)
        src, dst = (self._address(p, end) for end in ("src", "dst"))
        is_group = bool(int(p["eth_dst"]) >> 40 & 1) or (is_ip and not is_unicast(dst))
        sender = self._record(src, None, now_ns) if is_unicast(src) else None
        receiver = None
        if is_ip and not is_group:
            receiver = self._record(dst, src if sender else None, now_ns)
        for record, way in ((sender, "out"), (receiver, "in")):
            if record:
                self._count(record, p, way, now_ns)
        if sender:
            sender.n["group"] += is_group
            if is_arp and not is_ip and p["arp_opcode"] == 1 and src != dst:
                sender.n["arp_requests"] += 1
                sender.sets["arp_targets"].add(dst)
        if is_ip and p["proto"] == 17 and p["frag_offset_bytes"] == 0:
            self._dns(p, sender, receiver, data)
        if link["is_flow"]:
            self._flow(p, link, sender, receiver, now_ns)

    def _address(self, p: Any, end: str) -> Address:
        return int(p[f"{end}_hi"]), int(p[f"{end}_lo"]), int(p["ip_version"])

    def _record(self, address: Address, keep: Address | None, now_ns: int) -> Record:
        pane = self.panes.setdefault(self.start_ns, {})
        if address in pane:
            pane[address].is_recent = True
            return pane[address]
        if len(self.ring) < self.capacity:
            self.ring.append(address)
        else:
            place = self._victim(pane, keep)
            self._emit(now_ns, "evicted", [pane.pop(self.ring[place])])
            self.ring[place] = address
        pane[address] = Record(address)
        return pane[address]

    def _victim(self, pane: dict[Address, Record], keep: Address | None) -> int:
        while True:
            place, self.hand = self.hand, (self.hand + 1) % self.capacity
            if self.ring[place] == keep:
                continue
            if not pane[self.ring[place]].is_recent:
                return place
            pane[self.ring[place]].is_recent = False

    def _count(self, r: Record, p: Any, way: str, now_ns: int) -> None:
        proto, flags, wire_bytes = int(p["proto"]), int(p["tcp_flags"]), int(p["wire_bytes"])
        r.times.append(int(p["ts_ns"]))
        r.slices.add((now_ns - self.start_ns) * 64 // self.hop_ns)
        r.lengths.append(wire_bytes)
        r.n[f"packets_{way}"] += 1
        r.n[f"bytes_{way}"] += wire_bytes
        r.n[f"payload_bytes_{way}"] += max(0, int(p["payload_bytes"]))
        r.n["tcp"] += proto == 6
        r.n["udp"] += proto == 17
        r.n["icmp"] += proto in (1, 58)
        r.n[f"tcp_{way}"] += proto == 6
        r.n[f"syn_{way}"] += proto == 6 and bool(flags & SYN) and not flags & ACK
        r.n[f"rst_{way}"] += proto == 6 and bool(flags & RST)
        kind = (proto, int(p["icmp_type"]))
        r.n[f"unreachable_{way}"] += kind in ((1, 3), (58, 1))
        r.n[f"echo_{way}"] += kind in ((1, 8), (58, 128))

    def _dns(self, p: Any, sender: Record | None, receiver: Record | None, data: bytes) -> None:
        start, n_bytes = int(p["payload_start"]), int(p["payload_captured_bytes"])
        message = data[start : start + n_bytes]
        if n_bytes < 12 or len(message) < 12:
            return
        flags, questions = struct.unpack_from("!HH", message, 2)
        if p["dst_port"] == 53 and sender:
            if flags >> 11 == 0 and questions:
                sender.n["dns_queries"] += 1
                if (labels := read_name(message)) is not None:
                    sender.names.append(labels)
                    sender.sets["dns_names"].add(tuple(labels))
                    sender.entropies.append(entropy(Counter(b"".join(labels)).values()))
        elif p["src_port"] == 53 and receiver:
            receiver.n["dns_nxdomain_received"] += flags >> 15 and flags & 15 == 3

    def _flow(
        self, p: Any, link: Any, sender: Record | None, receiver: Record | None, now_ns: int
    ) -> None:
        is_forward, proto = link["direction"] == 0, int(link["proto"])
        initiator, responder = (sender, receiver) if is_forward else (receiver, sender)
        service = (proto, int(link["dst_port" if is_forward else "src_port"]))
        flags, connection = int(p["tcp_flags"]), int(link["connection_id"])
        is_begun = connection not in self.begun
        self.begun.add(connection)
        is_attempt = is_begun and is_forward and p["proto"] == 6 and not flags & (ACK | RST)
        is_attempt = is_attempt and p["frag_offset_bytes"] == 0
        is_first_back = not is_forward and connection not in self.answered_once
        if not is_forward:
            self.answered_once.add(connection)
        is_answer = is_first_back and not is_begun and p["proto"] == 6
        is_answer = is_answer and bool(flags & ACK) and bool(flags & (SYN | RST))
        for record, way in ((initiator, "out"), (responder, "in")):
            if record:
                record.n[f"flows_{way}"] += is_begun
                record.n[f"attempts_{way}"] += is_attempt
                if is_begun and proto in WITH_PORTS:
                    record.bins[way == "in"][service] += 1
                if is_answer and int(link["flow_first_ts_ns"]) >= min(record.times):
                    record.n[f"answered_{way}"] += 1
        if proto in WITH_PORTS:
            if initiator:
                initiator.sets["peer_ports"].add(service)
            if responder:
                responder.sets["own_ports"].add(service)
        if initiator and responder:
            self._meet(initiator, responder, service, is_begun, now_ns)

    def _meet(
        self, initiator: Record, responder: Record, service: Any, is_begun: bool, now_ns: int
    ) -> None:
        initiator.sets["peers_out"].add(responder.address)
        responder.sets["peers_in"].add(initiator.address)
        pair = (initiator.address, responder.address)
        seen_ns = self.met.get(pair)
        if seen_ns is None or now_ns - seen_ns > self.horizon_ns:
            initiator.n["new_peers_out"] += 1
            responder.n["new_peers_in"] += 1
        self.met[pair] = now_ns
        if service[0] not in WITH_PORTS:
            return
        initiator.sets["peer_port_pairs"].add((responder.address, service))
        if not is_begun:
            return
        starts = self.starts.setdefault((*pair, service), [])
        if starts and now_ns - starts[-1] > self.horizon_ns:
            starts.clear()
        starts.append(now_ns)
        gaps_ms = [(b - a) // 10**6 for a, b in pairwise(starts)][-11:]
        if len(gaps_ms) >= 5 and (mean_ms := fmean(gaps_ms)) > 0:
            regularity = max(0.0, 1 - pstdev(gaps_ms) / mean_ms)
            initiator.rhythm = max(initiator.rhythm, (regularity, len(starts), mean_ms / 1e3))

    def _values(self, records: list[Record]) -> dict[str, float]:
        r, n_busy = merged(records)
        n, sets = r.n, {name: len(things) for name, things in r.sets.items()}
        packets, n_bytes = n["packets_out"] + n["packets_in"], n["bytes_out"] + n["bytes_in"]
        characters = sum(len(b"".join(labels)) for labels in r.names)
        row: dict[str, float] = {
            f"{what}_{way}": n[f"{what}_{way}"]
            for what in ("packets", "bytes", "payload_bytes", "flows", "new_peers")
            for way in ("out", "in")
        }
        row |= sets
        for way in ("out", "in"):
            row[f"unanswered_{way}"] = max(0, n[f"attempts_{way}"] - n[f"answered_{way}"])
            share = per(row[f"unanswered_{way}"], n[f"attempts_{way}"])
            row[f"unanswered_share_{way}"] = share
        for way, word in (("out", "sent"), ("in", "received")):
            row[f"syn_{word}"], row[f"rst_{word}"] = n[f"syn_{way}"], n[f"rst_{way}"]
            row[f"rst_{word}_share"] = per(n[f"rst_{way}"], n[f"tcp_{way}"])
            row[f"unreachable_{word}"] = n[f"unreachable_{way}"]
        return row | {
            "upload_download_ratio": n["bytes_out"] / max(n["bytes_in"], 1),
            "upload_share": per(n["bytes_out"], n_bytes),
            "packet_bytes_mean": n_bytes / packets,
            "packet_bytes_max": max(r.lengths),
            "packet_size_entropy": entropy(Counter(min(x // 100, 15) for x in r.lengths).values()),
            "active_s": min(max(r.times) - min(r.times), self.n_panes * self.hop_ns) / 1e9,
            "busy_share": n_busy / (64 * self.n_panes),
            "tcp_share": n["tcp"] / packets,
            "udp_share": n["udp"] / packets,
            "icmp_share": n["icmp"] / packets,
            "group_share": per(n["group"], n["packets_out"]),
            "arp_requests": n["arp_requests"],
            "new_peer_share": min(1.0, per(n["new_peers_out"], sets["peers_out"])),
            "peer_port_entropy": entropy(r.bins[0].values()),
            "own_port_entropy": entropy(r.bins[1].values()),
            "ports_per_peer": per(sets["peer_port_pairs"], sets["peers_out"]),
            "peers_per_service": per(sets["peers_out"], sets["peer_ports"]),
            "echo_requests_sent": n["echo_out"],
            "dns_queries": n["dns_queries"],
            "dns_name_entropy": fmean(r.entropies) if r.entropies else 0.0,
            "dns_name_bytes": per(characters, len(r.names)),
            "dns_label_bytes": per(characters, sum(len(labels) for labels in r.names)),
            "dns_nxdomain_received": n["dns_nxdomain_received"],
            "beacon_regularity": r.rhythm[0],
            "beacon_starts": r.rhythm[1],
            "beacon_period_s": r.rhythm[2],
        }


def is_unicast(address: Address) -> bool:
    """Neither unspecified nor multicast nor broadcast."""
    high, low, version = address
    if version == 4:
        return low & 0xFFFF_FFFF != 0 and low >> 24 & 0xFF < 224
    return high >> 56 != 0xFF and (high, low) != (0, 0)


def read_name(message: bytes) -> list[bytes] | None:
    """Labels of the first question's name in lower case, or None where it is not whole."""
    labels, at = [], 12
    while at < len(message) and at - 12 < 255:
        length = message[at]
        if length == 0:
            return labels
        if length > 63:
            return None
        labels.append(message[at + 1 : at + 1 + length].lower())
        at += 1 + length
    return None


def differences(fast: dict[str, float], slow: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Columns in which two rows disagree, beyond rounding and what an estimate may be off."""
    found = {}
    for name in fast.keys() | slow.keys():
        mine, its = fast.get(name, math.nan), slow.get(name, math.nan)
        is_estimate = any(slow[of] > 32 for of in ESTIMATED.get(name, ()))
        # Four standard errors; entropies of names are summed in millionths of a bit, and more than
        # one kind of port may fall into one of 32 classes.
        tolerance = 0.6 if is_estimate else 1e-9
        slack = 1e-5 if name == "dns_name_entropy" else 1e-9
        if name.endswith("port_entropy"):
            if not -1e-9 <= mine <= min(its + 1e-9, 5.0):
                found[name] = mine, its
        elif not math.isclose(mine, its, rel_tol=tolerance, abs_tol=slack):
            found[name] = mine, its
    return found

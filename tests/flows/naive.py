"""Flows the slow way: every packet is kept, every figure is computed from the whole list.

Correct by reading: a dictionary of objects, `statistics` and `fractions`. It has no capacity.
"""

import statistics
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tapwatch.config import FlowConfig
from tapwatch.tables import EndReason
from tests.flows import naive_connection, naive_fragments

S = 1_000_000_000
MASK = (1 << 64) - 1
PAIRS = {
    1: {8: 0, 13: 14, 15: 16, 10: 9, 17: 18},
    58: {128: 129, 130: 131, 133: 134, 135: 136, 139: 140, 144: 145},
}
FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass
class Flow:
    """One flow: who, and its packets as (packet, direction)."""

    src: tuple[int, int, int]
    dst: tuple[int, int, int]
    proto: int
    first: dict[str, Any]
    packets: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    #: Of the connection, the row before the cut.
    before: "Flow | None" = None

    @property
    def earlier(self) -> list[tuple[dict[str, Any], int]]:
        """Packets of the connection before the cut."""
        return self.before.earlier + self.before.packets if self.before else []

    @property
    def beginning(self) -> "Flow":
        """The connection's first row."""
        return self.before.beginning if self.before else self

    def latest(self, *directions: int) -> int | None:
        """Latest time of the last row that has packets of these directions, the running one too."""
        if times := self.side_times(*directions):
            return max(times)
        return self.before.latest(*directions) if self.before else None

    def times(self, *directions: int) -> list[int]:
        return [p["ts_ns"] for p, d in self.packets if d in directions]

    def side_times(self, *directions: int) -> list[int]:
        """Times for gaps: the first packet of a direction is not before the row."""
        times = self.times(*directions)
        return [max(times[0], self.packets[0][0]["ts_ns"]), *times[1:]] if times else []

    def closing(self) -> EndReason | None:
        """Why the connection is closing: what came first of RST and FIN both ways."""
        fins = set()
        for p, d in self.earlier + self.packets:
            if p["proto"] != 6 or not p["transport_header_bytes"]:
                continue
            if p["tcp_flags"] & FIN:
                fins.add(d)
            if p["tcp_flags"] & RST:
                return EndReason.RST
            if fins == {0, 1}:
                return EndReason.FIN
        return None

    def timeout_ns(self, config: FlowConfig) -> int:
        seconds = {
            17: config.udp_idle_timeout_s,
            1: config.icmp_idle_timeout_s,
            58: config.icmp_idle_timeout_s,
        }.get(self.proto, config.idle_timeout_s)
        return round((config.linger_s if self.closing() else seconds) * S)

    def deadline(self, config: FlowConfig) -> int:
        return self.packets[-1][0]["clock_ns"] + self.timeout_ns(config)

    def is_reused_by(self, p: dict[str, Any], d: int) -> bool:
        """A SYN of a side that has said more than SYNs, and has another initial number."""
        mine = [q for q, e in self.earlier + self.packets if e == d and q["transport_header_bytes"]]
        said = [i for i, q in enumerate(mine) if not asks(q)]
        if not said:
            return False
        syns = [q["tcp_seq"] for q in mine[: said[0] + 1] if q["tcp_flags"] & SYN]
        isn = syns[-1] if syns else (mine[said[0]]["tcp_seq"] - 1) % 2**32
        return p["tcp_seq"] != isn


def asks(p: dict[str, Any]) -> bool:
    """A SYN without ACK and RST."""
    return bool(p["transport_header_bytes"]) and p["tcp_flags"] & (SYN | ACK | RST) == SYN


def flows(
    packets: list[dict[str, Any]], config: FlowConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give the rows of all flows, in the order they come out, and a link for each packet."""
    held: dict[object, Flow] = {}
    fragments: dict[object, Any] = {}
    rows: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    clock = packets[-1]["clock_ns"] if packets else 0
    for p in packets:
        p["is_wrong"] = 0
        if not p["is_flow"]:
            links.append({"is_flow": 0, "flow_id": 0})
            continue
        proto, src_port, dst_port, is_one_way = ports(p, fragments)
        src = (p["src_hi"], p["src_lo"], src_port)
        dst = (p["dst_hi"], p["dst_lo"], dst_port)
        ends: object = (src, dst) if is_one_way else frozenset((src, dst))
        key = (proto, p["ip_version"], vlan(p), p["tunnel_id"], is_one_way, ends)
        flow = held.get(key)
        if flow is not None:
            flow = judge(flow, p, src, config, rows)
        if flow is None:
            is_answer = p["proto"] == 6 and p["tcp_flags"] & (SYN | ACK) == SYN | ACK
            flow = Flow(dst, src, proto, p) if is_answer else Flow(src, dst, proto, p)
        held[key] = flow
        d = 0 if src == flow.src else 1
        flow.packets.append((p, d))
        links.append(link(flow, p, d, src_port, dst_port))
    last = []
    for flow in held.values():
        if clock > flow.deadline(config):
            rows.append(row(flow, flow.closing() or EndReason.IDLE, flow.deadline(config)))
        else:
            last.append(row(flow, flow.closing() or EndReason.EOF, clock))
    return in_order(rows) + in_order(last), links


def judge(
    flow: Flow,
    p: dict[str, Any],
    src: tuple[int, int, int],
    config: FlowConfig,
    rows: list[dict[str, Any]],
) -> Flow | None:
    """Give the flow that the packet belongs to: this one, its continuation, or none yet."""
    d = 0 if src == flow.src else 1
    closing = flow.closing()
    if p["clock_ns"] > flow.deadline(config):
        rows.append(row(flow, closing or EndReason.IDLE, flow.deadline(config)))
        return None
    if p["proto"] == 6 and asks(p):
        if closing:
            rows.append(row(flow, closing, p["clock_ns"]))
            return None
        if flow.is_reused_by(p, d):
            rows.append(row(flow, EndReason.PORT_REUSE, p["clock_ns"]))
            return None
    if p["ts_ns"] - flow.packets[0][0]["ts_ns"] > round(config.active_timeout_s * S):
        rows.append(row(flow, EndReason.ACTIVE, p["clock_ns"]))
        return Flow(flow.src, flow.dst, flow.proto, p, before=flow)
    return flow


def ports(p: dict[str, Any], fragments: dict[object, Any]) -> tuple[int, int, int, bool]:
    """Protocol, source port, destination port and whether the answer is another flow."""
    addresses = p["src_hi"], p["src_lo"], p["dst_hi"], p["dst_lo"]
    proto = p["proto"] if p["ip_version"] == 4 else "any"
    datagram = (*addresses, proto, p["ip_version"], p["ip_id"], vlan(p), p["tunnel_id"])
    before = fragments.get(datagram)
    is_fresh = before is not None and p["clock_ns"] - before[0] <= 30 * S
    p["is_wrong"] = bool(p["is_fragment"]) and naive_fragments.is_impossible(p)
    if p["frag_offset_bytes"]:
        if is_fresh:
            p["is_wrong"] |= before[2].add(p)
            return before[1]
        no_header = p["proto"] in PAIRS
        return p["proto"], *((0, 0) if no_header else (p["src_port"], p["dst_port"])), False
    found = p["proto"], p["src_port"], p["dst_port"], False
    if p["proto"] in PAIRS:
        counter = PAIRS[p["proto"]]
        counter = counter | {answer: question for question, answer in counter.items()}
        kind = p["icmp_type"]
        one_way = kind not in counter
        found = p["proto"], kind, (p["icmp_code"] if one_way else counter[kind]), one_way
    if p["is_fragment"]:
        p["is_wrong"] |= is_fresh and before[2].contradicts(p)
        fragments[datagram] = (p["clock_ns"], found, naive_fragments.Datagram(p))
    return found


def vlan(p: dict[str, Any]) -> int:
    return p["vlan_tci"] % 4096 if p["n_vlan_tags"] else -1


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort by (order_ns, last_ts_ns, flow_id, first_frame)."""
    by = ("order_ns", "last_ts_ns", "flow_id", "first_frame")
    return sorted(rows, key=lambda row: [row[name] for name in by])


def mix(x: int) -> int:
    """The 64-bit finaliser, in whole numbers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def flow_id(flow: Flow) -> int:
    """Hash of the key, initiator first, and the first timestamp."""
    seed = int.from_bytes(b"tapwatch", "big")
    a, b = (mix(mix(mix(hi ^ seed) ^ lo) ^ port) for hi, lo, port in (flow.src, flow.dst))
    p = flow.first
    meta = flow.proto | p["ip_version"] << 8 | (vlan(p) + 1) << 16 | p["tunnel_id"] << 32
    return mix(mix(mix(a ^ meta) ^ b) ^ p["ts_ns"] & MASK) & MASK >> 1 or 1


def link(flow: Flow, p: dict[str, Any], d: int, src_port: int, dst_port: int) -> dict[str, Any]:
    """What is said of the latest packet of a flow."""
    sides = [[q for q, e in flow.packets if e == side] for side in (0, 1)]
    return {
        "flow_id": flow_id(flow),
        "flow_first_ts_ns": flow.first["ts_ns"],
        "connection_id": flow_id(flow.beginning),
        "gap_flow_ns": latest_gap(flow, 0, 1),
        "gap_direction_ns": latest_gap(flow, d),
        "bytes": [sum(q["wire_bytes"] for q in side) for side in sides],
        "packets": [len(side) for side in sides],
        "src_port": src_port,
        "dst_port": dst_port,
        "proto": flow.proto,
        "is_flow": 1,
        "direction": d,
    }


def latest_gap(flow: Flow, *directions: int) -> int:
    """Time from the packet before to the latest; where that is the first of a row, over the cut."""
    times = flow.side_times(*directions)
    if len(times) > 1:
        return gaps(times)[-1]
    before = flow.before.latest(*directions) if flow.before else None
    return 0 if before is None else max(0, flow.times(*directions)[0] - before)


def gaps(times: list[int]) -> list[int]:
    """Time since the latest packet before; a late packet has none."""
    return [max(0, t - max(times[:i])) for i, t in enumerate(times) if i]


def summary(values: list[int]) -> tuple[float, float, int, int]:
    """Mean, sum of squared deviations, minimum and maximum; zeros of nothing."""
    if not values:
        return 0.0, 0.0, 0, 0
    exact = [Fraction(value) for value in values]
    mean = statistics.mean(exact)
    return float(mean), float(sum((v - mean) ** 2 for v in exact)), min(values), max(values)


def periods(times: list[int]) -> tuple[list[int], list[int]]:
    """Lengths of active periods, and of the idle gaps over 5 s between them."""
    active, idle = [], []
    start = end = times[0]
    for t in times[1:]:
        if t - end > 5 * S:
            active.append(end - start)
            idle.append(t - end)
            start = t
        end = max(end, t)
    active.append(end - start)
    return [length for length in active if length > 0], idle


def bulks(packets: list[tuple[dict[str, Any], int]], direction: int) -> list[list[dict[str, Any]]]:
    """Runs of at least 4 payload packets one way, without long gaps and payload the other way."""
    runs: list[list[dict[str, Any]]] = [[]]
    for p, d in packets:
        if p["payload_bytes"] <= 0:
            continue
        if d != direction:
            runs.append([])
        elif runs[-1] and p["ts_ns"] - max(q["ts_ns"] for q in runs[-1]) > S:
            runs.append([p])
        else:
            runs[-1].append(p)
    return [run for run in runs if len(run) >= 4]


def row(flow: Flow, reason: EndReason, end_ns: int) -> dict[str, Any]:
    """The FLOW row, without the running state of bulks and periods."""
    first = flow.first
    out: dict[str, Any] = {
        "src_hi": flow.src[0],
        "src_lo": flow.src[1],
        "src_port": flow.src[2],
        "dst_hi": flow.dst[0],
        "dst_lo": flow.dst[1],
        "dst_port": flow.dst[2],
        "tunnel_id": first["tunnel_id"],
        "vlan": vlan(first),
        "proto": flow.proto,
        "ip_version": first["ip_version"],
        "interface": first["interface"],
        "end_reason": int(reason),
        "is_continuation": int(flow.before is not None),
        "is_closing": int(flow.closing() or 0),
        "first_ts_ns": first["ts_ns"],
        "last_ts_ns": max(flow.times(0, 1)),
        "last_clock_ns": flow.packets[-1][0]["clock_ns"],
        "first_frame": first["number"],
        "end_ns": end_ns,
        "order_ns": (end_ns // S + 1) * S,
        "flow_id": flow_id(flow),
        "long_gaps": sum(gap > S for gap in gaps(flow.times(0, 1))),
    }
    sides = [one_side(flow, d) for d in (0, 1)]
    out |= {name: [side[name] for side in sides] for name in sides[0]}
    out["flag_counts"] = [list(pair) for pair in zip(*out["flag_counts"], strict=True)]
    fin_seen = {
        d
        for p, d in flow.earlier + flow.packets
        if p["proto"] == 6 and p["transport_header_bytes"] and p["tcp_flags"] & FIN
    }
    out["fin_seen"] = sum(1 << d for d in fin_seen)
    kinds = [gaps(flow.side_times(*which)) for which in ((0, 1), (0,), (1,))]
    out["gap_sum_ns"] = [sum(kind) for kind in kinds]
    parts = zip(*(summary(kind) for kind in kinds), strict=True)
    names = ("gap_mean_ns", "gap_m2_ns2", "gap_min_ns", "gap_max_ns")
    out |= {name: list(part) for name, part in zip(names, parts, strict=True)}
    kinds = list(periods(flow.times(0, 1)))
    out["period_n"] = [len(kind) for kind in kinds]
    parts = zip(*(summary(kind) for kind in kinds), strict=True)
    names = ("period_mean_ns", "period_m2_ns2", "period_min_ns", "period_max_ns")
    out |= connection(flow)
    return out | {name: list(part) for name, part in zip(names, parts, strict=True)}


def connection(flow: Flow) -> dict[str, Any]:
    """The fields of the connection, over all cuts before this row's end."""
    everything = flow.earlier + flow.packets
    segments = [(p, d) for p, d in everything if p["proto"] == 6 and p["transport_header_bytes"]]
    here = [(p, d) for p, d in flow.packets if p["proto"] == 6 and p["transport_header_bytes"]]
    sides = [[p for p, e in everything if e == d] for d in (0, 1)]
    mine = [[p for p, e in segments if e == d] for d in (0, 1)]
    again = [naive_connection.repeated(side) for side in mine]
    has_icmp = flow.first["proto"] in PAIRS and not flow.first["frag_offset_bytes"]
    return {
        "connection_id": flow_id(flow.beginning),
        "connection_first_ts_ns": flow.beginning.first["ts_ns"],
        "connection_payload_bytes": [sum(max(p["payload_bytes"], 0) for p in s) for s in sides],
        "urgent_packets": sum(p["tcp_flags"] >> 5 & 1 for p, _ in segments),
        "wrong_fragments": sum(p["is_wrong"] for p, _ in everything),
        "has_icmp": int(has_icmp),
        "icmp_type": flow.first["icmp_type"] if has_icmp else 0,
        "icmp_code": flow.first["icmp_code"] if has_icmp else 0,
        "highest_seq": [naive_connection.highest(side) for side in mine],
        "retransmissions": [
            sum(any(p is q for q in again[d]) for p, e in here if e == d) for d in (0, 1)
        ],
        "conn_state": int(naive_connection.conn_state(flow.proto, segments, sides)),
    }


def one_side(flow: Flow, d: int) -> dict[str, Any]:
    """The figures of one direction."""
    packets = [p for p, e in flow.packets if e == d]
    payloads = [max(p["payload_bytes"], 0) for p in packets]
    headers = [p["transport_header_bytes"] for p in packets if p["transport_header_bytes"]]
    tcp = [p for p in packets if p["proto"] == 6 and p["transport_header_bytes"]]
    runs = bulks(flow.packets, d)
    mean, m2, least, most = summary(payloads)
    flags = 0
    for p in tcp:
        flags |= p["tcp_flags"]
    return {
        "packets": len(packets),
        "wire_bytes": sum(p["wire_bytes"] for p in packets),
        "payload_bytes": sum(payloads),
        "payload_mean": mean,
        "payload_m2": m2,
        "payload_min": least,
        "payload_max": most,
        "header_bytes": sum(headers),
        "header_min_bytes": min(headers, default=0),
        "data_packets": sum(payload > 0 for payload in payloads),
        "init_window": tcp[0]["tcp_window"] if tcp else -1,
        "direction_last_ts_ns": flow.latest(d) or 0,
        "tcp_flags": flags,
        "flag_counts": [sum(p["tcp_flags"] >> bit & 1 for p in tcp) for bit in range(8)],
        "bulk_n": len(runs),
        "bulk_packets": sum(map(len, runs)),
        "bulk_bytes": sum(p["payload_bytes"] for run in runs for p in run),
        "bulk_duration_ns": sum(max(p["ts_ns"] for p in run) - run[0]["ts_ns"] for run in runs),
    }

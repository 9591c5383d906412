"""The flow view, slow and obvious. Correct by reading; the kernel must agree with it.

`flow_values` computes the flow statistics from plain lists of packets, the way a textbook defines
them, and knows nothing of running means. `flow_state` makes the FLOW row that such a list leads to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev, variance
from typing import Any

import numpy as np

from tapwatch.features.flow.classes import PORT_CLASSES, PROTOCOLS, SERVICES
from tapwatch.tables import FLOW

PROTOCOL_WORDS = {number: word for word, number in PROTOCOLS.items()}


@dataclass(frozen=True)
class Packet:
    """One packet of a flow."""

    ts_ns: int
    way: int  # 0 forward, 1 backward
    payload: int = 0
    header: int = 20
    flags: int = 0x10
    window: int = 1000
    is_again: bool = False  # a segment that brings nothing that was not sent before


@dataclass(frozen=True)
class Who:
    """What a flow is beside its packets."""

    proto: int = 6
    src_port: int = 49_200
    dst_port: int = 443
    icmp: tuple[int, int] | None = None  # type and code of its first packet
    began_ns: int | None = None  # first packet of the connection, where a cut came before


def _gaps(times: Sequence[int]) -> list[int]:
    """Time since the latest packet before, 0 for a packet from the past."""
    latest, gaps = None, []
    for t in times:
        if latest is not None:
            gaps.append(max(0, t - latest))
        latest = t if latest is None else max(latest, t)
    return gaps


def _statistics(prefix: str, values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    n = len(values)
    return {
        f"{prefix}_tot": sum(values) / scale,
        f"{prefix}_mean": mean(values) / scale if n else 0.0,
        f"{prefix}_std": stdev(values) / scale if n > 1 else 0.0,
        f"{prefix}_var": variance(values) / scale**2 if n > 1 else 0.0,
        f"{prefix}_max": max(values, default=0) / scale,
        f"{prefix}_min": min(values, default=0) / scale,
    }


def _periods(packets: Sequence[Packet]) -> tuple[list[int], list[int]]:
    """Lengths of active periods and of the gaps over 5 s that part them."""
    active, idle = [], []
    start = latest = packets[0].ts_ns
    for p in packets[1:]:
        if p.ts_ns - latest > 5 * 10**9:
            active.append(latest - start)
            idle.append(p.ts_ns - latest)
            start = p.ts_ns
        latest = max(latest, p.ts_ns)
    return [length for length in [*active, latest - start] if length > 0], idle


def _bulks(packets: Sequence[Packet], way: int) -> list[list[Packet]]:
    """Runs of at least 4 payload packets one way."""
    runs: list[list[Packet]] = [[]]
    for p in packets:
        if not p.payload:
            continue
        if p.way != way or (runs[-1] and p.ts_ns - runs[-1][-1].ts_ns > 10**9):
            runs.append([])
        if p.way == way:
            runs[-1].append(p)
    return [run for run in runs if len(run) >= 4]


def port_word(proto: int, port: int) -> str:
    """Class of a port."""
    if proto not in (6, 17, 33, 132, 136) or port == 0:
        return "none"
    for word, ports in SERVICES.items():
        if port in ports:
            return word
    return "system" if port <= 1023 else "registered" if port <= 49_151 else "dynamic"


def flow_values(packets: Sequence[Packet], who: Who | None = None) -> dict[str, float]:
    """Name -> value for a flow of these packets, which come in order of time."""
    who = who or Who()
    ways = [[p for p in packets if p.way == way] for way in (0, 1)]
    times = [p.ts_ns for p in packets]
    seconds = (max(times) - times[0]) / 1e9
    out: dict[str, float] = {"flow_duration": seconds * 1e6}
    for name, side in zip(("fwd", "bwd"), ways, strict=True):
        total = sum(p.payload for p in side)
        per_packet = total / len(side) if side else 0.0
        pieces = sum(gap > 10**9 for gap in _gaps(times)) + 1
        bulks = _bulks(packets, 0 if name == "fwd" else 1)
        bulk_bytes = sum(p.payload for run in bulks for p in run)
        bulk_s = sum(run[-1].ts_ns - run[0].ts_ns for run in bulks) / 1e9
        out |= {
            f"tot_{name}_pkts": len(side),
            f"totlen_{name}_pkts": total,
            f"{name}_psh_flags": sum(p.flags & 8 > 0 for p in side),
            f"{name}_urg_flags": sum(p.flags & 32 > 0 for p in side),
            f"{name}_header_len": sum(p.header for p in side),
            f"{name}_pkts_s": len(side) / seconds if seconds else 0.0,
            f"{name}_seg_size_avg": per_packet,
            f"{name}_byts_b_avg": bulk_bytes / len(bulks) if bulks else 0.0,
            f"{name}_pkts_b_avg": sum(map(len, bulks)) / len(bulks) if bulks else 0.0,
            f"{name}_blk_rate_avg": bulk_bytes / bulk_s if bulk_s else 0.0,
            f"subflow_{name}_pkts": len(side) / pieces,
            f"subflow_{name}_byts": total / pieces,
            f"init_{name}_win_byts": side[0].window if side else -1,
            f"{name}_rst_flags": sum(p.flags & 4 > 0 for p in side),
            f"{name}_act_data_pkts": sum(p.payload > 0 for p in side),
            f"{name}_seg_size_min": min((p.header for p in side), default=0),
            f"{name}_tcp_retrans_count": sum(p.is_again for p in side),
        }
        out |= _statistics(f"{name}_pkt_len", [p.payload for p in side])
        out |= _statistics(f"{name}_iat", _gaps([p.ts_ns for p in side]), 1e3)
    payload = sum(p.payload for p in packets)
    out |= _statistics("pkt_len", [p.payload for p in packets])
    out |= _statistics("flow_iat", _gaps(times), 1e3)
    for bit, name in enumerate(("fin", "syn", "rst", "psh", "ack", "urg", "ece")):
        out[f"{name}_flag_cnt"] = sum(p.flags >> bit & 1 for p in packets)
    out |= {
        "cwe_flag_count": sum(p.flags >> 7 & 1 for p in packets),
        "flow_byts_s": payload / seconds if seconds else 0.0,
        "flow_pkts_s": len(packets) / seconds if seconds else 0.0,
        "down_up_ratio": len(ways[1]) / len(ways[0]) if ways[0] else 0.0,
        "pkt_size_avg": payload / len(packets),
        "total_tcp_retrans_count": sum(p.is_again for p in packets),
        "icmp_type": who.icmp[0] if who.icmp else -1,
        "icmp_code": who.icmp[1] if who.icmp else -1,
        "protocol": (["other", *PROTOCOLS]).index(PROTOCOL_WORDS.get(who.proto, "other")),
        "src_port_class": PORT_CLASSES.index(port_word(who.proto, who.src_port)),
        "dst_port_class": PORT_CLASSES.index(port_word(who.proto, who.dst_port)),
    }
    began_ns = times[0] if who.began_ns is None else who.began_ns
    out["total_connection_flow_time"] = (max(times) - began_ns) / 1e3
    active, idle = _periods(packets)
    return out | _statistics("active", active, 1e3) | _statistics("idle", idle, 1e3)


def _squares(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sum of squared deviations."""
    middle = mean(values) if values else 0.0
    return middle, math.fsum((v - middle) ** 2 for v in values)


def flow_state(packets: Sequence[Packet], who: Who | None = None) -> Any:
    """The FLOW row of an ended flow of these packets, which come in order of time."""
    f = np.zeros(1, FLOW)[0]
    times = [p.ts_ns for p in packets]
    who = who or Who()
    f["proto"], f["src_port"], f["dst_port"] = who.proto, who.src_port, who.dst_port
    f["connection_first_ts_ns"] = times[0] if who.began_ns is None else who.began_ns
    f["has_icmp"] = who.icmp is not None
    f["icmp_type"], f["icmp_code"] = who.icmp or (0, 0)
    f["first_ts_ns"], f["last_ts_ns"], f["vlan"] = times[0], max(times), -1
    f["init_window"] = -1
    kinds = [_gaps(times)]
    for way in (0, 1):
        side = [p for p in packets if p.way == way]
        lengths = [p.payload for p in side]
        kinds.append(_gaps([p.ts_ns for p in side]))
        f["packets"][way], f["payload_bytes"][way] = len(side), sum(lengths)
        f["payload_mean"][way], f["payload_m2"][way] = _squares(lengths)
        f["payload_min"][way] = min(lengths, default=0)
        f["payload_max"][way] = max(lengths, default=0)
        f["header_bytes"][way] = sum(p.header for p in side)
        f["header_min_bytes"][way] = min((p.header for p in side), default=0)
        f["data_packets"][way] = sum(length > 0 for length in lengths)
        f["retransmissions"][way] = sum(p.is_again for p in side)
        if side:
            f["init_window"][way] = side[0].window
        for bit in range(8):
            f["flag_counts"][bit, way] = sum(p.flags >> bit & 1 for p in side)
        bulks = _bulks(packets, way)
        f["bulk_n"][way], f["bulk_packets"][way] = len(bulks), sum(map(len, bulks))
        f["bulk_bytes"][way] = sum(p.payload for run in bulks for p in run)
        f["bulk_duration_ns"][way] = sum(run[-1].ts_ns - run[0].ts_ns for run in bulks)
    f["long_gaps"] = sum(gap > 10**9 for gap in kinds[0])
    for prefix, groups in (("gap", kinds), ("period", _periods(packets))):
        for k, values in enumerate(groups):
            f[f"{prefix}_mean_ns"][k], f[f"{prefix}_m2_ns2"][k] = _squares(values)
            f[f"{prefix}_min_ns"][k] = min(values, default=0)
            f[f"{prefix}_max_ns"][k] = max(values, default=0)
            if prefix == "gap":
                f["gap_sum_ns"][k] = sum(values)
            else:
                f["period_n"][k] = len(values)
    return f

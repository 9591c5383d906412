"""Captures through the slow twins alone: what every view is expected to give, without a kernel.

decode, conversations, flows and views are those of tests/*/naive*.py; here they are put one behind
the other, and rows get their names in words. Nothing of the packet path is called.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Iterable
from typing import Any, NamedTuple

from tapwatch.config import FlowConfig
from tapwatch.features.catalog import schema_of
from tapwatch.features.kdd.rules import CONTENT_COLUMNS, PORTS
from tapwatch.features.label_names import LABELS
from tapwatch.tables import EndReason
from tests.capture import naive as naive_capture
from tests.decode import naive as naive_decode
from tests.features import naive, naive_afterimage, naive_flow, naive_host, naive_kdd
from tests.features.naive_kdd_content import Session
from tests.features.naive_labels import NaiveLabels
from tests.flows import naive as naive_flows
from tests.flows import naive_conversations

S = 10**9
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 33: "DCCP", 47: "GRE", 50: "ESP"}
PROTOCOLS |= {4: "IPv4", 41: "IPv6", 51: "AH", 58: "IPv6-ICMP", 59: "IPv6-NoNxt", 132: "SCTP"}
PROTOCOLS |= {136: "UDPLite"}
Row = dict[str, Any]


class Seen(NamedTuple):
    """One capture as the twins see it."""

    frames: list[bytes]
    link_types: list[int]
    packets: list[Row]
    links: list[Row]
    flows: list[Row]
    clock_ns: int


def see(raw: bytes) -> Seen:
    """Read, decode and file a capture."""
    captured, ending = naive_capture.read(raw)
    assert ending == "", ending
    packets, clock_ns = [], 0
    for number, one in enumerate(captured, 1):
        row = naive_decode.decode(one.captured, one.wire_bytes, one.link_type)
        clock_ns = max(clock_ns, one.ts_ns)
        row |= {"ts_ns": one.ts_ns, "clock_ns": clock_ns, "number": number, "interface": 0}
        row |= {"direction": 0, "status": int(row["status"] != "OK")}
        packets.append(row)
    buckets: list[dict[Any, Any]] = [{} for _ in range(naive_conversations.N_BUCKETS)]
    analyses = [_analysed(p, buckets) for p in packets]
    flows, links = naive_flows.flows(packets, FlowConfig())
    whole = [_NO_LINK | link | found for link, found in zip(links, analyses, strict=True)]
    frames = [one.captured for one in captured]
    return Seen(frames, [one.link_type for one in captured], packets, whole, flows, clock_ns)


_NO_LINK: Row = {"direction": 0, "connection_id": 0, "proto": 0, "src_port": 0, "dst_port": 0}


def _analysed(p: Row, buckets: list[dict[Any, Any]]) -> Row:
    found, gap_ns, advance = naive_conversations.one(p, buckets, 1 << 20)
    shift: Any = 0
    if p["proto"] == 6 and p["is_flow"] and p["transport_header_bytes"]:
        here, there = ((p[f"{end}_hi"], p[f"{end}_lo"], p[f"{end}_port"]) for end in ("src", "dst"))
        bucket = buckets[naive_conversations.bucket_of(here, there, p)]
        if not p["tcp_flags"] & 2:
            shift = next(reversed(bucket.values()))["sides"][here]["scale"]
    shift = shift if isinstance(shift, int) else 0
    told = {"tcp_analysis": found, "tcp_gap_ns": gap_ns, "tcp_seq_advance": advance}
    return told | {"tcp_window_shift": shift}


# Who a row is.


def address(high: int, low: int, version: int) -> str:
    """An address in words."""
    if version == 4:
        return str(ipaddress.IPv4Address(low & 0xFFFF_FFFF))
    if version == 6:
        return str(ipaddress.IPv6Address(high << 64 | low))
    return low.to_bytes(6, "big").hex(":")


def community_id(row: Row) -> str:
    """Community ID v1 of a flow, seed 0, by its specification."""
    size = 4 if row["ip_version"] == 4 else 16
    ends = [
        ((row[f"{end}_hi"] << 64 | row[f"{end}_lo"]) % (1 << 8 * size), row[f"{end}_port"])
        for end in ("src", "dst")
    ]
    proto = row["proto"]
    pairs = naive_flows.PAIRS.get(proto)
    is_one_way = pairs is not None and ends[0][1] not in {*pairs, *pairs.values()}
    if not is_one_way:
        ends.sort()
    (a, a_port), (b, b_port) = ends
    text = bytes(2) + a.to_bytes(size, "big") + b.to_bytes(size, "big") + bytes([proto, 0])
    if proto in (1, 6, 17, 58, 132):
        text += a_port.to_bytes(2, "big") + b_port.to_bytes(2, "big")
    return "1:" + base64.b64encode(hashlib.sha1(text).digest()).decode()


def _of_packet(p: Row, link: Row) -> Row:
    who = {f"{end}_{part}": p[f"{end}_{part}"] for end in ("src", "dst") for part in ("hi", "lo")}
    source = link if link["is_flow"] else p
    who |= {name: source[name] for name in ("src_port", "dst_port", "proto")}
    who |= {"ip_version": p["ip_version"]}
    is_arp = p["ip_version"] == 4 and who["proto"] == 0 and not link["is_flow"]
    return {
        "frame_number": p["number"],
        "first_ts_ns": p["ts_ns"],
        "last_ts_ns": p["ts_ns"],
        **_words(who),
        "proto": "ARP" if is_arp else PROTOCOLS.get(who["proto"], str(who["proto"])),
        "vlan": naive_flows.vlan(p),
        "flow_id": link["flow_id"],
        "community_id": community_id(who) if link["is_flow"] else "",
    }


def _words(row: Row) -> Row:
    ends = ("src", "dst")
    words: Row = {
        end: address(row[f"{end}_hi"], row[f"{end}_lo"], row["ip_version"]) for end in ends
    }
    return words | {"src_port": row["src_port"], "dst_port": row["dst_port"]}


def _of_flow(flow: Row) -> Row:
    return {
        "first_ts_ns": flow["first_ts_ns"],
        "last_ts_ns": flow["last_ts_ns"],
        **_words(flow),
        "proto": PROTOCOLS.get(flow["proto"], str(flow["proto"])),
        "vlan": flow["vlan"],
        "flow_id": flow["flow_id"],
        "community_id": community_id(flow),
        "end_reason": EndReason(flow["end_reason"]).name.lower(),
    }


# The views.


def packet_rows(seen: Seen) -> list[Row]:
    """One row a frame; the label last, because it heeds the analysis."""
    view, labels, rows = naive.PacketRows(), NaiveLabels(), []
    parts = zip(seen.frames, seen.link_types, seen.packets, seen.links, strict=True)
    for frame, link_type, p, link in parts:
        label = labels.label(p, link, lambda a, b, frame=frame: frame[a:b], (link_type, frame))
        row = view.row(p, link, LABELS.index(label))
        rows.append(_of_packet(p, link) | row)
    return rows


def flow_rows(seen: Seen) -> list[Row]:
    """One row a flow; figures that need what was before a cut come from the flow's own twin."""
    mine: dict[int, list[tuple[Row, Row]]] = {}
    for p, link in zip(seen.packets, seen.links, strict=True):
        if link["is_flow"]:
            mine.setdefault(link["flow_id"], []).append((p, link))
    rows = []
    for flow in sorted(seen.flows, key=lambda f: (f["last_ts_ns"], f["flow_id"])):
        packets = [
            naive_flow.Packet(
                p["ts_ns"],
                link["direction"],
                max(p["payload_bytes"], 0),
                p["transport_header_bytes"],
                p["tcp_flags"] if _is_segment(p) else 0,
            )
            for p, link in mine[flow["flow_id"]]
        ]
        icmp = (flow["icmp_type"], flow["icmp_code"]) if flow["has_icmp"] else None
        who = naive_flow.Who(
            flow["proto"],
            flow["src_port"],
            flow["dst_port"],
            icmp,
            flow["connection_first_ts_ns"],
        )
        rows.append(_of_flow(flow) | naive_flow.flow_values(packets, who) | _by_twin(flow))
    return rows


def _is_segment(p: Row) -> bool:
    return p["proto"] == 6 and p["transport_header_bytes"] > 0


def _by_twin(flow: Row) -> Row:
    out: Row = {"total_tcp_retrans_count": sum(flow["retransmissions"])}
    for d, name in enumerate(("fwd", "bwd")):
        n, seconds = flow["bulk_n"][d], flow["bulk_duration_ns"][d] / 1e9
        out |= {
            f"{name}_byts_b_avg": flow["bulk_bytes"][d] / n if n else 0.0,
            f"{name}_pkts_b_avg": flow["bulk_packets"][d] / n if n else 0.0,
            f"{name}_blk_rate_avg": flow["bulk_bytes"][d] / seconds if seconds else 0.0,
            f"init_{name}_win_byts": flow["init_window"][d],
            f"{name}_seg_size_min": flow["header_min_bytes"][d],
            f"{name}_tcp_retrans_count": flow["retransmissions"][d],
        }
    return out


def kdd_rows(seen: Seen) -> list[Row]:
    """One row a connection: those that ended in time, then those that were open at the end."""
    tick_ns = seen.clock_ns // S * S
    is_open = [
        f["end_reason"] != EndReason.IDLE and f["end_ns"] >= seen.clock_ns for f in seen.flows
    ]
    sure = [f for f in seen.flows if f["order_ns"] <= tick_ns]
    sure.sort(key=lambda f: (f["order_ns"], f["end_ns"], f["flow_id"], f["first_frame"]))
    rest = [(o, f) for o, f in zip(is_open, seen.flows, strict=True) if f["order_ns"] > tick_ns]
    by = ("order_ns", "last_ts_ns", "flow_id", "first_frame")
    rest.sort(key=lambda pair: (pair[0], *(pair[1][name] for name in by)))
    contents, windows, rows = _contents(seen), naive_kdd.Windows(), []
    for flow, is_end in [(f, False) for f in sure] + [(f, True) for _, f in rest]:
        if not naive_kdd.is_connection(flow):
            continue
        time_ns = flow["last_ts_ns"] if is_end else flow["end_ns"]
        counts = windows.see(naive_kdd.seen(flow, time_ns), is_end=is_end)
        content = contents.get(flow["connection_id"], dict.fromkeys(CONTENT_COLUMNS, 0))
        first = {"first_ts_ns": flow["connection_first_ts_ns"]}
        rows.append(_of_flow(flow) | first | naive_kdd.basic(flow) | content | counts)
    return rows


def _contents(seen: Seen) -> dict[int, Row]:
    """What clear-text sessions said, which the captures here send in order and once."""
    sessions: dict[int, Session] = {}
    for frame, p, link in zip(seen.frames, seen.packets, seen.links, strict=True):
        if not link["is_flow"] or not _is_segment(p):
            continue
        port = link["src_port" if link["direction"] else "dst_port"]
        if port not in PORTS or p["payload_bytes"] <= 0:
            continue
        session = sessions.setdefault(link["connection_id"], Session(PORTS[port]))
        start = p["payload_start"]
        session.send(link["direction"], frame[start : start + p["payload_captured_bytes"]])
    return {connection: session.columns for connection, session in sessions.items()}


def afterimage_rows(seen: Seen) -> list[Row]:
    """One row a frame, all 115 columns."""
    twin = naive_afterimage.Afterimage()
    return [
        _of_packet(p, link) | twin.add(naive_afterimage.frame_of(p))
        for p, link in zip(seen.packets, seen.links, strict=True)
    ]


class _Hosts(naive_host.NaiveHosts):
    """The twin, which keeps who and when a row is beside its values."""

    def _emit(self, order_ns: int, reason: str, records: list[naive_host.Record]) -> None:
        times = [time for record in records for time in record.times]
        values = self._values(records)
        who = {"order_ns": order_ns, "first_ts_ns": min(times), "last_ts_ns": max(times)}
        who |= {"src": address(*records[0].address), "end_reason": reason}
        self.rows.append((order_ns, reason, records[0].address, who | values))


def host_rows(seen: Seen) -> list[Row]:
    """One row a host and window of 5 s."""
    twin = _Hosts()
    for frame, p, link in zip(seen.frames, seen.packets, seen.links, strict=True):
        twin.update(p, link, frame)
    twin.close()
    return [row for _, _, _, row in twin.rows]


ROWS = {
    "packet": packet_rows,
    "flow": flow_rows,
    "kdd": kdd_rows,
    "afterimage_115": afterimage_rows,
    "host": host_rows,
}


def rows_of(view: str, raw: bytes) -> list[Row]:
    """Rows of a view of a capture, in the order of the file that `tapwatch features` writes.

    Classes are in words, whole numbers are int.
    """
    columns = schema_of(view).columns
    rows = ROWS[view](see(raw))
    for row in rows:
        for column in columns:
            value = row[column.name]
            if column.categories:
                word = value if isinstance(value, str) else column.categories[int(value)]
                row[column.name] = word
            elif column.dtype == "int64":
                assert value == int(value), (column.name, value)
                row[column.name] = int(value)
            else:
                row[column.name] = float(value)
    return rows


def text_of(view: str, rows: Iterable[Row], names: Iterable[str]) -> str:
    """Rows as CSV: floats with the 15 digits that every double has."""
    names = list(names)
    lines = [",".join(names)]
    for row in rows:
        values = (row[name] for name in names)
        lines.append(",".join(f"{v:.15g}" if isinstance(v, float) else str(v) for v in values))
    return "\n".join(lines) + "\n"

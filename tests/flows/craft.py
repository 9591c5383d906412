"""PACKET rows by hand: what a decoder would have written, without frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import FlowConfig
from tapwatch.flows import FlowTable
from tapwatch.tables import FLOW, PACKET

S = 1_000_000_000
T0 = 1_700_000_000 * S
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
TCP, UDP, ICMP, ICMPV6, GRE, SCTP = 6, 17, 1, 58, 47, 132
_IPV4 = 0xFFFF_0000_0000
_HEADER_BYTES = {TCP: 20, UDP: 8, ICMP: 8, ICMPV6: 8, GRE: 4, SCTP: 12}


def packet(at_s: float = 0.0, src: int = 1, dst: int = 2, **fields: Any) -> dict[str, Any]:
    """One packet; `src` and `dst` are small host numbers, `at_s` seconds after T0."""
    proto = fields.get("proto", TCP)
    return {
        "ts_ns": T0 + round(at_s * S),
        "src_lo": _IPV4 | src,
        "dst_lo": _IPV4 | dst,
        "src_port": 1000 + src,
        "dst_port": 1000 + dst,
        "proto": proto,
        "ip_version": 4,
        "is_flow": 1,
        "tcp_flags": ACK if proto == TCP else 0,
        "transport_header_bytes": _HEADER_BYTES.get(proto, 0),
        "wire_bytes": 54 + fields.get("payload_bytes", 0),
        "payload_bytes": 0,
        "tcp_window": 512,
        **fields,
    }


def table_of(packets: list[dict[str, Any]]) -> NDArray[Any]:
    """Packets as PACKET, numbered from 1, with the running clock."""
    rows = np.zeros(len(packets), PACKET)
    for i, fields in enumerate(packets):
        rows[i]["number"] = i + 1
        for name, value in fields.items():
            rows[i][name] = value
    rows["clock_ns"] = np.maximum.accumulate(rows["ts_ns"]) if len(rows) else 0
    return rows


def file_all(
    rows: NDArray[Any],
    *,
    config: FlowConfig | None = None,
    borders: tuple[int, ...] = (),
    workers: int = 1,
    suspend: bool = False,
) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    """All FLOW rows in the order they come out, all links, and the counts at the end."""
    config = config or FlowConfig()
    table = FlowTable(config, workers=workers)
    ended, links = [np.empty(0, FLOW)], []
    for batch in np.split(rows, sorted(min(border, len(rows)) for border in borders)):
        if suspend:
            state = table.suspend()
            table = FlowTable(config, workers=workers)
            table.resume(state)
        until_ns = int(batch["clock_ns"][-1]) if len(batch) else 0
        update = table.update(batch, until_ns)
        ended.append(update.ended)
        links.append(update.links)
    ended += table.finish()
    return np.concatenate(ended), np.concatenate(links), table.counts


def reasons(ended: NDArray[Any]) -> list[str]:
    """End reasons, in order."""
    from tapwatch.tables import EndReason

    return [EndReason(int(reason)).name for reason in ended["end_reason"]]

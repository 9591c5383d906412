"""Traffic for the host view: PACKET rows by hand, filed by the real flow table."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config, FlowConfig, WindowsConfig
from tapwatch.features import VIEWS
from tapwatch.flows import FlowTable
from tapwatch.tables import FRAME, ROW, EndReason, Traffic
from tests.features.naive_host import NaiveHosts, differences
from tests.flows.craft import packet, table_of

NO_DATA = b""


def dns_message(name: bytes, flags: int = 0x0100, questions: int = 1) -> bytes:
    """A header and one question for a dotted name."""
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b".") if label)
    head = b"\x12\x34" + flags.to_bytes(2, "big") + questions.to_bytes(2, "big") + bytes(6)
    return head + labels + b"\0" + b"\0\1\0\1"


def datagrams(messages: Sequence[bytes], **fields: Any) -> tuple[list[dict[str, Any]], bytes]:
    """Packets that carry these messages to port 53, and the bytes they point into."""
    packets, data = [], b""
    for k, message in enumerate(messages):
        packets.append(
            packet(
                k / 100,
                **{
                    "proto": 17,
                    "dst_port": 53,
                    "payload_start": len(data),
                    "payload_bytes": len(message),
                    "payload_captured_bytes": len(message),
                    **fields,
                },
            )
        )
        data += message
    return packets, data


def made(
    packets: Sequence[dict[str, Any]] | NDArray[Any],
    data: bytes = NO_DATA,
    *,
    windows: WindowsConfig | None = None,
    flows: FlowConfig | None = None,
    batch: int = 8192,
    until_ns: int | None = None,
    dtype: Any = np.float64,
    workers: int = 1,
) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The view, its values and rows, and the links of all packets."""
    table = packets if isinstance(packets, np.ndarray) else table_of(list(packets))
    config = Config(windows=windows or WindowsConfig(), flows=flows or FlowConfig())
    view, filed = VIEWS["host"](dtype, config), FlowTable(config.flows, workers=workers)
    bytes_of = np.frombuffer(data, np.uint8)
    batches, links = [], []
    for low in range(0, len(table), batch):
        part = table[low : low + batch]
        time_ns = int(part["clock_ns"][-1])
        if until_ns is not None and low + batch >= len(table):
            time_ns = until_ns
        update = filed.update(part, time_ns)
        links.append(update.links)
        frames = np.zeros(len(part), FRAME)
        traffic = Traffic(bytes_of, part, update.links, update.ended, time_ns, frames)
        batches.append(view.update(traffic))
    batches.append(view.close())
    values = np.concatenate([batch.values for batch in batches])
    rows = np.concatenate([np.zeros(0, ROW), *(batch.rows for batch in batches)])
    return view, values, rows, np.concatenate(links) if links else np.zeros(0, "i1")


def told(view: Any, values: NDArray[Any]) -> list[dict[str, float]]:
    """Name -> value for each row."""
    return [dict(zip(view.schema.names, row, strict=True)) for row in values.tolist()]


def of_host(number: int, packets: Any, data: bytes = NO_DATA, **how: Any) -> dict[str, float]:
    """The only row of host `number`."""
    view, values, rows, _ = made(packets, data, **how)
    [row] = [r for r, who in zip(told(view, values), rows, strict=True) if is_host(who, number)]
    return row


def is_host(row: Any, number: int) -> bool:
    """Whether a row is that of host `number` of the crafted packets."""
    return int(row["src_lo"]) == 0xFFFF_0000_0000 | number


def assert_agrees(
    packets: Any, data: bytes = NO_DATA, *, windows: WindowsConfig | None = None, **how: Any
) -> NDArray[Any]:
    """Rows, order, identity and values are those of the slow twin; gives the rows."""
    windows = windows or WindowsConfig()
    view, values, rows, links = made(packets, data, windows=windows, **how)
    twin = twin_of(packets, links, data, windows, how.get("until_ns"))
    who = [
        (r["order_ns"], r["end_reason"], (r["src_hi"], r["src_lo"], r["ip_version"])) for r in rows
    ]
    wanted = [(at, EndReason[why.upper()], address) for at, why, address, _ in twin.rows]
    assert [(int(a), int(b), tuple(map(int, c))) for a, b, c in who] == wanted
    for row, (_, _, address, slow) in zip(told(view, values), twin.rows, strict=True):
        assert differences(row, slow) == {}, address
    return rows


def twin_of(
    packets: Any, links: Iterable[Any], data: bytes, windows: WindowsConfig, until_ns: int | None
) -> NaiveHosts:
    """The slow twin after all packets."""
    table = packets if isinstance(packets, np.ndarray) else table_of(list(packets))
    hop_ns = round(windows.hop_s * 1e9)
    twin = NaiveHosts(
        hop_ns,
        round(windows.host_s * 1e9) // hop_ns,
        windows.hosts,
        round(windows.horizon_s * 1e9),
    )
    for p, link in zip(table, links, strict=True):
        twin.update(p, link, data)
    if until_ns is not None:
        twin.pass_time(until_ns)
    twin.close()
    return twin

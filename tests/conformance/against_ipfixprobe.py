"""Our packets and flows against what ipfixprobe's own tests expect of the same captures."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import numpy as np

from tapwatch.capture import open_captures
from tapwatch.flows import describe
from tapwatch.pipeline import Corridor, extract
from tests.conformance.agreement import Agreement, patient

#: Output -> the capture it was made of, where the names differ.
_CAPTURES: Final = {
    "basic": "mixed",
    "basicplus": "http",
    "pstats": "mixed",
    "phists": "mixed",
    "quic": "quic_initial-sample",
}
#: Why a conversation differs -> in words, for docs/conformance.md.
REASONS: Final = {
    "counted thrice": "the netbios plug-in writes a flow of three packets once for each of them",
}
_WITH_PORTS: Final = (6, 17)
Conversation = Counter[Any]


@cache
def compared(folder: Path) -> Agreement:
    """Conversations: packets, bytes of IP and times, each way."""
    told = Agreement("ipfixprobe", "conversations: IP packets, IP bytes, first and last time")
    for path in sorted((folder / "expected").iterdir()):
        capture = folder / f"{_CAPTURES.get(path.name, path.name)}.pcap"
        theirs = _expected(path)
        if not capture.exists() or not theirs:
            continue
        ours = _found(capture)
        for key, its in theirs.items():
            mine = ours.get(key, Counter())
            if its == mine:
                told.counts["equal"] += 1
            elif path.name == "netbios" and its == _thrice(mine):
                told.counts["counted thrice"] += 1
            else:
                told.unexplained.append(f"{path.name}: {key}: {its}; here {mine}")
    return told


def _expected(path: Path) -> dict[Any, Conversation]:
    """Conversations of an output; none where it has no line with the names of its columns."""
    lines = path.read_text().splitlines()
    heads = [line for line in lines if line.startswith("ipaddr ")]
    if not heads:
        return {}
    names = [word.split()[1] for word in heads[0].split(",")]
    found: dict[Any, Conversation] = defaultdict(Counter)
    for line in lines:
        row = dict(zip(names, line.split(","), strict=False))
        if line.startswith("ipaddr ") or len(row) < len(names):
            continue
        proto = int(row["PROTOCOL"])
        ends = [
            (
                str(ip_address(row[f"{end}_IP"])),
                int(row[f"{end}_PORT"]) if proto in _WITH_PORTS else 0,
            )
            for end in ("SRC", "DST")
        ]
        one = found[proto, frozenset(ends)]
        for (address, port), back in zip(ends, ("", "_REV"), strict=True):
            one["packets", address, port] += int(row[f"PACKETS{back}"])
            one["bytes", address, port] += int(row[f"BYTES{back}"])
        _widen(one, _microseconds(row["TIME_FIRST"]), _microseconds(row["TIME_LAST"]))
    return {key: +one for key, one in found.items()}


def _thrice(one: Conversation) -> Conversation:
    return Counter({key: n if key in ("first", "last") else 3 * n for key, n in one.items()})


def _widen(one: Conversation, first_us: int, last_us: int) -> None:
    one["first"] = min(one["first"] or first_us, first_us)
    one["last"] = max(one["last"], last_us)


def _microseconds(text: str) -> int:
    time = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(time.timestamp()) * 10**6 + time.microsecond


@cache
def _found(capture: Path) -> dict[Any, Conversation]:
    corridor = Corridor(patient(), ["packet"], dtype=np.float64)
    at = corridor.views["packet"].schema.names.index("ip_len")
    found: dict[Any, Conversation] = defaultdict(Counter)
    for batch, _ in extract(open_captures([str(capture)]), corridor, "packet"):
        words, rows = describe(batch.rows), batch.rows
        for k in np.flatnonzero(rows["is_flow"]).tolist():
            proto = int(rows["proto"][k])
            ends = [
                (words.src[k], int(rows["src_port"][k])),
                (words.dst[k], int(rows["dst_port"][k])),
            ]
            if proto not in _WITH_PORTS:
                ends = [(address, 0) for address, _ in ends]
            one = found[proto, frozenset(ends)]
            one["packets", *ends[0]] += 1
            one["bytes", *ends[0]] += int(batch.values[k, at])
            time_us = int(rows["first_ts_ns"][k]) // 1000
            _widen(one, time_us, time_us)
    return {key: +one for key, one in found.items()}

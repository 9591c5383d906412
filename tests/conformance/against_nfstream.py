"""Our flows against NFStream, which is asked at the same moment where it is installed."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from tests.conformance.agreement import Agreement, flows_of, is_damaged, patient

#: Every so many captures of the folder is compared.
EVERY: Final = 8
#: Why a conversation differs -> in words, for docs/conformance.md.
REASONS: Final = {
    "damaged": "conversations of captures in which headers contradict themselves, a fuzzed one for "
    "the most part: those packets are refused here, with a status, and NFStream counts them",
    "tunnel": "NFStream opens IPv4 in IPv6 by itself; here `decode.tunnel_depth` does",
}
_TUNNELS: Final = ("4in6tunnel",)
_WITH_PORTS: Final = (6, 17, 132)
#: NFStream starts processes of its own, so it gets one that has no threads.
_ASK: Final = """
import json, sys
from nfstream import NFStreamer
if __name__ == "__main__":
    for path in sys.argv[1:]:
        flows = NFStreamer(source=path, n_dissections=0, accounting_mode=0, n_meters=1,
                           idle_timeout=3600, active_timeout=86400)
        names = ("protocol", "src_ip", "src_port", "dst_ip", "dst_port", "src2dst_packets",
                 "dst2src_packets", "src2dst_bytes", "dst2src_bytes")
        print(json.dumps([[getattr(flow, name) for name in names] for flow in flows]))
"""


def installed() -> str:
    """Version of NFStream, or "" where there is none."""
    try:
        return version("nfstream")
    except PackageNotFoundError:
        return ""


@cache
def compared(folder: Path) -> Agreement:
    """Conversations of some of the captures of a folder: packets and bytes, each way."""
    told = Agreement(f"NFStream {installed()}", "conversations: packets and bytes each way")
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".pcap", ".pcapng"))[::EVERY]
    command = [sys.executable, "-W", "ignore", "-c", _ASK, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        ours = _found(path)
        theirs = _expected(json.loads(line))
        reason = "tunnel" if path.stem in _TUNNELS else "damaged" if is_damaged(path) else ""
        for key in theirs | ours:
            its, mine = theirs.get(key, Counter()), ours.get(key, Counter())
            if mine == its:
                told.counts["equal"] += 1
            elif reason:
                told.counts[reason] += 1
            else:
                told.unexplained.append(f"{path.name}: {key}: {dict(its)}; here {dict(mine)}")
    return told


def _add(
    found: dict[Any, Counter[Any]], proto: int, ends: list[tuple[str, int]], ways: list[Any]
) -> None:
    if proto not in _WITH_PORTS:
        ends = [(address, 0) for address, _ in ends]
    one = found[proto, frozenset(ends)]
    for end, (packets, n_bytes) in zip(ends, ways, strict=True):
        one["packets", *end] += packets
        one["bytes", *end] += n_bytes


def _expected(flows: list[list[Any]]) -> dict[Any, Counter[Any]]:
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for proto, src, src_port, dst, dst_port, there, back, bytes_there, bytes_back in flows:
        ends = [(str(ip_address(src)), src_port), (str(ip_address(dst)), dst_port)]
        _add(found, proto, ends, [(there, bytes_there), (back, bytes_back)])
    return {key: +one for key, one in found.items()}


def _found(path: Path) -> dict[Any, Counter[Any]]:
    found: dict[Any, Counter[Any]] = defaultdict(Counter)
    for flow in flows_of(path, patient()):
        ends = [(flow.src, flow.src_port), (flow.dst, flow.dst_port)]
        ways = list(zip(flow.packets, flow.wire_bytes, strict=True))
        _add(found, flow.proto, ends, ways)
    return {key: +one for key, one in found.items()}

"""Does memory stay where it is, whatever floods in? One table in Markdown.

    python benchmarks/flood.py [--packets 10000000] [--views packet,flow] [--json OUT.json]

Two floods, one after the other, through all views at once: packets of random five-tuples (TCP, UDP
and ICMP between random addresses and ports), and SYN segments from as many spoofed sources to one
server. They are made in memory and piped to a process of its own, one that tells its memory as it
goes. Rows are scored by something that minds no row, so that the ledger covers them too. Memory is
warm after a fifth of each flood (--warm): from then on its peak shall not grow. Exits with 1 where
the ledger does not balance, where it grew by more than GROWTH_MB, or where it is above LIMIT_MB.
"""

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray
from run import VARIANTS

LIMIT_MB, GROWTH_MB = 1200, 64
PART_PACKETS = 16_384
COMPILING_PACKETS = 2 * PART_PACKETS  # in a process before: the compiler takes memory too
PACKETS_PER_SECOND = 200_000  # in packet time
START_S = 1_700_000_000

#: Ethernet, IPv4, and what is long enough for TCP: one packet of a flood, as pcap writes it.
RECORD = np.dtype(
    [
        ("seconds", "<u4"),
        ("nanoseconds", "<u4"),
        ("captured", "<u4"),
        ("wire", "<u4"),
        ("ether", "u1", 14),
        ("ip_head", "u1", 9),  # to the time to live
        ("proto", "u1"),
        ("checksum", ">u2"),
        ("src", ">u4"),
        ("dst", ">u4"),
        ("src_port", ">u2"),
        ("dst_port", ">u2"),
        ("seq", ">u4"),
        ("ack", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("window", ">u2"),
        ("rest", ">u4"),
    ]
)
RECORD_HEAD_BYTES = 16
TCP, UDP, ICMP = 6, 17, 1
SYN, ACK = 2, 16


def packets(n: int, first: int, random: np.random.Generator) -> NDArray[np.void]:
    """Packets of 54 bytes, all alike but for their times and what the floods write into them."""
    made = np.zeros(n, RECORD)
    at_ns = (first + np.arange(n)) * (10**9 // PACKETS_PER_SECOND)
    made["seconds"], made["nanoseconds"] = START_S + at_ns // 10**9, at_ns % 10**9
    made["captured"] = made["wire"] = RECORD.itemsize - RECORD_HEAD_BYTES
    made["ether"] = np.frombuffer(bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]), np.uint8)
    made["ip_head"] = np.frombuffer(bytes([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64]), np.uint8)
    made["proto"], made["offset"], made["window"] = TCP, 0x50, 64_240
    made["seq"] = random.integers(0, 1 << 32, n)
    return made


def tuples(n: int, first: int, random: np.random.Generator) -> NDArray[np.void]:
    """Packets of random five-tuples: a flow and two hosts each."""
    made = packets(n, first, random)
    for name, bits in (("src", 32), ("dst", 32), ("src_port", 16), ("dst_port", 16)):
        made[name] = random.integers(0, 1 << bits, n)
    made["proto"] = random.choice([TCP, UDP, ICMP], n, p=[0.6, 0.35, 0.05])
    # A UDP length of 20 lies where TCP has the upper half of its sequence number.
    made["seq"] = np.where(made["proto"] == UDP, 20 << 16, made["seq"])
    made["flags"] = random.choice([SYN, ACK, SYN | ACK, 0x14, 0x11], n)
    return made


def sources(n: int, first: int, random: np.random.Generator) -> NDArray[np.void]:
    """SYN segments to one server; no source occurs twice, for the step is odd."""
    made = packets(n, first, random)
    made["src"] = (np.arange(first, first + n) * 2_654_435_761) % (1 << 32)
    made["dst"], made["dst_port"], made["flags"] = 0xC000_0201, 443, SYN
    made["src_port"] = random.integers(1024, 1 << 16, n)
    return made


def flood(n_packets: int) -> Iterator[bytes]:
    """A pcap with nanoseconds of both floods, the second one right after the first."""
    yield np.array([0xA1B2_3C4D, 4 << 16 | 2, 0, 0, 262_144, 1], "<u4").tobytes()
    random = np.random.default_rng(1)
    for start, make in ((0, tuples), (n_packets, sources)):
        for done in range(0, n_packets, PART_PACKETS):
            n = min(PART_PACKETS, n_packets - done)
            yield make(n, start + done, random).tobytes()


class Indifferent:
    """Scores every row as nothing unusual: it stands where bundles would."""

    detector = "none"
    sequence_rows = 0

    def __init__(self, view: str) -> None:
        self.view = view

    def score(self, batch):
        """No row is flagged."""
        from tapwatch.tables import Scores

        n, nothing = len(batch), np.zeros((0, 1))
        return Scores(
            view=self.view,
            detector=self.detector,
            bundle=self.view,
            schema=batch.schema,
            columns=batch.schema.names[:1],
            rows=batch.rows,
            error=np.zeros(n),
            threshold=1.0,
            p_value=np.ones(n),
            flagged=np.zeros(n, np.bool_),
            observed=nothing,
            expected=nothing,
            share=nothing,
        )

    def tallies(self) -> list[object]:
        """Nothing."""
        return []


def memory_mb() -> tuple[float, float]:
    """Resident now, and at its peak."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return tuple(int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def watch(views: list[str], n_packets: int, warm: float) -> None:
    """In a process of its own: carry what comes on standard input; print what is found as JSON."""
    from tapwatch.capture import open_captures
    from tapwatch.config import Config
    from tapwatch.pipeline import House, imbalances, run

    source = open_captures(["-"])
    house = House(Config(), source, [Indifferent(view) for view in views], [])
    marks = [warm * n_packets, n_packets, (1 + warm) * n_packets, 2 * n_packets]
    told: list[dict[str, float]] = []

    def tell(_frames: object) -> None:
        if len(told) < len(marks) and source.counts.packets >= marks[len(told)]:
            resident, peak = memory_mb()
            told.append({"packets": source.counts.packets, "mb": resident, "peak_mb": peak})

    run(source, house, lambda: False, tell)
    resident, peak = memory_mb()
    told.append({"packets": source.counts.packets, "mb": resident, "peak_mb": peak})
    summary = house.summary()
    evicted = {
        " ".join((tally.name, *labels)): count
        for tally in house.tallies()
        for labels, count in tally.values.items()
        if ("evicted" in tally.name or "evicted" in labels) and isinstance(count, int | float)
    }
    found = {"memory": told, "evicted": evicted, "broken": imbalances(summary)}
    print(json.dumps(found | {"summary": summary}))


def measure(views: list[str], n_packets: int, warm: float) -> dict:  # type: ignore[type-arg]
    """Run both floods through the views."""
    counts = ["--packets", str(n_packets), "--warm", str(warm)]
    command = [sys.executable, __file__, "--watch", "--views", ",".join(views), *counts]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        feeder = threading.Thread(target=feed, args=(child.stdin, n_packets))
        feeder.start()
        said = child.stdout.read()
        feeder.join()
    if child.returncode:
        sys.exit(f"{' '.join(command)}: ended with {child.returncode}")
    return json.loads(said)  # type: ignore[no-any-return]


def feed(pipe: IO[bytes], n_packets: int) -> None:
    """Write the floods; a reader that has died is told of elsewhere."""
    try:
        with pipe:
            for part in flood(n_packets):
                pipe.write(part)
    except BrokenPipeError:
        return


def growth_mb(found: dict) -> float:  # type: ignore[type-arg]
    """By how much the peak grew within a flood once it was warm; the larger of both."""
    peaks = [mark["peak_mb"] for mark in found["memory"]]
    return max(peaks[1] - peaks[0], peaks[-1] - peaks[2])


def report(found: dict) -> bool:  # type: ignore[type-arg]
    """Print the tables; say whether memory and ledger are as wanted."""
    print("| after | resident MB | peak MB |\n|---|---|---|")
    names = ("warm, five-tuples", "all five-tuples", "warm, sources", "all sources", "the end")
    for name, mark in zip(names, found["memory"], strict=True):
        print(f"| {name}: {mark['packets']:,} | {mark['mb']:.0f} | {mark['peak_mb']:.0f} |")
    print("\n| evicted | times |\n|---|---|")
    for name, count in found["evicted"].items():
        if count:
            print(f"| {name} | {count:,.0f} |")
    rows = {view: counts["rows"] for view, counts in found["summary"]["views"].items()}
    print(f"\nrows: {', '.join(f'{view} {n:,}' for view, n in rows.items())}")
    print("ledger: " + ("; ".join(found["broken"]) or "balanced"))
    peak = found["memory"][-1]["peak_mb"]
    print(f"peak {peak:.0f} MB of {LIMIT_MB}; after warm-up it grew by {growth_mb(found):.0f} MB")
    return not found["broken"] and peak <= LIMIT_MB and growth_mb(found) <= GROWTH_MB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=10_000_000, help="of each flood")
    parser.add_argument("--warm", type=float, default=0.2, help="share of a flood")
    parser.add_argument("--views", help="by default all")
    parser.add_argument("--json", help="where to put all that was found")
    parser.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    from tapwatch.features import SCHEMAS

    views = given.views.split(",") if given.views else [v for v in SCHEMAS if v not in VARIANTS]
    if given.watch:
        watch(views, given.packets, given.warm)
        return
    measure(views, COMPILING_PACKETS, given.warm)
    found = measure(views, given.packets, given.warm)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
    if not report(found):
        sys.exit(1)


if __name__ == "__main__":
    main()

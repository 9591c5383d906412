"""How many packets per CPU-second, how long to start, how much memory: one table.

    python benchmarks/run.py FOLDER [--rounds 5] [--bundle samples/bundles/flow] [--json OUT.json]

FOLDER holds many small captures; `make_mix.py` makes a benchmark capture out of them, once alone
and once four times in a row. The steady state is the difference of the two: what start-up costs
falls out. Runs of all commands are interleaved round robin, after one round that is not counted.
CPU time is user + system of the whole process; medians are printed with smallest and largest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
COPIES = 12
#: Other layouts of a view that is there: not counted where all views go at once.
VARIANTS = frozenset({"afterimage_115"})


def measure(command: list[str]) -> tuple[float, float]:
    """CPU-seconds and peak memory in MB of one run; its output is thrown away."""
    with open(os.devnull, "wb") as nowhere:
        child = subprocess.Popen(command, stdout=nowhere, stderr=subprocess.PIPE)
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: ended with {status}\n{said.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make_inputs(
    folder: Path, into: Path, copies: int = COPIES
) -> tuple[dict[str, Path], dict[str, int]]:
    """The empty, the single and the fourfold capture, and their packet counts."""
    paths, packets = {"empty": into / "empty.pcap"}, {"empty": 0}
    for name, n in (("base", copies), ("large", 4 * copies)):
        paths[name] = into / f"{name}.pcap"
        command = [sys.executable, str(HERE / "make_mix.py"), str(paths[name]), str(folder)]
        made = subprocess.run([*command, "--copies", str(n)], check=True, capture_output=True)
        packets[name] = json.loads(made.stdout)["packets"]
    with paths["base"].open("rb") as capture:
        paths["empty"].write_bytes(capture.read(24))
    return paths, packets


def commands(paths: dict[str, Path], bundle: Path, out: Path) -> dict[str, list[str]]:
    """Name -> command; `NAME/INPUT` so that differences can be taken."""
    tapwatch = [sys.executable, "-m", "tapwatch"]
    replay = ["--bundle", str(bundle), "-o", str(out / "alerts.jsonl"), "--quiet", "--workers", "1"]
    made = {}
    for name, path in paths.items():
        made[f"replay flow ae/{name}"] = [*tapwatch, "replay", str(path), *replay]
        for view in ("flow", "packet") if name == "empty" else ():
            features = ["--view", view, "-o", str(out / "rows.parquet"), "--quiet"]
            made[f"features {view}/{name}"] = [*tapwatch, "features", str(path), *features]
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bundle", type=Path, default=HERE.parent / "samples/bundles/flow")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapwatch-bench-") as scratch:
        paths, packets = make_inputs(given.folder, Path(scratch))
        named = commands(paths, given.bundle, Path(scratch))
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in named}
        for round_number in range(given.rounds + 1):
            for name, command in named.items():
                cost = measure(command)
                if round_number:
                    runs[name].append(cost)
            print(f"round {round_number} of {given.rounds}", file=sys.stderr)
    report(runs, packets, given.json)


def report(
    runs: dict[str, list[tuple[float, float]]], packets: dict[str, int], out: Path | None
) -> None:
    """Print the table, write it as JSON where asked."""
    found = {}
    print(f"{'what':28} {'CPU-s median (min-max)':28} {'peak MB':>8}")
    for name, costs in runs.items():
        cpu = [c for c, _ in costs]
        peak = max(m for _, m in costs)
        median = statistics.median(cpu)
        found[name] = {
            "cpu_s": median,
            "cpu_s_min": min(cpu),
            "cpu_s_max": max(cpu),
            "peak_mb": peak,
        }
        print(f"{name:28} {median:6.2f} ({min(cpu):.2f}-{max(cpu):.2f}){'':11} {peak:8.0f}")
    large = [c for c, _ in runs["replay flow ae/large"]]
    base = [c for c, _ in runs["replay flow ae/base"]]
    more = packets["large"] - packets["base"]
    rates = [more / (many - few) / 1e6 for many, few in zip(large, base, strict=True)]
    found["steady state"] = {"mpps_median": statistics.median(rates), "mpps": rates}
    span = f"({min(rates):.2f}-{max(rates):.2f})"
    print(f"steady state: {statistics.median(rates):.2f} M packets per CPU-second {span}")
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

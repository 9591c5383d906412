"""Flow statistics of a capture: `tapwatch features` to Parquet, beside NFStream.

    pip install -e '.[benchmark]'
    python benchmarks/nfstream.py FOLDER [--rounds 5] [--json OUT.json]

FOLDER holds many small captures; `make_mix.py` makes a benchmark capture out of them, once alone
and once four times in a row. The steady state is the difference of the two: what start-up costs
falls out. NFStream computes its statistics (statistical_analysis=True, splt_analysis=0,
n_dissections=0, n_meters=1) with tapwatch's timeouts for TCP, and its flows are only counted: what
writing them would cost is left out, for tapwatch it is not. CPU time is user + system of a process
and all that it starts. Runs are interleaved round robin, after one round that is not counted.
"""

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from run import COPIES, make_inputs

#: Run with -P: this file has the name of the package that is to be imported.
NFSTREAM = """
import sys
from nfstream import NFStreamer

if __name__ == "__main__":
    flows = NFStreamer(
        source=sys.argv[1],
        idle_timeout=60,
        active_timeout=120,
        statistical_analysis=True,
        splt_analysis=0,
        n_dissections=0,
        n_meters=1,
    )
    print(sum(1 for _ in flows))
"""

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Processes whose parent ends become ours, so that none of their time is lost."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("prctl: this kernel hands orphans to nobody but init")


def cpu_s(command: list[str]) -> float:
    """CPU-seconds of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: ended with {done.returncode}\n{done.stderr.decode()}")
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(capture: Path, scratch: Path) -> dict[str, list[str]]:
    """Name -> what is run on one capture."""
    program = scratch / "count_flows.py"
    program.write_text(NFSTREAM)
    target = ["--view", "flow", "-o", str(scratch / "rows.parquet"), "--quiet"]
    return {
        "tapwatch": [sys.executable, "-m", "tapwatch", "features", str(capture), *target],
        "NFStream": [sys.executable, "-P", str(program), str(capture)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=COPIES, help="of the mix, in the smaller one")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    adopt_orphans()
    found: dict[str, list[float]] = {"tapwatch": [], "NFStream": []}
    with tempfile.TemporaryDirectory(prefix="tapwatch-bench-") as folder:
        scratch = Path(folder)
        paths, packets = make_inputs(given.folder, scratch, given.copies)
        more = packets["large"] - packets["base"]
        base, large = commands(paths["base"], scratch), commands(paths["large"], scratch)
        for round_number in range(given.rounds + 1):
            for name, rates in found.items():
                seconds = cpu_s(large[name]) - cpu_s(base[name])
                if round_number:
                    rates.append(more / seconds)
            print(f"round {round_number} of {given.rounds}", file=sys.stderr)
    print("| program | packets per CPU-second, median (min-max) |\n|---|---|")
    for name, rates in found.items():
        print(f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) |")
    ratios = [a / b for a, b in zip(found["tapwatch"], found["NFStream"], strict=True)]
    print(f"\nratio: {statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

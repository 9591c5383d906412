"""How many packets per CPU-second become rows, by view: two tables in Markdown.

    python benchmarks/views.py FOLDER [--rounds 5] [--views packet,flow] [--json OUT.json]

FOLDER holds many small captures; `make_mix.py` makes a benchmark capture out of them, once alone
and once four times in a row. The steady state is the difference of the two: what start-up costs
falls out. First from capture to rows in memory (float32, one worker, nobody reads them), then
`tapwatch features` to Parquet. Each run is a process of its own; runs are interleaved round robin,
after one round that is not counted; medians are printed with smallest and largest.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from run import COPIES, VARIANTS, make_inputs, measure


def carry(capture: str, views: list[str]) -> None:
    """In a process of its own: the rows of the views, from one capture, and nothing else."""
    from tapwatch.capture import open_captures
    from tapwatch.config import Config
    from tapwatch.pipeline import Corridor

    source, corridor = open_captures([capture]), Corridor(Config(), views)
    n_rows = 0
    while (frames := source.read()) is not None:
        n_rows += sum(map(len, corridor.carry(frames).values()))
    for made in corridor.finish():
        n_rows += sum(map(len, made.values()))
    source.close()
    print(n_rows)


def commands(capture: Path, views: list[str], out: Path) -> dict[str, list[str]]:
    """What is measured -> how; the two tables are told apart by the first word."""
    python, made = [sys.executable], {}
    together = [view for view in views if view not in VARIANTS]
    groups = {view: [view] for view in views}
    if len(together) > 1:
        groups[f"all {len(together)} at once"] = together
    for name, group in groups.items():
        made[f"rows {name}"] = [*python, __file__, str(capture), "--carry", ",".join(group)]
    for view in views:
        target = ["--view", view, "-o", str(out / "rows.parquet"), "--quiet"]
        made[f"parquet {view}"] = [*python, "-m", "tapwatch", "features", str(capture), *target]
    return made


def rates(
    folder: Path, copies: int, views: list[str], rounds: int, only: str
) -> dict[str, list[float]]:
    """Packets per CPU-second of each thing measured, one a round."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="tapwatch-bench-") as scratch:
        paths, packets = make_inputs(folder, Path(scratch), copies)
        more = packets["large"] - packets["base"]
        base, large = (commands(paths[name], views, Path(scratch)) for name in ("base", "large"))
        for round_number in range(rounds + 1):
            for name in base:
                if not name.startswith(only):
                    continue
                few, many = measure(base[name])[0], measure(large[name])[0]
                if round_number:
                    found.setdefault(name, []).append(more / (many - few))
            print(f"round {round_number} of {rounds}", file=sys.stderr)
    return found


def report(found: dict[str, list[float]]) -> None:
    """Print both tables."""
    titles = {"rows": "capture to rows", "parquet": "`tapwatch features` to Parquet"}
    for first, title in titles.items():
        lines = {n.partition(" ")[2]: r for n, r in found.items() if n.startswith(first)}
        if lines:
            print(f"\n| {title} | M packets per CPU-second, median (min-max) |\n|---|---|")
        for name, rate in lines.items():
            low, middle, high = min(rate), statistics.median(rate), max(rate)
            print(f"| {name} | {middle / 1e6:.2f} ({low / 1e6:.2f}-{high / 1e6:.2f}) |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="captures to mix")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=COPIES, help="of the mix, in the smaller one")
    parser.add_argument("--views", help="by default all")
    parser.add_argument("--only", choices=["rows", "parquet"], default="", help="one table")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--carry", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.carry:
        carry(str(given.folder), given.carry.split(","))
        return
    from tapwatch.features import SCHEMAS

    views = given.views.split(",") if given.views else list(SCHEMAS)
    if unknown := set(views) - set(SCHEMAS):
        parser.error(f"no such view: {', '.join(sorted(unknown))}; there are {', '.join(SCHEMAS)}")
    found = rates(given.folder, given.copies, views, given.rounds, given.only)
    report(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

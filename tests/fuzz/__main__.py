"""Fuzz tapwatch: python -m tests.fuzz --minutes N [--seed S] [--what readers|decode|house]

Every finding is written as a reproducer named by its content; `--replay FILE` runs one again.
Exit code 0 where nothing was found, 1 otherwise.
"""

import argparse
import resource
import sys
from collections import Counter
from pathlib import Path

from tapwatch.capture import Damage
from tapwatch.decode import DecodeStatus
from tests.fuzz import loop
from tests.fuzz.cases import Case

FOUND = Path("fuzz-findings")
#: Processor time that each target gets before the next has its turn, in s.
_TURN_S = 20.0


def main() -> int:
    """Parse, run, sum up."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of the processor, in all")
    parser.add_argument("--seed", default="1", help="the same seed runs the same cases")
    parser.add_argument("--what", choices=sorted(loop.TARGETS), action="append")
    parser.add_argument("--findings", type=Path, default=FOUND, help="folder for reproducers")
    parser.add_argument("--replay", type=Path, help="run a saved reproducer here, and stop")
    arguments = parser.parse_args()
    if arguments.replay:
        return replay(arguments.replay)
    runners = [
        loop.Runner(what, arguments.seed, _keeper(arguments.findings))
        for what in arguments.what or sorted(loop.TARGETS)
    ]
    warm(runners)
    left_s = arguments.minutes * 60
    while left_s > 0:
        turn_s = min(_TURN_S, left_s / len(runners))
        for runner in runners:
            before_s = runner.report.cpu_s
            runner.run(turn_s)
            left_s -= runner.report.cpu_s - before_s
            _progress(runner, left_s)
    return sum_up(runners)


def warm(runners: list[loop.Runner]) -> None:
    """Compile all kernels before the first fork, and let one case of each target pass."""
    for runner in runners:
        loop.run_case(loop.case_of(runner.what, "warm", 0), Counter())


def _keeper(folder: Path):  # type: ignore[no-untyped-def]
    def keep(kind: str, case: Case, text: str) -> None:
        path = loop.smaller(case, kind).save(folder, kind[:60], text)
        sys.stdout.write(f"FOUND {kind} in {case.seed}: {path}\n{text}\n")

    return keep


def _progress(runner: loop.Runner, left_s: float) -> None:
    report = runner.report
    sys.stdout.write(
        f"{runner.what:8} {report.executions:>9,} executions in {report.cpu_s / 60:.1f} min, "
        f"{len(report.findings)} kinds of findings; {left_s / 60:.1f} min left\n"
    )
    sys.stdout.flush()


def replay(path: Path) -> int:
    """Run a reproducer in this process, so that a debugger can look on."""
    case = Case.from_json(path.read_text())
    loop.run_case(case, Counter())  # kernels are compiled
    kind, text, seconds, megabytes = loop.run_case(case, Counter())
    sys.stdout.write(f"{kind or 'nothing found'} ({seconds:.2f} s, {megabytes:.0f} MB)\n{text}\n")
    return int(bool(kind))


def never_reached(seen: Counter[str], whats: set[str]) -> list[str]:
    """Statuses and kinds of damage that no case has come to."""
    wanted = []
    if {"decode", "house"} & whats:
        wanted += [f"decode_packets_total{{{status.name.lower()}}}" for status in DecodeStatus]
    if "readers" in whats:
        # `unreadable` takes a disk that fails: tests/capture has one.
        wanted += [f"damage={d}" for d in Damage if d is not Damage.UNREADABLE]
    return [name for name in wanted if not seen[name]]


def sum_up(runners: list[loop.Runner]) -> int:
    """Print what was run, found and reached."""
    seen: Counter[str] = Counter()
    for runner in runners:
        report = runner.report
        seen.update(report.seen)
        sys.stdout.write(
            f"{runner.what}: {report.executions:,} executions, {report.cpu_s / 60:.1f} CPU min, "
            f"slowest {report.slowest_s:.2f} s, most memory {report.peak_mb:.0f} MB, "
            f"findings: {dict(report.times_found) or 'none'}\n"
        )
    names = {name for name in seen if name.startswith(("decode_", "damage", "flows_", "capture_"))}
    reached = sorted(name for name in names if seen[name])
    sys.stdout.write(f"reached {len(reached)}: {' '.join(reached)}\n")
    unlit = sorted(name for name in names if not seen[name])
    sys.stdout.write(f"labels at 0: {' '.join(unlit) or 'none'}\n")
    missing = never_reached(seen, {runner.what for runner in runners})
    sys.stdout.write(f"statuses and damage never reached: {' '.join(missing) or 'none'}\n")
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    sys.stdout.write(f"largest process: {peak_mb:.0f} MB\n")
    return int(any(runner.report.findings for runner in runners))


if __name__ == "__main__":
    sys.exit(main())

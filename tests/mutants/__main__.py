"""Plant small faults, one at a time, and see whether the tests notice.

    python -m tests.mutants [--jobs N] [--only TEXT]

Each fault is planted in a copy of the sources, and the tests of its room run there until the first
one fails. It ends with 1 where less than 95 % are caught. Nothing in the checkout is touched.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.fault import SOURCES, Fault
from tests.mutants.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
WANTED_SHARE = 0.95
TIMEOUT_S = 600
#: pytest ends with these: a test failed; all passed.
FAILED, PASSED = 1, 0

Outcome = tuple[str, str]  # "caught", "survived" or "broken", and what pytest said last


def copy_of_the_checkout(folder: Path) -> Path:
    """What tests need: everything that is under version control."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in names.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run_tests(copy: Path, paths: Sequence[str], jit: bool) -> tuple[int, str]:
    """Exit code of pytest in a copy, and the last line that it wrote."""
    cache = copy / "kernels"
    shutil.rmtree(cache, ignore_errors=True)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PYTHONPATH": f"{copy / 'src'}:{copy}"}
    environment |= {} if jit else {"NUMBA_DISABLE_JIT": "1"}
    # Without JIT, the tests that need machine code are as slow as they are useless.
    marks = "not slow" if jit else "kernel and not slow"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", marks]
    command += ["--timeout", str(TIMEOUT_S), "-o", "addopts=--import-mode=importlib", *paths]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.strip()] or [done.stderr[-200:]]
    return done.returncode, lines[-1]


def tried(fault: Fault, copies: "SimpleQueue[Path]") -> Outcome:
    """Plant one fault in a copy that is free, run the tests, mend it."""
    copy = copies.get()
    path = copy / SOURCES / fault.file
    text = path.read_text()
    try:
        path.write_text(fault.planted(text))
        code, said = run_tests(copy, fault.paths, fault.jit)
    finally:
        path.write_text(text)
        copies.put(copy)
    return {FAILED: "caught", PASSED: "survived"}.get(code, "broken"), said


def is_sound(faults: Sequence[Fault], copies: "SimpleQueue[Path]") -> bool:
    """Whether the tests pass without a fault; else each would count as caught."""
    copy = copies.get()
    for paths, jit in dict.fromkeys((fault.paths, fault.jit) for fault in faults):
        code, said = run_tests(copy, paths, jit)
        if code != PASSED:
            say(f"{' '.join(paths)}: does not pass without a fault: {said}")
            return False
    copies.put(copy)
    return True


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Plant all faults and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="faults whose name has this text in it")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if options.only in fault.name]
    counts = {"caught": 0, "survived": 0, "broken": 0}
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            copies.put(copy_of_the_checkout(Path(scratch) / str(job)))
        if not is_sound(faults, copies):
            return 1
        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = pool.map(lambda fault: tried(fault, copies), faults)
            for number, (fault, (outcome, said)) in enumerate(
                zip(faults, outcomes, strict=True), 1
            ):
                counts[outcome] += 1
                more = "" if outcome == "caught" else f"  ({said})"
                say(f"{number:3}/{len(faults)} {outcome:8} {fault.name}{more}")
    share = counts["caught"] / max(len(faults), 1)
    minutes = (time.monotonic() - start_s) / 60
    say(f"{counts['caught']} of {len(faults)} caught ({share:.1%}) in {minutes:.0f} minutes")
    return 0 if share >= WANTED_SHARE and not counts["broken"] else 1


if __name__ == "__main__":
    sys.exit(main())

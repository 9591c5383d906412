"""Every capture of a large external corpus, damaged ones included, through every view.

Time is the processor's, so that the limits hold on a busy machine; memory is the peak of the
resident set, which Linux forgets when asked.
"""

import ctypes
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.errors import CaptureError
from tapwatch.features import VIEWS
from tapwatch.pipeline import House, imbalances, run
from tests.e2e.program import TAPWATCH, with_bundles
from tests.shared_data import ROOT, shared_data
from tests.test_pipeline import EveryRow

pytestmark = pytest.mark.slow

#: For one capture, beyond start-up.
SECONDS, MEGABYTES = 2.0, 300
_M_MMAP_THRESHOLD = -3
#: After all of them.
KEPT_MEGABYTES = 40
#: One capture in so many is also replayed by a process of its own.
SAMPLED = 60
#: A capture of one packet: what it takes is start-up.
TINY = ROOT / "tests/fuzz/corpus/captures/pcap_good.pcap"
#: Captures of our own that go through most kernels, so that these are loaded.
GOLDEN = sorted((ROOT / "tests/conformance").rglob("*.pcap"))
#: Folders with what other programs found in the captures.
NO_CAPTURES = {"expected"}


class Finite(EveryRow):
    """A scorer that flags nothing and looks at every value."""

    def score(self, batch):
        """As the other, but without flags."""
        assert np.isfinite(batch.values).all()
        made = super().score(batch)
        made.flagged[:] = False
        return made


@dataclass
class Cost:
    """What one capture took beyond start-up."""

    seconds: float
    megabytes: float
    name: str


def captures() -> list[Path]:
    """All files of the corpus: what is a capture is told by content, not by name."""
    found = sorted(p for p in (shared_data() / "pcaps").rglob("*") if p.is_file())
    paths = [p for p in found if p.suffix != ".test" and not NO_CAPTURES & {*p.parts}]
    assert len(paths) > 2_600
    return paths


def memory(field: str) -> float:
    """Megabytes of a line of /proc/self/status: VmRSS, VmHWM (the peak since it was forgotten)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    pytest.skip(f"no {field} in /proc/self/status: limits of memory want Linux")


def map_tables() -> None:
    """Tables are fresh pages for each capture, as in a process of its own (mallopt(3)).

    Otherwise the C library learns to cut them from memory that was freed, and clears all of it.
    """
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 17)


def forget_peak() -> None:
    """VmHWM counts from here (proc(5), clear_refs), and what was freed is given back before."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def carried(path: Path, config: Config) -> tuple[House, list[str]]:
    """A capture through a house with all views; what is wrong with it."""
    source = open_captures([str(path)])
    house = House(config, source, [Finite(view) for view in VIEWS], [])
    run(source, house, lambda: False)
    return house, imbalances(house.summary())


def worst(costs: list[Cost], rank: str) -> list[Cost]:
    """The five that took most, for the report."""
    return sorted(costs, key=lambda cost: -getattr(cost, rank))[:5]


def report(costs: list[Cost], text: str) -> None:
    """Shown by `pytest -s`, and where the test fails."""
    lines = [f"{len(costs)} captures; {text}"]
    for rank in ("seconds", "megabytes"):
        lines += [f"most {rank} beyond start-up:", *map(str, worst(costs, rank))]
    sys.stdout.write("\n  ".join(lines) + "\n")


@pytest.mark.parametrize("tunnel_depth", [0, 8])
def test_every_capture_balances_and_stays_within_its_limits(tunnel_depth):
    """No exception but CaptureError; equations hold, values are finite; 2 s, 300 MB, no leak."""
    config = Config.model_validate({"decode": {"tunnel_depth": tunnel_depth}})
    refused, unbalanced, costs, packets, damaged = [], {}, [], 0, 0
    map_tables()
    for path in (TINY, *GOLDEN):  # kernels are compiled and loaded
        carried(path, config)
    forget_peak()
    first_mb = memory("VmRSS")
    for path in captures():
        forget_peak()
        start_mb = memory("VmRSS")
        start_s = time.process_time()
        try:
            house, broken = carried(path, config)
        except CaptureError:
            refused.append(path.name)
            continue
        costs.append(Cost(time.process_time() - start_s, memory("VmHWM") - start_mb, str(path)))
        packets += house.summary()["capture"]["packets"]
        damaged += house.source.counts.truncated_files
        if broken:
            unbalanced[path.name] = broken
        del house

    forget_peak()
    kept_mb = memory("VmRSS") - first_mb
    told = f"{packets:,} packets, {damaged} damaged, refused: {refused}, {kept_mb:.0f} MB kept"
    report(costs, told)
    assert kept_mb <= KEPT_MEGABYTES
    assert unbalanced == {}
    assert worst(costs, "seconds")[0].seconds <= SECONDS
    assert worst(costs, "megabytes")[0].megabytes <= MEGABYTES
    assert refused == []
    assert packets > 430_000


#: Runs a command and prints its exit code, seconds and kilobytes. Small, because a process begins
#: with the peak of the one that started it.
_LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def replayed(path: Path, folder: Path) -> tuple[int, str, Cost]:
    """Exit code, last words and cost of `tapwatch replay`, in a process of its own."""
    words = ["replay", str(path), *with_bundles(), "-o", str(folder / "alerts.jsonl"), "--quiet"]
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *TAPWATCH, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, seconds, kilobytes = done.stdout.split()[-3:]
    return int(code), done.stderr, Cost(float(seconds), int(kilobytes) / 1024, str(path))


def test_a_sample_replays_in_processes_of_its_own(tmp_path):
    """Exit code 0, or 3 where it cannot be read; no traceback; 2 s and 300 MB beyond start-up."""
    replayed(TINY, tmp_path)  # kernels are compiled
    start = replayed(TINY, tmp_path)[2]
    wrong, costs = {}, []
    for path in captures()[::SAMPLED]:
        code, said, cost = replayed(path, tmp_path)
        costs.append(
            Cost(cost.seconds - start.seconds, cost.megabytes - start.megabytes, cost.name)
        )
        if code not in (0, 3) or "Traceback" in said:
            wrong[str(path)] = (code, said[-2000:])

    report(costs, f"start-up: {start.seconds:.1f} s, {start.megabytes:.0f} MB")
    assert wrong == {}
    assert len(costs) > 40
    assert worst(costs, "seconds")[0].seconds <= SECONDS
    assert worst(costs, "megabytes")[0].megabytes <= MEGABYTES

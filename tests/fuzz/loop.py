"""The loop: a child runs case after case; whatever kills it, the case that did so is known."""

import contextlib
import faulthandler
import mmap
import os
import pickle
import resource
import select
import signal
import struct
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import ModuleType

from tests.fuzz import decoding, houses, readers
from tests.fuzz.cases import Case, Finding

TARGETS: dict[str, ModuleType] = {"readers": readers, "decode": decoding, "house": houses}
#: For one case, all the ways of running it together.
SECONDS_A_CASE = 5.0
HANG_SECONDS = 60.0
MEGABYTES_A_CASE = 300
_CASE_BYTES = 8 << 20
_REPORT_EVERY = 50
_HEADER = struct.Struct("<qq")


@dataclass
class Report:
    """What became of a run."""

    executions: int = 0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    findings: dict[str, tuple[Case, str]] = field(default_factory=dict)  # by what went wrong
    times_found: Counter[str] = field(default_factory=Counter)

    def found(self, kind: str, case: Case, text: str) -> bool:
        """Keep the first case of each kind; whether it is the first."""
        self.times_found[kind] += 1
        return self.findings.setdefault(kind, (case, text))[0] is case


def kind_of(error: BaseException) -> str:
    """Findings of the same cause have the same kind: type and place, or the promise."""
    if isinstance(error, Finding):
        return "promise-" + "".join(c if c.isalnum() else "_" for c in str(error).split("\n")[0])
    places = [f for f in traceback.extract_tb(error.__traceback__) if "/tapwatch/" in f.filename]
    place = f"{Path(places[-1].filename).stem}.{places[-1].name}" if places else "outside"
    return f"{type(error).__name__}-{place}"


def _peak_mb() -> float:
    """Peak of the resident set since it was last forgotten; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _fork() -> int:
    """Fork; whoever tests this may have threads, but no child waits for any of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def run_case(case: Case, seen: Counter[str]) -> tuple[str, str, float, float]:
    """Run one case here; kind and text of what was found ("" for nothing), seconds, megabytes."""
    _forget_peak()
    before_mb, start_s = _peak_mb(), time.process_time()
    kind = text = ""
    try:
        TARGETS[case.what].run(case, seen)
    except BaseException as error:  # whatever it is, it is a finding
        kind, text = kind_of(error), "".join(traceback.format_exception(error))[-6000:]
    seconds, megabytes = time.process_time() - start_s, _peak_mb() - before_mb
    if not kind and megabytes > MEGABYTES_A_CASE:
        kind, text = "memory", f"{megabytes:.0f} MB"
    if not kind and seconds > SECONDS_A_CASE:
        kind, text = "slow", f"{seconds:.1f} s"
    return kind, text, seconds, megabytes


def case_of(what: str, seed: str, number: int) -> Case:
    """Case `number` of a run: the same wherever and whenever it is made."""
    name = f"{seed}/{what}/{number}"
    made: Case = TARGETS[what].make(Random(name), name)
    return made


class Runner:
    """Runs cases in children, and goes on after those that kill them.

    Parameters
    ----------
    what, seed : str
        Target, and name of the run.
    found : callable
        Told each new kind of finding: kind, case, text.
    """

    def __init__(self, what: str, seed: str, found: Callable[[str, Case, str], None]) -> None:
        self.what = what
        self.seed = seed
        self.report = Report()
        self._found = found
        self._next = 0
        self._shared = mmap.mmap(-1, _CASE_BYTES)

    def run(self, cpu_s: float) -> None:
        """Go on for so many seconds of the processor."""
        end_s = self.report.cpu_s + cpu_s
        while self.report.cpu_s < end_s:
            self._one_child(end_s - self.report.cpu_s)

    def _one_child(self, cpu_s: float) -> None:
        there, here = os.pipe()
        self._shared[: _HEADER.size] = _HEADER.pack(-1, 0)
        pid = _fork()
        if pid == 0:
            os.close(there)
            _child(self.what, self.seed, self._next, cpu_s, self._shared, here)
        os.close(here)
        try:
            self._listen(there, pid)
        finally:
            os.close(there)
            _, status, usage = os.wait4(pid, 0)
        self.report.cpu_s += usage.ru_utime + usage.ru_stime
        if status != 0:
            number, size = _HEADER.unpack(self._shared[: _HEADER.size])
            case = pickle.loads(self._shared[_HEADER.size : _HEADER.size + size])
            self._next = number + 1
            code = os.waitstatus_to_exitcode(status)
            kind = "hang" if code == -signal.SIGKILL else f"died{code}"
            self._tell(kind, case, f"the process ended with {code}")

    def _listen(self, there: int, pid: int) -> None:
        """Until the child has gone; one that stands still is killed."""
        buffer, last, since_s = b"", None, time.monotonic()
        while True:
            if select.select([there], [], [], 1.0)[0]:
                if not (some := os.read(there, 1 << 16)):
                    return
                buffer = self._messages(buffer + some)
            now = self._shared[: _HEADER.size]
            if now != last:
                last, since_s = now, time.monotonic()
            elif time.monotonic() - since_s > HANG_SECONDS:
                os.kill(pid, signal.SIGKILL)
                return

    def _messages(self, buffer: bytes) -> bytes:
        while len(buffer) >= 8 and len(buffer) >= 8 + int.from_bytes(buffer[:8], "little"):
            size = int.from_bytes(buffer[:8], "little")
            number, executions, seen, slowest_s, peak_mb, found = pickle.loads(buffer[8 : 8 + size])
            buffer = buffer[8 + size :]
            self._next = number + 1
            self.report.executions += executions
            self.report.seen.update(seen)
            self.report.slowest_s = max(self.report.slowest_s, slowest_s)
            self.report.peak_mb = max(self.report.peak_mb, peak_mb)
            if found:
                self._tell(*found)
        return buffer

    def _tell(self, kind: str, case: Case, text: str) -> None:
        if self.report.found(kind, case, text):
            self._found(kind, case, text)


def _child(what: str, seed: str, number: int, cpu_s: float, shared: mmap.mmap, here: int) -> None:
    """Run cases until the time is up; never returns."""
    _prepare()
    seen: Counter[str] = Counter()
    executions, slowest_s, peak_mb = 0, 0.0, 0.0
    while True:
        is_last = time.process_time() > cpu_s
        case = case_of(what, seed, number)
        saved = pickle.dumps(case)
        shared[: _HEADER.size] = _HEADER.pack(number, len(saved))
        shared[_HEADER.size : _HEADER.size + len(saved)] = saved
        kind, text, seconds, megabytes = run_case(case, seen)
        executions += 1
        slowest_s, peak_mb = max(slowest_s, seconds), max(peak_mb, megabytes)
        if kind or is_last or executions % _REPORT_EVERY == 0:
            found = (kind, case, text) if kind else None
            message = pickle.dumps((number, executions, seen, slowest_s, peak_mb, found))
            _write_all(here, len(message).to_bytes(8, "little") + message)
            seen, executions = Counter(), 0
        if is_last:
            os._exit(0)
        number += 1


def _prepare() -> None:
    """What a child does before its first case: a crash is expected, and said by its parent."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=ResourceWarning)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def kind_in_a_child(case: Case) -> str:
    """What a case finds, run in a process of its own; "" for nothing."""
    there, here = os.pipe()
    pid = _fork()
    if pid == 0:
        signal.alarm(int(HANG_SECONDS))
        _prepare()
        kind, _, _, _ = run_case(case, Counter())
        os.write(here, kind.encode())
        os._exit(0)
    os.close(here)
    kind = os.read(there, 4096).decode()
    os.close(there)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        return kind
    code = os.waitstatus_to_exitcode(status)
    return "hang" if code == -signal.SIGALRM else f"died{code}"


def smaller(case: Case, kind: str, tries: int = 400) -> Case:
    """Take away parts, then bytes, as long as the same is found."""
    left = tries

    def still(candidate: Case) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and kind_in_a_child(candidate) == kind

    size = len(case.parts) // 2
    while size:
        lo = 0
        while lo < len(case.parts) and len(case.parts) > 1:
            candidate = case.without(lo, lo + size)
            if candidate.parts and still(candidate):
                case = candidate
            else:
                lo += size
        size //= 2
    for k in range(len(case.parts)):
        size = max(1, len(case.parts[k]) // 2)
        while size and left > 0:
            lo = 0
            while lo < len(case.parts[k]) and left > 0:
                part = case.parts[k]
                candidate = case.with_part(k, part[:lo] + part[lo + size :])
                if still(candidate):
                    case = candidate
                else:
                    lo += size
            size //= 2
    return case

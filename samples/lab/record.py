"""Build the office, let it work, record what the tap sees, take it down.

    record.py --seconds 600 --seed 1 --out benign.pcap.zst
    record.py --seconds 1800 --seed 3 --out attacks.pcap.zst --attacks
    record.py --all --out samples

Needs root, and the Debian packages of packages.txt. With --attacks the truth is written beside the
capture, NAME.truth.csv. All namespaces are called PREFIX-something: labs with different --prefix
run at once. --all records the three samples that way, with the seeds SEED, SEED + 1, SEED + 2.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import attacks
import services
import users
from office import BY_NAME, HERE, Office

SNAPLEN = 256
WARM_UP_S = 20.0
PROGRESS_S = 60.0
CAPTURE_BUFFER_KIB = 32_768
SAMPLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("benign-train", ()),
    ("benign-holdout", ()),
    ("attacks", ("--attacks",)),
)


def missing_packages() -> list[str]:
    """Packages of packages.txt whose program is not there."""
    lines = (HERE / "packages.txt").read_text().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return [package for package, program in pairs if not shutil.which(program, path=path)]


class Recorder:
    """Tcpdump on the tap."""

    def __init__(self, office: Office, path: Path) -> None:
        self.office = office
        self.log = office.work / "tcpdump.log"
        self.child = office.start(
            "tap",
            ["tcpdump", "-i", "eth0", "-n", "-p", "-s", str(SNAPLEN), "-B",
             str(CAPTURE_BUFFER_KIB), "--time-stamp-precision=nano", "-Z", "root", "-w", str(path)],
            "tcpdump",
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while "listening on" not in self.log.read_text():
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"tcpdump: {self.log.read_text().strip()}")
            time.sleep(0.1)

    def stop(self) -> str:
        """End the recording; returns tcpdump's account of it."""
        self.child.send_signal(signal.SIGINT)
        self.child.wait(timeout=20)
        lines = [line for line in self.log.read_text().splitlines() if "packets" in line]
        if not any(line.startswith("0 packets dropped by kernel") for line in lines):
            self.office.say("WARNING: the kernel dropped packets, the capture has holes")
        return ", ".join(lines)


def work_on(seconds: float, office: Office, tasks: attacks.Schedule | None) -> None:
    """Let the office work, with attacks at their times."""
    began = time.monotonic()
    next_word = PROGRESS_S
    while (elapsed := time.monotonic() - began) < seconds:
        if tasks:
            tasks.start_due(elapsed)
        if elapsed >= next_word:
            size = (office.work / "tap.pcap").stat().st_size / 1e6
            office.say(f"{elapsed:.0f} of {seconds:.0f} s, {size:.1f} MB recorded")
            next_word += PROGRESS_S
        time.sleep(0.5)


def record(args: argparse.Namespace, office: Office) -> None:
    """One run, from nothing to the compressed capture."""
    rng = random.Random(args.seed)
    office.say(f"seed {args.seed}: writing content and configuration to {office.work}")
    services.prepare(office, rng)
    office.say("building namespaces, switch and cables")
    office.build()
    office.say("starting servers")
    services.start(office)
    at_work = {}
    for name in BY_NAME:
        if users.habits_of(name):
            at_work[name] = office.start(
                name,
                [sys.executable, str(HERE / "users.py"), "--host", name, "--seed", str(args.seed),
                 "--work", str(office.work), "--pace", str(args.pace)],
                f"{name}-user",
            )  # fmt: skip
    office.say(f"users are at work; {WARM_UP_S:.0f} s to warm up")
    time.sleep(WARM_UP_S)
    raw = office.work / "tap.pcap"
    recorder = Recorder(office, raw)
    began_ns = time.time_ns()
    schedule = None
    if args.attacks:
        schedule = attacks.Schedule(office, args.seconds, rng, args.attacks)
    office.say(f"recording for {args.seconds:.0f} s")
    work_on(args.seconds, office, schedule)
    if schedule:
        schedule.wait()
    office.say(recorder.stop())
    if gone := [name for name, child in at_work.items() if child.poll() is not None]:
        raise RuntimeError(f"users of {gone} ended before the recording did; see --keep")
    count_habits(office, began_ns)
    if schedule:
        if missing := set(args.attacks) - {attack.kind for _, _, attack in schedule.done}:
            raise RuntimeError(f"episodes failed: {sorted(missing)}; see --keep")
        truth = Path(str(args.out).removesuffix(".pcap.zst") + ".truth.csv")
        schedule.write(truth)
        office.say(f"{truth}: {len(schedule.done)} episodes")
    subprocess.run(["zstd", "-q", "-f", "-19", str(raw), "-o", str(args.out)], check=True)
    office.say(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


def count_habits(office: Office, since_ns: int) -> None:
    """Say how often each habit began while the tap recorded."""
    journal = office.work / "journal.csv"
    rows = [line.split(",") for line in journal.read_text().splitlines()]
    counts = Counter(row[2] for row in rows if len(row) == 3 and int(row[0]) >= since_ns)
    office.say("habits: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items())))


def record_all(args: argparse.Namespace) -> int:
    """Record the three samples, each in a lab of its own, then hold them against the truth."""
    labs = []
    try:
        for seed, (name, extra) in enumerate(SAMPLES, args.seed):
            argv = [sys.executable, __file__, "--seconds", str(args.seconds), "--seed", str(seed),
                    "--pace", str(args.pace), "--prefix", f"{args.prefix}{seed}",
                    "--out", str(args.out / f"{name}.pcap.zst"), *extra]  # fmt: skip
            # A session of its own: Ctrl-C reaches the labs once, through us.
            labs.append(subprocess.Popen(argv, start_new_session=True))
            if args.serial:
                labs[-1].wait()
        if any([lab.wait() for lab in labs]):
            return 1
    except KeyboardInterrupt:
        return 130
    finally:
        for lab in labs:
            lab.terminate()
        for lab in labs:
            lab.wait()
    return subprocess.run([sys.executable, str(HERE / "check.py"), str(args.out)]).returncode


def parse() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1800.0, help="length of the recording")
    parser.add_argument("--seed", type=int, default=101, help="of users, content, attack times")
    parser.add_argument("--attacks", nargs="*", metavar="KIND", choices=attacks.KINDS,
                        help="run attack episodes too: these kinds, or all")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="record the three samples at once")
    parser.add_argument("--serial", action="store_true", help="with --all: one after the other")
    parser.add_argument("--out", type=Path, help="NAME.pcap.zst to write; with --all a directory")
    parser.add_argument("--prefix", default="lab", help="of the namespaces' names")
    parser.add_argument("--pace", type=float, default=1.0, help="2: everyone half as busy")
    parser.add_argument("--keep", action="store_true", help="keep the work directory with its logs")
    parser.add_argument(
        "--clean", action="store_true", help="remove what a killed lab of this --prefix left"
    )
    args = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root: network namespaces, TAP devices and a packet capture")
    if missing := missing_packages():
        parser.error(f"missing Debian packages: apt-get install {' '.join(missing)}")
    if not args.clean and not args.out:
        parser.error("--out = nothing: want a file name, NAME.pcap.zst")
    if args.attacks is not None or args.all:
        args.attacks = args.attacks or list(attacks.KINDS)
        least = attacks.least_seconds(args.attacks)
        if args.seconds < least:
            parser.error(f"--seconds = {args.seconds:.0f}: want {least:.0f} or more for "
                         f"{len(args.attacks)} episodes (else they would overlap)")  # fmt: skip
    return args


def interrupt(*_: object) -> None:
    """SIGTERM ends the lab like Ctrl-C, also in the background of a shell."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the lab; whatever happens, nothing of it stays."""
    args = parse()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.environ["LC_ALL"] = "C"
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, interrupt)
    if args.all:
        return record_all(args)
    work = Path(tempfile.mkdtemp(prefix=f"{args.prefix}-lab-"))
    work.chmod(0o711)
    office = Office(args.prefix, work)
    if args.clean:
        office.destroy()
        for left in work.parent.glob(f"{args.prefix}-lab-*"):
            shutil.rmtree(left)
        return 0
    built = not office.existing()
    try:
        record(args, office)
    except KeyboardInterrupt:
        office.say("interrupted")
        return 130
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"record.py: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if built:
            office.destroy()
        if not args.keep:
            with contextlib.suppress(OSError):
                shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())

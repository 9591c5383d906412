"""tapwatch as its users run it: a process of its own, with the sample captures and bundles."""

import os
import subprocess
import sys
from pathlib import Path

import zstandard

SAMPLES = Path(__file__).resolve().parent.parent.parent / "samples"
ATTACKS = SAMPLES / "attacks.pcap.zst"
HOLDOUT = SAMPLES / "benign-holdout.pcap.zst"
BUNDLES = (SAMPLES / "bundles" / "flow", SAMPLES / "bundles" / "packet")
TAPWATCH = [sys.executable, "-m", "tapwatch"]


def tapwatch(*arguments: object, stdin: bytes | None = None, code: int = 0, **more: object):
    """Run to the end; the exit code must be `code`."""
    done = subprocess.run(
        [*TAPWATCH, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
        **more,
    )
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return done


def start(*arguments: object, **more: object) -> subprocess.Popen:
    """Start and return the process; the caller ends it."""
    return subprocess.Popen(
        [*TAPWATCH, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        **more,
    )


def with_bundles(bundles: tuple[Path, ...] = BUNDLES) -> list[str]:
    """--bundle for each of them."""
    return [word for bundle in bundles for word in ("--bundle", str(bundle))]


def plain(path: Path) -> bytes:
    """The bytes of a zstd file."""
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()

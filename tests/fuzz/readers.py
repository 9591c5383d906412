"""Target `readers`: whole files, in every way in which they can arrive."""

import array
import contextlib
import fcntl
import gzip
import itertools
import lzma
import os
import tempfile
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import zstandard

from tapwatch.capture import open_captures, reader, windows
from tapwatch.capture.source import CaptureCounts
from tapwatch.errors import CaptureError, ConfigError
from tests.capture import naive
from tests.fuzz import seeds
from tests.fuzz.cases import Case, Finding
from tests.fuzz.filters import TEXTS, can_filter, is_filter, matches
from tests.fuzz.guard import GuardedNumpy, GuardedWindow
from tests.fuzz.mutate import borders, spoil_file

FILE_BYTES_MAX = 100_000
PACKERS = {
    "gz": lambda raw: gzip.compress(raw, 1, mtime=0),
    "xz": lambda raw: lzma.compress(raw, preset=0),
    "zst": lambda raw: zstandard.ZstdCompressor(1, write_checksum=True).compress(raw),
    "zst-stream": lambda raw: zstandard.ZstdCompressor(1).compressobj().compress(raw) or raw,
}
#: Frames as the reader hands them over: time, lengths, link type, interface's name, way, bytes.
Rows = list[tuple[Any, ...]]


def make(random: Random, seed: str) -> Case:
    """One or two captures, spoilt; sometimes packed, and spoilt again."""
    raw = spoil_file(random, random.choice(seeds.captures()), seeds.captures())
    options: dict[str, Any] = {"filter": random.choice(TEXTS)}
    options |= {"pauses": sorted(random.choices(_places(raw), k=3))}
    parts = [raw[:FILE_BYTES_MAX]]
    chance = random.random()
    if chance < 0.15:
        packed = PACKERS[random.choice(sorted(PACKERS))](parts[0])
        parts = [spoil_file(random, packed, [packed], 3)]
    elif chance < 0.3:
        parts.append(spoil_file(random, random.choice(seeds.captures()), seeds.captures(), 1))
    return Case("readers", tuple(parts), ({},) * len(parts), options, seed)


def _places(raw: bytes) -> list[int]:
    """Where a writer may pause: at the beginning of records, or a few bytes beside."""
    return [max(0, at + near) for at in borders(raw) for near in (-1, 0, 1, 8, 16, 20)]


def run(case: Case, seen: Counter[str]) -> None:
    """Read the files in every way; all must agree with each other and with the twin."""
    with tempfile.TemporaryDirectory(prefix="tapwatch-fuzz-") as name:
        paths = [Path(name) / f"{k}.cap" for k in range(len(case.parts))]
        for path, part in zip(paths, case.parts, strict=True):
            path.write_bytes(part)
        names = [str(path) for path in paths]
        outcome = read(names, seen=seen)
        for size in (1, 7):
            _same(outcome, read(names, batch_frames=size), f"batches of {size} frames")
        if len(names) == 1:
            raw = case.parts[0]
            piped = _through_pipe(raw, case.options["pauses"])
            if not reader.is_packed(raw[:6]):
                _same(outcome, piped, "a pipe")
                _check_plain(paths[0], raw, outcome)
            elif "corrupt" not in {**outcome[1], **piped[1]} and None not in (outcome[0], piped[0]):
                _same(outcome, piped, "a packed pipe")
        if outcome[0] is not None and can_filter():
            _check_filter(names, outcome, case.options["filter"])
        _same(outcome[:1], read([name])[:1], "a directory", only_if_read=True)


def _check_filter(names: list[str], outcome: tuple[Any, ...], text: str) -> None:
    """What passes is what libpcap lets pass, under the numbers that it had; the rest is counted."""
    link_types = {row[2] for row in outcome[0]}
    if 0 in link_types:
        return  # loopback: libpcap goes by the byte order of the file, we by that of the frame
    wanted = [
        (k + 1, *row) for k, row in enumerate(outcome[0]) if matches(text, row[2], row[-1], row[1])
    ]
    for size in (8192, 3):
        try:
            source = open_captures(names, batch_frames=size, filter=text)
        except ConfigError:
            # Before the first frame, only what stands at the beginning of the files is known.
            known = [is_filter(text, link_type) for link_type in link_types] or [False]
            if is_filter(text, 1) or all(known):
                raise
            return
        found = []
        while (batch := source.read()) is not None:
            numbers = batch.frames["number"].tolist()
            rows = _rows_of(batch.data, batch.frames, source.interfaces, None)
            found += [(number, *row) for number, row in zip(numbers, rows, strict=True)]
        counts = source.counts
        source.close()
        if found != wanted:
            raise Finding(f"readers: libpcap lets other frames pass\n{text}\n{found}\n{wanted}")
        if (counts.packets, counts.filtered) != (len(outcome[0]), len(outcome[0]) - len(found)):
            raise Finding(f"readers: what a filter keeps back is not counted\n{text}")
        if counts.bytes != outcome[2]["bytes"]:
            raise Finding("readers: bytes depend on the filter")


def _check_plain(path: Path, raw: bytes, outcome: tuple[Any, ...]) -> None:
    _check_twin(raw, outcome)
    for kind, pack in PACKERS.items():
        path.write_bytes(pack(raw))
        _same(outcome, read([str(path)]), f"{kind}")
    path.write_bytes(raw)
    for step in (1, 50, len(raw) + 1):
        with _guarded_stream(raw, step):
            _same(outcome, read([str(path)]), "a guarded buffer")
    with mock.patch.object(windows, "np", GuardedNumpy()):
        _same(outcome, read([str(path)]), "a file in guarded buffers")
    _check_split(path.parent, raw, outcome)


@contextlib.contextmanager
def _guarded_stream(raw: bytes, step: int) -> Iterator[None]:
    def opened(*_arguments: object) -> GuardedWindow:
        return GuardedWindow(raw, step)

    with mock.patch.object(reader, "open_window", opened):
        yield


def _check_split(folder: Path, raw: bytes, outcome: tuple[Any, ...]) -> None:
    """A pcap in two files is the same capture, where its times do not fall."""
    rows, how, _ = outcome
    times = [row[0] for row in rows or ()]
    # Records of patched and of old pcaps are laid out in ways that `borders` does not know.
    magics = [bytes.fromhex(m) for m in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")]
    is_known = raw[:4] in magics and raw[4:8] in (b"\2\0\4\0", b"\0\2\0\4")
    if not (is_known or raw[:5] == b"snoop") or how or len(times) < 2 or times != sorted(times):
        return
    header = 16 if raw[:5] == b"snoop" else 24
    places = borders(raw)
    middle = places[len(places) // 2]
    both = [folder / "0.part", folder / "1.part"]
    both[0].write_bytes(raw[:middle])
    both[1].write_bytes(raw[:header] + raw[middle:])
    split = read([str(path) for path in both])
    for path in both:
        path.unlink()
    _same((rows, how), split[:2], "two files")


def _same(one: tuple[Any, ...], other: tuple[Any, ...], where: str, only_if_read: bool = False):
    if only_if_read and (one[0] is None or other[0] is None):
        return
    if one != other:
        n = (len(one[0] or []), len(other[0] or []))
        raise Finding(f"readers: another outcome from {where}\n{n}: {one[1:]} {other[1:]}")


def _through_pipe(raw: bytes, pauses: list[int]) -> tuple[Any, ...]:
    """From standard input, written by another thread, which waits now and then to be read."""
    there, here = os.pipe()
    edges = [0, *sorted(at for at in pauses if at < len(raw)), len(raw)]
    is_done = threading.Event()

    def write() -> None:
        with contextlib.suppress(OSError):  # who reads has had enough
            for lo, hi in itertools.pairwise(edges):
                os.write(here, raw[lo:hi])
                _wait_until_read(here, is_done)
        os.close(here)

    stdin = os.dup(0)
    os.dup2(there, 0)
    os.close(there)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        return read(["-"])
    finally:
        is_done.set()
        os.dup2(stdin, 0)
        os.close(stdin)
        writer.join()


def _wait_until_read(pipe: int, is_done: threading.Event) -> None:
    """Return a moment after the pipe is empty, so that its reader finds nothing."""
    waiting = array.array("i", [1])
    while waiting[0] and not is_done.is_set():
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        time.sleep(0.0003)


def read(
    names: list[str],
    *,
    batch_frames: int = 8192,
    seen: Counter[str] | None = None,
) -> tuple[Rows | None, dict[str, int], dict[str, int]]:
    """All frames (None where it is refused), files damaged by reason, and the counts."""
    try:
        source = open_captures(names, batch_frames=batch_frames)
    except CaptureError as error:
        if "\n" in str(error) or not str(error):
            raise Finding("readers: a refusal that is not one line") from error
        if seen is not None:
            seen["refused"] += 1
        return None, {}, {}
    rows: Rows = []
    until_ns = None
    try:
        while (batch := source.read()) is not None:
            frames = batch.frames
            if len(frames) > batch_frames or batch.data.flags.writeable:
                raise Finding("readers: a batch that is too long or can be written to")
            if until_ns is not None and batch.until_ns < until_ns:
                raise Finding("readers: until_ns goes back")
            until_ns = batch.until_ns
            rows += _rows_of(batch.data, frames, source.interfaces, len(rows))
        ended = source.read()
    finally:
        source.close()
    if ended is not None:
        raise Finding("readers: goes on after its end")
    _check_counts(rows, source.counts, until_ns)
    damaged = {str(reason): n for reason, n in source.counts.damaged_files.items() if n}
    if seen is not None:
        seen.update({f"damage={reason}": n for reason, n in damaged.items()} | {"read": 1})
        seen["skipped_blocks"] += source.counts.skipped_blocks
        seen["saturated_times"] += source.counts.saturated_times
        seen["frames"] += len(rows)
    return rows, damaged, _counts(source.counts)


def _counts(counts: CaptureCounts) -> dict[str, int]:
    values = {name: getattr(counts, name) for name in CaptureCounts.__dataclass_fields__}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _rows_of(data: Any, frames: Any, interfaces: tuple[str, ...], n_before: int | None) -> Rows:
    rows = []
    for k, row in enumerate(frames):
        start, size = int(row["start"]), int(row["captured_bytes"])
        if not 0 <= start <= start + size <= len(data):
            raise Finding("readers: a frame that does not lie within the data")
        if n_before is not None and row["number"] != n_before + k + 1:
            raise Finding("readers: frames are not numbered one after another")
        if row["wire_bytes"] < size or row["direction"] > 2 or row["vlan_tci"] != -1:
            raise Finding("readers: a row that cannot be")
        content = data[start : start + size].tobytes()
        values = (int(row[name]) for name in ("ts_ns", "wire_bytes", "link_type", "direction"))
        rows.append((*values, interfaces[row["interface"]], content))
    return rows


def _check_counts(rows: Rows, counts: CaptureCounts, until_ns: int | None) -> None:
    if counts.packets != len(rows) or counts.bytes != sum(row[1] for row in rows):
        raise Finding("readers: counts are not those of the frames")
    if rows and until_ns != max(row[0] for row in rows):
        raise Finding("readers: until_ns is not the latest time")
    if len(counts.problems) < counts.truncated_files:
        raise Finding("readers: damage without a line that says so")


def _check_twin(raw: bytes, outcome: tuple[Any, ...]) -> None:
    rows, damaged, _ = outcome
    try:
        packets, how = naive.read(raw)[:2]
    except naive.NotACapture:
        if rows is not None:
            raise Finding("readers: the twin refuses what we read") from None
        return
    if rows is None:
        raise Finding("readers: the twin reads what we refuse")
    theirs = [
        (p.ts_ns, p.wire_bytes, p.link_type, p.direction, p.interface, p.captured) for p in packets
    ]
    if rows != theirs:
        at = next((k for k, p in enumerate(zip(rows, theirs, strict=False)) if p[0] != p[1]), -1)
        pair = (rows[at], theirs[at]) if at >= 0 else (len(rows), len(theirs))
        raise Finding(f"readers: kernel and twin differ\n{at}: {pair}")
    if damaged != ({how: 1} if how else {}):
        raise Finding(f"readers: kernel and twin see other damage\n{damaged}, {how!r}")

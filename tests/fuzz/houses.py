"""Target `house`: a capture through all rooms and all views to the alerts, in every way."""

import hashlib
import json
import struct
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tapwatch.alerts import eve
from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.errors import CaptureError
from tapwatch.features import VIEWS
from tapwatch.pipeline import House, imbalances
from tapwatch.pipeline import run as carry
from tapwatch.tables import Histogram
from tests.capture import makers
from tests.fuzz import seeds
from tests.fuzz.cases import Case, Finding
from tests.fuzz.decoding import depths, spoilt
from tests.fuzz.mutate import spoil_file
from tests.test_pipeline import EveryRow, Kept

FILE_BYTES_MAX = 200_000
_START_NS = 1_700_000_000 * 10**9
_LINK_TYPES = (1, 1, 1, 113, 101)


class Digested(EveryRow):
    """A scorer that flags every row, looks at every value and remembers all of them in a digest."""

    def __init__(self, view: str) -> None:
        super().__init__(view)
        self.digest = hashlib.sha256()

    def score(self, batch: Any) -> Any:
        """As the other; NaN or infinity is a finding."""
        if not np.isfinite(batch.values).all():
            bad = np.flatnonzero(~np.isfinite(batch.values).all(axis=0))
            names = [batch.schema.names[k] for k in bad]
            raise Finding(f"house: {self.view}: a value that is not finite in {names[:3]}")
        for row, values in zip(batch.rows.tolist(), batch.values, strict=True):
            self.digest.update(repr(row).encode() + values.tobytes())
        return super().score(batch)


def make(random: Random, seed: str) -> Case:
    """Frames spoilt one by one and written with times that jump; or a spoilt capture."""
    if random.random() < 0.3:
        raw = spoil_file(random, random.choice(seeds.captures()), seeds.captures(), 2)
    else:
        raw = _capture(random)
    options = {
        "tunnel_depth": random.choice(depths()),
        "batch_frames": random.choice((1, 2, 7, 64)),
        "max_rows": random.choice((1, 8, 1024)),
        "workers": random.choice((1, 2, 3)),
    }
    return Case("house", (raw[:FILE_BYTES_MAX],), ({},), options, seed)


def _times(random: Random, n: int) -> list[int]:
    """Mostly forward; now and then together, back, or far away."""
    now, found = _START_NS + random.randrange(10**9), []
    for _ in range(n):
        steps = (0, 1, 1000, 10**6, 10**9, 61 * 10**9, 130 * 10**9, -1, -(10**9), -(10**12))
        now += random.choice(steps) * random.randrange(3)
        if random.random() < 0.02:
            now = random.choice((0, 1, 2**62 - 1, 2**63, _START_NS, _START_NS + 10**17))
        now = min(max(now, 0), 2**64 - 1)
        found.append(now)
    return found


def _capture(random: Random) -> bytes:
    links = [random.choice(_LINK_TYPES), random.choice(seeds.LINK_TYPES)]
    names = ["", "eth0", 'a"\\\n\x1b[31m', "\0", "x" * 300, "\ud7ff é"]
    out = makers.section()
    for link_type in links:
        name = random.choice(names)
        offset = random.choice((None, None, -5, 2**62, -(2**63)))
        out += makers.interface(link_type=link_type, name=name, tsresol=9, offset_s=offset)
    n = random.randrange(1, 60)
    for time_ns in _times(random, n):
        frame = spoilt(random, 3000) if random.random() < 0.7 else random.choice(seeds.frames())
        which = links.index(frame.link_type) if frame.link_type in links else random.randrange(2)
        wire = random.choice((None, len(frame.data), frame.on_wire, len(frame.data) + 1000))
        flags = random.randrange(4)
        again = random.choice((1, 1, 1, 2, 5))
        out += makers.enhanced(time_ns, frame.data, which=which, wire=wire, flags=flags) * again
        if random.random() < 0.3:
            out += _answer(time_ns + random.choice((0, 10**6)), frame.data, which)
    return out


def _answer(time_ns: int, frame: bytes, which: int) -> bytes:
    """The other way round, where it is an IPv4 packet in an Ethernet frame: flows get two sides."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 38:
        return b""
    swapped = frame[6:12] + frame[:6] + frame[12:26] + frame[30:34] + frame[26:30]
    (src, dst) = struct.unpack("!HH", frame[34:38])
    return makers.enhanced(
        time_ns, swapped + struct.pack("!HH", dst, src) + frame[38:], which=which
    )


def run(case: Case, seen: Counter[str]) -> None:
    """The same rows, alerts and counts however the capture is cut into batches and spread."""
    options = case.options
    with tempfile.TemporaryDirectory(prefix="tapwatch-fuzz-") as name:
        path = Path(name) / "0.cap"
        path.write_bytes(case.parts[0])
        plain = _through(path, options["tunnel_depth"], seen=seen)
        if plain is None:
            return
        ways = {"batch_frames": options["batch_frames"], "max_rows": options["max_rows"]}
        other = _through(path, options["tunnel_depth"], workers=options["workers"], **ways)
        if plain != other:
            differing = [key for key in plain if other is None or plain[key] != other[key]]
            raise Finding(f"house: batches or workers show in {differing}\n{plain}\n{other}")


def _through(
    path: Path,
    tunnel_depth: int,
    *,
    batch_frames: int = 8192,
    max_rows: int = 1024,
    workers: int = 1,
    seen: Counter[str] | None = None,
) -> dict[str, Any] | None:
    try:
        source = open_captures([str(path)], batch_frames=batch_frames)
    except CaptureError:
        return None
    document: dict[str, Any] = {
        "detect": {"max_rows": max_rows},
        # Small tables, so that rows are evicted.
        "flows": {"capacity": 1024, "fragment_capacity": 64},
        "alerts": {"entities": 64, "rate_limit_per_min": 1000},
    }
    if tunnel_depth:
        document["decode"] = {"tunnel_depth": tunnel_depth}
    scorers, sink = [Digested(view) for view in VIEWS], Kept()
    house = House(Config.model_validate(document), source, scorers, [sink], workers=workers)
    try:
        carry(source, house, lambda: False, lambda _: _check_ledger(house))
    finally:
        source.close()
    _check_ledger(house)
    if seen is not None:
        _note(house, seen)
    lines = [eve.line(alert) for alert in sink.alerts]
    if any(json.loads(line)["event_type"] != "alert" or not line.isascii() for line in lines):
        raise Finding("house: an alert that is not a line of JSON")
    summary = house.summary()
    return {
        "rows": {scorer.view: scorer.digest.hexdigest() for scorer in scorers},
        "alerts": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "summary": summary,
    }


def _check_ledger(house: House) -> None:
    if broken := imbalances(house.summary()):
        raise Finding(f"house: the ledger does not balance: {broken[0]}")


def _note(house: House, seen: Counter[str]) -> None:
    for tally in house.tallies():
        for labels, value in tally.values.items():
            if isinstance(value, Histogram):
                if int(value.counts.min()) < 0 or not np.isfinite(value.total):
                    raise Finding(f"house: {tally.name}: a histogram that cannot be")
                continue
            if not np.isfinite(value) or (tally.kind == "counter" and value < 0):
                raise Finding(f"house: {tally.name}: {value}")
            seen[f"{tally.name}{{{','.join(labels)}}}"] += int(value > 0)

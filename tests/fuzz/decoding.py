"""Target `decode`: frames at the end of a page behind which nothing can be read."""

import inspect
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.decode import Decoder, DecodeStatus
from tapwatch.tables import FrameBatch
from tests.decode import naive
from tests.decode.made import Frame, batch, in_words
from tests.fuzz import seeds
from tests.fuzz.cases import Case, Finding
from tests.fuzz.guard import PAGE, Arena
from tests.fuzz.mutate import set_field, spoil_frame

FRAMES_A_CASE = 48
ROOM_BYTES = PAGE
TUNNEL_DEPTHS = (0, 0, 1, 8)
#: What the naive decoder does not say.
_OF_THE_BATCH = ("ts_ns", "clock_ns", "number", "interface", "direction")


def depths() -> tuple[int, ...]:
    """Tunnel depths that this decoder knows."""
    return TUNNEL_DEPTHS if "decode" in Config.model_fields else (0,)


def decoder(depth: int) -> Decoder:
    """A fresh one."""
    if "decode" not in Config.model_fields:
        return Decoder()
    config: Any = Config.model_validate({"decode": {"tunnel_depth": depth}})
    return Decoder(config.decode)


def make(random: Random, seed: str) -> Case:
    """Frames that were good or bad by themselves, and are worse now."""
    made = [_frame(random) for _ in range(FRAMES_A_CASE)]
    about = tuple(
        {"link_type": f.link_type, "wire_bytes": f.wire_bytes, "vlan_tci": f.vlan_tci} for f in made
    )
    options = {"tunnel_depth": random.choice(depths())}
    return Case("decode", tuple(f.data for f in made), about, options, seed)


def spoilt(random: Random, most_bytes: int = ROOM_BYTES) -> Frame:
    """One frame of the seeds, changed."""
    seed = random.choice(seeds.frames())
    data = seed.data
    fields = seeds.fields_of(seed)
    if fields and random.random() < 0.4:
        for _ in range(random.choice((1, 1, 2))):
            field = random.choice(fields)
            data = set_field(random, data, field.at, field.n_bytes, field.mask)
        data = data if random.random() < 0.7 else data[: random.randrange(len(data) + 1)]
    else:
        data = spoil_frame(random, data, seeds.frame_bytes())
    link_type = seed.link_type if random.random() < 0.9 else random.choice(seeds.LINK_TYPES)
    return Frame(data[:most_bytes], None, link_type, seed.vlan_tci)


def _frame(random: Random) -> Frame:
    frame = spoilt(random)
    n = len(frame.data)
    wire = random.choice((None, None, None, n + 1, n + 40, n + 70_000, n - 1, 0, 0x7FFFFFFF))
    tci = frame.vlan_tci if random.random() < 0.9 else random.choice((0, 1, 4095, 65535))
    return Frame(frame.data, None if wire is None else max(0, wire), frame.link_type, tci)


@cache
def _arena() -> Arena:
    return Arena(FRAMES_A_CASE, ROOM_BYTES)


def frames_of(case: Case) -> list[Frame]:
    """The frames of a case."""
    return [Frame(part, **about) for part, about in zip(case.parts, case.about, strict=True)]


def run(case: Case, seen: Counter[str]) -> None:
    """Decode the frames of a case in every place and every way; all must agree."""
    frames, depth = frames_of(case), case.options["tunnel_depth"]
    table = batch(frames)
    plain = decoder(depth)
    packets = plain.decode(table)
    for tally in plain.tallies():
        for labels, value in tally.values.items():
            seen[f"{tally.name}{{{','.join(labels)}}}"] += int(value)  # type: ignore[call-overload]
    check_rows(packets, table)
    rows = _relative(packets, table.frames)

    for at_end in (True, False):
        guarded = _guarded(frames, table, at_end=at_end)
        if _relative(decoder(depth).decode(guarded), guarded.frames) != rows:
            raise Finding("decode: rows depend on what lies beside the frames")
    for size in (1, 7):
        parts, one_by_one = decoder(depth), []
        for lo in range(0, len(frames), size):
            part = FrameBatch(table.data, table.frames[lo : lo + size], table.until_ns)
            one_by_one.append(parts.decode(part).tobytes())
        if b"".join(one_by_one) != packets.tobytes():
            raise Finding(f"decode: rows depend on batches of {size} frames")
        if parts.counts != plain.counts:
            raise Finding(f"decode: counts depend on batches of {size} frames")
    _check_twin(frames, in_words(packets, table.frames["start"]), depth)


def _guarded(frames: list[Frame], table: FrameBatch, *, at_end: bool) -> FrameBatch:
    moved = table.frames.copy()
    moved["start"] = _arena().place([frame.data for frame in frames], at_end=at_end)
    return FrameBatch(_arena().data, moved, table.until_ns)


def _relative(packets: NDArray[Any], frames: NDArray[Any]) -> bytes:
    """All bytes of all rows; the payload's place counted from the frame."""
    # Copied as bytes: a copy of rows leaves out what lies between their fields.
    moved = np.frombuffer(bytearray(packets.tobytes()), packets.dtype)
    moved["payload_start"] -= np.where(moved["payload_start"] > 0, frames["start"], 0)
    return moved.tobytes()


def check_rows(packets: NDArray[Any], table: FrameBatch) -> None:
    """What must hold for every row, whatever the frame was."""
    frames, statuses = table.frames, {int(status) for status in DecodeStatus}
    if len(packets) != len(frames):
        raise Finding("decode: not one row a frame")
    if not set(packets["status"].tolist()) <= statuses:
        raise Finding("decode: a status without a name")
    start, lo = packets["payload_start"], frames["start"]
    hi, size = lo + frames["captured_bytes"], packets["payload_captured_bytes"]
    has = start > 0
    inside = (start >= lo) & (start + size <= hi) & (size >= 0)
    if not np.all(inside | ~has & (size == 0)):
        raise Finding("decode: a payload that is not within its frame")
    if np.any(size > packets["payload_bytes"]):
        raise Finding("decode: more payload captured than there was")
    if np.any(packets["payload_bytes"] < 0):
        raise Finding("decode: a payload of negative length")
    for name in ("number", "ts_ns", "captured_bytes", "interface", "direction"):
        if not np.array_equal(packets[name], frames[name]):
            raise Finding(f"decode: {name} is not the frame's")
    if np.any((packets["is_flow"] == 1) & (packets["status"] != 0)):
        raise Finding("decode: a flow packet that did not decode")


def _check_twin(frames: list[Frame], rows: list[dict[str, Any]], depth: int) -> None:
    knows_depth = "tunnel_depth" in inspect.signature(naive.decode).parameters
    if depth and not knows_depth:
        return
    more: dict[str, int] = {"tunnel_depth": depth} if knows_depth else {}
    for frame, ours in zip(frames, rows, strict=True):
        theirs = naive.decode(frame.data, frame.wire_bytes, frame.link_type, frame.vlan_tci, **more)
        differing = [k for k in theirs if k not in _OF_THE_BATCH and ours[k] != theirs[k]]
        if differing:
            pairs = {name: (ours[name], theirs[name]) for name in differing}
            raise Finding(f"decode: kernel and twin differ in {differing[:3]}\n{frame}\n{pairs}")

"""Rows of captures by view, in the order of time: extracted once for all who learn from them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.detect.sequences import with_absent
from tapwatch.errors import ConfigError
from tapwatch.features.sequences.views import sequences_of
from tapwatch.pipeline import Corridor
from tapwatch.tables import FeatureBatch


@dataclass(frozen=True, slots=True)
class Halves:
    """Rows of one view of all captures."""

    train: FeatureBatch
    calibration: FeatureBatch  # first half of the held-out capture in time
    benign: FeatureBatch  # second half
    attacks: FeatureBatch


@dataclass(frozen=True, slots=True)
class Blocks:
    """What a detector is given of `Halves`: rows, or blocks of rows (n, N, n_columns)."""

    train: NDArray[np.float32]
    calibration: NDArray[np.float32]
    benign: NDArray[np.float32]
    attacks: NDArray[np.float32]


def extract_views(
    paths: Sequence[Path], views: Sequence[str], config: Config, filter: str | None = None
) -> dict[str, FeatureBatch]:
    """All rows of captures, by view, in the order of packet time."""
    source = open_captures([str(path) for path in paths], filter=filter)
    corridor = Corridor(config, views)
    made: dict[str, list[FeatureBatch]] = {view: [] for view in views}

    def carried() -> Iterator[dict[str, FeatureBatch]]:
        while (frames := source.read()) is not None:
            yield corridor.carry(frames)
        yield from corridor.finish()

    try:
        for batches in carried():
            for view, batch in batches.items():
                # What a batch holds may be written over by the next one.
                made[view].append(
                    FeatureBatch(batch.schema, batch.values.copy(), batch.rows.copy())
                )
    finally:
        source.close()
    return {view: _in_order(batches) for view, batches in made.items()}


def count_packets(path: Path, filter: str | None = None) -> int:
    """Packets of one capture that a filter leaves."""
    source = open_captures([str(path)], filter=filter)
    n_packets = 0
    try:
        while (frames := source.read()) is not None:
            n_packets += len(frames)
    finally:
        source.close()
    return n_packets


def _in_order(batches: Sequence[FeatureBatch]) -> FeatureBatch:
    values = np.concatenate([batch.values for batch in batches])
    rows = np.concatenate([batch.rows for batch in batches])
    order = np.argsort(rows["order_ns"], kind="stable")
    return FeatureBatch(batches[0].schema, values[order], rows[order])


def in_halves(batch: FeatureBatch, middle_ns: int) -> tuple[FeatureBatch, FeatureBatch]:
    """Rows whose last packet is at `middle_ns` or before, and the others."""
    is_first = batch.rows["last_ts_ns"] <= middle_ns
    first, second = (
        FeatureBatch(batch.schema, batch.values[part], batch.rows[part])
        for part in (is_first, ~is_first)
    )
    return first, second


def middle_of(batches: Iterable[FeatureBatch]) -> int:
    """The middle of the time that the rows of all views span, in ns.

    Raises
    ------
    ConfigError
        There are no rows.
    """
    times = np.concatenate([batch.rows["last_ts_ns"] for batch in batches])
    if not len(times):
        raise ConfigError("held-out capture", "no rows", "benign traffic")
    return (int(times.min()) + int(times.max())) // 2


def hours_of(batch: FeatureBatch) -> float:
    """Time from the first to the last row."""
    times = batch.rows["last_ts_ns"]
    return float(times.max() - times.min()) / 3.6e12 if len(times) else 0.0


def blocks_of(rows: Halves, n: int, config: Config) -> Blocks:
    """Rows as they are where `n` is 0, else the block of the last N rows of each row's entity."""
    given = (rows.train, rows.calibration, rows.benign, rows.attacks)
    if not n:
        return Blocks(*(batch.values for batch in given))
    # The second half goes on where the first ended, as the capture does.
    held_out = sequences_of(rows.train.schema, n, config)
    memories: list[Any] = [sequences_of(rows.train.schema, n, config), held_out, held_out]
    memories.append(sequences_of(rows.train.schema, n, config))
    made = (memory.update(batch) for memory, batch in zip(memories, given, strict=True))
    return Blocks(*(with_absent(batch.values, batch.lengths) for batch in made))

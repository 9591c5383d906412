"""Which columns of a view never vary on the captures that are there: they teach a model nothing.

    python -m tests.features.variation VIEW

prints them; tests compare them with those that are documented as constant.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.errors import CaptureError
from tapwatch.features import SCHEMAS
from tapwatch.pipeline import Corridor, extract
from tapwatch.tables import FeatureBatch
from tests.shared_data import shared_data

_ENDINGS = {".pcap", ".pcapng", ".cap", ".gz", ".snoop"}


def captures() -> list[Path]:
    """All captures of the external corpus; skips the test where it is absent."""
    folder = shared_data()
    return sorted(
        path
        for part in ("pcaps", "kitsune_mirai", "cicflowmeter_pair")
        for path in (folder / part).rglob("*")
        if path.suffix in _ENDINGS and "labels" not in path.name
    )


def batches(view: str, path: Path, config: Config | None = None) -> Iterator[FeatureBatch]:
    """Rows of a view of one capture, in float64; none where the capture is refused."""
    try:
        source = open_captures([str(path)])
    except CaptureError:
        return
    corridor = Corridor(config or Config(), [view], dtype=np.float64)
    try:
        for batch, _ in extract(source, corridor, view):
            yield batch
    finally:
        source.close()


def constant_columns(
    view: str, paths: Iterable[Path] | None = None, config: Config | None = None
) -> dict[str, float]:
    """Columns that have one value on all rows of all captures, and that value.

    Raises
    ------
    AssertionError
        A value is NaN, infinite or beyond what float32 holds, or a time is negative.
    """
    schema = SCHEMAS[view]
    is_time = np.array([column.unit in ("s", "us", "ms", "ns") for column in schema.columns])
    lowest = np.full(len(schema.columns), np.inf)
    highest = np.full(len(schema.columns), -np.inf)
    for path in captures() if paths is None else paths:
        for batch in batches(view, path, config):
            if len(batch) == 0:
                continue
            bad = ~(np.abs(batch.values) <= np.finfo(np.float32).max).all(axis=0)
            bad |= is_time & (batch.values < 0).any(axis=0)
            wrong = [schema.names[k] for k in np.flatnonzero(bad)]
            assert not wrong, f"{path}: {view}: {', '.join(wrong)}"
            lowest = np.minimum(lowest, batch.values.min(axis=0))
            highest = np.maximum(highest, batch.values.max(axis=0))
    return {
        name: float(low)
        for name, low, high in zip(schema.names, lowest, highest, strict=True)
        if not low < high
    }


if __name__ == "__main__":
    sys.stdout.write(f"{constant_columns(sys.argv[1])}\n")

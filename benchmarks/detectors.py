"""How many rows a CPU-second each detector scores, and what an explained row costs: one table.

    python benchmarks/detectors.py [--rounds 7] [--only ae,pca] [--columns 116] [--json OUT.json]

Rows are made: a handful of causes behind 116 columns, which is what KDD'99 has after one input a
word (`ae` is 116-29-116 then). Fits are short, for the speed of a score does not depend on how well
it was learnt; but support vectors, trees and memories are as many as by default. One thread,
CPU time of that thread; rounds of all detectors and batch sizes are interleaved, after one that is
not counted; medians with smallest and largest. Explained means shares by column and expected
values, of 64 rows at once. A call with one row is mostly Python's cost; what `kitnet` makes of rows
that come one by one, without it, is `unbatched`: its kernel called for each row in a compiled loop.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 8, 64, 1024)
EXPLAINED = 64
LEARNT_ROWS = 12_000
LEAST_S = 0.04  # a measurement lasts so long at least: the clock of a thread ticks in ns, noise not


def made_rows(n_rows: int, n_columns: int, seed: int) -> np.ndarray:
    """Rows with eight causes behind them, within the clip of a preprocessed row."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(8, n_columns)) / 3
    rows = random.normal(size=(n_rows, 8)) @ mixing
    rows += random.normal(scale=0.2, size=rows.shape)
    return np.clip(rows, -5, 5).astype(np.float32)


def shaped(rows: np.ndarray, n: int) -> np.ndarray:
    """Each row with the n - 1 before it, for a model of sequences."""
    if not n:
        return rows
    sequences = np.full((len(rows), n, rows.shape[1]), np.nan, np.float32)
    for back in range(n):
        sequences[back:, n - 1 - back] = rows[: len(rows) - back]
    return sequences


def fitted(name: str, n_columns: int) -> Any:
    """A detector of default size, after as few epochs as can be."""
    from tapwatch.detect.registry import DETECTORS

    kind = DETECTORS[name]
    fields = kind.parameters_type.model_fields
    few = {key: 1 for key in ("epochs", "restarts") if key in fields}
    parameters = kind.parameters_type.model_validate(few)
    n = getattr(parameters, "sequence_rows", 0)
    rows = shaped(made_rows(LEARNT_ROWS // max(n, 1), n_columns, 0), n)
    return kind.fit(rows, rows[:500], parameters, seed=0)


def rate(look: Callable[[], object], n_rows: int) -> float:
    """Rows per CPU-second of this thread."""
    times, spent = 0, 0.0
    begin = time.thread_time()
    while spent < LEAST_S:
        look()
        times += 1
        spent = time.thread_time() - begin
    return n_rows * times / spent


def looks(detector: Any, n_columns: int) -> dict[str, tuple[Callable[[], object], int]]:
    """What is measured -> how, and of how many rows."""
    n = detector.row_shape[0] if len(detector.row_shape) == 2 else 0
    # Copies that torch made: aligned as rows are that come out of the preprocessing.
    rows = shaped(made_rows(max(BATCHES) + n, n_columns, 1), n)[n:]
    made = {}
    for size in BATCHES:
        import torch

        batch = torch.from_numpy(rows[:size].copy()).clone().numpy()
        made[str(size)] = (lambda batch=batch: detector.score(batch), size)
    few = rows[:EXPLAINED].copy()

    def explain() -> None:
        detector.contributions(few)
        detector.expected(few)

    made["explained"] = (explain, EXPLAINED)
    if detector.name == "kitnet":
        made["unbatched"] = (one_by_one(detector, rows[:EXPLAINED].copy()), EXPLAINED)
    return made


def one_by_one(detector: Any, rows: np.ndarray) -> Callable[[], object]:
    """Score rows, each in a call of its own of the kernel; the same as all in one."""
    from numba import njit

    from tapwatch.detect.detectors.kitnet_kernel import score_rows

    @njit
    def loop(rows, scale, layout, ensemble, output, error):  # type: ignore[no-untyped-def]
        for i in range(len(rows)):
            score_rows(rows[i : i + 1], scale, layout, ensemble, output, error[i : i + 1])

    error = np.empty(len(rows))
    learnt = (detector._scale, detector._layout, detector._ensemble, detector._output)
    loop(rows, *learnt, error)
    np.testing.assert_array_equal(error, detector.score(rows))
    return lambda: loop(rows, *learnt, error)


def report(found: dict[str, dict[str, list[float]]]) -> None:
    """Print the table."""
    heads = " | ".join(f"{size} row" + "s" * (size > 1) for size in BATCHES)
    print(f"\n| detector | {heads} | an explained row, µs |\n|---|" + "---|" * (len(BATCHES) + 1))
    for name, kinds in found.items():
        cells = []
        for size in BATCHES:
            rates = sorted(kinds[str(size)])
            middle = statistics.median(rates)
            cells.append(f"{tell(middle)} ({tell(rates[0])}-{tell(rates[-1])})")
        cost = sorted(1e6 / r for r in kinds["explained"])
        cells.append(f"{statistics.median(cost):.1f} ({cost[0]:.1f}-{cost[-1]:.1f})")
        print(f"| `{name}` | " + " | ".join(cells) + " |")
    if rates := sorted(found.get("kitnet", {}).get("unbatched", [])):
        middle = statistics.median(rates)
        print(f"\n`kitnet` unbatched: {tell(middle)} ({tell(rates[0])}-{tell(rates[-1])})")


def tell(rows_per_s: float) -> str:
    """Three digits: 2.31 M, 41.2 k, 830."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if rows_per_s >= unit:
            return f"{rows_per_s / unit:.3g}{letter}"
    return f"{rows_per_s:.3g}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="detectors, by default all")
    parser.add_argument("--columns", type=int, default=116)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # Before a matrix library starts its threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from tapwatch.detect.registry import DETECTORS

    torch.set_num_threads(1)
    names = given.only.split(",") if given.only else list(DETECTORS)
    if unknown := set(names) - set(DETECTORS):
        parser.error(f"no such detector: {', '.join(sorted(unknown))}")
    measured = {}
    for name in names:
        print(f"fit {name}", file=sys.stderr)
        measured[name] = looks(fitted(name, given.columns), given.columns)
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in kinds} for name, kinds in measured.items()
    }
    for round_number in range(given.rounds + 1):
        for name, kinds in measured.items():
            for key, (look, n_rows) in kinds.items():
                rows_per_s = rate(look, n_rows)
                if round_number:
                    found[name][key].append(rows_per_s)
        print(f"round {round_number} of {given.rounds}", file=sys.stderr)
    report(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

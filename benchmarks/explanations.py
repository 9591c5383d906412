"""Whether the columns that an alert names are the reason for it: one table, by detector.

    python benchmarks/explanations.py KDDTrain+.txt.gz [--seeds 5] [--only ae,pca] [--rows 10000]

Normal rows of NSL-KDD's training file teach (log_z, constants watched, as `tapwatch train` does);
models with epochs have at most --epochs of them. What is explained are attacks of the same file
with an error above the 99 % quantile of held-out normal rows, as many of each kind as there are, up
to 20.

deletion    the share of the error that is gone when the five columns with the largest shares are
            set to what normal rows usually have, over that of five random ones
stability   how many of the five are the same after a fit with another seed, in the mean over pairs
injection   one column of a held-out normal row is set as far off as the clip lets it, or to a word
            that was never seen: how often it is among the three with the largest shares
cost        CPU time of the shares, a row, 64 rows at once, one thread

A model of sequences is left out: the rows of this file have no order in time and no host.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

TOP, NAMED, BLOCK = 5, 3, 64


@dataclass(frozen=True)
class Table:
    """Preprocessed rows, and what their inputs are."""

    learnt: np.ndarray
    held: np.ndarray  # normal
    attacks: np.ndarray
    kinds: np.ndarray  # of the attacks
    column_of: np.ndarray
    varies: np.ndarray  # columns that were not constant
    clip: float
    usual: np.ndarray  # one row


def read(path: Path, n_rows: int, clip: float = 5.0) -> Table:
    """Read the file and preprocess it; the fit sees what is learnt from alone."""
    from tapwatch.detect.ablation import Usual
    from tapwatch.detect.preprocess import fit_preprocess
    from tapwatch.features import SCHEMAS
    from tapwatch.training.kdd_csv import open_table

    table = open_table(path, SCHEMAS["kdd"])
    values, labels = [], []
    for part in table.parts():
        values.append(part.values)
        labels += part.labels
    all_rows, label = np.concatenate(values), np.array(labels)
    order = np.random.default_rng(0).permutation(len(label))
    normal = order[label[order] == "normal"]
    attack = order[label[order] != "normal"]
    learnt = all_rows[normal[:n_rows]].astype(np.float32)
    preprocess, constant = fit_preprocess(
        learnt, table.schema, table.schema.names, clip=clip, watch_constants=True
    )
    rows = preprocess.apply(learnt)
    column_of = preprocess.column_of
    return Table(
        rows,
        preprocess.apply(all_rows[normal[n_rows : n_rows + 5000]]),
        preprocess.apply(all_rows[attack]),
        label[attack],
        column_of,
        np.array([name not in constant for name in preprocess.columns]),
        clip,
        Usual.fit(rows).row(column_of),
    )


def explained(table: Table, detector: Any, each: int = 20) -> np.ndarray:
    """Attacks that score above 99 % of normal rows, up to `each` of a kind."""
    limit = np.quantile(detector.score(table.held), 0.99)
    found = []
    for kind in np.unique(table.kinds):
        rows = table.attacks[table.kinds == kind][: 10 * each]
        found.append(rows[detector.score(rows) > limit][:each])
    return np.concatenate(found)


def deletion(table: Table, detector: Any, rows: np.ndarray) -> tuple[float, float]:
    """Share of the error that goes with the top columns, and with as many random ones."""
    share = detector.contributions(rows, table.column_of)
    top = np.argsort(-share, axis=1, kind="stable")[:, :TOP]
    random = np.random.default_rng(1)
    before = detector.score(rows)

    def gone(columns: np.ndarray) -> float:
        is_set = (table.column_of[None, None] == columns[:, :, None]).any(axis=1)
        after = detector.score(np.where(is_set, table.usual, rows).astype(np.float32))
        return float(((before - after) / before).mean())

    draws = [
        np.argsort(random.random(share.shape), axis=1)[:, :TOP]
        for _ in range(5)  # in the mean, or luck would tell
    ]
    return gone(top), float(np.mean([gone(columns) for columns in draws]))


def overlap(tops: list[np.ndarray]) -> float:
    """Mean share of the top columns that two seeds agree on; 1 where there is one seed."""
    found = [
        (one[:, :, None] == other[:, None]).any(axis=2).mean()
        for one, other in combinations(tops, 2)
    ]
    return float(np.mean(found)) if found else 1.0


def injected(table: Table, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal rows with one column far off, and which one; only columns that vary."""
    random = np.random.default_rng(2)
    rows = table.held[:n_rows].copy()
    columns = random.choice(np.flatnonzero(table.varies), len(rows))
    for row, column in zip(rows, columns, strict=True):
        inputs = np.flatnonzero(table.column_of == column)
        if len(inputs) > 1:
            height = row[inputs].max()
            row[inputs] = 0
            row[inputs[-1]] = height  # of all words that were not seen
        else:
            row[inputs] = -table.clip if row[inputs[0]] > 0 else table.clip
    return rows, columns


def measure(table: Table, name: str, seeds: int, **parameters: object) -> dict[str, Any]:
    """All four figures of one detector, in the mean over seeds."""
    from tapwatch.detect.registry import DETECTORS

    kind = DETECTORS[name]
    chosen = {k: v for k, v in parameters.items() if k in kind.parameters_type.model_fields}
    n_learnt = len(table.learnt) * 9 // 10
    detectors = [
        kind.fit(
            table.learnt[:n_learnt],
            table.learnt[n_learnt:],
            kind.parameters_type.model_validate(chosen),
            seed=seed,
        )
        for seed in range(seeds if kind.is_seeded else 1)
    ]
    rows = explained(table, detectors[0])
    odd, columns = injected(table, 2000 if seeds > 2 else 500)
    tops, gone, by_chance, hits = [], [], [], []
    for detector in detectors:
        share = detector.contributions(rows, table.column_of)
        tops.append(np.argsort(-share, axis=1, kind="stable")[:, :TOP])
        both = deletion(table, detector, rows)
        gone.append(both[0])
        by_chance.append(both[1])
        share = detector.contributions(odd, table.column_of)
        named = np.argsort(-share, axis=1, kind="stable")[:, :NAMED]
        hits.append((named == columns[:, None]).any(axis=1).mean())
    return {
        "seeds": len(detectors),
        "rows": len(rows),
        "top": float(np.mean(gone)),
        "random": float(np.mean(by_chance)),
        "stability": overlap(tops),
        "injection": float(np.mean(hits)),
        "cost_us": cost(table, detectors[0]),
    }


def cost(table: Table, detector: Any) -> float:
    """Microseconds of this thread for the shares of a row."""
    rows = table.held[:BLOCK].copy()
    detector.contributions(rows, table.column_of)
    spent = []
    for _ in range(7):
        times, begin = 0, time.thread_time()
        while time.thread_time() - begin < 0.02:
            detector.contributions(rows, table.column_of)
            times += 1
        spent.append((time.thread_time() - begin) / times / BLOCK * 1e6)
    return float(np.median(spent))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="KDDTrain+.txt, plain or gzip")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000, help="normal rows that teach")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--only", help="detectors, by default all")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # Before a matrix library starts its threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from tapwatch.detect.registry import DETECTORS

    torch.set_num_threads(1)
    table = read(given.table, given.rows)
    found = {}
    print("| detector | deletion: top 5 / random 5 | stability | injection | µs a row |")
    print("|---|---|---|---|---|")
    for name, kind in DETECTORS.items():
        if given.only and name not in given.only.split(","):
            continue
        if "sequence_rows" in kind.parameters_type.model_fields:
            print(f"{name}: left out, a model of sequences", file=sys.stderr)
            continue
        figures = measure(table, name, given.seeds, epochs=given.epochs)
        found[name] = figures
        ratio = figures["top"] / figures["random"]
        print(
            f"| `{name}` | {figures['top']:.3f} / {figures['random']:.3f} = {ratio:.1f} "
            f"| {figures['stability']:.2f} | {figures['injection']:.3f} "
            f"| {figures['cost_us']:.1f} |",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

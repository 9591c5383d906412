"""Whether the columns that an alert names are the reason for it: one table, by detector.

    python benchmarks/explanations.py KDDTrain+.txt.gz [--seeds 5] [--only ae,pca] [--rows 10000]

Normal rows of NSL-KDD's training file teach (log_z, constants watched, as `tapwatch train` does);
models with epochs have at most --epochs of them. What is explained are attacks of the same file
with an error above the 99 % quantile of held-out normal rows, as many of each kind as there are, up
to 20.

deletion    the share of the error that is gone when the five columns with the largest shares are
            set to what normal rows usually have, over that of five random ones; where those add to
            the error there is no ratio
stability   how many of the five are the same after a fit with another seed, in the mean over pairs
injection   one column of a held-out normal row is set to the end of the clip that is further from
            its median, or to a word that was never seen: how often it is among the three with the
            largest shares. Only columns that vary, and of which at most one training row in a
            thousand comes within one preprocessed unit of that; only rows that are no alert before
of alerts   the same of those rows that the one column makes an alert, and how many these are
cost        CPU time of the shares, a row of those explained, 64 rows at once, one thread

The rows of this file have no order in time and no host. A model of sequences gets each row behind
normal ones drawn at random, of which it can learn nothing; what is set or injected is set in the
row itself.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

TOP, NAMED, BLOCK = 5, 3, 64
#: Odd is a value that at most this share of training rows comes so near to, in preprocessed units.
FEW, NEAR = 0.001, 1.0


@dataclass(frozen=True)
class Table:
    """Preprocessed rows, and what their inputs are."""

    learnt: np.ndarray
    held: np.ndarray  # normal
    attacks: np.ndarray
    kinds: np.ndarray  # of the attacks
    column_of: np.ndarray
    odd: np.ndarray  # by column a plain value that hardly a training row comes near to, or 0
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
        odd_values(rows, column_of, [name in constant for name in preprocess.columns], clip),
        clip,
        Usual.fit(rows).row(column_of),
    )


def odd_values(
    rows: np.ndarray, column_of: np.ndarray, is_constant: list[bool], clip: float
) -> np.ndarray:
    """By column the end of the clip that is further from the median; 0 where rows are near it.

    Of a column of classes 1: there always is a word that was not seen. Of a constant 0.
    """
    odd = np.zeros(len(is_constant), np.float32)
    for column in np.flatnonzero(~np.array(is_constant)):
        inputs = np.flatnonzero(column_of == column)
        if len(inputs) > 1:
            odd[column] = 1
            continue
        values = rows[:, inputs[0]]
        end = -clip if np.median(values) > 0 else clip
        if (np.abs(values - end) < NEAR).mean() <= FEW:
            odd[column] = end
    return odd


@dataclass(frozen=True)
class Judge:
    """A detector that is given plain rows; for a model of sequences, behind normal ones."""

    detector: Any
    company: np.ndarray

    def dressed(self, rows: np.ndarray) -> np.ndarray:
        """Rows as the detector wants them; as many rows always get the same company."""
        shape = self.detector.row_shape
        return sequences(rows, self.company, shape[0] if len(shape) == 2 else 0)

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Errors."""
        found: np.ndarray = self.detector.score(self.dressed(rows))
        return found

    def contributions(self, rows: np.ndarray, column_of: np.ndarray) -> np.ndarray:
        """Shares by column."""
        found: np.ndarray = self.detector.contributions(self.dressed(rows), column_of)
        return found


def sequences(rows: np.ndarray, company: np.ndarray, n: int) -> np.ndarray:
    """Each row behind n - 1 others, (n_rows, n, n_columns); for n = 0 the rows."""
    if not n:
        return rows
    drawn = np.random.default_rng(3).integers(len(company), size=(len(rows), n - 1))
    return np.concatenate([company[drawn], rows[:, None]], axis=1)


def explained(table: Table, detector: Judge, each: int = 20) -> np.ndarray:
    """Attacks that score above 99 % of normal rows, up to `each` of a kind."""
    limit = np.quantile(detector.score(table.held), 0.99)
    found = []
    for kind in np.unique(table.kinds):
        rows = table.attacks[table.kinds == kind][: 10 * each]
        found.append(rows[detector.score(rows) > limit][:each])
    return np.concatenate(found)


def deletion(table: Table, detector: Judge, rows: np.ndarray) -> tuple[float, float]:
    """Share of the error that goes with the top columns, and with as many random ones."""
    share = detector.contributions(rows, table.column_of)
    top = np.argsort(-share, axis=1, kind="stable")[:, :TOP]
    random = np.random.default_rng(1)
    before = detector.score(rows)
    # Of a row that this seed finds nothing odd in there is no share.
    is_odd = before > 0

    def gone(columns: np.ndarray) -> float:
        is_set = (table.column_of[None, None] == columns[:, :, None]).any(axis=1)
        after = detector.score(np.where(is_set, table.usual, rows).astype(np.float32))
        return float(((before - after)[is_odd] / before[is_odd]).mean())

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
    """Normal rows with one column at an odd value, and which column."""
    random = np.random.default_rng(2)
    rows = np.resize(table.held, (n_rows, table.held.shape[1]))
    columns = random.choice(np.flatnonzero(table.odd), len(rows))
    for row, column in zip(rows, columns, strict=True):
        inputs = np.flatnonzero(table.column_of == column)
        if len(inputs) > 1:
            height = row[inputs].max()
            row[inputs] = 0
            row[inputs[-1]] = height  # of all words that were not seen
        else:
            row[inputs] = table.odd[column]
    return rows, columns


def hits(table: Table, judge: Judge, n_rows: int) -> np.ndarray:
    """Of injected rows that were no alert: how many, named; and the same of alerts by then."""
    limit = np.quantile(judge.score(table.held), 0.99)
    odd, columns = injected(table, n_rows)
    is_quiet = judge.score(np.resize(table.held, odd.shape)) <= limit
    odd, columns = odd[is_quiet], columns[is_quiet]
    is_alert = judge.score(odd) > limit
    share = judge.contributions(odd, table.column_of)
    named = np.argsort(-share, axis=1, kind="stable")[:, :NAMED]
    is_hit = (named == columns[:, None]).any(axis=1)
    return np.array([len(odd), is_hit.sum(), is_alert.sum(), (is_hit & is_alert).sum()])


def measure(table: Table, name: str, seeds: int, **parameters: object) -> dict[str, Any]:
    """All figures of one detector, in the mean over seeds."""
    judges = fitted(table, name, seeds, **parameters)
    rows = explained(table, judges[0])
    tops, gone, found = [], [], np.zeros(4, np.int64)
    for judge in judges:
        share = judge.contributions(rows, table.column_of)
        tops.append(np.argsort(-share, axis=1, kind="stable")[:, :TOP])
        gone.append(deletion(table, judge, rows))
        found += hits(table, judge, 5000 if seeds > 2 else 500)
    top, by_chance = np.mean(gone, axis=0)
    n_odd, n_named, n_alerts, n_named_alerts = found.tolist()
    return {
        "seeds": len(judges),
        "rows": len(rows),
        "top": float(top),
        "random": float(by_chance),
        "stability": overlap(tops),
        "injected": n_odd,
        "injection": n_named / n_odd,
        "alerts": n_alerts,
        "injection_alerts": n_named_alerts / n_alerts if n_alerts else None,
        "cost_us": cost(table, judges[0], rows),
    }


def fitted(table: Table, name: str, seeds: int, **parameters: object) -> list[Judge]:
    """One for each seed; one in all where nothing depends on it."""
    from tapwatch.detect.registry import DETECTORS

    kind = DETECTORS[name]
    chosen = {k: v for k, v in parameters.items() if k in kind.parameters_type.model_fields}
    given = kind.parameters_type.model_validate(chosen)
    learnt = sequences(table.learnt, table.learnt, getattr(given, "sequence_rows", 0))
    n_learnt = len(learnt) * 9 // 10
    return [
        Judge(kind.fit(learnt[:n_learnt], learnt[n_learnt:], given, seed=seed), table.learnt)
        for seed in range(seeds if kind.is_seeded else 1)
    ]


def cost(table: Table, judge: Judge, rows: np.ndarray) -> float:
    """Microseconds of this thread for the shares of a row."""
    block = judge.dressed(np.resize(rows, (BLOCK, rows.shape[1])))
    judge.detector.contributions(block, table.column_of)
    spent = []
    for _ in range(7):
        times, begin = 0, time.thread_time()
        while time.thread_time() - begin < 0.02:
            judge.detector.contributions(block, table.column_of)
            times += 1
        spent.append((time.thread_time() - begin) / times / BLOCK * 1e6)
    return float(np.median(spent))


def line(name: str, found: dict[str, Any]) -> str:
    """One of the table."""
    ratio = f" = {found['top'] / found['random']:.1f}" if found["random"] > 0 else ""
    alerts = f"{found['injection_alerts']:.3f}" if found["alerts"] else "none"
    return (
        f"| `{name}` | {found['top']:.3f} / {found['random']:.3f}{ratio} "
        f"| {found['stability']:.2f} | {found['injection']:.3f} "
        f"| {alerts} of {found['alerts'] / found['injected']:.1%} | {found['cost_us']:.1f} |"
    )


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
    parser.add_argument(
        "--json", type=Path, help="written after each; with --only others stay as they are in it"
    )
    given = parser.parse_args()
    # Before a matrix library starts its threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from tapwatch.detect.registry import DETECTORS

    torch.set_num_threads(1)
    table = read(given.table, given.rows)
    is_kept = bool(given.only and given.json and given.json.is_file())
    found = json.loads(given.json.read_text()) if is_kept else {}
    print(
        "| detector | deletion: top 5 / random 5 | stability | injection | of alerts | µs a row |"
    )
    print("|---|---|---|---|---|---|")
    for name in DETECTORS:
        if given.only and name not in given.only.split(","):
            continue
        found[name] = measure(table, name, given.seeds, epochs=given.epochs)
        print(line(name, found[name]), flush=True)
        if given.json:
            made = {kind: found[kind] for kind in DETECTORS if kind in found}
            given.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()

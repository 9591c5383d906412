"""The notebook of seed 002 as it was written: every text of an export a column, Info too."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import TextTable
from tapwatch.evaluation.run import single_thread

#: More would not fit into memory: every text is a column of its own.
MOST_ROWS: Final = 10_000
MOST_CELLS: Final = 100_000_000
_LINE_CHARS: Final = 1 << 16
_NUMBERS: Final = ("No.", "Time", "Length")
_WORDS: Final = ("Source", "Destination", "Protocol", "Info")
_HEADINGS: Final = ("RMSE of", "mean", "sd", "share of No. in the squared error")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The export as the notebook has it."""

    values: NDArray[np.float32]  # (n_rows, n_columns), `No.` first
    anomalous: NDArray[np.bool_]  # (n_rows,) out of order


def as_written(sheet: Sheet, seed: int, epochs: int = 100) -> dict[str, tuple[float, float]]:
    """RMSE, and the share of No. in it, of the notebook's three sets.

    `No.` is as it is, Time and Length are z-scored over all rows, every other text is one-hot, Info
    too; 75 % of the normal rows at random learn, by an autoencoder n-50-3-50-n (ReLU, Adam, batches
    of 32, 100 epochs).
    """
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~sheet.anomalous))
    test = normal[: -(-len(normal) // 4)]
    with single_thread():
        error = _squared_errors(sheet.values, normal[len(test) :], seed, epochs)
    sets = {
        "held-out normal": test,
        "normal": normal,
        "out of order": np.flatnonzero(sheet.anomalous),
    }
    return {
        name: (
            float(np.sqrt(error[rows].mean())),
            float(error[rows, 0].sum() / error[rows].sum()),
        )
        for name, rows in sets.items()
    }


def sheet_of(path: Path) -> Sheet:
    """Columns as the notebook has them, from a file of at most MOST_ROWS and MOST_CELLS.

    Raises
    ------
    CaptureError
        It is not what the notebook read: the message names line and column.
    OSError
        It cannot be read.
    """
    rows = _rows_of(path)
    columns = [np.array([row["No."] for row in rows], np.float64)[:, None]]
    for name in ("Time", "Length"):
        column = np.array([row[name] for row in rows], np.float64)
        if not column.std() > 0:
            raise CaptureError(f"{name} is the same in all rows")
        columns.append(((column - column.mean()) / column.std(ddof=1))[:, None])
    found = [np.unique([row[name] for row in rows], return_inverse=True) for name in _WORDS]
    n_cells = len(rows) * (len(_NUMBERS) + sum(len(words) for words, _ in found))
    if n_cells > MOST_CELLS:
        raise CaptureError(
            f"{n_cells:,} cells with every text a column: want {MOST_CELLS:,} at most"
        )
    made = [column.astype(np.float32) for column in columns]
    made += [np.eye(len(words), dtype=np.float32)[which] for words, which in found]
    anomalous = np.array(["TCP Out-Of-Order" in row["Info"] for row in rows])
    if anomalous.all() or not anomalous.any():
        raise CaptureError("packets of one kind: want normal and out-of-order ones")
    return Sheet(np.concatenate(made, axis=1), anomalous)


def _rows_of(path: Path) -> list[dict[str, str]]:
    """Lines with every column that the notebook has, the numbers seen to be some."""
    rows: list[dict[str, str]] = []
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        reader = csv.DictReader(_lines(file))
        try:
            missing = [n for n in (*_NUMBERS, *_WORDS) if n not in (reader.fieldnames or ())]
            if missing:
                raise CaptureError(f"line 1: no column {missing[0]}")
            for row in reader:
                if len(rows) == MOST_ROWS:
                    raise CaptureError(f"more than {MOST_ROWS:,} rows")
                _check_row(row, reader.line_num)
                rows.append(row)
        except csv.Error as error:
            raise CaptureError(f"line {reader.line_num}: {error}") from error
    return rows


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LINE_CHARS):
        if len(line) == _LINE_CHARS:
            raise CaptureError(f"a line of {_LINE_CHARS:,} characters or more")
        yield line


def _check_row(row: Mapping[str, str | None], line: int) -> None:
    for name in (*_NUMBERS, *_WORDS):
        text = row[name]
        if text is None:
            raise CaptureError(f"line {line}: no field {name}")
        if name in _NUMBERS:
            try:
                is_number = math.isfinite(float(text))
            except ValueError:
                is_number = False
            if not is_number:
                raise CaptureError(f"line {line}: {name} = {text[:40]!r}: want a number")


def _squared_errors(
    values: NDArray[np.float32], learnt: NDArray[np.intp], seed: int, epochs: int
) -> NDArray[np.float64]:
    """Squared errors of all rows and columns, of a model fitted to the rows learnt."""
    import torch
    from torch import nn

    rows, chance = torch.from_numpy(values), torch.Generator().manual_seed(seed)
    sizes = (values.shape[1], 50, 3, 50, values.shape[1])
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in layers:  # as Keras begins
        nn.init.xavier_uniform_(layer.weight, generator=chance)
        nn.init.zeros_(layer.bias)
    model = nn.Sequential(
        *(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2], nn.ReLU(), layers[3])
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
    for _ in range(epochs):
        shuffled = torch.from_numpy(learnt)[torch.randperm(len(learnt), generator=chance)]
        for start in range(0, len(shuffled), 32):
            batch = rows[shuffled[start : start + 32]]
            optimiser.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.inference_mode():
        error: NDArray[np.float32] = ((model(rows) - rows) ** 2).numpy()
    return error.astype(np.float64)


def table_of(runs: list[dict[str, tuple[float, float]]]) -> TextTable:
    """RMSE of the three sets over the runs, and by how many per cent they differ."""
    rows: list[tuple[str | float, ...]] = []
    for name in runs[0]:
        rmse = spread([run[name][0] for run in runs])
        rows.append((name, rmse.mean, rmse.sd, spread([run[name][1] for run in runs]).mean))
    for name in ("normal", "out of order"):
        percent = [100 * abs(run[name][0] / run["held-out normal"][0] - 1) for run in runs]
        told = spread(percent)
        rows.append((f"{name} against held-out normal, %", told.mean, told.sd, ""))
    title = (
        "As written: Info one-hot, row number unscaled, random split, 100 epochs; "
        f"{len(runs)} seed(s); published 0.53 % and 8.2 %"
    )
    return TextTable("as_written", title, _HEADINGS, tuple(rows))

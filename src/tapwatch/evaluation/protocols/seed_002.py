"""Out-of-order segments in a list of packets that Wireshark exported, without the answer in it.

The published notebook made the text of Info into columns, and its label is a word of that text. It
is reproduced as written, beside a split in time over columns of headers and times.

One of these is near the label by nature: `tcp_seq_advance`, how far a segment's sequence number
lies from the one expected. Wireshark calls a segment out of order that lies below it and comes
soon; what comes later is a retransmission, and normal here. So there is a section with it and one
without.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError, TapwatchError
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Needs,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
    TextTable,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.rows import usable_columns
from tapwatch.evaluation.run import read_files, run_sections, single_thread
from tapwatch.evaluation.thresholds import conformal
from tapwatch.training.datasets import expand

LABEL: Final = "tcp_analysis_out_of_order"
_ANALYSIS: Final = "tcp_analysis_"
ADVANCE: Final = "tcp_seq_advance"
#: Of the normal rows of the first half, the last in time.
_CALIBRATION_SHARE: Final = 0.2
_CONTENDERS: Final = (
    Contender("robust_z", "robust_z"),
    Contender("pca", "pca"),
    Contender("iforest", "iforest"),
    Contender("ocsvm", "ocsvm"),
    Contender("ae", "ae"),
    Contender("ae, common kinds common", "ae", {"balance": 0, "moment": 1, "constants": "drop"}),
    Contender("deep_ae", "deep_ae"),
    Contender("vae", "vae"),
)
_SAID: Final = {
    "orientation": "Packets that Wireshark calls out of order are anomalies, all others normal.",
    "contamination": "None: the out-of-order segments of the first half are left out.",
    "scaling": "log1p and z, fitted on the rows learnt from.",
    "threshold": "The score that the calibration rows exceed with a probability of 1 % at most "
    "(conformal).",
    "metric": "AUC, AP, precision and recall. The notebook printed a difference of two RMSE.",
}


def _in_halves(tables: Tables, _seed: int, *, drops: tuple[str, ...]) -> Split:
    """The first half of the rows in time learns and calibrates, the second one tests."""
    table = tables.train
    assert table is not None
    anomalous = table.values[:, table.schema.names.index(LABEL)] > 0
    order = np.argsort(table.time_ns, kind="stable")
    half = len(order) // 2
    normal, test = order[:half][~anomalous[order[:half]]], order[half:]
    cut = len(normal) - max(1, int(len(normal) * _CALIBRATION_SHARE))
    if cut < 1 or not anomalous[test].any():
        want = "normal packets in the first half of the file, and out-of-order ones in the second"
        raise ConfigError("--train", f"{len(table)} packets", want)
    return Split(
        train=table.values[normal[:cut]],
        calibration=table.values[normal[cut:]],
        test=table.values[test],
        schema=table.schema,
        is_anomaly=anomalous[test],
        classes=np.where(anomalous[test], "out-of-order", "normal"),
        novel=np.zeros(len(test), np.bool_),
        columns=tuple(n for n in usable_columns(table) if not n.startswith(drops)),
        facts={
            "out-of-order segments in the first half": int(anomalous[order[:half]].sum()),
            "out-of-order segments in the second half": int(anomalous[test].sum()),
        },
    )


def _section(name: str, columns: str, *drops: str) -> Section:
    return Section(
        name,
        Statement(
            split="The normal packets of the first half in time: the first 80 % learn, the rest "
            "calibrate. All packets of the second half test.",
            avoids=f"The label among the columns, row numbers, absolute time, a random split: "
            f"{columns}",
            **_SAID,
        ),
        partial(_in_halves, drops=drops),
        _CONTENDERS,
        conformal(0.01),
    )


HEADERS: Final = _section(
    "headers and times",
    "no column of Wireshark's TCP analysis is learnt from. tcp_seq_advance is: a difference of "
    "sequence numbers in Info, near the label by nature, for a segment below the number expected "
    "is out of order where it comes soon after the one that overtook it, else a retransmission.",
    _ANALYSIS,
)
WITHOUT_ADVANCE: Final = _section(
    "without sequence numbers",
    "no column of Wireshark's TCP analysis is learnt from, and not tcp_seq_advance: no column "
    "tells an out-of-order segment from its neighbours.",
    _ANALYSIS,
    ADVANCE,
)
OTHER_MARKS: Final = _section(
    "other analysis kept",
    f"{LABEL} is left out, the other 14 columns of the analysis stay. Wireshark gives a segment "
    "one of out of order, retransmission and keep-alive: these tell that it is not.",
    LABEL,
)


# ---- as written ----

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


def _table(runs: list[dict[str, tuple[float, float]]]) -> TextTable:
    rows: list[tuple[str | float, ...]] = []
    for name in runs[0]:
        rmse = spread([run[name][0] for run in runs])
        rows.append((name, rmse.mean, rmse.sd, spread([run[name][1] for run in runs]).mean))
    for name in ("normal", "out of order"):
        percent = [100 * abs(run[name][0] / run["held-out normal"][0] - 1) for run in runs]
        told = spread(percent)
        rows.append((f"{name} against held-out normal, %", told.mean, told.sd, ""))
    title = (
        "As written: Info one-hot, row number unscaled, random split; published 0.53 % and 8.2 %"
    )
    return TextTable("as_written", title, _HEADINGS, tuple(rows))


def _run(context: Context) -> Results:
    sheet, why_not = _sheet(context)
    if why_not:
        context.talk.note(f"the notebook as written is left out: {why_not}")
    data: list[DataFile] = []
    table = read_files(context, "train", data)
    sections = run_sections(context, Tables(table), (HEADERS, WITHOUT_ADVANCE, OTHER_MARKS))
    tables: tuple[TextTable, ...] = ()
    if sheet is not None:
        n_columns = sheet.values.shape[1]
        context.talk.note(
            f"the notebook as written: an autoencoder of {n_columns:,} columns a seed"
        )
        tables = (_table([as_written(sheet, seed) for seed in context.seeds]),)
    facts = {"as_written_left_out": why_not} if why_not else {}
    return Results(context.protocol, tuple(data), context.seeds, sections, tables, facts=facts)


def _sheet(context: Context) -> tuple[Sheet | None, str]:
    """The notebook's columns, looked at before any work; or why there are none."""
    if context.only:
        return None, ""
    try:
        files = expand(context.inputs.train)
    except TapwatchError:
        return None, ""  # whoever reads them next says so
    if len(files) != 1:
        return None, f"{len(files)} files: the notebook has one"
    try:
        return sheet_of(files[0]), ""
    except OSError:
        return None, ""
    except CaptureError as error:
        return None, f"{files[0].name}: {error}"


PROTOCOL: Final = Protocol(
    name="seed-002",
    title="Out-of-order segments in a Wireshark export, from headers and times",
    needs=Needs(
        train="a list of packets that Wireshark exported as CSV (DeviceTraffic.csv)",
        view="packet",
    ),
    run=_run,
)

"""Out-of-order segments in a list of packets that Wireshark exported, without the answer in it.

The published notebook made the text of Info into columns, and its label is a word of that text. It
is reproduced as written, beside a split in time over columns of headers and times.

One of these is near the label by nature: `tcp_seq_advance`, how far a segment's sequence number
lies from the one expected. Wireshark calls a segment out of order that lies below it and comes
soon; what comes later is a retransmission, and normal here. So there is a section with it and one
without.
"""

import csv
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import ConfigError
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

_HEADINGS: Final = ("RMSE of", "mean", "sd", "share of No. in the squared error")


def as_written(path: Path, seed: int, epochs: int = 100) -> dict[str, tuple[float, float]]:
    """RMSE, and the share of No. in it, of the notebook's three sets.

    `No.` is as it is, Time and Length are z-scored over all rows, every other text is one-hot, Info
    too; 75 % of the normal rows at random learn, by an autoencoder n-50-3-50-n (ReLU, Adam, batches
    of 32, 100 epochs).
    """
    values, anomalous = notebook_columns(path)
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~anomalous))
    test = normal[: -(-len(normal) // 4)]
    with single_thread():
        error = _squared_errors(values, normal[len(test) :], seed, epochs)
    sets = {"held-out normal": test, "normal": normal, "out of order": np.flatnonzero(anomalous)}
    return {
        name: (
            float(np.sqrt(error[rows].mean())),
            float(error[rows, 0].sum() / error[rows].sum()),
        )
        for name, rows in sets.items()
    }


def notebook_columns(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Columns as the notebook has them, `No.` first, and which rows are out of order."""
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        rows = list(csv.DictReader(file))
    if not rows or "No." not in rows[0]:
        raise ConfigError("--train", str(path), "an export with the column No., as the notebook's")
    numbers = np.array([float(row["No."]) for row in rows])
    columns = [numbers[:, None]]
    for name in ("Time", "Length"):
        column = np.array([float(row[name]) for row in rows])
        columns.append(((column - column.mean()) / column.std(ddof=1))[:, None])
    for name in ("Source", "Destination", "Protocol", "Info"):
        words, which = np.unique([row[name] for row in rows], return_inverse=True)
        columns.append(np.eye(len(words), dtype=np.float32)[which])
    anomalous = np.array(["TCP Out-Of-Order" in row["Info"] for row in rows])
    return np.concatenate(columns, axis=1).astype(np.float32), anomalous


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
    data: list[DataFile] = []
    table = read_files(context, "train", data)
    sections = run_sections(context, Tables(table), (HEADERS, WITHOUT_ADVANCE, OTHER_MARKS))
    tables: tuple[TextTable, ...] = ()
    if not context.only:
        context.talk.note("the notebook as written: an autoencoder of about 6,000 columns a seed")
        runs = [as_written(context.inputs.train[0], seed) for seed in context.seeds]
        tables = (_table(runs),)
    return Results(context.protocol, tuple(data), context.seeds, sections, tables)


PROTOCOL: Final = Protocol(
    name="seed-002",
    title="Out-of-order segments in a Wireshark export, from headers and times",
    needs=Needs(
        train="a list of packets that Wireshark exported as CSV (DeviceTraffic.csv)",
        view="packet",
    ),
    run=_run,
)

"""Out-of-order segments in a list of packets that Wireshark exported, without the answer in it.

The published notebook made the text of Info into columns, and its label is a word of that text. It
is reproduced as written (`seed_002_notebook`), beside a split in time over columns of headers and
times.

One of these is near the label by nature: `tcp_seq_advance`, how far a segment's sequence number
lies from the one expected. Wireshark calls a segment out of order that lies below it and comes
soon; what comes later is a retransmission, and normal here. So there is a section with it and one
without.
"""

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import CaptureError, ConfigError, TapwatchError
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Needs,
    Outcome,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
    TextTable,
)
from tapwatch.evaluation.protocols.seed_002_notebook import Sheet, as_written, sheet_of, table_of
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.rows import usable_columns
from tapwatch.evaluation.run import contend, read_files, run_sections, single_thread
from tapwatch.evaluation.thresholds import conformal
from tapwatch.training.datasets import expand
from tapwatch.training.ranking import ranking

LABEL: Final = "tcp_analysis_out_of_order"
_ANALYSIS: Final = "tcp_analysis_"
ADVANCE: Final = "tcp_seq_advance"
#: What says, by the manual of Wireshark, whether a segment is late: data, where, and how soon.
THREE: Final = (ADVANCE, "pair_direction_time_delta_s", "tcp_len")
_CALIBRATION_SHARE: Final = 0.2
#: Of the normal rows of the first half, in stretches of so many rows, one in five is held out.
_FOLDS: Final = 5
_STRETCH_ROWS: Final = 50
#: Runs of the notebook: each takes minutes.
_NOTEBOOK_SEEDS: Final = 1

#: Bytes as they are: how far a segment lies back tells more than its order of magnitude.
_LINEAR: Final = {"scaling": "z", "clip": 1e3}
_COMMON: Final = {"balance": 0, "moment": 1, "constants": "drop"}
_ALL_COLUMNS: Final = (
    Contender("robust_z", "robust_z"),
    Contender("pca", "pca"),
    Contender("iforest", "iforest"),
    Contender("ocsvm", "ocsvm"),
    Contender("ae, common kinds common", "ae", _COMMON),
)
_LINEAR_ALL: Final = Contender("robust_z, linear", "robust_z", _LINEAR)
_THREE_COLUMNS: Final = (
    Contender("robust_z, three, linear", "robust_z", _LINEAR, THREE),
    Contender("neighbours, three, linear", "neighbours", {"scaling": "z", "clip": 50}, THREE),
    Contender("ocsvm, three, linear", "ocsvm", {"scaling": "z", "clip": 50}, THREE),
    Contender("neighbours, three, log", "neighbours", {"clip": 50}, THREE),
    Contender("ocsvm, three, log", "ocsvm", {"clip": 50}, THREE),
    Contender("rarity, three", "rarity", {}, THREE),
    Contender(
        "ae, three, log",
        "ae",
        {**_COMMON, "clip": 50, "hidden": [16, 2, 16], "epochs": 20},
        THREE,
    ),
)
#: What the first half chooses, what does not need the choice of columns, and two that learn.
_FEW: Final = (_LINEAR_ALL, _THREE_COLUMNS[0], _THREE_COLUMNS[4], _THREE_COLUMNS[6])
_SAID: Final = {
    "orientation": "Packets that Wireshark calls out of order are anomalies, all others normal.",
    "contamination": "None: the out-of-order segments of the first half are left out.",
    "scaling": "log1p with the sign and z, fitted on the rows learnt from and cut off at 5 or "
    "where `clip` says; linear: z alone.",
    "metric": "AUC, AP, precision and recall; marked: share of the flagged rows that Wireshark "
    "marks in any way, as retransmission most often. The notebook printed a difference of two "
    "RMSE.",
}
_NO_LEAK: Final = "The label among the columns, row numbers, absolute time, a random split: "
_WITH_ADVANCE: Final = (
    "no column of Wireshark's TCP analysis is learnt from. tcp_seq_advance is: a difference of "
    "sequence numbers in Info, near the label by nature, for a segment below the number expected "
    "is out of order where it comes soon after the one that overtook it, else a retransmission. "
    f"Three: {', '.join(THREE)} alone, what Wireshark's manual says the label is made of."
)


def in_halves(
    tables: Tables, seed: int, *, drops: tuple[str, ...], is_in_order: bool = False
) -> Split:
    """The first half of the rows in time learns and calibrates, the second one tests.

    What calibrates is drawn from the normal rows of the first half; in order, it is the last.

    Raises
    ------
    ConfigError
        A half has too few rows of a kind.
    """
    table = tables.train
    assert table is not None
    anomalous = table.values[:, table.schema.names.index(LABEL)] > 0
    order = np.argsort(table.time_ns, kind="stable")
    half = len(order) // 2
    first, test = order[:half], order[half:]
    normal = first[~anomalous[first]]
    n_held = max(1, int(len(normal) * _CALIBRATION_SHARE))
    if len(normal) <= n_held or not anomalous[test].any():
        want = "normal packets in the first half of the file, and out-of-order ones in the second"
        raise ConfigError("--train", f"{len(table)} packets", want)
    is_held = np.arange(len(normal)) >= len(normal) - n_held
    if not is_in_order:
        is_held = np.random.default_rng(seed).permutation(is_held)
    return Split(
        train=table.values[normal[~is_held]],
        calibration=table.values[normal[is_held]],
        test=table.values[test],
        schema=table.schema,
        is_anomaly=anomalous[test],
        classes=np.where(anomalous[test], "out-of-order", "normal"),
        novel=np.zeros(len(test), np.bool_),
        columns=tuple(n for n in usable_columns(table) if not n.startswith(drops)),
        choose=(table.values[first], anomalous[first]),
        facts={
            "out-of-order segments in the first half": int(anomalous[first].sum()),
            "out-of-order segments in the second half": int(anomalous[test].sum()),
        },
    )


def marked(split: Split, outcome: Outcome) -> dict[str, float]:
    """Share of the flagged rows that Wireshark's analysis says anything of; 0 where none is."""
    names = enumerate(split.schema.names)
    columns = [k for k, name in names if name.startswith(_ANALYSIS)]
    n_marks = np.count_nonzero(split.test[:, columns] > 0, axis=1)[outcome.flagged]
    return {"marked": float((n_marks > 0).mean()) if len(n_marks) else 0.0}


def _section(
    name: str,
    columns: str,
    contenders: tuple[Contender, ...],
    *drops: str,
    share: float = 0.01,
    is_in_order: bool = False,
) -> Section:
    drawn = "the last 20 % calibrate" if is_in_order else "20 % drawn at random calibrate"
    return Section(
        name,
        Statement(
            split=f"The normal packets of the first half in time: {drawn}, the rest learn. All "
            "packets of the second half test.",
            avoids=_NO_LEAK + columns,
            threshold="The score that the calibration rows exceed with a probability of "
            f"{share:.0%} at most (conformal).",
            **_SAID,
        ),
        partial(in_halves, drops=drops, is_in_order=is_in_order),
        contenders,
        conformal(share),
        extra=marked,
    )


HEADERS: Final = _section(
    "headers and times",
    _WITH_ADVANCE,
    (*_ALL_COLUMNS, _LINEAR_ALL, *_THREE_COLUMNS),
    _ANALYSIS,
)
AT_FIVE: Final = _section(
    "headers and times, 5 %",
    "as above, with five times the alerts.",
    _FEW,
    _ANALYSIS,
    share=0.05,
)
IN_ORDER: Final = _section(
    "calibrated in order of time",
    "as above, but what calibrates comes last in the first half: one stretch of time, and whatever "
    "was unusual in it sets the threshold.",
    _FEW,
    _ANALYSIS,
    is_in_order=True,
)
WITHOUT_ADVANCE: Final = _section(
    "without sequence numbers",
    "no column of Wireshark's TCP analysis is learnt from, and not tcp_seq_advance: no column "
    "tells an out-of-order segment from its neighbours.",
    _ALL_COLUMNS,
    _ANALYSIS,
    ADVANCE,
)
OTHER_MARKS: Final = _section(
    "other analysis kept",
    f"{LABEL} is left out, the other 14 columns of the analysis stay. Wireshark gives a segment "
    "one of out of order, retransmission and keep-alive: these tell that it is not.",
    (_ALL_COLUMNS[1], _ALL_COLUMNS[3], _LINEAR_ALL),
    LABEL,
)
SECTIONS: Final = (HEADERS, AT_FIVE, IN_ORDER, WITHOUT_ADVANCE, OTHER_MARKS)


# ---- what the first half says, and what labels could ----


def folds_of_the_first_half(split: Split) -> list[Split]:
    """Its normal rows in five folds of stretches in time; each tests beside the late segments."""
    assert split.choose is not None
    rows, anomalous = split.choose
    fold = (np.arange(len(rows)) // _STRETCH_ROWS) % _FOLDS
    made = []
    for k in range(_FOLDS):
        held = rows[~anomalous & (fold == k)]
        flags = np.arange(len(held) + int(anomalous.sum())) >= len(held)
        made.append(
            replace(
                split,
                train=rows[~anomalous & (fold != k)],
                calibration=held,
                test=np.concatenate([held, rows[anomalous]]),
                is_anomaly=flags,
                classes=np.where(flags, "out-of-order", "normal"),
                novel=np.zeros(len(flags), np.bool_),
            )
        )
    return made


def _first_half(context: Context, split: Split) -> TextTable:
    """How contenders find the segments of the first half: what a choice between them rests on."""
    rows: list[tuple[str | float, ...]] = []
    for contender in filter(context.wants, HEADERS.contenders):
        folds = folds_of_the_first_half(split)
        outcomes = [contend(contender, HEADERS, fold, context.seeds[0]) for fold in folds]
        told = [ranking(o.score, f.is_anomaly) for o, f in zip(outcomes, folds, strict=True)]
        means = [spread([one[key] for one in told]).mean for key in ("auc", "ap")]
        rows.append((contender.name, *means))
    title = (
        "Headers and times, on the first half alone: its out-of-order segments beside a fifth of "
        "its normal rows, five folds, one seed. The contender to use is chosen here"
    )
    return TextTable("first_half", title, ("", "AUC", "AP"), tuple(rows))


def _ceiling(context: Context, split: Split) -> TextTable:
    """What a forest reaches that learns the test's own labels, cross-validated."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    used = [split.schema.names.index(name) for name in split.columns]
    told = []
    for seed in context.seeds:
        chance: NDArray[np.float64] = cross_val_predict(
            RandomForestClassifier(300, min_samples_leaf=3, random_state=seed),
            split.test[:, used],
            split.is_anomaly,
            cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=seed),
            method="predict_proba",
        )[:, 1]
        told.append(ranking(chance, split.is_anomaly))
    found = [spread([one[key] for one in told]) for key in ("auc", "ap")]
    title = "No detector: a random forest that learns labels of the test, five folds"
    figures = [figure for one in found for figure in (one.mean, one.sd)]
    headings = ("", "AUC", "sd", "AP", "sd of AP")
    return TextTable("ceiling", title, headings, (("random forest", *figures),))


def _run(context: Context) -> Results:
    sheet, why_not = _sheet(context)
    if why_not:
        context.talk.note(f"the notebook as written is left out: {why_not}")
    data: list[DataFile] = []
    table = read_files(context, "train", data)
    sections = run_sections(context, Tables(table), SECTIONS)
    tables = _tables(context, HEADERS.split(Tables(table), context.seeds[0]))
    if sheet is not None:
        n_columns = sheet.values.shape[1]
        context.talk.note(
            f"the notebook as written: an autoencoder of {n_columns:,} columns a seed"
        )
        with single_thread():
            runs = [as_written(sheet, seed) for seed in context.seeds[:_NOTEBOOK_SEEDS]]
        tables.append(table_of(runs))
    facts = {"as_written_left_out": why_not} if why_not else {}
    return Results(
        context.protocol, tuple(data), context.seeds, sections, tuple(tables), facts=facts
    )


def _tables(context: Context, split: Split) -> list[TextTable]:
    """Tables of the first half and of the ceiling, where there is something for them."""
    assert split.choose is not None
    made = []
    if split.choose[1].any() and any(map(context.wants, HEADERS.contenders)):
        made.append(_first_half(context, split))
    if not context.only and int(split.is_anomaly.sum()) >= _FOLDS:
        made.append(_ceiling(context, split))
    return made


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

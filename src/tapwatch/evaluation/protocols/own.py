"""One's own data: any labelled table, or captures and Parquet with labels beside them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ConfigError
from tapwatch.evaluation.attacks import NORMAL, OTHER, classes_of
from tapwatch.evaluation.floors import rate_of
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Labelled,
    Needs,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
    Words,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.rows import (
    is_normal,
    most_frequent,
    only_rows,
    read_label_list,
    usable_columns,
)
from tapwatch.evaluation.run import read_files, run_sections
from tapwatch.evaluation.thresholds import conformal
from tapwatch.evaluation.truth import read_truth
from tapwatch.evaluation.witness import check_rows_can_be_labelled, is_truth, read_with_truth

CONTENDERS: Final = (
    Contender("ae", "ae"),
    Contender("deep_ae", "deep_ae"),
    Contender("pca", "pca"),
    Contender("iforest", "iforest"),
    Contender("robust_z", "robust_z"),
)
#: Labels that are told apart, the most frequent ones; a file may have as many as rows.
_MOST_CLASSES: Final = 32
_STATEMENT: Final = {
    "orientation": "Rows labelled benign, normal or 0 are normal, all others are anomalies.",
    "contamination": "None: no anomaly is learnt from, nor calibrated with.",
    "scaling": "Fitted on the rows learnt from.",
    "threshold": "The score that the calibration rows exceed with a probability of 1 % at most "
    "(conformal).",
    "metric": "AUC, AP and the share found at 1 % false positives; recall by label.",
    "avoids": "Rows of one moment on both sides of a random split: what calibrates and tests comes "
    "later than what was learnt.",
}


def _in_time(table: Labelled) -> NDArray[np.intp]:
    """Places of the normal rows, in the order of time."""
    normal = np.flatnonzero(is_normal(table.labels))
    if len(normal) < 3:
        want = "at least 3 rows labelled benign, normal or 0: to learn, to calibrate, to test"
        found = f"{len(normal)} normal rows of {len(table):,}"
        hint = f"labels found: {most_frequent(table.labels)}; --labels FILE gives others"
        raise ConfigError("--train", found, want, hint)
    return normal[np.argsort(table.time_ns[normal], kind="stable")]


def _cut(places: NDArray[np.intp], *shares: float) -> list[NDArray[np.intp]]:
    """Parts in order, of at least one row each."""
    parts, start = [], 0
    for at in range(len(shares)):
        left = len(shares) - at - 1
        end = min(max(start + 1, round(sum(shares[: at + 1]) * len(places))), len(places) - left)
        parts.append(places[start : end if left else len(places)])
        start = end
    return parts


def _one_file(tables: Tables, _seed: int) -> Split:
    table = tables.train
    assert table is not None
    learn, calibrate, rest = _cut(_in_time(table), 0.6, 0.2, 0.2)
    test = np.sort(np.concatenate([rest, np.flatnonzero(~is_normal(table.labels))]))
    split = _split(only_rows(table, learn), only_rows(table, calibrate), only_rows(table, test))
    if not table.has_times:
        return split
    rate = rate_of(table.time_ns)
    return replace(split, rates=(rate[learn], rate[calibrate], rate[test]))


def _two_files(tables: Tables, _seed: int) -> Split:
    train, test = tables.train, tables.test
    assert train is not None
    assert test is not None
    if not (train.labels != "").any():
        train = replace(train, labels=np.full(len(train), NORMAL))
    learn, calibrate = _cut(_in_time(train), 0.8, 0.2)
    known = np.unique(train.labels[~is_normal(train.labels)])
    split = _split(only_rows(train, learn), only_rows(train, calibrate), test, known)
    if not (train.has_times and test.has_times):
        return split
    rate = rate_of(train.time_ns)
    return replace(split, rates=(rate[learn], rate[calibrate], rate_of(test.time_ns)))


def _split(
    train: Labelled, calibration: Labelled, test: Labelled, known: Words | None = None
) -> Split:
    """Put rows together; types are novel where training rows had some, but not those."""
    anomalous = ~is_normal(test.labels)
    classes = np.where(anomalous, _classes(test), NORMAL)
    novel = np.zeros_like(anomalous)
    if known is not None and len(known):
        novel = anomalous & ~np.isin(test.labels, known)
    return Split(
        train=train.values,
        calibration=calibration.values,
        test=test.values,
        schema=test.schema,
        is_anomaly=anomalous,
        classes=classes,
        novel=novel,
        columns=usable_columns(train, test),
    )


def _classes(table: Labelled) -> Words:
    """Of attack types of KDD'99 their classes, of all others the label, if it is not too rare."""
    classes, unknown = classes_of(table.labels)
    if table.schema.view == "kdd" and not unknown:
        return classes
    words, counts = np.unique(table.labels[~is_normal(table.labels)], return_counts=True)
    rare = words[np.argsort(-counts, kind="stable")[_MOST_CLASSES:]]
    return np.where(np.isin(table.labels, rare), OTHER, table.labels)


ONE_FILE: Final = Section(
    "one file",
    Statement(
        split="The first 60 % of the normal rows in time learn, the next 20 % calibrate; the last "
        "20 % and all anomalies test.",
        **_STATEMENT,
    ),
    _one_file,
    CONTENDERS,
    conformal(0.01),
)
TWO_FILES: Final = Section(
    "two files",
    Statement(
        split="Of the normal rows of --train (all of them where it has no labels) the first 80 % "
        "in time learn and the rest calibrate; all rows of --test test.",
        **_STATEMENT,
    ),
    _two_files,
    CONTENDERS,
    conformal(0.01),
)


def _run(context: Context) -> Results:
    """Read the files, with labels beside them where they are given, and measure."""
    data: list[DataFile] = []
    train = read_files(context, "train", data)
    assert train is not None
    if context.inputs.test:
        if (train.labels != "").any():
            check_rows_can_be_labelled(train, "--train")
        test = _with_labels(context, "test", data)
        check_rows_can_be_labelled(test, "--test")
        tables, section = Tables(train, test), TWO_FILES
    else:
        if context.inputs.labels is not None:
            data.clear()
            train = _with_labels(context, "train", data)
        check_rows_can_be_labelled(train, "--train")
        tables, section = Tables(train), ONE_FILE
    section = replace(section, contenders=contenders_of(context.only))
    sections = run_sections(context, tables, (section,))
    return Results(context.protocol, tuple(data), context.seeds, sections)


def contenders_of(only: Sequence[str]) -> tuple[Contender, ...]:
    """The usual contenders, and every other registered detector that --detector names."""
    usual = {contender.name for contender in CONTENDERS}
    return CONTENDERS + tuple(
        Contender(name, name)
        for name in dict.fromkeys(only)
        if name in DETECTORS and name not in usual
    )


def _with_labels(context: Context, purpose: str, data: list[DataFile]) -> Labelled:
    path = context.inputs.labels
    paths, view = getattr(context.inputs, purpose), context.inputs.view
    assert view is not None
    if path is not None and is_truth(path):
        episodes = read_truth(path)
        rows, files = read_with_truth(paths, view, episodes, context.config, context.talk.note)
        data += files
        return rows
    table = read_files(context, purpose, data)
    assert table is not None
    if path is None:
        return table
    labels, file = read_label_list(path, len(table))
    data.append(file)
    return replace(table, labels=labels)


PROTOCOL: Final = Protocol(
    name="own",
    title="Data of one's own, in the order of time",
    needs=Needs(
        train="a table, a Parquet file of tapwatch features or a capture: benign, or with labels",
        test="the same with labels; without it --train is split",
        labels="a truth file, or one label a line, for rows that have no labels of their own",
        optional=("test", "labels"),
        view=None,
    ),
    run=_run,
)

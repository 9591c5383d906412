"""KDD'99: unique normal rows of the training file teach, unique rows of `corrected` test."""

from typing import Final

from tapwatch.evaluation.protocol import (
    Contender,
    Labelled,
    Needs,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
)
from tapwatch.evaluation.splits import (
    FOLDS,
    cross_validation,
    train_on_normals,
    with_facts,
    without_repeats,
)
from tapwatch.evaluation.thresholds import conformal

CONTENDERS: Final = (
    Contender("ae 64-8-64", "ae", {"hidden": (64, 8, 64), "balance": 0.5}),
    Contender("ae 58-29-58", "ae", {"hidden": (58, 29, 58), "balance": 0.5}),
    Contender("neighbours", "neighbours"),
    Contender("rarity", "rarity"),
    Contender("ensemble", "ensemble"),
    Contender("robust_z", "robust_z"),
)

_SHARED: Final = {
    "orientation": "Normal connections are normal, all attacks are anomalies.",
    "contamination": "None: no attack is learnt from, nor calibrated with.",
    "scaling": "Fitted on the rows learnt from; a word that they do not have is of a class apart.",
    "threshold": "The score that held-out normal rows of the training file exceed with a "
    "probability of 1 % at most (conformal).",
    "metric": "AUC, AP and the share found at 1 % false positives; recall by class and on attack "
    "types that the training file does not have.",
    "avoids": "Repeated rows, four fifths of the files, that make two flood tools the whole "
    "figure; of rows that are the same the first one stays, whatever the labels of the others.",
}


def _unique(table: Labelled | None, purpose: str) -> tuple[Labelled, dict[str, int]]:
    assert table is not None
    unique = without_repeats(table)
    return unique, {f"{purpose}_rows_read": len(table), f"{purpose}_rows_unique": len(unique)}


def _official(tables: Tables, seed: int) -> Split:
    train, of_train = _unique(tables.train, "train")
    test, of_test = _unique(tables.test, "test")
    return with_facts(train_on_normals(train, test, seed), **of_train, **of_test)


def _folds(tables: Tables, seed: int) -> Split:
    train, of_train = _unique(tables.train, "train")
    return with_facts(cross_validation(train, seed), **of_train)


OFFICIAL: Final = Section(
    "official",
    Statement(
        split="Repeated rows are left out of both files. 80 % of the normal rows of the training "
        "file learn, 20 % calibrate; the test file tests.",
        **_SHARED,
    ),
    _official,
    CONTENDERS,
    conformal(0.01),
)
VALIDATION: Final = Section(
    "validation",
    Statement(
        split=f"Repeated rows are left out. {FOLDS} folds of the training file: a fifth of the "
        "normal rows, a fifth of each attack type and all rows of a fifth of the types, which "
        "count as novel, test; normal rows of the other folds learn (80 %) and calibrate (20 %).",
        **_SHARED,
    ),
    _folds,
    CONTENDERS,
    conformal(0.01),
)


def _choose(tables: Tables) -> tuple[Section, ...]:
    return (VALIDATION,) if tables.test is None else (OFFICIAL,)


PROTOCOL: Final = Protocol(
    name="kdd99-official",
    title="KDD'99 official test, without repeated rows",
    needs=Needs(
        train="kddcup.data or kddcup.data_10_percent, plain or gzip",
        test="corrected, plain or gzip; without it the training file is cross-validated",
        optional=("test",),
    ),
    choose=_choose,
)

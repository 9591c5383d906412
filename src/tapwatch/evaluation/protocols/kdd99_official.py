"""KDD'99: unique normal rows of the training file teach, unique rows of `corrected` test."""

from typing import Final

from tapwatch.evaluation.official import FOLDS_SPLIT, official
from tapwatch.evaluation.protocol import Contender, Labelled, Protocol
from tapwatch.evaluation.splits import without_repeats

CONTENDERS: Final = (
    Contender("ae 64-8-64", "ae", {"hidden": (64, 8, 64), "balance": 0.5}),
    Contender("ae 58-29-58", "ae", {"hidden": (58, 29, 58), "balance": 0.5}),
    Contender("neighbours", "neighbours"),
    Contender("rarity", "rarity"),
    Contender("ensemble", "ensemble"),
    Contender("robust_z", "robust_z"),
)


def _unique(table: Labelled, purpose: str) -> tuple[Labelled, dict[str, int]]:
    unique = without_repeats(table)
    return unique, {f"{purpose}_rows_read": len(table), f"{purpose}_rows_unique": len(unique)}


PROTOCOL: Final[Protocol] = official(
    "kdd99-official",
    "KDD'99 official test, without repeated rows",
    files=("kddcup.data or kddcup.data_10_percent", "corrected, plain or gzip"),
    contenders=CONTENDERS,
    splits=(
        "Repeated rows are left out of both files. 80 % of the normal rows of the training "
        "file learn, 20 % calibrate; the test file tests.",
        f"Repeated rows are left out. {FOLDS_SPLIT}",
    ),
    avoids="Repeated rows, four fifths of the files, that make two flood tools the whole "
    "figure; of rows that are the same the first one stays, whatever the labels of the others.",
    prepare=_unique,
)

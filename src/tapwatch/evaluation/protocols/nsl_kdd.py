"""NSL-KDD: normal rows of KDDTrain+ alone teach, KDDTest+ (or KDDTest-21) tests."""

from typing import Final

from tapwatch.evaluation.protocol import (
    Contender,
    Needs,
    Protocol,
    Section,
    Split,
    Statement,
    Tables,
)
from tapwatch.evaluation.splits import FOLDS, cross_validation, train_on_normals
from tapwatch.evaluation.thresholds import conformal

CONTENDERS: Final = (
    Contender("ae 64-8-64", "ae", {"hidden": (64, 8, 64), "balance": 0.5}),
    Contender("vae 64-8", "vae", {"hidden": (64,), "latent": 8, "balance": 0.5}),
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
    "avoids": "Encoders fitted on the test, thresholds from its labels, one seed.",
}


def _official(tables: Tables, seed: int) -> Split:
    assert tables.train is not None
    assert tables.test is not None
    return train_on_normals(tables.train, tables.test, seed)


def _folds(tables: Tables, seed: int) -> Split:
    assert tables.train is not None
    return cross_validation(tables.train, seed)


OFFICIAL: Final = Section(
    "official",
    Statement(
        split="80 % of the normal rows of the training file learn, 20 % calibrate; the test file "
        "tests, as it is distributed.",
        **_SHARED,
    ),
    _official,
    CONTENDERS,
    conformal(0.01),
)
VALIDATION: Final = Section(
    "validation",
    Statement(
        split=f"{FOLDS} folds of the training file: a fifth of the normal rows, a fifth of each "
        "attack type and all rows of a fifth of the types, which count as novel, test; normal "
        "rows of the other folds learn (80 %) and calibrate (20 %).",
        **_SHARED,
    ),
    _folds,
    CONTENDERS,
    conformal(0.01),
)


def _choose(tables: Tables) -> tuple[Section, ...]:
    return (VALIDATION,) if tables.test is None else (OFFICIAL,)


PROTOCOL: Final = Protocol(
    name="nsl-kdd",
    title="NSL-KDD, normal rows alone",
    needs=Needs(
        train="KDDTrain+.txt, plain or gzip",
        test="KDDTest+.txt or KDDTest-21.txt; without it the training file is cross-validated",
        optional=("test",),
    ),
    choose=_choose,
)

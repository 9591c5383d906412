"""NSL-KDD: normal rows of KDDTrain+ alone teach, KDDTest+ (or KDDTest-21) tests."""

from typing import Final

from tapwatch.evaluation.official import FOLDS_SPLIT, official
from tapwatch.evaluation.protocol import Contender, Protocol

CONTENDERS: Final = (
    Contender("ae 64-8-64", "ae", {"hidden": (64, 8, 64), "balance": 0.5}),
    Contender("vae 64-8", "vae", {"hidden": (64,), "latent": 8, "balance": 0.5}),
    Contender("neighbours", "neighbours"),
    Contender("rarity", "rarity"),
    Contender("ensemble", "ensemble"),
    Contender("robust_z", "robust_z"),
)

PROTOCOL: Final[Protocol] = official(
    "nsl-kdd",
    "NSL-KDD, normal rows alone",
    files=("KDDTrain+.txt", "KDDTest+.txt or KDDTest-21.txt"),
    contenders=CONTENDERS,
    splits=(
        "80 % of the normal rows of the training file learn, 20 % calibrate; the test file "
        "tests, as it is distributed.",
        FOLDS_SPLIT,
    ),
    avoids="Encoders fitted on the test, thresholds from its labels, one seed.",
)

"""Slides on KDD'99: PCA, two autoencoders and a variational one, half attacks, half normals."""

from typing import Any, Final

import numpy as np

from tapwatch.errors import ConfigError
from tapwatch.evaluation.attacks import NORMAL, classes_of
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
from tapwatch.evaluation.rows import usable_columns
from tapwatch.evaluation.thresholds import quantile

#: Normal rows that are learnt from, the first in the file; the others test.
TRAINING_SHARE: Final = 0.8
#: Of the one draw of attacks that all seeds of the fit are measured with.
_ATTACKS_SEED: Final = 0

#: What scales as the slides do: columns from 0 to 1, words as 0 or 1, constants left out. Nothing
#: of a test row is cut off.
SCALED: Final[dict[str, Any]] = {
    "scaling": "min_max",
    "clip": 1e6,
    "class_height": 1.0,
    "constants": "drop",
}
#: Adam at a constant step, plain passes over the shuffled rows, the last weights.
PLAIN_ADAM: Final[dict[str, Any]] = {
    "schedule": "constant",
    "weight_decay": 0.0,
    "balance": 0.0,
    "moment": 1.0,
    "keep": "last",
    "output": "sigmoid",
}
FITTED: Final = {**SCALED, **PLAIN_ADAM, "learning_rate": 1e-3, "batch_rows": 256, "epochs": 32}

CONTENDERS: Final = (
    Contender("pca 8", "pca", {**SCALED, "components": 8}),
    Contender("ae 29", "ae", {**FITTED, "hidden": (29,)}),
    Contender("ae 58-29-58", "deep_ae", {**FITTED, "hidden": (58, 29, 58)}),
    Contender("vae 58-29", "vae", {**FITTED, "epochs": 50, "hidden": (58,), "latent": 29}),
    Contender("robust_z", "robust_z"),
)


def halves(tables: Tables, *, first_attacks: bool) -> Split:
    """The first 80 % of the normal rows learn; the others, and as many attacks, test.

    Raises
    ------
    ConfigError
        There are too few rows of either kind.
    """
    assert tables.train is not None
    table: Labelled = tables.train
    classes, unknown = classes_of(table.labels)
    normal = np.flatnonzero(classes == NORMAL)
    attacks = np.flatnonzero(classes != NORMAL)
    cut = int(len(normal) * TRAINING_SHARE)
    learnt, tested = normal[:cut], normal[cut:]
    if not len(learnt) or len(attacks) < len(tested):
        want = "normal rows, and an attack for each fifth of them"
        raise ConfigError("--train", f"{len(normal)} normal rows, {len(attacks)} attacks", want)
    chosen = attacks[: len(tested)]
    if not first_attacks:
        draw = np.random.default_rng(_ATTACKS_SEED)
        chosen = np.sort(draw.choice(attacks, len(tested), replace=False))
    test = np.concatenate([tested, chosen])
    return Split(
        train=table.values[learnt],
        calibration=table.values[:0],
        test=table.values[test],
        schema=table.schema,
        is_anomaly=classes[test] != NORMAL,
        classes=classes[test],
        novel=np.zeros(len(test), np.bool_),
        columns=usable_columns(table),
        facts={"labels_that_are_no_known_type": unknown},
    )


PROTOCOL: Final = Protocol(
    name="seed-003",
    title="KDD'99 10 %: PCA, autoencoders and a variational autoencoder",
    needs=Needs(train="kddcup.data_10_percent, plain or gzip"),
    sections=(
        Section(
            "main",
            Statement(
                split="The first 80 % of the normal rows learn; the other normal rows, and as many "
                "attacks drawn at random, once for all seeds, test.",
                orientation="Normal connections are normal, all attacks are anomalies.",
                contamination="None: no attack is learnt from.",
                scaling="Minimum and maximum of the rows learnt from; words as 0 or 1.",
                threshold="The 99 % quantile of the errors of the rows learnt from, as the slides "
                "are read: they do not say of which rows. So more than 1 % of new rows is above.",
                metric="Precision, recall and F1 of the attacks at a prevalence of one half; AUC "
                "and AP beside them.",
                avoids="The slides scale with all rows, those of the test too, and do not say how "
                "the attacks were chosen. Kept: repeated rows, 71 % of the attacks are of one "
                "flood, so that the threshold finds nearly all of them or hardly any.",
            ),
            lambda tables, _seed: halves(tables, first_attacks=False),
            CONTENDERS,
            quantile(0.99, of="train"),
            floor_metrics=("auc", "f1"),
        ),
    ),
)

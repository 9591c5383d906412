"""Ways to split that several protocols share."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import ConfigError
from tapwatch.evaluation.attacks import NORMAL, classes_of, novel_types
from tapwatch.evaluation.duplicates import first_of_each
from tapwatch.evaluation.protocol import Flags, Labelled, Split, Words
from tapwatch.evaluation.rows import only_rows, usable_columns

#: Folds of a cross-validation on the training file.
FOLDS: Final = 5


def without_repeats(table: Labelled) -> Labelled:
    """Keep the first of rows that are the same, labels apart; their order stays."""
    return only_rows(table, first_of_each(table.values))


def train_on_normals(
    train: Labelled, test: Labelled, seed: int, *, calibration_share: float = 0.2
) -> Split:
    """Normals of the training file learn and, a random share of them, calibrate; test is all of it.

    Raises
    ------
    ConfigError
        The training file has no normal rows.
    """
    kinds, _ = classes_of(train.labels)
    normal = _some_normals(kinds == NORMAL)
    learn, calibrate = _cut(np.flatnonzero(normal), calibration_share, seed)
    classes, unknown = classes_of(test.labels)
    return Split(
        train=train.values[learn],
        calibration=train.values[calibrate],
        test=test.values,
        schema=train.schema,
        is_anomaly=classes != NORMAL,
        classes=classes,
        novel=novel_types(test.labels, train.labels),
        columns=usable_columns(train, test),
        choose=(train.values, ~normal),
        facts={"labels_that_are_no_known_type": unknown},
    )


@dataclass(frozen=True, slots=True)
class _Fold:
    """Which rows of the training file one fold tests with."""

    test: Flags
    novel: Flags  # of the types that this fold holds out as a whole


def cross_validation(table: Labelled, seed: int, *, calibration_share: float = 0.2) -> Split:
    """Split the training file alone: fold `seed` of FOLDS, each with attack types held out.

    A fold tests with a fifth of the normal rows, a fifth of each attack type, and all rows of a
    fifth of the types: those stand for what no training file has. Normals of the other folds learn
    and calibrate. Attacks never do; those that are not tested with choose the fair floor's column.
    Five seeds are the five folds of one shuffle, the next five those of another.

    Raises
    ------
    ConfigError
        The file has no normal rows, or no attacks.
    """
    classes, unknown = classes_of(table.labels)
    normal = _some_normals(classes == NORMAL)
    if normal.all():
        raise ConfigError("--train", "normal rows alone", "attacks too, to measure with")
    fold = _fold(table.labels, normal, seed)
    learn, calibrate = _cut(np.flatnonzero(normal & ~fold.test), calibration_share, seed)
    rest = ~fold.test & ~fold.novel
    held_out = np.unique(table.labels[fold.novel]).tolist()
    return Split(
        train=table.values[learn],
        calibration=table.values[calibrate],
        test=table.values[fold.test],
        schema=table.schema,
        is_anomaly=~normal[fold.test],
        classes=classes[fold.test],
        novel=fold.novel[fold.test],
        columns=usable_columns(table),
        choose=(table.values[rest], ~normal[rest]),
        facts={
            "fold": seed % FOLDS,
            "types_held_out": held_out,
            "labels_that_are_no_known_type": unknown,
        },
    )


def _fold(labels: Words, normal: Flags, seed: int) -> _Fold:
    shuffle, fold = divmod(seed, FOLDS)
    rng = np.random.default_rng(shuffle)
    # Every type, and the normal rows, are dealt out evenly, a fifth each.
    dealt = np.empty(len(labels), np.int64)
    types, place = np.unique(labels, return_inverse=True)
    for k in range(len(types)):
        rows = np.flatnonzero(place == k)
        start = int(rng.integers(FOLDS))
        dealt[rng.permutation(rows)] = (np.arange(len(rows)) + start) % FOLDS
    # Types too, from the most frequent down, so that each fold holds out small and large ones.
    attacks = [k for k in range(len(types)) if not normal[place == k][0]]
    by_size = sorted(attacks, key=lambda k: -np.count_nonzero(place == k))
    held_out = [k for at, k in enumerate(by_size) if (at + shuffle) % FOLDS == fold]
    novel = np.isin(place, held_out)
    return _Fold((dealt == fold) | novel, novel)


def _some_normals(normal: Flags) -> Flags:
    if not normal.any():
        raise ConfigError("--train", "no row labelled normal", "normal rows to learn from")
    return normal


def _cut(
    rows: NDArray[np.intp], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two parts at random, each in the order of the file; none is empty if there are two rows."""
    n_second = min(max(1, int(len(rows) * share)), len(rows) - 1)
    shuffled = np.random.default_rng(seed).permutation(rows)
    return np.sort(shuffled[n_second:]), np.sort(shuffled[:n_second])


def with_facts(split: Split, **facts: Any) -> Split:
    """Add facts that are told in the report."""
    return replace(split, facts={**split.facts, **facts})

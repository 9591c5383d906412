"""Protocols of a training and a test file that belong together: normal rows alone teach.

Where the test file is not there, the training file is cross-validated: that is what contenders and
their settings were chosen by.
"""

from collections.abc import Callable, Mapping
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
from tapwatch.evaluation.splits import FOLDS, cross_validation, train_on_normals, with_facts
from tapwatch.evaluation.thresholds import conformal

#: What of a file is used, and facts about it, by the file's purpose: "train" or "test".
Prepare = Callable[[Labelled, str], tuple[Labelled, Mapping[str, int]]]

FOLDS_SPLIT: Final = (
    f"{FOLDS} folds of the training file: a fifth of the normal rows, a fifth of each attack type "
    "and all rows of a fifth of the types, which count as novel, test; normal rows of the other "
    "folds learn (80 %) and calibrate (20 %). Contenders and their settings were chosen on "
    "labelled rows of the same file."
)


def as_it_is(table: Labelled, _purpose: str) -> tuple[Labelled, Mapping[str, int]]:
    """All rows of a file."""
    return table, {}


def official(
    name: str,
    title: str,
    files: tuple[str, str],
    contenders: tuple[Contender, ...],
    splits: tuple[str, str],
    avoids: str,
    prepare: Prepare = as_it_is,
) -> Protocol:
    """Give a protocol.

    Parameters
    ----------
    name, title : str
    files : tuple of str
        Training and test file, as distributed.
    contenders : tuple of Contender
    splits : tuple of str
        Statements of the split: with the test file, and of the folds.
    avoids : str
        Statement of what goes wrong elsewhere.
    prepare : callable
        What of a file is used.
    """
    train_file, test_file = files

    def with_test(tables: Tables, seed: int) -> Split:
        assert tables.train is not None
        assert tables.test is not None
        train, of_train = prepare(tables.train, "train")
        test, of_test = prepare(tables.test, "test")
        return with_facts(train_on_normals(train, test, seed), **of_train, **of_test)

    def folds(tables: Tables, seed: int) -> Split:
        assert tables.train is not None
        train, of_train = prepare(tables.train, "train")
        return with_facts(cross_validation(train, seed), **of_train)

    def section(key: str, split: str, divide: Callable[[Tables, int], Split]) -> Section:
        return Section(key, _statement(split, avoids), divide, contenders, conformal(0.01))

    with_test_file = section("official", splits[0], with_test)
    validation = section("validation", splits[1], folds)

    def choose(tables: Tables) -> tuple[Section, ...]:
        return (validation,) if tables.test is None else (with_test_file,)

    return Protocol(
        name=name,
        title=title,
        needs=Needs(
            train=f"{train_file}, plain or gzip",
            test=f"{test_file}; without it the training file is cross-validated",
            optional=("test",),
        ),
        choose=choose,
    )


def _statement(split: str, avoids: str) -> Statement:
    return Statement(
        split=split,
        orientation="Normal connections are normal, all attacks are anomalies.",
        contamination="None: no attack is learnt from, nor calibrated with.",
        scaling="Fitted on the rows learnt from; a word that they do not have is of a class apart.",
        threshold="The score that held-out normal rows of the training file exceed with a "
        "probability of 1 % at most (conformal).",
        metric="AUC, AP and the share found at 1 % false positives; recall by class and on attack "
        "types that the training file does not have.",
        avoids=avoids,
    )

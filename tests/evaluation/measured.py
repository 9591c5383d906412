"""A protocol of one section, a model of its own, and somebody who listens."""

import numpy as np

from tapwatch.config import Config
from tapwatch.detect.detector import Epoch
from tapwatch.evaluation.protocol import Contender, Context, Needs, Protocol, Section, Statement
from tapwatch.evaluation.splits import train_on_normals
from tapwatch.evaluation.thresholds import conformal

STATEMENT = Statement(*["."] * 7)


class Heard:
    """Remembers what it was told."""

    def __init__(self):
        self.notes, self.begun, self.outcomes = [], [], []

    def note(self, text):
        self.notes.append(text)

    def begin(self, what, of):
        self.begun.append((what, of))

    def epoch(self, epoch):
        pass

    def advance(self):
        pass

    def done(self, outcome):
        self.outcomes.append(outcome)


class Distance:
    """A model of a protocol's own: distance from the mean of the training rows."""

    def __init__(self, split, seed, epoch):
        epoch(Epoch(1, 1, 0.5, 0.5, True))
        self.middle = split.train.mean(axis=0)
        self.n_train = len(split.train)
        self.seed = seed

    def score(self, values):
        return ((values - self.middle) ** 2).sum(axis=1).astype(np.float64)

    def latent(self, values):
        return values[:, :2]


def split_of(tables, seed):
    """Normal rows learn."""
    return train_on_normals(tables.train, tables.test, seed)


def protocol(*contenders, **changes):
    """A protocol of one section."""
    usual = {"threshold": conformal(0.05)}
    section = Section("main", STATEMENT, split_of, contenders, **{**usual, **changes})
    return Protocol("made", "Made", Needs(train="a file", test="a file"), (section,), n_seeds=2)


def context(made, files, only=(), seeds=(0, 1)):
    """What a run needs."""
    return Context(made, files, seeds, only, Heard(), Config())


ROBUST = Contender("floor", "robust_z")
OWN = Contender("own", "distance", {"k": 3}, make=Distance)

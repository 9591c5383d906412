"""What came of a protocol: in memory for the report, as JSON, and as a table for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tapwatch.evaluation.protocol import (
    Contender,
    DataFile,
    Figure,
    Outcome,
    Protocol,
    Section,
    Split,
    TextTable,
)


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure of merit over the seeds."""

    values: tuple[float, ...]  # a seed each, in the order of the seeds
    mean: float
    sd: float  # with n - 1 degrees of freedom; 0 of one seed
    median: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a contender, or a floor."""

    name: str
    detector: str  # "" of a floor
    merits: Mapping[str, Spread]  # auc, ap, tpr_at_1pct, tpr_at_01pct, precision, recall, f1, ...
    per_class: Mapping[str, Spread]  # recall by class of attack, at the threshold
    extra: Mapping[str, Spread] = field(default_factory=dict)
    beats_floor: bool | None = None  # None of a floor, and where it was not measured
    note: str = ""  # of a floor: what it is


@dataclass(frozen=True, slots=True)
class SectionResults:
    """All of one section."""

    section: Section
    split: Split  # of the first seed
    rows: tuple[Row, ...]
    floor: tuple[Row, ...]
    audit: Mapping[str, Any]
    contenders: tuple[Contender, ...]
    outcomes: tuple[Outcome, ...]  # of contenders, by contender and then seed
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by contender


@dataclass(frozen=True, slots=True)
class Results:
    """All of one run."""

    protocol: Protocol
    data: tuple[DataFile, ...]
    seeds: tuple[int, ...]
    sections: tuple[SectionResults, ...] = ()
    tables: tuple[TextTable, ...] = ()
    figures: tuple[Figure, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values
    command: str = ""  # that makes the same results again

"""What a protocol says, as records; each is stated in one short file of `protocols`.

A protocol has sections, most often one. A section splits the tables it is given into training,
calibration and test rows, names the contenders, and says where the threshold comes from. What does
not fit into rows with labels brings its own `run`.

Higher scores are more anomalous, and a row is flagged when its score is above the threshold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Face

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.detect.detector import Epoch
from tapwatch.tables import Schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from tapwatch.evaluation.results import Results, SectionResults

Values = NDArray[np.float32]
Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file that was read, for the record."""

    name: str
    sha256: str
    rows: int
    used_for: str  # "train", "test", "labels"
    left_out: Mapping[str, int] = field(default_factory=dict)  # rows left out or mended, by reason
    unit: str = "rows"  # what `rows` counts; "packets" where several views make rows of them


@dataclass(frozen=True, slots=True)
class Labelled:
    """All rows of the files of one purpose, in the order of the files."""

    values: Values  # (n_rows, n_schema_columns)
    labels: Words  # (n_rows,) as the files spell them; all "" where they have none
    time_ns: NDArray[np.int64]  # (n_rows,)
    schema: Schema
    withheld: Mapping[str, str] = field(default_factory=dict)  # column not given -> why
    has_times: bool = True  # False: `time_ns` is the order of the rows, and nothing else

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Tables:
    """What a split is made from; None where no such file is given."""

    train: Labelled | None
    test: Labelled | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of one seed, and what they are. Detectors see `train` and, for thresholds,
    `calibration`.
    """

    train: Values  # (n_train, n_schema_columns) of the normal class
    calibration: Values  # (n_calibration, n_schema_columns) of the normal class; may have no rows
    test: Values  # (n_test, n_schema_columns)
    schema: Schema
    is_anomaly: Flags  # (n_test,)
    classes: Words  # (n_test,) "normal", "dos", "probe", "r2l", "u2r", or words of the file
    novel: Flags  # (n_test,) of an attack type that the training files do not have
    columns: tuple[str, ...] = ()  # that may be learnt from; by default all of the schema
    train_is_anomaly: Flags | None = None  # (n_train,) where training is meant to be contaminated
    choose: tuple[Values, Flags] | None = None
    """Labelled rows that are not test rows: they choose the fair floor's column, nothing else."""
    rates: tuple[Scores, Scores, Scores] | None = None
    """Rows in the second up to each row of train, calibration and test, among all rows of their
    file, where rows have times: a floor then."""
    facts: Mapping[str, Any] = field(default_factory=dict)  # told in the report; plain JSON values


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a threshold may be found from. `test` and `is_anomaly` are there only in sections that
    say so (`threshold_sees`).
    """

    train: Scores
    calibration: Scores
    test: Scores | None
    is_anomaly: Flags | None
    seed: int


#: The threshold of one contender and seed; see `thresholds` for the usual ones.
ThresholdRule = Callable[[Evidence], float]


class Model(Face):
    """Something fitted that scores rows of the schema."""

    def score(self, values: Values) -> Scores:
        """Score rows (n, n_schema_columns), in order; higher is more anomalous."""
        ...

    def latent(self, values: Values) -> Values | None:
        """Codes (n, n_latent) of rows; None without a latent space."""
        ...


#: Fits something that is no registered detector: split, seed, told after every epoch.
Maker = Callable[[Split, int, Callable[[Epoch], None]], Model]


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of the table."""

    name: str  # in the table; once in a section
    detector: str  # as registered; with `make` only a word for the table
    settings: Mapping[str, Any] = field(default_factory=dict)
    """As `--set` of `tapwatch train` takes them: scaling, clip, class_height, constants, validation
    (a share), and the detector's own parameters."""
    columns: tuple[str, ...] = ()  # to use; by default those of the split
    drop: tuple[str, ...] = ()
    make: Maker | None = None  # in place of detector and settings
    max_rows: int = 0  # learn from a random sample of at most so many; 0: from all


@dataclass(frozen=True, slots=True)
class Outcome:
    """One contender, one seed; kept in memory for the report."""

    contender: str
    seed: int
    score: Scores  # (n_test,)
    calibration_score: Scores  # (n_calibration,)
    train_score: Scores  # (n_train,)
    threshold: float
    flagged: Flags  # (n_test,) score > threshold
    latent: Values | None  # (len(latent_rows), n_latent), of the first seed only
    latent_rows: NDArray[np.int64]  # test rows that `latent` is of
    epochs: tuple[Epoch, ...]
    parameters: Mapping[str, Any]  # all of them, defaults too
    cpu_s: float  # fit and score; never written to results.json


@dataclass(frozen=True, slots=True)
class Statement:
    """What a reader must know before the numbers; a sentence or two each."""

    split: str
    orientation: str  # which class is normal, and what an anomaly is
    contamination: str
    scaling: str
    threshold: str
    metric: str  # the one that was published, and what stands beside it
    avoids: str  # the bug of the original that is avoided; of a literal one: that it has it


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of a protocol's own, beside or in place of the usual one."""

    name: str  # key in results.json
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot of a protocol's own."""

    name: str
    caption: str
    draw: Callable[["Canvas"], None]  # on an empty matplotlib figure
    title: str = ""  # above the caption; by default the name


#: More figures of merit of one outcome, name -> number; told as mean and sd over seeds.
Extra = Callable[[Split, Outcome], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Section:
    """One split and one table."""

    name: str  # "main" where there is only one
    statement: Statement
    split: Callable[[Tables, int], Split]  # (tables, seed); may ignore the seed
    contenders: tuple[Contender, ...]
    threshold: ThresholdRule
    threshold_sees: Literal["nothing", "test scores", "test labels"] = "nothing"
    """What of the test the rule is shown; published protocols exist that need it."""
    floor_metrics: tuple[str, ...] = ("auc",)
    """What a contender must beat the floor in; "f1" where that is what was published."""
    floor_threshold: ThresholdRule | None = None
    """Of the floors, where `threshold` is on the scale of the contenders' own scores."""
    floor_rows: int = 200_000
    """Training rows that the floors learn from at most."""
    extra: Extra | None = None
    tables: Callable[["SectionResults"], Sequence[TextTable]] | None = None
    figures: Callable[["SectionResults"], Sequence[Figure]] | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """Which files a protocol wants: a sentence for the message where one is missing, or None."""

    train: str | None = None  # what --train FILE has to be
    test: str | None = None
    labels: str | None = None
    inputs: str | None = None  # captures that are named without an option
    optional: tuple[str, ...] = ()  # of these and "view": may be left out
    view: str | None = "kdd"  # of the rows; None: --view says it
    takes: tuple[str, ...] = ()  # of "views" (--view again), "filter", "columns" and "drop"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the command line gave."""

    train: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    labels: Path | None = None
    inputs: tuple[Path, ...] = ()
    view: str | None = None  # the first of `views`
    views: tuple[str, ...] = ()
    filter: str | None = None  # packets of captures to use
    columns: tuple[str, ...] = ()  # to learn from; by default all
    drop: tuple[str, ...] = ()  # not to learn from


class Talker(Face):
    """Who is told how far it is."""

    def note(self, text: str) -> None:
        """Say what was found."""
        ...

    def begin(self, what: str, of: int) -> None:
        """Say that the next of `of` fits has begun."""
        ...

    def epoch(self, epoch: Epoch) -> None:
        """Say how a fit goes."""
        ...

    def done(self, outcome: Outcome) -> None:
        """Say what came of a fit."""
        ...

    def advance(self) -> None:
        """Say that a fit is done, without an outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a protocol with its own `run` works with."""

    protocol: "Protocol"
    inputs: Inputs
    seeds: tuple[int, ...]
    only: tuple[str, ...]  # contenders or detectors asked for; () means all
    talk: Talker
    config: Config

    def wants(self, contender: Contender) -> bool:
        """Whether --detector leaves a contender in."""
        return not self.only or contender.name in self.only or contender.detector in self.only


@dataclass(frozen=True, slots=True)
class Protocol:
    """One named way to measure. Module `protocols/<name with _>.py` holds it as `PROTOCOL`."""

    name: str  # as on the command line
    title: str
    needs: Needs
    sections: tuple[Section, ...] = ()
    choose: Callable[[Tables], tuple[Section, ...]] | None = None
    """Sections where they depend on the files; in place of `sections`."""
    n_seeds: int = 5
    run: Callable[[Context], "Results"] | None = None
    """In place of split, fit and score; may call `run.run_sections` for parts that fit."""
    statement: Statement | None = None
    """Of a `run` without sections; a section has its own."""

"""MemStream's way on KDD'99, as published, and with a warm-up by time in place of labels.

Bhatia et al., WWW 2022, section 5: rows are a stream; each is scored, and then learnt if its error
is at most beta.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Epoch
from tapwatch.detect.detectors.memory_ae import MemoryAe, MemoryAeParameters
from tapwatch.evaluation.attacks import NORMAL, classes_of
from tapwatch.evaluation.protocol import (
    Contender,
    Maker,
    Needs,
    Outcome,
    Protocol,
    Scores,
    Section,
    Split,
    Statement,
    Tables,
    Values,
)
from tapwatch.evaluation.thresholds import conformal, top_share
from tapwatch.tables import Schema

#: Rows of the warm-up, and of the memory.
WARM_UP_ROWS: Final = 256
#: The paper's encoder: as wide as twice the inputs, 5,000 steps on the whole warm-up.
PAPER: Final[dict[str, Any]] = {
    "memory": WARM_UP_ROWS,
    "novelty": 0.0,
    "standardise": "memory",
    "epochs": 5000,
    "learning_rate": 1e-2,
}
#: Rows of the longer warm-up: of its first half a memory is drawn, its second half tells beta.
LONG_WARM_UP_ROWS: Final = 1024
#: A scale that stays, and a memory in which floods do not push out what is rare.
STEADY: Final[dict[str, Any]] = {
    "memory": WARM_UP_ROWS,
    "renewal": "unused",
    "epochs": 300,
    "learning_rate": 1e-2,
}
#: Of the rows within beta it takes those that are half of it away or more; 300 steps for the
#: encoder, on all that it may learn from.
ADAPTING: Final[dict[str, Any]] = {
    **STEADY,
    "code": 64,
    "novelty": 0.5,
    "batch_rows": LONG_WARM_UP_ROWS,
}
#: Units whose columns span decades.
_WIDE_UNITS: Final = frozenset({"B", "s"})


Way = Literal["published", "steady", "adapting"]
_FIT_SETTINGS: Final[dict[Way, dict[str, Any]]] = {
    "published": PAPER | {"beta": 0.0},
    "steady": STEADY,
    "adapting": ADAPTING,
}


@dataclass(frozen=True, slots=True)
class Stream:
    """A detector that begins anew for each table, and scores it row by row as it learns."""

    detector: MemoryAe
    inputs: Callable[[Values], Values]

    def score(self, values: Values) -> Scores:
        """Errors of rows (n, n_schema_columns), each by what the rows before it have taught."""
        return self.detector.copy().stream(self.inputs(values))[0]

    def latent(self, values: Values) -> Values | None:
        """Codes of rows, (n, n_latent), by the memory of the warm-up."""
        return self.detector.latent(self.inputs(values))


@dataclass(frozen=True, slots=True)
class Scale:
    """Columns minus the warm-up's mean, over its deviation, but at least 1; of some the logarithms.

    A deviation of one warm-up row in 256 is so small that the column would be all there is; a
    column that is constant there counts by its change itself: a word is worth 1, a factor of e too.
    """

    schema: Schema
    units: frozenset[str]  # whose columns are logarithms
    mean: NDArray[np.float64]  # (n_inputs,)
    deviation: NDArray[np.float64]  # (n_inputs,)

    @classmethod
    def of(cls, warm_up: Values, schema: Schema, units: frozenset[str]) -> "Scale":
        """Find mean and deviation, once and for all."""
        rows = _logarithms(warm_up, schema, units).astype(np.float64)
        return cls(schema, units, rows.mean(axis=0), np.maximum(rows.std(axis=0), 1.0))

    def inputs(self, values: Values) -> Values:
        """Scale rows (n, n_schema_columns)."""
        scaled = _logarithms(values, self.schema, self.units)
        for c, (mean, deviation) in enumerate(zip(self.mean, self.deviation, strict=True)):
            scaled[:, c] = (scaled[:, c] - mean) / deviation
        return scaled


def _logarithms(values: Values, schema: Schema, units: frozenset[str]) -> Values:
    plain = values.copy()
    for k, column in enumerate(schema.columns):
        if not column.categories and column.unit in units:
            plain[:, k] = np.sign(values[:, k]) * np.log1p(np.abs(values[:, k]))
    return inputs_of(plain, schema)


def inputs_of(values: Values, schema: Schema) -> Values:
    """Plain columns as they are, and 0 or 1 for each word of the others: the memory scales them."""
    parts = [
        np.float32(values[:, k, None] == np.arange(len(column.categories)))
        if column.categories
        else values[:, k, None]
        for k, column in enumerate(schema.columns)
    ]
    return np.concatenate(parts, axis=1)


@lru_cache(maxsize=2)
def _fitted(
    content: bytes, n_inputs: int, n_held: int, seed: int, way: Way
) -> tuple[dict[str, Any], tuple[Epoch, ...]]:
    """Arrays of the detector that rows and seed give, whatever beta, and how its fit went.

    The last rows, `n_held` of them, tell beta.
    """
    rows = np.frombuffer(content, np.float32).reshape(-1, n_inputs)
    cut = len(rows) - n_held
    epochs: list[Epoch] = []
    parameters = MemoryAeParameters.model_validate(_FIT_SETTINGS[way])
    detector = MemoryAe.fit(rows[:cut], rows[cut:], parameters, seed=seed, progress=epochs.append)
    return detector.arrays(), tuple(epochs)


def _way(split: Split, settings: Mapping[str, Any]) -> Way:
    """Which of the three ways to fit and scale: rows that tell beta are of the adapting one."""
    if len(split.calibration):
        return "adapting"
    return "steady" if "renewal" in settings else "published"


def _stream(split: Split, seed: int, settings: Mapping[str, Any]) -> tuple[Stream, Any]:
    """What the warm-up gives, and the epochs of its fit; fits are kept for the next beta."""
    way = _way(split, settings)
    warm_up = np.concatenate([split.train, split.calibration])
    inputs: Callable[[Values], Values] = partial(inputs_of, schema=split.schema)
    if way != "published":
        units = (
            _WIDE_UNITS if way == "adapting" else frozenset(c.unit for c in split.schema.columns)
        )
        inputs = Scale.of(warm_up, split.schema, units).inputs
    rows = inputs(warm_up)
    arrays, epochs = _fitted(rows.tobytes(), rows.shape[1], len(split.calibration), seed, way)
    if "beta" in settings:
        arrays = arrays | {"beta": np.array([settings["beta"]])}
    parameters = MemoryAeParameters.model_validate(settings)
    return Stream(MemoryAe.from_arrays(parameters, rows.shape[1], arrays), inputs), epochs


def _maker(settings: dict[str, Any]) -> Maker:
    def make(split: Split, seed: int, epoch: Callable[[Epoch], None]) -> Stream:
        stream, epochs = _stream(split, seed, settings)
        for told in epochs:
            epoch(told)
        return stream

    return make


def updates(split: Split, outcome: Outcome) -> dict[str, float]:
    """Count rows of the stream that the memory took in, anomalies among them, and tell beta."""
    detector = _stream(split, outcome.seed, outcome.parameters)[0].detector
    beta = float(detector.arrays()["beta"][0])
    least = detector.parameters.novelty * beta
    taken = (least <= outcome.score) & (outcome.score <= beta)
    if detector.parameters.renewal == "unused":
        taken &= outcome.score > 0
    return {
        "updates": float(np.count_nonzero(taken)),
        "anomalies_taken": float(np.count_nonzero(taken & split.is_anomaly)),
        "beta": beta,
    }


def _contender(name: str, settings: dict[str, Any]) -> Contender:
    return Contender(name, "memory_ae", settings, make=_maker(settings))


def _split(rows: Values, train: Any, is_anomaly: Any, classes: Any, schema: Schema) -> Split:
    return Split(
        train=rows[train],
        calibration=rows[:0],
        test=rows,
        schema=schema,
        is_anomaly=is_anomaly,
        classes=classes,
        novel=np.zeros(len(rows), np.bool_),
    )


def _published(tables: Tables, seed: int) -> Split:
    """The first attacks of the stream warm up, and stay in it."""
    assert tables.train is not None
    classes, _ = classes_of(tables.train.labels)
    is_normal = classes == NORMAL
    first = np.flatnonzero(~is_normal)[:WARM_UP_ROWS]
    return _split(tables.train.values, first, is_normal, classes, tables.train.schema)


def _by_time(tables: Tables, seed: int, *, warm_up: int, n_held: int = 0) -> Split:
    """The first rows of the stream warm up, whatever they are, and are not tested."""
    assert tables.train is not None
    classes, _ = classes_of(tables.train.labels)
    rest = slice(warm_up, None)
    rows = tables.train.values
    split = _split(
        rows[rest], slice(0), classes[rest] != NORMAL, classes[rest], tables.train.schema
    )
    return replace(
        split,
        train=rows[: warm_up - n_held],
        calibration=rows[warm_up - n_held : warm_up],
        facts={"anomalies_in_the_warm_up": int((classes[:warm_up] != NORMAL).sum())},
    )


_SHARED: Final = {
    "scaling": "As published: mean and deviation of the rows in the memory, as they change; what "
    "is constant there is not looked at. Steady: logarithms, mean and deviation of the warm-up, "
    "the deviation at least 1, so that what was constant is looked at. Words 0 or 1.",
    "threshold": "The 20 % of the rows with the highest errors are flagged; none is published.",
    "metric": "AUC over the stream; .980 in the paper.",
}
_TRUE: Final = "Normal connections are normal, attacks are anomalies."
CONTENDERS: Final = (
    _contender("memory_ae, beta 1", PAPER | {"beta": 1.0}),
    _contender("memory_ae, beta 20", PAPER | {"beta": 20.0}),
    _contender("memory_ae, beta 0", PAPER | {"beta": 0.0}),
    _contender("memory_ae, steady", STEADY),
    _contender("memory_ae, steady, frozen", STEADY | {"beta": 0.0}),
)
PUBLISHED: Final = Section(
    "published",
    Statement(
        split=f"The whole file is the stream. The first {WARM_UP_ROWS} attacks warm up.",
        orientation="Turned round, as published: the attacks are normal, and an anomaly is a "
        "normal connection.",
        contamination="None in the warm-up, for labels choose it; every row may be learnt after.",
        avoids="Nothing; it has three: the classes are turned round, labels choose the warm-up, "
        "and its rows are tested too. The paper's beta of 1 was chosen on these rows, and lets "
        "hardly a row but those of the warm-up into the memory: read beside it what a beta does "
        "that adapts (20), and one that learns nothing but exact repeats (0). Steady: beta is the "
        "distance within which half of the kinds of warm-up rows have another; of the rows in the "
        "memory the one unused for longest goes, copies first. How it scales and renews was chosen "
        "with these rows in view.",
        **_SHARED,
    ),
    _published,
    CONTENDERS,
    top_share(0.2),
    threshold_sees="test scores",
    extra=updates,
)
BY_TIME: Final = Section(
    "by time",
    Statement(
        split=f"The first {WARM_UP_ROWS} rows of the file warm up, whatever they are, and are left "
        "out; the others are the stream.",
        orientation=_TRUE,
        contamination="Whatever the first rows are; the report says how many attacks.",
        avoids="A warm-up that labels choose, and that is tested too.",
        **_SHARED,
    ),
    partial(_by_time, warm_up=WARM_UP_ROWS),
    (CONTENDERS[0], CONTENDERS[3]),
    top_share(0.2),
    threshold_sees="test scores",
    extra=updates,
)
ADAPTS: Final = Section(
    "adapting",
    Statement(
        split=f"The first {LONG_WARM_UP_ROWS:,} rows of the file warm up, whatever they are, and "
        "are left out: the first half for memory and encoder, the second for beta and threshold. "
        "The others are the stream.",
        orientation=_TRUE,
        contamination="Whatever the first rows are: 2 attacks in KDD'99's. No label is looked at "
        "after them: what is within beta is learnt.",
        scaling="Mean and deviation of the warm-up, the deviation at least 1; of bytes and seconds "
        "the logarithms. Words 0 or 1.",
        threshold="The score that the second half of the warm-up exceeds with a probability of "
        "1 % at most (conformal), as its rows are scored one after the other.",
        metric="AUC over the stream without the warm-up. Updates are rows that the memory took in, "
        "anomalies_taken those of them that are attacks.",
        avoids="Labels, classes turned round, a warm-up that is tested, a memory that stays as it "
        "is. Beta is the 90 % quantile of the warm-up's held errors. Scale, novelty and the length "
        "of the warm-up were chosen with these rows in view.",
    ),
    partial(_by_time, warm_up=LONG_WARM_UP_ROWS, n_held=LONG_WARM_UP_ROWS // 2),
    (
        _contender("memory_ae, adapting", ADAPTING),
        _contender("memory_ae, adapting, novelty .1", ADAPTING | {"novelty": 0.1}),
        _contender("memory_ae, the same frozen", ADAPTING | {"beta": 0.0}),
    ),
    conformal(0.01),
    extra=updates,
)

PROTOCOL: Final = Protocol(
    name="memstream",
    title="KDD'99 as a stream, as MemStream has it",
    needs=Needs(train="kddcup.data_10_percent, plain or gzip: the stream"),
    sections=(PUBLISHED, BY_TIME, ADAPTS),
)

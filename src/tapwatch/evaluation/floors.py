"""What scores of no learning reach: the floor that a detector has to beat before it means anything.

best column          the plain column, and the direction, with the highest area on the TEST rows: no
                     detector, but a check of how much one column gives away
chosen column        the same, chosen on labelled rows that are not test rows, where a split has any
max |z|, mean z^2    of the plain columns, by mean and deviation of the training rows; those that
                     are constant there are left out
max |z| of log       the same of the logarithms, as scaling log_z makes them, without its clip
rarity of COLUMN     -log of how often a training row has the word, of each column of classes
unseen row           1 where no training row is the same, else 0
rate of rows         rows in the second up to this one, where rows have times

A floor gets its threshold by the protocol's own rule, or by one that it has for floors. Where many
rows tie at the threshold, it is given the better F1 of flagging all of them or none: a floor gets
the benefit of the doubt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.preprocess import Method, fit_preprocess
from tapwatch.errors import ConfigError
from tapwatch.evaluation.duplicates import row_keys
from tapwatch.evaluation.metrics import by_class, decision, merits_of
from tapwatch.evaluation.protocol import Evidence, Flags, Scores, Section, Split, Values
from tapwatch.evaluation.results import Row

#: Rows on which columns are compared with each other at most, a random sample of more.
CHOICE_ROWS: Final = 50_000
_SECOND_NS: Final = 1_000_000_000
#: Wide enough that nothing is clipped, and its square still fits into float32.
_NO_CLIP: Final = 1e9


@dataclass(frozen=True, slots=True)
class Floor:
    """One floor of one seed."""

    name: str
    note: str
    merits: dict[str, float]
    classes: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores of no learning, of all rows of a split."""

    name: str
    note: str
    train: Scores
    calibration: Scores
    test: Scores


def floors_of(split: Split, section: Section, seed: int) -> list[Floor]:
    """Measure every floor that a split allows, by the threshold rule of its section."""
    lighter = replace(split, train=sample(split.train, section.floor_rows, seed))
    return [_measure(scored, split, section, seed) for scored in _all(split, lighter, seed)]


def mark(row: Row, floor: tuple[Row, ...], metrics: tuple[str, ...]) -> Row:
    """Say whether a row is above every floor in each of the metrics, by its mean.

    None where a metric was not measured, as no area is where the test rows are of one kind.
    """
    if any(name not in row.merits for name in metrics):
        return replace(row, beats_floor=None)
    above = all(
        row.merits[name].mean > line.merits[name].mean
        for name in metrics
        for line in floor
        if name in line.merits
    )
    return replace(row, beats_floor=above)


def sample(values: Values, max_rows: int, seed: int) -> Values:
    """At most so many rows at random, in their order."""
    if len(values) <= max_rows:
        return values
    return values[np.sort(np.random.default_rng(seed).choice(len(values), max_rows, replace=False))]


def column_areas(
    values: NDArray[Any], is_anomaly: Flags, plain: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Area under the ROC curve of each plain column, higher being more anomalous; ties by half.

    Parameters
    ----------
    values : (n, n_schema_columns)
    is_anomaly : bool (n,)
        With rows of both kinds.
    plain : int (k,)
        Places of the columns.

    Returns
    -------
    area : float64 (k,)
    """
    from scipy.stats import rankdata

    n_anomalies = int(np.count_nonzero(is_anomaly))
    n_normal = len(is_anomaly) - n_anomalies
    least = n_anomalies * (n_anomalies + 1) / 2
    sums = [float(rankdata(values[:, k])[is_anomaly].sum()) for k in plain]
    areas: NDArray[np.float64] = (np.array(sums) - least) / (n_anomalies * n_normal)
    return areas


def plain_columns(split: Split) -> NDArray[np.intp]:
    """Places of the columns that may be learnt from and are no classes."""
    wanted = set(split.columns or split.schema.names)
    columns = enumerate(split.schema.columns)
    return np.array([k for k, c in columns if c.name in wanted and not c.categories], np.intp)


def _all(split: Split, lighter: Split, seed: int) -> Iterator[_Scored]:
    plain = plain_columns(split)
    if len(plain):
        both = split.is_anomaly.any() and not split.is_anomaly.all()
        if both:
            told = "chosen on the test rows"
            rows = split.test, split.is_anomaly
            yield _column(split, "best column", told, plain, *_some(*rows, seed))
        if split.choose is not None and split.choose[1].any() and not split.choose[1].all():
            told = "chosen on labelled rows that are not test rows"
            yield _column(split, "chosen column", told, plain, *_some(*split.choose, seed))
        yield from _deviations(split, lighter)
    yield from _rarities(split, lighter)
    yield _unseen(split)
    if split.rates is not None:
        yield _Scored("rate of rows", "rows in the last second", *split.rates)


def _some(values: Values, is_anomaly: Flags, seed: int) -> tuple[Values, Flags]:
    if len(values) <= CHOICE_ROWS:
        return values, is_anomaly
    chosen = np.random.default_rng(seed).choice(len(values), CHOICE_ROWS, replace=False)
    flags = is_anomaly[chosen]
    # A sample without any of the few of one kind would say nothing.
    return (values[chosen], flags) if flags.any() and not flags.all() else (values, is_anomaly)


def _column(
    split: Split,
    name: str,
    told: str,
    plain: NDArray[np.intp],
    values: Values,
    is_anomaly: Flags,
) -> _Scored:
    areas = column_areas(values, is_anomaly, plain)
    best = int(np.abs(areas - 0.5).argmax())
    k, sign = plain[best], (1.0 if areas[best] >= 0.5 else -1.0)
    note = f"{'' if sign > 0 else '-'}{split.schema.names[k]}, {told}"
    parts = [sign * part[:, k].astype(np.float64) for part in _parts(split)]
    return _Scored(name, note, *parts)


def _parts(split: Split) -> tuple[Values, Values, Values]:
    return split.train, split.calibration, split.test


def _deviations(split: Split, lighter: Split) -> Iterator[_Scored]:
    names = [split.schema.names[k] for k in plain_columns(split)]
    methods: tuple[tuple[Method, str], ...] = (("z", ""), ("log_z", " of log"))
    for method, suffix in methods:
        try:
            scale, _ = fit_preprocess(
                lighter.train, split.schema, names, method=method, clip=_NO_CLIP
            )
        except ConfigError:  # no column varies
            return
        largest = [np.abs(scale.apply(part)).max(axis=1).astype(float) for part in _parts(split)]
        yield _Scored(f"max |z|{suffix}", "largest deviation of a column", *largest)
        squares = [(scale.apply(part).astype(float) ** 2).mean(axis=1) for part in _parts(split)]
        yield _Scored(f"mean z^2{suffix}", "mean squared deviation", *squares)


def _rarities(split: Split, lighter: Split) -> Iterator[_Scored]:
    wanted = set(split.columns or split.schema.names)
    for k, column in enumerate(split.schema.columns):
        if not column.categories or column.name not in wanted:
            continue
        words = lighter.train[:, k].astype(np.int64)
        counts = np.bincount(words, minlength=len(column.categories))
        rarity = -np.log((counts + 1) / (len(words) + 1))
        parts = [rarity[part[:, k].astype(np.int64)] for part in _parts(split)]
        note = "-log of its share in training"
        yield _Scored(f"rarity of {column.name}", note, *parts)


def _unseen(split: Split) -> _Scored:
    known = np.unique(row_keys(split.train))
    parts = [(~np.isin(row_keys(part), known)).astype(np.float64) for part in _parts(split)]
    return _Scored("unseen row", "1 where no training row is the same", *parts)


def rate_of(times_ns: NDArray[np.int64]) -> Scores:
    """Rows in the second up to each row, itself included; times ascending or not."""
    ordered = np.sort(times_ns)
    upto = np.searchsorted(ordered, times_ns, side="right")
    before = np.searchsorted(ordered, times_ns - _SECOND_NS, side="right")
    return (upto - before).astype(np.float64)


def _measure(scored: _Scored, split: Split, section: Section, seed: int) -> Floor:
    sees = section.threshold_sees
    rule = section.floor_threshold or section.threshold
    threshold = rule(
        Evidence(
            scored.train,
            scored.calibration,
            None if sees == "nothing" else scored.test,
            split.is_anomaly if sees == "test labels" else None,
            seed,
        )
    )
    ways = (scored.test > threshold, scored.test >= threshold)
    flagged = max(ways, key=lambda way: decision(way, split.is_anomaly)["f1"])
    merits = merits_of(scored.test, flagged, split.is_anomaly, split.classes, split.novel)
    classes = by_class(flagged, split.is_anomaly, split.classes)
    return Floor(scored.name, scored.note, merits, classes)

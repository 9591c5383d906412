"""Seeds times contenders: split, fit, score, decide, measure; one process, one thread.

Detectors are fitted and score with the code of `tapwatch train` and of the live scorer, to six
significant digits. The same files, protocol and seeds give the same results.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from tapwatch.detect.detector import CHUNK_ROWS, Detector, Epoch
from tapwatch.detect.preprocess import Preprocess
from tapwatch.errors import ConfigError
from tapwatch.evaluation.audit import audit
from tapwatch.evaluation.floors import floors_of, mark
from tapwatch.evaluation.metrics import by_class, merits_of, spreads
from tapwatch.evaluation.picture_rows import picture_rows
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Evidence,
    Labelled,
    Model,
    Outcome,
    Scores,
    Section,
    Split,
    Tables,
    Values,
)
from tapwatch.evaluation.results import Results, Row, SectionResults
from tapwatch.evaluation.rows import read_labelled
from tapwatch.evaluation.witness import check_rows_can_be_labelled
from tapwatch.telemetry.stopwatch import Stopwatch
from tapwatch.training.calibrate import score_rows
from tapwatch.training.fit import choose_columns, fit_rows, split_settings
from tapwatch.training.ranking import check_finite

#: Test rows of which the latent space is kept, for pictures.
LATENT_ROWS: Final = 4000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A registered detector with its preprocessing."""

    preprocess: Preprocess
    detector: Detector

    def score(self, values: Values) -> Scores:
        """Errors of rows (n, n_schema_columns), as the live scorer would tell them."""
        return score_rows(values, self.preprocess, self.detector)

    def latent(self, values: Values) -> Values | None:
        """Codes of rows; None without a latent space."""
        if not self.detector.has_latent:
            return None
        parts = [
            self.detector.latent(self.preprocess.apply(values[start : start + CHUNK_ROWS]))
            for start in range(0, len(values), CHUNK_ROWS)
        ]
        return np.concatenate(parts) if parts else None


@dataclass(slots=True)
class _Collected:
    """What the seeds of one section give, line by line."""

    merits: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    classes: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    extra: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    notes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, name: str, merits: dict[str, float], classes: dict[str, float]) -> None:
        """Take what one seed gave for one line."""
        self.merits.setdefault(name, []).append(merits)
        self.classes.setdefault(name, []).append(classes)

    def row(self, name: str, detector: str) -> Row:
        """Sum up one line."""
        return Row(
            name,
            detector,
            spreads(list(self.merits[name])),
            spreads(list(self.classes[name])),
            spreads(list(self.extra.get(name, []))),
            note=self._note(name),
        )

    def _note(self, name: str) -> str:
        """What the seeds noted; where they differ, how many noted each."""
        found = self.notes.get(name, Counter())
        if len(found) < 2:
            return "".join(found)
        n_seeds = found.total()
        return "; ".join(f"{note} ({n} of {n_seeds})" for note, n in found.most_common())


def run(context: Context) -> Results:
    """Run a protocol.

    Raises
    ------
    ConfigError
        A file is missing, a row has no label, or --detector names nobody.
    CaptureError, ArtifactError
        A file cannot be read.
    """
    protocol = context.protocol
    with single_thread():
        if protocol.run is not None:
            return protocol.run(context)
        if protocol.choose is None:
            check_names(context.only, [c for one in protocol.sections for c in one.contenders])
        tables, data = read_tables(context)
        for option, table in (("--train", tables.train), ("--test", tables.test)):
            if table is not None:  # without its label a normal row would be an attack
                check_rows_can_be_labelled(table, option, has_labels_option=False)
        chosen = protocol.choose(tables) if protocol.choose else protocol.sections
        sections = run_sections(context, tables, chosen)
    return Results(protocol, tuple(data), context.seeds, sections)


def read_tables(context: Context) -> tuple[Tables, list[DataFile]]:
    """Read the files of --train and --test.

    Raises
    ------
    ConfigError
        The protocol leaves the view open, and --view is not given.
    """
    data: list[DataFile] = []
    return Tables(read_files(context, "train", data), read_files(context, "test", data)), data


def read_files(context: Context, purpose: str, data: list[DataFile]) -> Labelled | None:
    """Read the files of --train or --test, and put them on record; None where none is given.

    Raises
    ------
    ConfigError
        The protocol leaves the view open, and --view is not given.
    """
    view = context.protocol.needs.view or context.inputs.view
    if view is None:
        raise ConfigError("--view", None, "the view of the rows")
    paths = getattr(context.inputs, purpose)
    if not paths:
        return None
    rows, files = read_labelled(paths, view, purpose, context.config, context.talk.note)
    data += files
    return rows


def run_sections(
    context: Context, tables: Tables, sections: Sequence[Section]
) -> tuple[SectionResults, ...]:
    """Run sections one after the other.

    Raises
    ------
    ConfigError
        A --detector names no contender of any section.
    """
    wanted = [(s, tuple(c for c in s.contenders if context.wants(c))) for s in sections]
    check_names(
        context.only, [contender for section in sections for contender in section.contenders]
    )
    n_fits = len(context.seeds) * sum(len(contenders) for _, contenders in wanted)
    steps = iter(range(1, n_fits + 1))

    def begin(what: str) -> None:
        context.talk.begin(f"{next(steps)}/{n_fits} {what}", n_fits)

    return tuple(
        _run_section(context, tables, section, contenders, begin)
        for section, contenders in wanted
        if contenders
    )


def check_names(only: Sequence[str], contenders: Sequence[Contender]) -> None:
    """Raise ConfigError for the first name of --detector that is nobody's."""
    known = {word for contender in contenders for word in (contender.name, contender.detector)}
    for name in only:
        if name not in known:
            names = dict.fromkeys(f'"{contender.name}"' for contender in contenders)
            raise ConfigError("--detector", name, "one of " + ", ".join(names))


def _run_section(
    context: Context,
    tables: Tables,
    section: Section,
    contenders: tuple[Contender, ...],
    begin: Callable[[str], None],
) -> SectionResults:
    lines, floor_lines = _Collected(), _Collected()
    outcomes: list[Outcome] = []
    first: Split | None = None
    for seed in context.seeds:
        split = section.split(tables, seed)
        _check(split, section)
        if first is None:
            first = split
            context.talk.note(_told(section, split))
        for floor in floors_of(split, section, seed):
            floor_lines.add(floor.name, floor.merits, floor.classes)
            floor_lines.notes.setdefault(floor.name, Counter())[floor.note] += 1
        for contender in contenders:
            begin(f"{section.name}: {contender.name}, seed {seed}")
            outcome = contend(contender, section, split, seed, context.talk.epoch)
            lines.add(contender.name, *_measured(outcome, split))
            if section.extra is not None:
                extra = dict(section.extra(split, outcome))
                lines.extra.setdefault(contender.name, []).append(extra)
            context.talk.done(outcome)
            outcomes.append(outcome if split is first else _lighter(outcome))
    assert first is not None, "a protocol has at least one seed"
    floors = tuple(floor_lines.row(name, "") for name in floor_lines.merits)
    rows = [lines.row(contender.name, contender.detector) for contender in contenders]
    outcomes.sort(key=lambda outcome: [c.name for c in contenders].index(outcome.contender))
    return SectionResults(
        section,
        first,
        tuple(mark(row, floors, section.floor_metrics) for row in rows),
        floors,
        {"seed": context.seeds[0]} | audit(first),
        contenders,
        tuple(outcomes),
        {outcome.contender: outcome.parameters for outcome in outcomes},
    )


def contend(
    contender: Contender,
    section: Section,
    split: Split,
    seed: int,
    epoch: Callable[[Epoch], None] = lambda _: None,
) -> Outcome:
    """Fit one contender with one seed, score the test rows and decide.

    Raises
    ------
    ConfigError
        The detector, a setting or a column is not known.
    TapwatchError
        A score is NaN or infinite.
    """
    watch = Stopwatch(())
    epochs: list[Epoch] = []

    def tell(told: Epoch) -> None:
        epochs.append(told)
        epoch(told)

    train = sample_rows(split.train, contender.max_rows, seed)
    model, parameters, train_score = _fit(contender, split, train, seed, tell)
    calibration_score, score = model.score(split.calibration), model.score(split.test)
    for scores in (train_score, calibration_score, score):
        check_finite(scores)
    evidence = Evidence(
        train_score,
        calibration_score,
        None if section.threshold_sees == "nothing" else score,
        split.is_anomaly if section.threshold_sees == "test labels" else None,
        seed,
    )
    threshold = float(section.threshold(evidence))
    latent_rows = picture_rows(split.classes, LATENT_ROWS)
    return Outcome(
        contender=contender.name,
        seed=seed,
        score=score,
        calibration_score=calibration_score,
        train_score=train_score,
        threshold=threshold,
        flagged=score > threshold,
        latent=model.latent(split.test[latent_rows]),
        latent_rows=latent_rows,
        epochs=tuple(epochs),
        parameters=parameters,
        cpu_s=watch.cpu_s,
    )


def _fit(
    contender: Contender,
    split: Split,
    train: Values,
    seed: int,
    epoch: Callable[[Epoch], None],
) -> tuple[Model, dict[str, Any], Scores]:
    """The model, all its parameters, and the scores of the training rows."""
    if contender.make is not None:
        made = contender.make(replace(split, train=train), seed, epoch)
        return made, dict(contender.settings), made.score(train)
    settings, parameters = split_settings(contender.detector, dict(contender.settings))
    columns = choose_columns(split.schema, contender.columns or split.columns, contender.drop)
    learnt = fit_rows(
        train,
        split.schema,
        columns,
        contender.detector,
        settings,
        parameters,
        seed=seed,
        epoch=epoch,
    )
    used = {"scaling", "clip", "class_height", "constants", "validation"}
    told = settings.model_dump(mode="json", include=used)
    told["class_height"] = learnt.preprocess.classes.height
    told |= parameters.model_dump(mode="json")
    return Fitted(learnt.preprocess, learnt.detector), told, learnt.errors


def sample_rows(values: Values, max_rows: int, seed: int) -> Values:
    """At most so many rows at random, in their order; all of them where it is 0."""
    if not max_rows or len(values) <= max_rows:
        return values
    chosen = np.random.default_rng(seed).choice(len(values), max_rows, replace=False)
    return values[np.sort(chosen)]


def _measured(outcome: Outcome, split: Split) -> tuple[dict[str, float], dict[str, float]]:
    merits = merits_of(outcome.score, outcome.flagged, split.is_anomaly, split.classes, split.novel)
    merits["threshold"] = outcome.threshold
    return merits, by_class(outcome.flagged, split.is_anomaly, split.classes)


def _lighter(outcome: Outcome) -> Outcome:
    """Without what only the first seed's pictures need."""
    return replace(outcome, train_score=np.zeros(0), latent=None)


def _check(split: Split, section: Section) -> None:
    """Refuse a split that could not be measured."""
    for name in ("train", "test"):
        if not len(getattr(split, name)):
            want = f"at least 1 row in section {section.name}"
            raise ConfigError(f"{name} rows", 0, want)
    lengths = {len(split.test), len(split.is_anomaly), len(split.classes), len(split.novel)}
    assert len(lengths) == 1, "a label a test row"


def _told(section: Section, split: Split) -> str:
    n_anomalies = int(np.count_nonzero(split.is_anomaly))
    return (
        f"{section.name}: {len(split.train):,} rows to learn from, {len(split.calibration):,} to "
        f"calibrate, {len(split.test):,} to test, {n_anomalies:,} of them anomalies "
        f"({n_anomalies / len(split.test):.1%})"
    )


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch and the numeric libraries use one thread inside, so that sums do not change."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)

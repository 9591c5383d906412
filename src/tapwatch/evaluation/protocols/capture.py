"""Attacks in a capture: episodes found, time to alert, false alerts an hour, by view and detector.

Rows are flagged and folded into alerts by the policy of a replay, and held against the truth file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.alerts import Policy
from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.detect.significance import significant
from tapwatch.errors import ConfigError
from tapwatch.evaluation.episodes import Result, Sighting, hold_against, sighting_of
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Needs,
    Protocol,
    Statement,
    TextTable,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.run import check_names, single_thread
from tapwatch.evaluation.truth import Episode, read_truth
from tapwatch.flows import describe
from tapwatch.pipeline import Corridor
from tapwatch.tables import FeatureBatch, Scores
from tapwatch.training.calibrate import score_rows
from tapwatch.training.datasets import describe_input, expand
from tapwatch.training.fit import choose_columns, fit_rows, split_settings
from tapwatch.training.record import Learnt

#: Times the largest error of the calibration half: a quarter of an hour shows no rarer rate.
BEYOND: Final = 1.25
_CONTENDERS: Final = (
    Contender("robust_z", "robust_z"),
    Contender("robust_z, linear", "robust_z", {"scaling": "min_max", "score": "max"}),
    Contender("pca", "pca"),
    Contender("pca, linear", "pca", {"scaling": "min_max"}),
    Contender("iforest", "iforest"),
    Contender("ocsvm", "ocsvm"),
    Contender("ae", "ae"),
    Contender("ae, linear", "ae", {"scaling": "min_max"}),
    Contender("deep_ae", "deep_ae"),
)
#: The floor: no learning but its threshold.
_FLOOR: Final = "rate of rows (floor)"
_MINUTE_NS: Final = 60_000_000_000
_HEADINGS: Final = (
    "view",
    "detector",
    "episodes found",
    "sd",
    "median s to alert",
    "false an hour, held out",
    "false an hour, beside attacks",
    "missed by every seed",
    "beats the floor",
)


@dataclass(frozen=True, slots=True)
class _Halves:
    """Rows of one view of all captures."""

    train: FeatureBatch
    calibration: FeatureBatch  # first half of the held-out capture in time
    benign: FeatureBatch  # second half
    attacks: FeatureBatch


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one view, contender and seed."""

    attacks: Result
    benign: Result


def extract_views(
    paths: Sequence[Path], views: Sequence[str], config: Config
) -> dict[str, FeatureBatch]:
    """All rows of captures, by view, in the order of packet time."""
    source = open_captures([str(path) for path in paths])
    corridor = Corridor(config, views)
    made: dict[str, list[FeatureBatch]] = {view: [] for view in views}

    def carried() -> Iterator[dict[str, FeatureBatch]]:
        while (frames := source.read()) is not None:
            yield corridor.carry(frames)
        yield from corridor.finish()

    try:
        for batches in carried():
            for view, batch in batches.items():
                # What a batch holds may be written over by the next one.
                made[view].append(
                    FeatureBatch(batch.schema, batch.values.copy(), batch.rows.copy())
                )
    finally:
        source.close()
    return {view: _in_order(batches) for view, batches in made.items()}


def _in_order(batches: Sequence[FeatureBatch]) -> FeatureBatch:
    values = np.concatenate([batch.values for batch in batches])
    rows = np.concatenate([batch.rows for batch in batches])
    order = np.argsort(rows["order_ns"], kind="stable")
    return FeatureBatch(batches[0].schema, values[order], rows[order])


def in_halves(batch: FeatureBatch, middle_ns: int) -> tuple[FeatureBatch, FeatureBatch]:
    """Rows whose last packet is at `middle_ns` or before, and the others."""
    is_first = batch.rows["last_ts_ns"] <= middle_ns
    first, second = (
        FeatureBatch(batch.schema, batch.values[part], batch.rows[part])
        for part in (is_first, ~is_first)
    )
    return first, second


def middle_of(batches: dict[str, FeatureBatch]) -> int:
    """The middle of the time that the rows of all views span, in ns."""
    times = np.concatenate([batch.rows["last_ts_ns"] for batch in batches.values()])
    if not len(times):
        raise ConfigError("held-out capture", "no rows", "benign traffic")
    return (int(times.min()) + int(times.max())) // 2


def hours_of(batch: FeatureBatch) -> float:
    """Time from the first to the last row."""
    times = batch.rows["last_ts_ns"]
    return float(times.max() - times.min()) / 3.6e12 if len(times) else 0.0


def alerts_of(
    batch: FeatureBatch, learnt: Learnt, threshold: float, config: Config
) -> list[Sighting]:
    """The alerts that a replay with this model would give."""
    error = score_rows(batch.values, learnt.preprocess, learnt.detector)
    flagged = (error > threshold) & np.isfinite(error)  # as the live scorer has it
    chosen = batch.values[flagged]
    inputs = learnt.preprocess.apply(chosen)
    scores = Scores(
        view=batch.schema.view,
        detector=learnt.detector.name,
        bundle="trial",
        schema=batch.schema,
        columns=learnt.preprocess.columns,
        rows=batch.rows,
        error=error,
        threshold=np.full(len(error), threshold),
        p_value=np.ones(len(error)),
        flagged=flagged,
        observed=learnt.preprocess.observed(chosen),
        expected=learnt.preprocess.to_units(learnt.detector.expected(inputs)),
        share=learnt.detector.contributions(inputs, learnt.preprocess.column_of),
    )
    return _judged(scores, config)


def _judged(scores: Scores, config: Config) -> list[Sighting]:
    policy = Policy(config.alerts)
    n_flagged = int(scores.flagged.sum())
    judged = (policy.judge(scores, k, describe, ()) for k in range(n_flagged))
    return [sighting_of(alert) for alert in judged if alert is not None]


def rate_of(batch: FeatureBatch) -> NDArray[np.float64]:
    """Rows of the same source in the minute up to each row, itself included."""
    rows = batch.rows
    rate = np.zeros(len(rows))
    who = np.stack([rows["src_hi"], rows["src_lo"]], axis=1)
    _, source = np.unique(who, axis=0, return_inverse=True)
    order = np.lexsort((rows["last_ts_ns"], source))
    borders = np.flatnonzero(np.diff(source[order])) + 1
    for same in np.split(order, borders):
        times = rows["last_ts_ns"][same]
        upto = np.searchsorted(times, times, side="right")
        rate[same] = upto - np.searchsorted(times, times - _MINUTE_NS, side="right")
    return rate


def floor_of(rows: _Halves, episodes: Sequence[Episode], config: Config) -> Trial:
    """What the rate of rows finds, with a threshold by the rule of the detectors."""
    highest = float(rate_of(rows.calibration).max(initial=0.0))
    threshold = float(significant(np.array([highest * BEYOND]))[0])
    return Trial(
        *(
            hold_against(known, _alerts_of_rate(batch, threshold, config), hours_of(batch))
            for batch, known in ((rows.attacks, episodes), (rows.benign, ()))
        )
    )


def _alerts_of_rate(batch: FeatureBatch, threshold: float, config: Config) -> list[Sighting]:
    rate = rate_of(batch)
    flagged = rate > threshold
    # Alerts give a column as their reason; the first one stands for it, for a rate has none.
    reason = np.zeros((int(flagged.sum()), 1))
    scores = Scores(
        view=batch.schema.view,
        detector=_FLOOR,
        bundle="trial",
        schema=batch.schema,
        columns=batch.schema.names[:1],
        rows=batch.rows,
        error=rate,
        threshold=np.full(len(rate), threshold),
        p_value=np.ones(len(rate)),
        flagged=flagged,
        observed=reason,
        expected=reason,
        share=reason + 1.0,
    )
    return _judged(scores, config)


def attempt(
    rows: _Halves, contender: Contender, seed: int, episodes: Sequence[Episode], config: Config
) -> Trial:
    """Fit, find the threshold on benign rows, replay both captures."""
    settings, parameters = split_settings(contender.detector, dict(contender.settings))
    schema = rows.train.schema
    columns = choose_columns(schema, contender.columns, contender.drop)
    learnt = fit_rows(
        rows.train.values, schema, columns, contender.detector, settings, parameters, seed=seed
    )
    errors = score_rows(rows.calibration.values, learnt.preprocess, learnt.detector)
    threshold = float(significant(np.array([float(errors.max()) * BEYOND]))[0])
    return Trial(
        *(
            hold_against(known, alerts_of(batch, learnt, threshold, config), hours_of(batch))
            for batch, known in ((rows.attacks, episodes), (rows.benign, ()))
        )
    )


def beats(trials: Sequence[Trial], floor: Trial) -> bool:
    """Whether more episodes are found than by the floor, or as many with fewer false alerts.

    By means over the seeds; false alerts are those of the held-out benign rows.
    """
    found = spread([float(trial.attacks.n_found) for trial in trials]).mean
    false = spread([trial.benign.false_per_hour or 0.0 for trial in trials]).mean
    of_floor = floor.benign.false_per_hour or 0.0
    return (found, -false) > (floor.attacks.n_found, -of_floor)


def _told(
    view: str, name: str, trials: Sequence[Trial], *, beats_floor: bool | None
) -> tuple[Any, ...]:
    found = spread([float(trial.attacks.n_found) for trial in trials])
    times = [
        finding.time_to_alert_s
        for trial in trials
        for finding in trial.attacks.findings
        if finding.time_to_alert_s is not None
    ]
    missed = [
        trials[0].attacks.findings[k].episode.kind
        for k in range(len(trials[0].attacks.findings))
        if not any(trial.attacks.findings[k].is_found for trial in trials)
    ]
    return (
        view,
        name,
        found.mean,
        found.sd,
        float(np.median(times)) if times else None,
        spread([trial.benign.false_per_hour or 0.0 for trial in trials]).mean,
        spread([trial.attacks.false_per_hour or 0.0 for trial in trials]).mean,
        ", ".join(missed),
        beats_floor,
    )


def _run(context: Context) -> Results:
    """Extract all rows once, then fit and judge each contender of each view."""
    assert context.inputs.view is not None
    views = (context.inputs.view,)
    wanted = [contender for contender in _CONTENDERS if context.wants(contender)]
    check_names(context.only, _CONTENDERS)
    assert context.inputs.labels is not None
    episodes = read_truth(context.inputs.labels)
    given = {
        "train": context.inputs.train,
        "held out": context.inputs.inputs,
        "test": context.inputs.test,
    }
    extracted, data = {}, []
    for purpose, paths in given.items():
        files = expand(paths)
        extracted[purpose] = extract_views(files, views, context.config)
        n_rows = sum(len(batch) for batch in extracted[purpose].values())
        for path in files:
            digest = describe_input(path, "training")["sha256"]
            data.append(DataFile(path.name, digest, n_rows, purpose))
    middle_ns = middle_of(extracted["held out"])
    lines = []
    n_fits = len(views) * len(wanted) * len(context.seeds)
    with single_thread():
        for view in views:
            first, second = in_halves(extracted["held out"][view], middle_ns)
            rows = _Halves(extracted["train"][view], first, second, extracted["test"][view])
            floor = floor_of(rows, episodes, context.config)
            lines.append(_told(view, _FLOOR, [floor], beats_floor=None))
            for contender in wanted:
                trials = []
                for seed in context.seeds:
                    context.talk.begin(f"{view}: {contender.name}, seed {seed}", n_fits)
                    trials.append(attempt(rows, contender, seed, episodes, context.config))
                is_above = beats(trials, floor)
                lines.append(_told(view, contender.name, trials, beats_floor=is_above))
    title = f"{len(episodes)} episodes; threshold {BEYOND} times the largest benign error"
    table = TextTable("capture", title, _HEADINGS, tuple(lines))
    return Results(context.protocol, tuple(data), context.seeds, tables=(table,))


PROTOCOL: Final = Protocol(
    name="capture",
    title="Attacks in a capture, by view and detector",
    needs=Needs(
        train="a benign capture",
        test="a capture with attacks",
        labels="the truth file of --test",
        inputs="a benign capture that is held out: its first half in time sets thresholds, its "
        "second one measures false alerts",
        view=None,
    ),
    statement=Statement(
        split="All rows of --train learn; of the held-out benign capture the first half in time "
        "calibrates, the second one measures false alerts; --test is replayed as a whole.",
        orientation="Rows of benign captures are normal; an episode of the truth file is found "
        "where an alert belongs to it. Alerts beside all episodes are false.",
        contamination="None that is known: --train and the held-out capture are said to be benign.",
        scaling="Fitted on the rows learnt from.",
        threshold=f"{BEYOND} times the largest error of the calibration rows; no row of --test is "
        "looked at. The floor's threshold is found in the same way.",
        metric="Episodes found, seconds to the first alert, false alerts an hour. The floor counts "
        "the rows of one source in the last minute; who beats it finds more episodes, or as many "
        "with fewer false alerts an hour on held-out rows.",
        avoids="Thresholds from the attacks' own capture; rows counted where an operator counts "
        "alerts.",
    ),
    run=_run,
)

"""One model against the rows of captures: threshold, alerts as a replay gives them, episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.alerts import Policy
from tapwatch.config import Config
from tapwatch.detect.detector import Epoch, silent
from tapwatch.detect.sequences import inputs_of, newest
from tapwatch.detect.significance import significant
from tapwatch.evaluation.captured import Halves, blocks_of, hours_of
from tapwatch.evaluation.episodes import Result, Sighting, hold_against, sighting_of
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import Contender
from tapwatch.evaluation.run import sample_rows
from tapwatch.evaluation.truth import Episode
from tapwatch.flows import describe
from tapwatch.tables import FeatureBatch, Scores
from tapwatch.training.calibrate import score_rows
from tapwatch.training.fit import choose_columns, fit_rows, split_settings
from tapwatch.training.record import Learnt

#: Times the largest error of the calibration half: a quarter of an hour shows no rarer rate.
BEYOND: Final = 1.25
#: The floor: no learning but its threshold.
FLOOR: Final = "rate of rows (floor)"
_MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one view, contender and seed."""

    attacks: Result
    benign: Result


def attempt(
    rows: Halves,
    contender: Contender,
    seed: int,
    episodes: Sequence[Episode],
    config: Config,
    *,
    epoch: Callable[[Epoch], None] = silent,
) -> Trial:
    """Fit, find the threshold on benign rows, replay both captures.

    Raises
    ------
    ConfigError
        The detector, a setting or a column is not known.
    """
    settings, parameters = split_settings(contender.detector, dict(contender.settings))
    schema = rows.train.schema
    columns = choose_columns(schema, contender.columns, contender.drop)
    given = blocks_of(rows, getattr(parameters, "sequence_rows", 0), config)
    learnt = fit_rows(
        sample_rows(given.train, contender.max_rows, seed),
        schema,
        columns,
        contender.detector,
        settings,
        parameters,
        seed=seed,
        epoch=epoch,
    )
    errors = score_rows(given.calibration, learnt.preprocess, learnt.detector)
    threshold = threshold_of(errors)
    return Trial(
        *(
            hold_against(
                known, alerts_of(batch, values, learnt, threshold, config), hours_of(batch)
            )
            for batch, values, known in (
                (rows.attacks, given.attacks, episodes),
                (rows.benign, given.benign, ()),
            )
        )
    )


def threshold_of(errors: NDArray[np.float64]) -> float:
    """A little above the largest error of benign rows."""
    return float(significant(np.array([float(errors.max(initial=0.0)) * BEYOND]))[0])


def alerts_of(
    batch: FeatureBatch,
    values: NDArray[np.float32],
    learnt: Learnt,
    threshold: float,
    config: Config,
) -> list[Sighting]:
    """The alerts that a replay with this model would give.

    Parameters
    ----------
    batch : FeatureBatch
        Who and when rows are.
    values : float32 (n_rows, n_columns) or (n_rows, N, n_columns)
        The rows, or the blocks that the model takes.
    learnt : Learnt
    threshold : float
    config : Config
    """
    error = score_rows(values, learnt.preprocess, learnt.detector)
    flagged = (error > threshold) & np.isfinite(error)  # as the live scorer has it
    chosen = values[flagged]
    inputs = inputs_of(learnt.preprocess, chosen)
    told = {
        "observed": learnt.preprocess.observed(newest(chosen)),
        "expected": learnt.preprocess.to_units(learnt.detector.expected(inputs)),
        "share": learnt.detector.contributions(inputs, learnt.preprocess.column_of),
    }
    names = learnt.preprocess.columns
    return _judged(batch, learnt.detector.name, names, error, threshold, flagged, told, config)


def _judged(
    batch: FeatureBatch,
    detector: str,
    columns: tuple[str, ...],
    error: NDArray[np.float64],
    threshold: float,
    flagged: NDArray[np.bool_],
    told: dict[str, Any],
    config: Config,
) -> list[Sighting]:
    """What the policy makes of flagged rows."""
    scores = Scores(
        view=batch.schema.view,
        detector=detector,
        bundle="trial",
        schema=batch.schema,
        columns=columns,
        rows=batch.rows,
        error=error,
        threshold=np.full(len(error), threshold),
        p_value=np.ones(len(error)),
        flagged=flagged,
        **told,
    )
    policy = Policy(config.alerts)
    judged = (policy.judge(scores, k, describe, ()) for k in range(int(flagged.sum())))
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


def floor_of(rows: Halves, episodes: Sequence[Episode], config: Config) -> Trial:
    """What the rate of rows finds, with a threshold by the rule of the detectors."""
    threshold = threshold_of(rate_of(rows.calibration))
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
    told = {"observed": reason, "expected": reason, "share": reason + 1.0}
    names = batch.schema.names[:1]
    return _judged(batch, FLOOR, names, rate, threshold, flagged, told, config)


def beats(trials: Sequence[Trial], floor: Trial) -> bool:
    """Whether more episodes are found than by the floor, or as many with fewer false alerts.

    By means over the seeds; false alerts are those of the held-out benign rows. Who has no rate of
    them, for there is no time to divide by, does not beat it.
    """
    found = spread([float(trial.attacks.n_found) for trial in trials]).mean
    false = mean_rate([trial.benign for trial in trials])
    of_floor = mean_rate([floor.benign])
    if false is None or of_floor is None:
        return False
    return (found, -false) > (floor.attacks.n_found, -of_floor)


def mean_rate(results: Sequence[Result]) -> float | None:
    """False alerts an hour over the seeds; None where one of them has no rate."""
    rates = [result.false_per_hour for result in results]
    known = [rate for rate in rates if rate is not None]
    return spread(known).mean if known and len(known) == len(rates) else None

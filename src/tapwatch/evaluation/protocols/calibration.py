"""calibration: does a threshold keep to its budget, and does it come back to it after drift?

Only benign rows take part: three tenths are learnt from, half of the others calibrates, the rest is
held out. Where rows are in random order, the others are halved many times over: one half of some
ten thousand rows holds a row in ten thousand about once, and says nothing of such a rate.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import DetectConfig
from tapwatch.detect.drift import UNIT_ROWS
from tapwatch.detect.judge import Judge
from tapwatch.detect.manifest import ThresholdPart
from tapwatch.detect.recalibrate import rows_wanted
from tapwatch.detect.registry import DETECTORS as REGISTERED
from tapwatch.detect.threshold import THRESHOLD_METHODS, Threshold, calibrate, summarise
from tapwatch.errors import ConfigError
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    Figure,
    Labelled,
    Needs,
    Protocol,
    Scores,
    Statement,
    TextTable,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.rows import is_normal, only_rows, usable_columns
from tapwatch.evaluation.run import check_names, read_tables
from tapwatch.training.calibrate import score_rows
from tapwatch.training.fit import fit_rows, split_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

RISKS: Final = (1e-2, 1e-3, 1e-4)
#: What the target allows between the realised rate and the budget, up and down.
WITHIN: Final = 1.5
DETECTORS: Final = ("ae", "pca", "robust_z")
LEAST_ROWS: Final = 1000
_LEARNT: Final = 0.3
#: How often the rows not learnt from are halved, for each seed.
_HALVINGS: Final = 40

#: Rows of the stream before and after the drift, drawn from held-out rows with replacement.
_BEFORE: Final = 20_000
_AFTER: Final = 80_000
#: Of those after it, at whose rate is looked: the first and the last ones.
_AT_ONCE: Final = 2_000
_AT_LAST: Final = _AFTER // 2
_DRIFT_RISKS: Final = (1e-2, 1e-3)
#: The benign drift: errors grow by this factor.
_GROWTH: Final = 2.0
_WINDOW: Final = 4000


def run(context: Context) -> Results:
    """Rates on held-out benign rows, and what drift does to them."""
    check_names(context.only, [Contender(name, name) for name in REGISTERED])
    for name in context.only:
        if "sequence_rows" in REGISTERED[name].parameters_type.model_fields:
            why = "which rows are those of one entity is not kept here"
            raise ConfigError("--detector", name, "one that takes single rows", why)
    tables, data = read_tables(context)
    if tables.train is None:
        raise ConfigError("--train", None, "a labelled table or benign captures")
    table = benign_of(tables.train)
    if len(table) < LEAST_ROWS:
        want = f"{LEAST_ROWS:,} or more, labelled benign, normal or 0 where rows have labels"
        raise ConfigError("--train", f"{len(table)} benign rows", want)
    rates: list[tuple[str | int | float | None, ...]] = []
    recoveries: list[tuple[str | int | float | None, ...]] = []
    traces: dict[str, NDArray[np.float64]] = {}
    for detector in context.only or DETECTORS:
        for order in ("shuffled", "in order of time"):
            held = []
            for seed in context.seeds:
                context.talk.begin(f"{detector}, {order}, seed {seed}", 0)
                is_shuffled = order == "shuffled"
                errors = errors_of(table, detector, seed, is_shuffled=is_shuffled)
                held += halves(errors, seed, _HALVINGS if is_shuffled else 0)
            rates += _rates(detector, order, held)
            if order == "shuffled":
                more, trace = _recoveries(detector, held[::_HALVINGS])
                recoveries += more
                traces |= trace
    return Results(
        context.protocol,
        tuple(data),
        context.seeds,
        tables=(_rate_table(rates), _recovery_table(recoveries)),
        figures=(_rate_figure(rates), _recovery_figure(traces)),
        facts={"benign_rows": len(table)},
    )


def benign_of(table: Labelled) -> Labelled:
    """Rows labelled benign, in the order of time; all of them where no row has a label."""
    # Captures have no labels: the operator says that they are benign.
    benign = np.flatnonzero(is_normal(table.labels) | (table.labels == "").all())
    return only_rows(table, benign[np.argsort(table.time_ns[benign], kind="stable")])


def learnt_of(
    n_rows: int, seed: int, *, is_shuffled: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of rows that are learnt from, and of the others; no row is in both."""
    order = np.random.default_rng(seed).permutation(n_rows) if is_shuffled else np.arange(n_rows)
    cut = int(_LEARNT * n_rows)
    return order[:cut], order[cut:]


def errors_of(table: Labelled, detector: str, seed: int, *, is_shuffled: bool) -> Scores:
    """Errors of the rows that were not learnt from, in their order."""
    learn, others = learnt_of(len(table), seed, is_shuffled=is_shuffled)
    settings, parameters = split_settings(detector, {})
    learnt = fit_rows(
        table.values[learn],
        table.schema,
        usable_columns(table),
        detector,
        settings,
        parameters,
        seed=seed,
    )
    return score_rows(table.values[others], learnt.preprocess, learnt.detector)


def halves(errors: Scores, seed: int, n_times: int) -> list[tuple[Scores, Scores]]:
    """Errors that calibrate and errors that are held out: at random, or the first half once."""
    middle = len(errors) // 2
    if not n_times:
        return [(errors[:middle], errors[middle:])]
    random = np.random.default_rng(seed)
    orders = (random.permutation(len(errors)) for _ in range(n_times))
    return [(errors[order[:middle]], errors[order[middle:]]) for order in orders]


def _rates(
    detector: str, order: str, held: Sequence[tuple[Scores, Scores]]
) -> list[tuple[str | int | float | None, ...]]:
    rows: list[tuple[str | int | float | None, ...]] = []
    n_rows = sum(len(test) for _, test in held)
    for method in THRESHOLD_METHODS:
        for risk in RISKS:
            found = [
                float(np.mean(test > _threshold(calibration, method, risk).value))
                for calibration, test in held
            ]
            mean = float(np.mean(found))
            sd = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
            is_within = risk / WITHIN <= mean <= risk * WITHIN
            chance = float(np.mean([chance_of(risk, len(c), len(t)) for c, t in held]))
            rows.append(
                (detector, order, method, risk, n_rows, mean, sd, chance, mean / risk, is_within)
            )
    return rows


def chance_of(risk: float, n_calibration: int, n_held: int) -> float:
    """Standard deviation of the rate of one split, where the rule is right and rows are alike.

    The threshold lies at a rank: its own rate is Beta distributed; the rows above it are counted.
    """
    return float(np.sqrt(risk * (1 - risk) * (1 / n_calibration + 1 / n_held)))


def _threshold(errors: Scores, method: str, risk: float) -> Threshold:
    return calibrate(errors, 0.0, 1.0, method=method, risk=risk)  # type: ignore[arg-type]


def _recoveries(
    detector: str, held: Sequence[tuple[Scores, Scores]]
) -> tuple[list[tuple[str | int | float | None, ...]], dict[str, NDArray[np.float64]]]:
    """What each policy makes of errors that grow at once."""
    rows: list[tuple[str | int | float | None, ...]] = []
    traces = {}
    for risk in _DRIFT_RISKS:
        for policy in ("watch", "recalibrate", "dspot"):
            drifted, last, told, settled = [], [], [], []
            for seed, (calibration, test) in enumerate(held):
                flagged, alarm, moved = _stream(calibration, test, risk, policy, seed)
                drifted.append(flagged[_BEFORE : _BEFORE + _AT_ONCE].mean())
                last.append(flagged[-_AT_LAST:].mean())
                told.append(alarm)
                settled.append(moved)
                if seed == 0:
                    traces[f"{detector}, {policy}, {risk:g}"] = (
                        flagged.reshape(-1, _WINDOW).mean(axis=1) / risk
                    )
            # Rows are gathered by whole units: twice, where another alarm comes meanwhile.
            limit = 2 * (rows_wanted(_part(held[0][0], risk), 0) + UNIT_ROWS)
            rows.append(
                (
                    *(detector, policy, risk, float(np.mean(drifted)), float(np.mean(last))),
                    float(np.mean(last)) / risk,
                    int(max(told)),
                    int(max(settled)) if policy == "recalibrate" else None,
                    limit if policy == "recalibrate" else None,
                )
            )
    return rows, traces


def _stream(
    calibration: Scores, test: Scores, risk: float, policy: str, seed: int
) -> tuple[NDArray[np.bool_], int, int]:
    """Which rows of the stream are flagged; rows to the alarm, and from there to the last move."""
    errors = np.random.default_rng(seed).choice(test, _BEFORE + _AFTER)
    errors[_BEFORE:] *= _GROWTH
    config = DetectConfig.model_validate({"drift": policy})
    judge = Judge(_part(calibration, risk), summarise(calibration), config)
    in_force = judge.in_force
    flagged = np.zeros(len(errors), np.bool_)
    alarm, moved = len(errors), 0  # rows by then
    for start in range(0, len(errors), UNIT_ROWS):
        unit, before = errors[start : start + UNIT_ROWS], _alarms(judge)
        for rows, standard in judge.judge(unit):
            flagged[start : start + len(unit)][rows] = unit[rows] > standard.value
        end, line = start + len(unit), judge.in_force
        if end > _BEFORE and _alarms(judge) > before:
            alarm = min(alarm, end)
        if line is not in_force:
            in_force, moved = line, end
    return flagged, alarm - _BEFORE, max(moved - alarm, 0)


def _alarms(judge: Judge) -> int:
    return sum(judge.counts()["alarms"].values())


def _part(calibration: Scores, risk: float) -> ThresholdPart:
    found = _threshold(calibration, "conformal", risk)
    return ThresholdPart(
        method="conformal",
        value=found.value,
        alpha=found.alpha,
        factor=found.factor,
        beyond=found.beyond,
        budget_per_hour=found.budget_per_hour,
        calibration_rows=len(calibration),
        calibration_hours=0.0,
        rows_per_hour=0.0,
        expected_per_hour=0.0,
        warnings=[],
        risk=risk,
    )


def _rate_table(rows: list[tuple[str | int | float | None, ...]]) -> TextTable:
    return TextTable(
        "rates",
        "Held-out benign rows that are flagged, against the budget",
        (
            *("detector", "order", "method", "budget", "rows", "realised", "sd", "sd by chance"),
            "ratio",
            f"within a factor of {WITHIN:g}",
        ),
        tuple(rows),
    )


def _recovery_table(rows: list[tuple[str | int | float | None, ...]]) -> TextTable:
    return TextTable(
        "recovery",
        f"After {_BEFORE:,} rows all errors grow by a factor of {_GROWTH:g}; what is promised "
        "counts from the alarm",
        (
            *("detector", "policy", "budget", f"rate of the first {_AT_ONCE:,} rows after it"),
            *(f"rate of the last {_AT_LAST:,} rows", "ratio", "rows to the alarm, at most"),
            "rows to the last move, at most",
            "rows that are promised",
        ),
        tuple(rows),
    )


def _rate_figure(rows: list[tuple[str | int | float | None, ...]]) -> Figure:
    def draw(canvas: "Canvas") -> None:
        axes = canvas.add_subplot()
        axes.loglog(RISKS, RISKS, color="black", label="as promised")
        axes.fill_between(
            RISKS, [r / WITHIN for r in RISKS], [r * WITHIN for r in RISKS], alpha=0.2
        )
        for key in dict.fromkeys(row[:3] for row in rows):
            # A rate of 0 has no place on the axis: half a row stands for it.
            shown = [
                max(float(row[5] or 0), 0.5 / float(row[4] or 1)) for row in rows if row[:3] == key
            ]
            axes.loglog(RISKS, shown, marker="o", label=", ".join(map(str, key)))
        axes.set_xlabel("budget: share of benign rows")
        axes.set_ylabel("realised on held-out benign rows")
        axes.legend(fontsize="x-small")

    return Figure("rates", "Realised against promised rates; the band is a factor of 1.5.", draw)


def _recovery_figure(traces: dict[str, NDArray[np.float64]]) -> Figure:
    def draw(canvas: "Canvas") -> None:
        axes = canvas.add_subplot()
        for name, ratio in traces.items():
            at = (np.arange(len(ratio)) + 0.5) * _WINDOW - _BEFORE
            axes.semilogy(at, np.maximum(ratio, 0.05), label=name)
        axes.axvline(0, color="black", linestyle=":")
        axes.axhspan(1 / WITHIN, WITHIN, alpha=0.2)
        axes.set_xlabel("rows since the drift")
        axes.set_ylabel(f"flagged rows over the budget, in {_WINDOW:,} rows")
        axes.legend(fontsize="x-small")

    return Figure("recovery", "Flagged rows before and after a benign drift, first seed.", draw)


PROTOCOL: Final = Protocol(
    name="calibration",
    title="Calibration: promised against realised rates, and recovery after benign drift",
    needs=Needs(train="a labelled table, or benign captures (with --view)", view=None),
    statement=Statement(
        split=f"{_LEARNT:.0%} of the benign rows learn, half of the others calibrates, the rest "
        f"is held out: at random by each seed, the others halved {_HALVINGS} times, and in the "
        "order of time, or of the file where rows have none.",
        orientation="Benign rows alone; where no row of the files has a label, all are benign.",
        contamination="None: rows labelled otherwise are left out.",
        scaling="Fitted on the rows learnt from.",
        threshold="By each method, for each budget, from the errors of the calibration rows alone.",
        metric="The share of held-out rows that is flagged, mean over splits, over the budget; "
        "after the alarm that tells the drift, rows until the threshold stands again.",
        avoids="A rate told of the rows that the threshold was found on, and one told of three "
        "rows: rows counts those of all splits, which hold the same row many times, and sd by "
        "chance is what one split of exchangeable rows cannot help. In random order the rule is "
        "tried, in order of time the promise. The drift is made: errors of held-out rows, drawn "
        f"with replacement, grow by a factor of {_GROWTH:g}.",
    ),
    run=run,
)

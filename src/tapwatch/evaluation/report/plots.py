"""Plots of one section: errors, rankings, calibration and training curves.

Test rows and their scores are those of the first seed; the labels of the others are not kept.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tapwatch.evaluation.protocol import Outcome
from tapwatch.evaluation.report.canvas import (
    ANOMALOUS,
    BENIGN,
    COLOURS,
    INK,
    STYLES,
    WIDTH_INCHES,
    log_ticks,
    plain_number,
    short,
)
from tapwatch.evaluation.report.points import (
    NOMINAL,
    Numbers,
    curve,
    realised_rates,
    thinned,
)
from tapwatch.evaluation.results import SectionResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS: Final = 60
_LOWEST_FPR: Final = 1e-4
#: Realised over nominal rate, either way, that counts as kept.
_BAND: Final = 1.5


def first_outcomes(section: SectionResults) -> list[Outcome]:
    """Of every contender the outcome of the seed that the split is of."""
    firsts: dict[str, Outcome] = {}
    for outcome in section.outcomes:
        firsts.setdefault(outcome.contender, outcome)
    return list(firsts.values())


def draw_errors(section: SectionResults, figure: "Figure") -> None:
    """Histograms of errors of benign and anomalous test rows, a panel a contender."""
    outcomes, truth = first_outcomes(section), section.split.is_anomaly
    panels = _panels(figure, len(outcomes), 2.3)
    for axes, outcome in zip(panels, outcomes, strict=True):
        edges = _edges(axes, outcome.score)
        for rows, colour, name in (
            (~truth, BENIGN, "benign"),
            (truth, ANOMALOUS, "anomalous"),
        ):
            if not rows.any():
                continue
            inside = np.clip(outcome.score[rows], edges[0], edges[-1])
            counts = np.histogram(inside, edges)[0] / np.count_nonzero(rows)
            style: dict[str, Any] = {"color": colour, "linewidth": 1.2, "label": name}
            axes.stairs(counts, edges, **style)
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.25)
        for other in section.outcomes:
            if other.contender == outcome.contender and other is not outcome:
                axes.axvline(other.threshold, color=INK, linewidth=0.6, alpha=0.4)
        axes.axvline(outcome.threshold, color=INK, linewidth=1.4, linestyle="--", label="threshold")
        low, high = min(edges[0], outcome.threshold), max(edges[-1], outcome.threshold)
        axes.set(yscale="log", title=short(outcome.contender), xlim=(low, high))
        axes.yaxis.set_major_formatter(plain_number)
        axes.minorticks_off()
    _label(panels, "error", "share of its rows")
    _legend(figure, panels[:1])


def draw_rankings(section: SectionResults, figure: "Figure") -> None:
    """ROC with a linear and a logarithmic axis, and precision against recall."""
    outcomes, truth = first_outcomes(section), section.split.is_anomaly
    figure.set_size_inches(WIDTH_INCHES, 4.1 + 0.22 * -(-len(outcomes) // 4))
    roc, low, precision = figure.subplots(1, 3)
    for k, outcome in enumerate(outcomes):
        points = curve(outcome.score, truth)
        if points is None:
            continue
        style = _style(k)
        roc.plot(*thinned(points.fpr, points.tpr), label=short(outcome.contender), **style)
        # A curve that leaves the axis at rate 0 comes in from the left.
        shown = np.maximum(points.fpr, _LOWEST_FPR)
        low.plot(*thinned(shown, points.tpr, logarithmic=True), **style)
        precision.plot(*thinned(points.tpr[1:], points.precision[1:]), **style)
    chance = np.geomspace(_LOWEST_FPR, 1, 60)
    for axes in (roc, low):
        axes.plot(chance, chance, color=INK, linewidth=0.8, linestyle=":", alpha=0.6)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", ylim=(-0.02, 1.02))
    share = float(truth.mean())
    precision.axhline(share, color=INK, linewidth=0.8, linestyle=":", alpha=0.6)
    low.set(xscale="log", xlim=(_LOWEST_FPR, 1), title="ROC, rare false positives")
    low.xaxis.set_major_formatter(plain_number)
    roc.set(title="ROC", xlim=(-0.02, 1.02))
    precision.set(title="precision and recall", xlabel="recall", ylabel="precision")
    precision.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _legend(figure, [roc])


def has_calibration(section: SectionResults) -> bool:
    """Whether there are rows to calibrate with, and enough benign ones to look at."""
    return any(len(points[0]) for points in _rates(section))


def draw_calibration(section: SectionResults, figure: "Figure") -> None:
    """Rates of alerts on benign test rows against those that were asked for."""
    outcomes = first_outcomes(section)
    figure.set_size_inches(WIDTH_INCHES * 0.72, 4.4)
    axes = figure.subplots()
    ends = np.array([min(NOMINAL) / 1.3, max(NOMINAL) * 1.3])
    axes.fill_between(
        ends, ends / _BAND, ends * _BAND, color=INK, alpha=0.12, linewidth=0, label="factor of 1.5"
    )
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle=":")
    lowest = float(ends[0]) / 3
    for k, (outcome, (nominal, realised)) in enumerate(zip(outcomes, _rates(section), strict=True)):
        if len(nominal):
            shown = np.maximum(realised, lowest)  # none at all lies on the lower edge
            axes.plot(nominal, shown, marker="o", ms=4, label=short(outcome.contender), **_style(k))
    axes.set(xscale="log", yscale="log", xlim=tuple(ends), xlabel="nominal rate")
    axes.set(ylabel="realised rate, benign test rows", ylim=(lowest, 1.0))
    axes.xaxis.set_major_formatter(plain_number)
    axes.yaxis.set_major_formatter(plain_number)
    figure.legend(loc="outside right upper")


def has_training(section: SectionResults) -> bool:
    """Whether any contender learns in epochs."""
    return any(len(outcome.epochs) > 1 for outcome in section.outcomes)


def draw_training(section: SectionResults, figure: "Figure") -> None:
    """Losses over the epochs, a panel a contender, a line a seed."""
    learnt = [o.contender for o in first_outcomes(section) if len(o.epochs) > 1]
    panels = _panels(figure, len(learnt), 2.3)
    for axes, name in zip(panels, learnt, strict=True):
        seeds = [outcome for outcome in section.outcomes if outcome.contender == name]
        losses: list[float] = []
        for k, outcome in enumerate(seeds):
            numbers = np.array([epoch.number for epoch in outcome.epochs])
            for key, colour in (("train_loss", BENIGN), ("validation_loss", ANOMALOUS)):
                loss = np.array([getattr(epoch, key) for epoch in outcome.epochs], np.float64)
                finite = np.isfinite(loss)
                told = {"train_loss": "training", "validation_loss": "validation"}[key]
                style: dict[str, Any] = {"color": colour, "alpha": 1.0 if not k else 0.35}
                style |= {"linewidth": 1.5 if not k else 0.8, "label": told if not k else None}
                axes.plot(numbers[finite], loss[finite], **style)
                losses += loss[finite].tolist()
            best = [epoch for epoch in outcome.epochs if epoch.is_best]
            if best and not k and np.isfinite(best[-1].validation_loss):
                at = ([best[-1].number], [best[-1].validation_loss])
                axes.plot(*at, "o", ms=5, color=ANOMALOUS, label="kept")
        if losses and min(losses) > 0:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(plain_number)
            axes.yaxis.set_minor_formatter(plain_number)
            wide = max(losses) > 30 * min(losses)
            axes.tick_params(axis="y", which="minor", labelleft=not wide, labelsize=7)
        axes.set_title(short(name))
    _label(panels, "epoch", "loss")
    _legend(figure, panels[:1])


def _rates(section: SectionResults) -> list[tuple[Numbers, Numbers]]:
    benign = ~section.split.is_anomaly
    return [
        realised_rates(outcome.calibration_score, outcome.score[benign])
        for outcome in first_outcomes(section)
    ]


def _style(k: int) -> dict[str, Any]:
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": STYLES[k // len(COLOURS) % len(STYLES)],
    }


def _panels(figure: "Figure", n: int, height_inches: float) -> list["Axes"]:
    """As many panels, up to four a row."""
    per_row = min(n, 4)
    n_rows = -(-n // per_row)
    width = WIDTH_INCHES * (1.0 if per_row > 2 else 0.36 * per_row)
    figure.set_size_inches(width, height_inches * n_rows + 0.5)
    grid = figure.subplots(n_rows, per_row, squeeze=False).ravel()
    for axes in grid[n:]:
        axes.remove()
    return list(grid[:n])


def _label(panels: Sequence["Axes"], below: str, beside: str) -> None:
    """Name the axes of the panels that stand at the edge."""
    per_row = min(len(panels), 4)
    for k, axes in enumerate(panels):
        if k + per_row >= len(panels):
            axes.set_xlabel(below)
        if k % per_row == 0:
            axes.set_ylabel(beside)


def _legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=4)


def _bent_ticks(low: float, high: float, middle: float) -> list[float]:
    """0 and powers of ten either way, as far apart as their labels need on such an axis."""
    powers = 10.0 ** np.arange(np.floor(np.log10(middle)), 13)
    width = np.arcsinh(high / middle) - np.arcsinh(low / middle)
    ticks = [0.0]
    for power in powers.tolist():
        if np.arcsinh(power / middle) - np.arcsinh(ticks[-1] / middle) > 0.2 * width:
            ticks.append(power)
    both = [-tick for tick in reversed(ticks[1:])] + ticks
    return [tick for tick in both if low <= tick <= high]


def _edges(axes: "Axes", scores: Numbers) -> Numbers:
    """Borders of the bins, evenly over the axis, which is logarithmic as far as scores allow it."""
    low, high = (float(end) for end in np.quantile(scores, [0.0, 1.0]))
    above = scores[scores > 0]
    if low < 0:
        # Scores that may be negative: logarithmic on both sides of a linear middle.
        middle = max(float(np.median(np.abs(scores))), 1e-12, max(-low, high) / 1e6)
        bent = np.linspace(np.arcsinh(low / middle), np.arcsinh(high / middle), _BINS + 1)
        axes.set_xscale("asinh", linear_width=middle)
        axes.set_xticks(_bent_ticks(low, high, middle))
        edges = np.sinh(bent) * middle
    elif len(above):
        # The lowest errors of all are of no interest, and would squeeze the rest.
        start = max(float(np.quantile(above, 0.0005)), high / 1e9)
        edges = np.geomspace(start, max(high, start * 1.1), _BINS + 1)
        axes.set_xscale("log")
        log_ticks(axes.xaxis, float(edges[0]), float(edges[-1]))
        return edges
    else:
        return np.linspace(-0.5, 0.5, _BINS + 1)
    axes.xaxis.set_major_formatter(plain_number)
    if not (np.diff(edges) > 0).all():
        return np.linspace(low - 0.5, high + 0.5, _BINS + 1)
    return edges

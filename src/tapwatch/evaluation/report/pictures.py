"""The latent space in two dimensions: by error, by verdict and by truth, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.errors import ConfigError
from tapwatch.evaluation.floors import sample
from tapwatch.evaluation.picture_rows import picture_rows
from tapwatch.evaluation.protocol import Flags, Outcome, Values, Words
from tapwatch.evaluation.report.canvas import (
    ANOMALOUS,
    BENIGN,
    COLOURS,
    INK,
    WIDTH_INCHES,
    log_ticks,
    plain_number,
    short,
)
from tapwatch.evaluation.report.points import Numbers, Plane, limits_of, plane_of
from tapwatch.evaluation.results import SectionResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points of one picture at most.
POINTS: Final = 5000
#: Classes of anomalies that get a colour of their own.
_COLOURED: Final = 6
_SCALING_ROWS: Final = 50_000


def inputs_of(section: SectionResults) -> tuple[Values, NDArray[np.int64]] | None:
    """Test rows for detectors without a latent space, scaled as by default, and which they are.

    None where no column varies.
    """
    split = section.split
    chosen = picture_rows(split.classes, POINTS)
    columns = split.columns or split.schema.names
    try:
        scale, _ = fit_preprocess(sample(split.train, _SCALING_ROWS, 0), split.schema, columns)
    except ConfigError:
        return None
    return scale.apply(split.test[chosen]), chosen


def plane_and_rows(
    outcome: Outcome, section: SectionResults, inputs: tuple[Values, NDArray[np.int64]] | None
) -> tuple[Plane, NDArray[np.int64]] | None:
    """Where to draw which test rows; None where there is nothing to draw."""
    if outcome.latent is not None:
        chosen = picture_rows(section.split.classes[outcome.latent_rows], POINTS)
        rows, plane = outcome.latent_rows[chosen], plane_of(outcome.latent[chosen])
    elif inputs is not None:
        rows, plane = inputs[1], plane_of(inputs[0])
    else:
        return None
    return None if plane is None else (plane, rows)


def draw_latent(
    section: SectionResults,
    outcome: Outcome,
    plane: Plane,
    rows: NDArray[np.int64],
    figure: "Figure",
) -> None:
    """Draw the three pictures of one contender."""
    figure.set_size_inches(WIDTH_INCHES, 4.2)
    by_error, by_verdict, by_truth = figure.subplots(1, 3, sharex=True, sharey=True)
    low, high = limits_of(plane.at)
    # What lies outside of the window is drawn on its border.
    at = np.clip(plane.at, low, high)
    margin = 0.02 * (high - low)
    for axes in (by_error, by_verdict, by_truth):
        axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]))
        axes.set(ylim=(low[1] - margin[1], high[1] + margin[1]))
        axes.grid(False)
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        axes.set_xlabel(f"first component, {plane.shares[0]:.0%}")
    by_error.set_ylabel(f"second component, {plane.shares[1]:.0%}")
    _by_error(figure, by_error, at, outcome.score[rows])
    flagged, truth = outcome.flagged[rows], section.split.is_anomaly[rows]
    parts = [("passed", BENIGN, ~flagged), ("flagged", ANOMALOUS, flagged)]
    _by_kind(by_verdict, at, parts, "by verdict")
    _by_kind(by_truth, at, _kinds(truth, section.split.classes[rows]), "by truth")


def _by_error(figure: "Figure", axes: "Axes", at: Numbers, scores: Numbers) -> None:
    from matplotlib.colors import AsinhNorm, LogNorm, Normalize

    low, high = (float(end) for end in np.quantile(scores, [0.01, 0.99]))
    norm: Normalize
    if low > 0 and high > low:
        norm = LogNorm(low, high)
    elif high > low:
        norm = AsinhNorm(float(np.median(np.abs(scores))) or 1.0, vmin=low, vmax=high)
    else:
        norm = Normalize(low - 0.5, low + 0.5)
    order = np.argsort(scores, kind="stable")  # what is unusual lies on top
    drawn = axes.scatter(
        at[order, 0],
        at[order, 1],
        c=scores[order],
        norm=norm,
        cmap="viridis",
        s=7,
        **_dots(len(at)),
    )
    place = axes.inset_axes((0.12, -0.16, 0.76, 0.03))  # where the others have their legends
    bar = figure.colorbar(drawn, cax=place, orientation="horizontal")
    bar.ax.minorticks_off()
    if isinstance(norm, LogNorm):
        log_ticks(bar.ax.xaxis, low, high)
    else:
        bar.ax.xaxis.set_major_formatter(plain_number)
    bar.ax.grid(False)
    bar.solids.set(alpha=1.0, rasterized=True) if bar.solids is not None else None
    axes.set_title("by error")


def _kinds(truth: Flags, classes: Words) -> list[tuple[str, str, Flags]]:
    """Benign rows first, then the classes of anomalies, the largest first; the rest as one."""
    kinds = [("benign", BENIGN, ~truth)]
    words, counts = np.unique(classes[truth], return_counts=True)
    ordered = [str(words[k]) for k in np.argsort(-counts, kind="stable")]
    named = ordered if len(ordered) <= _COLOURED + 1 else ordered[:_COLOURED]
    for word, colour in zip(named, COLOURS[1:], strict=False):
        kinds.append((short(word, 18), colour, truth & (classes == word)))
    if others := ordered[len(named) :]:
        rest = truth & np.isin(classes, others)
        kinds.append((f"{len(others)} others", COLOURS[-1], rest))
    return kinds


def _by_kind(
    axes: "Axes", at: Numbers, kinds: Sequence[tuple[str, str, Flags]], title: str
) -> None:
    for name, colour, rows in kinds:
        if not rows.any():
            continue
        few = np.count_nonzero(rows) < 50
        size = 16 if few else 7
        axes.scatter(at[rows, 0], at[rows, 1], c=colour, s=size, label=name, **_dots(len(at)))
    axes.set_title(title)
    legend = axes.legend(
        *(axes.get_legend_handles_labels()),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.09),
        ncols=4 if len(kinds) < 9 else 5,
        columnspacing=0.9,
        handletextpad=0.1,
        markerscale=1.8,
        labelcolor=INK,
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)


def _dots(n: int) -> dict[str, Any]:
    return {
        "alpha": 0.8 if n < 1000 else 0.55,
        "linewidths": 0,
        "rasterized": True,
        "antialiaseds": False,
    }

"""What the plots show, as plain arrays: curves, rates, the plane of a latent space."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.evaluation.protocol import Flags, Scores

Numbers = NDArray[np.float64]

#: Nominal rates of alerts that calibration is shown at: half decades from 1e-1 to 1e-4.
NOMINAL: Final = tuple(float(10 ** (-k / 2)) for k in range(2, 9))
#: Fewer benign rows than this above a threshold say little about a rate.
LEAST_EXPECTED: Final = 5
#: Points that are left of a curve at most.
_CURVE_POINTS: Final = 300


@dataclass(frozen=True, slots=True)
class Curve:
    """One point for every threshold between different scores, the strictest first."""

    fpr: Numbers  # (n_points,) share of the normal rows above it, ascending from 0 to 1
    tpr: Numbers  # (n_points,) share of the anomalies above it: recall
    precision: Numbers  # (n_points,) 1 where nothing is above it


def curve(scores: Scores, is_anomaly: Flags) -> Curve | None:
    """ROC and precision-recall points of scores; None unless there are rows of both kinds.

    Equal scores are never told apart: they are passed in one step.

    Parameters
    ----------
    scores : float64 (n,)
    is_anomaly : bool (n,)
    """
    n_anomalies = int(np.count_nonzero(is_anomaly))
    n_normal = len(scores) - n_anomalies
    if not n_anomalies or not n_normal:
        return None
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(is_anomaly[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    found = np.concatenate([[0], hits[last]])
    flagged = np.concatenate([[0], last + 1])
    precision = np.divide(found, flagged, out=np.ones(len(found)), where=flagged > 0)
    return Curve((flagged - found) / n_normal, found / n_anomalies, precision)


def thinned(x: Numbers, y: Numbers, *, logarithmic: bool = False) -> tuple[Numbers, Numbers]:
    """At most so many points of a curve with x ascending, evenly over x or over its logarithm."""
    if len(x) <= _CURVE_POINTS:
        return x, y
    if logarithmic:
        first = int(np.searchsorted(x, 0.0, side="right"))
        place = np.log10(np.maximum(x, x[min(first, len(x) - 1)]))
    else:
        place = x
    cell = np.floor((place - place[0]) / (place[-1] - place[0] or 1.0) * (_CURVE_POINTS // 2 - 1))
    changes = cell[1:] != cell[:-1]
    # The first and the last point of every cell: steps stay where they are.
    kept = np.append(True, changes) | np.append(changes, True)
    return x[kept], y[kept]


def realised_rates(calibration: Scores, benign: Scores) -> tuple[Numbers, Numbers]:
    """How often benign test rows exceed the threshold that calibration rows give for a rate.

    The threshold of a rate a is the k-th largest calibration score, k = floor(a (n + 1)). A rate is
    left out where k would be 0 or where the benign rows would show it `LEAST_EXPECTED` times only.

    Parameters
    ----------
    calibration : float64 (n,)
    benign : float64 (n_benign,)

    Returns
    -------
    nominal, realised : float64 (n_rates,)
    """
    ordered = np.sort(calibration)[::-1]
    nominal, realised = [], []
    for rate in NOMINAL:
        k = int(rate * (len(ordered) + 1) * (1 + 1e-12))
        if k < 1 or rate * len(benign) < LEAST_EXPECTED:
            continue
        nominal.append(rate)
        realised.append(float(np.mean(benign > ordered[min(k, len(ordered)) - 1])))
    return np.array(nominal), np.array(realised)


@dataclass(frozen=True, slots=True)
class Plane:
    """Rows on the first two principal components, and how much of the variance these hold."""

    at: Numbers  # (n, 2); a second component that is not there is 0
    shares: tuple[float, float]


def plane_of(codes: NDArray[Any]) -> Plane | None:
    """Principal components of codes (n, n_latent); None of fewer than 2 rows or of NaN.

    The sign of a component, which is free, makes its largest loading positive.
    """
    codes = codes.reshape(len(codes), -1).astype(np.float64)
    if len(codes) < 2 or not np.isfinite(codes).all():
        return None
    centred = codes - codes.mean(axis=0)
    covariance = centred.T @ centred
    values, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
    at = np.zeros((len(codes), 2))
    at[:, : axes.shape[1]] = centred @ axes
    total = float(values.sum()) or 1.0
    largest = [max(0.0, float(value)) / total for value in values[::-1][:2]] + [0.0]
    return Plane(at, (largest[0], largest[1]))


def limits_of(at: Numbers) -> tuple[Numbers, Numbers]:
    """The window (low, high), each (2,), that holds all but the outermost rows at each side."""
    low, high = np.quantile(at, [0.005, 0.995], axis=0)
    margin = np.where(high > low, 0.06 * (high - low), 1.0)
    return low - margin, high + margin

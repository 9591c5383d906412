"""Peaks over threshold: how rare errors are that nobody has seen yet.

Above a high start, the excesses of nearly every distribution follow a generalised Pareto law
(Pickands 1975). Fitted to the largest calibration errors, it says where an error lies that is
rarer than one in so many rows (Siffer, Fouque, Termier, Largouet 2017, SPOT).

The fit is by maximum likelihood, along Grimshaw's profile (1993): with theta = shape / scale the
likelihood has one unknown, for the shape is then mean(log(1 + theta * excess)). The profile is
searched on a grid that zooms in, so that a fit has no starting point to depend on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Share of the calibration errors that lie above the start of the tail: level .98 of the paper.
TAIL_SHARE: Final = 0.02
#: Of few errors more are taken, up to a tenth of them, until there are so many.
_WANTED_PEAKS: Final = 100
_MOST_SHARE: Final = 0.1
#: A fit to fewer excesses says little; below this there is none.
LEAST_PEAKS: Final = 30
#: Shapes below this have no regular maximum of the likelihood (Smith 1985).
LEAST_SHAPE: Final = -0.5
#: From this shape on excesses have no finite mean: a quantile far out is anybody's guess.
WILD_SHAPE: Final = 1.0

_GRID: Final = 129
_ZOOMS: Final = 6
#: Of log(1 + theta * largest excess). The lower end is far beyond what LEAST_SHAPE admits.
_FROM: Final = -20.0
_TO: Final = 30.0
_STRAIGHT: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Tail:
    """The law of errors above `start`: P(error > start + y) = share * (1 + shape y / scale)^(-1 /
    shape), with exp(-y / scale) in the place of the power for a shape of 0."""

    start: float
    scale: float
    shape: float
    peaks: int  # errors above the start
    rows: int  # of all errors

    def quantile(self, risk: float) -> float:
        """The error that is exceeded with probability `risk`, at most peaks / rows."""
        ratio = risk * self.rows / self.peaks
        if abs(self.shape) < _STRAIGHT:
            return self.start - self.scale * float(np.log(ratio))
        # expm1 keeps what the subtraction of 1 would lose near a shape of 0.
        return self.start + self.scale / self.shape * float(np.expm1(-self.shape * np.log(ratio)))


def fit_tail(errors: NDArray[np.float64]) -> Tail | None:
    """Fit the tail of errors (n,), finite; None where too few of them stand out.

    The start is the error that at most two in a hundred exceed, or 100 errors where those are more
    and at most a tenth of all. Errors that equal it do not count as
    excesses, so that of errors with many ties fewer peaks are left.
    """
    ascending = np.sort(errors)
    n = len(ascending)
    if n == 0:
        return None
    wanted = max(TAIL_SHARE * n, min(_WANTED_PEAKS, _MOST_SHARE * n))
    start = float(ascending[n - 1 - int(wanted)])
    excess = ascending[np.searchsorted(ascending, start, side="right") :] - start
    if len(excess) < LEAST_PEAKS:
        return None
    shape, scale = fit_excess(excess)
    return Tail(start, scale, shape, len(excess), n)


def fit_excess(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto law of excesses (k,), all above 0.

    Parameters
    ----------
    excess : float64 (k,)

    Returns
    -------
    shape, scale : float
        Of the greatest likelihood among shapes of at least LEAST_SHAPE.
    """
    unit = float(excess.mean())
    scaled = excess / unit
    largest = float(scaled.max())
    low, high = _FROM, _TO
    best = 0.0
    for _ in range(_ZOOMS):
        # 0 is the exponential law; it is on the first grid by hand, later where it lies inside.
        places = np.unique(np.append(np.linspace(low, high, _GRID), best))
        k = int(np.argmax(_profile(scaled, np.expm1(places) / largest)))
        best = float(places[k])
        low, high = float(places[max(k - 1, 0)]), float(places[min(k + 1, len(places) - 1)])
    theta = float(np.expm1(best)) / largest
    shape = float(np.log1p(theta * scaled).mean())
    scale = 1.0 if abs(theta) < _STRAIGHT else shape / theta
    return shape, scale * unit


def _profile(excess: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean log likelihood, (n_theta,), at the best shape for each theta = shape / scale."""
    shape = np.array([np.log1p(t * excess).mean() for t in theta])
    is_straight = np.abs(theta) < _STRAIGHT
    scale = np.divide(shape, theta, out=np.full_like(theta, excess.mean()), where=~is_straight)
    likelihood: NDArray[np.float64] = -np.log(scale) - shape - 1
    return np.where(shape >= LEAST_SHAPE, likelihood, -np.inf)

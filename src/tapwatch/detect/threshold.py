"""When an error is an alert: thresholds from held-out benign errors and an alert budget.

The operator says how many rows an hour may be flagged; the calibration rows say how many rows an
hour there are. Their quotient alpha is the share of benign rows that may be flagged.

conformal   p = (1 + #{calibration errors >= s}) / (n + 1); flagged when p <= alpha. Where benign
            rows are exchangeable, a benign row is flagged with probability at most alpha
            (Vovk, Gammerman, Shafer 2005, section 2.2).
quantile    flagged above factor * (the 1 - alpha quantile of the calibration errors), at the place
            (n + 1) (1 - alpha) among them: a benign row is flagged with probability alpha, where
            conformal may stay below it by as much as one rank.
pot         flagged above the error that a generalised Pareto law, fitted to the largest calibration
            errors, exceeds with probability alpha (pot.py); alpha may be below 1 / n. Where it is
            not, what was counted bounds the law: few tails are Pareto's all the way.

All are one comparison, error > value, on errors of six significant digits.

Some detectors have a highest error. The line stays below it, and what multiplies an error there
multiplies its odds, error / (highest - error): else a line could lie where no error comes.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Arrays, refuse_others, take_array
from tapwatch.detect.pot import LEAST_PEAKS, WILD_SHAPE, Tail, fit_tail
from tapwatch.detect.significance import significant
from tapwatch.errors import ArtifactError, ConfigError

ThresholdMethod = Literal["conformal", "quantile", "pot"]
THRESHOLD_METHODS: Final[tuple[str, ...]] = get_args(ThresholdMethod)

#: Calibration errors kept exactly, from the highest down, and then of the others.
_TAIL: Final = 4096
_BODY: Final = 1024
#: A tail is told no further than this many times rarer than the calibration rows can show...
_FARTHEST: Final = 1000.0
#: ...and no threshold is further out than this many times the largest calibration error.
_HIGHEST: Final = 100.0
#: Where alpha can be counted, the law's threshold lies between those of alpha times and divided by
#: this: it smooths the gaps between ranks, and cannot be further off than a law that does not fit.
_NEAR: Final = 1.25


@dataclass(frozen=True)
class Calibration:
    """Errors of held-out benign rows, as far as p-values need them.

    `exceed[j]` counts the calibration errors above error[j - 1], so that for a score s with
    error[j - 1] < s <= error[j] it is the count of those at least s. Where errors were thinned out
    in between, it is an upper bound: p-values come out larger, never smaller.
    """

    n: int
    error: NDArray[np.float64]  # (k,) ascending, without repeats; the last is the maximum
    exceed: NDArray[np.int64]  # (k + 1,) descending from n to 0

    def p_value(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conformal p-values, (n_rows,), between 1 / (n + 1) and 1."""
        at_least = self.exceed[np.searchsorted(self.error, errors, side="left")]
        return (at_least + 1).astype(np.float64) / (self.n + 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Errors and counts."""
        return {"error": self.error, "exceed": self.exceed}

    @classmethod
    def from_arrays(cls, n: int, arrays: Arrays) -> "Calibration":
        """Build from a bundle's arrays.

        Raises
        ------
        ArtifactError
            The arrays are not what `arrays()` can have written.
        """
        if "error" not in arrays or arrays["error"].ndim != 1 or not len(arrays["error"]):
            raise ArtifactError("array error: want a row of at least one number")
        k = len(arrays["error"])
        error = take_array(arrays, "error", (k,), np.float64)
        exceed = take_array(arrays, "exceed", (k + 1,), np.int64)
        refuse_others(arrays, frozenset({"error", "exceed"}))
        if not (np.diff(error) > 0).all():
            raise ArtifactError("array error: want ascending values")
        if exceed[0] != n or exceed[-1] != 0 or not (np.diff(exceed) < 0).all():
            raise ArtifactError(f"array exceed: want values that fall from {n} to 0")
        return cls(n, error, exceed)


def summarise(errors: NDArray[np.float64]) -> Calibration:
    """Keep what p-values need: the highest 4,096 errors as they are, the rest thinned to 1,024."""
    unique, counts = np.unique(significant(errors), return_counts=True)
    above = len(errors) - np.cumsum(counts)  # errors above unique[i]
    body = max(0, len(unique) - _TAIL)
    keep = np.arange(len(unique))
    if body > _BODY:
        thinned = np.linspace(0, body - 1, _BODY).astype(np.int64)
        keep = np.concatenate([np.unique(thinned), keep[body:]])
    exceed = np.concatenate([[len(errors)], above[keep]]).astype(np.int64)
    return Calibration(len(errors), unique[keep], exceed)


@dataclass(frozen=True)
class Threshold:
    """Where the line is, and how it came there."""

    method: ThresholdMethod
    value: float  # flagged when the error is above it
    alpha: float  # share of benign rows that the budget allows to be flagged
    factor: float
    beyond: float
    budget_per_hour: float
    rows_per_hour: float  # 0 where the calibration rows span no time
    expected_per_hour: float  # flagged benign rows, at most, if the future is like calibration
    warnings: tuple[str, ...]
    risk: float | None = None  # alpha, where it was given and not worked out from the budget
    tail: Tail | None = None  # what peaks over threshold found


def calibrate(
    errors: NDArray[np.float64],
    rows_per_hour: float,
    budget_per_hour: float,
    *,
    method: ThresholdMethod = "conformal",
    factor: float = 1.0,
    beyond: float = 1.25,
    risk: float | None = None,
    most_error: float = math.inf,
) -> Threshold:
    """Find the threshold that keeps flagged benign rows within the budget.

    Parameters
    ----------
    errors : float64 (n,)
        Of held-out benign rows; what is not finite is refused.
    rows_per_hour : float
        Rate of the calibration rows; 0 where it is not known.
    budget_per_hour : float
        Rows that may be flagged in an hour of benign traffic.
    method : {"conformal", "quantile", "pot"}
    factor : float
        Multiplies the quantile; the conformal rule has no use for it.
    beyond : float
        Multiplies the largest calibration error where the budget asks for a rarer quantile than
        the calibration rows can show and no tail says more.
    risk : float, optional
        Share of benign rows that may be flagged, in the place of budget / rate.
    most_error : float
        The highest error that the detector can have.

    Raises
    ------
    ConfigError
        No calibration rows, an error that is not finite, or a budget that is not above 0.
    """
    _check_errors(errors)
    n = len(errors)
    if risk is not None:
        if not 0 < risk < 1:
            raise ConfigError("risk", risk, "more than 0 and less than 1", "it is a share of rows")
        budget_per_hour = risk * rows_per_hour or budget_per_hour
    if not budget_per_hour > 0:
        raise ConfigError("budget", budget_per_hour, "more than 0 alerts an hour")
    if 0 < rows_per_hour <= budget_per_hour:
        rate = f"less than the {rows_per_hour:.6g} rows an hour of the calibration rows"
        raise ConfigError("budget", budget_per_hour, rate, "else every row may be an alert")
    rounded = significant(errors)
    alpha = budget_per_hour / rows_per_hour if rows_per_hour > 0 else risk or 0.0
    tail, warnings = _tail(rounded, alpha) if method == "pot" else (None, ())
    if tail is not None:
        value, share = _near_counted(tail.quantile(alpha), rounded, alpha), alpha
        if value > _HIGHEST * rounded.max():
            value = _HIGHEST * float(rounded.max())
            warnings += (f"the threshold is kept to {_HIGHEST:g} times the largest error",)
    else:
        found = _counted(rounded, alpha, method, factor, most_error)
        if found is None:
            value, share = stretched(float(rounded.max()), beyond, most_error), 1 / (n + 1)
            known = rows_per_hour if risk is None else 0.0
            taken = _taken(beyond, most_error)
            warnings += (_too_rare(n, known, budget_per_hour, alpha, taken),)
        else:
            value, share = found
    value = float(significant(np.array([value]))[0])
    if value >= most_error:
        # A law knows no end. What was counted comes here only where the highest error was seen.
        value = min(value, stretched(float(rounded.max()), beyond, most_error))
        warnings += (_at_the_end(value, most_error),)
    return Threshold(
        method=method,
        value=value,
        alpha=alpha,
        factor=factor,
        beyond=beyond,
        budget_per_hour=budget_per_hour,
        rows_per_hour=rows_per_hour,
        expected_per_hour=share * rows_per_hour,
        warnings=warnings,
        risk=risk,
        tail=tail,
    )


def _check_errors(errors: NDArray[np.float64]) -> None:
    if not len(errors):
        raise ConfigError("calibration rows", 0, "at least 1")
    if not np.isfinite(errors).all():
        raise ConfigError("calibration errors", "NaN or infinity", "finite errors")


def stretched(error: float, times: float, most: float) -> float:
    """`error` times `times`, where no error is above `most`: then it is its odds, below `most`."""
    more = (times - 1) * error
    if most == math.inf:
        return error * times
    if more == 0 or error >= most:
        return error
    # A part of the way that is left; far from the highest error it comes to the multiple.
    return min(error + (most - error) / (1 + most / more), max(error, below(most)))


def below(most: float) -> float:
    """The next error of six significant digits, or nearly, below the highest one."""
    if not 0 < most < math.inf:
        return most
    errors = np.append(significant(most * (1 - 1e-6 * np.arange(11))), 0.0)
    return float(errors[errors < most][0])


def _counted(
    errors: NDArray[np.float64],
    alpha: float,
    method: ThresholdMethod,
    factor: float,
    most_error: float,
) -> tuple[float, float] | None:
    """Threshold and the share expected above it, by ranks; None where alpha is too rare for n."""
    n = len(errors)
    # p <= alpha means 1 + #{>= s} <= alpha (n + 1): k - 1 calibration errors may be above the line.
    # The small excess forgives the rounding of a product that ought to be whole.
    k = min(n, int(alpha * (n + 1) * (1 + 1e-12)))
    if k < 1:
        return None
    if method == "quantile":
        quantile = _quantile(errors, alpha)
        value = stretched(quantile, factor, most_error)
        share = (1 + np.count_nonzero(errors > value)) / (n + 1)
        return value, share if value < quantile else min(share, alpha)
    return float(np.partition(errors, n - k)[n - k]), k / (n + 1)


def _quantile(errors: NDArray[np.float64], share: float) -> float:
    """The error that `share` of further rows exceed on average: of rank (n + 1) share from above.

    Hyndman and Fan 1996, definition 6; ranks in between are interpolated.
    """
    return float(np.quantile(errors, 1 - share, method="weibull"))


def _near_counted(value: float, errors: NDArray[np.float64], alpha: float) -> float:
    """The law's threshold, no further from what was counted than a factor of the rate."""
    ranks = alpha * (len(errors) + 1)
    if ranks >= 1:
        value = max(value, _quantile(errors, min(alpha * _NEAR, 1.0)))
    if ranks >= _NEAR:
        value = min(value, _quantile(errors, alpha / _NEAR))
    return value


def _tail(errors: NDArray[np.float64], alpha: float) -> tuple[Tail | None, tuple[str, ...]]:
    """The law of the largest errors, where there is one and alpha lies within it."""
    n = len(errors)
    tail = fit_tail(errors)
    if tail is None:
        few = f"fewer than {LEAST_PEAKS} of the {n} calibration errors stand out"
        return None, (f"peaks over threshold: {few}: the threshold is found by counting",)
    if alpha * n >= tail.peaks:
        return None, ()  # so many may be flagged that the line lies in the body: count
    if alpha * n * _FARTHEST < 1:
        return None, (
            f"peaks over threshold: one in {1 / alpha:.3g} rows is more than {_FARTHEST:g} times "
            f"rarer than {n} calibration rows show: the tail says nothing of it"
            if alpha > 0
            else "peaks over threshold: no share of rows is known: give risk",
        )
    warnings: tuple[str, ...] = ()
    if tail.shape >= WILD_SHAPE:
        warnings += (
            f"peaks over threshold: the tail of the calibration errors has shape {tail.shape:.3g}: "
            "its errors have no finite mean, and the threshold may be far off",
        )
    if alpha * n < 1:
        warnings += (
            f"peaks over threshold: one in {1 / alpha:.3g} rows is rarer than the {n} calibration "
            f"rows can show: the threshold rests on the law fitted to {tail.peaks} of them",
        )
    return tail, warnings


def _at_the_end(value: float, most_error: float) -> str:
    if value >= most_error:
        return (
            f"calibration rows have the highest error that there can be, {most_error:.6g}, so that "
            "no row can be flagged: want another detector, or other parameters"
        )
    return f"there is no error above {most_error:.6g}: the threshold is kept at {value:.6g}"


def _taken(beyond: float, most_error: float) -> str:
    if most_error == math.inf:
        return f"the threshold is the largest calibration error times {beyond:g}"
    return (
        f"the threshold has {beyond:g} times the odds that the largest calibration error has "
        f"against {most_error:.6g}, the highest that there can be"
    )


def _too_rare(
    n: int, rows_per_hour: float, budget_per_hour: float, alpha: float, taken: str
) -> str:
    if rows_per_hour <= 0 < alpha:
        return (
            f"a risk of {alpha:g} needs {1 / alpha:.3g} calibration rows or more, but there are "
            f"{n}: {taken}"
        )
    if rows_per_hour <= 0:
        return f"the {n} calibration rows span no time, so the budget says nothing: {taken}"
    hours = n / rows_per_hour
    return (
        f"a budget of {budget_per_hour:g} an hour needs {1 / budget_per_hour:.3g} h of calibration "
        f"rows or more, but there are {n} rows in {hours:.3g} h, which show at best "
        f"{rows_per_hour / (n + 1):.3g} an hour: {taken}"
    )

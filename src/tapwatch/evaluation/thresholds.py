"""Where a protocol's threshold comes from: the usual rules, as functions that make a rule."""

import math
from typing import Literal

import numpy as np

from tapwatch.errors import ConfigError
from tapwatch.evaluation.protocol import Evidence, Scores, ThresholdRule


def quantile(
    q: float, *, factor: float = 1.0, of: Literal["calibration", "train"] = "calibration"
) -> ThresholdRule:
    """Factor times the q-quantile (linear between order statistics) of normal rows' scores."""

    def rule(evidence: Evidence) -> float:
        scores = _some(evidence.calibration if of == "calibration" else evidence.train, of)
        return float(np.quantile(scores, q)) * factor

    return rule


def conformal(alpha: float) -> ThresholdRule:
    """The score that held-out normal rows exceed with probability alpha at most.

    The k-th largest of n calibration scores with k = floor(alpha (n + 1)); where that is 0, for
    there are too few rows to show alpha, the largest.
    """

    def rule(evidence: Evidence) -> float:
        scores = np.sort(_some(evidence.calibration, "calibration"))[::-1]
        # The small excess forgives the rounding of a product that ought to be whole.
        k = max(1, math.floor(alpha * (len(scores) + 1) * (1 + 1e-12)))
        return float(scores[min(k, len(scores)) - 1])

    return rule


def top_share(share: float, *, of: Literal["test", "train and test"] = "test") -> ThresholdRule:
    """Flag the given share of the test rows, as the (1 - share)-quantile of their scores says.

    Wants `threshold_sees="test scores"`. Where scores tie at the quantile, fewer are flagged.
    """

    def rule(evidence: Evidence) -> float:
        test = _seen(evidence.test, "test scores")
        scores = test if of == "test" else np.concatenate([evidence.train, test])
        return float(np.quantile(scores, 1 - share))

    return rule


def true_share() -> ThresholdRule:
    """Flag as large a share of the test rows as are anomalies: an oracle.

    Wants `threshold_sees="test labels"`.
    """

    def rule(evidence: Evidence) -> float:
        test = _seen(evidence.test, "test scores")
        if evidence.is_anomaly is None:
            raise ConfigError("threshold_sees", "nothing", "test labels")
        return float(np.quantile(test, 1 - float(evidence.is_anomaly.mean())))

    return rule


def _some(scores: Scores, of: str) -> Scores:
    if not len(scores):
        raise ConfigError(f"{of} rows", 0, "at least 1, for the threshold comes from them")
    return scores


def _seen(scores: Scores | None, what: str) -> Scores:
    if scores is None:
        raise ConfigError("threshold_sees", "nothing", what)
    return scores

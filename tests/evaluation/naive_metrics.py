"""Figures of merit by their definitions: every pair, every threshold. Correct by reading."""

from fractions import Fraction


def auc(scores, is_anomaly):
    """Share of pairs of an anomaly and a normal row that are in order; ties count half."""
    high = [s for s, bad in zip(scores, is_anomaly, strict=True) if bad]
    low = [s for s, bad in zip(scores, is_anomaly, strict=True) if not bad]
    points = sum(2 * (a > b) + (a == b) for a in high for b in low)
    return Fraction(points, 2 * len(high) * len(low))


def _at(threshold, scores, is_anomaly):
    """Rates of true and false positives, and the precision, of flagging scores >= threshold."""
    hits = sum(s >= threshold and bad for s, bad in zip(scores, is_anomaly, strict=True))
    flagged = sum(s >= threshold for s in scores)
    n_bad = sum(is_anomaly)
    fpr = Fraction(flagged - hits, len(scores) - n_bad)
    return Fraction(hits, n_bad), fpr, Fraction(hits, flagged) if flagged else None


def average_precision(scores, is_anomaly):
    """Sum over thresholds, from the highest down, of the gain in recall times the precision."""
    total, before = Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        recall, _, precision = _at(threshold, scores, is_anomaly)
        total += (recall - before) * precision
        before = recall
    return total


def tpr_at(limit, scores, is_anomaly):
    """Highest true positive rate of any threshold with a false positive rate within the limit."""
    rates = [_at(threshold, scores, is_anomaly) for threshold in set(scores)]
    return max([Fraction(0), *(tpr for tpr, fpr, _ in rates if fpr <= limit)])


def f1(flagged, is_anomaly):
    """Harmonic mean of precision and recall, 0 where both are."""
    hits = sum(f and bad for f, bad in zip(flagged, is_anomaly, strict=True))
    if not hits:
        return Fraction(0)
    precision, recall = Fraction(hits, sum(flagged)), Fraction(hits, sum(is_anomaly))
    return 2 * precision * recall / (precision + recall)

"""How good scores are, with labels to hold them against; equal scores are never told apart.

auc             area under the ROC curve: the chance that an anomaly scores above a normal row, ties
                by half
ap              average precision: the mean of the precision over the recall, a step a threshold,
                without interpolation
tpr_at_1pct     highest share of anomalies found by a threshold that flags at most 1 % of the normal
tpr_at_01pct    rows, or 0.1 %; not interpolated, for no threshold lies between two scores
precision ...   at the protocol's threshold: flagged is what scores above it; a precision or F1 of
                nothing flagged is 0
fpr             share of the normal rows that are flagged
macro_auc       mean of the areas of each class of anomalies against all normal rows
novel_recall    share found of the anomalies of types that the training files do not have
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from tapwatch.errors import TapwatchError
from tapwatch.evaluation.protocol import Flags, Scores, Words
from tapwatch.evaluation.results import Spread

#: Figures of merit, in the order in which they are told.
MERITS: Final = (
    *("auc", "ap", "tpr_at_1pct", "tpr_at_01pct"),
    *("precision", "recall", "f1", "fpr", "macro_auc", "novel_recall"),
)
#: False positive rates at which the true positive rate is told.
_AT: Final = {"tpr_at_1pct": 0.01, "tpr_at_01pct": 0.001}


def ranking(scores: Scores, is_anomaly: Flags) -> dict[str, float]:
    """Figures that need no threshold: auc, ap, tpr_at_1pct, tpr_at_01pct.

    Parameters
    ----------
    scores : float64 (n,)
    is_anomaly : bool (n,)

    Returns
    -------
    merits : dict
        Empty unless there are both normal rows and anomalies.

    Raises
    ------
    TapwatchError
        A score is NaN or infinite.
    """
    check_finite(scores)
    if is_anomaly.all() or not is_anomaly.any():
        return {}
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    fpr, tpr, _ = roc_curve(is_anomaly, scores, drop_intermediate=False)
    merits = {
        "auc": float(roc_auc_score(is_anomaly, scores)),
        "ap": float(average_precision_score(is_anomaly, scores)),
    }
    for name, limit in _AT.items():
        # The small excess forgives the rounding of a quotient that ought to be the limit.
        merits[name] = float(tpr[fpr <= limit * (1 + 1e-12)].max())
    return merits


def decision(flagged: Flags, is_anomaly: Flags) -> dict[str, float]:
    """Figures at a threshold: precision, recall, f1, fpr; a quotient of nothing is 0."""
    hits = int(np.count_nonzero(flagged & is_anomaly))
    n_flagged, n_anomalies = int(np.count_nonzero(flagged)), int(np.count_nonzero(is_anomaly))
    n_normal = len(flagged) - n_anomalies
    return {
        "precision": hits / n_flagged if n_flagged else 0.0,
        "recall": hits / n_anomalies if n_anomalies else 0.0,
        "f1": 2 * hits / (n_flagged + n_anomalies) if n_flagged + n_anomalies else 0.0,
        "fpr": (n_flagged - hits) / n_normal if n_normal else 0.0,
    }


def by_class(flagged: Flags, is_anomaly: Flags, classes: Words) -> dict[str, float]:
    """Recall at the threshold for each class of anomalies, by name."""
    return {
        str(word): float(flagged[is_anomaly & (classes == word)].mean())
        for word in np.unique(classes[is_anomaly])
    }


def macro_auc(scores: Scores, is_anomaly: Flags, classes: Words) -> float | None:
    """Mean over the classes of anomalies of the area of each against all normal rows.

    None unless there are normal rows and at least two classes of anomalies.
    """
    words = np.unique(classes[is_anomaly])
    if len(words) < 2 or is_anomaly.all():
        return None
    from sklearn.metrics import roc_auc_score

    areas = []
    for word in words:
        rows = ~is_anomaly | (classes == word)
        areas.append(float(roc_auc_score(is_anomaly[rows], scores[rows])))
    return float(np.mean(areas))


def merits_of(
    scores: Scores, flagged: Flags, is_anomaly: Flags, classes: Words, novel: Flags
) -> dict[str, float]:
    """All figures of merit that the rows allow, in the order of MERITS.

    Parameters
    ----------
    scores : float64 (n,)
    flagged, is_anomaly, novel : bool (n,)
    classes : str (n,)
    """
    merits = ranking(scores, is_anomaly) | decision(flagged, is_anomaly)
    macro = macro_auc(scores, is_anomaly, classes)
    if macro is not None:
        merits["macro_auc"] = macro
    if (novel & is_anomaly).any():
        merits["novel_recall"] = float(flagged[novel & is_anomaly].mean())
    return merits


def spread(values: list[float]) -> Spread:
    """Sum up one figure of merit over the seeds."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(tuple(values), float(np.mean(values)), sd, float(np.median(values)))


def spreads(seeds: list[Mapping[str, float]]) -> dict[str, Spread]:
    """Sum up figures over the seeds; one that a seed does not have is summed up over the others."""
    names = dict.fromkeys(name for merits in seeds for name in merits)
    return {name: spread([merits[name] for merits in seeds if name in merits]) for name in names}


def check_finite(scores: Scores) -> None:
    """Raise TapwatchError where a score is NaN or infinite: it could not be ranked."""
    n_bad = len(scores) - int(np.count_nonzero(np.isfinite(scores)))
    if n_bad:
        raise TapwatchError(f"scores: {n_bad:,} of {len(scores):,} are NaN or infinite")

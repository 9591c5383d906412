"""How good scores are, with labels to hold them against; equal scores are never told apart.

auc, ap, tpr_at_1pct, tpr_at_01pct   as in training/ranking.py
precision ...   at the protocol's threshold: flagged is what scores above it; a precision or F1 of
                nothing flagged is 0
fpr             share of the normal rows that are flagged
macro_auc       mean of the areas of each class of anomalies against all normal rows
novel_recall    share found of the anomalies of types that the training files do not have
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from tapwatch.evaluation.protocol import Flags, Scores, Words
from tapwatch.evaluation.results import Spread
from tapwatch.training.ranking import ranking

#: Figures of merit, in the order in which they are told.
MERITS: Final = (
    *("auc", "ap", "tpr_at_1pct", "tpr_at_01pct"),
    *("precision", "recall", "f1", "fpr", "macro_auc", "novel_recall"),
)


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

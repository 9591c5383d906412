"""Figures of scores held against labels that need no threshold; equal scores stay together.

auc             area under the ROC curve: the chance that an anomaly scores above a normal row, ties
                by half
ap              average precision: the mean of the precision over the recall, a step a threshold,
                without interpolation
tpr_at_1pct     highest share of anomalies found by a threshold that flags at most 1 % of the normal
tpr_at_01pct    rows, or 0.1 %; not interpolated, for no threshold lies between two scores
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import TapwatchError

#: False positive rates at which the true positive rate is told.
_AT: Final = {"tpr_at_1pct": 0.01, "tpr_at_01pct": 0.001}


def ranking(scores: NDArray[np.float64], is_anomaly: NDArray[np.bool_]) -> dict[str, float]:
    """Tell how well scores rank: auc, ap, tpr_at_1pct, tpr_at_01pct.

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


def check_finite(scores: NDArray[np.float64]) -> None:
    """Raise TapwatchError where a score is NaN or infinite: it could not be ranked."""
    n_bad = len(scores) - int(np.count_nonzero(np.isfinite(scores)))
    if n_bad:
        raise TapwatchError(f"scores: {n_bad:,} of {len(scores):,} are NaN or infinite")

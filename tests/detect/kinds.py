"""How the shared checks treat each kind of detector: quick to fit, and what it cannot see."""

from dataclasses import dataclass, field

import numpy as np

from tapwatch.detect.detector import Parameters
from tapwatch.detect.registry import DETECTORS

#: A single matrix product of a small width takes other kernels than one of a large width; these
#: are the widths of inputs between which they change, and those that views have.
ALL_WIDTHS = (1, 2, 3, 5, 8, 11, 12, 13, 16, 17, 33, 76, 116)
FEW_WIDTHS = (1, 2, 13, 116)


@dataclass(frozen=True)
class Kind:
    """What a detector is fitted with here, and where a check does not hold and why."""

    quick: dict[str, object] = field(default_factory=dict)
    """Parameters with which it is fitted in a moment."""
    widths: tuple[int, ...] = ALL_WIDTHS
    """Widths of rows at which the company of a row is changed."""
    is_dear: bool = False
    """Whether explaining a row takes many times what scoring it takes: fewer rows then."""
    sees_broken_links: bool = True
    """Whether rows stand out whose columns, each by itself, are ordinary."""
    sees_constants: bool = True
    """Whether a value stands out in a column that was constant in training."""


_QUICK_MIXTURE = {"epochs": 2, "batch_rows": 128, "components": 3, "learning_rate": 4e-3}

#: A detector that is not named has no parameter but perhaps `epochs`.
KINDS = {
    "neighbours": Kind({"references": 100}),
    "rarity": Kind(widths=FEW_WIDTHS),
    "ensemble": Kind({"epochs": 1, "references": 100}, (2, 13, 33)),
    "ae": Kind({"epochs": 2}),
    "vae": Kind({"epochs": 2}, FEW_WIDTHS),
    "lstm_ae": Kind(
        {"epochs": 2, "sequence_rows": 3, "units": 10, "batch_rows": 128, "learning_rate": 1e-2},
        (1, 2, 13),
    ),
    "deep_ae": Kind({"epochs": 2}),
    "aegmm": Kind(_QUICK_MIXTURE, FEW_WIDTHS, is_dear=True),
    "vaegmm": Kind(_QUICK_MIXTURE, FEW_WIDTHS, is_dear=True),
    "pca": Kind({"components": 3}),
    "robust_z": Kind(sees_broken_links=False),
    "ocsvm": Kind({"sample_rows": 300}, FEW_WIDTHS),
    "iforest": Kind(
        {"trees": 30, "sample_rows": 256}, FEW_WIDTHS, sees_broken_links=False, sees_constants=False
    ),
    "kitnet": Kind({"epochs": 2, "least_steps": 4000}, widths=(1, 2, 11, 76)),
    "memory_ae": Kind({"epochs": 5, "memory": 256}, widths=(1, 2, 13, 76)),
    "hst": Kind(
        {"trees": 20, "height": 8, "window": 256},
        (1, 2, 13),
        is_dear=True,
        sees_broken_links=False,
    ),
}


def kind_of(name: str) -> Kind:
    """How a detector is to be treated."""
    return KINDS.get(name) or Kind()


def quick(name: str, **more: object) -> Parameters:
    """Parameters that make the fit of a detector quick; `more` replaces them."""
    kind = DETECTORS[name].parameters_type
    return kind.model_validate(kind_of(name).quick | more)


def shaped(rows: np.ndarray, parameters: Parameters) -> np.ndarray:
    """The rows as a detector wants them: for a model of sequences the last ones of each entity.

    Rows are dealt out to five entities; what an entity has not had is NaN.
    """
    n = getattr(parameters, "sequence_rows", 0)
    if not n:
        return rows
    sequences = np.full((len(rows), n, rows.shape[1]), np.nan, np.float32)
    for back in range(n):
        sequences[5 * back :, n - 1 - back] = rows[: max(len(rows) - 5 * back, 0)]
    return sequences

"""A bundle on trial: it scores what the live ones of its view score, and alerts nobody."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.scorer import Scorer
from tapwatch.tables import FeatureBatch, Tally

_VERDICTS: Final = ("both", "only_live", "only_shadow", "neither")


class Shadow:
    """Scores rows beside the live bundles, and counts where verdicts differ.

    Parameters
    ----------
    scorer : Scorer
        Of the bundle on trial.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.view = scorer.view
        self._n = np.zeros(len(_VERDICTS), np.int64)

    def compare(self, batch: FeatureBatch, live: NDArray[np.bool_]) -> None:
        """Score a batch; `live` (n_rows,) says which rows a live bundle flagged."""
        mine = self.scorer.score(batch).flagged
        # both 0, only live 1, only shadow 2, neither 3: as _VERDICTS has them.
        self._n += np.bincount(2 * ~live + 1 * ~mine, minlength=len(_VERDICTS))

    def counts(self) -> dict[str, Any]:
        """Rows by verdict, for the summary."""
        n = dict(zip(_VERDICTS, self._n.tolist(), strict=True))
        return {"rows": int(self._n.sum()), "flagged": n["both"] + n["only_shadow"], **n}

    def tallies(self) -> list[Tally]:
        """Counts of the bundle under its own name, and of the comparison."""
        scorer = self.scorer
        labels = (scorer.view, scorer.detector, scorer.bundle.name)
        return [
            *scorer.tallies(),
            Tally(
                "shadow_rows_total",
                "counter",
                "Rows that a bundle on trial scored, by who flagged them.",
                ("view", "detector", "bundle", "verdict"),
                {
                    (*labels, verdict): float(n)
                    for verdict, n in zip(_VERDICTS, self._n.tolist(), strict=True)
                },
            ),
        ]

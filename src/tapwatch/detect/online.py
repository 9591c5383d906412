"""Learning while scoring: which rows an online detector learns, and when.

Rows are counted from the first one that a scorer sees, in blocks of the detector's `block_rows`.
All rows of a block are scored by what had been learnt before it; when its last row has been judged,
those that may be learnt are, in their order. So neither a score nor what is learnt depends on how
rows came in batches. A block that is not full at the end is scored and not learnt.

What was flagged is never learnt, nor what is not finite: a detector that learns attacks is one that
an attacker trains. What is learnt lives as long as the scorer; the bundle on disk stays as it is.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Detector, OnlineDetector, Rows


class Learner:
    """One detector at work, which goes on learning if it can and may.

    Parameters
    ----------
    detector : Detector
        Of a bundle; one that learns is copied, for a bundle may be shared.
    may_learn : bool
        False freezes an online detector as it was trained.

    Attributes
    ----------
    detector : Detector
        What scores the next rows.
    learnt_rows : int
        Rows handed to the detector to learn.
    """

    def __init__(self, detector: Detector, *, may_learn: bool) -> None:
        self.detector = detector
        self.learnt_rows = 0
        self._online: OnlineDetector | None = None
        if may_learn and isinstance(detector, OnlineDetector):
            self.detector = self._online = detector.copy()
        self._in_block = 0  # rows of the block that have been judged
        self._held: list[Rows] = []  # those of them that will be learnt

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is learnt any more."""
        return self._online is None

    def parts(self, n_rows: int, max_rows: int) -> Iterator[slice]:
        """Yield the parts of the next rows that are scored at once; none crosses a block's end.

        Between two parts `take` has to be told of the first.
        """
        start = 0
        while start < n_rows:
            size = min(max_rows, n_rows - start)
            if self._online is not None:
                size = min(size, self._online.block_rows - self._in_block)
            yield slice(start, start + size)
            start += size

    def take(self, rows: Rows, is_usable: NDArray[np.bool_]) -> None:
        """Hear what became of the rows of a part; at the end of a block, learn.

        Parameters
        ----------
        rows : float32 (n_rows, n_columns)
            Preprocessed, as they were scored.
        is_usable : bool (n_rows,)
            False for rows that were flagged or whose error is not finite.
        """
        if self._online is None:
            return
        chosen = is_usable & np.isfinite(rows).all(axis=1)
        self._held.append(rows[chosen])
        self._in_block += len(rows)
        if self._in_block == self._online.block_rows:
            block = np.concatenate(self._held)
            self._in_block = 0
            self._held.clear()
            if len(block):
                self._online.learn(block)
                self.learnt_rows += len(block)

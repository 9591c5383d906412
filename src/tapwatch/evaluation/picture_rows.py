"""Which test rows a picture shows: not all of them, and some of every class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.evaluation.protocol import Words


def picture_rows(classes: Words, max_rows: int, seed: int = 0) -> NDArray[np.int64]:
    """Places of rows drawn at random so that rare classes stay visible.

    Half of the places are shared evenly by the classes, as far as these have rows; the rest is
    drawn from all other rows.

    Parameters
    ----------
    classes : str (n,)
    max_rows : int
        At least twice the number of classes.
    seed : int
        The same rows and seed give the same places.

    Returns
    -------
    places : int64 (min(n, max_rows),)
        Ascending.
    """
    if len(classes) <= max_rows:
        return np.arange(len(classes))
    rng = np.random.default_rng(seed)
    words = np.unique(classes)
    even = max(1, max_rows // (2 * len(words)))
    chosen = np.concatenate([_some(np.flatnonzero(classes == word), even, rng) for word in words])
    others = np.setdiff1d(np.arange(len(classes)), chosen)
    more = _some(others, max_rows - len(chosen), rng)
    return np.sort(np.concatenate([chosen, more]))


def _some(places: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    drawn: NDArray[np.int64] = rng.permutation(places)[: max(0, n)]
    return drawn

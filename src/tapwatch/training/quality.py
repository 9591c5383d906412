"""How well a bundle tells the rows apart that its inputs label as something else than benign.

Those rows are neither learnt from nor calibrated with; held-out benign rows stand against them.
Beside the detector stands the floor of no learning: the largest |z| of a plain column.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.preprocess import fit_preprocess
from tapwatch.tables import Schema
from tapwatch.training.calibrate import score_rows
from tapwatch.training.order import Order
from tapwatch.training.published import Published, Selection, benign_labels
from tapwatch.training.ranking import ranking
from tapwatch.training.record import Figures, Learnt
from tapwatch.training.reservoir import Reservoir
from tapwatch.training.tables import Table

#: Rows of either kind that are held against each other at most, a random sample of more.
MOST_ROWS: Final = 20_000
_NO_CLIP: Final = 1e9


def measure_quality(
    train: NDArray[np.float32],
    held_out: Iterable[NDArray[np.float32]],
    published: Published,
    order: Order,
    learnt: Learnt,
) -> Figures | None:
    """Hold benign rows against those that are labelled otherwise; None where there are none.

    Parameters
    ----------
    train : float32 (n_train, n_schema_columns)
        What was learnt from; the floor takes mean and deviation of it.
    held_out : iterable of float32 (n, n_schema_columns)
        Benign rows that were not learnt from; looked at only where there are others.
    published : Published
    order : Order
    learnt : Learnt
    """
    shape = (len(published.schema.names),)
    others, benign = (Reservoir(MOST_ROWS, shape, order.seed) for _ in range(2))
    for table in published.tables.values():
        for values in _others_of(table, order.benign) if table.others else ():
            _add(others, values)
    if not others.seen:
        return None
    for values in held_out:
        _add(benign, values)
    return figures_of(train, benign.take()[0], others.take()[0], learnt, published.schema)


def _add(reservoir: Reservoir, values: NDArray[np.float32]) -> None:
    reservoir.add(values, np.zeros(len(values), np.int64))


def _others_of(table: Table, benign: Collection[str]) -> Iterator[NDArray[np.float32]]:
    selection = Selection(benign_labels(benign))
    for part in table.parts():
        yield part.values[~selection.of(part)]


def figures_of(
    train: NDArray[np.float32],
    benign: NDArray[np.float32],
    others: NDArray[np.float32],
    learnt: Learnt,
    schema: Schema,
) -> Figures:
    """Hold benign rows against other ones.

    Parameters
    ----------
    train : float32 (n_train, n_schema_columns)
        What was learnt from; the floor takes mean and deviation of it.
    benign, others : float32 (n, n_schema_columns)
        At least one row each.
    learnt : Learnt
    schema : Schema
    """
    rows = np.concatenate([benign, others])
    is_other = np.arange(len(rows)) >= len(benign)
    counts = {"benign_rows": float(len(benign)), "other_rows": float(len(others))}
    scores = score_rows(rows, learnt.preprocess, learnt.detector)
    return Figures(
        ranking(scores, is_other) | counts,
        ranking(_largest_z(train, rows, schema, learnt), is_other) | counts,
    )


def _largest_z(
    train: NDArray[np.float32], rows: NDArray[np.float32], schema: Schema, learnt: Learnt
) -> NDArray[np.float64]:
    """Largest |z| of the plain columns that vary; 0 where none does."""
    used = set(learnt.preprocess.columns) - set(learnt.constant)
    plain = [c.name for c in schema.columns if c.name in used and not c.categories]
    if not plain:
        return np.zeros(len(rows))
    scale, _ = fit_preprocess(train, schema, plain, method="z", clip=_NO_CLIP)
    largest: NDArray[np.float64] = np.abs(scale.apply(rows)).max(axis=1).astype(np.float64)
    return largest

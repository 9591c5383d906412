"""`rarity`: how seldom benign rows have such values together, by a tree of dependences.

Letters of the shape comments: B rows of C inputs, which are V variables.
"""

from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    CHUNK_ROWS,
    Arrays,
    Detector,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
    take_array,
    tell_once,
)
from tapwatch.detect.detectors.cells import CELL_ARRAYS, Cells, fit_cells, read_cells
from tapwatch.errors import ArtifactError

#: Rows that choose the tree, at most.
_TREE_ROWS: Final = 65_536
_ARRAYS: Final = CELL_ARRAYS | {"parent", "cost", "alone"}


class RarityParameters(Parameters):
    """What may be set of the tree."""

    cells: Annotated[int, Field(ge=2, le=1024)] = 32
    """Cells that the values of a column are sorted into, about; of fewer rows fewer."""
    trust: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Rows that what a column does by itself weighs as much as, against what it does beside the
    column that it depends on: a combination that was never seen is judged by its parts."""


class Rarity(Detector):
    """A Chow-Liu tree over columns in cells; combinations that benign rows seldom have are unusual.

    Each variable depends on one other, so chosen that together they say as much of each other as a
    tree can (Chow and Liu, IEEE Trans. Inf. Theory 14(3), 1968). The error of a row is the negative
    logarithm of its probability, in nats: the sum over variables of that of its cell, given the
    cell of the one it depends on. Values outside of the training's are cells too, as are words
    that it did not have. There is nothing random in the fit.
    """

    name = "rarity"
    parameters_type = RarityParameters
    is_seeded: ClassVar[bool] = False

    def __init__(
        self,
        parameters: RarityParameters,
        cells: Cells,
        parent: NDArray[np.int64],
        cost: NDArray[np.float64],
        alone: NDArray[np.float64],
    ) -> None:
        self.parameters = parameters
        self.n_columns = len(cells.variable_of)
        self._cells = cells
        self._parent = parent  # (V,), -1 of the root
        self._cost = cost  # of a cell given the parent's cell, variable by variable
        self._alone = alone  # of a cell by itself
        self._first_alone = np.cumsum(cells.n_cells) - cells.n_cells
        sizes = cells.n_cells * _n_given(parent, cells.n_cells)
        self._first = np.cumsum(sizes) - sizes

    @classmethod
    def fit(
        cls,
        rows: Rows,
        validation: Rows,
        parameters: Parameters,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Self:
        """Count; neither seed nor device matter."""
        assert isinstance(parameters, RarityParameters)
        cells = fit_cells(rows, parameters.cells)
        codes = _codes(cells, rows)
        # What depends on what shows in a part of the rows too.
        parent = _tree(codes[:, :: -(-len(rows) // _TREE_ROWS)], cells.n_cells)
        costs, alone = [], []
        for k, n_cells in enumerate(cells.n_cells):
            counts = np.bincount(codes[k], minlength=n_cells).astype(np.float64)
            # Cells that no row is in share the weight of one row.
            share = (counts + 1 / n_cells) / (len(rows) + 1)
            alone.append(-np.log(share))
            if parent[k] < 0:
                costs.append(alone[-1])
                continue
            n_given = cells.n_cells[parent[k]]
            joint = _joint(codes[parent[k]], codes[k], n_given, n_cells)
            given = joint.sum(axis=1, keepdims=True)
            trust = parameters.trust
            costs.append(-np.log((joint + trust * share) / (given + trust)).ravel())
        model = cls(parameters, cells, parent, np.concatenate(costs), np.concatenate(alone))
        tell_once(model, rows, validation, progress)
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Cells, the tree, and the costs."""
        tree = {"parent": self._parent, "cost": self._cost, "alone": self._alone}
        return self._cells.arrays() | tree

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take cells, tree and costs after checking that they belong together."""
        assert isinstance(parameters, RarityParameters)
        cells = read_cells(n_columns, arrays)
        n = len(cells.n_cells)
        parent = take_array(arrays, "parent", (n,), np.int64)
        if not ((parent >= -1) & (parent < n)).all():
            raise ArtifactError(f"array parent: want -1 to {n - 1}")
        n_costs = int((cells.n_cells * _n_given(parent, cells.n_cells)).sum())
        cost = take_array(arrays, "cost", (n_costs,), np.float64)
        alone = take_array(arrays, "alone", (int(cells.n_cells.sum()),), np.float64)
        for name, array in (("cost", cost), ("alone", alone)):
            if (array < 0).any():
                raise ArtifactError(f"array {name}: {array.min()!r} found: want values from 0 on")
        refuse_others(arrays, _ARRAYS)
        return cls(parameters, cells, parent, cost, alone)

    @property
    def most_error(self) -> float:
        """That of a row whose every cell were the costliest that its table holds."""
        # The sum in another order than the score's may lack the last bit.
        return float(np.maximum.reduceat(self._cost, self._first).sum() * (1 + 1e-12))

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        codes = self._cells.sort(rows)
        error = np.zeros(len(rows))
        for k in range(len(codes)):  # one after the other: the same sum in any batch
            error += self._cost_of(k, codes)
        error[np.isnan(rows).any(axis=1)] = np.nan
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """What a cell costs by itself is its own; what the pair costs beyond that is of both."""
        codes = self._cells.sort(rows)  # (V, B)
        has_parent = self._parent >= 0
        given = np.where(has_parent[:, None], codes[self._parent], 0)
        n_cells = self._cells.n_cells[:, None]
        cost = self._cost[self._first[:, None] + given * n_cells + codes]
        # Nothing of the root: with no pair it costs what it costs by itself.
        half = np.maximum(cost - self._alone[self._first_alone[:, None] + codes], 0.0) / 2
        own = cost - half
        np.add.at(own, self._parent[has_parent], half[has_parent])
        parts = np.zeros((self.n_columns, len(rows)))
        parts[self._cells.first_input] = own
        return by_column(parts.T, column_of)

    def _expected(self, rows: Rows) -> Rows:
        """Values of the likeliest cells, given what each variable depends on."""
        codes = self._cells.sort(rows)
        likeliest = np.empty_like(codes)
        for k, n_cells in enumerate(self._cells.n_cells):
            size = n_cells * (self._cells.n_cells[self._parent[k]] if self._parent[k] >= 0 else 1)
            table = self._cost[self._first[k] : self._first[k] + size].reshape(-1, n_cells)
            given = codes[self._parent[k]] if self._parent[k] >= 0 else 0
            likeliest[k] = table.argmin(axis=1)[given]
        return self._cells.values(likeliest)

    def _cost_of(self, k: int, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """What variable k costs in each row, (B,)."""
        parent = self._parent[k]
        given = codes[parent] * self._cells.n_cells[k] if parent >= 0 else 0
        cost: NDArray[np.float64] = self._cost[self._first[k] + given + codes[k]]
        return cost


def _n_given(parent: NDArray[np.int64], n_cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cells of what each variable depends on; 1 of the root."""
    return np.where(parent >= 0, n_cells[parent], 1)


def _codes(cells: Cells, rows: Rows) -> NDArray[np.uint32]:
    """Cells of all training rows, (V, n_rows)."""
    codes = np.empty((len(cells.n_cells), len(rows)), np.uint32)
    for start in range(0, len(rows), CHUNK_ROWS):
        codes[:, start : start + CHUNK_ROWS] = cells.sort(rows[start : start + CHUNK_ROWS])
    return codes


def _joint(
    left: NDArray[np.uint32], right: NDArray[np.uint32], n_left: int, n_right: int
) -> NDArray[np.float64]:
    """Rows in each pair of cells, (n_left, n_right)."""
    pair = left.astype(np.int64) * n_right + right
    counts = np.bincount(pair, minlength=n_left * n_right)
    return counts.reshape(n_left, n_right).astype(np.float64)


def _tree(codes: NDArray[np.uint32], n_cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parent of each variable in the tree of largest mutual information, -1 of the first (Prim)."""
    n = len(codes)
    parent = np.full(n, -1)
    best = np.full(n, -np.inf)  # what each variable shares with the best one in the tree
    is_out = np.ones(n, np.bool_)
    latest = 0
    is_out[0] = False
    for _ in range(n - 1):
        for k in np.flatnonzero(is_out):
            shared = _information(codes[latest], codes[k], n_cells[latest], n_cells[k])
            if shared > best[k]:
                best[k], parent[k] = shared, latest
        latest = int(np.where(is_out, best, -np.inf).argmax())
        is_out[latest] = False
    return parent


def _information(
    left: NDArray[np.uint32], right: NDArray[np.uint32], n_left: int, n_right: int
) -> float:
    """Mutual information of two variables, in nats."""
    joint = _joint(left, right, n_left, n_right) / len(left)
    outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    is_seen = joint > 0
    return float((joint[is_seen] * np.log(joint[is_seen] / outer[is_seen])).sum())

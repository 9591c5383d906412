"""Values sorted into cells: a column's inputs become one variable with a few cells.

Inputs that are 0 but for one of them in every row are the words of a class, one variable; every
other input is a variable by itself. Letters of the shape comments: B rows of C inputs, V variables.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Arrays, Rows, take_array
from tapwatch.errors import ArtifactError

CELL_ARRAYS: Final = frozenset({"variable_of", "n_edges", "edges", "typical"})

#: What lies this far outside of the training's values is outside, and, as a share of it, what lies
#: this far off a class's height is no word. Less may be another machine's logarithm.
_MARGIN: Final = 1e-4
#: Besides even shares of the rows, the tails have cells of their own.
_TAILS: Final = (0.001, 0.01, 0.99, 0.999)
_LEAST_CELLS: Final = 4


@dataclass(frozen=True)
class Cells:
    """Which cell a value is in.

    A variable of one input has a cell between any two of its edges, and one at each end; the cells
    of a class are its inputs, the last one for what no word looks like: anything but one input at
    the class's height and all others 0.
    """

    variable_of: NDArray[np.int64]  # (C,) ascending from 0 without gaps
    n_edges: NDArray[np.int64]  # (V,); 0 of a class
    edges: NDArray[np.float32]  # (sum of n_edges,), of each variable ascending
    typical: NDArray[np.float32]  # (sum of n_cells,) a value of the cell; of a class its height
    n_cells: NDArray[np.int64] = field(init=False, repr=False)  # (V,)
    first_input: NDArray[np.int64] = field(init=False, repr=False)  # (V,)
    _n_inputs: NDArray[np.int64] = field(init=False, repr=False)  # (V,)

    def __post_init__(self) -> None:
        n_inputs = np.bincount(self.variable_of)
        n_cells = np.where(self.n_edges > 0, self.n_edges + 1, n_inputs + 1)
        for name, array in (
            ("n_cells", n_cells),
            ("first_input", np.cumsum(n_inputs) - n_inputs),
            ("_n_inputs", n_inputs),
        ):
            object.__setattr__(self, name, array)

    def sort(self, rows: Rows) -> NDArray[np.int64]:
        """Cell of each variable of rows (B, C): int64 (V, B)."""
        codes = np.empty((len(self.n_edges), len(rows)), np.int64)
        first = np.cumsum(self.n_cells) - self.n_cells
        last = 0
        for k, (at, n_edges) in enumerate(zip(self.first_input, self.n_edges, strict=True)):
            if n_edges:
                edges = self.edges[last : last + n_edges]
                codes[k] = np.searchsorted(edges, rows[:, at], side="right")
                last += n_edges
                continue
            inputs = rows[:, at : at + self._n_inputs[k]]
            height = self.typical[first[k]]
            margin = _MARGIN * abs(height)
            is_on = np.abs(inputs - height) <= margin
            is_word = (is_on.sum(axis=1) == 1) & (is_on | (np.abs(inputs) <= margin)).all(axis=1)
            codes[k] = np.where(is_word, is_on.argmax(axis=1), self._n_inputs[k])
        return codes

    def values(self, codes: NDArray[np.int64]) -> Rows:
        """Inputs (B, C) of which each cell, (V, B), is a likely home."""
        rows = np.zeros((codes.shape[1], len(self.variable_of)), np.float32)
        first = np.cumsum(self.n_cells) - self.n_cells
        for k, at in enumerate(self.first_input):
            value = self.typical[first[k] + codes[k]]
            if self.n_edges[k]:
                rows[:, at] = value
            else:
                is_word = codes[k] < self._n_inputs[k]
                rows[is_word, at + codes[k][is_word]] = value[is_word]
        return rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything fitted."""
        return {name: getattr(self, name) for name in sorted(CELL_ARRAYS)}


def fit_cells(rows: Rows, n_cells: int) -> Cells:
    """Sort the values of training rows (n_rows, C) into about n_cells cells a column.

    With few rows there are fewer: pairs of cells have to be counted.
    """
    n_cells = max(_LEAST_CELLS, min(n_cells, int(len(rows) ** 0.5)))
    classes = _classes(rows)
    variable_of = np.zeros(rows.shape[1], np.int64)
    n_edges: list[int] = []
    edges, typical = [], []
    at = 0
    while at < rows.shape[1]:
        end = classes.get(at, at + 1)
        variable_of[at:end] = len(n_edges)
        if at in classes:
            height = rows[:, at:end].max()
            n_edges.append(0)
            typical.append(np.full(end - at + 1, height, np.float32))
        else:
            column = np.sort(rows[:, at])
            n_edges.append(len(mine := _edges(column, n_cells)))
            edges.append(mine)
            typical.append(_middles(column, mine))
        at = end
    none = [np.zeros(0, np.float32)]
    return Cells(
        variable_of, np.array(n_edges), np.concatenate(edges + none), np.concatenate(typical)
    )


def read_cells(n_columns: int, arrays: Arrays) -> Cells:
    """Build from arrays, after checking that they belong together.

    Raises
    ------
    ArtifactError
        One is absent, or not as wanted.
    """
    variable_of = take_array(arrays, "variable_of", (n_columns,), np.int64)
    steps = np.diff(variable_of, prepend=-1)
    if variable_of[0] != 0 or not np.isin(steps, (0, 1)).all():
        raise ArtifactError("array variable_of: want numbers that rise from 0 without gaps")
    n_inputs = np.bincount(variable_of)
    n_edges = take_array(arrays, "n_edges", (len(n_inputs),), np.int64)
    if (n_edges < 0).any() or (n_edges[n_inputs > 1] > 0).any() or n_edges.max() > 1 << 20:
        raise ArtifactError("array n_edges: want none of classes, and a count of all others")
    edges = take_array(arrays, "edges", (int(n_edges.sum()),), np.float32)
    start = np.cumsum(n_edges) - n_edges
    if (np.delete(np.diff(edges), start[(start > 0) & (start < len(edges))] - 1) < 0).any():
        raise ArtifactError("array edges: want ascending edges of each variable")
    n_cells = np.where(n_edges > 0, n_edges + 1, n_inputs + 1)
    typical = take_array(arrays, "typical", (int(n_cells.sum()),), np.float32)
    return Cells(variable_of, n_edges, edges, typical)


def _edges(column: NDArray[np.float32], n_cells: int) -> NDArray[np.float32]:
    """Edges between the values of a sorted column, and around them."""
    low, high = column[0] - np.float32(_MARGIN), column[-1] + np.float32(_MARGIN)
    is_other = np.diff(column, prepend=np.float32(-np.inf)) > 0
    values = column[is_other]
    if len(values) <= n_cells:
        inner: NDArray[Any] = (values[1:] + values[:-1]) / 2
    else:
        shares = np.concatenate([np.arange(1, n_cells) / n_cells, _TAILS])
        inner = column[(shares * (len(column) - 1)).astype(np.int64)]
    return np.unique(np.concatenate([[low], inner, [high]]).astype(np.float32))


def _middles(column: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of a sorted column in each cell; of cells without rows, the nearest edge."""
    cell = np.searchsorted(edges, column, side="right")
    first, last = (np.searchsorted(cell, np.arange(len(edges) + 1), side) for side in _SIDES)
    nearest = edges[np.clip(np.arange(len(edges) + 1), 0, len(edges) - 1)]
    middle = column[np.minimum((first + last) // 2, len(column) - 1)]
    return np.where(last > first, middle, nearest).astype(np.float32)


_SIDES: Final = ("left", "right")


def _classes(rows: Rows) -> dict[int, int]:
    """Inputs of classes: first -> behind the last, the one for all other words among them.

    Of a class every row has one input above 0, always of the same height, and all others 0.
    """
    found = {}
    start, n_on = 0, np.zeros(len(rows), np.int64)
    height = np.float32(0)
    k = 0
    while k < rows.shape[1]:
        column = rows[:, k]
        is_on = column > 0
        top = column.max()
        is_word = bool(top > 0 and (column[is_on] == top).all() and not column[~is_on].any())
        if not is_word or (n_on[is_on] > 0).any() or (n_on.any() and top != height):
            start, n_on = k + (not is_word), np.zeros(len(rows), np.int64)
        if is_word:
            n_on, height = n_on + is_on, top
        k += 1
        if is_word and (n_on == 1).all():
            # Nothing in training had another word.
            k += k < rows.shape[1] and not rows[:, k].any()
            found[start] = k
            start, n_on = k, np.zeros(len(rows), np.int64)
    return found

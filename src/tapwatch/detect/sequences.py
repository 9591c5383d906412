"""Blocks of the last rows of an entity, as models of sequences get them.

Between rooms a block is N rows with a length: so many of them, the last ones, are real. Here what
is not real is NaN in every column, in front, so that a block needs nothing beside it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Detector, Rows

if TYPE_CHECKING:
    from tapwatch.detect.preprocess import Preprocess


def rows_of_block(detector: Detector) -> int:
    """Rows of a block, N; 0 of a detector that takes single rows."""
    return detector.row_shape[0] if len(detector.row_shape) == 2 else 0


def with_absent(values: NDArray[Any], lengths: NDArray[np.int32] | None) -> NDArray[Any]:
    """Blocks (n, N, n_columns) with NaN for rows that are not real; single rows as they are."""
    if lengths is None:
        return values
    n = values.shape[1]
    is_absent = np.arange(n) < n - lengths[:, None]
    return np.where(is_absent[:, :, None], values.dtype.type(np.nan), values)


def newest(values: NDArray[Any]) -> NDArray[Any]:
    """The row that each block is of, (n, n_columns); single rows as they are."""
    return values[:, -1] if values.ndim == 3 else values


def inputs_of(preprocess: "Preprocess", values: NDArray[Any]) -> Rows:
    """Preprocess rows (n, n_schema_columns), or blocks (n, N, n_schema_columns) with NaN in them.

    Returns
    -------
    rows : float32 (n, n_inputs) or (n, N, n_inputs)
        What is absent stays NaN.
    """
    if values.ndim == 2:
        return preprocess.apply(values)
    flat = values.reshape(-1, values.shape[2])
    is_absent = np.isnan(flat).all(axis=1)
    inputs = preprocess.apply(np.where(is_absent[:, None], flat.dtype.type(0), flat))
    inputs[is_absent] = np.nan
    return inputs.reshape(*values.shape[:2], preprocess.n_inputs)

"""Rows as kernels are compiled for."""

import numpy as np

from tapwatch.detect.detector import Rows


def plain_rows(rows: Rows) -> Rows:
    """Rows (n_rows, n_columns) one after the other in memory, and as if they could be written.

    Arrays that are strided or read-only are other types to the compiler; a copy costs less than a
    second compilation.
    """
    if rows.flags.c_contiguous and rows.flags.writeable:
        return rows
    return np.array(rows, np.float32, order="C")

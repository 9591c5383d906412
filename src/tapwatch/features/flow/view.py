"""The `flow` view: one row a bidirectional flow that ended or was cut."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.flow.columns import FLOW_SCHEMA
from tapwatch.features.flow.kernel import flow_rows
from tapwatch.features.view import no_rows
from tapwatch.tables import ROW, FeatureBatch, Schema, Tally, Traffic


class FlowView:
    """The statistics of CICFlowMeter, of every flow that ended; see `columns`.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.

    Examples
    --------
    >>> from tapwatch.tables import FLOW
    >>> FlowView().finish(np.zeros(0, FLOW)).values.shape
    (0, 89)
    """

    schema: Final[Schema] = FLOW_SCHEMA

    needs_tcp_analysis: ClassVar[bool] = False

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None:
        self._dtype = dtype
        self._n_rows = 0

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Give one row for each ended flow, in the order of their release."""
        return self.finish(traffic.ended)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give one row for each flow that was open when the source ended."""
        n_rows = len(ended)
        values = np.empty((n_rows, len(self.schema.columns)), self._dtype)
        rows = np.zeros(n_rows, ROW)
        flow_rows(ended, values, rows)
        self._n_rows += n_rows
        return FeatureBatch(self.schema, values, rows)

    def close(self) -> FeatureBatch:
        """Give no rows: every flow has ended."""
        return no_rows(self.schema, self._dtype)

    def tallies(self) -> list[Tally]:
        """Rows made."""
        return [
            Tally("flow_rows_total", "counter", "Rows of the flow view", (), {(): self._n_rows})
        ]

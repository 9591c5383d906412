"""The views `afterimage` and `afterimage_115`: one row a frame, whatever became of it."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.afterimage.columns import AFTERIMAGE_115_SCHEMA, AFTERIMAGE_SCHEMA
from tapwatch.features.afterimage.kernel import afterimage_rows
from tapwatch.features.afterimage.layout import no_streams
from tapwatch.features.view import no_rows
from tapwatch.tables import ROW, FeatureBatch, Schema, Tally, Traffic


class AfterimageView:
    """Kitsune's damped statistics, as its program has them; see `columns`.

    A frame counts by what was read of it: what has no IP address is told by its MAC addresses, and
    a frame of which nothing could be read is one of the channel from 0 to 0.

    Parameters
    ----------
    dtype : float32 or float64
        Of the matrix: float32 for models, float64 for files.
    config : Config, optional
        `config.afterimage` bounds the streams, `config.flows.hash_seed` seeds their hash.

    Examples
    --------
    >>> AfterimageView().close().values.shape
    (0, 100)
    """

    schema: Schema = AFTERIMAGE_SCHEMA

    needs_tcp_analysis: ClassVar[bool] = False

    _with_h: ClassVar[bool] = False

    def __init__(
        self, dtype: type[np.floating[Any]] = np.float32, config: Config | None = None
    ) -> None:
        config = config or Config()
        self._dtype = dtype
        self._seed = np.uint64(config.flows.hash_seed)
        self._streams = no_streams(config.afterimage)
        self._n_rows = 0

    def update(self, traffic: Traffic) -> FeatureBatch:
        """Give one row for each frame, in order."""
        packets, links = traffic.packets, traffic.links
        n_rows = len(packets)
        values = np.empty((n_rows, len(self.schema.columns)), self._dtype)
        rows = np.zeros(n_rows, ROW)
        afterimage_rows(packets, links, self._streams, self._seed, self._with_h, values, rows)
        self._n_rows += n_rows
        return FeatureBatch(self.schema, values, rows)

    def finish(self, ended: NDArray[Any]) -> FeatureBatch:
        """Give no rows: no packet waits for the end."""
        return no_rows(self.schema, self._dtype)

    def close(self) -> FeatureBatch:
        """Give no rows."""
        return no_rows(self.schema, self._dtype)

    def tallies(self) -> list[Tally]:
        """Rows made, and streams that had to give way to others."""
        return [
            Tally(
                "afterimage_rows_total",
                "counter",
                "Rows of the afterimage view",
                (),
                {(): self._n_rows},
            ),
            Tally(
                "afterimage_streams_evicted_total",
                "counter",
                "Streams of the afterimage view that had to give way to others, by kind; "
                "of hh and hphp both ways at once",
                ("kind",),
                self._evicted("mi", "hh", "hphp"),
            ),
        ]

    def _evicted(self, *kinds: str) -> dict[tuple[str, ...], float]:
        tables = self._streams._asdict()
        return {(kind,): int(tables[kind].counts[0]["evicted"]) for kind in kinds}


class Afterimage115View(AfterimageView):
    """Kitsune's damped statistics, as its paper has them: with what each address sent.

    Examples
    --------
    >>> Afterimage115View().close().values.shape
    (0, 115)
    """

    schema: Schema = AFTERIMAGE_115_SCHEMA

    _with_h: ClassVar[bool] = True

    def tallies(self) -> list[Tally]:
        """Rows made, and streams that had to give way to others."""
        return [
            Tally(
                "afterimage_115_rows_total",
                "counter",
                "Rows of the afterimage_115 view",
                (),
                {(): self._n_rows},
            ),
            Tally(
                "afterimage_115_streams_evicted_total",
                "counter",
                "Streams of the afterimage_115 view that had to give way to others, by kind; "
                "of hh and hphp both ways at once",
                ("kind",),
                self._evicted("mi", "h", "hh", "hphp"),
            ),
        ]

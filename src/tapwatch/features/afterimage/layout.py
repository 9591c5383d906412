"""What is remembered of the streams of `afterimage`; columns.py has the definitions."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import AfterimageConfig
from tapwatch.features.afterimage.columns import LAMBDAS
from tapwatch.features.entities import KEY, Entities, no_entities

N_LAMBDAS: Final = len(LAMBDAS)

#: A stream that has no other way: two cache lines.
ONE_WAY: Final = np.dtype(
    [
        ("last_ts_ns", "<i8"),
        ("w", "<f8", N_LAMBDAS),
        ("ls", "<f8", N_LAMBDAS),
        ("ss", "<f8", N_LAMBDAS),
    ]
)

#: Two streams, each the other way of the other: seven cache lines. A way that has not been seen
#: weighs less than 1.
BOTH_WAYS: Final = np.dtype(
    [
        ("last_ts_ns", "<i8", 2),
        ("w", "<f8", (2, N_LAMBDAS)),
        ("ls", "<f8", (2, N_LAMBDAS)),
        ("ss", "<f8", (2, N_LAMBDAS)),
        ("residual", "<f8", (2, N_LAMBDAS)),
        ("sr", "<f8", N_LAMBDAS),
        ("n", "<f8", N_LAMBDAS),
        ("reserve", "<f8", 4),
    ]
)

#: The gaps of two such streams; their weights are those of the frames.
JITTER: Final = np.dtype([("ls", "<f8", (2, N_LAMBDAS)), ("ss", "<f8", (2, N_LAMBDAS))])

_LINE_BYTES: Final = 64


class Streams(NamedTuple):
    """All that the view remembers."""

    mi: Entities
    mi_rows: NDArray[Any]  # ONE_WAY (mi_capacity,)
    h: Entities
    h_rows: NDArray[Any]  # ONE_WAY (h_capacity,)
    hh: Entities
    hh_rows: NDArray[Any]  # BOTH_WAYS (hh_capacity,)
    jitter_rows: NDArray[Any]  # JITTER (hh_capacity,)
    hphp: Entities
    hphp_rows: NDArray[Any]  # BOTH_WAYS (hphp_capacity,)
    key: NDArray[Any]  # KEY (1,) of the stream at hand
    fade: NDArray[np.float64]  # (2, lambdas) what is left of it, and of what both ways share


def no_streams(config: AfterimageConfig) -> Streams:
    """Make the tables of a view that has seen nothing."""
    return Streams(
        no_entities(config.mi_capacity),
        _aligned_zeros(config.mi_capacity, ONE_WAY),
        no_entities(config.h_capacity),
        _aligned_zeros(config.h_capacity, ONE_WAY),
        no_entities(config.hh_capacity),
        _aligned_zeros(config.hh_capacity, BOTH_WAYS),
        _aligned_zeros(config.hh_capacity, JITTER),
        no_entities(config.hphp_capacity),
        _aligned_zeros(config.hphp_capacity, BOTH_WAYS),
        np.zeros(1, KEY),
        np.zeros((2, N_LAMBDAS)),
    )


def _aligned_zeros(n_rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    # Rows are whole cache lines, or begin where one begins; memory is touched when it is used.
    n_bytes = n_rows * dtype.itemsize
    room = np.zeros(n_bytes + _LINE_BYTES, np.uint8)
    start = -room.ctypes.data % _LINE_BYTES
    return room[start : start + n_bytes].view(dtype)

"""What detect/ and alerts/ hand on, and what every room counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.tables.rows import Schema


@dataclass(frozen=True, slots=True)
class Drift:
    """Errors have drifted, or a threshold has been looked at again; complete, as an alert is."""

    row: int  # of the Scores, the last one before it; what it changed holds from the next one on
    timestamp_ns: int  # of that row's last packet
    view: str
    detector: str
    bundle: str
    kind: Literal["drift", "recalibration"]
    what: (
        str  # of drift "level" or "tail"; else what became of the threshold, see detect/recalibrate
    )
    rows: int  # that the bundle had scored by then
    before: float  # of drift the mean before and after; else the threshold
    after: float
    threshold: float  # in force from here on
    warnings: tuple[str, ...] = ()  # of a threshold that was found again


@dataclass(frozen=True, slots=True)
class Scores:
    """What one bundle says of the rows of one FeatureBatch; flagged rows come with reasons."""

    view: str
    detector: str
    bundle: str  # the bundle's name
    schema: Schema
    columns: tuple[str, ...]  # the columns that the bundle uses, C of them
    rows: NDArray[Any]  # ROW (n_rows,)
    error: NDArray[np.float64]  # (n_rows,)
    threshold: NDArray[np.float64]  # (n_rows,) in force at that row
    p_value: NDArray[
        np.float64
    ]  # (n_rows,) conformal: share of calibration errors at least as high
    flagged: NDArray[np.bool_]  # (n_rows,)
    # (n_flagged, C) in the columns' own units; of a class the index of its word
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]  # (n_flagged, C) what the model would have expected
    share: NDArray[np.float64]  # (n_flagged, C) of the error; a row sums to 1
    drifts: tuple[Drift, ...] = ()  # in the order of their rows


@dataclass(frozen=True, slots=True)
class FeatureShare:
    """One reason of an alert, in real units."""

    name: str
    unit: str
    observed: float | str  # of a class its word
    expected: float | str
    share: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, complete: a sink needs nothing else to write it."""

    alert_id: str
    timestamp_ns: int  # of the row's last packet
    view: str
    detector: str
    bundle: str
    schema: str  # "flow/1:0123abcd"
    entity: str
    reason: str  # the column with the largest share
    error: float
    threshold: float
    p_value: float
    severity: int  # 1 (worst) to 3
    folded: int  # alerts of the same entity and reason kept back since the last one
    features: tuple[FeatureShare, ...]  # largest share first, at most 5
    src: str
    dst: str
    src_port: int
    dst_port: int
    proto: str
    vlan: int  # -1 without one
    in_iface: str
    flow_id: int  # 0 without one
    community_id: str  # "" without one
    frame_number: int  # 0 where the row is not a packet
    flow_start_ns: int
    flow_end_ns: int
    flow_packets: tuple[int, int]  # to the server, to the client
    flow_bytes: tuple[int, int]
    end_reason: str  # "" for a packet
    evidence: str | None = None  # path of the packets behind the alert


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, as a Prometheus histogram wants them."""

    edges: tuple[float, ...]  # upper bounds, ascending, without +Inf
    counts: NDArray[np.int64]  # (len(edges) + 1,) not cumulative; the last bucket is +Inf
    total: float  # sum of the observed values


@dataclass(frozen=True, slots=True)
class Tally:
    """One family of counts of a room, read at scrape time. Label values are never from the wire."""

    name: str  # without the "tapwatch_" prefix; counters end in _total
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float | Histogram]

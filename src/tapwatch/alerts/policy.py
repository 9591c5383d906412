"""Which flagged rows are told, and as what: hold-down, rate limit, severity, identity.

Everything here moves by packet time (`ROW.order_ns`) and expects rows in canonical order, so that
the same capture gives the same alerts however it was batched.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import AlertsConfig
from tapwatch.tables import Alert, Column, EndReason, FeatureShare, Names, Scores, Tally

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MIN: Final = 60 * _NS_PER_S
_MAX_FEATURES: Final = 5
_SEVERITIES: Final = (1, 2, 3)
#: IANA numbers of TCP, UDP, DCCP, SCTP and UDP-Lite: elsewhere "ports" are ICMP types or nothing.
_WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})
#: Scores whose rows are kept prepared; a settle has one for each bundle.
_PREPARED: Final = 16


class Suppressed(StrEnum):
    """Why a flagged row was not told as an alert of its own."""

    DEDUP = "dedup"
    RATELIMIT = "ratelimit"


#: Rows (ROW) in words.
Describe = Callable[[NDArray[Any]], Names]

#: Bundle, view, source, destination, responder port, position of the reason's column.
_Key = tuple[str, str, int, int, int, int, int, int]


@dataclass(slots=True)
class _Pair:
    """What is remembered of one (entity, reason)."""

    told_ns: int | None  # order_ns of its last alert; None where the rate limit kept all back
    folded: int = 0  # kept back since


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The flagged rows of one Scores, as plain Python values."""

    scores: Scores
    positions: list[int]
    order_ns: list[int]
    keys: list[_Key]


class Policy:
    """Turns flagged rows into alerts, and counts those that it keeps back.

    A pair is (bundle, view, entity, reason). After an alert, further rows of the same pair are
    folded for `hold_down_s`. A minute of packet time (counted from the epoch) has room for
    `rate_limit_per_min` alerts; what exceeds it is kept back too, and opens no hold-down. The next
    alert of the pair says in `folded` how many were kept back since the last one.

    At most `entities` pairs are remembered; the one whose last alert (or first row kept back) is
    the oldest is forgotten first, for its hold-down ends first.

    Parameters
    ----------
    config : AlertsConfig
    watched : iterable of (view, detector)
        Pairs of labels that are counted from the start, at 0.
    """

    def __init__(self, config: AlertsConfig, watched: Iterable[tuple[str, str]] = ()) -> None:
        self._hold_down_ns = round(config.hold_down_s * _NS_PER_S)
        self._rate_limit = config.rate_limit_per_min
        self._capacity = config.entities
        self._pairs: dict[_Key, _Pair] = {}
        self._minute = -1
        self._in_minute = 0
        self._prepared: dict[int, _Prepared] = {}
        self._raised: dict[tuple[str, ...], float] = {
            (view, detector, str(severity)): 0
            for view, detector in sorted(watched)
            for severity in _SEVERITIES
        }
        self._suppressed = dict.fromkeys(Suppressed, 0)
        self._told_of = 0  # rows kept back that a later alert has told of
        self._forgotten = 0

    @property
    def raised(self) -> int:
        """Alerts told so far."""
        return int(sum(self._raised.values()))

    @property
    def suppressed(self) -> dict[str, int]:
        """Flagged rows kept back so far, by reason; those never told of included."""
        return {reason.value: count for reason, count in self._suppressed.items()}

    def judge(
        self, scores: Scores, k: int, describe: Describe, interfaces: Sequence[str]
    ) -> Alert | None:
        """Judge the k-th flagged row of `scores`; rows come in canonical order.

        Parameters
        ----------
        scores : Scores
        k : int
            Among the flagged rows of `scores`.
        describe : callable
            Says rows in words; asked only for a row that is told.
        interfaces : sequence of str
            Names of the source's interfaces; a row may point past the end.

        Returns
        -------
        Alert or None
            None where the row was kept back, which is counted.
        """
        prepared = self._prepare(scores)
        folded = self._admit(prepared.keys[k], prepared.order_ns[k])
        if folded is None:
            return None
        alert = compose(scores, prepared.positions[k], k, describe, interfaces, folded)
        label = (scores.view, scores.detector, str(alert.severity))
        self._raised[label] = self._raised.get(label, 0) + 1
        return alert

    def _admit(self, key: _Key, order_ns: int) -> int | None:
        """Rows folded into the alert that `key` gets at `order_ns`; None where it gets none."""
        pair = self._pairs.get(key)
        if pair and pair.told_ns is not None and order_ns - pair.told_ns < self._hold_down_ns:
            pair.folded += 1
            self._suppressed[Suppressed.DEDUP] += 1
            return None
        minute = order_ns // _NS_PER_MIN
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        if self._in_minute >= self._rate_limit:
            pair = pair or self._remember(key, None)
            pair.folded += 1
            self._suppressed[Suppressed.RATELIMIT] += 1
            return None
        self._in_minute += 1
        folded = self._pairs.pop(key).folded if pair else 0
        self._told_of += folded
        self._remember(key, order_ns)
        return folded

    def _remember(self, key: _Key, told_ns: int | None) -> _Pair:
        if len(self._pairs) >= self._capacity:
            # A dict keeps the order of insertion, and an alert puts its pair at the end.
            del self._pairs[next(iter(self._pairs))]
            self._forgotten += 1
        pair = self._pairs[key] = _Pair(told_ns)
        return pair

    def _prepare(self, scores: Scores) -> _Prepared:
        # What is prepared holds its Scores, so that no other can have the same id.
        prepared = self._prepared.get(id(scores))
        if prepared is None:
            if len(self._prepared) >= _PREPARED:
                self._prepared.clear()
            prepared = self._prepared[id(scores)] = _prepare(scores)
        return prepared

    def tallies(self) -> list[Tally]:
        """Alerts told and kept back; every combination of labels is there from the start."""
        untold = sum(self._suppressed.values()) - self._told_of
        return [
            Tally(
                "alerts_total",
                "counter",
                "Alerts told, by severity (1 is the worst).",
                ("view", "detector", "severity"),
                self._raised.copy(),
            ),
            Tally(
                "alerts_suppressed_total",
                "counter",
                "Flagged rows that gave no alert of their own.",
                ("reason",),
                {(reason.value,): count for reason, count in self._suppressed.items()},
            ),
            Tally(
                "alerts_untold",
                "gauge",
                "Flagged rows kept back that no later alert has told of.",
                (),
                {(): untold},
            ),
            Tally(
                "alert_pairs",
                "gauge",
                "Pairs of entity and reason that the hold-down remembers.",
                (),
                {(): len(self._pairs)},
            ),
            Tally(
                "alert_pairs_forgotten_total",
                "counter",
                "Pairs of entity and reason forgotten for want of room.",
                (),
                {(): self._forgotten},
            ),
        ]


def _prepare(scores: Scores) -> _Prepared:
    positions = np.flatnonzero(scores.flagged)
    rows = scores.rows[positions]
    backward = rows["direction"] == 1
    ends = [
        np.where(backward, rows[theirs], rows[ours])
        for ours, theirs in (
            ("src_hi", "dst_hi"),
            ("src_lo", "dst_lo"),
            ("dst_hi", "src_hi"),
            ("dst_lo", "src_lo"),
        )
    ]
    ports = _responder_ports(rows)
    if scores.view == "host":  # the other end is not part of who it is about
        ends[2:] = [np.zeros_like(rows["dst_hi"])] * 2
        ports = np.zeros_like(ports)
    reasons = _clean(scores.share).argmax(axis=1) if len(rows) else positions
    columns = [column.tolist() for column in (*ends, ports, reasons)]
    keys = [(scores.bundle, scores.view, *who) for who in zip(*columns, strict=True)]
    return _Prepared(scores, positions.tolist(), rows["order_ns"].tolist(), keys)


def _responder_ports(rows: NDArray[Any]) -> NDArray[Any]:
    ports = np.where(rows["direction"] == 1, rows["src_port"], rows["dst_port"])
    return np.where(np.isin(rows["proto"], list(_WITH_PORTS)), ports, 0)


def _clean(share: NDArray[np.float64]) -> NDArray[np.float64]:
    # A share that is no number explains nothing; without this, argmax would pick it.
    return np.where(np.isfinite(share), share, 0.0)


def severity_of(error: float, threshold: float) -> int:
    """3 below twice the threshold, 2 below ten times, 1 above (and where there is no ratio)."""
    if error < 2 * threshold:
        return 3
    return 2 if error < 10 * threshold else 1


def entity_of(view: str, row: Any, src: str, dst: str) -> str:
    """Who a row is about, in words.

    The host for `host`; else the flow's ends as "initiator > responder:port", the port only where
    the protocol has one and it is not 0, an IPv6 address beside a port in brackets.
    """
    if view == "host":
        return src
    port = int(row["dst_port"])
    if row["direction"] == 1:
        src, dst, port = dst, src, int(row["src_port"])
    if int(row["proto"]) not in _WITH_PORTS or port == 0:
        return f"{src} > {dst}"
    return f"{src} > [{dst}]:{port}" if ":" in dst else f"{src} > {dst}:{port}"


def identify(scores: Scores, row: Any) -> str:
    """16 hexadecimal digits that name an alert: bundle, view and row; the same in every replay."""
    what = (
        scores.bundle,
        scores.schema.digest,
        scores.view,
        scores.detector,
        *(int(row[field]) for field in ("frame_number", "flow_id", "first_ts_ns", "last_ts_ns")),
        *(int(row[field]) for field in ("src_hi", "src_lo")),
        # Windows that overlap may hold the same packets of a host.
        *((int(row["order_ns"]),) if scores.view == "host" else ()),
    )
    return hashlib.blake2b("\0".join(map(str, what)).encode(), digest_size=8).hexdigest()


def compose(
    scores: Scores,
    position: int,
    k: int,
    describe: Describe,
    interfaces: Sequence[str],
    folded: int,
) -> Alert:
    """Everything that a sink needs of row `position`, the k-th flagged one."""
    row = scores.rows[position]
    names = describe(scores.rows[position : position + 1])
    error, threshold = float(scores.error[position]), float(scores.threshold[position])
    features = _explain(scores, k)
    ports = int(row["proto"]) in _WITH_PORTS
    interface = int(row["interface"])
    is_packet = int(row["frame_number"]) > 0
    is_flow = bool(row["is_flow"])
    first_ns = int(row["flow_first_ts_ns"] if is_flow and is_packet else row["first_ts_ns"])
    return Alert(
        alert_id=identify(scores, row),
        timestamp_ns=int(row["last_ts_ns"]),
        view=scores.view,
        detector=scores.detector,
        bundle=scores.bundle,
        schema=f"{scores.schema.view}/{scores.schema.version}:{scores.schema.digest[:8]}",
        entity=entity_of(scores.view, row, names.src[0], names.dst[0]),
        reason=features[0].name if features else "",
        error=error,
        threshold=threshold,
        p_value=float(scores.p_value[position]),
        severity=severity_of(error, threshold),
        folded=folded,
        features=features,
        src=names.src[0],
        dst=names.dst[0],
        src_port=int(row["src_port"]) if ports else 0,
        dst_port=int(row["dst_port"]) if ports else 0,
        # A host's row is of all protocols.
        proto="" if scores.view == "host" else names.proto[0],
        vlan=int(row["vlan"]),
        in_iface=interfaces[interface] if interface < len(interfaces) else "",
        flow_id=int(row["flow_id"]) if is_flow else 0,
        community_id=names.community_id[0],
        frame_number=int(row["frame_number"]),
        flow_start_ns=first_ns,
        flow_end_ns=int(row["last_ts_ns"]),
        flow_packets=(int(row["packets"][0]), int(row["packets"][1])),
        flow_bytes=(int(row["bytes"][0]), int(row["bytes"][1])),
        end_reason="" if is_packet else EndReason(int(row["end_reason"])).name.lower(),
    )


def _explain(scores: Scores, k: int) -> tuple[FeatureShare, ...]:
    """The columns with the largest shares; of equal ones the earlier column comes first."""
    columns = {column.name: column for column in scores.schema.columns}
    share = _clean(scores.share[k])
    features = []
    for i in np.argsort(-share, kind="stable")[:_MAX_FEATURES]:
        column = columns[scores.columns[i]]
        features.append(
            FeatureShare(
                name=column.name,
                unit=column.unit,
                observed=_in_words(column, float(scores.observed[k, i])),
                expected=_in_words(column, float(scores.expected[k, i])),
                share=float(share[i]),
            )
        )
    return tuple(features)


def _in_words(column: Column, value: float) -> float | str:
    """A class is told by its word, any other value as it is."""
    is_word = value.is_integer() and 0 <= value < len(column.categories)
    return column.categories[int(value)] if is_word else value

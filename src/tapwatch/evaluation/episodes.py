"""Alerts held against episodes: which were found, how soon, and which alerts were false.

An alert belongs to an episode when

- its row overlaps the episode in time: a flow from its first to its last packet, a packet at its
  own time; and
- its addresses are the episode's: every address that the episode names is one of the alert's two
  (an alert about a single host needs to be about one of those that the episode names); and
- the ports agree, where the episode names one and the alert has any.

An episode is found when an alert belongs to it. Time to alert counts from the episode's first
packet to the timestamp of the first such alert. An alert of no episode is false.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tapwatch.alerts import eve
from tapwatch.evaluation.truth import Episode, TruthError, normal_address
from tapwatch.tables import Alert

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an evaluation needs of an alert; times in µs, as alerts are written."""

    alert_id: str
    timestamp_us: int
    start_us: int  # of the row, with end_us
    end_us: int
    addresses: frozenset[str]
    ports: frozenset[int]
    model: str  # "view/detector"
    reason: str
    entity: str
    severity: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one episode."""

    episode: Episode
    alerts: tuple[Sighting, ...]  # in the order of time

    @property
    def is_found(self) -> bool:
        """True with at least one alert."""
        return bool(self.alerts)

    @property
    def time_to_alert_s(self) -> float | None:
        """From the first packet of the episode to the first alert; None where it was missed."""
        if not self.alerts:
            return None
        return max(0, self.alerts[0].timestamp_us - self.episode.start_ns // 1000) / 1e6


@dataclass(frozen=True, slots=True)
class Result:
    """The whole comparison."""

    findings: tuple[Finding, ...]  # in the order of the truth file
    false_alerts: tuple[Sighting, ...]
    n_alerts: int
    hours: float | None  # of traffic; None where it is not known

    @property
    def n_found(self) -> int:
        """Episodes with at least one alert."""
        return sum(finding.is_found for finding in self.findings)

    @property
    def false_per_hour(self) -> float | None:
        """False alerts an hour of traffic; None where there is no duration to divide by."""
        return len(self.false_alerts) / self.hours if self.hours else None


def hold_against(
    episodes: Sequence[Episode], sightings: Iterable[Sighting], hours: float | None
) -> Result:
    """Compare alerts with the truth; an alert may belong to several episodes."""
    ordered = sorted(sightings, key=lambda s: (s.timestamp_us, s.alert_id))
    findings = tuple(
        Finding(episode, tuple(s for s in ordered if belongs(s, episode))) for episode in episodes
    )
    explained = {s for finding in findings for s in finding.alerts}
    false_alerts = tuple(s for s in ordered if s not in explained)
    return Result(findings, false_alerts, len(ordered), hours)


def belongs(sighting: Sighting, episode: Episode) -> bool:
    """Whether an alert is one of this episode's."""
    # Alerts are written to the microsecond below: compare in microseconds.
    if sighting.end_us < episode.start_ns // 1000 or sighting.start_us > episode.end_ns // 1000:
        return False
    named = episode.addresses
    if len(sighting.addresses) < 2 and named:
        meets = bool(sighting.addresses & named)
    else:
        meets = named <= sighting.addresses
    if not meets:
        return False
    both_have_ports = episode.dst_port is not None and sighting.ports
    return not both_have_ports or episode.dst_port in sighting.ports


def sighting_of(alert: Alert) -> Sighting:
    """An alert as its written form tells it."""
    return _sighting(eve.document(alert))


def read_alerts(path: Path) -> list[Sighting]:
    """Read alerts that tapwatch has written; other events of an EVE file are passed over.

    Raises
    ------
    TruthError
        The file cannot be read, or a line is no alert of ours.
    """
    sightings = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    sightings += _parsed(f"{path}:{number}", line)
    except (OSError, UnicodeDecodeError) as error:
        raise TruthError(f"{path}: cannot be read: {error}") from error
    return sightings


def _parsed(where: str, line: str) -> list[Sighting]:
    try:
        document = json.loads(line)
        if document["event_type"] != "alert" or "tapwatch" not in document:
            return []
        return [_sighting(document)]
    # Python reads "Infinity" as a number, of which there is no integer: OverflowError.
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise TruthError(
            f"{where}: want an alert as tapwatch writes it, one JSON object a line "
            f"({type(e).__name__}: {e})"
        ) from e


def _sighting(document: dict[str, Any]) -> Sighting:
    ours = document["tapwatch"]
    moment_us = _microseconds(document["timestamp"])
    flow = document.get("flow", {})
    # Only an ended flow says when it ended; a packet's row is that packet.
    is_flow = "end" in flow
    ends = [document.get(key) for key in ("src_ip", "dest_ip")]
    ends += document.get("ether", {}).values()
    ports = [document.get(key) for key in ("src_port", "dest_port")]
    return Sighting(
        alert_id=ours["alert_id"],
        timestamp_us=moment_us,
        start_us=_microseconds(flow["start"]) if is_flow else moment_us,
        end_us=_microseconds(flow["end"]) if is_flow else moment_us,
        addresses=frozenset(normal_address(end) for end in ends if end is not None),
        ports=frozenset(int(port) for port in ports if port is not None),
        model=f"{ours['view']}/{ours['detector']}",
        reason=ours["reason"],
        entity=ours["entity"],
        severity=int(document["alert"]["severity"]),
    )


def _microseconds(text: str) -> int:
    return (datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") - _EPOCH) // _US

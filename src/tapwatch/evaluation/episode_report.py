"""The result of an evaluation: as a table for people, as JSON for programs."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapwatch.alerts.console import printable
from tapwatch.alerts.eve import number, timestamp
from tapwatch.evaluation.episodes import Finding, Result, Sighting

_MAX_FALSE: Final = 10


def as_json(result: Result, about: Mapping[str, Any]) -> dict[str, Any]:
    """The result as one JSON object, what it is about first; the same result, the same bytes."""
    return {
        "schema": 1,
        **about,
        "episodes": [_finding_json(finding) for finding in result.findings],
        "found": result.n_found,
        "missed": [f.episode.name for f in result.findings if not f.is_found],
        "alerts": result.n_alerts,
        "false_alerts": [_sighting_json(sighting) for sighting in result.false_alerts],
        "hours": None if result.hours is None else number(result.hours),
        "false_alerts_per_hour": (
            None if result.false_per_hour is None else number(result.false_per_hour)
        ),
    }


def render(result: Result, console: Console) -> None:
    """Print every episode, then the false alerts, then both in one line each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("episode", "kind", ""):
        table.add_column(heading, overflow="fold")
    for heading in ("after", "alerts"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("first by", overflow="fold")
    for finding in result.findings:
        table.add_row(*_cells(finding))
    console.print(table)
    total = len(result.findings)
    share = result.n_found / total if total else 0.0
    console.print(Text(f"{result.n_found} of {total} episodes found ({share:.0%})"))
    rate = result.false_per_hour
    told = f" in {result.hours:.3g} h ({rate:.3g} an hour)" if rate is not None else ""
    n_false = len(result.false_alerts)
    console.print(Text(f"{n_false} of {result.n_alerts} alerts belong to no episode{told}"))
    for sighting in result.false_alerts[:_MAX_FALSE]:
        moment = timestamp(sighting.timestamp_us * 1000)[11:23]
        what = f"  {moment}  {sighting.entity}  {sighting.model}  {sighting.reason}"
        console.print(Text(printable(what)))
    if n_false > _MAX_FALSE:
        console.print(Text(f"  ... and {n_false - _MAX_FALSE} more"))


def _cells(finding: Finding) -> list[Text]:
    episode, after_s = finding.episode, finding.time_to_alert_s
    name, kind = Text(printable(episode.name)), Text(printable(episode.kind))
    if after_s is None:
        return [name, kind, Text("missed", style="bold red"), Text(""), Text("0"), Text("")]
    first = finding.alerts[0]
    return [
        name,
        kind,
        Text("found", style="green"),
        Text(f"{after_s:.1f} s"),
        Text(str(len(finding.alerts))),
        Text(printable(f"{first.model} {first.reason}")),
    ]


def _finding_json(finding: Finding) -> dict[str, Any]:
    first = finding.alerts[0] if finding.alerts else None
    after_s = finding.time_to_alert_s
    return {
        "episode": finding.episode.name,
        "kind": finding.episode.kind,
        "found": finding.is_found,
        "time_to_alert_s": None if after_s is None else number(after_s),
        "alerts": len(finding.alerts),
        "alerts_by_model": dict(sorted(Counter(s.model for s in finding.alerts).items())),
        "first_alert": _sighting_json(first) if first else None,
    }


def _sighting_json(sighting: Sighting) -> dict[str, Any]:
    return {
        "alert_id": sighting.alert_id,
        "timestamp": timestamp(sighting.timestamp_us * 1000),
        "model": sighting.model,
        "reason": sighting.reason,
        "entity": sighting.entity,
        "severity": sighting.severity,
    }

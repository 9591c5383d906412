"""The status page: what a person wants to see first, in plain HTML that loads nothing."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from tapwatch import __version__
from tapwatch.tables import Histogram
from tapwatch.telemetry.collector import PREFIX, Snapshot

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin-bottom:1.5rem}"
    "td{padding:.15rem .5rem;border-top:1px solid #8884;vertical-align:top}"
    "td+td{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "h2{font-size:1.1rem;margin:1.2rem 0 .3rem}.bad{color:#b00020;font-weight:600}"
)
#: Heading, and how the names of its metrics begin.
_SECTIONS: Final = (
    ("Capture", ("capture_",)),
    ("Flow table", ("flow_",)),
    ("Bundles", ("model_", "threshold", "scored_rows")),
    ("Alerts", ("alert",)),
)


def page(snapshot: Snapshot, up_s: float, *, is_ready: bool) -> str:
    """The whole page; every string in it is escaped."""
    state = "ready" if is_ready else '<span class="bad">not ready</span>'
    parts = [
        f"<p>version {escape(__version__)}, up {_duration(up_s)}, {state}; "
        '<a href="/metrics">metrics</a></p>'
    ]
    status = snapshot.status or {}
    if status.get("ledger_balanced") is False:
        parts.append('<p class="bad">The packet ledger does not balance.</p>')
    if status:
        parts.append(_table("Ledger", list(_flat(status))))
    for heading, beginnings in _SECTIONS:
        parts.append(_table(heading, list(_series(snapshot, beginnings))))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>tapwatch</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>tapwatch</h1>\n" + "\n".join(parts) + "\n"
        "</body></html>\n"
    )


def _flat(status: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in status.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _series(snapshot: Snapshot, beginnings: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    for tally in snapshot.families:
        if not tally.name.startswith(beginnings):
            continue
        for labels, value in tally.values.items():
            if not isinstance(value, Histogram):
                pairs = zip(tally.labels, labels, strict=True)
                told = ", ".join(f"{name}={label}" for name, label in pairs)
                yield f"{PREFIX}{tally.name}" + (f" {{{told}}}" if told else ""), value


def _table(heading: str, rows: list[tuple[str, object]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{_value(value)}</td></tr>" for name, value in rows
    )
    return f"<h2>{escape(heading)}</h2><table>{body}</table>"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else '<span class="bad">no</span>'
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _duration(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{h:02}:{m:02}:{s:02}"

"""Alerts as a table that people read: who, how unusual, and which features made it so.

Strings from the wire are hostile. They reach the terminal only as plain text: no markup, and what
is not printable is written out as an escape.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapwatch.alerts import eve
from tapwatch.tables import Alert, FeatureShare

_BAR_CELLS: Final = 8
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_INDENT: Final = 1
_MAX_FEATURES: Final = 3
_HEADINGS: Final = ("", "share", "of the error, by feature", "observed", "expected")
_NAMES: Final = {1: ("high", "bold red"), 2: ("medium", "yellow"), 3: ("low", "cyan")}
_SCALES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def render(alerts: Sequence[Alert], console: Console, limit: int = 20) -> None:
    """Print the most unusual alerts first, and how many more there are.

    Alerts of one initiator, model and reason share a paragraph, for a scan of a hundred ports is
    one thing to its reader; the features shown are those of the most unusual among them.

    Parameters
    ----------
    alerts : sequence of Alert
    console : Console
        Colours and line drawing follow what it can do.
    limit : int
        Paragraphs shown.
    """
    if not alerts:
        console.print(Text("no alerts"))
        return
    ascii_only = not console.encoding.lower().startswith("utf")
    alike = _alike(alerts)
    console.print(_grid([_HEADINGS], "dim"))
    for group in alike[:limit]:
        console.print(_heading(group), overflow="fold")
        told = group[0].features[:_MAX_FEATURES]
        console.print(_grid([_cells(feature, ascii_only) for feature in told]))
    if rest := sum(map(len, alike[limit:])):
        console.print(Text(f"... and {rest} more"))


def printable(text: str) -> str:
    """The text with everything that a terminal might obey written out.

    Examples
    --------
    >>> print(printable("a\\x1b[2Jb\\u202e"))
    a\\x1b[2Jb\\u202e
    """
    return "".join(
        c
        if c.isprintable()
        else c.encode("ascii", "backslashreplace").decode("ascii")
        if ord(c) > 0x7F
        else f"\\x{ord(c):02x}"
        for c in text
    )


def quantity(value: float | str, unit: str) -> str:
    """A value for people: four digits, thousands by letter, the unit behind it; or a class's word.

    Examples
    --------
    >>> quantity(29_200, "B"), quantity(1_500_000, "us"), quantity(0.5, "1")
    ('29.2 kB', '1.5 s', '0.5')
    """
    if isinstance(value, str):
        return value
    if unit == "us":
        for scale, name in ((1e6, "s"), (1e3, "ms")):
            if abs(value) >= scale:
                return f"{value / scale:.4g} {name}"
    shown = "" if unit == "1" else unit
    for scale, letter in _SCALES:
        if abs(value) >= 10 * scale:
            return f"{value / scale:.4g} {letter}{shown}".rstrip()
    return f"{value:.4g} {shown}".rstrip()


def bar(share: float, *, ascii_only: bool = False) -> str:
    """A share of 1 as a bar of eight cells."""
    eighths = round(min(max(share, 0.0), 1.0) * _BAR_CELLS * 8)
    if ascii_only:
        return ("#" * round(eighths / 8)).ljust(_BAR_CELLS)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(_BAR_CELLS)


def _rank(alert: Alert) -> tuple[int, float, int, str]:
    return alert.severity, -_ratio(alert), alert.timestamp_ns, alert.alert_id


def _ratio(alert: Alert) -> float:
    return alert.error / alert.threshold if alert.threshold else float("inf")


def _alike(alerts: Sequence[Alert]) -> list[list[Alert]]:
    """Alerts by initiator, model and reason; the most unusual first, of groups and within them."""
    groups: dict[tuple[str, ...], list[Alert]] = {}
    for alert in sorted(alerts, key=_rank):
        key = (_ends(alert)[0], alert.view, alert.detector, alert.bundle, alert.reason)
        groups.setdefault(key, []).append(alert)
    return list(groups.values())


def _ends(alert: Alert) -> tuple[str, str, int]:
    """Initiator, the other end and its port."""
    initiator = alert.entity.partition(" > ")[0]
    if initiator == alert.dst != alert.src:
        return initiator, alert.src, alert.src_port
    return initiator, alert.dst, alert.dst_port


def _who(group: Sequence[Alert]) -> str:
    hosts, ports = ({_ends(alert)[i] for alert in group} for i in (1, 2))
    initiator, host, _ = _ends(group[0])
    if group[0].view == "host" or len(hosts) == len(ports) == 1:
        return group[0].entity
    if len(hosts) == 1:
        return f"{initiator} > {host}, {len(ports)} ports"
    return f"{initiator} > {len(hosts)} hosts"


def _heading(group: Sequence[Alert]) -> Text:
    """How unusual, who, what and when; the time of day is enough, the date is in the file."""
    worst = group[0]
    name, style = _NAMES[worst.severity]
    text = Text(f"{name:<6} x{_ratio(worst):.4g}", style=style)
    text.append(f"  {printable(_who(group))}", style="bold default")
    text.append(
        printable(f"  {worst.proto} {worst.view}/{worst.detector}"), style="not bold default"
    )
    text.append(f"  {_when(group)}", style="not bold default")
    text.append(f"  {_how_many(group)}".rstrip(), style="not bold default")
    return text


def _when(group: Sequence[Alert]) -> str:
    first, last = (pick(alert.timestamp_ns for alert in group) for pick in (min, max))
    begin, end = (eve.timestamp(ts_ns)[11:19] for ts_ns in (first, last))
    return begin if begin == end else f"{begin} to {end}"


def _how_many(group: Sequence[Alert]) -> str:
    n_folded = sum(alert.folded for alert in group)
    alerts = f"{len(group)} alerts" if len(group) > 1 else ""
    folded = f"{n_folded} folded" if n_folded else ""
    return ", ".join(part for part in (alerts, folded) if part)


def _cells(feature: FeatureShare, ascii_only: bool) -> tuple[str, ...]:
    return (
        bar(feature.share, ascii_only=ascii_only),
        f"{feature.share:.0%}",
        printable(feature.name),
        printable(quantity(feature.observed, feature.unit)),
        printable(quantity(feature.expected, feature.unit)),
    )


def _grid(rows: Sequence[tuple[str, ...]], style: str = "") -> Table:
    """Rows of features; fixed widths, so that the columns of all alerts stand under each other."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=_INDENT)
    grid.add_column(width=_BAR_CELLS, style="magenta")
    grid.add_column(width=5, justify="right")
    grid.add_column(width=28, overflow="fold")
    grid.add_column(width=12, justify="right", overflow="fold")
    grid.add_column(width=12, justify="right", overflow="fold")
    for row in rows:
        grid.add_row("", *(Text(cell, style=style) for cell in row))
    return grid

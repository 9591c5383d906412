"""The summary of a run as a table: where every packet went."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: What is told beside the packets, where it is not 0; the last two are of live taps only.
_BESIDE = ("dropped", "filtered", "truncated_files", "skipped_files", "loopback_copies", "unread")


def render_ledger(summary: Mapping[str, Any], console: Console) -> None:
    """Print the ledger; counts that are 0 are left out, but never the totals."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    for row in _rows(summary):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    seconds = summary["seconds"]
    console.print(
        Text(
            f"{seconds['captured']:,.1f} s of traffic in {seconds['wall']:.1f} s "
            f"({seconds['cpu']:.1f} CPU-s), {summary['packets_per_second']:,.0f} packets/s"
        )
    )
    if summary["ledger_balanced"]:
        console.print(Text("The ledger balances: every packet is accounted for.", style="green"))
    else:
        console.print(Text("THE LEDGER DOES NOT BALANCE.", style="bold red"))


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    capture, flows, alerts = summary["capture"], summary["flows"], summary["alerts"]
    lost = {name: capture.get(name, 0) for name in _BESIDE}
    yield "packets", f"{capture['packets']:,}", f"{capture['bytes']:,} bytes{_more(lost)}"
    decode = summary["decode"]
    others = {status: n for status, n in decode.items() if status != "ok"}
    yield "decoded", f"{decode['ok']:,}", _only(others) or "all of them"
    beside = f"packets; {flows['not_flow_packets']:,} of no flow"
    yield "in flows", f"{flows['packets']:,}", beside
    yield "flows", f"{flows['created']:,}", f"ended: {_only(flows['ended']) or 'none'}"
    for view, counts in summary["views"].items():
        yield (
            f"{view} rows",
            f"{counts['rows']:,}",
            f"{counts['scored']:,} scored" + _more(counts["shed"]),
        )
    yield "alerts", f"{alerts['raised']:,}", f"kept back: {_only(alerts['suppressed']) or 'none'}"


def _only(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items() if n)


def _more(counts: Mapping[str, int]) -> str:
    text = _only(counts)
    return f"; {text}" if text else ""

"""The ledger: what became of every packet, flow and row, and whether the books balance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ViewCounts:
    """One line of the ledger: what became of the rows of a view."""

    rows: int = 0
    scored: int = 0
    held: int = 0  # wait for the micro-batch to fill; 0 at the end
    shed: dict[str, int] = field(default_factory=dict)


def imbalances(summary: Mapping[str, Any]) -> list[str]:
    """The equations of the ledger that a summary breaks, in words; none where it balances."""
    capture, decode, flows = summary["capture"], summary["decode"], summary["flows"]
    equations = {
        "capture.packets = filtered + sum(decode)": (
            capture["packets"],
            capture["filtered"] + sum(decode.values()),
        ),
        "decode.ok = flows.packets + not_flow_packets": (
            decode["ok"],
            flows["packets"] + flows["not_flow_packets"],
        ),
        "flows.created = open + sum(ended)": (
            flows["created"],
            flows["open"] + sum(flows["ended"].values()),
        ),
    }
    if "kernel_packets" in capture:
        names = ("packets", "dropped", "loopback_copies", "unread")
        equations["capture.kernel_packets = " + " + ".join(names)] = (
            capture["kernel_packets"],
            sum(capture[name] for name in names),
        )
    for view, counts in summary["views"].items():
        accounted = counts["scored"] + counts["held"] + sum(counts["shed"].values())
        equations[f"{view}.rows = scored + held + sum(shed)"] = (counts["rows"], accounted)
    for name, counts in summary.get("shadow", {}).items():
        scored = summary["views"][counts["view"]]["scored"]
        equations[f"shadow {name}.rows = {counts['view']}.scored"] = (counts["rows"], scored)
    return [f"{text}: {a:,} is not {b:,}" for text, (a, b) in equations.items() if a != b]

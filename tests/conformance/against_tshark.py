"""The expected rows of the packet view against tshark's fields of the same golden captures."""

import csv
from functools import cache
from typing import Final

from tests.conformance import golden
from tests.conformance.agreement import Agreement
from tests.conformance.captures import GOLDEN

#: Why a value differs -> in words, for docs/conformance.md.
REASONS: Final = {
    "clock": "the clock of the capture goes back: tshark's delta is negative, or counts from the "
    "late frame; here time counts from the latest frame before, and is never below 0",
    "IPv6 header": "tshark has no field for the length of all IPv6 headers",
    "fragment": "`tcp.len` of a first fragment, which tshark leaves out",
    "UDP-Lite": "tshark shows it with the fields of UDP, and the label UDP-Lite",
    "IPv6 chain": "extension headers that tshark does not go behind: HIP, Shim6, a second fragment "
    "header; or a jumbogram without its option",
    "window option": "a scale outside a SYN: tshark reads the window before the options",
    "authentication": "IPv4's authentication header is a header here, and what is behind it counts",
    "inside": "the header of an inner packet, where the outer one has no such field",
    "label": "labels that are not in our list, or come from the inside of a tunnel",
}
#: Labels of tshark that are not in our list, or that it takes from the inside.
_LABELS: Final = ("GRE", "IPv6", "IPv4", "UDP", "Inverse ARP")
#: Columns of the headers capture whose frames by hand differ: frame -> why.
_FRAMES: Final = {
    2: "window option",
    7: "UDP-Lite",
    8: "UDP-Lite",
    15: "authentication",
    16: "authentication",
    18: "IPv6 chain",
    28: "IPv6 chain",
    31: "IPv6 chain",
    32: "IPv6 chain",
}


@cache
def compared() -> Agreement:
    """Every value of every frame that both have."""
    told = Agreement("tshark 4.0.17", "values of the golden captures")
    for name, one in GOLDEN.items():
        if "packet" not in one.views or not one.has_tshark:
            continue
        ours, theirs = (_rows(f"{name}.{whose}.csv") for whose in ("packet", "tshark"))
        assert len(ours) == len(theirs), name
        for mine, its in zip(ours, theirs, strict=True):
            for column, value in its.items():
                reason = _reason(name, column, mine, value)
                if reason:
                    told.counts[reason] += 1
                else:
                    words = f"{name} {its['frame_number']} {column}: {value!r}"
                    told.unexplained.append(f"{words}; here {mine[column]}")
    return told


def _rows(name: str) -> list[dict[str, str]]:
    with (golden.FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def _reason(capture: str, column: str, mine: dict[str, str], value: str) -> str:
    if _is_same(column, mine[column], value):
        return "equal"
    rules = {
        "clock": column.endswith("time_delta") and capture == "flow_statistics",
        "fragment": column == "tcp_len" and capture == "tcp_analysis" and not value,
        _FRAMES.get(int(mine["frame_number"]), ""): capture == "headers",
        "IPv6 header": column == "ip_hdr_len" and mine["ipv6"] == "1" and not value,
        "inside": column == "udp_length" and mine["udp"] == "0",
        "label": column == "protocol" and (value.startswith("0x") or value in _LABELS),
    }
    return next((reason for reason, fits in rules.items() if reason and fits), "")


def _is_same(column: str, mine: str, value: str) -> bool:
    if column == "protocol":
        return mine == value
    if value in ("True", "False"):
        value = str(int(value == "True"))
    return abs(float(mine) - float(value or 0)) < 1e-9

"""What tshark says of a capture: columns of the packet view that are its fields, and its export."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from tapwatch.features.catalog import schema_of
from tests.flows.segments import TSHARK_OPTIONS

VERSION: Final = "4.0.17"
#: Columns of the packet view that IPv6 has under other names: the second field where the first is
#: not there.
_OF_IPV6: Final = {
    "ip_ttl": "ipv6.hlim",
    "ip_dsfield": "ipv6.tclass",
    "ip_len": "ipv6.plen",
    "ip_frag_offset": "ipv6.fraghdr.offset",
    "ip_flags_mf": "ipv6.fraghdr.more",
    "icmp_type": "icmpv6.type",
    "icmp_code": "icmpv6.code",
}
_RENAMED: Final = {
    "protocol": "_ws.col.Protocol",
    "ip_flags_df": "ip.flags.df",
    "ip_flags_mf": "ip.flags.mf",
}
#: What tshark counts in units of eight bytes.
_IN_EIGHTS: Final = "ip_frag_offset"
_IPV6_HEADER_BYTES: Final = 40


@cache
def found() -> str:
    """Version of the tshark that is installed, or "none"."""
    path = shutil.which("tshark")
    if path is None:
        return "none"
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return told.split()[2].rstrip(".")


def is_ours() -> bool:
    """Whether it is the version whose answers are kept."""
    return found() == VERSION


def fields() -> dict[str, str]:
    """Column of the packet view -> tshark's field."""
    chosen = {}
    for column in schema_of("packet").columns:
        if column.name in _RENAMED:
            chosen[column.name] = _RENAMED[column.name]
        elif column.name.startswith("tcp_flags_"):
            chosen[column.name] = column.original
        elif column.source.startswith("Wireshark "):
            chosen[column.name] = column.source.removeprefix("Wireshark ").split(",")[0]
    return chosen


def run(path: Path, *options: str) -> str:
    """tshark's standard output for a capture, each frame for itself."""
    command = [shutil.which("tshark") or "tshark", "-r", str(path), *TSHARK_OPTIONS, *options]
    environment = os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, check=True, timeout=300, env=environment)
    return done.stdout.decode()


def columns_of(path: Path) -> str:
    """CSV of tshark's fields under our names and in our units; empty where it has none.

    A mark that is there is 1.
    """
    mine, others = fields(), list(_OF_IPV6)
    asked = ["frame.number", *mine.values(), *_OF_IPV6.values()]
    options = [x for field in asked for x in ("-e", field)]
    told = run(path, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f", *options)
    lines = [",".join(("frame_number", *mine))]
    for line in told.splitlines():
        number, *values = line.split("\t")
        of_ipv6 = dict(zip(others, values[len(mine) :], strict=True))
        row = dict(zip(mine, values, strict=False))
        words = [_in_our_units(name, row[name], of_ipv6.get(name, "")) for name in mine]
        lines.append(",".join((number, *words)))
    return "\n".join(lines) + "\n"


def _in_our_units(name: str, value: str, of_ipv6: str) -> str:
    if name == "protocol":
        return value
    if not value and of_ipv6 and name == "ip_len":
        return str(int(of_ipv6) + _IPV6_HEADER_BYTES)
    value = value or of_ipv6
    if name.startswith(("tcp_analysis", "arp_duplicate")):
        return "1" if value else ""
    if value.startswith("0x"):
        value = str(int(value, 16))
    return str(8 * int(value)) if name == _IN_EIGHTS and value else value


def export_of(path: Path) -> bytes:
    """The list of packets as Wireshark exports it."""
    names = ("No.", "Time", "Source", "Destination", "Protocol", "Length", "Info")
    shown = [("%m",), ("%t",), ("%s",), ("%d",), ("%p",), ("%L",), ("%i",)]
    layout = ",".join(f'"{name}","{code}"' for name, (code,) in zip(names, shown, strict=True))
    asked = [x for name in names for x in ("-e", f"_ws.col.{name}")]
    options = ("-o", f"gui.column.format:{layout}", "-T", "fields", "-E", "separator=,")
    told = run(path, *options, "-E", "quote=d", "-E", "occurrence=f", *asked)
    head = ",".join(f'"{name}"' for name in names)
    return (head + "\n" + told).encode()

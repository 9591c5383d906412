"""Compare two CSV files of rows: python -m tests.conformance.compare EXPECTED.csv FOUND.csv

Needs nothing but Python. Columns go by name; those that FOUND has not are told and left out. Rows
are found by who and when they are: the columns of WHO that both files have.
"""

import csv
import math
import sys
from collections import defaultdict
from pathlib import Path

#: Who and when a row is.
WHO = (
    "frame_number",
    "order_ns",
    "first_ts_ns",
    "last_ts_ns",
    "src",
    "dst",
    "src_port",
    "dst_port",
)
WHO = (*WHO, "proto", "vlan")
#: A float may differ by this much of its value, or this much in its unit.
RELATIVE, ABSOLUTE = 1e-9, 1e-9

Rows = dict[tuple[str, ...], list[dict[str, str]]]


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Names of the columns, and the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return list(reader.fieldnames or ()), rows


def is_same(name: str, expected: str, found: str, row: dict[str, str]) -> bool:
    """Words and whole numbers exactly, floats within the tolerance."""
    if expected == found:
        return True
    try:
        a, b = float(expected), float(found)
    except ValueError:
        return False
    if name.endswith("port_entropy"):
        # Ports fall into 32 classes, so a program may be below the entropy of all of them.
        return 0.0 <= b <= a + ABSOLUTE
    if "." not in expected + found and "e" not in expected + found:
        return False
    relative, least = tolerance(name, row)
    return math.isclose(a, b, rel_tol=relative, abs_tol=least)


def tolerance(name: str, row: dict[str, str]) -> tuple[float, float]:
    """Relative and absolute; a spread of equal values is the rounding of their mean's square."""
    stem, _, kind = name.rpartition("_")
    if kind in ("std", "var") and f"{stem}_max" in row:
        largest = float(row[f"{stem}_max"])
        return RELATIVE, 1e-6 * largest if kind == "std" else 1e-12 * largest**2
    if kind in ("var", "radius", "cov", "pcc") and f"{stem}_mean" in row:
        # Differences of squares, by frame lengths: see docs/conformance.md, afterimage.
        mean = float(row[f"{stem}_mean"])
        return 1e-6, 1e-6 if kind == "pcc" else 1e-6 * max(1.0, mean**2)
    if name == "dns_name_entropy":
        return RELATIVE, 1e-5
    return RELATIVE, ABSOLUTE


def differences(expected_path: Path, found_path: Path) -> list[str]:
    """What differs, a line each; none where all agrees."""
    names, expected = read(expected_path)
    its_names, found = read(found_path)
    told = [f"column {name} is missing" for name in names if name not in its_names]
    who = [name for name in WHO if name in names and name in its_names]
    places: Rows = defaultdict(list)
    for row in found:
        places[tuple(row[name] for name in who)].append(row)
    for row in expected:
        key = tuple(row[name] for name in who)
        if not places[key]:
            told.append(f"no row {dict(zip(who, key, strict=True))}")
            continue
        other = places[key].pop(0)
        for name in names:
            if name in its_names and not is_same(name, row[name], other[name], row):
                told.append(f"{' '.join(key)}: {name}: want {row[name]}, found {other[name]}")
    told += [f"unexpected row {' '.join(key)}" for key, rows in places.items() for _ in rows]
    return told


if __name__ == "__main__":
    lines = differences(*map(Path, sys.argv[1:3]))
    sys.stdout.write(("\n".join(lines) or "all agrees") + "\n")
    sys.exit(bool(lines))

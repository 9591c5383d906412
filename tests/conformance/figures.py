"""The tables of docs/conformance.md that stand between markers, from the comparisons themselves.

<!-- figures: NAME -->
...
<!-- end of figures -->
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tapwatch.tables import TcpAnalysis
from tests.conformance import (
    against_arkime,
    against_ipfixprobe,
    against_nfstream,
    against_tshark,
    golden,
)
from tests.conformance.captures import GOLDEN
from tests.shared_data import shared_data, shared_oracle

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
_MARKED: Final = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.S)
_LABEL_ROWS: Final = 12


def write() -> list[str]:
    """Write the tables again; one whose data or program is absent is kept."""
    told = []

    def made(match: re.Match[str]) -> str:
        name = match[2]
        try:
            table = TABLES[name]()
        except pytest.skip.Exception as reason:
            told.append(f"{PAGE}: kept the figures of {name}: {reason}")
            return match[0]
        return f"{match[1]}{table}\n{match[3]}"

    text = PAGE.read_text(encoding="utf-8")
    changed = _MARKED.sub(made, text)
    if changed != text:
        PAGE.write_text(changed, encoding="utf-8")
        told.append(f"wrote {PAGE}")
    return told


def _kit() -> str:
    lines = ["| capture | shows | views |", "|---|---|---|"]
    for name, one in GOLDEN.items():
        lines.append(f"| `{name}` | {one.shows} | {', '.join(one.views)} |")
    n_bytes = sum(path.stat().st_size for path in golden.FOLDER.glob("*.pcap"))
    return "\n".join([*lines, "", f"{len(GOLDEN)} captures, {n_bytes // 1024} KB together."])


def _tshark() -> str:
    return against_tshark.compared().as_table(against_tshark.REASONS)


def _arkime() -> str:
    whole, single, ids = against_arkime.compared(shared_data() / "pcaps" / "arkime")
    reasons = against_arkime.REASONS
    text = f"Community IDs of those: {ids.equal} of {ids.n} equal."
    return "\n\n".join([whole.as_table(reasons), single.as_table(reasons), text])


def _ipfixprobe() -> str:
    told = against_ipfixprobe.compared(shared_data() / "pcaps" / "ipfixprobe")
    return told.as_table(against_ipfixprobe.REASONS)


def _nfstream() -> str:
    if not against_nfstream.installed():
        pytest.skip("NFStream is not installed")
    told = against_nfstream.compared(shared_data() / "pcaps" / "nDPI")
    return f"{told.program}:\n\n" + told.as_table(against_nfstream.REASONS)


def _tcp_analysis() -> str:
    from tests.flows.test_conversations_tshark import cases, verdicts

    shared_oracle()
    v = verdicts()
    head = "condition | tshark | here | both | precision | recall | of those read alike"
    lines = [f"| {head} |", "|---|--:|--:|--:|--:|--:|--:|"]
    for bit in TcpAnalysis:
        ours, theirs = cases(v.ours, bit), cases(v.theirs, bit)
        numbers = [int(mask.sum()) for mask in (theirs, ours, theirs & ours)]
        alike = [int((mask & v.is_alike).sum()) for mask in (theirs, ours, theirs & ours)]
        n_theirs, n_ours, n_both = numbers
        shares = [f"{n_both / n:.4f}" if n else "-" for n in (n_ours, n_theirs)]
        words = [*(f"{n:,}" for n in numbers), *shares, ", ".join(f"{n:,}" for n in alike)]
        lines.append(f"| `{str(bit.name).lower()}` | " + " | ".join(words) + " |")
    others = ", ".join(f"{name} {n}" for name, n in v.why.items())
    text = f"{len(v.ours):,} segments, {int(v.is_alike.sum()):,} of them in streams that both read "
    return "\n".join([*lines, "", text + f"alike. Other verdicts, by class: {others}."])


def _labels() -> str:
    shared_oracle()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rP"]
    path = "tests/features/test_labels_tshark.py"
    done = subprocess.run([*command, path], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    [whole] = re.findall(r"^([\d.]+) of (\d+) packets, ([\d.]+) over captures$", done.stdout, re.M)
    shares = re.findall(r"^(\w+): ([\d.]+) of (\d+)$", done.stdout, re.M)
    differ = re.findall(r"^(.+) \| (.+) \| (\d+)$", done.stdout, re.M)
    lines = ["| packets that tshark calls | n | equal |", "|---|--:|--:|"]
    share, n, by_capture = float(whole[0]), int(whole[1]), float(whole[2])
    lines.append(f"| anything | {n:,} | {share:.2%}, as a mean over captures {by_capture:.2%} |")
    for label, equal, count in shares:
        name = "TLS (7 labels)" if label == "SSL" else label
        lines.append(f"| {name} | {int(count):,} | {float(equal):.2%} |")
    lines += ["", "| tshark | here | packets |", "|---|---|--:|"]
    lines += [f"| {a} | {b} | {int(n):,} |" for a, b, n in differ[:_LABEL_ROWS]]
    return "\n".join(lines)


#: Name in a marker -> what stands there.
TABLES: Final[dict[str, Callable[[], str]]] = {
    "kit": _kit,
    "tshark": _tshark,
    "arkime": _arkime,
    "ipfixprobe": _ipfixprobe,
    "nfstream": _nfstream,
    "tcp_analysis": _tcp_analysis,
    "labels": _labels,
}

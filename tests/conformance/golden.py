"""What lies in tests/conformance/golden, and how it is made again."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tapwatch.features.catalog import schema_of
from tapwatch.features.identity import identity_of
from tests.conformance import tshark, twin
from tests.conformance.captures import GOLDEN, made_capture

FOLDER: Final = Path(__file__).parent / "golden"


def names_of(view: str) -> tuple[str, ...]:
    """Columns of a file of expected values, who a row is first."""
    return (*identity_of(view), *schema_of(view).names)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file that the twins decide."""
    for name, golden in GOLDEN.items():
        raw = made_capture(name)
        yield f"{name}.pcap", raw
        for view in golden.views:
            rows = twin.rows_of(view, raw)
            yield f"{name}.{view}.csv", twin.text_of(view, rows, names_of(view)).encode()
    yield "README.md", readme().encode()


def tshark_files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file that tshark decides; it has to be the one we name."""
    with tempfile.TemporaryDirectory() as folder:
        for name, golden in GOLDEN.items():
            path = Path(folder) / f"{name}.pcap"
            path.write_bytes(made_capture(name))
            if golden.has_tshark:
                yield f"{name}.tshark.csv", tshark.columns_of(path).encode()
            if "packet" in golden.views:
                yield f"{name}.wireshark.csv", tshark.export_of(path)


def write() -> list[str]:
    """Write all files; what tshark says is kept where another tshark, or none, is installed."""
    FOLDER.mkdir(exist_ok=True)
    told = []
    made = dict(files())
    if tshark.is_ours():
        made |= dict(tshark_files())
    else:
        told.append(f"kept what tshark {tshark.VERSION} says: {tshark.found()} is installed")
    for name, content in made.items():
        path = FOLDER / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
            told.append(f"wrote {path}")
    if tshark.is_ours():
        for path in sorted(FOLDER.iterdir()):
            if path.name not in made:
                path.unlink()
                told.append(f"removed {path}")
    return told


def readme() -> str:
    """The index of the folder."""
    lines = [
        "# Golden captures and what is expected of them",
        "",
        "Made by `python -m tests.conformance`; do not edit. How to use it: docs/conformance.md, "
        '"Run it against your own extractor".',
        "",
        f"| capture | shows | rows of a view, by the naive twins | by tshark {tshark.VERSION} |",
        "|---|---|---|---|",
    ]
    for name, golden in GOLDEN.items():
        by_twin = ", ".join(f"[{view}]({name}.{view}.csv)" for view in golden.views)
        by_tshark = []
        if golden.has_tshark:
            by_tshark.append(f"[fields]({name}.tshark.csv)")
        if "packet" in golden.views:
            by_tshark.append(f"[export]({name}.wireshark.csv)")
        told = ", ".join(by_tshark) or "-"
        lines.append(f"| [{name}.pcap]({name}.pcap) | {golden.shows} | {by_twin} | {told} |")
    return "\n".join(lines) + "\n"

"""The golden captures through our extractor, and the golden files against what writes them."""

from pathlib import Path

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import CaptureConfig, Config
from tapwatch.features.catalog import SCHEMAS, schema_of
from tapwatch.features.table import TableWriter
from tapwatch.flows import describe
from tapwatch.pipeline import Corridor, extract
from tests.conformance import compare, golden, tshark
from tests.conformance.captures import GOLDEN

pytestmark = pytest.mark.kernel

PAIRS = [(name, view) for name, one in GOLDEN.items() for view in one.views]
#: The largest capture, and all of them, in bytes.
LARGEST, ALL = 64 * 1024, 1024 * 1024


def extracted(capture: Path, view: str, target: Path, batch_frames: int = 8192) -> Path:
    """Rows of a view as `tapwatch features` writes them."""
    config = Config(capture=CaptureConfig(batch_frames=batch_frames))
    source = open_captures([str(capture)], batch_frames=batch_frames)
    corridor = Corridor(config, [view], dtype=np.float64)
    with TableWriter(str(target), corridor.views[view].schema, describe) as writer:
        for batch, _ in extract(source, corridor, view):
            writer.write(batch)
    return target


@pytest.mark.parametrize(("name", "view"), PAIRS)
def test_rows_are_those_expected(name, view, tmp_path):
    """Every row and column: whole numbers and words exactly, floats within the tolerance."""
    capture = golden.FOLDER / f"{name}.pcap"

    found = extracted(capture, view, tmp_path / "found.csv")

    assert compare.differences(golden.FOLDER / f"{name}.{view}.csv", found) == []


@pytest.mark.parametrize("batch_frames", [1, 7])
def test_batches_do_not_show(batch_frames, tmp_path):
    """The text of a view is the same, whatever comes at once."""
    for view, name in {view: name for name, view in PAIRS}.items():
        capture = golden.FOLDER / f"{name}.pcap"
        whole = extracted(capture, view, tmp_path / "whole.csv")
        cut = extracted(capture, view, tmp_path / "cut.csv", batch_frames)

        assert cut.read_bytes() == whole.read_bytes(), (name, view)


def test_afterimage_has_the_columns_of_the_larger_layout(tmp_path):
    """The 100 columns are 100 of the 115."""
    for name in ("damped", "headers"):
        found = extracted(golden.FOLDER / f"{name}.pcap", "afterimage", tmp_path / "found.csv")

        told = compare.differences(golden.FOLDER / f"{name}.afterimage_115.csv", found)
        assert told == [f"column H_{rate}_{what} is missing" for rate in RATES for what in WHAT]


RATES, WHAT = ("5", "3", "1", "0_1", "0_01"), ("weight", "mean", "var")


def test_golden_files_are_what_the_command_writes():
    """Nothing is edited by hand, nothing is missing, and nothing is left over."""
    there = {path.name for path in golden.FOLDER.iterdir()}
    by_tshark = {name for name in there if name.endswith((".tshark.csv", ".wireshark.csv"))}
    made = dict(golden.files())

    assert there == set(made) | by_tshark, "want: make conformance"
    stale = [
        name for name, content in made.items() if (golden.FOLDER / name).read_bytes() != content
    ]
    assert stale == [], "want: make conformance"


@pytest.mark.skipif(not tshark.is_ours(), reason=f"needs tshark {tshark.VERSION}")
def test_files_of_tshark_are_what_it_says():
    """Fields and exports, to the byte."""
    made = dict(golden.tshark_files())
    there = {
        path.name: path.read_bytes()
        for path in golden.FOLDER.iterdir()
        if path.name.endswith((".tshark.csv", ".wireshark.csv"))
    }

    assert sorted(there) == sorted(made)
    assert [name for name, content in made.items() if there[name] != content] == []


def test_captures_are_small():
    """Each can be sent by mail, and all of them together."""
    sizes = [path.stat().st_size for path in golden.FOLDER.glob("*.pcap")]

    assert len(sizes) == len(GOLDEN)
    assert max(sizes) < LARGEST
    assert sum(sizes) < ALL


def test_the_kit_moves_every_column():
    """Each column of each view has at least two values, so that none can be wrong unseen."""
    values: dict[tuple[str, str], set[str]] = {}
    for name, view in PAIRS:
        _, rows = compare.read(golden.FOLDER / f"{name}.{view}.csv")
        for row in rows:
            for column in schema_of(view).names:
                values.setdefault((view, column), set()).add(row[column])

    assert {view for view, _ in values} | {"afterimage"} == set(SCHEMAS)
    assert [key for key, found in values.items() if len(found) < 2] == []


#: Columns that are the same by their formulas.
ALIKE = {
    ("fwd_pkt_len_mean", "fwd_seg_size_avg"),
    ("bwd_pkt_len_mean", "bwd_seg_size_avg"),
    ("pkt_len_mean", "pkt_size_avg"),
    *((f"HH_{rate}_weight", f"HH_jit_{rate}_weight") for rate in RATES),
}


def test_the_kit_tells_columns_apart():
    """No two columns of a view have the same values, so that none can stand in another's place."""
    alike = set()
    for view in {view for _, view in PAIRS}:
        columns: dict[str, list[float | str]] = {name: [] for name in schema_of(view).names}
        for row in (
            row
            for name, its in PAIRS
            if its == view
            for row in compare.read(golden.FOLDER / f"{name}.{view}.csv")[1]
        ):
            for name, values in columns.items():
                text = row[name]
                values.append(float(text) if text.lstrip("-")[:1].isdigit() else text)
        names: dict[tuple[float | str, ...], list[str]] = {}
        for name, values in columns.items():
            names.setdefault(tuple(values), []).append(name)
        alike |= {tuple(some) for some in names.values() if len(some) > 1}

    assert alike == ALIKE


def test_a_comparison_tells_what_differs(tmp_path):
    """A wrong value, a missing and an extra row, and a missing column are named."""
    expected, found = tmp_path / "expected.csv", tmp_path / "found.csv"
    expected.write_text("frame_number,a,b,word\n1,1.5,2,x\n2,2,3,x\n3,0.25,4,x\n")
    found.write_text("frame_number,a,b\n1,1.5000000001,2\n3,0.26,5\n4,0,0\n")

    assert compare.differences(expected, found) == [
        "column word is missing",
        "no row {'frame_number': '2'}",
        "3: a: want 0.25, found 0.26",
        "3: b: want 4, found 5",
        "unexpected row 4",
    ]

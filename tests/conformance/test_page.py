"""docs/conformance.md: its example works, and its figures have a source."""

import re
import subprocess
import sys

from tests.conformance import figures, golden


def test_the_example_finds_what_differs(tmp_path):
    """It is silent about equal files, and names a changed value and a missing row."""
    page = figures.PAGE.read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.S)
    expected = golden.FOLDER / "flow_statistics.flow.csv"
    head, first, *others = expected.read_text().splitlines()
    words = first.split(",")
    place = head.split(",").index("tot_fwd_pkts")
    words[place] = str(int(words[place]) + 1)
    changed = tmp_path / "changed.csv"
    changed.write_text("\n".join([head, ",".join(words), *others[1:]]) + "\n")

    def told(path: object) -> list[str]:
        command = [sys.executable, "-c", example, str(expected), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.splitlines()

    assert told(expected) == ["0 rows are missing"]
    difference, missing = told(changed)
    assert "tot_fwd_pkts want" in difference
    assert missing == "1 rows are missing"


def test_every_marker_has_figures():
    """Each table is made by a command, and each that can be made stands on the page."""
    page = figures.PAGE.read_text(encoding="utf-8")

    parts = re.findall(r"<!-- figures: (\w+) -->\n(.*?)<!-- end of figures -->", page, re.S)

    assert sorted(name for name, _ in parts) == sorted(figures.TABLES)
    assert [name for name, table in parts if not table.strip()] == []

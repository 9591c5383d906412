"""The reference page is made from the schemas."""

import subprocess
import sys
from pathlib import Path

from tapwatch.features import SCHEMAS
from tapwatch.features.identity import identity_of
from tapwatch.features.reference import page

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "features.md"


def test_the_committed_page_is_what_the_schemas_say():
    """Whoever changes a column writes the page again."""
    assert COMMITTED.read_text(encoding="utf-8").endswith(page().rstrip() + "\n")


def test_every_column_and_digest_is_on_the_page():
    """A row for each column with its formula, and the digest that bundles are bound to."""
    text = page()

    for schema in SCHEMAS.values():
        assert schema.digest in text
        for c in schema.columns:
            dtype = f"one of: {', '.join(c.categories)}" if c.categories else c.dtype
            formula = c.formula.replace("|", "\\|")
            assert f"| `{c.name}` | {c.unit} | {dtype} | {formula} |" in text
        for name in identity_of(schema.view):
            assert f"| `{name}` |" in text


def test_the_module_prints_the_page():
    """`python -m tapwatch.features.reference` needs neither numba nor pyarrow."""
    command = [sys.executable, "-m", "tapwatch.features.reference"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == page()

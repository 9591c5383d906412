"""The documentation says what the code does."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(p for p in ROOT.rglob("*.md") if ".venv" not in p.parts)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def _generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_those_that_the_code_makes():
    """`make docs` would change nothing."""
    assert _generator().generate(check=True) == []


def test_the_page_of_results_is_the_one_that_its_figures_make(monkeypatch):
    """`make docs` would change nothing."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    results = importlib.import_module("results")

    assert results.PAGE.read_text(encoding="utf-8") == results.render()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    """Every relative link of a page names a file that exists."""
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]

    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_every_make_target_that_the_docs_name_exists():
    """`make X` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z-]+)`", page.read_text())}

    assert named - targets == set()

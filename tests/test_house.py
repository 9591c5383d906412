"""The laws of the house that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = [
    path
    for folder in ("src", "tests", "benchmarks", "samples", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LINES_A_FILE, LINES_A_FUNCTION = 400, 60
DRAWERS = {"utils", "util", "common", "helpers", "misc", "base"}
HEAVY = {"numba", "torch", "scapy", "pyshark", "river", "sklearn", "scipy", "matplotlib"}


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def test_every_source_file_is_short():
    """No file of the package is longer than 400 lines."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > LINES_A_FILE} == {}


def test_every_function_fits_on_a_screen():
    """No function of the package is longer than 60 lines, docstring apart."""
    long = {}
    for path in SOURCES:
        for node in _functions(path):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            n_lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if n_lines > LINES_A_FUNCTION:
                long[f"{path.relative_to(ROOT)}:{node.name}"] = n_lines

    assert long == {}


def test_there_is_no_drawer_for_all_the_rest():
    """No module or folder is called utils, common, helpers or the like."""
    assert [p for p in PYTHON if DRAWERS & {*p.relative_to(ROOT).with_suffix("").parts}] == []


def test_every_test_asserts_something():
    """A test without an assertion cannot fail."""
    asserting = ("raises", "assert", "check", "agree", "fail", "warns")
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in _functions(path):
            if not node.name.startswith("test_"):
                continue
            calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
            if not any(isinstance(n, ast.Assert) for n in ast.walk(node)) and not any(
                word in call for call in calls for word in asserting
            ):
                silent.append(f"{path.relative_to(ROOT)}:{node.name}")

    assert silent == []


def test_every_public_function_has_a_docstring():
    """Functions of the package whose name has no underscore say what they do."""
    mute = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not any(_is_njit(d) for d in node.decorator_list)
    ]

    assert mute == []


def _is_njit(decorator: ast.expr) -> bool:
    return "njit" in ast.unparse(decorator)


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        (["check-config", "CONFIG"], HEAVY),
        (["features", "CAPTURE", "--view", "flow", "-o", "OUT"], HEAVY - {"numba", "scipy"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_import_only_what_they_need(arguments, forbidden, tmp_path, tiny_capture):
    """The light commands stay light: sys.modules after the command names no heavy package."""
    config = tmp_path / "empty.toml"
    config.write_text("")
    places = {"CONFIG": str(config), "CAPTURE": str(tiny_capture), "OUT": str(tmp_path / "o.csv")}
    given = [places.get(a, a) for a in arguments]
    program = (
        "import sys\nfrom tapwatch.cli import main\n"
        f"try:\n    main({given!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(sorted({forbidden!r} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_runs_the_same_program():
    """`python -m tapwatch` is `tapwatch`."""
    command = [sys.executable, "-m", "tapwatch", "--version"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("tapwatch, version ")

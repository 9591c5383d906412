"""Write docs/results.md from docs/results/*.json. `make docs` runs it.

    python docs/results.py [--check] [--take DIR]

With --check nothing is written; the exit code is 1 where the committed page differs. With --take,
DIR/*/results.json of `tapwatch evaluate -o DIR/NAME`, and DIR/*.json of the benchmarks, become
docs/results/NAME.json first, without what would make them large. A file NAME.md beside it is the
reading of it: sentences without links, put above its tables.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from targets import TARGETS, Documents

PAGE = Path(__file__).resolve().with_suffix(".md")
FOLDER = PAGE.with_suffix("")
MADE = "<!-- Made by docs/results.py; `make docs` writes it again. -->\n"
#: Benchmarks whose JSON has a place on the page -> what they are called with.
BENCHMARKS = {
    "explanations": "KDDTrain+.txt.gz --json explanations.json",
    "detectors": "--json detectors.json",
}
#: Pages of FOLDER that stand alone, behind the tables: commands and figures of several programs.
ALONE = ("carry-over",)
LARGEST_BYTES = 60_000
#: Figure of merit -> its heading.
MERITS = {
    **{"auc": "AUC", "ap": "AP", "tpr_at_1pct": "TPR 1%", "tpr_at_01pct": "TPR .1%"},
    **{"precision": "P", "recall": "R", "f1": "F1", "fpr": "FPR", "macro_auc": "macro"},
    "novel_recall": "novel R",
}
#: In this order on the page; others follow by name.
ORDER = (
    *("seed-000", "seed-001", "seed-002", "seed-003", "seed-004"),
    *("dagmm", "goad", "memstream", "nsl-kdd", "kdd99-official"),
    *("capture", "calibration"),
    *("sensor-hosts", "sensor-logins", "sensor-hosts-benign", "sensor-logins-benign"),
    *("explanations", "detectors"),
)
_STATED = ("split", "orientation", "threshold", "metric", "avoids")
_MANY_CLASSES = 8


# ---- what is committed ----


def take(folder: Path, into: Path = FOLDER) -> list[str]:
    """Copy the results of runs, made small, and say which."""
    found = {path.parent.name: path for path in sorted(folder.glob("*/results.json"))}
    found |= {name: folder / f"{name}.json" for name in BENCHMARKS}
    taken = []
    for name, path in found.items():
        if path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            text = compact(small(document))
            if len(text.encode()) > LARGEST_BYTES:
                size = f"{len(text.encode()):,} bytes"
                sys.exit(f"{path}: {size} when made small: want at most {LARGEST_BYTES:,}")
            into.mkdir(exist_ok=True)
            (into / f"{name}.json").write_text(text, encoding="utf-8")
            taken.append(name)
    return taken


def small(document: dict[str, Any]) -> dict[str, Any]:
    """A document without figures of single seeds, alerts, and what of floors is not shown."""
    if "episodes" in document:
        episodes = [one | {"first_alert": None} for one in document["episodes"]]
        return document | {"episodes": episodes, "false_alerts": len(document["false_alerts"])}
    if "protocol" not in document:
        return document
    shown = {"section", "floor", "note", *MERITS}
    floor = [{key: row[key] for key in row if key in shown} for row in document["floor"]]
    made: dict[str, Any] = _without_values(document | {"floor": floor})
    return made


def _without_values(value: Any) -> Any:
    if isinstance(value, dict):
        is_spread = "mean" in value and "sd" in value
        return {k: _without_values(v) for k, v in value.items() if not is_spread or k != "values"}
    return [_without_values(item) for item in value] if isinstance(value, list) else value


def compact(document: dict[str, Any]) -> str:
    """JSON with a line for each key, and for each item of a list."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            told = "[\n " + ",\n ".join(map(line, value)) + "\n]"
        else:
            told = line(value)
        parts.append(f"{line(key)}: {told}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read(folder: Path = FOLDER) -> dict[str, Any]:
    """All documents by name, in the order of the page."""
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    names = [name for name in ORDER if name in paths]
    names += [name for name in paths if name not in names]
    return {name: json.loads(paths[name].read_text(encoding="utf-8")) for name in names}


# ---- the page ----


def render(folder: Path = FOLDER) -> str:
    """The text of the page."""
    documents = read(folder)
    return MADE + "\n" + "\n".join(_page(documents, folder)).rstrip() + "\n"


def _page(documents: Documents, folder: Path) -> Iterator[str]:
    yield "# Results\n"
    yield "Every table has the command above it that made it, and below its last contender, in"
    yield "italics, the floor: what scores of no learning reach on the same rows, with a threshold"
    yield "by the same rule. Figures are mean ± standard deviation over the seeds. The data sets"
    yield "are not part of the project; their SHA-256 stand with the tables. `-o DIR` writes the"
    yield "same with plots to `DIR/report.html`.\n"
    yield from _targets(documents)
    yield "Where a target leaves the detector open, the line is of the one with the highest first"
    yield "figure, chosen on the rows that are measured. What needs a file or a run that is not"
    yield "there stays not measured.\n"
    for name, document in documents.items():
        if name in BENCHMARKS and not document:
            continue
        yield f"## {name}\n"
        reading = folder / f"{name}.md"
        if reading.is_file():
            yield reading.read_text(encoding="utf-8").strip() + "\n"
        if name in BENCHMARKS:
            yield f"```sh\npython benchmarks/{name}.py {BENCHMARKS[name]}\n```\n"
            yield from _explanations(document) if name == "explanations" else _speeds(document)
        elif "episodes" in document:
            yield from _episodes(document)
        else:
            yield from _protocol(document)
    for name in ALONE:
        page = folder / f"{name}.md"
        if page.is_file():
            yield f"## {name}\n"
            yield page.read_text(encoding="utf-8").strip() + "\n"


def _targets(documents: Documents) -> Iterator[str]:
    rows = []
    for target in TARGETS:
        found = target.find(documents)
        figure, reached = ("not measured", "") if found is None else found
        told = {True: "yes", False: "**no**"}.get(reached, "") if found else ""  # type: ignore[call-overload]
        rows.append((target.name, target.wants, figure, told))
    yield from _table(("target", "wants at least", "figure", "reached"), rows, words=4)


def _protocol(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"{document['title']}.\n"
    if command := document.get("command"):
        yield f"```sh\n{command}\n```\n"
    seeds = ", ".join(map(str, document["seeds"]))
    for file in document["data"]:
        digest = file["sha256"]
        size = f"{file['rows']:,} {file.get('unit', 'rows')}"
        yield f"- `{file['name']}`, {size}, {file['used_for']}: `{digest}`"
    yield f"- seeds {seeds}\n"
    for section, statement in document["statement"].items():
        if len(document["statement"]) > 1:
            yield f"### {section}\n"
        for key in _STATED:
            yield f"- {key}: {statement[key]}"
        yield ""
        rows = [row for row in document["rows"] if row["section"] == section]
        floor = [row for row in document["floor"] if row["section"] == section]
        if not rows:  # its figures are in tables of its own
            continue
        yield from _merits(rows, floor)
        yield from _classes(rows)
        for warning in document["audit"].get(section, {}).get("warnings", []):
            yield f"- audit: {_escaped(warning)}"
        yield ""
    for own in document["tables"]:
        yield f"{_escaped(own['title'])}:\n"
        yield from _own_table(own)


def _merits(rows: list[Any], floor: list[Any]) -> Iterator[str]:
    shown = [merit for merit in MERITS if any(merit in row for row in rows)]
    extra = list(dict.fromkeys(key for row in rows for key in row.get("extra", {})))
    best = {
        merit: max(round(row[merit]["mean"], 3) for row in rows if merit in row)
        for merit in shown
        if merit != "fpr" and len(rows) > 1
    }
    made: list[tuple[str, ...]] = []
    for row in rows:
        cells = [_spread(row.get(merit), best.get(merit)) for merit in shown]
        cells += [_spread(row.get("extra", {}).get(key)) for key in extra]
        mark = {True: "", False: "below the floor", None: "floor: not measured"}
        made.append((row["detector"], *cells, mark[row["beats_floor"]]))
    for row in floor:
        note = f": {row['note']}" if row["floor"] in ("best column", "chosen column") else ""
        cells = [_spread(row.get(merit)) for merit in shown] + [""] * len(extra)
        made.append((f"*{row['floor']}{note}*", *cells, ""))
    yield from _table(("", *(MERITS[merit] for merit in shown), *extra, ""), made)


def _classes(rows: list[Any]) -> Iterator[str]:
    classes = list(dict.fromkeys(name for row in rows for name in row["per_class"]))
    if not 1 < len(classes) <= _MANY_CLASSES:
        return
    yield "Recall by class at the threshold:\n"
    made = [(r["detector"], *(_spread(r["per_class"].get(c)) for c in classes)) for r in rows]
    yield from _table(("", *classes), made)


def _episodes(document: Mapping[str, Any]) -> Iterator[str]:
    """Alerts held against a truth file."""
    bundles = " ".join(f"--bundle {Path(bundle).name}" for bundle in document["bundles"])
    captures = " ".join(Path(capture).name for capture in document["captures"])
    labels = Path(document["labels"]).name
    kept = f"--filter {shlex.quote(document['filter'])} " if document.get("filter") else ""
    yield f"```sh\ntapwatch evaluate --labels {labels} {bundles} {kept}{captures}\n```\n"
    rows = [
        (
            *(one["episode"], one["kind"], "yes" if one["found"] else "**no**"),
            *(_value(one["time_to_alert_s"]), str(one["alerts"])),
        )
        for one in document["episodes"]
    ]
    if document["found"]:
        yield from _table(("episode", "kind", "found", "after, s", "alerts"), rows)
    rate = document["false_alerts_per_hour"]
    n_false = document["false_alerts"]
    told = f", {rate:.3g} an hour" if rate is not None else ""
    yield f"{n_false} of {document['alerts']} alerts belong to no episode{told}.\n"


def _explanations(document: Mapping[str, Any]) -> Iterator[str]:
    """Whether named columns are the reason, by detector."""
    rows = []
    for name, found in document.items():
        share = found["alerts"] / found["injected"]
        of_alerts = f"{found['injection_alerts']:.3f} of {share:.1%}" if found["alerts"] else ""
        deletion = [f"{found[key]:.3f}" for key in ("top", "random")]
        rest = [f"{found['stability']:.2f}", f"{found['injection']:.3f}", of_alerts]
        rows.append((name, *deletion, *rest, f"{found['cost_us']:.1f}", str(found["seeds"])))
    heads = ("five named", "five random", "stability", "made odd", "of alerts", "µs a row", "seeds")
    yield from _table(("", *heads), rows)


def _speeds(document: Mapping[str, Any]) -> Iterator[str]:
    """Thousands of rows a CPU-second, medians of the rounds; of an explained row the time."""
    keys = list(dict.fromkeys(key for found in document.values() for key in found))
    sizes = [key for key in keys if key != "explained"]
    rows = []
    for name, found in document.items():
        middle = {key: statistics.median(rates) for key, rates in found.items()}
        cells = [f"{middle[key] / 1e3:,.4g}" if key in middle else "" for key in sizes]
        cost = f"{1e6 / middle['explained']:.1f}" if "explained" in middle else ""
        rows.append((name, *cells, cost))
    heads = [f"{key} rows" if key.isdigit() else key for key in sizes]
    yield "Thousands of rows a CPU-second, by the rows of a call; µs of an explained row.\n"
    yield from _table(("", *heads, "explained"), rows)


def _own_table(own: Mapping[str, Any]) -> Iterator[str]:
    """A protocol's own: columns of words stand in front of the first column of figures."""
    rows = own["rows"]
    are_words = [all(isinstance(row[k], str) for row in rows) for k in range(len(own["headings"]))]
    words = are_words.index(False) if False in are_words else len(are_words)
    yield from _table(own["headings"], [map(_value, row) for row in rows], max(1, words))


def _table(headings: Any, rows: Any, words: int = 1) -> Iterator[str]:
    """A table; of its columns the first `words` are words, the others figures."""
    names = [_escaped(str(heading)) for heading in headings]
    yield "| " + " | ".join(names) + " |"
    yield "|" + "|".join("---" if k < words else "---:" for k in range(len(names))) + "|"
    for row in rows:
        yield "| " + " | ".join(_escaped(cell) for cell in row) + " |"
    yield ""


def _escaped(text: str) -> str:
    """Text that a cell can hold."""
    return text.replace("\n", " ").replace("<", "&lt;").replace("|", "\\|")


def _spread(value: Any, best: float | None = None) -> str:
    if value is None:
        return ""
    mean = _short(value["mean"])
    told = f"**{mean}**" if best is not None and round(value["mean"], 3) == best else mean
    return f"{told} ± {_short(value['sd'])}" if value["sd"] else told


def _short(number: float) -> str:
    """Three decimals, without the zero in front of them."""
    text = f"{number:.3f}" if abs(number) < 100 else f"{number:.4g}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _value(cell: Any) -> str:
    if isinstance(cell, bool) or cell is None:
        return {None: "", True: "yes", False: "no"}[cell]
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def main() -> int:
    """Take what is given, then write or check the page."""
    parser = argparse.ArgumentParser(description="Write docs/results.md from docs/results/*.json.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument("--take", type=Path, metavar="DIR", help="copy DIR/*/results.json first")
    given = parser.parse_args()
    if given.take:
        print(f"taken: {', '.join(take(given.take)) or 'nothing'}", file=sys.stderr)
    text = render()
    differs = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
    if differs and not given.check:
        PAGE.write_text(text, encoding="utf-8")
    what = "differs" if given.check else "written"
    print(f"{what}: {PAGE.name if differs else 'nothing'}", file=sys.stderr)
    return int(differs and given.check)


if __name__ == "__main__":
    sys.exit(main())

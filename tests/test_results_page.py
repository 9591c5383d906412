"""docs/results.py: small figures are taken from runs, and the page says what they say."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STATED = ("split", "orientation", "contamination", "scaling", "threshold", "metric", "avoids")


@pytest.fixture(scope="module")
def results():
    """The generator as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("results")


@pytest.fixture(scope="module")
def targets(results):
    """The targets as a module."""
    return importlib.import_module("targets")


def spread(mean, sd=0.0):
    """One figure of merit."""
    return {"mean": mean, "sd": sd, "median": mean, "values": [mean - sd, mean + sd]}


def line(section, detector, kind, *, beats=True, classes=(), extra=(), sd=0.0, **merits):
    """One contender."""
    return {
        "section": section,
        "detector": detector,
        "kind": kind,
        "settings": {"hidden": [8]},
        **{key: spread(value, sd) for key, value in merits.items()},
        "per_class": {name: spread(value) for name, value in dict(classes).items()},
        **({"extra": {key: spread(value) for key, value in dict(extra).items()}} if extra else {}),
        "beats_floor": beats,
    }


def document(name, *rows, tables=(), warnings=()):
    """Results of a protocol, with a floor for each of its sections."""
    sections = list(dict.fromkeys(row["section"] for row in rows))
    return {
        "protocol": name,
        "schema": 1,
        "title": f"Title of {name}",
        "command": f"tapwatch evaluate {name} --train FILE.gz",
        "statement": {s: {key: f"{key} of {s}" for key in STATED} for s in sections},
        "data": [
            {
                "name": "FILE.gz",
                "sha256": "ab" * 32,
                "rows": 1234,
                "used_for": "train",
                "left_out": {},
            }
        ],
        "seeds": [0, 1],
        "rows": list(rows),
        "floor": [
            {
                "section": section,
                "floor": "max |z|",
                "note": "largest",
                "auc": spread(0.5),
                "threshold": spread(9.0),
                "per_class": {"dos": spread(0.1)},
            }
            for section in sections
        ],
        "audit": {section: {"warnings": list(warnings)} for section in sections},
        "facts": {},
        "tables": list(tables),
    }


def run(folder, name, made):
    """Write what `tapwatch evaluate -o folder/name` would."""
    (folder / name).mkdir(parents=True)
    (folder / name / "results.json").write_text(json.dumps(made, indent=2))


def put(folder, **documents):
    """Write documents as they are committed; a_b is the name a-b."""
    folder.mkdir(exist_ok=True)
    for name, made in documents.items():
        (folder / f"{name.replace('_', '-')}.json").write_text(json.dumps(made))
    return folder


def summary(results, folder):
    """(target, wants) -> (figure, reached) of the table on top of the page."""
    rows = [line for line in results.render(folder).split("\n## ")[0].splitlines() if "|" in line]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {(row[0].strip(), row[1]): tuple(row[2:]) for row in cells[2:]}


def test_committed_figures_are_small_and_readings_have_no_links(results):
    """A link of a reading would not lead where it leads from the page."""
    for path in results.FOLDER.glob("*.json"):
        assert path.stat().st_size <= results.LARGEST_BYTES
        assert '"values"' not in path.read_text(encoding="utf-8")
    for path in results.FOLDER.glob("*.md"):
        assert "](" not in path.read_text(encoding="utf-8")
        assert path.with_suffix(".json").is_file() or path.stem in results.ALONE


def test_runs_are_taken_without_what_is_large(results, tmp_path):
    """Figures of single seeds are left out; what the page shows stays; others are left alone."""
    row = line("main", "ae", "ae", auc=0.9, sd=0.01, classes={"dos": 0.5}, extra={"x": 2.0})
    run(tmp_path / "runs", "nsl-kdd", document("nsl-kdd", row))
    (tmp_path / "runs" / "explanations.json").write_text('{"ae": {"top": 1}}')
    (tmp_path / "runs" / "else.json").write_text("{}")

    taken = results.take(tmp_path / "runs", tmp_path / "into")

    assert taken == ["nsl-kdd", "explanations"]
    [kept] = json.loads((tmp_path / "into" / "nsl-kdd.json").read_text())["rows"]
    assert kept["auc"] == {"mean": 0.9, "sd": 0.01, "median": 0.9}
    assert kept["per_class"]["dos"] == {"mean": 0.5, "sd": 0.0, "median": 0.5}
    assert kept["extra"]["x"]["mean"] == 2
    assert "values" not in (tmp_path / "into" / "nsl-kdd.json").read_text()
    assert sorted(results.read(tmp_path / "into")) == ["explanations", "nsl-kdd"]


def test_a_run_that_stays_large_is_refused(results, tmp_path):
    """Naming the file and its size."""
    rows = [line("main", f"ae {k}", "ae", auc=0.5) for k in range(400)]
    run(tmp_path, "own", document("own", *rows))

    with pytest.raises(SystemExit, match=r"own/results.json: [\d,]+ bytes when made small"):
        results.take(tmp_path, tmp_path / "into")


def test_a_section_has_command_data_tables_and_reading(results, tmp_path):
    """Mean and deviation, the best in bold, marks, the floor in italics, classes, audit, prose."""
    table = {"name": "t", "title": "Own", "headings": ["a", "b"], "rows": [["x|y", 0.123456]]}
    made = document(
        "nsl-kdd",
        line("official", "ae", "ae", auc=0.91, f1=0.5, sd=0.02, classes={"dos": 0.25, "r2l": 0.5}),
        line(
            "official", "<b>", "pca", auc=0.3, f1=0.6, beats=False, classes={"dos": 1.0, "r2l": 0}
        ),
        tables=[table],
        warnings=["5.0% of the rows"],
    )
    folder = put(tmp_path / "r", nsl_kdd=made)
    (folder / "nsl-kdd.md").write_text("What it means.\n")

    page = results.render(folder)

    for text in (
        "## nsl-kdd\n\nWhat it means.\n",
        "```sh\ntapwatch evaluate nsl-kdd --train FILE.gz\n```",
        f"- `FILE.gz`, 1,234 rows, train: `{'ab' * 32}`",
        "- seeds 0, 1",
        "- threshold: threshold of official",
        "|  | AUC | F1 |  |\n|---|---:|---:|---:|\n",
        "| ae | **.910** ± .020 | .500 ± .020 |  |",
        "| &lt;b> | .300 | **.600** | below the floor |",
        "| *max \\|z\\|* | .500 |  |  |",
        "|  | dos | r2l |",
        "| &lt;b> | 1.000 | .000 |",
        "- audit: 5.0% of the rows",
        "Own:\n\n| a | b |\n|---|---:|\n| x\\|y | 0.1235 |",
    ):
        assert text in page, text
    assert page.startswith(results.MADE)


def test_a_page_that_stands_alone_comes_last(results, tmp_path):
    """As it is written; without it there is no heading."""
    folder = put(tmp_path / "r", own=document("own", line("main", "ae", "ae", auc=0.5)))
    without = results.render(folder)
    (folder / "carry-over.md").write_text("| bundle |\n|---|\n| k9 |\n")

    assert "carry-over" not in without
    page = results.render(folder)
    assert page.startswith(without)
    assert page.endswith("\n## carry-over\n\n| bundle |\n|---|\n| k9 |\n")


def test_what_is_not_there_is_not_measured(results, tmp_path):
    """Of an empty folder: every target stands on the page, none is reached."""
    found = summary(results, tmp_path)

    assert len(found) == len(results.TARGETS)
    assert set(found.values()) == {("not measured", "")}


def test_protocols_stand_in_their_order(results, tmp_path):
    """Others behind them, by name; a benchmark that found nothing has no section."""
    one = line("main", "ae", "ae", auc=0.5, f1=0.5)
    folder = put(
        tmp_path / "r",
        own=document("own", one),
        goad=document("goad", one),
        seed_003=document("seed-003", one),
        abc=document("abc", one),
        explanations={},
    )

    page = results.render(folder)

    names = [part.splitlines()[0] for part in page.split("\n## ")[1:]]
    assert names == ["seed-003", "goad", "abc", "own"]


NETWORKS = ("ae 29", "ae 58-29-58", "vae 58-29")


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, "yes"),
        ({"f1": 0.984}, "**no**"),
        ({"recall": 0.974}, "**no**"),
        ({"precision": 0.974}, "**no**"),
        ({"sd": 0.006}, "**no**"),
    ],
)
def test_every_network_of_seed_003_has_to_reach_it(results, tmp_path, changes, reached):
    """The lowest is told; other detectors do not count."""
    good = {"f1": 0.99, "precision": 0.98, "recall": 0.98, "sd": 0.004}
    rows = [line("main", name, "ae", **good) for name in NETWORKS[:2]]
    rows += [line("main", NETWORKS[2], "vae", **(good | changes))]
    rows += [line("main", "pca 8", "pca", f1=0.95), line("main", "robust_z", "robust_z", f1=0.1)]

    found = summary(results, put(tmp_path / "r", seed_003=document("seed-003", *rows)))

    [(figure, told)] = [v for (name, _), v in found.items() if name == "G1, seed 003"]
    assert told == reached
    assert figure.startswith("lowest of 3: ")
    assert found["", "PCA-8: F1 .96"] == ("pca 8: F1 0.950", "**no**")


@pytest.mark.parametrize(("fpr", "reached"), [(0.01, "yes"), (0.021, "**no**"), (0.004, "**no**")])
def test_the_best_network_has_to_keep_its_rate(results, tmp_path, fpr, reached):
    """Of the official test file alone: cross-validation does not stand for it."""
    merits = {"auc": 0.98, "ap": 0.98, "tpr_at_1pct": 0.7, "fpr": fpr}
    rows = (
        line("official", "ae", "ae", **merits),
        line("official", "vae", "vae", **(merits | {"auc": 0.97, "fpr": 0.01})),
        line("official", "neighbours", "neighbours", **(merits | {"auc": 0.999})),
        line("official", "ensemble", "ensemble", auc=0.981),
    )
    folder = put(tmp_path / "r", nsl_kdd=document("nsl-kdd", *rows))
    validation = [row | {"section": "validation"} for row in rows]
    other = put(tmp_path / "v", nsl_kdd=document("nsl-kdd", *validation))

    [(figure, told)] = [v for (n, _), v in summary(results, folder).items() if n == "G3"]

    assert (figure.startswith("ae: AUC 0.980"), told) == (True, reached)
    assert summary(results, folder)["", "an ensemble: AUC .98"][1] == "yes"
    [unmeasured] = [v for (n, _), v in summary(results, other).items() if n == "G3"]
    assert unmeasured == ("not measured", "")


def rate(order, ratio, method="conformal"):
    """A line of calibration's table."""
    return ["ae", order, method, 0.01, 100, 0.01 * ratio, 0.0, ratio, "?"]


def test_rates_are_judged_apart_by_the_order_of_rows(results, tmp_path):
    """Rows in order of time do not hide behind those in random order."""
    headings = ["detector", "order", "method", "budget", "rows", "realised", "sd", "ratio", "w"]
    rows = [rate("shuffled", 1.4), rate("shuffled", 0.7), rate("shuffled", 9, "quantile")]
    rows += [rate("in order of time", 1.6), rate("in order of time", 1.0)]
    moved, promised = "rows to the last move, at most", "rows that are promised"
    recovery = {
        "name": "recovery",
        "title": "R",
        "headings": ["detector", "policy", "budget", "ratio", moved, promised],
        "rows": [["ae", "recalibrate", 0.01, 1.2, 90, 100], ["ae", "watch", 0.01, 9.0, None, None]],
    }
    rates = {"name": "rates", "title": "T", "headings": headings, "rows": rows}
    folder = put(tmp_path / "r", calibration=document("calibration", tables=[rates, recovery]))

    found = summary(results, folder)

    figures = {wants: value for (_, wants), value in found.items()}
    shuffled = figures["alert rates within a factor of 1.5 of 1e-2 to 1e-4, rows in random order"]
    assert shuffled == ("2 of 2; 0.70 to 1.40 times the budget", "yes")
    in_time = figures["the same, rows in order of time"]
    assert in_time == ("1 of 2; 1.00 to 1.60 times the budget", "**no**")
    back = "the rate is back after a benign drift, within the rows promised from its alarm on"
    assert figures[back][1] == "yes"
    recovery["rows"][0][4] = 101
    put(tmp_path / "r", calibration=document("calibration", tables=[rates, recovery]))
    late = {wants: value for (_, wants), value in summary(results, folder).items()}
    assert late[back][1] == "**no**"


def test_benchmarks_and_episodes_have_their_targets(results, tmp_path):
    """Medians of the rounds; what runs find together; alerts are counted when taken."""
    episode = {
        **{"episode": "e1", "kind": "scan", "found": True, "time_to_alert_s": 1.25, "alerts": 3},
        "first_alert": {"x": 1},
    }
    evaluated = {
        **{
            "schema": 1,
            "labels": "/a/truth.csv",
            "captures": ["/a/b.pcap"],
            "bundles": ["/c/host"],
        },
        **{"alerts_file": None, "episodes": [episode], "found": 1, "missed": [], "alerts": 4},
        **{"false_alerts": [{"a": 1}], "hours": 2.0, "false_alerts_per_hour": 0.5},
    }
    missed = [episode | {"found": False}, episode | {"episode": "e2"}]
    run(
        tmp_path / "runs", "one", evaluated | {"episodes": [episode, missed[0] | {"episode": "e2"}]}
    )
    run(tmp_path / "runs", "two", evaluated | {"episodes": missed, "filter": "tcp or udp"})
    quiet = {"found": 0, "alerts": 1, "false_alerts_per_hour": 0.75}
    run(tmp_path / "runs", "quiet", evaluated | {"episodes": missed[:1]} | quiet)
    speed = {"ae": {"1024": [9e9, 2.1e6, 1.0]}, "kitnet": {"1024": [1.1e6], "unbatched": [2.9e5]}}
    speed["ae"] |= {"explained": [5e5, 1e6]}
    (tmp_path / "runs" / "detectors.json").write_text(json.dumps(speed))
    results.take(tmp_path / "runs", tmp_path / "into")

    found = {name: value for (name, _), value in summary(results, tmp_path / "into").items()}
    page = results.render(tmp_path / "into")

    assert "|  | 1024 rows | unbatched | explained |" in page
    assert "| ae | 2,100 |  | 1.3 |" in page
    assert found["G8"] == ("ae 2.10 M; kitnet 1.10 M and 290 k unbatched", "**no**")
    told = "2 of 2 by 2 runs of bundles; 0.75 false alerts an hour held out"
    assert found["sample capture"] == (told, "yes")
    assert "tapwatch evaluate --labels truth.csv --bundle host b.pcap" in page
    assert "--bundle host --filter 'tcp or udp' b.pcap" in page
    assert "| e1 | scan | yes | 1.25 | 3 |" in page
    assert "1 of 4 alerts belong to no episode, 0.5 an hour." in page


EXPLAINED = {
    **{"seeds": 5, "rows": 300, "top": 0.6, "random": 0.1, "stability": 0.7},
    **{"injected": 1000, "injection": 0.96, "alerts": 200, "injection_alerts": 1.0, "cost_us": 3.0},
}


@pytest.mark.parametrize(
    ("changes", "target", "figure"),
    [
        ({}, "", ""),
        ({"random": -0.1}, "", ""),  # random columns add to the error: no ratio, but enough
        ({"random": 0.2}, "five columns that are named", "pca 3.0 times"),
        ({"top": -0.1, "random": -0.2}, "five columns that are named", "pca 0.5 times"),
        ({"stability": 0.66}, "another seed names", "pca 0.66"),
        ({"injection": 0.94}, "a column that is made odd", "pca 94.0%"),
        ({"cost_us": 11}, "10 µs", "pca 11 µs"),
    ],
)
def test_every_detector_has_to_be_explained(results, tmp_path, changes, target, figure):
    """Four targets; who misses one is named."""
    folder = put(tmp_path / "r", explanations={"ae": EXPLAINED, "pca": EXPLAINED | changes})

    found = summary(results, folder)

    page = results.render(folder)

    assert "benchmarks/explanations.py KDDTrain+.txt.gz --json explanations.json" in page
    assert "| ae | 0.600 | 0.100 | 0.70 | 0.960 | 1.000 of 20.0% | 3.0 | 5 |" in page
    asked = [value for (_, wants), value in found.items() if value[0].endswith("detectors")]
    assert asked == [("2 of 2 detectors", "yes")] * (3 + (not target))
    missed = [v for (_, wants), v in found.items() if target and wants.startswith(target)]
    assert missed == ([(f"1 of 2 detectors; not {figure}", "**no**")] if target else [])


def test_every_table_needs_a_floor_and_an_audit(targets):
    """Where a section has none, the first target is missed."""
    good = document("goad", line("a", "ae", "ae", auc=0.5), line("b", "ae", "ae", auc=0.5))
    bad = good | {"floor": good["floor"][:1]}

    assert targets.floors({"goad": good}) == ("2 of 2 tables", True)
    assert targets.floors({"goad": bad}) == ("1 of 2 tables", False)
    assert targets.floors({}) is None


@pytest.mark.parametrize(("recall", "reached"), [(0.6, True), (0.4, False)])
def test_segments_are_those_of_the_contender_that_the_first_half_chooses(targets, recall, reached):
    """Not of the one that finds most in the test; the floor's column of the same choice is told."""
    merits = {"auc": 0.9, "precision": 0.3}
    choice = {
        "name": "first_half",
        "title": "x",
        "headings": ["", "AUC", "AP"],
        "rows": [["a", 0.9, 0.2], ["b", 0.8, 0.3]],
    }
    rows = [
        line("headers and times", "a", "ae", recall=1.0, **merits),
        line("headers and times", "b", "pca", recall=recall, beats=False, **merits),
    ]
    made = document("seed-002", *rows, tables=[choice])
    chosen = {"section": "headers and times", "floor": "chosen column", "note": "-x, chosen on"}
    figures = {"auc": spread(0.95), "precision": spread(0.31), "recall": spread(0.975)}
    made["floor"] += [chosen | figures, chosen | figures | {"section": "another", "note": "y, z"}]
    text, is_reached = targets.segments({"seed-002": made})

    assert text == (
        f"b: AUC 0.900, PRECISION 0.300, RECALL {recall:.3f}; one column, chosen on the first half "
        "too, as floor: -x: AUC 0.950, PRECISION 0.310, RECALL 0.975"
    )
    assert is_reached is reached
    assert targets.segments({"seed-002": made | {"tables": []}}) is None


def test_a_figure_that_no_line_has_is_not_measured(targets):
    """Rather than 0: an older run lacks it."""
    rows = {"seed-000": document("seed-000", line("literal", "vae", "vae", f1=0.9, sd=0.1))}

    assert targets.literal_f1(rows, "seed-000", "vae", 0.9) == (
        "vae: F1 0.900 ± 0.100, median 0.900",
        True,
    )
    assert targets.highest("seed-000", "literal", frozenset(), ("f1_q99", 0.9))(rows) is None

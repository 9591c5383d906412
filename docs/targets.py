"""What the figures of docs/results/ have to reach, and which of them are looked at.

A target reads its figure from the documents, by name of the file, and says whether it is reached;
None where it was not measured.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Documents = Mapping[str, Any]
Line = Mapping[str, Any]
#: What was found, in words, and whether that is enough.
Finding = tuple[str, bool] | None
AUTOENCODERS = frozenset({"ae", "deep_ae", "vae", "aegmm", "vaegmm", "memory_ae", "kitnet"})


@dataclass(frozen=True)
class Target:
    """One line of the table on top of the page."""

    name: str
    wants: str
    find: Callable[[Documents], Finding]


def lines(documents: Documents, name: str, section: str = "") -> list[Line]:
    """Contenders of a protocol, of one section or of all."""
    rows = documents.get(name, {}).get("rows", [])
    return [row for row in rows if not section or row["section"] == section]


def mean(row: Line, merit: str) -> float:
    """Mean of a figure of merit; 0 where the line does not have it."""
    found = measured(row, merit)
    return float(found["mean"]) if found else 0.0


def measured(row: Line, merit: str) -> Any:
    """Mean, deviation and median of a figure of merit, of an extra or of a class; else None."""
    return row.get(merit) or row.get("extra", {}).get(merit) or row["per_class"].get(merit)


def best(rows: list[Line], merit: str) -> Line:
    """The line with the highest mean."""
    return max(rows, key=lambda row: mean(row, merit))


def told(row: Line, *merits: str) -> str:
    """Name and figures of a line."""
    names = {"f1_redraws": "mean F1", "tpr_at_1pct": "TPR at 1 %", "novel_recall": "novel R"}
    figures = ", ".join(
        f"{names.get(merit, merit.upper().replace('_', ' '))} {mean(row, merit):.3f}"
        for merit in merits
    )
    return f"{row['detector']}: {figures}"


def floors(documents: Documents) -> Finding:
    """G0: every table has floors and an audit beside it."""
    sections = [
        (document, name)
        for document in documents.values()
        if document.get("rows")
        for name in document["statement"]
    ]
    if not sections:
        return None
    complete = sum(
        any(row["section"] == name for row in document["floor"]) and name in document["audit"]
        for document, name in sections
    )
    return f"{complete} of {len(sections)} tables", complete == len(sections)


def networks_of_seed_003(documents: Documents) -> Finding:
    """G1: the three networks of seed 003."""
    rows = [row for row in lines(documents, "seed-003") if row["kind"] in AUTOENCODERS]
    if not rows:
        return None
    worst = min(rows, key=lambda row: mean(row, "f1"))
    reached = all(
        mean(row, "f1") >= 0.985
        and min(mean(row, "precision"), mean(row, "recall")) >= 0.975
        and row["f1"]["sd"] <= 0.005
        for row in rows
    )
    found = f"lowest of {len(rows)}: {told(worst, 'f1', 'precision', 'recall')}"
    spread = f"sd of F1 {worst['f1']['sd']:.3f}, median {worst['f1']['median']:.3f}"
    return f"{found}, {spread}", reached


def highest(name: str, section: str, kinds: frozenset[str], *limits: tuple[str, float]) -> Any:
    """A target of the line with the highest first figure: it has to reach all limits."""

    def find(documents: Documents) -> Finding:
        rows = [row for row in lines(documents, name, section) if not kinds or row["kind"] in kinds]
        rows = [row for row in rows if measured(row, limits[0][0])]
        if not rows:
            return None
        row = best(rows, limits[0][0])
        reached = all(mean(row, merit) >= limit for merit, limit in limits)
        return told(row, *(merit for merit, _ in limits)), reached

    return find


def lowest(name: str, section: str, kinds: frozenset[str], merit: str, limit: float) -> Any:
    """A target that all lines of such detectors have to reach."""

    def find(documents: Documents) -> Finding:
        rows = [row for row in lines(documents, name, section) if row["kind"] in kinds]
        if not rows:
            return None
        found = "; ".join(told(row, merit) for row in rows)
        return found, all(mean(row, merit) >= limit for row in rows)

    return find


def literal_f1(documents: Documents, name: str, contender: str, limit: float) -> Finding:
    """G1: the notebook's own model, on its own split; the mean has to reach the limit."""
    rows = [row for row in lines(documents, name, "literal") if row["detector"] == contender]
    if not rows:
        return None
    f1 = rows[0]["f1"]
    text = f"{told(rows[0], 'f1')} ± {f1['sd']:.3f}, median {f1['median']:.3f}"
    return text, f1["mean"] >= limit


def segments(documents: Documents) -> Finding:
    """G1: most out-of-order segments are found; the line is chosen on the first half alone."""
    rows = {row["detector"]: row for row in lines(documents, "seed-002", "headers and times")}
    choice = list(_table(documents, "seed-002", "first_half"))
    if not rows or not choice:
        return None
    row = rows[max(choice, key=lambda line: float(line["AP"]))[""]]
    text = told(row, "auc", "precision", "recall")
    for floor in documents["seed-002"]["floor"]:
        if (floor["section"], floor["floor"]) == ("headers and times", "chosen column"):
            column = {**floor, "detector": floor["note"].split(", ")[0], "per_class": {}}
            figures = told(column, "auc", "precision", "recall")
            text += f"; one column, chosen on the first half too, as floor: {figures}"
    return text, mean(row, "recall") >= 0.5


def baselines(documents: Documents) -> Finding:
    """G1: the error table of seed 004."""
    rows = lines(documents, "seed-004")
    if not rows:
        return None
    text = ", ".join(
        f"{row['detector']}: {mean(row, 'benign_fpr'):.1%} and {mean(row, 'miss_rate'):.1%}"
        for row in rows
    )
    return f"benign flagged and attacks missed: {text}", len(rows) >= 4


def novel_nsl(documents: Documents) -> Finding:
    """G3: the best single network, and what share it really flags."""
    limits = (("auc", 0.975), ("ap", 0.975), ("tpr_at_1pct", 0.65))
    found = highest("nsl-kdd", "official", AUTOENCODERS, *limits)(documents)
    if found is None:
        return None
    rows = lines(documents, "nsl-kdd", "official")
    row = best([row for row in rows if row["kind"] in AUTOENCODERS], "auc")
    rate = mean(row, "fpr")
    return f"{found[0]}, FPR {rate:.2%}", found[1] and 0.005 <= rate <= 0.02


def rates(order: str) -> Callable[[Documents], Finding]:
    """G6: conformal thresholds keep to their budget on held-out rows that come in such an order."""

    def find(documents: Documents) -> Finding:
        found = [
            row
            for row in _table(documents, "calibration", "rates")
            if row["method"] == "conformal" and row["order"] == order
        ]
        if not found:
            return None
        ratios = [float(row["ratio"] or 0) for row in found]
        n_kept = sum(1 / 1.5 <= ratio <= 1.5 for ratio in ratios)
        text = f"{n_kept} of {len(found)}; {min(ratios):.2f} to {max(ratios):.2f} times the budget"
        return text, n_kept == len(found)

    return find


def recovery(documents: Documents) -> Finding:
    """G6: after the alarm of a drift, recalibration brings the rate back in the rows promised."""
    found = [
        row
        for row in _table(documents, "calibration", "recovery")
        if row["policy"] == "recalibrate"
    ]
    if not found:
        return None
    moved, promised = "rows to the last move, at most", "rows that are promised"
    kept = [
        row for row in found if float(row["ratio"]) <= 1.5 and int(row[moved]) <= int(row[promised])
    ]
    worst = max(found, key=lambda row: float(row["ratio"]))
    text = f"{len(kept)} of {len(found)}; furthest: {worst['detector']} at {worst['budget']:g}, "
    return text + f"{worst['ratio']:.2f} times the budget", len(kept) == len(found)


def _table(documents: Documents, name: str, table: str) -> Iterator[dict[str, Any]]:
    """Rows of a protocol's own table, by heading."""
    for one in documents.get(name, {}).get("tables", []):
        if one["name"] == table:
            for row in one["rows"]:
                yield dict(zip(one["headings"], row, strict=True))


def explained(reaches: Callable[[Line], bool], tell: Callable[[Line], str]) -> Any:
    """G7: all detectors of `benchmarks/explanations.py --json`; those that miss it are named."""

    def find(documents: Documents) -> Finding:
        rows: Mapping[str, Line] = documents.get("explanations", {})
        if not rows:
            return None
        missed = [f"{name} {tell(row)}" for name, row in rows.items() if not reaches(row)]
        text = f"{len(rows) - len(missed)} of {len(rows)} detectors"
        return text + (f"; not {', '.join(missed)}" if missed else ""), not missed

    return find


def speed(documents: Documents) -> Finding:
    """G8: medians over the rounds of `benchmarks/detectors.py --json`."""
    found = documents.get("detectors")
    if not found or not {"ae", "kitnet"} <= set(found):
        return None
    ae = statistics.median(found["ae"]["1024"])
    kitnet = [statistics.median(found["kitnet"][key]) for key in ("1024", "unbatched")]
    reached = ae >= 2e6 and kitnet[0] >= 1e6 and kitnet[1] >= 3e5
    text = f"ae {ae / 1e6:.2f} M; kitnet {kitnet[0] / 1e6:.2f} M"
    return f"{text} and {kitnet[1] / 1e3:.0f} k unbatched", reached


def episodes(documents: Documents) -> Finding:
    """Every episode of the sample capture by runs beside each other, and what these tell where
    nothing happens: in captures of which they find no episode.
    """
    runs = [document for document in documents.values() if "episodes" in document]
    attacked = [run for run in runs if run["found"]]
    if not attacked:
        return None
    quiet = [run["false_alerts_per_hour"] for run in runs if not run["found"]]
    found = {one["episode"] for run in attacked for one in run["episodes"] if one["found"]}
    n = len(attacked[0]["episodes"])
    text = f"{len(found)} of {n} by {len(attacked)} runs of bundles"
    if not quiet or None in quiet:
        return f"{text}; held-out benign traffic not measured", False
    rate = sum(quiet)
    return f"{text}; {rate:.3g} false alerts an hour held out", len(found) == n and rate <= 1


NETWORKS = frozenset({"vae", "aegmm", "vaegmm"})
TARGETS = (
    Target("G0", "floors and an audit beside every table of labelled rows", floors),
    Target(
        "G1, seed 003", "AE, deeper AE, VAE: F1 .985, P and R .975, sd .005", networks_of_seed_003
    ),
    Target("", "PCA-8: F1 .96", highest("seed-003", "", frozenset({"pca"}), ("f1", 0.96))),
    Target(
        "G1, seed 000",
        "its code: F1 .93",
        lambda documents: literal_f1(documents, "seed-000", "vae", 0.93),
    ),
    Target(
        "",
        "the same split, the quantile itself as threshold: F1 .93",
        highest("seed-000", "literal", AUTOENCODERS, ("f1_q99", 0.93)),
    ),
    Target(
        "G1, seed 001",
        "AEGMM, VAEGMM, VAE: mean F1 .95 over 200 redraws",
        lowest("seed-001", "literal", NETWORKS, "f1_redraws", 0.95),
    ),
    Target(
        "",
        "the same with test rows apart from those learnt from",
        lowest("seed-001", "apart", NETWORKS, "f1_redraws", 0.95),
    ),
    Target(
        "G1, seed 002",
        "out-of-order segments from headers and times: half at a nominal 1 %",
        segments,
    ),
    Target("G1, seed 004", "two baselines, raw and scaled", baselines),
    Target("G2", "AEGMM: F1 .937", highest("dagmm", "", frozenset({"aegmm"}), ("f1", 0.937))),
    Target("", "the best detector: F1 .975", highest("dagmm", "", frozenset(), ("f1", 0.975))),
    Target("G3", "one network: AUC .975, AP .975, TPR .65 at 1 %, real FPR .5 to 2 %", novel_nsl),
    Target(
        "",
        "an ensemble: AUC .98",
        highest("nsl-kdd", "official", frozenset({"ensemble"}), ("auc", 0.98)),
    ),
    Target(
        "G4",
        "AUC .995, TPR .90 at 1 %, recall R2L .50 and of new types .80",
        highest(
            "kdd99-official",
            "official",
            frozenset(),
            *(("auc", 0.995), ("tpr_at_1pct", 0.9), ("r2l", 0.5), ("novel_recall", 0.8)),
        ),
    ),
    Target(
        "G5",
        "memory of codes: AUC .981",
        highest("memstream", "published", frozenset(), ("auc", 0.981)),
    ),
    Target(
        "",
        "the same, warm-up by time, attacks as anomalies, 1,000 updates",
        highest("memstream", "adapting", frozenset(), ("updates", 1000.0), ("auc", 0.981)),
    ),
    Target(
        "G6",
        "alert rates within a factor of 1.5 of 1e-2 to 1e-4, rows in random order",
        rates("shuffled"),
    ),
    Target("", "the same, rows in order of time", rates("in order of time")),
    Target(
        "",
        "the rate is back after a benign drift, within the rows promised from its alarm on",
        recovery,
    ),
    Target(
        "G7",
        "five columns that are named are 5 times as much of the error as five random ones",
        explained(
            lambda row: row["top"] >= 5 * max(row["random"], 0) and row["top"] > 0,
            lambda row: f"{row['top'] / row['random']:.1f} times",
        ),
    ),
    Target(
        "",
        "another seed names two thirds of the same five",
        explained(lambda row: row["stability"] >= 0.67, lambda row: f"{row['stability']:.2f}"),
    ),
    Target(
        "",
        "a column that is made odd is among the first three in 95 %",
        explained(lambda row: row["injection"] >= 0.95, lambda row: f"{row['injection']:.1%}"),
    ),
    Target(
        "",
        "10 µs an explained row",
        explained(lambda row: row["cost_us"] <= 10, lambda row: f"{row['cost_us']:.0f} µs"),
    ),
    Target("G8", "rows a CPU-second: ae 2 M; kitnet 1 M, 300 k unbatched", speed),
    Target("sample capture", "all episodes, at most 1 false alert an hour held out", episodes),
)

"""Tables of the page: what contenders reach beside the floors, by seed, by class; what was said."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tapwatch.alerts.console import printable
from tapwatch.evaluation.console import MARKS, told
from tapwatch.evaluation.protocol import TextTable
from tapwatch.evaluation.results import Row, SectionResults, Spread

#: Figure of merit -> its heading, and what it is.
MERITS: Final = {
    "auc": ("AUC", "area under the ROC curve; .5 is chance"),
    "ap": ("AP", "average precision; chance is the share of anomalies"),
    "tpr_at_1pct": ("TPR 1%", "share found at 1 % false positives"),
    "tpr_at_01pct": ("TPR .1%", "share found at .1 % false positives"),
    "precision": ("P", "precision at the threshold"),
    "recall": ("R", "recall at the threshold"),
    "f1": ("F1", "F1 at the threshold"),
    "fpr": ("FPR", "share of normal rows flagged at the threshold"),
    "macro_auc": ("macro", "mean of the AUC of each class of anomalies"),
    "novel_recall": ("novel R", "recall on attack types that the training files do not have"),
}
#: Of these the highest mean is set in bold.
_HIGH_IS_GOOD: Final = frozenset(MERITS) - {"fpr"}
_MANY_CLASSES: Final = 9


def text(value: Any) -> str:
    """Any value as HTML text that nothing in it can break."""
    return html.escape(printable(str(value)))


def value_of(cell: Any) -> str:
    """A plain value as people read it."""
    if isinstance(cell, Mapping):
        return ", ".join(f"{key}: {value_of(item)}" for key, item in cell.items())
    if isinstance(cell, (list, tuple)):
        return ", ".join(map(value_of, cell))
    if cell is None or isinstance(cell, bool):
        return {None: "", True: "yes", False: "no"}[cell]
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def table(headings: Iterable[str], rows: Iterable[str], caption: str = "", kind: str = "") -> str:
    """A table of rows that are HTML; headings are text."""
    head = "".join(f"<th>{text(heading)}</th>" for heading in headings)
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    named = f' class="{kind}"' if kind else ""
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table{named}>{title}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def merit_table(section: SectionResults) -> str:
    """Contenders with mean and deviation, the best in bold, then the floors."""
    lines = (*section.rows, *section.floor)
    shown = [name for name in MERITS if any(name in row.merits for row in lines)]
    extra = list(dict.fromkeys(name for row in section.rows for name in row.extra))
    best = {name: _best(name, section.rows) for name in shown}
    head = "".join(
        f'<th title="{html.escape(MERITS[name][1])}">{html.escape(MERITS[name][0])}</th>'
        for name in shown
    )
    head += "".join(f"<th>{text(name)}</th>" for name in extra)
    made = []
    for row in section.rows:
        cells = "".join(_merit(row.merits.get(name), best[name]) for name in shown)
        cells += "".join(_merit(row.extra.get(name), None) for name in extra)
        mark = MARKS[row.beats_floor]
        mark = f' <span class="mark">{mark}</span>' if mark else ""
        made.append(
            f"<tr><td>{text(row.name)}{mark}</td>{cells}<td>{_cpu_s(section, row)}</td></tr>"
        )
    for k, row in enumerate(section.floor):
        cells = "".join(_merit(row.merits.get(name), None) for name in shown)
        cells += "<td></td>" * (len(extra) + 1)
        kind = "floor ruled" if not k else "floor"
        name = f"{text(row.name)} <small>{text(row.note)}</small>"
        made.append(f'<tr class="{kind}"><td>{name}</td>{cells}</tr>')
    body = "\n".join(made)
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}<th>CPU-s</th></tr></thead>'
        f"\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _best(name: str, rows: Sequence[Row]) -> str | None:
    """The highest mean as it is printed: what looks the same is equally good."""
    means = [row.merits[name].mean for row in rows if name in row.merits]
    if name not in _HIGH_IS_GOOD or len(means) < 2:
        return None
    return _mean(max(means))


def _mean(value: float) -> str:
    return told(Spread((value,), value, 0.0, value))


def _merit(value: Spread | None, best: str | None) -> str:
    if value is None:
        return "<td></td>"
    mean, _, deviation = told(value).partition("±")
    kind = ' class="best"' if best is not None and mean == best else ""
    sd = f'<span class="sd">±{deviation}</span>' if deviation else ""
    return f"<td{kind}>{mean}{sd}</td>"


def _cpu_s(section: SectionResults, row: Row) -> str:
    spent = [outcome.cpu_s for outcome in section.outcomes if outcome.contender == row.name]
    return f"{sum(spent) / len(spent):.1f}" if spent else ""


def seed_table(section: SectionResults, seeds: Sequence[int]) -> str:
    """What each seed gave, with the median, for what was published most often."""
    made = []
    for row in section.rows:
        for name in ("auc", "f1"):
            spread = row.merits.get(name)
            if spread is None:
                continue
            cells = "".join(f"<td>{_mean(value)}</td>" for value in spread.values)
            heading = MERITS[name][0]
            # A figure that a seed does not have has no place in the order of the seeds.
            if len(spread.values) == len(seeds):
                made.append(
                    f"<tr><td>{text(row.name)}, {heading}</td>{cells}"
                    f"<td>{_mean(spread.median)}</td></tr>"
                )
    return table(["", *(f"seed {seed}" for seed in seeds), "median"], made)


def class_table(section: SectionResults) -> str:
    """Recall by class as a heat map; "" where no class has a name of its own."""
    lines = (*section.rows, *section.floor)
    classes = list(dict.fromkeys(name for row in lines for name in row.per_class))
    if not classes:
        return ""
    counts = section.audit.get("classes", {})
    named = [f"{name} ({counts[name]:,})" if name in counts else name for name in classes]
    if len(classes) > _MANY_CLASSES:
        rows = [
            f"<tr><td>{text(told_as)}</td>"
            + "".join(_heat(row.per_class.get(name)) for row in section.rows)
            + "</tr>"
            for name, told_as in zip(classes, named, strict=True)
        ]
        return table(["", *(row.name for row in section.rows)], rows)
    rows = []
    for k, row in enumerate(lines):
        kind = ' class="floor ruled"' if k == len(section.rows) else ""
        kind = kind or (' class="floor"' if k > len(section.rows) else "")
        cells = "".join(_heat(row.per_class.get(name)) for name in classes)
        rows.append(f"<tr{kind}><td>{text(row.name)}</td>{cells}</tr>")
    return table(["", *named], rows)


def _heat(value: Spread | None) -> str:
    if value is None:
        return "<td></td>"
    share = min(1.0, max(0.0, value.mean))
    return f'<td class="heat" style="--share:{share:.3f}">{_mean(value.mean)}</td>'


def own_table(own: TextTable) -> str:
    """A table of a protocol's own."""
    rows = ["<tr>" + "".join(map(_own_cell, row)) + "</tr>" for row in own.rows]
    made = table(own.headings, rows, kind="own")
    for k, heading in enumerate(own.headings):
        if own.rows and isinstance(own.rows[0][k], str):
            plain = f"<th>{text(heading)}</th>"
            made = made.replace(plain, plain.replace("<th", '<th class="word"'), 1)
    return f"<h3>{text(own.title)}</h3>\n{made}"


def _own_cell(cell: str | int | float | None) -> str:
    """Words to the left, figures to the right."""
    kind = ' class="word"' if isinstance(cell, str) else ""
    return f"<td{kind}>{text(value_of(cell))}</td>"


def facts(items: Mapping[str, Any]) -> str:
    """Names and what is said of them; empty ones are left out."""
    told_items = [
        f"<dt>{text(key.replace('_', ' '))}</dt><dd>{text(value_of(item))}</dd>"
        for key, item in items.items()
        if item not in ({}, None, [], (), "")
    ]
    return "<dl>" + "\n".join(told_items) + "</dl>" if told_items else ""

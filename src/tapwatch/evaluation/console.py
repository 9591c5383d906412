"""Results of a protocol as tables for people."""

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapwatch.alerts.console import printable
from tapwatch.evaluation.output import all_tables
from tapwatch.evaluation.protocol import Statement, TextTable
from tapwatch.evaluation.results import Results, Row, SectionResults, Spread

#: Figure of merit -> its heading, in order.
_HEADINGS: Final = {
    "auc": "AUC",
    "ap": "AP",
    "tpr_at_1pct": "TPR 1%",
    "tpr_at_01pct": "TPR .1%",
    "precision": "P",
    "recall": "R",
    "f1": "F1",
    "fpr": "FPR",
    "macro_auc": "macro",
    "novel_recall": "novel R",
}
#: Whether a contender beats the floor -> the mark behind it.
MARKS: Final = {True: "", False: "below the floor", None: "floor: not measured"}
_MANY_CLASSES: Final = 6


def render(results: Results, console: Console) -> None:
    """Print statement, table and audit of each section, then the protocol's own tables."""
    console.print(Text(f"{results.protocol.name}: {results.protocol.title}", style="bold"))
    seeds = ", ".join(map(str, results.seeds))
    console.print(Text(f"seeds: {seeds}; mean ± sd over them"))
    if results.protocol.statement is not None:
        _render_statement(results.protocol.statement, console)
    for section in results.sections:
        _render_section(section, console)
    for table in all_tables(results):
        _render_table(table, console)


def _render_section(section: SectionResults, console: Console) -> None:
    statement = section.section.statement
    console.print(Text(f"\n{section.section.name}", style="bold"))
    _render_statement(statement, console)
    for key, fact in section.split.facts.items():
        if fact not in ({}, None, [], ""):
            console.print(Text(printable(f"  {key.replace('_', ' ')}: {_fact(fact)}")))
    shown = [name for name in _HEADINGS if any(name in row.merits for row in section.rows)]
    extra = list(dict.fromkeys(name for row in section.rows for name in row.extra))
    table = _table("", *(_HEADINGS[name] for name in shown), *extra, "CPU-s", "")
    for row in section.rows:
        cells = [_cell(row.merits.get(name)) for name in shown]
        cells += [_cell(row.extra.get(name)) for name in extra]
        mark = Text(MARKS[row.beats_floor], style="bold red")
        table.add_row(_text(row.name), *cells, _text(_cpu(section, row)), mark)
    table.add_section()
    for row in section.floor:
        cells = [_cell(row.merits.get(name)) for name in shown] + [Text("")] * len(extra)
        table.add_row(_text(row.name), *cells, Text(""), _text(row.note), style="dim")
    console.print(table)
    _render_classes(section, console)
    for warning in section.audit["warnings"]:
        console.print(Text(f"  audit: {printable(warning)}", style="yellow"))


def _render_statement(statement: Statement, console: Console) -> None:
    for key in ("split", "orientation", "threshold", "avoids"):
        console.print(Text(f"  {key}: {getattr(statement, key)}"))


def _fact(fact: Any) -> str:
    if isinstance(fact, Mapping):
        return ", ".join(f"{key} {_fact(value)}" for key, value in fact.items())
    if isinstance(fact, (list, tuple)):
        return ", ".join(map(_fact, fact))
    return f"{fact:,}" if isinstance(fact, int) else _value(fact)


def _cpu(section: SectionResults, row: Row) -> str:
    spent = [outcome.cpu_s for outcome in section.outcomes if outcome.contender == row.name]
    return f"{sum(spent) / len(spent):.1f}"


def _render_classes(section: SectionResults, console: Console) -> None:
    """Recall by class: a class a column, or a line where there are many."""
    lines = (*section.rows, *section.floor)
    classes = list(dict.fromkeys(name for row in lines for name in row.per_class))
    if len(classes) < 2:
        return
    if len(classes) <= _MANY_CLASSES:
        table = _table("recall by class", *map(printable, classes))
        for row in lines:
            table.add_row(_text(row.name), *(_cell(row.per_class.get(name)) for name in classes))
    else:
        table = _table("recall by class", *(printable(row.name) for row in section.rows))
        for name in classes:
            table.add_row(_text(name), *(_cell(row.per_class.get(name)) for row in section.rows))
    console.print(table)


def _render_table(table: TextTable, console: Console) -> None:
    console.print(Text(f"\n{table.title}", style="bold"))
    made = _table(*table.headings)
    for cells in table.rows:
        made.add_row(*(_text(_value(cell)) for cell in cells))
    console.print(made)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, heading in enumerate(headings):
        last = at == len(headings) - 1
        table.add_column(heading, justify="left" if not at or last else "right", overflow="fold")
    return table


def _cell(value: Spread | None) -> Text:
    return Text("") if value is None else Text(told(value))


def told(value: Spread) -> str:
    """Mean and deviation as text.

    Examples
    --------
    >>> told(Spread((0.9, 0.92), 0.91, 0.0141, 0.91)), told(Spread((0.5,), 0.5, 0.0, 0.5))
    ('.910±.014', '.500')
    """
    text = _short(value.mean)
    return f"{text}±{_short(value.sd)}" if len(value.values) > 1 else text


def _short(number: float) -> str:
    """Three decimals, without the zero in front of them."""
    text = f"{number:.3f}" if abs(number) < 100 else f"{number:.4g}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _value(cell: Any) -> str:
    if cell is None or isinstance(cell, bool):
        return {None: "", True: "yes", False: "no"}[cell]
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _text(text: str) -> Text:
    return Text(printable(text))

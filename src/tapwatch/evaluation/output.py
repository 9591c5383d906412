"""Results of a protocol as JSON for programs, and the folder that they are written to.

The JSON has no times in it: the same files, protocol and seeds give the same bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tapwatch.alerts.eve import number
from tapwatch.errors import SinkError
from tapwatch.evaluation.protocol import Statement, TextTable
from tapwatch.evaluation.results import Results, Row, SectionResults, Spread

SCHEMA: Final = 1
_FILE: Final = "results.json"
_STATEMENT: Final = tuple(Statement.__dataclass_fields__)


def as_document(results: Results) -> dict[str, Any]:
    """The results as one JSON object; numbers to six significant digits."""
    sections = results.sections
    document: dict[str, Any] = {
        "protocol": results.protocol.name,
        "schema": SCHEMA,
        "title": results.protocol.title,
        "command": results.command,
        "statement": {
            name: {key: getattr(statement, key) for key in _STATEMENT}
            for name, statement in statements(results).items()
        },
        "data": [
            {
                "name": file.name,
                "sha256": file.sha256,
                "rows": file.rows,
                "unit": file.unit,
                "used_for": file.used_for,
                "left_out": dict(file.left_out),
            }
            for file in results.data
        ],
        "seeds": list(results.seeds),
        "rows": [_row(s, row) for s in sections for row in s.rows],
        "floor": [_row(s, row) for s in sections for row in s.floor],
        "audit": {s.section.name: plain(s.audit) for s in sections},
        "facts": plain(results.facts),
        "tables": [table_json(table) for table in all_tables(results)],
    }
    return document


def write(results: Results, folder: Path) -> None:
    """Write what there is to DIR, made where it is absent.

    Raises
    ------
    SinkError
        Something cannot be written.
    """
    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(as_text(results), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: could not be written: {error.strerror}") from error


def as_text(results: Results) -> str:
    """The JSON as it stands in the file."""
    return json.dumps(as_document(results), indent=2, allow_nan=False) + "\n"


def statements(results: Results) -> dict[str, Statement]:
    """What is said before the numbers: of each section, or of a protocol without any."""
    own = results.protocol.statement
    told = {} if own is None else {results.protocol.name: own}
    return told | {s.section.name: s.section.statement for s in results.sections}


def all_tables(results: Results) -> list[TextTable]:
    """The protocol's own tables: of its sections, then of the whole."""
    made = [
        table
        for section in results.sections
        if section.section.tables is not None
        for table in section.section.tables(section)
    ]
    return made + list(results.tables)


def table_json(table: TextTable) -> dict[str, Any]:
    """One table of a protocol's own."""
    return {
        "name": table.name,
        "title": table.title,
        "headings": list(table.headings),
        "rows": plain(table.rows),
    }


def plain(value: Any) -> Any:
    """Copy nested facts as JSON values: numbers to six digits, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a number of NumPy
        value = value.item()
    return number(value) if isinstance(value, float) else value


def _row(section: SectionResults, row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"section": section.section.name, "detector": row.name}
    told |= {"kind": row.detector, "settings": plain(section.parameters.get(row.name, {}))}
    is_floor = not row.detector
    if is_floor:
        told = {"section": section.section.name, "floor": row.name, "note": row.note}
    told |= {name: _spread(value) for name, value in row.merits.items()}
    told["per_class"] = {name: _spread(value) for name, value in row.per_class.items()}
    if row.extra:
        told["extra"] = {name: _spread(value) for name, value in row.extra.items()}
    if not is_floor:
        told["beats_floor"] = row.beats_floor
    return told


def _spread(value: Spread) -> dict[str, Any]:
    return {
        "mean": number(value.mean),
        "sd": number(value.sd),
        "median": number(value.median),
        "values": [number(one) for one in value.values],
    }

"""Write the reference page of the views: `python -m tapwatch.features.reference > FILE.md`."""

import sys
from collections.abc import Iterable, Iterator

from tapwatch.features.catalog import SCHEMAS
from tapwatch.features.identity import IDENTITY, identity_of
from tapwatch.tables import Column, Schema

_INTRODUCTION = """\
# Features

A view says what becomes a row. A model is bound to a schema by its digest: the SHA-256 of the
view's name and version and of name, unit, dtype and formula of each column. Every value is finite:
where a value is not defined, its formula says what stands there. No magnitude exceeds the largest
float32. Models get float32; files get the dtype of the table. Unit 1: a count, a ratio or a flag.

`tapwatch features --names original` heads columns with the original spelling where there is one.

In the formulas, `p` is the decoded frame, `l` what the flow table says of it, `f` the state of an
ended flow (PACKET, LINK and FLOW in `tapwatch.tables`; times there are in ns). `arp`, `ip` and
`whole` are conditions: an ARP packet that was decoded; an IPv4 or IPv6 packet; an IP packet that is
not a later fragment. Fwd is from the initiator of the flow, bwd to it; payload is what follows the
transport header, by its length on the wire; a gap is the time between a packet and the one before
it, 0 where the packet carries an earlier time.
"""


def page() -> str:
    """Text of the page."""
    return "\n".join([_INTRODUCTION, *(_section(schema) for schema in SCHEMAS.values())])


def _section(schema: Schema) -> str:
    columns = (
        (f"`{c.name}`", c.unit, _dtype(c), c.formula, c.source, c.meaning, c.original)
        for c in schema.columns
    )
    identity = (
        (f"`{name}`", IDENTITY[name][0].replace("dictionary", "string"), IDENTITY[name][1])
        for name in identity_of(schema.view)
    )
    return "\n".join(
        [
            f"## {schema.view}",
            "",
            f"Version {schema.version}, {len(schema.columns)} columns, digest `{schema.digest}`.",
            "",
            "First in a file, never fed to a model:",
            "",
            *_table(("column", "dtype", "meaning"), identity),
            "",
            "Features:",
            "",
            *_table(
                ("column", "unit", "dtype", "formula", "source", "meaning", "original"), columns
            ),
            "",
        ]
    )


def _dtype(column: Column) -> str:
    return "one of: " + ", ".join(column.categories) if column.categories else column.dtype


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())

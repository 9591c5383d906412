"""The list of packets as Wireshark exports it, beside each golden capture, gives the same rows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tapwatch.detect.export import as_export
from tapwatch.features.catalog import schema_of
from tapwatch.training.wireshark_csv import open_table
from tests.conformance import compare, golden

SCHEMA = schema_of("packet")
CAPTURES = ("tcp_analysis", "flow_statistics", "fragments", "labels")


def expected(name: str) -> NDArray[np.float32]:
    """Expected rows of the packet view as a model sees them."""
    _, rows = compare.read(golden.FOLDER / f"{name}.packet.csv")
    values = [
        [
            column.categories.index(row[column.name]) if column.categories else row[column.name]
            for column in SCHEMA.columns
        ]
        for row in rows
    ]
    return np.array(values, np.float64).astype(np.float32)


#: Frames whose sequence number against the one expected an export cannot tell: numbers begin anew
#: with an answer on the same ports; a SYN is sent again behind a gap; a row of SSL before has none.
_NOT_TOLD = {"tcp_analysis": [35, 130, 131], "flow_statistics": [102]}


@pytest.mark.parametrize("name", CAPTURES)
def test_an_export_gives_the_rows_of_its_capture(name):
    """In every column that an export can give, but for the length of TCP's first fragments and
    sequence numbers that are not told.
    """
    table = open_table(golden.FOLDER / f"{name}.wireshark.csv", SCHEMA)

    found = np.concatenate([part.values for part in table.parts()])
    rows = expected(name)
    wanted = as_export(SCHEMA, rows)

    # float32 has 24 bits; times are printed with six digits.
    differs = ~np.isclose(found, wanted, rtol=2e-7, atol=1.001e-6)
    is_piece = (rows[:, SCHEMA.names.index("tcp")] * rows[:, SCHEMA.names.index("ip_flags_mf")]) > 0
    assert is_piece.sum() == (2 if name == "tcp_analysis" else 0)
    advance = SCHEMA.names.index("tcp_seq_advance")
    assert (np.flatnonzero(differs[:, advance]) + 1).tolist() == _NOT_TOLD.get(name, [])
    differs[:, advance] = False
    columns = np.flatnonzero(differs[~is_piece].any(axis=0))
    assert {SCHEMA.names[k]: np.flatnonzero(differs[:, k]) + 1 for k in columns} == {}
    assert len(table.given) > 40

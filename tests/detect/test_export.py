"""What is left of rows that go through a Wireshark export."""

import numpy as np
import pytest

from tapwatch.detect.export import as_export, given_of
from tapwatch.features import SCHEMAS
from tapwatch.features.schema import make_schema
from tapwatch.tables import Column


def column(name: str, **more: object) -> Column:
    """A column of which only the name matters."""
    return Column(name, "1", "int64", "f", "s", "m", **more)


SCHEMA = make_schema(
    "packet",
    1,
    (
        column("length", export=("*",)),
        column("window", export=("TCP", "unheard of"), absent=-1.0),
        column("port", export=("TCP", "UDP")),
        column("ttl", absent=7.0),
        column("protocol", categories=("other", "TCP", "UDP"), export=("*",)),
    ),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_is_given_on_rows_of_its_labels_alone(dtype):
    """Elsewhere stands what the column says; the rows that come in are left as they are."""
    rows = np.array([[10, 11, 12, 13, label] for label in (0, 1, 2)], dtype)
    before = rows.copy()

    told = as_export(SCHEMA, rows)

    assert told.dtype == dtype
    assert told.tolist() == [[10, -1, 0, 7, 0], [10, 11, 12, 7, 1], [10, -1, 12, 7, 2]]
    assert np.array_equal(rows, before)
    assert np.array_equal(as_export(SCHEMA, told), told)
    assert np.array_equal(as_export(SCHEMA, rows, given_of(SCHEMA)), told)


def test_a_label_beyond_the_list_counts_as_its_end():
    """No value makes it read beyond the list of classes."""
    rows = np.array([[1, 2, 3, 4, label] for label in (-5.0, 1e30)])

    assert as_export(SCHEMA, rows)[:, :4].tolist() == [[1, -1, 0, 7], [1, -1, 3, 7]]


def test_without_a_label_only_what_every_row_gives_is_left():
    """A schema that has no protocol column, and no rows at all."""
    schema = make_schema("flow", 1, SCHEMA.columns[:4])

    assert as_export(schema, np.array([[1.0, 2.0, 3.0, 4.0]])).tolist() == [[1, -1, 0, 7]]
    assert as_export(schema, np.zeros((0, 4))).shape == (0, 4)


def test_the_packet_view_says_what_an_export_gives():
    """Every label that a column names is one of the classes."""
    columns = {column.name: column for column in SCHEMAS["packet"].columns}
    labels = {"*", *columns["protocol"].categories}

    assert all(labels.issuperset(column.export) for column in columns.values())
    assert columns["tcp_window_size"].export == ("TCP",)
    assert columns["tcp_analysis_out_of_order"].export == ("*",)
    assert columns["ip_ttl"].export == ()

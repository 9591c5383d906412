"""Schemas: what a digest is bound to, and what importing them costs."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from tapwatch.errors import ConfigError
from tapwatch.features import SCHEMAS, VIEWS, schema_of
from tapwatch.features.flow.columns import snake
from tapwatch.features.schema import make_schema
from tapwatch.tables import Column

COLUMNS = (
    Column("ip_ttl", "1", "int64", "p.ip_ttl", "RFC 791", "time to live"),
    Column("flow_age_s", "s", "float64", "now - first", "tapwatch", "age"),
)


def digest(*columns: Column, view: str = "packet", version: int = 1) -> str:
    """Digest of a schema of these columns."""
    return make_schema(view, version, columns).digest


@pytest.mark.parametrize(
    "change",
    [{"name": "ip_hlim"}, {"unit": "s"}, {"dtype": "float64"}, {"formula": "p.ip_ttl + 1"}],
)
def test_the_digest_changes_with_what_values_depend_on(change):
    """Another name, unit, dtype or formula of a column is another schema."""
    first, second = COLUMNS

    assert digest(replace(first, **change), second) != digest(*COLUMNS)


@pytest.mark.parametrize("change", [{"meaning": "hops left"}, {"source": "RFC 8200"}])
def test_the_digest_does_not_change_with_prose(change):
    """A better word in the meaning does not make models unusable."""
    first, second = COLUMNS

    assert digest(replace(first, **change), second) == digest(*COLUMNS)


def test_the_digest_is_bound_to_view_version_and_order():
    """The same columns in another order, view or version are another schema."""
    digests = {
        digest(*COLUMNS),
        digest(*reversed(COLUMNS)),
        digest(*COLUMNS, view="flow"),
        digest(*COLUMNS, version=2),
    }

    assert len(digests) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", d) for d in digests)


def test_refuses_two_columns_of_one_name():
    """The message names the column."""
    with pytest.raises(ValueError, match="ip_ttl"):
        make_schema("packet", 1, (*COLUMNS, COLUMNS[0]))


def test_every_view_has_the_schema_under_its_name():
    """Views and schemas are listed under the same names."""
    assert list(VIEWS) == list(SCHEMAS)
    assert {"packet", "flow"} <= set(VIEWS)
    assert all(view().schema is SCHEMAS[name] for name, view in VIEWS.items())


def test_an_unknown_view_is_told_those_that_exist():
    """The error carries exit code 2 and the names."""
    with pytest.raises(ConfigError, match=r"view = 'flows': want one of packet, flow") as caught:
        schema_of("flows")

    assert caught.value.exit_code == 2


def test_columns_tell_all_that_a_user_needs():
    """No column lacks a unit, formula, source or meaning; names are plain identifiers."""
    for schema in SCHEMAS.values():
        for column in schema.columns:
            # Kitsune's streams are spelt as in its paper.
            stream = "(MI|HH|HH_jit|HpHp|H)_" if schema.view.startswith("afterimage") else ""
            assert re.fullmatch(stream + "[a-z0-9_]+", column.name)
            assert column.name[0].isalpha()
            assert all((column.unit, column.formula, column.source, column.meaning)), column.name


def test_nothing_that_identifies_a_host_is_a_feature():
    """Addresses, port numbers, times and row numbers are identity, not features."""
    for schema in SCHEMAS.values():
        for name in schema.names:
            assert not re.fullmatch(r".*(_ts_ns|_port|_number|flow_id|_src|_dst|_mac)", name), name


def test_flow_columns_are_those_of_the_data_set_in_snake_case():
    """The 76 of it, ten of the corrected tool, and three classes; spelt as the tools do."""
    columns = SCHEMAS["flow"].columns

    assert len(columns) == 76 + 10 + 3
    assert [column.name for column in columns if column.original] == [
        snake(column.original) for column in columns if column.original
    ]
    assert [column.name for column in columns if column.categories] == [
        "protocol",
        "src_port_class",
        "dst_port_class",
    ]
    assert all(column.original for column in columns[:87])
    assert {"flow_duration", "tot_fwd_pkts", "init_fwd_win_byts", "flow_iat_mean"} <= {
        column.name for column in columns
    }


def test_packet_columns_spell_wireshark_fields_with_underscores():
    """Where Wireshark has the field, the name is the field's with _ for . and -."""
    for column in SCHEMAS["packet"].columns:
        assert column.original in ("", *{column.original} & {column.name}) or column.name == (
            column.original.replace(".", "_").replace("-", "_")
        )


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import tapwatch.features", "torch scapy pyshark river pyarrow numba"),
        ("from tapwatch.features import schema_of; schema_of('flow')", "torch pyarrow numba"),
        ("from tapwatch.features import VIEWS; VIEWS['flow']()", "torch scapy river pyarrow"),
    ],
)
def test_imports_only_what_it_needs(program, unwanted):
    """Schemas come without numba, kernels without pyarrow, nothing with torch."""
    command = f"import sys\n{program}\nprint(set({unwanted!r}.split()) & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)

    assert done.stdout == "set()\n", done.stderr


def test_the_package_offers_nothing_else():
    """A name that does not exist is an AttributeError as of any module."""
    import tapwatch.features

    with pytest.raises(AttributeError, match="no attribute 'WINDOWS'"):
        tapwatch.features.WINDOWS  # noqa: B018

"""Whose the rows of a table are: what models of sequences need beside the values."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.errors import ArtifactError, CaptureError, ConfigError
from tapwatch.features.sequences.layout import ENTITY, FLOW_OR_PAIR, HOST
from tapwatch.tables import ROW
from tapwatch.training.tables import Table

_ADDRESSES: Final = ("src", "dst")
_MAPPED: Final = 0xFFFF << 32  # RFC 4291 2.5.5.2: an IPv4 address as IPv6
_LOW: Final = (1 << 64) - 1


def entity_columns(view: str) -> tuple[str, ...]:
    """Identity columns that tell the entity of a row of this view."""
    kind = ENTITY[view]
    if kind == HOST:
        return ("src",)
    return ("src", "dst", "flow_id" if kind == FLOW_OR_PAIR else "dst_port")


def check_entities(tables: Mapping[Path, Table]) -> None:
    """Raise ConfigError where there is a published table: its rows do not say whose they are."""
    for path, table in tables.items():
        want = "captures, or Parquet files of `tapwatch features`"
        why = f"a model of sequences has to know whose a row is, and a {table.kind} does not tell"
        raise ConfigError("INPUT", str(path), want, why)


def check_identity(path: Path, arrow: Any, names: Sequence[str]) -> None:
    """Raise ArtifactError unless a Parquet file has these identity columns, once and of their type.

    Parameters
    ----------
    path : Path
    arrow : pyarrow.Schema
        Of the file.
    names : sequence of str
    """
    from pyarrow import types

    words = (types.is_string, types.is_large_string, types.is_dictionary)
    for name in names:
        places = arrow.get_all_field_indices(name)
        tests, want = (words, "words") if name in _ADDRESSES else ((types.is_integer,), "integers")
        if len(places) != 1:
            raise ArtifactError(
                f"{path}: column {name}: {len(places)} times there: want it once, for a model of "
                "sequences has to know whose a row is"
            )
        found = arrow.field(places[0]).type
        if not any(test(found) for test in tests):
            raise ArtifactError(f"{path}: column {name}: {found!s:.60}: want a column of {want}")


def read_identity(path: Path, batch: Any, names: Sequence[str]) -> NDArray[Any]:
    """Who the rows of a pyarrow record batch are, ROW (n,): what `names` tell of it.

    Raises
    ------
    CaptureError
        A value is null, or no address.
    """
    rows = np.zeros(batch.num_rows, ROW)
    for name in names:
        array = batch.column(name)
        if array.null_count:
            raise CaptureError(f"{path}: {name}: null: want a value in every row")
        if name in _ADDRESSES:
            _fill_addresses(path, array, name, rows)
        else:
            numbers = array.cast("int64").to_numpy(zero_copy_only=False)
            if name == "dst_port" and ((numbers < 0) | (numbers > 0xFFFF)).any():
                raise CaptureError(f"{path}: dst_port: {numbers.max()} or below 0: want a port")
            rows[name] = numbers
    if "flow_id" in names:
        rows["is_flow"] = rows["flow_id"] != 0
    return rows


def _fill_addresses(path: Path, array: Any, name: str, rows: NDArray[Any]) -> None:
    """Put the addresses of one column into src_hi, src_lo or dst_hi, dst_lo; each word once."""
    import pyarrow as pa

    coded = array.cast(pa.string()).dictionary_encode()
    found = [_address(path, name, word) for word in coded.dictionary.to_pylist()]
    table = np.array(found, np.uint64).reshape(-1, 3)
    high, low, version = table[coded.indices.to_numpy(zero_copy_only=False)].T
    rows[f"{name}_hi"], rows[f"{name}_lo"] = high, low
    if name == "src":
        rows["ip_version"] = version


def _address(path: Path, name: str, word: str) -> tuple[int, int, int]:
    """Both halves of 128 bits, and the IP version; 0 of a MAC address with its colons."""
    octets = word.split(":")
    try:
        if len(octets) == 6 and all(len(octet) == 2 for octet in octets):
            return 0, int("".join(octets), 16), 0
        address = ip_address(word)
    except ValueError as error:
        raise CaptureError(f"{path}: {name}: {word!r:.60}: want an IP or MAC address") from error
    if address.version == 4:
        return 0, _MAPPED | int(address), 4
    return int(address) >> 64, int(address) & _LOW, 6

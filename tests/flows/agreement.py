"""How kernel and twin are compared."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tapwatch.config import FlowConfig
from tapwatch.tables import FLOW, PACKET
from tests.flows import naive
from tests.flows.craft import file_all

#: Running state that only the kernel has.
RUNNING = {
    "active_start_ns",
    "bulk_start_ns",
    "bulk_last_ns",
    "bulk_tentative_bytes",
    "bulk_tentative_packets",
    "conn_history",
}
#: A sum of squares by Welford is as exact as the values are long: relative to mean and maximum.
SQUARES = {
    "payload_m2": "payload_max",
    "gap_m2_ns2": "gap_max_ns",
    "period_m2_ns2": "period_max_ns",
}


def as_dicts(rows: NDArray[Any]) -> list[dict[str, Any]]:
    """Rows as plain Python."""
    names = rows.dtype.names or ()
    columns = [rows[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def assert_agree(packets: NDArray[Any], config: FlowConfig | None = None, **how: Any) -> None:
    """Kernel and twin give the same rows in the same order, and the same links."""
    assert packets.dtype == PACKET
    config = config or FlowConfig()
    ended, links, counts = file_all(packets, config=config, **how)
    expected_rows, expected_links = naive.flows(as_dicts(packets), config)

    got_rows = as_dicts(ended)
    assert [r["flow_id"] for r in got_rows] == [r["flow_id"] for r in expected_rows]
    for got, expected in zip(got_rows, expected_rows, strict=True):
        assert set(expected) | RUNNING == set(FLOW.names or ())
        for name, value in expected.items():
            assert_same(name, got, value)
    for got, expected in zip(as_dicts(links), expected_links, strict=True):
        assert {name: got[name] for name in expected} == expected
    assert counts["created"] == len(ended) == sum(counts["ended"].values())
    assert counts["packets"] + counts["not_flow_packets"] <= len(packets)


def assert_same(name: str, got: dict[str, Any], expected: Any) -> None:
    """One field: whole numbers exactly, others to 1e-9."""
    if name in SQUARES:
        for k, value in enumerate(expected):
            scale = float(got[SQUARES[name]][k]) ** 2 * 1e-12
            assert got[name][k] == pytest.approx(value, rel=1e-9, abs=scale), name
    elif name.endswith(("mean", "mean_ns")):
        assert got[name] == pytest.approx(expected, rel=1e-9), name
    else:
        assert got[name] == expected, name


def assert_equal_bytes(left: tuple[Any, ...], right: tuple[Any, ...]) -> None:
    """Rows are the same to the last byte, links and counts in every field."""
    assert left[0].tobytes() == right[0].tobytes()
    assert np.array_equal(left[1], right[1])
    assert left[2] == right[2]

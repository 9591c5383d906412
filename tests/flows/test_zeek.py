"""Connection states of captures of Zeek's own tests, as its published test results have them."""

import pytest

from tapwatch.tables import ConnState
from tests.flows.craft import file_all
from tests.flows.test_captures import decoded
from tests.shared_data import shared_data

#: Capture -> conn_state of its TCP connections, in Zeek's testing/btest/Baseline:
#: conn_state-RST-behavior, core.tcp.missing-syn, core.tcp.miss-end-data.
STATES = {
    "single-rst": ["OTH"],
    "syn-then-rst": ["RSTOS0"],
    "syn-then-ack-then-rst": ["RSTOS0"],
    "syn-then-stuff-then-rst": ["OTH"],
    "missing-syn": ["SF"],
    "miss_end_data": ["SF"],
}


@pytest.mark.parametrize("name", STATES)
def test_states_are_those_that_zeek_gives(name):
    """Each of them, whatever the capture lacks."""
    rows = file_all(decoded(shared_data() / "pcaps" / "zeek" / "tcp" / f"{name}.pcap"))[0]

    states = [ConnState(int(row["conn_state"])).name for row in rows if row["proto"] == 6]
    assert states == STATES[name]

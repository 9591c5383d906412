"""States and times of the golden conversations against tshark's streams, asked through pyshark."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.conformance import golden
from tests.conformance.captures import STATES
from tests.flows.segments import TSHARK_OPTIONS

SYN, SYN_ACK, ACK, DATA, FIN, RST = 1, 2, 4, 8, 16, 32  # bits of tcp.completeness
#: pyshark leaves an event loop behind, so it gets a process of its own. What a stream has come to
#: is known at its end: tshark goes through the capture twice.
ASK = """
import json, sys, pyshark
path, *options = sys.argv[1:]
with pyshark.FileCapture(path, display_filter="tcp", custom_parameters=options) as capture:
    print(json.dumps([
        [p.number, p.tcp.stream, p.tcp.completeness, p.tcp.time_delta] for p in capture
    ]))
"""
LETTERS = {"S": SYN, "H": SYN_ACK, "D": DATA, "F": FIN, "R": RST}


def packets(name: str) -> list[list[str]]:
    """Number, stream, completeness and time delta of each TCP segment of a golden capture."""
    if shutil.which("tshark") is None:
        reason = "tshark is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    path = str(golden.FOLDER / f"{name}.pcap")
    command = [sys.executable, "-W", "ignore", "-c", ASK, path, "-2", *TSHARK_OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: list[list[str]] = json.loads(done.stdout)
    return found


def rows(name: str) -> list[dict[str, str]]:
    """Expected rows."""
    with (golden.FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_connection_has_done_what_its_state_says():
    """What tshark has seen in each stream are the letters that lead to the state, in 13 states."""
    seen = {int(stream): int(done) for _, stream, done, _ in packets("states")}
    flags = {row["dst"]: row["flag"] for row in rows("states.kdd.csv")}

    for number, (state, letters) in enumerate(STATES.items()):
        done = {bit for bit in LETTERS.values() if seen[number] & bit}
        assert done == {LETTERS[x] for x in letters.upper() if x in LETTERS}, state
        # The two words that the task does not have.
        word = "OTH" if state in ("RSTRH", "SHR") else state
        assert flags[f"203.0.113.{10 + number}"] == word


@pytest.mark.parametrize("name", ["tcp_analysis", "flow_statistics"])
def test_streams_have_the_packets_and_times_of_flows(name):
    """Segments of a stream are those of its rows, and time since the last one is tcp.time_delta."""
    expected = {row["frame_number"]: row for row in rows(f"{name}.packet.csv")}
    streams: dict[str, int] = defaultdict(int)
    for number, _, _, delta in packets(name):
        row = expected[number]
        streams[row["community_id"]] += 1
        wanted = max(0.0, float(delta))  # clocks that go back
        assert float(row["tcp_time_delta"]) == pytest.approx(wanted, abs=1e-9), number

    counts: dict[str, int] = defaultdict(int)
    for row in rows(f"{name}.flow.csv"):
        counts[row["community_id"]] += int(row["tot_fwd_pkts"]) + int(row["tot_bwd_pkts"])
    assert {k: n for k, n in counts.items() if k in streams} == streams

"""Floods through all views at once: memory has an end, and every packet is accounted for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOOD = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "flood.py"
N_PACKETS = 1_000_000


def flooded(tmp_path, n_packets):
    """What the script ends with, says, and found."""
    out = tmp_path / "found.json"
    counts = ["--packets", str(n_packets), "--warm", "0.75", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, str(FLOOD), *counts], capture_output=True, check=False, text=True
    )
    said = done.stdout + done.stderr
    assert out.exists(), said
    return done.returncode, said, json.loads(out.read_text())


def test_a_small_flood_is_accounted_for(tmp_path):
    """Memory is another matter: tables that are filling grow."""
    _, said, found = flooded(tmp_path, 20_000)

    assert found["broken"] == [], said
    assert found["summary"]["capture"]["packets"] == 40_000
    assert all(counts["held"] == 0 for counts in found["summary"]["views"].values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_flood_fills_the_tables_and_no_more(tmp_path):
    """A million five-tuples, then a million sources; from three quarters on nothing grows."""
    code, said, found = flooded(tmp_path, N_PACKETS)

    assert code == 0, said
    assert found["broken"] == []
    assert found["summary"]["capture"]["packets"] == 2 * N_PACKETS
    views = found["summary"]["views"]
    assert {"packet", "flow", "kdd", "afterimage", "host"} <= set(views)
    assert min(counts["rows"] for counts in views.values()) >= 2 * N_PACKETS
    for table in ("flow_ended_total", "conversations", "address_pairs", "label_conversations",
                  "kdd_hosts", "afterimage_streams", "host_pairs", "host_channels"):  # fmt: skip
        assert sum(n for name, n in found["evicted"].items() if name.startswith(table)) > 10_000

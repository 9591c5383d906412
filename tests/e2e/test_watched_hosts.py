"""Two sensors, one of hosts and ARP and one of logins, find every episode of the sample capture."""

import json
import subprocess
import sys

import pytest

from tests.e2e.program import ATTACKS, HOLDOUT, SAMPLES, tapwatch, with_bundles

TRUTH = SAMPLES / "attacks.truth.csv"
SENSORS = {
    "not udp port 123": ("host", "beacon", "arp"),
    "tcp port 21 or tcp port 22": ("logins",),
}


def sensor(filter: str) -> list[object]:
    """Options that set up one sensor."""
    bundles = tuple(SAMPLES / "bundles" / name for name in SENSORS[filter])
    return [*with_bundles(bundles), "--filter", filter, "--quiet"]


def test_together_they_find_all_fourteen(tmp_path):
    """What one of them misses the other finds; beacon and guessed SSH passwords among it."""
    found, kinds = set(), set()
    for number, filter in enumerate(SENSORS):
        out = tmp_path / str(number)
        tapwatch("evaluate", *sensor(filter), "--labels", TRUTH, ATTACKS, "-o", out)
        episodes = json.loads((out / "results.json").read_text())["episodes"]
        kinds |= {episode["kind"] for episode in episodes}
        found |= {episode["kind"] for episode in episodes if episode["found"]}

    assert len(kinds) == 14
    assert kinds - found == set()


@pytest.fixture(scope="module")
def second_half(tmp_path_factory):
    """The half of the held-out capture that nothing was trained or calibrated on."""
    folder = tmp_path_factory.mktemp("halves")
    halves = [sys.executable, SAMPLES / "halves.py", HOLDOUT, folder / "1.pcap", folder / "2.pcap"]
    subprocess.run(halves, check=True)
    return folder / "2.pcap"


@pytest.mark.parametrize("filter", SENSORS)
def test_held_out_benign_traffic_gives_no_alert(filter, second_half, tmp_path):
    """A quarter of an hour without a false alert."""
    out = tmp_path / "alerts.jsonl"

    tapwatch("replay", second_half, *sensor(filter), "-o", out)

    assert out.read_bytes() == b""

"""The sample bundles find the attacks of the sample capture and leave benign traffic alone."""

import json
import subprocess
import sys

from tests.e2e.program import ATTACKS, HOLDOUT, SAMPLES, tapwatch, with_bundles

FOUND_AT_LEAST = 0.8
FALSE_ALERTS_AT_MOST = 2


def test_four_of_five_episodes_are_found(tmp_path):
    """Episodes of the truth file that an alert meets in address and time: at least 80 %."""
    truth = SAMPLES / "attacks.truth.csv"

    tapwatch("evaluate", *with_bundles(), "--labels", truth, ATTACKS, "-o", tmp_path)

    results = json.loads((tmp_path / "results.json").read_text())
    episodes = results["episodes"]
    found = [episode for episode in episodes if episode["found"]]
    assert len(episodes) == len(truth.read_text().splitlines()) - 1
    assert len(found) / len(episodes) >= FOUND_AT_LEAST


def test_held_out_benign_traffic_gives_hardly_an_alert(tmp_path):
    """The half that nothing was trained or calibrated on gives at most 2 alerts."""
    first, second = tmp_path / "first.pcap", tmp_path / "second.pcap"
    halves = [sys.executable, SAMPLES / "halves.py", HOLDOUT, first, second]
    subprocess.run(halves, check=True)
    out = tmp_path / "alerts.jsonl"

    tapwatch("replay", second, *with_bundles(), "-o", out, "--quiet")

    assert out.read_bytes().count(b"\n") <= FALSE_ALERTS_AT_MOST

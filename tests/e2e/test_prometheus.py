"""A real Prometheus that watches a replay ends with the numbers of the ledger."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from tests.e2e.program import ATTACKS, start, with_bundles
from tests.telemetry.programs import debian_program

LIMIT_S = 90


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def prometheus(tmp_path):
    """Port of a Prometheus, and the port that it scrapes once a second."""
    target, port = _free_port(), _free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        f"  - {{job_name: tapwatch, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
    )
    command = [
        debian_program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        yield port, target
        process.terminate()
        process.wait(timeout=30)


def _ask(port: int, expression: str) -> dict[str, float]:
    """Value by the labels that the expression leaves, joined."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as got:
        found = json.load(got)["data"]["result"]
    return {"".join(series["metric"].values()): float(series["value"][1]) for series in found}


def _ask_until(port: int, expression: str, wanted: dict[str, float]) -> dict[str, float]:
    until_s, answer = time.monotonic() + LIMIT_S, {}
    while answer != wanted and time.monotonic() < until_s:
        try:
            answer = _ask(port, expression)
        except OSError:  # it is still starting
            answer = {}
        time.sleep(0.5)
    return answer


def test_scraped_metrics_equal_the_summary(prometheus, tmp_path):
    """Packets, statuses, flows, rows, errors and alerts: what was scraped last is the ledger."""
    port, target = prometheus
    file = tmp_path / "summary.json"
    options = ["--listen", f"127.0.0.1:{target}", "--linger", 60, "--summary", file, "--quiet"]
    with start("replay", ATTACKS, *with_bundles(), *options) as child:
        try:
            until_s = time.monotonic() + LIMIT_S
            while not file.exists() and time.monotonic() < until_s:
                time.sleep(0.2)
            time.sleep(0.2)
            ledger = json.loads(file.read_text())
            views, nothing = ledger["views"], lambda counts: {k: v for k, v in counts.items() if v}
            expected = {
                "sum(tapwatch_capture_received_packets_total)": {"": ledger["capture"]["packets"]},
                "sum by (status) (tapwatch_decode_packets_total) > 0": nothing(ledger["decode"]),
                "sum by (reason) (tapwatch_flow_ended_total) > 0": nothing(
                    ledger["flows"]["ended"]
                ),
                "sum(tapwatch_flow_created_total)": {"": ledger["flows"]["created"]},
                "sum by (view) (tapwatch_scored_rows_total)": {
                    view: counts["scored"] for view, counts in views.items()
                },
                "sum by (view) (tapwatch_reconstruction_error_count)": {
                    view: counts["scored"] for view, counts in views.items()
                },
                "sum(tapwatch_alerts_total)": {"": ledger["alerts"]["raised"]},
                "sum by (reason) (tapwatch_alerts_suppressed_total)": ledger["alerts"][
                    "suppressed"
                ],
                "sum(tapwatch_ledger_balanced)": {"": 1},
            }
            scraped = {query: _ask_until(port, query, want) for query, want in expected.items()}
        finally:
            child.terminate()
        child.communicate(timeout=30)

    assert scraped == expected
    assert ledger["alerts"]["raised"] > 0
    assert child.returncode == 0

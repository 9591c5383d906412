"""A real Prometheus scrapes the real server."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from tapwatch.telemetry.collector import TallyCollector
from tapwatch.telemetry.http import serve
from tests.telemetry import made
from tests.telemetry.programs import debian_program

LIMIT_S = 60
_TARGET = ("job", "instance")

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: tapwatch
    static_configs: [{{targets: ["{target}"]}}]
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def prometheus(tmp_path):
    """Start a Prometheus that scrapes one target; returns a function that asks it."""
    program, processes = debian_program("prometheus"), []

    def start(target: str):
        port = _free_port()
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(target=target))
        command = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        log = (tmp_path / "prometheus.log").open("w")
        processes.append((subprocess.Popen(command, stdout=log, stderr=log), log))
        return lambda expression: _ask(port, expression)

    yield start
    for process, log in processes:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _ask(port: int, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    """An instant query: labels without job and instance -> value; {} while it is starting."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5
        ) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return {}
    return {
        tuple(sorted((k, v) for k, v in s["metric"].items() if k not in _TARGET)): float(
            s["value"][1]
        )
        for s in found
    }


def _wait(ask, expression: str):
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask(expression)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def test_prometheus_reads_what_the_rooms_counted(prometheus):
    """Every counter, gauge and histogram of the tallies arrives with its value."""
    with serve("127.0.0.1:0", TallyCollector([made.tallies])) as server:
        ask = prometheus(server.url.removeprefix("http://"))

        assert set(_wait(ask, "up == 1").values()) == {1.0}, "Prometheus did not scrape"
        decoded = ask("tapwatch_decode_packets_total")
        active = ask("tapwatch_flow_active")
        buckets = ask("tapwatch_reconstruction_error_bucket")
        total = ask("tapwatch_reconstruction_error_sum")
        median = ask("histogram_quantile(0.5, tapwatch_reconstruction_error_bucket)")

    named = {dict(labels)["status"]: value for labels, value in decoded.items()}
    assert named == {"ok": 12_345_678_901.0, "truncated": 0.0}
    assert list(active.values()) == [17.0]
    assert {dict(k)["le"]: v for k, v in buckets.items()} == {
        "0.1": 5.0,
        "1.0": 5.0,
        "10.0": 7.0,
        "+Inf": 8.0,
    }
    assert list(total.values()) == [33.25]
    assert 0 < next(iter(median.values())) <= 0.1

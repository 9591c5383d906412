"""`tapwatch run` whose outputs do not do what they should, and signals beyond the first SIGTERM."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.e2e.program import BUNDLES, with_bundles
from tests.live.test_run import ended, odd, start  # noqa: F401 (a fixture)
from tests.live.wire import TAPWATCH, until

PACKET = BUNDLES[1:]


@pytest.fixture
def many(tmp_path):
    """Options that let every odd packet become an alert."""
    config = tmp_path / "many.toml"
    config.write_text("[alerts]\nrate_limit_per_min = 1000000\nhold_down_s = 0\n")
    return ("--config", config)


def _flood(wire, n_rounds: int) -> None:
    for i in range(n_rounds):
        wire.send(*[odd(k % 256) for k in range(i * 40, i * 40 + 40)])
        time.sleep(0.02)


def test_a_reader_that_stalls_does_not_hold_up_a_run(wire, start, tmp_path, many):  # noqa: F811
    """Packets and metrics go on; the loss is counted and told; SIGTERM ends it with its summary."""
    ledger = tmp_path / "ledger.json"
    run = start("-o", "-", "--summary", ledger, *many, bundles=PACKET)

    _flood(wire, 50)
    seen = 'tapwatch_capture_received_packets_total{interface="far",worker="0"}'
    until(lambda: run.scrape()[seen] >= 2000)
    depth = run.scrape()['tapwatch_alert_sink_queue_depth{sink="stdout"}']
    run.process.send_signal(signal.SIGTERM)
    run.process.wait(30)  # nobody has read a byte of the alerts
    code = run.stop()

    assert code == 0
    summary = ended(run, ledger)
    n_written = run.out.count(b"\n")
    assert summary["alerts"]["raised"] == 2000
    assert depth > 1000
    lost = re.search(r"warning: ([\d,]+) alerts could not be written: standard output", run.text)
    assert lost, run.text
    assert int(lost[1].replace(",", "")) + n_written == 2000


def test_a_fifo_without_a_reader_does_not_hold_up_a_run(wire, start, tmp_path):  # noqa: F811
    """It watches at once; the reader that comes later gets what was kept for it."""
    fifo = tmp_path / "alerts.fifo"
    os.mkfifo(fifo)
    run = start("-o", fifo, bundles=PACKET)
    wire.send(*[odd(i) for i in range(5)])
    waiting = 'tapwatch_alert_sink_queue_depth{sink="file"}'
    until(lambda: run.scrape()[waiting] == 5)

    with open(fifo) as reader:
        lines = [json.loads(reader.readline()) for _ in range(5)]
        assert run.stop(signal.SIGTERM) == 0

    assert [alert["src_ip"] for alert in lines] == [f"10.0.0.{i}" for i in range(5)]
    assert "could not be written" not in run.text


def test_standard_error_that_stalls_does_not_hold_up_a_run(wire, start, tmp_path):  # noqa: F811
    """Nobody reads what is said; the run goes on and ends in order."""
    ledger = tmp_path / "ledger.json"
    run = start("--summary", ledger, bundles=PACKET)
    os.set_blocking(run.process.stderr.fileno(), False)

    for _ in range(1500):  # each makes it say a line of 70 bytes
        run.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    wire.send(*[odd(i) for i in range(200)])
    run.process.send_signal(signal.SIGTERM)

    assert run.process.wait(60) == 0
    assert ended(run, ledger)["capture"]["packets"] == 200


def test_a_hangup_opens_the_alerts_file_anew_and_ends_nothing(wire, start, tmp_path):  # noqa: F811
    """What log rotation sends; and what a terminal sends that goes away."""
    ledger, alerts = tmp_path / "ledger.json", tmp_path / "alerts"
    run = start("-o", alerts, "--summary", ledger, bundles=PACKET)
    alerts.rename(tmp_path / "alerts.1")

    run.process.send_signal(signal.SIGHUP)
    until(alerts.exists)
    run.process.send_signal(signal.SIGHUP)
    wire.send(odd(1))
    until(lambda: alerts.read_bytes().count(b"\n") == 1)
    code = run.stop(signal.SIGTERM)

    assert code == 0
    assert ended(run, ledger)["alerts"]["raised"] == 1
    assert f"SIGHUP: {alerts}: opened anew" in run.text


def test_alerts_go_to_a_file_of_the_old_name_after_rotation(wire, start, tmp_path):  # noqa: F811
    """Without any signal; each line is in one of the two files."""
    alerts, moved = tmp_path / "alerts", tmp_path / "alerts.1"
    run = start("-o", alerts, bundles=PACKET)
    wire.send(odd(1), odd(2))
    until(lambda: alerts.read_bytes().count(b"\n") == 2)
    alerts.rename(moved)

    wire.send(odd(3))
    until(alerts.exists)
    code = run.stop(signal.SIGTERM)

    assert code == 0
    sources = [
        [json.loads(line)["src_ip"] for line in path.read_text().splitlines()]
        for path in (moved, alerts)
    ]
    assert sources == [["10.0.0.1", "10.0.0.2"], ["10.0.0.3"]]


def test_alerts_that_cannot_be_written_are_told_at_once(wire, start):  # noqa: F811
    """Not only at the end; also with --quiet; and not a line for each."""
    run = start("-o", "/dev/full", bundles=PACKET)

    wire.send(odd(1))
    run.wait_for("warning: /dev/full: No space left on device: 0 alerts are lost, 1 wait")
    wire.send(odd(2))
    assert run.process.poll() is None
    code = run.stop(signal.SIGTERM)

    assert code == 0
    assert run.text.count("No space left") == 2
    assert "warning: 2 alerts could not be written: /dev/full: No space left" in run.text


def test_a_summary_that_cannot_be_written_hides_nothing(wire, start, tmp_path):  # noqa: F811
    """The ledger and the losses are told before; exit 1."""
    folder = tmp_path / "ledgers"
    folder.mkdir()
    run = start("-o", "/dev/full", "--summary", folder / "ledger.json", bundles=PACKET)
    folder.rmdir()
    wire.send(odd(1))

    code = run.stop(signal.SIGTERM)

    assert code == 1
    assert "The ledger balances" in run.text
    assert "warning: 1 alerts could not be written" in run.text
    assert "ledger.json: the summary could not be written: No such file" in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(wire, start, tmp_path, second):  # noqa: F811
    """With 128 and its number; a slow reader of the last alerts is not waited for."""
    fifo, ledger = tmp_path / "alerts.fifo", tmp_path / "ledger.json"
    os.mkfifo(fifo)
    run = start("-o", fifo, "--summary", ledger, bundles=PACKET)
    wire.send(odd(1))
    until(lambda: run.scrape()['tapwatch_alert_sink_queue_depth{sink="file"}'] == 1)

    run.process.send_signal(signal.SIGTERM)
    until(ledger.exists)
    code = run.stop(second)

    assert code == 128 + second
    assert "The ledger balances" not in run.text


def test_a_run_whose_terminal_goes_away_goes_on(wire, tmp_path):
    """SIGHUP comes, twice; what it says goes nowhere; SIGTERM ends it with its summary."""
    ledger, alerts = tmp_path / "ledger.json", tmp_path / "alerts"
    terminal, other = os.openpty()
    options = ("-o", str(alerts), "--summary", str(ledger))
    command = (*TAPWATCH, "run", "-i", wire.far, *with_bundles(PACKET), *options)
    process = subprocess.Popen(
        ["setsid", "--ctty", *wire.inside, *command],
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    said = b""
    while b"watching far" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)

    wire.send(*[odd(i) for i in range(20)])
    until(lambda: alerts.read_bytes().count(b"\n") == 20)
    time.sleep(1)  # two lines for the terminal that there is not
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)

    assert code == 0
    assert json.loads(ledger.read_text())["alerts"]["raised"] == 20

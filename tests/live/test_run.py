"""`tapwatch run` as an operator starts it, and stopped in every way there is."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.program import BUNDLES, tapwatch, with_bundles
from tests.live.wire import AT_ONCE, TAPWATCH, promiscuity, until
from tests.test_pipeline import query

FLOW, PACKET = BUNDLES
START_S = 300  # kernels may have to be compiled, on a busy machine


def odd(host: int) -> bytes:
    """An IPv4 packet that claims to be far longer than its frame; the packet bundle flags it."""
    frame = bytearray(query(1024))
    frame[16:18] = (1400).to_bytes(2, "big")
    frame[29] = host
    return bytes(frame)


@pytest.fixture
def start(wire):
    """Starts runs; what is left of them at the end is killed."""
    runs = []

    def started(*arguments, **more):
        runs.append(Run(wire, *arguments, **more))
        return runs[-1].wait()

    yield started
    for run in runs:
        run.process.kill()
        with run.process:
            pass


class Run:
    """A `tapwatch run` on the far end that is watching already."""

    def __init__(self, wire, *arguments, bundles=BUNDLES, before=(), environment=()) -> None:
        command = (*before, *TAPWATCH, "run", "-i", wire.far, *with_bundles(bundles), *arguments)
        self.wire, self.told = wire, []
        self.process = wire.start("env", *environment, *command)

    def wait(self) -> "Run":
        """Wait until it watches."""
        return self.wait_for("watching far")

    def wait_for(self, text: str) -> "Run":
        """Wait until it has said that."""
        end_s = time.monotonic() + START_S
        while text not in self.text:
            # Past the buffer of the stream: `select` does not see what lies there.
            ready = select.select([self.process.stderr], [], [], max(0, end_s - time.monotonic()))
            assert ready[0], f"{text!r} not said within {START_S} s: {self.text}"
            self.told.append(os.read(self.process.stderr.fileno(), 65_536))
            assert self.told[-1], self.text
        return self

    def stop(self, *signals) -> int:
        """Send signals and wait; what was said is in `told`."""
        for number in signals:
            self.process.send_signal(number)
        try:
            self.out, rest = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.told.append(rest)
        return self.process.returncode

    @property
    def text(self) -> str:
        """All that was said on stderr."""
        return b"".join(self.told).decode()

    def served(self, path="/metrics") -> str:
        """What is answered there."""
        address = f"http://127.0.0.1:9477{path}"
        with self.wire, urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()

    def scrape(self) -> dict[str, float]:
        """All series that are served."""
        lines = self.served().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }


def alerts_of(path):
    """Alerts without the name of the interface, which a pcap file does not hold."""
    alerts = [json.loads(line) for line in path.read_text().splitlines()]
    for alert in alerts:
        alert.pop("in_iface", None)
    return alerts


def ended(run, path):
    """Summary of a run that has ended; its ledger balances from the kernel on."""
    summary = json.loads(path.read_text())
    capture = summary["capture"]
    assert summary["ledger_balanced"] is True, run.text
    assert capture["kernel_packets"] == capture["packets"] + capture["dropped"]
    assert (capture["unread"], capture["loopback_copies"]) == (0, 0)
    return summary


def test_a_run_ends_with_sigterm_and_equals_the_replay_of_a_recording(wire, start, tmp_path):
    """Exit 0, every packet in the ledger; alerts as told at once are those of the recording."""
    live, replayed, recording = (tmp_path / name for name in ("live", "replayed", "rec.pcap"))
    ledgers = tmp_path / "live.json", tmp_path / "replayed.json"
    run = start("-o", live, "--summary", ledgers[0])

    with wire.recorded(recording, wire.far, AT_ONCE):
        before = run.scrape()
        for i in range(60):
            wire.send(*(query(3000 + k, bytes(k)) for k in range(20)), odd(i))
            time.sleep(0.02)
        until(lambda: live.exists() and live.read_bytes().count(b"\n") >= 60, 2)
        until(lambda: run.scrape()["tapwatch_alerts_total" + LABELS] >= 60, 2)
        after = run.scrape()
        wire.send(query(1))
        assert run.stop(signal.SIGTERM) == 0

    summary = ended(run, ledgers[0])
    tapwatch(
        "replay", recording, *with_bundles(), "-o", replayed, "--summary", ledgers[1], "--quiet"
    )
    assert len(alerts_of(live)) >= 60
    assert alerts_of(live) == alerts_of(replayed)
    of_replay = json.loads(ledgers[1].read_text())
    assert summary["capture"]["packets"] == of_replay["capture"]["packets"] == 60 * 21 + 1
    for part in ("decode", "flows", "views", "alerts"):
        assert summary[part] == of_replay[part]
    received = 'tapwatch_capture_received_packets_total{interface="far",worker="0"}'
    assert (before[received], after[received]) == (0, 60 * 21)
    assert after['tapwatch_capture_interface_up{interface="far"}'] == 1
    assert after["tapwatch_ledger_balanced"] == 1


LABELS = '{detector="deep_ae",severity="1",view="packet"}'


def test_an_interrupt_ends_a_run_with_130(wire, start, tmp_path):
    """With its summary, as after SIGTERM."""
    ledger = tmp_path / "ledger.json"
    run = start("--summary", ledger, bundles=(PACKET,))
    wire.send(*[query(i + 1) for i in range(500)])

    code = run.stop(signal.SIGINT)

    assert code == 130
    assert ended(run, ledger)["capture"]["packets"] == 500
    assert "The ledger balances" in run.text


def test_an_interface_that_is_deleted_ends_a_run_with_its_reason(wire, start, tmp_path):
    """Exit 3, after all that had come in was scored and summed up."""
    ledger = tmp_path / "ledger.json"
    run = start("--summary", ledger, bundles=(PACKET,))
    wire.send(*[query(i + 1) for i in range(500)])
    wire.ip("link", "del", wire.far)

    code = run.stop()

    assert code == 3
    assert "far: the interface is gone" in run.text
    assert ended(run, ledger)["capture"]["packets"] == 500


def test_a_disk_that_is_full_does_not_stop_a_run(wire, start, tmp_path):
    """Alerts that cannot be written are counted and told; the end is an ordinary one."""
    ledger = tmp_path / "ledger.json"
    options = ("-o", "/dev/full", "--duration", "2", "--summary", ledger)
    run = start(*options, bundles=(PACKET,))

    wire.send(*[odd(i) for i in range(30)])
    code = run.stop()

    assert code == 0
    assert ended(run, ledger)["alerts"]["raised"] == 30
    assert "warning: 30 alerts could not be written" in run.text


def test_a_reader_that_leaves_ends_a_run_quietly(wire, start):
    """As `tapwatch run -o - | head -1` does."""
    run = start("-o", "-", bundles=(PACKET,))
    wire.send(odd(1))
    first = json.loads(run.process.stdout.readline())
    run.process.stdout.close()
    run.process.stdout = None

    wire.send(odd(2))
    code = run.stop()

    assert first["in_iface"] == "far"
    assert code == 0
    assert "rror" not in run.text.replace("of the error", "")


METRICS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"


@pytest.mark.parametrize(("options", "promiscuous"), [((), 1), (("-p",), 0)])
def test_what_is_served_is_what_the_reference_lists(wire, start, tmp_path, options, promiscuous):
    """No metric is missing there, and none is too many; `-p` leaves the interface as it is."""
    run = start("-o", tmp_path / "alerts", "--duration", "60", *options)

    served = re.findall(r"^# TYPE (tapwatch_\w+) (\w+)$", run.served(), re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", METRICS_PAGE.read_text(), re.MULTILINE)
    seen = promiscuity(wire)
    code = run.stop(signal.SIGTERM)

    assert sorted(served) == sorted(listed)
    assert len(served) > 50
    assert seen == promiscuous
    assert code == 0


def test_a_drop_is_told_while_it_happens(wire, start, tmp_path):
    """Not only at the end: while the process was stopped, its small ring was full."""
    config = tmp_path / "config.toml"
    config.write_text("[capture]\nring_blocks = 2\nring_block_bytes = 65536\n")
    run = start("--config", config, bundles=(PACKET,))

    run.process.send_signal(signal.SIGSTOP)
    wire.send(*[query(i + 1, bytes(1000)) for i in range(1000)])
    run.process.send_signal(signal.SIGCONT)
    run.wait_for("dropped by the kernel")
    alive = run.process.poll() is None
    run.stop(signal.SIGTERM)

    assert alive
    assert re.search(r"warning: [\d,]+ packets were dropped by the kernel", run.text)


def test_a_stop_of_three_seconds_costs_no_packet(wire, start, tmp_path):
    """Of the whole process, on a wire of a few thousand packets a second, with the default ring."""
    ledger = tmp_path / "ledger.json"
    run = start("--summary", ledger, bundles=(PACKET,))

    run.process.send_signal(signal.SIGSTOP)
    n_sent, end_s = 0, time.monotonic() + 3
    while time.monotonic() < end_s:
        wire.send(query(n_sent % 1000 + 1))
        n_sent += 1
        time.sleep(0.0003)
    run.process.send_signal(signal.SIGCONT)
    run.stop(signal.SIGTERM)

    summary = ended(run, ledger)
    assert n_sent > 1500
    assert (summary["capture"]["packets"], summary["capture"]["dropped"]) == (n_sent, 0)


def test_who_compiles_says_so_and_a_taken_port_is_refused_before(wire, tmp_path):
    """With a cold cache: /metrics answers meanwhile, but is not ready."""
    cold = (f"NUMBA_CACHE_DIR={tmp_path}",)
    with wire, socket.create_server(("127.0.0.1", 9477)):
        taken = Run(wire, bundles=(PACKET,), environment=cold)
        began_s = time.monotonic()
        code = taken.stop()
        took_s = time.monotonic() - began_s
    run = Run(wire, bundles=(PACKET,), environment=cold)
    run.wait_for("compiling the kernels")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        run.served("/-/ready")
    packets = run.scrape()["tapwatch_flow_packets_total"]
    run.process.kill()
    with run.process:
        pass

    assert (code, took_s < 30) == (2, True), taken.text
    assert "127.0.0.1:9477" in taken.text
    assert "compiling" not in taken.text
    assert packets == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-i", "far", "--filter", "prot tcp"), 2, r"--filter = 'prot tcp'.*syntax error"),
        (("-i", "eth9"), 3, r"eth9: no such interface: want one of lo, "),
        (("-i", "far", "--bundle", "nowhere"), 4, r"nowhere"),
        (("-i", "eth9", "--bundle", "nowhere"), 4, r"nowhere"),
        (("-i", "far", "-o", "nowhere/alerts"), 2, r"--output = 'nowhere/alerts'"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_watched(wire, arguments, code, said):
    """One line, and the exit code of its kind; a bundle is looked at before the interface."""
    bundle = () if "--bundle" in arguments else with_bundles((PACKET,))
    command = (*wire.inside, *TAPWATCH, "run", *arguments, *bundle)

    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)

    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert re.search(said, done.stderr)


def test_without_permission_the_missing_capability_is_named(wire):
    """CAP_NET_RAW, and how to give it."""
    without = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    command = (*TAPWATCH, "run", "-i", wire.far, *with_bundles((PACKET,)))

    done = subprocess.run(
        [*wire.inside, *without, *command], capture_output=True, text=True, timeout=START_S
    )

    assert done.returncode == 3
    assert "far: Operation not permitted: want the capability CAP_NET_RAW" in done.stderr

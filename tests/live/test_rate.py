"""A hundred thousand packets a second for twenty seconds: none lost, and replay is the same."""

import hashlib
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

from tapwatch.capture import open_captures, open_interface
from tapwatch.config import CaptureConfig, Config
from tapwatch.pipeline import Corridor
from tests.conftest import pcap_bytes
from tests.e2e.program import ATTACKS, tapwatch, with_bundles
from tests.live.test_run import Run, alerts_of, ended
from tests.live.wire import FIRST
from tests.telemetry.programs import debian_program
from tests.test_pipeline import query
from tests.test_silence import PACKED

NANO = ("--time-stamp-precision=nano",)
RATE, SECONDS = 100_000, 20
#: Room for all of it, 1.25 GiB, and 40 s of a wire that is nearly quiet: what neighbours do to this
#: machine's time is no fault of ours. How far the tap was behind is printed; the ring that is the
#: default, 64 MiB, has been enough on a quiet machine.
RING = CaptureConfig(ring_blocks=4096, ring_block_bytes=5 * 65_536)
PROMETHEUS = "127.0.0.1:19090"


def whole_frames(path):
    """The sample attacks as a pcap whose frames are as long as they were on the wire."""
    source, frames = open_captures([str(ATTACKS)]), []
    while (batch := source.read()) is not None:
        for row in batch.frames:
            data = batch.data[row["start"] : row["start"] + row["captured_bytes"]].tobytes()
            frames.append((int(row["ts_ns"]), data.ljust(min(int(row["wire_bytes"]), 1514), b"\0")))
    path.write_bytes(pcap_bytes(frames))


@pytest.fixture
def prometheus(wire, tmp_path):
    """A Prometheus in the namespace that scrapes the run every second."""
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        "  - {job_name: tapwatch, static_configs: [{targets: ['127.0.0.1:9477']}]}\n"
    )
    process = wire.start(
        debian_program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={PROMETHEUS}",
    )

    def ask(expression):
        query = urllib.parse.urlencode({"query": expression})
        address = f"http://{PROMETHEUS}/api/v1/query?{query}"
        with wire, urllib.request.urlopen(address, timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
        return {"".join(s["metric"].values()): float(s["value"][1]) for s in found}

    yield ask
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.slow
def test_a_hundred_thousand_packets_a_second_are_all_seen(wire, prometheus, tmp_path):
    """No drop; the ledger, the scraped counters, the recording and its replay agree."""
    names = ("sent", "recording", "cut", "live", "replayed")
    sent, recording, cut, live, replayed = (tmp_path / name for name in names)
    ledgers = tmp_path / "live.json", tmp_path / "replayed.json"
    whole_frames(sent)
    config = tmp_path / "config.toml"
    config.write_text(
        f"[capture]\nring_blocks = {RING.ring_blocks}\nring_block_bytes = {RING.ring_block_bytes}\n"
    )
    options = ("--duration", SECONDS + 4, "--linger", "60", "--config", config)
    with wire.recorded(recording):
        run = Run(wire, "-o", live, "--summary", ledgers[0], *options, before=FIRST).wait()
        replay = ("tcpreplay", "-i", wire.near, "-K", f"--pps={RATE}", "--loop=1000")
        limit = f"--limit={RATE * SECONDS}"
        done = subprocess.run(
            [*wire.inside, *FIRST, *replay, limit, str(sent)],
            capture_output=True,
            text=True,
            check=True,
        )
        lag_s = prometheus("max_over_time(tapwatch_capture_lag_seconds[20s])")
        # The recording does not say how long it was silent afterwards: so there is no silence.
        while not ledgers[0].exists():
            wire.send(query(1))
            time.sleep(0.05)
    summary = ended(run, ledgers[0])
    wanted = _wanted(summary)
    scraped = _settled(prometheus, wanted)
    run.stop(15)

    rate = float(re.search(r"([\d.]+) pps", done.stdout)[1])
    figures = {"sent_pps": rate, "max_lag_s": lag_s, **summary["capture"], **summary["seconds"]}
    sys.stdout.write(f"{figures}\n")
    # What was sent to keep the wire busy went on after the tap had stopped.
    n_packets = summary["capture"]["packets"]
    subprocess.run(
        ["tcpdump", "-r", recording, "-c", str(n_packets), "-w", cut, *NANO],
        capture_output=True,
        check=True,
    )
    tapwatch("replay", cut, *with_bundles(), "-o", replayed, "--summary", ledgers[1], "--quiet")
    of_replay = json.loads(ledgers[1].read_text())
    assert rate > 0.5 * RATE
    assert summary["capture"]["dropped"] == 0
    assert n_packets >= RATE * SECONDS
    assert n_packets == of_replay["capture"]["packets"]
    for part in ("decode", "flows", "views", "alerts"):
        assert summary[part] == of_replay[part]
    assert alerts_of(live) == alerts_of(replayed) != []
    assert scraped == wanted


@pytest.mark.slow
def test_flow_rows_at_that_rate_are_those_of_the_recording(wire, tmp_path):
    """Every field and every value of every row, in order."""
    sent, recording = tmp_path / "sent", tmp_path / "recording"
    whole_frames(sent)
    live, replayed = Digest(), Digest()
    with wire.recorded(recording):
        senders = []
        with wire:
            source = open_interface(
                wire.far, RING, stopped=lambda: bool(senders) and senders[0].poll() is not None
            )
            source.start()
        replay = ("tcpreplay", "-i", wire.near, "-K", f"--pps={RATE}", "--loop=1000")
        live.carry(source.read())  # so that nothing has to be compiled while packets wait
        with wire.start(*replay, f"--limit={RATE * SECONDS}", sent) as sender:
            senders.append(sender)
            live.carry_all(source)
    source.close()
    replayed.carry_all(open_captures([str(recording)]))

    assert source.counts.packets == RATE * SECONDS
    assert source.counts.dropped == 0
    assert live.n_rows > 50_000
    assert (live.n_rows, live.sum.hexdigest()) == (replayed.n_rows, replayed.sum.hexdigest())


class Digest:
    """A digest of the rows of the flow view."""

    def __init__(self) -> None:
        self._corridor = Corridor(Config(), ("flow",), dtype=np.float64)
        self.sum, self.n_rows = hashlib.sha256(), 0

    def _take(self, made) -> None:
        batch = made["flow"]
        self.n_rows += len(batch)
        for row, values in zip(batch.rows.astype(PACKED), batch.values, strict=True):
            self.sum.update(row.tobytes() + values.tobytes())

    def carry(self, batch) -> None:
        """Take one batch."""
        self._take(self._corridor.carry(batch))

    def carry_all(self, source) -> None:
        """Take all batches of a source, and its end."""
        while (batch := source.read()) is not None:
            self.carry(batch)
        for made in self._corridor.finish():
            self._take(made)


def _wanted(summary):
    return {
        "sum(tapwatch_capture_received_packets_total)": {"": summary["capture"]["packets"]},
        "sum(tapwatch_capture_dropped_packets_total)": {"": 0},
        "sum(tapwatch_flow_created_total)": {"": summary["flows"]["created"]},
        "sum by (reason) (tapwatch_flow_ended_total)": summary["flows"]["ended"],
        "sum by (view) (tapwatch_scored_rows_total)": {
            view: counts["scored"] for view, counts in summary["views"].items()
        },
        "sum(tapwatch_alerts_total)": {"": summary["alerts"]["raised"]},
        "sum(tapwatch_ledger_balanced)": {"": 1},
        "sum(tapwatch_capture_behind_packets_total)": {"": 0},
    }


def _settled(ask, wanted):
    end_s, scraped = time.monotonic() + 20, {}
    while scraped != wanted and time.monotonic() < end_s:
        scraped = {expression: ask(expression) for expression in wanted}
        time.sleep(0.5)
    return scraped

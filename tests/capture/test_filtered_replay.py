"""--filter: the packets that tcpdump finds, and the rows of a recording made with the filter."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.pipeline import Corridor, extract
from tests.capture import makers
from tests.e2e.program import ATTACKS, BUNDLES, plain, tapwatch, with_bundles
from tests.shared_data import shared_data

needs_tcpdump = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")

FILTERS = [
    "tcp",
    "udp port 53 or ip6",
    "vlan",
    "ip and not tcp and len > 100",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 or icmp6",
]


def tcpdumped(path, text, out):
    """Record again what matches; False where tcpdump does not read or filter the capture."""
    command = ["tcpdump", "--time-stamp-precision=nano", "-r", path, "-w", out, text]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def packets_in(path, **kwargs):
    source = open_captures([str(path)], **kwargs)
    n = 0
    while (batch := source.read()) is not None:
        n += len(batch)
    assert source.counts.packets == source.counts.filtered + n
    return n


def rows_of(path, view, **kwargs):
    """Every row of a view: its columns, and who and when it is but for the number of its frame."""
    source = open_captures([str(path)], **kwargs)
    batches = [b for b, _ in extract(source, Corridor(Config(), [view], dtype=np.float64), view)]
    rows = np.concatenate([batch.rows for batch in batches])
    values = np.concatenate([batch.values for batch in batches]).tolist()
    names = set(rows.dtype.names) - {"frame_number"}
    return values, {name: rows[name].tolist() for name in sorted(names)}


@needs_tcpdump
def test_as_many_packets_match_as_tcpdump_finds(tmp_path):
    """A share of all real captures: tags, IPv6, cooked, loopback, raw; each filter on each."""
    files = sorted((shared_data() / "pcaps").rglob("*.pcap*"))
    files = [path for path in files if path.suffix in (".pcap", ".pcapng")]
    chosen = [p for p in files if "vlan" in p.name or "null" in p.name or "sll" in p.name][::3]
    compared = matched = 0
    for path in [*chosen, *files[::60]]:
        for text in FILTERS:
            if tcpdumped(path, text, tmp_path / "theirs"):
                expected = packets_in(tmp_path / "theirs")
                assert packets_in(path, filter=text) == expected, (path, text)
                compared, matched = compared + 1, matched + expected

    assert compared > 200
    assert matched > 1000


@needs_tcpdump
@pytest.mark.parametrize("view", ["packet", "flow"])
def test_rows_are_those_of_a_recording_made_with_the_filter(tmp_path, view):
    """Not one number differs, whatever was between the packets that match."""
    capture = tmp_path / "attacks.pcap"
    capture.write_bytes(plain(ATTACKS))
    for text in ("udp", "tcp port 80 or icmp", "arp"):
        recorded = tmp_path / "recorded.pcap"
        assert tcpdumped(capture, text, recorded)

        expected = rows_of(recorded, view)

        assert rows_of(capture, view, filter=text) == expected
        assert rows_of(capture, view, filter=text, batch_frames=97) == expected
        assert len(expected[0]) > 10 or (view, text) == ("flow", "arp")


@needs_tcpdump
def test_alerts_are_those_of_a_recording_made_with_the_filter(tmp_path):
    """The same lines; the ledger tells of the rest, in the summary and for people."""
    capture, recorded = tmp_path / "attacks.pcap", tmp_path / "recorded.pcap"
    capture.write_bytes(plain(ATTACKS))
    assert tcpdumped(capture, "tcp", recorded)
    flow = with_bundles(BUNDLES[:1])
    summary, one, two = (tmp_path / name for name in ("summary.json", "one", "two"))

    more = ["--filter", "tcp", "--summary", summary]
    done = tapwatch("replay", capture, *flow, "-o", one, *more)
    tapwatch("replay", recorded, *flow, "-o", two)

    assert one.read_bytes() == two.read_bytes() != b""
    made = json.loads(summary.read_text())
    n_all, n_tcp = packets_in(capture), packets_in(recorded)
    assert made["ledger_balanced"] is True
    assert made["capture"]["packets"] == n_all
    assert made["capture"]["filtered"] == n_all - n_tcp > 0
    assert sum(made["decode"].values()) == n_tcp
    assert f"filtered {n_all - n_tcp:,}" in done.stderr.decode()


def test_a_filter_that_nothing_matches_is_a_run_without_packets(tmp_path):
    """Exit 0, balanced, no alert."""
    summary, alerts = tmp_path / "summary.json", tmp_path / "alerts"
    flow = with_bundles(BUNDLES[:1])

    more = ["--filter", "ether proto 0x9999", "--summary", summary, "-o", alerts]
    tapwatch("replay", ATTACKS, *flow, *more)

    made = json.loads(summary.read_text())
    assert made["ledger_balanced"] is True
    assert made["capture"]["packets"] == made["capture"]["filtered"] > 0
    assert alerts.read_bytes() == b""


@pytest.mark.parametrize("command", ["replay", "features", "train", "evaluate"])
def test_a_filter_with_a_syntax_error_costs_no_file(tmp_path, command):
    """Exit 2 with libpcap's message; what was there stays as it was."""
    capture, output = tmp_path / "c.pcap", tmp_path / "output.csv"
    capture.write_bytes(makers.pcap(makers.frames(9)))
    output.write_text("what was there")
    truth = tmp_path / "truth.csv"
    truth.write_text("episode,start,end\n")
    arguments = {
        "replay": [capture, *with_bundles(BUNDLES[:1]), "-o", output],
        "features": [capture, "--view", "packet", "-o", output],
        "train": [capture, "--view", "flow", "--detector", "ae", "-o", tmp_path / "bundle"],
        "evaluate": [capture, *with_bundles(BUNDLES[:1]), "--labels", truth, "-o", tmp_path / "r"],
    }[command]
    if command == "evaluate":
        shutil.copy(ATTACKS.parent / "attacks.truth.csv", truth)

    done = tapwatch(command, *arguments, "--filter", "tcp port", code=2)

    said = done.stderr.decode()
    assert "--filter = 'tcp port': want a filter as tcpdump takes it" in said
    assert "libpcap: can't parse filter expression: syntax error" in said
    assert "Traceback" not in said
    assert output.read_text() == "what was there"
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "r").exists()


def test_a_bundle_tells_what_filter_it_was_trained_with(tmp_path):
    """It learnt from nothing else; a filter for rows that are made already is refused."""
    options = ["--view", "flow", "--detector", "ae", "--set", "epochs=1", "--quiet"]
    bundle = tmp_path / "bundle"

    tapwatch("train", ATTACKS, *options, "-o", bundle, "--filter", "udp")

    training = json.loads((bundle / "bundle.json").read_text())["training"]
    assert training["filter"] == "udp"
    rows = tmp_path / "rows.parquet"
    tapwatch("features", ATTACKS, "--view", "flow", "-o", rows, "--filter", "udp")
    again = ["train", rows, *options, "-o", tmp_path / "again"]
    tapwatch(*again)
    untold = json.loads((tmp_path / "again" / "bundle.json").read_text())["training"]
    assert untold["rows_seen"] == training["rows_seen"]
    assert untold["filter"] is None
    done = tapwatch(*again, "--filter", "udp", code=2)
    assert "holds rows and no packets" in done.stderr.decode()


def test_a_recorders_loss_is_a_warning_and_no_damage(tmp_path):
    """--strict is about captures that could not be read to their end."""
    capture = tmp_path / "lossy.pcapng"
    raw = makers.section() + makers.interface() + makers.enhanced(1, bytes(60), drops=12)
    capture.write_bytes(raw)
    summary = tmp_path / "summary.json"
    flow = with_bundles(BUNDLES[:1])

    done = tapwatch("replay", capture, *flow, "--strict", "--summary", summary)

    assert "says that 12 packets were lost" in done.stderr.decode()
    assert json.loads(summary.read_text())["capture"]["recorder_dropped"] == 12
    capture.write_bytes(raw[:-1])
    tapwatch("replay", capture, *flow, "--strict", code=3)

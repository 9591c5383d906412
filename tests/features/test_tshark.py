"""ARP columns and time deltas, frame against frame with tshark."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.pipeline import Corridor, extract
from tests.conftest import pcap_bytes

S = 10**9
FIELDS = ("arp.isgratuitous", "arp.duplicate-address-detected", "frame.time_delta", "frame.len")


def arp_frame(rng: np.random.Generator) -> bytes:
    """An ARP packet over few stations and addresses; the target's MAC address is left open.

    tshark takes the target of a reply for a claim too, which says nothing about the sender.
    """
    macs = [bytes([2, 0, 0, 0, 0, k]) for k in range(3)] + [bytes(6), bytes([1, 0, 0, 0, 0, 9])]
    addresses = [bytes([10, 0, 0, k]) for k in range(5)] + [bytes(4)]
    mac, ip, target = macs[rng.integers(5)], addresses[rng.integers(6)], addresses[rng.integers(6)]
    opcode = bytes([0, rng.choice([1, 1, 2, 2, 3])])
    body = bytes.fromhex("00 01 08 00 06 04") + opcode + mac + ip + bytes(6) + target
    return b"\xff" * 6 + mac + bytes.fromhex("08 06") + body + bytes(rng.integers(0, 20))


def test_agrees_with_tshark(tmp_path):
    """Gratuitous and duplicate addresses, time deltas and lengths of 500 ARP packets."""
    tshark = shutil.which("tshark")
    if tshark is None:
        reason = "tshark is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    rng = np.random.default_rng(2)
    times = 10**18 + np.cumsum(rng.integers(0, 3 * S, 500))
    path = tmp_path / "arp.pcap"
    path.write_bytes(pcap_bytes([(int(t), arp_frame(rng)) for t in times]))

    corridor = Corridor(Config(), ["packet"], dtype=np.float64)
    batches = [batch for batch, _ in extract(open_captures([str(path)]), corridor, "packet")]
    command = [tshark, "-n", "-r", str(path), "-T", "fields"]
    for field in FIELDS:
        command += ["-e", field]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    names = batches[0].schema.names
    columns = [names.index(field.replace(".", "_").replace("-", "_")) for field in FIELDS]
    found = np.concatenate([batch.values for batch in batches])[:, columns]
    wanted = [line.split("\t") for line in told.splitlines()]
    flags = [[gratuitous == "1", duplicate != ""] for gratuitous, duplicate, _, _ in wanted]
    numbers = np.array([[float(delta), float(length)] for _, _, delta, length in wanted])
    assert np.array_equal(found[:, :2], np.array(flags))
    assert np.allclose(found[:, 2:], numbers, rtol=0, atol=1e-9)
    assert found[:, :2].sum(axis=0).min() > 50

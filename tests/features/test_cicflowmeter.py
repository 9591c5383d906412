"""A real flow, row against row with the Java CICFlowMeter."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config, FlowConfig
from tapwatch.pipeline import Corridor, extract
from tests.shared_data import shared_data

#: Its long column names, in the order of the 76 statistics that follow the time stamp.
SKIPPED = {"Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Protocol", "Timestamp", "Label"}

#: Columns that it computes otherwise, with the value that its definition gives for this flow
#: (docs/conformance.md, "flow"). It prints whole numbers for means of bulks, divides by the number
#: of gaps instead of pieces, and counts PSH and URG by direction on the first packet only.
DIFFERENT = {
    "fwd_psh_flags": (0, 6),
    "bwd_psh_flags": (0, 4),
    "fwd_pkts_b_avg": (4, 4.5),
    "fwd_byts_b_avg": (10842, 10842.0),
    "subflow_fwd_pkts": (8, 17 / 3),
    "subflow_fwd_byts": (11062, 22125 / 3),
    "subflow_bwd_pkts": (8, 16 / 3),
    "subflow_bwd_byts": (2764, 5528 / 3),
}


def first_frames(capture: Path, n_frames: int) -> bytes:
    """A little-endian pcap up to the end of its n-th frame."""
    data = capture.read_bytes()
    end = 24
    for _ in range(n_frames):
        end += 16 + int.from_bytes(data[end + 8 : end + 12], "little")
    return data[:end]


def test_agrees_with_the_java_tool(tmp_path):
    """Every statistic is within 1 % (it rounds to 3 digits), or differs for a known reason.

    It ends the flow at the first FIN from the responder; so the capture is cut before that packet.
    Its only timeout is 120 s from the start; ours for silence is set close to that.
    """
    pair = shared_data() / "cicflowmeter_pair"
    with (pair / "sample.csv").open(encoding="utf-8") as file:
        [java] = csv.DictReader(file)
    wanted = [float(value) for name, value in java.items() if name not in SKIPPED]
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(first_frames(pair / "sample.pcap", 33))
    config = Config(flows=FlowConfig(idle_timeout_s=119.0))

    corridor = Corridor(config, ["flow"], dtype=np.float64)
    batches = [batch for batch, _ in extract(open_captures([str(cut)]), corridor, "flow")]

    [found] = np.concatenate([batch.values for batch in batches]).tolist()
    names = batches[0].schema.names
    assert len(wanted) == 76
    for name, theirs, ours in zip(names[:76], wanted, found[:76], strict=True):
        told, right = DIFFERENT.get(name, (theirs, theirs))
        assert theirs == pytest.approx(told, rel=0.01), name
        assert ours == pytest.approx(right, rel=0.01), name

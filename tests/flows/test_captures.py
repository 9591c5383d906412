"""Real captures through the real decoder: the twin, and the ledger."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.decode import Decoder
from tests.flows.agreement import assert_agree
from tests.flows.craft import file_all
from tests.shared_data import shared_data

CAPTURES = [
    "cicflowmeter_pair/sample.pcap",
    "pcaps/nDPI/1kxun.pcap",
    "pcaps/nDPI/dns_fragmented.pcap",
    "pcaps/zeek/icmp/icmp6-mldv2.pcap",
    "pcaps/zeek/tcp/syn-synack.pcap",
    "pcaps/nDPI/ftp.pcap",
]


def decoded(path):
    """PACKET rows of a whole capture."""
    source, decoder, batches = open_captures([path]), Decoder(), []
    while (frames := source.read()) is not None:
        batches.append(decoder.decode(frames).copy())
    return np.concatenate(batches)


@pytest.mark.parametrize("name", CAPTURES)
def test_agrees_with_the_twin_on_real_traffic(name):
    """Every row and every link, with two workers and batches of 100 frames."""
    path = shared_data() / name
    if not path.exists():
        pytest.fail(f"{path}: want the capture that the corpus has")
    packets = decoded(path)

    assert_agree(packets, workers=2, borders=tuple(range(100, len(packets), 100)))
    counts = file_all(packets)[2]
    assert counts["packets"] + counts["not_flow_packets"] == int((packets["status"] == 0).sum())

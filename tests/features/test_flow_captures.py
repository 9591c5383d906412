"""The flow view on real captures: how the packets came does not show, and all values are right."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config, FlowConfig
from tapwatch.features import schema_of
from tapwatch.pipeline import Corridor, extract
from tests.shared_data import shared_data

SCHEMA = schema_of("flow")


def rows_of(name, batch_frames=8192, workers=1, config=None):
    """All values and ROWs of a capture."""
    source = open_captures([str(shared_data() / name)], batch_frames=batch_frames)
    corridor = Corridor(config or Config(), ["flow"], workers=workers, dtype=np.float64)
    batches = [batch for batch, _ in extract(source, corridor, "flow")]
    source.close()
    return np.concatenate([b.values for b in batches]), np.concatenate([b.rows for b in batches])


@pytest.mark.parametrize(
    "name",
    ["pcaps/nDPI/ftp.pcap", "pcaps/zeek/tcp/fin_retransmission.pcap", "pcaps/nDPI/1kxun.pcap"],
)
def test_batches_and_workers_do_not_show(name):
    """Batches of 1, 7 and 8,192 frames, one and two workers: the same rows to the last bit."""
    config = Config(flows=FlowConfig(active_timeout_s=61.0))
    whole = rows_of(name, config=config)

    for batch_frames, workers in ((1, 1), (7, 2), (8192, 2)):
        values, rows = rows_of(name, batch_frames, workers, config)
        assert np.array_equal(values, whole[0])
        assert np.array_equal(rows, whole[1])


@pytest.mark.parametrize("name", ["pcaps/nDPI/1kxun.pcap", "pcaps/zeek/ipv4/fragmented-1.pcap"])
def test_values_are_finite_and_times_are_not_negative(name):
    """So are lengths and rates; a class is one of its words."""
    values, _ = rows_of(name)

    assert np.isfinite(values).all()
    for k, column in enumerate(SCHEMA.columns):
        if column.unit != "1" and not column.name.startswith("init_"):
            assert (values[:, k] >= 0).all(), column.name
        if column.categories:
            assert set(values[:, k]) <= set(range(len(column.categories))), column.name


@pytest.mark.parametrize(
    ("name", "n_tshark"),
    [
        ("zeek/tcp/ssh-dups.pcap", 166),
        ("zeek/tcp/retransmit-fast009.pcap", 3),
        ("zeek/tcp/fin_retransmission.pcap", 2),
        ("nDPI/1kxun.pcap", 47 + 9),
        ("nDPI/ftp.pcap", 1),
        ("nDPI/http_ipv6.pcap", 0),
    ],
)
def test_retransmissions_are_those_that_tshark_sees(name, n_tshark):
    """What tshark 4.0.17 calls a retransmission or out of order, summed over the capture."""
    values, _ = rows_of(f"pcaps/{name}")

    assert values[:, SCHEMA.names.index("total_tcp_retrans_count")].sum() == n_tshark

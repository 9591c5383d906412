"""The kdd view over real captures, through the corridor."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.features.kdd.rules import CONTENT_COLUMNS
from tapwatch.pipeline import Corridor, extract
from tests.shared_data import shared_data

pytestmark = pytest.mark.kernel


def rows_of(name: str, batch_frames: int = 8192, workers: int = 1):
    """Values and rows of a shared capture."""
    path = str(shared_data() / "pcaps" / name)
    source = open_captures([path], batch_frames=batch_frames)
    corridor = Corridor(Config(), ["kdd"], dtype=np.float64, workers=workers)
    batches = [batch for batch, _ in extract(source, corridor, "kdd")]
    source.close()
    return np.concatenate([b.values for b in batches]), np.concatenate([b.rows for b in batches])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nDPI/ftp.pcap", {"logged_in": 1, "is_guest_login": 1}),
        ("nDPI/ftp_failed.pcap", {"num_failed_logins": 1}),
        ("zeek/ftp/bruteforce.pcap", {"num_failed_logins": 30}),
        ("nDPI/telnet.pcap", {"logged_in": 1, "num_shells": 1}),
        ("nDPI/imap.pcap", {"logged_in": 1}),
        ("zeek/pop3/pop3.pcap", {"num_failed_logins": 1, "logged_in": 2}),
        ("zeek/smtp.pcap", {"logged_in": 2}),
        ("zeek/contentline/rlogin-long-client-user-no-nul.pcapng.gz", {}),
    ],
)
def test_real_sessions(name, wanted):
    """Sums of the content columns over the connections of a capture."""
    sums = rows_of(name)[0][:, 9:22].sum(axis=0).tolist()

    assert {c: n for c, n in zip(CONTENT_COLUMNS, sums, strict=True) if n} == wanted


@pytest.mark.parametrize("name", ["zeek/ftp/bruteforce.pcap", "nDPI/ftp.pcap", "zeek/smtp.pcap"])
def test_batches_and_workers_do_not_show(name):
    """The same rows in the same order, one frame at a time or all at once, and by three threads."""
    values, rows = rows_of(name)

    for batch_frames, workers in ((1, 1), (7, 1), (8192, 3), (7, 3)):
        other_values, other_rows = rows_of(name, batch_frames, workers)
        assert other_values.tolist() == values.tolist()
        for field in rows.dtype.names:
            assert np.array_equal(rows[field], other_rows[field]), field

"""The packet view on real captures: against its slow twin, in any batches, every column alive."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.features import SCHEMAS
from tapwatch.pipeline import Corridor
from tapwatch.tables import Traffic
from tests.features import naive
from tests.features.variation import captures, constant_columns
from tests.flows.segments import ACK, Segment, write_capture
from tests.shared_data import shared_data

NAMES = SCHEMAS["packet"].names
CAPTURES = [
    "pcaps/ipfixprobe/arp.pcap",
    "pcaps/nDPI/443-safari.pcap",
    "pcaps/nDPI/6in4tunnel.pcap",
    "pcaps/nDPI/dns_fragmented.pcap",
    "pcaps/nDPI/windowsupdate_over_http.pcap",
    "pcaps/nDPI/zoom2.pcap",
]


def rows_of(
    paths: list[str], batch_frames: int = 8192, workers: int = 1
) -> tuple[np.ndarray, bytes, list[Traffic]]:
    """Values, identities, and what the view was given."""
    source = open_captures(paths, batch_frames=batch_frames)
    corridor = Corridor(Config(), ["packet"], dtype=np.float64, workers=workers)
    view, given = corridor.views["packet"], []
    update = view.update

    def listen(traffic: Traffic):
        # The next batch is decoded into the same rows.
        given.append(
            Traffic(
                traffic.data, traffic.packets.copy(), traffic.links.copy(), traffic.ended[:0], 0
            )
        )
        return update(traffic)

    view.update = listen
    batches = []
    while (frames := source.read()) is not None:
        batches.append(corridor.carry(frames)["packet"])
    source.close()
    values = np.concatenate([batch.values for batch in batches])
    return values, b"".join(batch.rows.tobytes() for batch in batches), given


@pytest.fixture(scope="module")
def paths() -> list[str]:
    """Some captures of the corpus: those that are there."""
    found = [str(shared_data() / name) for name in CAPTURES if (shared_data() / name).exists()]
    assert len(found) >= 4
    return found


def test_agrees_with_the_naive_view_on_real_packets(paths):
    """Headers, timing, TCP analysis and pairs of real frames, told by the slow twin."""
    for path in paths:
        values, _, given = rows_of([path])
        packets = np.concatenate([traffic.packets for traffic in given])[:3000]
        links = np.concatenate([traffic.links for traffic in given])[:3000]
        labels = values[:3000, NAMES.index("protocol")]

        wanted = naive.packet_values(packets, links, labels)

        assert [dict(zip(NAMES, row, strict=True)) for row in values[:3000].tolist()] == wanted


@pytest.mark.parametrize(("batch_frames", "workers"), [(1, 1), (7, 2), (100, 1)])
def test_batches_and_workers_do_not_show(batch_frames, workers, paths):
    """The same values and identities, bit by bit."""
    whole, identities, _ = rows_of(paths)

    values, rows, _ = rows_of(paths, batch_frames, workers)

    assert values.tobytes() == whole.tobytes()
    assert rows == identities


def test_every_column_varies_on_some_capture(tmp_path):
    """No value on any capture is NaN, infinite or a negative time.

    The corpus has no answer to a probe of a window of 0, so that one is made by hand.
    """
    by_hand = tmp_path / "probe.pcap"
    write_capture(
        by_hand,
        [
            Segment(0, 0, ACK, seq=100, ack=500),
            Segment(1, 1, ACK, seq=500, ack=100, window=0),
            Segment(200, 0, ACK, seq=100, ack=500, length=1),
            Segment(201, 1, ACK, seq=500, ack=100, window=0),
        ],
    )

    never = constant_columns("packet", [by_hand, *captures()])

    assert len(captures()) > 2000
    assert never == {}

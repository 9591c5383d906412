"""The corridor: what goes in comes out, in order, and is accounted for."""

import numpy as np
import pytest

from tapwatch.alerts import Policy
from tapwatch.capture import MemorySource
from tapwatch.config import Config
from tapwatch.features import VIEWS
from tapwatch.pipeline import Corridor, House, extract, imbalances, in_parts, run
from tapwatch.tables import ROW, FeatureBatch, Scores

S = 10**9
START_NS = 1_700_000_000 * S


def query(port: int, payload: bytes = b"") -> bytes:
    """A UDP datagram from PORT to 53."""
    udp = port.to_bytes(2, "big") + bytes([0, 53]) + (8 + len(payload)).to_bytes(2, "big") + b"\0\0"
    total = (20 + len(udp) + len(payload)).to_bytes(2, "big")
    ip = b"\x45\0" + total + b"\0\1\0\0\x40\x11\0\0" + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + udp + payload


class EveryRow:
    """A scorer that flags every row, whatever is in it."""

    detector = "none"
    sequence_rows = 0

    def __init__(self, view: str) -> None:
        self.view = view
        self.seen: list[int] = []

    def score(self, batch):
        """All rows, with the error 2 over the threshold 1, and one reason."""
        n = len(batch)
        self.seen.append(n)
        ones = np.ones((n, 1))
        return Scores(
            view=self.view,
            detector=self.detector,
            bundle=self.view,
            schema=batch.schema,
            columns=batch.schema.names[:1],
            rows=batch.rows,
            error=np.full(n, 2.0),
            threshold=np.ones(n),
            p_value=np.zeros(n),
            flagged=np.ones(n, np.bool_),
            observed=ones,
            expected=ones,
            share=ones,
        )

    def tallies(self):
        """Nothing."""
        return []


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.alerts = []

    def write(self, alerts) -> None:
        """Keep."""
        self.alerts += alerts


FRAMES = [(START_NS + i * S // 3, query(1024 + i % 40, bytes(i % 7))) for i in range(400)]


def replay(batch_frames=8192, max_rows=1024, views=("flow", "packet"), workers=1):
    """The frames through a house whose scorers flag every row."""
    config = Config.model_validate(
        {"detect": {"max_rows": max_rows}, "alerts": {"rate_limit_per_min": 1_000_000}}
    )
    source, sink = MemorySource(FRAMES, batch_frames=batch_frames), Kept()
    scorers = [EveryRow(view) for view in views]
    house = House(config, source, scorers, [sink], workers=workers)
    balances = []
    run(source, house, lambda: False, lambda _: balances.append(imbalances(house.summary())))
    assert balances == [[]] * len(balances)
    return house, scorers, sink


def test_the_ledger_counts_every_packet_flow_and_row():
    """Each packet is decoded, filed and scored; each flow ends; nothing is held at the end."""
    house, _, _ = replay()

    summary = house.summary()
    assert summary["ledger_balanced"] is True
    assert summary["capture"]["packets"] == summary["decode"]["ok"] == 400
    assert summary["views"]["packet"] == {"rows": 400, "scored": 400, "held": 0, "shed": {}}
    assert summary["flows"]["created"] == sum(summary["flows"]["ended"].values())
    assert summary["views"]["flow"]["rows"] == summary["flows"]["created"]


@pytest.mark.parametrize("change", ["capture", "decode", "flows", "views"])
def test_an_equation_that_does_not_hold_is_told(change):
    """One packet, flow or row too many anywhere shows."""
    house, _, _ = replay()
    summary = house.summary()
    key = {"capture": "packets", "decode": "ok", "flows": "created"}
    if change == "views":
        summary["views"]["flow"]["rows"] += 1
    else:
        summary[change][key[change]] += 1

    assert imbalances(summary) != []


@pytest.mark.parametrize("name", ["dropped", "loopback_copies", "unread", "kernel_packets"])
def test_a_packet_that_the_kernel_counted_and_nobody_else_is_told(name):
    """Each of the counts beside those that were read is in the equation, with its sign."""
    house, _, _ = replay()
    summary = house.summary()
    live = {"kernel_packets": 400 + 7 + 20 + 300, "loopback_copies": 20, "unread": 300}
    summary["capture"] |= live | {"dropped": 7}
    assert imbalances(summary) == []

    summary["capture"][name] += 1

    counted, accounted = (728, 727) if name == "kernel_packets" else (727, 728)
    assert imbalances(summary) == [
        "capture.kernel_packets = packets + dropped + loopback_copies + unread: "
        f"{counted} is not {accounted}"
    ]


@pytest.mark.parametrize(
    ("batch_frames", "max_rows", "workers"), [(1, 1, 1), (7, 64, 2), (399, 8, 1), (8192, 1, 2)]
)
def test_alerts_come_in_the_same_order_whatever_the_batches(batch_frames, max_rows, workers):
    """Two views, judged by packet time: batches and threads do not show."""
    _, _, expected = replay()

    _, _, sink = replay(batch_frames, max_rows, workers=workers)

    assert [a.alert_id for a in sink.alerts] == [a.alert_id for a in expected.alerts]
    assert len({a.view for a in sink.alerts}) == 2


@pytest.mark.parametrize(("part_rows", "piece_rows"), [(1, 1), (1, 8192), (7, 3), (16_384, 2)])
def test_alerts_do_not_depend_on_the_parts_that_are_judged_at_once(
    part_rows, piece_rows, monkeypatch
):
    """However few rows are scored at once, and flows given out at once at the end."""
    _, _, expected = replay()
    monkeypatch.setattr("tapwatch.pipeline._PART_ROWS", part_rows)
    monkeypatch.setattr("tapwatch.flows.release.PIECE_ROWS", piece_rows)

    house, scorers, sink = replay(max_rows=10_000)

    assert [a.alert_id for a in sink.alerts] == [a.alert_id for a in expected.alerts]
    assert max(max(scorer.seen) for scorer in scorers) <= max(part_rows, 1)
    assert house.summary()["ledger_balanced"] is True


def rows_at(view, *seconds):
    """Rows of a view with these order times."""
    rows = np.zeros(len(seconds), ROW)
    rows["order_ns"] = np.array(seconds) * S
    return FeatureBatch(VIEWS[view]().schema, np.zeros((len(seconds), 1)), rows)


def test_parts_keep_flows_before_packets_of_their_time():
    """A part is cut where the first view is full, and takes no later row of another."""
    held = {"packet": rows_at("packet", 1, 1, 2, 2, 3), "flow": rows_at("flow", 2, 2, 2, 3)}

    parts = [
        [batch.rows["order_ns"].tolist() for batch in part.values()] for part in in_parts(held, 2)
    ]

    assert parts == [[[S, S], [2 * S, 2 * S]], [[2 * S, 2 * S], [2 * S, 3 * S]], [[3 * S], []]]
    assert list(in_parts({}, 2)) == [{}]


def test_rows_are_scored_once_a_micro_batch_is_full():
    """Nothing is scored before max_rows rows are there, but at the end."""
    _, [scorer], _ = replay(batch_frames=50, max_rows=120, views=("packet",))

    assert scorer.seen == [150, 150, 100]


def test_all_rows_come_out_of_extract_with_the_time_that_was_read():
    """Rows of open flows come last; the time does not go back."""
    source = MemorySource(FRAMES, batch_frames=50)
    corridor = Corridor(Config(), ["flow"], dtype=np.float64)

    parts = list(extract(source, corridor, "flow"))

    assert sum(len(batch) for batch, _ in parts) == corridor.flows.counts["created"]
    assert [until for _, until in parts] == sorted(until for _, until in parts)


def test_a_stop_leaves_the_rest_of_the_source_unread():
    """What was read is worked on to the end; the ledger balances."""
    source = MemorySource(FRAMES, batch_frames=50)
    house = House(Config(), source, [EveryRow("flow")], [])

    run(source, house, lambda: source.counts.packets >= 100)

    assert house.summary()["capture"]["packets"] == 100
    assert imbalances(house.summary()) == []


def test_every_policy_label_is_counted_from_the_start():
    """A house without an alert exports its alert counters at 0."""
    house = House(Config(), MemorySource([]), [EveryRow("flow")], [])

    [alerts] = [t for t in house.tallies() if t.name == "alerts_total"]
    assert isinstance(house.policy, Policy)
    assert set(alerts.values.values()) == {0}

"""Bounds: rows, eviction, waiting rows, memory."""

import numpy as np
import pytest

from tapwatch.config import FlowConfig
from tapwatch.errors import ConfigError
from tapwatch.flows import FlowTable
from tapwatch.flows.keys import fill_keys
from tapwatch.flows.layout import FRAGMENT, KEY, KEY_COUNTS, N_BUCKETS, PARAMETERS
from tapwatch.flows.release import CHECK_PACKETS, PIECE_ROWS, WAITING_MAX
from tapwatch.tables import PACKET, EndReason
from tests.flows import craft
from tests.flows.agreement import assert_equal_bytes
from tests.flows.craft import TCP, UDP, S, packet, reasons, table_of

SMALL = FlowConfig(capacity=1024)  # 16 rows a bucket


def flood(n, seed=5, step_ns=1000):
    """UDP packets of n random five-tuples."""
    random = np.random.default_rng(seed)
    rows = np.zeros(n, PACKET)
    for name in ("src_lo", "dst_lo"):
        rows[name] = 0xFFFF_0000_0000 | random.integers(0, 1 << 32, n, np.uint64)
    for name in ("src_port", "dst_port"):
        rows[name] = random.integers(0, 1 << 16, n)
    rows["proto"], rows["ip_version"], rows["is_flow"] = 17, 4, 1
    rows["number"] = np.arange(1, n + 1)
    rows["ts_ns"] = rows["clock_ns"] = craft.T0 + np.arange(n) * step_ns
    return rows


def bucket_mates(n, proto=UDP):
    """Source hosts whose flows to host 0 share one bucket."""
    rows = table_of([packet(src=k, dst=0, proto=proto) for k in range(1, 40 * N_BUCKETS)])
    keys = np.zeros(len(rows), KEY)
    empty = np.zeros(64, FRAGMENT), np.zeros(1, KEY_COUNTS)
    fill_keys(rows, keys, 0, np.zeros(1, PARAMETERS), *empty)
    return (np.flatnonzero(keys["hash"] >> np.uint64(58) == 9) + 1)[:n].tolist()


@pytest.mark.kernel
def test_a_full_bucket_evicts_the_flow_that_was_touched_least_recently():
    """Of 17 flows in a bucket of 16 the one that was silent longest goes, whatever its protocol."""
    hosts = bucket_mates(17)
    packets = [packet(k / 10, src=h, dst=0, proto=UDP) for k, h in enumerate(hosts[:16])]
    packets += [
        packet(2, src=0, dst=hosts[0], proto=UDP),
        packet(3, src=hosts[16], dst=0, proto=UDP),
    ]

    ended, _, counts = craft.file_all(table_of(packets), config=SMALL)

    assert reasons(ended)[0] == "EVICTED"
    assert ended[0]["src_lo"] & 0xFFFF == hosts[1]
    assert ended[0]["end_ns"] == craft.T0 + 3 * S
    assert counts["ended"]["evicted"] == 1


@pytest.mark.kernel
@pytest.mark.parametrize("first_proto", [UDP, TCP])
def test_the_oldest_is_found_across_timeout_classes(first_proto):
    """TCP and UDP in one bucket, all touched at one time: the packet that came first decides."""
    hosts = {proto: bucket_mates(9, proto) for proto in (UDP, TCP)}
    order = [first_proto, UDP + TCP - first_proto] * 8
    packets = [
        packet(0, src=hosts[proto][k // 2], dst=0, proto=proto) for k, proto in enumerate(order)
    ]
    rows = table_of([*packets, packet(0, src=hosts[UDP][8], dst=0, proto=UDP)])

    ended = craft.file_all(rows, config=SMALL)[0]
    resumed = craft.file_all(rows, config=SMALL, suspend=True, borders=(16,))[0]

    assert resumed.tobytes() == ended.tobytes()
    [gone] = ended[ended["end_reason"] == EndReason.EVICTED]
    assert (gone["proto"], gone["first_frame"]) == (first_proto, 1)


@pytest.mark.kernel
def test_a_full_bucket_first_lets_go_of_what_has_expired():
    """Nothing is evicted where time has made room, even between two full seconds."""
    hosts = bucket_mates(17)
    packets = [packet(0.1, src=h, dst=0, proto=UDP) for h in hosts[:16]]
    packets.append(packet(30.5, src=hosts[16], dst=0, proto=UDP))

    ended, _, counts = craft.file_all(table_of(packets), config=SMALL)

    assert counts["ended"]["idle"] == 16
    assert set(reasons(ended)) == {"IDLE", "EOF"}


@pytest.mark.kernel
@pytest.mark.parametrize(
    "how", [{"workers": 2}, {"borders": (1, 700, 701)}, {"suspend": True, "borders": (300, 900)}]
)
def test_evictions_do_not_depend_on_workers_borders_or_suspension(how):
    """Capacity is per bucket: the same flows are evicted, at the same packets."""
    rows = flood(2500, step_ns=S // 20)
    rows[1::3] = rows[::3][: len(rows[1::3])]
    rows["ts_ns"] = rows["clock_ns"] = craft.T0 + np.arange(2500) * (S // 20)

    whole = craft.file_all(rows, config=SMALL)

    assert whole[2]["ended"]["evicted"] > 0
    assert whole[2]["ended"]["idle"] > 0
    assert_equal_bytes(craft.file_all(rows, config=SMALL, **how), whole)


def test_a_flood_of_a_million_flows_stays_bounded():
    """Each comes out once, the table is never over its capacity, evictions are counted."""
    table, rows = FlowTable(FlowConfig(), workers=2), flood(1_000_000, step_ns=100)
    ids, most_waiting = [], 0
    for low in range(0, len(rows), 50_000):
        batch = rows[low : low + 50_000]
        ended = table.update(batch, int(batch[-1]["clock_ns"])).ended
        ids.append(ended["first_frame"])
        counts = table.counts
        assert counts["open"] <= 262_144
        assert counts["created"] == counts["open"] + sum(counts["ended"].values())
        most_waiting = max(most_waiting, sum(counts["ended"].values()) - sum(map(len, ids)))
    ids += [piece["first_frame"] for piece in table.finish()]

    assert sorted(np.concatenate(ids).tolist()) == list(range(1, 1_000_001))
    assert table.counts["ended"]["evicted"] > 700_000
    assert table.counts["active_max"] <= 262_144
    assert most_waiting <= WAITING_MAX + CHECK_PACKETS


def test_rows_that_leave_before_their_second_do_so_at_the_same_packet():
    """The early way out of a flood is tied to packets counted over the source, not to batches."""
    rows, small = flood(4 * CHECK_PACKETS, step_ns=1), FlowConfig(capacity=4096)

    whole = craft.file_all(rows, config=small)
    pieces = craft.file_all(rows, config=small, workers=2, borders=(3, 65_537, 150_000, 200_000))

    assert_equal_bytes(pieces, whole)
    assert (np.diff(whole[0]["order_ns"]) >= 0).all()
    assert len(np.unique(whole[0]["order_ns"])) > 1


@pytest.mark.kernel
def test_as_many_open_flows_as_second_borders_saw():
    """The largest number at a full second, or at the end of the source."""
    rows = table_of([packet(t, src=s) for t, s in ((0.1, 1), (0.2, 3), (1.5, 4), (100, 5))])

    assert craft.file_all(rows)[2]["active_max"] == 3
    assert craft.file_all(rows[:2])[2]["active_max"] == 2


@pytest.mark.kernel
def test_the_table_fits_its_promise():
    """262,144 flows take at most 200 MB, and a table nobody used holds hardly any of it."""
    tallies = {tally.name: tally.values for tally in FlowTable(FlowConfig()).tallies()}

    assert tallies["flow_capacity"] == {(): 262_144}
    assert tallies["flow_table_bytes"][()] <= 200e6
    assert set(tallies["flow_ended_total"].values()) == {0}
    assert len(tallies["flow_ended_total"]) == 7


@pytest.mark.kernel
@pytest.mark.parametrize("other", [{"capacity": 2048}, {"hash_seed": 3}])
def test_a_state_of_another_table_is_refused(other):
    """Buckets would differ; the message names the key, both values and the reason."""
    state = FlowTable(FlowConfig(capacity=1024)).suspend()
    table = FlowTable(FlowConfig(**({"capacity": 1024} | other)))
    [(key, mine)] = other.items()

    with pytest.raises(
        ConfigError, match=rf"flows\.{key} = {mine}: want {getattr(state, key)}, as"
    ):
        table.resume(state)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_comes_in_pieces_in_one_order(workers):
    """At most PIECE_ROWS rows a piece; joined they are sorted, and each open flow is there once."""
    table, rows = FlowTable(FlowConfig(), workers=workers), flood(30_000, step_ns=1000)
    rows["ts_ns"][::3] -= 5 * S
    assert len(table.update(rows, int(rows[-1]["clock_ns"])).ended) == 0

    pieces = list(table.finish())

    ended = np.concatenate(pieces)
    keys = ended[["order_ns", "last_ts_ns", "flow_id", "first_frame"]].tolist()
    assert PIECE_ROWS <= 8192
    assert [len(piece) for piece in pieces[:-1]] == [PIECE_ROWS] * (30_000 // PIECE_ROWS)
    assert keys == sorted(keys)
    assert sorted(ended["first_frame"].tolist()) == list(range(1, 30_001))
    assert table.counts["ended"]["eof"] == 30_000
    assert table.counts["open"] == 0
    assert list(table.finish()) == []


def test_rows_that_ended_before_the_end_come_before_the_open_ones():
    """Those that waited for their second, sorted, then the open ones by their last packet."""
    config = FlowConfig(capacity=1024)
    table, rows = FlowTable(config), flood(20_000, step_ns=10)
    before = table.update(rows, int(rows[-1]["clock_ns"])).ended

    ended = np.concatenate(list(table.finish()))

    assert len(before) == 0
    evicted = ended["end_reason"] == int(EndReason.EVICTED)
    assert evicted.tolist() == sorted(evicted.tolist(), reverse=True)
    for part in (ended[evicted], ended[~evicted]):
        keys = part[["order_ns", "last_ts_ns", "flow_id", "first_frame"]].tolist()
        assert keys == sorted(keys)
    assert 0 < np.count_nonzero(~evicted) <= 1024
    assert len(ended) == 20_000

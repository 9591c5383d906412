"""The kdd view: connections as KDD Cup 1999 has them, held against a twin of plain lists."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import Config
from tapwatch.features import VIEWS
from tapwatch.tables import FLOW, LINK, PACKET, ConnState, EndReason, Traffic
from tests.features import naive_kdd

pytestmark = pytest.mark.kernel

SECOND = naive_kdd.SECOND
IS_INTERPRETED = bool(numba.config.DISABLE_JIT)
FEWER = 8 if IS_INTERPRETED else 1
NO_FRAMES = (np.zeros(0, np.uint8), np.zeros(0, PACKET), np.zeros(0, LINK))


def kdd_config(**keys) -> Config:
    """A configuration with these keys in [kdd]."""
    return Config.model_validate({"kdd": keys})


def ended_flows(n: int, **fields) -> np.ndarray:
    """Flows that ended by FIN, one a second, each a connection of its own, with these fields."""
    flows = np.zeros(n, FLOW)
    flows["proto"], flows["end_reason"], flows["conn_state"] = 6, EndReason.FIN, ConnState.SF
    flows["ip_version"], flows["vlan"], flows["dst_port"] = 4, -1, 80
    flows["flow_id"] = flows["connection_id"] = np.arange(1, n + 1)
    flows["end_ns"] = np.arange(1, n + 1) * SECOND
    for name, value in fields.items():
        flows[name] = value
    flows["order_ns"] = (flows["end_ns"] // SECOND + 1) * SECOND
    return flows


def update(view, flows, dtype=np.float64):
    """What the view gives when these flows end."""
    return view.update(Traffic(*NO_FRAMES, flows, 0))


def in_words(batch) -> list[dict[str, object]]:
    """Rows as name -> value, classes as words."""
    columns = batch.schema.columns
    return [
        {
            c.name: c.categories[int(value)] if c.categories else value
            for c, value in zip(columns, row, strict=True)
        }
        for row in batch.values.tolist()
    ]


def rows_of(flows, **keys) -> list[dict[str, object]]:
    """Rows of flows that end in one batch."""
    return in_words(update(VIEWS["kdd"](np.float64, kdd_config(**keys)), flows))


def twin_rows(flows, **keys) -> tuple[list[dict[str, object]], naive_kdd.Windows]:
    """The same by the twin, without content columns."""
    windows = naive_kdd.Windows(**keys)
    by = sorted(flows, key=lambda f: (f["order_ns"], f["end_ns"], f["flow_id"], f["first_frame"]))
    return [
        naive_kdd.basic(f) | windows.see(naive_kdd.seen(f, int(f["end_ns"])))
        for f in by
        if naive_kdd.is_connection(f)
    ], windows


def without_content(rows):
    """Rows without the columns that come from payload."""
    inside = set(naive_kdd.Windows().see(naive_kdd.Seen(0, 0, 0, 0, "", ""))) | set(
        naive_kdd.basic(np.zeros(1, FLOW)[0])
    )
    return [{name: value for name, value in row.items() if name in inside} for row in rows]


def test_names_are_those_of_the_task():
    """41 columns; words of the classes are those of the published files."""
    schema = VIEWS["kdd"].schema
    classes = {c.name: c.categories for c in schema.columns if c.categories}

    assert len(schema.columns) == 41
    assert schema.names[0] == "duration"
    assert schema.names[40] == "dst_host_srv_rerror_rate"
    assert {name: len(words) for name, words in classes.items()} == {
        "protocol_type": 3,
        "service": 70,
        "flag": 11,
    }


@pytest.mark.parametrize("state", list(ConnState))
def test_every_state_has_a_flag(state):
    """The 11 published words; what nobody saw the SYN of is OTH."""
    [row] = rows_of(ended_flows(1, conn_state=state))

    assert row["flag"] == {"NONE": "OTH", "RSTRH": "OTH", "SHR": "OTH"}.get(state.name, state.name)


@pytest.mark.parametrize("proto", [17, 1, 58])
def test_what_is_not_tcp_is_sf(proto):
    """UDP and ICMP know no states."""
    [row] = rows_of(ended_flows(1, proto=proto, conn_state=ConnState.S0))

    assert row["flag"] == "SF"
    assert row["protocol_type"] == {17: "udp"}.get(proto, "icmp")


@pytest.mark.parametrize("proto", [6, 17])
def test_every_port_has_a_service(proto):
    """All 65,536 ports against the twin's own list."""
    ports = np.arange(65_536)
    if IS_INTERPRETED:
        named = np.array(list(naive_kdd.TCP_WORDS))
        ports = np.unique(np.concatenate([named - 1, named, named + 1, [0, 1023, 1024, 65_535]]))
    flows = ended_flows(len(ports), proto=proto, dst_port=ports)

    assert [row["service"] for row in rows_of(flows, host_window=1)] == [
        naive_kdd.service_of(f) for f in flows
    ]


@pytest.mark.parametrize("proto", [1, 58])
def test_every_icmp_type_and_code_has_a_service(proto):
    """All types with some codes; where the row begins with no ICMP header, it is other."""
    types, codes = (a.ravel() for a in np.meshgrid(np.arange(256), [0, 1, 3, 4]))
    flows = ended_flows(len(types), proto=proto, src_port=types, icmp_code=codes, has_icmp=1)
    without = ended_flows(1, proto=proto, src_port=8, has_icmp=0)

    assert [row["service"] for row in rows_of(flows, host_window=1)] == [
        naive_kdd.service_of(f) for f in flows
    ]
    assert rows_of(without)[0]["service"] == "other"


def test_data_of_ftp_is_known_by_the_port_it_comes_from():
    """From port 20 to a port without a word is ftp_data; a word goes before."""
    flows = ended_flows(4, src_port=[20, 20, 20, 21], dst_port=[40_000, 900, 80, 40_000])

    assert [row["service"] for row in rows_of(flows)] == ["ftp_data", "ftp_data", "http", "other"]


def test_a_land_attack_has_the_same_address_and_port():
    """Both have to be the same, and there have to be ports."""
    flows = ended_flows(5, src_lo=7, dst_lo=[7, 8, 7, 7, 7], src_port=9, dst_port=[9, 9, 8, 9, 9])
    flows["dst_hi"][3] = 1
    flows["proto"][4] = 1

    assert [row["land"] for row in rows_of(flows)] == [1, 0, 0, 0, 0]


def test_a_connection_is_one_row_whatever_cut_it():
    """An active cut gives none; the last piece has bytes and duration of the whole connection."""
    flows = ended_flows(2, connection_first_ts_ns=SECOND, last_ts_ns=[100 * SECOND, 200 * SECOND])
    flows["connection_payload_bytes"] = [(5, 6), (70, 80)]
    flows["end_reason"][0] = EndReason.ACTIVE

    [row] = rows_of(flows)

    assert (row["duration"], row["src_bytes"], row["dst_bytes"]) == (199, 70, 80)
    assert row["count"] == 1


def test_seconds_are_whole_and_fragments_at_most_three():
    """A millisecond short of two seconds is one; a clock that goes back gives 0."""
    last = [2 * SECOND - 1, 2 * SECOND, 0]
    flows = ended_flows(3, last_ts_ns=last, wrong_fragments=[2, 3, 9], urgent_packets=[0, 4, 900])
    flows["connection_first_ts_ns"][2] = 5 * SECOND

    rows = rows_of(flows)

    assert [row["duration"] for row in rows] == [1, 2, 0]
    assert [row["wrong_fragment"] for row in rows] == [2, 3, 3]
    assert [row["urgent"] for row in rows] == [0, 4, 900]


def test_other_protocols_give_no_row_and_are_counted():
    """SCTP, GRE and IGMP are no connections of the task; an active cut is none that was missed."""
    view = VIEWS["kdd"](np.float64)
    flows = ended_flows(5, proto=[132, 47, 2, 17, 6])
    flows["end_reason"][4] = EndReason.ACTIVE

    batch = update(view, flows)

    counts = {tally.name: tally.values for tally in view.tallies()}
    assert len(batch) == len(batch.rows) == 1
    assert counts["kdd_rows_total"][()] == 1
    assert counts["kdd_not_connections_total"][()] == 3


def test_a_row_says_who_and_when():
    """Times of the connection, key and id of its last piece."""
    flows = ended_flows(
        1, src_lo=11, dst_lo=12, src_hi=13, dst_hi=14, src_port=15, dst_port=16, vlan=17,
        first_ts_ns=300, last_ts_ns=400, connection_first_ts_ns=200, interface=18, flow_id=19,
        connection_id=20, packets=(21, 22), wire_bytes=(23, 24),
    )  # fmt: skip

    row = update(VIEWS["kdd"](), flows).rows[0]

    assert {name: row[name].tolist() for name in row.dtype.names} == {
        "order_ns": 2 * SECOND, "frame_number": 0, "first_ts_ns": 200, "last_ts_ns": 400,
        "src_hi": 13, "src_lo": 11, "dst_hi": 14, "dst_lo": 12, "flow_id": 19,
        "flow_first_ts_ns": 300, "bytes": [23, 24], "packets": [21, 22], "vlan": 17, "src_port": 15,
        "dst_port": 16, "interface": 18, "proto": 6, "ip_version": 4,
        "end_reason": int(EndReason.FIN), "direction": 0, "is_flow": 1,
    }  # fmt: skip


def test_two_seconds_ago_is_no_longer_recent():
    """The window is open at its beginning."""
    flows = ended_flows(3, end_ns=[10 * SECOND, 12 * SECOND - 1, 12 * SECOND])

    assert [row["count"] for row in rows_of(flows)] == [1, 2, 2]


def test_counts_are_capped_and_rates_are_not():
    """600 connections to one host, the first 300 of them rejected."""
    flows = ended_flows(600, end_ns=SECOND + np.arange(600))
    flows["conn_state"][:300] = ConnState.REJ

    last = rows_of(flows)[-1]

    assert (last["count"], last["srv_count"], last["rerror_rate"]) == (511, 511, 0.5)
    assert (last["dst_host_count"], last["dst_host_srv_count"]) == (255, 255)
    assert last["dst_host_rerror_rate"] == 0.0


def test_a_host_history_of_100_is_the_description():
    """The option decides how many connections a history holds."""
    flows = ended_flows(150)
    flows["conn_state"][40:60] = ConnState.S0

    rows = rows_of(flows, host_window=100)

    assert rows[-1]["dst_host_count"] == 100
    assert rows[-1]["dst_host_serror_rate"] == 0.1
    assert rows[149 - 5]["dst_host_serror_rate"] == 0.15


def test_published_rates_of_different_ones_count_distinct_ones():
    """Two services among two connections: 1.0 in the files, 0.5 by the description."""
    flows = ended_flows(2, end_ns=SECOND, dst_port=[80, 25])

    assert rows_of(flows)[1]["diff_srv_rate"] == 1.0
    assert rows_of(flows, diff_rates="share")[1]["diff_srv_rate"] == 0.5


def made_connections(seed: int, n: int) -> np.ndarray:
    """Connections of few hosts, services and ports, in bursts, with ties of time and of id."""
    draw = np.random.default_rng(seed)
    gaps = draw.choice([0, 0, 10**6, SECOND // 50, SECOND // 2, SECOND, 2 * SECOND], n)
    gaps[draw.random(n) < 0.6] = 0
    flows = ended_flows(n, end_ns=SECOND + np.cumsum(np.repeat(gaps[: n // 8 + 1], 8)[:n]))
    flows["flow_id"] = draw.integers(1, n, n)
    flows["first_frame"] = np.arange(n)
    flows["src_lo"], flows["dst_lo"] = draw.integers(0, 6, n), draw.integers(0, 12, n) ** 2 // 8
    flows["src_hi"], flows["dst_hi"] = draw.integers(0, 2, n), draw.integers(0, 2, n)
    flows["src_port"] = draw.choice([20, 1024, 1025, 40_000], n)
    flows["dst_port"] = draw.choice([80, 80, 80, 25, 1024, 900, 53], n)
    flows["proto"] = draw.choice([6, 6, 6, 17, 1, 58, 132], n)
    flows["conn_state"] = draw.choice([*ConnState, 1, 4, 4, 3, 3, 3, 3], n)
    flows["end_reason"] = draw.choice([1, 2, 3, 3, 3, EndReason.ACTIVE], n)
    flows["has_icmp"], flows["icmp_code"] = draw.integers(0, 2, n), draw.integers(0, 4, n)
    return flows


@pytest.mark.parametrize(
    ("n", "keys", "twin_keys"),
    [
        (3000 // FEWER, {}, {}),
        (
            3000 // FEWER,
            {"diff_rates": "share", "host_window": 100},
            {"diff": "share", "length": 100},
        ),
        (
            3000 // FEWER,
            {"hosts": 16, "window_connections": 16, "host_window": 3},
            {"hosts": 16, "connections": 16, "length": 3},
        ),
    ],
)
def test_windows_are_those_of_plain_lists(n, keys, twin_keys):
    """Bursts, ties, protocols without rows, and windows and tables that are too small."""
    view = VIEWS["kdd"](np.float64, kdd_config(**keys))
    flows = made_connections(1, n)

    found = without_content(in_words(update(view, flows)))

    wanted, windows = twin_rows(flows, **twin_keys)
    counts = {tally.name: tally.values for tally in view.tallies()}
    assert found == wanted
    assert counts["kdd_window_early_total"][()] == windows.early
    assert counts["kdd_hosts_evicted_total"][()] == windows.evicted
    assert (windows.early > 0) == (windows.evicted > 0) == ("hosts" in keys)


def test_100_000_connections_are_those_of_plain_lists():
    """The same, long enough for every ring and free list to go round many times."""
    flows = made_connections(2, 100_000 // FEWER**2)

    found = without_content(rows_of(flows, hosts=16))

    assert found == twin_rows(flows, hosts=16)[0]


@settings(deadline=None, max_examples=30 // FEWER + 2)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 200), max_size=8))
def test_where_batches_end_does_not_show(seed, borders):
    """Rows that come out in pieces, a full order_ns each, are those that come out at once."""
    flows = made_connections(seed, 200)
    flows = flows[np.argsort(flows["order_ns"], kind="stable")]
    turns = np.searchsorted(flows["order_ns"], flows["order_ns"][[b for b in borders if b < 200]])
    view = VIEWS["kdd"](np.float64, kdd_config(hosts=16))

    pieces = [update(view, piece) for piece in np.split(flows, sorted(turns.tolist()))]

    whole = update(VIEWS["kdd"](np.float64, kdd_config(hosts=16)), flows)
    assert np.concatenate([p.values for p in pieces]).tolist() == whole.values.tolist()
    rows = np.concatenate([p.rows for p in pieces])
    assert all(np.array_equal(rows[name], whole.rows[name]) for name in rows.dtype.names)


def test_a_time_that_goes_back_counts_as_the_latest():
    """A table that overflowed lets a row out before one that ended earlier."""
    view = VIEWS["kdd"](np.float64)

    first = update(view, ended_flows(1, end_ns=10 * SECOND))
    late = update(view, ended_flows(1, end_ns=7 * SECOND))
    after = update(view, ended_flows(1, end_ns=12 * SECOND))

    assert [in_words(b)[0]["count"] for b in (first, late, after)] == [1, 2, 1]


def test_a_time_that_went_back_moves_neither_the_end_nor_what_a_full_window_keeps():
    """What counted at the latest time is as old as that, not as its own."""
    view = VIEWS["kdd"](np.float64)
    for end_s in (10, 8):
        update(view, ended_flows(1, end_ns=end_s * SECOND))
    last = ended_flows(1, end_ns=11 * SECOND, last_ts_ns=9 * SECOND)
    assert in_words(view.finish(last))[0]["count"] == 1

    full = VIEWS["kdd"](np.float64, kdd_config(window_connections=16))
    times = [10.0, *[8.5] * 16, 11.0]
    counts = [
        in_words(update(full, ended_flows(1, end_ns=round(t * SECOND))))[0]["count"] for t in times
    ]
    assert counts[-1] == 16


def test_what_is_open_at_the_end_counts_by_its_last_packet():
    """All end at once, which says nothing; so the window begins anew by last packets."""
    view = VIEWS["kdd"](np.float64)
    update(view, ended_flows(3, end_ns=99 * SECOND))
    last = np.array([10, 11, 12, 5, 6]) * SECOND
    open_flows = ended_flows(5, end_ns=100 * SECOND, last_ts_ns=last, end_reason=EndReason.EOF)

    rows = in_words(view.finish(open_flows))

    assert [row["count"] for row in rows] == [1, 2, 2, 1, 2]
    assert [row["dst_host_count"] for row in rows] == [4, 5, 6, 7, 8]


def test_single_precision_is_the_double_one_rounded():
    """Models and files see the same numbers."""
    flows = made_connections(3, 500)

    single, double = (
        update(VIEWS["kdd"](dtype), flows).values for dtype in (np.float32, np.float64)
    )

    assert single.dtype == np.float32
    assert single.tolist() == double.astype(np.float32).tolist()
    assert np.isfinite(double).all()

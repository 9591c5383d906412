"""The flow view: statistics from the state of a flow, each undefined value by its rule."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.features import VIEWS
from tapwatch.features.flow.classes import PORT_CLASS, PORT_CLASSES, SERVICES
from tapwatch.tables import FLOW, ROW
from tests.features import naive_flow as naive
from tests.features.naive_flow import Packet, Who

pytestmark = pytest.mark.kernel

S, MS = 10**9, 10**6


def batch_of(flows, dtype=np.float64):
    """The batch that the view makes of these ended flows."""
    return VIEWS["flow"](dtype).finish(flows)


def values(*packets: Packet, who: Who | None = None) -> dict[str, float]:
    """Name -> value of the flow of these packets."""
    flows = np.zeros(1, FLOW)
    flows[0] = naive.flow_state(packets, who)
    batch = batch_of(flows)
    return dict(zip(batch.schema.names, batch.values[0].tolist(), strict=True))


def check_agreement(*packets: Packet, who: Who | None = None) -> None:
    """The kernel's row equals the textbook's, but for rounding."""
    found, wanted = values(*packets, who=who), naive.flow_values(packets, who)

    assert found == {name: pytest.approx(wanted[name], rel=1e-9, abs=1e-9) for name in found}


DIALOGUE = (
    Packet(0, 0, flags=0x02, header=40, window=8192),
    Packet(20 * MS, 1, flags=0x12, header=44, window=65535),
    Packet(40 * MS, 0, flags=0x10, header=32),
    Packet(41 * MS, 0, 300, flags=0x18),
    *(Packet(60 * MS + k * MS, 1, 1000 + k, flags=0x10) for k in range(5)),
    Packet(2 * S, 0, 7, flags=0xF8),
    Packet(9 * S, 0, 9, flags=0x38, header=24),
    Packet(9 * S + 5, 1, flags=0x11),
    Packet(20 * S, 1, flags=0x14, header=60),
    Packet(20 * S + 3, 1, flags=0x40),
)


@pytest.mark.parametrize("n_packets", range(1, len(DIALOGUE) + 1))
def test_agrees_with_the_textbook_on_a_dialogue(n_packets):
    """Handshake, request, a bulk answer, long gaps, every flag; and every beginning of it."""
    check_agreement(*DIALOGUE[:n_packets])


@pytest.mark.parametrize("n_packets", range(1, len(DIALOGUE) + 1))
def test_ways_are_not_mixed_up(n_packets):
    """The mirrored dialogue gives mirrored columns."""
    mirrored = [Packet(p.ts_ns, 1 - p.way, p.payload, p.header, p.flags) for p in DIALOGUE]

    check_agreement(*mirrored[:n_packets])


LISTS = st.lists(
    st.builds(
        Packet,
        ts_ns=st.sampled_from([0, 1, 999, MS, S - 1, S, S + 1, 5 * S, 5 * S + 1, 60 * S]),
        way=st.integers(0, 1),
        payload=st.sampled_from([0, 0, 1, 7, 1460, 65535]),
        header=st.integers(8, 60),
        flags=st.integers(0, 255),
        window=st.integers(0, 65535),
        is_again=st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


WHO = st.builds(
    Who,
    proto=st.sampled_from([1, 2, 6, 17, 41, 47, 50, 58, 132, 136, 255]),
    src_port=st.integers(0, 65_535),
    dst_port=st.sampled_from([0, 1, 22, 53, 80, 443, 1023, 1024, 8080, 49_151, 49_152, 65_535]),
    icmp=st.none() | st.tuples(st.integers(0, 255), st.integers(0, 255)),
    began_ns=st.none() | st.integers(10**18 - 300 * S, 10**18),
)


@settings(deadline=None)
@given(LISTS, WHO)
def test_agrees_with_the_textbook(packets, who):
    """Any flow: gaps are drawn, so that borders at 1 s and 5 s are met often."""
    clock, flow = 10**18, []
    for p in packets:
        clock += p.ts_ns
        flow.append(replace(p, ts_ns=clock))

    check_agreement(*flow, who=who)


def test_every_port_has_a_class():
    """All 65,536 of them: a service, a range, or none."""
    words = [PORT_CLASSES[k] for k in PORT_CLASS]

    assert words == [naive.port_word(6, port) for port in range(65_536)]


@pytest.mark.parametrize("proto", [0, 1, 2, 6, 17, 33, 47, 50, 58, 132, 136, 255])
def test_ports_are_classes_where_a_protocol_has_them(proto):
    """Source and destination, at the edges of ranges and services."""
    ports = [0, 1, 21, 22, 53, 443, 1023, 1024, 8080, 27_017, 49_151, 49_152, 65_535]
    flows = np.zeros(len(ports), FLOW)
    flows["proto"] = proto
    flows["src_port"] = ports
    flows["dst_port"] = ports[::-1]
    batch = batch_of(flows)
    columns = {column.name: column for column in batch.schema.columns}
    at = {name: k for k, name in enumerate(batch.schema.names)}

    words = columns["src_port_class"].categories
    expected = [naive.port_word(proto, port) for port in ports]
    assert [words[int(k)] for k in batch.values[:, at["src_port_class"]]] == expected
    assert [words[int(k)] for k in batch.values[:, at["dst_port_class"]]] == expected[::-1]


def test_every_protocol_has_a_class():
    """Eight have a word of their own; the others are one class."""
    flows = np.zeros(256, FLOW)
    flows["proto"] = np.arange(256)
    batch = batch_of(flows)
    [(k, column)] = [(k, c) for k, c in enumerate(batch.schema.columns) if c.name == "protocol"]

    words = [column.categories[int(index)] for index in batch.values[:, k]]
    named = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmpv6"}
    assert words == [(named | {132: "sctp"}).get(proto, "other") for proto in range(256)]


def test_a_service_has_its_ports_alone():
    """No port is of two services, and the best known ones are where everybody has them."""
    ports = [port for service in SERVICES.values() for port in service]

    assert len(ports) == len(set(ports))
    for port, word in ((22, "ssh"), (25, "smtp"), (53, "dns"), (80, "http"), (443, "https")):
        assert port in SERVICES[word]


def test_the_connection_began_before_the_flow():
    """After a cut by the active timeout the time of the connection goes on."""
    row = values(Packet(200 * S, 0), Packet(210 * S, 1), who=Who(began_ns=80 * S))

    assert row["flow_duration"] == 10e6
    assert row["total_connection_flow_time"] == 130e6


def test_one_packet_has_no_spread_no_rate_and_no_gap():
    """Rates of duration 0 are 0; so are gaps, deviations, bulks, active and idle periods."""
    row = values(Packet(7 * S, 0, 100, flags=0))

    zero = {name for name, value in row.items() if value == 0}
    per_second = {"flow_byts_s", "flow_pkts_s", "fwd_pkts_s", "bwd_pkts_s"}
    spread = {name for name in row if "_iat_" in name or name.endswith(("_std", "_var"))}
    periods = {name for name in row if name.startswith(("active_", "idle_"))}
    bulks = {name for name in row if name.endswith(("_b_avg", "blk_rate_avg"))}
    assert per_second | spread | periods | bulks | {"flow_duration", "down_up_ratio"} <= zero
    assert row["init_bwd_win_byts"] == -1
    assert row["pkt_len_min"] == row["pkt_len_max"] == row["pkt_len_mean"] == 100


def test_a_way_without_packets_does_not_lower_the_minimum():
    """The 0 that stands for the minimum of no packets is not the shortest packet."""
    assert values(Packet(0, 0, 50), Packet(S, 0, 60))["pkt_len_min"] == 50
    assert values(Packet(0, 1, 50), Packet(S, 1, 60))["pkt_len_min"] == 50


def test_a_flow_without_forward_packets_has_ratio_0():
    """Division by no forward packets is 0, by rule."""
    row = values(Packet(0, 1, 10), Packet(S, 1, 10))

    assert row["down_up_ratio"] == row["fwd_seg_size_avg"] == row["subflow_fwd_pkts"] == 0
    assert row["init_fwd_win_byts"] == -1


def test_variance_of_lengths_far_apart_from_0_keeps_its_digits():
    """Three packets of 65,533 to 65,535 bytes: the squares are summed about the mean."""
    row = values(Packet(0, 0, 65_533), Packet(1, 1, 65_534), Packet(2, 1, 65_535))

    assert row["pkt_len_var"] == pytest.approx(1.0, rel=1e-12)
    assert row["pkt_len_std"] == pytest.approx(1.0, rel=1e-12)


def test_times_keep_nanoseconds():
    """Microseconds have a fraction, at any date."""
    row = values(Packet(1_700_000_000 * S + 1, 0), Packet(1_700_000_000 * S + 1235, 0))

    assert row["flow_duration"] == 1.234
    assert row["fwd_iat_max"] == row["active_max"] == 1.234


def test_models_get_the_same_numbers_as_float32():
    """float32 is the float64 value rounded, nothing else."""
    flows = np.array([naive.flow_state(DIALOGUE[:n]) for n in range(1, 14)], FLOW)

    narrow, wide = batch_of(flows, np.float32), batch_of(flows)

    assert narrow.values.dtype == np.float32
    assert np.array_equal(narrow.values, wide.values.astype(np.float32))


def test_identity_is_the_flow():
    """Every identity field is the flow's; the row comes out when the flow table says."""
    rng = np.random.default_rng(1)
    flows = np.frombuffer(rng.bytes(50 * FLOW.itemsize), FLOW).copy()
    for name in FLOW.names:
        if flows[name].dtype.kind == "f":
            flows[name] = 1.0
    rows = batch_of(flows).rows

    same = {name: name for name in ("order_ns", "first_ts_ns", "last_ts_ns", "flow_id", "vlan")}
    same |= {name: name for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "packets", "proto")}
    same |= {name: name for name in ("src_port", "dst_port", "ip_version", "end_reason")}
    same |= {"flow_first_ts_ns": "first_ts_ns", "bytes": "wire_bytes", "interface": "interface"}
    for name, source in same.items():
        assert np.array_equal(rows[name], flows[source]), name
    assert set(same) | {"frame_number", "direction", "is_flow"} == set(ROW.names)
    assert rows["is_flow"].all()
    assert not rows["frame_number"].any()
    assert not rows["direction"].any()


def absurd(seed: int, n_rows: int) -> np.ndarray:
    """FLOW rows of random bytes, infinities and NaN among them."""
    rng = np.random.default_rng(seed)
    flows = np.frombuffer(rng.bytes(n_rows * FLOW.itemsize), FLOW).copy()
    for name in FLOW.names:
        field = flows[name]
        special = rng.choice([0.0, 1.0, -1.0, 1e308, np.inf, -np.inf, np.nan], field.shape)
        if field.dtype.kind == "f":
            field[...] = np.where(rng.random(field.shape) < 0.7, special, field)
        else:
            info = np.iinfo(field.dtype)
            edge = rng.choice(np.array([info.min, info.max, 0, 1, 2], field.dtype), field.shape)
            field[...] = np.where(rng.random(field.shape) < 0.7, edge, field)
    return flows


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_no_row_of_any_bytes_is_not_finite(seed, dtype):
    """Whatever stands in the fields, every value is a number."""
    assert np.isfinite(batch_of(absurd(seed, 8), dtype).values).all()


def test_nothing_gives_nothing():
    """No flows, no rows, of the right shape; rows are counted."""
    view = VIEWS["flow"](np.float32)
    flows = np.array([naive.flow_state(DIALOGUE)], FLOW)

    empty = view.finish(flows[:0])
    view.finish(flows)

    assert empty.values.shape == (0, len(view.schema.columns))
    assert view.tallies()[0].values == {(): 1}

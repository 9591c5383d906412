"""The afterimage views: damped statistics of streams, in tables of a bounded size."""

import csv
import ipaddress
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import AfterimageConfig, Config, FlowConfig
from tapwatch.features import SCHEMAS, VIEWS
from tapwatch.features.afterimage.columns import LAMBDAS
from tapwatch.features.afterimage.kernel import _forget
from tapwatch.features.afterimage.layout import BOTH_WAYS, JITTER, ONE_WAY, no_streams
from tapwatch.features.entities import ENTITY_BYTES
from tapwatch.tables import FLOW, LINK, PACKET, Traffic
from tests.decode.oracle import decode_capture
from tests.features import naive_afterimage as naive
from tests.shared_data import shared_data

pytestmark = pytest.mark.kernel

S = 10**9
V4 = 0xFFFF << 32
ARP = 0x0806
BOTH = ("afterimage", "afterimage_115")
NAMES = SCHEMAS["afterimage_115"].names


def made(packets, view=None, name="afterimage_115", dtype=np.float64):
    """The batch that a view makes of these frames."""
    no_data, no_flows = np.zeros(0, np.uint8), np.zeros(0, FLOW)
    links = np.zeros(len(packets), LINK)
    view = view or VIEWS[name](dtype)
    return view.update(Traffic(no_data, packets, links, no_flows, 0))


def packets_of(*fields: dict[str, object]) -> np.ndarray:
    """PACKET rows of 100 bytes from 1 to 2, one second apart where nothing else is said."""
    packets = np.zeros(len(fields), PACKET)
    for i, given_fields in enumerate(fields):
        usual = {"ts_ns": (100 + i) * S, "wire_bytes": 100, "ip_version": 4}
        usual |= {"src_lo": V4 | 1, "dst_lo": V4 | 2, "eth_src": 11, "eth_dst": 12}
        for name, value in (usual | given_fields).items():
            packets[i][name] = value
    return packets


def values(*fields: dict[str, object]) -> list[dict[str, float]]:
    """Name -> value for each frame, all 115."""
    batch = made(packets_of(*fields))
    return [dict(zip(batch.schema.names, row, strict=True)) for row in batch.values.tolist()]


def back(**more: object) -> dict[str, object]:
    """Fields of a frame from 2 to 1."""
    return {"src_lo": V4 | 2, "dst_lo": V4 | 1, "eth_src": 12, "eth_dst": 11} | more


def check(batch, expected: list[list[float]]) -> None:
    """No value is further off than rounding explains.

    Variances are differences of squares: their rounding is relative to the squared mean, here that
    of both ways.
    """
    expected = np.array(expected)
    scale, tolerance = np.abs(expected), np.full(expected.shape[1], 1e-12)
    for k, column in enumerate(batch.schema.columns):
        stream, _, statistic = column.name.rpartition("_")
        if statistic in {"var", "radius", "cov"}:
            mean = "magnitude" if f"{stream}_magnitude" in batch.schema.names else "mean"
            squared = expected[:, batch.schema.names.index(f"{stream}_{mean}")] ** 2
            scale[:, k] = np.maximum(scale[:, k], squared)
            tolerance[k] = 1e-9
        elif statistic == "pcc":
            # It is relative to variances that may be as small as 1e-9 of that.
            scale[:, k] = np.maximum(scale[:, k], 1)
            tolerance[k] = 1e-6

    off = np.abs(batch.values - expected) > tolerance * scale

    assert not off.any(), [batch.schema.names[k] for k in np.flatnonzero(off.any(0))]


def varied(n_rows: int, seed: int, n_hosts: int = 5) -> np.ndarray:
    """Frames among a few hosts that meet often: loops, ARP, late frames, all orders of gaps."""
    rng = np.random.default_rng(seed)
    packets = np.zeros(n_rows, PACKET)
    gaps_ns = 10.0 ** rng.uniform(0, 11, n_rows) * rng.choice([0, 1, 1, -0.1], n_rows)
    packets["ts_ns"] = 10**18 + np.cumsum(gaps_ns.astype(np.int64))
    packets["wire_bytes"] = rng.choice([60, 60, 1514, rng.integers(1, 1 << 32)], n_rows)
    packets["ip_version"] = rng.choice([0, 4, 6], n_rows, p=[0.1, 0.6, 0.3])
    packets["ether_type"] = rng.choice([0x0800, ARP], n_rows, p=[0.9, 0.1])
    for end in ("src", "dst"):
        host = rng.integers(1, n_hosts + 1, n_rows).astype("<u8")
        packets[f"{end}_lo"] = host | np.uint64(V4)
        packets[f"{end}_hi"] = np.where(packets["ip_version"] == 6, host % 2 << 63, 0)
        packets[f"eth_{end}"] = host + 1
        packets[f"{end}_port"] = rng.choice([0, 53, 40_000], n_rows)
    return packets


def test_the_layouts_are_those_of_the_program_and_of_the_paper():
    """Groups, then lambdas from fast to slow, then statistics; the paper has H behind MI."""
    one, both = ["weight", "mean", "var"], ["radius", "magnitude", "cov", "pcc"]
    rates = ["5", "3", "1", "0_1", "0_01"]
    groups = {"MI": one, "H": one, "HH": one + both, "HH_jit": one, "HpHp": one + both}
    expected = [f"{g}_{r}_{s}" for g, names in groups.items() for r in rates for s in names]

    assert list(NAMES) == expected
    assert list(SCHEMAS["afterimage"].names) == [n for n in expected if not n.startswith("H_")]
    assert (len(NAMES), len(SCHEMAS["afterimage"].names)) == (115, 100)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_naive_view(name, seed):
    """Every column of varied frames is what the slow twin computes."""
    packets = varied(500, seed)
    frames = [naive.frame_of(packet) for packet in packets]

    batch = made(packets, name=name)

    check(batch, naive.afterimage_values(frames, batch.schema.names))


def test_evicts_as_the_naive_view_does():
    """With little room, another for each kind, the same ones are forgotten, and all counted."""
    packets = varied(800, 9, n_hosts=9)
    capacities = {"mi": 16, "h": 8, "hh": 32, "hphp": 64}
    sizes = AfterimageConfig(**{f"{kind}_capacity": n for kind, n in capacities.items()})
    config = Config(afterimage=sizes, flows=FlowConfig(hash_seed=77))
    view, twin = VIEWS["afterimage_115"](np.float64, config), naive.Afterimage(77, **capacities)

    batch = made(packets, view)

    check(batch, naive.afterimage_values(map(naive.frame_of, packets), NAMES, twin))
    evicted = {kind: n for (kind,), n in view.tallies()[1].values.items()}
    assert evicted == {kind: table.evicted for kind, table in twin.tables.items()}
    assert min(evicted.values()) > 50


def test_what_is_forgotten_leaves_nothing():
    """Where all streams had to give way, what follows has the same bits as in a fresh view."""
    sizes = dict.fromkeys(("mi_capacity", "h_capacity", "hh_capacity", "hphp_capacity"), 8)
    config = Config(afterimage=AfterimageConfig(**sizes))
    used, fresh = (VIEWS["afterimage_115"](np.float64, config) for _ in range(2))
    before, after = varied(400, 1, n_hosts=2), varied(400, 2, n_hosts=2)
    for name in ("src_lo", "dst_lo", "eth_src", "eth_dst"):
        after[name] += np.uint64(100)

    made(before, used)

    assert made(after, used).values.tobytes() == made(after, fresh).values.tobytes()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("step", [1, 7])
def test_batch_borders_do_not_show(name, step):
    """One frame at a time or all at once: the same bits."""
    packets, view = varied(300, 5), VIEWS[name](np.float32)

    parts = [made(packets[lo : lo + step], view) for lo in range(0, len(packets), step)]

    whole = made(packets, name=name, dtype=np.float32)
    assert np.concatenate([part.values for part in parts]).tobytes() == whole.values.tobytes()
    assert b"".join(part.rows.tobytes() for part in parts) == whole.rows.tobytes()


def test_models_get_the_same_numbers_as_float32():
    """float32 is the float64 value rounded, nothing else."""
    packets = varied(200, 6)

    narrow, wide = made(packets, dtype=np.float32), made(packets)

    assert narrow.values.dtype == np.float32
    assert np.array_equal(narrow.values, wide.values.astype(np.float32))


def test_the_program_s_columns_are_the_paper_s_without_h():
    """Both views say the same of the same streams."""
    packets = varied(200, 7)
    wide = made(packets).values[:, [not name.startswith("H_") for name in NAMES]]

    assert np.array_equal(made(packets, name="afterimage").values, wide)


def test_the_first_frame_of_a_stream_weighs_1():
    """Nothing varies yet, no gap has been, and the other way is not there."""
    [row] = values({})

    for name, value in row.items():
        statistic = name.rpartition("_")[2]
        expected = {"weight": 1, "mean": 100, "magnitude": 100}.get(statistic, 0)
        assert value == (0 if name.startswith("HH_jit") and statistic == "mean" else expected), name


def test_a_stream_forgets_half_in_the_time_of_its_lambda():
    """After one second, 2^-lambda of the first frame is left."""
    _, row = values({}, {"wire_bytes": 200})

    for rate in (5, 3, 1):
        left = 2.0**-rate
        assert row[f"HH_{rate}_weight"] == pytest.approx(1 + left, rel=1e-15)
        assert row[f"HH_{rate}_mean"] == pytest.approx((200 + 100 * left) / (1 + left), rel=1e-15)
        assert row[f"HH_jit_{rate}_mean"] == pytest.approx(1 / (1 + left), rel=1e-15)


def test_a_late_frame_counts_and_moves_no_clock():
    """It is added to what is there, its gap is 0, and the next gap counts from the latest time."""
    rows = values({"ts_ns": 100 * S}, {"ts_ns": 98 * S}, {"ts_ns": 101 * S})

    assert [row["MI_1_weight"] for row in rows] == [1, 2, 2]
    assert [row["HH_jit_1_mean"] for row in rows] == [0, 0, 0.5]


def test_the_first_frame_the_other_way_may_be_late():
    """The clock of a way begins with its own first frame; that of the pair does not go back."""
    rows = values({"ts_ns": 100 * S}, back(ts_ns=98 * S), back(ts_ns=99 * S), {"ts_ns": 101 * S})

    assert [row["HH_1_weight"] for row in rows] == [1, 1, 1.5, 1.5]
    assert rows[2]["HH_jit_1_mean"] == pytest.approx(1 / 1.5)


def test_each_frame_is_in_the_covariance_once():
    """By hand: three frames at one time, 100 and 400 there, 50 and 70 back.

    The residuals are 0, 0, 400 - 250 = 150 and 70 - 60 = 10; the last one meets 150.
    """
    at = {"ts_ns": 100 * S}

    rows = values(
        at, back(**at, wire_bytes=50), at | {"wire_bytes": 400}, back(**at, wire_bytes=70)
    )

    for group in ("HH", "HpHp"):
        assert [row[f"{group}_5_cov"] for row in rows] == [0, 0, 0, 1500 / 4]
        assert rows[3][f"{group}_5_pcc"] == pytest.approx(375 / (150 * 10), rel=1e-12)
        assert rows[3][f"{group}_5_radius"] == pytest.approx(np.hypot(150**2, 10**2), rel=1e-12)
        assert rows[3][f"{group}_5_magnitude"] == pytest.approx(np.hypot(250, 60), rel=1e-12)


def test_a_sender_to_itself_is_its_own_other_way():
    """Its last residual is the one before: 0, then 400 - 250 = 150, then 700 - 400 = 300."""
    loop = {"ts_ns": 100 * S, "dst_lo": V4 | 1}

    rows = values(loop, loop | {"wire_bytes": 400}, loop | {"wire_bytes": 700})

    assert [row["HH_1_cov"] for row in rows] == [0, 0, 300 * 150 / 3]
    assert rows[2]["HH_1_magnitude"] == pytest.approx(400 * 2**0.5, rel=1e-12)


def test_what_varies_by_rounding_alone_does_not_correlate():
    """Frames of one size, spread in time: the variance may not be 0, the correlation is."""
    times = (100 * S + 10**8 * i * i for i in range(40))

    rows = values(*({"ts_ns": t, "wire_bytes": 577} | (back() if t % 2 else {}) for t in times))

    assert any(row["HH_0_1_var"] != 0 for row in rows)
    assert all(row["HH_0_1_var"] < 1e-9 for row in rows)
    assert all(row["HH_0_1_pcc"] == 0 for row in rows)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({"eth_src": 13}, {"H", "HH", "HpHp"}),
        ({"src_port": 5}, {"MI", "H", "HH"}),
        ({"dst_port": 5}, {"MI", "H", "HH"}),
        ({"dst_lo": V4 | 3}, {"MI", "H"}),
        ({"dst_hi": 3}, {"MI", "H"}),
        ({"src_lo": V4 | 3}, set()),
        ({"src_hi": 3}, set()),
        ({"ip_version": 6}, set()),
        ({"eth_dst": 13, "proto": 17, "tunnel_id": 3, "vlan_tci": 3}, {"MI", "H", "HH", "HpHp"}),
        ({"ether_type": ARP, "src_lo": V4 | 5, "dst_lo": V4 | 6}, {"HpHp"}),
        ({"ether_type": ARP, "eth_src": 13}, {"H", "HH"}),
        ({"ether_type": ARP, "eth_dst": 13}, {"MI", "H", "HH"}),
    ],
    ids=lambda value: " ".join(sorted(map(str, value))) or "none",
)
def test_what_is_another_stream(other, shared):
    """A frame differs from one before in this alone: it shares the streams that do not know it."""
    first = {"ts_ns": 100 * S}
    if "ether_type" in other:
        first |= {"ether_type": ARP}

    row = values(first, first | other)[1]

    met = {group for group in ("MI", "H", "HH", "HpHp") if row[f"{group}_1_weight"] == 2}
    assert met == shared
    assert row["HH_jit_1_weight"] == row["HH_1_weight"]


def test_frames_without_addresses_are_one_stream():
    """Two frames of which nothing could be read are from 0 to 0, and rows like all others."""
    nothing = dict.fromkeys(("src_lo", "dst_lo", "eth_src", "eth_dst", "ip_version"), 0)

    rows = values(nothing | {"status": 3}, nothing | {"status": 5})

    assert [row["HpHp_0_01_weight"] > 1 for row in rows] == [False, True]


def test_factors_are_right_to_13_digits():
    """From a nanosecond to three centuries, every power is that of the library."""
    fade = np.zeros((2, 5))
    assert LAMBDAS == (5, 3, 1, 0.1, 0.01)
    for gap_s in [0.0, *10.0 ** np.arange(-9, 10.1, 0.25)]:
        _forget(fade, 1, float(gap_s))

        expected = [2.0 ** (-rate * gap_s) for rate in LAMBDAS]
        assert fade[1].tolist() == pytest.approx(expected, rel=1e-13, abs=1e-300)
        assert not fade[0].any()


def test_memory_is_what_the_configuration_says():
    """Bytes a stream, as its reference page has them; rows do not straddle cache lines."""
    assert ENTITY_BYTES + ONE_WAY.itemsize == 184
    assert ENTITY_BYTES + BOTH_WAYS.itemsize == 504
    assert ENTITY_BYTES + BOTH_WAYS.itemsize + JITTER.itemsize == 664
    streams = no_streams(AfterimageConfig())
    for rows in (streams.mi_rows, streams.h_rows, streams.hh_rows, streams.hphp_rows):
        assert (rows.ctypes.data % 64, rows.itemsize % 64) == (0, 0)


def test_a_flood_of_senders_evicts_and_is_counted():
    """Every stream beyond those that fit has pushed out another one."""
    sizes = dict.fromkeys(("mi_capacity", "h_capacity", "hh_capacity", "hphp_capacity"), 64)
    view = VIEWS["afterimage_115"](np.float32, Config(afterimage=AfterimageConfig(**sizes)))
    packets = packets_of({}).repeat(1000)
    packets["src_lo"] = V4 | np.arange(1000)

    batch = made(packets, view)

    rows, evicted = view.tallies()
    assert rows.values == {(): 1000}
    assert evicted.values == dict.fromkeys([("mi",), ("h",), ("hh",), ("hphp",)], 1000 - 64)
    assert (batch.values[:, 0] == 1).all()


@pytest.mark.parametrize("name", BOTH)
def test_counters_are_there_from_the_start(name):
    """Before the first frame every kind of stream that the view has stands at 0."""
    view = VIEWS[name]()
    kinds = ["mi", "h", "hh", "hphp"] if name == "afterimage_115" else ["mi", "hh", "hphp"]

    rows, evicted = view.tallies()

    assert evicted.values == {(kind,): 0 for kind in kinds}
    assert (rows.name, rows.values) == (f"{name}_rows_total", {(): 0})
    assert evicted.name == f"{name}_streams_evicted_total"


def test_nothing_gives_nothing():
    """No frames, no rows; the end of the source adds none."""
    view = VIEWS["afterimage"]()

    batches = [made(packets_of(), view), view.finish(np.zeros(2, FLOW)), view.close()]

    assert [batch.values.shape for batch in batches] == [(0, 100)] * 3


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.booleans())
def test_any_bytes_give_finite_rows(seed, small):
    """Whatever stands in the fields, every value is a number that float32 can hold."""
    rng = np.random.default_rng(seed)
    packets = np.zeros(12, PACKET)
    for name in PACKET.names:
        field = packets[name]
        info = np.iinfo(field.dtype)
        low, high = (0, 2) if small and name != "ts_ns" else (info.min, info.max)
        field[...] = rng.integers(low, high, field.shape, dtype=field.dtype, endpoint=True)

    batch = made(packets, dtype=np.float32)

    assert np.isfinite(batch.values).all()


def _number(text: str) -> int:
    return int(text or 0)


def _mac(text: str) -> int:
    return int(text.replace(":", "") or "0", 16)


def _said(line: dict[str, str]) -> naive.Frame:
    """A frame as tshark's export of fields has it; of an error message only the outer addresses."""
    stations = _mac(line["eth.src"]), _mac(line["eth.dst"])
    is_arp = line["arp.opcode"] != ""
    texts = [
        (line[f"ip.{end}"] or line[f"arp.{end}.proto_ipv4"] or line[f"ipv6.{end}"]).split(",")[0]
        for end in ("src", "dst")
    ]
    addresses = [(0, station) for station in stations]
    for k, text in enumerate(texts):
        if text:
            ip = ipaddress.ip_address(text)
            addresses[k] = (ip.version, int(ip) | (V4 if ip.version == 4 else 0))
    is_error = line["icmp.type"] != ""
    ports = [
        0 if is_error else _number(line[f"tcp.{end}port"] or line[f"udp.{end}port"])
        for end in ("src", "dst")
    ]
    ts_ns = int(Decimal(line["frame.time_epoch"]) * S)
    return naive.Frame(ts_ns, int(line["frame.len"]), *stations, *addresses, *ports, is_arp)


def test_agrees_with_the_naive_view_on_tshark_s_fields_of_a_real_capture():
    """20,000 frames of Kitsune's capture: decoded here, and as tshark tells them to the twin."""
    folder = shared_data() / "kitsune_mirai"
    with open(folder / "mirai_first_20000.tshark.tsv", newline="") as lines:
        said = [_said(line) for line in csv.DictReader(lines, delimiter="\t")]
    packets = decode_capture(str(folder / "mirai_first_20000.pcap"))
    expected = np.array(naive.afterimage_values(said, NAMES))

    check(made(packets), expected)
    columns = [not name.startswith("H_") for name in NAMES]
    check(made(packets, name="afterimage"), expected[:, columns])
    assert len(said) == 20_000

"""The packet view: one row a frame, header fields and timing, ARP hygiene."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.features import VIEWS
from tapwatch.features.packet.arp import empty_claims
from tapwatch.tables import FLOW, LINK, PACKET, ROW, TcpAnalysis, Traffic
from tests.features import naive

pytestmark = pytest.mark.kernel

NO_FLOWS, NO_DATA = np.zeros(0, FLOW), np.zeros(0, np.uint8)
S = 10**9
V4 = 0xFFFF << 32


def packets_of(*fields: dict[str, object]) -> np.ndarray:
    """PACKET rows with these fields, one second apart where nothing else is said."""
    packets = np.zeros(len(fields), PACKET)
    for i, given_fields in enumerate(fields):
        packets[i]["ts_ns"] = packets[i]["clock_ns"] = (100 + i) * S
        packets[i]["number"] = i + 1
        for name, value in given_fields.items():
            packets[i][name] = value
    return packets


def made(packets, links=None, dtype=np.float64, view=None):
    """The batch that a view makes of these frames."""
    links = np.zeros(len(packets), LINK) if links is None else links
    view = view or VIEWS["packet"](dtype)
    view._labels = Labels()
    return view.update(Traffic(NO_DATA, packets, links, NO_FLOWS, 0))


def values(packets, links=None) -> list[dict[str, float]]:
    """Name -> value for each frame."""
    batch = made(packets, links)
    return [dict(zip(batch.schema.names, row, strict=True)) for row in batch.values.tolist()]


def labels_of(packets) -> list[int]:
    """The protocol label of each frame: any; those of real frames have tests of their own."""
    return (packets["number"] % 7).astype(np.uint16).tolist()


class Labels:
    """Gives the labels above: rows by hand have no bytes to tell the protocol from."""

    def of(self, traffic: Traffic) -> np.ndarray:
        return np.array(labels_of(traffic.packets), np.uint16)

    def tallies(self) -> list:
        return []


def arp(ip: int, mac: int, opcode: int = 1, target: int = 9, **more: object) -> dict[str, object]:
    """An ARP request or reply in which `mac` claims `ip`."""
    claim = {"ether_type": 0x0806, "ip_version": 4, "arp_opcode": opcode, "arp_sender_mac": mac}
    return claim | {"src_lo": V4 | ip, "dst_lo": V4 | target} | more


def spread(dtype: np.dtype, n_rows: int, seed: int, small: bool) -> np.ndarray:
    """Rows of random bytes; `small` halves the fields' bits so that borders are met more often."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(n_rows, dtype)
    for name in dtype.names:
        field = rows[name]
        top = 4 if small else np.iinfo(field.dtype).max
        low = 0 if small else np.iinfo(field.dtype).min
        field[...] = rng.integers(low, top, field.shape, dtype=field.dtype, endpoint=True)
    return rows


def ordinary(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows as decode/ and flows/ would make them of varied traffic."""
    rng = np.random.default_rng(seed)
    p, link = spread(PACKET, n_rows, seed, small=False), spread(LINK, n_rows, seed + 1, small=False)
    p["ts_ns"] = 10**18 + rng.integers(0, 50 * S, n_rows)
    p["clock_ns"] = np.maximum.accumulate(p["ts_ns"])
    p["proto"] = rng.choice([1, 6, 17, 58, 132, 0], n_rows)
    p["n_vlan_tags"] = rng.choice([0, 1, 2], n_rows)
    p["ip_version"] = rng.choice([0, 4, 6], n_rows)
    p["ether_type"] = rng.choice([0x0800, 0x0806, 0x86DD, 0x88CC], n_rows)
    p["status"] = rng.choice([0, 0, 0, 7], n_rows)
    p["frag_offset_bytes"] = rng.choice([0, 0, 1480], n_rows)
    p["transport_header_bytes"] = rng.choice([0, 8, 20, 60], n_rows)
    p["payload_bytes"] = rng.choice([-1, 0, 1, 1460], n_rows)
    p["arp_opcode"] = rng.choice([0, 1, 2, 3], n_rows)
    p["arp_sender_mac"] = rng.choice([0, 5, 6, 1 << 40], n_rows)
    p["src_lo"], p["dst_lo"] = V4 | rng.integers(0, 4, n_rows), V4 | rng.integers(0, 4, n_rows)
    p["dst_lo"] |= rng.choice(np.array([0, 0xE0, 0xEF, 0xF0], "<u8") << 24, n_rows)
    p["dst_hi"] = rng.choice(np.array([0, 0xFF02, 0xFE80], "<u8") << 48, n_rows)
    p["eth_dst"] = rng.choice([2, 0x0100_5E00_0001, 0xFFFF_FFFF_FFFF], n_rows)
    for end in ("src_port", "dst_port"):
        p[end] = rng.choice([0, 1023, 1024, 49151, 49152, 65535], n_rows)
    link["is_flow"] = rng.choice([0, 1], n_rows)
    for gap in ("gap_flow_ns", "gap_direction_ns"):
        link[gap] = rng.integers(0, 50 * S, n_rows)
    link["flow_first_ts_ns"] = p["ts_ns"] - rng.integers(-5, 50 * S, n_rows)
    return p, link


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_naive_view(seed):
    """Every column of varied frames is what the slow twin computes."""
    packets, links = ordinary(400, seed)

    assert values(packets, links) == naive.packet_values(packets, links, labels_of(packets))


def test_columns_of_small_fields_agree_with_the_naive_view():
    """Fields of 0 to 4, so that equal addresses, opcodes and versions meet."""
    packets, links = spread(PACKET, 500, 3, small=True), spread(LINK, 500, 4, small=True)
    packets["clock_ns"] = np.maximum.accumulate(packets["clock_ns"])

    assert values(packets, links) == naive.packet_values(packets, links, labels_of(packets))


def test_every_bit_of_flags_and_options_has_its_own_column():
    """One bit at a time: exactly one flag or option column is 1."""
    tcp = {"ip_version": 4, "proto": 6, "transport_header_bytes": 20}
    flags = packets_of(*(tcp | {"tcp_flags": 1 << bit} for bit in range(12)))
    options = packets_of(*(tcp | {"tcp_options": 1 << bit} for bit in range(8)))

    of_flags = [
        [k for k, v in row.items() if k.startswith("tcp_flags") and v] for row in values(flags)
    ]
    of_options = [
        [k for k, v in row.items() if k.startswith("tcp_options") and v] for row in values(options)
    ]

    names = ["fin", "syn", "reset", "push", "ack", "urg", "ece", "cwr", "ae"]
    assert of_flags == [[f"tcp_flags_{name}"] for name in names] + [[]] * 3
    names = ["mss", "wscale", "sack_perm", "sack", "timestamp"]
    assert of_options == [[f"tcp_options_{name}"] for name in names] + [[]] * 3


def test_every_bit_of_the_analysis_has_its_own_column():
    """One bit at a time, in the order of TcpAnalysis; the last bit is none of them."""
    links = np.zeros(16, LINK)
    links["tcp_analysis"] = 1 << np.arange(16)

    told = [
        [k for k, v in row.items() if k.startswith("tcp_analysis") and v]
        for row in values(packets_of(*({} for _ in range(16))), links)
    ]

    assert told == [[f"tcp_analysis_{kind.name.lower()}"] for kind in TcpAnalysis] + [[]]


def test_a_window_is_shifted_as_the_handshake_said():
    """The window as sent stands beside it; no shift beyond 14 is taken, and none without TCP."""
    tcp = {"ip_version": 4, "proto": 6, "transport_header_bytes": 20, "tcp_window": 65_535}
    packets = packets_of(tcp, tcp, tcp, tcp, tcp | {"proto": 17})
    links = np.zeros(5, LINK)
    links["tcp_window_shift"] = [0, 7, 14, 15, 7]

    told = values(packets, links)

    shifted = [row["tcp_window_size"] for row in told]
    assert shifted == [65_535, 65_535 * 128, 65_535 * 2**14, 65_535 * 2**14, 0]
    assert [row["tcp_window_size_value"] for row in told] == [65_535] * 4 + [0]


def test_the_advance_of_a_segment_is_that_of_its_link():
    """Of both signs, up to half of all sequence numbers, and 0 where there is no TCP."""
    tcp = {"ip_version": 4, "proto": 6, "transport_header_bytes": 20}
    packets = packets_of(tcp, tcp, tcp, tcp | {"proto": 17}, tcp | {"frag_offset_bytes": 8})
    links = np.zeros(5, LINK)
    links["tcp_seq_advance"] = [-(2**31), 2**31 - 1, -1418, 5, 5]

    told = [row["tcp_seq_advance"] for row in values(packets, links)]

    assert told == [-(2**31), 2**31 - 1, -1418, 0, 0]


def test_options_tell_their_numbers_where_they_are():
    """A segment size or a shift that stands in the row without its option is of no segment."""
    tcp = {"ip_version": 4, "proto": 6, "tcp_mss": 1460, "tcp_window_scale": 9}
    packets = packets_of(*(tcp | {"tcp_options": bits} for bits in range(4)))

    told = values(packets)

    assert [row["tcp_options_mss_val"] for row in told] == [0, 1460, 0, 1460]
    assert [row["tcp_options_wscale_shift"] for row in told] == [0, 0, 9, 9]


def test_a_frame_that_was_not_decoded_is_a_row_too():
    """Only what is known of it stands in the row."""
    [row] = values(packets_of({"status": 3, "wire_bytes": 13, "ether_type": 0x0806}))

    assert {name for name, value in row.items() if value} - {"protocol"} == {
        "frame_len",
        "undecoded",
    }


def test_a_late_frame_has_no_time_delta():
    """Its delta is 0; the next one counts from the latest time that was seen, not from it."""
    packets = packets_of(
        {}, {"ts_ns": 50 * S, "clock_ns": 100 * S}, {"ts_ns": 103 * S, "clock_ns": 103 * S}
    )

    assert [row["frame_time_delta"] for row in values(packets)] == [0, 0, 3]


def test_a_flow_that_began_in_the_future_has_age_0():
    """A late packet may be older than the first one of its flow."""
    links = np.zeros(1, LINK)
    links["is_flow"], links["flow_first_ts_ns"] = 1, 200 * S

    assert values(packets_of({}), links)[0]["flow_age_s"] == 0


def test_later_fragments_have_no_transport():
    """A later fragment is an IP packet, not a TCP segment, and its ports have no class."""
    fields = {"ip_version": 4, "proto": 6, "frag_offset_bytes": 8, "payload_bytes": 5}
    [row] = values(packets_of(fields | {"transport_header_bytes": 20}))

    told = {name for name, value in row.items() if value}
    assert told - {"protocol"} == {"ip", "ip_frag_offset"}


@pytest.mark.parametrize("cut", range(0, 41, 8))
def test_batch_borders_do_not_show(cut):
    """Deltas and ARP claims go on from batch to batch."""
    packets, links = ordinary(40, 11)
    whole = made(packets, links)
    view = VIEWS["packet"](np.float64)
    parts = [made(packets[part], links[part], view=view) for part in (slice(cut), slice(cut, None))]

    assert np.array_equal(np.concatenate([part.values for part in parts]), whole.values)
    assert b"".join(part.rows.tobytes() for part in parts) == whole.rows.tobytes()


def test_models_get_the_same_numbers_as_float32():
    """float32 is the float64 value rounded, nothing else."""
    packets, links = ordinary(200, 5)

    narrow, wide = made(packets, links, np.float32), made(packets, links)

    assert narrow.values.dtype == np.float32
    assert np.array_equal(narrow.values, wide.values.astype(np.float32))


def test_another_station_that_claims_an_address_is_told_each_time():
    """The first claim stands; the owner's own packets are not told."""
    told = values(packets_of(arp(7, 5), arp(7, 6, 2), arp(7, 6), arp(7, 5), arp(8, 6)))

    assert [row["arp_duplicate_address_detected"] for row in told] == [0, 1, 1, 0, 0]


def test_a_claim_is_void_after_an_hour_without_renewal():
    """Exactly an hour is still good; a claim of the other station does not renew it."""

    def at(seconds: int) -> dict[str, object]:
        return {"ts_ns": seconds * S, "clock_ns": seconds * S}

    told = values(
        packets_of(
            arp(7, 5, **at(0)), arp(7, 6, **at(3600)), arp(7, 6, **at(3601)), arp(7, 5, **at(3602))
        )
    )

    assert [row["arp_duplicate_address_detected"] for row in told] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "no_claim",
    [
        arp(0, 6),
        arp(7, 0),
        arp(7, 1 << 40),
        arp(7, 6, 3),
        arp(7, 6, ip_version=0),
        arp(7, 6, status=1),
    ],
    ids=["no address", "no station", "group", "opcode", "not IPv4", "damaged"],
)
def test_what_is_no_claim_is_neither_told_nor_remembered(no_claim):
    """Probes, groups and other operations say nothing of who owns an address."""
    told = values(packets_of(arp(7, 5), no_claim, arp(7, 5)))

    assert [row["arp_duplicate_address_detected"] for row in told] == [0, 0, 0]


def test_an_announcement_is_gratuitous():
    """Sender and target are one address, in a request or reply for IPv4."""
    told = values(
        packets_of(
            arp(7, 5, target=7),
            arp(7, 5, 2, target=7),
            arp(7, 5),
            arp(7, 5, 3, target=7),
            arp(7, 5, target=7, ip_version=0),
        )
    )

    assert [row["arp_isgratuitous"] for row in told] == [1, 1, 0, 0, 0]


def test_the_table_of_claims_is_bounded_and_counts_what_it_forgets():
    """The least recently renewed claim of a set gives way, and the counter says so."""
    n_places = empty_claims().size
    view = VIEWS["packet"](np.float64)
    flood = np.zeros(3 * n_places, PACKET)
    flood["ether_type"], flood["ip_version"], flood["arp_opcode"] = 0x0806, 4, 2
    flood["arp_sender_mac"], flood["src_lo"] = (
        5,
        np.arange(1, len(flood) + 1).astype(np.uint64) | np.uint64(V4),
    )
    flood["clock_ns"] = np.arange(len(flood))
    last = flood[-1:].copy()
    last["arp_sender_mac"] = 6

    batch = made(flood, view=view)
    again = made(last, view=view)

    evicted = {tally.name: tally.values[()] for tally in view.tallies()}["arp_claims_evicted_total"]
    n_held = np.count_nonzero(view._claims["ip"])
    assert evicted == len(flood) - n_held
    assert evicted >= len(flood) - n_places
    assert not batch.values[:, -1].any()
    assert again.values[0, -1] == 1


def test_the_oldest_claim_of_a_set_gives_way():
    """Five addresses of one set: the one that was renewed longest ago is forgotten."""
    home = [ip for ip in range(1, 200_000) if ip * 0x61C8_8647 >> 20 & 4095 == 77][:5]
    first = [arp(ip, 5) for ip in home[:4]]
    renewed = [arp(home[0], 5)]
    fifth = [arp(home[4], 5)]
    others = [arp(ip, 6) for ip in (home[0], home[2], home[3], home[4])]

    told = values(packets_of(*first, *renewed, *fifth, *others, arp(home[1], 6)))

    assert len(home) == 5
    assert [row["arp_duplicate_address_detected"] for row in told[6:]] == [1, 1, 1, 1, 0]


def test_identity_is_the_packet_and_its_flow():
    """Addresses go as the packet goes; ports are those of the flow's key."""
    packets, links = ordinary(300, 21)
    rows = made(packets, links).rows
    is_flow = links["is_flow"] == 1
    tagged = packets["n_vlan_tags"] > 0
    vlan = packets["vlan_tci"].astype(int) & 0x0FFF

    assert np.array_equal(rows["order_ns"], packets["clock_ns"])
    assert np.array_equal(rows["frame_number"], packets["number"])
    assert np.array_equal(rows["first_ts_ns"], packets["ts_ns"])
    assert np.array_equal(rows["last_ts_ns"], packets["ts_ns"])
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "interface", "ip_version"):
        assert np.array_equal(rows[name], packets[name]), name
    for name in ("flow_id", "flow_first_ts_ns", "direction", "is_flow"):
        assert np.array_equal(rows[name], np.where(is_flow, links[name], 0)), name
    for name in ("bytes", "packets"):
        assert np.array_equal(rows[name], np.where(is_flow[:, None], links[name], 0)), name
    for name in ("src_port", "dst_port", "proto"):
        assert np.array_equal(rows[name], np.where(is_flow, links[name], packets[name])), name
    assert np.array_equal(rows["vlan"], np.where(tagged, vlan, -1))
    assert not rows["end_reason"].any()


@settings(deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_no_row_of_any_bytes_is_not_finite(seed, small, dtype):
    """Whatever stands in the fields, every value is a number."""
    batch = made(spread(PACKET, 8, seed, small), spread(LINK, 8, seed + 1, small), dtype)

    assert np.isfinite(batch.values).all()


def test_nothing_gives_nothing():
    """No frames, no rows, of the right shape; the end of the source adds none."""
    view = VIEWS["packet"](np.float32)
    empty = made(packets_of(), view=view)

    assert empty.values.shape == view.finish(NO_FLOWS).values.shape == (0, 82)
    assert empty.rows.dtype == ROW
    assert len(view.tallies()) == 3

"""When the two ends of a frame last met: either way, this way, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.config import Config
from tapwatch.features import VIEWS
from tapwatch.features.packet.pairs import N_WAYS, empty_pairs, pair_gaps
from tapwatch.tables import FLOW, LINK, PACKET, Traffic
from tests.features.naive_pairs import U64, Pairs, mix

pytestmark = pytest.mark.kernel

S = 10**9
V4 = 0xFFFF << 32


def frames(*ends: tuple[int, int], version: int = 4, start_ns: int = S) -> np.ndarray:
    """Frames of these (src, dst), one second apart."""
    packets = np.zeros(len(ends), PACKET)
    packets["ip_version"] = version
    packets["clock_ns"] = packets["ts_ns"] = start_ns + S * np.arange(len(ends))
    base = V4 if version == 4 else 0
    packets["src_lo"] = [base | src for src, _ in ends]
    packets["dst_lo"] = [base | dst for _, dst in ends]
    return packets


def gaps(packets: np.ndarray, pairs: np.ndarray | None = None) -> list[list[float]]:
    """[either way, this way] of each frame, in seconds."""
    made = np.full((len(packets), 2), np.nan)
    table = empty_pairs(1024) if pairs is None else pairs
    pair_gaps(packets, table, np.zeros(1, np.int64), made, np.uint64(0))
    return (made / 1e9).tolist()


def ends_of(packet) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The two ends that Wireshark would show."""
    if packet["ether_type"] == 0x0806:
        return (0, 0, int(packet["eth_src"])), (0, 0, int(packet["eth_dst"]))
    src, dst = (
        (int(packet["ip_version"]), int(packet[f"{end}_hi"]), int(packet[f"{end}_lo"]))
        for end in ("src", "dst")
    )
    return src, dst


def test_time_counts_from_the_last_frame_either_way_and_this_way():
    """Another pair between them changes nothing; the first frame of a pair or way has 0."""
    told = gaps(frames((1, 2), (1, 3), (2, 1), (1, 2), (2, 1), (1, 3)))

    assert told == [[0, 0], [0, 0], [2, 0], [1, 3], [1, 2], [4, 4]]


def test_a_station_that_speaks_to_itself_has_one_way():
    """Both ends are one: either way is this way."""
    assert gaps(frames((5, 5), (5, 5))) == [[0, 0], [1, 1]]


@pytest.mark.parametrize("half", ["src_hi", "src_lo", "dst_hi", "dst_lo", "ip_version"])
def test_every_part_of_an_address_tells_pairs_apart(half):
    """One bit anywhere in the 128 is another pair; so is another kind of address."""
    top = 3 if half == "ip_version" else 64
    packets = frames(*[(1, 2)] * (top + 1), version=0)
    for bit in range(top):
        packets[half][bit] ^= np.array(1 << bit).astype(packets[half].dtype)

    assert gaps(packets) == [[0, 0]] * (top + 1)


def unmixed(y: int) -> int:
    """The one number that `mix` turns into `y`."""

    def unshifted(y: int, by: int) -> int:
        x = y
        for _ in range(64 // by + 1):
            x = y ^ x >> by
        return x

    x = unshifted(y, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & U64
    x = unshifted(x, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & U64
    return unshifted(x, 30)


def test_a_forged_pair_is_another_pair():
    """Addresses of IPv6 that were chosen so that the pair has the hash of one of IPv4."""

    def end(hi: int, lo: int) -> int:
        return mix(mix(hi) ^ lo)

    of_pair, net = 0x7461707761746300, 0x20010DB8_00000000
    a, b = V4 | 0x0A000001, V4 | 0x0A000002
    key = mix(mix(end(0, a) ^ 4 ^ of_pair) ^ end(0, b))
    # Any first address, and a second one whose hash is what is missing.
    low = end(net, 1)
    forged = unmixed(unmixed(key) ^ mix(low ^ 6 ^ of_pair)) ^ mix(net + 1)
    assert mix(mix(low ^ 6 ^ of_pair) ^ end(net + 1, forged)) == key
    packets = frames((0x0A000001, 0x0A000002), (0, 0), (0x0A000001, 0x0A000002))
    packets[1]["ip_version"] = 6
    packets[1]["src_hi"], packets[1]["src_lo"] = net, 1
    packets[1]["dst_hi"], packets[1]["dst_lo"] = net + 1, forged

    assert gaps(packets) == [[0, 0], [0, 0], [2, 2]]


def test_the_seed_decides_who_has_to_give_way():
    """So that nobody can fill one set on purpose."""
    packets = frames(*((k % 40, 0) for k in range(400)))
    told = []
    for seed in (0, 1):
        config = Config.model_validate(
            {"packet": {"pair_capacity": 64}, "flows": {"hash_seed": seed}}
        )
        view = VIEWS["packet"](np.float32, config)
        nothing = np.zeros(0, np.uint8)
        view.update(Traffic(nothing, packets, np.zeros(400, LINK), np.zeros(0, FLOW), 0))
        told.append(sorted(view._pairs["key"].ravel().tolist()))

    assert told[0] != told[1]


def test_arp_meets_by_its_stations():
    """As Wireshark shows it, by MAC addresses: the addresses it asks about say nothing."""
    packets = frames((1, 2), (3, 4))
    packets["ether_type"], packets["eth_src"], packets["eth_dst"] = 0x0806, 7, 9
    again = frames((1, 2))
    again["clock_ns"] = 3 * S

    assert gaps(np.concatenate([packets, again])) == [[0, 0], [1, 1], [0, 0]]


def test_a_frame_from_the_past_counts_as_of_the_house_time():
    """The house time stands still for it, so that it has no gap, and the next one no longer one."""
    packets = frames((1, 2), (1, 2), (1, 2))
    packets["ts_ns"][1] = 0
    packets["clock_ns"][1] = S

    assert gaps(packets) == [[0, 0], [0, 0], [2, 2]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([3, 40, 300]), st.sampled_from([1, 2, 8]))
def test_agrees_with_the_naive_table(seed, n_ends, n_sets):
    """Few and many addresses in small tables: the same gaps, the same number of evictions."""
    rng = np.random.default_rng(seed)
    packets = np.zeros(400, PACKET)
    for name in ("src_hi", "dst_hi"):
        packets[name] = rng.integers(0, 2, 400)
    for name in ("src_lo", "dst_lo", "eth_src", "eth_dst"):
        packets[name] = rng.integers(0, n_ends, 400)
    packets["ip_version"] = rng.choice([0, 4, 6], 400)
    packets["ether_type"] = rng.choice([0x0800, 0x0806], 400)
    packets["clock_ns"] = np.cumsum(rng.integers(0, 3, 400))
    made, counts = np.full((400, 2), np.nan), np.zeros(1, np.int64)
    naive = Pairs(n_sets, seed)

    pair_gaps(packets, empty_pairs(n_sets * N_WAYS), counts, made, np.uint64(seed))
    wanted = [naive.gaps(*ends_of(p), int(p["clock_ns"])) for p in packets]

    assert made.tolist() == [list(map(float, row)) for row in wanted]
    assert counts[0] == naive.evicted


def test_the_table_is_bounded_and_counts_what_it_forgets():
    """A flood of pairs holds no more memory, and each one that gave way is counted."""
    config = Config.model_validate({"packet": {"pair_capacity": 64}})
    view = VIEWS["packet"](np.float32, config)
    flood = frames(*((k, 0) for k in range(2000)))
    traffic = Traffic(np.zeros(0, np.uint8), flood, np.zeros(2000, LINK), np.zeros(0, FLOW), 0)

    view.update(traffic)

    told = {tally.name: tally.values.get(()) for tally in view.tallies()}
    held = np.count_nonzero(view._pairs["key"])
    assert view._pairs.size == 64
    assert told["address_pairs_evicted_total"] == 2000 - held


@pytest.mark.parametrize(("capacity", "size"), [(64, 64), (127, 64), (128, 128), (100_000, 65_536)])
def test_a_table_has_a_power_of_two_of_places(capacity, size):
    """At most as many as were asked for."""
    assert empty_pairs(capacity).size == size


def test_the_ends_of_time_are_no_trouble():
    """Clocks at both ends of int64: gaps stay finite and not negative."""
    packets = frames((1, 2), (1, 2), (2, 1))
    packets["clock_ns"] = [-(1 << 63) + 1, (1 << 63) - 1, (1 << 63) - 1]

    told = np.array(gaps(packets))

    assert np.isfinite(told).all()
    assert (told >= 0).all()
    assert told[1, 0] == pytest.approx(2**64 / 1e9)

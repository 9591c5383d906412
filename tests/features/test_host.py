"""The host view: who gets rows, when they come out, and what attacks look like in them."""

from itertools import count

import numpy as np
import pytest

from tapwatch.alerts import Policy
from tapwatch.config import AlertsConfig, FlowConfig, WindowsConfig
from tapwatch.features import VIEWS
from tapwatch.features.arithmetic import mix
from tapwatch.features.host.dns import name_factor
from tapwatch.features.host.layout import PAIR, TASK
from tapwatch.features.host.memory import is_new_pair
from tapwatch.tables import FLOW, FRAME, LINK, PACKET, EndReason, Traffic
from tests.alerts import made as alerts_made
from tests.features.host_craft import (
    assert_agrees,
    datagrams,
    dns_message,
    is_host,
    made,
    of_host,
    told,
)
from tests.flows.craft import ACK, ICMP, ICMPV6, RST, SYN, T0, UDP, S, packet, table_of

pytestmark = pytest.mark.kernel

GROUP_MAC = 0x0100_5E00_0001
ORDINARY = 1


def tcp(at_s, src, dst, flags, sport=1000, dport=80, **fields):
    """One segment."""
    return packet(at_s, src, dst, tcp_flags=flags, src_port=sport, dst_port=dport, **fields)


def visit(at_s, src, dst, sport, *, dport=443, up=400, down=30_000, answers=SYN | ACK):
    """A connection that is opened, used and left."""
    return [
        tcp(at_s, src, dst, SYN, sport, dport),
        tcp(at_s + 0.01, dst, src, answers, dport, sport),
        tcp(at_s + 0.02, src, dst, ACK, sport, dport, payload_bytes=up, wire_bytes=54 + up),
        *(
            tcp(at_s + 0.03, dst, src, ACK, dport, sport, payload_bytes=1400, wire_bytes=1454)
            for _ in range(down // 1400)
        ),
    ]


def everyday():
    """An ordinary host, number 1, for some seconds: names, pages, a ping."""
    queries, data = datagrams([dns_message(b"www.example.org"), dns_message(b"mail.example.org")])
    packets = [q | {"dst_lo": 0xFFFF_0000_0000 | 8} for q in queries]
    for k, dst in enumerate((20, 21, 22)):
        packets += visit(0.3 + 0.4 * k, ORDINARY, dst, 5000 + k)
    packets.append(packet(2.0, ORDINARY, 20, proto=ICMP, icmp_type=8))
    return packets, data


def beside_everyday(attack, attacker, data=b""):
    """Rows of the ordinary host and of another, in one window."""
    packets, mine = everyday()
    attack = [p | {"payload_start": p.get("payload_start", 0) + len(mine)} for p in attack]
    both = sorted(packets + attack, key=lambda p: p["ts_ns"])
    windows = WindowsConfig(host_s=60.0, hop_s=60.0)
    hosts = [of_host(number, both, mine + data, windows=windows) for number in (1, attacker)]
    assert hosts[0]["flows_out"] == 5
    return hosts


def test_a_port_scan_shows():
    """One peer, hundreds of ports, nothing but refusals."""
    scan = []
    for k in range(400):
        scan.append(tcp(k / 200, 66, 30, SYN, 40_000, 1 + k))
        if k % 2:
            scan.append(tcp(k / 200 + 0.001, 30, 66, RST | ACK, 1 + k, 40_000))

    ordinary, scanner = beside_everyday(scan, 66)

    assert scanner["peers_out"] == 1
    assert scanner["peer_ports"] == pytest.approx(400, rel=0.3)
    assert scanner["peer_port_pairs"] == pytest.approx(400, rel=0.3)
    assert scanner["ports_per_peer"] > 50 * ordinary["ports_per_peer"] > 0
    assert scanner["peer_port_entropy"] > 4
    assert ordinary["peer_port_entropy"] < 2
    assert (scanner["unanswered_out"], ordinary["unanswered_out"]) == (200, 0)
    assert scanner["unanswered_share_out"] == 0.5
    assert scanner["rst_received"] == 200
    assert scanner["packet_size_entropy"] == 0 < ordinary["packet_size_entropy"]


def test_a_sweep_shows_on_the_wire_and_in_arp():
    """Many peers, one port, no answers; and many neighbours asked for."""
    sweep = [tcp(k / 100, 66, 1000 + k, SYN, 40_000 + k, 445) for k in range(250)]
    asks = {"ether_type": 0x0806, "is_flow": 0, "arp_opcode": 1, "proto": 0}
    asks |= {"eth_dst": 0xFFFF_FFFF_FFFF, "tcp_flags": 0}
    sweep += [packet(k / 100, 66, 2000 + k, **asks) for k in range(200)]

    ordinary, sweeper = beside_everyday(sweep, 66)

    assert sweeper["peers_out"] == pytest.approx(250, rel=0.3)
    assert sweeper["peer_ports"] == 1
    assert sweeper["peer_port_entropy"] == 0
    assert sweeper["peers_per_service"] > 30 * ordinary["peers_per_service"]
    assert sweeper["unanswered_share_out"] == 1 > ordinary["unanswered_share_out"] == 0
    assert (sweeper["arp_requests"], ordinary["arp_requests"]) == (200, 0)
    assert sweeper["arp_targets"] == pytest.approx(200, rel=0.3)
    assert sweeper["new_peers_out"] == 250
    assert sweeper["group_share"] == pytest.approx(200 / 450)


def test_a_flood_from_spoofed_sources_shows_at_its_victim():
    """Hundreds of strangers that it answers into the void; memory holds few of them."""
    flood = [tcp(1 + k / 500, 10_000 + k, 30, SYN, 1024 + k, 80) for k in range(500)]
    packets, data = everyday()
    windows = WindowsConfig(hosts=64, host_s=60.0, hop_s=60.0)
    both = sorted(packets + flood, key=lambda p: p["ts_ns"])

    view, values, rows, _ = made(both, data, windows=windows)

    ours = told(view, values)
    [victim] = [r for r, who in zip(ours, rows, strict=True) if is_host(who, 30)]
    ordinary = [r for r, who in zip(ours, rows, strict=True) if is_host(who, 1)]
    assert victim["unanswered_in"] == victim["syn_received"] == 500
    assert victim["unanswered_share_in"] == 1
    assert victim["peers_in"] == pytest.approx(500, rel=0.3)
    assert victim["own_ports"] == 1
    assert victim["upload_share"] < 0.05
    assert {row["peers_in"] for row in ordinary} == {0}
    assert sum(row["flows_out"] for row in ordinary) == 5
    tallies = {t.name: t.values[()] for t in view.tallies()}
    assert tallies["host_evicted_total"] == np.count_nonzero(rows["end_reason"] == 5) > 400
    assert tallies["host_capacity"] == 64
    assert tallies["host_rows_total"] == len(rows)


def test_a_beacon_shows_over_windows():
    """A call every 10 s with a little jitter is regular; an ordinary host's pace is not."""
    rng = np.random.default_rng(0)
    packets = []
    for k in range(20):
        packets += visit(10 * k + rng.uniform(0, 0.3), 66, 30, 5000 + k, down=0)
    at_s = 0.0
    for k in range(40):
        at_s += rng.exponential(5)
        packets += visit(at_s, ORDINARY, 30, 6000 + k)
    packets.sort(key=lambda p: p["ts_ns"])

    view, values, rows, _ = made(packets)

    names = view.schema.names
    best = names.index("beacon_regularity")
    [caller, person] = [
        values[
            [
                is_host(row, number) and at > T0 + 100 * S
                for row, at in zip(rows, rows["order_ns"], strict=True)
            ]
        ]
        for number in (66, ORDINARY)
    ]
    assert caller[:, best].min() > 0.95
    assert person[:, best].max() < 0.6
    assert caller[:, names.index("beacon_period_s")] == pytest.approx(10, abs=0.1)
    assert caller[-1, names.index("beacon_starts")] == 20


def test_fewer_than_six_connections_have_no_rhythm():
    """Five gaps are the fewest that say something; equal starts have no mean gap."""
    packets = [tcp(k, 66, 30, SYN, 5000 + k) for k in range(6)]
    windows = WindowsConfig(host_s=60.0, hop_s=60.0)
    at_once = [tcp(0, 66, 30, SYN, 5000 + k) for k in range(9)]

    assert of_host(66, packets[:5], windows=windows)["beacon_regularity"] == 0
    assert of_host(66, packets, windows=windows)["beacon_regularity"] == 1
    assert of_host(66, packets, windows=windows)["beacon_period_s"] == 1
    assert of_host(66, at_once, windows=windows)["beacon_starts"] == 0


def test_an_exfiltration_shows():
    """Bytes leave that do not come back."""
    upload = [
        tcp(k / 500, 66, 30, ACK, 5000, 443, payload_bytes=1400, wire_bytes=1454)
        for k in range(600)
    ]

    ordinary, thief = beside_everyday(upload, 66)

    assert thief["payload_bytes_out"] == 600 * 1400
    assert thief["upload_share"] == 1
    assert ordinary["upload_share"] < 0.1
    assert thief["upload_download_ratio"] > 1000 * ordinary["upload_download_ratio"]
    assert thief["bytes_out"] > 100 * ordinary["bytes_out"]


def test_a_dns_tunnel_shows():
    """Long, random, ever other names under one domain; and names that do not exist."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
    names = [bytes(rng.choice(letters, 50)) + b".t.example" for _ in range(60)]
    queries, data = datagrams([dns_message(n) for n in names], src_port=9000)
    queries = [q | {"src_lo": 0xFFFF_0000_0000 | 66} for q in queries]
    answer = {"src_lo": 0xFFFF_0000_0000 | 2, "dst_lo": 0xFFFF_0000_0000 | 66}
    answer |= {"src_port": 53, "dst_port": 9000}
    head = dns_message(b"", flags=0x8183)
    answers = [q | answer | {"payload_start": len(data)} for q in queries]

    ordinary, tunnel = beside_everyday(queries + answers, 66, data + head + bytes(99))

    assert (tunnel["dns_queries"], ordinary["dns_queries"]) == (60, 2)
    assert tunnel["dns_names"] == pytest.approx(60, rel=0.3)
    assert ordinary["dns_names"] == 2
    assert tunnel["dns_name_entropy"] > 4
    assert 2 < ordinary["dns_name_entropy"] < 3.5
    assert tunnel["dns_name_bytes"] == 58 > 3 * ordinary["dns_name_bytes"]
    assert tunnel["dns_label_bytes"] > 4 * ordinary["dns_label_bytes"]
    assert (tunnel["dns_nxdomain_received"], ordinary["dns_nxdomain_received"]) == (60, 0)


def test_entropy_of_a_name_is_shannons():
    """aabb has 1 bit a character, abcd 2, and case does not matter."""
    packets, data = datagrams([dns_message(b"aA.bB"), dns_message(b"abcd")])

    row = of_host(1, packets, data)

    assert row["dns_name_entropy"] == 1.5
    assert (row["dns_name_bytes"], row["dns_label_bytes"]) == (4, 8 / 3)


def test_entropy_of_ports_counts_flows():
    """Three flows to one port and one to another: 0.811 bits; also of the own ports."""
    packets = [tcp(k, 1, 2, SYN, 5000 + k, 80 if k else 81) for k in range(4)]

    bits = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert of_host(1, packets)["peer_port_entropy"] == pytest.approx(bits)
    assert of_host(1, packets)["own_port_entropy"] == 0
    assert of_host(2, packets)["own_port_entropy"] == pytest.approx(bits)


def test_every_cut_of_a_query_is_safe():
    """A message cut anywhere reads nothing of its neighbour: the name is whole or it is not."""
    message = dns_message(b"abc.def")
    whole = 12 + 9
    for n_bytes in range(len(message) + 1):
        packets, _ = datagrams([message])
        packets[0]["payload_captured_bytes"] = n_bytes
        row = of_host(1, packets, message + message)
        assert row["dns_queries"] == (n_bytes >= 12), n_bytes
        assert row["dns_names"] == (n_bytes >= whole), n_bytes


@pytest.mark.parametrize("start", [-1, 1, 1 << 62, (1 << 63) - 1])
def test_a_payload_outside_the_batch_is_not_read(start):
    """Wherever a row claims that its payload lies."""
    message = dns_message(b"abc.def")
    packets, data = datagrams([message])
    packets[0]["payload_start"] = start

    assert of_host(1, packets, data)["dns_queries"] == 0


def _from_1_to_2(at_s, src, dst, **fields):
    return packet(at_s, src, dst, src_port=1, dst_port=2, **fields)


def test_only_unicast_addresses_get_rows():
    """Groups, the broadcast, the unspecified address and class E are nobody's."""
    v6 = {"ip_version": 6, "src_hi": 0xFE80 << 48}
    packets = [
        _from_1_to_2(0, 1, 224 << 24),
        _from_1_to_2(0, 2, 0xFFFF_FFFF),
        _from_1_to_2(0, 0, 3),
        _from_1_to_2(0, 240 << 24, 4),
        _from_1_to_2(0, 5, 255, eth_dst=GROUP_MAC),  # a directed broadcast
        _from_1_to_2(0, 6, 7, **v6, dst_hi=0xFF02 << 48),
        _from_1_to_2(0, 8, 0, **v6, dst_lo=0),
        _from_1_to_2(0, 9, 223 << 24, status=0),
        _from_1_to_2(0, 10, 11, is_flow=0, ether_type=0x0806, arp_opcode=2, proto=0),
        _from_1_to_2(0, 12, 13, is_flow=0, ether_type=0x0806, arp_opcode=9, proto=0),
        _from_1_to_2(0, 14, 15, is_flow=0),
    ]
    _, _, rows, _ = made(packets)

    assert {int(row["src_lo"]) & 0xFFFF_FFFF for row in rows} == {
        *(1, 2, 3, 4, 5, 6, 8, 9, 223 << 24, 10)
    }
    assert of_host(1, packets)["group_share"] == of_host(5, packets)["group_share"] == 1
    assert of_host(9, packets)["group_share"] == 0


def test_an_address_of_each_family_is_a_host_of_its_own():
    """IPv6 ::ffff:0:1 and IPv4 0.0.0.1 are written alike, and are not one host."""
    packets = [packet(0, 1, 2), packet(1, 1, 2, ip_version=6)]

    _, values, rows, _ = made(packets)

    assert rows["ip_version"].tolist() == [4, 6, 4, 6]
    assert values[:, :2].sum(axis=1).tolist() == [1, 1, 1, 1]


def test_icmp_errors_and_pings_are_counted_by_version():
    """Type 3 and 8 of ICMP, 1 and 128 of ICMPv6, and not the other way round."""
    kinds = [(ICMP, 3), (ICMP, 8), (ICMP, 1), (ICMP, 128)]
    kinds += [(ICMPV6, 1), (ICMPV6, 128), (ICMPV6, 3), (ICMPV6, 8), (UDP, 3)]
    packets = [packet(0, 1, 2, proto=proto, icmp_type=kind) for proto, kind in kinds]

    sender, receiver = of_host(1, packets), of_host(2, packets)

    assert (sender["unreachable_sent"], receiver["unreachable_received"]) == (2, 2)
    assert (sender["echo_requests_sent"], receiver["echo_requests_sent"]) == (2, 0)
    assert (sender["icmp_share"], sender["udp_share"]) == (8 / 9, 1 / 9)


def test_an_answer_must_be_to_this_windows_attempt():
    """A SYN-ACK or RST-ACK answers; data of a flow joined in the middle and a late one do not."""
    answered = [tcp(0, 1, 2, SYN), tcp(0.1, 2, 1, SYN | ACK, 80, 1000)]
    refused = [tcp(0, 1, 2, SYN), tcp(0.1, 2, 1, RST | ACK, 80, 1000)]
    ignored = [
        tcp(0, 1, 2, SYN),
        tcp(0.1, 2, 1, ACK, 80, 1000),
        tcp(0.2, 2, 1, RST | ACK, 80, 1000),
    ]
    too_late = [tcp(4.9, 1, 2, SYN), tcp(5.1, 2, 1, SYN | ACK, 80, 1000)]
    joined = [tcp(0, 1, 2, ACK), tcp(0.1, 2, 1, ACK, 80, 1000)]
    aborted = [tcp(0, 1, 2, ACK), tcp(0.1, 2, 1, RST | ACK, 80, 1000)]

    def unanswered(packets):
        view, values, rows, _ = made(packets)
        return [
            row["unanswered_out"]
            for row, who in zip(told(view, values), rows, strict=True)
            if is_host(who, 1)
        ]

    assert unanswered(answered) == unanswered(refused) == unanswered(joined) == [0]
    assert unanswered(aborted) == [0]  # never below
    assert unanswered(ignored) == [1]
    assert unanswered(too_late) == [1, 0]


def test_an_attempt_that_comes_late_is_answered_all_the_same():
    """Also where it opens the records of its hosts: they begin at the latest packet's time."""
    rest = [tcp(0.3, 2, 1, SYN | ACK, 80, 1000), tcp(0.4, 1, 2, ACK)]
    table = table_of([tcp(0.2, 8, 9, ACK), tcp(0.1, 1, 2, SYN), *rest])

    assert of_host(1, table)["unanswered_out"] == 0
    assert of_host(2, table)["unanswered_in"] == 0
    assert of_host(1, table)["syn_sent"] == 1
    assert_agrees(table)


def sharing_a_register(n: int) -> list[int]:
    """IPv4 addresses that a sketch with the seed 0 puts into one of its registers."""
    chosen, address, start = [], 0x0B00_0000, mix(np.uint64(0x686F_7374_7365_7473))
    while len(chosen) < n:
        hashed = mix(mix(start ^ np.uint64(0xFFFF_0000_0000 | address)) ^ np.uint64(4))
        if int(hashed) >> 32 & 127 == 0:
            chosen.append(address)
        address += 1
    return chosen


@pytest.mark.parametrize(("hash_seed", "is_fooled"), [(0, True), (20_061_105, False)])
def test_who_does_not_know_the_seed_cannot_hide_peers(hash_seed, is_fooled):
    """Addresses chosen to share a register of a sketch count as few only with the public seed."""
    peers = sharing_a_register(300)
    packets = [tcp(k / 1000, 1, 2, SYN) for k in range(len(peers))]
    table = table_of(packets)
    table["dst_lo"] = 0xFFFF_0000_0000 | np.array(peers, np.uint64)

    row = of_host(1, table, flows=FlowConfig(hash_seed=hash_seed))

    assert row["flows_out"] == 300
    assert (row["peers_out"] < 100) == is_fooled


@pytest.mark.parametrize("what", ["dport", "name"])
def test_the_seed_decides_what_falls_together_in_a_set(what):
    """Estimates of ports and of names differ by seed, so that none is known beforehand."""
    if what == "dport":
        packets, data = [tcp(k / 1000, 1, 2, SYN, dport=k + 1) for k in range(200)], b""
    else:
        messages = [dns_message(b"%03d.example" % k) for k in range(200)]
        packets, data = datagrams(messages)
        packets = [p | {"ts_ns": T0 + k} for k, p in enumerate(packets)]
    columns = ("peer_ports", "peer_port_entropy") if what == "dport" else ("dns_names",)
    seen = set()
    for seed in (0, 1, 2, 1 << 40):
        row = of_host(1, packets, data, flows=FlowConfig(hash_seed=seed))
        assert 130 < row[columns[0]] < 270
        seen.add(tuple(row[column] for column in columns))
    assert len(seen) > 1


def same_hash() -> tuple[bytes, bytes]:
    """Two names that are one to a view with the seed 0."""
    seen, factor, prime = {}, name_factor(0), (1 << 31) - 1
    for k in count():
        name, hashed = b"%08x" % (k * 2_654_435_761 % (1 << 32)), factor + 8
        for byte in name:
            hashed = (hashed * factor + byte) % prime
        if hashed in seen:
            return seen[hashed], name
        seen[hashed] = name


def test_who_does_not_know_the_seed_cannot_hide_names():
    """Names that have the same hash with the public seed have others with another."""
    packets, data = datagrams([dns_message(name) for name in same_hash()])

    assert of_host(1, packets, data)["dns_names"] == 1
    assert of_host(1, packets, data, flows=FlowConfig(hash_seed=77))["dns_names"] == 2


def test_a_flow_counts_its_peer_in_every_window_that_it_has_packets_in():
    """But it is begun, and its peer new, only in the first."""
    packets = [tcp(at_s, 1, 2, ACK) for at_s in (0, 1, 6, 7, 130, 131)]

    view, values, _, _ = made(packets)

    of_sender = told(view, values)[::2]
    assert [row["peers_out"] for row in of_sender] == [1, 1, 1]
    assert [row["flows_out"] for row in of_sender] == [1, 0, 1]  # idle for 60 s: another flow
    assert [row["new_peers_out"] for row in of_sender] == [1, 0, 0]


def test_a_flow_that_is_cut_is_begun_once():
    """The active timeout makes pieces of it; a later piece is no other connection."""
    packets = [tcp(5 * k, 1, 2, ACK) for k in range(60)]

    view, values, _, _ = made(packets)

    ours = told(view, values)
    assert sum(row["flows_out"] for row in ours) == sum(row["flows_in"] for row in ours) == 1
    assert max(row["beacon_starts"] for row in ours) == 0


def test_a_late_packet_of_an_old_flow_counts_its_peer():
    """How long its flow was silent cannot be told from its time, which the window does not hold."""
    late = tcp(0.5, 1, 2, ACK)
    packets = [tcp(0, 1, 2, ACK), tcp(6, 1, 3, ACK), tcp(7, 1, 3, ACK), late]

    view, values, rows, _ = made(packets)

    at_one = [is_host(row, 1) for row in rows]
    assert [row["peers_out"] for row in told(view, values[at_one])] == [1, 2]


def test_a_peer_is_a_stranger_again_after_the_horizon():
    """windows.horizon_s of silence; a channel's count of connections begins anew too."""
    packets = [tcp(at_s, 1, 2, SYN, 5000 + int(at_s)) for at_s in (0, 10, 20, 30.001)]
    windows = WindowsConfig(horizon_s=10.0)

    view, values, _, _ = made(packets, windows=windows)

    assert [row["new_peers_out"] for row in told(view, values)[::2]] == [1, 0, 0, 1]


def test_rows_come_out_in_order_and_say_why():
    """By window's end, then by address; those of the open window at the end of the source."""
    packets = [packet(0, 9, 2), packet(1, 3, 9), packet(6, 3, 2)]

    _, _, rows, _ = made(packets)

    assert (rows["order_ns"] - T0).tolist() == [5 * S] * 3 + [10 * S] * 2
    assert (rows["src_lo"] & np.uint64(0xFF)).tolist() == [2, 3, 9, 2, 3]
    assert rows["end_reason"].tolist() == [EndReason.ACTIVE] * 3 + [EndReason.EOF] * 2
    assert (rows["first_ts_ns"] - T0).tolist() == [0, S, 0, 6 * S, 6 * S]
    assert (rows["last_ts_ns"] - T0).tolist() == [0, S, S, 6 * S, 6 * S]
    assert rows["packets"].tolist() == [[0, 1], [1, 0], [1, 1], [0, 1], [1, 0]]
    assert set(rows["vlan"].tolist()) == {-1}


def test_a_row_names_the_interface_of_its_first_packet():
    """Of each host; what is evicted has one too."""
    packets = [
        packet(0, 1, 2, interface=3),
        packet(1, 1, 2, interface=4),
        packet(2, 7, 2, interface=5),
    ]

    _, _, rows, _ = made(packets)

    assert rows["interface"].tolist() == [3, 3, 5]


def test_who_was_met_longest_ago_is_forgotten_first():
    """Where the four places of a pair are taken."""
    pairs, tasks = np.zeros(4, PAIR), np.zeros(1, TASK)
    tasks["horizon_ns"] = 1000
    met = [(2, True), (4, True), (6, True), (8, True), (2, False), (10, True)]
    after = [(2, False), (6, False), (8, False), (10, False), (4, True)]

    for now_ns, (hashed, is_new) in enumerate(met + after, 1):
        assert is_new_pair(pairs, np.uint64(hashed), now_ns, tasks[0]) == is_new, now_ns


def test_silence_ends_a_window():
    """The source's promise is enough; no packet has to come."""
    view = VIEWS["host"](np.float64)
    none = np.zeros(0, LINK)
    first = np.zeros(1, PACKET)
    for name, value in packet(0, 1, 2).items():
        first[name] = value
    first["clock_ns"] = T0
    data, flows, frames = np.zeros(0, np.uint8), np.zeros(0, FLOW), np.zeros(0, FRAME)

    def rows(packets, links, until_ns):
        return len(view.update(Traffic(data, packets, links, flows, until_ns, frames)))

    assert rows(first, np.zeros(1, LINK), T0) == 0
    assert rows(first[:0], none, T0 + 5 * S - 1) == 0
    assert rows(first[:0], none, T0 + 5 * S) == 2
    assert rows(first[:0], none, T0 + 500 * S) == 0
    # A packet older than the promise counts in the window that is open.
    assert rows(first, np.zeros(1, LINK), T0 + 500 * S) == 0
    assert view.close().rows["order_ns"].tolist() == [T0 + 505 * S] * 2
    assert {t.name: t.values[()] for t in view.tallies()}["host_late_packets_total"] == 1


def test_a_packet_from_long_ago_does_not_make_a_host_old():
    """It counts in the open window, and no host is active for longer than that lasts."""
    packets = [packet(0, 1, 2), packet(-900, 1, 2), packet(1, 1, 2)]

    assert of_host(1, packets)["active_s"] == 5
    assert of_host(1, packets)["packets_out"] == 3


@pytest.mark.parametrize("jump_ns", [10**15, (1 << 63) - 1 - T0, -T0 - (1 << 62), -T0 - (1 << 63)])
def test_a_jump_in_time_makes_no_empty_windows(jump_ns):
    """However far: the window before it, and the one behind it."""
    packets = [packet(0, 1, 2), packet(0, 1, 2) | {"ts_ns": T0 + jump_ns}]
    for windows in (WindowsConfig(), WindowsConfig(host_s=0.3, hop_s=0.1)):
        _, values, rows, _ = made(packets, windows=windows)
        assert len(rows) == (2 if jump_ns < 0 else 4) * round(windows.host_s / windows.hop_s)
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_a_sliding_window_holds_every_packet_once_a_hop():
    """Windows of 3 hops: each packet is in three rows of each of its hosts."""
    windows = WindowsConfig(host_s=6.0, hop_s=2.0)
    packets = [packet(at_s, 1, 2) for at_s in (0, 1, 2.5, 9)]

    _, values, rows, _ = made(packets, windows=windows)

    ends = ((rows["order_ns"] - T0) // S).tolist()
    assert ends[::2] == [2, 4, 6, 8, 10, 12, 14]
    assert values[::2, 0].tolist() == [2, 3, 3, 1, 1, 1, 1]


def test_a_window_of_two_hops_is_that_of_one_long_hop():
    """Sums, extremes, sets, histograms and rhythm merge exactly; only slices are of the hop."""
    packets, data = everyday()
    for k in range(300):
        packets.append(tcp(k / 80, 66 + k % 3, 30, SYN, 40_000 + k, 1 + k))
    packets.sort(key=lambda p: p["ts_ns"])

    whole = made(packets, data, windows=WindowsConfig(host_s=4.0, hop_s=4.0))
    halves = made(packets, data, windows=WindowsConfig(host_s=4.0, hop_s=2.0))

    is_whole = halves[2]["order_ns"] == T0 + 4 * S
    assert (
        whole[2][["src_lo", "first_ts_ns"]] == halves[2][is_whole][["src_lo", "first_ts_ns"]]
    ).all()
    same = [k for k, name in enumerate(whole[0].schema.names) if name != "busy_share"]
    assert len(same) == 54
    assert (whole[1][:, same] == halves[1][is_whole][:, same]).all()


def test_the_sender_does_not_make_room_for_the_receiver_of_its_own_packet():
    """Also where it lies just where the hand comes by, and all others were seen lately."""
    pairs = [(1, 2), (3, 4), (5, 1), (2, 1), (4, 3), (5, 2)]
    packets = [packet(k / 100, src, dst) for k, (src, dst) in enumerate([*pairs, (1, 99)])]

    rows = assert_agrees(packets, windows=WindowsConfig(hosts=64, host_s=12.0, hop_s=1.0))

    gone = rows[rows["end_reason"] == EndReason.EVICTED]
    assert [is_host(row, 2) for row in gone] == [True]


def test_hosts_that_go_on_stay_in_a_full_table():
    """The hand spares who was seen again: strangers push out each other."""
    windows = WindowsConfig(hosts=64)
    packets = []
    for k in range(500):
        packets += [packet(k / 200, 1, 2), packet(k / 200, 1000 + k, 2)]

    _, values, rows, _ = made(packets, windows=windows)

    assert [values[[is_host(row, n) for row in rows]].shape[0] for n in (1, 2)] == [1, 1]
    assert values[:, 0].sum() == values[:, 1].sum() == 1000


def test_a_host_that_comes_back_at_once_counts_its_flows_anew():
    """Evicted and seen again within the same nanosecond, by a flow that is known."""
    strangers = [tcp(0, 1000 + k, 2000 + k, ACK) for k in range(64)]
    packets = [tcp(0, 1, 2, ACK), *strangers, tcp(0, 1, 2, ACK)]

    rows = assert_agrees(packets, windows=WindowsConfig(hosts=64))

    assert [is_host(row, 1) for row in rows].count(True) == 2


def test_an_empty_source_has_no_rows():
    """Nothing in, nothing out, and every count there from the start."""
    view = VIEWS["host"]()

    assert len(view.close()) == len(view.finish(np.zeros(0, FLOW))) == 0
    assert view.close().values.dtype == np.float32
    assert {t.values[()] for t in view.tallies() if t.name != "host_capacity"} == {0}


def test_an_alert_about_a_host_names_no_protocol_and_is_one_a_window():
    """Overlapping windows hold the same packets, and are different rows."""
    policy = Policy(AlertsConfig(hold_down_s=0.0))
    rows = [alerts_made.row(order_ns=at, proto=0, is_flow=0) for at in (1, 2)]
    scores = alerts_made.scores(rows, view="host")

    first, second = (policy.judge(scores, k, alerts_made.names, ["eth0"]) for k in range(2))

    assert (first.entity, first.proto, first.flow_id) == ("10.0.0.1", "", 0)
    assert first.alert_id != second.alert_id


@pytest.mark.parametrize("windows", [{"host_s": 5.0, "hop_s": 2.0}, {"host_s": 1.0, "hop_s": 5.0}])
def test_a_window_is_made_of_whole_hops(windows):
    """The message names both keys; 13 hops are more than the table is cut into."""
    with pytest.raises(ValueError, match=r"windows.host_s = .*: want 1 to 12 times windows.hop_s"):
        WindowsConfig(**windows)
    with pytest.raises(ValueError, match="want 1 to 12"):
        WindowsConfig(host_s=13.0, hop_s=1.0)
    assert WindowsConfig(host_s=12.0, hop_s=1.0).hosts == 65_536

"""Addresses, protocols and Community ID, against tshark's column for every usable frame."""

from ipaddress import ip_address

import numpy as np
import pytest

from tapwatch.flows import community_id, describe
from tapwatch.flows.protocols import COUNTER_TYPE
from tapwatch.tables import FLOW, ROW
from tests.shared_data import shared_oracle

COLUMNS = ("ip_src", "ip_dst", "ipv6_src", "ipv6_dst", "ip_proto", "tcp_srcport", "tcp_dstport",
           "udp_srcport", "udp_dstport", "sctp_srcport", "sctp_dstport", "icmp_type", "icmp_code",
           "icmpv6_type", "icmpv6_code", "communityid", "frame_protocols")  # fmt: skip


def test_describes_each_kind_of_row():
    """IPv4 dotted, IPv6 shortened, MAC with colons; protocols by name or number."""
    rows = np.zeros(4, ROW)
    rows["src_hi"] = [0, 0x2001_0DB8 << 32, 0, 0]
    rows["src_lo"] = [0xFFFF_C000_0201, 1, 0x02_00_5E_10_00_01, 0xFFFF_C000_0201]
    rows["ip_version"] = [4, 6, 0, 4]
    rows["proto"] = [6, 99, 0, 0]
    rows["is_flow"] = [1, 1, 0, 0]

    names = describe(rows)

    assert names.src == ["192.0.2.1", "2001:db8::1", "02:00:5e:10:00:01", "192.0.2.1"]
    assert names.dst == ["0.0.0.0", "::", "00:00:00:00:00:00", "0.0.0.0"]
    assert names.proto == ["TCP", "99", "0", "ARP"]
    assert [bool(word) for word in names.community_id] == [True, True, False, False]


def test_protocols_are_named_as_iana_writes_them():
    """All that the decoder reads, and IP in IP; the others by number."""
    names = {1: "ICMP", 2: "IGMP", 4: "IPv4", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6",
             47: "GRE", 50: "ESP", 51: "AH", 58: "IPv6-ICMP", 59: "IPv6-NoNxt", 132: "SCTP",
             136: "UDPLite"}  # fmt: skip
    rows = np.zeros(256, FLOW)
    rows["ip_version"], rows["proto"] = 4, range(256)

    said = describe(rows).proto

    assert said == [names.get(number, str(number)) for number in range(256)]


def test_describes_nothing():
    """No rows, no names."""
    assert describe(np.zeros(0, FLOW)).src == []


def test_both_directions_have_one_community_id():
    """TCP by sorted endpoints; the same ends, equal addresses included."""
    a, b = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed

    assert community_id(a, b, 6, 80, 40_000) == community_id(b, a, 6, 40_000, 80)
    assert community_id(a, a, 6, 80, 40_000) == community_id(a, a, 6, 40_000, 80)
    assert len(community_id(a, b, 6, 80, 40_000)) == len("1:LQU9qZlK+B5F3KDmev6m5PMibrg=")
    assert community_id(a, b, 1, 3, 3) != community_id(b, a, 1, 3, 3)


def usable_frames():
    """Distinct (src, dst, proto, src_port, dst_port, community id) of frames without tunnels."""
    import pyarrow.parquet as pq

    table = pq.read_table(shared_oracle() / "tshark-4.0.17.parquet", columns=list(COLUMNS))
    protos = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}
    found = set()
    for f in zip(*(table[name].to_pylist() for name in COLUMNS), strict=True):
        row = dict(zip(COLUMNS, f, strict=True))
        stack = (row["frame_protocols"] or "").split(":")
        n_ip = stack.count("ip") + stack.count("ipv6")
        kinds = [word for word in stack if word in protos]
        version = "ip" if row["ip_src"] else "ipv6"
        if not row["communityid"] or n_ip != 1 or not kinds or stack.index(kinds[0]) == 0:
            continue
        kind = kinds[0]
        first, second = ("type", "code") if kind.startswith("icmp") else ("srcport", "dstport")
        one, two = row[f"{kind}_{first}"], row[f"{kind}_{second}"]
        if one is None or two is None:
            continue
        one, two = int(one), int(two)
        if kind.startswith("icmp"):
            counter = int(COUNTER_TYPE[int(kind == "icmpv6"), one])
            two = counter if counter >= 0 else two
        src, dst = row[f"{version}_src"], row[f"{version}_dst"]
        found.add((src, dst, protos[kind], one, two, row["communityid"]))
    return sorted(found)


def test_community_ids_are_those_of_tshark():
    """Every distinct key of TCP, UDP, SCTP, ICMP and ICMPv6 that the oracle's columns give.

    All but 21 of 50,785: there tshark gave up on the transport header (cut off, lying length), or
    found 802.11 addresses inside the datagram, and hashed something else.
    """
    frames = usable_frames()

    wrong = [
        frame
        for frame in frames
        if community_id(ip_address(frame[0]).packed, ip_address(frame[1]).packed, *frame[2:5])
        != frame[5]
    ]

    assert len(frames) > 50_000
    assert len(wrong) <= 21


@pytest.mark.parametrize("proto", [6, 17, 132, 1, 58])
def test_the_oracle_has_every_protocol(proto):
    """The comparison above covers all protocols whose ports are hashed."""
    assert any(frame[2] == proto for frame in usable_frames())


def test_many_rows_are_named_as_each_of_them_alone():
    """Both ways in, with and without ports, ICMP that has an answer and that has none, ARP, MAC."""
    random = np.random.default_rng(5)
    rows = np.zeros(4000, ROW)
    for end in ("src", "dst"):
        rows[f"{end}_hi"] = random.choice(
            np.array([0, 1 << 63, 0x2001_0DB8 << 32], np.uint64), 4000
        )
        rows[f"{end}_lo"] = random.choice(
            np.array([1, 0xFFFF_C000_0201, 0xFFFF_C000_0202, (1 << 64) - 1], np.uint64), 4000
        )
        rows[f"{end}_port"] = random.choice([0, 3, 8, 128, 135, 443, 65_535], 4000)
    rows["proto"] = random.choice([0, 1, 6, 17, 47, 58, 132, 255], 4000)
    rows["ip_version"] = random.choice([0, 4, 6], 4000)
    rows["is_flow"] = random.integers(0, 2, 4000)

    many = describe(rows)
    alone = [describe(rows[k : k + 1]) for k in range(4000)]

    for field in ("src", "dst", "proto", "community_id"):
        assert getattr(many, field) == [getattr(one, field)[0] for one in alone]
    assert len(set(many.community_id)) > 500

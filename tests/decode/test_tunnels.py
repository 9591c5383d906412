"""Tunnels: what is inside, which stay closed and why, and how inner flows are told apart."""

import dataclasses
import itertools
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.config import DecodeConfig, FlowConfig
from tapwatch.decode import Decoder
from tapwatch.decode.status import DecodeStatus, Tunnel, Unopened
from tapwatch.flows import FlowTable
from tests.decode import naive_tunnels
from tests.decode.made import BAD, GOOD, Frame, batch, decoded, ethernet, gre, ipv4, ipv6
from tests.decode.made_tunnels import (
    CLOSED,
    INNER,
    INNER6,
    INNER6_FIELDS,
    INNER_FIELDS,
    KEY,
    NESTED,
    OPENED,
    ORIGIN,
    PPP_IPV4,
    SEQUENCE,
    SNAP_IPV4,
    WLAN_HEADER,
    authentication,
    datagram,
    geneve,
    gtp,
    inner_ethernet,
    l2tp,
    over_gre,
    over_udp,
    vxlan,
)

pytestmark = pytest.mark.kernel

ALL = {**OPENED, "nested": NESTED, **{name: frame for name, (frame, _) in CLOSED.items()}}
ANY_DEPTH = DecodeConfig(tunnel_depth=8)


def counted(decoder: Decoder) -> dict[str, int]:
    """Tunnels opened and left closed, as the twin counts them."""
    tallies = {tally.name: tally.values for tally in decoder.tallies()}
    named = {
        "opened": tallies["decode_tunnel_packets_total"],
        "unopened": tallies["decode_tunnels_unopened_total"],
    }
    return {
        f"{what} {label.upper()}": int(count)
        for what, values in named.items()
        for (label,), count in values.items()
        if count
    }


def assert_as_twin(frames: list[Frame], depth: int = 8) -> None:
    """All rows and all counts agree; the first row that does not is shown field by field."""
    decoder, counts = Decoder(DecodeConfig(tunnel_depth=depth)), Counter()
    for frame, ours in zip(frames, decoded(frames, decoder=decoder), strict=True):
        theirs = naive_tunnels.decode(frame, depth, counts)
        theirs |= {name: ours[name] for name in ("ts_ns", "clock_ns", "number")}
        theirs |= {"interface": 3, "direction": 1}
        differing = {k: (ours[k], theirs[k]) for k in theirs if ours[k] != theirs[k]}
        assert not differing, f"{frame}: (kernel, twin) {differing}"
    assert counted(decoder) == dict(+counts)


def opened(frame: Frame, depth: int = 8) -> dict[str, int]:
    """The row of one frame."""
    [row] = decoded([frame], decoder=Decoder(DecodeConfig(tunnel_depth=depth)))
    return row


@pytest.mark.parametrize("name", OPENED)
def test_the_inner_packet_becomes_the_row(name):
    """Every kind of tunnel, in every form that its flags allow."""
    row = opened(OPENED[name])

    assert (row["status"], row["tunnel_id"] != 0) == ("OK", True)
    if name.endswith("arp"):
        assert (row["ether_type"], row["arp_opcode"], row["is_flow"]) == (0x0806, 2, 0)
    elif name == "teredo_bubble":
        assert (row["ip_version"], row["proto"], row["payload_bytes"]) == (6, 59, 0)
    elif name == "padded_4in4":
        assert (row["proto"], row["udp_bytes"], row["payload_bytes"]) == (17, 8, 0)
    else:
        inner = INNER_FIELDS if row["ip_version"] == 4 else INNER6_FIELDS
        assert {field: row[field] for field in inner} == inner
        payload = OPENED[name].data[row["payload_start"] :][: row["payload_captured_bytes"]]
        assert payload == (b"inner" if row["ip_version"] == 4 else b"inner 6")


def test_every_kind_of_tunnel_is_among_them():
    """No kind is opened by no frame above."""
    decoder = Decoder(ANY_DEPTH)
    decoded([*OPENED.values(), NESTED], decoder=decoder)

    assert {f"opened {kind.name}" for kind in Tunnel} <= set(counted(decoder))


@pytest.mark.parametrize("name", CLOSED)
def test_what_cannot_be_opened_stays_as_it_is(name):
    """The row is the outer one to the last field, OK, and the reason is counted."""
    frame, reason = CLOSED[name]
    decoder = Decoder(ANY_DEPTH)

    [row] = decoded([frame], decoder=decoder)

    assert [row] == decoded([frame])
    assert (row["status"], row["tunnel_id"]) == ("OK", 0)
    assert counted(decoder) == ({f"unopened {reason}": 1} if reason else {})


@pytest.mark.parametrize("name", [*OPENED, "nested"])
def test_no_tunnel_is_opened_unasked(name):
    """By default a tunnel is one flow by its outer header, and nothing is counted."""
    decoder = Decoder()
    [row] = decoded([ALL[name]], decoder=decoder)

    assert (row["tunnel_id"], row["status"]) == (0, "OK")
    assert row["proto"] in (4, 17, 41, 47)
    assert counted(decoder) == {}


def test_depth_is_how_many_tunnels_are_opened():
    """Of three tunnels one in another, as many as were asked for; then the next is left closed."""
    protos = [opened(NESTED, depth)["proto"] for depth in range(5)]
    decoders = [Decoder(DecodeConfig(tunnel_depth=depth)) for depth in range(5)]
    for decoder in decoders:
        decoded([NESTED], decoder=decoder)

    assert protos == [17, 47, 4, 1, 1]
    assert [counted(d).get("unopened DEPTH", 0) for d in decoders] == [0, 1, 1, 0, 0]
    assert counted(decoders[4]) == {"opened VXLAN": 1, "opened GRE": 1, "opened IPV4": 1}


def test_nine_tunnels_are_one_too_many():
    """The deepest setting still ends."""
    packet = INNER
    for _ in range(9):
        packet = ipv4(4, packet)
    decoder = Decoder(ANY_DEPTH)

    [row] = decoded([Frame(ethernet(0x0800, packet))], decoder=decoder)

    assert (row["proto"], row["ip_bytes"]) == (4, 20 + len(INNER))
    assert counted(decoder) == {"opened IPV4": 8, "unopened DEPTH": 1}


def test_what_belongs_to_the_frame_stays():
    """Times, lengths, number and the outermost tag are the frame's; MAC addresses the innermost."""
    tagged = Frame(ethernet(0x0800, ipv4(4, INNER), bytes.fromhex("81 00 e0 64")))
    [before] = decoded([tagged])
    after = opened(tagged)
    inside = opened(OPENED["vxlan_tagged"])

    kept = ("ts_ns", "clock_ns", "number", "wire_bytes", "captured_bytes", "interface", "direction")
    kept += ("vlan_tci", "n_vlan_tags", "eth_src", "eth_dst")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (after["ether_type"], after["ip_bytes"]) == (0x0800, len(INNER))
    assert (inside["vlan_tci"], inside["n_vlan_tags"]) == (0xE064, 2)
    assert (inside["eth_dst"], inside["eth_src"]) == (0x02C1C2C3C4C5, 0x02E1E2E3E4E5)


def test_options_of_the_inner_segment_are_those_counted():
    """Protocols and option faults are of the row that stands."""
    bad_list = ipv4(6, bytes.fromhex("0001 0002 00000003 00000004 6010 0005 0000 0000 02 01 00 00"))
    decoder = Decoder(ANY_DEPTH)
    decoder.decode(batch([Frame(ethernet(0x0800, ipv4(4, bad_list))), OPENED["gre_arp"]]))

    tallies = {tally.name: tally.values for tally in decoder.tallies()}
    protocols = {k: v for (k,), v in tallies["decode_protocol_packets_total"].items() if v}
    assert protocols == {"tcp": 1, "arp": 1}
    assert tallies["decode_tcp_option_faults_total"] == {("cut",): 0, ("malformed",): 1}
    assert decoder.counts["ok"] == 2


@pytest.mark.parametrize("name", ALL)
def test_agrees_with_the_twin_on_every_cut(name):
    """All lengths, once snapped by the capture and once short on the wire."""
    frame = ALL[name]
    lengths = range(len(frame.data) + 1)

    assert_as_twin([f(n) for n in lengths for f in (frame.snapped, frame.cut)])


def around(exact: int, most: int) -> set[int]:
    """Hostile values of a length field: nothing, little, exactly what fits, one more, the most."""
    return {0, 1, 2, 3, 7, 8, 9, exact - 1, exact, exact + 1, most} & set(range(most + 1))


def test_agrees_on_hostile_lengths_of_gtp_u():
    """Length x flags x extension length x what follows x what was captured."""
    frames = [
        over_udp(2152, gtp(b"\1\2\3" + chain + INNER, flags=flags, length=length))
        for flags in (0x30, 0x31, 0x34, 0x36, 0x3F, 0x10, 0xF4)
        for length in around(3 + 5 + len(INNER), 0xFFFF)
        for chain in (b"\x85\0\0\0\0", b"\x85\1\0\0\0", b"\x85\2\0\0\0\0\0\0\0", b"\x85\xff", b"\0")
    ]

    assert_as_twin([f.snapped(n) for f in frames for n in (49, 50, 53, 54, 55, 57, 58, 78, 500)])


def test_agrees_on_chains_of_gtp_u_extensions_around_the_bound():
    """Fifteen to eighteen headers, the last of which names another or none."""
    frames = [
        over_udp(2152, gtp(b"\0\0\0" + n * b"\x85\x01\0\0" + b"\x85\x01\0\0" + last + INNER,
                           flags=0x34))
        for n in range(13, 18)
        for last in (b"\0", b"\x85")
    ]  # fmt: skip

    assert_as_twin(frames)


def test_agrees_on_hostile_lengths_of_geneve():
    """Options length x version x control bit x what is carried x what was captured."""
    frames = [
        over_udp(6081, geneve(carried, bytes(8) + INNER, first=first, flags=flags))
        for first in (0, 1, 2, 3, 13, 14, 15, 0x3E, 0x3F, 0x40, 0x42, 0xC2)
        for flags in (0, 0x80, 0x7F)
        for carried in (0, 0x05FF, 0x0600, 0x0800, 0x86DD, 0x6558, 0x880B, 0xFFFF)
    ]

    assert_as_twin([f.snapped(n) for f in frames for n in (49, 50, 57, 58, 78, 98, 500)])


def test_agrees_on_hostile_lengths_of_teredo():
    """Identifier and authentication lengths x origin or not x what was captured."""
    rest = (INNER6, ORIGIN + INNER6, ORIGIN[:7], ORIGIN + ORIGIN + INNER6, b"\0\1" + INNER6, b"")
    frames = [
        over_udp(3544, struct.pack("!HBB", 1, n_id, n_value) + authentication()[4:] + after)
        for n_id in (0, 1, 2, 8, 46, 55, 56, 254, 255)
        for n_value in (0, 1, 2, 8, 255)
        for after in rest
    ] + [over_udp(3544, after) for after in rest]

    assert_as_twin([f.snapped(n) for f in frames for n in (43, 44, 54, 55, 57, 65, 105, 500)])


def test_agrees_on_hostile_lengths_of_l2tp():
    """Every flag x length x offset size x what was captured."""
    fields = bytes.fromhex("0101 0202 0303 0404")
    frames = [
        over_udp(1701, l2tp(bits << 8 | 2, struct.pack("!H", length) + fields + offset + INNER))
        for bits in (*range(0, 0x80, 2), 0xC8)
        for length in (0, 9, 20, len(INNER) + 11, len(INNER) + 12, len(INNER) + 13, 0xFFFF)
        for offset in (b"\0\0", b"\0\3", b"\0\xff", b"\xff\xff")
    ] + [
        over_udp(1701, l2tp(0x4200 | version, struct.pack("!H4xH", length, offset) + bytes(2)
                            + PPP_IPV4 + INNER))
        for version in range(16)
        for length in around(14 + len(INNER), 0xFFFF)
        for offset in around(4, 0xFFFF)
    ]  # fmt: skip

    assert_as_twin([f.snapped(n) for f in frames for n in (47, 48, 50, 52, 58, 78, 500)])


def test_agrees_on_hostile_lengths_of_pptp():
    """Payload length x flags x what is carried x what was captured."""
    frames = [
        over_gre(gre(flags, carried, PPP_IPV4 + INNER, struct.pack("!HH", n, 5) + SEQUENCE))
        for n in around(4 + len(INNER), 0xFFFF)
        for flags in (0x0001, 0x1001, 0x2001, 0x3001, 0x3081, 0xF001)
        for carried in (0x0800, 0x880B)
    ]

    assert_as_twin([f.snapped(n) for f in frames for n in (41, 42, 46, 50, 54, 74, 500)])


def test_agrees_on_every_erspan_header():
    """Version x type III flags x with or without sequence number x what was captured."""
    frames = [
        over_gre(gre(flags, carried, bytes([first]) + bytes(9) + low + bytes(8)
                     + inner_ethernet(0x0800, INNER), SEQUENCE if flags & 0x1000 else b""))
        for carried in (0x88BE, 0x22EB)
        for flags in (0, 0x1000)
        for first in (0x00, 0x10, 0x1F, 0x20, 0x30, 0xF0)
        for low in (b"\0\0", b"\0\1", b"\x04\0", b"\x40\1", b"\x83\xff", b"\x7c\0")
    ]  # fmt: skip

    assert_as_twin([f.snapped(n) for f in frames for n in (45, 46, 49, 50, 57, 65, 84, 500)])


def test_agrees_on_every_vxlan_flag_and_length_of_its_datagram():
    """Flags x UDP length x IP length x what was captured."""
    payload = vxlan(inner_ethernet(0x0800, INNER))
    frames = [
        Frame(ethernet(0x0800, ipv4(17, datagram(4789, bytes([flags]) + payload[1:], length=length),
                                    total=total)))
        for flags in range(0, 256, 4)
        for length in around(8 + len(payload), 0xFFFF)
        for total in (0, 35, 36, 28 + len(payload) - 1, 28 + len(payload))
    ]  # fmt: skip

    assert_as_twin([f.snapped(n) for f in frames for n in (49, 50, 64, 84, 500)])


def test_agrees_on_everything_that_gre_and_geneve_may_carry():
    """Every EtherType, of which access points have their own for 802.11, on two kinds of bytes."""
    wireless = WLAN_HEADER + SNAP_IPV4 + INNER
    numbers = [*range(0x0000, 0x0700, 7), *range(0x8100, 0x9010, 3), *range(0x8200, 0x8400, 8)]
    numbers += [0x0800, 0x0806, 0x86DD, 0x6558, 0x880B, 0x9000, 0xFFFF]

    assert_as_twin(
        [over_gre(gre(0, n, inside)) for n in numbers for inside in (INNER, wireless)]
        + [over_udp(6081, geneve(n, inside)) for n in numbers for inside in (INNER, wireless)]
    )


def test_agrees_on_every_port_pair_of_tunnels():
    """The destination's port decides, the source's only where that says nothing."""
    ports = (1701, 2152, 3544, 4789, 6081, 8472, 53)
    payloads = (vxlan(inner_ethernet(0x0800, INNER)), gtp(INNER), INNER6, geneve(0x0800, INNER))
    frames = [
        over_udp(dst, payload, src)
        for dst, src in itertools.product(ports, repeat=2)
        for payload in payloads
    ]

    assert_as_twin([*frames, *(over_udp(p + d, INNER6) for p in ports for d in (-1, 1))])


@pytest.mark.parametrize("name", OPENED)
def test_fragments_stay_closed(name):
    """Neither the first fragment of a tunnel's packet is opened nor a later one."""
    frame = OPENED[name]
    if frame.data[12:14] != b"\x08\x00":
        frame = OPENED["vxlan"]
    for field, reason in ((0x2000, "FRAGMENT"), (0x2001, ""), (0x0001, "")):
        data = bytearray(frame.data)
        data[20:22] = field.to_bytes(2, "big")
        part = dataclasses.replace(frame, data=bytes(data))
        decoder = Decoder(ANY_DEPTH)

        assert decoded([part], decoder=decoder) == decoded([part])
        if name != "authenticated_4in4":
            assert counted(decoder) == ({f"unopened {reason}": 1} if reason else {})


def test_an_inner_fragment_is_a_packet_like_any_other():
    """Only the outer packet must be whole."""
    row = opened(Frame(ethernet(0x0800, ipv4(4, ipv4(17, bytes(16), fragment=0x2001)))))

    assert (row["is_fragment"], row["frag_offset_bytes"], row["proto"]) == (1, 8, 17)
    assert row["tunnel_id"] != 0


def swapped(frame: Frame) -> Frame:
    """The same tunnel the other way: addresses of the outer IPv4 header exchanged."""
    data = bytearray(frame.data)
    data[26:30], data[30:34] = data[30:34], data[26:30]
    return dataclasses.replace(frame, data=bytes(data))


@pytest.mark.parametrize(
    "name", [n for n in OPENED if OPENED[n].data[12:14] == b"\x08\x00" and n != "gre_vlan"]
)
def test_both_directions_are_one_tunnel(name):
    """Whoever of the two ends sends, the tunnel has the same number."""
    frame = OPENED[name]

    assert opened(frame)["tunnel_id"] == opened(swapped(frame))["tunnel_id"]


def test_tunnels_are_told_apart():
    """By network identifier or key, else by the pair of ends; by kind; by what is around them."""
    macs = inner_ethernet(0x0800, INNER)
    others = ipv4(4, INNER, src=34), ipv4(4, INNER, src=33)
    frames = [
        over_udp(4789, vxlan(macs, 1)),
        over_udp(4789, vxlan(macs, 2)),
        over_udp(6081, geneve(0x6558, macs, vni=1)),
        over_gre(gre(0x2000, 0x0800, INNER, bytes(3) + b"\1")),
        over_gre(gre(0x2000, 0x0800, INNER, bytes(3) + b"\2")),
        over_gre(gre(0, 0x0800, INNER)),
        *(Frame(ethernet(0x0800, packet)) for packet in others),
        Frame(ethernet(0x0800, ipv4(4, ipv4(4, INNER)))),
        over_udp(4789, vxlan(inner_ethernet(0x0800, others[0]), 1)),
        over_udp(4789, vxlan(inner_ethernet(0x0800, others[0]), 2)),
        Frame(ethernet(0x86DD, ipv6(4, INNER))),
    ]
    ids = [opened(frame)["tunnel_id"] for frame in frames]

    assert len(set(ids)) == len(frames)
    # The ends of a network with an identifier may change: it stays the same network.
    moved = Frame(ethernet(0x0800, ipv4(17, datagram(4789, vxlan(macs, 1)), src=99)))
    assert opened(moved)["tunnel_id"] == ids[0]


def test_a_gre_key_is_found_behind_a_checksum():
    """The key's place depends on the flags before it; the same key is the same tunnel."""
    plain = over_gre(gre(0x2000, 0x0800, INNER, KEY))
    behind = over_gre(gre(0xA000, 0x0800, INNER, bytes.fromhex("ffff 0000") + KEY))

    assert opened(plain)["tunnel_id"] == opened(behind)["tunnel_id"]


def test_the_last_byte_of_an_nvgre_key_tells_no_network():
    """It is a hash that each sender makes; with a checksum or sequence it is no NVGRE."""
    macs = inner_ethernet(0x0800, INNER)

    def tunnel(flags: int, key: str) -> int:
        between = {0x2000: b"", 0xA000: bytes(4), 0x3000: b""}[flags]
        behind = bytes(4) if flags == 0x3000 else b""
        frame = over_gre(gre(flags, 0x6558, macs, between + bytes.fromhex(key) + behind))
        return opened(frame)["tunnel_id"]

    assert tunnel(0x2000, "00123401") == tunnel(0x2000, "001234fe") != tunnel(0x2000, "00123501")
    assert tunnel(0xA000, "00123401") != tunnel(0xA000, "001234fe")
    assert tunnel(0x3000, "00123401") != tunnel(0x3000, "001234fe")


def flows_of(frames: list[Frame], depth: int) -> list[tuple[int, int, int]]:
    """(tunnel, forward packets, backward packets) of each flow, sorted."""
    table = FlowTable(FlowConfig())
    packets = Decoder(DecodeConfig(tunnel_depth=depth)).decode(batch(frames))
    table.update(packets, 0)
    ended = np.concatenate(list(table.finish()))
    return sorted(
        (int(row["tunnel_id"]), *map(int, row["packets"])) for row in ended if row["tunnel_id"]
    )


def test_equal_endpoints_in_two_networks_are_two_flows():
    """Two tenants with the same private addresses do not share a flow; a conversation does."""
    there = GOOD["tcp"].data[14:]
    back = bytearray(there)
    back[12:16], back[16:20] = there[16:20], there[12:16]
    back[20:22], back[22:24] = there[22:24], there[20:22]
    frames = []
    for vni in (1, 2):
        ask, answer = (
            over_udp(4789, vxlan(inner_ethernet(0x0800, bytes(packet)), vni), src_port)
            for packet, src_port in ((there, 1111), (back, 2222))
        )
        frames += [ask, swapped(answer), ask]

    flows = flows_of(frames, depth=1)

    assert [counts for _, *counts in flows] == [[2, 1], [2, 1]]
    assert len({tunnel_id for tunnel_id, *_ in flows}) == 2
    assert flows_of(frames, depth=0) == []


MUTATED = st.sampled_from(list(ALL.values()))


@st.composite
def spoilt(draw: st.DrawFn) -> Frame:
    """A frame with a tunnel, some of whose bytes are overwritten, and a cut."""
    frame = draw(MUTATED)
    data = bytearray(frame.data)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.sampled_from([0, 1, 2, 4, 8, 0x10, 0x30, 41, 47, 0x45, 0x60, 0x81, 255]))
    frame = dataclasses.replace(frame, data=bytes(data))
    return frame.snapped(draw(st.integers(0, len(data)))) if draw(st.booleans()) else frame


@given(st.lists(spoilt(), max_size=8), st.integers(1, 8))
def test_agrees_with_the_twin_on_spoilt_frames(frames, depth):
    """Whatever the bytes, rows and counts are those of the slow program."""
    assert_as_twin(frames, depth)


@given(st.lists(spoilt(), max_size=8), st.integers(0, 8))
def test_batch_borders_do_not_show(frames, border):
    """Nothing of one frame's inner packets is left over in the next row."""
    whole, parts = Decoder(ANY_DEPTH), Decoder(ANY_DEPTH)
    one = batch(frames)

    rows = whole.decode(one)
    left = parts.decode(dataclasses.replace(one, frames=one.frames[:border]))
    right = parts.decode(dataclasses.replace(one, frames=one.frames[border:]))

    assert rows.tobytes() == left.tobytes() + right.tobytes()
    assert counted(whole) == counted(parts)


def test_frames_without_tunnels_are_left_alone():
    """Of every other frame, right or wrong, the row is the same with and without the wish."""
    frames = [
        frame for name, frame in {**GOOD, **BAD}.items() if name not in ("gre", "gre_version_1")
    ]

    assert decoded(frames, decoder=Decoder(ANY_DEPTH)) == decoded(frames)


def test_every_status_inside_is_a_reason_outside():
    """Cut, contradictory or not read: each status belongs to one of the three."""
    reasons = {status.name: naive_tunnels.reason(status.name) for status in DecodeStatus if status}

    assert set(reasons.values()) == {"TRUNCATED", "MALFORMED", "UNSUPPORTED"}
    assert set(reasons.values()) < {reason.name for reason in Unopened}
    for name in ("LINK_TYPE_UNSUPPORTED", "WLAN_ENCRYPTED", "PPPOE_DISCOVERY"):
        assert reasons[name] == "UNSUPPORTED"
    for name in ("IPV4_BEYOND_FRAME", "TCP_TOO_SHORT", "VLAN_TOO_DEEP", "IPV6_CHAIN_TOO_LONG"):
        assert reasons[name] == "MALFORMED"

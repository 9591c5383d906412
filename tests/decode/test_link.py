"""What link headers say of the packets that they carry."""

import pytest

from tests.decode.made import MACS, PAYLOAD, TAG, Frame, decoded, ethernet, ipv4, tcp, udp
from tests.decode.made_link import (
    BAD,
    DEEP,
    FDDI,
    GOOD,
    INNER,
    INNER_MACS,
    IP4,
    SNAP4,
    label,
    length,
    nflog,
    pppoe,
    radiotap,
    snap,
    type_,
    wlan,
)

pytestmark = pytest.mark.kernel

OUTER = (0x02B1B2B3B4B5, 0x02A1A2A3A4A5)
INSIDE = (0x02D1D2D3D4D5, 0x02C1C2C3C4C5)


def macs(frame: Frame) -> tuple[int, int]:
    """Source and destination on the link."""
    [packet] = decoded([frame])
    return packet["eth_src"], packet["eth_dst"]


def statuses(*frames: Frame) -> list[str]:
    return [packet["status"] for packet in decoded(frames)]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_carried_does_not_depend_on_the_link(name):
    """Addresses, protocol, ports and payload are those of the same packet on plain Ethernet."""
    carried = [ethernet(0x0800, IP4), ethernet(0x86DD, GOOD["ppp_6"].data[4:])]
    carried += [ethernet(0x0800, INNER[14:]), ethernet(0x0806, GOOD["hsr"].data[20:])]
    fields = ("ip_version", "proto", "src_hi", "src_lo", "dst_hi", "dst_lo", "src_port")
    fields += ("dst_port", "payload_bytes", "payload_captured_bytes", "arp_opcode", "ether_type")

    packet, *plain = decoded([GOOD[name], *map(Frame, carried)])

    assert packet["status"] == "OK"
    assert {f: packet[f] for f in fields} in [{f: p[f] for f in fields} for p in plain]


@pytest.mark.parametrize("link_type", [9, 104, 105, 107, 127, 192, 239, 258, 276, 51, 242, 10])
def test_an_empty_frame_is_cut_not_unknown(link_type):
    """Each link type has its own name for a frame that is too short for its header."""
    assert statuses(Frame(b"", link_type=link_type))[0].endswith("_TRUNCATED")


def test_the_innermost_ethernet_frame_names_the_stations():
    """Backbone and pseudowire addresses are those of provider equipment, not of hosts."""
    names = ("mpls_ethernet", "mpls_control_word", "fabric_path", "backbone", "trill", "bridged")

    assert {macs(GOOD[name]) for name in names} == {INSIDE}
    assert {macs(GOOD[name]) for name in ("mpls", "pppoe", "snap", "macsec", "llc_ip")} == {OUTER}


def test_a_cooked_header_knows_the_sender_only():
    """Version 1 and 2 agree; an address of another length is none of Ethernet's."""
    assert macs(GOOD["sll_arp"]) == macs(GOOD["sll2"]) == (0x02A1A2A3A4A5, 0)
    assert macs(GOOD["sll_short_address"]) == macs(GOOD["sll2_llc"]) == (0, 0)
    assert macs(GOOD["sll_ethernet"]) == INSIDE


def test_fddi_writes_each_byte_of_an_address_the_other_way_round():
    """02 is 01000000 read from the other end, A1 is 10000101."""
    assert macs(Frame(FDDI + SNAP4, link_type=10)) == (0x408D4DCD2DAD, 0x408545C525A5)


@pytest.mark.parametrize(
    ("flags", "src", "dst"), [(0, 2, 1), (1, 2, 3), (2, 3, 1), (3, 4, 3), (0x4B, 4, 3)]
)
def test_the_two_ds_bits_say_where_a_radio_frame_has_its_addresses(flags, src, dst):
    """Source and destination as IEEE 802.11 table 9-30 has them; encrypted or not."""
    [packet] = decoded([Frame(wlan(SNAP4, flags=flags), link_type=105)])

    def address(n: int) -> int:
        return int.from_bytes(bytes([2, *range(16 * n + 1, 16 * n + 6)]), "big")

    assert (packet["eth_src"], packet["eth_dst"]) == (address(src), address(dst))


def test_a_mesh_gate_speaks_for_stations_behind_it():
    """Two more addresses in the mesh control field are the ends; without them, it is skipped."""
    assert macs(GOOD["wlan_mesh_proxied"]) == (INSIDE[0], INSIDE[1])
    assert macs(GOOD["wlan_mesh"]) == macs(GOOD["wlan_both_ds"])


def test_a_checksum_of_the_radio_is_no_header():
    """The four bytes behind an empty frame are not taken for LLC, unless they were cut off."""
    empty = radiotap(wlan(b""), b"\x10", present=2)
    snap_as_checksum = Frame(empty + b"\x06\x06\x03\x00", link_type=127)
    flagless = Frame(radiotap(wlan(b"\x06\x06\x03\x00")), link_type=127)
    cut = Frame(empty + b"\x06\x06\x03", len(empty) + 27, link_type=127)

    assert statuses(snap_as_checksum, flagless, cut) == [
        "LLC_TRUNCATED",
        "IPV4_TRUNCATED",
        "IPV4_TRUNCATED",
    ]


def test_padding_that_the_radio_made_is_skipped():
    """26 bytes of header are filled up to 28 where the flag says so, and only there."""
    header = wlan(b"", subtype=8)
    padded, bare = (
        Frame(
            radiotap(header + fill + SNAP4, b"\x20" * (fill != b""), present=2 * (fill != b"")),
            link_type=127,
        )
        for fill in (b"\0\0", b"")
    )
    unsaid = Frame(radiotap(header + b"\0\0" + SNAP4), link_type=127)

    assert statuses(padded, bare, unsaid) == ["OK", "OK", "LLC_UNSUPPORTED"]


def test_the_outermost_tag_counts_through_every_encapsulation():
    """A tag before labels or a session is found; one inside is used where there is none outside."""
    outside = Frame(ethernet(0x8847, label() + IP4, TAG))
    inner = INNER_MACS + b"\x81\x00\x00\x07" + type_(0x0800, IP4)
    both = Frame(ethernet(0x88E7, b"\0\0\0\1" + inner, TAG))
    inside = Frame(ethernet(0x88E7, b"\0\0\0\1" + inner))

    rows = decoded([outside, both, inside])

    assert [(row["vlan_tci"], row["n_vlan_tags"]) for row in rows] == [
        (0xE064, 1),
        (0xE064, 2),
        (0x0007, 1),
    ]


def test_the_ether_type_is_what_the_innermost_header_announces():
    """As an EtherType, whatever the header itself calls it; what is not read keeps its number."""
    names = ("ppp", "ppp_6", "null_little", "snap", "pppoe", "mpls", "llc_ip", "hsr")
    stopped = ("MPLS_UNSUPPORTED", "PPPOE_DISCOVERY", "ETHER_TYPE_UNSUPPORTED", "LLC_UNSUPPORTED")

    assert [row["ether_type"] for row in decoded([GOOD[n] for n in names])] == [
        0x0800,
        0x86DD,
        0x0800,
        0x0800,
        0x0800,
        0x0800,
        0x0800,
        0x0806,
    ]
    assert [row["ether_type"] for row in decoded([BAD[n] for n in stopped])] == [
        0x8847,
        0x8863,
        0x88CC,
        0,
    ]


def test_every_chain_ends():
    """Fifteen headers behind Ethernet are read and no more; sixteen labels, and eight tags."""
    labels = [n * label(is_bottom=False) + label() + IP4 for n in (15, 16)]
    frames = [*DEEP, *(ethernet(0x8847, stack) for stack in labels)]
    frames += [ethernet(0x0800, IP4, n * TAG) for n in (8, 9)]

    assert statuses(*map(Frame, frames)) == [
        "OK",
        "LINK_TOO_DEEP",
        "OK",
        "MPLS_TOO_DEEP",
        "OK",
        "VLAN_TOO_DEEP",
    ]


def test_a_length_is_not_taken_for_an_ether_type():
    """1500 is the last length, 1536 the first type; 0 and what is between them are neither."""
    frames = [Frame(ethernet(n, SNAP4)) for n in (0, 1, 8, 1500, 1501, 1535, 1536)]

    assert statuses(*frames) == [
        "ETHER_TYPE_BAD",
        "LLC_TOO_SHORT",
        "OK",
        "OK",
        "ETHER_TYPE_BAD",
        "ETHER_TYPE_BAD",
        "ETHER_TYPE_UNSUPPORTED",
    ]


def test_only_frames_that_carry_something_are_read_as_llc():
    """Unnumbered information and information frames are; polls, tests and others are not."""
    controls = ("03", "0000", "fe01", "13", "0101", "e3", "7f")
    frames = [Frame(length(snap(0x0800, IP4, control=control))) for control in controls]

    assert statuses(*frames) == ["OK"] * 3 + ["LLC_UNSUPPORTED"] * 4


def test_what_labels_hide_must_be_beyond_doubt():
    """First nibbles 4 and 6 are IP; Ethernet must have a type that fits what follows it."""
    doubtful = INNER_MACS + type_(0x0800, b"\x60" + PAYLOAD)
    unknown = INNER_MACS + type_(0x88CC, PAYLOAD)
    inside = [IP4, b"\x50" + IP4, INNER, bytes(4) + INNER, doubtful, unknown, bytes(4) + doubtful]

    assert statuses(*(Frame(ethernet(0x8847, label() + i)) for i in inside)) == [
        "OK",
        "MPLS_UNSUPPORTED",
        "OK",
        "OK",
        "MPLS_UNSUPPORTED",
        "MPLS_UNSUPPORTED",
        "MPLS_UNSUPPORTED",
    ]


def test_a_session_is_read_whatever_its_length_claims():
    """Hosts cut a PPPoE frame at its length; the IP length judges that, as behind any padding."""
    ppp = b"\0\x21" + IP4
    lengths = (0, 1, 2, len(ppp), 0xFFFF)

    assert statuses(*(Frame(ethernet(0x8864, pppoe(ppp, n_bytes=n))) for n in lengths)) == [
        "PPPOE_TOO_SHORT",
        "PPPOE_TOO_SHORT",
        "OK",
        "OK",
        "OK",
    ]


def test_doubtful_address_families_need_an_ipv6_packet():
    """23 is IPv6 to Windows and IPX to BSD, 10 IPv6 to Linux and CCITT to BSD."""
    families = (2, 24, 28, 30, 10, 23, 26, 3)
    with_4, with_6 = (
        [Frame(n.to_bytes(4, "little") + packet, link_type=0) for n in families]
        for packet in (IP4, GOOD["ppp_6"].data[4:])
    )

    refused = "ADDRESS_FAMILY_UNSUPPORTED"
    assert statuses(*with_4) == ["OK", *["IPV6_BAD_VERSION"] * 3, *[refused] * 4]
    assert statuses(*with_6) == ["IPV4_BAD_VERSION", *["OK"] * 6, refused]


def test_a_log_with_too_many_attributes_ends():
    """The packet is found among 32 attributes, not behind more."""
    packet = nflog(IP4)
    many = [packet[:4] + n * b"\x04\0\x01\0" + packet[4:] for n in (29, 30)]

    assert statuses(*(Frame(frame, link_type=239) for frame in many)) == ["OK", "NFLOG_BAD_HEADER"]


def test_a_link_type_named_by_a_header_may_be_anything():
    """An unknown number, a huge one, and the header's own kind again."""
    unknown = bytes.fromhex("00 00 08 00  93 00 00 00") + MACS
    huge = bytes.fromhex("00 00 08 00  01 00 01 00") + ethernet(0x0800, IP4)
    again = bytes.fromhex("00 00 08 00  c0 00 00 00")
    frames = [unknown, huge, 40 * again, 3 * again + bytes.fromhex("00 00 08 00 65 00 00 00") + IP4]

    assert statuses(*(Frame(frame, link_type=192) for frame in frames)) == [
        "LINK_TYPE_UNSUPPORTED",
        "LINK_TYPE_UNSUPPORTED",
        "LINK_TOO_DEEP",
        "OK",
    ]


def test_ports_are_found_behind_a_stack_of_everything():
    """Tags, session, PPP, labels, pseudowire and SNAP in one frame."""
    bridged = (
        INNER_MACS
        + b"\x81\x00\x00\x09"
        + type_(8 + len(ipv4(6, tcp())), snap(0x0800, ipv4(6, tcp())))
    )
    inside = label(is_bottom=False) + label() + bytes(4) + bridged
    frame = Frame(ethernet(0x8864, pppoe(b"\x02\x81" + inside), TAG + TAG))

    [packet] = decoded([frame])

    assert (packet["status"], packet["src_port"], packet["dst_port"]) == ("OK", 0xD1D2, 0xD3D4)
    assert (packet["vlan_tci"], packet["n_vlan_tags"]) == (0xE064, 3)


def test_wire_bytes_are_those_of_the_whole_frame():
    """Link headers count into the frame, never into the payload."""
    for name in ("wlan_ht", "pppoe_vlan", "mpls_control_word_vlan", "ipoib"):
        [packet] = decoded([GOOD[name]])

        assert packet["wire_bytes"] == len(GOOD[name].data)
        assert packet["payload_bytes"] <= len(udp())

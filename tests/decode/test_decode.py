"""What the decoder says of frames made by hand, and what it promises of every batch."""

import ipaddress

import numpy as np
import pytest

from tapwatch.decode import Decoder, DecodeStatus
from tapwatch.decode.kernel import decode_rows, no_counts
from tapwatch.errors import TapwatchError
from tapwatch.tables import FRAME, PACKET, FrameBatch
from tests.decode.corpus import BAD, GOOD
from tests.decode.made import (
    DST6,
    OPTIONS,
    PAYLOAD,
    SRC6,
    TAG,
    Frame,
    batch,
    decoded,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)

pytestmark = pytest.mark.kernel

DNS_QUERY = bytes.fromhex(
    "02 00 00 00 00 01  02 00 00 00 00 02  08 00"  # to ...:01, from ...:02, IPv4
    "45 00 00 1c  00 01 00 00"  # version 4, IHL 5, total length 28, not fragmented
    "40 11 00 00"  # TTL 64, UDP, checksum not filled
    "c0 a8 01 01  c0 a8 01 02"  # 192.168.1.1 -> 192.168.1.2
    "bf 00 00 35  00 08 00 00"  # ports 48896 -> 53, length 8
)


def test_reads_a_dns_query():
    """Ports and addresses of a hand-made query come out as tcpdump would print them."""
    [packet] = decoded([Frame(DNS_QUERY)])

    assert packet["status"] == "OK"
    assert packet["src_lo"] == int(ipaddress.ip_address("::ffff:192.168.1.1"))
    assert packet["dst_lo"] == int(ipaddress.ip_address("::ffff:192.168.1.2"))
    assert (packet["src_port"], packet["dst_port"]) == (48896, 53)
    assert (packet["eth_dst"], packet["eth_src"]) == (0x020000000001, 0x020000000002)
    assert (packet["ip_ttl"], packet["proto"], packet["udp_bytes"]) == (64, 17, 8)
    assert (packet["ip_version"], packet["is_flow"], packet["payload_bytes"]) == (4, 1, 0)


def test_reads_both_halves_of_ipv6_addresses():
    """Address bytes 0 to 7 are the high half, 8 to 15 the low half."""
    [packet] = decoded([GOOD["tcp6"]])

    assert packet["src_hi"] << 64 | packet["src_lo"] == int.from_bytes(SRC6, "big")
    assert packet["dst_hi"] << 64 | packet["dst_lo"] == int.from_bytes(DST6, "big")


def test_reads_every_tcp_option():
    """MSS, window scale, SACK permitted, SACK and timestamps are found among others."""
    [packet] = decoded([GOOD["tcp_options"]])

    assert packet["tcp_options"] == 1 | 2 | 4 | 8 | 16
    assert (packet["tcp_mss"], packet["tcp_window_scale"]) == (1460, 7)
    assert packet["transport_header_bytes"] == 20 + len(OPTIONS)
    assert (packet["tcp_flags"], packet["tcp_window"]) == (0x1D8, 0xE1E2)


def test_ethernet_padding_is_no_payload():
    """An empty segment in a frame padded to 60 bytes has no payload, captured or not."""
    [packet] = decoded([GOOD["padded"]])

    assert packet["captured_bytes"] == 60
    assert (packet["payload_bytes"], packet["payload_captured_bytes"]) == (0, 0)


def test_a_snapped_frame_keeps_its_length_on_the_wire():
    """Payload is counted by the IP length, and what was captured of it apart."""
    frame = Frame(ethernet(0x0800, ipv4(6, tcp(payload=bytes(1000))))).snapped(96)

    [packet] = decoded([frame])

    assert packet["status"] == "OK"
    assert (packet["wire_bytes"], packet["captured_bytes"]) == (1054, 96)
    assert (packet["payload_bytes"], packet["payload_captured_bytes"]) == (1000, 42)
    assert packet["payload_start"] == 54


def test_a_snap_length_inside_tcp_options_leaves_a_good_packet():
    """68 bytes a frame still file a segment whose options are longer; the cut is marked."""
    [packet] = decoded([GOOD["tcp_options"].snapped(68)])

    assert (packet["status"], packet["is_flow"]) == ("OK", 1)
    assert packet["tcp_options"] == 1 | 4 | 32
    assert packet["payload_bytes"] == len(PAYLOAD)
    assert (packet["payload_start"], packet["payload_captured_bytes"]) == (68, 0)


def test_segmentation_offload_leaves_the_length_to_the_wire():
    """A total length of 0 means up to the end of the frame on the wire, even in a snapped one."""
    frame = Frame(ethernet(0x0800, ipv4(6, tcp(payload=bytes(20_000)), total=0))).snapped(100)

    [packet] = decoded([frame])

    assert packet["status"] == "OK"
    assert (packet["ip_bytes"], packet["payload_bytes"]) == (20_040, 20_000)


def test_an_empty_ipv6_packet_stays_empty_in_a_padded_frame():
    """Payload length 0 is taken at its word unless offload or a jumbogram can be behind it."""
    empty, offloaded = (Frame(ethernet(0x86DD, ipv6(n, tcp(), n_payload=0))) for n in (99, 6))

    rows = decoded([empty, offloaded])

    assert [row["status"] for row in rows] == ["OK", "OK"]
    assert [row["payload_bytes"] for row in rows] == [0, len(PAYLOAD)]
    assert [row["ip_bytes"] for row in rows] == [40, 60 + len(PAYLOAD)]


def test_later_fragments_have_addresses_but_no_ports():
    """A later fragment is a good IP packet; all behind its IP header is payload."""
    [packet] = decoded([GOOD["later_fragment"]])

    assert (packet["status"], packet["is_flow"], packet["is_fragment"]) == ("OK", 1, 1)
    assert (packet["frag_offset_bytes"], packet["ip_flags"]) == (0xB9 * 8, 1)
    assert (packet["src_port"], packet["dst_port"], packet["transport_header_bytes"]) == (0, 0, 0)
    assert packet["payload_bytes"] == 8 + len(PAYLOAD)


def test_arp_speaks_of_ipv4_addresses_but_is_no_flow():
    """Sender and target become src and dst; the claimed hardware address stands apart."""
    [packet] = decoded([GOOD["arp"]])

    assert (packet["status"], packet["ip_version"], packet["is_flow"]) == ("OK", 4, 0)
    assert packet["arp_sender_mac"] == 0x616263646566
    assert packet["src_lo"] == 0xFFFF_6768696A
    assert packet["dst_lo"] == 0xFFFF_71727374
    assert (packet["arp_opcode"], packet["ether_type"], packet["proto"]) == (2, 0x0806, 0)


def test_arp_is_no_flow_whatever_its_opcode():
    """Opcode 0 does not turn an ARP body into an IP packet."""
    body = bytearray(GOOD["arp"].data)
    body[20:22] = b"\0\0"

    [packet] = decoded([Frame(bytes(body))])

    assert (packet["status"], packet["arp_opcode"], packet["is_flow"]) == ("OK", 0, 0)


def test_mac_addresses_stand_in_where_there_is_no_network_address():
    """A frame that is not IP shows who sent it on the link."""
    [packet] = decoded([BAD["ETHER_TYPE_UNSUPPORTED"]])

    assert (packet["ip_version"], packet["is_flow"]) == (0, 0)
    assert packet["src_lo"] == packet["eth_src"] == 0x02B1B2B3B4B5
    assert packet["dst_lo"] == packet["eth_dst"] == 0x02A1A2A3A4A5


def test_the_outermost_tag_counts_even_where_the_kernel_took_it_out():
    """Of the tag beside the frame and the tag in it, the one beside is the outer one."""
    inside, beside = decoded([GOOD["vlan"], GOOD["tag_taken_out"]])

    assert (inside["vlan_tci"], inside["n_vlan_tags"]) == (0xE064, 1)
    assert (beside["vlan_tci"], beside["n_vlan_tags"]) == (0x0FFF, 2)


def test_eight_tags_are_read_and_nine_are_too_many():
    """The bound on tags is named, not silently cut."""
    eight, nine = (Frame(ethernet(0x0800, ipv4(17, udp()), n * TAG)) for n in (8, 9))

    rows = decoded([eight, nine])

    assert [row["status"] for row in rows] == ["OK", "VLAN_TOO_DEEP"]


@pytest.mark.parametrize("status", [s.name for s in DecodeStatus if s])
def test_every_way_to_be_wrong_has_its_own_name(status):
    """For each status there is a frame that gets it, and that frame is no flow."""
    [packet] = decoded([BAD[status]])

    assert (packet["status"], packet["is_flow"]) == (status, 0)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_ok(name):
    """Each protocol of the room, in each wrapping, decodes."""
    [packet] = decoded([GOOD[name]])

    assert packet["status"] == "OK"


def test_what_was_read_stays_when_decoding_stops():
    """A segment cut in its header still has addresses; what was not read is 0."""
    [packet] = decoded([BAD["TCP_TRUNCATED"]])

    assert (packet["ip_version"], packet["proto"], packet["ip_bytes"]) == (4, 6, 53)
    assert packet["src_lo"] == int(ipaddress.ip_address("::ffff:192.0.2.33"))
    assert (packet["src_port"], packet["payload_start"], packet["payload_bytes"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "header_bytes", "payload_bytes"),
    [("sctp", 12, 13), ("udp_lite", 8, 13), ("dccp", 24, 13), ("dccp_long", 400, 13)],
)
def test_reads_ports_beside_tcp_and_udp(name, header_bytes, payload_bytes):
    """SCTP, UDP-Lite and DCCP have ports; DCCP's options are header, however long."""
    [packet] = decoded([GOOD[name]])

    assert (packet["src_port"], packet["dst_port"]) == (0xD1D2, 0xD3D4)
    assert packet["transport_header_bytes"] == header_bytes
    assert packet["payload_bytes"] == payload_bytes
    assert packet["udp_bytes"] == 0


@pytest.mark.parametrize(
    ("name", "header_bytes"), [("igmp", 8), ("esp", 8), ("gre", 16), ("gre_version_1", 16)]
)
def test_headers_without_ports_are_measured(name, header_bytes):
    """IGMP, ESP and GRE have a header, GRE's length is by its flags."""
    [packet] = decoded([GOOD[name]])

    assert (packet["src_port"], packet["dst_port"], packet["is_flow"]) == (0, 0, 1)
    assert packet["transport_header_bytes"] == header_bytes


def test_an_authentication_header_leads_to_what_it_protects():
    """In IPv4 as in IPv6; but not in a fragment, whose later ones could not be told from it."""
    whole, fragment = decoded([GOOD["authentication"], GOOD["authentication_fragment"]])

    assert (whole["proto"], whole["ip_header_bytes"]) == (17, 20 + 20 + 12)
    assert (whole["src_port"], whole["payload_bytes"]) == (0xD1D2, len(PAYLOAD))
    assert (fragment["proto"], fragment["ip_header_bytes"], fragment["src_port"]) == (51, 20, 0)


def test_mobility_hip_and_shim6_headers_are_walked():
    """A mobility message has nothing behind it; what stands behind HIP and Shim6 is read."""
    message, segment = decoded([GOOD["mobility"], GOOD["hip_shim6"]])

    assert (message["proto"], message["ip_header_bytes"], message["payload_bytes"]) == (59, 56, 0)
    assert (segment["proto"], segment["ip_header_bytes"], segment["src_port"]) == (6, 56, 0xD1D2)


def test_the_clock_is_the_running_maximum_of_the_source():
    """A late frame does not turn the clock back, nor does the end of a batch."""
    decoder = Decoder()
    clocks = []
    for stamps in ([5, 9, 7], [8, 10], []):
        frames = batch([GOOD["tcp"]] * len(stamps))
        frames.frames["ts_ns"] = stamps
        clocks += decoder.decode(frames)["clock_ns"].tolist()

    assert clocks == [5, 9, 9, 9, 10]
    assert decoder.clock_ns == 10


def test_a_decoder_can_go_on_where_another_stopped():
    """The clock of an earlier part of the source can be handed over."""
    [packet] = Decoder(clock_ns=77_000).decode(batch([GOOD["tcp"]]))

    assert packet["clock_ns"] == 77_000
    assert packet["ts_ns"] == 1000


def test_no_byte_of_a_row_is_left_over_from_before():
    """Rows are the same whatever the memory held, padding included."""
    frames = batch([*GOOD.values(), *BAD.values()])
    frames.frames.flags.writeable = False

    def rows_over(old: int) -> bytes:
        memory = np.full((len(frames), PACKET.itemsize), old, np.uint8)
        rows, counts = memory.reshape(-1).view(PACKET), no_counts()
        decode_rows(frames.data, frames.frames, rows, memory, 0, counts)
        return memory.tobytes()

    assert rows_over(0x00) == rows_over(0xA5)


def test_counts_every_frame_once_by_status():
    """The counts add up to the frames seen, and every status is there from the start."""
    decoder = Decoder()
    assert decoder.counts == {s.name.lower(): 0 for s in DecodeStatus}

    decoder.decode(batch([*GOOD.values(), *BAD.values(), BAD["LLC_UNSUPPORTED"]]))

    none = {s.name.lower(): 0 for s in DecodeStatus}
    once = {name.lower(): 1 for name in BAD}
    assert decoder.counts == none | once | {"ok": len(GOOD), "llc_unsupported": 2}


def test_tallies_name_each_protocol_and_fault_from_an_enumeration():
    """Every label value exists before the first frame, and each frame has one protocol."""
    decoder = Decoder()
    empty = {tally.name: dict(tally.values) for tally in decoder.tallies()}
    malformed = Frame(ethernet(0x0800, ipv4(6, tcp(b"\x02\x01\x00\x00"))))
    names = ["tcp", "tcp6", "udp", "udp_lite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp"]
    names += ["gre", "other_ip", "mobility", "arp", "arp_other"]
    frames = [*(GOOD[n] for n in names), BAD["LLC_UNSUPPORTED"], BAD["IPV4_TRUNCATED"]]
    frames += [GOOD["tcp_options"].snapped(68), malformed, BAD["TCP_TRUNCATED"]]

    decoder.decode(batch(frames))

    status, protocol, faults, tunnels, unopened = decoder.tallies()
    assert {t.name: dict.fromkeys(t.values, 0) for t in decoder.tallies()} == empty
    assert status.labels == ("status",)
    assert sum(status.values.values()) == len(frames)
    assert protocol.values == {
        ("tcp",): 5,
        ("udp",): 1,
        ("udp_lite",): 1,
        ("sctp",): 1,
        ("dccp",): 1,
        ("icmp",): 1,
        ("icmpv6",): 1,
        ("igmp",): 1,
        ("esp",): 1,
        ("gre",): 1,
        ("other_ip",): 2,
        ("arp",): 2,
        ("other",): 2,
    }
    assert faults.values == {("cut",): 1, ("malformed",): 1}
    assert not any(tunnels.values.values())
    assert not any(unopened.values.values())


@pytest.mark.parametrize(
    ("start", "captured_bytes"), [(-1, 4), (0, -1), (0, 11), (10, 1), (11, 0), (1 << 62, 1)]
)
def test_refuses_a_frame_outside_its_batch(start, captured_bytes):
    """A source that hands over wrong offsets is stopped before a byte is read."""
    frames = np.zeros(1, FRAME)
    frames["start"], frames["captured_bytes"], frames["wire_bytes"] = start, captured_bytes, 99

    with pytest.raises(TapwatchError, match="want a part of the batch's 10 bytes"):
        Decoder().decode(FrameBatch(np.zeros(10, np.uint8), frames, until_ns=0))


def test_a_wire_length_below_the_captured_one_is_corrected():
    """What was captured was on the wire, even if the file's header denies it."""
    frames = batch([GOOD["tcp"]])
    frames.frames["wire_bytes"] = -5

    [packet] = Decoder().decode(frames)

    assert (packet["status"], packet["wire_bytes"]) == (0, packet["captured_bytes"])

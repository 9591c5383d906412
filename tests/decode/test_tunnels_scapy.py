"""Tunnels that another program made: scapy knows the headers by itself."""

import pytest
from scapy.contrib.erspan import ERSPAN_I, ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import GRE_PPTP, Dot1Q, Ether
from scapy.layers.l2tp import L2TP
from scapy.layers.ppp import HDLC, PPP
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from tapwatch.config import DecodeConfig
from tapwatch.decode import Decoder
from tests.decode.made import Frame, decoded

OUTER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
UNDERLAY = IP(src="203.0.113.1", dst="203.0.113.2")
UNDERLAY6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER_ETHER = Ether(src="02:00:00:00:01:01", dst="02:00:00:00:01:02")
INNER = IP(src="10.1.2.3", dst="10.4.5.6", ttl=7) / TCP(sport=1234, dport=4321, seq=99, flags="SA")
INNER6 = IPv6(src="fd00::3", dst="fd00::4", hlim=7) / UDP(sport=1234, dport=4321) / b"payload"

MADE = {
    "ipip": UNDERLAY / INNER,
    "6in4": UNDERLAY / INNER6,
    "4in6": UNDERLAY6 / INNER,
    "6in6": UNDERLAY6 / INNER6,
    "behind destination options": UNDERLAY6 / IPv6ExtHdrDestOpt() / INNER6,
    "gre": UNDERLAY / GRE() / INNER,
    "gre with everything": UNDERLAY
    / GRE(chksum_present=1, key_present=1, seqnum_present=1, key=7, sequence_number=8)
    / INNER6,
    "gre ethernet": UNDERLAY6 / GRE(proto=0x6558) / INNER_ETHER / Dot1Q(vlan=5) / INNER,
    "pptp": UNDERLAY / GRE_PPTP(seqnum_present=1, sequence_number=1) / HDLC() / PPP() / INNER,
    "erspan 1": UNDERLAY / GRE() / ERSPAN_I() / INNER_ETHER / INNER,
    "erspan 2": UNDERLAY / GRE(seqnum_present=1) / ERSPAN_II(session_id=3) / INNER_ETHER / INNER,
    "erspan 3": UNDERLAY / GRE(seqnum_present=1) / ERSPAN_III(session_id=3) / INNER_ETHER / INNER6,
    "vxlan": UNDERLAY / UDP(sport=50000) / VXLAN(vni=77) / INNER_ETHER / INNER,
    "vxlan over ipv6": UNDERLAY6 / UDP(sport=50000) / VXLAN(vni=77) / INNER_ETHER / INNER6,
    "geneve": UNDERLAY / UDP(sport=50000) / GENEVE(vni=77) / INNER_ETHER / INNER,
    "geneve ip": UNDERLAY / UDP(sport=50000) / GENEVE(vni=77, proto=0x86DD) / INNER6,
    "gtp": UNDERLAY / UDP() / GTP_U_Header(teid=5) / INNER,
    "gtp session": UNDERLAY
    / UDP()
    / GTP_U_Header(teid=5, E=1)
    / GTPPDUSessionContainer(QFI=3)
    / INNER6,
    "teredo": UNDERLAY / UDP(sport=50000, dport=3544) / INNER6,
    "l2tp": UNDERLAY / UDP() / L2TP(hdr="") / HDLC() / PPP() / INNER,
    "vxlan in gre": UNDERLAY
    / GRE()
    / UNDERLAY6
    / UDP(sport=50000)
    / VXLAN(vni=77)
    / INNER_ETHER
    / INNER,
}


def opened(packet: Packet) -> dict[str, int]:
    [row] = decoded([Frame(bytes(packet))], decoder=Decoder(DecodeConfig(tunnel_depth=8)))
    return row


@pytest.mark.parametrize("name", MADE)
def test_finds_what_scapy_put_inside(name):
    """The inner addresses, hop limit and ports, whatever is around them."""
    row = opened(OUTER / MADE[name])

    assert (row["status"], row["ip_ttl"]) == ("OK", 7)
    assert (row["src_port"], row["dst_port"], row["tunnel_id"] != 0) == (1234, 4321, True)
    if row["ip_version"] == 4:
        assert (row["src_lo"], row["dst_lo"]) == (0xFFFF_0A01_0203, 0xFFFF_0A04_0506)
        assert (row["proto"], row["tcp_seq"], row["tcp_flags"]) == (6, 99, 0x12)
    else:
        assert (row["src_hi"], row["src_lo"], row["dst_lo"]) == (0xFD00 << 48, 3, 4)
        assert (row["proto"], row["payload_bytes"]) == (17, 7)


def test_reads_what_scapy_sends_in_sctp():
    """Ports of the common header; chunks are payload."""
    [row] = decoded(
        [Frame(bytes(OUTER / UNDERLAY / SCTP(sport=7, dport=8) / SCTPChunkData(data=b"abcd")))]
    )

    assert (row["proto"], row["src_port"], row["dst_port"]) == (132, 7, 8)
    assert (row["transport_header_bytes"], row["payload_bytes"]) == (12, 20)


def test_a_message_that_quotes_a_packet_is_no_tunnel():
    """What an ICMP error brings back is not opened."""
    row = opened(OUTER / UNDERLAY / ICMP(type=3) / INNER)

    assert (row["proto"], row["icmp_type"], row["tunnel_id"]) == (1, 3, 0)


def test_a_tunnel_in_pieces_stays_closed():
    """The first fragment of an IPv6 packet that holds another."""
    row = opened(OUTER / UNDERLAY6 / IPv6ExtHdrFragment(m=1, nh=41) / Raw(bytes(INNER6)))

    assert (row["proto"], row["is_fragment"], row["tunnel_id"]) == (41, 1, 0)

"""Frames that Scapy builds, field by field and by its own idea of each header, are read right."""

import pytest
from scapy.contrib.macsec import MACsec, MACsecSCI
from scapy.contrib.mpls import MPLS
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import (
    ARP,
    LLC,
    SNAP,
    CookedLinux,
    CookedLinuxV2,
    Dot1AD,
    Dot1Q,
    Ether,
    Loopback,
)
from scapy.layers.ppi import PPI
from scapy.layers.ppp import HDLC, PPP, PPPoE, PPPoED
from scapy.packet import Packet, Raw

from tests.decode.made import Frame, decoded

pytestmark = pytest.mark.kernel

HOSTS = {"src": "192.0.2.7", "dst": "198.51.100.9"}
HOSTS6 = {"src": "2001:db8::7", "dst": "2001:db8::9"}
STATIONS = {"src": "02:00:00:00:00:07", "dst": "02:00:00:00:00:09"}


def ether() -> Packet:
    return Ether(**STATIONS)


def ip() -> Packet:
    return IP(**HOSTS) / UDP(sport=4007, dport=5009) / Raw(b"seven")


def ip6() -> Packet:
    return IPv6(**HOSTS6) / TCP(sport=4007, dport=5009) / Raw(b"seven")


def dot11(**fields: object) -> Packet:
    """Type 2: data."""
    return Dot11(type=2, addr1="02::1", **fields)


LINKS = {
    "vlan": (1, lambda: ether() / Dot1Q(vlan=7, prio=3) / ip()),
    "service_vlan": (1, lambda: ether() / Dot1AD(vlan=7) / Dot1Q(vlan=8) / ip6()),
    "mpls": (1, lambda: ether() / MPLS(label=70, s=0) / MPLS(label=71, s=1) / ip()),
    "mpls_6": (1, lambda: ether() / MPLS(label=71, s=1) / ip6()),
    "pseudowire": (1, lambda: ether() / MPLS(label=71, s=1) / Raw(bytes(4)) / ether() / ip()),
    "pppoe": (1, lambda: ether() / PPPoE(sessionid=7) / PPP() / ip()),
    "pppoe_vlan": (1, lambda: ether() / Dot1Q(vlan=7) / PPPoE(sessionid=7) / PPP() / ip6()),
    "snap": (1, lambda: ether() / LLC() / SNAP() / ip()),
    "snap_6": (1, lambda: ether() / LLC() / SNAP() / ip6()),
    "macsec": (1, lambda: ether() / MACsec(SCI=MACsecSCI(), SC=1, type=0x0800) / ip()),
    "cooked": (113, lambda: CookedLinux(src=b"\2\0\0\0\0\7", lladdrlen=6) / ip()),
    "cooked_6": (113, lambda: CookedLinux() / ip6()),
    "cooked_2": (276, lambda: CookedLinuxV2(src=b"\2\0\0\0\0\7", lladdrlen=6) / ip6()),
    "loopback": (0, lambda: Loopback() / ip()),
    "loopback_6": (0, lambda: Loopback() / ip6()),
    "raw": (101, ip),
    "raw_6": (229, ip6),
    "ppp": (9, lambda: HDLC() / PPP() / ip()),
    "ppp_6": (50, lambda: PPP() / ip6()),
    "wlan": (105, lambda: dot11() / LLC() / SNAP() / ip()),
    "wlan_qos": (105, lambda: dot11(subtype=8) / Dot11QoS(TID=3) / LLC() / SNAP() / ip6()),
    "radiotap": (127, lambda: RadioTap() / dot11() / LLC() / SNAP() / ip()),
    "radiotap_flags": (
        127,
        lambda: (
            RadioTap(present="TSFT+Flags+Rate", mac_timestamp=7, Rate=2)
            / dot11(FCfield=3, addr4="02::4")
            / LLC()
            / SNAP()
            / ip()
        ),
    ),
    "ppi": (192, lambda: PPI(dlt=105) / dot11(FCfield=1) / LLC() / SNAP() / ip6()),
}


@pytest.mark.parametrize("name", LINKS)
def test_reads_what_scapy_builds(name):
    """Addresses, ports and payload are those that Scapy was given."""
    link_type, build = LINKS[name]
    [row] = decoded([Frame(bytes(build()), link_type=link_type)])

    assert row["status"] == "OK"
    assert (row["src_port"], row["dst_port"], row["payload_bytes"]) == (4007, 5009, 5)
    if row["ip_version"] == 4:
        assert row["proto"] == 17
        assert (row["src_lo"], row["dst_lo"]) == (0xFFFF_C0000207, 0xFFFF_C6336409)
    else:
        assert row["proto"] == 6
        assert (row["src_hi"], row["src_lo"], row["dst_lo"]) == (0x20010DB8_00000000, 7, 9)
    if link_type == 1:
        assert (row["eth_src"], row["eth_dst"]) == (0x020000000007, 0x020000000009)
    if "vlan" in name:
        assert row["vlan_tci"] & 0xFFF == 7


@pytest.mark.parametrize("name", LINKS)
def test_every_cut_of_it_is_a_truncated_frame(name):
    """No length in between is OK before the ports are there, and none is taken for a fault.

    But labels do not say what they hide: Ethernet is known by its type, and that may be cut off.
    """
    link_type, build = LINKS[name]
    data = bytes(build())
    whole = Frame(data, link_type=link_type)
    [row] = decoded([whole])
    n_needed = row["payload_start"]

    rows = decoded([whole.snapped(n) for n in range(len(data) + 1)])

    early = {row["status"] for row in rows[:n_needed]}
    assert all(status.endswith("_TRUNCATED") for status in early - {"MPLS_UNSUPPORTED"})
    assert [row["status"] for row in rows[n_needed:]] == ["OK"] * (len(data) + 1 - n_needed)


def test_reads_arp_where_scapy_puts_it():
    """On Ethernet, behind a tag, over LLC and in the air."""
    arp = ARP(op=2, psrc="192.0.2.7", pdst="198.51.100.9", hwsrc="02:00:00:00:00:07")
    frames = [
        Frame(bytes(ether() / arp)),
        Frame(bytes(ether() / Dot1Q(vlan=7) / arp)),
        Frame(bytes(dot11(FCfield=2) / LLC() / SNAP() / arp), link_type=105),
    ]

    rows = decoded(frames)

    assert [row["status"] for row in rows] == ["OK"] * 3
    assert {(r["arp_opcode"], r["src_lo"], r["arp_sender_mac"], r["is_flow"]) for r in rows} == {
        (2, 0xFFFF_C0000207, 0x020000000007, 0)
    }


def test_what_carries_no_packet_has_a_name():
    """Discovery, management, encryption, negotiation: not damaged, and no packet either."""
    frames = {
        "PPPOE_DISCOVERY": Frame(bytes(ether() / PPPoED(code=9))),
        "PPP_PROTOCOL_UNSUPPORTED": Frame(bytes(HDLC() / PPP(proto=0xC021)), link_type=9),
        "WLAN_MANAGEMENT": Frame(bytes(RadioTap() / Dot11(type=0, subtype=8)), link_type=127),
        "WLAN_CONTROL": Frame(bytes(RadioTap() / Dot11(type=1, subtype=13)), link_type=127),
        "WLAN_NO_DATA": Frame(bytes(dot11(subtype=4)), link_type=105),
        "WLAN_ENCRYPTED": Frame(bytes(dot11(FCfield=0x40) / Raw(bytes(40))), link_type=105),
        "LLC_UNSUPPORTED": Frame(bytes(ether() / LLC(dsap=0x42, ssap=0x42, ctrl=3))),
        "MACSEC_ENCRYPTED": Frame(bytes(ether() / MACsec(E=1, C=1, SC=1) / Raw(bytes(40)))),
    }

    assert [row["status"] for row in decoded(list(frames.values()))] == list(frames)

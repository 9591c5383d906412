"""What tshark says of the innermost headers of real tunnels, where it is installed.

tshark prints the last occurrence of each field, so what it found deepest. Where one of the two goes
deeper than the other, the reason is listed below.
"""

import ipaddress
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tapwatch.capture import open_captures
from tapwatch.config import DecodeConfig
from tapwatch.decode import Decoder
from tests.shared_data import shared_data

Row = dict[str, Any]

TUNNELS = {"gre", "erspan", "vxlan", "geneve", "gtp", "teredo", "l2tp"}
NETWORKS = {"ip", "ipv6"}
QUOTES = {"icmp", "icmpv6"}
CAPTURES = [
    "PcapPlusPlus/GrePackets.cap",
    "arkime/6-4-gre-ppp-udp-4-dns.pcap",
    "arkime/gre-erspan-vxlan.pcap",
    "arkime/gtp-iphone.pcap",
    "dpkt/nb6-http.pcap",
    "nDPI/4in4tunnel.pcap",
    "nDPI/4in6tunnel.pcap",
    "nDPI/6in4tunnel.pcap",
    "nDPI/teredo.pcap",
    "nDPI/vxlan.pcap",
    "tcpdump/bigtcp-ipv6-geneve-ipv6.pcap",
    "tcpdump/erspan-type-i-1.pcap",
    "tcpdump/geneve.pcap",
    "tcpdump/gso-ipv6-vxlan-ipv4.pcap",
    "tcpdump/nhrp-trace.pcap",
    "tcpdump/various_gre.pcap",
    "tcpdump/wccp_redirect_gre.pcap",
    "tcpdump/vxlan_port_8472.pcap",
    "zeek/erspan.pcap",
    "zeek/erspanII.pcap",
    "zeek/erspanIII.pcap",
    "zeek/trunc/mpls-6in6-6in6-4in6-trunc.pcap",
    "zeek/tunnels/6in6in6.pcap",
    "zeek/tunnels/geneve-tagged-udp-packet.pcap",
    "zeek/tunnels/gre-aruba.pcap",
    "zeek/tunnels/gre-aruba-amsdu.pcap",
    "zeek/tunnels/gre-over-udp-4754.pcap",
    "zeek/tunnels/gre-pptp.pcap",
    "zeek/tunnels/gre-within-gre.pcap",
    "zeek/tunnels/gtp/gtp1_gn_normal_incl_fragmentation.pcap",
    "zeek/tunnels/gtp/gtp7_ipv6.pcap",
    "zeek/tunnels/gtp/gtp8_teredo.pcap",
    "zeek/tunnels/gtp/gtp_ext_header.pcap",
    "zeek/tunnels/vxlan-triple-v2.pcap",
]
FIELDS = [
    "frame.number",
    "frame.protocols",
    *(f"ip.{field}" for field in ("src", "dst", "proto", "ttl", "len")),
    *(f"ipv6.{field}" for field in ("src", "dst", "hlim", "plen")),
    *(f"{layer}.{end}port" for layer in ("tcp", "udp", "sctp") for end in ("src", "dst")),
    "tcp.seq_raw",
]
OPTIONS = "-n -o ip.defragment:FALSE -o ipv6.defragment:FALSE -o tcp.desegment_tcp_streams:FALSE"
AS_FIELDS = "-T fields -E separator=/t -E occurrence=l"

#: Where tshark goes deeper than we do: (our outer row, its layers) -> does it apply.
STAYS_CLOSED: dict[str, Callable[[Row, list[str]], bool]] = {
    # What is inside a first fragment is not whole: its lengths contradict the fragment's.
    "fragment": lambda row, _: bool(row["is_fragment"]),
    # Behind Cisco's metadata or WCCP's redirect header, or quoted by NHRP.
    "other in GRE": lambda row, layers: (
        row["proto"] == 47 and bool({"nhrp", "cmd"} & set(layers) or "dcerpc" in layers)
    ),
    "GRE over UDP": lambda row, _: row["dst_port"] == 4754,
    "aggregate": lambda _, layers: layers.count("llc") == 2,
    # A packet made to be cut inside its third IP header.
    "cut": lambda row, layers: "mpls" in layers and row["proto"] == 41,
}

#: Where we go deeper than tshark: (our inner row, its layers) -> does it apply.
OPENED_HERE: dict[str, Callable[[Row, list[str]], bool]] = {
    # Linux' port of VXLAN, which tshark 4.0 does not know.
    "port 8472": lambda _, layers: layers[-2:] == ["udp", "data"],
    # An IPv6 payload length of 0 with 80 kB behind it.
    "length 0": lambda row, _: row["ip_version"] == 6 and row["ip_bytes"] > 65_575,
}


def is_tunnel(layers: list[str]) -> bool:
    """One IP header behind another, or a tunnel's header."""
    return bool(TUNNELS & set(layers)) or any({a, b} <= NETWORKS for a, b in pairwise(layers))


def innermost(path: str) -> dict[int, Row]:
    """tshark's last occurrences by frame number."""
    fields = [word for field in FIELDS for word in ("-e", field)]
    command = ["tshark", "-r", path, *OPTIONS.split(), *AS_FIELDS.split(), *fields]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    lines = [line.split("\t") for line in done.stdout.decode("utf8", "replace").split("\n")]
    rows = [dict(zip(FIELDS, line, strict=True)) for line in lines if len(line) == len(FIELDS)]
    return {int(row["frame.number"]): row for row in rows}


def as_tshark_prints(row: Row) -> Row:
    """Our row under tshark's names, as far as the frame has the fields."""
    if row["ip_version"] == 4:
        said = {f"ip.{end}": ipaddress.IPv4Address(row[f"{end}_lo"] & 0xFFFFFFFF)
                for end in ("src", "dst")}  # fmt: skip
        said |= {"ip.proto": row["proto"], "ip.ttl": row["ip_ttl"], "ip.len": row["ip_bytes"]}
    else:
        said = {f"ipv6.{end}": ipaddress.IPv6Address(row[f"{end}_hi"] << 64 | row[f"{end}_lo"])
                for end in ("src", "dst")}  # fmt: skip
        said |= {"ipv6.hlim": row["ip_ttl"], "ipv6.plen": row["ip_bytes"] - 40}
    layer = {6: "tcp", 17: "udp", 132: "sctp"}.get(row["proto"])
    if layer and not row["frag_offset_bytes"]:
        said |= {f"{layer}.srcport": row["src_port"], f"{layer}.dstport": row["dst_port"]}
    if layer == "tcp" and not row["frag_offset_bytes"]:
        said |= {"tcp.seq_raw": row["tcp_seq"]}
    return {field: str(value) for field, value in said.items()}


def pairs() -> Iterator[tuple[str, Row, Row, list[str]]]:
    """Where, our row, tshark's, and its layers, of every packet with a tunnel."""
    for name in CAPTURES:
        path = str(shared_data() / "pcaps" / name)
        theirs = innermost(path)
        decoder, source = Decoder(DecodeConfig(tunnel_depth=8)), open_captures([path])
        while (frames := source.read()) is not None:
            packets = decoder.decode(frames)
            for values in packets[packets["is_flow"] == 1].tolist():
                row = dict(zip(packets.dtype.names, values, strict=True))
                layers = theirs[row["number"]]["frame.protocols"].split(":")
                quotes = any(a in QUOTES and b in NETWORKS for a, b in pairwise(layers))
                if (is_tunnel(layers) or row["tunnel_id"]) and not quotes:
                    yield f"{name} {row['number']}", row, theirs[row["number"]], layers


@pytest.fixture(scope="module")
def verdict() -> dict[str, Counter[str]]:
    """Frames by what came of the comparison, reasons, and the kinds of tunnels in them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("frames", "reasons", "kinds", "unexplained")
    }
    for where, row, theirs, layers in pairs():
        differing = {k: (v, theirs[k]) for k, v in as_tshark_prints(row).items() if theirs[k] != v}
        state = "opened" if row["tunnel_id"] else "closed"
        counts["frames"][f"{state} {'different' if differing else 'equal'}"] += 1
        if row["tunnel_id"]:
            counts["kinds"].update(TUNNELS & set(layers) or {"ip"})
        if differing:
            known = STAYS_CLOSED if state == "closed" else OPENED_HERE
            reason = next((name for name, applies in known.items() if applies(row, layers)), "")
            counts["reasons" if reason else "unexplained"][reason or f"{where}: {differing}"] += 1
    return counts


def test_what_is_opened_is_what_tshark_finds_inside(verdict):
    """Addresses, protocol, lengths, ports and sequence numbers are equal where both go as deep."""
    print({name: dict(counts) for name, counts in verdict.items()})  # noqa: T201

    assert not verdict["unexplained"]
    assert verdict["frames"]["opened equal"] > 3000
    assert verdict["frames"]["opened different"] < 10


def test_every_reason_to_differ_occurs(verdict):
    """A reason that no frame has explains nothing."""
    assert set(verdict["reasons"]) == {*STAYS_CLOSED, *OPENED_HERE}


def test_every_kind_of_tunnel_is_compared(verdict):
    """No kind agrees only because no frame has it."""
    few = {kind: n for kind, n in verdict["kinds"].items() if n < 5}

    assert TUNNELS | {"ip"} == set(verdict["kinds"])
    assert not few

"""The expected rows of the packet view against scapy, which reads the same golden captures."""

import csv
import warnings
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.conformance import golden

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.utils import rdpcap

CAPTURES: Final = ("tcp_analysis", "flow_statistics", "fragments", "labels")
_FLAGS: Final = "FSRPAUEC"
_NAMES: Final = ("fin", "syn", "reset", "push", "ack", "urg", "ece", "cwr")


def _option(segment: Any, name: str) -> int:
    return next((value for option, value in segment.options if option == name), 0)


#: Layer -> column -> value that scapy has.
FIELDS: Final[dict[Any, dict[str, Callable[[Any], int]]]] = {
    IP: {
        "ip_len": lambda p: p.len,
        "ip_hdr_len": lambda p: 4 * p.ihl,
        "ip_ttl": lambda p: p.ttl,
        "ip_dsfield": lambda p: p.tos,
        "ip_frag_offset": lambda p: 8 * p.frag,
        "ip_flags_df": lambda p: int(p.flags.DF),
        "ip_flags_mf": lambda p: int(p.flags.MF),
    },
    IPv6: {"ip_len": lambda p: 40 + p.plen, "ip_ttl": lambda p: p.hlim},
    TCP: {
        "tcp_hdr_len": lambda p: 4 * p.dataofs,
        "tcp_window_size_value": lambda p: p.window,
        "tcp_options_mss_val": lambda p: _option(p, "MSS"),
        "tcp_options_wscale_shift": lambda p: _option(p, "WScale"),
        **{
            f"tcp_flags_{name}": lambda p, letter=letter: int(letter in str(p.flags))
            for name, letter in zip(_NAMES, _FLAGS, strict=True)
        },
    },
    UDP: {"udp_length": lambda p: p.len},
    ICMP: {"icmp_type": lambda p: p.type, "icmp_code": lambda p: p.code},
}


@pytest.mark.parametrize("name", CAPTURES)
def test_header_fields_are_those_that_scapy_reads(name):
    """Every header of every frame: lengths, flags, windows, options, fragments."""
    with (golden.FOLDER / f"{name}.packet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    packets = rdpcap(str(golden.FOLDER / f"{name}.pcap"))

    found, wanted = [], []
    for row, packet in zip(rows, packets, strict=True):
        assert (int(row["frame_len"]), int(row["first_ts_ns"]) // 1000) == (
            packet.wirelen,
            int(packet.time * 10**6),
        )
        for layer, columns in FIELDS.items():
            if layer not in packet or (IP in packet and packet[IP].frag and layer is not IP):
                continue
            for column, value in columns.items():
                found.append((row["frame_number"], column, int(row[column])))
                wanted.append((row["frame_number"], column, value(packet[layer])))
    assert found == wanted
    assert len(found) > 80

"""Packets for the tests of the labels, and the way to a label and to its twin's."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapwatch.config import Config, LabelsConfig
from tapwatch.decode import Decoder
from tapwatch.features.label_names import LABELS
from tapwatch.features.labels import ProtocolLabels
from tapwatch.tables import FLOW, LINK, FrameBatch, Traffic
from tests.decode.made import Frame, batch
from tests.features.naive_labels import NaiveLabels

MACS = bytes.fromhex("02 00 00 00 00 01  02 00 00 00 00 02")
SYN, SYN_ACK, DATA = 2, 18, 24


def ethernet(ether_type: int, payload: bytes) -> bytes:
    return MACS + struct.pack("!H", ether_type) + payload


def ipv4(proto: int, payload: bytes, src: int = 1, dst: int = 2, fragment: int = 0) -> bytes:
    addresses = bytes([10, 0, 0, src, 10, 0, 0, dst])
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, proto, 0)
    return head + addresses + payload


def ipv6(proto: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), proto, 64)
    return head + bytes(range(1, 17)) + bytes(range(33, 49)) + payload


def udp(src_port: int, dst_port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def tcp(src_port: int, dst_port: int, payload: bytes, seq: int = 1, flags: int = DATA) -> bytes:
    return struct.pack("!HHIIHHHH", src_port, dst_port, seq, 9, 5 << 12 | flags, 9, 0, 0) + payload


def over_udp(port: int, payload: bytes, src_port: int = 50_001) -> Frame:
    return Frame(ethernet(0x0800, ipv4(17, udp(src_port, port, payload))))


def over_tcp(port: int, payload: bytes, **fields: int) -> Frame:
    return Frame(ethernet(0x0800, ipv4(6, tcp(50_001, port, payload, **fields))))


def answer(port: int, payload: bytes, **fields: int) -> Frame:
    """From the server back to the client of `over_tcp`."""
    return Frame(ethernet(0x0800, ipv4(6, tcp(port, 50_001, payload, **fields), src=2, dst=1)))


def traffic_of(
    frames: FrameBatch, analysis: Sequence[int] = (), *, with_frames: bool = True
) -> Traffic:
    """Decode a batch; `analysis` are the bits of TcpAnalysis of each frame."""
    packets = Decoder().decode(frames)
    links = np.zeros(len(packets), LINK)
    if len(analysis):
        links["tcp_analysis"] = analysis
    lie = frames.frames if with_frames else None
    return Traffic(frames.data, packets, links, np.zeros(0, FLOW), 0, lie)


def labels_of(
    frames: Sequence[Frame],
    analysis: Sequence[int] = (),
    *,
    at_once: int = 1 << 30,
    labels: ProtocolLabels | None = None,
    with_frames: bool = True,
) -> list[str]:
    """Labels in words, asked for `at_once` packets a time."""
    labels = labels or ProtocolLabels()
    found: list[str] = []
    for start in range(0, len(frames), at_once):
        part = batch(list(frames[start : start + at_once]))
        bits = analysis[start : start + at_once]
        places = labels.of(traffic_of(part, bits, with_frames=with_frames))
        found.extend(LABELS[place] for place in places.tolist())
    return found


def twin_labels(traffic: Traffic, twin: NaiveLabels | None = None) -> list[str]:
    """What the slow twin says of the same packets."""
    twin = twin or NaiveLabels()
    data = traffic.data.tobytes()
    found = []
    for i, packet in enumerate(traffic.packets):
        frame: Any = None
        if traffic.frames is not None:
            row = traffic.frames[i]
            start = int(row["start"])
            frame = int(row["link_type"]), data[start : start + int(row["captured_bytes"])]
        found.append(twin.label(packet, traffic.links[i], lambda a, b: data[a:b], frame))
    return found


def small() -> ProtocolLabels:
    """As few conversations as can be configured."""
    return ProtocolLabels(Config(labels=LabelsConfig(conversations=1024)))

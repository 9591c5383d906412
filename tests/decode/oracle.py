"""tshark's answer for every frame of the external corpus, beside our row of the same frame."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapwatch.capture import open_captures
from tapwatch.decode import Decoder
from tapwatch.errors import CaptureError
from tapwatch.tables import PACKET, TcpAnalysis
from tests.shared_data import shared_data, shared_oracle

Rows = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Field:
    """One field of tshark's: how it prints it, our value of it, and which of our rows have it."""

    name: str
    parse: Callable[[str], int]
    value: Callable[[Rows], NDArray[Any]]
    has: Callable[[Rows], Mask]


def _seconds(text: str) -> int:
    whole, fraction = text.split(".")
    return min(int(whole) * 10**9 + int(fraction), (1 << 63) - 1)


def _is_ip(rows: Rows, version: int) -> Mask:
    return (rows["ip_version"] == version) & (rows["ether_type"] != 0x0806)


def _has_transport(*protocols: int) -> Callable[[Rows], Mask]:
    def has(rows: Rows) -> Mask:
        is_ip = _is_ip(rows, 4) | _is_ip(rows, 6)
        return is_ip & np.isin(rows["proto"], protocols) & (rows["frag_offset_bytes"] == 0)

    return has


def _plain(column: str) -> Callable[[Rows], NDArray[Any]]:
    return lambda rows: rows[column].astype(np.int64)


@cache
def _half(text: str, *, low: bool) -> int:
    number = int(ipaddress.ip_address(text))
    if ":" not in text:
        number |= 0xFFFF_0000_0000
    half = number & (1 << 64) - 1 if low else number >> 64
    return half - (half >> 63 << 64)


def _address(name: str, column: str, version: int) -> list[Field]:
    """An address is compared in two halves of 64 bits."""
    return [
        Field(
            name,
            lambda text, low=low: _half(text, low=low),
            lambda rows, half=half: rows[f"{column}_{half}"].view(np.int64),
            lambda rows: _is_ip(rows, version),
        )
        for low, half in ((True, "lo"), (False, "hi"))
    ]


def _ip(name: str, value: Callable[[Rows], NDArray[Any]], version: int) -> Field:
    return Field(name, int, value, lambda rows: _is_ip(rows, version))


def _transport(layer: str, protocols: tuple[int, ...], **columns: str) -> list[Field]:
    has = _has_transport(*protocols)
    return [
        Field(f"{layer}_{name}", lambda text: int(text, 0), _plain(column), has)
        for name, column in columns.items()
    ]


_PORTS = {"srcport": "src_port", "dstport": "dst_port"}
_CODES = {"type": "icmp_type", "code": "icmp_code"}

FIELDS = [
    Field("frame_time_epoch", _seconds, _plain("ts_ns"), lambda rows: rows["number"] > 0),
    Field("frame_len", int, _plain("wire_bytes"), lambda rows: rows["number"] > 0),
    Field("frame_cap_len", int, _plain("captured_bytes"), lambda rows: rows["number"] > 0),
    Field(
        "vlan_id",
        int,
        lambda rows: rows["vlan_tci"].astype(np.int64) & 0x0FFF,
        lambda rows: rows["n_vlan_tags"] > 0,
    ),
    Field("arp_opcode", int, _plain("arp_opcode"), lambda rows: rows["ether_type"] == 0x0806),
    *_address("ip_src", "src", 4),
    *_address("ip_dst", "dst", 4),
    _ip("ip_proto", _plain("proto"), 4),
    _ip("ip_ttl", _plain("ip_ttl"), 4),
    _ip("ip_len", _plain("ip_bytes"), 4),
    _ip("ip_frag_offset", lambda rows: rows["frag_offset_bytes"] // 8, 4),
    _ip("ip_flags_mf", lambda rows: rows["ip_flags"] & 1, 4),
    *_address("ipv6_src", "src", 6),
    *_address("ipv6_dst", "dst", 6),
    Field(
        "ipv6_nxt",
        int,
        _plain("proto"),
        lambda rows: _is_ip(rows, 6) & (rows["ip_header_bytes"] == 40),
    ),
    _ip("ipv6_hlim", _plain("ip_ttl"), 6),
    _ip("ipv6_plen", lambda rows: rows["ip_bytes"].astype(np.int64) - 40, 6),
    Field(
        "ipv6_fraghdr_offset",
        int,
        lambda rows: rows["frag_offset_bytes"] // 8,
        lambda rows: _is_ip(rows, 6) & (rows["is_fragment"] == 1),
    ),
    *_transport(
        "tcp",
        (6,),
        **_PORTS,
        flags="tcp_flags",
        seq_raw="tcp_seq",
        ack_raw="tcp_ack",
        window_size_value="tcp_window",
        hdr_len="transport_header_bytes",
        len="payload_bytes",
    ),
    *_transport("udp", (17, 136), **_PORTS),
    *_transport("udp", (17,), length="udp_bytes"),
    *_transport("sctp", (132,), **_PORTS),
    *_transport("icmp", (1,), **_CODES),
    *_transport("icmpv6", (58,), **_CODES),
]
_SAID = [
    *("capture", "frame_protocols", "tcp_stream"),
    *(f"tcp_analysis_{bit.name.lower()}" for bit in TcpAnalysis if bit.name),
]


@dataclass(frozen=True)
class Corpus:
    """Every frame that tshark and we both read: one row each, in the same order."""

    ours: Rows  # PACKET (n,)
    theirs: pa.Table  # of text, null where the frame lacks the field

    def has_layer(self, *layers: str) -> Mask:
        """Whether tshark names one of these layers among the frame's protocols."""
        return self._matches(rf"(^|:)({'|'.join(layers)})(:|$)")

    def has_second_header(self) -> Mask:
        """Whether a network or link header comes behind the frame's first IP header."""
        return self._matches(r"(^|:)(ip|ipv6)(:.*)?:(ip|ipv6|eth|arp|wlan)(:|$)")

    def ends_with(self, layer: str) -> Mask:
        """Whether this layer is the last one that tshark names."""
        return self._matches(rf"(^|:){layer}$")

    def is_of(self, *captures: str) -> Mask:
        """Whether the frame is of one of these captures."""
        return np.asarray(pc.is_in(self.theirs["capture"], pa.array(captures)))

    def place(self, i: int) -> tuple[str, int, str]:
        """Capture, frame number and protocols of a frame."""
        name, protocols = self.theirs["capture"][i].as_py(), self.theirs["frame_protocols"][i]
        return name, int(self.ours["number"][i]), protocols.as_py() or ""

    def answer(self, field: Field) -> tuple[NDArray[np.int64], Mask]:
        """The values that tshark prints, and where it prints one."""
        texts = self.theirs[field.name].combine_chunks().dictionary_encode()
        known = np.array([field.parse(text) for text in texts.dictionary.to_pylist()] + [0])
        places = np.asarray(texts.indices.fill_null(-1))
        return known[places].astype(np.int64), places >= 0

    def _matches(self, pattern: str) -> Mask:
        protocols = self.theirs["frame_protocols"].fill_null("")
        return np.asarray(pc.match_substring_regex(protocols, pattern))


@cache
def corpus(tunnel_depth: int = 0) -> Corpus:
    """All captures that tshark has answers for; skips the test where they are absent."""
    [oracle] = shared_oracle().glob("tshark-*.parquet")
    columns = list(dict.fromkeys([*_SAID, *(field.name for field in FIELDS)]))
    answers = pq.read_table(oracle, columns=columns)
    # Blocks of pcapng that are no packets are frames of "data" without a time there.
    is_block = pc.and_(
        pc.is_null(answers["frame_time_epoch"]), pc.equal(answers["frame_protocols"], "data")
    )
    answers = answers.filter(pc.invert(pc.fill_null(is_block, False)))
    names = answers["capture"].combine_chunks().dictionary_encode()
    borders = np.flatnonzero(np.diff(np.asarray(names.indices), prepend=-1, append=-1))
    ours, places = [], []
    for start, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        name = names.dictionary[names.indices[start].as_py()].as_py()
        rows = decode_capture(str(shared_data() / name), tunnel_depth)[: end - start]
        ours.append(rows)
        places.append(np.arange(start, start + len(rows)))
    return Corpus(np.concatenate(ours), answers.take(np.concatenate(places)))


def decode_capture(path: str, tunnel_depth: int = 0) -> Rows:
    """PACKET rows of a whole capture; none where it is refused."""
    decoder = Decoder()
    rows = [np.zeros(0, PACKET)]
    try:
        source = open_captures([path])
    except CaptureError:
        return rows[0]
    while (frames := source.read()) is not None:
        rows.append(decoder.decode(frames))
    source.close()
    return np.concatenate(rows)

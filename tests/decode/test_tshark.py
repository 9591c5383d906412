"""What tshark says of the same frames, field by field, over a large external corpus.

docs/conformance.md names the classes of differences and their reasons; any other one fails here.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pyarrow.parquet as pq
import pytest

from tapwatch.capture import open_captures
from tapwatch.decode import Decoder, DecodeStatus
from tapwatch.errors import CaptureError
from tests.shared_data import shared_data, shared_oracle

Row = dict[str, Any]

#: Reasons why tshark may print something else: (its column, our row, its row) -> does it apply.
REASONS: dict[str, Callable[[str, Row, Row], bool]] = {
    # tshark calls the identifier of an 802.1ad tag ieee8021ad.id, and vlan.id the next one.
    "service tag": lambda field, ours, theirs: (
        field == "vlan_id" and "ieee8021ad" in theirs["frame_protocols"]
    ),
    # tshark shows the last stop of a source route as ip.dst; the header holds the next one.
    "source route": lambda field, ours, theirs: field == "ip_dst" and ours["ip_header_bytes"] > 20,
    # tshark leaves the segment length of a fragment open.
    "fragment": lambda field, ours, theirs: field == "tcp_len" and ours["is_fragment"],
    # tshark takes a payload length of 0 at its word, even with 80 kB behind it.
    "length 0": lambda field, ours, theirs: (
        theirs["ipv6_plen"] == "0" != str(ours["ip_bytes"] - 40)
    ),
    # Both read it as the ARP of ATM, of which we read the opcode only.
    "atm": lambda field, ours, theirs: "atmarp" in theirs["frame_protocols"],
    # tshark stops at an option that runs past its extension header; we do not read those options.
    "ipv6 option": lambda field, ours, theirs: (
        theirs[field] is None and theirs["frame_protocols"].endswith("ipv6.dstopts")
    ),
}

#: What we ask of the oracle: whose the row is, and every field that `as_tshark_prints` may name.
COLUMNS = [
    "capture",
    "frame_number",
    "frame_len",
    "frame_protocols",
    "vlan_id",
    "arp_opcode",
    "ip_src",
    "ip_dst",
    "ip_proto",
    "ip_ttl",
    "ip_len",
    "ip_frag_offset",
    "ip_flags_mf",
    "ipv6_src",
    "ipv6_dst",
    "ipv6_nxt",
    "ipv6_hlim",
    "ipv6_plen",
    "ipv6_fraghdr_offset",
    "tcp_srcport",
    "tcp_dstport",
    "tcp_flags",
    "tcp_seq_raw",
    "tcp_ack_raw",
    "tcp_window_size_value",
    "tcp_hdr_len",
    "tcp_len",
    "udp_srcport",
    "udp_dstport",
    "udp_length",
    "icmp_type",
    "icmp_code",
    "icmpv6_type",
    "icmpv6_code",
]

#: Beginnings of frame.protocols under which we read on. (It does not tell SLL from SLL2.)
READ_LINKS = ("eth:ethertype:ip:", "eth:ethertype:ipv6:", "raw:ip")


def as_tshark_prints(row: Row) -> dict[str, str]:
    """Our row under tshark's names, as far as the frame has the fields."""
    said: dict[str, Any] = {}
    if row["n_vlan_tags"]:
        said["vlan_id"] = row["vlan_tci"] & 0x0FFF
    if row["ether_type"] == 0x0806:
        return _text(said | {"arp_opcode": row["arp_opcode"]})
    if row["ip_version"] == 4:
        said |= {
            "ip_src": _address(4, row["src_lo"] & 0xFFFFFFFF),
            "ip_dst": _address(4, row["dst_lo"] & 0xFFFFFFFF),
            "ip_proto": row["proto"],
            "ip_ttl": row["ip_ttl"],
            "ip_len": row["ip_bytes"],
            "ip_frag_offset": row["frag_offset_bytes"] // 8,
            "ip_flags_mf": row["ip_flags"] & 1,
        }
    else:
        said |= {
            "ipv6_src": _address(6, row["src_hi"] << 64 | row["src_lo"]),
            "ipv6_dst": _address(6, row["dst_hi"] << 64 | row["dst_lo"]),
            "ipv6_hlim": row["ip_ttl"],
            "ipv6_plen": row["ip_bytes"] - 40,
        }
        if row["ip_header_bytes"] == 40:
            said["ipv6_nxt"] = row["proto"]
        if row["is_fragment"]:
            said["ipv6_fraghdr_offset"] = row["frag_offset_bytes"] // 8
    if row["frag_offset_bytes"] == 0:
        said |= _transport(row)
    return _text(said)


@cache
def _address(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


def _transport(row: Row) -> dict[str, Any]:
    ports = {"srcport": row["src_port"], "dstport": row["dst_port"]}
    codes = {"type": row["icmp_type"], "code": row["icmp_code"]}
    tcp = ports | {
        "flags": f"0x{row['tcp_flags']:04x}",
        "seq_raw": row["tcp_seq"],
        "ack_raw": row["tcp_ack"],
        "window_size_value": row["tcp_window"],
        "hdr_len": row["transport_header_bytes"],
        "len": row["payload_bytes"],
    }
    layers = {
        6: ("tcp", tcp),
        17: ("udp", ports | {"length": row["udp_bytes"]}),
        1: ("icmp", codes),
        58: ("icmpv6", codes),
    }
    name, fields = layers.get(row["proto"], ("", {}))
    return {f"{name}_{field}": value for field, value in fields.items()}


def _text(said: dict[str, Any]) -> dict[str, str]:
    return {field: str(value) for field, value in said.items()}


def pairs() -> Iterator[tuple[Row, Row]]:
    """Our row and tshark's for every frame that both have, in all captures of the corpus."""
    [oracle] = shared_oracle().glob("tshark-*.parquet")
    answers = pq.read_table(oracle, columns=COLUMNS)
    names = answers["capture"].to_pylist()
    borders = [i for i in range(1, len(names)) if names[i] != names[i - 1]]
    for start, end in zip([0, *borders], [*borders, len(names)], strict=True):
        ours = {row["number"]: row for row in decode_capture(str(shared_data() / names[start]))}
        for theirs in answers.slice(start, end - start).to_pylist():
            row = ours.get(int(theirs["frame_number"]))
            # A frame that the two readers of the file cut differently says nothing of decoding.
            if row is not None and str(row["wire_bytes"]) == theirs["frame_len"]:
                yield row, theirs


def decode_capture(path: str) -> Iterator[Row]:
    decoder = Decoder()
    try:
        source = open_captures([path])
        while (frames := source.read()) is not None:
            packets = decoder.decode(frames)
            for values in packets.tolist():
                yield dict(zip(packets.dtype.names, values, strict=True))
    except CaptureError:
        return


@pytest.fixture(scope="module")
def verdict() -> dict[str, Counter[Any]]:
    """Comparisons by column, explained differences by reason, others in full; refusals."""
    counts: dict[str, Counter[Any]] = {
        name: Counter() for name in ("compared", "explained", "unexplained", "status", "refused")
    }
    for ours, theirs in pairs():
        status = DecodeStatus(ours["status"])
        counts["status"][status.name] += 1
        if status:
            if (theirs["frame_protocols"] or "").startswith(READ_LINKS):
                counts["refused"][status.name] += 1
            continue
        for field, value in as_tshark_prints(ours).items():
            counts["compared"][field] += 1
            if theirs[field] == value:
                continue
            reason = next((r for r, why in REASONS.items() if why(field, ours, theirs)), None)
            if reason:
                counts["explained"][reason] += 1
            else:
                where = (theirs["capture"], theirs["frame_number"], field, value, theirs[field])
                counts["unexplained"][where] += 1
    return counts


def test_every_difference_to_tshark_has_a_known_reason(verdict):
    """Of six million compared values, all are equal or of a class that is documented."""
    # With -rP these are the figures of docs/conformance.md.
    print({name: dict(counts) for name, counts in verdict.items()})  # noqa: T201

    assert not verdict["unexplained"]
    assert sum(verdict["compared"].values()) > 5_900_000
    assert sum(verdict["explained"].values()) < 100


def test_every_column_is_compared_often(verdict):
    """No column agrees only because no frame has it."""
    few = {field: n for field, n in verdict["compared"].items() if n < 100}

    assert len(verdict["compared"]) == 30
    assert not few


def test_what_is_refused_is_damaged(verdict):
    """Under link headers that we read, only contradictory or cut headers are refused, and few."""
    refused = verdict["refused"]

    assert not {"LINK_TYPE_UNSUPPORTED", "ETHER_TYPE_UNSUPPORTED", "LLC"} & set(refused)
    assert sum(refused.values()) < 0.002 * sum(verdict["status"].values())

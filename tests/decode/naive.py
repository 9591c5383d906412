"""The decoder, slow and obvious: one frame, `struct` and slices. The kernel must agree with it.

A slice that comes out too short is what "truncated" means here; `Stop` carries the status.
"""

import struct

from tapwatch.tables import PACKET
from tests.decode import naive_link
from tests.decode.naive_link import Row, Stop, number, take

EXTENSIONS = {
    0: "hop-by-hop",
    43: "routing",
    44: "fragment",
    51: "authentication",
    60: "destination",
    135: "mobility",
    139: "hip",
    140: "shim6",
}


def decode(
    frame: bytes, wire_bytes: int | None = None, link_type: int = 1, vlan_tci: int = -1
) -> Row:
    """Every field of PACKET that the bytes of the frame decide; payload_start counts from 0."""
    row: Row = dict.fromkeys(PACKET.names or (), 0) | {"tcp_window_scale": 255}
    row["captured_bytes"] = len(frame)
    row["wire_bytes"] = max(len(frame), len(frame) if wire_bytes is None else wire_bytes)
    if vlan_tci >= 0:
        row |= {"vlan_tci": vlan_tci, "n_vlan_tags": 1}
    status = "OK"
    try:
        _frame(row, frame, link_type)
    except Stop as stop:
        status = str(stop)
    row["is_flow"] = int(status == "OK" and row["ip_version"] > 0 and row["ether_type"] != 0x0806)
    return row | {"status": status}


def _frame(row: Row, frame: bytes, link_type: int) -> None:
    ether_type, packet = naive_link.read(row, frame, link_type)
    {0x0800: _ipv4, 0x86DD: _ipv6, 0x0806: naive_link.arp}[ether_type](row, packet)


def _wire_left(row: Row, packet: bytes) -> int:
    """Bytes on the wire from the beginning of `packet` to the end of the frame."""
    return int(row["wire_bytes"] - row["captured_bytes"] + len(packet))


def _ipv4(row: Row, packet: bytes) -> None:
    first, tos, total, ident, fragment, ttl, proto, _, src, dst = struct.unpack(
        "!BBHHHBBH4s4s", take(packet, 20, "IPV4_TRUNCATED")
    )
    if first >> 4 != 4:
        raise Stop("IPV4_BAD_VERSION")
    n_header = (first & 15) * 4
    if n_header < 20:
        raise Stop("IPV4_BAD_HEADER_LENGTH")
    total = total or _wire_left(row, packet)
    row |= {
        "ip_version": 4,
        "src_lo": number(b"\xff\xff" + src),
        "dst_lo": number(b"\xff\xff" + dst),
        "ip_header_bytes": n_header,
        "ip_bytes": total,
        "ip_tos": tos,
        "ip_id": ident,
        "ip_flags": fragment >> 13,
        "frag_offset_bytes": (fragment % 0x2000) * 8,
        "is_fragment": int(fragment % 0x4000 != 0),
        "ip_ttl": ttl,
        "proto": proto,
    }
    if total < n_header:
        raise Stop("IPV4_BAD_TOTAL_LENGTH")
    if total > _wire_left(row, packet):
        raise Stop("IPV4_BEYOND_FRAME")
    take(packet, n_header, "IPV4_TRUNCATED")
    at = row["captured_bytes"] - len(packet) + n_header
    _authentication(row, packet[n_header:total], total - n_header, at)


def _authentication(row: Row, rest: bytes, n_rest: int, at: int) -> None:
    """Headers of IPv4; `rest`, at byte `at` of the frame, was captured of the `n_rest` bytes."""
    n_headers = 0
    while row["proto"] == 51 and not row["is_fragment"]:
        if n_headers == 16:
            raise Stop("IPV4_CHAIN_TOO_LONG")
        n_headers += 1
        if n_rest < 12:
            raise Stop("IPV4_AUTHENTICATION_BEYOND_IP")
        next_header, length = take(rest, 12, "IPV4_AUTHENTICATION_TRUNCATED")[:2]
        n_header = (length + 2) * 4
        if n_header < 12:
            raise Stop("IPV4_AUTHENTICATION_BAD_LENGTH")
        if n_header > n_rest:
            raise Stop("IPV4_AUTHENTICATION_BEYOND_IP")
        take(rest, n_header, "IPV4_AUTHENTICATION_TRUNCATED")
        row["proto"] = next_header
        row["ip_header_bytes"] += n_header
        rest, n_rest, at = rest[n_header:], n_rest - n_header, at + n_header
    _transport(row, rest, n_rest, at)


def _ipv6(row: Row, packet: bytes) -> None:
    first, n_payload, proto, hops, src, dst = struct.unpack(
        "!IHBB16s16s", take(packet, 40, "IPV6_TRUNCATED")
    )
    if first >> 28 != 6:
        raise Stop("IPV6_BAD_VERSION")
    total = 40 + n_payload
    if n_payload == 0 and proto in {0, 6, 17}:
        total = _wire_left(row, packet)
    row |= {
        "ip_version": 6,
        "src_hi": number(src[:8]),
        "src_lo": number(src[8:]),
        "dst_hi": number(dst[:8]),
        "dst_lo": number(dst[8:]),
        "ip_header_bytes": 40,
        "ip_bytes": total,
        "ip_tos": (first >> 20) & 255,
        "ip_ttl": hops,
        "proto": proto,
    }
    if total > _wire_left(row, packet):
        raise Stop("IPV6_BEYOND_FRAME")
    at = row["captured_bytes"] - len(packet) + 40
    _extensions(row, packet[40:total], total - 40, at)


def _extensions(row: Row, rest: bytes, n_rest: int, at: int) -> None:
    """`rest`, at byte `at` of the frame, is what was captured of the `n_rest` of the packet."""
    for n_headers in range(100):
        kind = EXTENSIONS.get(row["proto"])
        if kind is None or row["frag_offset_bytes"]:
            break
        if n_headers == 16:
            raise Stop("IPV6_CHAIN_TOO_LONG")
        if n_rest < 8:
            raise Stop("IPV6_EXTENSION_BEYOND_IP")
        next_header, length, offset, ident = struct.unpack(
            "!BBHI", take(rest, 8, "IPV6_EXTENSION_TRUNCATED")
        )
        n_header = 8 * (length + 1)
        if kind == "fragment":
            n_header = 8
            row |= {
                "ip_id": ident,
                "ip_flags": offset & 1,
                "frag_offset_bytes": offset - offset % 8,
                "is_fragment": int(bool(offset & 1) or offset >= 8),
            }
        if kind == "authentication":
            n_header = 4 * (length + 2)
            if n_header < 12:
                raise Stop("IPV6_EXTENSION_BAD_LENGTH")
        if n_rest < n_header:
            raise Stop("IPV6_EXTENSION_BEYOND_IP")
        take(rest, n_header, "IPV6_EXTENSION_TRUNCATED")
        row["proto"] = next_header
        row["ip_header_bytes"] += n_header
        rest, n_rest, at = rest[n_header:], n_rest - n_header, at + n_header
    _transport(row, rest, n_rest, at)


def _transport(row: Row, segment: bytes, n_segment: int, at: int) -> None:
    """`segment`, at byte `at` of the frame, was captured of the `n_segment` of the packet."""
    layers = {
        1: _icmp,
        2: _igmp,
        6: _tcp,
        17: _udp,
        33: _dccp,
        47: _gre,
        50: _esp,
        58: _icmpv6,
        132: _sctp,
        136: _udp_lite,
    }
    n_header = 0
    if row["proto"] in layers and not row["frag_offset_bytes"]:
        n_header = layers[row["proto"]](row, segment, n_segment)
    row["transport_header_bytes"] = n_header
    row["payload_bytes"] = n_segment - n_header
    row["payload_captured_bytes"] = len(segment[n_header:])
    row["payload_start"] = min(at + n_header, row["captured_bytes"])


def _tcp(row: Row, segment: bytes, n_segment: int) -> int:
    if n_segment < 20:
        raise Stop("TCP_TOO_SHORT")
    src, dst, seq, ack, offset_flags, window = struct.unpack(
        "!HHIIHH4x", take(segment, 20, "TCP_TRUNCATED")
    )
    row |= {
        "src_port": src,
        "dst_port": dst,
        "tcp_seq": seq,
        "tcp_ack": ack,
        "tcp_flags": offset_flags % 0x1000,
        "tcp_window": window,
    }
    n_header = (offset_flags >> 12) * 4
    if n_header < 20:
        raise Stop("TCP_BAD_HEADER_LENGTH")
    if n_header > n_segment:
        raise Stop("TCP_HEADER_BEYOND_IP")
    _options(row, segment[20:n_header], n_header - 20)
    return n_header


def _options(row: Row, options: bytes, n_options: int) -> None:
    """`options` is what was captured of the `n_options` bytes of the list."""
    cut, malformed = 32, 64
    while n_options:
        if not options:
            row["tcp_options"] |= cut
            return
        kind = options[0]
        if kind == 0:
            return
        if kind == 1:
            options, n_options = options[1:], n_options - 1
            continue
        if n_options == 1:
            row["tcp_options"] |= malformed
            return
        if len(options) == 1:
            row["tcp_options"] |= cut
            return
        length = options[1]
        if not 2 <= length <= n_options:
            row["tcp_options"] |= malformed
            return
        if length > len(options):
            row["tcp_options"] |= cut
            return
        _option(row, kind, options[2:length])
        options, n_options = options[length:], n_options - length


def _option(row: Row, kind: int, body: bytes) -> None:
    bits = {2: 1, 3: 2, 4: 4, 5: 8, 8: 16}
    right_lengths = {2: {2}, 3: {1}, 4: {0}, 5: set(range(8, 41, 8)), 8: {8}}
    if kind not in bits:
        return
    if len(body) not in right_lengths[kind]:
        row["tcp_options"] |= 64
        return
    row["tcp_options"] |= bits[kind]
    if kind == 2:
        row["tcp_mss"] = number(body)
    if kind == 3:
        row["tcp_window_scale"] = min(body[0], 14)


def _udp(row: Row, segment: bytes, n_segment: int) -> int:
    if n_segment < 8:
        raise Stop("UDP_TOO_SHORT")
    src, dst, length, _ = struct.unpack("!HHHH", take(segment, 8, "UDP_TRUNCATED"))
    row |= {"src_port": src, "dst_port": dst, "udp_bytes": length}
    is_jumbogram = length == 0 and row["ip_version"] == 6
    if length < 8 and not is_jumbogram:
        raise Stop("UDP_BAD_LENGTH")
    if length > n_segment and not row["is_fragment"]:
        raise Stop("UDP_BEYOND_IP")
    return 8


def _icmp(row: Row, segment: bytes, n_segment: int) -> int:
    if n_segment < 8:
        raise Stop("ICMP_TOO_SHORT")
    row["icmp_type"], row["icmp_code"] = take(segment, 8, "ICMP_TRUNCATED")[:2]
    return 8


def _icmpv6(row: Row, segment: bytes, n_segment: int) -> int:
    if n_segment < 4:
        raise Stop("ICMPV6_TOO_SHORT")
    row["icmp_type"], row["icmp_code"] = take(segment, 4, "ICMPV6_TRUNCATED")[:2]
    return 4


def _fixed(segment: bytes, n_segment: int, n_header: int, name: str) -> bytes:
    if n_segment < n_header:
        raise Stop(f"{name}_TOO_SHORT")
    return take(segment, n_header, f"{name}_TRUNCATED")


def _igmp(_row: Row, segment: bytes, n_segment: int) -> int:
    return len(_fixed(segment, n_segment, 8, "IGMP"))


def _esp(_row: Row, segment: bytes, n_segment: int) -> int:
    return len(_fixed(segment, n_segment, 8, "ESP"))


def _sctp(row: Row, segment: bytes, n_segment: int) -> int:
    header = _fixed(segment, n_segment, 12, "SCTP")
    row["src_port"], row["dst_port"], _, _ = struct.unpack("!HHII", header)
    return 12


def _udp_lite(row: Row, segment: bytes, n_segment: int) -> int:
    header = _fixed(segment, n_segment, 8, "UDP_LITE")
    row["src_port"], row["dst_port"], coverage, _ = struct.unpack("!HHHH", header)
    if coverage in range(1, 8):
        raise Stop("UDP_LITE_BAD_COVERAGE")
    if coverage > n_segment and not row["is_fragment"]:
        raise Stop("UDP_LITE_BEYOND_IP")
    return 8


def _dccp(row: Row, segment: bytes, n_segment: int) -> int:
    header = _fixed(segment, n_segment, 12, "DCCP")
    row["src_port"], row["dst_port"], words, _, _, type_x = struct.unpack("!HHBBHB3x", header)
    if words * 4 < (16 if type_x % 2 else 12):
        raise Stop("DCCP_BAD_HEADER_LENGTH")
    if words * 4 > n_segment:
        raise Stop("DCCP_HEADER_BEYOND_IP")
    return words * 4


def _gre(_row: Row, segment: bytes, n_segment: int) -> int:
    bits = f"{number(_fixed(segment, n_segment, 4, 'GRE')[:2]):016b}"
    checksum, routing, key, sequence, acknowledge = (bits[i] == "1" for i in (0, 1, 2, 3, 8))
    fields = {
        0: [checksum or routing, key, sequence],
        1: [key, sequence, acknowledge],
    }.get(int(bits[13:], 2), [])
    return len(_fixed(segment, n_segment, 4 + 4 * sum(fields), "GRE"))

"""What is inside tunnels, slow and obvious: the inner packet is decoded as a frame of its own.

A link header is put before it, so that one door of the naive decoder is enough, and is taken out of
the row again.
"""

import struct
from collections import Counter
from typing import Any

from tests.decode import naive
from tests.decode.naive import Row, number

MASK = 0xFFFF_FFFF
ETHERNET, PPP = 0x6558, 0x880B
WLAN = {*range(0x8200, 0x8380, 0x10), 0x9000}
PORTS = {
    4789: "VXLAN",
    8472: "VXLAN",
    6081: "GENEVE",
    2152: "GTP_U",
    3544: "TEREDO",
    1701: "L2TP",
}


class Closed(Exception):
    """This tunnel cannot be opened, for this reason; "" where it is signalling or no tunnel."""


class Cursor:
    """Bytes of which only some were captured; who takes too many learns why they are not there."""

    def __init__(self, captured: bytes, n_wire: int) -> None:
        self.captured, self.n_wire = captured[:n_wire], n_wire
        self.n_taken = 0

    def take(self, n_bytes: int) -> bytes:
        self.peek(n_bytes)
        taken, self.captured = self.captured[:n_bytes], self.captured[n_bytes:]
        self.n_wire -= n_bytes
        self.n_taken += n_bytes
        return taken

    def peek(self, n_bytes: int) -> bytes:
        if self.n_wire < n_bytes:
            raise Closed("MALFORMED")
        if len(self.captured) < n_bytes:
            raise Closed("TRUNCATED")
        return self.captured[:n_bytes]

    def end_after(self, n_bytes: int) -> None:
        """Nothing that follows these bytes is inside."""
        if n_bytes > self.n_wire:
            raise Closed("MALFORMED")
        self.captured, self.n_wire = self.captured[:n_bytes], n_bytes


def open_all(row: Row, frame: bytes, depth: int, counts: Counter[str]) -> Row:
    """The row that a frame gets where `depth` tunnels may be opened."""
    for level in range(depth + 1):
        if row["status"] != "OK" or not row["is_flow"] or row["frag_offset_bytes"]:
            return row
        start = row["payload_start"]
        cursor = Cursor(frame[start : start + row["payload_bytes"]], row["payload_bytes"])
        try:
            kind, carried, which = find(row, frame, cursor)
            if row["is_fragment"]:
                raise Closed("FRAGMENT")
            if level == depth:
                raise Closed("DEPTH")
            inner = inside(row, cursor, carried, start + cursor.n_taken)
        except Closed as closed:
            counts[f"unopened {closed}"] += bool(str(closed))
            return row
        counts[f"opened {kind}"] += 1
        row = inner | {"tunnel_id": tunnel_id(row, kind, which)}
    return row


def find(row: Row, frame: bytes, cursor: Cursor) -> tuple[str, int, int | None]:
    """Kind, EtherType of what is inside, and the number that both directions share."""
    if row["proto"] == 4:
        return "IPV4", 0x0800, None
    if row["proto"] == 41:
        return "IPV6", 0x86DD, None
    if row["proto"] == 47:
        header = frame[row["payload_start"] - row["transport_header_bytes"] : row["payload_start"]]
        return gre(header, cursor)
    if row["proto"] != 17:
        raise Closed("")
    kind = PORTS.get(row["dst_port"]) or PORTS.get(row["src_port"])
    if kind is None:
        raise Closed("")
    if row["udp_bytes"] and row["udp_bytes"] - 8 < cursor.n_wire:
        cursor.end_after(row["udp_bytes"] - 8)
    readers = {
        "VXLAN": vxlan,
        "GENEVE": geneve,
        "GTP_U": gtp_u,
        "TEREDO": teredo,
        "L2TP": l2tp,
    }
    carried, which = readers[kind](cursor)
    return kind, carried, which


def gre(header: bytes, cursor: Cursor) -> tuple[str, int, int | None]:
    flags, carried = struct.unpack("!HH", header[:4])
    bit = [bool(flags & 0x8000 >> i) for i in range(16)]
    checksum, routing, key, sequence, version = bit[0], bit[1], bit[2], bit[3], flags % 8
    if version == 1:
        if carried != PPP or not key:
            raise Closed("MALFORMED")
        if not sequence:
            raise Closed("")
        cursor.end_after(number(header[4:6]))
        return "PPTP", PPP, None
    if version > 1 or routing:
        raise Closed("UNSUPPORTED")
    if carried == 0x88BE:
        if sequence and cursor.take(8)[0] >> 4 != 1:
            raise Closed("UNSUPPORTED")
        return "ERSPAN", ETHERNET, None
    if carried == 0x22EB:
        third = cursor.take(12)
        if third[0] >> 4 != 2 or third[10] & 0b0111_1100:
            raise Closed("UNSUPPORTED")
        cursor.take(8 if third[11] & 1 else 0)
        return "ERSPAN", ETHERNET, None
    if carried < 1536:
        raise Closed("UNSUPPORTED")
    where = 8 if checksum else 4
    is_nvgre = carried == ETHERNET and not checksum and not sequence
    key_bytes = 3 if is_nvgre else 4
    return "GRE", carried, number(header[where : where + key_bytes]) if key else None


def vxlan(cursor: Cursor) -> tuple[int, int | None]:
    header = cursor.take(8)
    if not header[0] & 8:
        raise Closed("MALFORMED")
    return ETHERNET, number(header[4:7])


def geneve(cursor: Cursor) -> tuple[int, int | None]:
    header = cursor.take(8)
    version, words = divmod(header[0], 64)
    if version:
        raise Closed("UNSUPPORTED")
    if header[1] & 0x80:
        raise Closed("")
    carried = number(header[2:4])
    if carried < 1536:
        raise Closed("UNSUPPORTED")
    cursor.take(words * 4)
    return carried, number(header[4:7])


def gtp_u(cursor: Cursor) -> tuple[int, int | None]:
    flags, message, length, _ = struct.unpack("!BBHI", cursor.take(8))
    if flags >> 4 != 0b0011:
        raise Closed("UNSUPPORTED")
    if message != 255:
        raise Closed("")
    cursor.end_after(length)
    if flags & 7:
        following = cursor.take(4)[3] if flags & 4 else cursor.take(4)[3] * 0
        for n_extensions in range(17):
            if not following:
                break
            if n_extensions == 16:
                raise Closed("MALFORMED")
            words = cursor.peek(1)[0]
            if not words:
                raise Closed("MALFORMED")
            following = cursor.take(4 * words)[-1]
    return ip_version(cursor), None


def ip_version(cursor: Cursor) -> int:
    versions = {4: 0x0800, 6: 0x86DD}
    version = cursor.peek(1)[0] >> 4
    if version not in versions:
        raise Closed("UNSUPPORTED")
    return versions[version]


def teredo(cursor: Cursor) -> tuple[int, int | None]:
    if cursor.peek(2) == b"\x00\x01":
        _, n_id, n_value = struct.unpack("!HBB", cursor.peek(13)[:4])
        cursor.peek(13 + n_id + n_value + 2)
        cursor.take(13 + n_id + n_value)
    if cursor.peek(2) == b"\x00\x00":
        cursor.take(8)
    if ip_version(cursor) != 0x86DD:
        raise Closed("MALFORMED")
    return 0x86DD, None


def l2tp(cursor: Cursor) -> tuple[int, int | None]:
    bits = f"{number(cursor.peek(6)[:2]):016b}"
    is_control, has_length, has_sequence, has_offset = (bits[i] == "1" for i in (0, 1, 4, 6))
    if int(bits[12:], 2) != 2:
        raise Closed("UNSUPPORTED")
    if is_control:
        raise Closed("")
    if has_length:
        cursor.end_after(number(cursor.peek(6)[2:4]))
    n_fixed = 6 + 2 * has_length + 4 * has_sequence
    if has_offset:
        n_fixed += 2 + number(cursor.peek(n_fixed + 2)[-2:])
    cursor.take(n_fixed)
    return PPP, None


def inside(outer: Row, cursor: Cursor, carried: int, start: int) -> Row:
    """The row of what is left in the cursor, which begins at byte `start` of the frame."""
    put_before, link_type = bytes(12) + struct.pack("!H", carried), 1
    if carried == ETHERNET:
        put_before = b""
    if carried == PPP:
        put_before, link_type = b"", 9
    if carried in WLAN:
        put_before, link_type = b"", 105
    n_put = len(put_before)
    tci = outer["vlan_tci"] if outer["n_vlan_tags"] else -1
    row = naive.decode(put_before + cursor.captured, n_put + cursor.n_wire, link_type, tci)
    if row["status"] != "OK":
        raise Closed(reason(row["status"]))
    for name in ("captured_bytes", "wire_bytes"):
        row[name] = outer[name]
    if carried != ETHERNET and row["eth_src"] == row["eth_dst"] == 0:
        row |= {"eth_src": outer["eth_src"], "eth_dst": outer["eth_dst"]}
    if outer["n_vlan_tags"]:
        row["n_vlan_tags"] += outer["n_vlan_tags"] - 1
    if row["payload_start"]:
        row["payload_start"] += start - n_put
    return row


def reason(status: str) -> str:
    words = status.split("_")
    if words[-1] == "TRUNCATED":
        return "TRUNCATED"
    return "MALFORMED" if {"BAD", "TOO", "BEYOND"} & set(words) else "UNSUPPORTED"


def tunnel_id(outer: Row, kind: str, which: int | None) -> int:
    kinds = ["IPV4", "IPV6", "GRE", "PPTP", "ERSPAN", "VXLAN", "GENEVE", "GTP_U", "TEREDO", "L2TP"]
    so_far = mix(mix(outer["tunnel_id"]) ^ 1 + kinds.index(kind))
    if which is not None:
        return mix(so_far ^ which) or 1
    a, b = (address(outer[f"{side}_hi"] << 64 | outer[f"{side}_lo"]) for side in ("src", "dst"))
    return mix(mix(so_far ^ (a & b)) ^ a ^ b) or 1


def address(bits: int) -> int:
    so_far = 0
    for shift in (96, 64, 32, 0):
        so_far = mix(so_far ^ bits >> shift & MASK)
    return so_far


def mix(x: int) -> int:
    x = (x ^ x >> 16) * 0x21F0AAAD & MASK
    x = (x ^ x >> 15) * 0x735A2D97 & MASK
    return x ^ x >> 15


def decode(frame: Any, depth: int, counts: Counter[str]) -> Row:
    """What `naive.decode` says of a made frame, and what is inside its tunnels."""
    outer = naive.decode(frame.data, frame.wire_bytes, frame.link_type, frame.vlan_tci)
    return open_all(outer, frame.data, depth, counts)

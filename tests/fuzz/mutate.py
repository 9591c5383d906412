"""Changes that hurt: to any bytes, to frames, to capture files; all come from one Random."""

import struct
from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[Random, bytes], bytes]

_BYTES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 20, 44, 0x45, 0x4F, 0x60, 0x7F, 0x80, 0x81, 0xFE, 0xFF)
#: EtherTypes, protocol and port numbers that lead into another header.
_WORDS = (
    *(0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x9100, 0x8847, 0x8848, 0x8863, 0x8864, 0x8870),
    *(0x6558, 0x88BE, 0x22EB, 0x880B, 4789, 8472, 6081, 2152, 3544, 1701, 0x0021, 0x0057, 1500),
)
_PROTOCOLS = (0, 1, 2, 4, 6, 17, 33, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136, 139, 140)


def hostile_number(random: Random, n_bytes: int, near: int) -> int:
    """A number that a length field must not be believed with; `near` is the right one."""
    top = (1 << 8 * n_bytes) - 1
    choices = (0, 1, 3, 4, 7, 8, 19, 20, top, top - 1, top >> 1, (top >> 1) + 1)
    delta = random.choice((-9, -8, -4, -2, -1, 1, 2, 4, 8, 9))
    return random.choice((*choices, *[(near + delta) & top] * 6, near & top))


def flip_bits(random: Random, raw: bytes) -> bytes:
    """One to eight bits."""
    out = bytearray(raw)
    for _ in range(random.choice((1, 1, 2, 8))):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def set_byte(random: Random, raw: bytes) -> bytes:
    """One byte to a value that means something."""
    at = random.randrange(len(raw))
    return raw[:at] + bytes([random.choice((*_BYTES, *_PROTOCOLS))]) + raw[at + 1 :]


def set_word(random: Random, raw: bytes) -> bytes:
    """Two or four bytes to a length, right or nearly, or to a number that names a header."""
    n_bytes = random.choice((2, 2, 4))
    if len(raw) < n_bytes:
        return raw
    at = random.randrange(len(raw) - n_bytes + 1)
    left = len(raw) - at - random.choice((0, n_bytes, 4, 8))
    number = hostile_number(random, n_bytes, left)
    if random.random() < 0.3:
        number = random.choice(_WORDS)
    order = random.choice(("big", "big", "little"))
    return raw[:at] + number.to_bytes(n_bytes, order) + raw[at + n_bytes :]  # type: ignore[arg-type]


def truncate(random: Random, raw: bytes) -> bytes:
    """Less of it."""
    return raw[: random.randrange(len(raw) + 1)]


def extend(random: Random, raw: bytes) -> bytes:
    """More behind it."""
    return raw + random.randbytes(random.choice((1, 2, 8, 40)))


def remove(random: Random, raw: bytes) -> bytes:
    """A piece taken out."""
    lo = random.randrange(len(raw))
    return raw[:lo] + raw[lo + random.choice((1, 2, 4, 8, 20)) :]


def repeat(random: Random, raw: bytes) -> bytes:
    """A piece again and again: chains of headers."""
    lo = random.randrange(len(raw))
    hi = min(len(raw), lo + random.choice((1, 2, 4, 8, 20, 28, 40, 50)))
    times = random.choice((1, 1, 2, 8, 20, 70))
    return raw[:lo] + raw[lo:hi] * times + raw[lo:]


def _on_bytes(random: Random, raw: bytes, how: Sequence[Mutation], most: int) -> bytes:
    for _ in range(random.randint(0, most)):
        if raw:
            raw = random.choice(how)(random, raw)
    return raw


_FRAME = (flip_bits, set_byte, set_byte, set_word, set_word, truncate, extend, remove, repeat)


def spoil_frame(random: Random, raw: bytes, others: Sequence[bytes], most: int = 4) -> bytes:
    """A frame changed at random, joined with another or put into it."""
    chance = random.random()
    if chance < 0.1:
        other = random.choice(others)
        raw = raw[: random.randrange(len(raw) + 1)] + other[random.randrange(len(other) + 1) :]
    elif chance < 0.2:
        # The headers of one in front of all of another, without its Ethernet header or with it.
        raw = (
            raw[: random.choice((14, 18, 34, 38, 42, 50, 54, 62))]
            + random.choice(others)[random.choice((0, 14)) :]
        )
    return _on_bytes(random, raw, _FRAME, most)


def set_field(random: Random, raw: bytes, at: int, n_bytes: int, mask: int) -> bytes:
    """A length field, of which `mask` is the number's place, to a value that is wrong."""
    if at + n_bytes > len(raw):
        return raw
    shift = (mask & -mask).bit_length() - 1
    whole = int.from_bytes(raw[at : at + n_bytes], "big")
    near = (whole & mask) >> shift
    number = hostile_number(random, n_bytes, near) << shift & mask
    return raw[:at] + (whole & ~mask | number).to_bytes(n_bytes, "big") + raw[at + n_bytes :]


# --- capture files ---------------------------------------------------------------------------


def order_of(raw: bytes) -> str:
    """Byte order of a capture, as struct writes it; little where it cannot be told."""
    if raw[:4] == b"\n\r\r\n":
        return ">" if raw[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
    return ">" if raw[:2] == b"\xa1\xb2" or raw[:5] == b"snoop" else "<"


def borders(raw: bytes) -> list[int]:
    """Where records begin, as far as the lengths lead, and the end."""
    if raw[:4] == b"\n\r\r\n":
        return _blocks(raw)
    is_snoop = raw[:5] == b"snoop"
    header, record, at = (16, 24, 8) if is_snoop else (24, 16, 8)
    found, lo, order = [], header, order_of(raw)
    while lo + record <= len(raw):
        found.append(lo)
        (size,) = struct.unpack_from(order + "I", raw, lo + at)
        lo += max(size, record) if is_snoop else record + size
    return [*found, len(raw)]


def _blocks(raw: bytes) -> list[int]:
    found, lo, order = [], 0, "<"
    while lo + 12 <= len(raw):
        found.append(lo)
        if raw[lo : lo + 4] == b"\n\r\r\n":
            order = order_of(raw[lo:])
        (size,) = struct.unpack_from(order + "I", raw, lo + 4)
        lo += max(12, size)
    return [*found, len(raw)]


def set_length(random: Random, raw: bytes) -> bytes:
    """One of the first eight words of a record, often a length, set to a hostile number."""
    lo = random.choice(borders(raw))
    at = lo + 4 * random.randrange(8)
    if at + 4 > len(raw):
        return raw
    order = order_of(raw)
    (near,) = struct.unpack_from(order + "I", raw, at)
    number = hostile_number(random, 4, random.choice((near, len(raw) - lo)))
    out = raw[:at] + struct.pack(order + "I", number) + raw[at + 4 :]
    if random.random() < 0.3 and raw[:4] == b"\n\r\r\n" and 12 <= number <= len(out) - lo:
        # The same length at the end of the block, so that it is believed.
        end = lo + number
        out = out[: end - 4] + struct.pack(order + "I", number) + out[end:]
    return out


def set_option(random: Random, raw: bytes) -> bytes:
    """Code and length of an option anywhere, aligned as options are."""
    at = 4 * random.randrange(max(1, len(raw) // 4))
    if random.random() < 0.4:
        # The last one of a block, with nothing behind it but the block's length.
        at = max(0, random.choice(borders(raw)) - random.choice((8, 8, 12, 16)))
    order = order_of(raw)
    code = random.choice((0, 1, 2, 4, 5, 9, 11, 14, 0x0BAC, 0xFFFF))
    size = random.choice((0, 1, 2, 4, 8, 9, 0xFFFC, 0xFFFF))
    return raw[:at] + struct.pack(order + "HH", code, size) + raw[at + 4 :]


def _pick(random: Random, raw: bytes) -> tuple[int, int]:
    places = borders(raw)
    k = random.randrange(len(places))
    return places[k], places[min(k + 1, len(places) - 1)]


def drop_record(random: Random, raw: bytes) -> bytes:
    """One record less."""
    lo, hi = _pick(random, raw)
    return raw[:lo] + raw[hi:]


def double_record(random: Random, raw: bytes) -> bytes:
    """One record again, there or elsewhere."""
    lo, hi = _pick(random, raw)
    at = random.choice(borders(raw))
    return raw[:at] + raw[lo:hi] + raw[at:]


def swap_records(random: Random, raw: bytes) -> bytes:
    """Two records change places."""
    (a, b), (c, d) = sorted((_pick(random, raw), _pick(random, raw)))
    return raw[:a] + raw[c:d] + raw[b:c] + raw[a:b] + raw[d:] if b <= c else raw


def cut_at_border(random: Random, raw: bytes) -> bytes:
    """Ends at a record, or a few bytes beside."""
    return raw[: max(0, random.choice(borders(raw)) + random.choice((-1, 0, 1, 4, 15, 16)))]


def set_header(random: Random, raw: bytes) -> bytes:
    """Magic, version or link type of a pcap header; version and mark of a section."""
    magics = ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "34cdb2a1", "a1b2cd34", "0a0d0d0a")
    choices = [(0, bytes.fromhex(random.choice(magics))), (8, random.randbytes(4))]
    version = struct.pack(order_of(raw) + "HH", random.choice((0, 1, 2, 543)), random.randrange(6))
    link = struct.pack(order_of(raw) + "HH", random.choice((0, 1, 101, 113, 276, 189)), 0)
    at, new = random.choice([*choices, (4, version), (12, version), (20, link), (20, link[::-1])])
    return raw[:at] + new + raw[at + len(new) :]


_FILE = (
    *(set_length, set_length, set_length, set_option, drop_record, double_record, swap_records),
    *(cut_at_border, set_header, flip_bits, set_byte, truncate, remove, extend),
)


def spoil_file(random: Random, raw: bytes, others: Sequence[bytes], most: int = 4) -> bytes:
    """A capture changed at random, or joined with another at the borders of records."""
    if random.random() < 0.15:
        other = random.choice(others)
        lo = random.choice([0, *borders(other)])
        raw = raw[: random.choice(borders(raw))] + other[lo:]
    return _on_bytes(random, raw, _FILE, most)

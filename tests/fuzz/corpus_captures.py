"""Files of the corpus, by name: one of every format that is right, and then its lengths wrong.

The outcome is "ok", a Damage, or "refused"; `packets` are those that are read before it.
"""

import gzip
import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from tests.capture import makers
from tests.decode.made import GOOD

_FRAME = GOOD["tcp"].data  # 67 bytes
_NS = 1_700_000_000 * 10**9
_TWO = [(_NS, _FRAME), (_NS + 10**9, GOOD["udp"].data)]


@dataclass(frozen=True)
class CaptureEntry:
    """One file of corpus/captures and what it must come to."""

    name: str
    raw: bytes
    packets: int
    outcome: str


def _patched(raw: bytes, at: int, new: bytes) -> bytes:
    return raw[:at] + new + raw[at + len(new) :]


def _u32(number: int, order: str = "<") -> bytes:
    return struct.pack(order + "I", number & 0xFFFFFFFF)


PCAP = makers.pcap(_TWO)
_SECOND = 24 + 16 + len(_FRAME)  # where the second record begins


def _pcap() -> dict[str, tuple[bytes, int, str]]:
    def second(at: int, number: int) -> bytes:
        return _patched(PCAP, _SECOND + at, _u32(number))

    left = len(PCAP) - _SECOND - 16
    return {
        "pcap_good": (makers.pcap(_TWO[:1]), 1, "ok"),
        "pcap_big_endian_good": (makers.pcap(_TWO, order=">", nano=True), 2, "ok"),
        "pcap_header_cut": (PCAP[:23], 0, "refused"),
        "pcap_header_only": (PCAP[:24], 0, "ok"),
        "pcap_version_zero": (_patched(PCAP, 4, bytes(4)), 0, "refused"),
        "pcap_version_ffff": (_patched(PCAP, 4, b"\xff\xff"), 0, "refused"),
        "pcap_snap_length_zero": (_patched(PCAP, 16, bytes(4)), 2, "ok"),
        "pcap_snap_length_ffffffff": (_patched(PCAP, 16, b"\xff" * 4), 2, "ok"),
        "pcap_link_type_ffffffff": (_patched(PCAP, 20, b"\xff" * 4), 2, "ok"),
        "pcap_captured_zero": (second(8, 0)[: _SECOND + 16], 2, "ok"),
        "pcap_captured_one_short": (second(8, left - 1), 2, "cut_short"),
        "pcap_captured_one_beyond": (second(8, left + 1), 1, "cut_short"),
        "pcap_captured_max": (second(8, 262_144), 1, "cut_short"),
        "pcap_captured_max_and_one": (second(8, 262_145), 1, "corrupt"),
        "pcap_captured_80000000": (second(8, 1 << 31), 1, "corrupt"),
        "pcap_captured_ffffffff": (second(8, -1), 1, "corrupt"),
        "pcap_captured_wraps_to_itself": (second(8, -16), 1, "corrupt"),
        "pcap_wire_zero": (second(12, 0), 2, "ok"),
        "pcap_wire_ffffffff": (second(12, -1), 2, "ok"),
        "pcap_fraction_ffffffff": (second(4, -1), 2, "ok"),
        "pcap_seconds_ffffffff": (second(0, -1), 2, "ok"),
        "pcap_record_header_cut": (PCAP[: _SECOND + 15], 1, "cut_short"),
    }


_HEAD = makers.section() + makers.interface(tsresol=9)
_PACKET = makers.enhanced(_NS, _FRAME)  # 32 + 68 bytes
_LAST = makers.enhanced(_NS, b"last")


def _both(block: bytes, total: int) -> bytes:
    """The same wrong length at both ends of a block."""
    return block[:4] + _u32(total) + block[8:-4] + _u32(total)


def _enhanced(at: int, number: int) -> bytes:
    return _HEAD + _PACKET + _patched(_PACKET, at, _u32(number)) + _LAST


def _option(code: int, size: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH", code, size) + value


def _interface(options: bytes) -> bytes:
    return makers.section() + makers.block("<", 1, struct.pack("<HHI", 1, 0, 0) + options) + _LAST


def _packet(options: bytes) -> bytes:
    head = struct.pack("<IIIII", 0, _NS >> 32, _NS & 0xFFFFFFFF, 4, 4)
    return _HEAD + makers.block("<", 6, head + b"four" + options) + _LAST


def _pcapng() -> dict[str, tuple[bytes, int, str]]:
    good = _HEAD + _PACKET + _LAST
    return {
        "pcapng_good": (good, 2, "ok"),
        "pcapng_rich": (makers.rich_pcapng(), 8, "ok"),
        "pcapng_block_length_zero": (_HEAD + _PACKET + _both(_PACKET, 0), 1, "corrupt"),
        "pcapng_block_length_eleven": (_HEAD + _PACKET + _both(_PACKET, 11), 1, "corrupt"),
        "pcapng_block_length_twelve": (_HEAD + _PACKET + _both(_PACKET[:12], 12), 1, "corrupt"),
        "pcapng_block_length_below_packet": (
            _HEAD + _PACKET + _both(_PACKET[:28], 28),
            1,
            "corrupt",
        ),
        "pcapng_block_length_odd": (_HEAD + _PACKET + _both(_PACKET, 99), 2, "ok"),
        "pcapng_block_length_one_block_beyond": (_HEAD + _both(_PACKET, 104), 0, "cut_short"),
        "pcapng_block_length_64_mib": (_HEAD + _both(_PACKET, 64 << 20), 0, "cut_short"),
        "pcapng_block_length_above_64_mib": (_HEAD + _both(_PACKET, (64 << 20) + 4), 0, "corrupt"),
        "pcapng_block_length_fffffffc": (_HEAD + _both(_PACKET, 0xFFFFFFFC), 0, "corrupt"),
        "pcapng_block_lengths_differ": (_HEAD + _PACKET[:-4] + _u32(104) + _LAST, 0, "corrupt"),
        "pcapng_block_cut": (_HEAD + _PACKET + _PACKET[:-1], 1, "cut_short"),
        "pcapng_block_header_cut": (_HEAD + _PACKET + _PACKET[:11], 1, "cut_short"),
        "pcapng_section_alone": (makers.section(), 0, "ok"),
        "pcapng_section_length_zero": (_both(makers.section(), 0) + good[28:], 0, "refused"),
        "pcapng_section_length_24": (_both(makers.section(), 24) + good[28:], 0, "refused"),
        "pcapng_section_length_beyond_file": (_both(makers.section(), 4096), 0, "refused"),
        "pcapng_section_mark_unknown": (_patched(good, 8, b"\1\2\3\4"), 0, "refused"),
        "pcapng_section_version_two": (makers.section(version=2) + good[28:], 0, "refused"),
        "pcapng_section_content_length_zero": (_patched(good, 16, bytes(8)), 2, "ok"),
        "pcapng_section_content_length_max": (_patched(good, 16, b"\xff" * 7 + b"\x7f"), 2, "ok"),
        "pcapng_second_section_cut": (good + makers.section()[:27], 2, "cut_short"),
        "pcapng_second_section_length_zero": (good + _both(makers.section(), 0), 2, "corrupt"),
        "pcapng_second_section_forgets_interfaces": (good + makers.section() + _LAST, 2, "corrupt"),
        "pcapng_interface_length_16": (
            makers.section() + makers.block("<", 1, bytes(4)) + _LAST,
            0,
            "corrupt",
        ),
        "pcapng_interface_number_unknown": (_enhanced(8, 1), 1, "corrupt"),
        "pcapng_interface_number_ffffffff": (_enhanced(8, -1), 1, "corrupt"),
        "pcapng_time_ffffffffffffffff": (
            _HEAD + _patched(_PACKET, 12, b"\xff" * 8) + _LAST,
            2,
            "ok",
        ),
        "pcapng_captured_zero": (_enhanced(20, 0), 3, "ok"),
        "pcapng_captured_one_beyond_padding": (_enhanced(20, 69), 1, "corrupt"),
        "pcapng_captured_ffffffff": (_enhanced(20, -1), 1, "corrupt"),
        "pcapng_captured_80000000": (_enhanced(20, 1 << 31), 1, "corrupt"),
        "pcapng_wire_zero": (_enhanced(24, 0), 3, "ok"),
        "pcapng_wire_ffffffff": (_enhanced(24, -1), 3, "ok"),
        "pcapng_option_length_ffff": (_packet(_option(2, 0xFFFF, bytes(4))), 2, "ok"),
        "pcapng_option_length_zero": (_packet(_option(2, 0) * 3), 2, "ok"),
        "pcapng_option_length_one_beyond": (_packet(_option(2, 5, bytes(4))), 2, "ok"),
        "pcapng_option_header_at_the_end": (_packet(_option(2, 4)), 2, "ok"),
        "pcapng_option_header_at_the_end_of_the_file": (
            _packet(_option(2, 4))[: -len(_LAST)],
            1,
            "ok",
        ),
        "pcapng_drop_count_beyond_the_file": (_packet(_option(4, 8))[: -len(_LAST)], 1, "ok"),
        "pcapng_drop_count_half": (_packet(_option(4, 8, bytes(4)))[: -len(_LAST)], 1, "ok"),
        "pcapng_statistics_drops_beyond_the_file": (
            _HEAD + _PACKET + makers.block("<", 5, bytes(12) + _option(5, 8)),
            1,
            "ok",
        ),
        "pcapng_if_name_length_ffff": (_interface(_option(2, 0xFFFF, b"eth0")), 1, "ok"),
        "pcapng_if_tsresol_length_zero": (_interface(_option(9, 0)), 1, "ok"),
        "pcapng_if_tsresol_7f": (_interface(_option(9, 1, b"\x7f\0\0\0")), 1, "ok"),
        "pcapng_if_tsresol_ff": (_interface(_option(9, 1, b"\xff\0\0\0")), 1, "ok"),
        "pcapng_if_tsoffset_min": (_interface(_option(14, 8, bytes(7) + b"\x80")), 1, "ok"),
        "pcapng_if_tsoffset_length_four": (_interface(_option(14, 4, bytes(4))), 1, "ok"),
        "pcapng_simple_wire_zero": (
            _HEAD + makers.simple(b"", wire=0) + makers.simple(b"abcd", wire=0),
            2,
            "ok",
        ),
        "pcapng_simple_wire_ffffffff": (_HEAD + makers.simple(b"abcd", wire=2**32 - 1), 1, "ok"),
        "pcapng_simple_without_interface": (makers.section() + makers.simple(b"ab"), 0, "corrupt"),
        "pcapng_obsolete_captured_ffffffff": (
            _HEAD + _patched(makers.obsolete(_NS, b"abcd"), 20, b"\xff" * 4),
            0,
            "corrupt",
        ),
        "pcapng_statistics_option_length_ffff": (
            _HEAD + makers.block("<", 5, bytes(12) + _option(4, 0xFFFF, bytes(8))) + _LAST,
            1,
            "ok",
        ),
        "pcapng_names_record_length_ffff": (
            _HEAD + makers.block("<", 4, _option(1, 0xFFFF, bytes(4))) + _LAST,
            1,
            "ok",
        ),
        "pcapng_secrets_length_ffffffff": (
            _HEAD + makers.block("<", 10, b"KSLT" + b"\xff" * 4) + _LAST,
            1,
            "ok",
        ),
        "pcapng_custom_block_empty": (_HEAD + makers.block("<", 0xBAD, b"") + _LAST, 1, "ok"),
        "pcapng_unknown_block_type_ffffffff": (
            _HEAD + makers.block("<", 0xFFFFFFFF, bytes(8)) + _LAST,
            1,
            "ok",
        ),
    }


def _snoop(*records: bytes) -> bytes:
    return b"snoop\0\0\0" + struct.pack(">II", 2, 4) + b"".join(records)


def _snoop_record(
    original: int = 67, included: int = 67, record: int = 92, data: bytes = _FRAME + b"\0"
) -> bytes:
    lengths = (original & 0xFFFFFFFF, included & 0xFFFFFFFF, record & 0xFFFFFFFF)
    return struct.pack(">IIIIII", *lengths, 0, 1_700_000_000, 5) + data


def _snoops() -> dict[str, tuple[bytes, int, str]]:
    good = _snoop_record()
    return {
        "snoop_good": (_snoop(good, good), 2, "ok"),
        "snoop_header_cut": (_snoop()[:15], 0, "refused"),
        "snoop_record_length_zero": (_snoop(good, _snoop_record(record=0)), 1, "corrupt"),
        "snoop_record_length_23": (_snoop(good, _snoop_record(record=23)), 1, "corrupt"),
        "snoop_record_length_below_included": (
            _snoop(good, _snoop_record(record=90)),
            1,
            "corrupt",
        ),
        "snoop_record_length_one_beyond": (_snoop(good, _snoop_record(record=93)), 1, "cut_short"),
        "snoop_record_length_ffffffff": (_snoop(good, _snoop_record(record=-1)), 1, "corrupt"),
        "snoop_included_ffffffff": (_snoop(good, _snoop_record(included=-1)), 1, "corrupt"),
        "snoop_included_zero": (_snoop(_snoop_record(67, 0, 24, b""), good), 2, "ok"),
        "snoop_original_zero": (_snoop(_snoop_record(original=0), good), 2, "ok"),
        "snoop_original_ffffffff": (_snoop(_snoop_record(original=-1), good), 2, "ok"),
    }


def _modified() -> dict[str, tuple[bytes, int, str]]:
    """Kuznetzov's patched libpcap: 8 more bytes in each record header."""
    head = b"\x34\xcd\xb2\xa1" + PCAP[4:24]
    record = struct.pack("<IIIIIHBB", 1_700_000_000, 5, 67, 67, 2, 0x0800, 0, 0) + _FRAME
    wrong = _patched(record, 8, b"\xff" * 4)
    return {
        "pcap_modified_good": (head + record + record, 2, "ok"),
        "pcap_modified_captured_ffffffff": (head + record + wrong, 1, "corrupt"),
        "pcap_modified_record_header_cut": (head + record + record[:23], 1, "cut_short"),
    }


def _packed() -> dict[str, tuple[bytes, int, str]]:
    packed = gzip.compress(PCAP, 9, mtime=0)
    xz = lzma.compress(PCAP, check=lzma.CHECK_CRC32)
    zst = zstandard.ZstdCompressor(write_checksum=True).compress(PCAP)
    stored = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01" + struct.pack("<HH", 9, 9) + PCAP[:9]
    extra = b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + packed[10:]
    skip = b"\x50\x2a\x4d\x18"
    return {
        "gzip_good": (packed, 2, "ok"),
        "gzip_cut": (packed[:-1], 2, "cut_short"),
        "gzip_size_wrong": (packed[:-4] + bytes(4), 0, "refused"),
        "gzip_extra_length_ffff": (extra, 0, "refused"),
        "gzip_stored_length_wrong": (stored, 0, "refused"),
        "gzip_header_only": (packed[:10], 0, "refused"),
        "xz_good": (xz, 2, "ok"),
        "xz_block_header_size_ff": (_patched(xz, 12, b"\xff"), 0, "refused"),
        "xz_cut": (xz[:-1], 2, "cut_short"),
        "zstd_good": (zst, 2, "ok"),
        "zstd_block_length_max": (_patched(zst, 6, b"\xfd\xff\xff"), 0, "refused"),
        "zstd_window_max": (zst[:4] + b"\x00\xff" + bytes(9), 0, "refused"),
        "zstd_cut": (zst[:-1], 0, "refused"),
        "zstd_skippable_ffffffff": (skip + b"\xff" * 4 + zst, 0, "refused"),
        "zstd_skippable_good": (skip + _u32(3) + b"abc" + zst, 2, "ok"),
    }


_SUFFIXES = {"pcap": ".pcap", "pcapng": ".pcapng", "snoop": ".snoop", "gzip": ".pcap.gz"}


def _suffix(name: str) -> str:
    kind = name.split("_")[0]
    return {"xz": ".pcap.xz", "zstd": ".pcap.zst"}.get(kind) or _SUFFIXES[kind]


def _entries() -> Sequence[CaptureEntry]:
    made = _pcap() | _modified() | _pcapng() | _snoops() | _packed()
    return [CaptureEntry(n + _suffix(n), *entry) for n, entry in made.items()]


CAPTURES: tuple[CaptureEntry, ...] = tuple(_entries())

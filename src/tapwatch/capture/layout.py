"""Byte offsets and magic numbers of capture files, and the rows the kernels work on. Only facts.

pcap: draft-ietf-opsawg-pcap. pcapng: draft-ietf-opsawg-pcapng. snoop: RFC 1761. Link types: the
LINKTYPE_ registry.
Offsets are relative to the start of their own header, record or block.
"""

from typing import Final

import numpy as np

# Magic numbers, as the first bytes of a file
GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
XZ_MAGIC: Final = b"\xfd7zXZ\x00"
PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"  # a palindrome: the same in both byte orders

SNOOP_MAGIC: Final = b"snoop\0\0\0"

#: Magic number of a pcap file -> nanoseconds in one unit of a record's fraction, bytes of a
#: record's header, bytes of the file's header. Each is found in both byte orders.
_PCAP_VARIANTS: Final = {
    0xA1B2C3D4: (1000, 16, 24),
    0xA1B23C4D: (1, 16, 24),
    0xA1B2CD34: (1000, 24, 24),  # Kuznetzov's: interface, protocol and kind of packet follow
    0x1C0001AC: (1000, 16, 28),  # Ixia, hardware and software: the bytes of all records follow
    0x1C0001AB: (1000, 16, 28),
}
#: First bytes of a pcap file -> (big-endian?, and what _PCAP_VARIANTS says)
PCAP_MAGICS: Final = {
    magic.to_bytes(4, "big" if is_big else "little"): (is_big, *variant)
    for magic, variant in _PCAP_VARIANTS.items()
    for is_big in (False, True)
}
MAGIC_MIN_BYTES: Final = 4  # what is shorter might have become any capture
MAGIC_BYTES: Final = 6  # enough to tell what is packed, and how

#: First bytes of what is met in folders of captures and cannot be read here, by name.
FOREIGN: Final = {
    b"GMBU": "a Microsoft Network Monitor 2 capture",
    b"RTSS": "a Microsoft Network Monitor 1 capture",
    b"TRSNIFF data": "a Sniffer capture",
    b"XCP\0": "a NetXRay or Windows Sniffer capture",
    b"iptrace ": "an AIX iptrace capture",
    b"btsnoop\0": "a Bluetooth capture (btsnoop)",
    b"\x04\x22\x4d\x18": "a file packed with lz4",
    b"BZh": "a file packed with bzip2",
    b"PK\3\4": "a zip archive",
}

# Which format a walk reads
PCAP: Final = 0
PCAPNG: Final = 1
SNOOP: Final = 2

# pcap file header
PCAP_VERSION_MAJOR: Final = 4  # and 2 bytes later the minor one
PCAP_LINK_TYPE: Final = 20  # low 16 bits; above them reserved bits and the length of the FCS
PCAP_HEADER_BYTES: Final = 24

# pcap record header
RECORD_SECONDS: Final = 0
RECORD_FRACTION: Final = 4
RECORD_CAPTURED: Final = 8
RECORD_WIRE: Final = 12
RECORD_HEADER_BYTES: Final = 16

# Order of the two lengths in a record: files before version 2.3 have the wire length first,
# writers of 2.3 disagree, so that there the larger one is the wire length.
LENGTHS_IN_ORDER: Final = 0
LENGTHS_SWAPPED: Final = 1
LENGTHS_BY_SIZE: Final = 2

# snoop file header
SNOOP_VERSION: Final = 8  # and 4 bytes later the datalink
SNOOP_HEADER_BYTES: Final = 16

#: Datalink of a snoop file -> LINKTYPE_ number. RFC 1761 has the first four (0 is IEEE 802.3, that
#: is Ethernet too); the others are Solaris's: loopback, IP over Fibre Channel, SunATM.
SNOOP_LINK_TYPES: Final = {0: 1, 2: 6, 4: 1, 8: 10, 9: 0, 14: 0, 16: 122, 18: 123}

# snoop record header, always big-endian
SNOOP_WIRE: Final = 0
SNOOP_CAPTURED: Final = 4
SNOOP_RECORD_BYTES: Final = 8  # with the header, and what pads the frame
SNOOP_DROPS: Final = 12  # lost by the recorder since the file's beginning
SNOOP_SECONDS: Final = 16
SNOOP_FRACTION: Final = 20
SNOOP_RECORD_HEADER_BYTES: Final = 24

# pcapng blocks
BLOCK_SECTION: Final = 0x0A0D0D0A
BLOCK_INTERFACE: Final = 1
BLOCK_OBSOLETE_PACKET: Final = 2
BLOCK_SIMPLE_PACKET: Final = 3
BLOCK_STATISTICS: Final = 5
BLOCK_ENHANCED_PACKET: Final = 6

BLOCK_TYPE: Final = 0
BLOCK_TOTAL_BYTES: Final = 4
BLOCK_MIN_BYTES: Final = 12
#: Longest block that is believed; what it may hold is much shorter.
BLOCK_MAX_BYTES: Final = 64 << 20

SECTION_BYTE_ORDER: Final = 8
SECTION_BYTE_ORDER_LITTLE: Final = b"\x4d\x3c\x2b\x1a"
SECTION_BYTE_ORDER_BIG: Final = b"\x1a\x2b\x3c\x4d"
SECTION_VERSION_MAJOR: Final = 12
SECTION_MIN_BYTES: Final = 28

INTERFACE_LINK_TYPE: Final = 8
INTERFACE_SNAP_BYTES: Final = 12
INTERFACE_OPTIONS: Final = 16
INTERFACE_MIN_BYTES: Final = 20
#: Interfaces of one section; with more of them the file is taken for damaged.
INTERFACES_MAX: Final = 65_536

# Enhanced and obsolete packet blocks agree but for the interface number: 32 bits; 16 bits, and then
# 16 for the packets that were lost since the one before.
PACKET_INTERFACE: Final = 8
PACKET_DROPS: Final = 10
PACKET_DROPS_UNKNOWN: Final = 0xFFFF
PACKET_TIME_HIGH: Final = 12
PACKET_TIME_LOW: Final = 16
PACKET_CAPTURED: Final = 20
PACKET_WIRE: Final = 24
PACKET_DATA: Final = 28
PACKET_MIN_BYTES: Final = 32

SIMPLE_WIRE: Final = 8
SIMPLE_DATA: Final = 12
SIMPLE_MIN_BYTES: Final = 16

STATISTICS_INTERFACE: Final = 8
STATISTICS_OPTIONS: Final = 20
STATISTICS_MIN_BYTES: Final = 24

# Options: code and length of 16 bits each, value padded to 32 bits
OPTION_END: Final = 0
OPTION_IF_NAME: Final = 2
OPTION_IF_TSRESOL: Final = 9
OPTION_IF_TSOFFSET: Final = 14
OPTION_PACKET_FLAGS: Final = 2
OPTION_PACKET_DROPS: Final = 4  # lost since the packet before
OPTION_STATISTICS_IF_DROPS: Final = 5  # lost by the interface since the capture began...
OPTION_STATISTICS_OS_DROPS: Final = 7  # ...and by the operating system
PACKET_FLAGS_DIRECTION: Final = 3  # 0 unknown, 1 inbound, 2 outbound
TSRESOL_DEFAULT: Final = 6  # microseconds
TSRESOL_BINARY: Final = 0x80

#: Longest frame that is believed. libpcap and Wireshark refuse longer ones too.
CAPTURED_MAX_BYTES: Final = 262_144
#: Link types whose frames are messages or transfers and may be long: DBUS, USB, EBHSCR...
CAPTURED_MAX_BYTES_LONG: Final = 32 << 20
LONG_LINK_TYPES: Final = frozenset({186, 189, 220, 231, 249, 266, 279, 288})

#: Latest time that is handed over, in the year 2116; its negative is the earliest. All that pcap's
#: 32 bits of seconds can say lies within, and the difference of any two times fits 64 bits.
TIME_MAX_NS: Final = (1 << 62) - 1
#: Highest count of lost packets that is believed; a float holds it exactly, and sums fit 64 bits.
DROPS_MAX: Final = 1 << 52
INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1

#: One interface of the current section, as the kernel needs it.
INTERFACE: Final = np.dtype(
    [
        ("ns_per_tick", "<u8"),  # 0 where a tick is shorter than 1 ns
        ("ticks_per_ns", "<u8"),  # 0 where more than fit: then all fractions are 0
        ("ticks_max", "<u8"),  # more ticks than these are more than 63 bits of nanoseconds
        ("offset_ns", "<i8"),  # if_tsoffset
        ("binary_shift", "<i4"),  # a tick is 2**-binary_shift s; -1 where it is a power of ten
        ("captured_max", "<i4"),  # longest frame that is believed
        ("snap_bytes", "<i8"),  # 0 where there is no limit
        ("packet_drops", "<i8"),  # what its packets say was lost by the recorder
        ("stated_drops", "<i8"),  # what its statistics say of the same
        ("link_type", "<u2"),
        ("id", "<u2"),  # number within the source, see delivery.InterfaceTable
    ],
    align=True,
)

#: Where the walk through one file is, and what it has to know of the file.
WALK: Final = np.dtype(
    [
        ("offset", "<i8"),  # next byte, relative to the data handed to the kernel
        ("need_bytes", "<i8"),  # wanted at `offset`, where the data ended too early
        ("clock_ns", "<i8"),  # running maximum of ts_ns
        ("packets", "<i8"),  # records read
        ("skipped_blocks", "<i8"),  # pcapng blocks of which nothing is read
        ("recorder_dropped", "<i8"),  # packets that the recorder says it lost
        ("saturated_times", "<i8"),  # time stamps beyond TIME_MAX_NS
        ("interfaces", "<i8"),  # of the current section
        ("touched", "<i8"),  # sum of the bytes that were read ahead only to have them in cache
        ("fraction_ns", "<i8"),  # pcap: 1000 or 1
        ("lengths_order", "<i8"),  # pcap: LENGTHS_*
        ("record_header_bytes", "<i8"),  # pcap: 16 or 24
        ("format", "u1"),  # PCAP, PCAPNG or SNOOP
        ("is_big_endian", "u1"),
    ],
    align=True,
)

#: What the frames handed over so far add up to.
DELIVERED: Final = np.dtype(
    [
        ("packets", "<i8"),  # up to the last one handed over, those that a filter kept back too
        ("gap", "<i8"),  # kept back since then
        ("filtered", "<i8"),  # kept back in all
        ("bytes", "<i8"),  # on the wire
        ("truncated_packets", "<i8"),  # captured < wire
        ("late_frames", "<i8"),  # older than a frame before them
        ("clock_ns", "<i8"),  # running maximum of ts_ns
    ],
    align=True,
)

# How a walk stopped
FULL: Final = 0  # no more room for frames
END: Final = 1  # the data ended between two records
INCOMPLETE: Final = 2  # the data ended within one; `need_bytes` says how much of it is wanted
SECTION: Final = 3  # a section header block, for Python to read
NEW_INTERFACE: Final = 4  # an interface description block, for Python to read
BAD_CAPTURED_BYTES: Final = 5
BAD_BLOCK_BYTES: Final = 6
BAD_BLOCK_END: Final = 7
BAD_INTERFACE: Final = 8
BAD_RECORD_BYTES: Final = 9

#: What each kind of damage is called; the rest of the file cannot be read past it.
DAMAGE: Final = {
    BAD_CAPTURED_BYTES: "a captured length that cannot be",
    BAD_BLOCK_BYTES: "a block length that cannot be",
    BAD_BLOCK_END: "a block whose two lengths differ",
    BAD_INTERFACE: "a packet of an interface that is not described",
    BAD_RECORD_BYTES: "a record length that cannot be",
}

"""What is read once and not per packet: headers of files and sections, interfaces."""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture import layout as at
from tapwatch.capture.delivery import InterfaceTable

_NAME_MAX_BYTES: Final = 256
_BILLION: Final = 1_000_000_000


def interface_row(
    link_type: int,
    interface_id: int,
    *,
    tsresol: int = at.TSRESOL_DEFAULT,
    offset_s: int = 0,
    snap_bytes: int = 0,
) -> NDArray[Any]:
    """Make an INTERFACE (1,).

    Parameters
    ----------
    link_type, interface_id : int
        LINKTYPE_ number and the source's id.
    tsresol : int
        if_tsresol: a tick is 10**-tsresol s, or 2**-(tsresol & 0x7f) s where the top bit is set.
    offset_s : int
        if_tsoffset, s; saturated at TIME_MAX_NS.
    snap_bytes : int
        0 where there is no limit.
    """
    exponent = tsresol & 0x7F
    is_binary = tsresol & at.TSRESOL_BINARY
    is_long = link_type in at.LONG_LINK_TYPES
    row = np.zeros(1, at.INTERFACE)
    row["binary_shift"] = exponent if is_binary else -1
    if exponent < 9:
        row["ns_per_tick"] = 10 ** (9 - exponent)
        row["ticks_max"] = at.INT64_MAX // 10 ** (9 - exponent)
    else:
        # 10**19 is the last power of ten below 2**64: finer ticks never make up a nanosecond.
        row["ticks_per_ns"] = 10 ** (exponent - 9) if exponent - 9 <= 19 else 0
        row["ticks_max"] = at.INT64_MAX if exponent == 9 else (1 << 64) - 1
    row["offset_ns"] = max(-at.TIME_MAX_NS, min(at.TIME_MAX_NS, offset_s * _BILLION))
    row["captured_max"] = at.CAPTURED_MAX_BYTES_LONG if is_long else at.CAPTURED_MAX_BYTES
    row["snap_bytes"] = snap_bytes
    row["link_type"] = link_type
    row["id"] = interface_id
    return row


def read_pcap_header(
    header: bytes, state: NDArray[Any], table: InterfaceTable
) -> tuple[NDArray[Any], str]:
    """Read a pcap file header, all of which is there.

    Returns
    -------
    interfaces : INTERFACE (1,)
        The one interface; pcap knows no name of it.
    trouble : str
        What cannot be read here; "" where all is well.
    """
    is_big, fraction_ns, record_header_bytes, header_bytes = at.PCAP_MAGICS[header[:4]]
    order = ">" if is_big else "<"
    major, minor = struct.unpack_from(order + "HH", header, at.PCAP_VERSION_MAJOR)
    (network,) = struct.unpack_from(order + "I", header, at.PCAP_LINK_TYPE)
    link_type = network & 0xFFFF
    row = state[0]
    row["offset"] = header_bytes
    row["record_header_bytes"] = record_header_bytes
    row["is_big_endian"] = is_big
    row["fraction_ns"] = fraction_ns
    row["lengths_order"] = at.LENGTHS_IN_ORDER
    # 543.0 was written by an old tcpdump of DG/UX; as all before 2.3, with the lengths swapped.
    if (major, minor) == (543, 0) or (major == 2 and minor < 3):
        row["lengths_order"] = at.LENGTHS_SWAPPED
    elif (major, minor) == (2, 3):
        row["lengths_order"] = at.LENGTHS_BY_SIZE
    elif major != 2:
        return np.zeros(0, at.INTERFACE), f"pcap version {major}.{minor}"
    return interface_row(link_type, table.id_of(link_type, "")), ""


def read_snoop_header(
    header: bytes, state: NDArray[Any], table: InterfaceTable
) -> tuple[NDArray[Any], str]:
    """Read a snoop file header, all of which is there (RFC 1761 section 3).

    Returns
    -------
    interfaces : INTERFACE (1,)
        The one interface; snoop knows no name of it.
    trouble : str
        What cannot be read here; "" where all is well.
    """
    version, datalink = struct.unpack_from(">II", header, at.SNOOP_VERSION)
    if version != 2:
        return np.zeros(0, at.INTERFACE), f"snoop version {version}"
    if datalink not in at.SNOOP_LINK_TYPES:
        return np.zeros(0, at.INTERFACE), f"a snoop capture of the unknown datalink {datalink}"
    row = state[0]
    row["format"] = at.SNOOP
    row["offset"] = at.SNOOP_HEADER_BYTES
    row["is_big_endian"] = 1
    link_type = at.SNOOP_LINK_TYPES[datalink]
    return interface_row(link_type, table.id_of(link_type, "")), ""


def read_section(block: bytes, state: NDArray[Any]) -> tuple[int, str]:
    """Read the first SECTION_MIN_BYTES of a section header block.

    Returns
    -------
    total_bytes : int
        Length of the whole block, with what pads it to 32 bits.
    trouble : str
        What cannot be read here; "" where all is well.
    """
    mark = block[at.SECTION_BYTE_ORDER : at.SECTION_BYTE_ORDER + 4]
    if mark not in (at.SECTION_BYTE_ORDER_LITTLE, at.SECTION_BYTE_ORDER_BIG):
        return 0, f"a section whose byte-order mark is {mark.hex(' ')}"
    order = ">" if mark == at.SECTION_BYTE_ORDER_BIG else "<"
    (total,) = struct.unpack_from(order + "I", block, at.BLOCK_TOTAL_BYTES)
    (major,) = struct.unpack_from(order + "H", block, at.SECTION_VERSION_MAJOR)
    if major != 1:
        return 0, f"pcapng version {major}"
    if total < at.SECTION_MIN_BYTES or total > at.BLOCK_MAX_BYTES:
        return 0, at.DAMAGE[at.BAD_BLOCK_BYTES]
    state[0]["is_big_endian"] = order == ">"
    return total + 3 & ~3, ""


def read_interface(block: bytes, *, is_big: bool, table: InterfaceTable) -> NDArray[Any]:
    """Read an interface description block, all of which is there, as an INTERFACE (1,).

    Options that do not fit the block, or have a length that is not theirs, are passed over.
    """
    order = ">" if is_big else "<"
    (link_type,) = struct.unpack_from(order + "H", block, at.INTERFACE_LINK_TYPE)
    (snap_bytes,) = struct.unpack_from(order + "I", block, at.INTERFACE_SNAP_BYTES)
    name, tsresol, offset_s = "", at.TSRESOL_DEFAULT, 0
    lo, hi = at.INTERFACE_OPTIONS, len(block) - 4
    while lo + 4 <= hi:
        code, n_bytes = struct.unpack_from(order + "HH", block, lo)
        value = block[lo + 4 : lo + 4 + n_bytes]
        if code == at.OPTION_END or lo + 4 + n_bytes > hi:
            break
        if code == at.OPTION_IF_NAME:
            name = value[:_NAME_MAX_BYTES].rstrip(b"\0").decode("utf-8", "replace")
        elif code == at.OPTION_IF_TSRESOL and n_bytes == 1:
            tsresol = value[0]
        elif code == at.OPTION_IF_TSOFFSET and n_bytes == 8:
            (offset_s,) = struct.unpack(order + "q", value)
        lo += 4 + (n_bytes + 3 & ~3)
    interface_id = table.id_of(link_type, name)
    return interface_row(
        link_type, interface_id, tsresol=tsresol, offset_s=offset_s, snap_bytes=snap_bytes
    )

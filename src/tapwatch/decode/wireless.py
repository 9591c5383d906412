"""802.11 and the headers in which radios put what they heard: radiotap, PPI.

All readers return the status, what follows (an EtherType, or `FRAME_OF` plus a link type) and where
that begins, at most `hi`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.cooked import name_link_type
from tapwatch.decode.encapsulation import read_llc
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be48, helper, le16, le32

_OK = int(DecodeStatus.OK)
_RADIOTAP_TRUNCATED = int(DecodeStatus.RADIOTAP_TRUNCATED)
_RADIOTAP_BAD_HEADER = int(DecodeStatus.RADIOTAP_BAD_HEADER)
_PPI_TRUNCATED = int(DecodeStatus.PPI_TRUNCATED)
_PPI_BAD_HEADER = int(DecodeStatus.PPI_BAD_HEADER)
_WLAN_TRUNCATED = int(DecodeStatus.WLAN_TRUNCATED)
_WLAN_BAD_VERSION = int(DecodeStatus.WLAN_BAD_VERSION)
_WLAN_MANAGEMENT = int(DecodeStatus.WLAN_MANAGEMENT)
_WLAN_CONTROL = int(DecodeStatus.WLAN_CONTROL)
_WLAN_EXTENSION = int(DecodeStatus.WLAN_EXTENSION)
_WLAN_NO_DATA = int(DecodeStatus.WLAN_NO_DATA)
_WLAN_ENCRYPTED = int(DecodeStatus.WLAN_ENCRYPTED)
_WLAN_FRAGMENT = int(DecodeStatus.WLAN_FRAGMENT)
_WLAN_AGGREGATE = int(DecodeStatus.WLAN_AGGREGATE)


@helper
def read_radiotap(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """Radiotap (https://www.radiotap.org), then 802.11; two of its flags say how that is laid."""
    # Bounds: version, length and first field word; this line makes their reads safe.
    if hi - lo < at.RADIOTAP_MIN_BYTES:
        return _RADIOTAP_TRUNCATED, 0, lo
    n_header = le16(data, lo + at.RADIOTAP_LENGTH)
    if be8(data, lo + at.RADIOTAP_VERSION) != 0 or n_header < at.RADIOTAP_MIN_BYTES:
        return _RADIOTAP_BAD_HEADER, 0, lo
    # Bounds: what is below `n_header` can be read; this line makes it safe.
    if hi - lo < n_header:
        return _RADIOTAP_TRUNCATED, 0, lo
    flags = _radiotap_flags(data, lo, n_header)
    if flags < 0:
        return _RADIOTAP_BAD_HEADER, 0, lo
    if flags & at.RADIOTAP_FCS_AT_END:
        # The checksum is at the end of the frame on the wire, of which we may have less.
        not_captured = int(np.int64(row["wire_bytes"])) - int(np.int64(row["captured_bytes"]))
        hi = max(min(hi, hi + not_captured - at.FCS_BYTES), lo + n_header)
    return read_wlan(data, lo + n_header, hi, flags & at.RADIOTAP_IS_PADDED != 0, row)


@helper
def _radiotap_flags(data: NDArray[np.uint8], lo: int, n_header: int) -> int:
    """Its flags field; 0 without one, -1 where the header has no room for what it announces."""
    present = le32(data, lo + at.RADIOTAP_PRESENT)
    # Behind the first word there may be more of them, and then the fields begin.
    fields = at.RADIOTAP_MIN_BYTES
    word = present
    while word & at.RADIOTAP_HAS_MORE:
        # Bounds: one word more within the header; this line makes its read safe.
        if fields + 4 > n_header or fields >= 4 * at.RADIOTAP_MAX_WORDS:
            return -1
        word = le32(data, lo + fields)
        fields += 4
    if present & at.RADIOTAP_HAS_FLAGS == 0:
        return 0
    if present & at.RADIOTAP_HAS_TIME:
        # Eight bytes, aligned to eight from the beginning of the header.
        fields = (fields + 7 & ~7) + 8
    # Bounds: one byte within the header; this line makes its read safe.
    if fields >= n_header:
        return -1
    return be8(data, lo + fields)


@helper
def read_ppi(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """PPI: its length, what follows, and fields that we do not need."""
    # Bounds: version, length and link type are below PPI_MIN_BYTES; this line makes them safe.
    if hi - lo < at.PPI_MIN_BYTES:
        return _PPI_TRUNCATED, 0, lo
    n_header = le16(data, lo + at.PPI_LENGTH)
    if be8(data, lo + at.PPI_VERSION) != 0 or n_header < at.PPI_MIN_BYTES:
        return _PPI_BAD_HEADER, 0, lo
    if hi - lo < n_header:
        return _PPI_TRUNCATED, 0, lo
    return name_link_type(le32(data, lo + at.PPI_LINK_TYPE), lo + n_header)


@helper
def read_wlan(
    data: NDArray[np.uint8], lo: int, hi: int, is_padded: bool, row: Any
) -> tuple[int, int, int]:
    """802.11 MAC header (IEEE 802.11 clause 9.2.3) and the LLC header behind it.

    `is_padded` says that the radio filled the header up to whole words.
    """
    # Bounds: the frame control field; this line makes its read safe.
    if hi - lo < at.WLAN_MIN_BYTES:
        return _WLAN_TRUNCATED, 0, lo
    control = le16(data, lo + at.WLAN_CONTROL_FIELD)
    frame_type = control & at.WLAN_TYPE_MASK
    if control & at.WLAN_VERSION_MASK:
        return _WLAN_BAD_VERSION, 0, lo
    if frame_type == at.WLAN_TYPE_CONTROL:
        return _WLAN_CONTROL, 0, lo
    if frame_type not in (at.WLAN_TYPE_MANAGEMENT, at.WLAN_TYPE_DATA):
        return _WLAN_EXTENSION, 0, lo
    # Bounds: three addresses and the sequence field; this line makes their reads safe.
    if hi - lo < at.WLAN_BYTES:
        return _WLAN_TRUNCATED, 0, lo
    if frame_type == at.WLAN_TYPE_MANAGEMENT:
        _file_addresses(data, lo + at.WLAN_ADDRESS_1, lo + at.WLAN_ADDRESS_2, row)
        return _WLAN_MANAGEMENT, 0, lo

    return _read_data_frame(data, lo, hi, control, is_padded, row)


@helper
def _read_data_frame(
    data: NDArray[np.uint8], lo: int, hi: int, control: int, is_padded: bool, row: Any
) -> tuple[int, int, int]:
    """A data frame, of which the caller has checked WLAN_BYTES."""
    n_header = at.WLAN_BYTES
    to_ds = control & at.WLAN_TO_DS != 0
    from_ds = control & at.WLAN_FROM_DS != 0
    if to_ds and from_ds:
        n_header += at.MAC_BYTES
    qos_at = lo + n_header
    is_qos = control & at.WLAN_IS_QOS != 0
    if is_qos:
        n_header += at.WLAN_QOS_BYTES
        if control & at.WLAN_HAS_HT:
            n_header += at.WLAN_HT_BYTES
    # Bounds: fourth address, QoS and HT fields are below `n_header`; this line makes them safe.
    if hi - lo < n_header:
        return _WLAN_TRUNCATED, 0, lo
    dst = at.WLAN_ADDRESS_3 if to_ds else at.WLAN_ADDRESS_1
    src = at.WLAN_ADDRESS_2
    if from_ds:
        src = at.WLAN_ADDRESS_4 if to_ds else at.WLAN_ADDRESS_3
    _file_addresses(data, lo + dst, lo + src, row)

    status = _readable(control, le16(data, lo + at.WLAN_SEQUENCE))
    if status != _OK:
        return status, 0, lo
    qos = le16(data, qos_at) if is_qos else 0
    if qos & at.QOS_IS_AGGREGATE:
        return _WLAN_AGGREGATE, 0, lo
    if is_padded:
        n_header = n_header + 3 & ~3
    body = min(lo + n_header, hi)
    if qos & at.QOS_HAS_MESH and from_ds:
        body = _skip_mesh(data, body, hi, row)
    return read_llc(data, body, hi, at.LLC_ANY_LENGTH)


@helper
def _readable(control: int, sequence: int) -> int:
    """OK where the body of a data frame is a whole packet in clear text."""
    if control & at.WLAN_IS_NULL:
        return _WLAN_NO_DATA
    if control & at.WLAN_IS_PROTECTED:
        return _WLAN_ENCRYPTED
    if sequence & at.WLAN_FRAGMENT_MASK or control & at.WLAN_MORE_FRAGMENTS:
        return _WLAN_FRAGMENT
    return _OK


@helper
def _file_addresses(data: NDArray[np.uint8], dst: int, src: int, row: Any) -> None:
    """Read the two addresses that the network layer would see; the caller has checked bounds."""
    row["eth_dst"] = row["dst_lo"] = be48(data, dst)
    row["eth_src"] = row["src_lo"] = be48(data, src)


@helper
def _skip_mesh(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> int:
    """Mesh control (IEEE 802.11 clause 9.2.4.8.3), if there is one: the flag has other uses."""
    # Bounds: the flags; this line makes their read safe.
    if hi - lo < at.MESH_BYTES:
        return lo
    flags = be8(data, lo)
    if flags > at.MESH_MAX_ADDRESSES:
        return lo
    n_mesh = at.MESH_BYTES + at.MAC_BYTES * flags
    # Bounds: the addresses behind the fixed part; this line makes their reads safe.
    if hi - lo < n_mesh:
        return hi
    if flags == at.MESH_MAX_ADDRESSES:
        _file_addresses(data, lo + at.MESH_BYTES, lo + at.MESH_BYTES + at.MAC_BYTES, row)
    return lo + n_mesh

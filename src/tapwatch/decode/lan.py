"""Local networks beside Ethernet: FDDI, ARCNET, InfiniBand.

All readers return the status, what follows (an EtherType, or `FRAME_OF` plus a link type) and where
that begins, at most `hi`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.encapsulation import type_only
from tapwatch.decode.offsets import TYPE_ARP, TYPE_IPV4
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, be48, helper

_OK = int(DecodeStatus.OK)
_FDDI_TRUNCATED = int(DecodeStatus.FDDI_TRUNCATED)
_FDDI_NO_DATA = int(DecodeStatus.FDDI_NO_DATA)
_ARCNET_TRUNCATED = int(DecodeStatus.ARCNET_TRUNCATED)
_ARCNET_UNSUPPORTED = int(DecodeStatus.ARCNET_UNSUPPORTED)
_IPOIB_TRUNCATED = int(DecodeStatus.IPOIB_TRUNCATED)


@helper
def read_fddi(data: NDArray[np.uint8], lo: int, hi: int, row: Any) -> tuple[int, int, int]:
    """FDDI (ISO 9314-2), whose addresses go over the wire with the other end of each byte first."""
    # Bounds: control and addresses are below FDDI_BYTES; this line makes their reads safe.
    if hi - lo < at.FDDI_BYTES:
        return _FDDI_TRUNCATED, 0, lo
    row["eth_dst"] = row["dst_lo"] = _mirrored(be48(data, lo + at.FDDI_DST))
    row["eth_src"] = row["src_lo"] = _mirrored(be48(data, lo + at.FDDI_SRC))
    if be8(data, lo + at.FDDI_CONTROL) & at.FDDI_CONTROL_MASK != at.FDDI_LLC:
        return _FDDI_NO_DATA, 0, lo
    return _OK, at.FRAME_OF + at.LINK_LLC, lo + at.FDDI_BYTES


@helper
def _mirrored(address: int) -> int:
    """The bits of each byte the other way round: single bits swap, then pairs, then halves."""
    address = (address & 0x5555_5555_5555) << 1 | address >> 1 & 0x5555_5555_5555
    address = (address & 0x3333_3333_3333) << 2 | address >> 2 & 0x3333_3333_3333
    return (address & 0x0F0F_0F0F_0F0F) << 4 | address >> 4 & 0x0F0F_0F0F_0F0F


@helper
def read_arcnet(data: NDArray[np.uint8], lo: int, hi: int, n_before: int) -> tuple[int, int, int]:
    """ARCNET (RFC 1201, and the older RFC 1051), with `n_before` bytes before the system code."""
    lo += n_before
    # Bounds: the system code is one byte; this line makes its read safe.
    if hi - lo < 1:
        return _ARCNET_TRUNCATED, 0, min(lo, hi)
    code = be8(data, lo)
    if code == at.ARCNET_OLD_IPV4:
        return _OK, TYPE_IPV4, lo + at.ARCNET_RFC1051_BYTES
    if code == at.ARCNET_OLD_ARP:
        return _OK, TYPE_ARP, lo + at.ARCNET_RFC1051_BYTES
    if code not in (at.ARCNET_IPV4, at.ARCNET_ARP):
        return _ARCNET_UNSUPPORTED, 0, lo
    # Bounds: split flag and sequence number; this line makes the read of the flag safe, ...
    if hi - lo < at.ARCNET_RFC1201_BYTES:
        return _ARCNET_TRUNCATED, 0, lo
    split = be8(data, lo + at.ARCNET_SPLIT)
    if split == at.ARCNET_EXCEPTION:
        # ... and this one makes it safe behind the filling of an exception frame.
        if hi - lo < at.ARCNET_EXCEPTION_BYTES + at.ARCNET_RFC1201_BYTES:
            return _ARCNET_TRUNCATED, 0, lo
        lo += at.ARCNET_EXCEPTION_BYTES
        split = be8(data, lo + at.ARCNET_SPLIT)
    if split != 0:
        return _ARCNET_UNSUPPORTED, 0, lo
    return _OK, TYPE_IPV4 if code == at.ARCNET_IPV4 else TYPE_ARP, lo + at.ARCNET_RFC1201_BYTES


@helper
def read_ipoib(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """IP over InfiniBand (RFC 4391 section 6): global route header, then an EtherType."""
    # Bounds: the type is below IPOIB_BYTES; this line makes its read safe.
    if hi - lo < at.IPOIB_BYTES:
        return _IPOIB_TRUNCATED, 0, lo
    return type_only(be16(data, lo + at.IPOIB_TYPE), lo + at.IPOIB_BYTES)

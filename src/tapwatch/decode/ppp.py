"""PPP and what else runs over a serial line: Cisco's HDLC, Frame Relay; PPP over Ethernet.

All readers return the status, what follows (an EtherType, or `FRAME_OF` plus a link type) and where
that begins, at most `hi`.
"""

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import link_offsets as at
from tapwatch.decode.encapsulation import read_snap, type_only
from tapwatch.decode.offsets import ETHER_TYPE_MIN, TYPE_IPV4, TYPE_IPV6
from tapwatch.decode.status import DecodeStatus
from tapwatch.decode.words import be8, be16, helper

_OK = int(DecodeStatus.OK)
_PPPOE_TRUNCATED = int(DecodeStatus.PPPOE_TRUNCATED)
_PPPOE_TOO_SHORT = int(DecodeStatus.PPPOE_TOO_SHORT)
_PPP_TRUNCATED = int(DecodeStatus.PPP_TRUNCATED)
_PPP_FRAGMENT = int(DecodeStatus.PPP_FRAGMENT)
_PPP_PROTOCOL_UNSUPPORTED = int(DecodeStatus.PPP_PROTOCOL_UNSUPPORTED)
_HDLC_TRUNCATED = int(DecodeStatus.HDLC_TRUNCATED)
_FRAME_RELAY_TRUNCATED = int(DecodeStatus.FRAME_RELAY_TRUNCATED)
_FRAME_RELAY_BAD_ADDRESS = int(DecodeStatus.FRAME_RELAY_BAD_ADDRESS)
_FRAME_RELAY_UNSUPPORTED = int(DecodeStatus.FRAME_RELAY_UNSUPPORTED)

_PPP_FRAME = at.FRAME_OF + at.LINK_PPP


@helper
def read_pppoe(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """PPPoE session header (RFC 2516 section 4).

    Version, type and code are not judged: hosts take a frame by its session alone.
    """
    # Bounds: the length is below PPPOE_BYTES; this line makes its read safe.
    if hi - lo < at.PPPOE_BYTES:
        return _PPPOE_TRUNCATED, 0, lo
    if be16(data, lo + at.PPPOE_LENGTH) < at.PPPOE_MIN_LENGTH:
        return _PPPOE_TOO_SHORT, 0, lo
    return _OK, _PPP_FRAME, lo + at.PPPOE_BYTES


@helper
def read_ppp_frame(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """PPP, or Cisco's HDLC on the same line, which begins with an address that PPP never has."""
    # Bounds: one byte is read; this line makes it safe.
    if hi - lo < 1:
        return _PPP_TRUNCATED, 0, lo
    address = be8(data, lo)
    if address in (at.HDLC_UNICAST, at.HDLC_BROADCAST):
        return read_hdlc(data, lo, hi)
    return _read_ppp_header(data, lo, hi)


@helper
def read_directed(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Skip the byte that says which way a PPP frame went."""
    if hi - lo < at.PPP_DIRECTION_BYTES:
        return _PPP_TRUNCATED, 0, lo
    return read_ppp_frame(data, lo + at.PPP_DIRECTION_BYTES, hi)


@helper
def _read_ppp_header(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """PPP (RFC 1661 section 2, RFC 1662 section 3.1).

    Address and control may have been compressed away, and so may the protocol's first byte, which
    is known by the last bit of what is left.
    """
    # Bounds: address and control are two bytes, then comes the first byte of the protocol; the
    # line before each read makes it safe.
    if hi - lo < 1:
        return _PPP_TRUNCATED, 0, lo
    if be8(data, lo) == at.PPP_ADDRESS:
        if hi - lo <= at.PPP_ADDRESS_CONTROL_BYTES:
            return _PPP_TRUNCATED, 0, lo
        lo += at.PPP_ADDRESS_CONTROL_BYTES
    protocol = be8(data, lo)
    n_bytes = 1
    if protocol & 1 == 0:
        # Bounds: its second byte; this line makes its read safe.
        if hi - lo < 2:
            return _PPP_TRUNCATED, 0, lo
        protocol = be16(data, lo)
        n_bytes = 2
    lo += n_bytes

    if protocol == at.PPP_IPV4:
        return _OK, TYPE_IPV4, lo
    if protocol == at.PPP_IPV6:
        return _OK, TYPE_IPV6, lo
    if protocol in (at.PPP_MPLS, at.PPP_MPLS_UPSTREAM):
        return _OK, at.TYPE_MPLS, lo
    if protocol == at.PPP_MULTILINK:
        return _read_multilink(data, lo, hi)
    return _PPP_PROTOCOL_UNSUPPORTED, 0, lo


@helper
def _read_multilink(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Multilink PPP (RFC 1990 section 3), of which only undivided packets can be read."""
    # Bounds: flags and sequence number are four bytes; this line makes the read safe.
    if hi - lo < at.MULTILINK_BYTES:
        return _PPP_TRUNCATED, 0, lo
    if be8(data, lo) & at.MULTILINK_WHOLE != at.MULTILINK_WHOLE:
        return _PPP_FRAGMENT, 0, lo
    return _OK, _PPP_FRAME, lo + at.MULTILINK_BYTES


@helper
def read_hdlc(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Cisco's HDLC: address, control, EtherType."""
    # Bounds: the type is below HDLC_BYTES; this line makes its read safe.
    if hi - lo < at.HDLC_BYTES:
        return _HDLC_TRUNCATED, 0, lo
    return type_only(be16(data, lo + at.HDLC_PROTOCOL), lo + at.HDLC_BYTES)


@helper
def _skip_address(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int]:
    """Q.922 address: two to four bytes, the last of which says so; returns status and its end."""
    for n in range(at.FRAME_RELAY_MAX_ADDRESS):
        # Bounds: one byte; this line makes its read safe.
        if hi - lo <= n:
            return _FRAME_RELAY_TRUNCATED, lo
        if be8(data, lo + n) & at.FRAME_RELAY_LAST:
            return _OK, lo + n + 1
    return _FRAME_RELAY_BAD_ADDRESS, lo


@helper
def read_frame_relay(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """Frame Relay: RFC 2427, or Cisco's way, where an EtherType follows the address at once."""
    status, lo = _skip_address(data, lo, hi)
    if status != _OK:
        return status, 0, lo
    # Bounds: control and the number behind it, or an EtherType, are two bytes.
    if hi - lo < 2:
        return _FRAME_RELAY_TRUNCATED, 0, lo
    if be8(data, lo) != at.FRAME_RELAY_UI:
        ether_type = be16(data, lo)
        if ether_type < ETHER_TYPE_MIN:
            return _FRAME_RELAY_UNSUPPORTED, 0, lo
        return _OK, ether_type, lo + 2
    network_layer = be8(data, lo + 1)
    lo += 2
    if network_layer == at.NLPID_PADDING:
        # Bounds: one byte more; this line makes it safe.
        if hi - lo < 1:
            return _FRAME_RELAY_TRUNCATED, 0, lo
        network_layer = be8(data, lo)
        lo += 1
    if network_layer == at.NLPID_IPV4:
        return _OK, TYPE_IPV4, lo
    if network_layer == at.NLPID_IPV6:
        return _OK, TYPE_IPV6, lo
    if network_layer == at.NLPID_SNAP:
        return read_snap(data, lo, hi, 0)
    return _FRAME_RELAY_UNSUPPORTED, 0, lo

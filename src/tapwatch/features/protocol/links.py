"""From the first byte of a frame, or of what a tunnel carries, to an IP header or a label."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.judge import header_label
from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import be8, be16, be24, helper

#: What goes on: a header follows, and no label has been found.
ON: Final = -1
TYPE_IPV4: Final = 0x0800
TYPE_IPV6: Final = 0x86DD
TYPE_MPLS: Final = 0x8847
# What is no EtherType: a frame of a link type, and numbers of the tables of rules.
_FRAME: Final = 1
_IP, _SAP, _PPP = 2, 3, 4
FRAME_OF: Final = _FRAME << 16
IP_OF: Final = _IP << 16
SAP_OF: Final = _SAP << 16
PPP_OF: Final = _PPP << 16
LINK_ETHERNET: Final = 1
LINK_PPP: Final = 9
LINK_LLC: Final = 100

_OTHER = 0
_ETHERNET = label_index("Ethernet")
_LLC = label_index("LLC")
_XID = label_index("XID")
_MPLS = label_index("MPLS")
_FRAME_RELAY = label_index("FR")
_SLARP = label_index("SLARP")
_CHDLC = label_index("CHDLC")

_LENGTH_MAX: Final = 1500
_ETHER_TYPE_MIN: Final = 0x0600
_ETHERNET_BYTES: Final = 14
_MAX_HEADERS: Final = 12
_TYPE_RARP: Final = 0x8035
_TYPE_PPPOE, _TYPE_MPLS_UP = 0x8864, 0x8848
_TYPE_PPP, _TYPE_BRIDGED, _TYPE_OSI = 0x880B, 0x6558, 0xFEFE
_LINK_PPP_SERIAL, _LINK_HDLC, _LINK_FRAME_RELAY = 50, 104, 107
_LINK_SLL, _LINK_SLL2 = 113, 276
_LINK_RAW: Final = (12, 14, 101, 228, 229)
_SAP_SNAP, _SAP_IP, _SAP_IPX, _SAP_OSI = 0xAA, 0x06, 0xE0, 0xFE


@helper
def walk(
    data: NDArray[np.uint8], what: int, lo: int, hi: int, know: Knowledge
) -> tuple[int, int, int]:
    """Go from header to header.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    what : int
        What begins at `lo`: an EtherType, an 802.3 length, or FRAME_OF and a link type.
    lo, hi : int
        Byte range; nothing outside of it is read.
    know : Knowledge

    Returns
    -------
    label : int
        ON where an IP header follows.
    what, lo : int
        EtherType of that header, and where it begins.
    """
    for _ in range(_MAX_HEADERS):
        if what in (TYPE_IPV4, TYPE_IPV6):
            return ON, what, lo
        if what <= _LENGTH_MAX:
            label, what, lo = _llc(data, lo, hi, know)
        elif what >> 16 == _FRAME:
            label, what, lo = _frame(data, what - FRAME_OF, lo, hi, know)
        else:
            label = header_label(data, what, lo, hi, know)
            if label != _OTHER:
                return label, what, lo
            if what > 0xFFFF:
                return _LLC if what >> 16 == _SAP else _OTHER, what, lo
            label, what, lo = _tag(data, what, lo, hi)
        if label != ON:
            return label, what, lo
    return _OTHER, what, lo


@helper
def _frame(
    data: NDArray[np.uint8], link_type: int, lo: int, hi: int, know: Knowledge
) -> tuple[int, int, int]:
    if link_type == LINK_ETHERNET:
        # Bounds: two addresses and the type.
        if hi - lo < _ETHERNET_BYTES:
            return _ETHERNET, 0, lo
        what = be16(data, lo + 12)
        if what <= _LENGTH_MAX and hi - lo >= 16 and be16(data, lo + 14) == 0xFFFF:
            return ON, SAP_OF + _SAP_IPX, lo + 14
        if _LENGTH_MAX < what < _ETHER_TYPE_MIN:
            return _ETHERNET, 0, lo
        if what == _TYPE_OSI:
            return _OTHER, 0, lo
        return ON, what, lo + _ETHERNET_BYTES
    if link_type in (LINK_PPP, _LINK_PPP_SERIAL):
        return _ppp_frame(data, lo, hi, know)
    if link_type == _LINK_HDLC:
        return _hdlc(data, lo, hi, know)
    if link_type == _LINK_FRAME_RELAY:
        return _frame_relay(data, lo, hi, know)
    if link_type == LINK_LLC:
        return ON, 0, lo
    # Bounds: the protocol of both of Linux' cooked headers lies within 16 bytes.
    if link_type == _LINK_SLL and hi - lo >= 16:
        return ON, _cooked(be16(data, lo + 14)), lo + 16
    if link_type == _LINK_SLL2 and hi - lo >= 20:
        return ON, _cooked(be16(data, lo)), lo + 20
    # Bounds: the version is in the first byte.
    if link_type in _LINK_RAW and hi > lo:
        return ON, TYPE_IPV6 if be8(data, lo) >> 4 == 6 else TYPE_IPV4, lo
    return int(know.link_types[link_type]), 0, lo


@helper
def _cooked(protocol: int) -> int:
    # 1 and 4 announce 802.3 and 802.2, which begin alike; no other small number is known.
    return protocol if protocol >= _ETHER_TYPE_MIN else 0


@helper
def _tag(data: NDArray[np.uint8], what: int, lo: int, hi: int) -> tuple[int, int, int]:
    """What an EtherType announces that is no end: a tag, with the type of what follows last."""
    if what in (TYPE_MPLS, _TYPE_MPLS_UP):
        return _mpls(data, lo, hi)
    if what == _TYPE_PPPOE:
        return (ON, FRAME_OF + LINK_PPP, lo + 6) if hi - lo > 6 else (_OTHER, 0, lo)
    if what == _TYPE_PPP:
        return ON, FRAME_OF + LINK_PPP, lo
    if what == _TYPE_BRIDGED:
        return ON, FRAME_OF + LINK_ETHERNET, lo
    if what == _TYPE_OSI:
        return ON, SAP_OF + _SAP_OSI, lo
    if what in (0x8100, 0x88A8, 0x9100, 0x9200, 0x9300):
        n_bytes = 4
    elif what in (0x8926, 0x892F):  # VN-Tag, HSR
        n_bytes = 6
    elif what == 0x893F:  # E-Tag, IEEE 802.1BR
        n_bytes = 8
    elif what == 0x88E7:  # backbone service tag, IEEE 802.1ah
        return (ON, FRAME_OF + LINK_ETHERNET, lo + 4) if hi - lo > 4 else (_OTHER, 0, lo)
    else:
        return _OTHER, 0, lo
    # Bounds: the type is the last two bytes of the tag.
    if hi - lo < n_bytes:
        return _OTHER, 0, lo
    return ON, be16(data, lo + n_bytes - 2), lo + n_bytes


@helper
def _mpls(data: NDArray[np.uint8], lo: int, hi: int) -> tuple[int, int, int]:
    """RFC 3032: labels up to the one at the bottom; the first four bits behind it tell IP."""
    for _ in range(_MAX_HEADERS):
        # Bounds: a label and the byte behind it.
        if hi - lo < 5:
            return _MPLS, 0, lo
        is_bottom = be8(data, lo + 2) & 1
        lo += 4
        if is_bottom:
            break
    version = be8(data, lo) >> 4
    if version == 4:
        return ON, TYPE_IPV4, lo
    if version == 6:
        return ON, TYPE_IPV6, lo
    # RFC 4448: a control word, then an Ethernet frame.
    if version == 0 and hi - lo > 4:
        return ON, FRAME_OF + LINK_ETHERNET, lo + 4
    return ON, FRAME_OF + LINK_ETHERNET, lo


@helper
def _ppp_frame(data: NDArray[np.uint8], lo: int, hi: int, know: Knowledge) -> tuple[int, int, int]:
    # Bounds: address and control (RFC 1662), then a protocol of one or two bytes.
    if hi - lo >= 4 and be16(data, lo) == 0xFF03:
        lo += 2
    elif hi - lo >= 4 and be8(data, lo) in (0x0F, 0x8F):
        return _hdlc(data, lo, hi, know)
    if hi - lo < 2:
        return _OTHER, 0, lo
    protocol, n_bytes = be8(data, lo), 1
    if not protocol & 1:
        protocol, n_bytes = be16(data, lo), 2
    lo += n_bytes
    if protocol == 0x0021:
        return ON, TYPE_IPV4, lo
    if protocol == 0x0057:
        return ON, TYPE_IPV6, lo
    if protocol in (0x0281, 0x0283):
        return ON, TYPE_MPLS, lo
    if protocol == 0x0023:
        return ON, SAP_OF + _SAP_OSI, lo
    return ON, PPP_OF + protocol, lo


@helper
def _hdlc(data: NDArray[np.uint8], lo: int, hi: int, know: Knowledge) -> tuple[int, int, int]:
    """Cisco's HDLC: address, control, type."""
    # Bounds: four bytes.
    if hi - lo < 4:
        return _CHDLC, 0, lo
    what = be16(data, lo + 2)
    if what == _TYPE_RARP:
        return _SLARP, 0, lo
    if what == _TYPE_OSI:
        # One byte of padding comes before the OSI header.
        return ON, SAP_OF + _SAP_OSI, lo + 5
    is_known = what in (TYPE_IPV4, TYPE_IPV6, 0x2000, TYPE_MPLS)
    return (ON, what, lo + 4) if is_known else (_CHDLC, 0, lo)


@helper
def _frame_relay(
    data: NDArray[np.uint8], lo: int, hi: int, know: Knowledge
) -> tuple[int, int, int]:
    """RFC 2427, and Cisco's own form with an EtherType behind the address."""
    # Bounds: address, control, padding, protocol and first byte.
    if hi - lo < 5:
        return _FRAME_RELAY, 0, lo
    if not be8(data, lo + 1) & 1:
        lo += 2
        if hi - lo < 5:
            return _FRAME_RELAY, 0, lo
    if be8(data, lo + 2) != 0x03:
        what = be16(data, lo + 2)
        if what in (TYPE_IPV4, TYPE_IPV6):
            return ON, what, lo + 4
        return _FRAME_RELAY, 0, lo
    here = lo + 3
    if be8(data, here) == 0:
        here += 1
    protocol = be8(data, here)
    if protocol == 0xCC:
        return ON, TYPE_IPV4, here + 1
    if protocol == 0x8E:
        return ON, TYPE_IPV6, here + 1
    if protocol == 0x80 and hi - here >= 6:
        return _snap(data, here + 1, know)
    if protocol in (0x81, 0x82, 0x83):
        return ON, SAP_OF + _SAP_OSI, here
    return _FRAME_RELAY, 0, lo


@helper
def _llc(data: NDArray[np.uint8], lo: int, hi: int, know: Knowledge) -> tuple[int, int, int]:
    """IEEE 802.2: service access points, control, then what they name."""
    # Bounds: two access points and one byte of control.
    if hi - lo < 3:
        return _LLC, 0, lo
    sap, control = be8(data, lo), be8(data, lo + 2)
    if control & 0xEF == 0xAF:
        return _XID, 0, lo
    here = lo + (3 if control & 3 == 3 else 4)
    is_data = control & 3 != 1 and (control & 3 != 3 or control & 0xEF == 0x03)
    if not is_data:
        return _LLC, 0, lo
    if sap == _SAP_SNAP:
        # Bounds: organisation and protocol are five bytes.
        if hi - here < 5:
            return _LLC, 0, lo
        return _snap(data, here, know)
    if sap == _SAP_IP:
        return ON, TYPE_IPV4, here
    return ON, SAP_OF + sap, here


@helper
def _snap(data: NDArray[np.uint8], here: int, know: Knowledge) -> tuple[int, int, int]:
    """Organisation and protocol; the caller has checked that these five bytes are there."""
    organisation, protocol = be24(data, here), be16(data, here + 3)
    here += 5
    if organisation in (0x000000, 0x0000F8):
        return ON, protocol if protocol >= _ETHER_TYPE_MIN else 0xFFFF, here
    if organisation == 0x0080C2 and protocol in (0x0001, 0x0007):
        return ON, FRAME_OF + LINK_ETHERNET, here
    for k in range(know.snap.shape[0]):
        if know.snap[k, 0] == organisation << 16 | protocol:
            return int(know.snap[k, 1]), 0, here
    return _LLC, 0, here

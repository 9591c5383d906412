"""What LLC carries beside IP: OSI's network layer, IPX, NetBIOS."""

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_LLC = label_index("LLC")
_HELLO = label_index("ISIS HELLO")
_LSP = label_index("ISIS LSP")
_CSNP = label_index("ISIS CSNP")
_PSNP = label_index("ISIS PSNP")
_ESIS = label_index("ESIS")
_CLNP = label_index("CLNP")
_IPX = label_index("IPX")
_IPX_SAP = label_index("IPX SAP")
_IPX_RIP = label_index("IPX RIP")
_NBIPX = label_index("NBIPX")
_NETBIOS = label_index("NetBIOS")
_SMB = label_index("SMB")

_SMB_MAGIC = 0xFF534D42


@helper
def llc_osi_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """ISO 9577: the first byte names the protocol; IS-IS (ISO 10589) by its kind of unit."""
    # Bounds: one byte, then up to the fifth.
    if hi - lo < 1:
        return _LLC
    first = be8(data, lo)
    if first == 0x82:
        return _ESIS
    if first == 0x81:
        return _CLNP
    if first != 0x83 or hi - lo < 5:
        return _LLC
    kind = be8(data, lo + 4) & 0x1F
    if kind in (18, 20):
        return _LSP
    if kind in (24, 25):
        return _CSNP
    return _PSNP if kind in (26, 27) else _HELLO


@helper
def ipx_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """IPX by its sockets."""
    # Bounds: the header is 30 bytes.
    if hi - lo < 30:
        return _IPX
    for at in (16, 28):
        socket = be16(data, lo + at)
        if socket == 0x0452:
            return _IPX_SAP
        if socket == 0x0453:
            return _IPX_RIP
        if socket == 0x0455:
            return _NBIPX
    return _IPX


@helper
def netbios_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """NetBIOS frames (IBM SC30-3587), and SMB in them."""
    # Bounds: the header's length is two bytes, SMB's magic number four behind it.
    if hi - lo < 2:
        return _NETBIOS
    here = lo + (be8(data, lo) | be8(data, lo + 1) << 8)
    return _SMB if hi - here >= 4 and be32(data, here) == _SMB_MAGIC else _NETBIOS

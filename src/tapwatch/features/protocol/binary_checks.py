"""Protocols of numbers, on TCP and UDP, that a pattern alone does not tell apart."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.tables import label_index
from tapwatch.features.protocol.text_checks import is_http, plain_label
from tapwatch.features.protocol.words import be8, be16, be32, helper, le32

_TCP = label_index("TCP")
_NBSS = label_index("NBSS")
_SMB = label_index("SMB")
_SMB2 = label_index("SMB2")
_NBDS = label_index("NBDS")
_BROWSER = label_index("BROWSER")
_TPKT = label_index("TPKT")
_COTP = label_index("COTP")
_S7 = label_index("S7COMM")
_RDP = label_index("RDP")
_T125 = label_index("T.125")
_RPC = label_index("RPC")
_PORTMAP = label_index("Portmap")
_NFS = label_index("NFS")
_MOUNT = label_index("MOUNT")
_YPSERV = label_index("YPSERV")
_NLM = label_index("NLM")
_STAT = label_index("STAT")
_NFSACL = label_index("NFSACL")
_SADMIND = label_index("SADMIND")
_RQUOTA = label_index("RQUOTA")
_SSH = label_index("SSH")
_SSHV1 = label_index("SSHv1")
_SSHV2 = label_index("SSHv2")
_STUN = label_index("STUN")
_CLASSIC_STUN = label_index("CLASSIC-STUN")
_DHCP = label_index("DHCP")
_BOOTP = label_index("BOOTP")
_ISAKMP = label_index("ISAKMP")
_ESP = label_index("ESP")
_UDPENCAP = label_index("UDPENCAP")
_RIPV1 = label_index("RIPv1")
_RIPV2 = label_index("RIPv2")
_HSRP = label_index("HSRP")
_HSRPV2 = label_index("HSRPv2")
_BVLC = label_index("BVLC")
_BACNET_NPDU = label_index("BACnet-NPDU")
_BACNET_APDU = label_index("BACnet-APDU")
_RX = label_index("RX")
_AFS = label_index("AFS (RX)")
_IEC104 = label_index("IEC 60870-5-104")
_IEC_ASDU = label_index("IEC 60870-5 ASDU")
_ENIP = label_index("ENIP")
_CIP = label_index("CIP")
_DROPBOX = label_index("DB-LSP-DISC")
_DROPBOX_JSON = label_index("DB-LSP-DISC/JSON")
_SOCKS = label_index("Socks")
_HTTP = label_index("HTTP")

_SMB1_MAGIC: Final = 0xFF534D42
_SMB2_MAGIC: Final = 0xFE534D42
_SMB3_MAGIC: Final = 0xFD534D42
_STUN_COOKIE: Final = 0x2112A442  # RFC 5389 section 6
_DHCP_COOKIE: Final = 0x63825363  # RFC 2131 section 3
_MAX_OPTIONS: Final = 64
_SSH_BANNER: Final = 0x5353482D  # "SSH-"
_RDP_PORT: Final = 3389


@helper
def nbss_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """NetBIOS sessions (RFC 1002 section 4.3), and SMB without NetBIOS on port 445."""
    # Bounds: kind, then the header and the magic number behind it.
    kind = be8(data, lo)
    if 0x81 <= kind <= 0x85:
        return _NBSS
    if hi - lo < 8 or kind != 0:
        return _TCP
    magic = be32(data, lo + 4)
    if magic == _SMB1_MAGIC:
        return _SMB
    return _SMB2 if magic in (_SMB2_MAGIC, _SMB3_MAGIC) else _TCP


@helper
def nbdgm_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """NetBIOS datagrams (RFC 1002 section 4.4)."""
    # Bounds: 14 bytes of header, two names of 34 and the magic number.
    if hi - lo < 86 or not 0x10 <= be8(data, lo) <= 0x12:
        return _NBDS
    return _BROWSER if be32(data, lo + 82) == _SMB1_MAGIC else _NBDS


@helper
def tpkt_label(data: NDArray[np.uint8], lo: int, hi: int, server_port: int) -> int:
    """ISO transport over TCP (RFC 1006), and what S7 and remote desktops put into it."""
    # Bounds: TPKT header, length and kind of the transport unit.
    if hi - lo < 6 or be16(data, lo) != 0x0300:
        return _TPKT
    is_desktop = server_port == _RDP_PORT
    kind = be8(data, lo + 5) & 0xF0
    if kind in (0xE0, 0xD0):
        return _RDP if is_desktop and hi - lo > 11 else _COTP
    # Bounds: the first byte behind a data unit's header.
    if kind != 0xF0 or hi - lo < 8:
        return _COTP
    first = be8(data, lo + 7)
    if is_desktop:
        return _RDP if first in (0x64, 0x68, 0x7F) else _T125
    return _S7 if first == 0x32 else _COTP


@helper
def rpc_label(data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_certain: int) -> int:
    """ONC RPC messages (RFC 5531 section 9) from their transaction number on; 0 for no RPC."""
    # Bounds: transaction, kind, RPC version and program are 16 bytes of a call.
    if hi - lo < 8:
        return 0
    kind = be32(data, lo + 4)
    if kind == 1:
        return int(talk["memory"])
    if kind != 0 or hi - lo < 16 or be32(data, lo + 8) != 2:
        return 0
    label = _program(be32(data, lo + 12))
    if label == 0:
        return _RPC if is_certain else 0
    talk["memory"] = label
    return label


@helper
def _program(number: int) -> int:
    if number == 100003:
        return _NFS
    if number == 100000:
        return _PORTMAP
    if number == 100005:
        return _MOUNT
    if number == 100004:
        return _YPSERV
    if number == 100021:
        return _NLM
    if number == 100024:
        return _STAT
    if number == 100227:
        return _NFSACL
    if number == 100232:
        return _SADMIND
    return _RQUOTA if number == 100011 else 0


@helper
def ssh_label(data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_server: int) -> int:
    """SSH; its version is told when both sides have shown their banners (RFC 4253 section 4.2)."""
    known = int(talk["memory"])
    # Bounds: the banner is told by its first eight bytes.
    if known == 0 and hi - lo >= 8 and be32(data, lo) == _SSH_BANNER:
        own = 1 if be8(data, lo + 4) == 0x32 or be32(data, lo + 4) == 0x312E3939 else 4
        mine, theirs = (1, 2) if is_server else (2, 1)
        talk["state"] = int(talk["state"]) | mine | (own & 4)
        if int(talk["state"]) & theirs:
            talk["memory"] = _SSHV1 if int(talk["state"]) & 4 else _SSHV2
            if is_server:
                return int(talk["memory"])
        return _SSH
    return known if known else _SSH


@helper
def stun_label(data: NDArray[np.uint8], lo: int, hi: int, end: int, is_certain: int) -> int:
    """STUN (RFC 8489, 5389) and its forerunner (RFC 3489); 0 for neither."""
    # Bounds: kind, length and cookie are eight bytes; a message has at least twenty.
    if end - lo < 20 or hi - lo < 8:
        return 0
    kind, n_bytes = be16(data, lo), be16(data, lo + 2)
    if be32(data, lo + 4) == _STUN_COOKIE and kind < 0x0200:
        return _STUN
    is_classic = kind & 0xFE00 == 0 and kind & 0xFF in (1, 2, 3, 4) and n_bytes == end - lo - 20
    return _CLASSIC_STUN if is_classic else 0


@helper
def dhcp_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """DHCP where a message type is among the options (RFC 2132 section 9.6), BOOTP elsewhere."""
    # Bounds: the cookie ends at byte 240.
    if hi - lo < 240 or be32(data, lo + 236) != _DHCP_COOKIE:
        return _BOOTP
    here = lo + 240
    for _ in range(_MAX_OPTIONS):
        # Bounds: code and length of each option.
        if hi - here < 2 or be8(data, here) == 255:
            break
        code = be8(data, here)
        if code == 53:
            return _DHCP
        here += 1 if code == 0 else 2 + be8(data, here + 1)
    return _BOOTP


@helper
def isakmp_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """What shares port 4500 (RFC 3948): key exchange, ESP, keep-alives."""
    # Bounds: the marker is four bytes.
    if hi - lo < 4:
        return _UDPENCAP
    return _ISAKMP if be32(data, lo) == 0 else _ESP


@helper
def rip_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """RIP by its version."""
    # Bounds: the rule has asked for two bytes; the capture may hold less.
    if hi - lo < 2:
        return 0
    return _RIPV1 if be8(data, lo + 1) == 1 else _RIPV2


@helper
def hsrp_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """HSRP; version 2 begins with the type and length of a group's state or interface."""
    # Bounds: type and length are two bytes.
    if hi - lo < 2:
        return 0
    start = be16(data, lo)
    return _HSRPV2 if start in (0x0128, 0x0204) else _HSRP


@helper
def bvlc_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """BACnet over UDP (ASHRAE 135 annex J): of the network layer or of the application."""
    # Bounds: kind and function are two bytes.
    if hi - lo < 2 or be8(data, lo) != 0x81:
        return 0
    function = be8(data, lo + 1)
    if function not in (4, 9, 10, 11):
        return _BVLC
    here = lo + (10 if function == 4 else 4)
    # Bounds: version and control of the network layer.
    if hi - here < 2:
        return _BVLC
    return _BACNET_NPDU if be8(data, here + 1) & 0x80 else _BACNET_APDU


@helper
def rx_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """RX, the transport of AFS: data packets are of AFS, the others of RX."""
    # Bounds: the type stands in byte 20.
    if hi - lo < 21:
        return 0
    return _AFS if be8(data, lo + 20) == 1 else _RX


@helper
def iec104_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """IEC 60870-5-104: frames that carry data units, and those that only keep count."""
    # Bounds: start, length and first control byte.
    if hi - lo < 3 or be8(data, lo) != 0x68:
        return 0
    return _IEC_ASDU if be8(data, lo + 2) & 1 == 0 and be8(data, lo + 1) > 4 else _IEC104


@helper
def enip_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """EtherNet/IP: commands that carry CIP, and the others."""
    # Bounds: the command is two bytes.
    if hi - lo < 2:
        return 0
    return _CIP if be8(data, lo) in (0x6F, 0x70) and be8(data, lo + 1) == 0 else _ENIP


@helper
def dropbox_label(data: NDArray[np.uint8], lo: int, hi: int) -> int:
    """Dropbox' announcements, which are JSON or not."""
    # Bounds: one byte.
    if hi - lo < 1:
        return 0
    return _DROPBOX_JSON if be8(data, lo) == 0x7B else _DROPBOX


@helper
def skinny_fits(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether Cisco's SKINNY begins here: a length of 4 to 4096, a version up to 22."""
    # Bounds: length and version are eight bytes.
    return hi - lo >= 8 and 4 <= le32(data, lo) <= 4096 and le32(data, lo + 4) <= 22


@helper
def socks_label(data: NDArray[np.uint8], lo: int, hi: int, end: int, talk: Any) -> int:
    """SOCKS until it carries something that is known at sight."""
    if is_http(data, lo, hi):
        talk["state"] = 1
        return _HTTP
    # Bounds: one byte.
    is_own = hi - lo >= 1 and be8(data, lo) <= 5
    if talk["state"] == 1 and not is_own:
        return _HTTP
    return plain_label(data, lo, hi, end, talk, _SOCKS)


@helper
def is_dns_query(data: NDArray[np.uint8], lo: int, hi: int) -> bool:
    """Whether a datagram on any port asks one question (RFC 1035 section 4.1) and nothing else."""
    # Bounds: twelve bytes of header, then a name, label by label, type and class.
    if hi - lo < 17 or be8(data, lo + 2) & 0xF8 or be32(data, lo + 4) != 0x0001_0000:
        return False
    if be16(data, lo + 8) != 0 or be16(data, lo + 10) > 2:
        return False
    here = lo + 12
    for _ in range(128):
        if hi - here < 5:
            return False
        n_bytes = be8(data, here)
        here += 1
        if n_bytes == 0:
            return be16(data, here + 2) & 0x7FFF in (1, 3, 255)
        if n_bytes > 63:
            return False
        here += n_bytes
    return False


@helper
def is_wireguard(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> bool:
    """Whether it is one of WireGuard's four messages, whose lengths are fixed or padded to 16."""
    # Bounds: kind and three reserved bytes.
    if hi - lo < 4 or be32(data, lo) & 0x00FF_FFFF:
        return False
    kind, n_bytes = be8(data, lo), end - lo
    if kind == 4:
        return n_bytes >= 32 and n_bytes % 16 == 0
    return (
        (kind == 1 and n_bytes == 148)
        or (kind == 2 and n_bytes == 92)
        or (kind == 3 and n_bytes == 64)
    )

"""Protocols of numbers, on TCP and UDP, that a pattern alone does not tell apart."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.protocol.tables import Knowledge, label_index
from tapwatch.features.protocol.words import be8, be16, be32, helper

_STUN = label_index("STUN")
_RDP = label_index("RDP")
_T125 = label_index("T.125")
_COTP = label_index("COTP")
_TPKT = label_index("TPKT")
_RPC = label_index("RPC")
_SSH = label_index("SSH")
_SSHV1 = label_index("SSHv1")
_SSHV2 = label_index("SSHv2")
_DHCP = label_index("DHCP")
_BOOTP = label_index("BOOTP")

_DHCP_COOKIE: Final = 0x63825363  # RFC 2131 section 3
_MAX_OPTIONS: Final = 64
_STUN_COOKIE: Final = 0x2112A442  # RFC 8489 section 5
_SSH_BANNER: Final = 0x5353482D  # "SSH-"


@helper
def rpc_label(
    data: NDArray[np.uint8], lo: int, hi: int, talk: Any, is_certain: int, know: Knowledge
) -> int:
    """ONC RPC messages (RFC 5531 section 9) from their transaction number on; 0 for no RPC."""
    # Bounds: transaction, kind, RPC version and program are 16 bytes of a call.
    if hi - lo < 8:
        return 0
    kind = be32(data, lo + 4)
    if kind == 1:
        return int(talk["memory"])
    if kind != 0 or hi - lo < 16 or be32(data, lo + 8) != 2:
        return 0
    program = be32(data, lo + 12)
    for k in range(know.programs.shape[0]):
        if know.programs[k, 0] == program:
            talk["memory"] = know.programs[k, 1]
            return int(know.programs[k, 1])
    return _RPC if is_certain else 0


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
    """STUN by its cookie; where it is known, what TURN relays too (RFC 8656 section 12.4)."""
    # Bounds: kind and length are four bytes, and the cookie four more.
    if hi - lo < 4:
        return 0
    first = be8(data, lo)
    if first <= 1 and hi - lo >= 8 and be32(data, lo + 4) == _STUN_COOKIE and end - lo >= 20:
        return _STUN
    # The length of channel data leaves out its header, and padding to a multiple of four.
    is_channel = is_certain and 0x40 <= first <= 0x7F
    return _STUN if is_channel and 0 <= end - lo - 4 - be16(data, lo + 2) <= 3 else 0


@helper
def rdp_label(data: NDArray[np.uint8], lo: int, hi: int, end: int, talk: Any) -> int:
    """RDP in TPKT (RFC 1006), and its fast path, in a connection that was asked for; or 0.

    Where T.125 was never seen, TLS is around it, and what comes is no more than TPKT to Wireshark.
    """
    # Bounds: version and reserved byte, then each byte of the headers before it is read.
    if hi - lo < 2:
        return _TPKT if talk["state"] else 0
    if be16(data, lo) != 0x0300:
        # The fast path has 0 in the first two bits (MS-RDPBCGR section 2.2.9.1.2).
        is_fast = talk["state"] == 2 and be8(data, lo) & 3 == 0
        return _RDP if is_fast else _TPKT if talk["state"] else 0
    kind = be8(data, lo + 5) if hi - lo >= 6 else 0
    if kind >> 4 in (0xD, 0xE) and hi - lo >= 11:
        talk["state"] = max(int(talk["state"]), 1)
        return _RDP
    if kind == 0xF0:
        is_known = talk["state"] > 0
        talk["state"] = 2
        # What X.224 carries: requests to send, indications of data, and connections of T.125.
        is_whole = be16(data, lo + 2) <= end - lo
        is_rdp = is_known and is_whole and hi - lo >= 8 and be8(data, lo + 7) in (0x64, 0x68, 0x7F)
        return _RDP if is_rdp else _T125
    return _COTP if hi - lo >= 5 else _TPKT


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

"""Tunnel headers: what a packet carries behind its transport header, and where that begins.

Nothing here refuses a packet. A port is no proof of a tunnel, so whatever is doubtful leaves the
packet as it is, under its outer header, and says why.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode import offsets as at
from tapwatch.decode import tunnel_offsets as tunnel
from tapwatch.decode.status import Tunnel, Unopened
from tapwatch.decode.words import be8, be16, be32, helper

# What became of looking for a tunnel: one of these two, or a value of Unopened.
FOUND = -1
NO_TUNNEL = -2

#: In place of a number that tells one tunnel of a kind from another, both ways alike.
NO_NUMBER = -1

_TRUNCATED = int(Unopened.TRUNCATED)
_MALFORMED = int(Unopened.MALFORMED)
_UNSUPPORTED = int(Unopened.UNSUPPORTED)
_IPV4 = int(Tunnel.IPV4)
_IPV6 = int(Tunnel.IPV6)
_GRE = int(Tunnel.GRE)
_PPTP = int(Tunnel.PPTP)
_ERSPAN = int(Tunnel.ERSPAN)
_VXLAN = int(Tunnel.VXLAN)
_GENEVE = int(Tunnel.GENEVE)
_GTP_U = int(Tunnel.GTP_U)
_TEREDO = int(Tunnel.TEREDO)
_L2TP = int(Tunnel.L2TP)
_NO_KIND = -1


@helper
def find_tunnel(data: NDArray[np.uint8], row: Any) -> tuple[int, int, int, int, int, int]:
    """Look for a tunnel's header in the payload of a decoded packet.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only the captured payload is read, and a GRE header before it.
    row : PACKET record
        Status OK; not a later fragment.

    Returns
    -------
    outcome : int
        FOUND, NO_TUNNEL, or why a tunnel cannot be opened (Unopened).
    kind : Tunnel
    carried : int
        EtherType of what is inside, as `read_carried` takes it.
    lo, end : int
        Where that begins and ends on the wire, lo <= end; it begins within the captured payload.
    number : int
        Network identifier or key that both directions share, below 2**32; or NO_NUMBER.
    """
    lo = int(row["payload_start"])
    end = lo + int(row["payload_bytes"])
    hi = lo + int(row["payload_captured_bytes"])
    proto = int(row["proto"])
    if proto == at.PROTO_IPV4:
        return FOUND, _IPV4, at.TYPE_IPV4, lo, end, NO_NUMBER
    if proto == at.PROTO_IPV6:
        return FOUND, _IPV6, at.TYPE_IPV6, lo, end, NO_NUMBER
    if proto == at.PROTO_GRE:
        return _read_gre(data, lo, hi, end, lo - int(row["transport_header_bytes"]))
    if proto == at.PROTO_UDP:
        return _find_behind_udp(data, lo, hi, end, row)
    return NO_TUNNEL, _NO_KIND, 0, lo, end, NO_NUMBER


@helper
def _find_behind_udp(
    data: NDArray[np.uint8], lo: int, hi: int, end: int, row: Any
) -> tuple[int, int, int, int, int, int]:
    """Go by the ports, the destination's first; returns as `find_tunnel`."""
    kind = _kind_of_port(int(row["dst_port"]))
    if kind == _NO_KIND:
        kind = _kind_of_port(int(row["src_port"]))
    # Behind a datagram that is shorter than its packet lies nothing that belongs to it.
    if row["udp_bytes"] != 0:
        end = min(end, lo - at.UDP_BYTES + int(row["udp_bytes"]))
    outcome, carried, number = NO_TUNNEL, 0, NO_NUMBER
    if kind == _VXLAN:
        outcome, carried, lo, number = _read_vxlan(data, lo, hi, end)
    elif kind == _GENEVE:
        outcome, carried, lo, number = _read_geneve(data, lo, hi, end)
    elif kind == _GTP_U:
        outcome, carried, lo, end = _read_gtp_u(data, lo, hi, end)
    elif kind == _TEREDO:
        outcome, carried, lo = _read_teredo(data, lo, hi, end)
    elif kind == _L2TP:
        outcome, carried, lo, end = _read_l2tp(data, lo, hi, end)
    return outcome, kind, carried, lo, end, number


@helper
def _kind_of_port(port: int) -> int:
    if port in (tunnel.PORT_VXLAN, tunnel.PORT_VXLAN_LINUX):
        return _VXLAN
    if port == tunnel.PORT_GENEVE:
        return _GENEVE
    if port == tunnel.PORT_GTP_U:
        return _GTP_U
    if port == tunnel.PORT_TEREDO:
        return _TEREDO
    if port == tunnel.PORT_L2TP:
        return _L2TP
    return _NO_KIND


@helper
def _room(lo: int, hi: int, end: int, n_bytes: int) -> int:
    """FOUND where `n_bytes` are inside and were captured, and why not where they are not."""
    if end - lo < n_bytes:
        return _MALFORMED
    return FOUND if hi - lo >= n_bytes else _TRUNCATED


@helper
def _read_gre(
    data: NDArray[np.uint8], lo: int, hi: int, end: int, header: int
) -> tuple[int, int, int, int, int, int]:
    """RFC 2784, 2890 and 7637, version 1 of RFC 2637; returns as `find_tunnel`.

    The header begins at `header` and ends at `lo`; the transport room has read its length by its
    flags, and found all of it captured: what the flags announce is there.
    """
    flags = be16(data, header + at.GRE_FLAGS)
    carried = be16(data, header + at.GRE_PROTOCOL)
    version = flags & at.GRE_VERSION
    if version == 1:
        outcome, end = _read_pptp(data, lo, end, header, flags)
        return outcome, _PPTP, carried, lo, end, NO_NUMBER
    if version != 0 or flags & at.GRE_ROUTING:
        return _UNSUPPORTED, _GRE, carried, lo, end, NO_NUMBER
    if carried in (tunnel.TYPE_ERSPAN, tunnel.TYPE_ERSPAN_3):
        outcome, lo = _read_erspan(data, lo, hi, end, carried, flags)
        return outcome, _ERSPAN, tunnel.TYPE_ETHERNET, lo, end, NO_NUMBER

    # Below the first EtherType are numbers of other registries: OSI, NHRP, keepalives.
    outcome = FOUND if carried >= at.ETHER_TYPE_MIN else _UNSUPPORTED
    number = NO_NUMBER
    if flags & at.GRE_KEY:
        key = header + at.GRE_BYTES
        if flags & at.GRE_CHECKSUM:
            key += at.GRE_FIELD_BYTES
        number = be32(data, key)
        # NVGRE (RFC 7637 section 3.2): the low byte is a hash of the inner flow, by its sender.
        if carried == tunnel.TYPE_ETHERNET and not flags & (at.GRE_CHECKSUM | at.GRE_SEQUENCE):
            number >>= 8
    return outcome, _GRE, carried, lo, end, number


@helper
def _read_pptp(
    data: NDArray[np.uint8], lo: int, end: int, header: int, flags: int
) -> tuple[int, int]:
    """RFC 2637 section 4.1; returns outcome and end."""
    if not flags & at.GRE_KEY or be16(data, header + at.GRE_PROTOCOL) != tunnel.TYPE_PPP:
        return _MALFORMED, end
    if not flags & at.GRE_SEQUENCE:  # only an acknowledgement
        return NO_TUNNEL, end
    payload_bytes = be16(data, header + tunnel.PPTP_PAYLOAD_LENGTH)
    if payload_bytes > end - lo:
        return _MALFORMED, end
    return FOUND, lo + payload_bytes


@helper
def _read_erspan(
    data: NDArray[np.uint8], lo: int, hi: int, end: int, carried: int, flags: int
) -> tuple[int, int]:
    """draft-foschiano-erspan-03; returns outcome and the offset of the mirrored frame."""
    if carried == tunnel.TYPE_ERSPAN and not flags & at.GRE_SEQUENCE:
        return FOUND, lo  # type I has no header of its own
    n_bytes, version = tunnel.ERSPAN_2_BYTES, tunnel.ERSPAN_2_VERSION
    if carried == tunnel.TYPE_ERSPAN_3:
        n_bytes, version = tunnel.ERSPAN_3_BYTES, tunnel.ERSPAN_3_VERSION
    # Bounds: the reads below are in the first `n_bytes`; this line makes them safe.
    outcome = _room(lo, hi, end, n_bytes)
    if outcome != FOUND:
        return outcome, lo
    if be8(data, lo + tunnel.ERSPAN_VERSION) >> 4 != version:
        return _UNSUPPORTED, lo
    if carried == tunnel.TYPE_ERSPAN_3:
        fields = be16(data, lo + tunnel.ERSPAN_3_FLAGS)
        if fields & tunnel.ERSPAN_3_FRAME_TYPE:
            return _UNSUPPORTED, lo
        if fields & tunnel.ERSPAN_3_SUBHEADER:
            n_bytes += tunnel.ERSPAN_3_SUBHEADER_BYTES
    outcome = _room(lo, hi, end, n_bytes)
    return outcome, lo + n_bytes


@helper
def _read_vxlan(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int, int, int]:
    """RFC 7348 section 5; returns outcome, what is carried, its offset, and the VNI."""
    # Bounds: the reads below are in the first VXLAN_BYTES; this line makes them safe.
    outcome = _room(lo, hi, end, tunnel.VXLAN_BYTES)
    if outcome != FOUND:
        return outcome, 0, lo, NO_NUMBER
    if not be8(data, lo + tunnel.VXLAN_FLAGS) & tunnel.VXLAN_VNI_VALID:
        return _MALFORMED, 0, lo, NO_NUMBER
    vni = be32(data, lo + tunnel.VXLAN_VNI) >> 8
    return FOUND, tunnel.TYPE_ETHERNET, lo + tunnel.VXLAN_BYTES, vni


@helper
def _read_geneve(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int, int, int]:
    """RFC 8926 section 3.4; returns as `_read_vxlan`."""
    # Bounds: the reads below are in the first GENEVE_BYTES; this line makes them safe.
    outcome = _room(lo, hi, end, tunnel.GENEVE_BYTES)
    if outcome != FOUND:
        return outcome, 0, lo, NO_NUMBER
    version_length = be8(data, lo + tunnel.GENEVE_VERSION_LENGTH)
    if version_length >> 6 != 0:
        return _UNSUPPORTED, 0, lo, NO_NUMBER
    if be8(data, lo + tunnel.GENEVE_FLAGS) & tunnel.GENEVE_CONTROL:
        return NO_TUNNEL, 0, lo, NO_NUMBER
    carried = be16(data, lo + tunnel.GENEVE_PROTOCOL)
    vni = be32(data, lo + tunnel.GENEVE_VNI) >> 8
    if carried < at.ETHER_TYPE_MIN:
        return _UNSUPPORTED, 0, lo, vni
    n_bytes = tunnel.GENEVE_BYTES + 4 * (version_length & 0x3F)
    return _room(lo, hi, end, n_bytes), carried, lo + n_bytes, vni


@helper
def _read_gtp_u(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int, int, int]:
    """3GPP TS 29.281 section 5; returns outcome, what is carried, its offset and its end."""
    # Bounds: the reads below are in the first GTP_BYTES; this line makes them safe.
    outcome = _room(lo, hi, end, tunnel.GTP_BYTES)
    if outcome != FOUND:
        return outcome, 0, lo, end
    flags = be8(data, lo + tunnel.GTP_FLAGS)
    if flags & tunnel.GTP_VERSION_TYPE != tunnel.GTP_VERSION_1:
        return _UNSUPPORTED, 0, lo, end
    if be8(data, lo + tunnel.GTP_MESSAGE_TYPE) != tunnel.GTP_G_PDU:
        return NO_TUNNEL, 0, lo, end
    length = be16(data, lo + tunnel.GTP_LENGTH)
    if length > end - lo - tunnel.GTP_BYTES:
        return _MALFORMED, 0, lo, end
    end = lo + tunnel.GTP_BYTES + length
    here = lo + tunnel.GTP_BYTES
    if flags & tunnel.GTP_OPTIONAL:
        # Bounds: four bytes more, the type of the first extension header is the last of them.
        outcome = _room(here, hi, end, tunnel.GTP_OPTIONAL_BYTES)
        if outcome != FOUND:
            return outcome, 0, lo, end
        here += tunnel.GTP_OPTIONAL_BYTES
        if flags & tunnel.GTP_EXTENSION:
            outcome, here = _skip_gtp_extensions(data, here, hi, end)
            if outcome != FOUND:
                return outcome, 0, lo, end
    outcome, carried = _ip_version(data, here, hi, end)
    return outcome, carried, here, end


@helper
def _skip_gtp_extensions(data: NDArray[np.uint8], here: int, hi: int, end: int) -> tuple[int, int]:
    """TS 29.281 section 5.2; the byte before `here`, captured, names the first one."""
    n_headers = 0
    while be8(data, here - 1) != 0:
        if n_headers == tunnel.GTP_EXTENSION_MAX:
            return _MALFORMED, here
        # Bounds: its length is one byte, and its last byte the next type; these lines make it safe.
        outcome = _room(here, hi, end, 1)
        if outcome != FOUND:
            return outcome, here
        n_bytes = be8(data, here) * tunnel.GTP_EXTENSION_UNIT
        if n_bytes == 0:
            return _MALFORMED, here
        outcome = _room(here, hi, end, n_bytes)
        if outcome != FOUND:
            return outcome, here
        here += n_bytes
        n_headers += 1
    return FOUND, here


@helper
def _ip_version(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int]:
    """Tell IPv4 from IPv6 by the first four bits; returns outcome and EtherType."""
    # Bounds: one byte is read; this line makes it safe.
    outcome = _room(lo, hi, end, 1)
    if outcome != FOUND:
        return outcome, 0
    version = be8(data, lo) >> 4
    if version == 4:
        return FOUND, at.TYPE_IPV4
    if version == 6:
        return FOUND, at.TYPE_IPV6
    return _UNSUPPORTED, 0


@helper
def _read_teredo(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int, int]:
    """RFC 4380 section 5.1.1; returns outcome, what is carried, and its offset."""
    # Bounds: two bytes tell what it begins with; this line makes the read safe.
    outcome = _room(lo, hi, end, tunnel.TEREDO_INDICATOR_BYTES)
    if outcome != FOUND:
        return outcome, 0, lo
    if be16(data, lo) == tunnel.TEREDO_AUTHENTICATION:
        # Bounds: both lengths are in the fixed part; this line makes the reads safe.
        outcome = _room(lo, hi, end, tunnel.TEREDO_AUTHENTICATION_BYTES)
        if outcome != FOUND:
            return outcome, 0, lo
        n_bytes = be8(data, lo + tunnel.TEREDO_ID_LENGTH)
        n_bytes += be8(data, lo + tunnel.TEREDO_VALUE_LENGTH)
        n_bytes += tunnel.TEREDO_AUTHENTICATION_BYTES
        # Bounds: what follows begins with two bytes more.
        outcome = _room(lo, hi, end, n_bytes + tunnel.TEREDO_INDICATOR_BYTES)
        if outcome != FOUND:
            return outcome, 0, lo
        lo += n_bytes
    if be16(data, lo) == tunnel.TEREDO_ORIGIN:
        outcome = _room(lo, hi, end, tunnel.TEREDO_ORIGIN_BYTES)
        if outcome != FOUND:
            return outcome, 0, lo
        lo += tunnel.TEREDO_ORIGIN_BYTES
    outcome, carried = _ip_version(data, lo, hi, end)
    if outcome == FOUND and carried != at.TYPE_IPV6:
        return _MALFORMED, 0, lo
    return outcome, carried, lo


@helper
def _read_l2tp(data: NDArray[np.uint8], lo: int, hi: int, end: int) -> tuple[int, int, int, int]:
    """RFC 2661 section 3.1; returns as `_read_gtp_u`."""
    # Bounds: the flags are in the shortest header; this line makes the read safe.
    outcome = _room(lo, hi, end, tunnel.L2TP_MIN_BYTES)
    if outcome != FOUND:
        return outcome, 0, lo, end
    flags = be16(data, lo)
    if flags & tunnel.L2TP_VERSION != tunnel.L2TP_VERSION_2:
        return _UNSUPPORTED, 0, lo, end
    if flags & tunnel.L2TP_CONTROL:
        return NO_TUNNEL, 0, lo, end
    n_bytes = tunnel.L2TP_MIN_BYTES
    if flags & tunnel.L2TP_LENGTH:
        # Bounds: the length stands within the shortest header, before the two identifiers.
        length = be16(data, lo + 2)
        if length > end - lo:
            return _MALFORMED, 0, lo, end
        end = lo + length
        n_bytes += 2
    if flags & tunnel.L2TP_SEQUENCE:
        n_bytes += 4
    if flags & tunnel.L2TP_OFFSET:
        # Bounds: the offset's size is the last of its two bytes; this line makes the read safe.
        outcome = _room(lo, hi, end, n_bytes + 2)
        if outcome != FOUND:
            return outcome, 0, lo, end
        n_bytes += 2 + be16(data, lo + n_bytes)
    outcome = _room(lo, hi, end, n_bytes)
    return outcome, tunnel.TYPE_PPP, lo + n_bytes, end

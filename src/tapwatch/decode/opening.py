"""Opening tunnels, one in another: the innermost packet that reads OK becomes the frame's row."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.decode.frame import read_carried
from tapwatch.decode.status import DecodeStatus, Unopened
from tapwatch.decode.tunnels import FOUND, NO_NUMBER, NO_TUNNEL, find_tunnel
from tapwatch.decode.words import helper

_OK = int(DecodeStatus.OK)
_DEPTH = int(Unopened.DEPTH)
_FRAGMENT = int(Unopened.FRAGMENT)

_WORD_MASK: Final = 0xFFFF_FFFF
_HALF_MASK: Final = np.uint64(0xFFFF_FFFF)
_HALF_BITS: Final = np.uint64(32)


def reasons_by_status() -> NDArray[np.int64]:
    """Unopened, by the DecodeStatus of what is inside a tunnel: cut, contradictory, or not read."""
    reasons = np.full(len(DecodeStatus), int(Unopened.UNSUPPORTED), np.int64)
    for status in DecodeStatus:
        if status.name.endswith("_TRUNCATED"):
            reasons[status] = Unopened.TRUNCATED
        elif {"BAD", "BEYOND", "TOO"} & set(status.name.split("_")):
            reasons[status] = Unopened.MALFORMED
    return reasons


@helper
def open_tunnels(
    data: NDArray[np.uint8],
    row: Any,
    depth: int,
    scratch: NDArray[Any],
    scratch_bytes: NDArray[np.uint8],
    tunnel_counts: NDArray[np.int64],
    unopened_counts: NDArray[np.int64],
    unopened_by_status: NDArray[np.int64],
) -> int:
    """Decode what is inside a packet's tunnels.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        Batch buffer. Only the captured payload of the packet is read, and a GRE header before it.
    row : PACKET record
        The outer packet; its status is OK.
    depth : int
        Tunnels to open, at least 1.
    scratch : PACKET (2,)
        Overwritten: inner packets, by turns.
    scratch_bytes : uint8 (2, PACKET.itemsize)
        The same memory.
    tunnel_counts, unopened_counts : int64 (n,)
        Added to in place, by value of Tunnel and Unopened.
    unopened_by_status : int64 (n,)
        What `reasons_by_status` gives.

    Returns
    -------
    inner : int
        Which row of `scratch` shall replace the outer one; -1 where that one stands.
    """
    inner = -1
    for level in range(depth + 1):
        # Behind the IP header of a later fragment comes the middle of something.
        if row["frag_offset_bytes"] != 0:
            return inner
        outcome, kind, carried, lo, end, number = find_tunnel(data, row)
        if outcome == NO_TUNNEL:
            return inner
        if outcome == FOUND and row["is_fragment"] != 0:
            outcome = _FRAGMENT
        elif outcome == FOUND and level == depth:
            outcome = _DEPTH
        if outcome != FOUND:
            unopened_counts[outcome] += 1
            return inner

        # Bounds: what a tunnel carries was captured as far as the payload was, and ends with it.
        hi = int(row["payload_start"]) + int(row["payload_captured_bytes"])
        other = 1 if inner == 0 else 0
        inside = scratch[other]
        for k in range(scratch_bytes.shape[1]):
            scratch_bytes[other, k] = 0
        _keep_frame(row, inside)
        status = read_carried(data, carried, lo, min(hi, end), end, inside)
        if status != _OK:
            unopened_counts[unopened_by_status[status]] += 1
            return inner
        inside["tunnel_id"] = _tunnel_id(row, kind, number)
        tunnel_counts[kind] += 1
        row = inside
        inner = other
    return inner


@helper
def _keep_frame(outer: Any, inner: Any) -> None:
    """Hand down what is the frame's own, whatever it carries."""
    inner["ts_ns"] = outer["ts_ns"]
    inner["clock_ns"] = outer["clock_ns"]
    inner["number"] = outer["number"]
    inner["eth_src"] = outer["eth_src"]
    inner["eth_dst"] = outer["eth_dst"]
    inner["wire_bytes"] = outer["wire_bytes"]
    inner["captured_bytes"] = outer["captured_bytes"]
    inner["interface"] = outer["interface"]
    inner["direction"] = outer["direction"]
    inner["vlan_tci"] = outer["vlan_tci"]
    inner["n_vlan_tags"] = outer["n_vlan_tags"]
    inner["tcp_window_scale"] = 255


@helper
def _tunnel_id(outer: Any, kind: int, number: int) -> int:
    """Hash a tunnel and those around it to 1 .. 2**32 - 1, alike for both directions.

    Two tunnels that meet in one value only share flows between equal inner endpoints.
    """
    so_far = _mix(_mix(int(outer["tunnel_id"])) ^ (kind + 1))
    if number != NO_NUMBER:
        so_far = _mix(so_far ^ number)
    else:
        # `a & b` and `a ^ b` determine the sum of a and b, so nothing but the order is lost.
        a = _address_word(outer["src_hi"], outer["src_lo"])
        b = _address_word(outer["dst_hi"], outer["dst_lo"])
        so_far = _mix(_mix(so_far ^ (a & b)) ^ (a ^ b))
    return max(so_far, 1)


@helper
def _address_word(hi: Any, lo: Any) -> int:
    so_far = 0
    for half in (np.uint64(hi), np.uint64(lo)):
        so_far = _mix(so_far ^ int(np.int64(half >> _HALF_BITS)))
        so_far = _mix(so_far ^ int(np.int64(half & _HALF_MASK)))
    return so_far


@helper
def _mix(x: int) -> int:
    """Spread every bit of 32 over all of them: a bijection, all of whose steps fit 63 bits."""
    # Multipliers and shifts by Wellons (hash-prospector, 2018); both multipliers are below 2**31.
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _WORD_MASK
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _WORD_MASK
    return x ^ (x >> 15)

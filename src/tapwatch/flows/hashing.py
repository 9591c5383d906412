"""Flow hashes: 64 bits, symmetric in direction for the table, ordered for the public flow id.

The table's hash cannot be computed backwards, for replays have a seed that everybody knows:
`mix` is a bijection, and whoever can run it backwards writes a capture all of whose flows have one
hash. So each of its rounds adds what went in to what comes out, as compression functions do
(Preneel, Govaerts, Vandewalle 1993). What remains is to try keys until they fall close together.
"""

from typing import Any, Final

import numpy as np
from numba import config, njit

# Stafford's variant 13 of the 64-bit finaliser, as in SplitMix64 (Steele, Lea, Flood 2014).
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_S1: Final = np.uint64(30)
_S2: Final = np.uint64(27)
_S3: Final = np.uint64(31)
#: How far a word is turned before it is added: without that, rounds of equal words could cancel.
_TURN: Final = np.uint64(23)
_TURN_BACK: Final = np.uint64(64 - 23)

#: Seed of public ids: they are the same in every run, whatever the table's own seed.
ID_SEED: Final = np.uint64(0x7461707761746368)
_POSITIVE: Final = np.uint64((1 << 63) - 1)

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _product(a: Any, b: Any) -> Any:
        # NumPy warns where machine code wraps.
        return np.uint64(int(a) * int(b) & 0xFFFF_FFFF_FFFF_FFFF)

else:

    @njit
    def _product(a: Any, b: Any) -> Any:
        return a * b


@njit
def wide(x: Any) -> int:
    """Widen any integer to 64 bits with sign, in machine code as in NumPy."""
    return int(np.int64(x))


@njit
def mix(x: Any) -> Any:
    """Spread every bit of a uint64 over all 64: two multiplications, a bijection."""
    x = _product(x ^ (x >> _S1), _M1)
    x = _product(x ^ (x >> _S2), _M2)
    return x ^ (x >> _S3)


@njit
def _endpoint(hi: Any, lo: Any, port: Any, seed: Any) -> Any:
    # One round for each word: with fewer, an attacker who owns a prefix could let an address bit
    # cancel a port bit, and choose colliding flows without knowing the seed.
    return mix(mix(mix(hi ^ seed) ^ lo) ^ np.uint64(port))


@njit
def _fold(state: Any, word: Any) -> Any:
    # The word, and not the state, is what an attacker chooses: for a given result there is no way
    # back from `mix(x) ^ turned(x ^ state)` to x but to try.
    return mix(state ^ word) ^ (word << _TURN | word >> _TURN_BACK)


@njit
def _one_way(hi: Any, lo: Any, port: Any, seed: Any) -> Any:
    return _fold(_fold(_fold(seed, hi), lo), np.uint64(port))


@njit
def meta_word(proto: Any, ip_version: Any, vlan: Any, tunnel_id: Any) -> Any:
    """Pack what the key has beside the endpoints: 8 + 8 + 16 + 32 bits, without loss."""
    low = wide(proto) | wide(ip_version) << 8 | (wide(vlan) + 1) << 16
    return np.uint64(low) | np.uint64(tunnel_id) << np.uint64(32)


@njit
def table_hash(record: Any, src_port: int, dst_port: int, meta: Any, seed: Any) -> Any:
    """Hash a key so that both directions are equal, and none can be found for a given hash.

    `a & b` and `a ^ b` determine the sum of a and b, so nothing but the order is lost.
    """
    a = _one_way(record["src_hi"], record["src_lo"], src_port, seed)
    b = _one_way(record["dst_hi"], record["dst_lo"], dst_port, seed)
    return mix(mix((a & b) ^ meta) ^ (a ^ b))


@njit
def public_id(row: Any) -> int:
    """Hash a flow's key, initiator first, and its first timestamp to 1 .. 2**63 - 1."""
    a = _endpoint(row["src_hi"], row["src_lo"], row["src_port"], ID_SEED)
    b = _endpoint(row["dst_hi"], row["dst_lo"], row["dst_port"], ID_SEED)
    meta = meta_word(row["proto"], row["ip_version"], row["vlan"], row["tunnel_id"])
    mixed = mix(mix(mix(a ^ meta) ^ b) ^ np.uint64(row["first_ts_ns"])) & _POSITIVE
    return int(max(wide(mixed), 1))

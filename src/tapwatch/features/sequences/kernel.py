"""Blocks of the last rows of an entity: the memory of `Sequences`."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.features.arithmetic import mix
from tapwatch.features.entities import Entities, address_hash, helper, meet, pair_hash
from tapwatch.features.sequences.layout import FLOW_OR_PAIR, HOST

_NONE = np.uint64(0)
_NO_ADDRESS = 255  # in place of an IP version: the key is the id of a flow


class Memory(NamedTuple):
    """The last rows of each entity."""

    entities: Entities
    keys: NDArray[Any]  # KEY (1,) of the row at hand
    seen: NDArray[np.int64]  # (capacity,) rows of each entity so far
    # float32 or float64 (capacity, n, columns): the k-th row of an entity, from 0, is at k modulo n
    history: NDArray[Any]


@njit(nogil=True, cache=True)
def fill_sequences(rows, values, kind, seed, memory, blocks, lengths):  # type: ignore[no-untyped-def]
    """Write the block and the length of each row.

    Parameters
    ----------
    rows : ROW (n_rows,)
    values : float32 or float64 (n_rows, columns)
    kind : int
        FLOW_OR_PAIR, SERVICE or HOST.
    seed : uint64
        Of the hash.
    memory : Memory
        Goes on from batch to batch.
    blocks : float32 or float64 (n_rows, n, columns)
        Every element is written.
    lengths : int32 (n_rows,)
        Written.
    """
    entities, keys, seen, history = memory
    key = keys[0]
    n = history.shape[1]
    n_columns = history.shape[2]
    for i in range(len(rows)):
        key_hash = _write_key(key, rows[i], kind, seed)
        entity, _, is_new = meet(entities, key, key_hash, kind == FLOW_OR_PAIR)
        if is_new:
            seen[entity] = 0
        place = seen[entity] % n
        for k in range(n_columns):
            history[entity, place, k] = values[i, k]
        seen[entity] += 1
        length = min(seen[entity], n)
        lengths[i] = length
        for back in range(n):
            # The newest row stands last.
            at = n - 1 - back
            if back < length:
                source = (seen[entity] - 1 - back) % n
                for k in range(n_columns):
                    blocks[i, at, k] = history[entity, source, k]
            else:
                for k in range(n_columns):
                    blocks[i, at, k] = 0.0


@helper
def _write_key(key, row, kind, seed):  # type: ignore[no-untyped-def]
    # What is written of the key is what its hash is of.
    key["a_port"] = 0
    key["b_port"] = 0
    key["b_hi"] = 0
    key["b_lo"] = 0
    if kind == FLOW_OR_PAIR and row["is_flow"] != 0:
        key["a_hi"] = 0
        key["a_lo"] = np.uint64(row["flow_id"])
        key["ip_version"] = _NO_ADDRESS
        return address_hash(_NONE, key["a_lo"], seed)
    key["a_hi"] = row["src_hi"]
    key["a_lo"] = row["src_lo"]
    key["ip_version"] = row["ip_version"]
    src = address_hash(row["src_hi"], row["src_lo"], seed)
    if kind == HOST:
        return src
    key["b_hi"] = row["dst_hi"]
    key["b_lo"] = row["dst_lo"]
    dst = address_hash(row["dst_hi"], row["dst_lo"], seed)
    if kind == FLOW_OR_PAIR:
        return pair_hash(src, dst)
    key["b_port"] = row["dst_port"]
    return mix(mix(src ^ np.uint64(row["dst_port"])) ^ dst)

"""Blocks of the last rows of an entity: the memory of `Sequences`."""

import numpy as np
from numba import njit

from tapwatch.features.arithmetic import mix
from tapwatch.features.entities import address_hash, helper, meet, pair_hash

#: Whose rows are one sequence.
FLOW_OR_PAIR, SERVICE, HOST = 0, 1, 2

_NONE = np.uint64(0)
_NO_ADDRESS = 255  # in place of an IP version: the key is the id of a flow


@njit(nogil=True, cache=True)
def fill_sequences(rows, values, kind, seed, entities, keys, seen, history, blocks, lengths):  # type: ignore[no-untyped-def]
    """Write the block and the length of each row.

    Parameters
    ----------
    rows : ROW (n_rows,)
    values : float32 or float64 (n_rows, columns)
    kind : int
        FLOW_OR_PAIR, SERVICE or HOST.
    seed : uint64
        Of the hash.
    entities : Entities
        Goes on from batch to batch, as do `seen` and `history`.
    keys : KEY (1,)
        Scratch.
    seen : int64 (capacity,)
        Rows of each entity so far.
    history : as `values` (capacity, n, columns)
        Its last n rows; the k-th row of an entity, from 0, is at k modulo n.
    blocks : as `values` (n_rows, n, columns)
        Every element is written.
    lengths : int32 (n_rows,)
        Written.
    """
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

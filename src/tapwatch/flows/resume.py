"""Putting the open flows of a suspended table back."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.flows.handshake import timeout_class
from tapwatch.flows.hashing import meta_word, table_hash
from tapwatch.flows.index import append, bucket_of, insert, tag_of, take_row
from tapwatch.flows.layout import FLOW_WORDS, Table


@njit(nogil=True, cache=True)
def adopt(
    rows: NDArray[Any], row_words: NDArray[np.uint64], nodes: NDArray[Any], table: Table
) -> None:
    """Enter open flows into a table that has room for them.

    Parameters
    ----------
    rows : FLOW (n,)
        Oldest touch first: the lists of the table keep that order.
    row_words : uint64 (n, FLOW.itemsize / 8)
        The memory of `rows`.
    nodes : NODE (n,)
        Of the same flows.
    table : Table
        Of the same capacity and hash seed, without flows.
    """
    for i in range(len(rows)):
        row = rows[i]
        meta = meta_word(row["proto"], row["ip_version"], row["vlan"], row["tunnel_id"])
        seed = table.parameters[0]["seed"]
        flow_hash = table_hash(row, row["src_port"], row["dst_port"], meta, seed)
        bucket = bucket_of(flow_hash)
        number = take_row(table, bucket)
        for word in range(FLOW_WORDS):
            table.row_words[number, word] = row_words[i, word]
        node, told = table.nodes[number], nodes[i]
        node["touch"] = told["touch"]
        node["isn"][0] = told["isn"][0]
        node["isn"][1] = told["isn"][1]
        node["said"] = told["said"]
        node["tag"] = tag_of(flow_hash)
        insert(table, bucket, number)
        append(table, bucket, number, timeout_class(row))

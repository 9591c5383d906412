"""The flow kernel: files packets under their flows, ends flows, writes ended rows out."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.flows.account import account, conclude
from tapwatch.flows.borrow import borrow, borrow_table
from tapwatch.flows.connection import follow
from tapwatch.flows.handshake import (
    ACTIVE,
    EVICTED,
    IDLE,
    KEEP,
    PORT_REUSE,
    judge,
    note_tcp,
    timeout_class,
)
from tapwatch.flows.hashing import public_id, wide
from tapwatch.flows.index import (
    append,
    bucket_of,
    find,
    give_row,
    insert,
    tag_of,
    take_row,
    touch,
)
from tapwatch.flows.layout import (
    CUT_WORDS,
    FLOW_WORDS,
    LINK_WORDS,
    N_BUCKETS,
    N_CLASSES,
    NONE,
    Table,
)
from tapwatch.flows.protocols import ACK, ICMP, ICMPV6, SYN, TCP
from tapwatch.flows.sequence import count_segment
from tapwatch.tables import EndReason

_EOF: Final = int(EndReason.EOF)


@njit(nogil=True, cache=True)
def run(
    packets: NDArray[Any],
    keys: NDArray[Any],
    links: NDArray[Any],
    link_words: NDArray[np.uint64],
    owned: Table,
    out_words: NDArray[np.uint64],
    tasks: NDArray[Any],
) -> bool:
    """File the packets of one worker's buckets, then end what has been silent for too long.

    The last call ends all flows instead, and leaves their rows in the table.

    Parameters
    ----------
    packets : PACKET (n,)
    keys : KEY (>= n,)
    links : LINK (n,)
        Written for this worker's packets; worker 0 also has those of no flow.
    link_words : uint64 (n, 8)
        The memory of `links`.
    owned : Table
    out_words : uint64 (m, FLOW.itemsize / 8)
        Ended rows; m must exceed the rows of a bucket by some.
    tasks : TASK (1,)
        What to do, and how far it has come.

    Returns
    -------
    done : bool
        False where the output is full: empty it, set n_out to 0, and call again.
    """
    task = tasks[0]
    table = borrow_table(owned)
    out_words = borrow(out_words)
    # One packet, or one step of a sweep, can end all flows of its bucket and one more.
    room = len(out_words) - table.parameters[0]["rows_a_bucket"] - 1
    worker, workers = task["worker"], task["workers"]
    ordinal = task["ordinal"]
    for i in range(task["packet"], len(packets)):
        bucket = bucket_of(keys[i]["hash"])
        if bucket % workers != worker:
            continue
        if task["n_out"] >= room:
            task["packet"] = i
            return False
        for word in range(LINK_WORDS):
            link_words[i, word] = 0
        if keys[i]["is_flow"] != 0:
            _file(packets[i], keys[i], links[i], table, bucket, ordinal + i, out_words, task)
    task["packet"] = len(packets)
    for bucket in range(task["bucket"], N_BUCKETS):
        if bucket % workers != worker:
            continue
        if task["n_out"] >= room:
            task["bucket"] = bucket
            return False
        if task["is_last"]:
            _end_all(table, bucket, task["close_ns"])
        else:
            sweep(table, bucket, task["sweep_ns"], out_words, task)
    task["bucket"] = N_BUCKETS
    return True


@njit(forceinline=True)  # called once, for every packet, with all arrays
def _file(
    packet: Any,
    key: Any,
    link: Any,
    table: Table,
    bucket: int,
    ordinal: int,
    out_words: NDArray[np.uint64],
    task: Any,
) -> None:
    # A flow that ends because of a packet of its own key hands its row and its place in the index
    # to the one that begins.
    number, direction = find(table, packet, key)
    clock_ns = key["clock_ns"]
    if number < 0:
        number = _make_room(table, bucket, clock_ns, out_words, task)
        table.nodes[number]["tag"] = tag_of(key["hash"])
        direction = _begin(packet, key, table, bucket, number)
        insert(table, bucket, number)
        append(table, bucket, number, timeout_class(table.rows[number]))
    else:
        row = table.rows[number]
        verdict = judge(row, table.nodes[number], packet, key, direction, table.parameters[0])
        if verdict == ACTIVE:
            _write_out(table, bucket, number, ACTIVE, clock_ns, out_words, task)
            _continue(packet, table, bucket, number)
        elif verdict != KEEP:
            reason, end_ns = verdict, clock_ns
            if verdict == IDLE:
                end_ns = deadline(table, number)
            if verdict != PORT_REUSE and row["is_closing"] != 0:
                reason = wide(row["is_closing"])
            _write_out(table, bucket, number, reason, end_ns, out_words, task)
            direction = _begin(packet, key, table, bucket, number)
    row = table.rows[number]
    ts_ns = key["ts_ns"]
    account(row, packet, ts_ns, direction, link)
    row["last_clock_ns"] = clock_ns
    if packet["proto"] == TCP:
        _note_segment(row, table.nodes[number], packet, direction)
    row["wrong_fragments"] += key["is_wrong_fragment"]
    if ts_ns < clock_ns:
        table.buckets[bucket]["late"] += 1
    touch(table, bucket, number, timeout_class(row), ordinal)
    if row["flow_id"] == 0:
        _identify(row)
    _fill_link(link, row, key, direction)


@njit
def _identify(row: Any) -> None:
    row["flow_id"] = public_id(row)
    if row["connection_id"] == 0:
        row["connection_id"] = row["flow_id"]
        row["connection_first_ts_ns"] = row["first_ts_ns"]


@njit
def _note_segment(row: Any, node: Any, packet: Any, direction: int) -> None:
    if packet["transport_header_bytes"] == 0:  # a later fragment
        return
    follow(row, packet, direction)
    count_segment(row, node, packet, direction)
    note_tcp(row, node, packet, direction)


@njit
def _fill_link(link: Any, row: Any, key: Any, direction: int) -> None:
    link["flow_id"] = row["flow_id"]
    link["flow_first_ts_ns"] = row["first_ts_ns"]
    link["connection_id"] = row["connection_id"]
    for d in range(2):
        link["bytes"][d] = row["wire_bytes"][d]
        link["packets"][d] = row["packets"][d] & 0xFFFF_FFFF
    link["src_port"] = key["src_port"]
    link["dst_port"] = key["dst_port"]
    link["proto"] = key["proto"]
    link["is_flow"] = 1
    link["direction"] = direction


@njit
def _begin(packet: Any, key: Any, table: Table, bucket: int, number: int) -> int:
    # The initiator is who sent this packet, unless it answers a SYN that nobody saw.
    is_answer = packet["proto"] == TCP and packet["tcp_flags"] & (SYN | ACK) == SYN | ACK
    _clear(table, number)
    row = table.rows[number]
    if is_answer:
        row["src_hi"], row["src_lo"] = packet["dst_hi"], packet["dst_lo"]
        row["dst_hi"], row["dst_lo"] = packet["src_hi"], packet["src_lo"]
        row["src_port"], row["dst_port"] = key["dst_port"], key["src_port"]
    else:
        row["src_hi"], row["src_lo"] = packet["src_hi"], packet["src_lo"]
        row["dst_hi"], row["dst_lo"] = packet["dst_hi"], packet["dst_lo"]
        row["src_port"], row["dst_port"] = key["src_port"], key["dst_port"]
    row["tunnel_id"] = packet["tunnel_id"]
    row["vlan"] = key["vlan"]
    row["proto"] = key["proto"]
    row["ip_version"] = packet["ip_version"]
    _open(row, packet, table, bucket)
    node = table.nodes[number]
    node["isn"][0] = 0
    node["isn"][1] = 0
    node["said"] = 0
    if is_answer and _is_self(row):
        return 0
    return 1 if is_answer else 0


@njit
def _is_self(row: Any) -> bool:
    """Tell whether both endpoints are one: then every packet is forward."""
    return bool(
        row["src_lo"] == row["dst_lo"]
        and row["src_hi"] == row["dst_hi"]
        and row["src_port"] == row["dst_port"]
    )


@njit
def _continue(packet: Any, table: Table, bucket: int, number: int) -> None:
    # The connection goes on in a row of its own: who began it, how far its end has come, and its
    # section of the row stay; so do the times of the latest packets, for the gaps of those that
    # come next: they are the traffic's, and the cut is ours.
    row = table.rows[number]
    last_ts_ns = row["last_ts_ns"]
    forward_ns, backward_ns = row["direction_last_ts_ns"][0], row["direction_last_ts_ns"][1]
    for word in range(CUT_WORDS[0], CUT_WORDS[1]):
        table.row_words[number, word] = 0
    row["last_ts_ns"] = last_ts_ns
    row["direction_last_ts_ns"][0], row["direction_last_ts_ns"][1] = forward_ns, backward_ns
    for d in range(2):
        row["tcp_flags"][d] = 0
        row["retransmissions"][d] = 0
    row["is_continuation"] = 1
    row["end_reason"] = 0
    row["conn_state"] = 0
    row["end_ns"] = 0
    row["order_ns"] = 0
    _open(row, packet, table, bucket)


@njit
def _clear(table: Table, number: int) -> None:
    for word in range(FLOW_WORDS):
        table.row_words[number, word] = 0


@njit
def _open(row: Any, packet: Any, table: Table, bucket: int) -> None:
    row["interface"] = packet["interface"]
    row["first_frame"] = packet["number"]
    has_icmp = packet["proto"] in (ICMP, ICMPV6) and packet["frag_offset_bytes"] == 0
    row["has_icmp"] = has_icmp
    row["icmp_type"] = packet["icmp_type"] if has_icmp else 0
    row["icmp_code"] = packet["icmp_code"] if has_icmp else 0
    row["init_window"][0] = -1
    row["init_window"][1] = -1
    table.buckets[bucket]["created"] += 1


@njit
def deadline(table: Table, number: int) -> int:
    """Give the house time up to which a flow waits for its next packet."""
    which = wide(table.nodes[number]["list"])
    return int(table.rows[number]["last_clock_ns"] + table.parameters[0]["timeout_ns"][which])


@njit
def sweep(
    table: Table, bucket: int, before_ns: int, out_words: NDArray[np.uint64], task: Any
) -> None:
    """End the flows of a bucket whose deadline is before a time; it costs only what it ends."""
    for which in range(N_CLASSES):
        number = wide(table.buckets[bucket]["head"][which])
        while number != NONE and deadline(table, number) < before_ns:
            row = table.rows[number]
            reason = wide(row["is_closing"]) if row["is_closing"] != 0 else IDLE
            _write_out(table, bucket, number, reason, deadline(table, number), out_words, task)
            give_row(table, bucket, number)
            number = wide(table.buckets[bucket]["head"][which])


@njit
def _make_room(
    table: Table, bucket: int, clock_ns: int, out_words: NDArray[np.uint64], task: Any
) -> int:
    # A full bucket first lets go of all whose time is over; then the oldest touch must leave.
    if table.buckets[bucket]["open"] >= table.parameters[0]["rows_a_bucket"]:
        sweep(table, bucket, clock_ns, out_words, task)
    if table.buckets[bucket]["open"] >= table.parameters[0]["rows_a_bucket"]:
        oldest = wide(NONE)
        for which in range(N_CLASSES):
            number = wide(table.buckets[bucket]["head"][which])
            if number != NONE and (
                oldest == NONE or table.nodes[number]["touch"] < table.nodes[oldest]["touch"]
            ):
                oldest = number
        _write_out(table, bucket, oldest, EVICTED, clock_ns, out_words, task)
        give_row(table, bucket, oldest)
    return int(take_row(table, bucket))


@njit
def _end_all(table: Table, bucket: int, close_ns: int) -> None:
    # The rows stay where they are, to be read from there: a full table is too large to be copied.
    for which in range(N_CLASSES):
        number = wide(table.buckets[bucket]["head"][which])
        while number != NONE:
            row = table.rows[number]
            reason = wide(row["is_closing"]) if row["is_closing"] != 0 else _EOF
            conclude(row, reason, close_ns)
            table.buckets[bucket]["ended"][reason] += 1
            give_row(table, bucket, number)
            number = wide(table.buckets[bucket]["head"][which])


@njit
def _write_out(
    table: Table,
    bucket: int,
    number: int,
    reason: int,
    end_ns: int,
    out_words: NDArray[np.uint64],
    task: Any,
) -> None:
    conclude(table.rows[number], reason, end_ns)
    # Bounds: `run` left room for every flow of this bucket and one more.
    n_out = task["n_out"]
    for word in range(FLOW_WORDS):
        out_words[n_out, word] = table.row_words[number, word]
    task["n_out"] += 1
    table.buckets[bucket]["ended"][reason] += 1

"""The conversation kernel: finds a segment's conversation and has the segment judged."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.flows.borrow import borrow_table
from tapwatch.flows.conversation_layout import (
    BASE_KNOWN,
    IPV6,
    SCALE_UNKNOWN,
)
from tapwatch.flows.conversation_rules import (
    Segment,
    judge,
    note_base,
    note_handshake,
    seq_advance,
)
from tapwatch.flows.hashing import meta_word, table_hash, wide
from tapwatch.flows.index import (
    append,
    bucket_of,
    give_row,
    insert,
    tag_of,
    take_row,
    unlink,
)
from tapwatch.flows.layout import Table
from tapwatch.flows.prefetch import prefetch
from tapwatch.flows.protocols import ACK, SYN, TCP
from tapwatch.tables import TcpAnalysis

_REUSED_PORTS: Final = int(TcpAnalysis.REUSED_PORTS)
_SEQ_MASK: Final = 0xFFFF_FFFF
_AHEAD: Final = 8  # segments whose rows are on their way from memory
_NO_OPTION: Final = 255  # PACKET.tcp_window_scale without the option


@njit(nogil=True, cache=True)
def analyse(
    packets: NDArray[Any],
    keys: NDArray[Any],
    links: NDArray[Any],
    owned: Table,
    tasks: NDArray[Any],
) -> None:
    """Judge the TCP segments of one worker's buckets.

    Parameters
    ----------
    packets : PACKET (n,)
    keys : KEY (>= n,)
    links : LINK (n,)
        `tcp_analysis`, `tcp_gap_ns`, `tcp_window_shift` and `tcp_seq_advance` are written for this
        worker's TCP segments; those of other packets must be 0 already.
    owned : Table
        Of CONVERSATION, CONVERSATION_NODE, CONVERSATION_BUCKET.
    tasks : TASK (1,)
        Which worker of how many.
    """
    task = tasks[0]
    table = borrow_table(owned)
    numbers = np.empty(len(packets), np.int32)
    hashes = np.empty(len(packets), np.uint64)
    count = _choose(packets, keys, table, task, numbers, hashes)
    for k in range(count):
        if k + 2 * _AHEAD < count:
            _fetch_slot(table, hashes[k + 2 * _AHEAD])
        if k + _AHEAD < count:
            _fetch_row(table, hashes[k + _AHEAD])
        i = numbers[k]
        bucket, tag = bucket_of(hashes[k]), tag_of(hashes[k])
        _file(packets[i], keys[i], links[i], table, bucket, tag)


@njit(forceinline=True)  # called once, with all arrays
def _choose(
    packets: NDArray[Any],
    keys: NDArray[Any],
    table: Table,
    task: Any,
    numbers: NDArray[np.int32],
    hashes: NDArray[np.uint64],
) -> int:
    """List the TCP segments of the worker's buckets with the hashes of their conversations."""
    count = 0
    for i in range(len(packets)):
        packet = packets[i]
        # A later fragment has no TCP header.
        if packet["proto"] != TCP or packet["is_flow"] == 0:
            continue
        if packet["transport_header_bytes"] == 0:
            continue
        conversation_hash = _hash(packet, keys[i], table)
        if bucket_of(conversation_hash) % task["workers"] == task["worker"]:
            numbers[count] = i
            hashes[count] = conversation_hash
            count += 1
    return count


@njit
def _fetch_slot(table: Table, conversation_hash: Any) -> None:
    prefetch(table.slots, _wanted_slot(table, conversation_hash))


@njit
def _fetch_row(table: Table, conversation_hash: Any) -> None:
    # Mostly a conversation is in the slot that it wants.
    number = wide(table.slots[_wanted_slot(table, conversation_hash)]["row"]) - 1
    if number >= 0:
        prefetch(table.rows, number)
        prefetch(table.nodes, number)


@njit
def _wanted_slot(table: Table, conversation_hash: Any) -> int:
    n_slots = table.parameters[0]["slots_a_bucket"]
    place = tag_of(conversation_hash) & (n_slots - 1)
    return int(bucket_of(conversation_hash) * n_slots + place)


@njit
def _hash(packet: Any, key: Any, table: Table) -> Any:
    # The flow's hash serves where no VLAN is in it.
    if key["vlan"] < 0:
        return key["hash"]
    meta = meta_word(TCP, packet["ip_version"], -1, packet["tunnel_id"])
    seed = table.parameters[0]["seed"]
    return table_hash(packet, packet["src_port"], packet["dst_port"], meta, seed)


@njit(forceinline=True)  # called once, for every segment, with all arrays
def _file(packet: Any, key: Any, link: Any, table: Table, bucket: int, tag: int) -> None:
    seq, length = wide(packet["tcp_seq"]), wide(packet["payload_bytes"])
    segment = Segment(
        seq,
        wide(packet["tcp_ack"]),
        length,
        (seq + length) & _SEQ_MASK,
        wide(packet["tcp_flags"]),
        wide(packet["tcp_window"]),
        wide(key["ts_ns"]),
    )
    number, fwd = _find(table, packet, bucket, tag)
    found = 0
    if number < 0:
        number = _make_room(table, bucket, tag)
        fwd = 0
        _begin(table.rows[number], packet, segment)
    else:
        _touch(table, bucket, number)
        if segment.flags & SYN:
            found = _look_at_syn(table.rows[number], fwd, packet, segment)
    row = table.rows[number]
    rev = 1 - fwd
    link["tcp_gap_ns"] = max(segment.ts_ns - row["last_ts_ns"], 0)
    row["last_ts_ns"] = segment.ts_ns
    advance = 0
    if packet["is_fragment"] == 0:
        note_base(row, fwd, rev, segment)
        advance = seq_advance(row, fwd, segment)
        found |= judge(row, fwd, rev, segment)
    option = wide(packet["tcp_window_scale"])
    note_handshake(row, fwd, rev, segment, SCALE_UNKNOWN if option == _NO_OPTION else option)
    link["tcp_analysis"] = found
    link["tcp_seq_advance"] = advance
    is_scaled = segment.flags & SYN == 0
    link["tcp_window_shift"] = max(wide(row["window_scale"][fwd]), 0) if is_scaled else 0


@njit
def _look_at_syn(row: Any, fwd: int, packet: Any, segment: Segment) -> int:
    """Begin another conversation where a SYN reuses the ports."""
    if not row["marks"][fwd] & BASE_KNOWN:
        return 0
    is_other = row["base_seq"][fwd] != segment.seq
    if segment.flags & ACK:
        if not is_other:
            return 0
        row["base_seq"][fwd] = segment.seq
        return _REUSED_PORTS
    if not is_other:
        # RFC 9293 section 3.10.7.1: a RST may have taken its number from an ACK.
        row["next_seq"][fwd] = row["unbroken_seq"][fwd]
        return 0
    _forget(row, segment)
    return _REUSED_PORTS


@njit
def _find(table: Table, packet: Any, bucket: int, tag: int) -> tuple[int, int]:
    """Give the row number of a packet's conversation and the packet's direction, or (-1, 0)."""
    n_slots = table.parameters[0]["slots_a_bucket"]
    base = bucket * n_slots
    place = tag & (n_slots - 1)
    # Ends: at most half of a bucket's slots are in use.
    while True:
        slot = table.slots[base + place]
        number = wide(slot["row"]) - 1
        if number < 0:
            return -1, 0
        if wide(slot["tag"]) == tag:
            direction = _match(table.rows[number], packet)
            if direction >= 0:
                return number, direction
        place = (place + 1) & (n_slots - 1)


@njit
def _match(row: Any, packet: Any) -> int:
    """Compare keys: 0 forward, 1 backward, -1 another conversation."""
    is_ipv6 = row["marks"][0] & IPV6 != 0
    if row["tunnel_id"] != packet["tunnel_id"] or is_ipv6 != (packet["ip_version"] == 6):
        return -1
    if (
        row["src_lo"] == packet["src_lo"]
        and row["dst_lo"] == packet["dst_lo"]
        and row["src_port"] == packet["src_port"]
        and row["dst_port"] == packet["dst_port"]
        and row["src_hi"] == packet["src_hi"]
        and row["dst_hi"] == packet["dst_hi"]
    ):
        return 0
    if (
        row["src_lo"] == packet["dst_lo"]
        and row["dst_lo"] == packet["src_lo"]
        and row["src_port"] == packet["dst_port"]
        and row["dst_port"] == packet["src_port"]
        and row["src_hi"] == packet["dst_hi"]
        and row["dst_hi"] == packet["src_hi"]
    ):
        return 1
    return -1


@njit
def _touch(table: Table, bucket: int, number: int) -> None:
    if wide(table.buckets[bucket]["tail"][0]) != number:
        unlink(table, bucket, number)
        append(table, bucket, number, 0)


@njit
def _make_room(table: Table, bucket: int, tag: int) -> int:
    # A full bucket forgets the conversation whose latest segment is the oldest.
    state = table.buckets[bucket]
    if state["open"] >= table.parameters[0]["rows_a_bucket"]:
        give_row(table, bucket, wide(state["head"][0]))
        state["evicted"] += 1
    number = take_row(table, bucket)
    table.nodes[number]["tag"] = tag
    insert(table, bucket, number)
    append(table, bucket, number, 0)
    return int(number)


@njit
def _begin(row: Any, packet: Any, segment: Segment) -> None:
    row["src_hi"] = packet["src_hi"]
    row["src_lo"] = packet["src_lo"]
    row["dst_hi"] = packet["dst_hi"]
    row["dst_lo"] = packet["dst_lo"]
    row["tunnel_id"] = packet["tunnel_id"]
    row["src_port"] = packet["src_port"]
    row["dst_port"] = packet["dst_port"]
    row["marks"][0] = IPV6 if packet["ip_version"] == 6 else 0
    _forget(row, segment)


@njit
def _forget(row: Any, segment: Segment) -> None:
    """Know nothing but the key, and that this segment is the first."""
    row["last_ts_ns"] = segment.ts_ns
    row["handshake_ns"] = 0
    row["marks"][0] = wide(row["marks"][0]) & IPV6
    row["marks"][1] = 0
    for direction in range(2):
        row["base_seq"][direction] = 0
        row["next_seq"][direction] = 0
        row["unbroken_seq"][direction] = 0
        row["last_ack"][direction] = 0
        row["next_seq_ns"][direction] = 0
        row["last_ack_ns"][direction] = 0
        row["window"][direction] = 0
        row["window_scale"][direction] = SCALE_UNKNOWN

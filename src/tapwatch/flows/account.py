"""What one packet adds to its flow's statistics, and what the end of a flow adds."""

from typing import Any, Final

from numba import njit

from tapwatch.flows.connection import HEARD, conclude_connection
from tapwatch.flows.hashing import wide
from tapwatch.flows.layout import SECOND_NS
from tapwatch.flows.protocols import TCP

ACTIVE_GAP_NS: Final = 5 * SECOND_NS  # a longer gap parts two active periods
LONG_GAP_NS: Final = SECOND_NS  # a longer gap parts two subflows, and ends a bulk
BULK_PACKETS: Final = 4  # payload packets that make a bulk

_ACTIVE: Final = 0
_IDLE: Final = 1


@njit
def account(row: Any, packet: Any, ts_ns: int, d: int, link: Any) -> None:
    """Add one packet that goes in direction `d` to the row, and say in `link` what it met.

    The order matters: gaps want the counts and times as they were before the packet.
    """
    _add_gaps(row, ts_ns, d, link)
    row["packets"][d] += 1
    row["wire_bytes"][d] += wide(packet["wire_bytes"])
    payload_bytes = max(wide(packet["payload_bytes"]), 0)
    _add_payload(row, payload_bytes, d)
    header_bytes = wide(packet["transport_header_bytes"])
    if header_bytes > 0:
        row["header_bytes"][d] += header_bytes
        least = wide(row["header_min_bytes"][d])
        if least == 0 or header_bytes < least:
            row["header_min_bytes"][d] = header_bytes
        if packet["proto"] == TCP:
            _add_tcp(row, packet, d)
    if payload_bytes > 0:
        row["data_packets"][d] += 1
        _add_to_bulk(row, payload_bytes, ts_ns, d)


@njit
def _add_gaps(row: Any, ts_ns: int, d: int, link: Any) -> None:
    n_direction = row["packets"][d]
    n_flow = n_direction + row["packets"][1 - d]
    gap = wide(0)
    gap_direction = wide(0)
    # The statistics begin with each row; what `link` says goes on over an active cut.
    if n_flow == 0:
        if row["is_continuation"] != 0:
            gap = max(ts_ns - row["last_ts_ns"], 0)
        row["first_ts_ns"] = ts_ns
        row["last_ts_ns"] = ts_ns
        row["active_start_ns"] = ts_ns
    else:
        gap = max(ts_ns - row["last_ts_ns"], 0)
        _add_gap(row, 0, n_flow, gap)
        if gap > LONG_GAP_NS:
            row["long_gaps"] += 1
            if gap > ACTIVE_GAP_NS:
                _end_active_period(row)
                _add_period(row, _IDLE, gap)
                row["active_start_ns"] = ts_ns
        row["last_ts_ns"] = max(ts_ns, row["last_ts_ns"])
    if n_direction == 0:
        if wide(row["conn_history"][d]) & HEARD:
            gap_direction = max(ts_ns - row["direction_last_ts_ns"][d], 0)
        # Gaps of a direction lie within the row, so none begins before it. What came before a cut
        # is older than the row, or the cut would have come sooner.
        row["direction_last_ts_ns"][d] = max(ts_ns, row["first_ts_ns"])
    else:
        last = row["direction_last_ts_ns"][d]
        gap_direction = max(ts_ns - last, 0)
        _add_gap(row, 1 + d, n_direction, gap_direction)
        row["direction_last_ts_ns"][d] = max(ts_ns, last)
    link["gap_flow_ns"] = gap
    link["gap_direction_ns"] = gap_direction


@njit
def _add_gap(row: Any, k: int, n: int, gap: int) -> None:
    # Welford's update; the n-th gap of its kind.
    row["gap_sum_ns"][k] += gap
    delta = gap - row["gap_mean_ns"][k]
    mean = row["gap_mean_ns"][k] + delta / n
    row["gap_mean_ns"][k] = mean
    row["gap_m2_ns2"][k] += delta * (gap - mean)
    row["gap_max_ns"][k] = max(gap, row["gap_max_ns"][k])
    if n == 1 or gap < row["gap_min_ns"][k]:
        row["gap_min_ns"][k] = gap


@njit
def _add_payload(row: Any, payload_bytes: int, d: int) -> None:
    n = row["packets"][d]
    row["payload_bytes"][d] += payload_bytes
    delta = payload_bytes - row["payload_mean"][d]
    mean = row["payload_mean"][d] + delta / n
    row["payload_mean"][d] = mean
    row["payload_m2"][d] += delta * (payload_bytes - mean)
    if payload_bytes > wide(row["payload_max"][d]):
        row["payload_max"][d] = payload_bytes
    if n == 1 or payload_bytes < wide(row["payload_min"][d]):
        row["payload_min"][d] = payload_bytes


@njit
def _add_tcp(row: Any, packet: Any, d: int) -> None:
    flags = wide(packet["tcp_flags"])
    row["tcp_flags"][d] |= packet["tcp_flags"]
    counts = row["flag_counts"]
    for bit in range(8):
        counts[bit, d] += (flags >> bit) & 1
    if row["init_window"][d] < 0:
        row["init_window"][d] = packet["tcp_window"]


@njit
def _add_to_bulk(row: Any, payload_bytes: int, ts_ns: int, d: int) -> None:
    # Payload the other way ends what may have been under way there.
    row["bulk_tentative_packets"][1 - d] = 0
    last = row["bulk_last_ns"][d]
    n = wide(row["bulk_tentative_packets"][d])
    if n == 0 or ts_ns - last > LONG_GAP_NS:
        row["bulk_start_ns"][d] = ts_ns
        row["bulk_last_ns"][d] = ts_ns
        row["bulk_tentative_bytes"][d] = payload_bytes
        row["bulk_tentative_packets"][d] = 1
        return
    n += 1
    latest = max(ts_ns, last)
    row["bulk_tentative_packets"][d] = n
    row["bulk_tentative_bytes"][d] += payload_bytes
    row["bulk_last_ns"][d] = latest
    if n == BULK_PACKETS:
        row["bulk_n"][d] += 1
        row["bulk_packets"][d] += BULK_PACKETS
        row["bulk_bytes"][d] += row["bulk_tentative_bytes"][d]
        row["bulk_duration_ns"][d] += latest - row["bulk_start_ns"][d]
    elif n > BULK_PACKETS:
        row["bulk_packets"][d] += 1
        row["bulk_bytes"][d] += payload_bytes
        row["bulk_duration_ns"][d] += latest - last


@njit
def _end_active_period(row: Any) -> None:
    # A period of one packet, or of packets at one time, is no period.
    length = row["last_ts_ns"] - row["active_start_ns"]
    if length > 0:
        _add_period(row, _ACTIVE, length)


@njit
def _add_period(row: Any, k: int, length: int) -> None:
    n = wide(row["period_n"][k]) + 1
    row["period_n"][k] = n
    delta = length - row["period_mean_ns"][k]
    mean = row["period_mean_ns"][k] + delta / n
    row["period_mean_ns"][k] = mean
    row["period_m2_ns2"][k] += delta * (length - mean)
    row["period_max_ns"][k] = max(length, row["period_max_ns"][k])
    if n == 1 or length < row["period_min_ns"][k]:
        row["period_min_ns"][k] = length


@njit
def conclude(row: Any, reason: int, end_ns: int) -> None:
    """Write what only the end of a flow can say; it comes out at the next full second."""
    _end_active_period(row)
    conclude_connection(row)
    row["end_reason"] = reason
    row["end_ns"] = end_ns
    row["order_ns"] = (end_ns // SECOND_NS + 1) * SECOND_NS

"""Who and when an ended flow is: the ROW of the views that make one row a flow."""

from numba import njit


@njit
def write_flow_identity(flow, first_ts_ns, row):  # type: ignore[no-untyped-def]
    """Say who and when a flow is: every field of its ROW. A connection may begin before it."""
    row["order_ns"] = flow["order_ns"]
    row["frame_number"] = 0
    row["first_ts_ns"] = first_ts_ns
    row["last_ts_ns"] = flow["last_ts_ns"]
    row["src_hi"] = flow["src_hi"]
    row["src_lo"] = flow["src_lo"]
    row["dst_hi"] = flow["dst_hi"]
    row["dst_lo"] = flow["dst_lo"]
    row["flow_id"] = flow["flow_id"]
    row["flow_first_ts_ns"] = flow["first_ts_ns"]
    for way in range(2):
        row["bytes"][way] = flow["wire_bytes"][way]
        row["packets"][way] = flow["packets"][way]
    row["vlan"] = flow["vlan"]
    row["src_port"] = flow["src_port"]
    row["dst_port"] = flow["dst_port"]
    row["interface"] = flow["interface"]
    row["proto"] = flow["proto"]
    row["ip_version"] = flow["ip_version"]
    row["end_reason"] = flow["end_reason"]
    row["direction"] = 0
    row["is_flow"] = 1

"""Who and when a packet is: the ROW of the views that make one row a frame."""

from numba import njit

_VLAN_ID = 0x0FFF  # IEEE 802.1Q: the low 12 bits of the tag


@njit
def write_identity(packet, link, row):  # type: ignore[no-untyped-def]
    """Say who and when a packet is: every field of its ROW."""
    is_flow = link["is_flow"] != 0
    row["order_ns"] = packet["clock_ns"]
    row["frame_number"] = packet["number"]
    row["first_ts_ns"] = packet["ts_ns"]
    row["last_ts_ns"] = packet["ts_ns"]
    row["src_hi"] = packet["src_hi"]
    row["src_lo"] = packet["src_lo"]
    row["dst_hi"] = packet["dst_hi"]
    row["dst_lo"] = packet["dst_lo"]
    row["flow_id"] = link["flow_id"] if is_flow else 0
    row["flow_first_ts_ns"] = link["flow_first_ts_ns"] if is_flow else 0
    for way in range(2):
        row["bytes"][way] = link["bytes"][way] if is_flow else 0
        row["packets"][way] = link["packets"][way] if is_flow else 0
    row["vlan"] = packet["vlan_tci"] & _VLAN_ID if packet["n_vlan_tags"] else -1
    row["src_port"] = link["src_port"] if is_flow else packet["src_port"]
    row["dst_port"] = link["dst_port"] if is_flow else packet["dst_port"]
    row["interface"] = packet["interface"]
    row["proto"] = link["proto"] if is_flow else packet["proto"]
    row["ip_version"] = packet["ip_version"]
    row["end_reason"] = 0
    row["direction"] = link["direction"] if is_flow else 0
    row["is_flow"] = is_flow

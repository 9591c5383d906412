"""Rows of the `flow` view from the states of ended flows; columns.py has the definitions."""

import math

from numba import njit

from tapwatch.features.arithmetic import elapsed_ns, finite, ratio
from tapwatch.features.flow.classes import HAS_PORTS, PORT_CLASS, PROTOCOL_CLASS
from tapwatch.features.flow.columns import FLOW_AT as AT
from tapwatch.features.flow_identity import write_flow_identity

_NS_PER_US = 1e3
_NS_PER_S = 1e9
_FIN, _SYN, _RST, _PSH, _ACK, _URG, _ECE, _CWR = range(8)  # rows of FLOW flag_counts


@njit(nogil=True, cache=True)
def flow_rows(flows, values, rows):  # type: ignore[no-untyped-def]
    """Write one row of `values` and of `rows` for each ended flow.

    Parameters
    ----------
    flows : FLOW (n,)
    values : float32 or float64 (n, columns)
        Every element is written.
    rows : ROW (n,)
        Every field is written.
    """
    for i in range(len(flows)):
        flow = flows[i]
        out = values[i]
        _write_volume(flow, out)
        _write_lengths(flow, out)
        _write_gaps(flow, out)
        _write_flags(flow, out)
        _write_headers(flow, out)
        _write_pieces(flow, out)
        _write_periods(flow, out)
        _write_connection(flow, out)
        _write_classes(flow, out)
        write_flow_identity(flow, flow["first_ts_ns"], rows[i])


@njit
def _both(pair):  # type: ignore[no-untyped-def]
    return float(pair[0]) + float(pair[1])


@njit
def _variance(m2, n):  # type: ignore[no-untyped-def]
    # Rounding may leave a sum of squares a little below 0.
    return ratio(max(m2, 0.0), float(n) - 1.0)


@njit
def _write_volume(flow, out):  # type: ignore[no-untyped-def]
    packets, payload = flow["packets"], flow["payload_bytes"]
    lasts_ns = elapsed_ns(flow["first_ts_ns"], flow["last_ts_ns"])
    lasts_s = lasts_ns / _NS_PER_S
    out[AT.flow_duration] = lasts_ns / _NS_PER_US
    out[AT.tot_fwd_pkts] = packets[0]
    out[AT.tot_bwd_pkts] = packets[1]
    out[AT.totlen_fwd_pkts] = payload[0]
    out[AT.totlen_bwd_pkts] = payload[1]
    out[AT.flow_byts_s] = ratio(_both(payload), lasts_s)
    out[AT.flow_pkts_s] = ratio(_both(packets), lasts_s)
    out[AT.fwd_pkts_s] = ratio(packets[0], lasts_s)
    out[AT.bwd_pkts_s] = ratio(packets[1], lasts_s)
    out[AT.down_up_ratio] = ratio(packets[1], packets[0])
    out[AT.pkt_size_avg] = ratio(_both(payload), _both(packets))
    out[AT.fwd_seg_size_avg] = ratio(payload[0], packets[0])
    out[AT.bwd_seg_size_avg] = ratio(payload[1], packets[1])


@njit
def _write_lengths(flow, out):  # type: ignore[no-untyped-def]
    n, payload, m2 = flow["packets"], flow["payload_bytes"], flow["payload_m2"]
    low, high = flow["payload_min"], flow["payload_max"]
    out[AT.fwd_pkt_len_max] = high[0]
    out[AT.fwd_pkt_len_min] = low[0]
    out[AT.fwd_pkt_len_mean] = ratio(payload[0], n[0])
    out[AT.fwd_pkt_len_std] = math.sqrt(_variance(m2[0], n[0]))
    out[AT.bwd_pkt_len_max] = high[1]
    out[AT.bwd_pkt_len_min] = low[1]
    out[AT.bwd_pkt_len_mean] = ratio(payload[1], n[1])
    out[AT.bwd_pkt_len_std] = math.sqrt(_variance(m2[1], n[1]))

    # Chan, Golub and LeVeque 1979: the squares of both ways about their common mean. A way without
    # packets has minima and maxima of 0 that are not lengths.
    lowest, highest, variance = 0, 0, 0.0
    if n[0] > 0 and n[1] > 0:
        lowest, highest = min(low[0], low[1]), max(high[0], high[1])
        apart = ratio(payload[1], n[1]) - ratio(payload[0], n[0])
        between = finite(apart * apart * ratio(n[1], _both(n)) * float(n[0]))
        variance = _variance(_both(m2) + between, _both(n))
    elif n[0] > 0:
        lowest, highest, variance = low[0], high[0], _variance(m2[0], n[0])
    elif n[1] > 0:
        lowest, highest, variance = low[1], high[1], _variance(m2[1], n[1])
    out[AT.pkt_len_min] = lowest
    out[AT.pkt_len_max] = highest
    out[AT.pkt_len_mean] = ratio(_both(payload), _both(n))
    out[AT.pkt_len_std] = math.sqrt(variance)
    out[AT.pkt_len_var] = variance


@njit
def _write_gaps(flow, out):  # type: ignore[no-untyped-def]
    total, m2 = flow["gap_sum_ns"], flow["gap_m2_ns2"]
    low, high = flow["gap_min_ns"], flow["gap_max_ns"]
    n_flow = _both(flow["packets"]) - 1.0
    n_fwd = float(flow["packets"][0]) - 1.0
    n_bwd = float(flow["packets"][1]) - 1.0
    out[AT.flow_iat_mean] = ratio(total[0], n_flow) / _NS_PER_US
    out[AT.flow_iat_std] = math.sqrt(_variance(m2[0], n_flow)) / _NS_PER_US
    out[AT.flow_iat_max] = high[0] / _NS_PER_US
    out[AT.flow_iat_min] = low[0] / _NS_PER_US
    out[AT.fwd_iat_tot] = total[1] / _NS_PER_US
    out[AT.fwd_iat_mean] = ratio(total[1], n_fwd) / _NS_PER_US
    out[AT.fwd_iat_std] = math.sqrt(_variance(m2[1], n_fwd)) / _NS_PER_US
    out[AT.fwd_iat_max] = high[1] / _NS_PER_US
    out[AT.fwd_iat_min] = low[1] / _NS_PER_US
    out[AT.bwd_iat_tot] = total[2] / _NS_PER_US
    out[AT.bwd_iat_mean] = ratio(total[2], n_bwd) / _NS_PER_US
    out[AT.bwd_iat_std] = math.sqrt(_variance(m2[2], n_bwd)) / _NS_PER_US
    out[AT.bwd_iat_max] = high[2] / _NS_PER_US
    out[AT.bwd_iat_min] = low[2] / _NS_PER_US


@njit
def _write_flags(flow, out):  # type: ignore[no-untyped-def]
    counts = flow["flag_counts"]
    out[AT.fwd_psh_flags] = counts[_PSH, 0]
    out[AT.bwd_psh_flags] = counts[_PSH, 1]
    out[AT.fwd_rst_flags] = counts[_RST, 0]
    out[AT.bwd_rst_flags] = counts[_RST, 1]
    out[AT.fwd_urg_flags] = counts[_URG, 0]
    out[AT.bwd_urg_flags] = counts[_URG, 1]
    out[AT.fin_flag_cnt] = _both(counts[_FIN])
    out[AT.syn_flag_cnt] = _both(counts[_SYN])
    out[AT.rst_flag_cnt] = _both(counts[_RST])
    out[AT.psh_flag_cnt] = _both(counts[_PSH])
    out[AT.ack_flag_cnt] = _both(counts[_ACK])
    out[AT.urg_flag_cnt] = _both(counts[_URG])
    out[AT.cwe_flag_count] = _both(counts[_CWR])
    out[AT.ece_flag_cnt] = _both(counts[_ECE])


@njit
def _write_headers(flow, out):  # type: ignore[no-untyped-def]
    out[AT.fwd_header_len] = flow["header_bytes"][0]
    out[AT.bwd_header_len] = flow["header_bytes"][1]
    out[AT.fwd_seg_size_min] = flow["header_min_bytes"][0]
    out[AT.bwd_seg_size_min] = flow["header_min_bytes"][1]
    out[AT.init_fwd_win_byts] = flow["init_window"][0]
    out[AT.init_bwd_win_byts] = flow["init_window"][1]
    out[AT.fwd_act_data_pkts] = flow["data_packets"][0]
    out[AT.bwd_act_data_pkts] = flow["data_packets"][1]


@njit
def _write_pieces(flow, out):  # type: ignore[no-untyped-def]
    n, nbytes, npackets = flow["bulk_n"], flow["bulk_bytes"], flow["bulk_packets"]
    lasts_ns = flow["bulk_duration_ns"]
    out[AT.fwd_byts_b_avg] = ratio(nbytes[0], n[0])
    out[AT.fwd_pkts_b_avg] = ratio(npackets[0], n[0])
    out[AT.fwd_blk_rate_avg] = ratio(nbytes[0], lasts_ns[0] / _NS_PER_S)
    out[AT.bwd_byts_b_avg] = ratio(nbytes[1], n[1])
    out[AT.bwd_pkts_b_avg] = ratio(npackets[1], n[1])
    out[AT.bwd_blk_rate_avg] = ratio(nbytes[1], lasts_ns[1] / _NS_PER_S)

    n_subflows = float(flow["long_gaps"]) + 1.0
    out[AT.subflow_fwd_pkts] = ratio(flow["packets"][0], n_subflows)
    out[AT.subflow_fwd_byts] = ratio(flow["payload_bytes"][0], n_subflows)
    out[AT.subflow_bwd_pkts] = ratio(flow["packets"][1], n_subflows)
    out[AT.subflow_bwd_byts] = ratio(flow["payload_bytes"][1], n_subflows)


@njit
def _write_periods(flow, out):  # type: ignore[no-untyped-def]
    n, mean, m2 = flow["period_n"], flow["period_mean_ns"], flow["period_m2_ns2"]
    low, high = flow["period_min_ns"], flow["period_max_ns"]
    out[AT.active_mean] = finite(mean[0]) / _NS_PER_US
    out[AT.active_std] = math.sqrt(_variance(m2[0], float(n[0]))) / _NS_PER_US
    out[AT.active_max] = high[0] / _NS_PER_US
    out[AT.active_min] = low[0] / _NS_PER_US
    out[AT.idle_mean] = finite(mean[1]) / _NS_PER_US
    out[AT.idle_std] = math.sqrt(_variance(m2[1], float(n[1]))) / _NS_PER_US
    out[AT.idle_max] = high[1] / _NS_PER_US
    out[AT.idle_min] = low[1] / _NS_PER_US


@njit
def _write_connection(flow, out):  # type: ignore[no-untyped-def]
    lasts_ns = elapsed_ns(flow["connection_first_ts_ns"], flow["last_ts_ns"])
    out[AT.total_connection_flow_time] = lasts_ns / _NS_PER_US
    again = flow["retransmissions"]
    out[AT.fwd_tcp_retrans_count] = again[0]
    out[AT.bwd_tcp_retrans_count] = again[1]
    out[AT.total_tcp_retrans_count] = _both(again)
    # Type 0 is an echo reply, so that 0 cannot stand for the absence of one.
    has_icmp = flow["has_icmp"] != 0
    out[AT.icmp_type] = float(flow["icmp_type"]) if has_icmp else -1.0
    out[AT.icmp_code] = float(flow["icmp_code"]) if has_icmp else -1.0


@njit
def _write_classes(flow, out):  # type: ignore[no-untyped-def]
    # Bounds: the tables have an entry for every value of a protocol (8 bits) and a port (16 bits).
    proto = flow["proto"]
    out[AT.protocol] = PROTOCOL_CLASS[proto]
    has_ports = HAS_PORTS[proto] != 0
    out[AT.src_port_class] = PORT_CLASS[flow["src_port"]] if has_ports else 0.0
    out[AT.dst_port_class] = PORT_CLASS[flow["dst_port"]] if has_ports else 0.0

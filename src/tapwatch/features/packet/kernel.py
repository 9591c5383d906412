"""Rows of the `packet` view, in one pass over the frames; columns.py has the definitions."""

import numpy as np
from numba import njit

from tapwatch.features.arithmetic import elapsed_ns
from tapwatch.features.packet.arp import is_duplicate_address
from tapwatch.features.packet.columns import PACKET_AT as AT
from tapwatch.features.packet_identity import write_identity

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58  # IANA protocol numbers
_ETHER_TYPE_ARP = 0x0806
_REQUEST, _REPLY = 1, 2  # RFC 826 opcodes
_FIRST_REGISTERED, _FIRST_DYNAMIC = 1024, 49_152  # RFC 6335 6
_LARGEST_SHIFT = 14  # RFC 7323 2.3
_BROADCAST = np.uint64(0xFFFF_FFFF_FFFF)
_GROUP_BIT = np.uint64(1 << 40)
_NONE = np.uint64(0)
# 224.0.0.0/4 as the top nibble of the last 32 bits, ff00::/8 as the top byte of the first 64.
_V4_SHIFT, _V4_NIBBLE, _V4_MULTICAST = np.uint64(28), np.uint64(0xF), np.uint64(0xE)
_V6_SHIFT, _V6_MULTICAST = np.uint64(56), np.uint64(0xFF)


@njit(nogil=True, cache=True)
def packet_rows(packets, links, labels, gaps, claims, state, values, rows):  # type: ignore[no-untyped-def]
    """Write one row of `values` and of `rows` for each packet.

    Parameters
    ----------
    packets : PACKET (n,)
    links : LINK (n,)
    labels : uint16 (n,)
        Index of the protocol label.
    gaps : float64 (n, 2)
        ns since the previous frame of the pair of addresses, and since the one this way.
    claims : CLAIM (sets, ways)
        Who claimed which IP address; goes on from batch to batch.
    state : int64 (3,)
        [claims evicted, whether there was a frame, its clock_ns]; goes on from batch to batch.
    values : float32 or float64 (n, columns)
        Every element is written.
    rows : ROW (n,)
        Every field is written.
    """
    previous_clock_ns = state[2]
    if state[1] == 0 and len(packets) > 0:
        previous_clock_ns = packets[0]["clock_ns"]
    for i in range(len(packets)):
        packet = packets[i]
        link = links[i]
        out = values[i]
        clock_ns = packet["clock_ns"]
        is_arp = _is_arp(packet)
        out[AT.frame_time_delta] = elapsed_ns(previous_clock_ns, clock_ns) / 1e9
        previous_clock_ns = clock_ns
        out[AT.pair_time_delta_s] = gaps[i, 0] / 1e9
        out[AT.pair_direction_time_delta_s] = gaps[i, 1] / 1e9
        out[AT.protocol] = labels[i]
        _write_frame(packet, out)
        _write_flow(packet, link, out)
        _write_network(packet, is_arp, out)
        _write_transport(packet, link, is_arp, out)
        _write_analysis(link, out)
        _write_arp(packet, is_arp, out)
        write_identity(packet, link, rows[i])
    if len(packets) > 0:
        state[1] = 1
        state[2] = previous_clock_ns

    # A pass of its own: references to arrays that are handed on to a function are counted, and for
    # every packet that would cost more than all of the above.
    for i in range(len(packets)):
        if _is_claim(packets[i]):
            is_duplicate = is_duplicate_address(packets[i], claims, state)
            values[i, AT.arp_duplicate_address_detected] = is_duplicate


@njit
def _is_arp(packet):  # type: ignore[no-untyped-def]
    return (packet["ether_type"] == _ETHER_TYPE_ARP) & (packet["status"] == 0)


@njit
def _write_frame(packet, out):  # type: ignore[no-untyped-def]
    is_broadcast = packet["eth_dst"] == _BROADCAST
    is_group = (packet["eth_dst"] & _GROUP_BIT) != _NONE
    out[AT.frame_len] = packet["wire_bytes"]
    out[AT.undecoded] = packet["status"] != 0
    out[AT.vlan_depth] = packet["n_vlan_tags"]
    out[AT.eth_dst_broadcast] = is_broadcast
    out[AT.eth_dst_multicast] = is_group and not is_broadcast


@njit
def _write_flow(packet, link, out):  # type: ignore[no-untyped-def]
    if link["is_flow"]:
        out[AT.direction] = link["direction"]
        out[AT.flow_time_delta_s] = link["gap_flow_ns"] / 1e9
        out[AT.flow_direction_time_delta_s] = link["gap_direction_ns"] / 1e9
        out[AT.flow_age_s] = elapsed_ns(link["flow_first_ts_ns"], packet["ts_ns"]) / 1e9
        out[AT.flow_fwd_packets] = link["packets"][0]
        out[AT.flow_bwd_packets] = link["packets"][1]
    else:
        out[AT.direction] = 0
        out[AT.flow_time_delta_s] = 0.0
        out[AT.flow_direction_time_delta_s] = 0.0
        out[AT.flow_age_s] = 0.0
        out[AT.flow_fwd_packets] = 0
        out[AT.flow_bwd_packets] = 0


# Products with a condition of 0 or 1 where a branch would be natural: which protocol comes next is
# just what a processor cannot predict.
@njit
def _write_network(packet, is_arp, out):  # type: ignore[no-untyped-def]
    is_v4 = (packet["ip_version"] == 4) & (not is_arp)
    is_v6 = (packet["ip_version"] == 6) & (not is_arp)
    to_v4_group = ((packet["dst_lo"] >> _V4_SHIFT) & _V4_NIBBLE) == _V4_MULTICAST
    to_v6_group = (packet["dst_hi"] >> _V6_SHIFT) == _V6_MULTICAST
    ip = int(is_v4 | is_v6)
    out[AT.arp] = is_arp
    out[AT.ip] = is_v4
    out[AT.ipv6] = is_v6
    out[AT.ip_len] = packet["ip_bytes"] * ip
    out[AT.ip_hdr_len] = packet["ip_header_bytes"] * ip
    out[AT.ip_ttl] = packet["ip_ttl"] * ip
    out[AT.ip_dsfield] = packet["ip_tos"] * ip
    out[AT.ip_flags_df] = (packet["ip_flags"] >> 1 & 1) * ip
    out[AT.ip_flags_mf] = (packet["ip_flags"] & 1) * ip
    out[AT.ip_frag_offset] = packet["frag_offset_bytes"] * ip
    out[AT.ip_dst_multicast] = (is_v4 & to_v4_group) | (is_v6 & to_v6_group)


@njit
def _write_transport(packet, link, is_arp, out):  # type: ignore[no-untyped-def]
    is_ip = ((packet["ip_version"] == 4) | (packet["ip_version"] == 6)) & (not is_arp)
    is_whole = is_ip & (packet["frag_offset_bytes"] == 0)
    is_icmp_v4 = is_whole & (packet["proto"] == _ICMP)
    is_icmp_v6 = is_whole & (packet["proto"] == _ICMPV6)
    tcp = int(is_whole & (packet["proto"] == _TCP))
    udp = int(is_whole & (packet["proto"] == _UDP))
    icmp = int(is_icmp_v4 | is_icmp_v6)
    payload_bytes = max(packet["payload_bytes"], 0)
    out[AT.tcp] = tcp
    out[AT.udp] = udp
    out[AT.icmp] = is_icmp_v4
    out[AT.icmpv6] = is_icmp_v6
    out[AT.tcp_len] = payload_bytes * tcp
    out[AT.udp_length] = packet["udp_bytes"] * udp
    out[AT.payload_len_bytes] = payload_bytes * int(is_whole)
    out[AT.icmp_type] = packet["icmp_type"] * icmp
    out[AT.icmp_code] = packet["icmp_code"] * icmp
    _write_tcp(packet, link, tcp, out)

    ported = (tcp | udp) * int(packet["transport_header_bytes"] > 0)
    src, dst = packet["src_port"], packet["dst_port"]
    out[AT.src_port_system] = ported * int(src < _FIRST_REGISTERED)
    out[AT.src_port_registered] = ported * int((src >= _FIRST_REGISTERED) & (src < _FIRST_DYNAMIC))
    out[AT.src_port_dynamic] = ported * int(src >= _FIRST_DYNAMIC)
    out[AT.dst_port_system] = ported * int(dst < _FIRST_REGISTERED)
    out[AT.dst_port_registered] = ported * int((dst >= _FIRST_REGISTERED) & (dst < _FIRST_DYNAMIC))
    out[AT.dst_port_dynamic] = ported * int(dst >= _FIRST_DYNAMIC)


@njit
def _write_tcp(packet, link, tcp, out):  # type: ignore[no-untyped-def]
    flags = int(packet["tcp_flags"]) * tcp
    options = int(packet["tcp_options"]) * tcp
    out[AT.tcp_seq_advance] = link["tcp_seq_advance"] * tcp
    out[AT.tcp_hdr_len] = packet["transport_header_bytes"] * tcp
    out[AT.tcp_window_size_value] = packet["tcp_window"] * tcp
    # 16 bits and a shift of at most 14: far from what int64 holds.
    shift = min(int(link["tcp_window_shift"]), _LARGEST_SHIFT)
    out[AT.tcp_window_size] = (int(packet["tcp_window"]) << shift) * tcp
    out[AT.tcp_time_delta] = link["tcp_gap_ns"] / 1e9
    out[AT.tcp_flags_fin] = flags & 1
    out[AT.tcp_flags_syn] = flags >> 1 & 1
    out[AT.tcp_flags_reset] = flags >> 2 & 1
    out[AT.tcp_flags_push] = flags >> 3 & 1
    out[AT.tcp_flags_ack] = flags >> 4 & 1
    out[AT.tcp_flags_urg] = flags >> 5 & 1
    out[AT.tcp_flags_ece] = flags >> 6 & 1
    out[AT.tcp_flags_cwr] = flags >> 7 & 1
    out[AT.tcp_flags_ae] = flags >> 8 & 1
    out[AT.tcp_options_mss] = options & 1
    out[AT.tcp_options_wscale] = options >> 1 & 1
    out[AT.tcp_options_sack_perm] = options >> 2 & 1
    out[AT.tcp_options_sack] = options >> 3 & 1
    out[AT.tcp_options_timestamp] = options >> 4 & 1
    out[AT.tcp_options_mss_val] = packet["tcp_mss"] * (options & 1)
    out[AT.tcp_options_wscale_shift] = packet["tcp_window_scale"] * (options >> 1 & 1)


@njit
def _write_analysis(link, out):  # type: ignore[no-untyped-def]
    bits = int(link["tcp_analysis"])
    out[AT.tcp_analysis_retransmission] = bits & 1
    out[AT.tcp_analysis_fast_retransmission] = bits >> 1 & 1
    out[AT.tcp_analysis_spurious_retransmission] = bits >> 2 & 1
    out[AT.tcp_analysis_out_of_order] = bits >> 3 & 1
    out[AT.tcp_analysis_lost_segment] = bits >> 4 & 1
    out[AT.tcp_analysis_ack_lost_segment] = bits >> 5 & 1
    out[AT.tcp_analysis_duplicate_ack] = bits >> 6 & 1
    out[AT.tcp_analysis_keep_alive] = bits >> 7 & 1
    out[AT.tcp_analysis_keep_alive_ack] = bits >> 8 & 1
    out[AT.tcp_analysis_window_update] = bits >> 9 & 1
    out[AT.tcp_analysis_window_full] = bits >> 10 & 1
    out[AT.tcp_analysis_zero_window] = bits >> 11 & 1
    out[AT.tcp_analysis_zero_window_probe] = bits >> 12 & 1
    out[AT.tcp_analysis_zero_window_probe_ack] = bits >> 13 & 1
    out[AT.tcp_analysis_reused_ports] = bits >> 14 & 1


@njit
def _write_arp(packet, is_arp, out):  # type: ignore[no-untyped-def]
    opcode = packet["arp_opcode"]
    is_query = is_arp & ((opcode == _REQUEST) | (opcode == _REPLY))
    is_own = (packet["ip_version"] == 4) & (packet["src_lo"] == packet["dst_lo"])
    out[AT.arp_opcode_request] = is_arp & (opcode == _REQUEST)
    out[AT.arp_opcode_reply] = is_arp & (opcode == _REPLY)
    out[AT.arp_opcode_other] = is_arp & (opcode != _REQUEST) & (opcode != _REPLY)
    out[AT.arp_isgratuitous] = is_query & is_own
    out[AT.arp_duplicate_address_detected] = 0


@njit
def _is_claim(packet):  # type: ignore[no-untyped-def]
    opcode = packet["arp_opcode"]
    is_query = (opcode == _REQUEST) | (opcode == _REPLY)
    return _is_arp(packet) & is_query & (packet["ip_version"] == 4)

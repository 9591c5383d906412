"""Rows of the `host` view from merged records; columns.py has the definitions.

Plain NumPy, a column at a time: a window has few rows for the packets that it has.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.features.host.columns import HOST_AT as AT
from tapwatch.features.host.columns import HOST_COLUMNS
from tapwatch.features.host.layout import (
    ARP_TARGETS,
    DNS_NAMES,
    ENTROPY_ONE,
    N_SLICES,
    OWN_PORTS,
    PEER_PORT_PAIRS,
    PEER_PORTS,
    PEERS_IN,
    PEERS_OUT,
)
from tapwatch.tables import ROW, EndReason

Floats = NDArray[np.float64]
_NS_PER_S: Final = 1e9


def host_values(
    records: NDArray[Any],
    summaries: NDArray[Any],
    hop_ns: int,
    n_panes: int,
    dtype: type[np.floating[Any]],
) -> NDArray[Any]:
    """Compute the matrix.

    Parameters
    ----------
    records : HOST (n,)
    summaries : SUMMARY (n,)
    hop_ns, n_panes : int
        A window is so many hops.
    dtype : float32 or float64

    Returns
    -------
    values : dtype (n, columns)
    """
    values = np.empty((len(records), len(HOST_COLUMNS)), dtype)
    _write_volume(records, values)
    _write_times(records, hop_ns * n_panes, values)
    values[:, AT.busy_share] = summaries["n_busy"] / (N_SLICES * n_panes)
    values[:, AT.packet_size_entropy] = summaries["size_entropy"]
    values[:, AT.peer_port_entropy] = summaries["port_entropy"][:, 0]
    values[:, AT.own_port_entropy] = summaries["port_entropy"][:, 1]
    _write_flows(records, summaries["distinct"], values)
    _write_tcp(records, values)
    _write_names(records, values)
    return values


def host_identity(
    records: NDArray[Any], order_ns: NDArray[np.int64], reason: EndReason
) -> NDArray[Any]:
    """Say who and when each row is: ROW (n,), every field written."""
    rows = np.zeros(len(records), ROW)
    rows["order_ns"] = order_ns
    rows["first_ts_ns"] = records["first_ts_ns"]
    rows["last_ts_ns"] = records["last_ts_ns"]
    rows["src_hi"] = records["hi"]
    rows["src_lo"] = records["lo"]
    rows["bytes"] = records["bytes"]
    rows["packets"] = records["packets"]
    rows["vlan"] = -1
    rows["interface"] = records["interface"]
    rows["ip_version"] = records["ip_version"]
    rows["end_reason"] = reason
    return rows


def _per(amount: NDArray[Any], of: NDArray[Any]) -> Floats:
    """`amount / of`, 0 where there is nothing to divide by."""
    amount = amount.astype(np.float64)
    shares: Floats = np.divide(amount, of, out=np.zeros_like(amount), where=of > 0)
    return shares


def _both(pairs: NDArray[Any]) -> NDArray[Any]:
    return pairs[:, 0].astype(np.float64) + pairs[:, 1].astype(np.float64)


def _write_volume(records: NDArray[Any], values: NDArray[Any]) -> None:
    packets, n_bytes = _both(records["packets"]), _both(records["bytes"])
    out, in_ = records["bytes"][:, 0], records["bytes"][:, 1]
    values[:, [AT.packets_out, AT.packets_in]] = records["packets"]
    values[:, [AT.bytes_out, AT.bytes_in]] = records["bytes"]
    values[:, [AT.payload_bytes_out, AT.payload_bytes_in]] = records["payload_bytes"]
    values[:, AT.upload_download_ratio] = out / np.maximum(in_, 1)
    values[:, AT.upload_share] = _per(out, n_bytes)
    values[:, AT.packet_bytes_mean] = _per(n_bytes, packets)
    values[:, AT.packet_bytes_max] = records["largest_bytes"]
    values[:, AT.tcp_share] = _per(_both(records["tcp"]), packets)
    values[:, AT.udp_share] = _per(records["udp"], packets)
    values[:, AT.icmp_share] = _per(records["icmp"], packets)
    values[:, AT.group_share] = _per(records["group"], records["packets"][:, 0])


def _write_times(records: NDArray[Any], window_ns: int, values: NDArray[Any]) -> None:
    # Times may lie further apart than 64 bits hold: floats cannot overflow, and only what is within
    # a window, where they would round, has to be exact.
    first_ns, last_ns = records["first_ts_ns"], records["last_ts_ns"]
    is_far = last_ns.astype(np.float64) - first_ns.astype(np.float64) > 2.0 * window_ns
    near_ns = np.where(is_far, 0, last_ns) - np.where(is_far, 0, first_ns)
    active_ns = np.where(is_far, window_ns, np.minimum(near_ns, window_ns))
    values[:, AT.active_s] = active_ns / _NS_PER_S


def _write_flows(records: NDArray[Any], distinct: NDArray[np.int64], values: NDArray[Any]) -> None:
    peers, ports = distinct[:, PEERS_OUT], distinct[:, PEER_PORTS]
    new_peers = records["new_peers"]
    values[:, AT.arp_requests] = records["arp_requests"]
    values[:, [AT.flows_out, AT.flows_in]] = records["flows"]
    values[:, [AT.new_peers_out, AT.new_peers_in]] = new_peers
    values[:, AT.new_peer_share] = np.minimum(_per(new_peers[:, 0], peers), 1.0)
    for column, which in (
        (AT.arp_targets, ARP_TARGETS),
        (AT.peers_out, PEERS_OUT),
        (AT.peers_in, PEERS_IN),
        (AT.peer_ports, PEER_PORTS),
        (AT.peer_port_pairs, PEER_PORT_PAIRS),
        (AT.own_ports, OWN_PORTS),
        (AT.dns_names, DNS_NAMES),
    ):
        values[:, column] = distinct[:, which]
    values[:, AT.ports_per_peer] = _per(distinct[:, PEER_PORT_PAIRS], peers)
    values[:, AT.peers_per_service] = _per(peers, ports)


def _write_tcp(records: NDArray[Any], values: NDArray[Any]) -> None:
    attempts = records["attempts"].astype(np.int64)
    unanswered = np.maximum(attempts - records["answered"], 0)
    resets, segments = records["rst"], records["tcp"]
    values[:, [AT.syn_sent, AT.syn_received]] = records["syn"]
    values[:, [AT.unanswered_out, AT.unanswered_in]] = unanswered
    values[:, [AT.unanswered_share_out, AT.unanswered_share_in]] = _per(unanswered, attempts)
    values[:, [AT.rst_sent, AT.rst_received]] = resets
    values[:, [AT.rst_sent_share, AT.rst_received_share]] = _per(resets, segments)
    values[:, AT.echo_requests_sent] = records["echo"]
    values[:, [AT.unreachable_sent, AT.unreachable_received]] = records["unreachable"]


def _write_names(records: NDArray[Any], values: NDArray[Any]) -> None:
    n_bytes = records["dns_name_bytes"]
    n_names = records["dns_queries"].astype(np.int64) - records["dns_unread"]
    values[:, AT.dns_queries] = records["dns_queries"]
    values[:, AT.dns_name_entropy] = _per(records["dns_entropy"] / ENTROPY_ONE, n_names)
    values[:, AT.dns_name_bytes] = _per(n_bytes, n_names)
    values[:, AT.dns_label_bytes] = _per(n_bytes, records["dns_labels"])
    values[:, AT.dns_nxdomain_received] = records["dns_nxdomain"]
    values[:, AT.beacon_regularity] = records["beacon_regularity"]
    values[:, AT.beacon_period_s] = records["beacon_period_s"]
    values[:, AT.beacon_starts] = records["beacon_starts"]

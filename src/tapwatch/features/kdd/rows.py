"""Rows of the `kdd` view as whole numbers; columns.py has the definitions."""

from typing import Final

import numpy as np
from numba import njit

from tapwatch.features.arithmetic import elapsed_ns
from tapwatch.features.flow_identity import write_flow_identity
from tapwatch.features.kdd import windows as w
from tapwatch.features.kdd.columns import KDD_AT as AT
from tapwatch.features.kdd.index import helper, wide
from tapwatch.features.kdd.rules import CONTENT_COLUMNS
from tapwatch.features.kdd.services import (
    ERROR_OF_FLAG,
    FLAG_OF_STATE,
    FTP_DATA,
    FTP_DATA_PORT,
    ICMP_SERVICE,
    ICMPV6_SERVICE,
    OTHER,
    PRIVATE,
    SF,
    TCP_SERVICE,
    UDP_SERVICE,
)
from tapwatch.tables import EndReason

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58  # IANA protocol numbers
_TCP_CLASS, _UDP_CLASS, _ICMP_CLASS = range(3)  # services.PROTOCOLS
_ACTIVE: Final = int(EndReason.ACTIVE)
_NS_PER_S: Final = 1e9
_MOST_RECENT, _MOST_PAST = 511, 255
_MOST_FRAGMENTS: Final = 3
_LARGEST_TYPE: Final = 255
_N_CONTENT: Final = len(CONTENT_COLUMNS)


@njit(nogil=True, cache=True)
def connection_rows(ended, order, times_ns, contents, windows, raw, rows, is_end):  # type: ignore[no-untyped-def]
    """Write one row of `raw` and of `rows` for each connection that ended; give their number.

    Parameters
    ----------
    ended : FLOW (k,)
    order : int64 (k,)
        In which order the windows see them.
    times_ns : int64 (k,)
        When, of each row of `ended`.
    contents : int32 (k, 13)
        Content columns, in the order of `order`.
    windows : Windows
    raw : int64 (k, 41)
        Rates are in hundredths. Every element of the rows given is written.
    rows : ROW (k,)
        Every field of the rows given is written.
    is_end : bool
        The source has ended; see windows.see.
    """
    state = windows.state[0]
    answer, is_share = state["answer"], state["is_share"] != 0
    n = np.int64(0)
    for k in range(len(order)):
        flow = ended[order[k]]
        protocol = _protocol_class(flow)
        if flow["end_reason"] == _ACTIVE or protocol < 0:
            continue
        _write_basic(flow, protocol, raw, n)
        for column in range(_N_CONTENT):
            raw[n, AT.hot + column] = contents[k, column]
        known = windows.seen[0]
        known["src_hi"] = flow["src_hi"]
        known["src_lo"] = flow["src_lo"]
        known["dst_hi"] = flow["dst_hi"]
        known["dst_lo"] = flow["dst_lo"]
        known["time_ns"] = times_ns[order[k]]
        known["src_port"] = flow["src_port"]
        known["service"] = raw[n, AT.service]
        known["error"] = ERROR_OF_FLAG[raw[n, AT.flag]]
        w.see(windows, is_end)
        _write_recent(answer, is_share, raw, n)
        _write_past(answer, is_share, raw, n)
        write_flow_identity(flow, flow["connection_first_ts_ns"], rows[n])
        n += 1
    return n


@helper
def _protocol_class(flow):  # type: ignore[no-untyped-def]
    proto = flow["proto"]
    if proto == _TCP:
        return _TCP_CLASS
    if proto == _UDP:
        return _UDP_CLASS
    return _ICMP_CLASS if proto in (_ICMP, _ICMPV6) else -1


@helper
def _service(flow, protocol):  # type: ignore[no-untyped-def]
    if protocol == _UDP_CLASS:
        return wide(UDP_SERVICE[flow["dst_port"]])
    if protocol == _ICMP_CLASS:
        # The flow's ports are the originator's type, and its counter-type or code. Where the types
        # are a pair, the code decides nothing.
        if flow["has_icmp"] == 0 or flow["src_port"] > _LARGEST_TYPE:
            return OTHER
        icmp_type, code = wide(flow["src_port"]), wide(flow["icmp_code"])
        table = ICMP_SERVICE if flow["proto"] == _ICMP else ICMPV6_SERVICE
        return wide(table[icmp_type, code])
    service = wide(TCP_SERVICE[flow["dst_port"]])
    if flow["src_port"] == FTP_DATA_PORT and (service in (OTHER, PRIVATE)):
        return FTP_DATA
    return service


@helper
def _write_basic(flow, protocol, raw, n):  # type: ignore[no-untyped-def]
    is_same_host = flow["src_hi"] == flow["dst_hi"] and flow["src_lo"] == flow["dst_lo"]
    is_land = is_same_host and flow["src_port"] == flow["dst_port"] and protocol != _ICMP_CLASS
    lasts_ns = elapsed_ns(flow["connection_first_ts_ns"], flow["last_ts_ns"])
    raw[n, AT.duration] = wide(lasts_ns / _NS_PER_S)
    raw[n, AT.protocol_type] = protocol
    raw[n, AT.service] = _service(flow, protocol)
    raw[n, AT.flag] = FLAG_OF_STATE[flow["conn_state"]] if protocol == _TCP_CLASS else SF
    raw[n, AT.src_bytes] = flow["connection_payload_bytes"][0]
    raw[n, AT.dst_bytes] = flow["connection_payload_bytes"][1]
    raw[n, AT.land] = is_land
    raw[n, AT.wrong_fragment] = min(wide(flow["wrong_fragments"]), _MOST_FRAGMENTS)
    raw[n, AT.urgent] = flow["urgent_packets"]


@helper
def _rate(part, whole):  # type: ignore[no-untyped-def]
    # In hundredths, halves up. The connection itself is counted, so `whole` is not 0.
    return (200 * part + whole) // (2 * whole)


@helper
def _different(distinct, same, whole, is_share):  # type: ignore[no-untyped-def]
    if is_share:
        return _rate(whole - same, whole)
    return _rate(distinct, whole) if distinct > 1 else 0


@helper
def _write_recent(answer, is_share, raw, n):  # type: ignore[no-untyped-def]
    host, service, both = answer[w.OF_HOST], answer[w.OF_SERVICE], answer[w.OF_BOTH]
    raw[n, AT.count] = min(host, _MOST_RECENT)
    raw[n, AT.srv_count] = min(service, _MOST_RECENT)
    raw[n, AT.serror_rate] = _rate(answer[w.OF_HOST + w.SYN_ERRORS], host)
    raw[n, AT.srv_serror_rate] = _rate(answer[w.OF_SERVICE + w.SYN_ERRORS], service)
    raw[n, AT.rerror_rate] = _rate(answer[w.OF_HOST + w.REJECTIONS], host)
    raw[n, AT.srv_rerror_rate] = _rate(answer[w.OF_SERVICE + w.REJECTIONS], service)
    raw[n, AT.same_srv_rate] = _rate(both, host)
    raw[n, AT.diff_srv_rate] = _different(answer[w.OF_HOST + w.DISTINCT], both, host, is_share)
    raw[n, AT.srv_diff_host_rate] = _different(
        answer[w.OF_SERVICE + w.DISTINCT], both, service, is_share
    )


@helper
def _write_past(answer, is_share, raw, n):  # type: ignore[no-untyped-def]
    past, both = answer[w.OF_PAST], answer[w.OF_PAST_BOTH]
    raw[n, AT.dst_host_count] = min(past, _MOST_PAST)
    raw[n, AT.dst_host_srv_count] = min(both, _MOST_PAST)
    raw[n, AT.dst_host_same_srv_rate] = _rate(both, past)
    raw[n, AT.dst_host_diff_srv_rate] = _different(
        answer[w.OF_PAST + w.DISTINCT], both, past, is_share
    )
    raw[n, AT.dst_host_same_src_port_rate] = _rate(answer[w.OF_PORT], past)
    raw[n, AT.dst_host_srv_diff_host_rate] = _different(
        answer[w.OF_PAST_BOTH + w.DISTINCT], answer[w.OF_SOURCE], both, is_share
    )
    raw[n, AT.dst_host_serror_rate] = _rate(answer[w.OF_PAST + w.SYN_ERRORS], past)
    raw[n, AT.dst_host_srv_serror_rate] = _rate(answer[w.OF_PAST_BOTH + w.SYN_ERRORS], both)
    raw[n, AT.dst_host_rerror_rate] = _rate(answer[w.OF_PAST + w.REJECTIONS], past)
    raw[n, AT.dst_host_srv_rerror_rate] = _rate(answer[w.OF_PAST_BOTH + w.REJECTIONS], both)

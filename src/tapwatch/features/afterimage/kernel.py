"""Rows of the views `afterimage` and `afterimage_115`: one pass over the frames.

Every value is finite and below what float32 can hold, without a check: w and n are at least 1 when
they divide; means and roots of variances are at most the largest value, a frame length of 32 bits
or a gap of 64 bits of ns; and a variance that divides is at least 1e-9.
"""

import math

import numpy as np
from numba import njit

from tapwatch.features.afterimage.columns import N_BOTH_WAYS, N_ONE_WAY
from tapwatch.features.afterimage.layout import N_LAMBDAS
from tapwatch.features.arithmetic import elapsed_ns, mix
from tapwatch.features.entities import address_hash, helper, meet, pair_hash
from tapwatch.features.packet_identity import write_identity

_ETHER_TYPE_ARP = 0x0806
_NONE = np.uint64(0)
_FIRST_WEIGHT = 1e-20  # Kitsune's: what a stream weighs before its first frame
_FLOOR = 1e-9  # variances below it, relative to the squared mean, are the noise of rounding
_N_ONE_WAY_COLUMNS = N_ONE_WAY * N_LAMBDAS
_N_BOTH_WAYS_COLUMNS = N_BOTH_WAYS * N_LAMBDAS


@njit(nogil=True, cache=True)
def afterimage_rows(packets, links, streams, seed, with_h, values, rows):  # type: ignore[no-untyped-def]
    """Write one row of `values` and of `rows` for each packet.

    Parameters
    ----------
    packets : PACKET (n,)
    links : LINK (n,)
    streams : Streams
        Go on from batch to batch.
    seed : uint64
        Of the hash.
    with_h : bool
        Whether the streams H are kept and written.
    values : float32 or float64 (n, columns)
        Every element is written.
    rows : ROW (n,)
        Every field is written.
    """
    mi, mi_rows, h, h_rows, hh, hh_rows, jitter_rows, hphp, hphp_rows, keys, fade = streams
    key = keys[0]
    at_hh = _N_ONE_WAY_COLUMNS * (2 if with_h else 1)
    at_jitter = at_hh + _N_BOTH_WAYS_COLUMNS
    at_hphp = at_jitter + _N_ONE_WAY_COLUMNS
    for i in range(len(packets)):
        packet = packets[i]
        out = values[i]
        ts_ns = packet["ts_ns"]
        length = float(packet["wire_bytes"])
        write_identity(packet, links[i], rows[i])

        src = address_hash(packet["src_hi"], packet["src_lo"], seed)
        dst = address_hash(packet["dst_hi"], packet["dst_lo"], seed)
        _key_sender(key, packet, packet["eth_src"])
        row, _, is_new = meet(mi, key, mix(src ^ packet["eth_src"]), False)
        _add_one_way(mi_rows[row], is_new, ts_ns, length, fade, out, 0)
        if with_h:
            _key_sender(key, packet, _NONE)
            row, _, is_new = meet(h, key, src, False)
            _add_one_way(h_rows[row], is_new, ts_ns, length, fade, out, _N_ONE_WAY_COLUMNS)

        _key_channel(key, packet)
        row, way, is_new = meet(hh, key, pair_hash(src, dst), True)
        pair = hh_rows[row]
        gap_s = _move_clocks(pair, is_new, way, ts_ns, fade)
        _add_both_ways(pair, way, _is_loop(key), length, fade, out, at_hh)
        _add_jitter(jitter_rows[row], pair["w"], is_new, way, gap_s, fade, out, at_jitter)

        if packet["ether_type"] == _ETHER_TYPE_ARP:
            _key_stations(key, packet)
            src = address_hash(_NONE, packet["eth_src"], seed)
            dst = address_hash(_NONE, packet["eth_dst"], seed)
        else:
            key["a_port"] = packet["src_port"]
            key["b_port"] = packet["dst_port"]
        src = mix(src ^ np.uint64(key["a_port"]))
        dst = mix(dst ^ np.uint64(key["b_port"]))
        row, way, is_new = meet(hphp, key, pair_hash(src, dst), True)
        pair = hphp_rows[row]
        _move_clocks(pair, is_new, way, ts_ns, fade)
        _add_both_ways(pair, way, _is_loop(key), length, fade, out, at_hphp)


@helper
def _key_sender(key, packet, station):  # type: ignore[no-untyped-def]
    key["a_hi"] = packet["src_hi"]
    key["a_lo"] = packet["src_lo"]
    key["b_hi"] = 0
    key["b_lo"] = station
    key["a_port"] = 0
    key["b_port"] = 0
    key["ip_version"] = packet["ip_version"]


@helper
def _key_channel(key, packet):  # type: ignore[no-untyped-def]
    key["a_hi"] = packet["src_hi"]
    key["a_lo"] = packet["src_lo"]
    key["b_hi"] = packet["dst_hi"]
    key["b_lo"] = packet["dst_lo"]
    key["a_port"] = 0
    key["b_port"] = 0
    key["ip_version"] = packet["ip_version"]


@helper
def _key_stations(key, packet):  # type: ignore[no-untyped-def]
    key["a_hi"] = 0
    key["a_lo"] = packet["eth_src"]
    key["b_hi"] = 0
    key["b_lo"] = packet["eth_dst"]
    key["a_port"] = 0
    key["b_port"] = 0
    key["ip_version"] = 0


@helper
def _is_loop(key):  # type: ignore[no-untyped-def]
    return (
        key["a_lo"] == key["b_lo"] and key["a_hi"] == key["b_hi"] and key["a_port"] == key["b_port"]
    )


@helper
def _forget(fade, which, gap_s):  # type: ignore[no-untyped-def]
    # fade[which] becomes 2^(-lambda * gap) for each lambda of LAMBDAS. 2^-gap and 2^(-gap/100) are
    # computed, the others are powers of these, right to ten times the rounding of one product.
    if gap_s == 0.0:
        for k in range(N_LAMBDAS):
            fade[which, k] = 1.0
        return
    d1 = 2.0**-gap_s
    d2 = d1 * d1
    d3 = d2 * d1
    slow = 2.0 ** (-0.01 * gap_s)
    slow2 = slow * slow
    slow5 = slow2 * slow2 * slow
    fade[which, 0] = d3 * d2
    fade[which, 1] = d3
    fade[which, 2] = d1
    fade[which, 3] = slow5 * slow5
    fade[which, 4] = slow


@helper
def _add_one_way(stream, is_new, ts_ns, value, fade, out, at):  # type: ignore[no-untyped-def]
    w, ls, ss = stream["w"], stream["ls"], stream["ss"]
    if is_new:
        stream["last_ts_ns"] = ts_ns
        for k in range(N_LAMBDAS):
            w[k] = _FIRST_WEIGHT
            ls[k] = 0.0
            ss[k] = 0.0
    _forget(fade, 0, elapsed_ns(stream["last_ts_ns"], ts_ns) / 1e9)
    stream["last_ts_ns"] = max(stream["last_ts_ns"], ts_ns)
    for k in range(N_LAMBDAS):
        d = fade[0, k]
        weight = w[k] * d + 1.0
        linear = ls[k] * d + value
        square = ss[k] * d + value * value
        w[k] = weight
        ls[k] = linear
        ss[k] = square
        column = at + N_ONE_WAY * k
        mean = linear / weight
        out[column] = weight
        out[column + 1] = mean
        out[column + 2] = abs(square / weight - mean * mean)


@helper
def _move_clocks(pair, is_new, way, ts_ns, fade):  # type: ignore[no-untyped-def]
    # Writes what fades since the last frame this way into fade[0], and since the last one either
    # way into fade[1]; gives the gap in s, 0 at first.
    last = pair["last_ts_ns"]
    if is_new:
        _clear(pair, ts_ns)
    _forget(fade, 1, elapsed_ns(max(last[0], last[1]), ts_ns) / 1e9)
    if pair["w"][way, 0] < 1.0:
        # The way's first frame; it may be older than that of the other way.
        last[way] = ts_ns
    gap_s = elapsed_ns(last[way], ts_ns) / 1e9
    _forget(fade, 0, gap_s)
    last[way] = max(last[way], ts_ns)
    return gap_s


@helper
def _clear(pair, ts_ns):  # type: ignore[no-untyped-def]
    for way in range(2):
        pair["last_ts_ns"][way] = ts_ns
        for k in range(N_LAMBDAS):
            pair["w"][way, k] = _FIRST_WEIGHT
            pair["ls"][way, k] = 0.0
            pair["ss"][way, k] = 0.0
            pair["residual"][way, k] = 0.0
    for k in range(N_LAMBDAS):
        pair["sr"][k] = 0.0
        pair["n"][k] = _FIRST_WEIGHT


@helper
def _add_both_ways(pair, way, is_loop, value, fade, out, at):  # type: ignore[no-untyped-def]
    w, ls, ss, residual = pair["w"], pair["ls"], pair["ss"], pair["residual"]
    sr, n = pair["sr"], pair["n"]
    other = way if is_loop else 1 - way
    for k in range(N_LAMBDAS):
        d = fade[0, k]
        weight = w[way, k] * d + 1.0
        linear = ls[way, k] * d + value
        square = ss[way, k] * d + value * value
        w[way, k] = weight
        ls[way, k] = linear
        ss[way, k] = square
        mean = linear / weight
        variance = abs(square / weight - mean * mean)

        e = fade[1, k]
        r = value - mean
        products = sr[k] * e + r * residual[other, k]
        n_products = n[k] * e + 1.0
        sr[k] = products
        n[k] = n_products
        residual[way, k] = r

        # What a stream has is divided by what it weighed then, so that a long silence cannot
        # leave nothing to divide by.
        other_weight = w[other, k]
        other_mean = ls[other, k] / other_weight
        other_variance = abs(ss[other, k] / other_weight - other_mean * other_mean)
        covariance = products / n_products
        column = at + N_BOTH_WAYS * k
        out[column] = weight
        out[column + 1] = mean
        out[column + 2] = variance
        out[column + 3] = math.sqrt(variance * variance + other_variance * other_variance)
        out[column + 4] = math.sqrt(mean * mean + other_mean * other_mean)
        out[column + 5] = covariance
        is_noise = (variance < _FLOOR * max(1.0, mean * mean)) | (
            other_variance < _FLOOR * max(1.0, other_mean * other_mean)
        )
        out[column + 6] = 0.0 if is_noise else covariance / math.sqrt(variance * other_variance)


@helper
def _add_jitter(jitter, w, is_new, way, gap_s, fade, out, at):  # type: ignore[no-untyped-def]
    ls, ss = jitter["ls"], jitter["ss"]
    if is_new:
        for either in range(2):
            for k in range(N_LAMBDAS):
                ls[either, k] = 0.0
                ss[either, k] = 0.0
    for k in range(N_LAMBDAS):
        d = fade[0, k]
        weight = w[way, k]
        linear = ls[way, k] * d + gap_s
        square = ss[way, k] * d + gap_s * gap_s
        ls[way, k] = linear
        ss[way, k] = square
        column = at + N_ONE_WAY * k
        mean = linear / weight
        out[column] = weight
        out[column + 1] = mean
        out[column + 2] = abs(square / weight - mean * mean)

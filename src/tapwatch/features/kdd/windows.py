"""Which connections came shortly before: the two windows of the `kdd` view, with running counts.

A connection costs the same whatever the windows hold, but for two passes over at most 256 numbers
that lie side by side, which is cheaper than a map of ports and sources for each host.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import KddConfig
from tapwatch.features.arithmetic import mix
from tapwatch.features.kdd.index import (
    OLDEST,
    Index,
    add,
    find,
    helper,
    home_of,
    is_full,
    no_index,
    remove,
    touch,
    wide,
)
from tapwatch.features.kdd.services import REJECTED, SERVICES, SYN_ERROR

WINDOW_NS: Final = 2_000_000_000
_ERRORS: Final = 3  # values of `error`
_HOST: Final = len(SERVICES)  # kind of a key that is a host; others are a host and a service

#: What is counted, of connections that have something in common.
N, SYN_ERRORS, REJECTIONS, DISTINCT = range(4)

#: A connection as the windows see it.
SEEN: Final = np.dtype(
    [
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("time_ns", "<i8"),
        ("src_port", "<u2"),
        ("service", "u1"),
        ("error", "u1"),  # SYN_ERROR, REJECTED or 0
    ],
    align=True,
)

# What the windows say of a connection, itself included, is an array of N_ANSWERS numbers. Four from
# OF_HOST on are N, ..., DISTINCT of the connections to the same host in the last two seconds
# (distinct services), from OF_SERVICE on of the same service (distinct hosts), from OF_PAST on of
# the host's history (distinct services), from OF_PAST_BOTH on of the same service in it (distinct
# sources).
OF_HOST, OF_SERVICE, OF_PAST, OF_PAST_BOTH = 0, 4, 8, 12
OF_BOTH: Final = 16  # in the last two seconds, the same host and service
OF_PORT: Final = 17  # in the host's history, the same source port
OF_SOURCE: Final = 18  # in it, the same service and source
N_ANSWERS: Final = 19

#: One connection of the last two seconds.
_RECENT: Final = np.dtype(
    [
        ("time_ns", "<i8"),
        ("host", "<i4"),  # node of the host
        ("both", "<i4"),  # node of host and service
        ("service", "u1"),
        ("error", "u1"),
    ],
    align=True,
)

BEGIN, HELD, LATEST_NS, HAS_TIME, EARLY, EVICTED, IS_SHARE = range(7)  # of `state`
_POSITION, _LENGTH = range(2)  # of `rings`


class Windows(NamedTuple):
    """The memory of both windows."""

    recent: NDArray[Any]  # _RECENT (window_connections,) a ring
    keys: Index  # hosts, and pairs of host and service, of what is in it
    shared: NDArray[np.int32]  # (nodes of keys, 4) N, SYN_ERRORS, REJECTIONS, DISTINCT
    services: NDArray[np.int64]  # (services, 4)
    hosts: Index
    ports: NDArray[np.uint16]  # (hosts, host_window) rings
    sources: NDArray[np.uint64]  # (hosts, host_window) hash of source and service
    kinds: NDArray[np.uint8]  # (hosts, host_window) service * 3 + error
    rings: NDArray[np.int32]  # (hosts, 2) next position, connections held
    past: NDArray[np.int32]  # (hosts, 4)
    past_both: NDArray[np.uint16]  # (hosts, services, 4)
    state: NDArray[np.int64]  # (7,) the last: rates of different ones are shares
    seen: NDArray[Any]  # SEEN (1,) scratch
    answer: NDArray[np.int64]  # (N_ANSWERS,) scratch


def no_windows(config: KddConfig, seed: int) -> Windows:
    """Make empty windows; memory that is not touched costs nothing."""
    connections, hosts, host_window = config.window_connections, config.hosts, config.host_window
    state = np.zeros(7, np.int64)
    state[IS_SHARE] = config.diff_rates == "share"
    return Windows(
        recent=np.zeros(connections, _RECENT),
        keys=no_index(2 * connections, seed),
        shared=np.zeros((2 * connections, 4), np.int32),
        services=np.zeros((len(SERVICES), 4), np.int64),
        hosts=no_index(hosts, seed),
        ports=np.zeros((hosts, host_window), np.uint16),
        sources=np.zeros((hosts, host_window), np.uint64),
        kinds=np.zeros((hosts, host_window), np.uint8),
        rings=np.zeros((hosts, 2), np.int32),
        past=np.zeros((hosts, 4), np.int32),
        past_both=np.zeros((hosts, len(SERVICES), 4), np.uint16),
        state=state,
        seen=np.zeros(1, SEEN),
        answer=np.zeros(N_ANSWERS, np.int64),
    )


@helper
def see(windows, is_end):  # type: ignore[no-untyped-def]
    """Put a connection into both windows and write what they say of it.

    Parameters
    ----------
    windows : Windows
        `seen` is the connection, `answer` what is said of it.
    is_end : bool
        The source has ended: rows come in more than one sequence, each in the order of time, and
        the two seconds begin anew with each. Before, a time that goes back counts as the latest.
    """
    state, seen, answer = windows.state, windows.seen[0], windows.answer
    time_ns = wide(seen["time_ns"])
    if state[HAS_TIME] and time_ns < state[LATEST_NS]:
        if is_end:
            while state[HELD] > 0:
                _forget_first(windows)
        else:
            time_ns = wide(state[LATEST_NS])
    state[LATEST_NS] = time_ns
    state[HAS_TIME] = 1
    _see_recent(windows, seen, time_ns, answer)
    _see_past(windows, seen, answer)


@helper
def _see_recent(windows, seen, time_ns, answer):  # type: ignore[no-untyped-def]
    state, recent = windows.state, windows.recent
    while state[HELD] > 0 and recent[state[BEGIN]]["time_ns"] <= time_ns - WINDOW_NS:
        _forget_first(windows)
    if state[HELD] == len(recent):
        _forget_first(windows)
        state[EARLY] += 1

    service, error = wide(seen["service"]), wide(seen["error"])
    host = _meet(windows.keys, seen, _HOST)
    both = _meet(windows.keys, seen, service)
    shared, services = windows.shared, windows.services
    if shared[both, N] == 0:
        shared[host, DISTINCT] += 1
        services[service, DISTINCT] += 1
    _count(shared, host, error, 1)
    _count(services, service, error, 1)
    shared[both, N] += 1

    place = recent[(state[BEGIN] + state[HELD]) % len(recent)]
    place["time_ns"] = time_ns
    place["host"] = host
    place["both"] = both
    place["service"] = service
    place["error"] = error
    state[HELD] += 1
    for k in range(4):
        answer[OF_HOST + k] = shared[host, k]
        answer[OF_SERVICE + k] = services[service, k]
    answer[OF_BOTH] = shared[both, N]


@helper
def _meet(index, seen, kind):  # type: ignore[no-untyped-def]
    # There are two nodes for every place of the ring, so one is free.
    hi, lo = seen["dst_hi"], seen["dst_lo"]
    home = home_of(index, hi, lo, kind)
    node = find(index, home, hi, lo, kind)
    return node if node >= 0 else add(index, home, hi, lo, kind)


@helper
def _count(counts, row, error, weight):  # type: ignore[no-untyped-def]
    counts[row, N] += weight
    if error == SYN_ERROR:
        counts[row, SYN_ERRORS] += weight
    elif error == REJECTED:
        counts[row, REJECTIONS] += weight


@helper
def _forget_first(windows):  # type: ignore[no-untyped-def]
    state = windows.state
    first = windows.recent[state[BEGIN]]
    host, both, service = wide(first["host"]), wide(first["both"]), wide(first["service"])
    shared, services = windows.shared, windows.services
    _count(shared, host, first["error"], -1)
    _count(services, service, first["error"], -1)
    shared[both, N] -= 1
    if shared[both, N] == 0:
        shared[host, DISTINCT] -= 1
        services[service, DISTINCT] -= 1
        remove(windows.keys, both)
    if shared[host, N] == 0:
        remove(windows.keys, host)
    state[BEGIN] = (state[BEGIN] + 1) % len(windows.recent)
    state[HELD] -= 1


@helper
def _see_past(windows, seen, answer):  # type: ignore[no-untyped-def]
    host = _host_row(windows, seen)
    service, error = wide(seen["service"]), wide(seen["error"])
    source = mix(mix(mix(seen["src_hi"]) ^ seen["src_lo"]) ^ np.uint64(service))
    length = windows.ports.shape[1]
    at, held = wide(windows.rings[host, _POSITION]), wide(windows.rings[host, _LENGTH])
    if held == length:
        _forget_past(windows, host, at)
    else:
        held += 1
        windows.rings[host, _LENGTH] = held

    windows.ports[host, at] = seen["src_port"]
    windows.sources[host, at] = source
    windows.kinds[host, at] = service * _ERRORS + error
    windows.rings[host, _POSITION] = (at + 1) % length
    n_port, n_source = 0, 0
    # Bounds: `held` is at most the length of a ring.
    for k in range(held):
        n_port += windows.ports[host, k] == seen["src_port"]
        n_source += windows.sources[host, k] == source
    past, past_both = windows.past, windows.past_both
    past[host, DISTINCT] += past_both[host, service, N] == 0
    past_both[host, service, DISTINCT] += n_source == 1
    _count(past, host, error, 1)
    past_both[host, service, N] += 1
    past_both[host, service, SYN_ERRORS] += error == SYN_ERROR
    past_both[host, service, REJECTIONS] += error == REJECTED
    for k in range(4):
        answer[OF_PAST + k] = past[host, k]
        answer[OF_PAST_BOTH + k] = past_both[host, service, k]
    answer[OF_PORT] = n_port
    answer[OF_SOURCE] = n_source


@helper
def _forget_past(windows, host, at):  # type: ignore[no-untyped-def]
    # The oldest of a full ring leaves; its place is written over next.
    kind, source = wide(windows.kinds[host, at]), windows.sources[host, at]
    service, error = kind // _ERRORS, kind % _ERRORS
    n_source = 0
    for k in range(windows.sources.shape[1]):
        n_source += windows.sources[host, k] == source
    past, past_both = windows.past, windows.past_both
    _count(past, host, error, -1)
    past_both[host, service, N] -= 1
    past_both[host, service, SYN_ERRORS] -= error == SYN_ERROR
    past_both[host, service, REJECTIONS] -= error == REJECTED
    past_both[host, service, DISTINCT] -= n_source == 1
    past[host, DISTINCT] -= past_both[host, service, N] == 0


@helper
def _host_row(windows, seen):  # type: ignore[no-untyped-def]
    index = windows.hosts
    hi, lo = seen["dst_hi"], seen["dst_lo"]
    home = home_of(index, hi, lo, _HOST)
    host = find(index, home, hi, lo, _HOST)
    if host >= 0:
        touch(index, host)
        return host
    if is_full(index):
        remove(index, wide(index.ends[OLDEST]) - 1)
        windows.state[EVICTED] += 1
    host = add(index, home, hi, lo, _HOST)
    for k in range(4):
        windows.past[host, k] = 0
        for service in range(len(SERVICES)):
            windows.past_both[host, service, k] = 0
    windows.rings[host, _POSITION] = 0
    windows.rings[host, _LENGTH] = 0
    return host

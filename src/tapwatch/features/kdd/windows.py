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
MOST_PAST: Final = 256  # connections that a history can hold
_HOST: Final = np.int64(
    len(SERVICES)
)  # kind of a key that is a host; others are a host and a service

#: What is counted, of connections that have something in common.
N, SYN_ERRORS, REJECTIONS, DISTINCT = range(4)
_ONE_MORE, _ONE_LESS = np.int64(1), np.int64(-1)

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

#: The history of a host: rings of which the first `host_window` places are used.
_PAST: Final = np.dtype(
    [
        ("source", "<u8", MOST_PAST),  # hash of source and service
        ("port", "<u2", MOST_PAST),
        ("kind", "u1", MOST_PAST),  # service * 3 + error
        ("position", "<i4"),  # that is written next
        ("held", "<i4"),
        ("all", "<i4", 4),  # N, SYN_ERRORS, REJECTIONS, DISTINCT services
        ("services", "<u2", (len(SERVICES), 4)),  # the last: DISTINCT sources
    ],
    align=True,
)

#: What there is one of.
_STATE: Final = np.dtype(
    [
        ("begin", "<i8"),  # first place of the ring of recent connections
        ("held", "<i8"),  # and how many it holds
        ("latest_ns", "<i8"),
        ("has_time", "<i8"),
        ("early", "<i8"),  # connections that left a full ring early
        ("evicted", "<i8"),  # hosts forgotten for others
        ("is_share", "<i8"),  # rates of different ones are shares
        ("host_window", "<i8"),
        ("services", "<i8", (len(SERVICES), 4)),  # of what is recent; the last: DISTINCT hosts
        ("answer", "<i8", N_ANSWERS),
    ],
    align=True,
)


class Windows(NamedTuple):
    """The memory of both windows."""

    recent: NDArray[Any]  # _RECENT (window_connections,) a ring
    keys: Index  # hosts, and pairs of host and service, of what is in it
    shared: NDArray[np.int32]  # (nodes of keys, 4) N, SYN_ERRORS, REJECTIONS, DISTINCT services
    hosts: Index
    past: NDArray[Any]  # _PAST (nodes of hosts,)
    state: NDArray[Any]  # _STATE (1,)
    seen: NDArray[Any]  # SEEN (1,) the connection that is looked at


def no_windows(config: KddConfig, seed: int) -> Windows:
    """Make empty windows; memory that is not touched costs nothing."""
    state = np.zeros(1, _STATE)
    state["is_share"] = config.diff_rates == "share"
    state["host_window"] = config.host_window
    return Windows(
        recent=np.zeros(config.window_connections, _RECENT),
        keys=no_index(2 * config.window_connections, seed),
        shared=np.zeros((2 * config.window_connections, 4), np.int32),
        hosts=no_index(config.hosts, seed),
        past=np.zeros(config.hosts, _PAST),
        state=state,
        seen=np.zeros(1, SEEN),
    )


@helper
def see(windows, is_end):  # type: ignore[no-untyped-def]
    """Put a connection into both windows and write what they say of it.

    Parameters
    ----------
    windows : Windows
        `seen` is the connection, `state["answer"]` what is said of it.
    is_end : bool
        The source has ended: rows come in more than one sequence, each in the order of time, and
        the two seconds begin anew with each. Before, a time that goes back counts as the latest.
    """
    state, seen = windows.state[0], windows.seen[0]
    recent, keys, shared = windows.recent, windows.keys, windows.shared
    time_ns = seen["time_ns"]
    if state["has_time"] and time_ns < state["latest_ns"]:
        if is_end:
            while state["held"] > 0:
                _forget_first(recent, keys, shared, state)
        else:
            time_ns = state["latest_ns"]
    state["latest_ns"] = time_ns
    state["has_time"] = 1
    while state["held"] > 0 and recent[state["begin"]]["time_ns"] <= time_ns - WINDOW_NS:
        _forget_first(recent, keys, shared, state)
    if state["held"] == len(recent):
        _forget_first(recent, keys, shared, state)
        state["early"] += 1
    host = _meet(keys, seen, _HOST)
    both = _meet(keys, seen, wide(seen["service"]))
    place = recent[(state["begin"] + state["held"]) % len(recent)]
    place["time_ns"] = time_ns
    place["host"] = host
    place["both"] = both
    place["service"] = seen["service"]
    place["error"] = seen["error"]
    state["held"] += 1
    _count_recent(shared, state, seen, host, both)
    _see_past(windows.past[_host_row(windows.hosts, windows.past, state, seen)], state, seen)


@helper
def _count_recent(shared, state, seen, host, both):  # type: ignore[no-untyped-def]
    service, error = wide(seen["service"]), wide(seen["error"])
    services, answer = state["services"], state["answer"]
    if shared[both, N] == 0:
        shared[host, DISTINCT] += 1
        services[service, DISTINCT] += 1
    _count(shared, host, error, _ONE_MORE)
    _count(services, service, error, _ONE_MORE)
    shared[both, N] += 1
    for k in range(4):
        answer[OF_HOST + k] = shared[host, k]
        answer[OF_SERVICE + k] = services[service, k]
    answer[OF_BOTH] = shared[both, N]


@helper
def _meet(keys, seen, kind):  # type: ignore[no-untyped-def]
    # There are two nodes for every place of the ring, so one is free.
    hi, lo = seen["dst_hi"], seen["dst_lo"]
    home = home_of(keys, hi, lo, kind)
    node = find(keys, home, hi, lo, kind)
    return node if node >= 0 else add(keys, home, hi, lo, kind)


@helper
def _count(counts, row, error, weight):  # type: ignore[no-untyped-def]
    counts[row, N] += weight
    if error == SYN_ERROR:
        counts[row, SYN_ERRORS] += weight
    elif error == REJECTED:
        counts[row, REJECTIONS] += weight


@helper
def _forget_first(recent, keys, shared, state):  # type: ignore[no-untyped-def]
    first = recent[state["begin"]]
    host, both, service = wide(first["host"]), wide(first["both"]), wide(first["service"])
    services, error = state["services"], wide(first["error"])
    _count(shared, host, error, _ONE_LESS)
    _count(services, service, error, _ONE_LESS)
    shared[both, N] -= 1
    if shared[both, N] == 0:
        shared[host, DISTINCT] -= 1
        services[service, DISTINCT] -= 1
        remove(keys, both)
    if shared[host, N] == 0:
        remove(keys, host)
    state["begin"] = (state["begin"] + 1) % len(recent)
    state["held"] -= 1


@helper
def _see_past(past, state, seen):  # type: ignore[no-untyped-def]
    service, error = wide(seen["service"]), wide(seen["error"])
    source = mix(mix(mix(seen["src_hi"]) ^ seen["src_lo"]) ^ np.uint64(service))
    at = wide(past["position"])
    if past["held"] == state["host_window"]:
        _forget_past(past, at)
    else:
        past["held"] += 1
    sources, ports = past["source"], past["port"]
    sources[at] = source
    ports[at] = seen["src_port"]
    past["kind"][at] = service * _ERRORS + error
    past["position"] = (at + 1) % state["host_window"]
    n_port, n_source = 0, 0
    # Bounds: no more are held than a ring has places.
    for k in range(past["held"]):
        n_port += ports[k] == seen["src_port"]
        n_source += sources[k] == source
    counts, services, answer = past["all"], past["services"], state["answer"]
    counts[DISTINCT] += services[service, N] == 0
    counts[N] += 1
    counts[SYN_ERRORS] += error == SYN_ERROR
    counts[REJECTIONS] += error == REJECTED
    services[service, DISTINCT] += n_source == 1
    services[service, N] += 1
    services[service, SYN_ERRORS] += error == SYN_ERROR
    services[service, REJECTIONS] += error == REJECTED
    for k in range(4):
        answer[OF_PAST + k] = counts[k]
        answer[OF_PAST_BOTH + k] = services[service, k]
    answer[OF_PORT] = n_port
    answer[OF_SOURCE] = n_source


@helper
def _forget_past(past, at):  # type: ignore[no-untyped-def]
    # The oldest of a full ring leaves; its place is written over next.
    kind, sources = wide(past["kind"][at]), past["source"]
    service, error = kind // _ERRORS, kind % _ERRORS
    n_source = 0
    for k in range(past["held"]):
        n_source += sources[k] == sources[at]
    counts, services = past["all"], past["services"]
    services[service, N] -= 1
    services[service, SYN_ERRORS] -= error == SYN_ERROR
    services[service, REJECTIONS] -= error == REJECTED
    services[service, DISTINCT] -= n_source == 1
    counts[N] -= 1
    counts[SYN_ERRORS] -= error == SYN_ERROR
    counts[REJECTIONS] -= error == REJECTED
    counts[DISTINCT] -= services[service, N] == 0


@helper
def _host_row(hosts, histories, state, seen):  # type: ignore[no-untyped-def]
    hi, lo = seen["dst_hi"], seen["dst_lo"]
    home = home_of(hosts, hi, lo, _HOST)
    host = find(hosts, home, hi, lo, _HOST)
    if host >= 0:
        touch(hosts, host)
        return host
    if is_full(hosts):
        remove(hosts, wide(hosts.ends[OLDEST]) - 1)
        state["evicted"] += 1
    host = add(hosts, home, hi, lo, _HOST)
    past = histories[host]
    past["position"] = 0
    past["held"] = 0
    for k in range(4):
        past["all"][k] = 0
        for service in range(len(SERVICES)):
            past["services"][service, k] = 0
    return host

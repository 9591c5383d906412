"""What outlives a window: who has met whom, and how regularly a service is called.

Both tables are bounded: an entry may lie in four places, and where they are taken the one silent
longest makes room. Forgotten is what was silent for longer than the horizon; evicting such an entry
is no loss and not counted.
"""

import math
from typing import Any, Final

import numpy as np

from tapwatch.features.host.layout import FEWEST_GAPS, N_GAPS, N_WAYS
from tapwatch.features.host.sketch import inner

_NS_PER_MS: Final = 1_000_000
_LONGEST_GAP_MS: Final = (1 << 32) - 1
_MOST_STARTS: Final = (1 << 32) - 1
_ONE: Final = np.uint64(1)
_NO_TAG: Final = np.uint64(0)


@inner
def _way_of(table, hashed, now_ns, horizon_ns):  # type: ignore[no-untyped-def]
    """Place of an entry and whether it is known: if not, the place is free for it.

    Returns
    -------
    place : int
    is_known : bool
    is_evicted : bool
        Something else had to make room before it was forgotten.
    """
    tag = hashed | _ONE  # 0 is a free place
    n_sets = len(table) // N_WAYS
    # The hash's low bits are its set; all of it is compared.
    first = np.int64(hashed >> _ONE & np.uint64(n_sets - 1)) * N_WAYS
    oldest: Any = first
    for place in range(first, first + N_WAYS):
        entry = table[place]
        if entry["tag"] == tag:
            is_known = now_ns - entry["seen_ns"] <= horizon_ns
            return place, is_known, False
        if entry["tag"] == _NO_TAG:
            # Places are filled in order and never emptied: it is not behind a free one.
            entry["tag"] = tag
            return place, False, False
        if entry["seen_ns"] < table[oldest]["seen_ns"]:
            oldest = place
    table[oldest]["tag"] = tag
    return oldest, False, now_ns - table[oldest]["seen_ns"] <= horizon_ns


@inner
def is_new_pair(pairs, hashed, now_ns, task):  # type: ignore[no-untyped-def]
    """Whether two hosts have not met within the horizon; they have now."""
    place, is_known, is_evicted = _way_of(pairs, hashed, now_ns, task["horizon_ns"])
    pairs[place]["seen_ns"] = now_ns
    task["pairs_evicted"] += is_evicted
    return not is_known


@inner
def note_start(channels, hashed, now_ns, host, task):  # type: ignore[no-untyped-def]
    """A connection to a channel begins: keep the gap, and tell the host how regular it is."""
    place, is_known, is_evicted = _way_of(channels, hashed, now_ns, task["horizon_ns"])
    task["channels_evicted"] += is_evicted
    channel = channels[place]
    if is_known:
        n_starts = np.int64(channel["n_starts"])
        gap_ms = (now_ns - channel["seen_ns"]) // _NS_PER_MS
        channel["gaps_ms"][(n_starts - 1) % N_GAPS] = min(gap_ms, _LONGEST_GAP_MS)
        channel["n_starts"] = min(n_starts + 1, _MOST_STARTS)
    else:
        channel["n_starts"] = 1
    channel["seen_ns"] = now_ns

    n_gaps: Any = min(np.int64(channel["n_starts"]) - 1, N_GAPS)
    if n_gaps < FEWEST_GAPS:
        return
    total = 0.0
    for k in range(n_gaps):
        total += float(channel["gaps_ms"][k])
    mean_ms = total / n_gaps
    if mean_ms <= 0.0:
        return
    squares = 0.0
    for k in range(n_gaps):
        apart = float(channel["gaps_ms"][k]) - mean_ms
        squares += apart * apart
    regularity = max(0.0, 1.0 - math.sqrt(squares / n_gaps) / mean_ms)
    keep_most_regular(host, regularity, np.int64(channel["n_starts"]), mean_ms / 1e3)


@inner
def keep_most_regular(host, regularity, n_starts, period_s):  # type: ignore[no-untyped-def]
    """The more regular channel stays; of equally regular ones that with more starts, then the
    slower one: no order of coming decides."""
    best, most, slowest = (
        host["beacon_regularity"],
        np.int64(host["beacon_starts"]),
        host["beacon_period_s"],
    )
    if regularity < best:
        return
    if regularity == best and (n_starts < most or (n_starts == most and period_s <= slowest)):
        return
    host["beacon_regularity"] = regularity
    host["beacon_starts"] = n_starts
    host["beacon_period_s"] = period_s

"""From the records of the panes to one record a host and window, with its sets counted."""

import math

import numpy as np
from numba import njit

from tapwatch.features.host.layout import (
    BEHIND_SUM_WORDS,
    FIRST_SUM_WORD,
    HOST_WORDS,
    N_PORT_BINS,
    N_SETS,
    N_SIZES,
    PACKETS_WORD,
)
from tapwatch.features.host.memory import keep_most_regular
from tapwatch.features.host.sketch import estimate, inner, merge
from tapwatch.features.host.table import copy_record

_ONE, _NONE = np.uint64(1), np.uint64(0)


@njit(nogil=True, cache=True)
def merge_records(  # type: ignore[no-untyped-def]
    memory, order, firsts, merged, merged_words, merged_sets, summaries
):
    """Merge each group of records into one.

    Parameters
    ----------
    memory : Memory
        Of it, the records and `spare`.
    order : int64 (k,)
        Numbers of records, those of one host side by side, in the order of time.
    firsts : int64 (n + 1,)
        Where in `order` each group begins; k behind the last.
    merged, merged_words : HOST (n,), and its memory
        Every word is written; `busy` is that of the first record.
    merged_sets : uint32 (1, N_SETS, SET_WORDS)
        Scratch.
    summaries : SUMMARY (n,)
        Every field is written.
    """
    hosts, words, sets, spare = memory.hosts, memory.words, memory.sets, memory.spare
    for i in range(len(merged)):
        first = order[firsts[i]]
        host, summary, host_sets = merged[i], summaries[i], sets[first]
        for word in range(HOST_WORDS):
            merged_words[i, word] = words[first, word]
        if firsts[i + 1] - firsts[i] > 1:
            # The sets of a record stay as they are: later windows want them too.
            host_sets = merged_sets[0]
            copy_record(words[first], sets[first], merged_words[i], host_sets)
        n_busy = _ones(host["busy"])
        for k in range(firsts[i] + 1, firsts[i + 1]):
            other, others = hosts[order[k]], sets[order[k]]
            n_busy += _ones(other["busy"])
            _merge_counts(host, merged_words[i], other, words[order[k]])
            for which in range(N_SETS):
                n_items, n_others = host["n_items"][which], other["n_items"][which]
                host["n_items"][which] = merge(
                    host_sets[which], np.int64(n_items), others[which], np.int64(n_others), spare
                )
        summary["n_busy"] = n_busy
        for which in range(N_SETS):
            n_items = np.int64(host["n_items"][which])
            summary["distinct"][which] = estimate(host_sets[which], n_items, spare)
        summary["size_entropy"] = entropy(host["sizes"], N_SIZES)
        for way in range(2):
            summary["port_entropy"][way] = entropy(host["port_bins"][way], N_PORT_BINS)


@inner
def _ones(word):  # type: ignore[no-untyped-def]
    n_ones = 0
    while word != _NONE:
        word &= word - _ONE
        n_ones += 1
    return n_ones


@inner
def _merge_counts(host, words, other, others):  # type: ignore[no-untyped-def]
    host["first_ts_ns"] = min(host["first_ts_ns"], other["first_ts_ns"])
    host["last_ts_ns"] = max(host["last_ts_ns"], other["last_ts_ns"])
    host["largest_bytes"] = max(host["largest_bytes"], other["largest_bytes"])
    words[PACKETS_WORD] += others[PACKETS_WORD]
    for word in range(FIRST_SUM_WORD, BEHIND_SUM_WORDS):
        words[word] += others[word]
    starts, period_s = np.int64(other["beacon_starts"]), other["beacon_period_s"]
    keep_most_regular(host, other["beacon_regularity"], starts, period_s)


@inner
def entropy(counts, n_counts):  # type: ignore[no-untyped-def]
    """Entropy of a histogram in bits, 0 for an empty one."""
    total = 0.0
    for k in range(n_counts):
        total += float(counts[k])
    bits = 0.0
    for k in range(n_counts):
        if counts[k] > 0:
            share = float(counts[k]) / total
            bits -= share * math.log2(share)
    return max(bits, 0.0)

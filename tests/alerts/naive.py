"""Hold-down, rate limit and bounded memory, by replaying the whole history each time."""

NS_PER_S = 1_000_000_000


def judge(rows, hold_down_ns, rate_limit, capacity):
    """For each (pair, order_ns) the number folded into its alert, or why there is none.

    No counters are kept: memory is a list of (pair, told_ns or None, [rows kept back]) with the
    oldest first, and the rate is counted over all alerts so far.
    """
    memory, told, verdicts = [], [], []
    for pair, order_ns in rows:
        known = next((entry for entry in memory if entry[0] == pair), None)
        if known and known[1] is not None and order_ns < known[1] + hold_down_ns:
            known[2].append(order_ns)
            verdicts.append("dedup")
            continue
        minute = order_ns // (60 * NS_PER_S)
        if sum(t // (60 * NS_PER_S) == minute for t in told) >= rate_limit:
            if known is None:
                known = (pair, None, [])
                memory = [*memory, known][-capacity:]
            known[2].append(order_ns)
            verdicts.append("ratelimit")
            continue
        told.append(order_ns)
        kept_back = known[2] if known else []
        memory = [entry for entry in memory if entry is not known]
        memory = [*memory, (pair, order_ns, [])][-capacity:]
        verdicts.append(len(kept_back))
    return verdicts

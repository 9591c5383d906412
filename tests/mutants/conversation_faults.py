"""Faults in the TCP analysis."""

from tests.mutants.fault import Fault

_RULES = "flows/conversation_rules.py"
_KERNEL = "flows/conversation_kernel.py"
_TESTS = ("tests/flows/test_conversations.py",)


def _rule(before: str, after: str) -> Fault:
    return Fault(_RULES, before, after, _TESTS)


def _kernel(before: str, after: str) -> Fault:
    return Fault(_KERNEL, before, after, _TESTS)


CONVERSATION_FAULTS = (
    # How far from the number expected
    _rule(
        "return int(((segment.seq - next_seq + _HALF) & _SEQ_MASK) - _HALF)",
        "return int(segment.seq - next_seq)",
    ),
    _rule("    if next_seq == 0:\n        return 0\n    return int(", "    return int("),
    _rule(
        "return int(((segment.seq - next_seq + _HALF)",
        'return int(((segment.seq - wide(row["next_seq"][1 - fwd]) + _HALF)',
    ),
    _kernel(
        "advance = seq_advance(row, fwd, segment)\n        found |= judge(row, fwd, rev, segment)",
        "found |= judge(row, fwd, rev, segment)\n        advance = seq_advance(row, fwd, segment)",
    ),
    # Sequence numbers
    _rule("return bool(((a - b) & _SEQ_MASK) >= _HALF)", "return bool(a < b)"),
    _rule("_HALF: Final = 0x8000_0000", "_HALF: Final = 0x8000_0001"),
    _rule("if segment.length == 1 and _is_probe", "if segment.length <= 1 and _is_probe"),
    _rule('and row["marks"][rev] & WINDOW_KNOWN', "and True"),
    _rule("if segment.length <= 1 and segment.seq", "if segment.length == 1 and segment.seq"),
    _rule("and not segment.flags & RST:\n", "and True:\n"),
    _rule("end = (end + 1) & _SEQ_MASK", "end = end + 1"),
    _rule(
        "if segment.flags & (SYN | FIN):\n            end",
        "if segment.flags & SYN:\n            end",
    ),
    # Windows
    _rule("if scale == SCALE_NONE or marks & ONLY_SYN:", "if scale == SCALE_NONE:"),
    _rule("(window << scale)", "window"),
    _rule("marks &= ~ONLY_SYN", "pass"),
    _rule("        return _WINDOW_UPDATE\n", "        return 0\n"),
    _rule('            row["window_scale"][rev] = SCALE_NONE\n', ""),
    # Acknowledgements
    _rule("if others & LAST_KEEP_ALIVE:", "if marks & LAST_KEEP_ALIVE:"),
    _rule("min(count + 1, 2)", "min(count + 1, 1)"),
    _rule("        return marks & ~DUP_ACKS\n", "        return marks\n"),
    _rule("    if segment.flags & ACK:\n        found", "    if True:\n        found"),
    _rule('row["unbroken_seq"][rev] = next_seq\n', "pass\n"),
    _rule('row["marks"][rev] = marks | DUP_ACKS_ASIDE', "pass"),
    _rule("if unbroken_seq in (0, segment.seq):", "if unbroken_seq == 0:"),
    # Old and new
    _rule("is_acked = segment.end == acked or", "is_acked ="),
    _rule("if duplicates >= 2 and acked", "if duplicates >= 1 and acked"),
    _rule("0 <= since_ack_ns < _FAST_NS", "0 <= since_ack_ns <= _FAST_NS"),
    _rule("0 <= since_ack_ns < _FAST_NS", "since_ack_ns < _FAST_NS"),
    _rule("counted = 1 if segment.flags & (SYN | FIN) else 0", "counted = 0"),
    _rule("_REORDER_NS: Final = 3_000_000 ", "_REORDER_NS: Final = 3_000_001 "),
    _rule("if (time_ns < 0) != (limit_ns < 0):", "if False:"),
    _rule("if segment.length > 1 and segment.seq ==", "if segment.length > 2 and segment.seq =="),
    _rule("not segment.flags & ACK and not is_known:", "not is_known:"),
    _rule('row["next_seq_ns"][fwd] = segment.ts_ns', "pass"),
    # Conversations
    _kernel('row["tunnel_id"] != packet["tunnel_id"] or is_ipv6', "is_ipv6"),
    _kernel('if key["vlan"] < 0:', "if True:"),
    _kernel('if packet["is_fragment"] == 0:', "if True:"),
    _kernel(
        'give_row(table, bucket, wide(state["head"][0]))',
        'give_row(table, bucket, wide(state["tail"][0]))',
    ),
    _kernel("        _touch(table, bucket, number)\n", ""),
    _kernel('row["next_seq"][fwd] = row["unbroken_seq"][fwd]', "pass"),
    _kernel("    _forget(row, segment)\n    return _REUSED_PORTS", "    return _REUSED_PORTS"),
    _kernel('row["base_seq"][fwd] = segment.seq\n', "pass\n"),
    _kernel('max(segment.ts_ns - row["last_ts_ns"], 0)', 'segment.ts_ns - row["last_ts_ns"]'),
    _kernel("is_scaled = segment.flags & SYN == 0", "is_scaled = True"),
    _kernel('        row["last_ack"][direction] = 0\n', ""),
    Fault(
        "flows/conversation_table.py",
        "        table.rows[: len(state.rows)] = state.rows\n",
        "",
        _TESTS,
    ),
)

"""Faults in the `kdd` view."""

from tests.mutants.fault import Fault

_TESTS = ("tests/features/test_kdd.py", "tests/features/test_kdd_content.py")

KDD_FAULTS = tuple(
    Fault(f"features/kdd/{file}", before, after, _TESTS)
    for file, before, after in (
        ("windows.py", '["time_ns"] <= time_ns - WINDOW_NS', '["time_ns"] < time_ns - WINDOW_NS'),
        ("windows.py", 'if state["held"] == len(recent):', 'if state["held"] == len(recent) - 1:'),
        (
            "windows.py",
            "if shared[both, N] == 0:\n        shared[host, DISTINCT] += 1",
            "if shared[both, N] == 1:\n        shared[host, DISTINCT] += 1",
        ),
        ("windows.py", "answer[OF_BOTH] = shared[both, N]", "answer[OF_BOTH] = shared[host, N]"),
        ("rows.py", "return (200 * part + whole) // (2 * whole)", "return (100 * part) // whole"),
        (
            "rows.py",
            'flow["connection_first_ts_ns"], flow["last_ts_ns"]',
            'flow["first_ts_ns"], flow["last_ts_ns"]',
        ),
        (
            "rows.py",
            'raw[n, AT.dst_bytes] = flow["connection_payload_bytes"][1]',
            'raw[n, AT.dst_bytes] = flow["payload_bytes"][1]',
        ),
        (
            "rows.py",
            'flow["src_port"] == flow["dst_port"] and protocol != _ICMP_CLASS',
            'flow["src_port"] == flow["dst_port"]',
        ),
        ("rows.py", 'flow["end_reason"] == _ACTIVE or protocol < 0', "protocol < 0"),
    )
)

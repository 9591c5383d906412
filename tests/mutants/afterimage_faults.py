"""Faults in the damped statistics, in the table of who has been seen, and in sequences."""

from tests.mutants.fault import Fault

_KERNEL, _TABLE = "features/afterimage/kernel.py", "features/entities.py"
_SEQUENCES = "features/sequences/kernel.py"
_AFTERIMAGE = ("tests/features/test_afterimage.py",)
_BLOCKS = ("tests/features/test_sequences.py",)

AFTERIMAGE_FAULTS = (
    Fault(_KERNEL, "slow = 2.0 ** (-0.01 * gap_s)", "slow = 2.0 ** (-0.1 * gap_s)", _AFTERIMAGE),
    Fault(_KERNEL, "fade[which, 0] = d3 * d2", "fade[which, 0] = d3 * d3", _AFTERIMAGE),
    Fault(
        _KERNEL,
        'stream["last_ts_ns"] = max(stream["last_ts_ns"], ts_ns)',
        'stream["last_ts_ns"] = ts_ns',
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        "last[way] = max(last[way], ts_ns)",
        "last[way] = max(last[0], last[1], ts_ns)",
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        "elapsed_ns(max(last[0], last[1]), ts_ns)",
        "elapsed_ns(last[way], ts_ns)",
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        "other = way if is_loop else 1 - way",
        "other = 1 - way",
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        "products = sr[k] * e + r * residual[other, k]",
        "products = sr[k] * d + r * residual[other, k]",
        _AFTERIMAGE,
    ),
    Fault(_KERNEL, "n_products = n[k] * e + 1.0", "n_products = n[k] * e + 2.0", _AFTERIMAGE),
    Fault(_KERNEL, "residual[way, k] = r\n", "residual[way, k] = value\n", _AFTERIMAGE),
    Fault(
        _KERNEL,
        "math.sqrt(variance * variance + other_variance * other_variance)",
        "math.sqrt(variance + other_variance)",
        _AFTERIMAGE,
    ),
    Fault(_KERNEL, "_FLOOR = 1e-9", "_FLOOR = 0.0", _AFTERIMAGE),
    Fault(
        _KERNEL,
        'if packet["ether_type"] == _ETHER_TYPE_ARP:',
        'if packet["ip_version"] == 0:',
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        'pair["residual"][way, k] = 0.0',
        'pair["residual"][0, k] = 0.0',
        _AFTERIMAGE,
    ),
    Fault(
        _KERNEL,
        '_key_sender(key, packet, packet["eth_src"])',
        '_key_sender(key, packet, packet["eth_dst"])',
        _AFTERIMAGE,
    ),
    Fault(_TABLE, 'place["met"] < victim["met"]', 'place["met"] > victim["met"]', _AFTERIMAGE),
    Fault(
        _TABLE,
        'known["a_port"] == key["b_port"]',
        'known["a_port"] == key["a_port"]',
        _AFTERIMAGE,
    ),
    Fault(_TABLE, 'known["ip_version"] = key["ip_version"]\n', "pass\n", _AFTERIMAGE),
    Fault(_SEQUENCES, "if is_new:\n            seen", "if False:\n            seen", _BLOCKS),
    Fault(_SEQUENCES, "at = n - 1 - back", "at = back", _BLOCKS),
    Fault(
        _SEQUENCES,
        'key["b_port"] = row["dst_port"]',
        'key["b_port"] = row["src_port"]',
        _BLOCKS,
    ),
    Fault(_SEQUENCES, "if back < length:", "if back <= length:", _BLOCKS),
)

"""Faults in what files packets under flows."""

from tests.mutants.fault import Fault

_CONNECTION = ("tests/flows/test_connection.py",)
_FRAGMENTS = ("tests/flows/test_fragments.py",)

FLOW_FAULTS = (
    # account.py: gaps, bulks, periods
    Fault(
        "flows/account.py",
        'gap = max(ts_ns - row["last_ts_ns"], 0)\n        _add_gap',
        'gap = ts_ns - row["last_ts_ns"]\n        _add_gap',
    ),
    Fault("flows/account.py", "if gap > LONG_GAP_NS:", "if gap >= LONG_GAP_NS:"),
    Fault(
        "flows/account.py",
        'row["last_ts_ns"] = max(ts_ns, row["last_ts_ns"])',
        'row["last_ts_ns"] = ts_ns',
    ),
    Fault(
        "flows/account.py",
        'row["bulk_tentative_packets"][1 - d] = 0',
        'row["bulk_tentative_packets"][d] = 0',
    ),
    Fault(
        "flows/account.py",
        "if n == 0 or ts_ns - last > LONG_GAP_NS:",
        "if n == 0 or ts_ns - last >= LONG_GAP_NS:",
    ),
    Fault("flows/account.py", "BULK_PACKETS: Final = 4", "BULK_PACKETS: Final = 5"),
    Fault(
        "flows/account.py",
        'length = row["last_ts_ns"] - row["active_start_ns"]',
        'length = row["last_ts_ns"] - row["first_ts_ns"]',
    ),
    Fault("flows/account.py", "if least == 0 or header_bytes < least:", "if header_bytes < least:"),
    Fault(
        "flows/account.py",
        "(end_ns // SECOND_NS + 1) * SECOND_NS",
        "(end_ns // SECOND_NS) * SECOND_NS",
    ),
    Fault("flows/account.py", 'if row["init_window"][d] < 0:', 'if row["init_window"][d] <= 0:'),
    # keys.py, hashing.py: who belongs to whom
    Fault(
        "flows/keys.py",
        'vlan = wide(packet["vlan_tci"]) & _VLAN_ID_MASK',
        'vlan = wide(packet["vlan_tci"])',
    ),
    Fault(
        "flows/keys.py",
        'clock_ns = max(clock_ns, within_bounds(packet["clock_ns"]))',
        'clock_ns = within_bounds(packet["clock_ns"])',
    ),
    Fault(
        "flows/keys.py",
        'proto = packet["proto"] if packet["ip_version"] == 4 else 0',
        'proto = packet["proto"]',
    ),
    Fault(
        "flows/keys.py",
        'key["src_port"] = known["src_port"]\n',
        'key["src_port"] = known["dst_port"]\n',
    ),
    Fault(
        "flows/hashing.py",
        'b = _one_way(record["dst_hi"], record["dst_lo"], dst_port, seed)',
        'b = _one_way(record["dst_hi"], record["dst_lo"], src_port, seed)',
    ),
    Fault(
        "flows/hashing.py",
        "wide(ip_version) << 8 | (wide(vlan) + 1) << 16",
        "wide(ip_version) << 8 | wide(vlan) << 16",
    ),
    # handshake.py, kernel.py: when a flow ends
    Fault("flows/handshake.py", "& (SYN | ACK | RST) == SYN)", "& (SYN | ACK) == SYN)"),
    Fault(
        "flows/handshake.py",
        'if silence_ns > parameters["timeout_ns"][wide(node["list"])]:',
        'if silence_ns >= parameters["timeout_ns"][wide(node["list"])]:',
    ),
    Fault(
        "flows/handshake.py",
        'node["isn"][direction] = (seq - 1) & _SEQ_MASK',
        'node["isn"][direction] = seq & _SEQ_MASK',
    ),
    Fault(
        "flows/handshake.py",
        'if key["ts_ns"] - row["first_ts_ns"] > parameters["active_ns"]:',
        'if key["ts_ns"] - row["last_ts_ns"] > parameters["active_ns"]:',
    ),
    Fault(
        "flows/kernel.py",
        'row["is_continuation"] = 1\n    row["end_reason"] = 0',
        'row["is_continuation"] = 1\n    row["fin_seen"] = row["is_closing"] = 0',
    ),
    Fault(
        "flows/kernel.py",
        'row["retransmissions"][d] = 0',
        'row["tcp_flags"][d] = 0',
        _CONNECTION,
    ),
    Fault("flows/kernel.py", "return 1 if is_answer else 0", "return 0"),
    Fault(
        "flows/kernel.py",
        "while number != NONE and deadline(table, number) < before_ns:",
        "while number != NONE and deadline(table, number) <= before_ns:",
    ),
    Fault(
        "flows/kernel.py",
        'table.nodes[number]["touch"] < table.nodes[oldest]["touch"]',
        'table.nodes[number]["touch"] > table.nodes[oldest]["touch"]',
    ),
    Fault(
        "flows/release.py",
        'is_due = rows["order_ns"] <= tick_ns',
        'is_due = rows["order_ns"] < tick_ns',
    ),
    Fault(
        "flows/release.py",
        'by = ("first_frame", "flow_id", "last_ts_ns", "order_ns")',
        'by = ("first_frame", "last_ts_ns", "flow_id", "order_ns")',
    ),
    # connection.py, sequence.py: how a connection stands, what comes again
    Fault(
        "flows/connection.py",
        "if d == 1 and not has_payload and their_state == SYN_SENT:",
        "if d == 1 and their_state == SYN_SENT:",
        _CONNECTION,
    ),
    Fault(
        "flows/connection.py",
        "_MORE_THAN_SYN: Final = SENT_SYN_ACK | SENT_ACK |",
        "_MORE_THAN_SYN: Final = SENT_SYN_ACK |",
        _CONNECTION,
    ),
    Fault(
        "flows/connection.py",
        "no_data = (forward | backward) & SENT_DATA == 0",
        "no_data = forward & SENT_DATA == 0",
        _CONNECTION,
    ),
    Fault("flows/sequence.py", "_HALF: Final = 1 << 31", "_HALF: Final = 1 << 32", _CONNECTION),
    Fault("flows/sequence.py", "or length != 1 or", "or", _CONNECTION),
    Fault("flows/sequence.py", "not has_said(node, d) and beyond", "beyond", _CONNECTION),
    # datagrams.py: wrong fragments
    Fault("flows/datagrams.py", "bool(start < front or", "bool(start <= front or", _FRAGMENTS),
    Fault("flows/datagrams.py", "bytes > _LARGEST_BYTES", "bytes >= _LARGEST_BYTES", _FRAGMENTS),
    Fault("flows/datagrams.py", "min(start, island_start)", "start", _FRAGMENTS),
)

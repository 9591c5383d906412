"""Faults in what turns packets and flows into rows."""

from tests.mutants.fault import Fault

VIEW_FAULTS = (
    # flow
    Fault(
        "features/flow/kernel.py",
        "return ratio(max(m2, 0.0), float(n) - 1.0)",
        "return ratio(max(m2, 0.0), float(n))",
    ),
    Fault(
        "features/flow/kernel.py",
        "out[AT.down_up_ratio] = ratio(packets[1], packets[0])",
        "out[AT.down_up_ratio] = ratio(packets[0], packets[1])",
    ),
    Fault(
        "features/flow/kernel.py",
        "apart = ratio(payload[1], n[1]) - ratio(payload[0], n[0])",
        "apart = ratio(payload[1], n[0]) - ratio(payload[0], n[1])",
    ),
    Fault(
        "features/flow/kernel.py",
        "_FIN, _SYN, _RST, _PSH, _ACK, _URG, _ECE, _CWR = range(8)",
        "_FIN, _SYN, _PSH, _RST, _ACK, _URG, _ECE, _CWR = range(8)",
    ),
    # packet
    Fault(
        "features/packet/kernel.py",
        "_FIRST_REGISTERED, _FIRST_DYNAMIC = 1024, 49_152",
        "_FIRST_REGISTERED, _FIRST_DYNAMIC = 1023, 49_152",
    ),
    Fault(
        "features/packet/kernel.py",
        "out[AT.eth_dst_multicast] = is_group and not is_broadcast",
        "out[AT.eth_dst_multicast] = is_group",
    ),
    Fault(
        "features/packet/kernel.py",
        "out[AT.tcp_flags_ece] = flags >> 6 & 1",
        "out[AT.tcp_flags_ece] = flags >> 7 & 1",
    ),
    Fault(
        "features/packet/kernel.py",
        'is_own = (packet["ip_version"] == 4) & (packet["src_lo"] == packet["dst_lo"])',
        'is_own = packet["src_lo"] == packet["dst_lo"]',
    ),
    Fault(
        "features/packet/kernel.py",
        'out[AT.tcp_seq_advance] = link["tcp_seq_advance"] * tcp',
        'out[AT.tcp_seq_advance] = abs(link["tcp_seq_advance"]) * tcp',
        ("tests/features/test_packet.py",),
    ),
)

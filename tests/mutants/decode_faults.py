"""Faults in what reads frames."""

from tests.mutants.fault import Fault

DECODE_FAULTS = (
    # network.py: wrong offsets, masks, bounds
    Fault(
        "decode/network.py",
        'row["ip_flags"] = flags_fragment >> 13',
        'row["ip_flags"] = flags_fragment >> 12',
    ),
    Fault(
        "decode/network.py",
        "(flags_fragment & at.IPV4_FRAGMENT_MASK) * 8",
        "(flags_fragment & at.IPV4_FRAGMENT_MASK) * 4",
    ),
    Fault(
        "decode/network.py",
        "at.IPV4_MAPPED | be32(data, lo + at.IPV4_DST)",
        "at.IPV4_MAPPED | be32(data, lo + at.IPV4_SRC)",
    ),
    Fault(
        "decode/network.py",
        "if lo + total_bytes > wire_end:",
        "if lo + total_bytes > wire_end + 1:",
    ),
    Fault("decode/network.py", "if total_bytes < header_bytes:", "if total_bytes <= header_bytes:"),
    Fault(
        "decode/network.py",
        "if total_bytes == 0:\n        total_bytes = wire_end - lo",
        "if total_bytes == 0:\n        total_bytes = hi - lo",
    ),
    Fault(
        "decode/network.py",
        "4 * (be8(data, here + at.EXTENSION_LENGTH) + 2)",
        "4 * (be8(data, here + at.EXTENSION_LENGTH) + 1)",
    ),
    Fault("decode/network.py", "(version_class >> 4) & 0xFF", "version_class & 0xFF"),
    Fault(
        "decode/network.py",
        'row["dst_lo"] = be64(data, lo + at.IPV6_DST + 8)',
        'row["dst_lo"] = be64(data, lo + at.IPV6_DST)',
    ),
    Fault("decode/network.py", "offset_flags & at.FRAGMENT_OFFSET_MASK\n", "offset_flags >> 3\n"),
    Fault("decode/network.py", "n_bytes = 8 * (length + 1)", "n_bytes = 8 * length"),
    Fault(
        "decode/network.py", 'while row["frag_offset_bytes"] == 0 and kind in (', "while kind in ("
    ),
    # transport.py, tcp.py
    Fault("decode/transport.py", "max(min(hi, ip_end) - payload, 0)", "max(hi - payload, 0)"),
    Fault(
        "decode/transport.py",
        'row["payload_bytes"] = ip_end - payload',
        'row["payload_bytes"] = hi - payload',
    ),
    Fault(
        "decode/transport.py",
        'if length < at.UDP_BYTES and not (length == 0 and row["ip_version"] == 6):',
        "if length < at.UDP_BYTES and length != 0:",
    ),
    Fault(
        "decode/transport.py",
        'if length > ip_end - lo and row["is_fragment"] == 0:',
        "if length > ip_end - lo:",
    ),
    Fault(
        "decode/transport.py", "if 0 < coverage < at.UDP_BYTES:", "if 0 <= coverage < at.UDP_BYTES:"
    ),
    Fault(
        "decode/tcp.py",
        'row["tcp_ack"] = be32(data, lo + at.TCP_ACK)',
        'row["tcp_ack"] = be32(data, lo + at.TCP_SEQ)',
    ),
    Fault("decode/tcp.py", "4 * (offset_flags >> 12)", "4 * (offset_flags >> 13)"),
    Fault("decode/tcp.py", "if ip_end - lo < header_bytes:", "if hi - lo < header_bytes:"),
    Fault("decode/offsets.py", "TCP_WINDOW: Final = 14", "TCP_WINDOW: Final = 16"),
    # link and what stands before the network header
    Fault(
        "decode/encapsulation.py",
        'if row["n_vlan_tags"] == 0:\n            row["vlan_tci"]',
        'if True:\n            row["vlan_tci"]',
    ),
    Fault(
        "decode/encapsulation.py",
        "is_bottom = be8(data, lo + at.MPLS_BOTTOM) & 1",
        "is_bottom = be8(data, lo + at.MPLS_BOTTOM) & 2",
    ),
    Fault(
        "decode/encapsulation.py", "at.TRILL_BYTES + 4 * n_words", "at.TRILL_BYTES + 2 * n_words"
    ),
    Fault(
        "decode/link.py",
        'row["eth_dst"] = row["dst_lo"] = be48(data, lo + at.ETHERNET_DST)',
        'row["eth_dst"] = row["dst_lo"] = be48(data, lo + at.ETHERNET_SRC)',
    ),
    Fault(
        "decode/arp.py",
        'row["dst_lo"] = IPV4_MAPPED | be32(data, target + hardware_bytes)',
        'row["dst_lo"] = IPV4_MAPPED | be32(data, target)',
    ),
    Fault(
        "decode/tunnels.py",
        'end = min(end, lo - at.UDP_BYTES + int(row["udp_bytes"]))',
        'end = min(end, lo + int(row["udp_bytes"]))',
    ),
    Fault(
        "decode/tunnels.py",
        "outcome = FOUND if carried >= at.ETHER_TYPE_MIN else _UNSUPPORTED",
        "outcome = FOUND",
    ),
    Fault(
        "decode/kernel.py",
        'clock_ns = max(clock_ns, int(frame["ts_ns"]))',
        'clock_ns = int(frame["ts_ns"])',
    ),
    Fault("decode/kernel.py", 'row["tcp_window_scale"] = 255', 'row["tcp_window_scale"] = 0'),
)

"""Slow, obvious versions of the views. Correct by reading; the kernels must agree with them.

`packet_values` follows the column list of the packet view over PACKET and LINK rows. The twin of
the flow view is `naive_flow`.
"""

from typing import Any

from tapwatch.tables import TcpAnalysis

ARP_TABLE_SETS, ARP_TABLE_WAYS, HOUR_NS = 4096, 4, 3600 * 10**9


class PacketRows:
    """The packet view, a frame at a time."""

    def __init__(self) -> None:
        self.previous_clock_ns: int | None = None
        self.last_met_ns: dict[tuple[Any, Any], int] = {}  # (from, to) -> time of the last frame
        self.claims: dict[int, tuple[int, int]] = {}  # IP address -> (MAC address, last renewal)

    def row(self, p: Any, l: Any, label: int) -> dict[str, float]:  # noqa: E741 - as in the formulas
        """Name -> value for one frame."""
        clock_ns = int(p["clock_ns"])
        before_ns, self.previous_clock_ns = self.previous_clock_ns, clock_ns
        arp = p["ether_type"] == 0x0806 and p["status"] == 0
        ip = p["ip_version"] in (4, 6) and not arp
        whole = ip and p["frag_offset_bytes"] == 0
        tcp, udp = whole and p["proto"] == 6, whole and p["proto"] == 17
        icmp, icmpv6 = whole and p["proto"] == 1, whole and p["proto"] == 58
        row: dict[str, Any] = {
            "frame_len": p["wire_bytes"],
            "frame_time_delta": 0 if before_ns is None else max(0, clock_ns - before_ns) / 1e9,
            **self._pair(p),
            "undecoded": p["status"] != 0,
            "vlan_depth": p["n_vlan_tags"],
        }
        mac = int(p["eth_dst"]).to_bytes(8, "big")[2:]
        row["eth_dst_broadcast"] = mac == b"\xff" * 6
        row["eth_dst_multicast"] = bool(mac[0] & 1) and mac != b"\xff" * 6
        row |= self._flow(p, l)
        row["protocol"] = label
        row |= {"arp": arp, "ip": ip and p["ip_version"] == 4, "ipv6": ip and p["ip_version"] == 6}
        row |= {"tcp": tcp, "udp": udp, "icmp": icmp, "icmpv6": icmpv6}
        row |= self._network(p, ip)
        row |= self._tcp(p, l, tcp)
        for kind in TcpAnalysis:
            row[f"tcp_analysis_{kind.name.lower()}"] = kind in TcpAnalysis(int(l["tcp_analysis"]))
        row["udp_length"] = p["udp_bytes"] if udp else 0
        row["payload_len_bytes"] = max(0, int(p["payload_bytes"])) if whole else 0
        row["icmp_type"] = p["icmp_type"] if icmp or icmpv6 else 0
        row["icmp_code"] = p["icmp_code"] if icmp or icmpv6 else 0
        for end in ("src", "dst"):
            port = int(p[f"{end}_port"])
            ported = (tcp or udp) and p["transport_header_bytes"] > 0
            row[f"{end}_port_system"] = ported and port in range(1024)
            row[f"{end}_port_registered"] = ported and port in range(1024, 49152)
            row[f"{end}_port_dynamic"] = ported and port in range(49152, 65536)
        row |= self._arp(p, arp)
        return {name: float(value) for name, value in row.items()}

    def _pair(self, p: Any) -> dict[str, float]:
        """Without the bound of the table: for captures that do not fill it."""
        if p["ether_type"] == 0x0806:
            src, dst = (0, 0, int(p["eth_src"])), (0, 0, int(p["eth_dst"]))
        else:
            src, dst = (
                (int(p["ip_version"]), int(p[f"{end}_hi"]), int(p[f"{end}_lo"]))
                for end in ("src", "dst")
            )
        now_ns = int(p["clock_ns"])
        this_way_ns = self.last_met_ns.get((src, dst), now_ns)
        either_way_ns = max(
            (self.last_met_ns[way] for way in ((src, dst), (dst, src)) if way in self.last_met_ns),
            default=now_ns,
        )
        self.last_met_ns[src, dst] = now_ns
        return {
            "pair_time_delta_s": max(0, now_ns - either_way_ns) / 1e9,
            "pair_direction_time_delta_s": max(0, now_ns - this_way_ns) / 1e9,
        }

    @staticmethod
    def _flow(p: Any, l: Any) -> dict[str, Any]:  # noqa: E741
        if not l["is_flow"]:
            names = "direction flow_time_delta_s flow_direction_time_delta_s flow_age_s"
            return dict.fromkeys([*names.split(), "flow_fwd_packets", "flow_bwd_packets"], 0)
        return {
            "direction": l["direction"],
            "flow_time_delta_s": int(l["gap_flow_ns"]) / 1e9,
            "flow_direction_time_delta_s": int(l["gap_direction_ns"]) / 1e9,
            "flow_age_s": max(0, int(p["ts_ns"]) - int(l["flow_first_ts_ns"])) / 1e9,
            "flow_fwd_packets": l["packets"][0],
            "flow_bwd_packets": l["packets"][1],
        }

    @staticmethod
    def _network(p: Any, ip: bool) -> dict[str, Any]:
        dst = int(p["dst_hi"]).to_bytes(8, "big") + int(p["dst_lo"]).to_bytes(8, "big")
        to_group = dst[12] in range(224, 240) if p["ip_version"] == 4 else dst[0] == 0xFF
        flags = int(p["ip_flags"])
        row = {
            "ip_len": p["ip_bytes"],
            "ip_hdr_len": p["ip_header_bytes"],
            "ip_ttl": p["ip_ttl"],
            "ip_dsfield": p["ip_tos"],
            "ip_flags_df": flags & 2 == 2,
            "ip_flags_mf": flags & 1 == 1,
            "ip_frag_offset": p["frag_offset_bytes"],
            "ip_dst_multicast": to_group,
        }
        return row if ip else dict.fromkeys(row, 0)

    @staticmethod
    def _tcp(p: Any, l: Any, tcp: bool) -> dict[str, Any]:  # noqa: E741
        names = ("fin", "syn", "reset", "push", "ack", "urg", "ece", "cwr", "ae")
        options = ("mss", "wscale", "sack_perm", "sack", "timestamp")
        row: dict[str, Any] = {
            "tcp_hdr_len": p["transport_header_bytes"],
            "tcp_len": max(0, int(p["payload_bytes"])),
            "tcp_window_size_value": p["tcp_window"],
            "tcp_window_size": int(p["tcp_window"]) * 2 ** min(int(l["tcp_window_shift"]), 14),
        }
        for bit, name in enumerate(names):
            row[f"tcp_flags_{name}"] = int(p["tcp_flags"]) & 2**bit != 0
        for bit, name in enumerate(options):
            row[f"tcp_options_{name}"] = int(p["tcp_options"]) & 2**bit != 0
        row["tcp_options_mss_val"] = p["tcp_mss"] if row["tcp_options_mss"] else 0
        scale = p["tcp_window_scale"]
        row["tcp_options_wscale_shift"] = scale if row["tcp_options_wscale"] else 0
        row = row if tcp else dict.fromkeys(row, 0)
        row["tcp_seq_advance"] = int(l["tcp_seq_advance"]) if tcp else 0
        return row | {"tcp_time_delta": int(l["tcp_gap_ns"]) / 1e9}

    def _arp(self, p: Any, arp: bool) -> dict[str, Any]:
        asks, answers = arp and p["arp_opcode"] == 1, arp and p["arp_opcode"] == 2
        is_claim = (asks or answers) and p["ip_version"] == 4
        return {
            "arp_opcode_request": asks,
            "arp_opcode_reply": answers,
            "arp_opcode_other": arp and not asks and not answers,
            "arp_isgratuitous": is_claim and p["src_lo"] == p["dst_lo"],
            "arp_duplicate_address_detected": is_claim and self._is_duplicate(p),
        }

    def _is_duplicate(self, p: Any) -> bool:
        """Without the bound of the table: for captures that do not fill it."""
        ip, mac = int(p["src_lo"]) % 2**32, int(p["arp_sender_mac"]) % 2**48
        if ip == 0 or mac == 0 or mac.to_bytes(6, "big")[0] & 1:
            return False
        now_ns = int(p["clock_ns"])
        owner, renewed_ns = self.claims.get(ip, (mac, now_ns))
        if owner != mac and now_ns - renewed_ns <= HOUR_NS:
            return True
        self.claims[ip] = (mac, now_ns)
        return False


def packet_values(packets: Any, links: Any, labels: Any) -> list[dict[str, float]]:
    """Name -> value for each frame."""
    view = PacketRows()
    return [view.row(*given) for given in zip(packets, links, labels, strict=True)]

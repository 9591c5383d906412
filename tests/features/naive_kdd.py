"""The kdd view without its content columns, slow and obvious: lists, and loops over them."""

from collections import OrderedDict
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from tapwatch.tables import ConnState, EndReason

SECOND = 10**9

TCP_WORDS = {
    5: "rje", 7: "echo", 9: "discard", 11: "systat", 13: "daytime", 15: "netstat", 20: "ftp_data",
    21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 37: "time", 42: "name", 43: "whois",
    53: "domain", 57: "mtp", 66: "sql_net", 70: "gopher",
    **dict.fromkeys((71, 72, 73, 74), "remote_job"), 77: "rje", 79: "finger", 80: "http",
    84: "ctf", 87: "link", 95: "supdup",
    101: "hostnames", 102: "iso_tsap", 105: "csnet_ns", 109: "pop_2", 110: "pop_3", 111: "sunrpc",
    113: "auth", 117: "uucp_path", 119: "nntp", 137: "netbios_ns", 138: "netbios_dgm",
    139: "netbios_ssn", 143: "imap4", 150: "sql_net", 175: "vmnet", 179: "bgp", 194: "IRC",
    210: "Z39_50", 245: "link", 389: "ldap", 433: "nnsp", 443: "http_443", 512: "exec",
    513: "login", 514: "shell", 515: "printer", 520: "efs", 530: "courier", 540: "uucp",
    543: "klogin", 544: "kshell", 2784: "http_2784", 3128: "harvest", 5190: "aol",
    8001: "http_8001", **dict.fromkeys(range(6000, 6064), "X11"),
    **dict.fromkeys(range(6660, 6670), "IRC"),
}  # fmt: skip


class Seen(NamedTuple):
    """A connection as the windows see it."""

    time_ns: int
    src: Any
    dst: Any
    src_port: int
    service: str
    flag: str


def service_of(flow) -> str:
    """Word of the service of an ended connection."""
    unnamed = "private" if flow["dst_port"] < 1024 else "other"
    if flow["proto"] == 17:
        return {53: "domain_u", 123: "ntp_u", 69: "tftp_u"}.get(int(flow["dst_port"]), unnamed)
    if flow["proto"] == 6:
        word = TCP_WORDS.get(int(flow["dst_port"]))
        return word or ("ftp_data" if flow["src_port"] == 20 else unnamed)
    return icmp_service_of(flow) if flow["has_icmp"] else "other"


def icmp_service_of(flow) -> str:
    """Word of a connection of ICMP or ICMPv6."""
    kind, code = int(flow["src_port"]), int(flow["icmp_code"])
    if flow["proto"] == 58:
        words = {(1, 3): "urh_i", (1, 4): "urp_i"}
        either = {3: "tim_i", 128: "eco_i", 129: "ecr_i", 137: "red_i"}
    else:
        words = {(3, 1): "urh_i", (3, 3): "urp_i"}
        either = {0: "ecr_i", 5: "red_i", 8: "eco_i", 11: "tim_i"}
    return words.get((kind, code)) or either.get(kind, "other")


def flag_of(flow) -> str:
    """Word of the state at the end."""
    if flow["proto"] != 6:
        return "SF"
    state = ConnState(flow["conn_state"]).name
    return "OTH" if state in ("NONE", "RSTRH", "SHR") else state


def basic(flow) -> dict[str, Any]:
    """Columns 1 to 9, classes as words."""
    src, dst = (
        (int(flow["src_hi"]), int(flow["src_lo"])),
        (int(flow["dst_hi"]), int(flow["dst_lo"])),
    )
    lasts_ns = max(int(flow["last_ts_ns"]) - int(flow["connection_first_ts_ns"]), 0)
    has_ports = flow["proto"] in (6, 17)
    return {
        "duration": lasts_ns // SECOND,
        "protocol_type": {6: "tcp", 17: "udp"}.get(int(flow["proto"]), "icmp"),
        "service": service_of(flow),
        "flag": flag_of(flow),
        "src_bytes": int(flow["connection_payload_bytes"][0]),
        "dst_bytes": int(flow["connection_payload_bytes"][1]),
        "land": int(has_ports and src == dst and flow["src_port"] == flow["dst_port"]),
        "wrong_fragment": min(int(flow["wrong_fragments"]), 3),
        "urgent": int(flow["urgent_packets"]),
    }


def is_connection(flow) -> bool:
    """Whether a row of the flow table gives a row of the view."""
    return flow["end_reason"] != EndReason.ACTIVE and flow["proto"] in (1, 6, 17, 58)


def seen(flow, time_ns: int) -> Seen:
    """What the windows need of a flow."""
    src, dst = (
        (int(flow["src_hi"]), int(flow["src_lo"])),
        (int(flow["dst_hi"]), int(flow["dst_lo"])),
    )
    return Seen(time_ns, src, dst, int(flow["src_port"]), service_of(flow), flag_of(flow))


def rate(part: int, whole: int) -> float:
    """Two decimals, halves up."""
    exact = Decimal(part) / Decimal(whole)
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


class Windows:
    """Both windows: one list of what is recent, and one list a host."""

    def __init__(self, length=256, hosts=8192, connections=65_536, diff="distinct"):
        self.length, self.hosts, self.connections, self.diff = length, hosts, connections, diff
        self.recent: list[Seen] = []
        self.past: OrderedDict[Any, list[Seen]] = OrderedDict()
        self.latest = None
        self.early = self.evicted = 0

    def see(self, one: Seen, is_end: bool = False) -> dict[str, float]:
        """Columns 23 to 41 of a connection."""
        if self.latest is not None and one.time_ns < self.latest:
            if is_end:
                self.recent = []
            else:
                one = one._replace(time_ns=self.latest)
        self.latest = one.time_ns
        self.recent = [c for c in self.recent if c.time_ns > one.time_ns - 2 * SECOND]
        if len(self.recent) == self.connections:
            self.early += 1
            del self.recent[0]
        self.recent.append(one)
        if one.dst not in self.past and len(self.past) == self.hosts:
            self.past.popitem(last=False)
            self.evicted += 1
        history = self.past.setdefault(one.dst, [])
        self.past.move_to_end(one.dst)
        history.append(one)
        del history[: -self.length]
        return self._of_recent(one) | self._of_past(one, history)

    def _different(self, values: list[Any], mine: Any) -> float:
        if self.diff == "share":
            return rate(sum(v != mine for v in values), len(values))
        distinct = len(set(values))
        return rate(distinct, len(values)) if distinct > 1 else 0.0

    def _of_recent(self, one: Seen) -> dict[str, float]:
        host = [c for c in self.recent if c.dst == one.dst]
        service = [c for c in self.recent if c.service == one.service]
        return {
            "count": min(len(host), 511),
            "srv_count": min(len(service), 511),
            "serror_rate": rate(syn_errors(host), len(host)),
            "srv_serror_rate": rate(syn_errors(service), len(service)),
            "rerror_rate": rate(rejections(host), len(host)),
            "srv_rerror_rate": rate(rejections(service), len(service)),
            "same_srv_rate": rate(sum(c.service == one.service for c in host), len(host)),
            "diff_srv_rate": self._different([c.service for c in host], one.service),
            "srv_diff_host_rate": self._different([c.dst for c in service], one.dst),
        }

    def _of_past(self, one: Seen, host: list[Seen]) -> dict[str, float]:
        both = [c for c in host if c.service == one.service]
        ports = sum(c.src_port == one.src_port for c in host)
        return {
            "dst_host_count": min(len(host), 255),
            "dst_host_srv_count": min(len(both), 255),
            "dst_host_same_srv_rate": rate(len(both), len(host)),
            "dst_host_diff_srv_rate": self._different([c.service for c in host], one.service),
            "dst_host_same_src_port_rate": rate(ports, len(host)),
            "dst_host_srv_diff_host_rate": self._different([c.src for c in both], one.src),
            "dst_host_serror_rate": rate(syn_errors(host), len(host)),
            "dst_host_srv_serror_rate": rate(syn_errors(both), len(both)),
            "dst_host_rerror_rate": rate(rejections(host), len(host)),
            "dst_host_srv_rerror_rate": rate(rejections(both), len(both)),
        }


def syn_errors(connections: list[Seen]) -> int:
    """How many have a flag of a SYN error."""
    return sum(c.flag in ("S0", "S1", "S2", "S3") for c in connections)


def rejections(connections: list[Seen]) -> int:
    """How many were rejected."""
    return sum(c.flag == "REJ" for c in connections)

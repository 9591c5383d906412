"""The label rules once more, for reading: bytes and slices, packet by packet, memory unbounded.

Ports, patterns and lengths are data and come from the rules themselves; what is done with them is
written here a second time, and so is every protocol that patterns alone do not tell.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

from tapwatch.features.label_names import LABELS
from tapwatch.features.protocol import header_rules
from tapwatch.features.protocol.rules import Check, Rule, Table
from tapwatch.features.protocol.tables import RULES
from tests.features.naive_links import IP, Short, Tunnel, inner_of_datagram, number_at, unwrap

METHODS = """GET POST HEAD PUT DELETE OPTIONS CONNECT TRACE PATCH PROPFIND MKCOL NOTIFY M-SEARCH
SUBSCRIBE UNSUBSCRIBE RPC_ BITS COPY MOVE LOCK UNLOCK SEARCH REPORT CHECKOUT HTTP"""
STARTS = tuple((method + " ")[:4].encode() for method in METHODS.split())
TLS_NAMES = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@dataclass
class Talk:
    """What a conversation has shown."""

    rule: Rule | None = None
    server_port: int = 0
    first_seq: int = 0
    memory: str = ""
    seen: set[str] = field(default_factory=set)
    messages: dict[bool, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Segment:
    """A payload and what is around it."""

    payload: bytes
    n_bytes: int
    src: tuple[Any, int]
    dst: tuple[Any, int]
    udp: bool
    gtp: bool = False
    flags: int = 0
    seq: int = 0
    analysis: int = 0


def rule_of(label: str) -> Rule:
    return next(rule for rule in RULES[Table.TCP] if rule.label == label)


def first_fit(table: Table, number: int, data: bytes) -> str:
    """Label of what a header's number announces."""
    fitting = (r for r in RULES[table] if number in r.ports and fits(r, data, len(data)))
    return next((rule.label for rule in fitting), "")


def fits(rule: Rule, data: bytes, n_bytes: int) -> bool:
    if not rule.least <= n_bytes <= (rule.most or 0xFFFF):
        return False
    if rule.whole and rule.pdu is not None:
        pdu = rule.pdu
        told = data[pdu.at : pdu.at + pdu.n_bytes]
        if len(told) < pdu.n_bytes or int.from_bytes(told, "big") + pdu.add != n_bytes:
            return False
    return not rule.starts or any(
        all(t.at < len(data) and data[t.at] & t.mask == t.value for t in pattern)
        for pattern in rule.starts
    )


class NaiveLabels:
    """Labels of packet after packet."""

    def __init__(self) -> None:
        self.talks: dict[Any, Talk] = {}

    def label(
        self, packet: Any, link: Any, payload_of: Any, frame: tuple[int, bytes] | None
    ) -> str:
        """`payload_of(a, b)`: bytes of the batch from offset a to b; frame: link type and bytes."""
        version = {0: "other", 4: "IPv4", 6: "IPv6"}[int(packet["ip_version"])]
        is_arp = packet["ether_type"] == 0x0806
        proto = int(packet["proto"])
        if packet["status"] != 0:
            if frame is not None:
                return self.of_bytes(0x10000 + frame[0], frame[1])
            if is_arp:
                return "ARP"
            return (
                version if not packet["ip_version"] else {6: "TCP", 17: "UDP"}.get(proto, version)
            )
        if is_arp or version == "other":
            return "RARP" if packet["arp_opcode"] in (3, 4) else "ARP"
        if packet["frag_offset_bytes"] or packet["ip_bytes"] > 65575:
            return version
        if proto in (1, 33, 58):
            return {1: "ICMP", 33: "DCCP", 58: "ICMPv6"}[proto]
        start = int(packet["payload_start"])
        end = start + int(packet["payload_captured_bytes"])
        ports = int(packet["src_port"]), int(packet["dst_port"])
        is_tunnel = proto == 17 and any(port in header_rules.TUNNEL_PORTS for port in ports)
        n_bytes = int(packet["payload_bytes"])
        if proto in (6, 17) and n_bytes <= 0 and not packet["tcp_flags"] & 2:
            return "TCP" if proto == 6 else "UDP"
        if proto not in (6, 17) or is_tunnel:
            start -= int(packet["transport_header_bytes"]) + int(packet["ip_header_bytes"])
            return self.of_bytes(0x0800 if version == "IPv4" else 0x86DD, payload_of(start, end))
        ends = [
            (int(packet[f"{end}_hi"]) << 64 | int(packet[f"{end}_lo"]), port)
            for end, port in zip(("src", "dst"), ports, strict=True)
        ]
        return self.of_segment(
            Segment(
                payload_of(start, end),
                n_bytes,
                *ends,
                proto == 17,
                flags=int(packet["tcp_flags"]) & 0xFF,
                seq=int(packet["tcp_seq"]),
                analysis=int(link["tcp_analysis"]),
            )
        )

    def of_bytes(self, what: int, data: bytes) -> str:
        """From header to header; `what` as in the kernel: an EtherType, or a link type + 65536."""
        outer, gtp = "other", False
        for _ in range(6):
            found = unwrap(what, data, first_fit)
            if isinstance(found, str):
                return self._in_gtp(found if found != "other" else outer, gtp)
            outer = "IPv4" if found.what == 0x0800 else "IPv6"
            try:
                packet = IP.read(found.data)
            except Short:
                return self._in_gtp(outer, gtp)
            body = packet.body
            if packet.proto == 6:
                return self._tcp(packet, gtp)
            if packet.proto in (17, 136):
                if len(body) < 8:
                    return self._in_gtp("UDP", gtp)
                segment = packet.segment(8, gtp)
                inner = inner_of_datagram(segment.src[1], segment.dst[1], body[8:])
                if inner is None:
                    return self.of_segment(segment)
            else:
                inner = packet.inner()
            if isinstance(inner, str):
                return self._in_gtp(inner, gtp)
            gtp = gtp or inner.gtp
            what, data = inner.what, inner.data
        return "other"

    def _tcp(self, packet: IP, gtp: bool) -> str:
        if len(packet.body) < 20:
            return "TCP"
        segment = packet.segment(max(4 * (packet.body[12] >> 4), 20), gtp)
        return self.of_segment(segment)

    @staticmethod
    def _in_gtp(label: str, gtp: bool) -> str:
        if not gtp:
            return label
        return f"GTP <{label}>" if f"GTP <{label}>" in LABELS else "GTP"

    def of_segment(self, segment: Segment) -> str:
        return self._in_gtp(self._plain_or_asked(segment), segment.gtp)

    def _plain_or_asked(self, s: Segment) -> str:
        plain = "UDP" if s.udp else "TCP"
        if s.analysis & (8 | 128) or (s.analysis & 1 and not s.analysis & (2 | 4)):
            return plain
        talk = self.talks.setdefault((frozenset((s.src, s.dst)), s.udp), Talk())
        if s.flags & 2:
            self._begin(talk, s)
        skip = self._skip(talk, s)
        payload = s.payload[skip:]
        if not payload:
            return plain
        label, rule = Asker(talk, s, payload, s.n_bytes - skip).ask()
        if rule is not None and rule.pdu is not None and not s.udp:
            rest = self._rest(rule, payload, s.n_bytes - skip)
            if rest:
                self._goes_on(talk, s, rest)
        return label or plain

    def _begin(self, talk: Talk, s: Segment) -> None:
        if s.flags & 16:
            talk.server_port = s.src[1]
            return
        if talk.first_seq != s.seq and talk.server_port:
            talk.__dict__.update(Talk().__dict__)
        talk.first_seq, talk.server_port = s.seq, s.dst[1]

    @staticmethod
    def _direction(s: Segment) -> bool:
        return s.src < s.dst

    def _goes_on(self, talk: Talk, s: Segment, rest: int) -> None:
        talk.messages[self._direction(s)] = (s.seq, (s.seq + s.n_bytes + rest) % 2**32)

    def _skip(self, talk: Talk, s: Segment) -> int:
        if self._direction(s) not in talk.messages:
            return 0
        start, end = talk.messages[self._direction(s)]
        to_end = (end - s.seq) % 2**32
        if not 0 < to_end < 2**31:
            del talk.messages[self._direction(s)]
            return 0
        return to_end if 0 < (s.seq - start) % 2**32 < 2**31 else 0

    @staticmethod
    def _rest(rule: Rule, data: bytes, n_bytes: int) -> int:
        pdu, here = rule.pdu, 0
        assert pdu is not None
        for _ in range(64):
            if len(data) - here < pdu.header_bytes:
                return 0
            length = data[here + pdu.at : here + pdu.at + pdu.n_bytes]
            n = int.from_bytes(length, "little" if pdu.little else "big") + pdu.add
            here += max(n, pdu.header_bytes)
            if here > n_bytes:
                return here - n_bytes
        return 0


class Asker:
    """One payload before the rules."""

    def __init__(self, talk: Talk, s: Segment, data: bytes, n_bytes: int) -> None:
        self.talk, self.data, self.n_bytes = talk, data, n_bytes
        self.rules = RULES[Table.UDP if s.udp else Table.TCP]
        low, high = sorted((s.src[1], s.dst[1]))
        port = talk.server_port or low
        self.ports = list(dict.fromkeys((port, low, high))) if port == low else [port, low, high]
        self.is_server = s.src[1] == port

    def ask(self) -> tuple[str, Rule | None]:
        while True:
            again = False
            for rule, certainty in self._candidates():
                label = self._judge(rule, certainty)
                if label == "again":
                    again = certainty < 2
                    if again:
                        break
                    continue
                if label:
                    held = self.talk.rule
                    if rule.holds and (held is None or held.check == Check.STUN):
                        self.talk.rule = rule
                    return label, rule
            if not again:
                return "", None

    def _candidates(self) -> Any:
        if self.talk.rule is not None:
            yield self.talk.rule, 2
        for port in self.ports:
            for rule in self.rules:
                if port in rule.ports:
                    yield rule, 1
        for rule in self.rules:
            if rule.heuristic and (not rule.opens or self.data[0] in rule.opens):
                yield rule, 0

    def _judge(self, rule: Rule, certainty: int) -> str:
        if certainty < 2 and not fits(rule, self.data, self.n_bytes):
            return ""
        if rule.check == Check.PATTERN:
            return rule.label
        method = getattr(self, "_" + rule.check.name.lower())
        answer: str = method(rule, certainty)
        return answer

    def _tls(self, _rule: Rule, certainty: int) -> str:
        data, talk = self.data, self.talk
        if not is_record(data):
            is_old = len(data) >= 5 and data[0] & 0x80 and data[2] == 1
            if is_old and data[3:5] in (b"\0\2", b"\3\0", b"\3\1", b"\3\2", b"\3\3"):
                return "SSLv2"
            is_text = len(data) >= 4 and all(0x20 <= byte <= 0x7E for byte in data[:4])
            return "" if not certainty or is_text else talk.memory or "SSL"
        label, here = talk.memory, 0
        for _ in range(16):
            if len(data) - here < 6 or not is_record(data[here:]):
                break
            own = TLS_NAMES[data[here + 2]]
            end = here + 5 + int.from_bytes(data[here + 3 : here + 5], "big")
            is_handshake = data[here] == 22
            if is_handshake and data[here + 5] == 2 and end <= len(data):
                label = talk.memory = server_version(data[here + 5 : end])
            elif not talk.memory and end <= self.n_bytes:
                if not is_handshake:
                    talk.memory = own
                label = own
            here = end
        return label or "SSL"

    def _dtls(self, _rule: Rule, _certainty: int) -> str:
        data, talk = self.data, self.talk
        if data[:4] == b"\1\0\0\0":
            data = data[4:]
        names = {
            b"\xfe\xff": "DTLSv1.0",
            b"\xfe\xfd": "DTLSv1.2",
            b"\xfe\xfc": "DTLSv1.3",
            b"\1\0": "DTLS 1.0 (OpenSSL pre 0.9.8f)",
        }
        if len(data) < 14 or not 20 <= data[0] <= 25 or data[1:3] not in names:
            return ""
        own = names[data[1:3]]
        if data[0] == 22 and data[3:5] == b"\0\0":
            if data[13] == 1 and not talk.memory:
                return "DTLS"
            if data[13] == 2 and len(data) >= 27:
                old = own if data[25:27] == b"\1\0" else "DTLSv1.2"
                talk.memory = "DTLSv1.0" if data[25:27] == b"\xfe\xff" else old
        elif not talk.memory:
            talk.memory = own
        return talk.memory or own

    def _quic(self, _rule: Rule, certainty: int) -> str:
        data, label = self.data, ""
        if len(data) >= 6 and data[0] & 0x80:
            if is_google(data[1:5]):
                label = "GQUIC"
            elif is_quic(int.from_bytes(data[1:5], "big")) and data[5] <= 20:
                label = "QUIC"
        elif len(data) >= 13 and data[0] & 9 == 9 and is_google(data[9:13]):
            label = "GQUIC"
        self.talk.memory = label or self.talk.memory
        return label or (self.talk.memory if certainty else "")

    def _http(self, _rule: Rule, certainty: int) -> str:
        data, talk = self.data, self.talk
        if not (is_http(data) and b"\n" in data):
            if not certainty:
                return ""
            if data.startswith(b"PRI *"):
                talk.rule = rule_of("HTTP2")
                return "HTTP2"
            if "connected" in talk.seen and is_client_hello(data):
                talk.rule = rule_of("SSL")
                return "again"
            label = "HTTP" if talk.seen else "TCP"
            if is_http(data):
                talk.seen.add("http")
            return label
        head = data[:2048]
        if not certainty and b"HTTP/" not in head.split(b"\n")[0]:
            return ""
        talk.seen.add("connected" if data.startswith(b"CONN") else "http")
        return self._header(head)

    def _header(self, head: bytes) -> str:
        media = "HTTP"
        is_upgraded = head.startswith(b"HTTP") and head[9:12] == b"101"
        here = head.find(b"\n") + 1
        while 0 < here <= len(head) - 4:
            line = head[here:].lower()
            if head[here : here + 2] in (b"\r\n", b"\r*", b"-\n", b"-*"):
                return media
            is_long = len(line) >= 13
            if is_long and line.startswith(b"cont") and line[8:12] == b"type":
                media = media_type(line[13:])
            if is_long and is_upgraded and line.startswith(b"upgr") and line[9:13] == b"webs":
                self.talk.rule = rule_of("WebSocket")
            if is_long and is_upgraded and line.startswith(b"upgr") and line[9:12] == b"h2c":
                self.talk.rule = rule_of("HTTP2")
            here = head.find(b"\n", here) + 1
        return "HTTP"

    def _sip(self, _rule: Rule, _certainty: int) -> str:
        line = self.data[:2048].replace(b"\r", b"\n").split(b"\n")[0]
        at = line.find(b"SIP/2")
        if at < 0 or at >= min(len(self.data), 2048) - 6:
            return ""
        return "SIP/SDP" if b"\n\r\nv=" in self.data else "SIP"

    def _plain(self, rule: Rule, _certainty: int) -> str:
        if is_client_hello(self.data):
            self.talk.rule, self.talk.memory = rule_of("SSL"), ""
            return "again"
        if rule.check == Check.SOCKS and is_http(self.data):
            self.talk.rule = rule_of("HTTP")
            return "again"
        return rule.label

    _socks = _plain

    def _ssh(self, _rule: Rule, _certainty: int) -> str:
        talk, data = self.talk, self.data
        if talk.memory or len(data) < 8 or not data.startswith(b"SSH-"):
            return talk.memory or "SSH"
        talk.seen.add("server" if self.is_server else "client")
        if data[4:5] != b"2" and data[4:8] != b"1.99":
            talk.seen.add("old")
        if {"server", "client"} <= talk.seen:
            talk.memory = "SSHv1" if "old" in talk.seen else "SSHv2"
        return talk.memory if talk.memory and self.is_server else "SSH"

    def _rpc_udp(self, _rule: Rule, certainty: int, skip: int = 0) -> str:
        data = self.data[skip:]
        if len(data) < 8:
            return ""
        kind = data[4:8]
        if kind == b"\0\0\0\1":
            return self.talk.memory
        if kind != b"\0\0\0\0" or len(data) < 16 or data[8:12] != b"\0\0\0\2":
            return ""
        (program,) = struct.unpack(">I", data[12:16])
        label = header_rules.PROGRAMS.get(program, "")
        self.talk.memory = label or self.talk.memory
        return label or ("RPC" if certainty else "")

    def _rpc_tcp(self, rule: Rule, certainty: int) -> str:
        return self._rpc_udp(rule, certainty, 4)

    def _stun(self, _rule: Rule, certainty: int) -> str:
        data = self.data
        has_cookie = data[4:8] == b"\x21\x12\xa4\x42"
        if has_cookie and data[0] <= 1 and self.n_bytes >= 20:
            return "STUN"
        if not certainty or len(data) < 4 or not 0x40 <= data[0] <= 0x7F:
            return ""
        return "STUN" if 0 <= self.n_bytes - 4 - number_at(data, 2) <= 3 else ""

    def _rdp(self, _rule: Rule, _certainty: int) -> str:
        data, seen = self.data, self.talk.seen
        if data[:2] != b"\3\0":
            if "t.125" in seen and data[0] & 3 == 0 and len(data) >= 2:
                return "RDP"
            return "TPKT" if "rdp" in seen else ""
        if len(data) >= 11 and data[5] >> 4 in (13, 14):
            seen.add("rdp")
            return "RDP"
        if len(data) >= 6 and data[5] == 0xF0:
            is_known = "rdp" in seen
            seen.update(("rdp", "t.125"))
            is_rdp = is_known and data[7:8] in (b"\x64", b"\x68", b"\x7f")
            return "RDP" if is_rdp and number_at(data, 2) <= self.n_bytes else "T.125"
        return "COTP" if len(data) >= 5 else "TPKT"

    def _dhcp(self, _rule: Rule, _certainty: int) -> str:
        data = self.data
        if len(data) < 240 or data[236:240] != b"\x63\x82\x53\x63":
            return "BOOTP"
        here = 240
        for _ in range(64):
            if len(data) - here < 2 or data[here] == 255:
                break
            if data[here] == 53:
                return "DHCP"
            here += 1 if data[here] == 0 else 2 + data[here + 1]
        return "BOOTP"

    def _dns_any(self, rule: Rule, certainty: int) -> str:
        data = self.data
        if certainty:
            return rule.label
        if len(data) < 17 or data[2] & 0xF8 or data[4:10] != b"\0\1\0\0\0\0":
            return ""
        here = 12
        if int.from_bytes(data[10:12], "big") > 2:
            return ""
        for _ in range(128):
            if len(data) - here < 5 or data[here] > 63:
                return ""
            if data[here] == 0:
                return rule.label if number_at(data, here + 3) & 0x7FFF in (1, 3, 255) else ""
            here += 1 + data[here]
        return ""


def is_record(data: bytes) -> bool:
    return len(data) >= 3 and 20 <= data[0] <= 24 and data[1] == 3 and data[2] <= 4


def is_client_hello(data: bytes) -> bool:
    is_hello = len(data) >= 9 and is_record(data) and data[0] == 22 and data[5] == 1
    return is_hello and int.from_bytes(data[6:9], "big") + 4 <= 65536


def is_http(data: bytes) -> bool:
    return len(data) >= 5 and data[:4] in STARTS


def is_google(version: bytes) -> bool:
    return version[:2] == b"Q0" and version[2:] < b"50"


def is_quic(version: int) -> bool:
    if version in (1, 0x6B3343CF, 0x709A50C4) or version & 0x0F0F0F0F == 0x0A0A0A0A:
        return True
    is_draft = version >> 8 in (0xFF0000, 0x513035, 0x543035)
    return is_draft or version >> 4 == 0xFACEB00 or version >> 16 == 0x5043


def server_version(message: bytes) -> str:
    if len(message) < 39:
        return TLS_NAMES[min(message[5], 4)] if len(message) >= 6 else "TLSv1.2"
    legacy = TLS_NAMES[min(message[5], 4)]
    here = 39 + message[38] + 3
    if len(message) - here < 2:
        return legacy
    here += 2
    while len(message) - here >= 4:
        kind, n_bytes = struct.unpack(">HH", message[here : here + 4])
        if kind == 43 and n_bytes == 2 and len(message) - here >= 6:
            chosen = message[here + 4 : here + 6]
            return "TLSv1.3" if chosen == b"\3\4" or chosen[0] in (0x7F, 0xFB) else legacy
        here += 4 + n_bytes
    return legacy


def media_type(value: bytes) -> str:
    value = value.removeprefix(b" ")
    if len(value) < 20:
        return "HTTP"
    if value.startswith(b"text"):
        return "HTTP/XML" if value[5:8] == b"xml" else "HTTP"
    if value.startswith(b"imag"):
        return "HTTP/XML" if value[6:10] == b"svg+" else "HTTP"
    if not value.startswith(b"appl"):
        return "HTTP"
    kinds = {b"json": "HTTP/JSON", b"prob": "HTTP/JSON", b"ocsp": "OCSP"}
    kinds |= {b"soap": "HTTP/XML", b"rss+": "HTTP/XML"}
    ends = {b"ipp": "IPP", b"xml": "HTTP/XML"}
    return kinds.get(value[12:16]) or ends.get(value[12:15], "HTTP")


__all__ = ["NaiveLabels", "Segment", "Tunnel"]

"""Hold the sample captures against their truth, and say what is in them.

    check.py DIRECTORY

Reads every *.pcap.zst of the directory with tshark. Beside a capture NAME.pcap.zst there may be
NAME.truth.csv: then every episode must show in its interval, and its signs nowhere else. A capture
without truth must show no sign of any attack. Prints two Markdown tables; exit code 1 and a list on
stderr when something is wrong.
"""

import csv
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from office import BEACON_NUMBER, BY_NAME, DROP_NUMBER, PRINTER_NUMBER, lan4, wan4
from services import TUNNEL_DOMAIN

FIELDS = (
    "frame.time_epoch", "frame.len", "eth.src", "arp.opcode", "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4", "ip.src", "ip.dst", "ipv6.src", "ip.proto", "tcp.srcport",
    "tcp.dstport", "udp.srcport", "udp.dstport", "tcp.flags", "dns.qry.name", "icmp.type",
)  # fmt: skip
SYN, SYN_ACK, XMAS = 0x02, 0x12, 0x29
ICMP_ECHO = 8
LOGIN_PORTS = (21, 22)
#: An episode with fewer packets does not show.
LEAST_PACKETS = 20
#: More ports than this asked of one host by another within ten seconds is a scan.
MANY_PORTS = 30
#: More addresses than this asked by one host within ten seconds is a sweep.
MANY_ADDRESSES = 40
#: Failed or not, more connections than this to one login service within a minute are guesses.
MANY_LOGINS = 12
SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Packet:
    """What the checks need of one frame."""

    ts_ns: int
    wire_bytes: int
    mac: str
    arp_says: str
    """Address that an ARP reply binds to the sender."""
    src: str
    dst: str
    ipv6: bool
    proto: str
    src_port: int
    dst_port: int
    flags: int
    name: str
    icmp_type: int

    def asks_service(self) -> bool:
        """Is it a datagram or segment to a well-known port, not an answer from one?"""
        opens = self.proto == "17" or (self.proto == "6" and self.flags & SYN_ACK != SYN_ACK)
        return opens and self.dst_port < 1024 <= self.src_port

    def is_arp_request(self) -> bool:
        """Is it a question for an address?"""
        return bool(self.src) and not (self.proto or self.arp_says)

    def between(self, a: str, b: str) -> bool:
        """Does it pass between two addresses, one of which may be `*`?"""
        ends = {self.src, self.dst}
        return (a == "*" or a in ends) and (b == "*" or b in ends)


@dataclass
class Truth:
    """One row of a truth file."""

    kind: str
    start_ns: int
    end_ns: int
    src: str
    dst: str
    dst_port: str
    proto: str
    packets: int = 0


@dataclass
class Capture:
    """A capture, its truth, and what is wrong with them."""

    path: Path
    packets: list[Packet]
    truth: list[Truth] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fault(self, words: str) -> None:
        """Note something that is wrong."""
        self.faults.append(f"{self.path.name}: {words}")

    def expects(self, ts_ns: int, kind: str = "") -> bool:
        """Is there an episode, of this kind, at this time?"""
        return any(e.start_ns <= ts_ns <= e.end_ns and kind in ("", e.kind) for e in self.truth)


def read_packets(path: Path) -> Iterator[Packet]:
    """Dissect a capture with tshark."""
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f"]
    for name in FIELDS:
        argv += ["-e", name]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tshark:
        assert tshark.stdout is not None
        for line in tshark.stdout:
            (time, length, mac, arp, arp_src, arp_dst, src, dst, src6, proto, tcp_src, tcp_dst,
             udp_src, udp_dst, flags, name, icmp) = line.rstrip("\n").split("\t")  # fmt: skip
            whole, _, part = time.partition(".")
            yield Packet(
                int(whole) * SECOND + int(part.ljust(9, "0")[:9]),
                int(length),
                mac,
                arp_src if arp == "2" else "",
                src or arp_src,
                dst or arp_dst,
                bool(src6),
                proto,
                int(tcp_src or udp_src or 0),
                int(tcp_dst or udp_dst or 0),
                int(flags or "0", 16),
                name,
                int(icmp or -1),
            )
    if tshark.returncode:
        raise RuntimeError(f"tshark -r {path}: exit {tshark.returncode}")


def is_forged(packet: Packet) -> bool:
    """An ARP reply that gives its sender somebody else's address."""
    owners = {lan4(host.number): host.mac for host in BY_NAME.values()}
    return packet.arp_says in owners and owners[packet.arp_says] != packet.mac


Sign = Callable[[Packet], bool]
#: What cannot be mistaken in a single packet.
SIGNS: dict[str, Sign] = {
    "xmas-scan": lambda p: p.flags & 0x3F == XMAS,
    "syn-flood": lambda p: p.src == lan4(PRINTER_NUMBER),
    "udp-flood": lambda p: p.proto == "17" and p.dst_port == 5004,
    "arp-spoofing": is_forged,
    "dns-tunnel": lambda p: TUNNEL_DOMAIN in p.name.lower(),
    "exfiltration": lambda p: p.between(wan4(DROP_NUMBER), "*") and p.proto == "6",
    "beacon": lambda p: p.between(wan4(BEACON_NUMBER), "*") and p.proto == "6",
}


def crowds(packets: list[Packet]) -> Iterator[tuple[str, int, str, int]]:
    """What shows only in numbers: name, second when its time slot begins, who and whom, count."""
    ports: dict[tuple[int, str], set[int]] = defaultdict(set)
    peers: dict[tuple[int, str], set[str]] = defaultdict(set)
    logins: Counter[tuple[int, str]] = Counter()
    for p in packets:
        ten_s, minute_s = p.ts_ns // (10 * SECOND) * 10, p.ts_ns // (60 * SECOND) * 60
        if p.asks_service():
            ports[ten_s, f"{p.src} > {p.dst}"].add(p.dst_port)
        if p.flags == SYN or p.icmp_type == ICMP_ECHO or p.is_arp_request():
            peers[ten_s, p.src].add(p.dst)
        if p.flags == SYN and p.dst_port in LOGIN_PORTS:
            logins[minute_s, f"{p.src} > {p.dst}:{p.dst_port}"] += 1
    yield from (("scan", *key, len(v)) for key, v in ports.items() if len(v) > MANY_PORTS)
    yield from (("sweep", *key, len(v)) for key, v in peers.items() if len(v) > MANY_ADDRESSES)
    yield from (("guessing", *key, n) for key, n in logins.items() if n > MANY_LOGINS)


def load(path: Path) -> Capture:
    """Read a capture, and its truth if there is one."""
    capture = Capture(path, list(read_packets(path)))
    truth = path.with_name(path.name.removesuffix(".pcap.zst") + ".truth.csv")
    if truth.exists():
        with open(truth, newline="") as file:
            for row in csv.DictReader(file):
                times = int(row["start_ns"]), int(row["end_ns"])
                where = row["src"], row["dst"], row["dst_port"], row["proto"]
                capture.truth.append(Truth(row["kind"], *times, *where))
    return capture


def compare(capture: Capture) -> None:
    """Count the packets of each episode; note what is missing and what is too much."""
    for episode in capture.truth:
        inside = [p for p in capture.packets if episode.start_ns <= p.ts_ns <= episode.end_ns]
        episode.packets = sum(belongs(p, episode) for p in inside)
        signs = sum(map(SIGNS.get(episode.kind, lambda _: True), inside))
        if episode.packets < LEAST_PACKETS or not signs:
            capture.fault(f"{episode.kind}: does not show in its interval")
    for kind, sign in SIGNS.items():
        if n_strays := sum(sign(p) for p in capture.packets if not capture.expects(p.ts_ns, kind)):
            capture.fault(f"{n_strays} packets of {kind} outside an episode")
    for what, at_s, who, count in crowds(capture.packets):
        # A slot may begin before the episode that fills it.
        if not any(capture.expects(s * SECOND) for s in range(at_s, at_s + 60)):
            capture.fault(f"{what} outside an episode: {who}, {count} from second {at_s} on")


def belongs(packet: Packet, episode: Truth) -> bool:
    """Do a packet's addresses and port meet those of an episode?"""
    if episode.proto == "arp":
        return is_forged(packet)
    ports = {str(packet.src_port), str(packet.dst_port)}
    protos = {"tcp": "6", "udp": "17", "*": packet.proto}
    return (
        packet.between(episode.src, episode.dst)
        and packet.proto in (protos[episode.proto], "1")
        and (episode.dst_port == "*" or packet.proto == "1" or episode.dst_port in ports)
    )


def describe(captures: list[Capture]) -> None:
    """Print the tables."""
    print("| capture | file bytes | packets | bytes on the wire | seconds | packets/s | IPv6 |")
    print("|---|---|---|---|---|---|---|")
    for c in captures:
        n, span_s = len(c.packets), (c.packets[-1].ts_ns - c.packets[0].ts_ns) / SECOND
        wire, v6 = sum(p.wire_bytes for p in c.packets), sum(p.ipv6 for p in c.packets)
        print(f"| `{c.path.name}` | {c.path.stat().st_size:,} | {n:,} | {wire:,} | {span_s:.0f} "
              f"| {n / span_s:.1f} | {v6 / n:.0%} |")  # fmt: skip
    for c in captures:
        if not c.truth:
            continue
        first_ns = c.packets[0].ts_ns
        print("\n| kind | starts at s | lasts s | src | dst | dst_port | proto | packets |")
        print("|---|---|---|---|---|---|---|---|")
        for e in c.truth:
            at_s, for_s = (e.start_ns - first_ns) / SECOND, (e.end_ns - e.start_ns) / SECOND
            print(f"| {e.kind} | {at_s:.0f} | {for_s:.0f} | {e.src} | {e.dst} | {e.dst_port} "
                  f"| {e.proto} | {e.packets:,} |")  # fmt: skip


def main() -> int:
    """Check all captures of a directory."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    captures = [load(path) for path in sorted(Path(sys.argv[1]).glob("*.pcap.zst"))]
    for capture in captures:
        compare(capture)
    describe(captures)
    faults = [fault for capture in captures for fault in capture.faults]
    for fault in faults:
        print(fault, file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

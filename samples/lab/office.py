"""The office: hosts, addresses and cables, built in network namespaces and taken down again.

    hosts ── veth or user-space link ── br0 in PREFIX-net (floods) ── veth ── tap in PREFIX-tap
                                         │
                                        gw ── user-space link ── wan (the world outside)

Nothing is connected to the machine's own network: every device is made inside a namespace.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from link import Wire

HERE = Path(__file__).parent
ETC_NETNS = Path("/etc/netns")

#: In the name service, but switched off.
PRINTER_NUMBER = 60
#: Web sites in the world outside: 10.77.8.11 and up.
SITES = ("news", "wiki", "shop", "video", "maps", "bank", "forum", "mirror", "photos", "travel")
SITE_NUMBERS = {name: 11 + i for i, name in enumerate(SITES)}
#: Addresses outside that no benign program asks for.
TUNNEL_NUMBER, BEACON_NUMBER, DROP_NUMBER = 53, 200, 201


def lan4(number: int) -> str:
    """IPv4 address in the office."""
    return f"10.77.0.{number}"


def lan6(number: int) -> str:
    """IPv6 address in the office; the last digits read like those of the IPv4 address."""
    return f"fd77::{number}"


def wan4(number: int) -> str:
    """IPv4 address outside."""
    return f"10.77.8.{number}"


def wan6(number: int) -> str:
    """IPv6 address outside."""
    return f"fd77:8::{number}"


@dataclass(frozen=True, slots=True)
class Cable:
    """What lies between a host and the switch, in both directions."""

    rate_mbit: float = 100.0
    delay_ms: float = 0.0
    """0: a plain veth pair; more: the user-space link."""
    jitter_ms: float = 0.0
    loss: float = 0.0002
    reorder: float = 0.0


OFFICE_CABLE = Cable(50, 0.3, 0.2, 0.0005)
WIFI = Cable(20, 2.0, 2.0, 0.003, 0.003)
WAN_CABLE = Cable(10, 14.0, 2.0, 0.001, 0.002)


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the office."""

    name: str
    number: int
    cable: Cable = Cable()
    ttl: int = 64
    timestamps: bool = True

    @property
    def mac(self) -> str:
        """Hardware address; its last byte is the number."""
        return f"02:77:00:00:00:{self.number:02x}"


HOSTS = (
    Host("gw", 1, Cable(200)),
    Host("web", 10),
    Host("files", 11),
    Host("mail", 12),
    Host("app", 13),
    Host("media", 14),
    Host("ws1", 21, OFFICE_CABLE),
    Host("ws2", 22, OFFICE_CABLE, ttl=128, timestamps=False),
    Host("ws3", 23, OFFICE_CABLE),
    Host("ws4", 24, OFFICE_CABLE, ttl=128, timestamps=False),
    Host("ws5", 25, OFFICE_CABLE),
    Host("lap1", 26, WIFI),
    Host("lap2", 27, WIFI, ttl=128, timestamps=False),
    Host("admin", 30, OFFICE_CABLE),
    Host("build", 31, Cable(100)),
    Host("sensor", 41, Cable(1, 6.0, 4.0, 0.002, 0.001), ttl=255),
    Host("camera", 42, Cable(5, 3.0, 2.0, 0.002)),
    Host("visitor", 66, Cable(20, 1.5, 1.0, 0.001, 0.001)),
)
BY_NAME = {host.name: host for host in HOSTS}


def run(*argv: str, check: bool = True, text: str | None = None) -> str:
    """Run a program to its end; its words come along when it fails."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Office:
    """A lab's namespaces, all named PREFIX-something, and the processes inside them."""

    prefix: str
    work: Path
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def ns(self, name: str) -> str:
        """Name of the namespace of a host."""
        return f"{self.prefix}-{name}"

    def inside(self, name: str, *argv: str) -> list[str]:
        """Command line that runs `argv` in a host's namespace."""
        return ["ip", "netns", "exec", self.ns(name), *argv]

    def say(self, words: str) -> None:
        """A line of progress."""
        print(f"{time.strftime('%H:%M:%S')} {self.prefix}: {words}", file=sys.stderr, flush=True)

    def start(
        self, name: str, argv: Sequence[str], log: str = "", stdout: int | None = None
    ) -> "subprocess.Popen[str]":
        """Start a child in a host's namespace; it is ended with the office."""
        with open(self.work / f"{log or name}.log", "a") as file:
            child = subprocess.Popen(
                self.inside(name, *argv),
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def build(self) -> None:
        """Make namespaces, switch, cables and addresses."""
        if names := self.existing():
            raise RuntimeError(f"{names[0]} exists: another lab runs with this prefix, or --clean")
        for name in ("net", "tap", "wan", *BY_NAME):
            run("ip", "netns", "add", self.ns(name))
            run("ip", "-n", self.ns(name), "link", "set", "lo", "up")
        for name in ("net", "tap"):
            self.sysctl(name, "net.ipv6.conf.all.disable_ipv6=1")
            self.sysctl(name, "net.ipv6.conf.default.disable_ipv6=1")
        self.batch("net", "link add br0 type bridge ageing_time 0 mcast_snooping 0 stp_state 0")
        self.batch("net", "link set br0 up")
        self._plug_veth("tap", None, Cable(1000))
        self._start_link()
        for host in HOSTS:
            self._plug_host(host)
        self._plug_wan()

    def existing(self) -> list[str]:
        """Namespaces of this prefix that are there."""
        names = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line]
        return [name for name in names if name.startswith(f"{self.prefix}-")]

    def sysctl(self, name: str, *settings: str) -> None:
        """Set kernel parameters inside a namespace."""
        run(*self.inside(name, "sysctl", "-qw", *settings))

    def batch(self, name: str, *lines: str) -> None:
        """Run several ip commands in a namespace."""
        run("ip", "-n", self.ns(name), "-batch", "-", text="\n".join(lines) + "\n")

    def _start_link(self) -> None:
        wires = [
            Wire(
                host.name,
                f"{host.name}.h",
                host.mac,
                host.cable.delay_ms,
                host.cable.jitter_ms,
                host.cable.loss,
                host.cable.reorder,
            )
            for host in HOSTS
            if host.cable.delay_ms
        ]
        far = WAN_CABLE
        wires.append(Wire("wan.a", "wan.b", "", far.delay_ms, far.jitter_ms, far.loss, far.reorder))
        path = self.work / "wires.json"
        path.write_text(json.dumps([asdict(wire) for wire in wires]))
        argv = [sys.executable, str(HERE / "link.py"), str(path)]
        child = self.start("net", argv, "link", stdout=subprocess.PIPE)
        assert child.stdout is not None
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError("link.py: " + (self.work / "link.log").read_text().strip())

    def _plug_veth(self, name: str, mac: str | None, cable: Cable) -> None:
        address = f"address {mac}" if mac else ""
        self.batch(
            "net", f"link add {name} type veth peer name eth0 {address} netns {self.ns(name)}"
        )
        # Without this a frame could be 64 kB long and carry no checksum.
        for where, device in (("net", name), (name, "eth0")):
            run(*self.inside(where, "ethtool", "-K", device, "tx", "off", "rx", "off"), check=False)
            run(*self.inside(where, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro",
                             "off"), check=False)  # fmt: skip
        self._to_switch(name, cable)
        if mac is None:
            self.batch(name, "link set eth0 up arp off")

    def _to_switch(self, name: str, cable: Cable) -> None:
        self.batch("net", f"link set {name} master br0", f"link set {name} up")
        self._limit("net", name, cable)

    def _limit(self, name: str, device: str, cable: Cable) -> None:
        run("tc", "-n", self.ns(name), "qdisc", "add", "dev", device, "root", "tbf",
            "rate", f"{cable.rate_mbit}mbit", "burst", "48kb", "latency", "120ms")  # fmt: skip

    def _plug_host(self, host: Host) -> None:
        name = host.name
        self._write_etc(name)
        settings = [
            "net.ipv6.conf.default.accept_ra=0",
            "net.ipv6.conf.default.accept_dad=0",
            f"net.ipv4.ip_default_ttl={host.ttl}",
            f"net.ipv6.conf.default.hop_limit={host.ttl}",
            f"net.ipv4.tcp_timestamps={int(host.timestamps)}",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
        ]
        if name == "gw":
            settings += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
        self.sysctl(name, *settings)
        if host.cable.delay_ms:
            self.batch("net", f"link set {name}.h netns {self.ns(name)}")
            self.batch(name, f"link set {name}.h address {host.mac} name eth0")
            self._to_switch(name, host.cable)
        else:
            self._plug_veth(name, host.mac, host.cable)
        self._limit(name, "eth0", host.cable)
        self.batch(
            name,
            f"addr add {lan4(host.number)}/24 brd + dev eth0",
            f"addr add {lan6(host.number)}/64 dev eth0 nodad",
            "link set eth0 up",
            "route add 224.0.0.0/4 dev eth0",
            "route add 255.255.255.255 dev eth0",
        )
        if name != "gw":
            self.batch(name, f"route add {wan4(0)}/24 via {lan4(1)}")
            self.batch(name, f"route add fd77:8::/64 via {lan6(1)}")
        for iptables in ("iptables", "ip6tables"):
            run(*self.inside(name, iptables, "-t", "raw", "-A", "PREROUTING", "-i", "eth0",
                             "-m", "statistic", "--mode", "random", "--probability",
                             str(host.cable.loss), "-j", "DROP"))  # fmt: skip

    def _plug_wan(self) -> None:
        self._write_etc("wan")
        self.sysctl("wan", "net.ipv6.conf.default.accept_ra=0", "net.ipv4.ip_default_ttl=64")
        for device, name, inner in (("wan.a", "gw", "eth1"), ("wan.b", "wan", "eth0")):
            self.batch("net", f"link set {device} netns {self.ns(name)}")
            self.batch(name, f"link set {device} name {inner}", f"link set {inner} up")
            self._limit(name, inner, WAN_CABLE)
        self.batch("gw", f"addr add {wan4(1)}/24 dev eth1", f"addr add {wan6(1)}/64 dev eth1 nodad")
        numbers = (*SITE_NUMBERS.values(), TUNNEL_NUMBER, BEACON_NUMBER, DROP_NUMBER)
        self.batch("wan", *(f"addr add {wan4(n)}/24 dev eth0" for n in numbers))
        self.batch("wan", *(f"addr add {wan6(n)}/64 dev eth0 nodad" for n in numbers))
        self.batch("wan", f"route add {lan4(0)}/24 via {wan4(1)}")
        self.batch("wan", f"route add fd77::/64 via {wan6(1)}")
        # A firewall that says nothing: connections to this port time out.
        for iptables in ("iptables", "ip6tables"):
            run(*self.inside("wan", iptables, "-A", "INPUT", "-p", "tcp", "--dport", "8443",
                             "-j", "DROP"))  # fmt: skip

    def _write_etc(self, name: str) -> None:
        """Files that `ip netns exec` lays over /etc, for this namespace only."""
        etc = ETC_NETNS / self.ns(name)
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(
            f"search office.lab\nnameserver {lan4(1)}\noptions timeout:2 attempts:2\n"
        )
        (etc / "hosts").write_text(f"127.0.0.1 localhost {name}\n::1 localhost\n")
        for file in ("passwd", "shadow", "group"):
            if (made := self.work / file).exists():
                shutil.copy(made, etc / file)

    def destroy(self) -> None:
        """End what runs in the lab's namespaces, by pid, and remove every trace of the lab."""
        namespaces = self.existing()
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            pids = [int(pid) for ns in namespaces for pid in run("ip", "netns", "pids", ns).split()]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal_number)
            if pids:
                time.sleep(1.0)
        for child in self.children:
            child.wait()
        for ns in namespaces:
            run("ip", "netns", "del", ns, check=False)
            shutil.rmtree(ETC_NETNS / ns, ignore_errors=True)
        with contextlib.suppress(OSError):
            ETC_NETNS.rmdir()  # only when it is empty

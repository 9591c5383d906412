"""What people and machines of the office do: one coroutine a habit, each a few real programs.

A habit varies by itself (partner, size, duration, address family); how often it happens is the
business of `users.py`. Every size and duration has an upper limit, so that another run of the same
length sees the same range.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from office import BY_NAME, SITES, Host, lan4, lan6, wan4
from services import N_BIG, N_OBJECTS, N_PAGES, USERS, WORDS

SSH_OPTIONS = (  # noqa: SIM905 - options read better as on a command line
    "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o ConnectTimeout=8 -o ServerAliveInterval=15 -o PreferredAuthentications="
).split()
COMMANDS = ("ls -l", "uptime", "cat notes.txt", "df -h", "ps aux | head -20", "id", "du -s .",
            "grep -c office notes.txt", "date", "head -c 6000 report00.dat | base64")  # fmt: skip
SERVERS = ("web", "files", "mail", "app", "media", "gw")


@dataclass(frozen=True, slots=True)
class Desk:
    """Who does it: a host, its random numbers, the lab's work directory."""

    host: Host
    rng: random.Random
    work: Path

    def family(self) -> str:
        """-4 or -6; a third of the traffic is IPv6."""
        return "-6" if self.rng.random() < 0.35 else "-4"

    def user(self) -> str:
        """The same person at the same desk, most of the time."""
        names = list(USERS)
        at_home = names[self.host.number % len(names)]
        return at_home if self.rng.random() < 0.8 else self.rng.choice(names)

    def zipf(self, count: int) -> str:
        """Name of a file; a few are much asked for, most are not."""
        weights = [1 / (i + 2) for i in range(count)]
        return f"{self.rng.choices(range(count), weights)[0]:02d}"

    def heavy(self, median: float, most: float) -> float:
        """A heavy-tailed positive number with an upper limit."""
        return min(most, median * self.rng.lognormvariate(0, 0.8))

    async def run(self, *argv: str, typed: "Typed | None" = None, limit_s: float = 60) -> int:
        """Run a program to its end, or end it after `limit_s`; returns its exit code."""
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if typed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(limit_s):
                if typed and child.stdin:
                    with contextlib.suppress(ConnectionError):
                        await typed(child.stdin)
                        child.stdin.close()
                return await child.wait()
        except TimeoutError:
            return -1
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()

    async def curl(self, *argv: str, limit_s: float = 40) -> int:
        """Run curl, silent, any certificate."""
        return await self.run(
            "curl", "-sk", self.family(), "--connect-timeout", "4", "-m", str(limit_s),
            *argv, limit_s=limit_s + 3)  # fmt: skip


Typed = Callable[[asyncio.StreamWriter], Awaitable[None]]
Habit = Callable[[Desk], Awaitable[None]]


def fetch(*urls: str) -> list[str]:
    """Curl arguments: get each and throw it away, over one connection."""
    return [part for url in urls for part in ("-o", "/dev/null", url)]


async def _browse(desk: Desk, base: str) -> None:
    objects = [f"{base}/o/{desk.zipf(N_OBJECTS)}" for _ in range(int(desk.heavy(2, 9)))]
    await desk.curl("--compressed", *fetch(f"{base}/p/{desk.zipf(N_PAGES)}", *objects))


async def browse_inside(desk: Desk) -> None:
    """A page of the office's own web, sometimes encrypted."""
    await _browse(desk, desk.rng.choice(("http", "http", "https")) + "://web.office.lab")


async def browse_outside(desk: Desk) -> None:
    """A page from a site outside, mostly encrypted."""
    scheme = desk.rng.choices(("https", "http"), (4, 1))[0]
    weights = [1 / (i + 1) for i in range(len(SITES))]
    await _browse(desk, f"{scheme}://www.{desk.rng.choices(SITES, weights)[0]}.lab")


async def keep_alive(desk: Desk) -> None:
    """One connection, several requests with pauses between them."""
    host = desk.rng.choice(("web.office.lab", "www.forum.lab", "www.maps.lab"))
    family = socket.AF_INET6 if desk.family() == "-6" else socket.AF_INET
    reader, writer = await asyncio.open_connection(host, 80, family=family)
    try:
        for _ in range(desk.rng.randint(2, 5)):
            path = f"/o/{desk.zipf(N_OBJECTS)}"
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: app/2\r\n\r\n"
            writer.write(request.encode())
            with contextlib.suppress(TimeoutError):
                while await asyncio.wait_for(reader.read(65_536), 0.6):
                    pass
            await asyncio.sleep(desk.heavy(7, 30))
    finally:
        writer.close()


async def errors(desk: Desk) -> None:
    """Addresses that moved, are missing or forbidden."""
    base = desk.rng.choice(("http://web.office.lab", "https://www.wiki.lab", "http://www.shop.lab"))
    path = desk.rng.choice(("old/", "missing", "private/", "p/zz", "favicon.ico"))
    await desk.curl("-L", *fetch(f"{base}/{path}"))


async def form(desk: Desk) -> None:
    """A form or a photo sent to a site."""
    base = desk.rng.choice(
        ("http://web.office.lab", "https://web.office.lab", "https://www.photos.lab")
    )
    file = desk.work / "put" / f"{desk.rng.randrange(24):02d}"
    await desk.curl("--data-binary", f"@{file}", "-o", "/dev/null", f"{base}/upload")


async def download(desk: Desk) -> None:
    """A larger file."""
    base = desk.rng.choice(
        ("http://web.office.lab", "https://www.mirror.lab", "http://www.mirror.lab")
    )
    await desk.curl(*fetch(f"{base}/big/{desk.rng.randrange(N_BIG):02d}"))


async def abort(desk: Desk) -> None:
    """A download that the user gives up."""
    base = desk.rng.choice(("http://media.office.lab/stream", "https://www.video.lab/stream"))
    await desk.curl("--limit-rate", "20k", *fetch(f"{base}/0{desk.rng.randrange(6)}"),
                    limit_s=round(desk.rng.uniform(1, 5), 2))  # fmt: skip


async def stream(desk: Desk) -> None:
    """A stream at a fixed rate, watched for a while."""
    url = f"http://media.office.lab/stream/0{desk.rng.randrange(6)}"
    await desk.curl(*fetch(url), limit_s=round(desk.rng.uniform(4, 14), 2))


async def refused(desk: Desk) -> None:
    """A service that does not run there."""
    if desk.rng.random() < 0.25:
        server = lan4(BY_NAME[desk.rng.choice(("mail", "app"))].number)
        await desk.run("dig", "+tries=2", "+timeout=1", f"@{server}", "www.news.lab")
        return
    host, port = desk.rng.choice((("web", 8080), ("files", 445), ("mail", 143), ("app", 3306)))
    await desk.curl("-m", "4", *fetch(f"http://{host}.office.lab:{port}/"))


async def switched_off(desk: Desk) -> None:
    """The printer is off: nobody answers."""
    port = desk.rng.choice((80, 631, 9100))
    await desk.curl("-m", "4", *fetch(f"http://printer.office.lab:{port}/"))


async def filtered(desk: Desk) -> None:
    """A firewall outside that does not answer."""
    await desk.curl("-m", "5", *fetch(f"https://www.{desk.rng.choice(SITES)}.lab:8443/"))


async def lookup(desk: Desk) -> None:
    """Names, as programs ask for them all day."""
    name = desk.rng.choice((
        f"{desk.rng.choice(SERVERS)}.office.lab", f"www.{desk.rng.choice(SITES)}.lab", "office.lab"
    ))  # fmt: skip
    kind = desk.rng.choices(("A", "AAAA", "MX", "TXT", "PTR"), (5, 4, 1, 1, 2))[0]
    what = ["-x", lan4(desk.rng.choice(list(BY_NAME.values())).number)] if kind == "PTR" else [
        name, kind]  # fmt: skip
    server = lan6(1) if desk.rng.random() < 0.2 else lan4(1)
    await desk.run("dig", "+tries=2", "+timeout=2", f"@{server}", *what)


async def typo(desk: Desk) -> None:
    """Names that do not exist."""
    name = "".join(desk.rng.choices(desk.rng.choice(WORDS), k=desk.rng.randint(4, 9)))
    await desk.run("dig", "+tries=2", "+timeout=2", f"@{lan4(1)}", f"{name}.lab")


async def mail(desk: Desk) -> None:
    """A mail with or without an attachment."""
    to = [part for u in desk.rng.sample(list(USERS), desk.rng.choice((1, 1, 2)))
          for part in ("--mail-rcpt", f"{u}@office.lab")]  # fmt: skip
    await desk.curl("--mail-from", f"{desk.user()}@office.lab", *to, "--crlf", "-T",
                    str(desk.work / "mail.d" / f"{desk.rng.randrange(24):02d}"),
                    f"smtp://mail.office.lab/{desk.host.name}.office.lab")  # fmt: skip


def _ssh(desk: Desk, program: str, password: str = "") -> list[str]:
    """Start of an ssh or scp command line: with a password, or else with the key."""
    if password:
        return ["sshpass", "-p", password, program, *SSH_OPTIONS[:-1],
                SSH_OPTIONS[-1] + "password", "-o", "NumberOfPasswordPrompts=1"]  # fmt: skip
    return [program, *SSH_OPTIONS[:-1], SSH_OPTIONS[-1] + "publickey", "-i",
            str(desk.work / "user_key")]  # fmt: skip


async def ssh(desk: Desk) -> None:
    """An interactive session: keys typed one by one, pauses, sometimes long ones."""

    async def type_commands(keyboard: asyncio.StreamWriter) -> None:
        await asyncio.sleep(desk.rng.uniform(1, 3))
        for command in (*desk.rng.choices(COMMANDS, k=desk.rng.randint(1, 4)), "exit"):
            for key in command + "\n":
                keyboard.write(key.encode())
                await keyboard.drain()
                await asyncio.sleep(0.05 + min(1.0, desk.rng.expovariate(8)))
            await asyncio.sleep(desk.heavy(3, 45))

    user, server = desk.user(), desk.rng.choice(("files", "files", "web", "build"))
    password = USERS[user] if desk.rng.random() < 0.4 else ""
    argv = [*_ssh(desk, "ssh", password), desk.family(), "-tt", f"{user}@{server}.office.lab"]
    await desk.run(*argv, typed=type_commands, limit_s=200)


async def ssh_mistake(desk: Desk) -> None:
    """A wrong password, then the right one."""
    user = desk.user()
    for password in ("let-Me-in1",) * desk.rng.choice((1, 1, 2)) + (USERS[user],):
        argv = [*_ssh(desk, "ssh", password), desk.family(), f"{user}@files.office.lab", "uptime"]
        await desk.run(*argv, limit_s=20)
        await asyncio.sleep(desk.rng.uniform(1.5, 5))


async def scp(desk: Desk) -> None:
    """A file to or from a server."""
    user, server = desk.user(), desk.rng.choice(("files", "build"))
    there = f"{user}@{server}.office.lab:{desk.work}/home/{user}"
    put = f"{desk.work}/put/{desk.rng.randrange(24):02d}"
    pair = (put, f"{there}/in/{desk.host.name}.dat")
    if desk.rng.random() < 0.5:
        pair = (f"{there}/report{desk.rng.randrange(12):02d}.dat", "/dev/null")
    await desk.run(*_ssh(desk, "scp"), desk.family(), "-q", *pair)


async def ftp(desk: Desk, user: str = "", password: str = "") -> None:
    """A listing, a file to the server or a file from it."""
    user = user or desk.user()
    base = f"ftp://{user}:{password or USERS[user]}@files.office.lab"
    put = str(desk.work / "put" / f"{desk.rng.randrange(24):02d}")
    what = desk.rng.choice((
        fetch(f"{base}/"),
        fetch(f"{base}/report{desk.rng.randrange(12):02d}.dat", f"{base}/notes.txt"),
        ["-T", put, f"{base}/in/{desk.host.name}.bin"],
    ))  # fmt: skip
    await desk.curl(*what)


async def ftp_mistake(desk: Desk) -> None:
    """A wrong password, then the right one."""
    await ftp(desk, desk.user(), "let-Me-in1")
    await asyncio.sleep(desk.rng.uniform(1, 4))
    await ftp(desk)


async def publish(desk: Desk) -> None:
    """A measurement, a status."""
    value = f"{desk.rng.gauss(21, 2):.2f}," + "x" * int(desk.heavy(20, 400))
    broker, quality = desk.rng.choice((lan4(13), lan6(13))), desk.rng.choice("001")
    await desk.run("mosquitto_pub", "-h", broker, "-q", quality, "-t", f"rooms/{desk.host.name}",
                   "-m", value)  # fmt: skip


async def subscribe(desk: Desk) -> None:
    """A long connection with keep-alives, that hears every measurement."""
    await desk.run("mosquitto_sub", "-h", "app.office.lab", "-k", "10", "-t", "rooms/#", "-W",
                   str(int(desk.rng.uniform(40, 110))), limit_s=150)  # fmt: skip


async def redis(desk: Desk) -> None:
    """A few commands of a program to its store."""
    key, size = desk.rng.choice(WORDS), int(desk.heavy(150, 5_000))
    commands = (("SET", key, "v" * size), ("GET", key), ("INCR", f"n{key}"), ("EXPIRE", key, "60"))
    for command in desk.rng.sample(commands, desk.rng.randint(1, 3)):
        await desk.run("redis-cli", "-h", "app.office.lab", *command)


async def redis_idle(desk: Desk) -> None:
    """A pooled connection: a command now and then, silence between."""
    reader, writer = await asyncio.open_connection(lan4(13), 6379)
    try:
        for _ in range(desk.rng.randint(2, 8)):
            writer.write(b"*2\r\n$3\r\nGET\r\n$5\r\ntrain\r\n")
            await asyncio.wait_for(reader.read(65_536), 5)
            await asyncio.sleep(desk.heavy(6, 40))
    finally:
        writer.close()


async def iperf(desk: Desk) -> None:
    """A short, slow throughput test."""
    await desk.run("iperf3", "-c", "media.office.lab", desk.family(), "-n",
                   f"{desk.rng.randint(30, 150)}K", *desk.rng.choice(((), ("-R",), ("-u",))),
                   "-l", "1200", "-b", "1M", limit_s=20)  # fmt: skip


async def ping(desk: Desk) -> None:
    """Is it there?"""
    targets = (*(f"{s}.office.lab" for s in SERVERS), wan4(11), "www.news.lab", lan6(10), lan4(60))
    await desk.run("ping", "-n", "-c", str(desk.rng.randint(1, 6)), "-i", "0.7", "-W", "2", "-s",
                   str(desk.rng.choice((56, 56, 120, 1000))), desk.rng.choice(targets))  # fmt: skip


async def monitor(desk: Desk) -> None:
    """The administrator's check of all services."""
    checks = [("web", 80), ("web", 443), ("files", 22), ("files", 21), ("mail", 25), ("app", 6379)]
    for name, port in desk.rng.sample(checks, desk.rng.randint(3, 6)):
        with contextlib.suppress(OSError, TimeoutError):
            opening = asyncio.open_connection(lan4(BY_NAME[name].number), port)
            _, writer = await asyncio.wait_for(opening, 3)
            await asyncio.sleep(desk.rng.uniform(0.05, 0.4))
            writer.close()
        await desk.run("ping", "-n", "-c", "1", "-W", "1", lan4(BY_NAME[name].number))


async def discovery(desk: Desk) -> None:
    """Group questions: mDNS, SSDP or LLMNR."""
    service = desk.rng.choice((b"\x04_ipp", b"\x05_http", b"\x0b_googlecast", b"\x04_smb"))
    question = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + service + b"\x04_tcp\x05local\0\0\x0c\0\x01"
    search = (b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\n"
              b"MX: 2\r\nST: ssdp:all\r\n\r\n")  # fmt: skip
    name = desk.rng.choice(WORDS).encode()
    llmnr = struct.pack("!6H", desk.rng.randrange(65_536), 0, 1, 0, 0, 0)
    llmnr += bytes([len(name)]) + name + b"\0\0\x01\0\x01"
    packet, group, port, local = desk.rng.choice((
        (question, "224.0.0.251", 5353, 5353), (question, "ff02::fb%eth0", 5353, 5353),
        (search, "239.255.255.250", 1900, 0), (llmnr, "224.0.0.252", 5355, 0),
    ))  # fmt: skip
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", local))
        where = socket.getaddrinfo(group, port, family, socket.SOCK_DGRAM)[0][4]
        for _ in range(desk.rng.randint(1, 3)):
            sock.sendto(packet, where)
            await asyncio.sleep(desk.rng.uniform(0.2, 1.2))


async def dhcp(desk: Desk) -> None:
    """Renewal of the lease at the server, or a broadcast request for the same address."""
    broadcast = desk.rng.random() < 0.3
    mac = bytes.fromhex(desk.host.mac.replace(":", ""))
    own = socket.inet_aton(lan4(desk.host.number))
    options = b"\x63\x82\x53\x63\x35\x01\x03\x37\x04\x01\x03\x06\x0f"
    options += b"\x32\x04" + own if broadcast else b""
    head = struct.pack("!4BIHH", 1, 1, 6, 0, desk.rng.getrandbits(32), 0, 0)
    packet = head + (bytes(4) if broadcast else own) + bytes(12) + mac + bytes(202) + options
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.bind(("0.0.0.0", 68))
        sock.sendto(packet + b"\xff" + bytes(40), ("255.255.255.255" if broadcast else lan4(1), 67))
        await asyncio.sleep(1.0)


HABITS: dict[str, Habit] = {
    habit.__name__: habit
    for habit in (
        browse_inside, browse_outside, keep_alive, errors, form, download, abort, stream, refused,
        switched_off, filtered, lookup, typo, mail, ssh, ssh_mistake, scp, ftp, ftp_mistake,
        publish, subscribe, redis, redis_idle, iperf, ping, monitor, discovery, dhcp,
    )
}  # fmt: skip

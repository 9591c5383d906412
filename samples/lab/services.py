"""The servers of the office: real programs with private configuration below the work directory."""

import os
import random
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from office import (
    BEACON_NUMBER,
    BY_NAME,
    DROP_NUMBER,
    PRINTER_NUMBER,
    SITE_NUMBERS,
    TUNNEL_NUMBER,
    Office,
    lan4,
    lan6,
    run,
    wan4,
    wan6,
)

#: Users of ssh, ftp and mail, and their passwords. They exist inside the namespaces only.
USERS = {
    "alice": "spring-Rain7",
    "bob": "orange-Cart3",
    "carol": "quiet-River9",
    "dave": "old-Harbour2",
}
FIRST_UID = 21_001
N_PAGES, N_OBJECTS, N_BIG = 60, 60, 12
TUNNEL_DOMAIN, TUNNEL_PASSWORD = "t.files.lab", "umbrella"

#: What must listen before the lab is ready: namespace -> ports.
LISTENING = {
    "gw": (53,),
    "web": (22, 80, 443),
    "files": (21, 22),
    "mail": (25,),
    "app": (1883, 6379),
    "media": (80, 5201),
    "build": (22,),
    "wan": (80, 443),
}

#: Servers see an empty /run, /var/log and spool of their own: nothing is left on the machine.
PRIVATE_DIRECTORIES = """
mount -t tmpfs none /run && mount -t tmpfs none /var/log && mount -t tmpfs none /var/spool
mkdir -p /run/sshd /run/vsftpd/empty /var/spool/smtpd && chmod 711 /var/spool/smtpd
exec "$@"
"""

WORDS = (  # noqa: SIM905 - a list of words reads better as a text
    "the office river paper morning report window garden market train number letter summer table "
    "copper signal harbour meeting invoice yellow project engine bridge winter budget contract"
).split()


def prepare(office: Office, rng: random.Random) -> None:
    """Write accounts, keys, certificates and content; before the office is built."""
    work = office.work
    _accounts(work)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / "host_key"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(work / "user_key"))
    (work / "authorized_keys").write_text((work / "user_key.pub").read_text())
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        "-subj", "/CN=office.lab", "-keyout", str(work / "tls.key"),
        "-out", str(work / "tls.crt"))  # fmt: skip
    _content(work, rng)


def _accounts(work: Path) -> None:
    passwd = Path("/etc/passwd").read_text()
    shadow = Path("/etc/shadow").read_text()
    group = Path("/etc/group").read_text()
    for uid, (user, password) in enumerate(USERS.items(), FIRST_UID):
        home = work / "home" / user
        home.mkdir(parents=True)
        (home / ".hushlogin").touch()
        for path in (home, home / ".hushlogin"):
            os.chown(path, uid, uid)
        passwd += f"{user}:x:{uid}:{uid}:{user}:{home}:/bin/bash\n"
        shadow += f"{user}:{run('openssl', 'passwd', '-6', password).strip()}:19000:0:99999:7:::\n"
        group += f"{user}:x:{uid}:\n"
    for name, text, mode in (("passwd", passwd, 0o644), ("group", group, 0o644),
                             ("shadow", shadow, 0o600)):  # fmt: skip
        (work / name).write_text(text)
        (work / name).chmod(mode)


def _content(work: Path, rng: random.Random) -> None:
    """Pages, objects, downloads, files and mails of many sizes."""

    def prose(n_bytes: int) -> bytes:
        return " ".join(rng.choices(WORDS, k=n_bytes // 6 + 1)).encode()[:n_bytes]

    def heavy(median: float, sigma: float, most: int) -> int:
        return int(min(most, max(120, rng.lognormvariate(0, sigma) * median)))

    kinds = {
        "www/p": (N_PAGES, lambda: prose(heavy(5_000, 1.0, 60_000))),
        "www/o": (N_OBJECTS, lambda: rng.randbytes(heavy(3_500, 1.1, 70_000))),
        "www/big": (N_BIG, lambda: rng.randbytes(rng.randint(60_000, 220_000))),
        "www/stream": (6, lambda: rng.randbytes(300_000)),
        "put": (24, lambda: rng.randbytes(heavy(16_000, 1.0, 150_000))),
        "mail.d": (24, lambda: prose(heavy(4_000, 1.3, 90_000))),
    }
    for name, (count, make) in kinds.items():
        (work / name).mkdir(parents=True)
        for i in range(count):
            (work / name / f"{i:02d}").write_bytes(make())
    for path in (work / "mail.d").iterdir():
        subject = " ".join(rng.choices(WORDS, k=4))
        head = f"From: alice@office.lab\nTo: bob@office.lab\nSubject: {subject}\n\n"
        path.write_text(head + textwrap.fill(path.read_text(), 72) + "\n")
    for uid, user in enumerate(USERS, FIRST_UID):
        home = work / "home" / user
        (home / "in").mkdir()
        os.chown(home / "in", uid, uid)
        for i in range(12):
            (home / f"report{i:02d}.dat").write_bytes(rng.randbytes(heavy(14_000, 1.0, 150_000)))
        (home / "notes.txt").write_bytes(prose(2_500))


def start(office: Office) -> None:
    """Start every server and wait until all listen."""
    for name, log, argv in _servers(office):
        office.start(name, ["sh", "-c", PRIVATE_DIRECTORIES, "sh", *argv], f"{name}-{log}")
    deadline = time.monotonic() + 30
    for name, ports in LISTENING.items():
        while missing := [port for port in ports if f":{port} " not in _listening(office, name)]:
            if time.monotonic() > deadline:
                logs = "".join(p.read_text()[-800:] for p in office.work.glob(f"{name}-*.log"))
                raise RuntimeError(f"{name}: nothing listens on {missing} after 30 s\n{logs}")
            time.sleep(0.2)


def _listening(office: Office, name: str) -> str:
    return run(*office.inside(name, "ss", "-Hltun"))


def _servers(office: Office) -> Iterator[tuple[str, str, list[str]]]:
    """Every server: host, name of its log, command line. Writes the configuration files."""
    work = office.work

    def config(name: str, text: str) -> str:
        path = work / name
        path.write_text(text)
        return str(path)

    yield "gw", "dnsmasq", ["dnsmasq", "--no-daemon", "-C", config("dnsmasq.conf", _dnsmasq(work))]
    yield "gw", "chrony", ["chronyd", "-x", "-d", "-U", "-u", "root", "-f", config(
        "chrony-server.conf",
        f"local stratum 3\nallow\ncmdport 0\nbindcmdaddress /\npidfile {work}/chrony-gw.pid\n",
    )]  # fmt: skip
    for name in ("ws1", "ws2", "ws3", "ws4", "ws5", "lap1", "lap2", "admin", "build", "camera"):
        yield name, "chrony", ["chronyd", "-x", "-d", "-U", "-u", "root", "-f", config(
            f"chrony-{name}.conf",
            f"server {lan4(1)} minpoll 4 maxpoll 6\ncmdport 0\nbindcmdaddress /\n"
            f"pidfile {work}/chrony-{name}.pid\n",
        )]  # fmt: skip
    for name in ("web", "media", "wan"):
        yield name, "nginx", ["nginx", "-e", "stderr", "-p", str(work), "-c",
                              config(f"nginx-{name}.conf", _nginx(work, name))]  # fmt: skip
    for name in ("web", "files", "build"):
        yield name, "sshd", ["/usr/sbin/sshd", "-D", "-e", "-f",
                             config("sshd.conf", _sshd(work))]  # fmt: skip
    yield "files", "vsftpd", ["vsftpd", config("vsftpd.conf", _vsftpd())]
    yield "mail", "smtpd", ["smtpd", "-d", "-f", config("smtpd.conf", _smtpd(work))]
    yield "app", "mosquitto", ["mosquitto", "-c", config(
        "mosquitto.conf", "listener 1883\nallow_anonymous true\npersistence false\nuser root\n"
    )]  # fmt: skip
    yield "app", "redis", ["redis-server", "--port", "6379", "--protected-mode", "no", "--save",
                           "", "--dir", str(work), "--bind", "0.0.0.0", "::"]  # fmt: skip
    yield "media", "iperf3", ["iperf3", "-s"]


def _dnsmasq(work: Path) -> str:
    names = {name: (lan4(h.number), lan6(h.number)) for name, h in BY_NAME.items()}
    names["printer"] = (lan4(PRINTER_NUMBER), lan6(PRINTER_NUMBER))
    lines = [f"{v4} {name}.office.lab\n{v6} {name}.office.lab" for name, (v4, v6) in names.items()]
    sites = SITE_NUMBERS | {"updates": BEACON_NUMBER, "dropbin": DROP_NUMBER}
    lines += [f"{wan4(n)} www.{name}.lab\n{wan6(n)} www.{name}.lab" for name, n in sites.items()]
    (work / "names").write_text("\n".join(lines) + "\n")
    leases = "".join(f"dhcp-host={h.mac},{lan4(h.number)}\n" for h in BY_NAME.values())
    return (
        f"no-resolv\nno-hosts\naddn-hosts={work}/names\nlocal=/lab/\nlocal-ttl=30\n"
        f"local=/0.77.10.in-addr.arpa/\nuser=root\npid-file={work}/dnsmasq.pid\n"
        f"server=/{TUNNEL_DOMAIN}/{wan4(TUNNEL_NUMBER)}\n"
        f"mx-host=office.lab,mail.office.lab,10\ntxt-record=office.lab,v=spf1 mx -all\n"
        f"interface=eth0\nbind-dynamic\ndhcp-authoritative\ndhcp-leasefile={work}/leases\n"
        f"dhcp-range=10.77.0.0,static,255.255.255.0,10m\n{leases}"
        "dhcp-range=fd77::,ra-only,64,10m\nenable-ra\nra-param=eth0,20,600\n"
    )


def _nginx(work: Path, name: str) -> str:
    limit = "limit_rate 12k;" if name == "media" else ""
    return f"""
daemon off;
user root;
worker_processes 1;
pid {work}/nginx-{name}.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {work}/nginx-{name}-body;
  proxy_temp_path {work}/nginx-{name}-proxy;
  fastcgi_temp_path {work}/nginx-{name}-f;
  uwsgi_temp_path {work}/nginx-{name}-u;
  scgi_temp_path {work}/nginx-{name}-s;
  client_max_body_size 64m;
  keepalive_timeout 75s;
  default_type text/html;
  server {{
    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
    ssl_certificate {work}/tls.crt;
    ssl_certificate_key {work}/tls.key;
    root {work}/www;
    location /stream/ {{ {limit} }}
    location /old/ {{ return 301 /p/00; }}
    location /private/ {{ return 403; }}
    location /upload {{ proxy_pass http://127.0.0.1:8081; }}
  }}
  server {{ listen 127.0.0.1:8081; location / {{ return 204; }} }}
}}
"""


def _sshd(work: Path) -> str:
    return (
        f"HostKey {work}/host_key\nPidFile none\nUsePAM no\nStrictModes no\nPrintMotd no\n"
        f"PasswordAuthentication yes\nAuthorizedKeysFile {work}/authorized_keys\nUseDNS no\n"
        "PrintLastLog no\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )


def _vsftpd() -> str:
    return (
        "listen_ipv6=YES\nlocal_enable=YES\nwrite_enable=YES\nanonymous_enable=NO\n"
        "secure_chroot_dir=/run/vsftpd/empty\npam_service_name=vsftpd\nseccomp_sandbox=NO\n"
        "background=NO\npasv_min_port=40000\npasv_max_port=40999\nuse_localtime=NO\n"
        "xferlog_enable=NO\n"
    )


def _smtpd(work: Path) -> str:
    return (
        'table aliases { "postmaster" = "alice" }\n'
        "listen on 0.0.0.0 port 25 hostname mail.office.lab\n"
        "listen on :: port 25 hostname mail.office.lab\n"
        f'action "local" maildir "{work}/home/%{{user.username}}/mail" alias <aliases>\n'
        'match from any for domain "office.lab" action "local"\n'
    )

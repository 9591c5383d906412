"""A wire to watch: two ends of a veth pair in a network namespace of the test's own."""

import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_ATTEMPT_S = 30
#: What must be there, and the Debian package that it comes in.
_PROGRAMS = {"ip": "iproute2", "tcpdump": "tcpdump", "tcpreplay": "tcpreplay"}
#: Before whatever else the machine does: who shares its processors with tests cannot keep up.
FIRST = ("nice", "-n", "-15")
#: Has tcpdump write each packet as it comes; not for high rates.
AT_ONCE = "--immediate-mode"
TAPWATCH = (sys.executable, "-m", "tapwatch")


class Wire:
    """Frames that are sent into `near` come in at `far`."""

    near, far = "near", "far"

    def __init__(self, name: str) -> None:
        self.name = name
        self.inside = ("ip", "netns", "exec", name)
        for command in (
            f"ip netns add {name}",
            f"{' '.join(self.inside)} sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
            f"ip -n {name} link set lo up",
            f"ip -n {name} link add {self.near} type veth peer name {self.far}",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        for end in (self.near, self.far):
            self.ip("link", "set", end, "up")
        with self:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.bind((self.near, 0))

    def ip(self, *arguments: str) -> None:
        """Run `ip` in the namespace."""
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, capture_output=True)

    def __enter__(self) -> "Wire":
        """Bring this thread into the namespace."""
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        with _opened(f"/run/netns/{self.name}") as there:
            _enter(there)
        return self

    def __exit__(self, *_: object) -> None:
        _enter(self._outside)
        os.close(self._outside)

    def send(self, *frames: bytes) -> None:
        """Put frames on the wire."""
        for frame in frames:
            self._socket.send(frame)

    def start(self, *command: object, **more: object) -> subprocess.Popen:
        """Start a program in the namespace; the caller ends it."""
        return subprocess.Popen(
            [*self.inside, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            **more,
        )

    @contextlib.contextmanager
    def recorded(self, path: Path, interface: str = far, *options: str):
        """Have tcpdump write what comes in meanwhile."""
        command = (*FIRST, "tcpdump", "-i", interface, "-w", path, "-U", "-B", "524288")
        with self.start(*command, "--time-stamp-precision=nano", *options) as child:
            try:
                assert b"listening" in child.stderr.readline()
                yield
                # Its ring hands over what is left, after a second unless it is told otherwise.
                time.sleep(0.1 if AT_ONCE in options else 1.2)
                ended = _wait_until_idle(path)
            finally:
                child.send_signal(signal.SIGINT)
            said = child.communicate(timeout=30)[1].decode()
        assert ended
        assert "\n0 packets dropped by kernel" in said, said

    def close(self) -> None:
        """Remove the namespace and all that is in it."""
        self._socket.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def _wait_until_idle(path: Path) -> bool:
    """Wait until a file has stopped growing."""
    size = -1
    for _ in range(100):
        if path.stat().st_size == size:
            return True
        size = path.stat().st_size
        time.sleep(0.2)
    return False


@contextlib.contextmanager
def _opened(path: str):
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def _enter(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@functools.cache
def _hindrance() -> str | None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "wants Linux and root: namespaces and packet sockets"
    missing = [f"{p} (Debian: {d})" for p, d in _PROGRAMS.items() if not shutil.which(p)]
    if missing:
        return f"wants {', '.join(missing)}"
    try:
        Wire(f"tw-probe-{os.getpid()}").close()
    except (subprocess.CalledProcessError, OSError) as error:
        return f"no namespace with a veth pair can be made: {error}"
    return None


def made(number: int) -> Wire:
    """A wire; without what it takes the test is skipped, but fails where CI=true."""
    if why := _hindrance():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why}, and CI=true wants it")
        pytest.skip(why)
    return Wire(f"tw-{os.getpid()}-{number}")


def promiscuity(wire: Wire) -> int:
    """How many want the far end promiscuous."""
    command = [*wire.inside, "ip", "-j", "-d", "link", "show", wire.far]
    shown = subprocess.run(command, check=True, capture_output=True).stdout
    return int(json.loads(shown)[0]["promiscuity"])


def until(true, seconds: float = _ATTEMPT_S) -> None:
    """Wait for something to become true."""
    end_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end_s, "it did not become true"
        time.sleep(0.02)

"""Filters are compiled by libpcap; what it refuses, the operator is told in its own words."""

import socket
import struct
import subprocess
import sys

import numpy as np
import pytest

from tapwatch.capture.bpf import compile_for_interface, compile_for_link_type
from tapwatch.errors import CaptureError, ConfigError


def dumped(text, dlt):
    """The program as `tcpdump -ddd` prints it: their number, then code jt jf k of each."""
    command = ["tcpdump", "-y", dlt, "-s", "262144", "-ddd", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]


@pytest.mark.parametrize(
    ("link_type", "dlt"),
    [(1, "EN10MB"), (14, "RAW"), (101, "RAW"), (113, "LINUX_SLL"), (100, "ATM_RFC1483")],
)
@pytest.mark.parametrize(
    "text", ["", "tcp port 80", "ip6 host 2001:db8::1 or net 10.0.0.0/8", "ip[6:2] & 0x1fff > 0"]
)
def test_the_program_is_that_of_tcpdump(text, link_type, dlt):
    """The same instructions, whatever number the link type has in files."""
    program = compile_for_link_type(text, link_type)

    assert [tuple(row) for row in program.instructions.tolist()] == dumped(text, dlt)
    assert (program.text, program.link_type) == (text, link_type)


def test_a_program_is_laid_out_as_the_kernel_wants_it():
    """Eight bytes an instruction: code, two jumps, one number, in the machine's byte order."""
    program = compile_for_link_type("ether proto 0x1234", 1, 96)

    codes = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x1234), (0x06, 0, 0, 96), (0x06, 0, 0, 0)]
    assert program.sock_filters == b"".join(struct.pack("=HBBI", *code) for code in codes)
    assert len(program) == 4


def test_a_program_that_keeps_nothing_is_not_made_by_a_snap_length_of_0():
    """Files say 0 where they mean that there is no limit."""
    assert compile_for_link_type("", 1, 0).instructions["k"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tcp port", "libpcap: can't parse filter expression: syntax error"),
        ("no such words", "libpcap: can't parse filter expression: syntax error"),
        ("type mgt", "libpcap: 802.11 link-layer types supported only on 802.11"),
        ("tcp\0udp", "it holds a NUL character"),
        ("\udcff\x1b[0m", "libpcap: "),
    ],
)
def test_what_libpcap_refuses_is_a_fault_of_the_configuration(text, why):
    """The message holds the filter, what is wanted and the reason, and no control character."""
    with pytest.raises(ConfigError) as refusal:
        compile_for_link_type(text, 1)

    message = str(refusal.value)
    assert message.startswith(f"--filter = {text!r}: want a filter as tcpdump takes it")
    assert why in message
    assert message.isprintable()


def test_a_link_type_that_libpcap_does_not_know_is_named():
    """So that the filter may be good for others of the capture."""
    with pytest.raises(ConfigError, match="unknown data link type 9999"):
        compile_for_link_type("tcp", 9999)


def may_capture():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return False
    return True


needs_capability = pytest.mark.skipif(not may_capture(), reason="needs CAP_NET_RAW")


@needs_capability
def test_a_filter_for_an_interface_finds_the_tag_that_the_kernel_took_out():
    """`vlan` asks for the kernel's own field, which no file has."""
    of_file = compile_for_link_type("vlan 100", 1).instructions
    of_tap = compile_for_interface("vlan 100", "lo").instructions

    tag_field = np.uint32((-0x1000 + 44) & 0xFFFFFFFF)  # SKF_AD_OFF + SKF_AD_VLAN_TAG
    assert tag_field in of_tap["k"]
    assert tag_field not in of_file["k"]


@needs_capability
def test_the_kernel_takes_the_program():
    """It checks every jump and load when a program is attached."""
    program = compile_for_interface("vlan 7 or (ip6 and udp) or tcp[tcpflags] & tcp-syn != 0", "lo")
    broken = program.instructions.copy()
    broken["code"][0] = 0xFFFF
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        attach(tap, program.sock_filters)
        with pytest.raises(OSError, match="Invalid argument"):
            attach(tap, broken.tobytes())


def attach(tap, filters):
    raw = np.frombuffer(filters, np.uint8)
    head = struct.pack("HL", len(raw) // 8, raw.ctypes.data)
    tap.setsockopt(socket.SOL_SOCKET, 26, head)  # SO_ATTACH_FILTER


@needs_capability
@pytest.mark.parametrize("name", ["nosuch0", "a\0b", "x" * 300, "\udcff"])
def test_an_interface_that_there_is_not_is_refused(name):
    """It is a fault of the input, not of the filter."""
    with pytest.raises(CaptureError, match="want the name of an interface"):
        compile_for_interface("tcp", name)


@needs_capability
def test_a_filter_with_a_syntax_error_is_refused_for_an_interface_too():
    """With libpcap's message."""
    with pytest.raises(ConfigError, match="syntax error"):
        compile_for_interface("tcp port", "lo")


def test_without_permission_the_capability_is_named():
    """Whoever may not capture learns what is wanted."""
    code = """
import os
if os.getuid() == 0:
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
from tapwatch.errors import CaptureError
from tapwatch.capture import bpf
try:
    bpf.compile_for_interface("tcp", "lo")
except CaptureError as error:
    print(error)
"""

    done = subprocess.run(
        [sys.executable, "-c", "import tapwatch.capture.bpf\n" + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CAP_NET_RAW" in done.stdout, done.stderr


def test_without_libpcap_the_package_is_named(monkeypatch):
    """Nothing else than filters wants libpcap."""
    from tapwatch.capture import bpf

    def missing(_path):
        raise OSError

    monkeypatch.setattr(bpf.ctypes, "CDLL", missing)
    monkeypatch.setattr(bpf.ctypes.util, "find_library", lambda _name: None)
    bpf._loaded.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"--filter = 'tcp': want libpcap.*libpcap0\.8"):
            compile_for_link_type("tcp", 1)
    finally:
        bpf._loaded.cache_clear()

"""Golden captures of many hosts: windows, sessions, streams, scans and beacons."""

import struct
from ipaddress import ip_address

from tests.conformance import sessions
from tests.conformance.craft import (
    Record,
    Talk,
    at,
    by_time,
    ethernet,
    icmp,
    in_frame,
    mac_of,
    numbers,
    payload,
    udp,
)

A, B, B6 = "192.168.7.10", "192.168.7.20", "2001:db8::b"


def kdd_windows() -> list[Record]:
    """120 connections of five hosts to three, some rejected, some half open, in 12 s."""
    drawn, talks = numbers(600, seed=7), []
    for k in range(120):
        host, server, port, kind, jitter = drawn[5 * k : 5 * k + 5]
        service = (80, 22, 25, 8, 53)[port % 5]
        talk = Talk(
            src=f"10.0.0.{1 + host % 5}",
            dst=f"10.0.1.{1 + server % 3}",
            src_port=30_000 + (k if jitter % 4 else 0),
            dst_port=service,
        )
        start_ms = 100 * k + jitter % 90
        if kind % 4 == 0:
            talk.say(start_ms, 0, "S")
        elif kind % 4 == 1:
            talk.say(start_ms, 0, "S")
            talk.say(start_ms + 1, 1, "RA")
        else:
            talk.open(start_ms)
            talk.say(start_ms + 11, 0, "PA", payload(kind % 90))
            talk.close(start_ms + 20)
        talks.append(talk.records)
    pings = [at(50 * k, in_frame(icmp(f"10.0.0.{1 + k % 5}", "10.0.1.1", 8, 0))) for k in range(20)]
    land = Talk(src="10.0.1.2", dst="10.0.1.2", src_port=139, dst_port=139)
    land.say(5000, 0, "S")
    urgent = Talk(src="10.0.0.9", dst="10.0.1.3", src_port=31_000, dst_port=23)
    urgent.open(6000)
    urgent.say(6020, 0, "PAU", payload(3))
    urgent.close(6100)
    for k in range(30):  # these end while the half-open ones fall silent
        talk = Talk(src="10.0.0.7", dst=f"10.0.1.{1 + k % 3}", src_port=32_000 + k, dst_port=22)
        talk.open(60_000 + 400 * k)
        talk.close(60_100 + 400 * k)
        talks.append(talk.records)
    last = at(90_000, in_frame(udp(A, B, (5000, 5001), b"the end")))
    return by_time(*talks, pings, land.records, urgent.records, [last])


def kdd_content() -> list[Record]:
    """The sessions in clear text, one a protocol and more."""
    talks = []
    for number, (port, sent) in enumerate(sessions.SESSIONS.values()):
        talk = Talk(src=f"10.2.0.{1 + number}", src_port=33_000 + number, dst_port=port)
        talk.open(3000 * number)
        for k, (side, text) in enumerate(sent):
            talk.say(3000 * number + 50 + 20 * k, side, "PA", text)
        talk.close(3000 * number + 1500)
        talks.append(talk.records)
    return by_time(*talks)


def damped() -> list[Record]:
    """200 frames of four hosts: steady, in bursts, after silences of seconds, with ARP and ICMP."""
    drawn, records, at_ms = numbers(800, seed=3), [], 0.0
    ends = ("10.3.0.1", "10.3.0.2", "10.3.0.3", "2001:db8::3")
    for k in range(200):
        which, size, gap, kind = drawn[4 * k : 4 * k + 4]
        at_ms += (0, 0.5, 7, 40, 300, 2500)[gap % 6] if k % 50 else 20_000
        if which % 4 == 3:
            frame = in_frame(udp(ends[3], B6, (6000 + kind % 2, 53), payload(20 + size % 250)))
        elif kind % 10 == 0:
            src, dst = ends[which % 3], ends[(which + 1) % 3]
            frame = arp_frame(1, src, dst)
        elif kind % 10 == 1:
            frame = in_frame(icmp(ends[which % 3], ends[2], 8, 0, payload(size % 60)))
        else:
            src, dst = (ends[0], ends[1]) if kind % 2 else (ends[1], ends[0])
            ports = (7000, 80) if kind % 2 else (80, 7000)
            frame = in_frame(udp(src, dst, ports, payload((size % 5) * 90 + 1)))
        if k % 7 == 0:  # another station with the sender's address
            frame = frame[:6] + b"\x02\x07" + frame[8:]
        records.append(at(at_ms, frame))
    return records


def arp_frame(opcode: int, src: str, dst: str, claims: str | None = None) -> bytes:
    """A question or an answer; `claims` is the address that the sender says it has."""
    claimed, wanted = ip_address(claims or src).packed, ip_address(dst).packed
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, opcode) + mac_of(src) + claimed
    body += (bytes(6) if opcode == 1 else mac_of(dst)) + wanted
    return ethernet(src, "255.255.255.255" if opcode == 1 else dst, 0x0806, body)


def hosts() -> list[Record]:
    """A scan, a sweep, a beacon, an upload, and the resolution of odd names."""
    records = []
    for k in range(30):  # one host, many ports: some closed, some silent
        scan = Talk(src="10.4.0.66", dst="10.4.0.1", src_port=45_000, dst_port=1 + 7 * k)
        scan.say(500 + 20 * k, 0, "S")
        if k % 3:
            scan.say(501 + 20 * k, 1, "RA")
        records += scan.records
    for k in range(25):  # one port, many hosts
        sweep = Talk(src="10.4.0.77", dst=f"10.4.1.{k + 1}", src_port=46_000 + k, dst_port=445)
        sweep.say(6000 + 30 * k, 0, "S")
        if k == 20:
            sweep.say(6001 + 30 * k, 1, "SA")
        records += sweep.records
        records.append(at(6002 + 30 * k, arp_frame(1, "10.4.0.77", f"10.4.1.{k + 1}")))
    for k in range(9):  # every 10 s, to the ms
        beacon = Talk(src="10.4.0.88", dst="198.51.100.9", src_port=47_000 + k, dst_port=443)
        beacon.open(1000 + 10_000 * k)
        beacon.say(1050 + 10_000 * k, 0, "PA", payload(64))
        beacon.close(1100 + 10_000 * k)
        records += beacon.records
    upload = Talk(src="10.4.0.99", dst="198.51.100.7", src_port=48_000, dst_port=443)
    upload.open(11_000)
    for k in range(20):
        upload.say(11_100 + 10 * k, 0, "A", payload(1200))
        if k % 4 == 3:
            upload.say(11_105 + 10 * k, 1, "A")
    records += upload.records
    for k in range(12):
        name = bytes(97 + (k * j * 7 + 3 * j) % 26 for j in range(1, 25))
        message = dns(0x0100, name, b"tunnel", b"example")
        records.append(
            at(16_000 + 100 * k, in_frame(udp("10.4.0.55", "10.4.0.2", (5300 + k, 53), message)))
        )
        answer = dns(0x8183, name, b"tunnel", b"example")
        records.append(
            at(16_010 + 100 * k, in_frame(udp("10.4.0.2", "10.4.0.55", (53, 5300 + k), answer)))
        )
    records.append(at(9000, arp_frame(1, "10.4.0.77", "10.4.1.1")))  # asked twice
    for k in range(2):  # a name that there is, asked for twice
        question = udp("10.4.0.55", "10.4.0.2", (5400 + k, 53), dns(0x0100, b"www", b"example"))
        answer = udp("10.4.0.2", "10.4.0.55", (53, 5400 + k), dns(0x8180, b"www", b"example"))
        records += [at(17_500 + k, in_frame(question)), at(17_510 + k, in_frame(answer))]
    refused = udp("10.4.0.55", "10.4.0.3", (5500, 161), payload(9))
    records.append(at(18_000, in_frame(refused)))
    records.append(
        at(18_001, in_frame(icmp("10.4.0.3", "10.4.0.55", 3, 3, bytes(4) + refused[:28])))
    )
    records.append(at(18_500, in_frame(udp("10.4.0.55", "239.255.255.250", (1900, 1900), b"x"))))
    return by_time(records)


def dns(flags: int, *labels: bytes) -> bytes:
    """A message with one question of type A."""
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack(">HHHHHH", 0x2B2B, flags, 1, 0, 0, 0) + name + b"\0\1\0\1"

"""A cable in user space: frames between two TAP devices, late, jittered, lost or out of order.

Runs inside the switch's namespace: `link.py WIRES.json`. Makes both TAP devices of every wire,
prints "ready" and carries frames until it is ended; whoever started it may move the devices to
other namespaces, the open file descriptors go with them.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
FRAME_BYTES = 65_536
#: More frames than this in flight on one wire are dropped, as a queue in a switch would.
MAX_IN_FLIGHT = 2_000


@dataclass(frozen=True, slots=True)
class Wire:
    """Two ends and what happens between them; the same in both directions."""

    a: str
    """Device name of the end at the switch."""
    b: str
    """Device name of the end at the host."""
    mac: str
    """Only frames to this address, and group frames, are carried from a to b; empty: all."""
    delay_ms: float
    jitter_ms: float
    """Mean of the exponential part of the delay."""
    loss: float
    """Share of frames lost on the way from b to a, that is before the tap sees them."""
    reorder: float
    """Share of frames that may overtake those before them."""


@dataclass(slots=True)
class Direction:
    """One way through a wire."""

    wire: Wire
    out: int
    loss: float
    only_to: bytes
    last_due: float = 0.0
    in_flight: int = 0

    def wanted(self, frame: bytes) -> bool:
        """A flooding switch sends everything everywhere; what is for others ends here."""
        return not self.only_to or bool(frame[0] & 1) or frame[:6] == self.only_to


@dataclass(slots=True)
class Link:
    """All wires of a lab in one loop."""

    rng: random.Random
    ways: dict[int, Direction] = field(default_factory=dict)
    due: list[tuple[float, int, Direction, bytes]] = field(default_factory=list)
    n_frames: int = 0

    def add(self, wire: Wire) -> None:
        """Make the two devices of `wire`."""
        a, b = open_tap(wire.a), open_tap(wire.b)
        self.ways[a] = Direction(wire, b, 0.0, bytes.fromhex(wire.mac.replace(":", "")))
        self.ways[b] = Direction(wire, a, wire.loss, b"")

    def accept(self, way: Direction, frame: bytes, now: float) -> None:
        """Put a frame on its way, or lose it."""
        if not way.wanted(frame) or self.rng.random() < way.loss or way.in_flight >= MAX_IN_FLIGHT:
            return
        wire = way.wire
        jitter = self.rng.expovariate(1 / wire.jitter_ms) if wire.jitter_ms else 0.0
        due = now + (wire.delay_ms + min(jitter, 8 * wire.jitter_ms)) / 1000
        if self.rng.random() < wire.reorder:
            due = now + wire.delay_ms / 2000
        else:
            due = way.last_due = max(due, way.last_due)
        way.in_flight += 1
        self.n_frames += 1
        heapq.heappush(self.due, (due, self.n_frames, way, frame))

    def deliver(self, now: float) -> float | None:
        """Write every frame that is due; returns the seconds to the next one."""
        while self.due and self.due[0][0] <= now:
            _, _, way, frame = heapq.heappop(self.due)
            way.in_flight -= 1
            try:
                os.write(way.out, frame)
            except OSError:
                continue  # the far end is down: the frame is lost, like on a pulled cable
        return self.due[0][0] - now if self.due else None

    def carry(self) -> None:
        """Carry frames until the process is ended."""
        while True:
            wait = self.deliver(time.monotonic())
            readable, _, _ = select.select(list(self.ways), [], [], wait)
            for fd in readable:
                try:
                    frame = os.read(fd, FRAME_BYTES)
                except OSError:
                    continue
                self.accept(self.ways[fd], frame, time.monotonic())


def open_tap(name: str) -> int:
    """Make a TAP device; it lives as long as the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def main(argv: Iterable[str]) -> None:
    """Read the wires from a JSON file and carry."""
    [path] = argv
    with open(path) as file:
        wires = [Wire(**each) for each in json.load(file)]
    link = Link(random.Random(str(wires)))
    for wire in wires:
        link.add(wire)
    print("ready", flush=True)
    link.carry()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)

"""The live source over a ring in memory and a clock of its own: what it says and counts."""

from types import SimpleNamespace

import numpy as np
import pytest

from tapwatch.capture import afpacket
from tapwatch.capture.afpacket import AfPacketSource
from tapwatch.config import CaptureConfig
from tests.capture.ring_images import Block, Frame

S, MS = 10**9, 10**6
T0 = 1_700_000_000 * S
RING = CaptureConfig(ring_blocks=4, ring_block_bytes=65_536)


class Clock:
    """Stands in for the module `time`: the clock on the wall can be set, the steady one cannot."""

    def __init__(self) -> None:
        self.steady_ns, self.set_by_ns = 0, 0

    def monotonic(self) -> float:
        """Seconds."""
        return self.steady_ns / S

    def monotonic_ns(self) -> int:
        """Nanoseconds."""
        return self.steady_ns

    def time_ns(self) -> int:
        """What is on the wall."""
        return T0 + self.steady_ns + self.set_by_ns


class Tap:
    """A source, its ring, and a socket that knows nothing but this memory."""

    hardware = SimpleNamespace(link_type=1, is_loopback=False)

    def __init__(self, clock: Clock, **options) -> None:
        self.clock, self.said, self.waits = clock, [], []
        self.memory = np.zeros(RING.ring_blocks * RING.ring_block_bytes, np.uint8)
        self.n_blocks = self.n_frames = 0
        self.source = AfPacketSource(self, "eth0", RING, said=self.said.append, **options)
        self.source.start()

    def hook(self, *, promiscuous: bool) -> None:
        """Whatever is wanted."""

    def put(self, *ages_ns: int) -> None:
        """The kernel's next block: frames so long before the clock on the wall."""
        at = self.n_blocks % RING.ring_blocks * RING.ring_block_bytes
        frames = [Frame(bytes(60), ts_ns=self.clock.time_ns() - age) for age in ages_ns]
        image = Block(frames).image(RING.ring_block_bytes)
        self.memory[at : at + RING.ring_block_bytes] = np.frombuffer(image, np.uint8)
        self.n_blocks, self.n_frames = self.n_blocks + 1, self.n_frames + len(frames)

    def after(self, milliseconds: int, *ages_ns: int):
        """One batch, so much later; with a block where ages are given."""
        self.clock.steady_ns += milliseconds * MS
        if ages_ns:
            self.put(*ages_ns)
        return self.source.read()

    def wait(self, seconds: float) -> int:
        """No time passes, and nothing comes."""
        self.waits.append(seconds)
        return 0

    def statistics(self):
        """All that was put into the ring."""
        return SimpleNamespace(packets=0, dropped=0, freezes=0)

    def is_up(self) -> bool:
        """Always."""
        return True

    def metric(self, name: str) -> float:
        """Value of a metric that has one series."""
        [tally] = [tally for tally in self.source.tallies() if tally.name == name]
        return sum(tally.values.values())


@pytest.fixture
def clock(monkeypatch):
    """The only clock that the source sees."""
    clock = Clock()
    monkeypatch.setattr(afpacket, "time", clock)
    return clock


def test_a_wire_that_is_never_silent_is_flushed_every_max_wait(clock):
    """Not only when it falls silent: else rows would wait until their batch is full."""
    tap = Tap(clock, max_wait_ms=45)

    flushed = [tap.after(10, 0).flush for _ in range(20)]

    assert flushed == [False, False, False, False, True] * 4


def test_the_wait_is_no_longer_than_rows_may_wait(clock):
    """Rows of a batch that asked for no flush are owed one; after it the wait is a look's again."""
    tap = Tap(clock, max_wait_ms=50)
    tap.after(50, 0)
    tap.after(20, 0)

    empty = tap.after(10)
    tap.after(10)

    assert tap.waits == pytest.approx([0.02, 0.1])
    assert (len(empty), empty.flush) == (0, True)


def test_the_lag_is_the_age_of_the_latest_frame(clock):
    """0 once the wire is quiet, and where a stamp is ahead of the clock."""
    tap, lags = Tap(clock), []

    for ages in ((700 * MS, 500 * MS), (), (250 * MS,), (-5 * MS,)):
        tap.after(10, *ages)
        lags.append(tap.metric("capture_lag_seconds"))

    assert lags == [0.5, 0, 0.25, 0]


def test_a_frame_from_before_what_was_declared_quiet_is_counted(clock):
    """One at that very time is not."""
    tap = Tap(clock)
    tap.after(0, 0)
    for _ in range(20):
        quiet_ns = tap.after(100).until_ns

    age_ns = clock.time_ns() - quiet_ns
    tap.after(0, age_ns + 2, age_ns + 1, age_ns, 0)

    assert quiet_ns > T0 + S
    assert tap.metric("capture_behind_packets_total") == 2


def test_the_fill_ratio_is_the_share_of_blocks_that_wait(clock):
    """Those whose rows were handed over are ours until the next read."""
    tap, ratios = Tap(clock), []

    ratios.append(tap.metric("capture_ring_fill_ratio"))
    for _ in range(3):
        tap.put(0)
    ratios.append(tap.metric("capture_ring_fill_ratio"))
    tap.source.read()
    ratios.append(tap.metric("capture_ring_fill_ratio"))
    tap.source.read()
    ratios.append(tap.metric("capture_ring_fill_ratio"))

    assert ratios == [0, 0.75, 0.75, 0]


@pytest.mark.parametrize("ages", [(0,), ()], ids=["frames", "a quiet wire"])
def test_a_clock_that_is_set_back_is_told_once_and_counted(clock, ages):
    """With frames or without; the gauge falls until the clock has caught up, which is told too."""
    tap = Tap(clock)
    tap.after(0, 0)
    clock.set_by_ns = -3600 * S

    behind = []
    for milliseconds in (0, 1_600_000, 1_999_000, 900, 100, 100):
        tap.after(milliseconds, *ages)
        behind.append(round(tap.metric("capture_clock_behind_seconds"), 3))

    assert behind == [3600, 2000, 1, 0.1, 0, 0]
    assert tap.metric("capture_clock_set_back_total") == 1
    assert tap.said == [
        "eth0: the clock was set back by 3,600 s: until it has caught up no timeout passes; start "
        "tapwatch again to go on at once",
        "eth0: the clock has caught up with packet time",
    ]


def test_each_time_that_the_clock_is_set_back_is_counted(clock):
    """And told, once the one before is over."""
    tap = Tap(clock)
    tap.after(0, 0)

    for _ in range(3):
        clock.set_by_ns -= 5 * S
        tap.after(10, 0)
        tap.after(6000, 0)

    assert tap.metric("capture_clock_set_back_total") == 3
    assert len(tap.said) == 6


def test_frames_that_overtake_each_other_are_no_clock_that_was_set(clock):
    """Up to a second: cores and offloads deliver out of order."""
    tap = Tap(clock)

    for age_ns in (0, 999 * MS, 0, 300 * MS):
        tap.after(0, age_ns)

    assert tap.said == []
    assert tap.metric("capture_clock_set_back_total") == 0
    assert tap.metric("capture_clock_behind_seconds") == 0

"""The live source, in this process: what comes in is what tcpdump beside it records."""

import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tapwatch.capture import open_captures, open_interface, packet_socket, ring_layout
from tapwatch.config import CaptureConfig, Config
from tapwatch.errors import CaptureError, ConfigError
from tapwatch.pipeline import Corridor
from tests.live.wire import AT_ONCE, promiscuity, until
from tests.test_pipeline import query
from tests.test_silence import PACKED

TINY = CaptureConfig(ring_blocks=2, ring_block_bytes=65_536)
MACS = bytes.fromhex("020000000001020000000002")


def tagged(tag: int, frame: bytes, tpid: int = 0x8100) -> bytes:
    """The frame with a VLAN tag."""
    return frame[:12] + tpid.to_bytes(2, "big") + tag.to_bytes(2, "big") + frame[12:]


class Tap:
    """A live source on the far end of a wire, and all that it has handed over."""

    def __init__(self, wire, interface=None, config=None, **options) -> None:
        self.is_over, self.said, self.seen = False, [], []
        self.until_ns, self.flushes = [], 0
        with wire:
            self.source = open_interface(
                interface or wire.far,
                config,
                stopped=lambda: self.is_over,
                said=self.said.append,
                **options,
            )
            self.source.start()

    def read(self) -> int:
        """One batch; returns how many frames there were, -1 at the end."""
        batch = self.source.read()
        if batch is None:
            return -1
        for row in batch.frames:
            data = batch.data[row["start"] : row["start"] + row["captured_bytes"]]
            self.seen.append((int(row["ts_ns"]), data.tobytes(), int(row["wire_bytes"])))
        self.until_ns.append(batch.until_ns)
        self.flushes += batch.flush
        return len(batch)

    def read_for(self, seconds: float) -> None:
        """Read for a while."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.read()

    def read_until(self, n: int) -> None:
        """Read until so many frames have come."""
        until(lambda: self.read() >= 0 and len(self.seen) >= n)

    def stop(self):
        """Stop, read what is left, and give the counts; they must balance."""
        self.is_over = True
        while self.read() >= 0:
            pass
        self.source.close()
        counts = self.source.counts
        kernel = counts.kernel
        taken = counts.packets + kernel.loopback_copies + kernel.unread
        assert kernel.packets - counts.dropped == taken
        assert counts.packets == len(self.seen)
        return counts

    def metric(self, name: str) -> float:
        """Value of a metric that has one series."""
        [tally] = [tally for tally in self.source.tallies() if tally.name == name]
        return sum(tally.values.values())


def recorded(path):
    """(ts_ns, bytes, wire bytes) of a capture file."""
    source, found = open_captures([str(path)]), []
    while (batch := source.read()) is not None:
        for row in batch.frames:
            data = batch.data[row["start"] : row["start"] + row["captured_bytes"]]
            found.append((int(row["ts_ns"]), data.tobytes(), int(row["wire_bytes"])))
    return found


MIXED = [
    *(query(2000 + i, bytes(i)) for i in range(50)),
    tagged(100, query(3000)),
    tagged(0xE064, query(3001)),  # priority 7
    tagged(0, query(3002)),  # priority tag, VLAN 0
    tagged(100, query(3003), 0x88A8),
    tagged(100, tagged(200, query(3004))),
    MACS + b"\x88\xb5",
    MACS + b"\x88\xb5" + bytes(1486),
    MACS + b"\x00\x04" + b"\x42\x42\x03\x00",  # LLC
]


def test_frames_are_those_of_a_recording_to_the_last_bit(wire, tmp_path):
    """Times to the nanosecond, bytes with their VLAN tags, lengths and order."""
    tap = Tap(wire)

    with wire.recorded(tmp_path / "recorded.pcap", wire.far, AT_ONCE):
        wire.send(*MIXED)
        tap.read_until(len(MIXED))
    counts = tap.stop()

    assert tap.seen == recorded(tmp_path / "recorded.pcap")
    assert [data for _, data, _ in tap.seen] == MIXED
    assert (counts.dropped, counts.packets) == (0, len(MIXED))


@pytest.mark.parametrize("batch_frames", [1, 3, 8192])
def test_small_batches_hand_over_a_block_in_pieces(wire, batch_frames):
    """However few frames a batch takes, all come, once and in order."""
    tap = Tap(wire, config=CaptureConfig(batch_frames=batch_frames))

    wire.send(*MIXED * 3)
    tap.stop()

    assert [data for _, data, _ in tap.seen] == MIXED * 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("vlan 100", [50, 51, 54]),
        ("not vlan", [*range(50), 55, 56, 57]),
        ("udp port 2007", [7]),
        ("ether proto 0x88b5", [55, 56]),
    ],
)
def test_a_filter_means_what_tcpdump_means_by_it(wire, tmp_path, text, wanted):
    """VLAN tags too, which the kernel has taken out before the filter looks."""
    tap = Tap(wire, filter_text=text)

    with wire.recorded(tmp_path / "recorded.pcap", wire.far, AT_ONCE, text):
        wire.send(*MIXED)
        tap.read_for(0.3)
    tap.stop()

    assert tap.seen == recorded(tmp_path / "recorded.pcap")
    of_8021q = [i for i in wanted if i != 53]
    assert [MIXED.index(data) for _, data, _ in tap.seen if data != MIXED[53]] == of_8021q


def test_a_filter_that_is_no_filter_is_refused_in_the_words_of_libpcap(wire):
    """Nothing is opened."""
    with wire, pytest.raises(ConfigError, match=r"--filter = 'prot tcp'.*syntax error"):
        open_interface(wire.far, filter_text="prot tcp")


class Rows:
    """Rows of both views, as bytes."""

    def __init__(self) -> None:
        self._corridor = Corridor(Config(), ("flow", "packet"), dtype=np.float64)
        self._made = []

    def carry(self, batch) -> None:
        """Take one batch."""
        self._made.append(self._corridor.carry(batch))

    def carry_all(self, source) -> None:
        """Take all batches of a source, and its end."""
        while (batch := source.read()) is not None:
            self.carry(batch)
        self._made += self._corridor.finish()

    def of(self, view):
        """Identities and values."""
        batches = [made[view] for made in self._made]
        rows = b"".join(batch.rows.astype(PACKED).tobytes() for batch in batches)
        return rows, b"".join(batch.values.tobytes() for batch in batches)


def test_rows_of_both_views_are_those_of_a_replay(wire, tmp_path):
    """Live batches with silences in between, against the recording in one go."""
    tap = Tap(wire)
    live, replayed = Rows(), Rows()

    with wire.recorded(tmp_path / "recorded.pcap", wire.far, AT_ONCE):
        for i in range(40):
            wire.send(*(query(4000 + i % 7, bytes(k)) for k in range(20)), tagged(9, query(i)))
            live.carry(tap.source.read())
    tap.is_over = True
    live.carry_all(tap.source)
    replayed.carry_all(open_captures([str(tmp_path / "recorded.pcap")]))
    tap.source.close()

    for view in ("flow", "packet"):
        rows, values = live.of(view)
        assert rows == replayed.of(view)[0]
        assert values == replayed.of(view)[1]
        assert len(values) > 40 * 8
    assert tap.source.counts.packets == 40 * 21


def test_what_the_ring_cannot_hold_is_counted(wire):
    """Two small blocks and nobody who reads: the kernel's count is the sum of named parts."""
    tap = Tap(wire, config=TINY)

    wire.send(*[MACS + b"\x88\xb5" + bytes(1000)] * 1000)
    counts = tap.stop()

    assert counts.dropped > 700
    assert counts.packets + counts.dropped == 1000
    assert "were dropped by the kernel" in tap.source.problems[0]
    assert tap.metric("capture_dropped_packets_total") == counts.dropped
    assert tap.metric("capture_ring_freezes_total") >= 1


def test_the_default_ring_holds_a_pause_of_three_seconds_however_little_comes(wire):
    """A block goes over after its timeout, nearly empty: the number of blocks is what counts."""
    tap = Tap(wire)

    end_s, n_sent = time.monotonic() + 3, 0
    while time.monotonic() < end_s:
        wire.send(query(1))
        n_sent += 1
        time.sleep(0.002)
    counts = tap.stop()

    assert n_sent > 300
    assert (counts.packets, counts.dropped) == (n_sent, 0)


def test_a_segment_of_64_kib_fits_a_block_of_the_default_ring(wire):
    """As segmentation offload puts them together: not a byte is cut."""
    for end in (wire.near, wire.far):
        wire.ip("link", "set", end, "mtu", "65535")
    tap = Tap(wire)

    wire.send(MACS + b"\x88\xb5" + bytes(65_520))
    tap.read_until(1)
    counts = tap.stop()

    assert [len(data) for _, data, _ in tap.seen] == [65_534]
    assert counts.truncated_packets == 0


def test_a_frame_longer_than_a_block_is_cut(wire):
    """Captured less than the wire had, and counted as such; tcpdump's ring is larger."""
    for end in (wire.near, wire.far):
        wire.ip("link", "set", end, "mtu", "65535")
    tap = Tap(wire, config=TINY)

    wire.send(MACS + b"\x88\xb5" + bytes(65_500))
    tap.read_until(1)
    counts = tap.stop()

    [(_, data, wire_bytes)] = tap.seen
    assert (len(data) < 65_514, wire_bytes) == (True, 65_514)
    assert counts.truncated_packets == 1


def test_a_packet_of_the_loopback_is_seen_once(wire, tmp_path):
    """Going out and coming in are one packet, as for tcpdump; the copies are counted."""
    tap = Tap(wire, "lo")

    with wire.recorded(tmp_path / "recorded.pcap", "lo", AT_ONCE):
        with wire, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for i in range(20):
                sender.sendto(bytes([i]), ("127.0.0.1", 9))
        tap.read_for(0.3)
    counts = tap.stop()

    assert tap.seen == recorded(tmp_path / "recorded.pcap")
    asked = [data for _, data, _ in tap.seen if data[23] == 17]
    assert [data[-1] for data in asked] == list(range(20))
    assert counts.kernel.loopback_copies == counts.packets


def test_an_interface_without_link_headers_gives_raw_ip(wire):
    """A tun device: the first byte is the IP version."""
    wire.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    wire.ip("link", "set", "tun0", "up")
    with wire:
        source = open_interface("tun0")

    assert source._socket.hardware.link_type == 101
    source.close()


def test_a_link_that_goes_down_and_comes_up_is_survived(wire):
    """Said once each way, counted, and packets come in again."""
    tap = Tap(wire)
    wire.send(query(1))
    tap.read_until(1)

    wire.ip("link", "set", wire.far, "down")
    until(lambda: (tap.read(), tap.metric("capture_interface_up"))[1] == 0)
    tap.read_for(0.7)
    wire.ip("link", "set", wire.far, "up")
    until(lambda: (tap.read(), tap.metric("capture_interface_up"))[1] == 1)
    wire.send(query(2))
    tap.read_until(2)
    tap.stop()

    assert tap.said == ["far is down; waiting for it", "far is up"]
    assert tap.metric("capture_restarts_total") == 1
    assert [data for _, data, _ in tap.seen] == [query(1), query(2)]


def test_an_interface_that_is_down_at_first_is_waited_for(wire):
    """A cable that is plugged in later."""
    wire.ip("link", "set", wire.near, "down")
    tap = Tap(wire)
    before = tap.said.copy()

    wire.ip("link", "set", wire.near, "up")
    until(lambda: (tap.read(), tap.metric("capture_interface_up"))[1] == 1)
    wire.send(query(1))
    tap.read_until(1)
    tap.stop()

    assert before == ["far is down; waiting for it"]


@pytest.mark.parametrize("filter_text", [None, "udp"])
def test_an_interface_that_is_switched_off_is_refused(wire, filter_text):
    """With a filter and without; what it takes is said. A missing carrier is waited for."""
    wire.ip("link", "set", wire.far, "down")
    why = r"far: the interface is down: want one that is up \(`ip link set dev far up`\)"

    with wire, pytest.raises(CaptureError, match=why):
        open_interface(wire.far, filter_text=filter_text)


@pytest.mark.parametrize("filter_text", [None, "udp"])
def test_an_interface_without_a_carrier_is_waited_for(wire, filter_text):
    """With a filter as without one."""
    wire.ip("link", "set", wire.near, "down")
    tap = Tap(wire, filter_text=filter_text)

    wire.ip("link", "set", wire.near, "up")
    until(lambda: (tap.read(), tap.metric("capture_interface_up"))[1] == 1)
    wire.send(query(1))
    tap.read_until(1)

    assert tap.stop().packets == 1


def test_an_interface_that_is_deleted_ends_the_source(wire):
    """What had come in is handed over, and the reason is there."""
    tap = Tap(wire)
    wire.send(*MIXED)
    wire.ip("link", "del", wire.far)

    until(lambda: tap.read() < 0, 5)

    assert [data for _, data, _ in tap.seen] == MIXED
    assert "far: the interface is gone" in tap.source.failure
    tap.stop()


def test_a_renamed_interface_is_the_same_one(wire):
    """The tap stays on it, and lets go of it at the end."""
    tap = Tap(wire)
    wire.ip("link", "set", wire.far, "name", "other")
    tap.read_for(0.7)

    wire.send(query(1))
    tap.read_until(1)
    tap.stop()

    assert tap.said == []
    assert tap.source.failure is None


NOT_UTF8 = "tap\udcff"  # as Python has the bytes tap, 0xFF


def test_a_name_that_is_no_utf8_is_refused(wire):
    """The kernel takes any bytes, but alerts and metrics are text."""
    wire.ip("link", "set", wire.far, "name", NOT_UTF8)

    with wire, pytest.raises(CaptureError, match="want a name in UTF-8"):
        open_interface(NOT_UTF8)


def test_a_renamed_interface_is_the_same_one_whatever_its_name(wire):
    """Bytes that are no UTF-8: it is found up, and let go of."""
    tap = Tap(wire)
    wire.ip("link", "set", wire.far, "name", NOT_UTF8)
    tap.read_for(0.7)

    wire.send(query(1))
    tap.read_until(1)
    counts = tap.stop()

    assert (tap.said, tap.source.failure) == ([], None)
    assert counts.packets == 1
    assert _protocols(wire) == []


def test_time_moves_on_while_nothing_comes(wire):
    """Behind the clock by a third of a second or so, never ahead of it, never back."""
    tap = Tap(wire)
    wire.send(query(1))

    tap.read_for(1.2)
    behind_s = (time.time_ns() - tap.until_ns[-1]) / 1e9
    wire.send(query(2))
    tap.read_until(2)
    tap.stop()

    assert 0.2 < behind_s < 0.6
    assert tap.until_ns == sorted(tap.until_ns)
    assert tap.until_ns[-1] == tap.seen[-1][0]
    assert tap.metric("capture_behind_packets_total") == 0


def test_a_wire_that_falls_silent_flushes(wire):
    """At the latest `max_wait_ms` after the last packet, in an empty batch."""
    tap = Tap(wire, max_wait_ms=50)
    tap.read_for(0.2)

    wire.send(query(1))
    tap.read_until(1)
    handed_over_s, tap.flushes = time.monotonic(), 0
    until(lambda: (tap.read(), tap.flushes)[1] > 0)
    waited_s = time.monotonic() - handed_over_s
    tap.stop()

    assert waited_s < 0.09


def test_a_wire_that_is_never_silent_flushes_too(wire):
    """Every `max_wait_ms`, in batches that have frames."""
    tap = Tap(wire, config=CaptureConfig(batch_frames=1), max_wait_ms=20)
    wire.send(*[query(1)] * 1000)
    time.sleep(0.1)

    began_s, flushed = time.monotonic(), []
    while time.monotonic() - began_s < 0.2:
        batch = tap.source.read()
        assert len(batch) == 1
        flushed.append(batch.flush)
        time.sleep(0.001)
    tap.source.close()

    assert 3 <= sum(flushed) <= 11


def test_every_counter_is_there_before_the_first_packet(wire):
    """And no label comes from the traffic."""
    tap = Tap(wire)

    series = {tally.name: dict(tally.values) for tally in tap.source.tallies()}
    tap.stop()

    assert series["capture_restarts_total"] == {("link_down",): 0}
    assert series["capture_interface_up"] == {("far",): 1}
    assert series["capture_lag_seconds"] == {("far",): 0}
    for name in ("capture_ring_freezes_total", "capture_ring_fill_ratio"):
        assert series[name] == {(): 0}


def test_nothing_comes_in_before_the_start(wire):
    """The filter is on and the ring is there, but the interface is not hooked."""
    with wire:
        source = open_interface(wire.far)
        wire.send(query(1))
        source.start()
    wire.send(query(2))

    batch = source.read()
    source.close()

    assert [row["captured_bytes"] for row in batch.frames] == [len(query(2))]


def test_an_unknown_interface_is_told_with_those_there_are(wire):
    """The names of the namespace."""
    with wire, pytest.raises(CaptureError, match=r"eth9: no such interface: want one of lo, "):
        open_interface("eth9")


def test_frames_are_stamped_by_the_kernel_as_they_come_in(wire):
    """Once, for all who watch; that another program on the machine asks for it too is chance."""
    with wire:
        source = open_interface(wire.far)

    asked = source._socket._socket.getsockopt(socket.SOL_SOCKET, ring_layout.SO_TIMESTAMPNS)
    source.close()

    assert asked == 1


def test_a_filter_is_locked(wire):
    """Nothing can take it off again, whatever happens in the process."""
    with wire:
        source = open_interface(wire.far, filter_text="udp")

    asked = source._socket._socket.getsockopt(socket.SOL_SOCKET, ring_layout.SO_LOCK_FILTER)
    source.close()

    assert asked == 1


@pytest.mark.parametrize("promiscuous", [False, True])
def test_the_interface_is_promiscuous_only_where_that_is_wanted(wire, promiscuous):
    """And as it was before, once the source is closed."""
    with wire:
        source = open_interface(wire.far)
        source.start(promiscuous=promiscuous)
    meanwhile = promiscuity(wire)
    source.close()

    assert meanwhile == int(promiscuous)


def test_a_block_is_handed_over_after_the_timeout_that_is_configured(wire):
    """Packets that come for a second and more come out in a few blocks, not in a hundred."""
    tap = Tap(wire, config=CaptureConfig(ring_timeout_ms=400))

    n_batches, end_s = 0, time.monotonic() + 1.2
    while time.monotonic() < end_s:
        wire.send(query(1))
        batch = tap.source.read()
        n_batches += len(batch) > 0
        tap.source._ring.release()
        time.sleep(0.005)
    tap.source.close()

    assert 1 <= n_batches <= 5


def test_a_ring_that_would_take_the_memory_of_others_is_refused(wire, monkeypatch):
    """The kernel is not even asked: it would kill other programs for it."""
    monkeypatch.setattr(packet_socket, "_available_bytes", lambda: 64 << 20)
    why = r"capture\.ring_blocks = 512 .* is 64 MiB: want at most 32 MiB"

    with wire, pytest.raises(CaptureError, match=why):
        open_interface(wire.far)


def test_a_source_that_has_stopped_lets_nothing_in_any_more(wire):
    """From the first read after the stop: what comes later is not even counted."""
    tap = Tap(wire)
    wire.send(*MIXED)
    tap.is_over = True
    tap.read()

    wire.send(*MIXED)
    counts = tap.stop()

    assert counts.kernel.packets == counts.packets == len(MIXED)


def test_a_source_that_stops_waits_for_the_last_block(wire):
    """However long it is until the kernel hands that one over."""
    tap = Tap(wire, config=CaptureConfig(ring_timeout_ms=400))
    wire.send(*MIXED)

    counts = tap.stop()

    assert counts.packets == len(MIXED)


def test_a_source_that_is_closed_lets_go_of_its_interface(wire):
    """No packet socket of the namespace takes all protocols, though our mapping is still there."""
    tap = Tap(wire)
    before = _protocols(wire)
    tap.source.close()

    assert (before, _protocols(wire)) == (["0003"], [])


def _protocols(wire):
    with wire:
        table = Path("/proc/thread-self/net/packet").read_text()
    return [p for line in table.splitlines()[1:] if (p := line.split()[3]) not in ("0000", "00ff")]

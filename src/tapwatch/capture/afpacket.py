"""A live interface of Linux as a source: its ring is read in place, and nothing is copied."""

import socket
import time
from collections.abc import Callable
from enum import StrEnum
from errno import ENETDOWN
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tapwatch.capture.delivery import Delivery, InterfaceTable, read_only
from tapwatch.capture.quiet import ClockWatch, QuietClock
from tapwatch.capture.ring import Ring, load_kernel
from tapwatch.capture.source import CaptureCounts, KernelLedger, never, tallies_of
from tapwatch.config import CaptureConfig
from tapwatch.errors import CaptureError
from tapwatch.tables import FRAME, FrameBatch, Tally

if TYPE_CHECKING:
    from tapwatch.capture.packet_socket import PacketSocket

#: Longest wait in one read, so that signals are seen.
_LOOK_S: Final = 0.1
#: Between two looks at whether the interface is up.
_LINK_LOOK_S: Final = 0.5
#: How long the ring may take to hand over its last block after the end.
_DRAIN_S: Final = 2.0


class Restart(StrEnum):
    """Why a capture was interrupted and went on."""

    LINK_DOWN = "link_down"


class AfPacketSource:
    """One interface, until somebody wants it to stop or the interface is gone.

    The rows and the data of a batch are good until the next `read`, which gives their blocks back
    to the kernel.

    Parameters
    ----------
    packets : PacketSocket
        Not hooked yet.
    interface : str
    config : CaptureConfig
    max_wait_ms : int
        A batch asks for its rows to be scored at least this often.
    stopped : callable
        True makes the source let nothing in any more, hand over what the ring holds, and end.
    said : callable
        Told when the interface goes down, comes up or leaves.
    """

    lossless = False

    def __init__(
        self,
        packets: "PacketSocket",
        interface: str,
        config: CaptureConfig,
        *,
        max_wait_ms: int = 50,
        stopped: Callable[[], bool] = never,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.counts = CaptureCounts()
        self.interface = interface
        self.failure: str | None = None  # why the source ended by itself
        self._socket = packets
        self._stopped, self._said = stopped, said
        self._interfaces = InterfaceTable()
        number = self._interfaces.id_of(packets.hardware.link_type, interface)
        self._ring = Ring(
            packets.memory,
            config.ring_block_bytes,
            packets.hardware.link_type,
            number,
            skips_outgoing=packets.hardware.is_loopback,
        )
        self._delivery = Delivery(self._interfaces, self.counts)
        self._frames = np.zeros(config.batch_frames, FRAME)
        self._clock = QuietClock(config.ring_timeout_ms * 1_000_000)
        self._clock_watch = ClockWatch(lambda text: said(f"{interface}: {text}"))
        self._max_wait_s = max_wait_ms / 1000
        self._flushed_s = time.monotonic()
        self._owes_flush = False
        self._kernel_packets = 0
        self._freezes = 0
        self._behind = 0
        self._restarts = dict.fromkeys(Restart, 0)
        self._is_up = False
        self._link_look_s = float("-inf")
        self._lag_s = 0.0
        self._drain_until_s: float | None = None
        self._is_ended = False

    @property
    def ring_bytes(self) -> int:
        """Memory that the kernel fills."""
        return len(self._ring.data)

    def start(self, *, promiscuous: bool = True) -> None:
        """Hook the interface; from here on packets are counted.

        Raises
        ------
        CaptureError
            The interface has gone meanwhile.
        """
        load_kernel()
        self._socket.hook(promiscuous=promiscuous)
        self._is_up = True
        self._look_at_link()

    @property
    def problems(self) -> list[str]:
        """One line for each kind of loss."""
        return self.counts.problems

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Name of the interface, once a frame has come."""
        return self._interfaces.names

    def read(self) -> FrameBatch | None:
        """Hand over what the ring holds, or wait for it for at most a tenth of a second.

        An empty batch says that the wire is quiet; None that the source has ended.
        """
        self._ring.release()
        if self._is_ended:
            return None
        if self._drain_until_s is None and self._stopped():
            self._end_intake()
        n = self._ring.fill(self._frames)
        if n == 0:
            self._wait()
            n = self._ring.fill(self._frames)
        self._ask_kernel()
        if n:
            return self._hand_over(self._frames[:n])
        if self._drain_until_s is not None:
            return self._end() if self._is_drained() else self._nothing()
        return self._say_quiet()

    def _wait(self) -> None:
        wait_s = _LOOK_S
        if self._owes_flush:
            wait_s = min(wait_s, self._flushed_s + self._max_wait_s - time.monotonic())
        if self._drain_until_s is not None:
            wait_s = min(wait_s, 0.01)
        error = self._socket.wait(wait_s)
        if self._drain_until_s is not None:
            return
        if error not in (0, ENETDOWN):
            self._fail(f"the socket has failed with error {error}")
        elif error == ENETDOWN or time.monotonic() - self._link_look_s >= _LINK_LOOK_S:
            self._look_at_link(was_down=error == ENETDOWN)

    def _look_at_link(self, was_down: bool = False) -> None:
        self._link_look_s = time.monotonic()
        is_up = self._socket.is_up()
        if is_up is None:
            self._fail("the interface is gone: deleted, or moved to another network namespace")
            return
        if self._is_up and (was_down or not is_up):
            self._is_up = False
            self._said(f"{self.interface} is down; waiting for it")
        if is_up and not self._is_up:
            self._is_up = True
            self._restarts[Restart.LINK_DOWN] += 1
            self._said(f"{self.interface} is up")

    def _fail(self, why: str) -> None:
        self.failure = f"{self.interface}: {why}"
        self._is_up = False
        self._end_intake()

    def _end_intake(self) -> None:
        self._socket.unhook()
        self._drain_until_s = time.monotonic() + _DRAIN_S

    def _ask_kernel(self) -> None:
        found = self._socket.statistics()
        self._kernel_packets += found.packets
        self.counts.dropped += found.dropped
        self._freezes += found.freezes

    def _hand_over(self, frames: NDArray[Any]) -> FrameBatch:
        self._behind += int(np.count_nonzero(frames["ts_ns"] < self._clock.until_ns))
        batch = self._delivery.batch(self._ring.data, frames)
        last_ns = int(frames["ts_ns"][-1])
        self._clock_watch.look(last_ns, batch.until_ns)
        self._lag_s = max(0.0, (time.time_ns() - last_ns) / 1e9)
        self._clock.frames(batch.until_ns, time.monotonic_ns())
        flush = time.monotonic() - self._flushed_s >= self._max_wait_s
        return self._batch(self._ring.data, frames, flush)

    def _say_quiet(self) -> FrameBatch:
        wall_ns = time.time_ns()
        self._clock.quiet(wall_ns, time.monotonic_ns())
        self._clock_watch.look(wall_ns, self._clock.until_ns)
        self._lag_s = 0.0
        return self._nothing()

    def _nothing(self) -> FrameBatch:
        return self._batch(read_only(np.zeros(0, np.uint8)), self._frames[:0], flush=True)

    def _batch(self, data: NDArray[np.uint8], frames: NDArray[Any], flush: bool) -> FrameBatch:
        self._owes_flush = not flush
        if flush:
            self._flushed_s = time.monotonic()
        return FrameBatch(data, frames, self._clock.until_ns, flush)

    def _is_drained(self) -> bool:
        # A block that is not full is handed over after its timeout; the counts tell when none is
        # left, and the clock when to stop believing in it.
        assert self._drain_until_s is not None
        missing = self._kernel_packets - self.counts.dropped - self._taken()
        return missing <= 0 or time.monotonic() >= self._drain_until_s

    def _taken(self) -> int:
        return self.counts.packets + self._ring.loopback_copies + self._ring.unreadable

    def _end(self) -> FrameBatch:
        self._is_ended = True
        self._is_up = False
        self.counts.kernel = KernelLedger(
            packets=self._kernel_packets,
            loopback_copies=self._ring.loopback_copies,
            unread=self._ring.unreadable + self._ring.unread(),
        )
        if self.counts.dropped:
            self.counts.problems.append(
                f"{self.interface}: {self.counts.dropped:,} of {self._kernel_packets:,} packets "
                "were dropped by the kernel: the ring was full (capture.ring_blocks)"
            )
        return self._nothing()

    def progress(self) -> tuple[int, int]:
        """Bytes on the wire so far; nobody knows how many there will be."""
        return self.counts.bytes, 0

    def tallies(self) -> list[Tally]:
        """Counts for the metrics; all of them there from the start."""
        return [*tallies_of(self.counts, self.interface), *self._gauges(), *self._counters()]

    def _gauges(self) -> list[Tally]:
        of_interface = (
            (
                "capture_interface_up",
                "1 while the interface is up and has a carrier.",
                float(self._is_up),
            ),
            (
                "capture_lag_seconds",
                "Age of the latest frame when it was handed over; 0 on a quiet wire.",
                self._lag_s,
            ),
            (
                "capture_clock_behind_seconds",
                "How far the machine's clock is behind packet time, after it was set back.",
                self._clock_watch.behind_s,
            ),
        )
        return [
            *(
                Tally(name, "gauge", text, ("interface",), {(self.interface,): value})
                for name, text, value in of_interface
            ),
            Tally(
                "capture_ring_fill_ratio",
                "gauge",
                "Share of the ring's blocks that wait to be read.",
                (),
                {(): self._ring.fill_ratio},
            ),
        ]

    def _counters(self) -> list[Tally]:
        plain = (
            (
                "capture_ring_freezes_total",
                "Times that the kernel found the ring full and stopped filling it.",
                self._freezes,
            ),
            (
                "capture_loopback_copies_total",
                "Outgoing copies of a loopback interface, left out: each packet comes in too.",
                self._ring.loopback_copies,
            ),
            (
                "capture_unreadable_packets_total",
                "Frames of ring blocks whose headers could not be believed.",
                self._ring.unreadable,
            ),
            (
                "capture_behind_packets_total",
                "Frames older than the time up to which the wire had been declared quiet.",
                self._behind,
            ),
            (
                "capture_clock_set_back_total",
                "Times that the machine's clock was set back by more than a second.",
                self._clock_watch.n_set_back,
            ),
        )
        return [
            *(Tally(name, "counter", text, (), {(): value}) for name, text, value in plain),
            Tally(
                "capture_restarts_total",
                "counter",
                "Times that the capture was interrupted and went on.",
                ("reason",),
                {(reason.value,): count for reason, count in self._restarts.items()},
            ),
        ]

    def close(self) -> None:
        """Let go of the interface."""
        self._socket.close()


def open_interface(
    interface: str,
    config: CaptureConfig | None = None,
    *,
    filter_text: str | None = None,
    max_wait_ms: int = 50,
    stopped: Callable[[], bool] = never,
    said: Callable[[str], None] = lambda _: None,
) -> AfPacketSource:
    """Open a live tap; `start` hooks it to its interface.

    Parameters
    ----------
    interface : str
    config : CaptureConfig or None
        None means the defaults.
    filter_text : str or None
        In tcpdump's language.
    max_wait_ms, stopped, said
        As `AfPacketSource` takes them.

    Raises
    ------
    CaptureError
        The interface cannot be opened: the message says which there are, or which right is missing.
    ConfigError
        libpcap does not take the filter.
    """
    if not hasattr(socket, "AF_PACKET"):
        raise CaptureError(f"{interface}: live capture wants Linux, whose AF_PACKET it reads")
    from tapwatch.capture.bpf import compile_for_interface
    from tapwatch.capture.packet_socket import PacketSocket  # wants Linux

    settings = config or CaptureConfig()
    packets = PacketSocket(interface)
    try:
        packets.check_up()
        program = compile_for_interface(filter_text, interface) if filter_text else None
        packets.set_up(settings, program)
    except BaseException:
        packets.close()
        raise
    return AfPacketSource(
        packets, interface, settings, max_wait_ms=max_wait_ms, stopped=stopped, said=said
    )

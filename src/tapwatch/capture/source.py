"""What every source of frames offers, and what it counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tapwatch.tables import FrameBatch, Tally


class Damage(StrEnum):
    """Why the rest of a capture could not be read."""

    CUT_SHORT = "cut_short"  # it ends in the middle of something
    CORRUPT = "corrupt"  # a length or a check sum that cannot be
    UNREADABLE = "unreadable"  # the system refuses to give more of it


@dataclass(frozen=True, slots=True)
class KernelLedger:
    """What the kernel of a live tap has counted, and what became of it beside `packets`."""

    packets: int  # that passed the filter; the dropped ones included
    loopback_copies: int  # outgoing copies: each packet comes in too
    unread: int  # left in the ring, or in a block that could not be read


@dataclass(slots=True)
class CaptureCounts:
    """What a source has handed over so far, and what it could not."""

    packets: int = 0  # those that a filter kept back too
    bytes: int = 0  # on the wire
    filtered: int = 0  # read from a file, but kept back by the operator's filter
    dropped: int = 0  # by the kernel or the source, before we could read them
    recorder_dropped: int = 0  # by whoever wrote the file, as the file says; not read, no loss here
    truncated_packets: int = 0  # captured < wire
    late_frames: int = 0  # older than a frame before them
    skipped_blocks: int = 0  # pcapng blocks of which nothing is read
    saturated_times: int = 0  # time stamps outside 1823 to 2116, put to its border
    last_ts_ns: int = 0  # running maximum
    damaged_files: dict[Damage, int] = field(default_factory=lambda: dict.fromkeys(Damage, 0))
    skipped_files: int = 0  # of folders, that look like captures and are not read
    problems: list[str] = field(default_factory=list)  # one line for each loss
    kernel: KernelLedger | None = None  # of a live tap that has ended

    @property
    def truncated_files(self) -> int:
        """Files that could not be read to their end, for whatever reason."""
        return sum(self.damaged_files.values())


def never() -> bool:
    """Nobody asks us to stop."""
    return False


class Source(Protocol):
    """Where frames come from: the one thing in which live and replay differ."""

    #: Files and pipes wait for the reader; a live tap drops what does not fit.
    lossless: bool

    @property
    def counts(self) -> CaptureCounts:
        """What was handed over so far."""

    @property
    def problems(self) -> list[str]:
        """One line for each loss, naming the file, the place and the extent."""

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Name of each interface that frames have come from, by FRAME.interface; "" is unnamed."""

    def read(self) -> FrameBatch | None:
        """Hand over the next frames; None at the end.

        The last batch has `flush` set and may be empty. The `data` of every batch is read-only.
        """

    def progress(self) -> tuple[int, int]:
        """Bytes consumed, and bytes in all or 0 where that is not known."""

    def tallies(self) -> list[Tally]:
        """Counts for the metrics."""

    def close(self) -> None:
        """Give back what is open; batches that were handed over stay good."""


def tallies_of(counts: CaptureCounts, interface: str, worker: str = "0") -> list[Tally]:
    """The counts of one source as the metrics want them; `interface` never comes from a file."""
    by_interface = (
        ("capture_received_packets_total", "Frames taken in.", counts.packets),
        ("capture_received_bytes_total", "Their bytes on the wire.", counts.bytes),
        ("capture_dropped_packets_total", "Frames lost before they could be read.", counts.dropped),
        (
            "capture_truncated_packets_total",
            "Frames of which only the first bytes were captured.",
            counts.truncated_packets,
        ),
    )
    plain = (
        (
            "capture_filtered_packets_total",
            "Frames of files that the operator's filter kept back.",
            counts.filtered,
        ),
        (
            "capture_recorder_dropped_packets_total",
            "Frames that the recorder of a file says it lost.",
            counts.recorder_dropped,
        ),
        ("capture_late_frames_total", "Frames older than one before them.", counts.late_frames),
        (
            "capture_skipped_files_total",
            "Files of folders that look like captures but cannot be read here.",
            counts.skipped_files,
        ),
        (
            "capture_skipped_blocks_total",
            "Pcapng blocks of which nothing is read.",
            counts.skipped_blocks,
        ),
        (
            "capture_saturated_times_total",
            "Time stamps outside 1823 to 2116.",
            counts.saturated_times,
        ),
    )
    labels = ("interface", "worker")
    return [
        *(_counter(name, text, labels, {(interface, worker): n}) for name, text, n in by_interface),
        *(_counter(name, text, (), {(): n}) for name, text, n in plain),
        _counter(
            "capture_damaged_files_total",
            "Captures that could not be read to their end.",
            ("reason",),
            {(str(d),): counts.damaged_files[d] for d in Damage},
        ),
        Tally(
            "capture_last_packet_timestamp_seconds",
            "gauge",
            "Latest packet time; 0 before the first packet.",
            ("interface",),
            {(interface,): counts.last_ts_ns / 1e9},
        ),
    ]


def _counter(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> Tally:
    return Tally(name, "counter", text, labels, values)

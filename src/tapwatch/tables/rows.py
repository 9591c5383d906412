"""What features/ hands on: rows of numbers under a schema."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

#: Who and when a feature row is; never fed to a model.
ROW: Final = np.dtype(
    [
        ("order_ns", "<i8"),  # when in packet time the row came out; rows are judged in this order
        ("frame_number", "<i8"),  # 0 where a row is not a packet
        ("first_ts_ns", "<i8"),
        ("last_ts_ns", "<i8"),
        ("src_hi", "<u8"),
        ("src_lo", "<u8"),
        ("dst_hi", "<u8"),
        ("dst_lo", "<u8"),
        ("flow_id", "<i8"),  # 0 without one
        ("flow_first_ts_ns", "<i8"),
        ("bytes", "<i8", 2),  # wire bytes of the flow so far, [forward, backward]
        ("packets", "<i8", 2),
        ("vlan", "<i4"),  # -1 without one
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("interface", "<u2"),
        ("proto", "u1"),
        ("ip_version", "u1"),
        ("end_reason", "u1"),  # EndReason; OPEN for a packet
        ("direction", "u1"),  # of the packet in its flow: 0 from the initiator, 1 to it
        ("is_flow", "u1"),  # 1 where the row has a flow
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One feature: what a user needs to know to compute it alone."""

    name: str
    unit: str  # "1" for counts, ratios and flags; "B", "us", "B/s", ...
    dtype: Literal["int64", "float64"]  # in files; models get float32
    formula: str
    source: str  # RFC section, Wireshark field, CICFlowMeter column...
    meaning: str
    original: str = ""  # the field's own spelling where ours differs
    # Of a class: its values in words. The number in the matrix is the index of the word.
    categories: tuple[str, ...] = ()
    # What a Wireshark export gives: nothing, or the value on rows whose protocol label is one of
    # these ("*": any); elsewhere, and in a model's view of such rows, stands `absent`.
    export: tuple[str, ...] = ()
    absent: float = 0.0


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one view, in order; a model is bound to `digest`."""

    view: str
    version: int
    columns: tuple[Column, ...]
    digest: str  # SHA-256 over view, version and what the values of each column depend on

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Traffic:
    """One batch as the views see it."""

    data: NDArray[np.uint8]  # (n_bytes,) what `payload_start` of the packets points into
    packets: NDArray[Any]  # PACKET (n,) every frame of the source, in order
    links: NDArray[Any]  # LINK (n,) what the flow table says of each of them
    ended: NDArray[Any]  # FLOW (k,) flows that ended, in the order of their release
    until_ns: int  # packet time up to which frames have been handed over
    frames: NDArray[Any] | None = None  # FRAME (n,) where in `data` each of them lies
    # (k,) int64: how many of the packets came before the row did, where it had to come out early
    # because too many waited for their second; -1 where it came out at its time.
    released: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Rows of one view, ready to be scored or written."""

    schema: Schema
    # (n_rows, n_columns) float32 for models, float64 for files; all finite. Of sequences
    # (n_rows, N, n_columns): the last N rows of the row's entity, the row itself last.
    values: NDArray[Any]
    rows: NDArray[Any]  # ROW (n_rows,)
    # Of sequences, int32 (n_rows,): how many of the N are real; those in front of them are 0.
    lengths: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Names:
    """Rows in words: one entry a row."""

    src: list[str]  # IPv4 dotted, IPv6 as RFC 5952, MAC with colons
    dst: list[str]
    proto: list[str]  # IANA's: "TCP", "UDP", "IPv6-ICMP", "SCTP"...; "ARP"; or the number
    community_id: list[str]  # "" without a flow

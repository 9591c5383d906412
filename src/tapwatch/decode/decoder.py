"""The room's door: a decoder that remembers the clock and the counts of one source."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import DecodeConfig
from tapwatch.decode.kernel import decode_rows, no_counts, open_rows
from tapwatch.decode.status import DecodeStatus, OptionFault, Protocol, Tunnel, Unopened
from tapwatch.errors import TapwatchError
from tapwatch.tables import PACKET, FrameBatch, Tally


class Decoder:
    """Turn the frames of one source into rows, batch by batch.

    Where one batch ends and the next begins changes no row: the only state is the latest capture
    time seen, and the counts.

    Parameters
    ----------
    config : DecodeConfig, optional
    clock_ns : int, optional
        Latest capture time of the part of the source that another decoder has done.
    """

    def __init__(self, config: DecodeConfig | None = None, clock_ns: int = -(1 << 63)) -> None:
        self.clock_ns = clock_ns
        self._tunnel_depth = (config or DecodeConfig()).tunnel_depth
        self._scratch = np.zeros(2, PACKET)
        self._counts = no_counts()

    def decode(self, batch: FrameBatch) -> NDArray[Any]:
        """Decode every frame; one row out per frame in, in the same order.

        Parameters
        ----------
        batch : FrameBatch
            Frames of any mix of link types.

        Returns
        -------
        packets : PACKET (n_frames,)
            A frame that could not be decoded is still a row: `status` says how far we came, what
            was read until then stays, and what could not be read is 0. Where a tunnel was
            opened, the row is that of the packet inside; times, lengths and number are the frame's.

        Raises
        ------
        TapwatchError
            If a frame does not lie within the batch's data: a fault of the source's code, never of
            the traffic.

        Examples
        --------
        >>> from tapwatch.tables import FRAME
        >>> silence = FrameBatch(np.zeros(0, np.uint8), np.zeros(0, FRAME), until_ns=5)
        >>> Decoder().decode(silence).shape
        (0,)
        """
        packets = np.empty(len(batch), PACKET)
        data = _read_only(batch.data)
        n_done, self.clock_ns = decode_rows(
            data,
            _read_only(batch.frames),
            packets,
            _bytes_of(packets),
            self.clock_ns,
            self._counts,
        )
        if n_done < len(batch):
            frame = batch.frames[n_done]
            raise TapwatchError(
                f"frame {frame['number']}: {frame['captured_bytes']} bytes from {frame['start']}: "
                f"want a part of the batch's {len(batch.data)} bytes (the source has a fault)"
            )
        if self._tunnel_depth:
            open_rows(
                data,
                packets,
                _bytes_of(packets),
                self._tunnel_depth,
                self._scratch,
                _bytes_of(self._scratch),
                self._counts,
            )
        return packets

    @property
    def counts(self) -> dict[str, int]:
        """Frames so far by status, in lower case; all of them, also where 0."""
        return _by_name(DecodeStatus, self._counts.statuses)

    def tallies(self) -> list[Tally]:
        """Counts for telemetry; every label value is there from the start."""
        return [
            Tally(name, "counter", text, (label,), {(k,): v for k, v in by_name.items()})
            for name, text, label, by_name in (
                (
                    "decode_packets_total",
                    "Frames by what became of them; ok is decoded.",
                    "status",
                    self.counts,
                ),
                (
                    "decode_protocol_packets_total",
                    "Frames by the innermost protocol that a header named.",
                    "protocol",
                    _by_name(Protocol, self._counts.protocols),
                ),
                (
                    "decode_tcp_option_faults_total",
                    "TCP packets whose option list could not be read to its end.",
                    "fault",
                    _by_name(OptionFault, self._counts.option_faults),
                ),
                (
                    "decode_tunnel_packets_total",
                    "Tunnels opened, by kind; a frame in two tunnels counts twice.",
                    "tunnel",
                    _by_name(Tunnel, self._counts.tunnels),
                ),
                (
                    "decode_tunnels_unopened_total",
                    "Frames with a tunnel left closed, while decode.tunnel_depth is above 0.",
                    "reason",
                    _by_name(Unopened, self._counts.unopened),
                ),
            )
        ]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written to.

    Numba compiles a kernel once more for each kind of array: what a source hands out cannot be
    written to, other buffers can, and one of the two is enough.
    """
    view = array.view()
    view.flags.writeable = False
    return view


def _bytes_of(packets: NDArray[Any]) -> NDArray[np.uint8]:
    """The memory of rows, uint8 (n, PACKET.itemsize)."""
    return packets.view(np.uint8).reshape(len(packets), PACKET.itemsize)


def _by_name(names: type[IntEnum], counts: NDArray[np.int64]) -> dict[str, int]:
    return {member.name.lower(): int(counts[member]) for member in names}

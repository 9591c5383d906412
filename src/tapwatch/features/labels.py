"""The protocol label of every packet, as Wireshark's Protocol column would show it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.protocol.conversations import empty_talks
from tapwatch.features.protocol.kernel import label_segments, locate_packets
from tapwatch.features.protocol.segment import SEGMENT
from tapwatch.features.protocol.tables import knowledge
from tapwatch.tables import FRAME, Tally, Traffic


class ProtocolLabels:
    """Tell the protocol of packet after packet; what conversations have shown is remembered.

    Parameters
    ----------
    config : Config, optional
        `labels.conversations` bounds the memory.

    Examples
    --------
    >>> from tapwatch.tables import FLOW, LINK, PACKET
    >>> nothing = [np.zeros(0, kind) for kind in (np.uint8, PACKET, LINK, FLOW)]
    >>> ProtocolLabels().of(Traffic(*nothing, until_ns=0)).shape
    (0,)
    """

    def __init__(self, config: Config | None = None) -> None:
        self._talks = empty_talks((config or Config()).labels.conversations)
        self._counts = np.zeros(3, np.int64)
        self._know = knowledge()
        self._no_frames = np.zeros(0, FRAME)

    def of(self, traffic: Traffic) -> NDArray[np.uint16]:
        """Tell the label of each packet, in order; no packet may be missed.

        Parameters
        ----------
        traffic : Traffic
            Of `links`, the TCP analysis is heeded where it is filled in: Wireshark does not look
            into retransmitted and out-of-order segments.

        Returns
        -------
        labels : uint16 (n_packets,)
            Places in LABELS.
        """
        labels = np.zeros(len(traffic.packets), np.uint16)
        frames = self._no_frames if traffic.frames is None else traffic.frames
        data = _read_only(traffic.data)
        segments = np.zeros(len(labels), SEGMENT)
        locate_packets(
            data,
            _read_only(traffic.packets),
            _read_only(traffic.links),
            _read_only(frames),
            self._know,
            segments,
            labels,
        )
        label_segments(data, segments, self._talks, self._counts, self._know, labels)
        return labels

    def tallies(self) -> list[Tally]:
        """Conversations that were remembered, and those that had to give way."""
        return [
            Tally(
                "label_conversations_total",
                "counter",
                "Conversations whose protocol was remembered",
                (),
                {(): int(self._counts[0])},
            ),
            Tally(
                "label_conversations_evicted_total",
                "counter",
                "Conversations that were forgotten to make room for others",
                (),
                {(): int(self._counts[1])},
            ),
        ]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written to: Numba compiles once more for each kind of array."""
    view = array.view()
    view.flags.writeable = False
    return view

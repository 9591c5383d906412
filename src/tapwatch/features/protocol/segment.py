"""What is asked about: a TCP segment or a UDP datagram, wherever in a frame it was found."""

from typing import Final

import numpy as np

SEGMENT: Final = np.dtype(
    [
        ("key", "<i8"),  # of the conversation
        ("lo", "<i8"),  # where in the batch's data the payload begins
        ("captured_bytes", "<i4"),  # of the payload
        ("n_bytes", "<i4"),  # of the payload on the wire
        ("seq", "<u4"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("analysis", "<u2"),  # bits of TcpAnalysis
        ("flags", "u1"),  # the lower eight of TCP
        ("kind", "u1"),  # bits below
    ],
    align=True,
)
IS_SIDE: Final = 1  # from the end with the higher hash
IS_UDP: Final = 2
IS_GTP: Final = 4  # inside of GTP

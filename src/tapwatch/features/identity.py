"""Which columns say who and when a row is: first in every file, never fed to a model."""

from typing import Final

#: Column -> (dtype in files, meaning). "dictionary" is a dictionary-encoded string.
IDENTITY: Final[dict[str, tuple[str, str]]] = {
    "frame_number": ("int64", "1-based position of the frame in the source"),
    "order_ns": (
        "int64",
        "end of the window, or when the host had to make room, ns since the Unix epoch",
    ),
    "first_ts_ns": ("int64", "time of the first packet, ns since the Unix epoch"),
    "last_ts_ns": ("int64", "time of the last packet, ns since the Unix epoch"),
    "src": ("dictionary", "sender of the packet, initiator of the flow: IP or MAC address"),
    "dst": ("dictionary", "receiver of the packet, responder of the flow"),
    "src_port": ("int64", "port of src, or type of ICMP; 0 without"),
    "dst_port": ("int64", "port of dst, or counter-type or code of ICMP; 0 without"),
    "proto": ("dictionary", "name of the protocol, or its number"),
    "vlan": ("int64", "VLAN id of the outermost tag, -1 without one"),
    "flow_id": ("int64", "63-bit id of the flow, the same in every replay; 0 without a flow"),
    "community_id": ("dictionary", "Community ID v1 of the flow, empty without a flow"),
    "end_reason": ("dictionary", "why the row of the flow was written"),
}

_OF_PACKETS: Final = {"end_reason", "order_ns"}
_OF_FLOWS: Final = {"frame_number", "order_ns"}
_LACKING: Final = {
    "packet": _OF_PACKETS,
    "flow": _OF_FLOWS,
    "kdd": _OF_FLOWS,
    "afterimage": _OF_PACKETS,
    "afterimage_115": _OF_PACKETS,
    "host": {
        "frame_number",
        "dst",
        "src_port",
        "dst_port",
        "proto",
        "vlan",
        "flow_id",
        "community_id",
    },
}


def identity_of(view: str) -> tuple[str, ...]:
    """Names of the identity columns that the rows of a view have, in order."""
    return tuple(name for name in IDENTITY if name not in _LACKING[view])

"""ROOM 1: the wire or a file in, batches of raw frames out.

`open_captures` is the door for files, `open_interface` for a live tap; SOURCES names every kind of
source there is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tapwatch.capture.afpacket import AfPacketSource, open_interface
from tapwatch.capture.files import FileSource, open_captures
from tapwatch.capture.memory import MemorySource
from tapwatch.capture.pace import paced
from tapwatch.capture.source import CaptureCounts, Damage, Source

__all__ = [
    "SOURCES",
    "AfPacketSource",
    "CaptureCounts",
    "Damage",
    "FileSource",
    "MemorySource",
    "Source",
    "open_captures",
    "open_interface",
    "paced",
]

#: Name of a kind of source -> what makes one.
SOURCES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"files": open_captures, "interface": open_interface, "memory": MemorySource}
)

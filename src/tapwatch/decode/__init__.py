"""Room 2, decode: raw frames become PACKET rows, one a frame whatever the frame is."""

from tapwatch.decode.decoder import Decoder
from tapwatch.decode.status import DecodeStatus

__all__ = ["DecodeStatus", "Decoder"]

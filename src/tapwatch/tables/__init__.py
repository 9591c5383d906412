"""The parcels that rooms hand to each other: dtypes, units and plain records, no logic.

A structured dtype is the contract of a door: little-endian, no Python objects, every field of every
row written every time. Fields that a frame or flow does not have are 0 unless the comment says so.
Addresses are two unsigned 64-bit halves of 128 bits in host order, most significant half first:
IPv6 as it is, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), a bare MAC address in the low 48 bits.
`ip_version` (4, 6, or 0 for a MAC address) tells which of the three it is.
"""

from tapwatch.tables.flows import FLOW, LINK, ConnState, EndReason, TcpAnalysis
from tapwatch.tables.packets import FRAME, PACKET, FrameBatch
from tapwatch.tables.rows import ROW, Column, FeatureBatch, Names, Schema, Traffic
from tapwatch.tables.verdicts import Alert, Drift, FeatureShare, Histogram, Scores, Tally

__all__ = [
    "FLOW",
    "FRAME",
    "LINK",
    "PACKET",
    "ROW",
    "Alert",
    "Column",
    "ConnState",
    "Drift",
    "EndReason",
    "FeatureBatch",
    "FeatureShare",
    "FrameBatch",
    "Histogram",
    "Names",
    "Schema",
    "Scores",
    "Tally",
    "TcpAnalysis",
    "Traffic",
]

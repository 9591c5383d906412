"""ROOM 6: Scores -> Alert -> world. The terminal table is in `alerts.console`."""

from tapwatch.alerts.policy import Policy
from tapwatch.alerts.sinks import LineSink, open_sink

__all__ = ["LineSink", "Policy", "open_sink"]

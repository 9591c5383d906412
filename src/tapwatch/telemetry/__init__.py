"""THE WINDOW: Tally -> Prometheus, a status page, the log, and the only stopwatch."""

from tapwatch.telemetry.stopwatch import Stopwatch

__all__ = ["Stopwatch"]

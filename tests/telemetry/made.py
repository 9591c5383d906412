"""Tallies made by hand."""

import numpy as np

from tapwatch.tables import Histogram, Tally

EDGES = (0.1, 1.0, 10.0)


def tallies() -> list[Tally]:
    """A counter, a gauge and a histogram."""
    return [
        Tally(
            "decode_packets_total",
            "counter",
            "Frames by what became of them.",
            ("status",),
            {("ok",): 12_345_678_901, ("truncated",): 0},
        ),
        Tally("flow_active", "gauge", "Flows that are open.", (), {(): 17}),
        Tally(
            "reconstruction_error",
            "histogram",
            "Error of the scored rows.",
            ("view", "detector"),
            {("flow", "ae"): Histogram(EDGES, np.array([5, 0, 2, 1]), 33.25)},
        ),
    ]

"""Event-time windows: whole multiples of a hop of packet time, each put together from panes."""

from tapwatch.features.host.layout import TIME_MAX_NS


class Panes:
    """Which pane is open, and which windows end as packet time goes on.

    A window is `n_panes` panes, each a hop long and aligned to whole hops since the Unix epoch; a
    window ends with every pane. Windows without an occupied pane never come up, however far time
    jumps.

    Parameters
    ----------
    hop_ns : int
    n_panes : int

    Examples
    --------
    >>> panes = Panes(hop_ns=10, n_panes=2)
    >>> panes.advance(57)
    []
    >>> (panes.start_ns, panes.end_ns)
    (50, 60)
    >>> panes.occupy()
    >>> panes.advance(1_000)
    [(60, [50]), (70, [50])]
    """

    def __init__(self, hop_ns: int, n_panes: int) -> None:
        self.hop_ns = hop_ns
        self.n_panes = n_panes
        # Before every packet time: the first packet opens a pane.
        self.start_ns = self.end_ns = -(1 << 63)
        self._occupied: list[int] = []  # starts of the panes with packets, ascending

    def occupy(self) -> None:
        """Say that the open pane has packets."""
        if self._occupied[-1:] != [self.start_ns]:
            self._occupied.append(self.start_ns)

    def advance(self, time_ns: int) -> list[tuple[int, list[int]]]:
        """Open the pane of a time, unless that is over or open.

        Returns
        -------
        windows : list of (end_ns, starts of the occupied panes)
            Windows that have ended and have packets, in order.
        """
        start_ns = min(max(time_ns, -TIME_MAX_NS), TIME_MAX_NS) // self.hop_ns * self.hop_ns
        if start_ns < self.end_ns:
            return []
        windows = self._ended(start_ns)
        self.start_ns, self.end_ns = start_ns, start_ns + self.hop_ns
        return windows

    def close(self) -> list[tuple[int, list[int]]]:
        """Give all windows that the occupied panes are part of, in order."""
        return self._ended(1 << 63)

    def _ended(self, until_ns: int) -> list[tuple[int, list[int]]]:
        """End the windows that end at `until_ns` or before; those before the open pane have."""
        windows, end_ns = [], self.end_ns
        # Ends soon: the last pane leaves with the last window that it is part of.
        while self._occupied and end_ns <= until_ns:
            oldest_ns = end_ns - self.n_panes * self.hop_ns
            self._occupied = [start for start in self._occupied if start >= oldest_ns]
            if self._occupied:
                windows.append((end_ns, list(self._occupied)))
            end_ns += self.hop_ns
        return windows

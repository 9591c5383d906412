"""A reminder for what should happen now and then, such as a line that says how far we are."""

import time


class Interval:
    """Due once in so many seconds, for the first time after the first of them.

    Examples
    --------
    >>> Interval(3600).due()
    False
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last_s = time.monotonic()
        self.passed_s = 0.0  # between the last two times that it was due

    def due(self) -> bool:
        """True at most once in an interval."""
        at_s = time.monotonic()
        if at_s - self._last_s < self._seconds:
            return False
        self.passed_s, self._last_s = at_s - self._last_s, at_s
        return True

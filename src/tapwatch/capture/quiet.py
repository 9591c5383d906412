"""Time on a quiet wire.

Frames say what time it is, as in a capture. Where none come, a live tap says so with empty batches
whose `until_ns` moves on, so that flows end and their rows come out. It must never be later than a
frame that comes after it, or a replay of the same frames would give other rows. So `until_ns` is

- behind the clock by more than a block may wait in the ring, and the kernel may take to put a frame
  there (_MARGIN_NS);
- taken from the look *before* the last wait, in which the ring was empty too: a machine that stood
  still between two looks has had time to hand over what had come before;
- not ahead of the last frame by more than has passed on a clock that nobody sets;
- a running maximum: a clock that is set back holds it up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tapwatch.capture import layout

#: How long a frame may be under way from its time stamp to a block that is ours, beyond the
#: block's own timeout.
_MARGIN_NS: Final = 200_000_000
#: Further back than frames overtake each other, the clock was set.
_SET_BACK_S: Final = 1.0


@dataclass(slots=True)
class _Look:
    """A moment at which the ring was found empty, on both clocks."""

    wall_ns: int
    steady_ns: int


class QuietClock:
    """Says how far time has certainly come on a wire where nothing comes; see the module.

    Parameters
    ----------
    block_timeout_ns : int
        How long a frame may wait in the ring.
    """

    def __init__(self, block_timeout_ns: int) -> None:
        self._behind_ns = block_timeout_ns + _MARGIN_NS
        self._before: _Look | None = None
        self._frame_ns: int | None = None  # latest frame, and when it was handed over
        self._frame_steady_ns = 0
        self.until_ns = layout.INT64_MIN

    def frames(self, clock_ns: int, steady_ns: int) -> None:
        """Frames were handed over; `clock_ns` is the running maximum of their times."""
        self._frame_ns, self._frame_steady_ns = clock_ns, steady_ns
        self.until_ns = max(self.until_ns, clock_ns)

    def quiet(self, wall_ns: int, steady_ns: int) -> None:
        """The ring was found empty at this time, after a wait."""
        before, self._before = self._before, _Look(wall_ns, steady_ns)
        if before is None or self._frame_ns is None:
            return
        passed_ns = before.steady_ns - self._frame_steady_ns
        safe_ns = min(before.wall_ns - self._behind_ns, self._frame_ns + passed_ns)
        self.until_ns = max(self.until_ns, safe_ns)


class ClockWatch:
    """Says aloud that the machine's clock was set back; see docs/adr/0004.

    Until the clock has caught up with packet time, no timeout passes: no flow ends by silence, and
    no hold-down.

    Parameters
    ----------
    said : callable
        Told once when the clock is found set back, and once when it has caught up.
    """

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said = said
        self.n_set_back = 0
        self.behind_s = 0.0  # how long it is until time goes on; 0 as long as it does

    def look(self, now_ns: int, until_ns: int) -> None:
        """`now_ns` is the time of a frame just taken or of the clock, `until_ns` packet time."""
        behind_s = max(0, until_ns - now_ns) / 1e9
        if self.behind_s == 0.0 and behind_s < _SET_BACK_S:
            return
        if self.behind_s == 0.0:
            self.n_set_back += 1
            self._said(
                f"the clock was set back by {behind_s:,.0f} s: until it has caught up no timeout "
                "passes; start tapwatch again to go on at once"
            )
        elif behind_s == 0.0:
            self._said("the clock has caught up with packet time")
        self.behind_s = behind_s

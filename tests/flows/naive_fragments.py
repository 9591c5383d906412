"""Fragments of one datagram, the slow way: a set of all byte positions seen."""

from typing import Any


def extent(p: dict[str, Any]) -> range:
    """Byte positions of a fragment in its datagram."""
    start = p["frag_offset_bytes"]
    return range(start, start + max(p["ip_bytes"] - p["ip_header_bytes"], 0))


def is_last(p: dict[str, Any]) -> bool:
    return not p["ip_flags"] & 1


def is_impossible(p: dict[str, Any]) -> bool:
    """It overruns 65,535 bytes, or is not the last and not in units of eight."""
    where = extent(p)
    # A datagram's length counts the header in IPv4, and all but the fixed one in IPv6.
    uncounted = {4: 0, 6: 40 + 8}[p["ip_version"]]  # 8: the fragment header, which goes
    return p["frag_offset_bytes"] + p["ip_bytes"] - uncounted > 65_535 or (
        not is_last(p) and len(where) % 8 != 0
    )


class Datagram:
    """What is known since the first fragment came."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.first = extent(first)
        self.seen = set(self.first)
        self.ends: list[int] = []  # of last fragments
        self.latest = (0, self.first.stop)

    @property
    def is_whole(self) -> bool:
        """Nothing is missing."""
        return bool(self.ends) and 0 < max(self.ends) <= self.pieces(self.seen)[0].stop

    @staticmethod
    def pieces(seen: set[int]) -> list[range]:
        """Runs of positions without a gap; the first of them begins at 0, be it empty."""
        runs = []
        for start in sorted(position for position in seen if position - 1 not in seen):
            stop = start
            while stop in seen:
                stop += 1
            runs.append(range(start, stop))
        return runs if 0 in seen else [range(0), *runs]

    def contradicts(self, first: dict[str, Any]) -> bool:
        """A first fragment of another length, while the datagram is not whole."""
        return not self.is_whole and len(extent(first)) != len(self.first)

    def add(self, p: dict[str, Any]) -> bool:
        """Take a later fragment; tell whether it is wrong."""
        where = extent(p)
        if (where.start, where.stop) == self.latest:
            return False
        self.latest = (where.start, where.stop)
        wrong = bool(self.seen & set(where)) or self._is_within(where)
        wrong |= bool(self.ends) and where.stop > max(self.ends)
        if is_last(p):
            wrong |= where.stop <= max(self.seen, default=-1)
            wrong |= bool(self.ends) and where.stop != max(self.ends)
            self.ends.append(where.stop)
        if len(self.pieces(self.seen | set(where))) <= 2:
            self.seen |= set(where)
        return wrong

    def _is_within(self, where: range) -> bool:
        """Of no bytes, but inside of what was seen."""
        return not where and any(
            run.start < where.start < run.stop for run in self.pieces(self.seen)
        )

"""The last rows of an entity, slow and obvious: a dictionary of lists."""

from collections.abc import Iterable
from typing import Any

from tests.features.naive_afterimage import Table, mix, pair_hash

WORD = (1 << 64) - 1
PACKETS, FLOWS = {"packet", "afterimage", "afterimage_115"}, {"flow", "kdd"}


class Sequences:
    """Blocks of one view."""

    def __init__(self, view: str, n: int, capacity: int = 1 << 16, seed: int = 0) -> None:
        self.view, self.n, self.seed = view, n, seed
        self.table = Table(capacity, lambda: [[]])

    def _hash(self, number: int) -> int:
        return mix(mix(number >> 64 ^ self.seed) ^ number & WORD)

    def entity(self, row: Any) -> tuple[Any, int]:
        """Whose row it is, and the hash that says in which set it is remembered."""
        version = int(row["ip_version"])
        src, dst = (int(row[f"{end}_hi"]) << 64 | int(row[f"{end}_lo"]) for end in ("src", "dst"))
        if self.view in PACKETS and row["is_flow"]:
            flow_id = int(row["flow_id"]) & WORD
            return flow_id, self._hash(flow_id)
        if self.view in PACKETS:
            return (version, frozenset({src, dst})), pair_hash(self._hash(src), self._hash(dst))
        if self.view in FLOWS:
            port = int(row["dst_port"])
            service = mix(mix(self._hash(src) ^ port) ^ self._hash(dst))
            return (version, src, dst, port), service
        return (version, src), self._hash(src)

    def add(self, row: Any, values: list[float]) -> tuple[list[list[float]], int]:
        """Block and length of one row."""
        [known] = self.table.meet(*self.entity(row))
        known.append(values)
        last = known[-self.n :]
        nothing = [[0.0] * len(values)] * (self.n - len(last))
        return nothing + last, len(last)

    def blocks(self, rows: Iterable[Any], values: list[list[float]]) -> tuple[Any, list[int]]:
        """Blocks and lengths of many."""
        made = [self.add(row, line) for row, line in zip(rows, values, strict=True)]
        return [block for block, _ in made], [length for _, length in made]

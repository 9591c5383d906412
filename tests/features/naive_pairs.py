"""The bounded table of address pairs, one pair a dict entry: the slow twin of `packet.pairs`."""

from dataclasses import dataclass, field

U64 = (1 << 64) - 1
WAYS = 8


def mix(x: int) -> int:
    """Spread 64 bits: the finaliser of SplitMix64 in variant 13 of Stafford's."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & U64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & U64
    return x ^ x >> 31


@dataclass
class Pair:
    """When each way was last gone; None where it never was."""

    last_ns: list[int | None] = field(default_factory=lambda: [None, None])

    def latest(self) -> int:
        """Time of the last frame either way."""
        return max(ns for ns in self.last_ns if ns is not None)


class Pairs:
    """Sets of eight; in a full one the pair that was silent longest gives way, the first of equals.

    Ends are (version, hi, lo).
    """

    def __init__(self, n_sets: int, seed: int = 0) -> None:
        self.seed = seed
        self.sets: list[list[tuple[object, Pair] | None]] = [[None] * WAYS for _ in range(n_sets)]
        self.evicted = 0

    def gaps(
        self, src: tuple[int, int, int], dst: tuple[int, int, int], now_ns: int
    ) -> tuple[int, int]:
        """Time since the last frame either way, and this way; 0 where there was none."""
        ends = sorted((src, dst))
        low, high = (mix(mix(hi ^ self.seed) ^ lo) for _, hi, lo in ends)
        key = max(1, mix(mix(low ^ src[0] ^ 0x7461707761746300) ^ high))
        way = 0 if src <= dst else 1
        pair = self._pair(self.sets[key % len(self.sets)], ends)
        met = [ns for ns in pair.last_ns if ns is not None]
        either = max(0, now_ns - max(met)) if met else 0
        this_way = pair.last_ns[way]
        pair.last_ns[way] = now_ns
        return either, 0 if this_way is None else max(0, now_ns - this_way)

    def _pair(self, places: list[tuple[object, Pair] | None], key: object) -> Pair:
        for place in places:
            if place is not None and place[0] == key:
                return place[1]
        pair = Pair()
        if None in places:
            places[places.index(None)] = key, pair
            return pair
        ages = [place[1].latest() for place in places if place is not None]
        places[ages.index(min(ages))] = key, pair
        self.evicted += 1
        return pair

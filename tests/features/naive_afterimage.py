"""The damped statistics, slow and obvious: one dictionary entry a stream, one object a lambda."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

RATES = {"5": 5.0, "3": 3.0, "1": 1.0, "0_1": 0.1, "0_01": 0.01}
NAMES = ("weight", "mean", "var")
WORD = (1 << 64) - 1
NO_PORT = 0
#: Version, number: 4 and 6 for IP addresses (IPv4 as ::ffff:a.b.c.d), 0 for MAC addresses.
Address = tuple[int, int]


class Frame(NamedTuple):
    """What the statistics depend on."""

    ts_ns: int
    length: int
    station: int
    other_station: int
    src: Address
    dst: Address
    src_port: int
    dst_port: int
    is_arp: bool


def frame_of(packet: Any) -> Frame:
    """The frame of a PACKET row."""
    version = int(packet["ip_version"])
    return Frame(
        int(packet["ts_ns"]),
        int(packet["wire_bytes"]),
        int(packet["eth_src"]),
        int(packet["eth_dst"]),
        (version, int(packet["src_hi"]) << 64 | int(packet["src_lo"])),
        (version, int(packet["dst_hi"]) << 64 | int(packet["dst_lo"])),
        int(packet["src_port"]),
        int(packet["dst_port"]),
        int(packet["ether_type"]) == 0x0806,
    )


class Stream:
    """One stream at one lambda."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.w, self.ls, self.ss = 1e-20, 0.0, 0.0
        self.last_ns: int | None = None

    def add(self, value: float, ts_ns: int) -> None:
        """Forget, then take a value."""
        if self.last_ns is None:
            self.last_ns = ts_ns
        if ts_ns > self.last_ns:
            factor = 2.0 ** (-self.rate * (ts_ns - self.last_ns) / 1e9)
            self.w, self.ls, self.ss = self.w * factor, self.ls * factor, self.ss * factor
            self.last_ns = ts_ns
        self.w, self.ls, self.ss = self.w + 1, self.ls + value, self.ss + value * value

    @property
    def mean(self) -> float:
        """Damped mean."""
        return self.ls / self.w

    @property
    def var(self) -> float:
        """Damped variance."""
        return abs(self.ss / self.w - self.mean**2)

    @property
    def statistics(self) -> list[float]:
        """As `NAMES` has them."""
        return [self.w, self.mean, self.var]

    @property
    def is_noise(self) -> bool:
        """Whether the variance may be nothing but rounding."""
        return self.var < 1e-9 * max(1.0, self.mean**2)


class Both:
    """Two streams that are each other's other way, at one lambda."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.streams: dict[Any, Stream] = {}
        self.residuals: dict[Any, float] = {}
        self.sr, self.n = 0.0, 1e-20
        self.last_ns: int | None = None

    def add(self, way: Any, other: Any, value: float, ts_ns: int) -> list[float]:
        """Take a value one way and give the seven statistics of that way."""
        mine = self.streams.setdefault(way, Stream(self.rate))
        mine.add(value, ts_ns)
        if self.last_ns is None:
            self.last_ns = ts_ns
        if ts_ns > self.last_ns:
            factor = 2.0 ** (-self.rate * (ts_ns - self.last_ns) / 1e9)
            self.sr, self.n = self.sr * factor, self.n * factor
            self.last_ns = ts_ns
        self.sr += (value - mine.mean) * self.residuals.get(other, 0.0)
        self.n += 1
        self.residuals[way] = value - mine.mean

        theirs = self.streams.get(other, Stream(self.rate))
        cov = self.sr / self.n
        pcc = 0.0
        if not (mine.is_noise or theirs.is_noise):
            pcc = cov / (math.sqrt(mine.var) * math.sqrt(theirs.var))
        radius, magnitude = math.hypot(mine.var, theirs.var), math.hypot(mine.mean, theirs.mean)
        return [mine.w, mine.mean, mine.var, radius, magnitude, cov, pcc]


def mix(x: int) -> int:
    """SplitMix64's last step."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


class Table:
    """Sets of eight; in a full one, what was met longest ago gives way."""

    def __init__(self, capacity: int, make: Callable[[], Any]) -> None:
        self.sets: list[dict[Any, Any]] = [{} for _ in range(capacity // 8)]
        self.make = make
        self.evicted = 0

    def meet(self, key: Any, key_hash: int) -> Any:
        """What is remembered of a key."""
        known = self.sets[(key_hash & 0xFFFF_FFFF) * len(self.sets) >> 32]
        if key not in known and len(known) == 8:
            del known[next(iter(known))]
            self.evicted += 1
        # A dictionary keeps the order of insertion: the key goes to its end.
        state = known.pop(key, None) or self.make()
        known[key] = state
        return state


class Afterimage:
    """The whole view, with all 115 columns."""

    def __init__(self, seed: int = 0, **capacities: int) -> None:
        self.seed = seed
        makes = {
            "mi": lambda: [Stream(rate) for rate in RATES.values()],
            "h": lambda: [Stream(rate) for rate in RATES.values()],
            "hh": lambda: ([Both(rate) for rate in RATES.values()], {}),
            "hphp": lambda: [Both(rate) for rate in RATES.values()],
        }
        self.tables = {
            kind: Table(capacities.get(kind, 1 << 16), make) for kind, make in makes.items()
        }

    def _address_hash(self, address: Address) -> int:
        return mix(mix(address[1] >> 64 ^ self.seed) ^ address[1] & WORD)

    def add(self, frame: Frame) -> dict[str, float]:
        """Name -> value for one frame."""
        src_hash, dst_hash = self._address_hash(frame.src), self._address_hash(frame.dst)
        values: dict[str, float] = {}

        station = mix(src_hash ^ frame.station)
        streams = self.tables["mi"].meet((frame.station, frame.src), station)
        values |= one_way("MI", streams, frame.length, frame.ts_ns)
        streams = self.tables["h"].meet(frame.src, src_hash)
        values |= one_way("H", streams, frame.length, frame.ts_ns)

        both = frozenset({frame.src, frame.dst})
        pairs, gaps = self.tables["hh"].meet(both, pair_hash(src_hash, dst_hash))
        values |= both_ways("HH", pairs, frame.src, frame.dst, frame)
        streams = gaps.setdefault(frame.src, [Stream(rate) for rate in RATES.values()])
        last_ns = streams[0].last_ns
        gap_s = 0.0 if last_ns is None else max(frame.ts_ns - last_ns, 0) / 1e9
        values |= one_way("HH_jit", streams, gap_s, frame.ts_ns)

        if frame.is_arp:
            way, other = ((0, frame.station), NO_PORT), ((0, frame.other_station), NO_PORT)
        else:
            way, other = (frame.src, frame.src_port), (frame.dst, frame.dst_port)
        ends = [mix(self._address_hash(address) ^ port) for address, port in (way, other)]
        pairs = self.tables["hphp"].meet(frozenset({way, other}), pair_hash(*ends))
        values |= both_ways("HpHp", pairs, way, other, frame)
        return values


def one_way(name: str, streams: list[Stream], value: float, ts_ns: int) -> dict[str, float]:
    """Columns of a stream that has no other way."""
    values = {}
    for rate, stream in zip(RATES, streams, strict=True):
        stream.add(value, ts_ns)
        for statistic, x in zip(NAMES, stream.statistics, strict=True):
            values[f"{name}_{rate}_{statistic}"] = x
    return values


def both_ways(name: str, pairs: list[Both], way: Any, other: Any, frame: Frame) -> dict[str, float]:
    """Columns of a stream that has another way."""
    values = {}
    names = (*NAMES, "radius", "magnitude", "cov", "pcc")
    for rate, pair in zip(RATES, pairs, strict=True):
        statistics = pair.add(way, other, float(frame.length), frame.ts_ns)
        for statistic, x in zip(names, statistics, strict=True):
            values[f"{name}_{rate}_{statistic}"] = x
    return values


def pair_hash(a: int, b: int) -> int:
    """The same for both orders."""
    return mix(mix(a & b) ^ a ^ b)


def afterimage_values(
    frames: Iterable[Frame], names: Iterable[str], twin: Afterimage | None = None
) -> list[list[float]]:
    """Rows of the named columns."""
    twin, names = twin or Afterimage(), list(names)
    rows = []
    for frame in frames:
        values = twin.add(frame)
        rows.append([values[name] for name in names])
    return rows

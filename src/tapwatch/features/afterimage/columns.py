"""What a row of the views `afterimage` and `afterimage_115` is: Kitsune's damped statistics.

A stream is the frames of one sender, or of one channel from a sender to a receiver. It forgets: at
each frame what it holds is multiplied by d = 2^(-lambda * gap), where gap is the time in s since
the stream's frame before, 0 for the first one and for a frame older than that one, which moves no
clock either. Then the frame's value v is added:

    w <- d * w + 1    LS <- d * LS + v    SS <- d * SS + v^2

Streams that have another way, HH and HpHp, share with it a sum of products of residuals,
r = v - mean, and its weight; both are forgotten by e = 2^(-lambda * gap either way), and each frame
of either way is added once:

    SR <- e * SR + r * (the last r the other way, 0 before there was one)    n <- e * n + 1

Where sender and receiver are one, the other way is the stream itself, and its last r the one
before. The covariance is SR / n, as in Kitsune's program; the paper has SR / (w + w of the other
way).

`afterimage` is the 100 columns that Kitsune's program makes, in its order; `afterimage_115` has the
streams H too, as the paper has. Streams are keyed by channel, as in the paper: the program keys the
first three statistics of HH and HpHp by the sender alone.
"""

from itertools import product
from typing import Final, NamedTuple

from tapwatch.features.schema import make_schema
from tapwatch.tables import Column, Schema

#: Of forgetting, per second; about 100 ms, 500 ms, 1.5 s, 10 s and 1 min are remembered.
LAMBDAS: Final = (5.0, 3.0, 1.0, 0.1, 0.01)

_PAPER: Final = "Mirsky et al., Kitsune, NDSS 2018, table 2"

_ONE_WAY: Final = ("weight", "mean", "var")
_BOTH_WAYS: Final = (*_ONE_WAY, "radius", "magnitude", "cov", "pcc")

N_ONE_WAY: Final = len(_ONE_WAY)
N_BOTH_WAYS: Final = len(_BOTH_WAYS)

_FORMULAS: Final = {
    "weight": "w, where w <- d * w + 1",
    "mean": "LS / w, where LS <- d * LS + v",
    "var": "abs(SS / w - mean^2), where SS <- d * SS + v^2",
    "radius": "sqrt(var^2 + var'^2)",
    "magnitude": "sqrt(mean^2 + mean'^2)",
    "cov": "SR / n, where SR <- e * SR + (v - mean) * r', n <- e * n + 1, r' is the last v - mean "
    "the other way, and e is as d by the gap either way",
    "pcc": "cov / sqrt(var * var'), 0 where var < 1e-9 * max(1, mean^2) "
    "or var' < 1e-9 * max(1, mean'^2)",
}

_PRIMES: Final = "; ' is of the stream the other way after its last frame, 0 before there was one"

_MEANINGS: Final = {
    "weight": "number of {what}, the older the less",
    "mean": "mean {value} of {what}",
    "var": "variance of the {value} of {what}",
    "radius": "how far the {value} of both ways vary together: {what}",
    "magnitude": "how large the {value} of both ways are together: {what}",
    "cov": "covariance of the {value} of both ways: {what}",
    "pcc": "correlation of the {value} of both ways, by the approximation of cov: {what}",
}

#: As N-BaIoT's files spell what is the same there.
_ORIGINALS: Final = {"var": "variance", "cov": "covariance"}


class _Stream(NamedTuple):
    name: str
    original: str
    what: str
    key: str
    value: str  # formula of v
    value_meaning: str
    unit: str
    statistics: tuple[str, ...]


_MI: Final = _Stream(
    "MI",
    "MI_dir",
    "frames that this station sent with this address",
    "p.eth_src, p.src",
    "p.wire_bytes",
    "length",
    "B",
    _ONE_WAY,
)
_H: Final = _Stream(
    "H", "H", "frames that this address sent", "p.src", "p.wire_bytes", "length", "B", _ONE_WAY
)
_HH: Final = _Stream(
    "HH",
    "HH",
    "frames from this address to that one",
    "p.src, p.dst",
    "p.wire_bytes",
    "length",
    "B",
    _BOTH_WAYS,
)
_HH_JIT: Final = _Stream(
    "HH_jit",
    "HH_jit",
    "frames from this address to that one",
    "p.src, p.dst",
    "the gap in s",
    "gap",
    "s",
    _ONE_WAY,
)
_HPHP: Final = _Stream(
    "HpHp",
    "HpHp",
    "frames from this address and port to those",
    "p.src, p.src_port, p.dst, p.dst_port; of ARP p.eth_src, p.eth_dst",
    "p.wire_bytes",
    "length",
    "B",
    _BOTH_WAYS,
)


def _units(unit: str) -> dict[str, str]:
    square = f"{unit}^2"
    return {
        "weight": "1",
        "mean": unit,
        "var": square,
        "radius": square,
        "magnitude": unit,
        "cov": square,
        "pcc": "1",
    }


def _column(stream: _Stream, rate: float, statistic: str) -> Column:
    # A plain identifier has no point: 0.1 is 0_1.
    rate_name = f"{rate:g}"
    formula = f"{_FORMULAS[statistic]}; of {stream.key}; v is {stream.value}, "
    formula += f"d is 2^(-{rate_name} * gap in s)" + ("" if statistic in _ONE_WAY else _PRIMES)
    meaning = _MEANINGS[statistic].format(what=stream.what, value=stream.value_meaning)
    # Their files hold the standard deviation there.
    is_other = statistic == "var" and stream.statistics is _BOTH_WAYS
    original = f"{stream.original}_L{rate_name}_{_ORIGINALS.get(statistic, statistic)}"
    return Column(
        f"{stream.name}_{rate_name.replace('.', '_')}_{statistic}",
        _units(stream.unit)[statistic],
        "float64",
        formula,
        _PAPER,
        meaning,
        "" if is_other else original,
    )


def _columns(*streams: _Stream) -> tuple[Column, ...]:
    return tuple(
        _column(stream, rate, statistic)
        for stream in streams
        for rate, statistic in product(LAMBDAS, stream.statistics)
    )


AFTERIMAGE_SCHEMA: Final[Schema] = make_schema("afterimage", 1, _columns(_MI, _HH, _HH_JIT, _HPHP))
AFTERIMAGE_115_SCHEMA: Final[Schema] = make_schema(
    "afterimage_115", 1, _columns(_MI, _H, _HH, _HH_JIT, _HPHP)
)

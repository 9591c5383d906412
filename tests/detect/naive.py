"""Slow, obvious versions of what detect/ computes. Correct by reading."""

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal


def signed_log(x: float, resolution: float = 1.0) -> float:
    return math.copysign(math.log1p(abs(x) * resolution), x)


def log_z(column: Sequence[float], clip: float, resolution: float = 1.0) -> list[float]:
    """One column: signed logarithm of so many steps a unit, standard score of itself, clip."""
    logs = [signed_log(x, resolution) for x in column]
    mean = math.fsum(logs) / len(logs)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / len(logs))
    return [min(max((x - mean) / deviation, -clip), clip) for x in logs]


CURVES = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


def forward(
    row: Sequence[float],
    layers: Sequence[tuple],
    activation: str = "relu",
    output: str = "linear",
) -> list[float]:
    """Layers of (weight, bias) with a curve after each: a rectifier after all but the last."""
    code = list(row)
    for k, (weight, bias) in enumerate(layers):
        curve = CURVES[activation if k < len(layers) - 1 else output]
        code = [
            curve(math.fsum(w * c for w, c in zip(line, code, strict=True)) + b)
            for line, b in zip(weight, bias, strict=True)
        ]
    return code


def power_mean(errors: Sequence[float], moment: float) -> float:
    return (math.fsum(e**moment for e in errors) / len(errors)) ** (1 / moment)


def chances(rows: Sequence[Sequence[float]], balance: float) -> list[float]:
    """Running sum of each row's weight: the size of its kind to the power of -balance."""
    kinds = [tuple(max(-127, min(127, round(x))) for x in row) for row in rows]
    weights = [kinds.count(kind) ** -balance for kind in kinds]
    return [math.fsum(weights[: k + 1]) for k in range(len(weights))]


def p_value(score: float, calibration: Sequence[float]) -> float:
    return (1 + sum(1 for c in calibration if c >= score)) / (len(calibration) + 1)


def six_digits(x: float) -> float:
    if x == 0 or not math.isfinite(x):
        return x
    return float(Context(prec=6, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(x)))


def exceeded_by(values: Sequence[float], share: float) -> float:
    """The value of rank share * (n + 1), counted from 1 at the largest; between two, in between."""
    falling = sorted(values, reverse=True)
    rank = min(max(share * (len(values) + 1), 1), len(values))
    upper, lower = falling[math.floor(rank) - 1], falling[math.ceil(rank) - 1]
    return upper + (rank - math.floor(rank)) * (lower - upper)


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[next((k for k, edge in enumerate(edges) if value <= edge), len(edges))] += 1
    return counts


def word_inputs(training: Sequence[float], word: float, clip: float) -> list[float]:
    """Inputs of one class column: one a word seen, then one for all others."""
    seen = sorted(set(training))
    inputs = [float(word == other) for other in seen] + [float(word not in seen)]
    return [clip / math.sqrt(2) * x for x in inputs]


def mean_rank(error: float, calibration: Sequence[float]) -> float:
    """Share of calibration errors below, those that tie counted half."""
    below = sum(c < error for c in calibration) + 0.5 * sum(c == error for c in calibration)
    return below / len(calibration)


def rank_between(error: float, calibration: Sequence[float]) -> float:
    """Mean rank of all that lies above the next smaller error, up to the next larger one."""
    return mean_rank(min((c for c in calibration if c >= error), default=math.inf), calibration)

"""Slow, obvious versions of mixtures of normal densities. Correct by reading."""

import math
from collections.abc import Sequence
from fractions import Fraction


def determinant(matrix: Sequence[Sequence[float]]) -> float:
    """By the first line; exact, in fractions."""
    if not matrix:
        return 1
    total = Fraction(0)
    for k, first in enumerate(matrix[0]):
        minor = [[*line[:k], *line[k + 1 :]] for line in matrix[1:]]
        total += (-1) ** k * Fraction(first) * determinant(minor)
    return total


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[Fraction]:
    """By Cramer's rule."""
    whole = determinant(matrix)
    solution = []
    for k in range(len(right)):
        swapped = [
            [*line[:k], value, *line[k + 1 :]] for line, value in zip(matrix, right, strict=True)
        ]
        solution.append(determinant(swapped) / whole)
    return solution


def energy(row: Sequence[float], components: Sequence[tuple]) -> float:
    """Minus the logarithm of the sum of weight * density; components of (weight, mean, cov)."""
    logs = []
    for weight, mean, covariance in components:
        if weight == 0:
            continue
        away = [Fraction(x) - Fraction(m) for x, m in zip(row, mean, strict=True)]
        distance = sum(a * s for a, s in zip(away, solve(covariance, away), strict=True))
        root = math.log((2 * math.pi) ** len(row) * float(determinant(covariance))) / 2
        logs.append(math.log(weight) - root - float(distance) / 2)
    highest = max(logs)
    return -highest - math.log(math.fsum(math.exp(x - highest) for x in logs))


def mixture(rows: Sequence[Sequence[float]], memberships: Sequence[Sequence[float]], floor) -> list:
    """Weight, mean and covariance of each component; `floor` is added to the variances."""
    components = []
    for k in range(len(memberships[0])):
        share = [row[k] for row in memberships]
        total = math.fsum(share)
        mean = [
            math.fsum(s * row[d] for s, row in zip(share, rows, strict=True)) / total
            for d in range(len(rows[0]))
        ]
        covariance = [
            [
                math.fsum(
                    s * (row[i] - mean[i]) * (row[j] - mean[j])
                    for s, row in zip(share, rows, strict=True)
                )
                / total
                + (floor[i] if i == j else 0)
                for j in range(len(mean))
            ]
            for i in range(len(mean))
        ]
        components.append((total / len(rows), mean, covariance))
    return components


def features(row: Sequence[float], code: Sequence[float], rebuilt: Sequence[float]) -> list[float]:
    """Code, relative distance, cosine similarity, root mean square of the error."""
    away = math.dist(row, rebuilt)
    length, rebuilt_length = math.hypot(*row), math.hypot(*rebuilt)
    cosine = math.fsum(a * b for a, b in zip(row, rebuilt, strict=True)) / (length * rebuilt_length)
    return [*code, away / length, cosine, away / math.sqrt(len(row))]


def divergence(mean: Sequence[float], log_variance: Sequence[float]) -> float:
    """Of independent normal densities from standard ones: one dimension at a time, summed."""
    return math.fsum(
        (math.exp(v) + m * m - 1 - v) / 2 for m, v in zip(mean, log_variance, strict=True)
    )

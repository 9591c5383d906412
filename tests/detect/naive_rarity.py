"""The tree of rarities, slowly: correct by reading."""

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence


def cell(value: float, edges: Sequence[float]) -> int:
    """Edges at or below the value."""
    return bisect_right(edges, value)


def word(inputs: Sequence[float], height: float) -> int:
    """Place of the one input at the height; behind the last where that is not all there is."""
    on = [k for k, value in enumerate(inputs) if value == height]
    off = [value for value in inputs if value == 0]
    return on[0] if len(on) == 1 and len(off) == len(inputs) - 1 else len(inputs)


def information(left: Sequence[int], right: Sequence[int]) -> float:
    """Mutual information in nats."""
    n = len(left)
    pairs, lefts, rights = Counter(zip(left, right, strict=True)), Counter(left), Counter(right)
    return math.fsum(
        k / n * math.log(k * n / (lefts[a] * rights[b])) for (a, b), k in pairs.items()
    )


def best_tree(columns: Sequence[Sequence[int]]) -> float:
    """Largest sum of information that a tree over the columns can have; every graph is tried."""
    n = len(columns)
    pairs = list(itertools.combinations(range(n), 2))
    shared = {pair: information(columns[pair[0]], columns[pair[1]]) for pair in pairs}
    best = 0.0
    for edges in itertools.combinations(pairs, n - 1):
        reached = {0}
        for _ in range(n):
            reached |= {k for edge in edges if reached & set(edge) for k in edge}
        if len(reached) == n:
            best = max(best, math.fsum(shared[edge] for edge in edges))
    return best


def costs(
    row: Sequence[int],
    training: Sequence[Sequence[int]],
    n_cells: Sequence[int],
    parent: Sequence[int],
    trust: float,
) -> list[tuple[float, float]]:
    """Of each column: what its cell costs given the parent's, and what it costs by itself."""
    n = len(training)
    result = []
    for k, mine in enumerate(row):
        share = (sum(seen[k] == mine for seen in training) + 1 / n_cells[k]) / (n + 1)
        if parent[k] < 0:
            result.append((-math.log(share), -math.log(share)))
            continue
        like = [seen for seen in training if seen[parent[k]] == row[parent[k]]]
        both = sum(seen[k] == mine for seen in like)
        given = (both + trust * share) / (len(like) + trust)
        result.append((-math.log(given), -math.log(share)))
    return result

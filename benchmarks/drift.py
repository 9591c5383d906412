"""What thresholds that follow drift do, and cost: a table each, on made errors.

    python benchmarks/drift.py [stationary] [share] [calm] [delay] [cost]

stationary  share of rows that `dspot` flags on rows that stay as they are, over the budget, in the
            last third of 300,000 rows; 24 streams each
share       how far `recalibrate` moves the threshold up for who sends so many of the rows after an
            alarm, at 3.9 times the threshold; eight streams each, the one that moves it furthest
calm        how far who sends so many rows of a small error moves the threshold down, and how often
            rows as before are flagged by it then, over a budget of 1e-2; eight streams each, the
            furthest of either
delay       rows until the watch tells that the mean rank, or the tail, has moved; 24 streams each
cost        nanoseconds of CPU a row, in blocks of 1,024, of each policy; medians of 25 rounds

Errors are log-normal (sigma .7), exponential, Pareto's (index 2), or a mixture of two log-normals.
"""

import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tapwatch.config import DetectConfig
from tapwatch.detect.drift import UNIT_ROWS, DriftWatch
from tapwatch.detect.judge import Judge
from tapwatch.detect.recalibrate import STEP_ROWS, Dspot
from tapwatch.detect.threshold import calibrate, summarise

Row = tuple[Any, ...]
KINDS: dict[str, Callable[[np.random.Generator, Any], np.ndarray]] = {
    "log-normal": lambda random, size: random.lognormal(sigma=0.7, size=size),
    "exponential": lambda random, size: random.exponential(size=size),
    "Pareto": lambda random, size: 1 + random.pareto(2.0, size=size),
    "mixture": lambda random, size: np.where(
        random.random(size) < 0.03,
        random.lognormal(2, 0.5, size=size),
        random.lognormal(0, 0.4, size=size),
    ),
}


def part_of(errors: np.ndarray, risk: float) -> Any:
    """What a bundle says of its threshold."""
    value = calibrate(errors, 0, 1, risk=risk).value
    usual = {"factor": 1.0, "beyond": 1.25, "budget_per_hour": 1.0, "rows_per_hour": 0.0}
    return SimpleNamespace(value=value, alpha=risk, risk=risk, method="conformal", **usual)


def judge_of(errors: np.ndarray, risk: float, policy: str, **more: Any) -> Judge:
    """A judge whose bundle was calibrated with these errors."""
    config = DetectConfig.model_validate({"drift": policy} | more)
    return Judge(part_of(errors, risk), summarise(errors), config)


def stationary() -> Iterator[Row]:
    """DSPOT where nothing drifts."""
    yield "errors", "calibration rows", "budget", "rate / budget", "lowest", "highest"
    for kind, draw in KINDS.items():
        for n_rows in (20_000, 200_000):
            for risk in (1e-2, 1e-3):
                rates = []
                for seed in range(24):
                    random = np.random.default_rng(seed)
                    errors = draw(random, n_rows)
                    dspot = Dspot(part_of(errors, risk), summarise(errors), 4.0)
                    flagged = []
                    for step in draw(random, (147, STEP_ROWS)):
                        line = dspot.value
                        flagged.append(np.mean(step > line))
                        dspot.take(step, line)
                    rates.append(np.mean(flagged[98:]) / risk)
                yield kind, n_rows, risk, *(f(rates) for f in (np.mean, np.min, np.max))


def share() -> Iterator[Row]:
    """Who sends some of the rows, just below what is never learnt from."""
    yield "errors", "budget", "share of rows", "threshold moved by a factor of"
    for kind in ("log-normal", "mixture"):
        for risk in (1e-2, 1e-3):
            for part in (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5):
                moved = [_moved(kind, risk, part, seed) for seed in range(8)]
                yield kind, risk, part, max(moved)


def _moved(kind: str, risk: float, part: float, seed: int) -> float:
    random = np.random.default_rng(seed)
    calibration = KINDS[kind](random, 50_000)
    judge = judge_of(calibration, risk, "recalibrate", recalibrate_rows=16_384)
    own = judge.in_force.value
    errors = KINDS[kind](random, 120_000)
    # Ordinary rows drift a little, so that there is an alarm without the attack too.
    errors[20_000:] *= 1.1
    errors[20_000:][random.random(100_000) < part] = 3.9 * own
    return max(standard.value / own for _, standard in judge.judge(errors))


def calm() -> Iterator[Row]:
    """Who sends rows that look more ordinary than any."""
    yield "policy", "errors", "share of rows", "threshold moved to", "rate / budget afterwards"
    for policy in ("recalibrate", "dspot"):
        for kind in ("log-normal", "mixture"):
            for part in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
                moved, rates = zip(*(_calmed(policy, kind, part, s) for s in range(8)), strict=True)
                yield policy, kind, part, min(moved), max(rates)


def _calmed(policy: str, kind: str, part: float, seed: int) -> tuple[float, float]:
    random, risk, draw = np.random.default_rng(seed), 1e-2, KINDS[kind]
    judge = judge_of(draw(random, 50_000), risk, policy)
    own = judge.in_force.value
    errors = draw(random, 61_440)
    errors[20_480:][random.random(40_960) < part] = 0.2
    for _ in judge.judge(errors):
        pass
    line = judge.in_force.value
    return line / own, float(np.mean(draw(random, 200_000) > line)) / risk


def delay() -> Iterator[Row]:
    """Errors that change at once, after 20,480 rows."""
    yield "what changes", "rows until it is told: median", "largest"
    random = np.random.default_rng(0)
    calibration = summarise(random.lognormal(size=50_000))
    for name, change in {
        "mean rank by .05": lambda e: e * np.exp(0.178),
        "mean rank by .1": lambda e: e * np.exp(0.36),
        "mean rank by .3": lambda e: e * np.exp(1.19),
        "tail from .02 to .05": lambda e: np.where(random.random(e.shape) < 0.031, 50.0, e),
        "tail from .02 to .1": lambda e: np.where(random.random(e.shape) < 0.082, 50.0, e),
    }.items():
        rows = []
        for seed in range(24):
            draws = np.random.default_rng(seed)
            watch = DriftWatch(calibration, 0.002)
            watch.take(draws.lognormal(size=(80, UNIT_ROWS)))
            told, alarms = watch.take(change(draws.lognormal(size=(400, UNIT_ROWS))))
            rows.append(told * UNIT_ROWS if alarms else np.inf)
        yield name, np.median(rows), np.max(rows)


def cost() -> Iterator[Row]:
    """Policies on rows that stay as they are, interleaved."""
    yield "policy", "ns a row", "lowest", "highest"
    random = np.random.default_rng(0)
    calibration = random.lognormal(size=50_000)
    blocks = random.lognormal(size=(128, 1024))
    policies = ("off", "watch", "recalibrate", "dspot")
    judges = {name: judge_of(calibration, 1e-3, name) for name in policies}
    spent: dict[str, list[float]] = {name: [] for name in policies}
    for _ in range(26):
        for name, judge in judges.items():
            begin = time.thread_time_ns()
            for block in blocks:
                for _ in judge.judge(block):
                    pass
            spent[name].append((time.thread_time_ns() - begin) / blocks.size)
    for name, found in spent.items():
        yield name, *(f(found[1:]) for f in (np.median, np.min, np.max))


def main() -> None:
    """Print the tables asked for."""
    tables = {f.__name__: f for f in (stationary, share, calm, delay, cost)}
    for name in sys.argv[1:] or tables:
        rows = tables[name]()
        head = next(rows)
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for row in rows:
            told = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row)
            print(f"| {' | '.join(told)} |", flush=True)
        print()


if __name__ == "__main__":
    main()

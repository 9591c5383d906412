"""Kernels of `memory_ae`: codes of rows, their distances to a memory of codes, and its renewal.

All sums run in one order whatever the batch, so a row's error does not depend on its company.

Letters of the shapes: C columns, H units of a code, N rows in the memory.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.detect.detectors.logistic import logistic, vectorised

# Every index below is of a range over a dimension of the array itself; `at` is below N always.


@vectorised
def _encode(row: Any, weight: Any, bias: Any, mean: Any, inverse: Any, total: Any) -> bool:
    """Sums before the hyperbolic tangent into total (H,); False where the row is not finite."""
    for h in range(len(bias)):
        total[h] = bias[h]
    for c in range(len(row)):
        if not math.isfinite(row[c]):
            return False
        v = (np.float64(row[c]) - mean[c]) * inverse[c]
        for h in range(len(bias)):
            total[h] += weight[c, h] * v
    return True


@vectorised
def _codes(total: Any, code: Any) -> None:
    """tanh(a) = 2 logistic(2 a) - 1."""
    for h in range(len(code)):
        code[h] = np.float32(2.0 * logistic(2.0 * total[h]) - 1.0)


@vectorised
def _distances(code: Any, memory: Any, distance: Any) -> None:
    """L1 distances (N,) of a code (H,) to a memory (H, N)."""
    for n in range(len(distance)):
        distance[n] = np.float32(0.0)
    for h in range(len(code)):
        v = code[h]
        for n in range(len(distance)):
            distance[n] += abs(v - memory[h, n])


@vectorised
def _nearest(distance: Any, neighbours: int, discount: float) -> tuple[float, int]:
    """Discounted mean of the smallest distances, and where the smallest is; takes those away."""
    total, weights, weight, first = 0.0, 0.0, 1.0, 0
    for k in range(min(neighbours, len(distance))):
        best = 0
        for n in range(1, len(distance)):
            if distance[n] < distance[best]:
                best = n
        if k == 0:
            first = best
        total += weight * np.float64(distance[best])
        weights += weight
        weight *= discount
        if weight == 0.0:
            break
        distance[best] = np.float32(np.inf)
    return total / weights, first


@vectorised
def _standard(rows: Any, mean: Any, inverse: Any) -> None:
    """Mean and inverse standard deviation of the memory's rows; 0 for columns that do not vary."""
    n_rows = len(rows)
    for c in range(rows.shape[1]):
        low, high, total = np.float64(rows[0, c]), np.float64(rows[0, c]), 0.0
        for n in range(n_rows):
            v = np.float64(rows[n, c])
            low, high = min(low, v), max(high, v)
            total += v
        mean[c] = total / n_rows
        squares = 0.0
        for n in range(n_rows):
            off = np.float64(rows[n, c]) - mean[c]
            squares += off * off
        inverse[c] = 0.0
        if low < high:
            inverse[c] = 1.0 / math.sqrt(squares / (n_rows - 1))


@njit(nogil=True, cache=True, error_model="numpy")
def standardise(
    rows: NDArray[np.float32], mean: NDArray[np.float64], inverse: NDArray[np.float64]
) -> None:
    """Write mean and inverse of the standard deviation (n - 1) of rows (N, C), each (C,)."""
    _standard(rows, mean, inverse)


@njit(nogil=True, cache=True, error_model="numpy")
def encode_rows(
    rows: NDArray[np.float32],
    encoder: tuple[NDArray[np.float64], ...],
    codes: NDArray[np.float32],
) -> None:
    """Write the code of each row, (n_rows, H); parameters as of `pass_rows`."""
    weight, bias, mean, inverse = encoder
    total = np.empty(len(bias))
    for i in range(len(rows)):
        if _encode(rows[i], weight, bias, mean, inverse, total):
            _codes(total, codes[i])
        else:
            codes[i, :] = np.float32(np.nan)


@vectorised
def _smallest(steps: Any) -> int:
    """Place of the smallest step, the first of several."""
    best = 0
    for n in range(1, len(steps)):
        if steps[n] < steps[best]:
            best = n
    return best


@vectorised
def _largest(steps: Any) -> int:
    """Place of the largest step."""
    best = 0
    for n in range(1, len(steps)):
        if steps[n] > steps[best]:
            best = n
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def pass_rows(
    rows: NDArray[np.float32],
    encoder: tuple[NDArray[np.float64], ...],
    codes: NDArray[np.float32],
    remembered: NDArray[np.float32],
    used: NDArray[np.int64],
    rule: tuple[int, float, float, float, int, bool],
    said: tuple[NDArray[np.float64], NDArray[np.int64]],
    at: int,
) -> tuple[int, int]:
    """Score rows one after the other; where it learns, remember those that are near enough.

    Parameters
    ----------
    rows : float32 (n_rows, C)
    encoder : (weight (C, H), bias (H,), mean (C,), inverse of the standard deviation (C,))
        The last two are changed where the memory standardises.
    codes : float32 (H, N)
    remembered : float32 (N, C)
    used : int64 (N,)
        Step at which a row last came near to each place; changed where the rule keeps what is used.
    rule : (neighbours, discount, least, most, mode, keeps)
        A row is remembered where least <= error <= most. Mode 0 learns nothing, 1 learns, 2 learns
        and standardises by the memory. It takes the place that has been unused for longest where
        the rule keeps, otherwise `at`. One at no distance is no news, and not taken in by a rule
        that keeps.
    said : (error float64 (n_rows,), nearest int64 (n_rows,))
        Written: NaN and 0 for a row that is not finite.
    at : int
        Place in the memory that is renewed next, unless the rule keeps what is used.

    Returns
    -------
    at, n_remembered : int
    """
    weight, bias, mean, inverse = encoder
    neighbours, discount, least, most, mode, keeps = rule
    error, nearest = said
    n_units, n_places = codes.shape
    total, code = np.empty(n_units), np.empty(n_units, np.float32)
    distance = np.empty(n_places, np.float32)
    step = used[_largest(used)] + 1
    n_remembered = 0
    for i in range(len(rows)):
        error[i], nearest[i] = np.nan, 0
        if not _encode(rows[i], weight, bias, mean, inverse, total):
            continue
        _codes(total, code)
        _distances(code, codes, distance)
        error[i], nearest[i] = _nearest(distance, neighbours, discount)
        # Not near enough, or not to be learnt: NaN never gets here.
        if mode == 0 or error[i] > most:
            continue
        if keeps:
            used[nearest[i]] = step
            step += 1
        if least <= error[i] and (error[i] > 0.0 or not keeps):
            place = at
            if keeps:
                place = _smallest(used)
                used[place] = step
                step += 1
            else:
                at = (at + 1) % n_places
            codes[:, place] = code
            remembered[place, :] = rows[i]
            n_remembered += 1
            if mode == 2:
                _standard(remembered, mean, inverse)
    return at, n_remembered


@njit(nogil=True, cache=True, error_model="numpy")
def share_rows(
    moved: NDArray[np.float64],
    distance: NDArray[np.float64],
    weight: NDArray[np.float64],
    parts: NDArray[np.float64],
) -> None:
    """Share the distances of codes out to inputs, by what each did to the unit's sum.

    Parameters
    ----------
    moved : float64 (n_rows, C)
        Inputs minus those of the row that is nearest, as the encoder gets them.
    distance : float64 (n_rows, H)
        Absolute differences of the codes.
    weight : float64 (C, H)
    parts : float64 (n_rows, C)
        Written; a row sums to its distance where each unit's sum has changed.
    """
    turn = np.empty(weight.shape[1])
    for i in range(len(moved)):
        turn[:] = 0.0
        for c in range(weight.shape[0]):
            v = moved[i, c]
            for h in range(len(turn)):
                turn[h] += v * weight[c, h]
        for h in range(len(turn)):
            if turn[h] != 0.0:
                turn[h] = distance[i, h] / turn[h]
        for c in range(weight.shape[0]):
            total = 0.0
            for h in range(len(turn)):
                total += weight[c, h] * turn[h]
            parts[i, c] = moved[i, c] * total

"""Kernels of `kitnet`: an ensemble of small autoencoders, and one over their errors.

Each autoencoder has one weight matrix W (inputs x hidden), used both ways: y = logistic(x W + b),
z = logistic(y W' + c); its error is the root of the mean squared difference between x and z.

A row may be scored alone or among others; every sum runs in the same order either way and all is
float64, so the result is the same to the last bit. Among others, the rows are what is vectorised;
alone, it is the hidden units, then the inputs.

Letters of the shapes: K autoencoders of at most M inputs and H hidden units; O hidden units of the
one over their errors; C columns.
"""

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapwatch.detect.detectors.logistic import logistic, vectorised

#: Rows that are vectorised together; their values stay in the first-level cache.
_LANES: Final = 64
#: Fewer rows than this are quicker one by one.
_FEW: Final = 4

# Every index below is of a range over a dimension of the array itself, or over `size` and `hidden`,
# which `Kitnet` has checked to fit K, M and H; `member` holds columns below C.


@vectorised
def _sums(total: Any, bias: Any, weights: Any, values: Any, n_values: Any, n: Any) -> None:
    """Bias plus weighted values (n_values, n), side by side, into total (n,)."""
    for r in range(n):
        total[r] = bias
    for k in range(n_values):
        v = weights[k]
        for r in range(n):
            total[r] += v * values[k, r]


@vectorised
def _lanes(x: Any, net: Any, size: Any, hidden: Any, scratch: Any, n: Any) -> None:
    """Squared errors of n rows that stand side by side in x (M, n), into the last of scratch."""
    w, hb, vb = net
    y, total, squares = scratch
    for h in range(hidden):
        _sums(total, hb[h], w[:, h], x, size, n)
        for r in range(n):
            y[h, r] = logistic(total[r])
    for r in range(n):
        squares[r] = 0.0
    for j in range(size):
        _sums(total, vb[j], w[j], y, hidden, n)
        for r in range(n):
            difference = x[j, r] - logistic(total[r])
            squares[r] += difference * difference


@vectorised
def _alone(x: Any, net: Any, turned: Any, size: Any, hidden: Any, y: Any, z: Any) -> Any:
    """Squared error of one row x (M,); z is its reconstruction."""
    w, hb, vb = net
    for h in range(w.shape[1]):
        y[h] = hb[h]
    for j in range(size):
        v = x[j]
        for h in range(w.shape[1]):
            y[h] += w[j, h] * v
    for h in range(w.shape[1]):
        y[h] = logistic(y[h])
    for j in range(turned.shape[1]):
        z[j] = vb[j]
    for h in range(hidden):
        v = y[h]
        for j in range(turned.shape[1]):
            z[j] += turned[h, j] * v
    squares = 0.0
    for j in range(turned.shape[1]):
        z[j] = logistic(z[j])
    for j in range(size):
        difference = x[j] - z[j]
        squares += difference * difference
    return squares


@njit(nogil=True, cache=True, error_model="numpy")
def score_rows(
    rows: NDArray[np.float32],
    scale: tuple[NDArray[np.float64], ...],
    layout: tuple[NDArray[np.int64], ...],
    ensemble: tuple[NDArray[np.float64], ...],
    output: tuple[NDArray[np.float64], ...],
    error: NDArray[np.float64],
) -> None:
    """Write the error of each row.

    Parameters
    ----------
    rows : float32 (n_rows, C)
    scale : (low (C,), inverse of the range (C,), the same of the errors (K,), (K,))
    layout : (member (K, M), size (K,), hidden (K,))
        Columns of each autoencoder, how many, and its hidden units.
    ensemble : (W (K, M, H), W' (K, H, M), b (K, H), c (K, M))
    output : (W (K, O), W' (O, K), b (O,), c (K,))
    error : float64 (n_rows,)
        Written.
    """
    low, inverse, error_low, error_inverse = scale
    member, size, hidden = layout
    w, turned, hb, vb = ensemble
    output_w, output_turned, output_hb, output_vb = output
    over = (output_w, output_hb, output_vb)
    n_nets, n_units = len(size), output_w.shape[1]
    width = max(member.shape[1], n_nets, w.shape[2], n_units)
    x, y = np.empty((width, _LANES)), np.empty((width, _LANES))
    squares = np.empty(_LANES)
    scratch = (y, np.empty(_LANES), squares)
    errors = np.empty((n_nets, _LANES))
    x1, y1, z1, e1 = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    start = 0
    while len(rows) - start >= _FEW:
        n = min(_LANES, len(rows) - start)
        for k in range(n_nets):
            for j in range(size[k]):
                c = member[k, j]
                for r in range(n):
                    x[j, r] = (np.float64(rows[start + r, c]) - low[c]) * inverse[c]
            _lanes(x, (w[k], hb[k], vb[k]), size[k], hidden[k], scratch, n)
            for r in range(n):
                root = math.sqrt(squares[r] / size[k])
                errors[k, r] = (root - error_low[k]) * error_inverse[k]
        _lanes(errors, over, n_nets, n_units, scratch, n)
        for r in range(n):
            error[start + r] = math.sqrt(squares[r] / n_nets)
        start += n
    for i in range(start, len(rows)):
        for k in range(n_nets):
            for j in range(size[k]):
                c = member[k, j]
                x1[j] = (np.float64(rows[i, c]) - low[c]) * inverse[c]
            part = _alone(x1, (w[k], hb[k], vb[k]), turned[k], size[k], hidden[k], y1, z1)
            e1[k] = (math.sqrt(part / size[k]) - error_low[k]) * error_inverse[k]
        whole = _alone(e1, over, output_turned, n_nets, n_units, y1, z1)
        error[i] = math.sqrt(whole / n_nets)


@njit(nogil=True, cache=True, error_model="numpy")
def explain_rows(
    rows: NDArray[np.float32],
    scale: tuple[NDArray[np.float64], ...],
    layout: tuple[NDArray[np.int64], ...],
    ensemble: tuple[NDArray[np.float64], ...],
    output: tuple[NDArray[np.float64], ...],
    said: tuple[NDArray[np.float64], ...],
) -> None:
    """Write what each row's error is made of; parameters as of `score_rows`.

    Parameters
    ----------
    said : (reconstruction (n, C), parts (n, C), errors (n, K))
        Written: the reconstruction in units of the row; parts of the squared error, of which each
        autoencoder has what the one over the errors did not expect of it, shared out among its
        inputs by their squared differences; the errors of the autoencoders as scaled.
    """
    low, inverse, error_low, error_inverse = scale
    member, size, hidden = layout
    w, turned, hb, vb = ensemble
    output_w, output_turned, output_hb, output_vb = output
    over = (output_w, output_hb, output_vb)
    reconstruction, parts, errors = said
    n_nets, n_units = len(size), output_w.shape[1]
    width = max(member.shape[1], n_nets, w.shape[2], n_units)
    x, y, z = np.empty(width), np.empty(width), np.empty(width)
    squares = np.empty(n_nets)
    for i in range(len(rows)):
        for k in range(n_nets):
            for j in range(size[k]):
                c = member[k, j]
                x[j] = (np.float64(rows[i, c]) - low[c]) * inverse[c]
            squares[k] = _alone(x, (w[k], hb[k], vb[k]), turned[k], size[k], hidden[k], y, z)
            errors[i, k] = (math.sqrt(squares[k] / size[k]) - error_low[k]) * error_inverse[k]
            for j in range(size[k]):
                c = member[k, j]
                reconstruction[i, c] = low[c] + z[j] / inverse[c]
                parts[i, c] = (x[j] - z[j]) * (x[j] - z[j])
        one = errors[i]
        _alone(one, over, output_turned, n_nets, n_units, y, z)
        for k in range(n_nets):
            unexpected = one[k] - z[k]
            weight = 0.0
            if squares[k] > 0.0:
                weight = unexpected * unexpected / squares[k]
            for j in range(size[k]):
                parts[i, member[k, j]] *= weight


@vectorised
def _step(x: Any, net: Any, size: Any, hidden: Any, rate: Any, y: Any, d: Any) -> Any:
    """One step of gradient descent on one row; its error before the step."""
    w, hb, vb = net
    for h in range(hidden):
        total = hb[h]
        for j in range(size):
            total += w[j, h] * x[j]
        y[h] = logistic(total)
    squares = 0.0
    for j in range(size):
        total = vb[j]
        for h in range(hidden):
            total += w[j, h] * y[h]
        d[j] = x[j] - logistic(total)
        squares += d[j] * d[j]
    for h in range(hidden):
        back = 0.0
        for j in range(size):
            back += d[j] * w[j, h]
        back *= y[h] * (1.0 - y[h])
        # Column h of W is not read again, so it may be moved here.
        for j in range(size):
            w[j, h] += rate * (x[j] * back + d[j] * y[h])
        hb[h] += rate * back
    for j in range(size):
        vb[j] += rate * d[j]
    return math.sqrt(squares / size)


@njit(nogil=True, cache=True, error_model="numpy")
def learn_rows(
    rows: NDArray[np.float64],
    layout: tuple[NDArray[np.int64], ...],
    ensemble: tuple[NDArray[np.float64], ...],
    output: tuple[NDArray[np.float64], ...],
    bounds: tuple[NDArray[np.float64], ...],
    rate: float,
    least_range: float,
    widens: bool,
) -> float:
    """Learn rows one by one, in order; the mean over rows of their error before they were learnt.

    Parameters
    ----------
    rows : float64 (n_rows, C)
        Scaled to 0..1.
    layout
        As of `score_rows`.
    ensemble : (W (K, M, H), b (K, H), c (K, M))
        Changed.
    output : (W (K, O), b (O,), c (K,))
        Changed.
    bounds : (low (K,), high (K,))
        Smallest and largest error of each autoencoder; widened by each row if `widens`.
    rate : float
        Step of the descent.
    least_range : float
        What the range of an error counts for at least.
    """
    member, size, hidden = layout
    w, hb, vb = ensemble
    low, high = bounds
    n_nets, n_units = len(size), output[0].shape[1]
    width = max(member.shape[1], n_nets, w.shape[2], n_units)
    x, y, d, errors = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    mean = 0.0
    for i in range(len(rows)):
        for k in range(n_nets):
            for j in range(size[k]):
                x[j] = rows[i, member[k, j]]
            error = _step(x, (w[k], hb[k], vb[k]), size[k], hidden[k], rate, y, d)
            if widens:
                low[k] = min(low[k], error)
                high[k] = max(high[k], error)
            scaled = (error - low[k]) / max(high[k] - low[k], least_range)
            errors[k] = min(max(scaled, 0.0), 1.0)
        mean += _step(errors, output, n_nets, n_units, rate, y, d)
    return mean / max(len(rows), 1)

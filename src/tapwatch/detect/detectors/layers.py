"""Dense layers that give a row the same bits in any batch, for all detectors that have some.

Letters of the shape comments: B rows of C columns.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import Arrays, Rows, take_array

if TYPE_CHECKING:
    from torch import Tensor

    #: Weight (n_out, n_in) and bias (n_out,) of each layer, from the input on.
    Layers = list[tuple[Tensor, Tensor]]

#: "sigmoid" is for outputs: values between 0 and 1.
Activation = Literal["linear", "relu", "tanh", "sigmoid"]

#: The matrix library takes other kernels for small products, which differ in the last bits: up to
#: 15 rows where a layer has 2 to 11 outputs, and any number of rows where it has 1. With at least
#: this many rows and outputs, filled up with 0, the result of a row does not depend on its batch.
MIN_ROWS: Final = 16
MIN_WIDTH: Final = 16

#: Nor does it depend on where the rows lie in memory, if they begin where torch's own arrays would.
ALIGNMENT_BYTES: Final = 64


def padded(rows: Rows) -> "Tensor":
    """The rows as a tensor of at least MIN_ROWS, on memory of torch's own where that is needed."""
    import torch

    n_rows, n_columns = rows.shape
    aligned = rows.ctypes.data % ALIGNMENT_BYTES == 0 and rows.flags.c_contiguous
    # torch warns of arrays that it must not write to; nothing here writes, but it cannot know.
    if n_rows >= MIN_ROWS and aligned and rows.flags.writeable:
        return torch.from_numpy(rows)
    filled = torch.zeros(max(n_rows, MIN_ROWS), n_columns)
    filled.numpy()[:n_rows] = rows
    return filled


def widened(layers: "Layers") -> "Layers":
    """Layers with at least MIN_WIDTH outputs; those that are added weigh nothing further on."""
    import torch

    wide = []
    n_in = layers[0][0].shape[1]
    for weight, bias in layers:
        n_out = max(MIN_WIDTH, weight.shape[0])
        wide_weight, wide_bias = torch.zeros(n_out, n_in), torch.zeros(n_out)
        wide_weight[: weight.shape[0], : weight.shape[1]] = weight
        wide_bias[: len(bias)] = bias
        wide.append((wide_weight, wide_bias))
        n_in = n_out
    return wide


def activate(values: "Tensor", activation: Activation) -> "Tensor":
    """Apply a function to each element; may write to `values` or return it."""
    if activation == "relu":
        return values.relu_()
    if activation == "tanh":
        return values.tanh_()
    if activation == "sigmoid":
        # Of torch's own sigmoid the last elements of an array, those that do not fill a vector
        # register, differ in the last bits. Its tanh has no such seam, and this is the same curve.
        return values.mul(0.5).tanh_().mul(0.5).add(0.5)
    return values


def encode(rows: "Tensor", layers: "Layers", activation: Activation = "relu") -> "Tensor":
    """Pass rows (B, n_in) through layers that all end in `activation`: (B, n_out)."""
    import torch

    code = rows  # (B, n_in)
    for weight, bias in layers:
        code = activate(torch.addmm(bias, code, weight.t()), activation)  # (B, n_out)
    return code


def forward(
    rows: "Tensor",
    layers: "Layers",
    activation: Activation = "relu",
    output: Activation = "linear",
) -> "Tensor":
    """Pass rows (B, n_in) through layers whose last one ends in `output`: (B, n_out)."""
    import torch

    *hidden, (weight, bias) = layers
    last = torch.addmm(bias, encode(rows, hidden, activation), weight.t())  # (B, n_out)
    return activate(last, output)


def initial(widths: Sequence[int], generator: Any) -> list["Tensor"]:
    """Weights and biases, uniform within one over the root of the inputs (He et al. 2015 bound)."""
    import torch

    weights = []
    for n_in, n_out in pairwise(widths):
        bound = n_in**-0.5
        for shape in ((n_out, n_in), (n_out,)):
            weights.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
    return weights


def paired(weights: Sequence["Tensor"]) -> "Layers":
    """Weights and biases by turns, as `initial` gives them, as layers."""
    return list(zip(weights[::2], weights[1::2], strict=True))


def layer_arrays(layers: "Layers", prefix: str = "layer") -> dict[str, NDArray[Any]]:
    """Weights and biases, float32, by layer: <prefix><k>.weight and <prefix><k>.bias."""
    arrays = {}
    for k, (weight, bias) in enumerate(layers):
        arrays[f"{prefix}{k}.weight"] = weight.numpy()
        arrays[f"{prefix}{k}.bias"] = bias.numpy()
    return arrays


def take_layers(
    arrays: Arrays, widths: Sequence[int], prefix: str = "layer"
) -> tuple["Layers", frozenset[str]]:
    """Layers of these widths out of arrays, after checking each, and the names of those taken.

    Raises
    ------
    ArtifactError
        One is absent, or of another shape or dtype.
    """
    import torch

    layers = []
    names = set()
    for k, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = take_array(arrays, f"{prefix}{k}.weight", (n_out, n_in), np.float32)
        bias = take_array(arrays, f"{prefix}{k}.bias", (n_out,), np.float32)
        # Copies: loaded arrays may be read-only, which torch does not know.
        layers.append((torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())))
        names |= {f"{prefix}{k}.weight", f"{prefix}{k}.bias"}
    return layers, frozenset(names)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: more add in another order, and give other last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

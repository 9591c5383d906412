"""How weights are fitted to rows: which are drawn, what is made small, and which weights are kept.

Shared by the detectors that are trained by gradient descent on a loss that each row has alone.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from tapwatch.detect.detector import CHUNK_ROWS, Epoch, Parameters, Progress
from tapwatch.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

#: Rows (B, ...) -> loss of each (B,). With a generator, a loss that is random draws from it;
#: without one it has to be the same at each call.
RowLoss = Callable[["Tensor", Any], "Tensor"]

#: Steps of an epoch whose rows are drawn, at least and at most; between them it is one pass.
_EPOCH_STEPS: Final = (200, 2000)
_GRADIENT_NORM: Final = 1.0  # rows of the heavy tail shall not throw the weights about
_LEAST_ERROR: Final = 1e-12
_IMPROVEMENT: Final = 1e-3  # relative; less is noise


class DescentParameters(Parameters):
    """What may be set of a fit by gradient descent."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Passes over the training rows, at most; of few rows several passes make one epoch."""
    batch_rows: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Rows of a gradient step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 4e-3
    """First step size of AdamW."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Whether the step size falls to 0 over the epochs, along a cosine."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Of AdamW: holds the weights small, and with them what lies far from every benign row; without
    any it is plain Adam."""
    patience: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Epochs without improvement on the validation rows that end the fit."""
    keep: Literal["best", "last"] = "best"
    """Which weights: those of the epoch with the lowest validation loss, or, after all epochs
    whatever `patience` says, the last."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.75
    """1 draws each kind of row equally often, less the common ones more often; 0 draws nothing: an
    epoch is one pass over the shuffled rows."""
    moment: Annotated[float, Field(ge=1, le=8)] = 2.0
    """Power mean of the row errors that is made small; above 1 the worst rows count more."""


def descend(
    weights: list["Tensor"],
    row_loss: RowLoss,
    rows: "Tensor",
    validation: "Tensor",
    parameters: DescentParameters,
    generator: Any,
    progress: Progress,
    name: str,
) -> list["Tensor"]:
    """Run the epochs; return the weights that are kept, on the CPU.

    Parameters
    ----------
    weights : list of Tensor
        On the device of the fit; they want a gradient, and `row_loss` is computed from them.
    row_loss : callable
        Loss of each row of a batch.
    rows, validation : Tensor (n, C) or (n, N, C)
        On the CPU.
    parameters : DescentParameters
    generator : torch.Generator
        Of the CPU; everything random is drawn from it.
    progress : callable
        Told after every epoch.
    name : str
        Of the detector, for who reads the refusal.

    Raises
    ------
    ConfigError
        No epoch had a finite loss, or the last one that is to be kept had none.
    """
    import torch

    decay = parameters.weight_decay
    optimiser = torch.optim.AdamW(weights, lr=parameters.learning_rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, parameters.epochs)
    chances = running_chances(rows, parameters.balance) if parameters.balance else None
    best = on_cpu(weights)
    best_loss, stale = float("inf"), 0
    for number in range(1, parameters.epochs + 1):
        train_loss = run_epoch(weights, row_loss, rows, chances, parameters, optimiser, generator)
        if parameters.schedule == "cosine":
            schedule.step()
        loss = validation_loss(row_loss, validation, parameters.moment, weights[0].device)
        is_best = loss < best_loss * (1 - _IMPROVEMENT)
        if is_best:
            best_loss, stale = loss, 0
            best = on_cpu(weights)
        else:
            stale += 1
        progress(Epoch(number, parameters.epochs, train_loss, loss, is_best))
        if stale >= parameters.patience and parameters.keep == "best":
            break
    if not math.isfinite(loss if parameters.keep == "last" else best_loss):
        raise not_finite(name)
    return best if parameters.keep == "best" else on_cpu(weights)


def not_finite(name: str) -> ConfigError:
    """What a fit that has learnt nothing ends in, but for rows that nobody scaled."""
    return ConfigError("detector", name, "scaled rows", "its loss is not finite")


def on_cpu(weights: list["Tensor"]) -> list["Tensor"]:
    """Copies of the weights as they are, on the CPU, wherever the fit runs."""
    return [w.detach().cpu().clone() for w in weights]


def running_chances(rows: "Tensor", balance: float) -> "Tensor":
    """Running sum of the chance of each row to be drawn, float64 (n_rows,).

    Of sequences the last row tells of which kind they are.
    """
    import torch

    last = rows.view(len(rows), -1)[:, -rows.shape[-1] :]
    kinds = np.empty(tuple(last.shape), np.int8)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = last[start : start + CHUNK_ROWS].numpy()
        kinds[start : start + CHUNK_ROWS] = np.clip(np.round(part), -127, 127)
    _, kind, count = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    return torch.from_numpy(np.cumsum(count[kind.ravel()] ** -float(balance)))


def _batches(
    rows: "Tensor", chances: "Tensor | None", batch_rows: int, generator: Any
) -> Iterator["Tensor"]:
    """Yield the batches of one epoch: drawn by chances, or all rows once, in another order."""
    import torch

    if chances is None:
        order = torch.randperm(len(rows), generator=generator)
        yield from (rows[index] for index in torch.split(order, batch_rows))
        return
    least, most = _EPOCH_STEPS
    for _ in range(min(max(len(rows) // batch_rows, least), most)):
        drawn = torch.rand(batch_rows, generator=generator, dtype=torch.float64)
        index = torch.searchsorted(chances, drawn * chances[-1], right=True)
        yield rows[index.clamp_(max=len(rows) - 1)]


def run_epoch(
    weights: list["Tensor"],
    row_loss: RowLoss,
    rows: "Tensor",
    chances: "Tensor | None",
    parameters: DescentParameters,
    optimiser: Any,
    generator: Any,
) -> float:
    """Take the steps of one epoch; the mean loss on the way."""
    import torch

    total, n_steps = 0.0, 0
    for batch in _batches(rows, chances, parameters.batch_rows, generator):
        losses = row_loss(batch.to(weights[0].device), generator)  # (B,)
        loss = power_mean(losses, parameters.moment)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, _GRADIENT_NORM)
        optimiser.step()
        total += loss.item()
        n_steps += 1
    return total / n_steps


def power_mean(errors: "Tensor", moment: float) -> "Tensor":
    """(mean of errors ** moment) ** (1 / moment), without leaving float32's range on the way."""
    import torch

    # An error of exactly 0 has no slope under a root.
    errors = errors + _LEAST_ERROR
    # Dividing by a power of 2 loses nothing; without it the 8th power of 1e-6 would be 0.
    _, exponent = torch.frexp(errors.detach().max())
    unit = torch.ldexp(torch.ones_like(errors[0]), exponent).detach()
    return (errors / unit).pow(moment).mean().pow(1 / moment) * unit


def validation_loss(row_loss: RowLoss, rows: "Tensor", moment: float, device: Any) -> float:
    """Power mean of the losses of all rows, nothing drawn."""
    import torch

    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), CHUNK_ROWS):
            losses = row_loss(rows[start : start + CHUNK_ROWS].to(device), None).double()
            total += (losses + _LEAST_ERROR).pow(moment).sum().item()
    return float((total / len(rows)) ** (1 / moment))

"""`kitnet`: an ensemble of small autoencoders, each of inputs that vary together."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    Arrays,
    Epoch,
    OnlineDetector,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
    take_array,
)
from tapwatch.detect.detectors.kitnet_map import groups_of
from tapwatch.detect.detectors.plain import plain_rows
from tapwatch.errors import ArtifactError

_ENSEMBLE: Final = ("weight", "hidden_bias", "input_bias")
_OUTPUT: Final = ("output.weight", "output.hidden_bias", "output.input_bias")
_BOUNDS: Final = ("low", "high", "error_low", "error_high")
_ARRAYS: Final = frozenset({"member", *_ENSEMBLE, *_OUTPUT, *_BOUNDS})

_NOBODY: Final = -1
#: An input counts as at least one preprocessed unit wide: a watched constant is no width at all.
_LEAST_RANGE: Final = 1.0
#: So does an error of an autoencoder as so wide; inputs lie between 0 and 1.
_LEAST_ERROR_RANGE: Final = 0.01
_PART_ROWS: Final = 16_384  # rows that are made float64 at once


class KitnetParameters(Parameters):
    """What may be set of the ensemble."""

    inputs: Annotated[int, Field(ge=1, le=1024)] = 10
    """Inputs of one autoencoder, at most."""
    hidden: Annotated[float, Field(gt=0, le=4)] = 0.75
    """Hidden units of an autoencoder, as a share of its inputs."""
    mapping: Literal["packed", "published"] = "packed"
    """How inputs are sorted into autoencoders: as published, single linkage, which leaves many
    inputs alone; or average linkage with small neighbours put together."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Step of the descent in the fit."""
    online_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Step of the descent on rows that are learnt while scoring."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Passes over the training rows; 1 is as published."""
    least_steps: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Of few rows several passes make one epoch: as many as give so many steps."""


class Kitnet(OnlineDetector):
    """Small autoencoders learn groups of inputs; one more learns their errors (Mirsky et al. 2018).

    Inputs are scaled to 0..1 by the range of the training rows, at least one preprocessed unit; so
    are the errors of the autoencoders, root mean squared differences, by their range in the last
    epoch. The error of a row is the root mean squared difference of the autoencoder over them.
    Weights are used both ways, and learnt by one step of gradient descent a row, in order.

    Shares: each autoencoder has what the one over the errors did not expect of it, squared; within
    it, inputs share by their squared differences. What is expected is the reconstruction by the
    autoencoder of the input. The latent space is that of the errors as scaled.

    Learning goes on with `online_rate`; all ranges stay, and what lies outside of them is learnt as
    if it lay on their edge, so that no single row moves the weights far.
    """

    name = "kitnet"
    parameters_type = KitnetParameters
    has_latent = True
    block_rows = 256

    parameters: KitnetParameters

    def __init__(
        self, parameters: KitnetParameters, n_columns: int, arrays: dict[str, NDArray[Any]]
    ) -> None:
        self.parameters = parameters
        self.n_columns = n_columns
        self._arrays = arrays
        member = np.maximum(arrays["member"], 0)
        size = (arrays["member"] != _NOBODY).sum(axis=1)
        self._layout = (member, size, np.array([_n_hidden(parameters, n) for n in size], np.int64))
        self._prepare()

    def _prepare(self) -> None:
        """Lay out what scoring wants: inverse ranges, and weights turned."""
        held = self._arrays
        self._scale = (
            held["low"].astype(np.float64),
            1 / _range(held["low"], held["high"], _LEAST_RANGE),
            held["error_low"],
            1 / _range(held["error_low"], held["error_high"], _LEAST_ERROR_RANGE),
        )
        self._ensemble = _with_turned([held[key] for key in _ENSEMBLE])
        self._output = _with_turned([held[key] for key in _OUTPUT])

    @classmethod
    def fit(
        cls,
        rows: Rows,
        validation: Rows,
        parameters: Parameters,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Self:
        """Sort inputs into groups, then learn row by row; the device does not matter."""
        assert isinstance(parameters, KitnetParameters)
        as_published = parameters.mapping == "published"
        groups = groups_of(rows, parameters.inputs, as_published=as_published)
        arrays = _initial(groups, parameters, np.random.default_rng(seed))
        arrays["low"], arrays["high"] = rows.min(axis=0), rows.max(axis=0)
        model = cls(parameters, rows.shape[1], arrays)
        passes = max(1, -(-parameters.least_steps // len(rows)))
        for number in range(1, parameters.epochs + 1):
            arrays["error_low"][:] = np.inf
            arrays["error_high"][:] = -np.inf
            for _ in range(passes):
                loss = model._learn(rows, parameters.learning_rate, widens=True)
            model._prepare()
            judged = float(model.score(validation).mean()) if len(validation) else loss
            # What the last epoch leaves is kept, as in a stream.
            progress(Epoch(number, parameters.epochs, loss, judged, is_best=True))
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Groups, weights both ways, ranges of inputs and errors."""
        return dict(self._arrays)

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the weights after checking that each input is in one group."""
        assert isinstance(parameters, KitnetParameters)
        n_nets = arrays["member"].shape[0] if "member" in arrays and arrays["member"].ndim else 0
        shapes = _shapes(parameters, max(n_nets, 1))
        member = take_array(arrays, "member", shapes["member"], np.int64)
        _check_groups(member, n_columns)
        taken = {"member": member.copy()}
        for key in (*_ENSEMBLE, *_OUTPUT, "error_low", "error_high"):
            taken[key] = take_array(arrays, key, shapes[key], np.float64).copy()
        for key in ("low", "high"):
            taken[key] = take_array(arrays, key, (n_columns,), np.float32).copy()
        refuse_others(arrays, _ARRAYS)
        for low, high in (("low", "high"), ("error_low", "error_high")):
            if not (taken[low] <= taken[high]).all():
                raise ArtifactError(f"array {low}: above array {high}: want {low} <= {high}")
        return cls(parameters, n_columns, taken)

    def copy(self) -> Self:
        """Give one that learns for itself."""
        held = {key: array.copy() for key, array in self._arrays.items()}
        return type(self)(self.parameters, self.n_columns, held)

    def learn(self, rows: Rows) -> None:
        """Go on with the descent, row by row."""
        self._learn(rows, self.parameters.online_rate, widens=False)
        self._prepare()

    def _learn(self, rows: Rows, rate: float, *, widens: bool) -> float:
        """Learn rows; the mean of their errors before each was learnt."""
        from tapwatch.detect.detectors.kitnet_kernel import learn_rows

        held = self._arrays
        ensemble, output, bounds = (
            tuple(held[key] for key in keys) for keys in (_ENSEMBLE, _OUTPUT, _BOUNDS[2:])
        )
        low, inverse = self._scale[:2]
        total = 0.0
        for start in range(0, len(rows), _PART_ROWS):
            part = np.clip((rows[start : start + _PART_ROWS] - low) * inverse, 0, 1)
            mean = learn_rows(
                part, self._layout, ensemble, output, bounds, rate, _LEAST_ERROR_RANGE, widens
            )
            total += mean * len(part)
        return total / max(len(rows), 1)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        from tapwatch.detect.detectors.kitnet_kernel import score_rows

        error = np.empty(len(rows))
        score_rows(plain_rows(rows), self._scale, self._layout, self._ensemble, self._output, error)
        return error

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        return by_column(self._explained(rows)[1], column_of)

    def _expected(self, rows: Rows) -> Rows:
        return self._explained(rows)[0].astype(np.float32)

    def _latent(self, rows: Rows) -> Rows:
        return self._explained(rows)[2].astype(np.float32)

    def _explained(self, rows: Rows) -> tuple[NDArray[np.float64], ...]:
        """Reconstruction (n, C), parts of the squared error (n, C), errors (n, K)."""
        from tapwatch.detect.detectors.kitnet_kernel import explain_rows

        n_rows, n_nets = len(rows), len(self._layout[1])
        said = (
            np.empty((n_rows, self.n_columns)),
            np.empty((n_rows, self.n_columns)),
            np.empty((n_rows, n_nets)),
        )
        explain_rows(
            plain_rows(rows), self._scale, self._layout, self._ensemble, self._output, said
        )
        return said


def _n_hidden(parameters: KitnetParameters, n_inputs: int) -> int:
    return max(1, math.ceil(n_inputs * parameters.hidden))


def _shapes(parameters: KitnetParameters, n_nets: int) -> dict[str, tuple[int, ...]]:
    width, hidden = parameters.inputs, _n_hidden(parameters, parameters.inputs)
    over = _n_hidden(parameters, n_nets)
    return {
        "member": (n_nets, width),
        "weight": (n_nets, width, hidden),
        "hidden_bias": (n_nets, hidden),
        "input_bias": (n_nets, width),
        "output.weight": (n_nets, over),
        "output.hidden_bias": (over,),
        "output.input_bias": (n_nets,),
        "error_low": (n_nets,),
        "error_high": (n_nets,),
    }


def _initial(
    groups: Sequence[Sequence[int]], parameters: KitnetParameters, random: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Weights uniform within 1 / inputs, biases 0; what is beyond a group's size is 0 for good."""
    shapes = _shapes(parameters, len(groups))
    arrays: dict[str, NDArray[Any]] = {
        key: np.zeros(shape) for key, shape in shapes.items() if key != "member"
    }
    arrays["member"] = np.full(shapes["member"], _NOBODY, np.int64)
    for k, group in enumerate(groups):
        n, hidden = len(group), _n_hidden(parameters, len(group))
        arrays["member"][k, :n] = group
        arrays["weight"][k, :n, :hidden] = random.uniform(-1 / n, 1 / n, (n, hidden))
    bound = 1 / len(groups)
    arrays["output.weight"] = random.uniform(-bound, bound, shapes["output.weight"])
    return arrays


def _check_groups(member: NDArray[np.int64], n_columns: int) -> None:
    """Raise ArtifactError unless each input is in one group, and groups stand at the front."""
    is_there = member != _NOBODY
    at_front = (is_there[:, :-1] >= is_there[:, 1:]).all() and is_there[:, 0].all()
    if not at_front or sorted(member[is_there].tolist()) != list(range(n_columns)):
        raise ArtifactError(
            f"array member: want each input from 0 to {n_columns - 1} once, and {_NOBODY} only "
            "behind the inputs of a group"
        )


def _range(
    low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]], least: float
) -> NDArray[np.float64]:
    wide: NDArray[np.float64] = np.maximum(high.astype(np.float64) - low, least)
    return wide


def _with_turned(arrays: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
    """Weights, the same turned, biases."""
    weight, *biases = arrays
    return (weight, np.ascontiguousarray(np.swapaxes(weight, -1, -2)), *biases)

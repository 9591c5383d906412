"""`ocsvm`: a one-class support vector machine with a radial kernel (Schölkopf et al. 2001)."""

from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    Arrays,
    Detector,
    Parameters,
    Progress,
    Rows,
    by_column,
    refuse_others,
    silent,
    take_array,
    tell_once,
)
from tapwatch.errors import ArtifactError

_ARRAYS: Final = frozenset({"support", "weight", "gamma", "offset"})


class OcsvmParameters(Parameters):
    """What may be set of a one-class support vector machine."""

    nu: Annotated[float, Field(gt=0, le=0.9)] = 0.1
    """Share of the training rows that may lie outside, at most, and of those that become support
    vectors, at least."""
    gamma: Literal["scale"] | Annotated[float, Field(gt=0, le=1e6)] = "scale"
    """Of the kernel exp(-gamma * squared distance); scale: 1 / (columns * variance of all
    values)."""
    sample_rows: Annotated[int, Field(ge=1, le=200_000)] = 10_000
    """Rows learnt from at most; of more, a random sample: time grows with their square."""


class Ocsvm(Detector):
    """How little of the kernels of its support vectors reaches a row.

    With f(row) = sum of weight * exp(-gamma * squared distance), scikit-learn's decision function
    is f - offset. Far from all vectors it comes to rest at -offset and tells rows apart no more, so
    the error is log(sum of weights / f) instead: in the same order, 0 where all vectors lie, and
    growing with the squared distance without end. A row is outside, as the machine sees it, where
    the error is above `boundary`.

    A column's part of the error is that of the squared distance, in the mean over the support
    vectors, each weighing what it adds to f; and that mean of the vectors is what is expected.
    """

    name = "ocsvm"
    parameters_type = OcsvmParameters

    def __init__(self, parameters: OcsvmParameters, arrays: dict[str, NDArray[Any]]) -> None:
        self.parameters = parameters
        self.n_columns = int(arrays["support"].shape[1])
        self._arrays = arrays
        self._machine = (
            np.ascontiguousarray(arrays["support"].T, np.float64),  # (C, S)
            np.log(arrays["weight"]),
            float(arrays["gamma"][0]),
        )
        self._log_total = float(np.log(arrays["weight"].sum()))

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
        """Fit with scikit-learn on a sample of the rows; the device does not matter."""
        from sklearn.svm import OneClassSVM

        assert isinstance(parameters, OcsvmParameters)
        if len(rows) > parameters.sample_rows:
            chosen = np.random.default_rng(seed).choice(
                len(rows), parameters.sample_rows, replace=False
            )
            rows = rows[np.sort(chosen)]
        wide = rows.astype(np.float64)
        gamma = _gamma(wide) if parameters.gamma == "scale" else float(parameters.gamma)
        machine = OneClassSVM(kernel="rbf", nu=parameters.nu, gamma=gamma)
        # Without it the global random numbers would be drawn from; the fit itself uses none.
        machine.random_state = seed
        machine.fit(wide)
        weight = machine.dual_coef_[0]
        kept = weight > 0
        model = cls(
            parameters,
            {
                "support": machine.support_vectors_[kept].astype(np.float32),
                "weight": weight[kept].astype(np.float64),
                "gamma": np.array([gamma]),
                "offset": np.asarray(machine.offset_, np.float64).reshape(1),
            },
        )
        tell_once(model, rows, validation, progress)
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Support vectors (S, C) float32, their weights (S,), gamma and offset (1,) float64."""
        return dict(self._arrays)

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take the machine after checking it."""
        assert isinstance(parameters, OcsvmParameters)
        shape = arrays["support"].shape if "support" in arrays else (1, n_columns)
        if len(shape) != 2 or not 1 <= shape[0] <= parameters.sample_rows:
            raise ArtifactError(
                f"array support: {shape}: want 1 to {parameters.sample_rows} rows of {n_columns}"
            )
        taken = {
            "support": take_array(arrays, "support", (shape[0], n_columns), np.float32),
            "weight": take_array(arrays, "weight", (shape[0],), np.float64),
            "gamma": take_array(arrays, "gamma", (1,), np.float64),
            "offset": take_array(arrays, "offset", (1,), np.float64),
        }
        refuse_others(arrays, _ARRAYS)
        for key in ("weight", "gamma"):
            if not (taken[key] > 0).all():
                raise ArtifactError(f"array {key}: {taken[key].min()!r} found: want values above 0")
        return cls(parameters, taken)

    @property
    def boundary(self) -> float:
        """The error where scikit-learn's decision function is 0."""
        return self._log_total - float(np.log(max(self._arrays["offset"][0], 1e-300)))

    def decision_function(self, rows: Rows) -> NDArray[np.float64]:
        """As scikit-learn has it: negative outside, at least -offset."""
        offset = float(self._arrays["offset"][0])
        reach: NDArray[np.float64] = np.exp(self._log_total - self.score(rows)) - offset
        return reach

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        from tapwatch.detect.detectors.ocsvm_kernel import log_sums

        out = np.empty(len(rows))
        log_sums(np.ascontiguousarray(rows), *self._machine, out)
        return np.maximum(self._log_total - out, 0.0)

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        return by_column(self._nearby(rows)[1], column_of)

    def _expected(self, rows: Rows) -> Rows:
        return self._nearby(rows)[0].astype(np.float32)

    def _nearby(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means of the support vectors near rows, and of their squared distance, by column."""
        from tapwatch.detect.detectors.ocsvm_kernel import nearby

        mean, squared = np.empty(rows.shape), np.empty(rows.shape)
        vectors = self._arrays["support"]
        nearby(np.ascontiguousarray(rows), *self._machine, vectors, mean, squared)
        return mean, squared


def _gamma(rows: NDArray[np.float64]) -> float:
    """As scikit-learn's "scale": 1 where all values are the same."""
    variance = float(rows.var())
    return 1 / (rows.shape[1] * variance) if variance > 0 else 1.0

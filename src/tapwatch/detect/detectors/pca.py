"""`pca`: distance of a row from the plane along which benign rows vary most."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    CHUNK_ROWS,
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
from tapwatch.detect.detectors.layers import encode, forward, one_thread, padded, widened
from tapwatch.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

#: Variance below this share of the largest is rounding.
_LEAST_VARIANCE: Final = 1e-12


class PcaParameters(Parameters):
    """What may be set of the principal components."""

    components: Annotated[int, Field(ge=1, le=65_536)] | Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Dimensions of the plane: a number, or the share of the variance that it has to hold."""


class Pca(Detector):
    """Principal components; what lies off their plane is unusual.

    The error of a row is the mean over columns of the squared difference between the row and its
    projection onto the plane, both in preprocessed space. The fit is exact, in float64, by the
    eigenvectors of the covariance; the largest element of each is positive, which no library
    promises.
    """

    name = "pca"
    parameters_type = PcaParameters
    has_latent = True
    is_seeded: ClassVar[bool] = False

    def __init__(
        self,
        parameters: PcaParameters,
        mean: NDArray[np.float32],
        components: NDArray[np.float32],
    ) -> None:
        import torch

        self.parameters = parameters
        self.n_columns = len(mean)
        self._mean = mean
        self._components = components  # (K, C)
        # A projection is an autoencoder without a bend.
        down = torch.from_numpy(components.copy())
        offset = torch.from_numpy((-components.astype(np.float64) @ mean).astype(np.float32))
        self._wide = widened(
            [(down, offset), (down.t().contiguous(), torch.from_numpy(mean.copy()))]
        )

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
        """Take the leading eigenvectors of the covariance; neither seed nor device matter."""
        assert isinstance(parameters, PcaParameters)
        mean, variance, vectors = _axes(rows)
        n = _n_components(variance, parameters.components)
        components = vectors[:, :n].T
        largest = np.abs(components).argmax(axis=1)
        components = components * np.sign(components[np.arange(n), largest])[:, None]
        model = cls(parameters, mean.astype(np.float32), components.astype(np.float32))
        tell_once(model, rows, validation, progress)
        return model

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean (C,) and components (K, C), float32."""
        return {"mean": self._mean, "components": self._components}

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Take mean and components after checking them."""
        assert isinstance(parameters, PcaParameters)
        mean = take_array(arrays, "mean", (n_columns,), np.float32)
        shape = arrays["components"].shape if "components" in arrays else (1, n_columns)
        if len(shape) != 2 or not 1 <= shape[0] <= n_columns:
            raise ArtifactError(f"array components: {shape}: want 1 to {n_columns} rows")
        wanted = parameters.components
        n = min(wanted, n_columns) if isinstance(wanted, int) else shape[0]
        components = take_array(arrays, "components", (n, n_columns), np.float32)
        refuse_others(arrays, frozenset({"mean", "components"}))
        _check_components(components)
        return cls(parameters, mean, components)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            squared = self._residual(rows).square_()
            return squared.mean(1).numpy()[: len(rows)].astype(np.float64)

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            squared = self._residual(rows).square_().numpy()
        return by_column(squared[: len(rows)], column_of)

    def _latent(self, rows: Rows) -> Rows:
        """Coordinates on the plane, from the benign mean."""
        import torch

        with torch.inference_mode():
            code: Rows = encode(padded(rows), self._wide[:1], "linear").numpy()
        return code[: len(rows), : len(self._components)].copy()

    def _expected(self, rows: Rows) -> Rows:
        import torch

        with torch.inference_mode():
            projection: Rows = forward(padded(rows), self._wide, "linear").numpy()
        return projection[: len(rows), : self.n_columns]

    def _residual(self, rows: Rows) -> "Tensor":
        """Projection minus row, (max(B, MIN_ROWS), C)."""
        tensor = padded(rows)
        return forward(tensor, self._wide, "linear")[:, : self.n_columns].sub(tensor)


def _axes(
    rows: Rows,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean (C,), variances (C,) that fall, and their directions (C, C), one a column; float64."""
    import torch

    n_rows, n_columns = rows.shape
    mean = torch.zeros(n_columns, dtype=torch.float64)
    covariance = torch.zeros(n_columns, n_columns, dtype=torch.float64)
    chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, n_rows, CHUNK_ROWS)]
    with one_thread(), torch.inference_mode():
        for chunk in chunks:
            mean += torch.from_numpy(rows[chunk].astype(np.float64)).sum(0) / n_rows
        # Two passes: the mean of squares minus the square of means would cancel.
        for chunk in chunks:
            away = torch.from_numpy(rows[chunk].astype(np.float64)).sub_(mean)  # (B, C)
            covariance.addmm_(away.t(), away, alpha=1 / n_rows)
        variance, vectors = torch.linalg.eigh(covariance)
        falling = variance.flip(0).clamp_(min=0).numpy()
        return mean.numpy(), falling, vectors.flip(1).numpy()


def _n_components(variance: NDArray[np.float64], wanted: float) -> int:
    """Dimensions of the plane; `variance` falls."""
    if isinstance(wanted, int):
        return min(wanted, len(variance))
    total = variance.sum()
    if total <= 0:
        return 1
    variance = np.where(variance > _LEAST_VARIANCE * variance[0], variance, 0.0)
    return int(np.searchsorted(np.cumsum(variance) / variance.sum(), wanted)) + 1


def _check_components(components: NDArray[np.float32]) -> None:
    """Raise ArtifactError where directions are not at right angles and of length 1."""
    product = components.astype(np.float64) @ components.T.astype(np.float64)
    if not np.allclose(product, np.eye(len(components)), atol=1e-4):
        raise ArtifactError("array components: want directions of length 1, at right angles")

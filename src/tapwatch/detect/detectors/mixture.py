"""A mixture of normal densities over few features: how it is fitted, and the energy of a row.

All of it in float64: in float32 the covariance of features that hardly vary is soon not positive
definite, and the energies of rows far out lose their digits.

Letters of the shape comments: B rows of D features, K components.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tapwatch.detect.detector import CHUNK_ROWS, Arrays, take_array
from tapwatch.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

#: A component with less than this share of the rows has no shape of its own, and is left out.
_LEAST_WEIGHT: Final = 1e-9
#: Under the ridge of features that do not vary at all.
_LEAST_VARIANCE: Final = 1e-12
#: What stands on the diagonal of a stored factor, at least: far below any fit's, and its square is
#: above 0.
_LEAST_ROOT: Final = 1e-150
#: Rows that expectation-maximisation goes over, at most; the last step takes all.
_REFINE_ROWS: Final = 32_768
_LOG_2_PI: Final = math.log(2 * math.pi)

ARRAYS: Final = ("mixture.weight", "mixture.mean", "mixture.cholesky")


@dataclass(frozen=True)
class Mixture:
    """Weights, means and Cholesky factors of the covariances of K components."""

    weight: NDArray[np.float64]  # (K,) sum to 1; 0: the component is left out
    mean: NDArray[np.float64]  # (K, D)
    cholesky: NDArray[np.float64]  # (K, D, D) lower triangular, its diagonal above 0
    _whiten: NDArray[np.float64] = field(init=False, repr=False)  # (K, D, D) inverse of `cholesky`
    _log_peak: NDArray[np.float64] = field(init=False, repr=False)  # (K,) of the weighted density
    least_energy: float = field(init=False)
    """No row can have less: the energy of one that sat on the means of all components at once."""

    def __post_init__(self) -> None:
        kept = np.flatnonzero(self.weight > 0)
        factors = self.cholesky[kept]
        log_root = np.log(np.einsum("kdd->kd", factors)).sum(axis=1)
        log_peak = np.log(self.weight[kept]) - 0.5 * self.mean.shape[1] * _LOG_2_PI - log_root
        object.__setattr__(self, "_whiten", np.linalg.inv(factors))
        object.__setattr__(self, "_log_peak", log_peak)
        object.__setattr__(self, "least_energy", -float(np.logaddexp.reduce(log_peak)))

    def log_density(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the weighted density of each component of weight, (k, B), at rows (B, D).

        Only sums and products of one row's numbers, in one order: the bits are the same in any
        batch.
        """
        kept = self.weight > 0
        columns = np.ascontiguousarray(features.T)  # (D, B)
        log_density = np.empty((len(self._log_peak), len(features)))
        for k, (mean, whiten) in enumerate(zip(self.mean[kept], self._whiten, strict=True)):
            away = columns - mean[:, None]  # (D, B)
            squared = np.zeros(len(features))
            for i, line in enumerate(whiten):
                white = away[0] * line[0]
                for j in range(1, i + 1):  # the rest of the line is 0
                    white += away[j] * line[j]
                squared += white * white
            log_density[k] = self._log_peak[k] - 0.5 * squared
        return log_density

    def energy(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minus the logarithm of the density, (B,), of rows (B, D); the same in any batch."""
        log_density = self.log_density(features)
        highest = log_density.max(axis=0)
        total = np.zeros(len(features))
        for part in log_density:
            total += np.exp(part - highest)
        energy: NDArray[np.float64] = -(highest + np.log(total))
        return energy

    def excess(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy above the least that there can be, (B,): never below 0."""
        return np.maximum(self.energy(features) - self.least_energy, 0.0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything fitted."""
        return dict(zip(ARRAYS, (self.weight, self.mean, self.cholesky), strict=True))

    @classmethod
    def from_arrays(cls, n_components: int, n_features: int, arrays: Arrays) -> Self:
        """Build from a bundle's arrays.

        Raises
        ------
        ArtifactError
            An array is not as wanted, weights are no shares, or a factor is no Cholesky factor.
        """
        wide = (n_components, n_features)
        weight = take_array(arrays, ARRAYS[0], (n_components,), np.float64)
        mean = take_array(arrays, ARRAYS[1], wide, np.float64)
        cholesky = take_array(arrays, ARRAYS[2], (*wide, n_features), np.float64)
        if not ((weight >= 0).all() and abs(weight.sum() - 1) < 1e-6):
            raise ArtifactError(f"array {ARRAYS[0]}: want shares >= 0 that sum to 1")
        diagonal = np.einsum("kdd->kd", cholesky)
        if not ((diagonal >= _LEAST_ROOT).all() and (np.triu(cholesky, 1) == 0).all()):
            raise ArtifactError(
                f"array {ARRAYS[2]}: want lower triangles, diagonals from {_LEAST_ROOT} on"
            )
        if not _have_inverses(cholesky):
            raise ArtifactError(f"array {ARRAYS[2]}: want lower triangles with an inverse")
        return cls(weight, mean, cholesky)


def _have_inverses(factors: NDArray[np.float64]) -> bool:
    """Whether all matrices (K, D, D) have an inverse within float64's range."""
    try:
        with np.errstate(all="ignore"):
            return bool(np.isfinite(np.linalg.inv(factors)).all())
    except np.linalg.LinAlgError:
        return False


def batch_energy(
    features: "Tensor", membership: "Tensor", epsilon: float
) -> tuple["Tensor", "Tensor"] | None:
    """Mean energy of a batch under the mixture that its own memberships make, and 1 / variances.

    Zong et al. 2018, equations 5 and 6, and the penalty P of equation 7. What comes back can be
    differentiated.

    Parameters
    ----------
    features : float64 tensor (B, D)
    membership : float64 tensor (B, K)
        Rows sum to 1.
    epsilon : float
        Added to each variance.

    Returns
    -------
    energy, penalty : float64 tensors ()
        None where a covariance is not positive definite: nothing can be learnt from such a batch.
    """
    import torch

    n_features = features.shape[1]
    count = membership.sum(0)  # (K,)
    mean = membership.t() @ features / count[:, None]  # (K, D)
    away = features - mean[:, None]  # (K, B, D)
    spread = (away * membership.t()[:, :, None]).transpose(1, 2) @ away / count[:, None, None]
    covariance = spread + epsilon * torch.eye(n_features, dtype=features.dtype)  # (K, D, D)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if bool(failed.any()) or not bool(torch.isfinite(factor).all()):
        return None
    white = torch.linalg.solve_triangular(factor, away.transpose(1, 2), upper=False)  # (K, D, B)
    log_root = factor.diagonal(dim1=1, dim2=2).log().sum(1)  # (K,)
    log_peak = (count / len(features)).log() - 0.5 * n_features * _LOG_2_PI - log_root
    log_density = log_peak[:, None] - 0.5 * white.square().sum(1)  # (K, B)
    energy = -torch.logsumexp(log_density, 0).mean()
    penalty = covariance.diagonal(dim1=1, dim2=2).reciprocal().sum()
    return energy, penalty


def fit_mixture(
    features: NDArray[np.float64],
    membership: NDArray[np.float64],
    ridge: float,
    steps: int,
) -> Mixture:
    """Make the mixture of memberships over all rows, then refine it by expectation-maximisation.

    Parameters
    ----------
    features : float64 (n_rows, D)
    membership : float64 (n_rows, K)
        Rows sum to 1.
    ridge : float
        Added to each variance, as a share of the feature's variance over all rows.
    steps : int
        Of expectation-maximisation, on evenly taken rows, and then one on all; 0 leaves
        the mixture as the memberships make it.
    """
    # Without any spread the ridge is all there is, and it has to have an inverse.
    floor = np.maximum(ridge * features.var(axis=0), _LEAST_VARIANCE)
    sample = slice(None, None, max(1, len(features) // _REFINE_ROWS))
    mixture = _maximise(features, membership, floor)
    for _ in range(steps):
        mixture = _maximise(features[sample], _expect(mixture, features[sample]), floor)
    if steps:
        mixture = _maximise(features, _expect(mixture, features), floor)
    return mixture


def _maximise(
    features: NDArray[np.float64], membership: NDArray[np.float64], floor: NDArray[np.float64]
) -> Mixture:
    """The mixture of memberships; `floor` (D,) is added to the variances."""
    import torch

    n_components, n_features = membership.shape[1], features.shape[1]
    weight = membership.sum(axis=0) / membership.sum()
    weight[weight < _LEAST_WEIGHT] = 0
    weight /= weight.sum()
    mean = np.zeros((n_components, n_features))
    cholesky = np.tile(np.diag(np.sqrt(floor)), (n_components, 1, 1))
    for k in np.flatnonzero(weight):
        share = membership[:, k, None] / membership[:, k].sum()
        mean[k] = (share * features).sum(axis=0)
        away = features - mean[k]
        # torch computes on one thread here, and so adds in the same order everywhere.
        spread = torch.from_numpy((away * share).T) @ torch.from_numpy(away)
        cholesky[k] = np.linalg.cholesky(spread.numpy() + np.diag(floor))
    return Mixture(weight, mean, cholesky)


def _expect(mixture: Mixture, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of each component, (n_rows, K), to be the one that a row is of."""
    membership = np.zeros((len(features), len(mixture.weight)))
    kept = np.flatnonzero(mixture.weight > 0)
    for start in range(0, len(features), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        log_density = mixture.log_density(features[part])  # (K, B)
        density = np.exp(log_density - log_density.max(axis=0))
        membership[part, kept] = (density / density.sum(axis=0)).T
    return membership

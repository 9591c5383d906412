"""`ensemble`: reconstruction, memory and rarity together."""

from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapwatch.detect.detector import (
    Arrays,
    Detector,
    Parameters,
    Progress,
    Rows,
    refuse_others,
    silent,
    take_array,
)
from tapwatch.detect.detectors.autoencoder import Autoencoder, AutoencoderParameters
from tapwatch.detect.detectors.neighbours import Neighbours, NeighboursParameters
from tapwatch.detect.detectors.rarity import Rarity, RarityParameters
from tapwatch.errors import ArtifactError

#: Of the errors of benign rows; what a part says is told in units of this quantile.
_UNIT_QUANTILE: Final = 0.99
_LEAST_UNIT: Final = 1e-9
#: Where a part finds nothing odd in benign rows, as a memory that holds all of them, its unit is
#: that of a row this far off, in spreads of the training rows, or a row this much rarer, in nats.
_LEAST_DISTANCE: Final = 0.05
_LEAST_RARITY: Final = 1.0
#: Dimensions of the code: narrow, for a wide one learns to pass on what it never saw too.
_CODE: Final = 8


class EnsembleParameters(AutoencoderParameters):
    """What may be set: of the autoencoder by its own names, of the other parts by these."""

    balance: Annotated[float, Field(ge=0, le=1)] = 0.5
    """As of the autoencoder, to which it applies."""
    references: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    """As of `neighbours`."""
    cells: Annotated[int, Field(ge=2, le=1024)] = 32
    """As of `rarity`."""


class Reconstruction(Autoencoder):
    """The autoencoder of an ensemble: by default C/2, at most 8, C/2 between the columns."""

    name = "reconstruction"

    @classmethod
    def widths(cls, parameters: AutoencoderParameters, n_columns: int) -> list[int]:
        """Layer widths from input to output."""
        half, code = max(1, n_columns // 2), max(1, min(_CODE, n_columns // 4))
        return [n_columns, *(parameters.hidden or [half, code, half]), n_columns]


class Ensemble(Detector):
    """Three that fail on different rows: an autoencoder, a memory, and a tree of rarities.

    Each part's error is told in units of what 99 % of the validation rows stay below, but of no
    less than what a row a little off would have, or a part that knows every benign row would drown
    the others. The error of a row is the mean of the three: a part by which a row is ten times as
    odd as benign rows ever are is enough, and so are three by which it is a little odd.
    """

    name = "ensemble"
    parameters_type = EnsembleParameters
    has_latent = True

    def __init__(
        self, parameters: EnsembleParameters, parts: dict[str, Detector], unit: NDArray[np.float64]
    ) -> None:
        self.parameters = parameters
        self._parts = parts
        self._unit = unit  # (3,) in the order of the parts
        self.n_columns = parts["reconstruction"].n_columns

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
        """Fit each part on all rows; the epochs are those of the autoencoder."""
        assert isinstance(parameters, EnsembleParameters)
        parts: dict[str, Detector] = {}
        for name, (kind, own) in _kinds(parameters).items():
            told = progress if name == "reconstruction" else silent
            parts[name] = kind.fit(rows, validation, own, seed=seed, device=device, progress=told)
        benign = validation if len(validation) else rows
        unit = [np.quantile(part.score(benign), _UNIT_QUANTILE) for part in parts.values()]
        return cls(parameters, parts, np.maximum(unit, _least_units(rows)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of the parts, with the part's name and a dot in front, and the units (3,)."""
        arrays = {"unit": self._unit}
        for name, part in self._parts.items():
            arrays |= {f"{name}.{key}": array for key, array in part.arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, parameters: Parameters, n_columns: int, arrays: Arrays) -> Self:
        """Build each part from the arrays with its name."""
        assert isinstance(parameters, EnsembleParameters)
        kinds = _kinds(parameters)
        unit = take_array(arrays, "unit", (len(kinds),), np.float64)
        if (unit < _LEAST_UNIT).any():
            raise ArtifactError(f"array unit: {unit.min()!r} found: want values above 0")
        parts: dict[str, Detector] = {}
        names = {"unit"}
        for name, (kind, own) in kinds.items():
            mine = {key: array for key, array in arrays.items() if key.startswith(f"{name}.")}
            names |= set(mine)
            short = {key.removeprefix(f"{name}."): array for key, array in mine.items()}
            try:
                parts[name] = kind.from_arrays(own, n_columns, short)
            except ArtifactError as error:
                # The array is known by its whole name to who has to find it.
                text = str(error).replace("array ", f"array {name}.", 1)
                raise ArtifactError(text) from error
        refuse_others(arrays, frozenset(names))
        return cls(parameters, parts, unit)

    def _score(self, rows: Rows) -> NDArray[np.float64]:
        error = np.zeros(len(rows))
        for part, unit in zip(self._parts.values(), self._unit, strict=True):
            error += part.score(rows) / unit
        return error / len(self._unit)

    def _contributions(self, rows: Rows, column_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Shares of each part, by what the part has in the error."""
        shares = np.zeros((len(rows), int(column_of.max()) + 1))
        for part, unit in zip(self._parts.values(), self._unit, strict=True):
            shares += part.contributions(rows, column_of) * (part.score(rows) / unit)[:, None]
        return shares

    def _expected(self, rows: Rows) -> Rows:
        return self._parts["reconstruction"].expected(rows)

    def _latent(self, rows: Rows) -> Rows:
        return self._parts["reconstruction"].latent(rows)


def _least_units(rows: Rows) -> NDArray[np.float64]:
    """The least unit of each part, (3,): a mean square, the root of one, and nats."""
    variance = float(np.mean([column.var(dtype=np.float64) for column in rows.T]))
    spread = variance**0.5 or 1.0  # rows that are all alike tell nothing of distances
    distance = max(_LEAST_DISTANCE * spread, _LEAST_UNIT**0.5)
    return np.array([distance**2, distance, _LEAST_RARITY])


def _kinds(parameters: EnsembleParameters) -> dict[str, tuple[type[Detector], Parameters]]:
    """Name of each part -> what it is, and its own parameters."""
    of_autoencoder = {k: getattr(parameters, k) for k in AutoencoderParameters.model_fields}
    return {
        "reconstruction": (Reconstruction, AutoencoderParameters(**of_autoencoder)),
        "memory": (Neighbours, NeighboursParameters(references=parameters.references)),
        "rarity": (Rarity, RarityParameters(cells=parameters.cells)),
    }
